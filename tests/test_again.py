"""A digest that is kept from round to round: the same verdicts as without, and made anew whenever it may differ."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from dm_tools.diagnose import again
from dm_tools.diagnose.analyze import analyze
from dm_tools.diagnose.facts import facts
from dm_tools.patterns import reading

STACK = [
    json.loads(line) for line in Path(__file__).with_name("data").joinpath("healthy.jsonl").read_text().splitlines()
]
LIBRARY = reading.read(None)


def looked(hour: int, minute: int, **started: str) -> list[dict[str, Any]]:
    """The recorded healthy stack, as if it were seen at a time of the next day: all probes took another time."""
    found = copy.deepcopy(STACK)
    for record in found:
        record["inspect"] |= {"observed_at": f"2027-01-01T{hour:02}:{minute:02}:00.000Z"} | started
        for check in record["probe"]["checks"]:
            check["total_ms"] = hour * 60.0 + minute
    return found


def made(rounds: list[list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many digests each round makes anew; that all verdicts are as if none were kept."""
    kept, counts = again.Again(), []
    for round in rounds:
        calls: list[str] = []

        def counted(record: Any, library: Any, calls: list[str] = calls) -> Any:
            calls.append(record["service"])
            return facts(record, library)

        monkeypatch.setattr(again, "facts", counted)
        stack = {record["service"]: kept.facts(record, LIBRARY) for record in round}
        assert analyze(stack, LIBRARY) == analyze({each["service"]: facts(each, LIBRARY) for each in round}, LIBRARY)
        kept.next()
        counts.append(len(calls))
    return counts


def test_what_is_well_and_the_same_is_digested_once(monkeypatch: pytest.MonkeyPatch) -> None:
    settled = {"started_at": "2026-12-31T00:00:00.000Z"}
    everything = len(STACK)
    assert made([looked(1, minute, **settled) for minute in range(4)], monkeypatch) == [everything, 0, 0, 0]
    assert made([looked(1, minute, **settled) for minute in (0, 9)], monkeypatch) == [everything] * 2  # it is old
    young = {"started_at": "2027-01-01T00:59:00.000Z"}
    assert made([looked(1, minute, **young) for minute in range(2)], monkeypatch) == [everything] * 2


@pytest.mark.parametrize(
    "change",
    [
        {"logs": {"total_lines": 0, "truncated": False, "lines": [], "templates": []}},
        {"probe": {"status": "failed", "checks": []}},
        {"internal": ["http://elsewhere/"]},
        {"errors": [{"stage": "logs", "code": "docker_timeout", "message": "late"}]},
    ],
)
def test_what_has_changed_is_digested_anew(change: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    settled = {"started_at": "2026-12-31T00:00:00.000Z"}
    first, second = looked(1, 0, **settled), looked(1, 1, **settled)
    second[0] |= change
    assert made([first, second], monkeypatch) == [len(STACK), 1]
