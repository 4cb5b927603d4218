"""How much room a text takes on a terminal, and how it is made to fit."""

from __future__ import annotations

import re
from collections.abc import Iterator


def columns(text: str) -> int:
    """How many columns the text takes: some characters take two, and what combines with another takes none."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def fitted(text: str, room: int) -> str:
    """The text, or what fits into so many columns of it, an ellipsis included."""
    text = text.expandtabs()
    return text if columns(text) <= room else cut(text, room - 1) + "…"


def cut(line: str, room: int) -> str:
    """The beginning of the line that fits into so many columns."""
    if line.isascii() or room < 2:
        return line[: max(room, 0)] if line.isascii() else ""
    from rich.cells import chop_cells

    return next(iter(chop_cells(line, room)), "")


def padded(text: str, room: int) -> str:
    """The text as a cell of a table: filled up with blanks, never shortened."""
    return text + " " * (room - columns(text))


HANGS = 4  # columns by which the lines of a paragraph are indented that go on with the first
LEAST = 20  # columns of words, however deep they are indented


def wrapped(line: str, room: int) -> Iterator[str]:
    """A line as a paragraph that fits into so many columns, broken between words; a word that is too long is broken."""
    line = line.expandtabs().rstrip()
    if columns(line) <= room:
        yield line
        return
    words = line.lstrip()
    margin = line[: min(len(line) - len(words), max(room - LEAST, 0))]
    hanging = margin + " " * min(HANGS, max(room - LEAST - len(margin), 0))
    current = margin
    for word in re.findall(r"\S+", words):
        blank = " " if current.strip() else ""
        if blank and columns(current) + 1 + columns(word) > room:
            yield current
            current, blank = hanging, ""
        current += blank + word
        while columns(current) > room:
            head = cut(current, room) or current[:1]
            yield head
            current = hanging + current[len(head) :]
    if current.strip():
        yield current
