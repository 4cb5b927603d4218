"""Docker Engines of a test's own: each in a network namespace of its own, joined by one bridge, or alone.

A Swarm changes its engine (networks, iptables) and two engines in one namespace break each other's bridge; so neither
is tried on an engine that somebody uses.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker
import docker.errors

IMAGE = "dmtest-tiny:1"
PROGRAMS = ("/bin/sh", "/bin/sleep", "/bin/cat")
BRIDGE = "dmtest0"
NETWORK = "10.231.77"


def _run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def tiny() -> bytes:
    """A file system of three programs of this machine with their libraries: 2 MB, in a moment."""
    files: dict[str, Path] = {}
    for program in PROGRAMS:
        files[program] = Path(program).resolve()
        for word in _run("ldd", program).split():
            if word.startswith("/"):
                files[word] = Path(word).resolve()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, path in files.items():
            archive.add(path, name.lstrip("/"))
    return out.getvalue()


@contextlib.contextmanager
def bridge() -> Iterator[None]:
    """The network that joins the engines of `engine(..., number)`: this machine is NETWORK.1 in it.

    Its bridge is in a namespace of its own, too: where a dockerd runs, what is bridged is dropped as what is forwarded.
    """
    hub = _hub()
    _run("ip", "netns", "add", hub)
    try:
        inside = ("nsenter", f"--net=/run/netns/{hub}")
        _run(*inside, "ip", "link", "add", "br0", "type", "bridge")
        _run(*inside, "ip", "link", "set", "br0", "up")
        _run("ip", "link", "add", BRIDGE, "type", "veth", "peer", "name", "here", "netns", hub)
        _run(*inside, "ip", "link", "set", "here", "master", "br0", "up")
        _run("ip", "address", "add", f"{NETWORK}.1/24", "dev", BRIDGE)
        _run("ip", "link", "set", BRIDGE, "up")
        yield
    finally:
        _run("ip", "netns", "delete", hub)


def _hub() -> str:
    return f"dmtest-{os.getpid()}-hub"


@contextlib.contextmanager
def engine(folder: Path, number: int | None = None) -> Iterator[docker.DockerClient]:
    """A running engine with IMAGE; its socket is folder/docker.sock. With a `number` (2-254) it is NETWORK.number and
    answers at port 2375 there, too. Nothing of it is left afterwards."""
    space = f"dmtest-{os.getpid()}-{number or 0}"
    folder.mkdir(parents=True)
    (folder / "daemon.json").write_text('{"shutdown-timeout": 1}\n')
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")  # where nobody answers: refused at once
    address = f"{NETWORK}.{number}"
    doors = [f"--host=unix://{folder}/docker.sock", *([f"--host=tcp://{address}:2375"] if number else [])]
    with contextlib.ExitStack() as cleaning:
        _run("ip", "netns", "add", space)
        cleaning.callback(_run, "ip", "netns", "delete", space)
        inside = ("nsenter", f"--net=/run/netns/{space}")  # `ip netns exec` would hide the control groups
        _run(*inside, "ip", "link", "set", "lo", "up")
        if number:
            hub = ("nsenter", f"--net=/run/netns/{_hub()}")
            _run(*hub, "ip", "link", "add", f"to{number}", "type", "veth", "peer", "name", "eth0", "netns", space)
            _run(*hub, "ip", "link", "set", f"to{number}", "master", "br0", "up")
            _run(*inside, "ip", "address", "add", f"{address}/24", "dev", "eth0")
            _run(*inside, "ip", "link", "set", "eth0", "up")
        words = [
            *("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"'),
            *(f"{folder}/resolv.conf", "dockerd", f"--config-file={folder}/daemon.json", f"--data-root={folder}/data"),
            *(f"--exec-root={folder}/exec", f"--pidfile={folder}/pid", *doors),
        ]
        log = cleaning.enter_context((folder / "log").open("wb"))
        process = subprocess.Popen(
            [*inside, *words], stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
        cleaning.callback(_ended, process, folder)
        client = docker.DockerClient(f"unix://{folder}/docker.sock", version="1.41", timeout=60)
        cleaning.callback(client.close)
        _answering(client, process, folder)
        client.api.import_image_from_data(tiny(), repository=IMAGE.partition(":")[0], tag=IMAGE.partition(":")[2])
        yield client


@contextlib.contextmanager
def several(folder: Path, *numbers: int) -> Iterator[list[docker.DockerClient]]:
    """Engines of these numbers on one bridge, started at the same time; each in folder/NUMBER."""
    with bridge(), contextlib.ExitStack() as running, ThreadPoolExecutor(len(numbers)) as pool:
        yield list(pool.map(lambda each: running.enter_context(engine(folder / str(each), each)), numbers))


def _answering(client: docker.DockerClient, process: subprocess.Popen[bytes], folder: Path) -> None:
    end = time.monotonic() + 40
    while time.monotonic() < end:
        if _listens(folder / "docker.sock"):
            with contextlib.suppress(docker.errors.APIError):
                client.ping()
                return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError((folder / "log").read_text()[-2000:])


def _listens(path: Path) -> bool:
    """Docker's own client leaves a socket open that is refused (findings/docker-py-leaves-a-socket.sh)."""
    with socket.socket(socket.AF_UNIX) as door:
        try:
            door.connect(str(path))
        except OSError:
            return False
    return True


def _ended(process: subprocess.Popen[bytes], folder: Path) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
    shutil.rmtree(folder, ignore_errors=True)
