"""Every recorded fault judged by the real commands, without Docker; tests/test_faults.py does it on real containers."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from tests import lab as fault_lab
from tests.conftest import SEALED, records

FAULTS = {fault.name: fault for fault in fault_lab.faults()}
Judged = list[dict[str, Any]]


def judge(fault: fault_lab.Fault) -> Judged:
    """What dm-analyze and dm-propose make of a recording."""
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", "dm-analyze | dm-propose"],
        input=fault.recording.read_text(),
        env=SEALED,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode in (0, 4), done.stderr  # 4: some evidence is missing, in the recording already
    return records(done.stdout)


@pytest.fixture(scope="module")
def judged() -> Iterator[dict[str, Future[Judged]]]:
    """Fault → what is judged of it; a few are judged at once, since most of the time is the commands' start."""
    with ThreadPoolExecutor(4) as pool:
        yield {name: pool.submit(judge, fault) for name, fault in FAULTS.items()}


@pytest.mark.parametrize("name", FAULTS)
def test_the_recorded_fault_is_judged_rightly(judged: dict[str, Future[Judged]], name: str) -> None:
    assert fault_lab.wrong(FAULTS[name], judged[name].result()) == []


def test_every_fault_is_recorded_and_every_recording_is_of_a_fault() -> None:
    recordings = next(iter(FAULTS.values())).recording.parent
    assert {path.name for path in recordings.iterdir()} == {f"{name}.jsonl" for name in FAULTS}


def test_every_way_of_putting_a_fault_in_and_every_combination_is_lived_through_each_time() -> None:
    everything = list(FAULTS.values())
    chosen = fault_lab.one_per_way(everything)
    assert {way for fault in chosen for way in fault.ways} == {way for fault in everything for way in fault.ways}
    assert [fault for fault in everything if fault.kind == "combination" and fault not in chosen] == []
    # A single fault is chosen only for a way of its own.
    combined = {way for fault in chosen if fault.kind == "combination" for way in fault.ways}
    for index, fault in enumerate(chosen):
        before = {way for other in chosen[:index] for way in other.ways}
        assert fault.kind == "combination" or fault.ways - before - combined, fault.name


def test_no_recording_holds_a_secret() -> None:
    for fault in FAULTS.values():
        text = fault.recording.read_text()
        assert not [secret for secret in fault_lab.recording.secrets() if secret in text], fault.name


def test_the_catalogue_names_causes_and_actions_that_exist() -> None:
    from dm_tools.records import ActionName, Cause

    for fault in FAULTS.values():
        for root in fault.roots:
            assert set(root.causes) <= set(Cause), fault.name
            assert set(root.first_actions) <= set(ActionName), fault.name
