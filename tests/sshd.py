"""A real sshd on loopback, and a client that knows it as `lab`."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Server:
    """`folder` holds an `ssh` that knows the host `lab` and its key; docker-py calls plain `ssh`."""

    port: int
    folder: Path


@contextlib.contextmanager
def started(folder: Path, environment: str = "", options: str = "") -> Iterator[Server]:
    """Run an sshd until the end. `environment`: NAME=VALUE words of its sessions; `options`: what stands before the
    user's key in authorized_keys."""
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    (folder / "authorized_keys").write_text(f"{options} {(folder / 'user.pub').read_text()}".lstrip())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "sshd_config").write_text(
        textwrap.dedent(f"""\
            Port {port}
            ListenAddress 127.0.0.1
            HostKey {folder}/host
            AuthorizedKeysFile {folder}/authorized_keys
            PidFile none
            StrictModes no
            UsePAM no
            PermitRootLogin yes
            PasswordAuthentication no
            AcceptEnv *
            Subsystem sftp internal-sftp
            """)
        + (f"SetEnv {environment}\n" if environment else "")
    )
    (folder / "ssh_config").write_text(
        textwrap.dedent(f"""\
            Host lab
                HostName 127.0.0.1
                Port {port}
                User root
                IdentityFile {folder}/user
                UserKnownHostsFile {folder}/known_hosts
                StrictHostKeyChecking accept-new
                LogLevel ERROR
                BatchMode yes
            """)
    )
    client = folder / "bin"
    client.mkdir()
    for name in ("ssh", "scp", "sftp"):
        (client / name).write_text(f'#!/bin/sh\nexec /usr/bin/{name} -F {folder}/ssh_config "$@"\n')
        (client / name).chmod(0o755)
    Path("/run/sshd").mkdir(exist_ok=True)  # sshd insists on it
    command = ["/usr/sbin/sshd", "-D", "-e", "-f", folder / "sshd_config"]
    with (folder / "sshd.log").open("wb") as log, subprocess.Popen(command, stderr=log) as server:
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
        yield Server(port, client)
        server.send_signal(signal.SIGTERM)
