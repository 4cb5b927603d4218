"""What dm-history does: each part takes the history, and gives lines of JSON or rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from dm_tools.ask import embedded, gate, server
from dm_tools.ask import push as sending
from dm_tools.diagnose.events import Sight, sight
from dm_tools.diagnose.occasions import occasions
from dm_tools.pipe import clock, stream
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


def shown(kept: History, services: tuple[str, ...]) -> Iterator[bytes]:
    """The occasions of services, or all, as JSON Lines."""
    for each in occasions(kept.events()):
        if not services or each.service in services:
            yield stream.dumps(msgspec.to_builtins(each))


def answer(kept: History, sql: str, here: bool) -> Iterator[bytes]:
    """The rows of an answer as JSON Lines: of the server of CLICKHOUSE_URL if it is set, or of the files `here`.

    Raises CannotAsk, WrongQuestion.
    """
    try:
        question = gate.checked(sql)
    except gate.Refused as why:
        raise embedded.WrongQuestion(str(why)) from None
    asked = None if here else server.from_environment()
    yield from asked.answer(question, FORM) if asked else embedded.answer(kept, question, FORM)


def push(kept: History, everything: bool) -> Iterator[bytes]:
    """Send what is new to the server of CLICKHOUSE_URL, and say how much it was. Raises CannotAsk, CannotWrite."""
    found = server.from_environment()
    if found is None:
        raise embedded.CannotAsk(f"{server.VARIABLE} is not set: there is no server to send to")
    yield stream.dumps({"pushed": sending.push(kept, found, everything)})
