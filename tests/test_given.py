"""The given cases, each a test under its kind: what is right stays right, and what is open is known by name."""

from __future__ import annotations

import datetime
import re
from typing import Any

import pytest

from dm_tools.records import Cause
from tests.conftest import ROOT
from tests.score import first_sight, given, once, truth

pytestmark = pytest.mark.xdist_group("score")  # beside test_score.py, which counts the same outcomes

LOOKS = given.looks()
BY_KIND = sorted(LOOKS, key=lambda name: LOOKS[name].truth.kind)


@pytest.fixture(scope="module", autouse=True)
def _accepted(pytestconfig: pytest.Config) -> None:
    if pytestconfig.getoption("accept"):
        given.accept({name: given.outcome(name) for name in LOOKS})


@pytest.mark.parametrize("name", BY_KIND, ids=lambda name: f"{LOOKS[name].truth.kind}-{name}")
def test_as_right_as_it_is_known_to_be(name: str) -> None:
    """A case that has become right is to be taken out of open.txt, so that it stays right."""
    found, known = given.outcome(name), given.still_open().get(name, frozenset())
    worse, better = found.misses - known, known - found.misses
    truths = LOOKS[name].truth
    assert not worse, f"{name}: {', '.join(sorted(worse))} became wrong\nthe truth: {truths.cause}\nsaid: {found.said}"
    assert not better, f"{name}: {', '.join(sorted(better))} is right now: take it out of {given.OPEN.name} (--accept)"


def test_open_cases_exist() -> None:
    assert set(given.still_open()) <= set(LOOKS)


@pytest.mark.parametrize("name", LOOKS)
def test_a_truth_speaks_of_its_recording(name: str) -> None:
    """Its services are there (an outside host is a domain), its line is in it, and a fault says what is right."""
    look = LOOKS[name]
    services = {record["service"] for record in look.records}
    assert services
    roots = frozenset[str]().union(*look.truth.roots)
    gone = roots if Cause.CONTAINER_MISSING in look.truth.causes else frozenset()
    assert {each for each in roots if "." not in each} <= services | gone
    if not roots:
        return
    assert look.truth.causes and look.truth.words and look.truth.actions and look.truth.cause
    if look.truth.causal_line:
        assert any(look.truth.causal_line.search(text) for record in look.records for text in _texts(record))


def _texts(record: dict[str, Any]) -> list[str]:
    inspect = record.get("inspect") or {}
    said = [line["text"] for line in (record.get("logs") or {"lines": []})["lines"]]
    checks = (record.get("probe") or {"checks": []})["checks"]
    asked = [each.get("message") or "" for each in checks]
    return [*said, *asked, inspect.get("error") or "", *(each["output"] for each in inspect.get("health_log", []))]


def _look(**changed: Any) -> truth.Look:
    """A cache whose log says that its memory is used up."""
    case = {
        "name": "made",
        "cause": "its memory is used up",
        "roots": ["redis"],
        "causes": ["store_read_only"],
        "words": ["MAXMEMORY"],
        "actions": ["check_config"],
        "causal_line": "OOM command",
    }
    line = "OOM command not allowed when used memory > 'maxmemory'."
    return truth.Look(
        truth._truth(case | changed, []),
        [truth.cases.record({"apps": ["redis"], "evidence": line})],
    )


@pytest.mark.parametrize(
    ("changed", "misses"),
    [
        ({}, set()),
        ({"roots": ["db"]}, {"root", "action"}),
        ({"roots_all": ["redis", "db"]}, {"root:db", "cause:db", "action:db"}),
        ({"words": ["disk"]}, {"cause"}),
        ({"actions": ["renew_certificate"]}, {"action"}),
        ({"causal_line": "no such line"}, {"line"}),
        ({"false_words": ["maxmemory"]}, {"words"}),
        ({"roots": [], "causal_line": ""}, {"false"}),
        ({"roots": [], "kind": "stopped", "events": ["on purpose"]}, {"event"}),
    ],
)
def test_the_judge_sees_what_is_not_right(changed: dict[str, Any], misses: set[str]) -> None:
    assert truth.judge(_look(**changed), once.library()).misses == misses


def test_a_key_that_means_nothing_is_refused(tmp_path: Any) -> None:
    (tmp_path / "expected.toml").write_text('[[case]]\nname = "one"\nroots = []\nroot = "typo"\n')
    with pytest.raises(ValueError, match=re.escape("'root'")):
        list(truth.looks(tmp_path))


LOG_ALONE = """
[[case]]
name = "alone"
roots = ["frob"]
cause = "nobody knows"
causes = ["exited"]
words = ["nobody knows"]
actions = ["check_logs"]
"""


def test_a_set_is_seen_for_the_first_time_once(tmp_path: Any) -> None:
    folder, kept = tmp_path / "made", tmp_path / "rows.toml"
    folder.mkdir()
    (folder / "expected.toml").write_text((given.FOLDER / "newcomer" / "expected.toml").read_text())
    for path in (given.FOLDER / "newcomer").glob("*.jsonl*"):
        (folder / path.name).write_bytes(path.read_bytes())
    kept.write_text(first_sight.KEPT.read_text())
    expected = (given.FOLDER / "newcomer" / "expected.toml").read_text() + LOG_ALONE
    (folder / "expected.toml").write_text(expected)
    (folder / "alone.jsonl").write_bytes((folder / "frob.jsonl").read_bytes())
    (folder / "alone.log").write_text("2026-12-01T00:00:00Z it does not tell why\n")
    whole, log = first_sight.measure(folder, once.library(), "abc1234", datetime.date(2026, 12, 1), kept)
    assert (whole.n, whole.healthy, log.n, log.silent) == (4, 0, 1, 1)
    assert log.set == f"{whole.set}, the log alone"
    assert first_sight.rows(kept) == [*first_sight.rows(), whole, log]
    with pytest.raises(first_sight.Refused, match="once"):
        first_sight.measure(folder, once.library(), "abc1234", datetime.date(2026, 12, 2), kept)


def test_first_sight_tells_nothing_of_what_was_missed_and_stays_as_it_was() -> None:
    found = first_sight.rows()
    assert [(row.n, row.root, row.cause, row.commit) for row in found[:3]] == [
        (58, 28, 18, "953fdba"),
        (68, None, 31, "953fdba"),
        (97, None, 28, "953fdba"),
    ]
    text = "\n".join(first_sight.page(found))
    assert "| a foreign stack of 13 services, live | 953fdba, 2026-11-26 | 28 of 58 (48 %) |" in text
    assert "| 28 of 97 (28 %) | – | – | – | – |" in text


def test_the_scoreboard_leads_with_what_nobody_had_seen() -> None:
    headings = re.findall(r"^## (.*)$", (ROOT / "docs" / "scoreboard.md").read_text(), re.MULTILINE)
    assert headings[:3] == ["First sight", "Given cases", "Our own lab and public cases"]
