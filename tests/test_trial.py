"""Engines of other releases: every command that looks, also through the docker-proxy; and discover to report, approve,
execute, verify and undo. On each push test_proxy.py, test_sessions.py and test_execute.py do it at the machine's own.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from tests import dockerproxy
from tests import lab as fault_lab
from tests.conftest import COLD, ROOT, SEALED, records
from tests.lab import trial
from tests.lab.waiting import wait_until
from tests.test_proxy import asked

pytestmark = pytest.mark.slow
PROJECT, BROKEN = "dmtrial", "dmbroken"
SERVES = "mkdir -p /tmp; echo ready; exec httpd -f -p 8080 -h /www"
STAYS = "trap 'exit 0' TERM; while :; do sleep 0.2; done"
COMMANDS = [
    "dm-services --discover",
    "dm-services --discover | dm-probe",
    "dm-services --discover | dm-inspect",
    "dm-services --discover | dm-logs --tail all",
    "dm-services --discover | dm-stats",
    "dm-services --discover | dm-probe | dm-inspect | dm-logs | dm-stats | dm-analyze | dm-propose",
    "dm-services --discover --every 1s | head -n 6",
    "dm-tool docker_list_containers",
    "dm-tool docker_logs container=web",
    "dm-tool docker_inspect container=gone",
    "dm-tool docker_stats container=web",
]


@pytest.fixture(scope="module", params=trial.SUITES)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def engine(version: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[trial.Trial]:
    """An engine with a service that runs and one that has ended."""
    with trial.started(version, tmp_path_factory.mktemp("engine")) as running, connected(running) as client:
        image = trial.image(client)
        try:
            made(client, image, PROJECT, "web", SERVES, stop_signal="KILL")
            made(client, image, PROJECT, "gone", "echo 'FATAL: no configuration'; exit 3")
            yield running
        finally:
            for each in client.containers.list(all=True):
                each.remove(force=True)


def connected(engine: trial.Trial) -> contextlib.closing[docker.DockerClient]:
    return contextlib.closing(fault_lab.engine.connect(f"unix://{engine.socket}"))


def made(client: docker.DockerClient, image: str, project: str, name: str, script: str, **options: Any) -> Container:
    """A started container of a Compose service."""
    labels = {"com.docker.compose.project": project, "com.docker.compose.service": name}
    container = client.containers.create(
        image, ["sh", "-c", script], name=f"{project}-{name}-1", labels=labels, **options
    )
    container.start()
    return container


def said(
    engine: trial.Trial, line: str, socket: Path, folder: Path, project: str = PROJECT
) -> tuple[int, list[dict[str, Any]], str]:
    """What a shell line writes that asks at a socket, in the engine's network."""
    variables = SEALED | COLD | {"DOCKER_HOST": f"unix://{socket}", "COMPOSE_PROJECT_NAME": project}
    variables |= {"PROOFS_DIR": str(folder), "SERVICES_MANIFEST_PATH": "/nonexistent"}
    words = [*engine.enter, "bash", "-o", "pipefail", "-c", line]
    done = subprocess.run(words, env=variables, capture_output=True, text=True, timeout=240, cwd=folder)
    return done.returncode, records(done.stdout), done.stderr


def steady(value: Any) -> Any:
    """What does not change from one look to the next: no times, no figures."""
    if isinstance(value, dict):
        return {key: steady(each) for key, each in value.items()}
    if isinstance(value, list):
        return [steady(each) for each in value]
    return value if isinstance(value, bool | None) else type(value).__name__


@pytest.mark.parametrize("line", COMMANDS)
def test_it_looks_the_same_through_the_proxy(engine: trial.Trial, line: str, tmp_path: Path) -> None:
    with dockerproxy.started(tmp_path, engine.socket) as own:
        directly, through = said(engine, line, engine.socket, tmp_path), said(engine, line, own, tmp_path)
    assert through[0] == directly[0] and through[0] in (0, 141), through
    assert through[2] == "" and not [each for each in through[1] if each.get("errors") or each.get("error")], through
    keys = [sorted(each) for each in through[1]]
    assert keys and keys == [sorted(each) for each in directly[1]]
    if "dm-stats" not in line and "docker_" not in line:
        assert steady([each.get("inspect", {}).get("state") for each in through[1]]) is not None


def test_a_session_through_the_proxy(engine: trial.Trial, tmp_path: Path) -> None:
    with dockerproxy.started(tmp_path, engine.socket) as own:
        line = f"{ROOT}/scripts/supervisor-session.sh diagnose-enhanced --discover --no-screenshots >/dev/null"
        status, _, errors = said(engine, line, own, tmp_path)
        refused = asked(own, f"POST /containers/{PROJECT}-web-1/stop HTTP/1.1\r\nHost: docker\r\n")
    assert status == 10, errors
    (report,) = tmp_path.glob("enhanced_diagnostics_*.json")
    issues = json.loads(report.read_text())["issues"]
    assert [each["service"] for each in issues] == ["gone"] and "no configuration" in json.dumps(issues)
    assert b" 403 " in refused and os.path.exists(engine.socket)


