"""Record what an engine answers of logs with long lines: `python -m tests.lab.record_logs [unix:///ENGINE.sock]`.

Without an address it is the lab's engine. A container says `SAYS`, with each log driver that can be tried here,
with and without a terminal; the body of the engine's answer goes to tests/data/engines/VERSION/logs/NAME.gz, where
tests/test_recorded.py reads it without an engine.
"""

import contextlib
import gzip
import sys
import time
from pathlib import Path

import docker
import docker.errors

from . import engine as lab_engine
from . import image
from .record_engine import FOLDER, version
from .settings import LABEL

NAME = "recorded-log"
DRIVERS = {
    "json-file": {},
    "local": {},
    "syslog": {"syslog-address": "udp://127.0.0.1:18999"},  # nobody listens: the engine's own copy is what is read
}
SAYS = r"""
import os, time
def say(text, where=1):
    os.write(where, text.encode())
    time.sleep(0.05)
say("first\n")
say("L" * 40000 + " end\n")
say("after a long one\n")
say("E" * 16384 + "\n")
say("after one of exactly 16 KiB\n")
say("F" * 32768 + "\n")
say("2026-01-01T00:00:00.123456789Z a time of its own, and 2026-01-01T00:00:00.123456789Z once more\n")
say("M" * 20000)
say("meanwhile\n", 2)
say("N" * 20000 + "\n\nafter a blank one\n")
say("no newline at the end")
"""


def main() -> int:
    url = sys.argv[1] if len(sys.argv) > 1 else lab_engine.start()
    with contextlib.closing(lab_engine.connect(url)) as client:
        image.ensure(client)
        engine = version(client)
        folder = FOLDER / engine / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        for driver, options in DRIVERS.items():
            podman = engine.startswith("podman")
            if podman and driver != "json-file":
                continue  # it has no copy of what goes elsewhere
            # Podman 4.3 puts times without decimals into a terminal's lines: they look like the program's own.
            for terminal in (False,) if podman else (False, True):
                name = driver + "-terminal" * terminal
                found = said(client, driver, options, terminal)
                (folder / f"{name}.gz").write_bytes(gzip.compress(found, mtime=0))
    sys.stdout.write(f"{folder.relative_to(Path.cwd())}\n")
    return 0


def said(client: docker.DockerClient, driver: str, options: dict[str, str], terminal: bool) -> bytes:
    """The engine's answer of a container that has said everything."""
    with contextlib.suppress(docker.errors.NotFound):
        client.api.remove_container(NAME, force=True)
    # Podman has names of its own for images that were imported.
    repository = image.name().partition(":")[0]
    found = next(each for each in client.images.list() if any(f"{repository}:" in tag for tag in each.tags))
    container = client.containers.create(
        found.id,
        ["python3", "-c", SAYS],
        name=NAME,
        labels={LABEL: "1"},
        tty=terminal,
        network_mode="none",
        log_config={"Type": driver, "Config": options},
    )
    try:
        container.start()
        container.wait()
        time.sleep(0.5)  # the last words are written
        url = f"{client.api.base_url}/v{client.api.api_version}/containers/{container.id}/logs"
        answer = client.api.get(url, params={"stdout": 1, "stderr": 1, "timestamps": 1, "tail": "all"})
        answer.raise_for_status()
        return bytes(answer.content)
    finally:
        container.remove(force=True)


if __name__ == "__main__":
    sys.exit(main())
