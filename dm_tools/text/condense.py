"""A long log in short: templates that say what its items have in common, and the few items that are worth reading.

Why not Drain3 (`scripts/bench-condense` compares them on this machine): it keeps no line, so the one that says why is
gone unless somebody else looked for it; it counts a request answered with 502 among those answered with 200; without
masks it makes a hundred templates of ten statements logged as JSON, with masks it is fifteen times slower than this.

Here a log is taken in batches, and what is done for every item is done by C code: digits out and punctuation to
blanks by one `translate`, then counting. Only what a batch shows for the first time is compared word by word, as Drain
does it: an item that has as many words as a template, and most of them the same, is of that template; the words that
differ become `<*>`. Errors, warnings and the rest have templates of their own and a bound of their own; what exceeds it
is counted in one last template. So memory is bounded and time linear, whatever the input.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import eq, itemgetter
from typing import Any, NamedTuple

import msgspec

from dm_tools import records
from dm_tools.records import LogLine, Logs, Template
from dm_tools.text.late import late

Carries = Callable[[list[str]], Mapping[int, Iterable[str]]]  # which items carry a cause: position -> pattern ids

ANY = "<*>"
OTHERS = f"{ANY} (none of the other templates)"
SIMILAR = 0.6  # how much of its words an item shares with its template, at least
HEAD_CHARACTERS = 1000  # of an item's beginning and of its end: what its template is made from
MAX_KNOWN = 20_000  # signatures remembered with their template
FIRST_OF_CAUSE, NEWEST_OF_CAUSE = 2, 3  # items kept of each pattern that tells a cause
NEWEST = 10  # items kept from the end of the log: its last words

ERROR, WARNING, OTHER = 0, 1, 2  # in the order in which people want to read them
MAX_TEMPLATES = {ERROR: 100, WARNING: 50, OTHER: 100}

_BETWEEN = b"\x1e"  # between two items; no text from outside has it once it is cleaned
_SEPARATORS = " \t\n,;=:\"'()[]{}|"
_DELETED = b"0123456789.+-"
_BLANK = bytes.maketrans(_SEPARATORS.encode(), b" " * len(_SEPARATORS))
_HEXADECIMAL = late(rb" [a-f]{5,}(?=[ \x1e])")  # what is left of ids once their digits are gone
_WORDS = late(f"[{re.escape(_SEPARATORS)}]")
_NUMBER = late(r"0x[0-9a-fA-F]+|(?<![^\W_])(?=[a-f-]{0,40}\d)[0-9a-f-]{6,}(?![^\W_])|\d[\d.+-]*\d|\d")

_RUN = late(r"<\*>(?:[-:.,/T]<\*>)+")  # a time or an address is one thing

# What has any number of words and says little: the parameters of a URL, a browser's name for itself.
_FOLDED = [
    (b"?", re.compile(rb"\?[\w.%\[\]-]{1,100}=[^\s\"\x1e]*"), b"?<*>"),
    (b'"Mozilla/', re.compile(rb'"Mozilla/[^"\x1e]*'), b'"Mozilla/<*>'),
]

# The class of a status in an access log is no number like others: a template is of one class.
_STATUS = {ERROR: (b"5", b"\x02"), WARNING: (b"4", b"\x01")}
_CLASSES = {mark: digit.decode() for digit, mark in _STATUS.values()}
_MARKS = [
    (before, re.compile(re.escape(before) + digit + rb"(?=\d\d(?:[^\d.]|\Z))"), before + mark)
    for digit, mark in _STATUS.values()
    for before in (b'" ', b'status":', b'status": ', b"status=", b"status ", b'_code":', b"_code=")
]

_WORDS_OF = {
    ERROR: frozenset(
        b"ERROR Error error ERR ERR! err E FATAL Fatal fatal CRITICAL Critical critical CRIT crit PANIC panic Panic "
        b"EMERG emerg ALERT alert SEVERE failed Failed FAILED failure Failure FAILURE fail Fail FAIL fails cannot "
        b"Cannot refused Refused denied Denied killed Killed abort aborted Aborted corrupt corrupted unreachable "
        b"unable Unable Traceback OOM segfault".split()
    ),
    WARNING: frozenset(
        b"WARN Warn warn WARNING Warning warning W timeout Timeout slow Slow retry Retrying retrying deprecated "
        b"Deprecated DEPRECATED NOTICE invalid Invalid unexpected Unexpected missing".split()
    ),
}
_PARTS_OF = {ERROR: (b"Error", b"xception", b"\x02"), WARNING: (b"timed out", b"\x01")}


class Kind(NamedTuple):
    """The items of one template: how grave, how many, and where in the log they are.

    `variants`: for each way in which they differ in more than numbers the places of its items, the newest way last.
    """

    level: int  # ERROR, WARNING or OTHER
    items: int
    example: LogLine
    variants: list[list[int]]


class _Kind:
    """One template in the making. `words` has None where they differ, and where an item has nothing but a number."""

    def __init__(self, level: int, head: str, words: list[bytes], example: LogLine, position: int) -> None:
        self.level = level
        self.head = head
        self.words: list[bytes | None] = [word or None for word in words]
        self.fixed = tuple(range(len(words)))
        self.weight = len(words) - words.count(b"")
        self.count = 0
        self.example, self.position = example, position
        self.newest, self.newest_position = example, position
        self.first = self.last = example.ts

    def likeness(self, words: list[bytes], weight: int) -> float:
        """How much of the words is the same, 0 to 1."""
        same: int = sum(map(eq, self.words, words))
        return same / max(self.weight, weight, 1)

    def text(self) -> str:
        """The example with `<*>` for numbers and for the words that differ."""
        if self.head == OTHERS:
            return OTHERS
        words, between = _WORDS.split(self.head), _WORDS.findall(self.head)
        fixed = {index for index in self.fixed if self.words[index] or not re.search(r"[^\W_]", words[index])}
        shown = [_NUMBER.sub(ANY, word) if index in fixed else ANY for index, word in enumerate(words)]
        for index, word in enumerate(self.words):
            if word in _CLASSES:
                shown[index] = f"{_CLASSES[word]}{ANY}"
        text = "".join(part for pair in zip(shown, [*between, ""], strict=True) for part in pair)
        return _RUN.sub(ANY, text.replace(f"<secret:{ANY}>", "<secret>"))


class _Bucket:
    """The kinds of one level whose items have so many words. Found by their fixed words: one lookup for all kinds
    whose words differ at the same places."""

    def __init__(self) -> None:
        self.kinds: list[_Kind] = []
        self.by_fixed: dict[tuple[int, ...], tuple[Callable[[Sequence[bytes]], object], dict[object, _Kind]]] = {}

    def exact(self, words: list[bytes]) -> _Kind | None:
        """The kind whose fixed words these items' words are."""
        for fixed_words, kinds in self.by_fixed.values():
            kind = kinds.get(fixed_words(words))
            if kind is not None:
                return kind
        return None

    def index(self, kind: _Kind, words: list[bytes]) -> None:
        """Make a kind be found by its fixed words as they are in `words`."""
        if kind.fixed not in self.by_fixed:
            self.by_fixed[kind.fixed] = (itemgetter(*kind.fixed), {})
        fixed_words, kinds = self.by_fixed[kind.fixed]
        kinds[fixed_words(words)] = kind

    def forget(self, kind: _Kind) -> None:
        """The opposite of `index`."""
        _, kinds = self.by_fixed[kind.fixed]
        for key in [key for key, value in kinds.items() if value is kind]:
            del kinds[key]
        if not kinds:
            del self.by_fixed[kind.fixed]

    def widen(self, kind: _Kind, words: list[bytes]) -> None:
        """Make the words that differ from these variable."""
        self.forget(kind)
        kind.fixed = tuple(index for index in kind.fixed if kind.words[index] == (words[index] or None))
        fixed = set(kind.fixed)
        kind.words = [word if index in fixed else None for index, word in enumerate(kind.words)]
        self.index(kind, words)


