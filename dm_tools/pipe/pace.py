"""A slower pace for what costs much, in a stream of rounds: `--every` of dm-logs, dm-stats and dm-screenshot.

Between its own times such a filter gives a record the section that it found last, and says in `carried` of when that
is. That is honest only while the service is what it was: if its probe, its container or its state is another, it is
looked at now.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from dm_tools.pipe import clock, stream

SAME = ("id", "state", "health", "started_at", "restart_count", "exit_code", "oom_killed")
Record = stream.Record


@dataclass
class _Look:
    """What was found last. The section is kept as JSON: a round's records need not be in memory as objects."""

    at: float
    stamp: str
    like: Any
    section: bytes
    round: int


class Pace:
    """Lets a filter's work be done for each service only every so many seconds; for several threads."""

    def __init__(self, section: str, every: float) -> None:
        self.section = section
        self.every = every
        self.number = 0
        self._looks: dict[tuple[Any, str], _Look] = {}

    def slowed(self, work: Callable[[Record], Record]) -> Callable[[Record], Record]:
        """`work` at this pace."""

        def maybe(record: Record) -> Record:
            key = (record.get("docker_host"), record["service"])
            like, now = _like(record), time.monotonic()
            last = self._looks.get(key)
            if last is not None and last.like == like and now - last.at < self.every:
                last.round = self.number
                carried = {**(record.get("carried") or {}), self.section: last.stamp}
                return record | {self.section: orjson.loads(last.section), "carried": carried}
            stamp = clock.rfc3339(clock.now())
            found = work(record)
            if found.get(self.section) is not None and len(found.get("errors") or ()) == len(
                record.get("errors") or ()
            ):
                kept = stream.dumps(found[self.section])
                self._looks[key] = _Look(now, stamp, like, kept, self.number)
            else:
                self._looks.pop(key, None)
            return found

        return maybe

    def between(self) -> None:
        """A round has ended: who was not in it is forgotten."""
        self._looks = {key: look for key, look in self._looks.items() if look.round == self.number}
        self.number += 1


def _like(record: Record) -> Any:
    """What must be the same for a section to be carried on."""
    probe, inspect = record.get("probe") or {}, record.get("inspect") or {}
    checks = [(each.get("url"), each.get("error"), each.get("status_code")) for each in probe.get("checks") or []]
    return probe.get("status"), checks, [inspect.get(name) for name in SAME]
