"""What is in configs/deploy: the image on a real engine, the Compose file, the units of systemd, the line for cron."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from dm_tools.pipe import clock
from tests import deploying
from tests import lab as fault_lab
from tests.conftest import ROOT, Box, Run

DEPLOY = ROOT / "configs/deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())
SERVICES = [each for each in UNITS if each.suffix == ".service"]
TAG = f"dmtest-deploy-{os.getpid()}"
HARDENED = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "tmpfs": {"/tmp": "mode=1777,size=256m"},
    "init": True,
    "detach": True,
    "labels": {fault_lab.settings.LABEL: "1"},
}


# Units, cron, Compose: read by the programs that they are for.


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units, as if this checkout were where they say that it is."""
    for unit in UNITS:
        (tmp_path / unit.name).write_text(unit.read_text().replace("/opt/dm-tools", str(ROOT)))
    return tmp_path


def test_systemd_finds_no_fault_with_the_units(units: Path) -> None:
    names = [str(units / each.name) for each in UNITS]
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *names], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("unit", SERVICES, ids=lambda path: path.stem)
def test_the_units_are_hardened(units: Path, unit: Path) -> None:
    """systemd's own measure: 0 is closed, 10 open; a unit without a word about it has 9.6."""
    asked = ["systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", str(units / unit.name)]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_cron_runs_the_line_and_never_two_at_a_time(tmp_path: Path) -> None:
    *_, line = (DEPLOY / "cron.d/dm-tools").read_text().splitlines()
    fields = line.split(None, 6)
    assert (fields[0], fields[5]) == ("*/10", "dm-tools")
    lock, session = "/var/lib/dm-tools/cron.lock", "/opt/dm-tools/scripts/supervisor-session.sh"
    assert lock in fields[6] and session in fields[6]
    command = fields[6].replace(lock, str(tmp_path / "lock")).replace(session, "echo looked;:")
    environment = {"PATH": "/usr/bin:/bin"}

    def look() -> tuple[int, str]:
        done = subprocess.run(["/bin/sh", "-c", command], env=environment, capture_output=True, text=True, timeout=20)
        return done.returncode, done.stdout + done.stderr

    command = command.replace("echo looked;:", "echo looked #")
    assert look() == (0, "looked\n")
    with subprocess.Popen(["flock", str(tmp_path / "lock"), "cat"], stdin=subprocess.PIPE) as holding:
        until(lambda: look() == (0, ""))
        assert holding.stdin
        holding.stdin.close()


