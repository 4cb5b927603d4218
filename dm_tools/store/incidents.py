"""What is kept of incidents between rounds: `incidents/rounds.jsonl` and `silences.jsonl` in the folder of reports.

A line of the first holds the state after a round together with its events, so that a kill leaves both or neither. An
event that was printed is acknowledged by a later line; one that was not is printed once more, under the same id.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from dm_tools.diagnose import silences
from dm_tools.diagnose.state import State
from dm_tools.records import IncidentEvent, Silence
from dm_tools.store import files, journal
from dm_tools.store.following import Following

MOST_BYTES = 1024 * 1024  # of the file, before it is written anew
MOST_EVENTS = 1000  # that are kept then
WAIT_SECONDS = 10.0  # for another one's round


class Line(msgspec.Struct, omit_defaults=True):
    """One line: the state after a round and its events, or up to which event all was printed."""

    state: State | None = None
    events: list[IncidentEvent] = []
    acknowledged: int = 0


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Line).decode


class Incidents:
    """The state of all incidents. Several programs may judge into one folder (a watch, and what heals beside it): each
    is `alone()` for as long as a round takes, and goes on from what is on the disk."""

    def __init__(self, proofs_dir: Path) -> None:
        self.folder = proofs_dir / "incidents"
        self.path = self.folder / "rounds.jsonl"
        self._following = Following(self.path)
        self._forget()

    def _forget(self) -> None:
        self._state: State | None = None
        self._events: list[IncidentEvent] = []
        self._printed = 0

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else judges into this folder meanwhile. Raises journal.Busy, files.CannotWrite."""
        files.make_folder(self.folder)
        with journal.locked(self.folder / "lock", 0o600, WAIT_SECONDS):
            yield

    def state(self) -> State:
        """After the newest round that is on the disk. It is nobody's to change."""
        self._read()
        return self._state or State()

    def events(self) -> list[IncidentEvent]:
        """Those that are kept, oldest first."""
        self._read()
        return self._events

    def newest(self, count: int) -> list[dict[str, Any]]:
        """The newest of them, as JSON."""
        return [msgspec.to_builtins(each) for each in self.events()[-count:]]

    def waiting(self) -> list[IncidentEvent]:
        """Events that were told of on the disk and perhaps nowhere else."""
        self._read()
        return [event for event in self._events if event.number > self._printed]

    def commit(self, state: State, events: list[IncidentEvent]) -> None:
        """The round is over: state and events are on the disk together. Raises files.CannotWrite."""
        with contextlib.suppress(FileNotFoundError):
            if self.path.stat().st_size > MOST_BYTES:
                self._write_anew()
        files.append(self.path, _encode(Line(state, events)))

    def acknowledge(self, number: int) -> None:
        """All events up to this one were printed. Raises files.CannotWrite."""
        files.append(self.path, _encode(Line(acknowledged=number)))

    def _write_anew(self) -> None:
        self._read()
        files.replace(self.path, [_encode(Line(self._state, self._events[-MOST_EVENTS:], self._printed)) + b"\n"])

    def _read(self) -> None:
        """Take in what has come since. A line that a kill tore was not committed."""
        anew, lines = self._following.read()
        if anew:
            self._forget()
        for each in lines:
            with contextlib.suppress(*files.NO_LINE):
                line = _decode(each)
                self._state = line.state or self._state
                self._events += line.events
                self._printed = max(self._printed, line.acknowledged)


class Silences:
    """Silences are added by people while rounds are judged: a file of their own, only ever appended to."""

    def __init__(self, proofs_dir: Path) -> None:
        self.folder = proofs_dir / "incidents"
        self.path = self.folder / "silences.jsonl"

    def add(self, silence: Silence) -> None:
        """Begin or end one. Raises files.CannotWrite."""
        files.make_folder(self.folder)
        files.append(self.path, msgspec.json.encode(silence))

    def standing(self, wall: float) -> list[Silence]:
        """Those that are not over at a time in seconds since 1970."""
        found = []
        for line in files.lines(self.path):
            with contextlib.suppress(*files.NO_LINE):
                found.append(msgspec.json.decode(line, type=Silence))
        return silences.standing(found, wall)

    def current(self, wall: float, day: int, minute: int) -> list[Silence]:
        """Those of them whose weekly window, if they have one, holds a local time."""
        return [each for each in self.standing(wall) if silences.current(each, day, minute)]
