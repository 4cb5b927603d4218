"""Pictures and documents of pages, each under a name made of what it holds: none is ever overwritten."""

from __future__ import annotations

import hashlib
from pathlib import Path

from dm_tools.store import files


class Folder:
    """A folder of evidence; made when the first piece of it is there."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, data: bytes, suffix: str) -> str:
        """Write one piece, private and at once in full; returns its path. Raises OSError with words for people."""
        path = self.path / f"{hashlib.sha256(data).hexdigest()[:32]}{suffix}"
        try:
            files.make_folder(self.path)
            if not path.exists():  # equal pages have equal pictures: one is enough
                files.write_new(path, iter([data]))
        except files.CannotWrite as failure:
            raise OSError(str(failure)) from None
        return files.text(path)
