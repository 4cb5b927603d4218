"""Evidence ids: the type, the one place that takes them apart, and what one of them stands for in a service's record.

On the wire an id is a string: `logs:41` in the record of the service itself, `app/logs:41` where another one cites it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dm_tools.evidence.view import View
from dm_tools.records import LogLine, Page, Section
from dm_tools.text.late import late
from dm_tools.text.times import parse_time


class Kind(StrEnum):
    """Which collector a piece of evidence comes from; a step is what a model looked at."""

    PROBE = "probe"
    LOGS = "logs"
    EVENT = "event"
    INSPECT = "inspect"
    STATS = "stats"
    SCREENSHOT = "screenshot"
    STEP = "step"
    SWARM = "swarm"
    NODE = "node"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class EvidenceId:
    """One id. `owner`: the service whose record it is in, None for the one that cites it.

    `kind` None: the text is no evidence id, `key` is all of it, and it stands for nothing. Otherwise `key` is the rest:
    a number (41), a range of log items (10-20), a field (oom_killed), or a field with what is in it (health.2).
    """

    owner: str | None
    kind: Kind | None
    key: str

    @property
    def local(self) -> str:
        """As it is written in the record of its owner: `logs:41`."""
        return f"{self.kind}:{self.key}" if self.kind else self.key

    @property
    def field(self) -> str:
        """The field, without what is in it: `health` of `inspect:health.2`."""
        return self.key.partition(".")[0]

    @property
    def thing(self) -> str:
        """The kind and the field, as configs/causes.toml names single things: `inspect:health`."""
        return f"{self.kind}:{self.field}"

    @property
    def number(self) -> int | None:
        """Its number, where that is all it has."""
        return int(self.key) if self.kind and self.key.isdecimal() else None

    @property
    def span(self) -> tuple[str, str] | None:
        """The ids of the first and the last item of a range of log items."""
        first, dash, last = self.key.partition("-")
        return (f"{self.kind}:{first}", f"{self.kind}:{last}") if self.kind and dash else None

    @property
    def of_healthcheck(self) -> bool:
        """What a healthcheck printed: a text, whatever the engine keeps beside it."""
        return self.kind == Kind.INSPECT and self.field == "health" != self.key

    @property
    def of_engine(self) -> bool:
        """What the engine itself states; all else, somebody wrote."""
        return self.kind in (Kind.INSPECT, Kind.EVENT, Kind.SWARM, Kind.NODE, Kind.HOST) and not self.of_healthcheck

    @property
    def of_own_log(self) -> bool:
        """Items of the log of the service that cites it."""
        return self.kind == Kind.LOGS and self.owner is None


_LOCAL = late(rf"({'|'.join(Kind)}):([A-Za-z0-9_.]{{1,80}}|[0-9]{{1,9}}-[0-9]{{1,9}})\Z")


def parse(text: str) -> EvidenceId:
    """The id that a text is; any text is taken, also one that is none."""
    owner, slash, local = text.rpartition("/")
    match = _LOCAL.match(local)
    return EvidenceId(owner if slash else None, Kind(match[1]) if match else None, match[2] if match else local)


def cites_own_log(evidence: Iterable[str]) -> bool:
    """Whether some of the ids are items of the log of the service that cites them."""
    return any(parse(each).of_own_log for each in evidence)


def own(evidence: Iterable[str]) -> list[str]:
    """The ids that are of the record of the service that cites them."""
    return [each for each in evidence if parse(each).owner is None]


def seen_from(citing: str, owner: str, evidence_id: str) -> str:
    """An id that stands in what is said of `owner`'s record, as the service `citing` writes it."""
    cited = parse(evidence_id)
    if cited.owner is None:
        return f"{owner}/{evidence_id}"
    return cited.local if cited.owner == citing else evidence_id


def resolve(view: View, evidence_id: str) -> Any:
    """What an evidence id of this service stands for; None if it stands for nothing."""
    wanted = parse(evidence_id)
    kind, key = wanted.kind, wanted.key
    if wanted.owner is not None:
        return None
    if kind == Kind.PROBE and view.probe:
        return next((check for check in view.probe.checks if check.id == evidence_id), None)
    if kind == Kind.LOGS and view.logs:
        if wanted.span:
            return _range(view.logs.lines, *wanted.span)
        return next((line for line in view.logs.lines if line.id == evidence_id), None)
    if kind == Kind.EVENT and view.inspect and wanted.number is not None:
        return dict(enumerate(view.inspect.events)).get(wanted.number)
    if kind == Kind.INSPECT and view.inspect:
        return _numbered(view.inspect, key, _NUMBERED)
    if kind == Kind.STEP:
        return next((step for step in view.steps if step.id == evidence_id), None)
    if kind == Kind.STATS and view.stats and key in view.stats.__struct_fields__:
        return getattr(view.stats, key)
    if kind == Kind.SWARM and view.swarm:
        return _numbered(view.swarm, key, {"tasks": "tasks"})
    if kind == Kind.NODE and view.node:
        return _numbered(view.node, key, {})
    if kind == Kind.HOST and view.host:
        return _numbered(view.host, key, {})
    if kind == Kind.SCREENSHOT:
        return _shown(view.pages, key)
    return None


def _numbered(section: Section, key: str, lists: Mapping[str, str]) -> Any:
    """A field of a section, or an entry of one of its lists (`health.2`); None if there is none."""
    head, _, index = key.partition(".")
    if head in lists and index.isdigit():
        return dict(enumerate(getattr(section, lists[head]))).get(int(index))
    return getattr(section, key, None) if key in section.__struct_fields__ else None


_NUMBERED = {"health": "health_log", "mounts": "mounts", "processes": "processes"}
_PARTS = {"console": "console", "exception": "exceptions", "request": "failed_requests", "slow": "slow_requests"}


def _shown(pages: list[Page], key: str) -> Any:
    """A page (`0`), what it says (`0.text`, `0.title`, `0.ocr`), or an entry of it (`0.console.2`); else None."""
    number, _, part = key.partition(".")
    found = next((each for each in pages if each.id == f"screenshot:{number}"), None)
    name, _, index = part.partition(".")
    if found is None or not part:
        return found
    if part in ("text", "title", "ocr"):
        return found.ocr_text if part == "ocr" else getattr(found, part)
    entries = getattr(found, _PARTS[name]) if name in _PARTS else []
    return dict(enumerate(entries)).get(int(index)) if index.isdecimal() else None


def _range(lines: list[LogLine], begin: str, end: str) -> list[LogLine] | None:
    """The log items from one to another, both included (`logs:10-20`); None unless both are there, in that order."""
    places = {line.id: place for place, line in enumerate(lines)}
    first, last = places.get(begin), places.get(end)
    return lines[first : last + 1] if first is not None and last is not None and first <= last else None


def time_of(value: Any) -> str | None:
    """When a piece of evidence appeared, if it says so: a log line, an event, a health check, a task."""
    stamp = getattr(value, "ts", None) or getattr(value, "start", None) or getattr(value, "at", None)
    return stamp if isinstance(stamp, str) and parse_time(stamp) is not None else None
