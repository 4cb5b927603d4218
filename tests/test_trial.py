"""Every command that looks, through the docker-proxy, at engines of another release; on each push test_proxy.py does it
at the machine's own.
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

from tests import dockerproxy
from tests import lab as fault_lab
from tests.conftest import COLD, ROOT, SEALED, records
from tests.lab import trial
from tests.test_proxy import asked

pytestmark = pytest.mark.slow
PROJECT = "dmtrial"
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


@pytest.fixture(scope="module", params=["docker", "podman"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[trial.Trial]:
    """An engine with a service that runs and one that has ended."""
    folder = tmp_path_factory.mktemp(request.param)
    with contextlib.ExitStack() as held:
        running = held.enter_context(trial.started(request.param, folder))
        client = held.enter_context(contextlib.closing(fault_lab.engine.connect(f"unix://{running.socket}")))
        _made(client, "web", "mkdir -p /tmp; echo ready; exec httpd -f -p 8080 -h /www")
        _made(client, "gone", "echo 'FATAL: no configuration'; exit 3")
        try:
            yield running
        finally:
            for each in client.containers.list(all=True):
                each.remove(force=True)


def _made(client: docker.DockerClient, name: str, script: str) -> None:
    labels = {"com.docker.compose.project": PROJECT, "com.docker.compose.service": name}
    made = client.containers.create(
        trial.image(client), ["sh", "-c", script], name=f"{PROJECT}-{name}-1", labels=labels, stop_signal="KILL"
    )
    made.start()


def said(engine: trial.Trial, line: str, socket: Path, folder: Path) -> tuple[int, list[dict[str, Any]], str]:
    """What a shell line writes that asks at a socket, in the engine's network."""
    variables = SEALED | COLD | {"DOCKER_HOST": f"unix://{socket}", "COMPOSE_PROJECT_NAME": PROJECT}
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
