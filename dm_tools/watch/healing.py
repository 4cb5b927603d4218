"""When the watch heals, and the session that does it: one at a time, in a process of its own.

What is done is decided there, by the policy, which also bounds how often. Here is decided only when it is worth a look.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NoReturn

FIRST_PAUSE, MOST_PAUSE = 60.0, 3600.0  # seconds from one pass to the next over the same verdicts
SOON = 5.0  # seconds to the next pass when one did not come to its end, doubled each time
CAME_TO_ITS_END = {0: "all is well", 10: "not all is well"}
END_SECONDS = 10.0

Json = dict[str, Any]


@dataclass
class Plan:
    """When a pass is worth it: at once when an incident opens, or when a look says or proposes of an open one what no
    pass has been over yet: the first look may have been a bad one. Else, while one is open, after a minute, two, four,
    at most an hour; soon if the last one could not come to its end (somebody else acted on the engine, it was killed,
    what it was over had changed). Pure: times are seconds of a steady clock."""

    tried: set[tuple[str, str]] = field(default_factory=set)  # since nothing was open
    pause: float = FIRST_PAUSE
    soon: float = SOON
    next: float = 0.0

    def wanted(self, open: Iterable[Json], now: float) -> bool:
        """Whether a pass is to begin now. `open`: incidents as a marker has them."""
        found = _found(open)
        if not found:
            self.tried, self.pause, self.soon = set(), FIRST_PAUSE, SOON
            return False
        return now >= self.next or not found <= self.tried

    def began(self, open: Iterable[Json]) -> None:
        """A pass began over these."""
        self.tried |= _found(open)

    def ended(self, now: float, status: int) -> None:
        """It ended, with this exit status."""
        if status in CAME_TO_ITS_END:
            self.next, self.pause, self.soon = now + self.pause, min(self.pause * 2, MOST_PAUSE), SOON
        else:
            self.next, self.soon = now + self.soon, min(self.soon * 2, MOST_PAUSE)


def _found(open: Iterable[Json]) -> set[tuple[str, str]]:
    return {(str(each.get("id")), str(each.get("newest"))) for each in open}


class Healer:
    """Runs `command` when there is something to heal; empty: nobody heals."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self.command = command
        self.plan = Plan()
        self._pid: int | None = None
        self._begun = 0.0

    def look(self, open: list[Json]) -> str | None:
        """After a round: begin a pass, or see how the last one ended. Returns what there is to say."""
        if not self.command:
            return None
        if self._pid is not None:
            return self._ended()
        if not self.plan.wanted(open, time.monotonic()):
            return None
        self.plan.began(open)
        self._begun = time.monotonic()
        self._pid = os.fork()
        if self._pid == 0:
            _become(self.command)
        return f"begun because of {', '.join(sorted({str(each.get('service')) for each in open}))}"

    def _ended(self) -> str | None:
        ended, status = os.waitpid(self._pid or 0, os.WNOHANG)
        if not ended:
            return None
        self._pid, now = None, time.monotonic()
        code = os.waitstatus_to_exitcode(status)
        self.plan.ended(now, code)
        how = CAME_TO_ITS_END.get(code) or f"status {code if code >= 0 else 128 - code}; it is tried again soon"
        return f"ended after {now - self._begun:.0f} s: {how}"

    def end(self) -> None:
        """End a pass that is under way: what it leaves half done is ended by the next one."""
        if (pid := self._pid) is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, number)
            until = time.monotonic() + END_SECONDS
            while time.monotonic() < until:
                with contextlib.suppress(ChildProcessError):
                    if os.waitpid(pid, os.WNOHANG)[0]:
                        self._pid = None
                        return
                time.sleep(0.02)


def _become(command: tuple[str, ...]) -> NoReturn:
    """Make this forked process the session: of a group of its own, so that what ends the watch does not cut it off."""
    try:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.closerange(3, 1000)
        os.environ.pop("NOTIFY_SOCKET", None)
        os.execv(command[0], command)
    finally:
        os._exit(127)
