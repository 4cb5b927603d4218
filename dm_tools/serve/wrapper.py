"""The forced command of an SSH key: looks at a host for somebody who has no shell there.

    command="/opt/dm-tools/scripts/stackops-wrapper",restrict ssh-ed25519 AAAA… who

What the client asks for is read once (grammar.py) and run without a shell, with an environment of our own. Every call
stands in the journal before it runs. What acts runs once per key of the caller: a connection that was lost says
nothing about whether the command ran, so the same key gives the same answer again and does nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import pwd
import selectors
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from dm_tools.pipe import clock, configs, exits, say
from dm_tools.serve import grammar
from dm_tools.store import files

REFUSED = 126  # as a shell says of what it may not run
USAGE = 2
MAX_INPUT = 4 << 20
MAX_OUTPUT = 1 << 20
SECONDS = 900  # that what acts may take
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Call(msgspec.Struct):
    """A line of the journal of calls. `client`: from where; `status` is null for a call that began."""

    at: str
    client: str
    asked: str
    argv: list[str] | None = None
    refused: str | None = None
    key: str | None = None
    input_sha256: str | None = None
    status: int | None = None
    output: str | None = None


class Journal:
    """`ssh/calls.jsonl` in the folder of the reports."""

    def __init__(self, proofs_dir: Path) -> None:
        self.folder = proofs_dir / "ssh"
        self.path = self.folder / "calls.jsonl"

    def add(self, call: Call) -> None:
        """Add a line for good. Raises files.CannotWrite."""
        files.make_folder(self.folder)
        files.append(self.path, msgspec.json.encode(call))

    def of_key(self, key: str) -> list[Call]:
        """What was done under a key of a caller, oldest first. Raises files.CannotWrite: nobody knows."""
        found = []
        try:
            lines = files.lines(self.path)
        except OSError as failure:
            raise files.CannotWrite(f"cannot read {str(self.path)!r}: {(failure.strerror or '').lower()}") from None
        for line in lines:
            with contextlib.suppress(*files.NO_LINE):
                call = msgspec.json.decode(line, type=Call)
                if call.key == key and call.refused is None:
                    found.append(call)
        return found

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """One after another: what acts, and what looks whether it was done. Raises files.CannotWrite."""
        files.make_folder(self.folder)
        path = self.folder / "lock"
        try:
            descriptor = files.open_own(path, 0)
        except OSError as failure:
            raise files.CannotWrite(f"cannot write {str(path)!r}: {(failure.strerror or '').lower()}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def main(arguments: list[str] | None = None) -> int:
    """One call. Returns the status that the client sees: the command's own, 126 if it is not allowed."""
    settings = _settings(arguments)
    journal = Journal(settings.proofs_dir)
    line = os.environ.get("SSH_ORIGINAL_COMMAND")
    call = Call(clock.rfc3339(clock.now()), files.text(_client()), files.text(line or "")[: grammar.MAX_COMMAND])
    try:
        rules = grammar.read((configs.folder("ssh") / "commands.toml").read_text())
        asked = grammar.parse(line, rules, settings.act)
        call.argv, call.key = list(asked.argv), asked.key
        if asked.key is not None:
            return _once(asked, call, journal, settings)
        if asked.argv == grammar.DIAL:
            with _dialled(settings.docker_host) as engine:
                journal.add(call)
                return _copy(engine)
        journal.add(call)
        return _become(asked.argv, settings)
    except grammar.Refused as refused:
        call.refused = str(refused)
        with contextlib.suppress(files.CannotWrite):
            journal.add(call)
        return _say(str(refused), REFUSED)
    except files.CannotWrite as failure:
        return _say(f"{failure}; nothing runs without the journal", REFUSED)


def _say(message: str, status: int) -> int:
    say.program = "stackops"
    say.note(message)
    return status


def _settings(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="stackops-wrapper",
        description="The forced command of an SSH key: what may be asked for stands in configs/ssh/commands.toml.",
        epilog="Whoever has the key asks for it as: ssh HOST dm-services --discover. dm docs ssh tells the rest.",
    )
    parser.add_argument(
        "--docker-host",
        default="unix:///run/dm-tools/docker.sock",
        help="the docker-proxy's socket; an engine's own is refused (default: %(default)s)",
    )
    parser.add_argument(
        "--proofs-dir",
        type=Path,
        default=Path(pwd.getpwuid(os.getuid()).pw_dir) / ".local/state/dm-tools",
        help="where reports and the journal of calls are kept (default: %(default)s)",
    )
    parser.add_argument("--act", action="store_true", help="this key may also carry out what was approved")
    return parser.parse_args(arguments)


def _client() -> str:
    """From where the client came, as sshd says; it has no other meaning here."""
    return os.environ.get("SSH_CONNECTION", "").partition(" ")[0][:64]


def _environment(settings: argparse.Namespace) -> dict[str, str]:
    """Not the client's: an sshd may let variables through."""
    home = pwd.getpwuid(os.getuid()).pw_dir
    installed = {} if configs.checkout() else configs.for_session("dm", PATH)
    return installed | {
        "PATH": installed.get("PATH", PATH),
        "HOME": home,
        "LANG": "C.UTF-8",
        "DOCKER_HOST": settings.docker_host,
        "DM_ONE_ENGINE": "1",  # a record of the client may name another: the one behind the proxy, or somebody else's
        "PROOFS_DIR": str(settings.proofs_dir.absolute()),
    }


