"""The faults of the lab, judged from their recordings, without Docker."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from dm_tools.act.propose import propose
from dm_tools.diagnose.analyze import analyze
from dm_tools.patterns.language import Library
from dm_tools.records import Analysis, Role
from tests import lab
from tests.score.once import facts

Record = dict[str, Any]


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


def recorded(fault: lab.Fault) -> list[Record]:
    """The records of a fault's stack."""
    return [json.loads(line) for line in fault.recording.read_text().splitlines()]


def judge(records: list[Record], library: Library) -> dict[str, Analysis]:
    """The verdicts on a stack."""
    return analyze({record["service"]: facts(record, library) for record in records}, library)


def score(library: Library) -> list[Outcome]:
    """Every fault of the lab that is recorded."""
    return [outcome(fault, library) for fault in lab.faults() if fault.recording.exists()]


def score_without_healthchecks(library: Library) -> list[Outcome]:
    """The same where no container has a healthcheck, but for the faults that are a healthcheck's own."""
    return [
        outcome(fault, library, healthchecks=False)
        for fault in lab.faults()
        if fault.recording.exists() and not fault.name.startswith("healthcheck-")
    ]


SAID_AGAIN = 4


def without_healthchecks(records: list[Record]) -> list[Record]:
    """The stack as it is recorded where no container has a healthcheck, which is so in many a Compose file.

    A recording keeps few lines of each kind: what the program of a running container said last is said once more.
    """
    for record in records:
        inspect = record.get("inspect")
        if not inspect or inspect["state"] != "running":
            continue
        inspect |= {"health": None, "has_healthcheck": False, "health_log": []}
        inspect["events"] = [each for each in inspect["events"] if "health" not in each["action"]]
        lines = (record.get("logs") or {"lines": []})["lines"]
        again = [dict(line) for line in lines[-SAID_AGAIN:]]
        lines += [line | {"id": f"logs:{number}"} for number, line in enumerate(again, len(lines))]
        if not record.get("probe"):
            continue
        checks = record["probe"]["checks"]
        for check in checks:
            if check["kind"] == "container":
                check |= {"ok": True, "error": None, "message": None}
        good = [check["ok"] for check in checks]
        record["probe"]["status"] = "healthy" if all(good) else "degraded" if any(good) else "failed"
    return records


def outcome(fault: lab.Fault, library: Library, healthchecks: bool = True) -> Outcome:
    """One fault, judged from its recording."""
    records = recorded(fault)
    begin = time.perf_counter()
    verdicts = judge(records if healthchecks else without_healthchecks(records), library)
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
