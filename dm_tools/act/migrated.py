"""Whether the data of a container fit only the version that runs, or a newer one: then no older image may have them."""

from __future__ import annotations

import functools
from typing import Literal

import msgspec

from dm_tools import redact
from dm_tools.act.state import Inspected
from dm_tools.engine import reading
from dm_tools.engine.connection import Engine
from dm_tools.patterns.haystack import Searcher
from dm_tools.pipe import configs
from dm_tools.text.late import late
from dm_tools.text.shorten import short

NEWEST = 20_000  # pieces of a log that are read: data are migrated at a start
LOOKED_AT = 20  # hits of one expression
_VERSION = late(r"version (\d+)")
_WHY = {
    "migrated": "the version that runs has changed the data for itself, and an older one may refuse or ruin them",
    "newer": "the data are of a version newer than the one that runs, and an older one fits them even less",
}


class Saying(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way to say it; configs/migrated.toml says what each key is."""

    kind: Literal["migrated", "newer"]
    text: str
    example: str
    near_miss: str
    versions: bool = False


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    saying: list[Saying]


@functools.cache
def sayings() -> list[Saying]:
    """What programs say of it; it comes with the tools and is as constant as their code."""
    return msgspec.toml.decode((configs.folder("") / "migrated.toml").read_bytes(), type=_File).saying


def reason(log: str) -> str | None:
    """Why no older image may have the data of whoever wrote this log, None if it tells nothing of that."""
    searcher = Searcher()
    for saying in sayings():
        for _, (start, end) in searcher.occurrences(saying.text, log, LOOKED_AT):
            line = log[log.rfind("\n", 0, start) + 1 : end] + log[end:].partition("\n")[0]
            if not saying.versions or _newer(line):
                return f"{_WHY[saying.kind]}; its log says: {redact.redact(short(line.strip()))}"
    return None


def _newer(line: str) -> bool:
    found = [int(each) for each in _VERSION.findall(line)]
    return len(found) > 1 and found[0] > found[1]


def told(engine: Engine, raw: Inspected) -> str | None:
    """The same of an inspected container, by its own log. Raises records.Problem, logs_unavailable, too."""
    pieces: list[bytes] = []
    reading.log(engine, raw, NEWEST, None, lambda _, piece: pieces.append(piece.partition(b" ")[2]))
    return reason(b"".join(pieces).decode("utf-8", "replace"))
