"""The Docker Engine, read-only: the one module that imports the `docker` package, and it only ever asks.

`host` is a Docker host as in $DOCKER_HOST (unix://, tcp://, ssh://) or None for the default one. Whatever goes
wrong is a `records.Problem` with a stable code: docker_unreachable, docker_timeout, docker_error,
container_not_found, container_gone, ambiguous_container, logs_unavailable.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from dm_tools import records

Container = dict[str, Any]

LISTING_SECONDS = 1.0  # how long a list of containers is fresh; names are looked up once per record
UNREACHABLE_SECONDS = 5.0  # how long a dead engine is not asked again: N records must not cost N timeouts

_thread = threading.local()
_lock = threading.Lock()
_unreachable: dict[str | None, tuple[float, str]] = {}
_listings: dict[str | None, tuple[float, list[Container]]] = {}


def label(host: str | None) -> str:
    """The engine's name for people."""
    return host or os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"


@contextlib.contextmanager
def _problems(host: str | None, subject: str) -> Iterator[None]:
    """Turn what the library raises into our own problems."""
    import docker.errors
    import requests.exceptions

    try:
        yield
    except docker.errors.NotFound as gone:
        raise records.Problem("container_gone", f"{subject}: {gone.explanation or 'not found'}") from None
    except docker.errors.APIError as failure:
        raise records.Problem("docker_error", f"{subject}: {failure.explanation or failure}") from None
    except requests.exceptions.ReadTimeout:
        raise records.Problem("docker_timeout", f"{subject}: {label(host)} did not answer in time") from None
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as failure:
        reason = _reason(failure)
        with _lock:
            _unreachable[host] = (time.monotonic(), reason)
        raise records.Problem("docker_unreachable", f"cannot reach Docker at {label(host)}: {reason}") from None


def _reason(failure: BaseException) -> str:
    """The innermost reason, in a few words: the libraries wrap it four times."""
    seen: BaseException = failure
    while (inner := seen.__cause__ or seen.__context__) is not None:
        seen = inner
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror.lower()
    return str(failure).splitlines()[0][:200] if str(failure) else type(failure).__name__


def client(host: str | None, timeout: float) -> Any:
    """This thread's connection to an engine (a requests session must not be shared between threads)."""
    with _lock:
        since, reason = _unreachable.get(host, (0.0, ""))
    if since and time.monotonic() - since < UNREACHABLE_SECONDS:
        raise records.Problem("docker_unreachable", f"cannot reach Docker at {label(host)}: {reason}")
    clients: dict[tuple[str | None, float], Any] = _thread.__dict__.setdefault("clients", {})
    if (host, timeout) not in clients:
        import docker
        import docker.utils

        with _problems(host, "version"):
            settings: dict[str, Any] = {"base_url": host} if host else {**docker.utils.kwargs_from_env()}
            if (settings.get("base_url") or "").startswith("ssh://"):
                settings["use_ssh_client"] = True  # the system's ssh: its config, agent and known hosts count
            settings |= {"version": "auto", "timeout": timeout}
            clients[host, timeout] = docker.APIClient(**settings)
    return clients[host, timeout]


def warm_up() -> None:
    """Load the library before the first record is here: in a pipe all commands start at once, and all wait."""
    import docker
    import docker.utils  # noqa: F401


def is_local(host: str | None) -> bool:
    """Whether the engine's container addresses can be reached from here: it runs on this machine."""
    name = label(host)
    return name.startswith(("unix://", "/")) or urlsplit(name).hostname in ("localhost", "127.0.0.1", "::1")


def containers(host: str | None, timeout: float) -> list[Container]:
    """All containers, running or not, as the engine's list has them (one call, nothing inspected)."""
    with _lock:
        at, listing = _listings.get(host, (0.0, []))
    if at and time.monotonic() - at < LISTING_SECONDS:
        return listing
    connection = client(host, timeout)
    with _problems(host, "list of containers"):
        listing = list(connection.containers(all=True))
    with _lock:
        _listings[host] = (time.monotonic(), listing)
    return listing


def names(container: Container) -> list[str]:
    """A container's own names (a name with a second slash is a link of another container)."""
    return [name[1:] for name in container.get("Names") or [] if name.count("/") == 1]


def labels(container: Container) -> dict[str, str]:
    """The container's labels."""
    return container.get("Labels") or {}


def compose_service(container: Container) -> str | None:
    """The Compose service that a container belongs to; None for a one-off `compose run`."""
    found = labels(container)
    if found.get("com.docker.compose.oneoff", "False").lower() == "true":
        return None
    return found.get("com.docker.compose.service")


