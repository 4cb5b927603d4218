"""The processes of a resident pipe: started from one that has imported what they need, ended together.

What is forked shares the memory of its imports, and starts at once. Whatever is not one of our own commands is executed
as a shell would.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TextIO

from dm_tools.patterns import reading
from dm_tools.pipe import configs

MAX_SAID = 1024 * 1024  # bytes of a stage's messages; then the older ones go
KEPT_SAID = 64 * 1024
TOGETHER_SECONDS = 0.5  # who is killed takes the others along: who died first is known when all have ended
END_SECONDS = 5.0
MAX_LINE = 16 * 1024 * 1024

# Imported before the first fork, by name: they are at home in other modules, and none of them starts a thread.
SHARED = (
    *("docker", "docker.utils", "requests", "urllib3", "httpx", "httpcore", "cryptography.x509", "dotenv.parser"),
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
        number = self.status - 128
        if self.status in (126, 127):
            how = f"could not be started (status {self.status})"
        elif self.status == 143:
            how = "was terminated (signal 15)"
        elif 0 < number < 65 and self.status != 141:
            how = f"was killed (signal {number})"
        elif self.status in _NO_DEATH:
            how = f"ended (status {self.status})"
        else:
            how = f"failed (status {self.status})"
        return f"{self.name} {how}" + (f": {self.said}" if self.said and 0 < self.status < 126 else "")


def load(stages: list[list[str]]) -> None:
    """Import what the stages will need, so that they share it."""
    import gc

    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(Exception):
            reading.read(None)  # so that there is something to remember
        os._exit(0)
    for name in (*SHARED, *(_module(stage[0]) for stage in stages)):
        if name:
            importlib.import_module(name)
    os.waitpid(pid, 0)
    reading.remember()
    gc.collect()
    gc.freeze()  # a collection would write to what is shared


def _module(program: str) -> str | None:
    """The module of one of our own commands, if that is what the name stands for here."""
    checkout, found = configs.checkout(), shutil.which(program)
    name = program.removeprefix("dm-").replace("-", "_")
    own = checkout is None or (found is not None and Path(found).resolve().parent == (checkout / "bin").resolve())
    return f"dm_tools.commands.{name}" if program.startswith("dm-") and found and own else None


class Pipe:
    """The running processes of a pipe, from the first stage to the last. Messages go to FOLDER/NAME.err."""

    def __init__(self, stages: list[list[str]], folder: Path) -> None:
        self.folder = folder
        self.names = [stage[0] for stage in stages]
        self.pids: dict[int, str] = {}
        self.ended: list[tuple[str, int]] = []  # in the order in which they were seen
        self._sizes = {name: _size(folder, name) for name in self.names}
        reading = os.open(os.devnull, os.O_RDONLY)
        watcher = os.getpid()
        for stage in stages:
            after, writing = os.pipe()
            pid = os.fork()
            if pid == 0:
                _become(stage, reading, writing, folder, watcher)
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
                code = os.waitstatus_to_exitcode(status)
                self.ended.append((self.pids.pop(pid), code if code >= 0 else 128 - code))
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


def _become(stage: list[str], reading: int, writing: int, folder: Path, watcher: int) -> NoReturn:
    """Make this forked process the stage, and run it to its end."""
    try:
        _end_with(watcher)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        saying = os.open(folder / f"{stage[0]}.err", flags, 0o600)
        for number, descriptor in enumerate((reading, writing, saying)):
            os.dup2(descriptor, number)
        os.closerange(3, 1000)
        os.environ.pop("NOTIFY_SOCKET", None)
        with contextlib.suppress(OSError), open("/proc/self/comm", "w") as comm:
            comm.write(stage[0])  # else all stages have one name in ps and top
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the watcher, which ends them all
        module = _module(stage[0])
        if module is None:
            os.execvp(stage[0], stage)
        sys.stdin, sys.stdout, sys.stderr = (_standard(number) for number in range(3))
        sys.argv[:] = stage
        importlib.import_module(module).main()
    except OSError as failure:
        os.write(2, f"{stage[0]}: {failure.strerror}\n".encode())
        os._exit(127)
    finally:
        os._exit(70)


def _end_with(parent: int) -> None:
    """End this process when its parent is killed: what nobody reads any more need not be looked at."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG, which Python has no name for
    if os.getppid() != parent:
        os._exit(143)


def _standard(number: int) -> TextIO:
    """One of the three standard streams, as Python opens them when it starts."""
    return open(number, "w" if number else "r", 1 if number == 2 else -1, "utf-8", "backslashreplace", closefd=False)
