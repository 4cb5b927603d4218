"""The history: events as JSON Lines in segments below the folder of reports, appended and synced, one writer each.

A segment is `history/MACHINE-DATE-N.jsonl`. Who writes holds its lock and nobody waits: a second writer takes the next
number. A segment that is full, or of another day, is closed by being left alone.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import re
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from dm_tools.diagnose.events import identified
from dm_tools.diagnose.remembered import Memory
from dm_tools.pipe import clock, say
from dm_tools.records import ActionOutcome, EventKind, HistoryEvent, Outcome
from dm_tools.store import files

_SEGMENT = re.compile(r"(?P<machine>.+)-(?P<day>\d{4}-\d\d-\d\d)-(?P<number>\d{4,})\.jsonl")
_ID = re.compile(r"[0-9a-f]{32}")
SEGMENT_BYTES = 16 * 1024 * 1024  # a segment that is longer is closed
_CARRIED_OUT = (Outcome.DONE, Outcome.ALREADY_DONE, Outcome.FAILED, Outcome.UNDONE)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(HistoryEvent).decode


def machine() -> str:
    """The name that this machine gives itself, as a part of a file's name."""
    return re.sub(r"[^A-Za-z0-9_.]+", "_", socket.gethostname())[:60] or "machine"


class _Known(msgspec.Struct):
    """What was read of each segment, in bytes, and what is known from it."""

    read: dict[str, int] = {}
    memory: Memory = msgspec.field(default_factory=Memory)


def _day(path: Path) -> tuple[str, str]:
    """What segments are sorted by."""
    found = _SEGMENT.fullmatch(path.name)
    return (found["day"] if found else "", path.name)


def month(path: Path) -> str:
    """The month of a segment: YYYY-MM."""
    return _day(path)[0][:7]


class History:
    """`history/` in the folder of the reports."""

    def __init__(self, proofs_dir: Path) -> None:
        self.folder = proofs_dir / "history"

    def append(self, *events: HistoryEvent) -> None:
        """Add events for good: when this returns, they are on the disk. Raises files.CannotWrite.

        An event without an id gets one.
        """
        lines = b"".join(_encode(each if each.id else identified(each)) + b"\n" for each in events)
        if not lines:
            return
        files.make_folder(self.folder)
        stem = f"{machine()}-{clock.rfc3339(clock.now())[:10]}"
        for number in itertools.count(1):
            if files.append_alone(self.folder / f"{stem}-{number:04d}.jsonl", lines, SEGMENT_BYTES):
                return

    def segments(self) -> list[Path]:
        """The files of the history, oldest day first. Raises OSError: what cannot be read is not nothing."""
        try:
            found = [self.folder / name for name in os.listdir(self.folder) if _SEGMENT.fullmatch(name)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted((each for each in found if each.is_file() and not each.is_symlink()), key=_day)

    def events(self) -> Iterator[HistoryEvent]:
        """Every event once, by time within a month. Lines that a kill tore or a newer version wrote are left out."""
        seen: set[bytes] = set()
        for event in self._merged({}):
            key = bytes.fromhex(event.id) if _ID.fullmatch(event.id) else event.id.encode()
            if key not in seen:
                seen.add(key)
                yield event

    def _merged(self, ends: dict[str, int]) -> Iterator[HistoryEvent]:
        """The events from `ends` on (bytes of each segment), which is moved on to where reading ended."""
        for _, paths in itertools.groupby(self.segments(), month):
            yield from heapq.merge(*(read(path, ends) for path in paths), key=lambda each: each.at)

    def remembered(self) -> Memory:
        """What is known of every incident; where the history cannot be read that is said, and nothing is known: a
        report or an alarm does without."""
        try:
            return self.memory()
        except OSError as failure:
            reason = (failure.strerror or "").lower()
            say.once(f"what happened before is left out: cannot read {str(failure.filename)!r}: {reason}")
            return Memory()

    def memory(self) -> Memory:
        """What is known of every incident. Kept beside the segments with how far they were read; lost without loss.

        Raises OSError.
        """
        kept = self.folder / "known.json"
        try:
            known = msgspec.json.decode(b"".join(files.lines(kept)), type=_Known)
        except (OSError, *files.NO_LINE):
            known = _Known()
        sizes = {path.name: path.stat().st_size for path in self.segments()}
        if any(sizes.get(name, -1) < end for name, end in known.read.items()):  # merged, or not kept any longer
            known = _Known()
        before = dict(known.read)
        for event in self._merged(known.read):
            if event.id not in known.memory.ids:
                known.memory.add(event)
        if known.read != before:
            with contextlib.suppress(files.CannotWrite):
                files.replace(kept, [msgspec.json.encode(known)])
        return known.memory

    def outcomes(self) -> Iterator[ActionOutcome]:
        """Each action that was carried out with its newest proof, by time; in memory are the actions only."""
        yield from outcomes(self.events())


def read(path: Path, ends: dict[str, int]) -> Iterator[HistoryEvent]:
    """The events of one segment from its place in `ends` on, which is moved on to the end of its last whole line."""
    with contextlib.suppress(FileNotFoundError), files.opened(path) as file:
        file.seek(ends.get(path.name, 0))
        for line in file:
            if not line.endswith(b"\n"):
                return
            ends[path.name] = ends.get(path.name, 0) + len(line)
            with contextlib.suppress(*files.NO_LINE):
                yield _decode(line)


def whole_end(path: Path) -> int:
    """How much of a segment is whole lines, in bytes."""
    with files.opened(path) as file:
        return files.whole(file.fileno(), path.stat().st_size)


def outcomes(events: Iterable[HistoryEvent]) -> Iterator[ActionOutcome]:
    """Executions joined with their proof, decision and incident, by the action's id and the fingerprint."""
    newest: dict[tuple[EventKind, str], HistoryEvent] = {}
    incidents: dict[str, HistoryEvent] = {}
    for event in events:
        if event.kind == EventKind.INCIDENT and event.fingerprint:
            _keep(incidents, event.fingerprint, event)
        elif event.action_id and event.kind in (EventKind.EXECUTION, EventKind.PROOF, EventKind.DECISION):
            _keep(newest, (event.kind, event.action_id), event)
    executions = [each for (kind, _), each in newest.items() if kind == EventKind.EXECUTION]
    for done in sorted(executions, key=lambda each: (each.at, each.id)):
        if done.outcome not in _CARRIED_OUT or done.action is None or done.action_id is None:
            continue
        proof = newest.get((EventKind.PROOF, done.action_id))
        decision = newest.get((EventKind.DECISION, done.action_id))
        incident = incidents.get(done.fingerprint or "")
        yield ActionOutcome(
            action_id=done.action_id,
            at=done.at,
            service=done.service,
            action=done.action,
            outcome=done.outcome,
            by=done.by or (decision.by if decision else None) or "person",
            proof=proof.proof if proof else None,
            cause=done.cause or (incident.cause if incident else None),
            confidence=done.confidence,
            risk=done.risk,
            pattern=done.pattern or (incident.pattern if incident else None),
            fingerprint=done.fingerprint,
            host=done.host,
            project=done.project or (incident.project if incident else None),
            image=done.image or (incident.image if incident else None),
            seconds=proof.seconds if proof else None,
        )


def _keep(found: dict[Any, HistoryEvent], key: Any, event: HistoryEvent) -> None:
    """Keep the newest event of each key."""
    if key not in found or found[key].at <= event.at:
        found[key] = event
