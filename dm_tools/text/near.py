"""What a mistyped word may have been."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The one of `known` that is most like `word`, whatever their case; None if none is like it."""
    import difflib

    by_lower: dict[str, str] = {}
    for each in known:
        by_lower.setdefault(each.lower(), each)
    found = difflib.get_close_matches(word[:100].lower(), by_lower, 1)
    return by_lower[found[0]] if found else None


def meant(word: str, known: Iterable[str]) -> str:
    """The same as the end of a message; empty if none is like it."""
    found = nearest(word, known)
    return f"; did you mean {found!r}?" if found else ""
