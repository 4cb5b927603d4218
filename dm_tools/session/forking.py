"""A stage of a pipe as a process that is forked from this one: it shares the memory of its imports, and starts at once.

Whatever is not one of our own commands is executed as a shell would.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import os
import shutil
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn, TextIO

from dm_tools.pipe import configs


def module(program: str) -> str | None:
    """The module of one of our own commands, if that is what the name stands for here."""
    checkout, found = configs.checkout(), shutil.which(program)
    name = program.removeprefix("dm-").replace("-", "_")
    own = checkout is None or (found is not None and Path(found).resolve().parent == (checkout / "bin").resolve())
    return f"dm_tools.commands.{name}" if program.startswith("dm-") and found and own else None


def share(names: Iterable[str]) -> None:
    """Import these modules, and keep the collector from writing to what is shared. None of them may start a thread."""
    for name in names:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


def fork(command: list[str], reading: int, writing: int, saying: Path, flags: int, on_interrupt: Any) -> int:
    """Start a command with these files as its standard input and output; its process id.

    Its messages go to the file `saying`, opened with `flags`. `on_interrupt` is what SIGINT does to it. It is
    terminated when this process is killed.
    """
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(command, reading, writing, saying, flags, on_interrupt, parent)
    return pid


def _become(
    command: list[str], reading: int, writing: int, saying: Path, flags: int, on_interrupt: Any, parent: int
) -> NoReturn:
    """Make this forked process the command, and run it to its end."""
    try:
        _end_with(parent)
        told = os.open(saying, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | flags, 0o600)
        for number, descriptor in enumerate((reading, writing, told)):
            os.dup2(descriptor, number)
        os.closerange(3, 1000)
        os.environ.pop("NOTIFY_SOCKET", None)
        with contextlib.suppress(OSError), open("/proc/self/comm", "w") as comm:
            comm.write(command[0])  # else all stages have one name in ps and top
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, on_interrupt)
        name = module(command[0])
        if name is None:
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and other programs count on it
            os.execvp(command[0], command)
        sys.stdin, sys.stdout, sys.stderr = (_standard(number) for number in range(3))
        sys.argv[:] = command
        importlib.import_module(name).main()
    except OSError as failure:
        os.write(2, f"{command[0]}: {failure.strerror}\n".encode())
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


def exit_status(status: int) -> int:
    """What `os.waitpid` says of an end as a shell has it."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def how(status: int) -> str | None:
    """What a program died of, in words; None if it came to its end, as the table in dm-tools(7) has it.

    That nobody read what it wrote is no death of its own.
    """
    if status in (0, 4, 5, 10, 141):
        return None
    if status in (126, 127):
        return f"could not be started (status {status})"
    if status == 130:
        return "was interrupted"
    if status == 143:
        return "was terminated (signal 15)"
    if 128 < status < 193:
        return f"was killed (signal {status - 128})"
    return f"failed (status {status})"
