"""The sets of secrets that were written without sight of the rules: what is open stands in a list that only shrinks."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from tests import shapes
from tests.conftest import ROOT
from tests.score import secrets
from tests.score.first_sight import Refused

OPEN = shapes.FOLDER / "open.txt"
SETS = [row.set for row in secrets.rows()]


def listed() -> set[str]:
    """What is known to be wrong: `set/kind/id leaked|lost`."""
    lines = (line.partition("#")[0].split() for line in OPEN.read_text("utf-8").splitlines())
    return {" ".join(words) for words in lines if words}


@pytest.mark.parametrize("name", SETS)
def test_nothing_is_wrong_that_is_not_listed_and_nothing_listed_is_right(name: str) -> None:
    found = {
        f"{name}/{kind}/{each.id} {how}"
        for kind, judged in secrets.judged(shapes.FOLDER / name).items()
        for each in judged
        for how, wrong in (("leaked", each.leaked), ("lost", each.lost))
        if wrong
    }
    known = {each for each in listed() if each.startswith(f"{name}/")}
    assert found <= known
    assert known <= found, f"right now: take it out of {OPEN.name}"


def test_a_set_is_measured_once(tmp_path: Path) -> None:
    folder, kept = tmp_path / "made", tmp_path / "rows.toml"
    folder.mkdir()
    kept.write_text("")
    made = {
        "announced": {"id": "a", "text": "zq hunter29x at db", "gone": ["hunter29x"], "keep": ["db"]},
        "known": {
            "id": "k",
            "environment": {"A_PASSWORD": "hunter29x"},
            "lines": ["a hunter29x"],
            "gone": ["hunter29x"],
        },
        "plain": {"id": "p", "argv": ["--token", "hunter29x"], "lines": ["it was hunter29x"]},
    }
    for kind, entry in made.items():
        (folder / f"{kind}.jsonl").write_text(json.dumps(entry) + "\n")
    row = secrets.measure(folder, "abc1234", datetime.date(2026, 12, 1), kept)
    assert (row.announced, row.announced_leaked, row.announced_overmasked) == (1, 1, 0)
    assert (row.known, row.known_leaked, row.plain, row.plain_masked) == (1, 0, 1, 1)
    assert secrets.rows(kept) == [row]
    with pytest.raises(Refused, match="once"):
        secrets.measure(folder, "abc1234", datetime.date(2026, 12, 2), kept)


@pytest.mark.parametrize("row", secrets.rows(), ids=SETS)
def test_the_page_tells_first_sight_as_it_was_measured(row: secrets.Row) -> None:
    assert secrets.told(row) in (ROOT / "docs/security.md").read_text("utf-8")
