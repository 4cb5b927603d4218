"""The files that a program was killed in the middle of: the next one that writes there takes them away."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from pathlib import Path

PREFIX = ".writing-"  # of a file until it is whole
OLD_SECONDS = 3600.0  # a younger one may still be written


def remove(folder: Path) -> None:
    """Remove our own old ones from a folder; whatever cannot be removed stays."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            if not entry.name.startswith(PREFIX):
                continue
            with contextlib.suppress(OSError):
                found = entry.stat(follow_symlinks=False)
                old = found.st_mtime < time.time() - OLD_SECONDS
                if old and stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
                    os.unlink(entry.path)
