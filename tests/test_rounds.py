"""Markers: a round goes in, a round comes out, through every filter, in order, with whatever stands between."""

from __future__ import annotations

import io
import json
import random
import time
from typing import Any

import pytest

from dm_tools import records as contract
from dm_tools.pipe import stream
from dm_tools.pipe.rounds import rounds
from tests.conftest import Run, records

FILTERS = {name: f"dm-{name}" for name in ("inspect", "logs", "stats", "condense", "redact", "analyze", "propose")} | {
    "probe": "dm-probe -t 1",
    "screenshot": "dm-screenshot --when unhealthy -t 1",
}


def marker(number: int, **more: Any) -> dict[str, Any]:
    """A marker as dm-services writes it."""
    return {"v": 1, "round": {"number": number, "at": "2026-11-30T12:00:00.000Z", "services": 2} | more}


def services(*names: str) -> list[dict[str, Any]]:
    """Records that a filter has little to do with."""
    return [contract.new(name, internal=["tcp://127.0.0.1:1"]) for name in names]


def lines(*values: Any) -> str:
    """JSON Lines; a text stays as it is."""
    return "".join((value if isinstance(value, str) else json.dumps(value)) + "\n" for value in values)


def shape(found: list[dict[str, Any]]) -> list[list[Any]]:
    """What came out: a list for each round, sorted within it, ended by the marker's number (None: by the end)."""
    whole: list[list[Any]] = [[]]
    for each in found:
        if contract.is_marker(each):
            whole[-1] = [*sorted(whole[-1]), each["round"]["number"]]
            whole.append([])
        else:
            whole[-1].append(each.get("service", "bad"))
    return [*whole[:-1], sorted(whole[-1])]


STREAMS = {
    "two rounds": (
        lines(*services("a", "b"), marker(1), *services("a", "b"), marker(2)),
        [["a", "b", 1], ["a", "b", 2], []],
    ),
    "a bad line between": (
        lines(*services("a"), "{]", marker(1), "{]", *services("b"), marker(2)),
        [["a", "bad", 1], ["b", "bad", 2], []],
    ),
    "a marker first, and two in a row": (
        lines(marker(1), *services("a"), marker(2), marker(3), *services("b")),
        [[1], ["a", 2], [3], ["b"]],
    ),
    "a marker last without newline": (lines(*services("a"), marker(1, late_s=2.5)).rstrip("\n"), [["a", 1], []]),
    "a marker that is none": (lines(*services("a"), '{"round": 5}', marker(1)), [["a", "bad", 1], []]),
}


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("case", STREAMS)
def test_rounds_go_in_and_come_out(run: Run, name: str, case: str) -> None:
    given, expected = STREAMS[case]
    found = records(run(FILTERS[name], given).stdout)
    assert shape(found) == expected
    came = [each for each in records("\n".join(line for line in given.split("\n") if line != "{]")) if "round" in each]
    assert [each for each in found if contract.is_marker(each)] == [each for each in came if each["round"] != 5]


def test_what_a_marker_holds_that_nobody_knows_is_passed_on(run: Run) -> None:
    given = marker(1, of_tomorrow=[1]) | {"errors": [contract.error("services", "docker_unreachable", "x")], "more": 1}
    assert records(run("dm-probe | dm-analyze | dm-redact", lines(given)).stdout) == [given]


@pytest.mark.parametrize("keep_order", [False, True])
def test_no_marker_overtakes_and_none_is_overtaken(keep_order: bool) -> None:
    chance = random.Random(1)
    given: list[dict[str, Any]] = []
    for number in range(1, 30):
        given += [contract.new(f"s{number}-{each}") for each in range(chance.randrange(12))] + [marker(number)]
    called: list[int] = []
    begun: list[str] = []

    def work(record: dict[str, Any]) -> dict[str, Any]:
        begun.append(record["service"])
        time.sleep(chance.random() / 200)
        return record

    found = []
    for record, _ in stream.pmap(work, given, "x", 3, keep_order, lambda: called.append(len(begun))):
        found.append(record)
    if keep_order:
        assert found == given
    assert shape(found) == shape(given)
    # `between` is called when all of the round has been worked on, and nothing of the next
    sizes = [len(each) - 1 for each in shape(given)[:-1]]
    assert called == [sum(sizes[: index + 1]) for index in range(len(sizes))]


def test_rounds_are_judged_by_themselves(run: Run) -> None:
    """What is gone in the next round is forgotten, and the same name there is no second record."""
    down = contract.new("db") | {"probe": {"status": "failed", "checks": []}}
    given = lines(down, *services("web"), marker(1), *services("web"), marker(2))
    found = records(run("dm-analyze | dm-propose", given).stdout)
    assert [each.get("errors", []) for each in found] == [[], [], [], [], []]
    assert [each["analysis"]["role"] for each in found if "analysis" in each] == ["root", "unknown", "unknown"]


def test_views_for_people_show_each_round(run: Run) -> None:
    given = STREAMS["two rounds"][0]
    shown = run("dm-show", given).stdout.split("\n")
    assert [line.split()[0] for line in shown if line] == ["SERVICE", "?", "?", "---", "SERVICE", "?", "?", "---"]
    assert run("dm-show --overview", given).stdout.count("--- round") == 2
    assert run("dm-show --overview", given).stdout.count("2 services") == 2
    assert run("dm-brief", given).stdout.count(run("dm-brief", lines(*services("a", "b"))).stdout) == 2


def test_a_stream_without_markers_is_one_round() -> None:
    (only,) = rounds(services("a", "b"))
    assert [each["service"] for each in only] == ["a", "b"]
    assert only.marker is None


def test_a_line_of_a_record_with_a_round_of_its_own_is_a_record() -> None:
    (found,) = stream.read(io.BytesIO(b'{"service": "x", "round": 5}\n'), "report")
    assert not contract.is_marker(found)
    assert found["service"] == "x"
