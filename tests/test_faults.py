"""Every fault of the lab, put into real containers and diagnosed by the whole pipeline, supervisor-session.sh."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests import lab as fault_lab
from tests.conftest import ROOT, SEALED, records

FAULTS = {fault.name: fault for fault in fault_lab.faults() if fault.root}


def diagnose(shop: dict[str, str], proofs: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Run diagnose-enhanced; returns its status, the report and all that it printed."""
    done = subprocess.run(
        [str(ROOT / "scripts/supervisor-session.sh"), "diagnose-enhanced", *arguments],
        env=SEALED | shop | {"PROOFS_DIR": str(proofs)},
        cwd=proofs,
        capture_output=True,
        text=True,
        timeout=120,
    )
    reports = sorted(proofs.glob("enhanced_diagnostics_*.json"))
    assert reports, done.stdout + done.stderr
    return done.returncode, json.loads(reports[-1].read_text()), done.stdout + done.stderr


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_one_root_with_the_right_cause_and_symptoms(shop: dict[str, str], tmp_path: Path, name: str) -> None:
    fault = fault_lab.inject(name)
    status, report, printed = diagnose(shop, tmp_path)
    found = [(issue["service"], issue["cause"]) for issue in report["issues"]]
    assert found == [(fault.root, fault.cause)], printed
    issue = report["issues"][0]
    assert status == 10
    symptoms = {each["service"]: each["path"] for each in issue["symptoms"]}
    assert sorted(symptoms) == sorted(fault.symptoms)
    for service, path in symptoms.items():
        assert path[0] == service
        assert path[-1] == fault.root
        assert len(path) == len(set(path)) >= 2
    # Evidence is quoted, there is something to do, and the first line of the session names it all.
    assert {each["id"] for each in issue["evidence_detail"]} == set(issue["evidence"])
    assert all(each["text"] for each in issue["evidence_detail"])
    assert issue["proposed_fixes"]
    assert f"{fault.root}: {issue['root_cause_hypothesis']}" in printed
    run_path = Path(report["run_path"])
    judged = records((run_path / "propose.jsonl").read_text())
    roles = {record["service"]: record["analysis"]["role"] for record in judged}
    assert roles == {service: "healthy" for service in roles} | {fault.root: "root"} | dict.fromkeys(
        symptoms, "symptom"
    )
    assert not any(record.get("errors") for record in judged), "all evidence could be collected"


def test_a_healthy_stack_has_no_issue_ten_times_in_a_row(shop: dict[str, str], tmp_path: Path) -> None:
    for turn in range(10):
        status, report, printed = diagnose(shop, tmp_path)
        assert report["issues"] == [], printed
        assert report["summary"]["healthy"] == report["summary"]["total"] == 5
        assert (status, printed) == (0, ""), f"turn {turn}: without a terminal a healthy stack is silent"


def test_every_stage_is_kept_and_can_be_replayed(shop: dict[str, str], tmp_path: Path) -> None:
    fault_lab.inject("stopped")
    _, report, _ = diagnose(shop, tmp_path)
    run_path = Path(report["run_path"])
    stages = {path.stem for path in run_path.glob("*.jsonl")}
    assert stages == {"services", "probe", "inspect", "logs", "stats", "analyze", "propose", "report"}
    replay = subprocess.run(
        "dm-analyze < stats.jsonl | dm-propose", shell=True, cwd=run_path, env=SEALED, capture_output=True, check=True
    )
    assert replay.stdout == (run_path / "propose.jsonl").read_bytes()


def test_named_services_and_discovery(shop: dict[str, str], tmp_path: Path) -> None:
    fault_lab.inject("stopped")
    (tmp_path / "named").mkdir()
    status, report, _ = diagnose(shop, tmp_path / "named", "postgres", "redis")
    assert (status, report["summary"]["total"]) == (0, 2)
    (tmp_path / "discovered").mkdir()
    status, report, _ = diagnose(shop, tmp_path / "discovered", "--discover")
    assert status == 10
    assert [(issue["service"], issue["cause"]) for issue in report["issues"]] == [("worker", "stopped")]


def test_docker_ps_and_logs_alone_name_the_cause(shop: dict[str, str], tmp_path: Path) -> None:
    fault_lab.inject("wrong-password")
    line = (
        "docker ps --filter label=dm-tools.lab=1 --format '{{.Names}}' | dm-logs | dm-analyze | tee judged.jsonl "
        "| dm-propose | jq -c .proposals"
    )
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=tmp_path,
        env=SEALED | shop,
        capture_output=True,
        text=True,
        check=True,
    )
    proposed = [proposal for line in done.stdout.splitlines() for proposal in json.loads(line)]
    assert any(each["action"] == "check_credentials" and each["parameters"]["user"] == "app" for each in proposed)
    judged = records((tmp_path / "judged.jsonl").read_text())
    app = next(record for record in judged if "app" in record["service"])
    assert (app["analysis"]["role"], app["analysis"]["cause"]) == ("root", "auth_failure")


def test_two_diagnoses_at_once(shop: dict[str, str], tmp_path: Path) -> None:
    command = [str(ROOT / "scripts/supervisor-session.sh"), "diagnose-enhanced"]
    environment = SEALED | shop | {"PROOFS_DIR": str(tmp_path), "DM_NOW": "1732800000"}
    both = [subprocess.Popen(command, env=environment, cwd=tmp_path) for _ in range(2)]
    assert [each.wait(timeout=120) for each in both] == [0, 0]
    reports = [json.loads(path.read_text()) for path in tmp_path.glob("*_diagnostics_*.json")]
    assert len(reports) == 4
    assert len({report["report_id"] for report in reports}) == 4
    assert len({report["run_path"] for report in reports}) == 2
