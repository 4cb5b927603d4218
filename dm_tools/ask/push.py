"""Sends the history to a server, in batches, from where it had come to; what is sent twice is there once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

import msgspec
import orjson

from dm_tools.ask.server import Server
from dm_tools.ask.views import STORED, STORED_PATTERNS, TABLES, VIEWS
from dm_tools.records import HistoryEvent
from dm_tools.store import files
from dm_tools.store.history import History, read

BATCH = 5000  # events
_AT = re.compile(rb'"at":"[^"]*"')


class _Sent(msgspec.Struct):
    """How far each segment was sent, in bytes, and of which form the tables were, and which library was sent."""

    ends: dict[str, int] = {}
    form: str = ""
    library: str = ""


def push(kept: History, server: Server, patterns: bytes = b"", everything: bool = False) -> int:
    """Send what was not sent yet, or everything; returns the number of events. What is acknowledged is noted at once.

    `patterns`: the rows of the pattern library, sent where they are other ones than before. Raises CannotAsk,
    WrongQuestion, files.CannotWrite.
    """
    name = hashlib.sha256(f"{server.address}{server.database}".encode()).hexdigest()[:16]
    note = kept.folder / f"pushed-{name}.json"
    sent, form = _read(note, everything), hashlib.sha256(f"{TABLES}{VIEWS}".encode()).hexdigest()
    if sent.form != form:
        server.prepare(anew=sent.form != "")
        sent.form = form
    library = hashlib.sha256(_AT.sub(b"", patterns)).hexdigest()
    if patterns and sent.library != library:
        server.insert(STORED_PATTERNS, patterns)
        sent.library = library
        files.make_folder(kept.folder)
        files.replace(note, [msgspec.json.encode(sent)])
    count = 0
    present = {path.name for path in kept.segments()}
    sent.ends = {segment: end for segment, end in sent.ends.items() if segment in present}
    for path in kept.segments():
        for rows in _batches(read(path, sent.ends)):
            server.insert(STORED, b"".join(rows))
            count += len(rows)
            files.replace(note, [msgspec.json.encode(sent)])
    return count


def _read(note: object, everything: bool) -> _Sent:
    try:
        return _Sent() if everything else msgspec.json.decode(note.read_bytes(), type=_Sent)  # type: ignore[attr-defined]
    except (OSError, *files.NO_LINE):
        return _Sent()


def _batches(events: Iterator[HistoryEvent]) -> Iterator[list[bytes]]:
    """Rows in lists of a batch's size; `events` has moved its place on to the end of each list when it is given out."""
    batch: list[bytes] = []
    for event in events:
        batch.append(row(event))
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def row(event: HistoryEvent) -> bytes:
    """An event as a row of the oldest server: it has no type for labels but text."""
    known = msgspec.to_builtins(event)
    if event.labels:
        known["labels"] = orjson.dumps(event.labels).decode()
    return orjson.dumps(known, option=orjson.OPT_APPEND_NEWLINE)
