"""Which Docker Engine is meant: the one that the `docker` command would use, or else the only other one that is here.

A host that is named (--docker-host, a record's docker_host; `context://NAME` is a Docker context) comes first, then
$DOCKER_HOST, the context of $DOCKER_CONTEXT, `currentContext` of Docker's config.json, and the default socket. Where
there is no default socket, a rootless engine's or Podman's is taken if it is the only one that answers.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any, NamedTuple

from dm_tools import records, redact
from dm_tools.pipe import exits, say, settings

DEFAULT_SOCKET = Path("/var/run/docker.sock")
SYSTEM_SOCKETS = (Path("/run/podman/podman.sock"),)
CONTEXT = "context://"  # begins a host that is a context's: its address alone would lack its TLS files
KNOCK_SECONDS = 1.0  # a socket of this machine answers at once, or systemd starts who listens there
MAX_FILE = 1024 * 1024  # bytes of a file of Docker's


class Address(NamedTuple):
    """Where an engine is: a Docker host (unix://, tcp://, ssh://), the context that named it, and its TLS files.

    `tls` has `ca`, `cert` and `key` (paths, those that there are) and `verify`; None: TLS as $DOCKER_TLS_VERIFY and
    $DOCKER_CERT_PATH say, where `context` is None. `found`: nobody named it, it was the only one here.
    """

    url: str
    context: str | None = None
    tls: dict[str, Any] | None = None
    found: bool = False


def of(host: str | None) -> Address:
    """The engine that is meant; `host` is one that was named. Raises Problem docker_unreachable: none, or not which."""
    if host and host.startswith(CONTEXT):
        return _of_context(host.removeprefix(CONTEXT), "docker_host")
    if host:
        return Address(host)
    named, context = os.environ.get("DOCKER_HOST"), os.environ.get("DOCKER_CONTEXT")
    if named and not (context and settings.origin("DOCKER_HOST") != "DOCKER_HOST"):
        return Address(named)  # our settings file's does not come before the environment's context
    source = settings.origin("DOCKER_CONTEXT") if context else "currentContext"
    context = context or _current()
    if context and context != "default":
        return _of_context(context, source)
    default = f"unix://{DEFAULT_SOCKET}"
    return Address(default) if DEFAULT_SOCKET.exists() else _only_other() or Address(default)


def _folder() -> Path:
    """Where the `docker` command keeps its settings."""
    return Path(os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker"))


def _current() -> str | None:
    """The context that `docker context use` chose. A file that cannot be read counts as none, as it does there."""
    path = _folder() / "config.json"
    try:
        chosen = _object(path).get("currentContext")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as failure:
        reason = getattr(failure, "strerror", None) or "not JSON"
        say.note(f"cannot read {str(path)!r}, so no Docker context is taken from it: {reason.lower()}")
        return None
    return chosen if isinstance(chosen, str) else None


def _of_context(name: str, source: str) -> Address:
    """Docker keeps a context under the SHA-256 of its name. Raises Problem."""
    mark = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
    kept = _folder() / "contexts"
    try:
        endpoint = _object(kept / "meta" / mark / "meta.json")["Endpoints"]["docker"]
        url = endpoint.get("Host") or f"unix://{DEFAULT_SOCKET}"
        if not isinstance(url, str):
            raise TypeError
    except FileNotFoundError:
        there = ", ".join(contexts())
        raise _unusable(f"no Docker context {name[:100]!r} ({source}); there are: {there}") from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as failure:
        reason = getattr(failure, "strerror", None) or "its meta.json does not say where its engine is"
        raise _unusable(f"cannot use the Docker context {name[:100]!r} ({source}): {reason.lower()}") from None
    folder = kept / "tls" / mark / "docker"
    files = {key: str(folder / f"{key}.pem") for key in ("ca", "cert", "key") if (folder / f"{key}.pem").is_file()}
    unverified = bool(endpoint.get("SkipTLSVerify"))
    return Address(url, name, files | {"verify": not unverified} if files or unverified else None)


def contexts() -> list[str]:
    """The names of the Docker contexts that there are, `default` first."""
    return ["default", *_names(_folder() / "contexts/meta")]


def _names(folder: Path) -> list[str]:
    """The names of the contexts that there are, sorted."""
    found = []
    for path in sorted(folder.glob("*/meta.json"))[:20]:
        with contextlib.suppress(OSError, ValueError):
            found.append(str(_object(path).get("Name"))[:100])
    return sorted(found)


def _object(path: Path) -> dict[str, Any]:
    """A file of Docker's. Raises OSError, ValueError."""
    with path.open("rb") as file:
        data = file.read(MAX_FILE + 1)
    try:
        found = json.loads(data)
    except RecursionError:
        found = None
    if len(data) > MAX_FILE or not isinstance(found, dict):
        raise ValueError("no JSON object")
    return found


def _only_other() -> Address | None:
    """The one socket of a rootless engine or of Podman that answers; None if none does. Raises Problem: several do."""
    user = Path(f"/run/user/{os.getuid()}")
    session = Path(os.environ.get("XDG_RUNTIME_DIR") or user)
    wanted = [session / "docker.sock", user / "docker.sock", session / "podman/podman.sock", *SYSTEM_SOCKETS]
    found = {path.resolve(): path for path in reversed(wanted) if _answers(path)}
    if len(found) > 1:
        listed = " and ".join(f"unix://{path}" for path in sorted(found.values()))
        raise _unusable(f"no engine at unix://{DEFAULT_SOCKET}, but several others ({listed}): set DOCKER_HOST to one")
    return next((Address(f"unix://{path}", found=True) for path in found.values()), None)


def _answers(path: Path) -> bool:
    """Whether somebody listens at a socket: a dead engine's stays where it was."""
    with socket.socket(socket.AF_UNIX) as door, contextlib.suppress(OSError):
        door.settimeout(KNOCK_SECONDS)
        door.connect(str(path))
        return True
    return False


def _unusable(words: str) -> records.Problem:
    return records.Problem("docker_unreachable", redact.redact(words))


def main() -> None:
    """Print the engine's address if the environment does not name it: how scripts hand it on, and say so once."""
    say.program = "supervisor"
    try:
        settings.load()
        address = of(None)
    except exits.Stop as stop:
        say.note(stop.message)
        sys.exit(stop.status)
    except records.Problem as problem:
        say.note(problem.message)
        sys.exit(exits.UNREACHABLE)
    if "--found" not in sys.argv or address.found:
        sys.stdout.write(address.url + "\n")


if __name__ == "__main__":
    main()
