"""How right it was on what nobody who works on it had seen: rows that are measured once and never changed."""

from __future__ import annotations

import datetime
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from dm_tools.patterns.language import Library
from tests.conftest import ROOT
from tests.score import truth
from tests.score.share import share, table

KEPT = ROOT / "tests" / "data" / "first-sight.toml"
HEADING = "## First sight"


class Refused(Exception):
    """Why a set cannot be measured at first sight, in a sentence."""


@dataclass(frozen=True)
class Row:
    """One set's figures; None: not measured. tests/data/first-sight.toml tells what they count."""

    date: datetime.date
    commit: str
    set: str
    n: int
    root: int | None = None
    cause: int | None = None
    action: int | None = None
    silent: int | None = None
    high: int | None = None
    healthy: int | None = None
    false: int | None = None


def rows(kept: Path = KEPT) -> list[Row]:
    """Every row, as they were measured one after another."""
    return [Row(**row) for row in tomllib.loads(kept.read_text(encoding="utf-8"))["row"]]


def measure(folder: Path, library: Library, commit: str, today: datetime.date, kept: Path = KEPT) -> list[Row]:
    """Measure a set and keep its row, and one of what a service's log alone tells, if it has such looks.

    What was missed is not told: to look is what ends a first sight. Refused: the set has a row.
    """
    title = truth.title(folder)
    if any(row.set == title for row in rows(kept)):
        raise Refused(f"{title!r} has a row in {kept.name}: a set is seen for the first time once")
    outcomes = [truth.judge(look, library) for look in truth.looks(folder)]
    parts = {
        title: [each for each in outcomes if not each.name.endswith(".log")],
        f"{title}, the log alone": [each for each in outcomes if each.name.endswith(".log")],
    }
    made = [_row(name, truth.row(part), commit, today) for name, part in parts.items() if part]
    with kept.open("a", encoding="utf-8") as file:
        for row in made:
            lines = (f"{each.name} = {_toml(getattr(row, each.name))}\n" for each in fields(Row))
            file.write("\n[[row]]\n" + "".join(lines))
    return made


def _row(title: str, found: truth.Row, commit: str, today: datetime.date) -> Row:
    return Row(
        date=today,
        commit=commit,
        set=title,
        n=found.faults,
        root=found.root,
        cause=found.cause,
        action=found.action,
        silent=found.silent,
        high=found.high,
        healthy=found.quiet,
        false=found.false,
    )


def _toml(value: str | int | datetime.date) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def commit() -> str:
    """The commit that is checked out, in short. Refused: what judges is not what was committed."""
    changed = _git("status", "--porcelain", "--", "dm_tools", "configs")
    if changed:
        raise Refused("dm_tools or configs differ from the commit that the row would name: commit them first")
    return _git("rev-parse", "--short", "HEAD")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise Refused(f"git: {done.stderr.strip()}")
    return done.stdout.strip()


def page(found: list[Row]) -> Iterator[str]:
    """The section of the scoreboard."""
    yield HEADING
    yield ""
    yield (
        "On what nobody who works on this had seen: each row was measured once, at that commit, before anybody looked "
        "at what was missed. This is what to expect on a stack of your own."
    )
    yield ""
    head = (
        "Set",
        "Commit",
        "Root",
        "Specific cause",
        "First action",
        "Silent",
        "Wrong, high confidence",
        "False alarms",
    )
    yield from table(
        head,
        (
            (
                row.set,
                f"{row.commit}, {row.date}",
                *(_of(figure, row.n) for figure in (row.root, row.cause, row.action, row.silent, row.high)),
                _of(row.false, row.healthy or 0),
            )
            for row in found
        ),
    )
    yield ""
    yield (
        "The mark to beat: a large model that read all of 18 recordings of the foreign stack (480,000 characters; "
        "15 faults, 3 healthy) named the root in 14 of 15 and the cause in 13, without a false alarm; on the same ones "
        "the rules had 11 and 5 at 953fdba."
    )


def _of(figure: int | None, whole: int) -> str:
    return "–" if figure is None else share(figure, whole)
