"""The same faults in real containers, through the whole pipeline: are they found, and how fast?"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests import lab
from tests.conftest import ROOT, SEALED

HEADING = "## Live, in real containers"
HEALTHY_RUNS = 20


@dataclass(frozen=True)
class Run:
    """One diagnosis. `said`: (service, cause) of every issue of its report."""

    name: str
    right: bool
    seconds: float
    said: list[tuple[str, str]]


def measure() -> list[Run]:
    """Every fault of the lab, one after another, then the healthy shop."""
    lab.up()
    try:
        runs = []
        for fault in lab.faults():
            if fault.roots:
                lab.inject(fault.name)
                runs.append(_run(fault.name, {root.service: set(root.causes) for root in fault.roots}))
                lab.clear()
        return runs + [_run("healthy", {}) for _ in range(HEALTHY_RUNS)]
    finally:
        lab.down()


def _run(name: str, expected: dict[str, set[str]]) -> Run:
    with tempfile.TemporaryDirectory() as proofs:
        begin = time.perf_counter()
        subprocess.run(
            [ROOT / "scripts/supervisor-session.sh", "diagnose-enhanced"],
            env=SEALED | lab.environment() | {"PROOFS_DIR": proofs},
            cwd=proofs,
            capture_output=True,
            timeout=120,
        )
        seconds = time.perf_counter() - begin
        report = json.loads(max(Path(proofs).glob("enhanced_diagnostics_*.json")).read_text())
    said = [(issue["service"], issue["cause"]) for issue in report["issues"]]
    right = {service for service, _ in said} == set(expected) and all(cause in expected[name] for name, cause in said)
    return Run(name, right, seconds, said)


def page(runs: list[Run]) -> Iterator[str]:
    """The section of the scoreboard."""
    faults = [each for each in runs if each.name != "healthy"]
    healthy = [each for each in runs if each.name == "healthy"]
    times = sorted(each.seconds for each in runs)
    yield HEADING
    yield ""
    yield f"Measured with `scripts/score --live` on {os.cpu_count()} processors; the first table replays recordings."
    yield ""
    yield "| What | Figure |"
    yield "| --- | --- |"
    yield f"| faults with root service and cause right | {sum(each.right for each in faults)} of {len(faults)} |"
    alarms = sum(not each.right for each in healthy)
    yield f"| false alarms in diagnoses of the healthy shop | {alarms} of {len(healthy)} |"
    yield f"| time to the report, median and longest | {statistics.median(times):.1f} s, {times[-1]:.1f} s |"
    for each in runs:
        if not each.right:
            yield f"\n- `{each.name}`: {each.said or 'nothing'}"
