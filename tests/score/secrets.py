"""What comes out of a corpus of secrets that was written without sight of the rules, and what is masked that is none.

    scripts/score --secrets FOLDER   measures a set for the first and only time, and keeps its row

A set is a folder with three files of JSON Lines:

announced.jsonl: {id, text, gone, keep}: what must not and what must come out of a text.
known.jsonl: {id, environment | labels | argv | health, lines, gone, keep}: the same of a container's lines.
plain.jsonl: {id, lines}, with or without a container: every line comes out as it went in.
"""

from __future__ import annotations

import datetime
import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from dm_tools import redact
from dm_tools.collect import environment
from tests import shapes
from tests.score.first_sight import Refused

KEPT = shapes.FOLDER / "first-sight.toml"


@dataclass(frozen=True)
class Row:
    """A set's figures at first sight: how many entries of each kind, and how many of those were wrong."""

    date: datetime.date
    commit: str
    set: str
    announced: int
    announced_leaked: int
    announced_overmasked: int  # something beside the secret went with it
    known: int
    known_leaked: int
    known_overmasked: int
    plain: int
    plain_masked: int


@dataclass(frozen=True)
class Wrong:
    """What is wrong with an entry: it leaked, or lost what it should have kept, or both."""

    id: str
    leaked: tuple[str, ...]
    lost: tuple[str, ...]
    came_out: str


def entries(path: Path) -> list[dict[str, Any]]:
    """The entries of a file of a set."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def container(entry: dict[str, Any]) -> dict[str, Any]:
    """What the engine says of the container of an entry."""
    argv = entry.get("argv") or [""]
    check = entry.get("health")
    return {
        "Config": {
            "Env": [f"{name}={value}" for name, value in entry.get("environment", {}).items()],
            "Labels": entry.get("labels", {}),
            "Healthcheck": {"Test": ["CMD-SHELL", check]} if check else None,
        },
        "Path": argv[0],
        "Args": argv[1:],
    }


def judge(entry: dict[str, Any]) -> Wrong:
    """An entry, read in every way in which the commands read: as one text and, unless a container is known, by line."""
    text = entry["text"] if "text" in entry else "\n".join(entry["lines"])
    known = environment.secrets(container(entry))
    ways = [redact.Redactor(known=known).redact(text), *([] if known else [shapes.by_line(text)])]
    gone = sorted(entry.get("gone", ()), key=len, reverse=True)
    rest = text
    for secret in gone:
        rest = rest.replace(secret, "\0")
    return Wrong(
        entry["id"],
        tuple(secret for secret in gone if any(shapes.comes_out(secret, way, rest) for way in ways)),
        tuple(kept for kept in entry.get("keep", [] if gone else [text]) if any(kept not in way for way in ways)),
        ways[-1],
    )


def judged(folder: Path) -> dict[str, list[Wrong]]:
    """Every entry of a set, by the name of its file."""
    return {
        kind: [judge(entry) for entry in entries(folder / f"{kind}.jsonl")] for kind in ("announced", "known", "plain")
    }


def rows(kept: Path = KEPT) -> list[Row]:
    """Every row, as they were measured one after another."""
    return [Row(**row) for row in tomllib.loads(kept.read_text("utf-8")).get("row", [])]


def measure(folder: Path, commit: str, today: datetime.date, kept: Path = KEPT) -> Row:
    """Measure a set and keep its row. What was missed is not told: to look is what ends a first sight.

    Refused: the set has a row.
    """
    if any(row.set == folder.name for row in rows(kept)):
        raise Refused(f"{folder.name!r} has a row in {kept.name}: a set is seen for the first time once")
    found = judged(folder)
    row = Row(
        date=today,
        commit=commit,
        set=folder.name,
        announced=len(found["announced"]),
        announced_leaked=sum(bool(each.leaked) for each in found["announced"]),
        announced_overmasked=sum(bool(each.lost) for each in found["announced"]),
        known=len(found["known"]),
        known_leaked=sum(bool(each.leaked) for each in found["known"]),
        known_overmasked=sum(bool(each.lost) for each in found["known"]),
        plain=len(found["plain"]),
        plain_masked=sum(bool(each.lost) for each in found["plain"]),
    )
    with kept.open("a", encoding="utf-8") as file:
        file.write("\n[[row]]\n" + "".join(_toml(row)))
    return row


def _toml(row: Row) -> Iterator[str]:
    for each in fields(Row):
        value = getattr(row, each.name)
        yield f"{each.name} = {json.dumps(value) if isinstance(value, str) else value}\n"


def told(row: Row) -> str:
    """The row as docs/security.md tells it."""
    figures = (
        (row.announced_leaked, row.announced),
        (row.announced_overmasked, row.announced),
        (row.known_leaked, row.known),
        (row.known_overmasked, row.known),
        (row.plain_masked, row.plain),
    )
    cells = [f"{part} of {whole} ({100 * part / whole:.1f} %)" if whole else "none tried" for part, whole in figures]
    return f"| {row.set} | {row.commit}, {row.date} | {' | '.join(cells)} |"
