"""When the next round of dm-services begins: after its interval, or early because a container's state has changed."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import orjson

from dm_tools import records
from dm_tools.engine import listening
from dm_tools.engine.connection import Engine
from dm_tools.pipe import exits, stream

SETTLE_SECONDS = 0.3  # an event seldom comes alone: a kill is followed by the restart policy's start
LEAST_SECONDS = 1.0  # between two early rounds; doubled with each, so that a restart loop makes no storm
AGAIN_SECONDS = 5.0  # until an engine that is away is listened to again
THROUGH_SECONDS = 0.02  # how often is looked whether the round before has come through
PUNCTUAL_SECONDS = 0.1

Event = dict[str, Any]


def concerns(event: Event, found: Iterable[stream.Record], project: str | None, discovering: bool) -> bool:
    """Whether an event is one of a container that is looked at; with discovery a new one is, too, of that project."""
    told = (event.get("Actor") or {}).get("Attributes") or {}
    if str(event.get("Action")).partition(":")[0] not in listening.ACTIONS:
        return False
    if project and told.get("com.docker.compose.project") != project:
        return False
    if discovering:
        return True
    service = told.get("com.docker.compose.service")
    names = {told.get("name"), service, f"{told.get('com.docker.compose.project')}/{service}"}
    return any((record.get("container") or record["service"]) in names for record in found)


def told(event: Event) -> str:
    """An event in a few words: whose, and what."""
    attributes = (event.get("Actor") or {}).get("Attributes") or {}
    return f"{attributes.get('name')}: {event.get('Action')}"[:200]


def cord(path: Path) -> int:
    """A named pipe by which other programs of this user ring, open without waiting for them. Raises OSError."""
    with contextlib.suppress(FileExistsError):
        os.mkfifo(path, 0o600)
    return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)


class Alarm:
    """Waits for the next round; other threads may ring, and who writes to the named pipe `bell`. Ends the program if
    nobody reads standard output any more."""

    def __init__(self, concerned: Callable[[Event], bool], bell: Path | None = None) -> None:
        self.concerned = concerned
        self.because: str | None = None
        self._cord = -1
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._hosts: set[str | None] = set()
        self._poll = select.poll()
        self._poll.register(self._bell, select.POLLIN)
        if bell is not None:
            with contextlib.suppress(OSError):  # nobody can ask for a round: the next one comes by itself
                self._cord = cord(bell)
                self._poll.register(self._cord, select.POLLIN)
        if sys.stdout is not None:
            self._poll.register(sys.stdout.fileno(), 0)  # tells only that the reader has gone

    def ring(self, because: str) -> None:
        """Begin the next round early."""
        self.because = self.because or because
        os.eventfd_write(self._bell, 1)

    def silence(self) -> None:
        """What rang before now is seen by the round that begins now."""
        self.because = None
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._bell)

    def wait(self, seconds: float, ringing: bool = True) -> bool:
        """Wait so long, or (with `ringing`) until it rings; whether it did. Raises exits.Stop."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not ringing:
                with contextlib.suppress(KeyError):
                    self._poll.unregister(self._bell)
            else:
                self._poll.register(self._bell, select.POLLIN)
            rung = [descriptor for descriptor, _ in self._poll.poll(left * 1000)]
            if self._cord in rung:
                os.read(self._cord, 4096)
                self.ring("asked for")
            if set(rung) - {self._bell, self._cord}:
                raise exits.Stop(exits.BROKEN_PIPE)
            if self._bell in rung:
                return True
        return False

    def listen(self, hosts: Iterable[str | None]) -> None:
        """Ring at the events of these engines, too."""
        for host in set(hosts) - self._hosts:
            self._hosts.add(host)
            threading.Thread(target=self._listen, args=(host,), daemon=True).start()

    def _listen(self, host: str | None) -> None:
        engine, newest, away = Engine(host, listening.SECONDS), None, False
        while True:
            try:
                newest = listening.follow(engine, newest, self._heard)
                away = False
            except records.Problem:
                if not away:
                    self.ring("docker: no answer")
                away = True
                time.sleep(AGAIN_SECONDS)

    def _heard(self, event: Event) -> None:
        if self.concerned(event):
            self.ring(told(event))


class Timetable:
    """When rounds begin: `every` seconds, earlier when the alarm rings, later while the one before is under way.

    `through`: a file in which the end of the pipe (the watch session) tells of the newest round that has come through,
    and whether one more look may decide something: then it is early, too. None: nobody tells.
    """

    def __init__(self, every: float, alarm: Alarm, through: Path | None) -> None:
        self.every = every
        self.alarm = alarm
        self.through = through
        self.begun: float | None = None
        self.gap = LEAST_SECONDS  # to the next one that an event may begin
        self.pause = LEAST_SECONDS / 2  # to the next one that may decide something

    def next(self, before: str | None) -> tuple[float, str | None]:
        """Wait for the next round's time; `before` is the `at` of the round before. Returns how late it is in seconds,
        and what rang."""
        if self.begun is None:
            self.begun = time.monotonic()
            return 0.0, None
        undecided = self._come_through(before)
        self.pause = min(self.pause * 2, self.every) if undecided else LEAST_SECONDS / 2
        soon, planned = self.begun + self.pause, self.begun + self.every
        planned = min(max(soon, time.monotonic()), planned) if undecided else planned
        self.alarm.wait(min(self.begun + self.gap, planned) - time.monotonic(), ringing=False)
        if early := self.alarm.wait(planned - time.monotonic()):
            self.alarm.wait(SETTLE_SECONDS, ringing=False)
            planned = time.monotonic()
        because = self.alarm.because or ("to be sure" if undecided and self.pause < self.every else None)
        self.alarm.silence()
        self.gap = min(self.gap * 2, self.every) if early else LEAST_SECONDS
        self.begun = time.monotonic()
        late = self.begun - planned
        return (round(late, 1) if late > PUNCTUAL_SECONDS else 0.0), because

    def _come_through(self, before: str | None) -> bool:
        """Wait until the round before has come through; whether one more look may decide something."""
        if self.through is None:
            return False
        while (newest := _newest(self.through))[0] != before:
            self.alarm.wait(THROUGH_SECONDS, ringing=False)
        return newest[1]


def _newest(path: Path) -> tuple[str | None, bool]:
    """When the newest round began that has come through, None: there is none; and whether it left something open."""
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return None, False
    ended = found.get("round") if isinstance(found, dict) else None
    return (ended.get("at"), bool(found.get("undecided"))) if isinstance(ended, dict) else (None, False)
