"""Searching many log items for many regular expressions at once.

RE2 takes time linear in the text, whatever the expression. One pass over a piece of the log (Aho-Corasick, over the
literal text in all expressions) tells which of them can match there at all; only those are searched for.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from itertools import accumulate, islice

import re2

from dm_tools.patterns.literals import LONGEST, literals
from dm_tools.text import needles
from dm_tools.text.late import late

PIECE_BYTES = 32 * 1024
FEW = 16  # places in a piece up to which looking at each is quicker than searching all of it
# Bytes of log from which on the next quicker automaton is worth the time that making it takes.
SOME, LARGE = 2 * 1024 * 1024, 64 * 1024 * 1024

# What stands in a log but is not the program's own words: what a client sent, a user typed or a statement holds.
# An item is read from the left, so that quotes pair; a line of an access log is a client's from end to end.
_CITED = late(
    rb"""(?m)(?:
      ^[^\n]{0,1000}?\[\d\d/[A-Z][a-z]{2}/\d{4}[: ]\d\d:\d\d:\d\d[^\]\n]{0,12}\]\ "[^\n]*  # Common Log Format
    | "(?:GET|HEAD|POST|PUT|DELETE|PATCH|OPTIONS|CONNECT|TRACE|PROPFIND)\ [^"\n]*+"(?:\ \d{3}\ [^\n]*)?
    | \b(?:GET|HEAD|POST|PUT|DELETE|PATCH|OPTIONS)\ /[^\n]{0,4000}\ (?:HTTP/\d(?:\.\d)?\b|\d{3}\ [\d.]+\ ms\ -\ [\d-]+$)
    | (?<=\ )\{[^{}\n]*+\}(?=\ [{"])  # HAProxy: captured headers
    | (?:STATEMENT|QUERY|DETAIL):\ \ [^\n]*(?:\n[\ \t][^\n]*)*  # PostgreSQL
    | \ \ (?:statement|(?:parse|bind|execute)\ [^:\n]{1,80}):\ [^\n]*(?:\n[\ \t][^\n]*)*
    | LINE\ \d+:\ [^\n]*|\[(?:SQL|parameters):\ [^\n]*  # its clients
    | (?:Not\ Found|Forbidden|Unauthorized|Gone|Bad\ Request|Method\ Not\ Allowed)[^:\n]{0,40}:\ /[^\n]*  # Django
    | \bSubject:\ [^\n]*  # mail
    | (?:\[chat\]|\bchat\ message\ from)\ [^\n]*|\b[Ss]earch(?:ed|ing)?\ for\ [^\n]*  # people
    | \b[Ii]nvalid\ user\ [^\n]*
    | (?:\bPASS(?:ED)?|\bSKIP(?:PED)?|\bok\ \d+|---\ (?:PASS|SKIP)|\xe2\x9c[\x93\x94])[:\ ][^\n]*  # tests that pass
    | \btest\ \S+\ [^\n]{0,200}\.\.\.\ (?:ok|ignored)$|\bDeprecationWarning:\ [^\n]*
    | (?P<string>(?<![\w"\\])"(?:[^"\\]|\\.)*+"|(?:(?<=[:=])|(?<=[:=]\ ))'(?:[^'\\\n]|\\.)*+')
    )""",
    re.VERBOSE | re.DOTALL,
)
# What every citation begins with: where nothing of it stands before a hit, there is none.
# Each begins with a letter of its own, not with a class: so Python looks at few places.
_OPENS = late(
    rb"\"|'|\{|GET|HEAD|POST|PUT|DELETE|PATCH|OPTIONS|CONNECT|TRACE|PROPFIND|STATEMENT|QUERY|DETAIL|  statement"
    rb"|  parse|  bind|  execute|LINE|\[SQL|\[parameters|Not Found|Forbidden|Unauthorized|Gone|Bad Request|Method Not"
    rb"|Subject|\[chat|chat message|Search|search|Invalid user|invalid user|PASS|SKIP|ok |--- |\xe2\x9c|test "
    rb"|Deprecation"
)
_DATED = late(rb"\[\d\d/[A-Z][a-z]{2}/\d{4}")  # a line of an access log is a citation from its beginning on
# A string after one of these is what the program itself says: msg="...", "error": "...", OSError("..."), ] "...".
# A key that only contains such a word says nothing of its value's author: cancel_reason, event_name, resultTitle.
_SPEAKS = late(
    rb"""(?xi)
    (?:^|[^\w.@-])
    (?: (?:(?!(?:user|customer|client|cancel\w*|refund|return|search|comment|chat|post|mail|review|reject|decline|leave
          |clos\w+)[_.-]|message_from)[a-z0-9@]{0,30}[_.-]){0,5}
        (?: \w{0,60}(?<!key)(?<!ref)(?:err|error|exc|exception|fail|failed|failure|panic|fatal|warn|warning|stack
              |fault)s?
            (?:[_.-]?(?:messages?|msg|text|string|str|description|desc|details?|cause|reason|stack|trace|info|class|type
              |code|log|verbose|kind|data))?
          | \w{0,20}(?:msg|message|ready)s? | mess | reason | stack_?trace | trace(?:back)? | (?:root_?)?cause
          | details? | event | output | resp(?:onse)?[ _]body | logger | result | std(?:out|err) )
      | str | code | codename | type | status | action )
    ["']?\s?[:=,]\s?$
    | (?:\blog|@m|@x|@mt)["']?\s?[:=]\s?$
    | \bdesc\ =\ $ | with\ message\ $ | \w\($ | \(\d+,\s?$ | (?:^|[\s\]])\[$ | \]\s?$""",
)
MAX_CITED_BYTES = 16 * 1024  # so far from a hit, a quote is looked for
MAX_CITATIONS = 100  # hits in citations of one item; when all are, the item is no evidence

Captures = dict[str, str]


def _options() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    return options


class Searcher:
    """Regular expressions, and which of those that were added can match at all in a text, told in one pass over it."""

    def __init__(self, table: Mapping[str, list[str]] | None = None) -> None:
        """`table`: expression -> its literals, where they were computed before (that takes long)."""
        self._table = dict(table or {})
        self._compiled: dict[str, re2._Regexp] = {}
        self._known: dict[str, None] = {}
        self._scanned = self._speed = 0
        self._everywhere: frozenset[str] = frozenset()
        self._by_literal: list[frozenset[str]] = []
        self._automaton: needles.InBytes | None = None

    def add(self, text: str) -> None:
        """One more expression that logs are searched for."""
        if text not in self._known:
            self._known[text] = None
            self._automaton = None

    @property
    def expressions(self) -> list[str]:
        """All that were added."""
        return list(self._known)

    def may(self, text: str, possible: Collection[str]) -> bool:
        """Whether an expression may match where only these of the added ones are possible."""
        return text in possible or text not in self._known

    def compiled(self, text: str) -> re2._Regexp:
        """The expression, compiled when it is needed: most never are. Raises ValueError, saying why, if it is none."""
        if text not in self._compiled:
            try:
                self._compiled[text] = re2.compile(f"(?m){text}", _options())
            except re2.error as wrong:
                reason = wrong.args[0] if wrong.args else b"not accepted"
                raise ValueError(reason.decode() if isinstance(reason, bytes) else str(reason)) from None
        return self._compiled[text]

    def possible(self, piece: bytes) -> dict[str, list[int]]:
        """The expressions that may match in a text, each with where its literals stand; the others cannot."""
        speed = 2 if self._scanned > LARGE else int(self._scanned >= SOME)
        if self._automaton is None or speed > self._speed:
            self._speed = max(speed, self._speed)
            self._prepare()
        self._scanned += len(piece)
        assert self._automaton is not None
        found: dict[str, list[int]] = {text: [] for text in self._everywhere}
        # In slices, so that one item of many megabytes does not become as many places.
        for begin in range(0, len(piece), PIECE_BYTES):
            part = piece[begin : begin + PIECE_BYTES + LONGEST - 1].lower()
            for literal, start, _ in self._automaton.find_matches_as_indexes(part, overlapping=True):
                for text in self._by_literal[literal]:
                    places = found.setdefault(text, [])
                    if len(places) <= FEW:
                        places.append(begin + start)
        return found

    def rest(self) -> None:
        """What was searched so far does not count: a resident command sees little at once, however long it lives, and
        the fastest automaton takes 40 MB."""
        self._scanned = min(self._scanned, SOME)

    def _prepare(self) -> None:
        wanting: dict[bytes, set[str]] = {}
        everywhere = set()
        for text in self._known:
            needed = self._literals(text)
            if not needed:
                everywhere.add(text)
            for each in needed:
                wanting.setdefault(each.encode(), set()).add(text)
        self._everywhere = frozenset(everywhere)
        self._by_literal = [frozenset(each) for each in wanting.values()]
        self._automaton = needles.in_bytes(wanting, self._speed)

    def _literals(self, text: str) -> list[str]:
        if text not in self._table:
            self._table[text] = sorted(each.decode() for each in literals(text))
        return self._table[text]

    def table(self) -> dict[str, list[str]]:
        """Every expression that was added, and its literals."""
        return {text: self._literals(text) for text in self._known}

    def search(self, text: str, but_not: str | None, value: str) -> Captures | None:
        """What an expression captures in a short text, None if it does not match."""
        found = self.compiled(text).search(value.encode("utf-8", "replace"))
        if not found or (but_not is not None and self.compiled(but_not).search(value)):
            return None
        return captures(found)

    def occurrences(self, text: str, value: str, limit: int) -> Iterator[tuple[Captures, tuple[int, int]]]:
        """What the first matches of an expression in a text capture, and from where to where they stand."""
        for found in islice(self.compiled(text).finditer(value), limit):
            yield captures(found), found.span()

    def found(self, text: str, value: str) -> bool:
        """Whether an expression matches anywhere in a text."""
        return self.compiled(text).search(value) is not None

    def cited(self, item: str, start: int, end: int) -> bool:
        """Whether a part of a log item is somebody else's words: a request, a statement, a quotation."""
        begin = max(0, start - MAX_CITED_BYTES)
        before, part = item[begin:start].encode("utf-8", "replace"), item[start:end].encode("utf-8", "replace")
        after = item[end : end + MAX_CITED_BYTES].encode("utf-8", "replace")
        return _citation_end(before + part + after, len(before), len(before) + len(part)) is not None

    def own(self, text: str, item: str) -> tuple[int, int] | None:
        """Where an expression first matches in one log item, as the program's own words; None if it does not."""
        encoded = item.encode("utf-8", "replace")
        found = _within(self.compiled(text), encoded)
        if found is None:
            return None
        return len(encoded[: found.start()].decode("utf-8", "ignore")), len(
            encoded[: found.end()].decode("utf-8", "ignore")
        )


def captures(found: re2._Match) -> Captures:
    """Named groups as text; several alternatives capture the same thing as upstream, upstream2, ..."""
    return {
        name.rstrip("0123456789"): value if isinstance(value, str) else value.decode("utf-8", "replace")
        for name, value in found.groupdict().items()
        if value
    }


class _Piece:
    """Some items in a row as one text, so that one search covers them all."""

    def __init__(self, searcher: Searcher, first: int, items: list[bytes]) -> None:
        self.first = first
        self.data = b"\n".join(items)
        self.starts = [0, *accumulate(len(item) + 1 for item in items)]
        self.possible = searcher.possible(self.data)

    def found(self, searcher: Searcher, text: str, but_not: str | None) -> Iterator[tuple[int, re2._Match]]:
        """Position and match of every item that the expression matches."""
        if not searcher.may(text, self.possible):
            return
        expression = searcher.compiled(text)
        places = self.possible.get(text)
        for at in self._at(places) if places and len(places) <= FEW else self._searched(expression):
            item = self.data[self.starts[at] : self.starts[at + 1] - 1]
            # A match may reach into the next item, or be somebody else's words: it is looked for in the item alone.
            match = _within(expression, item)
            if match and not (but_not is not None and searcher.compiled(but_not).search(item)):
                yield self.first + at, match

    def _at(self, places: list[int]) -> Iterator[int]:
        """The items that hold these places, oldest first."""
        yield from sorted({bisect_right(self.starts, place) - 1 for place in places})

    def _searched(self, expression: re2._Regexp) -> Iterator[int]:
        """The items in which a match begins, oldest first."""
        begin = 0
        while begin < len(self.data) and (found := expression.search(self.data, begin)):
            at = bisect_right(self.starts, found.start()) - 1
            begin = self.starts[at + 1]
            yield at


def says(words: str, text: str) -> bool:
    """Whether a text itself matches an expression (letters of either case), not only something that it cites."""
    return _within(_folding(words), text.encode("utf-8", "replace")) is not None


@cache
def _folding(words: str) -> re2._Regexp:
    return re2.compile(f"(?i){words}".encode(), _options())


def _within(expression: re2._Regexp, item: bytes) -> re2._Match | None:
    """The first match in one item that is the program's own words."""
    match, begin = expression.search(item), 0
    for _ in range(MAX_CITATIONS):
        if match is None:
            return None
        begin = max(begin, match.start() - MAX_CITED_BYTES)
        end = _citation_end(item[begin : match.end() + MAX_CITED_BYTES], match.start() - begin, match.end() - begin)
        if end is None:
            return match
        begin += end
        match = expression.search(item, begin)
    return None


def _citation_end(text: bytes, start: int, end: int) -> int | None:
    """Where the citation ends in which a part of a text stands, None if it stands in none."""
    opens, dated = _OPENS.search(text, 0, start), _DATED.search(text)
    if not opens and not dated:
        return None
    for cited in _CITED.finditer(text, opens.start() if opens and not dated else 0):
        if cited.start() >= start:
            break
        if cited.end() >= end:
            own = cited["string"] and _SPEAKS.search(text[max(0, cited.start() - 80) : cited.start()])
            return None if own else cited.end()
    return None


class Haystack:
    """Log items, oldest first, to search in."""

    def __init__(self, searcher: Searcher, texts: list[str]) -> None:
        self.searcher = searcher
        self.pieces: list[_Piece] = []
        self.possible: set[str] = set()
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
        self.pieces.append(_Piece(self.searcher, first, items))
        self.possible |= self.pieces[-1].possible.keys()

    def positions(self, text: str, but_not: str | None = None, per_piece: int | None = None) -> Iterator[int]:
        """The positions of the items that an expression matches, oldest first; at most so many of each piece."""
        for piece in self.pieces if self.may(text) else ():
            yield from (position for position, _ in islice(piece.found(self.searcher, text, but_not), per_piece))

    def may(self, text: str) -> bool:
        """Whether an expression can match at all; nearly always it cannot, and nothing has to be searched."""
        return self.searcher.may(text, self.possible)

    def newest(self, text: str, but_not: str | None, limit: int) -> list[tuple[int, Captures]]:
        """The last `limit` of them, newest first."""
        newest: list[tuple[int, re2._Match]] = []
        for piece in reversed(self.pieces) if self.may(text) else ():
            newest += list(piece.found(self.searcher, text, but_not))[: -1 - limit + len(newest) : -1]
            if len(newest) == limit:
                break
        return [(position, captures(match)) for position, match in newest]

    def first(self, text: str, but_not: str | None = None, after: int = -1) -> int | None:
        """The position of the oldest item that an expression matches, of those after a position."""
        return next((each for each in self.positions(text, but_not) if each > after), None)

    def has(self, text: str) -> bool:
        """Whether any item matches an expression."""
        return self.first(text) is not None
