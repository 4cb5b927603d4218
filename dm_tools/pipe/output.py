"""Standard output into a file of the user's: there in full at the end, or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from dm_tools.pipe import exits

_pending: list[tuple[str, Path]] = []  # the file that is written, and what it is to be called


def into(path: Path) -> None:
    """From now on standard output is that file. Raises exits.Stop: it cannot be written."""
    if not path.name:
        raise exits.Stop(exits.USAGE, "--output needs the name of a file")
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        umask = os.umask(0)
        os.umask(umask)
        os.fchmod(descriptor, path.stat().st_mode & 0o7777 if path.exists() else 0o666 & ~umask)
        os.dup2(descriptor, 1)
        os.close(descriptor)
    except OSError as failure:
        reason = (failure.strerror or str(failure)).lower()
        raise exits.Stop(exits.CANNOT_WRITE, f"cannot write {str(path)!r}: {reason}") from None
    _pending.append((name, path))


def end(status: int) -> None:
    """Give the file its name, or take it away after wrong usage and failures. Raises OSError."""
    while _pending:
        name, path = _pending.pop()
        if status in (exits.USAGE, exits.BUG, exits.CANNOT_WRITE):
            with contextlib.suppress(OSError):
                os.unlink(name)
            return
        try:
            os.fsync(1)
            os.replace(name, path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
