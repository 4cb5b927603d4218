"""Section `logs`: the newest lines of a container, traces in one piece, secrets masked."""

from __future__ import annotations

import heapq
import re
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from dm_tools import records, redact, text
from dm_tools.collect.environment import secrets
from dm_tools.engine import finding, reading
from dm_tools.engine.connection import Engines
from dm_tools.records import LogLine, Logs
from dm_tools.text import condense, times
from dm_tools.text.late import late
from dm_tools.text.shorten import joined

Record = dict[str, Any]


def logs(
    record: Record,
    engines: Engines,
    tail: int | None,
    since_seconds: float | None,
    max_bytes: int,
    until_seconds: float | None = None,
    grep: str = "",
) -> Record:
    """The record with its `logs` section: the newest `tail` lines (None: all), at most `max_bytes` of both streams.

    Lines from `since_seconds` to `until_seconds` before now; of these, items that hold the text `grep`.
    """
    if records.stands_alone(record):
        return record
    engine = engines.of(record)
    container = finding.find(engine, record)
    raw = reading.inspect(engine, container["Id"])
    now = time.time()
    since, until = (now - each if each else None for each in (since_seconds, until_seconds))
    whole = tail is None or until is not None  # the engine would count lines that came after
    streams = Streams(raw["Config"]["Tty"], reading.log_driver(raw), max_bytes // 2)
    try:
        # One piece more than is wanted: it tells whether the first line that is wanted begins where it seems to.
        ended = reading.log(engine, raw, None if whole or tail is None else tail + 1, since, streams.add, until)
    except records.Problem as problem:
        if not streams.pieces:
            raise
        record = records.with_error(record, "logs", problem.code, problem.message)  # what has come still counts
        ended = False
    wanted = streams.pieces if whole or tail is None else tail
    lines, begins_inside = streams.lines(wanted)
    truncated = streams.cut or streams.pieces > wanted or not ended
    if tail is not None and len(lines) > tail:
        lines, truncated = lines[-tail:], True
    items = grouped(lines, redact.Redactor(redact.following(record), secrets(raw)), begins_inside)
    items = [each for each in items if grep in each.text]
    section = Logs(items, len(lines), truncated, condense.templates(items))
    return records.with_section(record, "logs", section)


RawLine = tuple[str | None, str, str]  # the engine's time (RFC 3339 UTC), the stream, the text


class Streams:
    """The newest lines of both streams, of each at most `max_bytes`. `driver` is the log driver's name."""

    def __init__(self, terminal: bool, driver: str, max_bytes: int) -> None:
        self.streams = {name: Newest(name, terminal, driver, max_bytes) for name in ("stdout", "stderr")}

    @property
    def pieces(self) -> int:
        """How many pieces the engine gave."""
        return sum(stream.pieces for stream in self.streams.values())

    @property
    def cut(self) -> bool:
        """Whether something was left out for its size."""
        return any(stream.cut for stream in self.streams.values())

    def add(self, stream: str, piece: bytes) -> None:
        """The next piece of a stream, in the order in which the engine gives them."""
        self.streams[stream].add(piece, self.pieces)

    def lines(self, tail: int) -> tuple[list[RawLine], bool]:
        """The newest `tail` lines in the order in which they began, and whether the first lacks its beginning.

        Of `tail` + 1 pieces that were asked for, the first may be the last piece of a long line: alone it is left out.
        One that goes on may be the middle of a line as well as its beginning.
        """
        held = list(heapq.merge(*(stream.lines() for stream in self.streams.values()), key=lambda line: line.place))
        inside = False
        if self.pieces > tail and held and held[0].place == 0:
            inside = held[0].pieces > 1 and len(held) <= tail
            held = held if inside else held[1:]
        return [_raw_line(line.text, line.stream) for line in held[-tail:]], inside


class Line(NamedTuple):
    """A line with the time before it: `place` is the number of the piece that began it, `pieces` how many it had."""

    place: int
    pieces: int
    stream: str
    text: bytes


# Drivers whose log has a newline after each whole line. The others are Docker's `local` and those of which it keeps a
# copy in that format: there the last piece of a line over 16 KiB has none, and only a new time tells of a new line.
_WITH_NEWLINE = ("json-file", "journald")


class Newest:
    """The newest lines of a stream that fit into `max_bytes`; `cut`: something was left out.

    Constant memory: of a line longer than the bound only its beginning is held.
    """

    def __init__(self, stream: str, terminal: bool, driver: str, max_bytes: int) -> None:
        self.stream = stream
        self.terminal = terminal
        self.with_newline = driver in _WITH_NEWLINE
        self.max_bytes = max_bytes
        self.kept: deque[Line] = deque()
        self.pieces = 0
        self.size = 0
        self.cut = False
        self._begin(0, None)

    def _begin(self, place: int, stamp: re.Match[bytes] | None) -> None:
        self.line = bytearray()
        self.place = place
        self.stamp = stamp and stamp[1]
        self.pieces_of_line = 0

    def add(self, piece: bytes, place: int) -> None:
        """The next piece of the stream, the `place`th of the log. The engine puts its time before every piece."""
        stamp = _STAMP.match(piece)
        own = False  # a time that the program printed
        if self.line and stamp:
            if stamp[1] == self.stamp or (self.with_newline and not self.terminal):
                piece = piece[stamp.end() :]
            elif not self.with_newline and (not self.terminal or self.line.endswith(b"\r")):
                self._keep()
            else:
                own = True
        if not self.line:
            self._begin(place, stamp)
        if not own:
            self.pieces += 1
            self.pieces_of_line += 1
        for index, part in enumerate(piece.split(b"\n")):
            if index:
                self._keep()
            room = self.max_bytes - len(self.line)
            self.line += part[:room]
            self.cut |= len(part) > room
            self.size += min(len(part), room)

    def _keep(self) -> None:
        self.kept.append(Line(self.place, self.pieces_of_line, self.stream, bytes(self.line)))
        self.line.clear()
        while self.size > self.max_bytes and len(self.kept) > 1:
            self.size -= len(self.kept.popleft().text)
            self.cut = True

    def lines(self) -> list[Line]:
        """What was kept, oldest first."""
        if self.line:
            self._keep()
        return list(self.kept)


_STAMP = late(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)) ?")


