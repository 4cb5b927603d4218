"""Section `logs`: the newest lines of a container, traces in one piece, secrets masked."""

from __future__ import annotations

import heapq
import re
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from dm_tools import records, redact, text
from dm_tools.collect.environment import secrets
from dm_tools.engine import finding, reading
from dm_tools.engine.connection import Engines
from dm_tools.records import LogLine, Logs
from dm_tools.text import condense
from dm_tools.text.shorten import joined

Record = dict[str, Any]


def logs(record: Record, engines: Engines, tail: int, since_seconds: float | None, max_bytes: int) -> Record:
    """The record with its `logs` section: the newest `tail` lines, at most `max_bytes` of each stream's in all."""
    engine = engines.of(record)
    container = finding.find(engine, record)
    raw = reading.inspect(engine, container["Id"])
    since = time.time() - since_seconds if since_seconds else None
    streams = {name: Newest(name, max_bytes // 2) for name in ("stdout", "stderr")}
    try:
        ended = reading.log(
            engine, raw["Id"], raw["Config"]["Tty"], tail, since, lambda stream, piece: streams[stream].add(piece)
        )
    except records.Problem as problem:
        if not any(each.size for each in streams.values()):
            raise
        record = records.with_error(record, "logs", problem.code, problem.message)  # what has come still counts
        ended = False
    merged = list(heapq.merge(*(each.lines() for each in streams.values()), key=lambda line: line[0] or ""))[-tail:]
    cut = not ended or any(each.cut for each in streams.values())
    items = grouped(merged, redact.Redactor(redact.following(record), secrets(raw)))
    templates = condense.templates(items)
    section = Logs(items, len(merged), cut or len(merged) >= tail, templates)
    return records.with_section(record, "logs", section)


RawLine = tuple[str | None, str, str]  # the engine's timestamp, the stream, the text


class Newest:
    """The newest lines of a stream that fit into `max_bytes`; `cut`: something was left out.

    Constant memory: of a line longer than the bound only its beginning is held.
    """

    def __init__(self, stream: str, max_bytes: int) -> None:
        self.stream = stream
        self.max_bytes = max_bytes
        self.kept: deque[bytes] = deque()
        self.line = bytearray()
        self.size = 0
        self.cut = False

    def add(self, piece: bytes) -> None:
        """The next piece of the stream. The engine puts its timestamp before every piece of a long line."""
        if self.line and (stamp := _STAMP.match(piece)):
            piece = piece[stamp.end() :]
        for index, part in enumerate(piece.split(b"\n")):
            if index:
                self._keep()
            room = self.max_bytes - len(self.line)
            self.line += part[:room]
            self.cut |= len(part) > room
            self.size += min(len(part), room)

    def _keep(self) -> None:
        self.kept.append(bytes(self.line))
        self.line.clear()
        while self.size > self.max_bytes and len(self.kept) > 1:
            self.size -= len(self.kept.popleft())
            self.cut = True

    def lines(self) -> list[RawLine]:
        """What was kept, oldest first."""
        if self.line:
            self._keep()
        return [_raw_line(each, self.stream) for each in self.kept]


_STAMP = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z) ?")


def _raw_line(line: bytes, stream: str) -> RawLine:
    stamp = _STAMP.match(line)
    text_bytes = line[stamp.end() :] if stamp else line
    return stamp[1].decode() if stamp else None, stream, text_bytes.decode("utf-8", "replace").rstrip("\r")


MAX_ITEM_CHARACTERS = 8000


def grouped(lines: list[RawLine], redactor: redact.Redactor | None = None) -> list[LogLine]:
    """Raw lines as cleaned and redacted items, a multi-line trace in one item, ids in order."""
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
    return [
        LogLine(id=f"logs:{index}", ts=stamp, stream=stream, text=item(parts, redactor.redact))
        for index, ((stamp, stream), parts) in enumerate(zip(heads, items, strict=True))
    ]


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