DIAGNOSED = "dm-services --discover | dm-probe | dm-inspect | dm-logs | dm-stats | dm-analyze | dm-propose"
POLICY = """\
version = 1
[[rule]]
name = "what-helps"
effect = "allow"
actions = ["start", "unpause"]
"""
# Podman 4.3.1 tells nobody that memory was the reason: docs/engines.md.
CAUSES = {
    "web": (None, []),
    "stopped": ("stopped", ["start"]),
    "gone": ("exited", ["check_logs", "start"]),
    "paused": ("paused", ["unpause"]),
    "looping": ("crash_loop", ["check_logs", "rollback_image"]),
    "hungry": ("oom_killed", ["scale_up", "check_logs"]),
}
UNTOLD = {"podman-4.3.1": {"hungry": ("stopped", ["start"])}}


@pytest.fixture
def broken(engine: trial.Trial) -> Iterator[docker.DockerClient]:
    """A stack of which one service works."""
    memory = {"mem_limit": 2**24, "memswap_limit": 2**24}
    with connected(engine) as client:
        image = trial.image(client)
        try:
            made(client, image, BROKEN, "web", SERVES, stop_signal="KILL")
            made(client, image, BROKEN, "gone", "echo 'FATAL: no configuration'; exit 3")
            made(client, image, BROKEN, "looping", "sleep 0.3; exit 1", restart_policy={"Name": "always"})
            made(client, image, BROKEN, "hungry", "x=grow; while :; do x=$x$x; done", **memory)
            made(client, image, BROKEN, "stopped", STAYS, restart_policy={"Name": "unless-stopped"}).stop(timeout=30)
            made(client, image, BROKEN, "paused", STAYS).pause()
            for name in ("gone", "hungry"):
                client.api.wait(f"{BROKEN}-{name}-1", timeout=60)
            wait_until(lambda: _looped(client), 60)
            yield client
        finally:
            for each in client.containers.list(all=True, filters={"label": f"com.docker.compose.project={BROKEN}"}):
                each.remove(force=True)


def _looped(client: docker.DockerClient) -> str | None:
    again = client.api.inspect_container(f"{BROKEN}-looping-1")["RestartCount"]
    return None if again > 3 else f"it was restarted {again} times"


def test_from_discovering_to_taking_back(
    engine: trial.Trial, version: str, broken: docker.DockerClient, tmp_path: Path
) -> None:
    def shell(line: str) -> tuple[int, list[dict[str, Any]], str]:
        return said(engine, line, engine.socket, tmp_path, BROKEN)

    def state(name: str) -> str:
        return str(broken.api.inspect_container(f"{BROKEN}-{name}-1")["State"]["Status"])

    (tmp_path / "policy.toml").write_text(POLICY)
    status, told, errors = shell(f"{DIAGNOSED} | tee judged.jsonl | dm-report --html")
    assert (status, errors) == (0, "")
    judged = {each["service"]: each for each in records((tmp_path / "judged.jsonl").read_text())}
    assert not any(each.get("errors") for each in judged.values())
    assert {
        name: ((each["analysis"] or {}).get("cause"), [fix["action"] for fix in each.get("proposals") or []])
        for name, each in judged.items()
    } == CAUSES | UNTOLD.get(version, {})
    assert {each["service"] for each in told[0]["issues"]} == {*CAUSES} - {"web"}
    assert Path(told[0]["html_path"]).exists()

    status, done, errors = shell("dm-approve --policy policy.toml < judged.jsonl | dm-execute | tee done.jsonl")
    assert (status, errors) == (0, ""), [each["execution"] for each in done]
    outcomes = {each["service"]: each["execution"]["status"] for each in done}
    assert outcomes == {"stopped": "done", "paused": "done"}, done
    assert state("stopped") == state("paused") == "running"
    status, proofs, errors = shell(f"{DIAGNOSED} | dm-verify --before judged.jsonl --executed done.jsonl")
    proved = {each["service"]: each["verification"]["proof"] for each in proofs if each.get("verification")}
    assert (proved["stopped"], proved["paused"], proved["gone"]) == ("recovered", "recovered", "not_recovered")

    (started,) = (each["execution"]["id"] for each in done if each["service"] == "stopped")
    status, undone, errors = shell(f"dm-undo {started}")
    assert (status, undone[0]["execution"]["status"]) == (0, "undone"), undone
    assert state("stopped") == "exited"

    inspected = judged["web"]["inspect"]
    identity = {"container_id": inspected["id"]} | {
        key: inspected[key] for key in ("started_at", "state", "restart_count")
    }
    action = {"issue_id": "1", "service": "web", "action": "restart", "confidence": "high", "reasoning": "as asked"}
    (tmp_path / "restart.jsonl").write_text(json.dumps(action | {"parameters": {}, "identity": identity}) + "\n")
    status, restarted, errors = shell("dm-execute restart.jsonl")
    assert (status, restarted[0]["execution"]["status"]) == (0, "done"), restarted
    now = broken.api.inspect_container(f"{BROKEN}-web-1")["State"]
    assert now["Status"] == "running" and now["StartedAt"] != inspected["started_at"]
