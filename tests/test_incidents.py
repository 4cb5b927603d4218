"""The same trouble has the same fingerprint in the next run, and another trouble another one."""

from __future__ import annotations

import copy
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dm_tools.diagnose.incidents import fingerprint
from dm_tools.patterns import reading as reader
from dm_tools.records import Analysis, Cause, Role
from tests import lab
from tests.conftest import ROOT, Run
from tests.score import faults

LIBRARY = reader.read(None)
FAULTS = {fault.name: faults.recorded(fault) for fault in lab.faults() if fault.roots}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?=[.Z])")
Stack = list[dict[str, Any]]


def fingerprints(stack: Stack) -> list[str]:
    """Those of the stack's incidents."""
    verdicts = faults.judge(stack, LIBRARY)
    return sorted(fingerprint(name, each) for name, each in verdicts.items() if each.role == Role.ROOT)


def moved(value: Any, by: timedelta) -> Any:
    """A JSON value with every time in it moved."""
    if isinstance(value, dict):
        return {key: moved(each, by) for key, each in value.items()}
    if isinstance(value, list):
        return [moved(each, by) for each in value]
    if isinstance(value, str) and TIME.match(value):
        then = datetime.fromisoformat(value[:19]).replace(tzinfo=UTC) + by
        return then.strftime("%Y-%m-%dT%H:%M:%S") + value[19:]
    return value


def next_run(stack: Stack, later: timedelta, first: int, restarts: int, container: str) -> Stack:
    """The same trouble as another run sees it: later, other ids, more restarts, other numbers of log lines."""
    found: Stack = moved(copy.deepcopy(stack), later)
    for record in found:
        for number, line in enumerate((record.get("logs") or {}).get("lines", []), first):
            line["id"] = f"logs:{number}"
        if inspect := record.get("inspect"):
            inspect["id"] = container
            inspect["restart_count"] += restarts if inspect["restart_count"] else 0
    return found


@pytest.mark.parametrize("name", FAULTS)
@settings(max_examples=4, deadline=None, derandomize=True)
@given(
    later=st.timedeltas(timedelta(seconds=1), timedelta(days=40)),
    first=st.integers(1, 100_000),
    restarts=st.integers(0, 50),
    container=st.text("0123456789abcdef", min_size=64, max_size=64),
)
def test_the_next_run_tells_the_same_incidents(
    name: str, later: timedelta, first: int, restarts: int, container: str
) -> None:
    stack = FAULTS[name]
    assert fingerprints(next_run(stack, later, first, restarts, container)) == fingerprints(stack) != []


def test_two_troubles_have_two_fingerprints() -> None:
    def of(service: str = "db", cause: Cause = Cause.DISK_FULL, host: str | None = None, **captures: str) -> str:
        verdict = faults.judge(FAULTS["database-down"], LIBRARY)["postgres"]
        verdict.cause, verdict.captures = cause, captures
        return fingerprint(service, verdict, host)

    different = [
        of(),
        of("cache"),
        of(cause=Cause.OOM_KILLED),
        of(host="ssh://other"),
        of(path="/data"),
        of(path="/var"),
        of(upstream="db", port="5432"),
        of(upstream="db", port="5433"),
    ]
    assert len(set(different)) == len(different)
    assert of(path="/tmp/upload-4711.part") == of(path="/tmp/upload-12.part")
    assert of(limit="100") == of(limit="200")


def test_it_does_not_depend_on_what_the_evidence_is_called() -> None:
    verdict: Analysis = faults.judge(FAULTS["disk-full"], LIBRARY)["postgres"]
    before = fingerprint("postgres", verdict)
    verdict.evidence, verdict.since, verdict.findings = ["logs:99"], "2031-01-01T00:00:00Z", []
    assert fingerprint("postgres", verdict) == before


DATA = ROOT / "tests" / "data"


def test_the_list_names_what_a_diagnosis_by_hand_found_later(run: Run, tmp_path: Path) -> None:
    """`no incident is open` beside a report of a minute ago that says CRITICAL is not to be believed."""
    judged = f"dm-analyze < {DATA}/database-down.jsonl | dm-propose"
    said = r"not in this list: the diagnosis of .* found postgres failing"
    run(f"dm-analyze < {DATA}/healthy.jsonl | dm-incidents --proofs-dir .", DM_NOW="1732800000")
    assert "no incident is open" in run("dm-incidents list --proofs-dir .").stdout
    run(f"{judged} | dm-report --proofs-dir . --html", DM_NOW="1732800600")
    listed = run("dm-incidents list --proofs-dir .", DM_NOW="1732800700").stdout
    assert re.search(said, listed) and "is open" not in listed
    run(f"{judged} | dm-incidents --proofs-dir .", DM_NOW="1732800500")
    assert not re.search(said, run("dm-incidents list --proofs-dir .", DM_NOW="1732800700").stdout)


def test_a_mistyped_word_is_no_look(run: Run, tmp_path: Path) -> None:
    done = run("dm-incidents lst --proofs-dir .")
    assert done.returncode == 2
    assert "neither a file of records nor list, silence or unsilence" in done.stderr
    assert not (tmp_path / "incidents").exists()
