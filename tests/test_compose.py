"""A real Compose project that we act on stays Compose's: the next `up -d` says Running and takes nothing for drift."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dm_tools.records import Outcome
from tests import acting, lab
from tests.acting import Bench
from tests.conftest import ROOT

Compose = Callable[..., str]


@pytest.fixture(scope="module")
def bench(_engine_up: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = Bench(_engine_up, tmp_path_factory.mktemp("proofs"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def compose(bench: Bench) -> Iterator[Compose]:
    """Run Compose in a project of two services, which all tests share; taken down afterwards."""
    service = {
        "image": lab.image.name(),
        "command": ["sh", "-c", acting.TRAPPING.replace("$", "$$")],
        "labels": {lab.settings.LABEL: "1", acting.RUN_LABEL: bench.run_id},
        "restart": "unless-stopped",
    }
    database = service | {
        "volumes": ["/unnamed", "named:/named"],
        "mem_limit": "64m",
        "container_name": bench.name("db"),
    }
    app = service | {"depends_on": ["db"], "container_name": bench.name("app"), "configs": ["own"]}
    file = bench.proofs / "compose.json"
    network = {"default": {"internal": True}}
    content = {"services": {"db": database, "app": app}, "volumes": {"named": {}}, "networks": network}
    content["configs"] = {"own": {"content": "inline"}}
    file.write_text(json.dumps({"name": f"dmtest{bench.run_id}"} | content))

    def run(*arguments: str) -> str:
        done = subprocess.run(
            ["docker-compose", "-f", str(file), *arguments],
            env={**os.environ, "PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}", "DOCKER_HOST": bench.host},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    run("up", "-d", "-t", "1")
    yield run
    with contextlib.suppress(AssertionError):
        run("down", "-v", "-t", "0")


def test_made_anew_by_us_it_runs_for_compose_and_the_kept_one_goes(bench: Bench, compose: Compose) -> None:
    for place in ("/unnamed", "/named"):
        acting.put(bench.client.containers.get(bench.name("db")), f"{place}/data", place.encode())
    (done,) = bench.do(bench.approved("db", "recreate"))
    assert done.status == Outcome.DONE
    assert any("`docker compose start` or `restart`" in each for each in done.steps)
    made = bench.raw("db")
    assert made["Config"]["Image"] == lab.image.name()

    said = compose("up", "-d")
    assert f"Container {bench.name('db')} Running" in " ".join(said.split())
    assert bench.raw("db")["Id"] == made["Id"]
    assert done.kept not in [each.name for each in bench.all()]
    files = bench.client.containers.get(bench.name("db")).exec_run(["cat", "/unnamed/data", "/named/data"])
    assert files.output == b"/unnamed/named"
    refused = bench.undo()
    assert (refused.status, "what was kept from before is gone" in str(refused.reason)) == (Outcome.REFUSED, True)
    assert bench.raw("db")["Id"] == made["Id"]


@pytest.mark.parametrize("verb", ["start", "restart"])
def test_what_compose_starts_of_the_kept_one_ends_at_once(bench: Bench, compose: Compose, verb: str) -> None:
    """Its labels stay Compose's, and two programs on one volume's data would be harm."""
    (done,) = bench.do(bench.approved("db", "recreate"))

    def kept() -> Any:
        return bench.client.api.inspect_container(done.kept)

    compose(verb)
    lab.waiting.wait_until(lambda: "it runs" if kept()["State"]["Running"] else None, 5, every=0.05)
    assert kept()["State"]["ExitCode"] == 2, "its shell cannot fork"
    assert bench.now("db").state == "running"
    undone = bench.undo()
    assert (undone.status, undone.reason) == (Outcome.UNDONE, None)
    assert [each.name for each in bench.all() if str(each.name).rpartition("-")[2].startswith("db")] == [
        bench.name("db")
    ]
    assert bench.now("db").pids == done.before.pids == 0  # type: ignore[union-attr]
    assert bench.now("db").state == "running"


def test_what_compose_has_put_into_a_container_is_not_lost(bench: Bench, compose: Compose) -> None:
    before = bench.now("app")
    (refused,) = bench.do(bench.approved("app", "recreate"))
    assert (refused.status, "/own was put into" in str(refused.reason)) == (Outcome.REFUSED, True)
    assert bench.now("app") == before


@pytest.mark.parametrize("action", ["scale_up", "restart", "reconnect_network"])
def test_what_is_done_in_place_is_no_drift(bench: Bench, compose: Compose, action: str) -> None:
    if action == "reconnect_network":
        bench.client.api.disconnect_container_from_network(bench.name("db"), f"dmtest{bench.run_id}_default")
    parameters = {"resource": "memory"} if action == "scale_up" else {}
    (done,) = bench.do(bench.approved("db", action, **parameters))
    assert done.status == Outcome.DONE
    made = bench.raw("db")
    assert f"Container {bench.name('db')} Running" in " ".join(compose("up", "-d").split())
    assert bench.raw("db")["Id"] == made["Id"]
    found = bench.client.containers.get(bench.name("app")).exec_run(["getent", "hosts", "db"])
    assert found.exit_code == 0, "the service's name resolves"
