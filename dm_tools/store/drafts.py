"""Draft patterns that wait for a person: `drafts/` in the folder of the reports; what was dropped is remembered."""

from __future__ import annotations

import os
import re
from pathlib import Path

from dm_tools.store import files

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,40}\.[a-z0-9-]{1,70}")


class Drafts:
    """The drafts, one file each; those that a person dropped are below `dropped/`, and are not made again."""

    def __init__(self, proofs_dir: Path) -> None:
        self.folder = proofs_dir / "drafts"

    def add(self, name: str, text: str) -> Path | None:
        """Write a draft; None if there is one of that name, or a person dropped it. Raises files.CannotWrite."""
        files.make_folder(self.folder)
        path = self.folder / f"{name}.toml"
        if (self.folder / "dropped" / path.name).exists() or not files.write_new(path, iter([text.encode()])):
            return None
        return path

    def accept(self, name: str, patterns: Path) -> Path:
        """Move a draft to a folder of patterns. Raises LookupError, files.CannotWrite."""
        return self._move(name, patterns, keep=True)

    def drop(self, name: str) -> Path:
        """Put a draft away for good. Raises LookupError, files.CannotWrite."""
        return self._move(name, self.folder / "dropped", keep=False)

    def _move(self, name: str, folder: Path, keep: bool) -> Path:
        path = self.folder / f"{name}.toml"
        if not _ID.fullmatch(name) or not path.is_file():
            raise LookupError(f"there is no draft {name!r} in {str(self.folder)!r}")
        files.make_folder(folder)
        if not files.write_new(folder / path.name, iter([path.read_bytes()])) and keep:
            raise LookupError(f"there is a pattern file {str(folder / path.name)!r} already")
        os.unlink(path)
        return folder / path.name
