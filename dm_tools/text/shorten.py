"""Texts of bounded length: one line that is cut at its end, or the beginning and the end of a long text."""

from __future__ import annotations

WORDS = 160  # characters of a line that quotes something


def short(text: str, length: int = WORDS) -> str:
    """One printable line of at most `length` characters."""
    line = "".join(c if c.isprintable() else " " for c in text[: length * 4])
    return line if len(line) <= length else line[: length - 1] + "…"


def both_ends(text: str, length: int, whole_lines: bool = False) -> str:
    """The text; of a long one the first and the last characters, `length` together, and how many are left out.

    `whole_lines`: lose rather more than cut a line, where there are lines.
    """
    if len(text) <= length:
        return text
    half = length // 2
    begin, end = text[:half], text[-half:]
    if whole_lines:
        begin, end = begin.rpartition("\n")[0] or begin, end.partition("\n")[2] or end
    return joined(begin, len(text) - len(begin) - len(end), end)


def joined(begin: str, left_out: int | None, end: str) -> str:
    """Both ends of a text around what says how many characters are missing between them; None: nobody knows."""
    what = "the middle" if left_out is None else f"{left_out} characters"
    return f"{begin}\n[... {what} left out ...]\n{end}"
