"""The Docker Engine the lab runs on: the one that already answers, or else a private one.

A second dockerd in the network namespace of a running one re-addresses or deletes its `docker0`. So a private
engine is started only where no other dockerd lives, and it is never stopped by anything but `stop()`.
"""

import os
import shutil
import signal
import socket as sockets
from pathlib import Path

import docker
from docker.errors import DockerException

from .settings import LabError, state_folder
from .waiting import wait_until

DEFAULT_SOCKET = Path("/var/run/docker.sock")
LONGEST_SOCKET_PATH = 107  # sun_path holds 108 bytes, the last one is NUL
INSTALL = "apt-get install --no-install-recommends docker.io iptables"


def folder() -> Path:
    return state_folder() / "engine"


def socket() -> Path:
    return folder() / "docker.sock"


def own_url() -> str:
    return f"unix://{socket()}"


def find() -> str | None:
    """The address of an engine that answers now; a DOCKER_HOST that is set is obeyed, never replaced."""
    wanted = os.environ.get("DOCKER_HOST")
    if wanted and wanted != own_url():
        if not _answers(wanted):
            raise LabError(f"no Docker Engine answers at DOCKER_HOST={wanted}")
        return wanted
    candidates = [own_url()] if wanted else [f"unix://{DEFAULT_SOCKET}", own_url()]
    return next((url for url in candidates if _answers(url)), None)


def connect(url: str) -> docker.DockerClient:
    """A client for this address; TLS certificates and the like come from the environment as usual."""
    return docker.from_env(environment={**os.environ, "DOCKER_HOST": url}, timeout=60, max_pool_size=16)


def start() -> str:
    """Return the address of a running engine, after starting a private one where there is none."""
    if running := find():
        return running
    _refuse_where_it_cannot_work()
    folder().mkdir(exist_ok=True)
    settings = folder() / "daemon.json"
    settings.write_text("{}\n")  # keeps /etc/docker/daemon.json of the machine out of the lab
    command = [
        "dockerd",
        f"--config-file={settings}",
        f"--data-root={folder() / 'data'}",
        f"--exec-root={folder() / 'exec'}",
        f"--pidfile={_pidfile()}",
        f"--host={own_url()}",
    ]
    log = folder() / "dockerd.log"
    with log.open("wb") as output:
        # Not subprocess: nobody here waits for this process, it outlives us.
        words = [(os.POSIX_SPAWN_DUP2, output.fileno(), stream) for stream in (1, 2)]
        pid = os.posix_spawnp("dockerd", command, os.environ, file_actions=words, setsid=True)

    def starting() -> str | None:
        if os.waitpid(pid, os.WNOHANG) != (0, 0):
            raise LabError(f"dockerd ended at once; its last words are in {log}")
        return None if _answers(own_url()) else f"dockerd does not answer yet, see {log}"

    wait_until(starting, 40)
    return own_url()


def stop() -> bool:
    """Stop the private engine; False when there is none. An engine that was here before is left alone."""
    pid = _own_pid()
    if pid is None:
        return False
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: f"dockerd {pid} does not end" if _is_dockerd(pid) else None, 30)
    return True


def _answers(url: str) -> bool:
    if url.startswith("unix://") and not _listens(url.removeprefix("unix://")):
        return False
    try:
        client = docker.from_env(environment={**os.environ, "DOCKER_HOST": url}, timeout=5)
        try:
            return bool(client.ping())
        finally:
            client.close()
    except DockerException:
        return False
    except OSError:  # requests' own errors are OSErrors
        return False


def _listens(path: str) -> bool:
    """Whether somebody accepts at this socket. Docker's own client never closes one that is refused."""
    with sockets.socket(sockets.AF_UNIX) as asking:
        try:
            asking.connect(path)
        except OSError:
            return False
    return True


def _refuse_where_it_cannot_work() -> None:
    if len(os.fsencode(socket())) > LONGEST_SOCKET_PATH:
        raise LabError(f"the path of the engine's socket is too long, set DM_LAB_DIR to a shorter one: {socket()}")
    if not shutil.which("dockerd") or not shutil.which("iptables"):
        raise LabError(f"no Docker Engine answers and dockerd or iptables is missing: {INSTALL}")
    if os.geteuid() != 0:
        raise LabError("no Docker Engine answers and starting one needs root")
    if strangers := _dockerds_here():
        raise LabError(
            f"dockerd {strangers[0]} runs in this network namespace but does not answer; "
            "set DOCKER_HOST to its socket (a second dockerd would break its network)"
        )


def _dockerds_here() -> list[int]:
    """Every dockerd in our own network namespace, a hanging one of ours included: two must never meet."""
    here = os.readlink("/proc/self/ns/net")
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or not _is_dockerd(int(entry.name)):
            continue
        try:
            if os.readlink(entry / "ns/net") == here:
                found.append(int(entry.name))
        except OSError:
            continue  # it ended meanwhile
    return found


def _is_dockerd(pid: int) -> bool:
    try:
        if Path(f"/proc/{pid}/comm").read_text() != "dockerd\n":
            return False
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _pidfile() -> Path:
    return folder() / "docker.pid"


def _own_pid() -> int | None:
    try:
        pid = int(_pidfile().read_text())
    except (OSError, ValueError):
        return None
    return pid if _is_dockerd(pid) else None
