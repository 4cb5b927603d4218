"""The digest of a record that tells in a round what it told in the round before: kept instead of being made anew."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import orjson

from dm_tools.diagnose.facts import Facts, facts
from dm_tools.patterns.language import Library
from dm_tools.records import Status
from dm_tools.text.times import parse_time

# A digest that is kept may not hang on how long ago something was: that of a service that is well, of which no pattern
# says anything, and which has run for long enough to be neither young nor in a loop.
SETTLED_SECONDS = 120.0
KEPT_SECONDS = 300.0  # then it is made anew all the same
# What differs from look to look and is judged nowhere.
_TIMES = {"connect_ms": None, "tls_ms": None, "first_byte_ms": None, "total_ms": None}
_MOMENT = {"observed_at": None, "events_since": None}


class Again:
    """Digests of one round after another. What is not in a round is forgotten."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[bytes, float, Facts]] = {}
        self._now: dict[str, tuple[bytes, float, Facts]] = {}

    def facts(self, record: dict[str, Any], library: Library) -> Facts:
        """The digest of a record, as facts.facts has it. Raises records.Problem."""
        service, mark, now = record["service"], _mark(record), _observed(record)
        before = self._before.get(service)
        if (
            before is not None
            and now is not None
            and mark
            and before[0] == mark
            and 0 <= now - before[1] < KEPT_SECONDS
        ):
            self._now[service] = before
            return replace(before[2], now=now)
        found = facts(record, library)
        if now is not None and _settled(found, now):
            self._now[service] = mark, now, found
        return found

    def next(self) -> None:
        """A round has ended."""
        self._before, self._now = self._now, {}


def _settled(found: Facts, now: float) -> bool:
    well = found.status == Status.HEALTHY and found.running and not (found.hits or found.failing or found.lost)
    return well and found.started is not None and now - found.started >= SETTLED_SECONDS


def _observed(record: dict[str, Any]) -> float | None:
    inspect = record.get("inspect")
    return parse_time(inspect.get("observed_at")) if isinstance(inspect, dict) else None


def _mark(record: dict[str, Any]) -> bytes:
    """The record without what differs from look to look, as a short hash; empty if it is malformed."""
    try:
        probe, inspect = record.get("probe") or {}, record.get("inspect") or {}
        checks = [each | _TIMES for each in probe.get("checks") or ()]
        same = record | {"probe": probe | {"checks": checks}, "inspect": inspect | _MOMENT, "carried": None}
        return hashlib.blake2b(orjson.dumps(same), digest_size=16).digest()
    except (TypeError, ValueError, AttributeError):
        return b""
