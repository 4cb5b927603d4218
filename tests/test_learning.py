"""Draft patterns: only of what stood before incidents that an action ended, proved, and is gone; for a person."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from dm_tools.diagnose import learning
from dm_tools.patterns import reading
from dm_tools.records import ActionName, Cause, EventKind, HistoryEvent, Outcome, Proof
from dm_tools.store.history import History, identified
from tests.conftest import Run, records
from tests.making import service

HEALTHY = ["2026-01-09 worker-2: lease of shard 7 renewed", "2026-01-09 started", "GET /health 200"]


def occasion(number: int, *lines: str, proof: Proof | None = Proof.RECOVERED, **more: Any) -> list[HistoryEvent]:
    """An incident with what its log said, the restart that followed, and its proof."""
    common: dict[str, Any] = {"service": "worker", "image": "example/worker:3", "fingerprint": "f1"} | more
    action = {"action_id": f"a{number}", "action": ActionName.RESTART, "outcome": Outcome.DONE}
    day = f"2026-01-{number:02d}T10"
    found = [
        HistoryEvent(kind=EventKind.INCIDENT, at=f"{day}:00:00Z", cause=Cause.UNRESPONSIVE, lines=[*lines], **common),
        HistoryEvent(kind=EventKind.EXECUTION, at=f"{day}:05:00Z", **action, **common),
    ]
    if proof:
        found.append(
            HistoryEvent(kind=EventKind.PROOF, at=f"{day}:06:00Z", action_id=f"a{number}", proof=proof, **common)
        )
    return [identified(each) for each in found]


def lost(number: int) -> str:
    """A line that stands before trouble."""
    return f"2026-01-{number:02d} 10:00 ERROR worker-{number}: lease of shard {number * 7} lost, giving up"


TWICE = occasion(1, lost(1), "GET /health 200") + occasion(2, lost(2), "cleaning up")


def test_a_line_that_stood_before_and_is_gone_becomes_a_draft() -> None:
    (draft,) = learning.learned(TWICE, {"worker": HEALTHY})
    assert draft.parts[0].startswith("ERROR worker")
    assert (draft.incidents, draft.cured, draft.cause, draft.action) == (2, 2, "unresponsive", "restart")
    assert draft.examples == (lost(1), lost(2))
    assert draft.near_misses[0] == HEALTHY[0]
    text = learning.written(draft)
    reading.checked("draft.toml", text)
    (pattern,) = tomllib.loads(text)["pattern"]
    assert pattern["says"][0]["example"] == [lost(1), lost(2)]
    assert pattern["fixes"][0]["action"] == "restart"


@pytest.mark.parametrize(
    ("events", "healthy"),
    [
        (TWICE, {}),
        (TWICE, {"other": HEALTHY}),
        (TWICE, {"worker": [*HEALTHY, lost(9)]}),  # it says so when it is well, too
        (occasion(1, lost(1)), {"worker": HEALTHY}),
        (occasion(1, lost(1)) + occasion(2, lost(2), proof=Proof.NOT_RECOVERED), {"worker": HEALTHY}),
        (occasion(1, lost(1)) + occasion(2, lost(2), proof=None), {"worker": HEALTHY}),
        (occasion(1, lost(1)) + occasion(2, "ERROR something else went wrong here"), {"worker": HEALTHY}),
        (occasion(1, lost(1)) + occasion(2, lost(2), service="web"), {"worker": HEALTHY, "web": HEALTHY}),
        (occasion(1, "all is well in here") + occasion(2, "all is well in here"), {"worker": HEALTHY}),  # no complaint
        (occasion(1, "ERROR 17") + occasion(2, "ERROR 18"), {"worker": HEALTHY}),  # it says nothing
        (occasion(1) + occasion(2), {"worker": HEALTHY}),
    ],
)
def test_what_is_not_learned(events: list[HistoryEvent], healthy: dict[str, list[str]]) -> None:
    assert learning.learned(events, healthy) == []


def test_a_secret_does_not_reach_a_draft() -> None:
    line = "ERROR login failed for queue user: password=hunter2hunter2 refused {}"
    events = [each for number in (1, 2) for each in occasion(number, line.format(number))]
    (draft,) = learning.learned(events, {"worker": HEALTHY})
    assert "hunter2" not in learning.written(draft)
    assert "login failed" in learning.written(draft)


@given(st.lists(st.text(min_size=1, max_size=60), min_size=1, max_size=4), st.text(max_size=30))
@settings(max_examples=60, deadline=None)
def test_whatever_a_log_holds_a_draft_is_a_pattern_file_that_fires_on_its_example(lines: list[str], name: str) -> None:
    told = [f"ERROR cannot {line} at all today" for line in lines]
    events = [each for number in (1, 2) for each in occasion(number, *told, image=name)]
    for draft in learning.learned(events, {"worker": HEALTHY}):
        text = learning.written(draft)
        reading.checked("draft.toml", text)
        (pattern,) = tomllib.loads(text)["pattern"]
        saying = re2.compile(pattern["says"][0]["text"])
        assert all(saying.search(each) for each in draft.examples)
        assert not any(saying.search(each) for each in draft.near_misses)


def test_a_person_accepts_or_drops(run: Run, tmp_path: Path) -> None:
    History(tmp_path / "p").append(*TWICE)
    record = service("worker", log=[*HEALTHY])
    (tmp_path / "healthy.jsonl").write_text(json.dumps(record) + "\n")
    learn = "dm-analyze < healthy.jsonl | dm-learn --proofs-dir p"
    (told,) = records(run(learn).stdout)
    assert told["service"] == "worker"
    assert run(learn).stdout == ""  # it is there
    assert run(f"dm-learn --proofs-dir p --drop {told['id']}").returncode == 0
    assert run(learn).stdout == ""  # nobody is asked twice
    (tmp_path / "p/drafts/dropped").rename(tmp_path / "elsewhere")
    assert len(records(run(learn).stdout)) == 1
    assert run(f"dm-learn --proofs-dir p --accept {told['id']}").returncode == 2  # where to?
    assert run(f"dm-learn --proofs-dir p --patterns own --accept {told['id']}").returncode == 0
    broken = service("worker", "failed", log=[lost(5)])
    (tmp_path / "broken.jsonl").write_text(json.dumps(broken) + "\n")
    (judged,) = records(run("dm-analyze --patterns own broken.jsonl").stdout)
    assert told["id"] in [each["pattern"] for each in judged["analysis"]["findings"]]
    for name in ("../x", "nothing.here-0000"):
        assert run(f"dm-learn --proofs-dir p --drop {name}").returncode == 3
