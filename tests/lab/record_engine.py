"""Record what an engine answers of a few small containers: `python -m tests.lab.record_engine [unix:///ENGINE.sock]`.

Without an address it is the lab's engine. Each container's entry in the list, its `inspect`, `stats` and `events` go
to tests/data/engines/VERSION/NAME.json, where tests/test_recorded.py reads them without an engine. Everything in them
is made up, and where the engine keeps its files is told as if it were the usual place. Needs a static busybox.
"""

import contextlib
import io
import json
import re
import shutil
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import docker.errors

from dm_tools.engine import finding, reading
from dm_tools.engine.connection import Engine

from . import engine as lab_engine
from .settings import LABEL, LabError

FOLDER = Path(__file__).resolve().parents[1] / "data" / "engines"
IMAGE = "localhost/recorded-busybox:latest"  # Podman 4 puts an import there, whatever tag is asked for
NETWORKS = ("recorded-front", "recorded-back")
SLEEP = ["/bin/busybox", "sleep", "600"]
ENVIRONMENT = ["DATABASE_URL=postgres://app:made-up@db.shop.invalid:5432/shop", "CACHE_HOST=cache", "CACHE_PORT=6379"]


def main() -> int:
    url = sys.argv[1] if len(sys.argv) > 1 else lab_engine.start()
    with contextlib.closing(lab_engine.connect(url)) as client, contextlib.closing(Engine(url, 10)) as engine:
        folder = FOLDER / version(client)
        folder.mkdir(parents=True, exist_ok=True)
        client.api.import_image_from_data(image(), repository=IMAGE.partition(":")[0], tag="latest")
        with made(client) as names:
            for name in names:
                text = json.dumps(answers(engine, name), indent=1, sort_keys=True)
                (folder / f"{name.removeprefix('recorded-')}.json").write_text(elsewhere(text, client) + "\n")
    sys.stdout.write(f"{folder.relative_to(Path.cwd())}: {len(names)} containers\n")
    return 0


def version(client: docker.DockerClient) -> str:
    """The version as a folder's name: 20.10.24, podman-5.4.2."""
    said = client.version()
    podman = any("podman" in part["Name"].lower() for part in said.get("Components") or [])
    number = re.match(r"[\d.]+", said["Version"])
    return ("podman-" if podman else "") + (number[0] if number else said["Version"])


def image() -> bytes:
    """A root folder with busybox and nothing else, as a tar archive."""
    found = shutil.which("busybox")
    if found is None:
        raise LabError("busybox is missing: apt-get install busybox-static")
    program, packed = Path(found).read_bytes(), io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in ("bin/busybox", "bin/sh"):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(program), 0o755
            archive.addfile(entry, io.BytesIO(program))
    return packed.getvalue()


@contextlib.contextmanager
def made(client: docker.DockerClient) -> Iterator[list[str]]:
    """The containers, each in the state that is to be recorded; their names."""
    api, names = client.api, []

    def create(name: str, command: list[str], start: bool = True, **options: Any) -> str:
        host = {key: options.pop(key) for key in list(options) if key in HOST_OPTIONS}
        names.append(f"recorded-{name}")
        labels = {LABEL: "1"} | options.pop("labels", {})
        config = api.create_host_config(**host)
        api.create_container(IMAGE, command, name=names[-1], labels=labels, host_config=config, **options)
        if start:
            api.start(names[-1])
        return names[-1]

    removed(client)
    try:
        for network in NETWORKS:
            api.create_network(network, driver="bridge", internal=True, labels={LABEL: "1"})
        check = {"test": ["CMD-SHELL", "/bin/busybox echo all is well"], "interval": 10**9, "timeout": 2 * 10**9}
        compose = {"com.docker.compose.project": "recorded", "com.docker.compose.service": "app"}
        compose["com.docker.compose.depends_on"] = "db:service_healthy:false,cache:service_started:true"
        create("healthy", SLEEP, healthcheck=check, environment=ENVIRONMENT, labels=compose)
        sick = check | {"test": ["CMD-SHELL", "/bin/busybox echo no answer; exit 7"], "retries": 1}
        create("unhealthy", SLEEP, healthcheck=sick)
        busy = ["sh", "-c", "while :; do :; done"]
        create("limited", busy, mem_limit=2**26, nano_cpus=10**8, pids_limit=50, restart_policy={"Name": "always"})
        front = api.create_networking_config({NETWORKS[0]: api.create_endpoint_config(aliases=["web", "front-door"])})
        networked = create("networked", SLEEP, start=False, networking_config=front)
        api.connect_container_to_network(networked, NETWORKS[1], aliases=["web-behind"])
        api.start(networked)
        create("exited", ["sh", "-c", "exit 3"])
        grow = "x=grow; while :; do x=$x$x; done"
        create("oom", ["sh", "-c", grow], mem_limit=2**24, memswap_limit=2**24)
        api.pause(create("paused", SLEEP))
        port = {"port_bindings": {"80/tcp": ("127.0.0.1", 18980)}}
        create("created", SLEEP, start=False, ports=[80, 53], **port)
        for name in ("recorded-exited", "recorded-oom"):
            api.wait(name, timeout=30)
        time.sleep(5)  # healthchecks have run, processors have been measured twice, events are written
        yield names
    finally:
        removed(client)


HOST_OPTIONS = ("mem_limit", "memswap_limit", "nano_cpus", "pids_limit", "restart_policy", "port_bindings")


def removed(client: docker.DockerClient) -> None:
    """Take away what an earlier run left, too; only what carries the lab's label."""
    for container in client.api.containers(all=True, filters={"label": f"{LABEL}=1"}):
        if finding.names(container)[0].startswith("recorded-"):
            client.api.remove_container(container["Id"], force=True)
    for network in NETWORKS:
        with contextlib.suppress(docker.errors.NotFound):
            client.api.remove_network(network)


def answers(engine: Engine, name: str) -> dict[str, Any]:
    """The engine's raw answers of one container."""
    listed = finding.find(engine, {"service": name})
    raw = reading.inspect(engine, listed["Id"])
    running = listed["State"] in ("running", "paused")
    return {
        "listed": listed,
        "inspect": raw,
        "stats": reading.stats(engine, listed["Id"]) if running else {},
        "events": reading.events(engine, listed["Id"], 600)[0],
    }


def elsewhere(text: str, client: docker.DockerClient) -> str:
    """The text with the engine's folders replaced by the usual ones."""
    root = Path(client.info()["DockerRootDir"])
    for own, usual in ((root, "/var/lib/docker"), (root.parent / "exec", "/var/run/docker")):
        text = text.replace(str(own), usual)
    return text


if __name__ == "__main__":
    sys.exit(main())