def _program(name: str) -> list[str]:
    """The file of a command, of this installation and no other."""
    root = Path(__file__).resolve().parents[2]
    if name in grammar.SESSIONS:
        return ["/bin/bash", str(configs.session()), name]
    beside = root / "bin" / name
    return [str(beside if beside.exists() else Path(sys.executable).parent / name)]


def _become(argv: tuple[str, ...], settings: argparse.Namespace) -> int:
    """This process becomes the command: its signals and streams are the client's. It sees an empty folder: a name is
    never a file."""
    program = _program(argv[0])
    os.chdir(_nowhere())
    sys.stdout.flush()
    try:
        os.execve(program[0], [*program, *argv[1:]], _environment(settings))
    except OSError as failure:
        return _say(f"cannot run {argv[0]}: {(failure.strerror or '').lower()}", 127)


def _nowhere() -> str:
    """A folder with nothing in it, of our own and the same each time."""
    folder = Path(tempfile.gettempdir()) / f"stackops-{os.getuid()}"
    try:
        folder.mkdir(mode=0o500, exist_ok=True)
        good = folder.lstat().st_uid == os.getuid() and not folder.is_symlink() and not any(folder.iterdir())
    except OSError:
        good = False
    if not good:
        raise grammar.Refused(f"{str(folder)!r} should be an empty folder of this user's")
    return str(folder)


def _once(asked: grammar.Asked, call: Call, journal: Journal, settings: argparse.Namespace) -> int:
    """Run what acts, or give the answer again that it gave under this key."""
    assert asked.key is not None
    if sys.stdin is None:
        raise grammar.Refused("standard input is closed: what was approved is read there")
    given = sys.stdin.buffer.read(MAX_INPUT + 1)
    if len(given) > MAX_INPUT:
        raise grammar.Refused(f"more than {MAX_INPUT >> 20} MiB on standard input")
    call.input_sha256 = hashlib.sha256(given).hexdigest()
    with journal.alone():
        before = journal.of_key(asked.key)
        if before:
            if (before[0].argv, before[0].input_sha256) != (call.argv, call.input_sha256):
                raise grammar.Refused(f"the key {asked.key} was used for another call")
            if before[-1].status is None:
                raise grammar.Refused("this call was begun and cut off: dm-execute NEWKEY --resume ends it")
            _say(f"done before, at {before[-1].at}: this is the answer of then", before[-1].status)
            return _answered((before[-1].output or "").encode(), before[-1].status)
        program, folder = _program(asked.argv[0]), _nowhere()  # what is missing here has begun nothing
        journal.add(call)
        try:
            done = subprocess.run(
                [*program, *asked.argv[1:]],
                input=given,
                stdout=subprocess.PIPE,
                env=_environment(settings),
                cwd=folder,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return _say(f"{asked.argv[0]} did not end within {SECONDS} s", REFUSED)
        except OSError as failure:
            return _say(f"cannot run {asked.argv[0]}: {(failure.strerror or '').lower()}", 127)
        call.at, call.status = clock.rfc3339(clock.now()), done.returncode
        call.output = done.stdout[:MAX_OUTPUT].decode("utf-8", "replace")
        journal.add(call)
    return _answered(done.stdout, done.returncode)


def _answered(output: bytes, status: int) -> int:
    """Hand on what a command said. Whoever does not get it asks again with the same key."""
    try:
        _write(output)
    except BrokenPipeError:
        return exits.BROKEN_PIPE
    except OSError as failure:
        reason = (failure.strerror or "").lower()
        return _say(f"cannot write to standard output: {reason}; the same key gives it again", exits.CANNOT_WRITE)
    return status


# Docker's own clients speak to the engine through the connection


@contextlib.contextmanager
def _dialled(docker_host: str) -> Iterator[socket.socket]:
    """A connection to the docker-proxy. Raises grammar.Refused if there is none, or if the engine itself is there."""
    if not docker_host.startswith("unix:///"):
        raise grammar.Refused("docker system dial-stdio needs --docker-host unix:///PATH")
    path = docker_host.removeprefix("unix://")
    with socket.socket(socket.AF_UNIX) as asked, socket.socket(socket.AF_UNIX) as engine:
        try:
            asked.settimeout(10)
            asked.connect(path)
            asked.sendall(b"GET /volumes HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")
            if b" 403 " not in asked.recv(64):
                raise grammar.Refused("behind --docker-host is no docker-proxy: it would let everything through")
            engine.connect(path)
        except OSError as failure:
            reason = (failure.strerror or "timeout").lower()
            raise grammar.Refused(f"the docker-proxy does not answer: {reason}") from None
        yield engine


def _copy(engine: socket.socket) -> int:
    """Standard input to the engine and its answers to standard output, until it closes."""
    with selectors.SelectSelector() as ready:
        ready.register(engine, selectors.EVENT_READ)
        ready.register(0, selectors.EVENT_READ)
        try:
            while True:
                for key, _ in ready.select():
                    if key.fileobj is engine:
                        data = engine.recv(65536)
                        if not data:
                            return 0
                        _write(data)
                        continue
                    data = os.read(0, 65536)
                    if data:
                        engine.sendall(data)
                    else:
                        ready.unregister(key.fileobj)
                        engine.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            return 0


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


if __name__ == "__main__":
    raise SystemExit(main())
