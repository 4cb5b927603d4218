"""Records that wait on disk until the whole stack has been read: memory stays constant."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

import orjson

from dm_tools.pipe import exits, stream


class Spool:
    """Add records, then iterate over them once, in the order in which they came. Removed when closed."""

    def __init__(self) -> None:
        try:
            # Unnamed: nothing is left behind, not even by kill -9.
            self.file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        except OSError as failure:
            raise exits.Stop(exits.CANNOT_WRITE, f"no temporary file: {failure.strerror}") from None

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *details: object) -> None:
        self.file.close()

    def add(self, record: dict[str, Any]) -> None:
        """Write one record at the end."""
        try:
            self.file.write(stream.dumps(record))
        except OSError as failure:
            raise exits.Stop(
                exits.CANNOT_WRITE, f"cannot write the temporary file: {failure.strerror} ($TMPDIR)"
            ) from None

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self.file.seek(0)
        for line in self.file:
            yield orjson.loads(line)
