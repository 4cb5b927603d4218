"""How much room a text takes on a terminal, and how it is made to fit."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator


def columns(text: str) -> int:
    """How many columns the text takes: some characters take two, and what combines with another takes none."""
    return sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fitted(text: str, room: int) -> str:
    """The text, or what fits into so many columns of it, an ellipsis included."""
    text = text.expandtabs()
    return text if columns(text) <= room else cut(text, room - 1) + "…"


def cut(line: str, room: int) -> str:
    """The beginning of the line that fits into so many columns."""
    for index, character in enumerate(line):
        room -= _columns(character)
        if room < 0:
            return line[:index]
    return line


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
            head = cut(current, room)
            yield head
            current = hanging + current[len(head) :]
    yield current
