"""A log as plain text: section `logs` of it, condensed while it is read, at constant memory.

Lines are looked at one by one only where a trace may be: everything else is done for a piece of the log at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import BinaryIO

from dm_tools import redact, text
from dm_tools.collect import logs
from dm_tools.records import LogLine, Logs
from dm_tools.text.condense import Carries, Condenser
from dm_tools.text.late import late
from dm_tools.text.shorten import joined

PIECE_BYTES = 1024 * 1024
MAX_LINE_BYTES = 64 * 1024  # of a longer line the beginning and the end are held
ROOM = 50  # for what says that the middle is left out
MAX_ITEM_CHARACTERS = 4 * logs.MAX_ITEM_CHARACTERS  # of an item: so much that no half of a secret is shown later


def condensed(source: BinaryIO, carries: Carries | None) -> Logs:
    """The section of a whole log: its templates, and the items worth reading with their line's number in their id."""
    mask = redact.Redactor().redact  # one for all: the same secret has the same number in every line
    condenser = Condenser(carries, mask)
    items = Items()
    for piece in pieces(source):
        batch = items.add(piece)
        condenser.add(batch.texts, batch.line)
    last = items.end()
    condenser.add(last.texts, last.line)
    kept = [line for _, line in condenser.lines()]
    for line in kept:
        line.text = logs.item([line.text], mask)
    return Logs(lines=kept, total_lines=items.count, truncated=False, templates=condenser.templates())


def pieces(source: BinaryIO) -> Iterator[bytes]:
    """Whole lines, about a megabyte at a time, without the last newline; of an overlong line both ends."""
    rest = b""
    while piece := source.read(PIECE_BYTES):
        whole, newline, rest_of_piece = piece.rpartition(b"\n")
        if newline:
            yield rest + whole
            rest = b""
        rest += rest_of_piece
        if len(rest) > MAX_LINE_BYTES:
            half = MAX_LINE_BYTES // 2
            rest = rest[:half] + rest[-half:]
    if rest:
        yield rest


# What clean() takes out, as bytes: a look at a whole piece tells whether it has any of it.
_CONTROL = bytes([*range(9), *range(0x0B, 0x20), 0x7F])
_UNICODE_CONTROL = late(rb"\xc2[\x80-\x9f]|\xe2(?:\x80[\x8b-\x8f\xa8-\xae]|\x81[\xa6-\xa9])")


def lines_of(piece: bytes) -> list[str]:
    """The lines of a piece as clean text. Bytes that are no UTF-8 become U+FFFD."""
    if b"\r" in piece:
        piece = piece.replace(b"\r\n", b"\n").removesuffix(b"\r")
    lines = piece.decode("utf-8", "replace").split("\n")
    if len(piece.translate(None, _CONTROL)) != len(piece) or (not piece.isascii() and _UNICODE_CONTROL.search(piece)):
        return [text.clean(line.rpartition("\r")[2] or line) for line in lines]
    return lines


