"""The faults of the lab, put into real containers and diagnosed by the whole pipeline, supervisor-session.sh.

On each push one fault per way of putting it in, and all combinations; with `--all` every one.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

import pytest

from tests import lab as fault_lab
from tests import warm
from tests.conftest import BROWSER, ROOT, SEALED, Run, records

FAULTS = {fault.name: fault for fault in fault_lab.faults() if fault.name != "healthy"}
EACH_TIME = {fault.name for fault in fault_lab.one_per_way(list(FAULTS.values()))}
# A fault is mostly waited for: two shops on the same engine halve the time.
SHOPS: tuple[dict[str, str], ...] = (
    {},
    {
        "DM_LAB_PROJECT": f"{fault_lab.settings.project()}-second",
        "DM_LAB_PORT": str(fault_lab.settings.http_port() + 40),
    },
)


class Diagnosis(NamedTuple):
    """What a session ended with, its newest report, and all that it printed."""

    status: int
    report: dict[str, Any]
    printed: str

    @property
    def judged(self) -> list[dict[str, Any]]:
        """The records as dm-propose wrote them."""
        return records((Path(self.report["run_path"]) / "propose.jsonl").read_text())


def diagnose(shop: dict[str, str], proofs: Path, *arguments: str) -> Diagnosis:
    """Run diagnose-enhanced."""
    done = subprocess.run(
        [str(warm.SUPERVISOR), "diagnose-enhanced", *arguments],
        env=SEALED | shop | {"PROOFS_DIR": str(proofs)},
        cwd=proofs,
        capture_output=True,
        text=True,
        timeout=120,
    )
    reports = sorted(proofs.glob("enhanced_diagnostics_*.json"))
    assert reports, done.stdout + done.stderr
    return Diagnosis(done.returncode, json.loads(reports[-1].read_text()), done.stdout + done.stderr)


def lab_command(variables: dict[str, str], *arguments: str) -> str:
    """Run the lab of the shop that the variables name; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.lab", *arguments],
        env=os.environ | variables,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_healthy_stack_has_no_issue_in_twenty_diagnoses(shop: dict[str, str], tmp_path: Path) -> None:
    line = "dm-services | dm-probe | dm-inspect | dm-logs | dm-stats | dm-analyze | dm-propose"

    def roles(_: int) -> list[str]:
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line], cwd=tmp_path, env=SEALED | shop, capture_output=True, check=True
        )
        return [record["analysis"]["role"] for record in records(done.stdout.decode())]

    with ThreadPoolExecutor(4) as pool:  # most of a diagnosis is waiting for the engine's next figures
        assert list(pool.map(roles, range(20))) == [["healthy"] * 5] * 20


def test_the_page_of_a_container_by_its_internal_name(run: Run, shop: dict[str, str]) -> None:
    done = run("dm-services | dm-screenshot -t 20", **BROWSER, **shop)
    found = {record["service"]: record for record in records(done.stdout)}
    assert done.returncode == 0, done.stderr
    pages = [page for record in found.values() for page in record["screenshot"]["pages"]]
    assert {page["verdict"] for page in pages} == {"ok"}, [page["reasons"] for page in pages]
    assert any(page["scope"] == "internal" for page in pages)


def test_a_healthy_stack_is_silent_without_a_terminal(shop: dict[str, str], tmp_path: Path) -> None:
    status, report, printed = diagnose(shop, tmp_path)
    assert report["issues"] == [], printed
    assert report["summary"]["healthy"] == report["summary"]["total"] == 5
    assert (status, printed) == (0, "")


def test_every_stage_is_kept_and_can_be_replayed(shop: dict[str, str], tmp_path: Path) -> None:
    fault_lab.inject("stopped")
    _, report, _ = diagnose(shop | BROWSER, tmp_path)
    run_path = Path(report["run_path"])
    stages = {path.stem for path in run_path.glob("*.jsonl")}
    assert stages == {"services", "probe", "inspect", "logs", "stats", "screenshot", "analyze", "propose", "report"}
    assert (run_path / "brief.txt").read_text().startswith("# Briefing\n")
    looked_at = records((run_path / "screenshot.jsonl").read_text())
    assert any(page["path"] for record in looked_at for page in record["screenshot"]["pages"])
    replay = subprocess.run(
        "dm-analyze < screenshot.jsonl | dm-propose",
        shell=True,
        cwd=run_path,
        env=SEALED,
        capture_output=True,
        check=True,
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
        "docker ps --filter label=dm-tools.lab.stack=$COMPOSE_PROJECT_NAME --format '{{.Names}}' "
        "| dm-logs | dm-analyze | tee judged.jsonl | dm-propose | jq -c .proposals"
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


# Last in this file: the fixture has two shops with faults in them until all of these tests are done.
@pytest.fixture(scope="module")
def diagnoses(
    request: pytest.FixtureRequest, _lab_up: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Diagnosis]]]:
    """Fault → its diagnosis, of all faults that are asked for: the next are put in while one is looked at."""
    free: SimpleQueue[tuple[dict[str, str], dict[str, str]]] = SimpleQueue()

    def bring_up(variables: dict[str, str]) -> None:
        lab_command(variables, "up")
        exports = shlex.split(lab_command(variables, "env"))
        free.put((variables, dict(word.split("=", 1) for word in exports if word != "export")))

    def break_and_diagnose(name: str) -> Diagnosis:
        variables, shop = free.get()
        try:
            lab_command(variables, "inject", "--anew", name)
            return diagnose(shop, tmp_path_factory.mktemp(name))
        finally:
            free.put((variables, shop))

    functions = [item for item in request.session.items if isinstance(item, pytest.Function)]
    wanted = [str(item.callspec.params["name"]) for item in functions if "diagnoses" in item.fixturenames]
    shops = SHOPS[: len(wanted)]
    with ThreadPoolExecutor(len(SHOPS)) as pool:
        list(pool.map(bring_up, shops))
        yield {name: pool.submit(break_and_diagnose, name) for name in wanted}
        pool.shutdown(cancel_futures=True)
    lab_command(shops[0], "clear")
    for variables in shops[1:]:
        lab_command(variables, "down")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in EACH_TIME else pytest.mark.slow) for name in FAULTS]
)
def test_the_right_roots_causes_symptoms_and_first_actions(diagnoses: dict[str, Future[Diagnosis]], name: str) -> None:
    fault, found = FAULTS[name], diagnoses[name].result()
    assert fault_lab.wrong(fault, found.judged) == [], found.printed
    assert found.status == (10 if fault.roots else 0)
    # Evidence is quoted, there is something to do, and the first lines of the session name it all.
    for issue in found.report["issues"]:
        assert {each["id"] for each in issue["evidence_detail"]} == set(issue["evidence"])
        assert all(each["text"] for each in issue["evidence_detail"])
        assert issue["proposed_fixes"]
        assert f"{issue['service']}: {issue['root_cause_hypothesis']}" in found.printed
        for symptom in issue["symptoms"]:
            path = symptom["path"]
            assert path[0] == symptom["service"]
            assert path[-1] == issue["service"]
            assert len(path) == len(set(path)) >= 2
    assert {issue["service"] for issue in found.report["issues"]} == {root.service for root in fault.roots}
    involved = {root.service for root in fault.roots} | set(fault.symptoms)
    roles = {record["service"]: record["analysis"]["role"] for record in found.judged}
    assert {role for service, role in roles.items() if service not in involved} <= {"healthy"}
    codes = {error["code"] for record in found.judged for error in record.get("errors") or ()}
    assert codes <= {"container_not_found"}, "all evidence could be collected"