def _raw_line(line: bytes, stream: str) -> RawLine:
    stamp = _STAMP.match(line)
    text_bytes = line[stamp.end() :] if stamp else line
    return times.utc(stamp[1].decode()) if stamp else None, stream, text_bytes.decode("utf-8", "replace").rstrip("\r")


MAX_ITEM_CHARACTERS = 8000


def grouped(
    lines: list[RawLine], redactor: redact.Redactor | None = None, begins_inside: bool = False
) -> list[LogLine]:
    """Raw lines as cleaned and redacted items, a multi-line trace in one item, ids in order.

    `begins_inside`: the first line lacks its beginning, which its item says.
    """
    redactor = redactor or redact.Redactor()
    items: list[list[str]] = []
    heads: list[tuple[str | None, str]] = []
    groupers = {"stdout": text.Grouper(), "stderr": text.Grouper()}
    newest_of: dict[str, int] = {}
    for stamp, stream, raw in lines:
        line = text.clean(raw.rpartition("\r")[2] or raw)
        continues = groupers[stream].continues(line)
        if continues and stream in newest_of:
            items[newest_of[stream]].append(line)
        elif line.strip():
            newest_of[stream] = len(items)
            items.append([line])
            heads.append((stamp, stream))
    texts = [
        rest_of(parts, redactor.redact) if begins_inside and not index else item(parts, redactor.redact)
        for index, parts in enumerate(items)
    ]
    return [
        LogLine(id=f"logs:{index}", ts=stamp, stream=stream, text=words)
        for index, ((stamp, stream), words) in enumerate(zip(heads, texts, strict=True))
    ]


BEGINNING_LEFT_OUT = "[... the beginning left out ...] "


def rest_of(parts: list[str], mask: Callable[[str], str]) -> str:
    """The text of an item whose beginning is missing: its end. What stands next to the cut may be half a secret."""
    whole = "\n".join(parts).rstrip()
    half = MAX_ITEM_CHARACTERS // 2
    return BEGINNING_LEFT_OUT + mask(whole[-2 * MAX_ITEM_CHARACTERS :])[half:][-half:]


def item(parts: list[str], mask: Callable[[str], str] = redact.redact) -> str:
    """One item's text; of a very long one the beginning and the end, where the cause of a trace stands."""
    whole = "\n".join(parts).rstrip()
    half, margin = MAX_ITEM_CHARACTERS // 2, 2 * MAX_ITEM_CHARACTERS  # masking megabytes takes minutes
    if len(whole) <= 2 * margin:
        head = tail = mask(whole)
        if len(head) <= MAX_ITEM_CHARACTERS:
            return head
    else:  # nobody knows half a secret: what is next to a cut is not shown, however short the rest became by masking
        head, tail = mask(whole[:margin])[:-half], mask(whole[-margin:])[half:]
    return joined(head[:half], len(whole) - 2 * half, tail[-half:])