def find(host: str | None, service: str, container: str | None, timeout: float) -> Container:
    """The container of a service: by its own name or id, or else by its Compose service label."""
    listing = containers(host, timeout)
    wanted = container or service
    for candidate in listing:
        if wanted in names(candidate) or (len(wanted) >= 12 and candidate["Id"].startswith(wanted)):
            return candidate
    if container is None:
        found = [each for each in listing if compose_service(each) == service]
        project = os.environ.get("COMPOSE_PROJECT_NAME")
        if project:
            found = [each for each in found if labels(each).get("com.docker.compose.project") == project]
        projects = {labels(each).get("com.docker.compose.project") for each in found}
        if len(projects) > 1:
            listed = ", ".join(sorted(str(name) for name in projects))
            raise records.Problem(
                "ambiguous_container",
                f"service {service!r} is in several Compose projects ({listed}): set COMPOSE_PROJECT_NAME",
            )
        if found:
            return min(found, key=lambda each: (each.get("State") != "running", names(each)))
    raise records.Problem("container_not_found", f"no container {wanted!r} at {label(host)}")


def inspect(host: str | None, container_id: str, timeout: float) -> dict[str, Any]:
    """Everything the engine knows of a container. Holds secrets: only a digest may leave this process."""
    connection = client(host, timeout)
    with _problems(host, container_id[:12]):
        answer: dict[str, Any] = connection.inspect_container(container_id)
    return answer


EVENT_ACTIONS = ("create", "start", "die", "oom", "kill", "stop", "restart", "pause", "unpause", "destroy")


def events(host: str | None, container_id: str, seconds: float, timeout: float) -> list[dict[str, Any]]:
    """What happened to a container within the last `seconds`, oldest first.

    Always with an end: a followed event stream ignores the client's timeout. Healthchecks flood the events, so the
    engine filters them.
    """
    connection = client(host, timeout)
    until = time.time()
    found = []
    with _problems(host, container_id[:12]):
        stream = connection.events(
            since=int(until - seconds),
            until=int(until) + 1,
            filters={"type": "container", "container": container_id, "event": list(EVENT_ACTIONS)},
            decode=True,
        )
        for event in stream:
            found.append(event)
            if time.time() - until > timeout:
                stream.close()
                break
    return found


def log_chunks(
    host: str | None, container_id: str, stderr: bool, tail: int, since: float | None, timeout: float
) -> Iterator[bytes]:
    """One stream of a container's log, with the engine's timestamps, in chunks as they come.

    Never a `since` without a `tail`: the engine would scan the whole file (seconds for 100 MB).
    """
    connection = client(host, timeout)
    with _problems(host, container_id[:12]):
        try:
            yield from connection.logs(
                container_id,
                stdout=not stderr,
                stderr=stderr,
                timestamps=True,
                tail=tail,
                since=since,
                stream=True,
                follow=False,
            )
        except Exception as failure:
            if getattr(failure, "status_code", None) == 501 or "does not support reading" in str(failure):
                raise records.Problem(
                    "logs_unavailable", f"{container_id[:12]}: the log driver cannot be read"
                ) from None
            raise


def stats(host: str | None, container_id: str, timeout: float) -> dict[str, Any]:
    """Two samples about a second apart: `cpu_stats` the second, `precpu_stats` the first."""
    connection = client(host, timeout)
    with _problems(host, container_id[:12]):
        answer: dict[str, Any] = connection.stats(container_id, stream=False)
    return answer


def named(host: str | None, name: str, home: Container | None, timeout: float) -> Container | None:
    """The container that answers to a host name inside the Docker network; None if there is none.

    `home` is the container of the service that is asked about: among several with the name (two projects with
    a `db` each), itself or the one in its project is meant. A running one comes before a stopped one.
    """
    found = [each for each in containers(host, timeout) if _answers_to(each, name)]
    if home is not None and len(found) > 1:
        project = labels(home).get("com.docker.compose.project")
        same = [each for each in found if labels(each).get("com.docker.compose.project") == project]
        found = [home] if home in found else same or found
    return min(found, key=lambda each: each.get("State") not in RUNNING, default=None)


RUNNING = ("running", "paused", "restarting")


def _networks(container: Container) -> dict[str, dict[str, Any]]:
    return (container.get("NetworkSettings") or {}).get("Networks") or {}


def _answers_to(container: Container, name: str) -> bool:
    aliases: list[str] = []
    for network in _networks(container).values():
        aliases += (network.get("Aliases") or []) + (network.get("DNSNames") or [])
    return name in names(container) or name == compose_service(container) or name in aliases


def address(host: str | None, container: Container, port: int) -> tuple[str, int] | None:
    """Where a container's port is reached from here; None if the container has no address.

    Raises Problem no_route: the engine is remote and does not publish the port.
    """
    if not is_local(host):
        for published in container.get("Ports") or []:
            reachable = published.get("PublicPort") and not str(published.get("IP")).startswith("127.")
            if published.get("PrivatePort") == port and reachable:
                return urlsplit(label(host)).hostname or "", published["PublicPort"]
        raise records.Problem("no_route", f"port {port} of {names(container)[0]!r} is not published by {label(host)}")
    if "host" in _networks(container):
        return "127.0.0.1", port
    for network in _networks(container).values():
        found = network.get("IPAddress") or network.get("GlobalIPv6Address")
        if found:
            return found, port
    return None