class Condenser:
    """Add the items of a log, oldest first, in batches of any size; then ask for templates and lines.

    `carries` tells which items carry a cause; they are kept as they are, the first and the newest of each pattern.
    `mask` takes the secrets out of a text that a template is made from.
    """

    def __init__(self, carries: Carries | None = None, mask: Callable[[str], str] = str) -> None:
        self.carries = carries
        self.mask = mask
        self.count = 0  # items so far
        self._known: dict[bytes, _Kind] = {}
        self._buckets: dict[tuple[int, int], _Bucket] = {}
        self._kinds: dict[int, list[_Kind]] = {level: [] for level in MAX_TEMPLATES}
        self._others: dict[int, _Kind] = {}
        self._room_at = dict.fromkeys(MAX_TEMPLATES, 0)
        self._causes: dict[str, tuple[dict[int, LogLine], deque[tuple[int, LogLine]]]] = {}
        self._newest: deque[tuple[int, LogLine]] = deque(maxlen=NEWEST)

    def add(self, texts: list[str], line: Callable[[int], LogLine]) -> None:
        """More items, by their texts. `line` gives one as a whole, by its place in `texts`: few are asked for."""
        if not texts:
            return
        signatures = _signatures(texts)
        newest_at = dict(zip(signatures, range(len(texts)), strict=True))
        first_at: dict[bytes, int] = {}
        touched: dict[_Kind, int] = {}
        for signature, count in Counter(signatures).items():
            kind = self._known.get(signature)
            if kind is None:
                if not first_at:
                    first_at = dict(zip(reversed(signatures), reversed(range(len(texts))), strict=True))
                kind = self._kind_of(signature, texts, first_at[signature], line)
            kind.count += count
            at = newest_at[signature]
            if touched.get(kind, -1) < at:
                touched[kind] = at
        for kind, at in touched.items():
            kind.newest, kind.newest_position = line(at), self.count + at
            kind.last = kind.newest.ts or kind.last
        for at in range(max(len(texts) - NEWEST, 0), len(texts)):
            self._newest.append((self.count + at, line(at)))
        if self.carries:
            self._keep_causes(self.carries(texts), line)
        self.count += len(texts)

    def _keep_causes(self, carriers: Mapping[int, Iterable[str]], line: Callable[[int], LogLine]) -> None:
        for at in sorted(carriers):
            position, kept = self.count + at, line(at)
            for pattern in carriers[at]:
                first, newest = self._causes.setdefault(pattern, ({}, deque(maxlen=NEWEST_OF_CAUSE)))
                if len(first) < FIRST_OF_CAUSE:
                    first[position] = kept
                newest.append((position, kept))

    def _kind_of(self, signature: bytes, texts: list[str], at: int, line: Callable[[int], LogLine]) -> _Kind:
        """The template of the item at a place, whose signature is new."""
        words = signature.split(b" ")
        level = _level(signature, words)
        kind = self._found(level, words)
        if kind is None:
            kind = self._made(level, texts[at], line(at), self.count + at) if self._has_room(level) else None
        if kind is None:
            kind = self._others.get(level) or self._others.setdefault(
                level, _Kind(level, OTHERS, [], line(at), self.count + at)
            )
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[signature] = kind
        return kind

    def _found(self, level: int, words: list[bytes]) -> _Kind | None:
        """A template that fits, made wider if it must be."""
        bucket = self._buckets.get((level, len(words)))
        if bucket is None:
            return None
        kind = bucket.exact(words)
        if kind is None and len(self._kinds[level]) < MAX_TEMPLATES[level]:
            weight = len(words) - words.count(b"")
            best = max(bucket.kinds, key=lambda each: each.likeness(words, weight), default=None)
            if best is not None and best.likeness(words, weight) >= SIMILAR:
                bucket.widen(best, words)
                return best
        return kind

    def _made(self, level: int, text: str, example: LogLine, position: int) -> _Kind:
        """A new template. Its text has its secrets masked first, which may show that it is not new after all."""
        head = self.mask(_head(text))
        for _, varying, constant in _FOLDED:
            head = varying.sub(constant, head.encode("utf-8", "replace")).decode()
        words = _signatures([head])[0].split(b" ")
        kind = self._found(level, words)
        if kind is None:
            kind = _Kind(level, head, words, example, position)
            bucket = self._buckets.setdefault((level, len(words)), _Bucket())
            bucket.kinds.append(kind)
            bucket.index(kind, words)
            self._kinds[level].append(kind)
        return kind

    def _has_room(self, level: int) -> bool:
        """Whether one more template of this level is allowed.

        Each time the log has doubled, the templates with one item make room: what a program says later counts, too.
        That is so rare that a million different items cost no more than a few thousand comparisons.
        """
        if len(self._kinds[level]) < MAX_TEMPLATES[level]:
            return True
        if self.count < self._room_at[level]:
            return False
        self._room_at[level] = 2 * max(self.count, 1000)
        single = [kind for kind in self._kinds[level] if kind.count <= 1]
        for kind in single:
            first = _Kind(level, OTHERS, [], kind.example, kind.position)
            self._others.setdefault(level, first).count += kind.count
            bucket = self._buckets[level, len(kind.words)]
            bucket.forget(kind)
            bucket.kinds.remove(kind)
            self._kinds[level].remove(kind)
        self._known.clear()
        return bool(single)

    def _all(self) -> list[_Kind]:
        kinds = [kind for level in MAX_TEMPLATES for kind in sorted(self._kinds[level], key=lambda each: each.position)]
        return [kind for kind in (*kinds, *self._others.values()) if kind.count]

    def templates(self) -> list[Template]:
        """Errors first, then warnings, then the rest, each in the order of their first items; what did not fit last."""
        return [Template(kind.count, kind.first, kind.last, kind.example.id, kind.text()) for kind in self._all()]

    def lines(self) -> list[tuple[int, LogLine]]:
        """The items worth reading, each with its place among all: what carries a cause, an example of every template,
        the newest of every error and warning, and the end of the log."""
        kept = dict(self._newest)
        for kind in self._all():
            kept[kind.position] = kind.example
            if kind.level != OTHER:
                kept[kind.newest_position] = kind.newest
        for first, newest in self._causes.values():
            kept |= first | dict(newest)
        return sorted(kept.items(), key=itemgetter(0))


