"""Logs as they come: each service again and again, with what is new."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from dm_tools import records
from dm_tools.pipe import stream
from dm_tools.text.times import parse_time

Record = dict[str, Any]
PAUSE_SECONDS = 1.0
_OVERLAP_SECONDS = 0.01  # a line of the same moment as the last one may come after it


class Follower:
    """`look` reads the log of a record: of the last so many seconds, or (None) as it was asked for at first."""

    def __init__(self, look: Callable[[Record, float | None], Record]) -> None:
        self._look = look
        self._last: dict[str, tuple[str, list[str]]] = {}  # of each service the newest time, and the items of then
        self._failed: dict[str, str] = {}
        self._busy: set[str] = set()

    def rounds(self, source: Iterable[Record]) -> Iterator[Record]:
        """The records of the source, and again after a pause, without end."""
        named = []
        for record in source:
            named.append(record)
            yield record
        while named:
            time.sleep(PAUSE_SECONDS)
            yield from named

    def newer(self, record: Record) -> Record:
        """The record with the items that are new; raises records.Problem once for each failure."""
        service = record["service"]
        if service in self._busy:
            return {}  # the look before takes its time
        self._busy.add(service)
        try:
            return self._newer(service, record)
        finally:
            self._busy.discard(service)

    def _newer(self, service: str, record: Record) -> Record:
        last, texts = self._last.get(service, ("", []))
        at = parse_time(last) if last else None
        try:
            found = self._look(record, None if at is None else max(1.0, time.time() - at + _OVERLAP_SECONDS))
        except records.Problem as problem:
            if self._failed.get(service) == problem.message:
                return {}
            self._failed[service] = problem.message
            raise
        self._failed.pop(service, None)
        lines = found["logs"]["lines"]
        unknown = [each for each in lines if not _known(each, last, texts)]
        new = [_grown(each, last, texts) for each in unknown]
        if new:
            newest = max(each["ts"] or "" for each in unknown)
            whole = [each["text"] for each in unknown if (each["ts"] or "") == newest]
            self._last[service] = newest, whole + (texts if newest == last else [])
        elif last:
            return {}
        else:
            self._last[service] = _now(), []
        return found | {"logs": found["logs"] | {"lines": new, "total_lines": len(new)}}


def _known(item: dict[str, Any], last: str, texts: list[str]) -> bool:
    """Whether an item was handed on before, or is the rest of a trace that was."""
    if not last:
        return False
    at = parse_time(item["ts"])
    if at is None or at < (parse_time(last) or 0.0):
        return True
    return item["text"] in texts if item["ts"] == last else any("\n" in each and item["text"] in each for each in texts)


def _grown(item: dict[str, Any], last: str, texts: list[str]) -> dict[str, Any]:
    """Of an item that has become longer meanwhile, what is new."""
    for before in texts if item["ts"] == last else ():
        if item["text"].startswith(before + "\n"):
            return item | {"text": item["text"][len(before) + 1 :]}
    return item


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + ".000000000Z"


def something(results: Iterable[stream.Result]) -> Iterator[stream.Result]:
    """The results that hold a record; each is handed on at once."""
    for record, _ in results:
        if record.get("service"):
            yield record, True
