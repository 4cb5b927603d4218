"""Record what a Swarm manager says of services in every kind of trouble, and of nodes that are lost.

    python -m tests.lab.record_swarm FOLDER

As root; engines of its own, in namespaces (tests/engines.py); about three minutes. Writes FOLDER/one-node.json,
node-down.json and leaderless.json, which tests/test_swarm.py reads without Docker. Times stay as they are.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
from docker.types import EndpointSpec, Mount, Resources, RestartPolicy, ServiceMode

from tests import engines

SLEEP = ["sleep", "1000"]
SERVICES: dict[str, dict[str, Any]] = {
    "web": {"command": SLEEP, "mode": ServiceMode("replicated", 2), "stop_grace_period": 10**8},
    "off": {"command": SLEEP, "mode": ServiceMode("replicated", 0)},
    "everywhere": {"command": SLEEP, "mode": ServiceMode("global")},
    "job": {"command": ["sh", "-c", "echo done"], "mode": ServiceMode("replicated-job", concurrency=1)},
    "pull": {"image": "dmtest-nowhere:1", "command": SLEEP},
    "nowhere": {"command": SLEEP, "constraints": ["node.labels.disk==ssd"]},
    "big": {"command": SLEEP, "resources": Resources(mem_reservation=10**13)},
    "port": {
        "command": SLEEP,
        "mode": ServiceMode("replicated", 2),
        "endpoint_spec": EndpointSpec(ports={18199: (80, "tcp", "host")}),
    },
    "mount": {"command": SLEEP, "mounts": [Mount("/x", "/nonexistent/x", "bind")]},
    "command": {"command": ["nonexistent"], "restart_policy": RestartPolicy("any", delay=10**8)},
    "crash": {
        "command": ["sh", "-c", "echo FATAL: no such table: orders; sleep 0.2; exit 3"],
        "restart_policy": RestartPolicy("any", delay=10**8),
    },
    "once": {"command": ["sh", "-c", "exit 4"], "restart_policy": RestartPolicy("on-failure", max_attempts=1)},
}


def create(client: docker.DockerClient, names: tuple[str, ...] = tuple(SERVICES)) -> None:
    """Begin some of the services."""
    for name in names:
        client.services.create(**{"image": engines.IMAGE, "name": name} | SERVICES[name])


def init(client: docker.DockerClient, address: str = "127.0.0.1") -> None:
    """Make an engine the first manager of a swarm."""
    client.swarm.init(advertise_addr=address, listen_addr=f"{address}:2377")


def join(first: docker.DockerClient, second: docker.DockerClient, role: str) -> None:
    """Make the engine NETWORK.3 a member of the swarm of NETWORK.2; role Worker or Manager."""
    token = first.swarm.attrs["JoinTokens"][role]
    with contextlib.suppress(docker.errors.APIError):  # it goes on in the background if it takes long
        second.swarm.join([f"{engines.NETWORK}.2:2377"], token, advertise_addr=f"{engines.NETWORK}.3")
    until(lambda: [each.attrs["Status"]["State"] for each in first.nodes.list()] == ["ready", "ready"], 120)


def until(question: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something is so. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while not question():
        if time.monotonic() > end:
            raise TimeoutError(question)
        time.sleep(0.2)


def errors(client: docker.DockerClient, name: str) -> list[str]:
    """What the swarm says of the tasks of a service."""
    found = client.services.list(filters={"name": name})[0].tasks()
    return [each["Status"].get("Err") or each["Status"]["State"] for each in found]


def running(client: docker.DockerClient, name: str, count: int) -> bool:
    """Whether so many tasks of a service run."""
    return errors(client, name).count("running") == count


def answers(client: docker.DockerClient) -> dict[str, Any]:
    """What is asked of a manager."""
    api = client.api
    found = {"now": time.time(), "services": api.services(), "tasks": api.tasks(), "nodes": api.nodes()}
    return found | {"containers": api.containers(all=True)}


def one_node(folder: Path) -> dict[str, Any]:
    """Every service in its trouble, and `web` after an update."""
    with engines.engine(folder) as client:
        init(client)
        create(client)
        until(lambda: running(client, "web", 2))
        web = client.services.list(filters={"name": "web"})[0]
        web.update(env=["VERSION=2"], force_update=True)
        until(lambda: len(web.tasks()) == 4 and running(client, "web", 2))
        until(lambda: len([each for each in errors(client, "crash") if "exit (3)" in each]) >= 3)
        until(lambda: "complete" in errors(client, "job"))
        until(lambda: len(errors(client, "pull")) > 2 and len(errors(client, "mount")) > 2)
        return answers(client)


def node_down(folder: Path) -> dict[str, Any]:
    """Two nodes, one of which is lost while a service may run nowhere else."""
    with engines.several(folder, 2, 3) as (first, second):
        init(first, f"{engines.NETWORK}.2")
        join(first, second, "Worker")
        worker = next(each for each in first.nodes.list() if each.attrs["Spec"]["Role"] == "worker")
        worker.update(worker.attrs["Spec"] | {"Labels": {"disk": "ssd"}})
        create(first, ("nowhere", "web"))
        until(lambda: running(first, "nowhere", 1) and running(first, "web", 2))
        os.killpg(int((folder / "3/pid").read_text()), signal.SIGKILL)
        until(lambda: any("no suitable node" in each for each in errors(first, "nowhere")), 120)
        until(lambda: len(errors(first, "web")) >= 2)
        time.sleep(5)
        return answers(first)


def leaderless(folder: Path) -> dict[str, Any]:
    """Two managers, one of which is lost: what the other one says."""
    with engines.several(folder, 2, 3) as (first, second):
        init(first, f"{engines.NETWORK}.2")
        join(first, second, "Manager")
        create(first, ("web",))
        until(lambda: running(first, "web", 2))
        os.killpg(int((folder / "3/pid").read_text()), signal.SIGKILL)
        end = time.monotonic() + 90
        while time.monotonic() < end:
            try:
                first.api.services()
            except docker.errors.APIError as refused:
                if "leader" in str(refused.explanation):
                    said = {"status": refused.status_code, "message": refused.explanation}
                    return {"now": time.time(), "said": said, "containers": first.api.containers(all=True)}
            time.sleep(1)
        raise TimeoutError


def main() -> None:
    """Write all of them."""
    out = Path(sys.argv[1])
    for scene in (one_node, node_down, leaderless):
        name = scene.__name__.replace("_", "-")
        if sys.argv[2:] in ([], [name]):
            with tempfile.TemporaryDirectory() as folder:
                (out / f"{name}.json").write_text(json.dumps(scene(Path(folder) / "e"), indent=1) + "\n")


if __name__ == "__main__":
    main()
