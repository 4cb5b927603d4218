"""Commands without the wait for Python: a server that has imported everything forks a real process for each one.

Most of what a test of a command takes is the start of the interpreter and its imports, thousands of times over. Here
`dm-*` on PATH is a small client: it hands its arguments, environment, folder and open files to the server, which
forks. What runs is a process of its own, with the very pipes, files and exit status of a cold start. Signals are
passed on, and a client that is killed takes its process with it.

Some things are not the same, and the client starts cold for them by itself: a terminal, another locale, variables
that Python itself reads. A test about the process (its memory, its limits, what signals do to it) asks for a cold
start with `tests.conftest.COLD`.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import gc
import importlib
import json
import marshal
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn, TextIO

from dm_tools.collect import http
from dm_tools.diagnose.analyze import analyze
from dm_tools.diagnose.facts import facts
from dm_tools.patterns import reading
from dm_tools.patterns.language import Library

ROOT = Path(__file__).resolve().parent.parent
COMMAND_FILES = sorted((ROOT / "dm_tools" / "commands").glob("[a-z]*.py"))
MODULES = [path.relative_to(ROOT).with_suffix("") for path in sorted((ROOT / "dm_tools").rglob("[a-z]*.py"))]
FOLDER = Path(tempfile.gettempdir()) / f"dm-warm-{os.getpid()}"
"""Where the clients are while `serving()`; in a PATH that names it later folders are searched when it is not there."""
SUPERVISOR = FOLDER / "checkout" / "scripts" / "supervisor-session.sh"
"""A copy of the script in a folder like a checkout: it finds the clients where it looks for the commands."""

# What our modules import late: whatever is missing here is imported by each fork anew.
LATE = (
    "cryptography.x509",
    "docker",
    "dotenv",
    "httpx",
    "httpx2",
    "jinja2",
    "openai",
    "paramiko",
    "playwright.async_api",
    "requests",
    "traceback",
)

# Python's modules written in C only: importing `socket` and `signal` would take as long as all the rest.
CLIENT = """\
#!{python} -IS
import _signal, marshal, os, sys
name, variables = os.path.basename(sys.argv[0]), os.environ
python_reads = [variable for variable in variables if variable.startswith("PYTHON")]
if python_reads or variables.get("LC_ALL") != "C.UTF-8" or any(map(os.isatty, range(3))):
    _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
    os.execv({cold!r}, sys.argv)
import _socket
files = []
for file in map(int, os.listdir("/proc/self/fd")):
    try:
        os.fstat(file)
        files.append(file)
    except OSError:
        pass  # the listed folder itself
os.umask(umask := os.umask(0))
signals = [_signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM]
ignored = [number for number in signals if _signal.getsignal(number) == _signal.SIG_IGN]
told = marshal.dumps((name, sys.argv[1:], dict(variables), os.getcwd(), umask, ignored, files))
server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
server.connect({address!r})
for number in signals:
    if number not in ignored:
        _signal.signal(number, lambda number, frame: server.send(bytes([number])))
