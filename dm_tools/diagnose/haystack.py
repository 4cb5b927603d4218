"""Searching many log items for many regular expressions at once.

RE2 takes time linear in the text. Its filter tells in one pass over a piece of the log which expressions can match
there at all (by the literal text in them); only those are searched for, the newest piece first.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate

import re2

PIECE_BYTES = 32 * 1024

# What a client sent stands quoted in access logs: its words are not the server's. Of an access line all from the
# request on is quoted (Common Log Format: request, status, size, referer, user agent).
_QUOTED = re.compile(
    rb'"(?:(?:GET|HEAD|POST|PUT|DELETE|PATCH|OPTIONS|CONNECT|TRACE|PROPFIND) [^"\n]{0,4000}|-)"(?: \d{3} [^\n]*)?'
    rb'|(?i:"(?:request|uri|url|path|query|referr?er|user_?agent|http_user_agent|request_uri|message_from_client)"'
    rb'\s?:\s?"(?:[^"\\\n]|\\.){0,4000}")'
)

Captures = dict[str, str]


def _options() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    return options


class Searcher:
    """A set of regular expressions. Those of several lines see `^` and `$` at every line."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._compiled: dict[str, re2._Regexp] = {}
        self._filter = re2.Filter()
        self._ready = False

    def add(self, text: str) -> None:
        """One more expression. Raises ValueError, saying why, if it is none."""
        if text in self._numbers:
            return
        try:
            self._numbers[text] = self._filter.Add(f"(?m){text}", _options())
        except re2.error:
            try:
                self.compiled(text)
            except re2.error as wrong:
                raise ValueError(wrong.args[0].decode() if wrong.args else "not accepted") from None

    def compiled(self, text: str) -> re2._Regexp:
        """The expression, compiled when it is needed: most never are."""
        if text not in self._compiled:
            self._compiled[text] = re2.compile(f"(?m){text}", _options())
        return self._compiled[text]

    def possible(self, piece: bytes) -> set[int]:
        """The numbers of the expressions that may match in a text; the others cannot."""
        if not self._numbers:
            return set()
        if not self._ready:
            self._filter.Compile()
            self._ready = True
        return set(self._filter.Match(piece, True) or ())

    def number(self, text: str) -> int:
        return self._numbers[text]

    def search(self, text: str, but_not: str | None, value: str) -> Captures | None:
        """What an expression captures in a short text, None if it does not match."""
        found = self.compiled(text).search(value.encode("utf-8", "replace"))
        if not found or (but_not is not None and self.compiled(but_not).search(value)):
            return None
        return captures(found)


def captures(found: re2._Match) -> Captures:
    """Named groups as text; several alternatives capture the same thing as upstream, upstream2, ..."""
    return {
        name.rstrip("0123456789"): value.decode("utf-8", "replace")
        for name, value in found.groupdict().items()
        if value
    }


class _Piece:
    """Some items in a row as one text, so that one search covers them all."""

    def __init__(self, first: int, items: list[bytes]) -> None:
        self.first = first
        self.data = b"\n".join(items)
        self.starts = [0, *accumulate(len(item) + 1 for item in items)]
        self.possible: set[int] | None = None

    def found(self, searcher: Searcher, text: str, but_not: str | None) -> Iterator[tuple[int, Captures]]:
        """Position and captures of every item that the expression matches."""
        if self.possible is None:
            self.possible = searcher.possible(self.data)
        if searcher.number(text) not in self.possible:
            return
        expression, begin = searcher.compiled(text), 0
        while begin < len(self.data) and (found := expression.search(self.data, begin)):
            at = bisect_right(self.starts, found.start()) - 1
            start, begin = self.starts[at], self.starts[at + 1]
            item = self.data[start : begin - 1]
            if (match := _within(expression, item)) and not (
                but_not is not None and searcher.compiled(but_not).search(item)
            ):
                yield self.first + at, captures(match)


def _within(expression: re2._Regexp, item: bytes) -> re2._Match | None:
    """The first match in one item that is not something a client said."""
    match = expression.search(item)
    if match is None or b'"' not in item:
        return match
    quotes = [each.span() for each in _QUOTED.finditer(item)]
    while match and (over := next((end for start, end in quotes if start < match.start() and match.end() <= end), 0)):
        match = expression.search(item, over)
    return match


class Haystack:
    """Log items, oldest first, to search in."""

    def __init__(self, searcher: Searcher, texts: list[str]) -> None:
        self.searcher = searcher
        self.pieces: list[_Piece] = []
        items: list[bytes] = []
        size = 0
        for text in texts:
            items.append(text.encode("utf-8", "replace"))
            size += len(items[-1])
            if size >= PIECE_BYTES:
                self._cut(items)
                items, size = [], 0
        if items:
            self._cut(items)

    def _cut(self, items: list[bytes]) -> None:
        first = self.pieces[-1].first + len(self.pieces[-1].starts) - 1 if self.pieces else 0
        self.pieces.append(_Piece(first, items))

    def all(self, text: str, but_not: str | None = None) -> Iterator[tuple[int, Captures]]:
        """Position and captures of every item that an expression matches, oldest first."""
        for piece in self.pieces:
            yield from piece.found(self.searcher, text, but_not)

    def newest(self, text: str, but_not: str | None, limit: int) -> list[tuple[int, Captures]]:
        """The last `limit` of them, newest first."""
        newest: list[tuple[int, Captures]] = []
        for piece in reversed(self.pieces):
            newest += list(piece.found(self.searcher, text, but_not))[: -1 - limit + len(newest) : -1]
            if len(newest) == limit:
                break
        return newest

    def first(self, text: str, but_not: str | None = None) -> int | None:
        """The position of the oldest item that an expression matches."""
        return next((position for position, _ in self.all(text, but_not)), None)

    def has(self, text: str) -> bool:
        """Whether any item matches an expression."""
        return self.first(text) is not None
