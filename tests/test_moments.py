"""What happened when, in a report; and what has changed since the one before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dm_tools.evidence import moments
from dm_tools.evidence.view import View
from dm_tools.records import Moment
from tests import making
from tests.conftest import Run
from tests.test_report import incident, judged

Json = dict[str, Any]


def at(second: int) -> str:
    """A time."""
    return f"2026-01-01T00:{second // 60:02d}:{second % 60:02d}Z"


def event(second: int, action: str, exit_code: int | None = None) -> Json:
    """Something that the engine did."""
    return {"ts": at(second), "action": action, "exit_code": exit_code, "signal": None}


@pytest.mark.parametrize(
    ("inspect", "told"),
    [
        (
            {"events": [event(1, "create"), event(2, "start"), event(9, "die", 137)]},
            [
                (at(1), "container made", 1),
                (at(2), "container started", 1),
                (at(9), "container ended (exit code 137)", 1),
            ],
        ),
        (  # a crash loop is two lines, however long it goes on
            {
                "events": [
                    event(2 * n + k, name, code)
                    for n in range(9)
                    for k, name, code in ((0, "start", None), (1, "die", 1))
                ]
            },
            [(at(0), "container started", 9), (at(1), "container ended (exit code 1)", 9)],
        ),
        (  # the engine has forgotten
            {"events": [], "state": "exited", "exit_code": 2, "started_at": at(3), "finished_at": at(5)},
            [(at(3), "container started", 1), (at(5), "container ended (exit code 2)", 1)],
        ),
        ({"events": [], "started_at": "0001-01-01T00:00:00Z", "finished_at": "0001-01-01T00:00:00Z"}, []),
    ],
)
def test_what_the_engine_did_is_told_once_in_the_same_words(inspect: Json, told: list[tuple[str, str, int]]) -> None:
    record = making.service("db") | {"inspect": making.inspect("db", **inspect)}
    assert [(each.at, each.text, each.times) for each in moments.of_service(View.of(record), [])] == told


def test_a_trace_is_told_by_its_decisive_line() -> None:
    record = making.service("app", log=("Traceback (most recent call last):\n  File x\nValueError: no",))
    (line,) = record["logs"]["lines"]
    found = moments.of_service(View.of(record), [line["id"]])
    assert [each.text for each in found if "container" not in each.text] == ["ValueError: no"]


def test_of_a_symptom_only_what_is_near_the_beginning_is_told_and_of_much_both_ends() -> None:
    old, new = Moment(at(0), "app", "old"), Moment(at(1200), "app", "new")
    found = moments.of_incident("db", at(1100), [new, old, Moment(at(0), "db", "own"), Moment(at(1190), "db", "end")])
    assert [each.text for each in found] == ["own", "end", "new"]
    many = [Moment(at(n), "db", str(n)) for n in range(100)]
    kept = [int(each.text) for each in moments.of_incident("db", None, many)]
    assert (len(kept), kept[0], kept[-1]) == (moments.SHOWN, 0, 99)


def report(run: Run, tmp_path: Path, text: str, now: int) -> Json:
    """The enhanced report of a recorded stack."""
    done = run("dm-report --html --proofs-dir proofs", stdin=judged(run, text), DM_NOW=str(now))
    found: Json = json.loads((tmp_path / json.loads(done.stdout)["report_path"]).read_text())
    return found


def test_a_report_tells_what_happened_and_what_has_changed(run: Run, tmp_path: Path) -> None:
    first = report(run, tmp_path, incident("redis-maxmemory"), 1800000000)
    assert first["since_last"] is None
    second = report(run, tmp_path, incident("database-down"), 1800000060)
    last = second["since_last"]
    assert (last["report_id"], last["generated_at"]) == (first["report_id"], first["generated_at"])
    assert (last["begun"], last["over"], last["going_on"]) == (["postgres: exited"], ["redis: store read only"], [])
    (issue,) = second["issues"]
    assert [each["at"] for each in issue["moments"]] == sorted(each["at"] for each in issue["moments"])
    ended = next(n for n, each in enumerate(issue["moments"]) if "ended" in each["text"])
    assert issue["moments"][ended]["service"] == "postgres"
    assert {each["service"] for each in issue["moments"][ended + 1 :]} == {"app", "web", "worker"}
    third = report(run, tmp_path, incident("database-down"), 1800000120)
    assert third["since_last"]["going_on"] == ["postgres: exited"]
    text = run("dm-show latest", PROOFS_DIR="proofs").stdout
    assert "since the report of 2027-01-15 08:01:00 UTC:\n    still: postgres: exited\n" in text
    page = next((tmp_path / "proofs").glob("enhanced*60.html")).read_text()
    assert "Since the report of 2027-01-15 08:00:00 UTC" in page and "What happened when" in page


def test_of_what_was_not_looked_at_nobody_knows_whether_it_is_over(run: Run, tmp_path: Path) -> None:
    report(run, tmp_path, incident("database-down"), 1800000000)
    alone = "".join(line + "\n" for line in incident("healthy").splitlines() if json.loads(line)["service"] == "redis")
    assert report(run, tmp_path, alone, 1800000060)["since_last"]["over"] == []


def test_a_torn_report_before_costs_only_the_comparison(run: Run, tmp_path: Path) -> None:
    (tmp_path / "proofs").mkdir()
    (tmp_path / "proofs" / "enhanced_diagnostics_1799999999.json").write_text('{"issues": [')
    assert report(run, tmp_path, incident("database-down"), 1800000000)["since_last"] is None
