"""The journal of actions: what is about to be done, and what came of it, one synced line each.

After a kill at any point it tells what was begun. Nothing in it is a secret: states are digests.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from dm_tools.pipe import clock
from dm_tools.records import ApprovedAction, Execution, JournalEntry, Phase
from dm_tools.store import files


class Busy(Exception):
    """Another program acts on the same engine; the message says which."""


class Journal:
    """`journal/actions.jsonl` in the folder of the reports."""

    def __init__(self, proofs_dir: Path) -> None:
        self.folder = proofs_dir / "journal"
        self.path = self.folder / "actions.jsonl"

    def entries(self) -> list[JournalEntry]:
        """All entries, oldest first; a line that a crash tore is left out, what it told of was not begun."""
        found = []
        for line in files.lines(self.path):
            with contextlib.suppress(*files.NO_LINE):
                found.append(msgspec.json.decode(line, type=JournalEntry))
        return found

    def lately(self, seconds: float) -> list[JournalEntry]:
        """The entries, if anything was written within so many seconds; else none, and nothing is read."""
        with contextlib.suppress(FileNotFoundError):
            if clock.now() - self.path.stat().st_mtime < seconds:
                return self.entries()
        return []

    def add(
        self,
        action_id: str,
        phase: Phase,
        action: ApprovedAction | None = None,
        execution: Execution | None = None,
        step: str | None = None,
    ) -> None:
        """Add an entry for good. Raises files.CannotWrite: then nothing may be done."""
        files.make_folder(self.folder)
        entry = JournalEntry(clock.rfc3339(clock.now()), action_id, phase, action, execution, step)
        files.append(self.path, msgspec.json.encode(entry))

    @contextlib.contextmanager
    def alone(self, wait: float) -> Iterator[None]:
        """Nobody else uses this journal meanwhile; up to `wait` seconds are waited for whoever does.

        Raises Busy, files.CannotWrite.
        """
        files.make_folder(self.folder)
        with locked(self.folder / "lock", 0o600, wait):
            yield


@contextlib.contextmanager
def alone_at(engine: str, wait: float = 0.0) -> Iterator[None]:
    """Nobody else on this machine acts on the engine of that name, whatever their journal; up to `wait` seconds are
    waited for whoever does. Raises Busy, CannotWrite."""
    shared = Path("/run/lock")
    folder = shared if os.access(shared, os.W_OK) else Path(tempfile.gettempdir())
    with locked(folder / f"dm-tools-{hashlib.sha256(engine.encode()).hexdigest()[:16]}.lock", 0o644, wait):
        yield


def holder(held: contextlib.ExitStack, wait: float) -> Callable[[str], None]:
    """What holds engines until `held` is left, each once; each is waited for up to `wait` seconds."""
    names: set[str] = set()

    def hold(engine: str) -> None:
        if engine not in names:
            held.enter_context(alone_at(engine, wait))
            names.add(engine)

    return hold


@contextlib.contextmanager
def locked(path: Path, mode: int, wait: float = 0.0) -> Iterator[None]:
    """Hold a lock file, with who holds it in it. One that is somebody else's is locked without being written.

    Waits up to `wait` seconds for whoever holds it. Raises Busy, files.CannotWrite.
    """
    try:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, mode)
        except PermissionError:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as failure:
        raise files.CannotWrite(f"cannot write {str(path)!r}: {(failure.strerror or '').lower()}") from None
    try:
        end = time.monotonic() + wait
        while not _taken(descriptor):
            if time.monotonic() >= end:
                holder = os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip()
                raise Busy(f"another program acts at the moment ({holder or 'unknown'}); wait for it to end")
            time.sleep(0.02)
        with contextlib.suppress(OSError):  # who holds it is for people only
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} since {clock.rfc3339(clock.now())}".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