def templates(lines: list[LogLine]) -> list[Template]:
    """What these items have in common."""
    return _of(lines).templates()


def kinds(lines: list[LogLine]) -> list[Kind]:
    """What these items have in common, and in what they differ."""
    condenser = _of(lines)
    places: dict[bytes, list[int]] = {}
    for at, signature in enumerate(_signatures([line.text for line in lines])):
        places.setdefault(signature, []).append(at)
    variants: dict[_Kind, list[list[int]]] = {}
    for signature, found in places.items():
        if (kind := condenser._known.get(signature)) is not None:
            variants.setdefault(kind, []).append(found)
    return [
        Kind(each.level, each.count, each.example, sorted(found, key=itemgetter(-1)))
        for each, found in variants.items()
    ]


def _of(lines: list[LogLine]) -> Condenser:
    condenser = Condenser()
    condenser.add([line.text for line in lines], lines.__getitem__)
    return condenser


_CITED = late(r'"(logs:[A-Za-z0-9_.]{1,80})"')


def shortened(record: dict[str, Any], carries: Carries | None) -> dict[str, Any]:
    """The record with its log in short: templates, and of the lines those worth reading. The rest as it was.

    Lines that the record's own verdict and proposals cite stay. Templates that are there already stay, too: they
    may speak of lines that have been left out before. Raises records.Problem if the section is malformed.
    """
    logs = records.section(record, "logs", Logs)
    if logs is None:
        return record
    condenser = Condenser(carries)
    condenser.add([line.text for line in logs.lines], logs.lines.__getitem__)
    known = logs.templates or condenser.templates()
    cited = {template.example for template in known}
    for section in ("analysis", "proposals"):
        cited.update(_CITED.findall(msgspec.json.encode(record.get(section)).decode("utf-8", "replace")))
    kept = {position for position, _ in condenser.lines()}
    lines = [
        line
        for position, line in enumerate(record["logs"]["lines"])
        if position in kept or logs.lines[position].id in cited
    ]
    return record | {"logs": record["logs"] | {"lines": lines, "templates": msgspec.to_builtins(known)}}


