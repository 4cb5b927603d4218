"""Files that are either there in full or not at all, whatever happens in between."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import BinaryIO

import msgspec

from dm_tools.pipe import exits, leftovers

NO_LINE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises for a line that is none: torn, no text, or nested without end."""


class CannotWrite(Exception):
    """A file or folder cannot be written; the message names it and says why."""


def text(path: Path | str) -> str:
    """A path as valid Unicode, for JSON: bytes that are no UTF-8 become question marks."""
    return str(path).encode("utf-8", "replace").decode()


@contextlib.contextmanager
def _reasons(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as failure:
        raise CannotWrite(f"cannot write {str(path)!r}: {(failure.strerror or str(failure)).lower()}") from None


def make_folder(path: Path) -> None:
    """Make a folder and those above it; evidence is nobody else's business, so it is private.

    In a folder that others may write to, a link that one of them laid there leads to where they want our files.
    """
    with _reasons(path):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode) and found.st_uid not in (0, os.geteuid()):
            raise OSError(errno.ELOOP, "it is a symbolic link of somebody else's")


@contextlib.contextmanager
def _temporary(folder: Path) -> Iterator[tuple[BinaryIO, str]]:
    _tidied(folder)
    descriptor, name = tempfile.mkstemp(dir=folder, prefix=leftovers.PREFIX)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file, name
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


@cache
def _tidied(folder: Path) -> None:
    """Once for each folder that a program writes to."""
    leftovers.remove(folder)


def open_own(path: Path, flags: int) -> int:
    """The descriptor of a file that is read and written in place, made if it is not there; never through a link.

    Raises OSError: for what is no file, too.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | flags, 0o600)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no file")
    return descriptor


def opened(path: Path) -> BinaryIO:
    """A file of ours, to be read: never through a link, nor what is no file. In a folder that others may write to,
    either may lead to what has no end. Raises FileNotFoundError, exits.Unreadable."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as failure:
        raise exits.Unreadable(failure.errno, failure.strerror, str(path)) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise exits.Unreadable(errno.EINVAL, "it is no file", str(path))
    return os.fdopen(descriptor, "rb")


def lines(path: Path) -> list[bytes]:
    """The lines of a file of ours; none if it is not there. Raises exits.Unreadable."""
    try:
        with opened(path) as file:
            return file.read().splitlines()
    except FileNotFoundError:
        return []


def _to_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_new(path: Path, chunks: Iterator[bytes]) -> bool:
    """Write a file that must not exist yet; False if it does. Two writers of one name: exactly one gets True."""
    with _reasons(path), _temporary(path.parent) as (file, name):
        for chunk in chunks:
            file.write(chunk)
        _to_disk(file)
        try:
            os.link(name, path)
        except FileExistsError:
            return False
        _sync_folder(path.parent)
        return True


def replace(path: Path, chunks: Iterable[bytes], mode: int = 0o600) -> None:
    """Write a file, or replace it as a whole."""
    with _reasons(path), _temporary(path.parent) as (file, name):
        os.fchmod(file.fileno(), mode)
        for chunk in chunks:
            file.write(chunk)
        _to_disk(file)
        os.replace(name, path)
        _sync_folder(path.parent)


def append(path: Path, line: bytes) -> None:
    """Add one line for good: when this returns, it is on the disk. A line torn by a crash before is closed first."""
    with _reasons(path):
        descriptor = open_own(path, os.O_APPEND)
        try:
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            data = (b"\n" if torn else b"") + line.rstrip(b"\n") + b"\n"
            written = os.write(descriptor, data)
            if written != len(data):
                os.ftruncate(descriptor, size)
                raise OSError(28, "no space left on device")
            os.fsync(descriptor)
            if size == 0:
                _sync_folder(path.parent)  # a new file: its name, too
        finally:
            os.close(descriptor)


def append_alone(path: Path, lines: bytes, limit: int) -> bool:
    """Add whole lines for good, as the only writer; False if another one writes there, or it has `limit` bytes already.

    A last line that a kill tore before was never acknowledged: it goes.
    """
    with _reasons(path):
        descriptor = open_own(path, os.O_APPEND)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            found = os.fstat(descriptor)
            if found.st_nlink == 0 or found.st_size >= limit:  # it was merged into another one meanwhile, or is full
                return False
            end = whole(descriptor, found.st_size)
            if end < found.st_size:
                os.ftruncate(descriptor, end)
            try:
                _write_all(descriptor, lines)
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, end)
                raise
            if found.st_size == 0:
                _sync_folder(path.parent)
            return True
        finally:
            os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def whole(descriptor: int, size: int) -> int:
    """How much of a file of lines is whole lines."""
    while size:
        begin = max(size - 65536, 0)
        newline = os.pread(descriptor, size - begin, begin).rfind(b"\n")
        if newline >= 0:
            return begin + newline + 1
        size = begin
    return 0


@contextlib.contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold a file that `append_alone` writes to; False if somebody else does, or it is gone. Raises CannotWrite."""
    with _reasons(path):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        except FileNotFoundError:
            yield False
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = os.fstat(descriptor).st_nlink > 0
        except BlockingIOError:
            held = False
        try:
            yield held
        finally:
            os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file for good; one that is not there is no error."""
    with _reasons(path):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        _sync_folder(path.parent)
