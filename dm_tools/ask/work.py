"""What dm-history does: each part takes the history, and gives lines of JSON or rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from dm_tools.ask import embedded, gate, library, server, views
from dm_tools.ask import push as sending
from dm_tools.diagnose.earned import earned
from dm_tools.diagnose.events import Sight, sight
from dm_tools.diagnose.occasions import Occasion, occasions
from dm_tools.pipe import clock, exits, stream
from dm_tools.records import Keep
from dm_tools.store import retention
from dm_tools.store.history import History, machine

FORM = "JSONEachRow"


def record(kept: History, given: Iterable[stream.Record]) -> int:
    """Pass the records on, and remember what they tell; returns the exit status. Raises files.CannotWrite."""
    sights: list[Sight] = []
    here, now = machine(), clock.rfc3339(clock.now())

    def add(each: stream.Record) -> stream.Record:
        sights.append(sight(each, here, now))
        return each

    status = stream.write(((stream.attempt(add, each, "history"), True) for each in given), "history")
    kept.append(*kept.memory().news(sights, here))
    return status


def occasions_of(kept: History, services: tuple[str, ...]) -> Iterator[Occasion]:
    """The occasions of services, or of all."""
    return (each for each in occasions(kept.events()) if not services or each.service in services)


def shown(kept: History, services: tuple[str, ...]) -> Iterator[bytes]:
    """The occasions of services, or of all, as JSON Lines."""
    return (stream.dumps(msgspec.to_builtins(each)) for each in occasions_of(kept, services))


def answer(kept: History, sql: str, here: bool, own: Path | None = None) -> Iterator[bytes]:
    """The rows of an answer as JSON Lines: of the server of CLICKHOUSE_URL if it is set, or of the files `here`.

    `own`: the folder of the user's patterns. Raises CannotAsk, WrongQuestion, PatternError.
    """
    try:
        question = gate.checked(sql)
    except gate.Refused as why:
        raise embedded.WrongQuestion(str(why)) from None
    asked = None if here else server.from_environment()
    if asked:
        yield from asked.answer(question, FORM)
        return
    rows = library.rows(own, "") if views.LIBRARY in question else b""  # to read it takes longer than many an answer
    yield from embedded.answer(kept, question, FORM, rows)


def push(kept: History, everything: bool, own: Path | None) -> Iterator[bytes]:
    """Send what is new to the server of CLICKHOUSE_URL, and say how much it was.

    Raises CannotAsk, files.CannotWrite, PatternError.
    """
    found = server.from_environment()
    if found is None:
        raise embedded.CannotAsk(f"{server.VARIABLE} is not set: there is no server to send to")
    rows = library.rows(own, clock.rfc3339(clock.now()))
    yield stream.dumps({"pushed": sending.push(kept, found, rows, everything)})


def compacted(kept: History, keep: Keep, words: Iterable[str]) -> Iterator[bytes]:
    """Merge old segments and let go what is older than `keep`, or `words` instead, say; says what was done.

    Raises exits.Stop, files.CannotWrite.
    """
    try:
        keep = retention.changed(keep, words)
    except ValueError as wrong:
        raise exits.Stop(exits.USAGE, f"--keep: {str(wrong)!r} is none of NAME=DAYS") from None
    yield stream.dumps(msgspec.to_builtins(retention.compact(kept.folder.parent, keep)))


def patterns(kept: History, own: Path | None, everything: bool) -> Iterator[bytes]:
    """What the patterns have earned, as JSON Lines: those that ever fired, or all. Raises PatternError."""
    known = {name: (each.origin, each.cause) for name, each in library.library(own).items()}
    for each in earned(known, kept.events(), kept.outcomes()):
        if everything or each.hits or each.proved or each.disproved:
            yield stream.dumps(msgspec.to_builtins(each))
