"""A file of lines that several programs append to, and now and then write anew: each line is read once."""

from __future__ import annotations

import os
from pathlib import Path

from dm_tools.store import files


class Following:
    """Reads what has come since it was read last. Whoever writes the file anew puts another one in its place."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: tuple[int, int] | None = None
        self._end = 0

    def read(self) -> tuple[bool, list[bytes]]:
        """Whether what was read before counts no more, and the whole lines that are new. One that is not ended yet may
        be torn: it is read when the next one is written, which ends it."""
        try:
            with files.opened(self.path) as file:
                found = os.fstat(file.fileno())
                same = self._file == (found.st_dev, found.st_ino) and found.st_size >= self._end
                if not same:
                    self._end = 0
                self._file = found.st_dev, found.st_ino
                if found.st_size == self._end:
                    return not same, []
                file.seek(self._end)
                data = file.read()
        except FileNotFoundError:
            was, self._file, self._end = self._file, None, 0
            return was is not None, []
        whole = data[: data.rfind(b"\n") + 1]
        self._end += len(whole)
        return not same, whole.splitlines()
