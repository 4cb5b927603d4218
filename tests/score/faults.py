"""The faults of the lab, judged from their recordings, without Docker."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from dm_tools.act.propose import propose
from dm_tools.diagnose.analyze import analyze
from dm_tools.diagnose.facts import facts
from dm_tools.diagnose.patterns import Library
from dm_tools.records import Analysis, Role
from tests import lab


@dataclass(frozen=True)
class Outcome:
    """What came out for one fault. With two roots all of them must be right, and no third one may be named."""

    fault: str
    kind: str
    expected: bool  # false: nothing is wrong, and nothing may be reported
    roots_right: bool
    causes_right: bool
    actions_right: bool
    symptoms_right: bool
    said: str
    verdicts: list[tuple[Analysis, bool]]  # every root that was named, and whether service and cause are right
    seconds: float

    @property
    def detected(self) -> bool:
        return bool(self.verdicts)


def judge(path: Path, library: Library) -> dict[str, Analysis]:
    """The verdicts on a recorded stack."""
    records = [json.loads(line) for line in path.read_text().splitlines()]
    return analyze({record["service"]: facts(record, library) for record in records}, library)


def score(library: Library) -> list[Outcome]:
    """Every fault of the lab that is recorded."""
    return [outcome(fault, library) for fault in lab.faults() if fault.recording.exists()]


def outcome(fault: lab.Fault, library: Library) -> Outcome:
    """One fault, judged from its recording."""
    begin = time.perf_counter()
    verdicts = judge(fault.recording, library)
    found = {service: each for service, each in verdicts.items() if each.role == Role.ROOT}
    actions = {service: [each.action for each in propose(service, verdict)] for service, verdict in found.items()}
    seconds = time.perf_counter() - begin
    expected = {root.service: root for root in fault.roots}
    symptoms = {service for service, each in verdicts.items() if each.role == Role.SYMPTOM}
    right = {service: service in expected and each.cause in expected[service].causes for service, each in found.items()}
    return Outcome(
        fault=fault.name,
        kind=fault.kind,
        expected=bool(fault.roots),
        roots_right=set(found) == set(expected),
        causes_right=set(found) == set(expected) and all(right.values()),
        actions_right=set(found) == set(expected)
        and all(actions[name][0] in root.first_actions for name, root in expected.items() if actions[name]),
        symptoms_right=symptoms == set(fault.symptoms),
        said="; ".join(
            f"{name}: {each.cause} ({each.confidence}), {', '.join(actions[name][:1])}" for name, each in found.items()
        )
        or "nothing",
        verdicts=[(each, right[name]) for name, each in found.items()],
        seconds=seconds,
    )
