"""An image as configs/deploy/Dockerfile makes it, without a registry: its last stage, on the lab's image as the base.

What the stages before fetch is put there by hand: the Python packages of this environment (the lab's Debian has the
same Python), bash, jq and HAProxy of this machine. The engine's classic builder does the rest.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import docker
from packaging.requirements import Requirement

from tests import lab as fault_lab
from tests.conftest import ROOT

DOCKERFILE = ROOT / "configs/deploy/Dockerfile"
PROGRAMS = ("/bin/bash", "/usr/bin/jq", "/usr/sbin/haproxy")
PARTS = ("bin", "configs", "dm_tools", "scripts", "pyproject.toml")


def last_stage() -> str:
    """What the Dockerfile says after the last FROM, but that it copies from a folder instead of a stage."""
    text = re.split(r"^FROM .*$", DOCKERFILE.read_text(), flags=re.MULTILINE)[-1]
    assert "COPY --from=build /opt/dm-tools /opt/dm-tools" in text
    return text.replace("COPY --from=build /opt/dm-tools /opt/dm-tools", "COPY root /")


def build(client: docker.DockerClient, tag: str) -> None:
    """Build the image."""
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        _add(tar, "Dockerfile", f"FROM {fault_lab.image.name()}\n{last_stage()}")
        for part in PARTS:
            tar.add(ROOT / part, f"root/opt/dm-tools/{part}")
        venv = "root/opt/dm-tools/.venv"
        _add(tar, f"{venv}/pyvenv.cfg", "home = /usr/bin\ninclude-system-site-packages = false\n")
        _link(tar, f"{venv}/bin/python", "/usr/bin/python3")
        _link(tar, "root/usr/bin/env", "/usr/local/bin/env")  # the lab's is elsewhere
        for name in sorted(_distributions("dm-tools", ("notify",))):
            distribution = metadata.distribution(name)
            for file in distribution.files or []:
                if file.parts[0] != ".." and (source := Path(str(distribution.locate_file(file)))).is_file():
                    tar.add(source, f"{venv}/lib/python3.11/site-packages/{file}")
        for program in PROGRAMS:
            for path in (program, *_libraries(program)):
                tar.add(
                    Path(path).resolve(),
                    f"root{path.replace('/bin/', '/usr/bin/', 1) if path == '/bin/bash' else path}",
                )
    context.seek(0)
    for line in client.api.build(fileobj=context, custom_context=True, tag=tag, rm=True, forcerm=True, decode=True):
        assert "error" not in line, line["error"]


def _add(tar: tarfile.TarFile, name: str, text: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(text.encode())
    tar.addfile(entry, io.BytesIO(text.encode()))


def _link(tar: tarfile.TarFile, name: str, to: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, to
    tar.addfile(entry)


def _distributions(name: str, extras: tuple[str, ...] = ()) -> set[str]:
    """The distributions that one needs, by name."""
    found: dict[str, set[str]] = {}

    def walk(name: str, extras: set[str]) -> None:
        if name in found and extras <= found[name]:
            return
        found.setdefault(name, set()).update(extras)
        for text in metadata.distribution(name).requires or []:
            needed = Requirement(text)
            if needed.marker is None or any(needed.marker.evaluate({"extra": each}) for each in ("", *extras)):
                walk(re.sub(r"[-_.]+", "-", needed.name).lower(), set(needed.extras))

    walk(name, set(extras))
    return set(found) - {name}


def _libraries(program: str) -> Iterator[str]:
    """The shared libraries that a program loads, below /usr."""
    assert shutil.which(program), program
    said = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    for path in re.findall(r"(/\S+\.so\S*)", said):
        yield path if path.startswith("/usr/") else f"/usr{path}"
