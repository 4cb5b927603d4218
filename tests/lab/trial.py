"""Engines of other releases, in a folder and namespaces of their own: Docker 26.1.5 and Podman 5.4.2 of Debian 13,
Podman 4.3.1 of Debian 12.

A second dockerd in the network namespace of a running one takes its bridge away: so each has a network namespace, and
a mount namespace whose root is what was unpacked. It needs root, `apt-get`, and about 150 MB once.
"""

import contextlib
import io
import os
import shutil
import subprocess
import tarfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker

from . import engine
from .image import _skeleton, _unpack
from .settings import LABEL, LabError, state_folder
from .waiting import wait_until

_BESIDE_PODMAN = ("podman", "runc", "netavark", "aardvark-dns", "iptables", "nftables", "busybox-static")
PACKAGES = {"trixie": ("docker.io", *_BESIDE_PODMAN), "bookworm": _BESIDE_PODMAN}
SUITES = {"docker-26.1.5": "trixie", "podman-5.4.2": "trixie", "podman-4.3.1": "bookworm"}
IMAGE = "localhost/dm-tools-trial:latest"  # Podman 4 calls an import that, whatever is asked for
ENTER = """\
set -e
mount --make-rprivate /
mount --bind {root} {root}
mkdir -p {root}{folder} {root}/old
mount --bind {folder} {root}{folder}
for each in proc sys dev; do mount --rbind /$each {root}/$each; done
mount -t tmpfs none {root}/run
cd {root}
pivot_root . old
export PATH=/usr/sbin:/usr/bin CONTAINERS_CONF={folder}/containers.conf TMPDIR={folder}
exec /old{chroot} . {command}
"""
COMMANDS = {
    "docker": "/usr/sbin/dockerd --config-file={0}/daemon.json --data-root={0}/data --exec-root={0}/exec "
    "--pidfile={0}/pid --host=unix://{0}/s",
    "podman": "/usr/bin/podman --root {0}/data --runroot {0}/exec --tmpdir {0}/tmp --storage-driver vfs system service "
    "--time 0 unix://{0}/s",
}
CONTAINERS = """\
[engine]
events_logger = "file"
cgroup_manager = "cgroupfs"
runtime = "runc"
[network]
network_backend = "netavark"
network_config_dir = "{0}/net"
firewall_driver = "iptables"
[containers]
default_ulimits = []
"""


@dataclass(frozen=True)
class Trial:
    """An engine that runs: its socket, and the words before a command that is to reach its containers."""

    socket: Path
    enter: tuple[str, ...]


def unpacked(suite: str) -> Path:
    """The root folder with the packages of a release of Debian, made once. Raises LabError."""
    place = state_folder() / "trial" / suite
    root = place / "root"
    if root.exists():
        return root
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    partial = place / "partial"
    _skeleton(partial)
    for name in ("old", "root", "var/tmp"):
        (partial / name).mkdir(parents=True)
    for package in _downloaded(place, suite):
        _unpack(package, partial)
    (partial / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (partial / "etc/group").write_text("root:x:0:\ndocker:x:1:\n")
    for name in ("iptables", "ip6tables", "iptables-save", "iptables-restore"):  # their install scripts did not run
        link = partial / "usr/sbin" / name
        if not link.exists():
            link.symlink_to("xtables-nft-multi" if (partial / "usr/sbin/xtables-nft-multi").exists() else name)
    partial.rename(root)
    return root


def _downloaded(place: Path, suite: str) -> list[Path]:
    """The packages with what they need, from the machine's own mirror, as if nothing were installed."""
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    uris = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
    mirror = next((each for each in uris if each.endswith("/debian/")), None)
    if mirror is None:
        raise LabError("an engine of another release needs a Debian machine, after `apt-get update`")
    keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
    (place / "sources.list").write_text(f"deb [signed-by={keys}] {mirror} {suite} main\n")
    (place / "status").touch()
    for name in ("lists/partial", "archives/partial", "none"):
        (place / name).mkdir(parents=True)
    options = {
        "Dir::Etc::sourcelist": place / "sources.list",
        "Dir::Etc::sourceparts": place / "none",
        "Dir::State::lists": place / "lists",
        "Dir::State::status": place / "status",
        "Dir::Cache": place,
        "Dir::Cache::archives": place / "archives",
        "APT::Sandbox::User": "root",
        "APT::Install-Recommends": "false",
    }
    words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    for what in (["update"], ["--download-only", "install", *PACKAGES[suite]]):
        done = subprocess.run(["apt-get", "-y", "-qq", *words, *what], capture_output=True, text=True, timeout=900)
        if done.returncode:
            raise LabError(f"cannot download the packages of {suite}: {done.stderr.strip()[-300:]}")
    return sorted((place / "archives").glob("*.deb"))


@contextlib.contextmanager
def started(version: str, folder: Path) -> Iterator[Trial]:
    """Run one of SUITES in a folder until the end. Raises LabError if it does not start."""
    root, kind = unpacked(SUITES[version]), version.partition("-")[0]
    (folder / "daemon.json").write_text("{}\n")
    (folder / "containers.conf").write_text(CONTAINERS.format(folder))
    (folder / "net").mkdir()
    name = f"dmtrial-{uuid.uuid4().hex[:8]}"
    script = ENTER.format(
        root=root, folder=folder, chroot=shutil.which("chroot"), command=COMMANDS[kind].format(folder)
    )
    subprocess.run(["ip", "netns", "add", name], check=True)
    enter = ("nsenter", f"--net=/run/netns/{name}")
    try:
        subprocess.run([*enter, "ip", "link", "set", "lo", "up"], check=True)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([*enter, "unshare", "-m", "sh", "-c", script], stdout=log, stderr=log)
        socket = folder / "s"
        try:

            def starting() -> str | None:
                if process.poll() is not None:
                    raise LabError(f"{version} ended at once: {(folder / 'log').read_text()[-500:]}")
                return (
                    None if engine._answers(f"unix://{socket}") else f"{version} does not answer, see {folder / 'log'}"
                )

            wait_until(starting, 60)
            yield Trial(socket, enter)
        finally:
            process.terminate()
            process.wait(30)
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


def image(client: docker.DockerClient) -> str:
    """An image with a shell and a web server in it, 2 MB."""
    busybox = unpacked("trixie") / "bin/busybox"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(os.path.realpath(busybox), "bin/busybox")
        for each in ("sh", "sleep", "httpd", "echo", "mkdir"):
            link = tarfile.TarInfo(f"bin/{each}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
        content = b"all is well\n"
        page = tarfile.TarInfo("www/index.html")
        page.size = len(content)
        archive.addfile(page, io.BytesIO(content))
    repository, _, tag = IMAGE.partition(":")
    changes = [f"LABEL {LABEL}=1", "ENV PATH=/bin"]
    client.api.import_image_from_data(packed.getvalue(), repository=repository, tag=tag, changes=changes)
    return IMAGE