def _signatures(texts: list[str]) -> list[bytes]:
    """What is left of each text without its numbers; many texts at once, by C code."""
    heads = [text if len(text) <= HEAD_CHARACTERS and "\n" not in text else _head(text) for text in texts]
    whole = "\x1e".join(heads).encode("utf-8", "replace")
    if whole.count(_BETWEEN) >= len(texts):  # texts that were not cleaned
        whole = "\x1e".join(head.replace("\x1e", " ") for head in heads).encode("utf-8", "replace")
    for before, status, mark in _MARKS:
        if before in whole:
            whole = status.sub(mark, whole)
    for part, varying, constant in _FOLDED:
        if part in whole:
            whole = varying.sub(constant, whole)
    return _HEXADECIMAL.sub(b" ", whole.translate(_BLANK, _DELETED)).split(_BETWEEN)


def _head(text: str) -> str:
    """What tells of a long item: its first line, and of a trace the last line that is not indented, the exception."""
    begin, newline, rest = text.partition("\n")
    if not newline:
        return text[:HEAD_CHARACTERS]
    last = next((line for line in reversed(rest.split("\n")) if line and not line[0].isspace()), "")
    return begin[: HEAD_CHARACTERS // 2] + (f"\n{last[: HEAD_CHARACTERS // 2]}" if last else "")


def level(text: str) -> int:
    """Whether an item looks like an error or a warning: ERROR, WARNING or OTHER."""
    (signature,) = _signatures([text])
    return _level(signature, signature.split(b" "))


def _level(signature: bytes, words: list[bytes]) -> int:
    """Whether an item looks like an error or a warning, by its words."""
    for level in (ERROR, WARNING):
        if not _WORDS_OF[level].isdisjoint(words) or any(part in signature for part in _PARTS_OF[level]):
            return level
    return OTHER