def test_compose_reads_the_file_and_nobody_but_the_proxy_has_the_socket() -> None:
    command = [str(ROOT / ".venv/bin/docker-compose"), "-f", str(DEPLOY / "compose.yaml"), "--profile", "*", "config"]
    environment = os.environ | {"DOCKER_GID": "999"}
    done = subprocess.run([*command, "--format", "json"], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["services"]
    assert set(found) == {"proxy", "watch", "serve", "clickhouse", "model"}
    for name, service in found.items():
        assert service["cap_drop"] == ["ALL"] and service["init"] and service["restart"] == "unless-stopped"
        assert service["security_opt"] == ["no-new-privileges:true"] and service["mem_limit"] and service["tmpfs"]
        mounts = {each["source"] for each in service.get("volumes", [])}
        assert ("/var/run/docker.sock" in mounts) == (name == "proxy")
        for port in service.get("ports", []):
            assert port["host_ip"] == "127.0.0.1"
    for name in ("proxy", "watch", "serve"):
        assert found[name]["read_only"] and found[name]["image"] == "dm-tools"
    assert found["proxy"]["network_mode"] == "none"
    assert found["serve"]["container_name"] == "probe-orchestrator"  # as docs/deploy.md calls it


def test_a_container_asks_the_health_of_its_watch(run: Run, tmp_path: Path) -> None:
    asked = f"cd / && PYTHONPATH={ROOT} {ROOT}/.venv/bin/python -P -m dm_tools.watch.health {tmp_path}"
    assert asked.split()[-2] in (DEPLOY / "compose.yaml").read_text()
    assert (run(asked).returncode, run(asked).stdout) == (1, "no round has come through yet\n")
    (tmp_path / "watch").mkdir()
    status = {"every_s": 30.0, "ended_at": clock.rfc3339(time.time())}
    (tmp_path / "watch/status.json").write_text(json.dumps(status))
    assert (run(asked).returncode, run(asked).stdout) == (0, "")
    (tmp_path / "watch/status.json").write_text(json.dumps(status | {"ended_at": "2026-01-01T00:00:00Z"}))
    late = run(asked)
    assert late.returncode == 1 and late.stdout.startswith("no round of the watch has come through for ")


# The image, on a real engine.


@pytest.fixture
def client(_engine_up: str) -> Iterator[docker.DockerClient]:
    """The engine, with the image; containers and volumes of this test are removed at the end, and the image."""
    with contextlib.closing(fault_lab.engine.connect(_engine_up)) as client:
        deploying.build(client, TAG)
        yield client
        for container in client.containers.list(all=True, filters={"ancestor": TAG}):
            container.remove(force=True)
        for name in ("run", "data"):
            with contextlib.suppress(docker.errors.NotFound):
                client.volumes.get(f"{TAG}-{name}").remove()
        client.images.remove(TAG, force=True)


def until(true: Any, seconds: float = 240) -> Any:
    """Wait for it; what it is."""
    begun = time.monotonic()
    while not (found := true()):
        assert time.monotonic() - begun < seconds
        time.sleep(0.1)
    return found


def test_the_image_looks_through_its_proxy_as_nobody_and_writes_a_report(
    client: docker.DockerClient, _engine_up: str, box: Box
) -> None:
    """As compose.yaml starts them: read-only, no capability, and only the proxy has Docker's socket."""
    sick = box("sick", "sh", "-c", "echo 'FATAL: no space left on device' >&2; exit 3")
    engine = _engine_up.removeprefix("unix://")
    shared = {f"{TAG}-run": {"bind": "/run/dm-tools", "mode": "rw"}}
    proxy = client.containers.run(
        TAG,
        ["proxy", "--bind", "unix:///run/dm-tools/docker.sock"],
        environment={"DOCKER_HOST": "unix:///var/run/docker.sock"},
        group_add=[str(os.stat(engine).st_gid)],
        network_mode="none",
        volumes={engine: {"bind": "/var/run/docker.sock", "mode": "rw"}} | shared,
        **HARDENED,
    )
    until(lambda: proxy.exec_run(["test", "-S", "/run/dm-tools/docker.sock"]).exit_code == 0)
    watch = client.containers.run(
        TAG,
        ["watch", "--every", "1s", "--discover", sick.name],
        network_mode="host",
        volumes={f"{TAG}-data": {"bind": "/data", "mode": "rw"}} | shared,
        **HARDENED,
    )

    def said(*words: str) -> str:
        done = watch.exec_run(list(words))
        text = str(done.output.decode())
        return text if done.exit_code == 0 else ""

    def ended() -> bool:
        watch.reload()
        assert watch.status == "running", watch.logs().decode()
        return bool(said("sh", "-c", "ls /data/watch/enhanced_diagnostics_*.json"))

    until(ended)
    report = json.loads(said("sh", "-c", "cat $(ls /data/watch/enhanced_diagnostics_*.json | tail -n 1)"))
    assert [(issue["service"], issue["cause"]) for issue in report["issues"]] == [(sick.name, "disk_full")]
    python = "/opt/dm-tools/.venv/bin/python"
    assert watch.exec_run([python, "-P", "-m", "dm_tools.watch.health", "/data"]).exit_code == 0
    assert said("id", "-u") == "10001\n" and said("stat", "-c", "%u", "/data/watch/status.json") == "10001\n"
    assert watch.exec_run(["touch", "/opt/dm-tools/x"]).exit_code != 0
    words = f"import docker; docker.from_env().containers.get({sick.name!r}).start()"
    refused = watch.exec_run([python, "-c", words])
    assert refused.exit_code != 0 and b"docker-proxy" in refused.output


def test_the_image_starts_the_watch_by_itself_and_has_no_secret_of_its_build() -> None:
    text = deploying.DOCKERFILE.read_text()
    assert json.loads(re.findall(r"^CMD (.*)$", text, re.MULTILINE)[0]) == ["watch", "--every", "30s", "--discover"]
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == ["10001:10001"]
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    copied = {word for line in re.findall(r"^COPY ([^-].*)$", text, re.MULTILINE) for word in shlex.split(line)[:-1]}
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