_STAMP = late(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(?:Z|[+-]\d\d:\d\d)(?: |$)")  # of docker logs -t
_BEGINS = (
    *(" ", "\t", "Traceback (", "Caused by: ", "... ", "During handling of ", "The above exception "),
    *("goroutine ", "created by ", "exit status "),
)
_MAY_CONTINUE = frozenset(["", *(begin[0] for begin in _BEGINS)])
_SOME_MAY = late("\n(?:\n|\\Z|" + "|".join(map(re.escape, _BEGINS)) + ")")
_THROWN = ("Exception", "Error", "Throwable")


class Batch:
    """Some items: their texts, the numbers of their first lines, and the engine's timestamps if the log has them."""

    def __init__(self, numbers: list[int], texts: list[str], stamps: dict[int, str] | None) -> None:
        self.numbers, self.texts, self.stamps = numbers, texts, stamps

    def line(self, at: int) -> LogLine:
        """One of the items as a whole, its secrets not yet masked."""
        number, value = self.numbers[at], self.texts[at]
        stamp = time_of(value) if self.stamps is None else time_of(self.stamps.get(number, ""))
        return LogLine(id=f"logs:{number}", ts=stamp, stream="stdout", text=value)


class Items:
    """Makes items of lines: a trace is one, blank lines are none. Its memory is the piece at hand and one item."""

    def __init__(self) -> None:
        self.count = 0  # lines so far
        self.grouper = text.Grouper()
        self.unseen: str | None = None  # the line before, if the grouper has not seen it
        self.open: tuple[int, str] | None = None  # the newest item, which may go on
        self.stamps: dict[int, str] | None = None
        self.special: list[tuple[int, bool]] = []  # lines that begin no item, and whether they go on with one

    def add(self, piece: bytes) -> Batch:
        """The items that are complete by now."""
        lines = lines_of(piece)
        first = self.count + 1
        if self.stamps is not None or (not self.count and _STAMP.match(lines[0])):
            lines = self._without_stamps(lines, first)
        self.count += len(lines)
        self._look_at(lines)
        numbers, texts = ([], []) if self.open is None else ([self.open[0]], [self.open[1]])
        at = 0
        while self.special:
            index, continues = self.special.pop()
            numbers += range(first + at, first + index)
            texts += lines[at:index]
            at = index + 1
            if continues:
                while self.special and self.special[-1] == (at, True):
                    self.special.pop()
                    at += 1
                texts[-1:] = ["\n".join([*texts[-1:], *lines[index:at]])]
                if len(numbers) < len(texts):  # the log begins with the rest of something
                    numbers.append(first + index)
        numbers += range(first + at, first + len(lines))
        texts += lines[at:]
        if max(map(len, texts), default=0) > MAX_ITEM_CHARACTERS:
            texts = [_cut(each) for each in texts]
        self.open = (numbers.pop(), texts.pop()) if texts else None
        return Batch(numbers, texts, self.stamps)

    def end(self) -> Batch:
        """The last item."""
        return Batch([self.open[0]], [self.open[1]], self.stamps) if self.open else Batch([], [], None)

    def _without_stamps(self, lines: list[str], first: int) -> list[str]:
        """The lines as the program wrote them; what the engine put before them is remembered for this piece."""
        before = self.stamps or {}
        self.stamps = {self.open[0]: before.get(self.open[0], "")} if self.open else {}
        bare = []
        for number, line in enumerate(lines, first):
            stamp = _STAMP.match(line)
            if stamp:
                self.stamps[number] = stamp[0]
            bare.append(line[stamp.end() :] if stamp else line)
        return bare

    def _look_at(self, lines: list[str]) -> None:
        """Find the lines that begin no item; to be taken from the end of `special`. Outside of a trace only those are
        shown to the grouper that look like part of one, and the line before them, which may announce it."""
        whole = "\n".join(lines)
        candidates: list[int] = []
        if _SOME_MAY.search("\n" + whole):
            candidates = [
                at
                for at, line in enumerate(lines)
                if line[:1] in _MAY_CONTINUE and (line.startswith(_BEGINS) or not line)
            ]
        more = [at for at, line in enumerate(lines) if text.KEY in line] if text.KEY in whole else []
        if any(word in whole for word in _THROWN):
            more += [at for at, line in enumerate(lines) if text.THROWN.match(line)]
        if ":\n" in whole or ":</" in whole or whole.endswith(":"):
            ends = [at for at, line in enumerate(lines) if line.endswith(text.ANNOUNCE_ENDS)]
            more += [at for at in ends if text.ANNOUNCES.search(lines[at][-300:])]
        if more:
            candidates = sorted({*candidates, *more})
        at = 0
        for candidate in (*candidates, len(lines)):
            while at < candidate and self.grouper.inside:
                self._show(at, lines[at])
                at += 1
            if at > candidate or candidate == len(lines):
                continue
            before = lines[candidate - 1] if candidate > at else self.unseen if not at else None
            if before is not None:
                self.grouper.continues(before)
            self._show(candidate, lines[candidate])
            at = candidate + 1
        self.unseen = lines[-1] if at < len(lines) else None
        self.special.reverse()

    def _show(self, at: int, line: str) -> None:
        continues = self.grouper.continues(line)
        if continues or not line.strip():
            self.special.append((at, continues))


def _cut(item: str) -> str:
    """Both ends of a long item, within the bound: it may go on, and be cut again."""
    half = MAX_ITEM_CHARACTERS // 2 - ROOM
    return item if len(item) <= MAX_ITEM_CHARACTERS else joined(item[:half], None, item[-half:])


_TIME = late(
    r"""(?:\[|(?:time|ts|timestamp)="?|\{"(?:time|ts|timestamp|@timestamp)":\ ?")?"""
    r"(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))? ?(Z\b|UTC\b|GMT\b|[+-]\d\d:?\d\d\b)?"
)
_ACCESS_TIME = late(r"\S{1,80} \S{1,80} .{1,80}?\[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\]")


def time_of(line: str) -> str | None:
    """The time with which a line begins, RFC 3339 UTC; None if there is none. Without a zone it counts as UTC.

    Also as the first value of JSON and of key=value, and where the Common Log Format of web servers has it.
    """
    found = _TIME.match(line)
    fraction = None
    try:
        if found:
            year, month, day, clock, fraction, zone = found.groups()
            zone = "+00:00" if zone in (None, "Z", "UTC", "GMT") else zone
            moment = datetime.fromisoformat(f"{year}-{month}-{day}T{clock}{zone}")
        elif access := _ACCESS_TIME.match(line):
            moment = datetime.strptime(access[1], "%d/%b/%Y:%H:%M:%S %z")
        else:
            return None
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + (f".{fraction}" if fraction else "") + "Z"
