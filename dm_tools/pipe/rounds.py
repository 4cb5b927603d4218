"""The rounds of a stream: what stands between two markers. A stream without any is one round."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dm_tools import records
from dm_tools.pipe.stream import Record


class Round:
    """The records of one round, to be gone through once, before the next is asked for.

    `marker` is what ended it, known once its records have been gone through; None: the stream's end did.
    """

    def __init__(self, source: Iterator[Record]) -> None:
        self._source = source
        self.marker: Record | None = None

    def __iter__(self) -> Iterator[Record]:
        for record in self._source:
            if records.is_marker(record):
                self.marker = record
                return
            yield record


def rounds(source: Iterable[Record]) -> Iterator[Round]:
    """The rounds of a stream, one after another. Behind the last marker there is one more, which may be empty."""
    each, source = Round(iter(())), iter(source)
    each.marker = {}
    while each.marker is not None:
        each = Round(source)
        yield each