rights = b"".join(file.to_bytes(4, sys.byteorder) for file in files)
server.sendmsg([len(told).to_bytes(4, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
server.sendall(told)
status = int.from_bytes(server.recv(4), "big", signed=True)
if status < 0:
    _signal.signal(-status, _signal.SIG_DFL)
    os.kill(os.getpid(), -status)
os._exit(status)
"""


@contextlib.contextmanager
def serving(variables: dict[str, str]) -> Iterator[None]:
    """Put the clients into FOLDER and run the server, which is started with `variables`, until the end."""
    shutil.rmtree(FOLDER, ignore_errors=True)  # of a process of that number that was killed
    FOLDER.mkdir()
    address = str(FOLDER / "socket")
    server = subprocess.Popen(
        [sys.executable, "-P", "-m", "tests.warm", address],
        env=variables | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,  # its end tells the server to end
        stdout=subprocess.PIPE,
    )
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n", "the server of tests/warm.py did not start"
        for command in (ROOT / "bin").iterdir():
            client = FOLDER / command.name
            client.write_text(CLIENT.format(python=sys.executable, address=address, cold=str(command)))
            client.chmod(0o755)
        SUPERVISOR.parent.mkdir(parents=True)
        shutil.copy2(ROOT / "scripts" / SUPERVISOR.name, SUPERVISOR)  # and no scripts/setup: what it sets up is shared
        (SUPERVISOR.parent.parent / "bin").symlink_to(FOLDER)
        for name in ("dm_tools", "configs", "pyproject.toml", ".venv"):
            (SUPERVISOR.parent.parent / name).symlink_to(ROOT / name)
        yield
    finally:
        server.communicate()
        shutil.rmtree(FOLDER)


class Request(NamedTuple):
    """What a client hands over: see CLIENT."""

    name: str
    arguments: list[str]
    variables: dict[str, str]
    folder: str
    umask: int
    ignored: list[int]
    numbers: list[int]


def serve(address: str) -> None:
    """Fork a process for each client, tell it the status, pass its signals on; until standard input ends."""
    gc.disable()
    for module in (*(".".join(path.parts) for path in MODULES), *LATE):
        importlib.import_module(module)
    mains = {path.stem: sys.modules[f"dm_tools.commands.{path.stem}"].main for path in COMMAND_FILES}
    know_beforehand()
    gc.freeze()  # what is there by now is shared with every process; a collection would copy it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    waiting = selectors.DefaultSelector()

    def begin() -> None:
        client, _ = door.accept()
        request, files = receive(client)
        pid = os.fork()
        if pid == 0:
            become(request, files, mains)
        for file in files:
            os.close(file)
        process = os.pidfd_open(pid)
        waiting.register(client, selectors.EVENT_READ, lambda: pass_on(client, process))
        waiting.register(process, selectors.EVENT_READ, lambda: end(client, process, pid))

    def pass_on(client: socket.socket, process: int) -> None:
        number = client.recv(1)
        signal.pidfd_send_signal(process, number[0] if number else signal.SIGKILL)
        if not number:
            waiting.unregister(client)

    def end(client: socket.socket, process: int, pid: int) -> None:
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        waiting.unregister(process)
        os.close(process)
        if client in waiting.get_map():
            waiting.unregister(client)
        with client, contextlib.suppress(OSError):  # a client that was killed
            client.send(status.to_bytes(4, "big", signed=True))

    with socket.socket(socket.AF_UNIX) as door:
        door.bind(address)
        door.listen(256)
        waiting.register(door, selectors.EVENT_READ, begin)
        waiting.register(0, selectors.EVENT_READ, sys.exit)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            for key, _ in waiting.select():
                if key.fileobj in waiting.get_map():  # not ended a moment ago
                    key.data()


def know_beforehand() -> None:
    """What each command finds out anew, and always the same: the patterns, prepared by a diagnosis, the trust store.

    Who names other patterns, another cache or other certificates reads them himself.
    """
    # Two thirds of the processor time of dm-analyze is TOML: of the same text it is always the same.
    tomllib.loads = functools.cache(tomllib.loads)
    read, usual, cache = reading.read, reading.read(None), os.environ["XDG_CACHE_HOME"]

    def known(own: Path | None, check: bool = False) -> Library:
        ours = own is None and not check and os.environ.get("XDG_CACHE_HOME") == cache
        return usual if ours else read(own, check)

    reading.read = known
    recorded = [json.loads(line) for line in (ROOT / "tests/data/redis-maxmemory.jsonl").read_text().splitlines()]
    analyze({record["service"]: facts(record, usual) for record in recorded}, usual)
    http._trusting(True)


def receive(client: socket.socket) -> tuple[Request, list[int]]:
    """What a client wants, and its open files in the order of `numbers`."""
    head, files, _, _ = socket.recv_fds(client, 4, 250)
    size, told = int.from_bytes(head, "big"), bytearray()
    while len(told) < size:
        told += client.recv(size - len(told))
    return Request(*marshal.loads(told)), files


def become(request: Request, files: list[int], mains: dict[str, Callable[[], NoReturn]]) -> NoReturn:
    """Make this forked process what a cold start would have made, and run the command to its end."""
    try:
        kept = [fcntl.fcntl(file, fcntl.F_DUPFD, 1000) for file in files]  # out of the way of all numbers
        os.closerange(0, 1000)
        for file, number in zip(kept, request.numbers, strict=True):
            os.dup2(file, number)
            os.close(file)
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            setattr(sys, name, _standard(number, getattr(sys, name)) if number in request.numbers else None)
        os.environ.clear()
        os.environ.update(request.variables)
        time.tzset()
        if not request.variables.keys().isdisjoint(("SSL_CERT_FILE", "SSL_CERT_DIR")):
            http._trusting.cache_clear()
        os.umask(request.umask)
        os.chdir(request.folder)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        for number in request.ignored:
            signal.signal(number, signal.SIG_IGN)
        sys.argv[:] = [request.name, *request.arguments]
        gc.enable()
        mains[request.name.removeprefix("dm-").replace("-", "_")]()
    finally:
        os._exit(70)


def _standard(number: int, like: TextIO) -> TextIO:
    """One of the three standard streams, as Python opens them when it starts."""
    buffering = 1 if number == 2 else -1
    return open(number, like.mode, buffering, like.encoding, like.errors, closefd=False)


if __name__ == "__main__":
    serve(sys.argv[1])
