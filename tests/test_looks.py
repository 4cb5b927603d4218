"""What one look says of incidents: on every recorded fault, and on what is meant to be as it is."""

from __future__ import annotations

from typing import Any

import pytest

from dm_tools.diagnose.looks import Sight, completed, look, quotes
from dm_tools.diagnose.state import State
from dm_tools.diagnose.watching import Moment, judged
from dm_tools.patterns import reading as reader
from dm_tools.records import Problem, Role, with_section
from tests import lab
from tests.making import service
from tests.score import faults

LIBRARY = reader.read(None)
FAULTS = {fault.name: faults.recorded(fault) for fault in lab.faults() if fault.roots}
MEANT = {"stopped": {"worker"}}  # by `docker stop`, and nobody suffers


def looks(stack: list[dict[str, Any]]) -> list[Any]:
    """The looks at a stack, judged by the rules."""
    verdicts = faults.judge(stack, LIBRARY)
    records = [with_section(record, "analysis", verdicts[record["service"]]) for record in stack]
    quoted = {id: words for record in records for id, words in quotes(record).items()}
    return [completed(look(record), quoted) for record in records]


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_opens_its_incidents_and_no_other(name: str) -> None:
    stack = FAULTS[name]
    roots = {service for service, verdict in faults.judge(stack, LIBRARY).items() if verdict.role == Role.ROOT}
    _, events = judged(State(), looks(stack), Moment("now", 0.0, 0.0, "boot"))
    assert {each.service for each in events} == roots - MEANT.get(name, set())
    for each in events:
        assert each.kind == "opened" and each.text and each.severity and each.fingerprint
        assert each.evidence or each.cause in ("inconclusive", "container_missing")


STOP = [
    {"ts": "2026-01-01T00:09:00Z", "action": "kill", "signal": 15},
    {"ts": "2026-01-01T00:09:01Z", "action": "die", "exit_code": 143},
    {"ts": "2026-01-01T00:09:01Z", "action": "stop"},
]
DOWN = {"state": "exited", "finished_at": "2026-01-01T00:09:01Z"}


@pytest.mark.parametrize(
    "status, changes, sight",
    [
        ("healthy", {}, Sight.GOOD),
        ("failed", {}, Sight.BAD),
        ("failed", {"health": "starting", "has_healthcheck": True}, Sight.NOTHING),
        ("failed", {"health": "starting", "has_healthcheck": True, "restart_count": 3}, Sight.BAD),
        ("failed", DOWN | {"exit_code": 143, "events": STOP}, Sight.STOPPED),
        (
            "failed",
            DOWN | {"exit_code": 137, "events": [*STOP[:1], STOP[1] | {"exit_code": 137}, *STOP[2:]]},
            Sight.STOPPED,
        ),
        ("failed", DOWN | {"exit_code": 1, "events": [STOP[1] | {"exit_code": 1}]}, Sight.BAD),
        ("failed", {"state": "removing"}, Sight.NOTHING),
        ("failed", {"state": "created", "events": [{"ts": "2026-01-01T00:09:58Z", "action": "create"}]}, Sight.NOTHING),
    ],
)
def test_what_is_meant_is_no_trouble(status: str, changes: dict[str, Any], sight: Sight) -> None:
    assert looks([service("web", status, **changes)])[0].sight == sight


def test_a_job_that_has_done_its_work_is_well() -> None:
    job = service("job", **DOWN, exit_code=0, restart_policy="no") | {"probe": None}
    assert looks([job])[0].sight == Sight.GOOD


def test_a_service_that_was_not_seen_to_the_end_says_nothing() -> None:
    gone = service("web") | {"errors": [{"stage": "logs", "code": "container_gone", "message": "gone"}]}
    assert looks([gone])[0].sight == Sight.NOTHING


@pytest.mark.parametrize(
    "section, words, helped",
    [
        ({"execution": {"id": "a", "status": "done"}}, ("restart: done",), None),
        (
            {"execution": {"id": "a", "status": "failed", "reason": "no such image"}},
            ("restart: failed: no such image",),
            False,
        ),
        (
            {"verification": {"proof": "recovered", "gone": ["db: down"], "stays": [], "new": [], "action_ids": ["a"]}},
            ("looked again: recovered; db: down",),
            True,
        ),
        (
            {
                "verification": {
                    "proof": "worse",
                    "gone": [],
                    "stays": ["db: down"],
                    "new": ["web: 502"],
                    "action_ids": ["a"],
                }
            },
            ("looked again: worse; db: down; web: 502",),
            False,
        ),
        ({"verification": {"proof": "not_recovered", "gone": [], "stays": ["db: down"], "new": []}}, (), None),
    ],
)
def test_what_was_done_is_told(section: dict[str, Any], words: tuple[str, ...], helped: bool | None) -> None:
    found = look({"v": 1, "service": "db", "action": "restart"} | section)
    assert found.healing is not None
    assert (found.healing.words, found.healing.helped, found.sight) == (words, helped, Sight.NOTHING)


def test_a_record_that_was_not_judged_is_no_look() -> None:
    with pytest.raises(Problem, match="not judged"):
        look(service("web"))
    with pytest.raises(Problem, match="section 'analysis'"):
        look(service("web") | {"analysis": {"role": "king"}})
