"""The pattern library as rows: what is asked of it beside what it did."""

from __future__ import annotations

from pathlib import Path

import msgspec

from dm_tools.patterns import reading


class Row(msgspec.Struct):
    """One pattern, shipped or the user's own."""

    pattern: str
    origin: str
    file: str
    cause: str
    severity: str
    level: str
    explanation: str
    at: str = ""  # when it was sent to a server


def library(own: Path | None) -> dict[str, Row]:
    """The patterns by id; `own` is the folder of the user's. Raises PatternError."""
    found = reading.read(own)
    theirs = {each.id for file in reading.written(own).values() for each in file.pattern} if own else set()
    return {
        each.id: Row(
            each.id,
            "own" if each.id in theirs else "shipped",
            found.file_of[each.id],
            each.cause,
            each.severity,
            each.level,
            each.explanation,
        )
        for each in found.patterns
    }


def rows(own: Path | None, at: str) -> bytes:
    """The patterns as JSON Lines, as of `at`. Raises PatternError."""
    found = (msgspec.structs.replace(each, at=at) for each in library(own).values())
    return b"".join(msgspec.json.encode(each) + b"\n" for each in found)
