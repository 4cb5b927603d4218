"""The processes of a resident pipe: started from one that has imported what they need, ended together."""

from __future__ import annotations

import contextlib
import importlib
import os
import select
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dm_tools.patterns import reading
from dm_tools.session import forking

MAX_SAID = 1024 * 1024  # bytes of a stage's messages; then the older ones go
KEPT_SAID = 64 * 1024
TOGETHER_SECONDS = 0.5  # who is killed takes the others along: who died first is known when all have ended
END_SECONDS = 5.0
MAX_LINE = 16 * 1024 * 1024

# Imported before the first fork, by name: they are at home in other modules, and none of them starts a thread.
SHARED = (
    *("cryptography.x509", "dotenv.parser", "h11", "requests", "urllib3"),
    *("dm_tools.collect.probe", "dm_tools.collect.inspect", "dm_tools.collect.logs", "dm_tools.collect.stats"),
    *("dm_tools.collect.resident", "dm_tools.diagnose.analyze", "dm_tools.patterns.reading", "dm_tools.act.propose"),
    *("dm_tools.store.reports", "dm_tools.store.changes", "dm_tools.act.policy", "dm_tools.llm.consult"),
    *("dm_tools.incidents.work", "dm_tools.notify.work"),
)

_NO_DEATH = (0, 4, 5, 10)
_BECAUSE_OF_ANOTHER = (141,)


@dataclass(frozen=True)
class Death:
    """Who ended the pipe: the command's name, its exit status as a shell has it, and its last words if it had any."""

    name: str
    status: int
    said: str

    @property
    def words(self) -> str:
        """In words."""
        how = forking.how(self.status) or f"ended (status {self.status})"
        return f"{self.name} {how}" + (f": {self.said}" if self.said and 0 < self.status < 126 else "")


def load(stages: list[list[str]]) -> None:
    """Import what the stages will need, so that they share it."""
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(Exception):
            reading.read(None)  # so that there is something to remember
        os._exit(0)
    importlib.import_module("dm_tools.engine.transport").load()
    os.waitpid(pid, 0)
    reading.remember()
    forking.share([*SHARED, *(name for stage in stages if (name := forking.module(stage[0])))])


class Pipe:
    """The running processes of a pipe, from the first stage to the last. Messages go to FOLDER/NAME.err."""

    def __init__(self, stages: list[list[str]], folder: Path) -> None:
        self.folder = folder
        self.names = [stage[0] for stage in stages]
        self.pids: dict[int, str] = {}
        self.ended: list[tuple[str, int]] = []  # in the order in which they were seen
        self._sizes = {name: _size(folder, name) for name in self.names}
        reading = os.open(os.devnull, os.O_RDONLY)
        for stage in stages:
            after, writing = os.pipe()
            # Ctrl-C is for the watcher, which ends them all
            pid = forking.fork(stage, reading, writing, folder / f"{stage[0]}.err", os.O_APPEND, signal.SIG_IGN)
            os.close(reading)
            os.close(writing)
            self.pids[pid] = stage[0]
            reading = after
        self.out = reading
        os.set_blocking(self.out, False)

    def lines(self, stall: float) -> Iterator[bytes]:
        """The lines of the last stage until a stage ends, or none comes for `stall` seconds (then a stage hangs)."""
        rest, last = b"", time.monotonic()
        watched = select.poll()
        watched.register(self.out, select.POLLIN)
        while not self._reap() and time.monotonic() - last < stall:
            watched.poll(200)
            with contextlib.suppress(BlockingIOError):
                while chunk := os.read(self.out, 65536):
                    last = time.monotonic()
                    *whole, rest = (rest + chunk).split(b"\n")
                    yield from whole
                    rest = rest[-MAX_LINE:]

    def _reap(self) -> bool:
        """Take note of who has ended; whether anybody has."""
        for pid in list(self.pids):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self.ended.append((self.pids.pop(pid), forking.exit_status(status)))
        return bool(self.ended)

    def end(self) -> None:
        """End all that still run; whoever died by itself is known afterwards."""
        self._wait(TOGETHER_SECONDS if self.ended else 0)
        dead = list(self.ended)
        for number, seconds in ((signal.SIGTERM, END_SECONDS), (signal.SIGKILL, END_SECONDS)):
            for pid in self.pids:
                os.kill(pid, number)
            self._wait(seconds)
        self.ended = dead
        os.close(self.out)

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self._reap()
        while self.pids and time.monotonic() < end:
            time.sleep(0.02)
            self._reap()

    def death(self) -> Death | None:
        """Who ended it; None if nobody did by itself. Who only lost his reader or his writer did not."""
        own = [each for each in self.ended if each[1] not in (*_NO_DEATH, *_BECAUSE_OF_ANOTHER)]
        for name, status in own or self.ended:
            return Death(name, status, self._last_words(name))
        return None

    def _last_words(self, name: str) -> str:
        """The last line that a stage has said since it was started."""
        with contextlib.suppress(OSError), (self.folder / f"{name}.err").open("rb") as file:
            file.seek(max(self._sizes[name], _size(self.folder, name) - 4096))
            said = file.read().decode("utf-8", "replace").strip().rsplit("\n", 1)[-1]
            return said.removeprefix(f"{name}: ")[:500]
        return ""

    def tidy(self) -> None:
        """Shorten the files of messages that have become long."""
        for name in self.names:
            if _size(self.folder, name) > MAX_SAID:
                with (self.folder / f"{name}.err").open("r+b") as file:
                    file.seek(-KEPT_SAID, os.SEEK_END)
                    kept = file.read().partition(b"\n")[2]
                    file.seek(0)
                    file.write(kept)
                    file.truncate()
                self._sizes[name] = 0


def _size(folder: Path, name: str) -> int:
    with contextlib.suppress(OSError):
        return (folder / f"{name}.err").stat().st_size
    return 0
