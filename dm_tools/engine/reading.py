"""The Docker Engine, read-only: the one module that imports the `docker` package, and it only ever asks.

`host` is a Docker host as in $DOCKER_HOST (unix://, tcp://, ssh://) or None for the default one. Whatever goes
wrong is a `records.Problem` with a stable code: docker_unreachable, docker_timeout, docker_error,
container_not_found, container_gone, ambiguous_container, logs_unavailable.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar
from urllib.parse import urlsplit

from dm_tools import records, redact

Answer = TypeVar("Answer")
Container = dict[str, Any]

LISTING_SECONDS = 1.0  # how long a list of containers is fresh; names are looked up once per record
UNREACHABLE_SECONDS = 5.0  # how long a dead engine is not asked again: N records must not cost N timeouts

_thread = threading.local()
_lock = threading.Lock()
_asking: defaultdict[str | None, threading.Lock] = defaultdict(threading.Lock)  # per engine: one list at a time
_versions: dict[str | None, str] = {}
# The library logs in anew for each question, and sshd refuses at random when ten do so at once (MaxStartups).
_logins = threading.BoundedSemaphore(6)
_unreachable: dict[str | None, tuple[float, str]] = {}
_listings: dict[str | None, tuple[float, list[Container]]] = {}


def label(host: str | None) -> str:
    """The engine's name for people."""
    return redact.redact(host or os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")


@contextlib.contextmanager
def _problems(host: str | None, subject: str, whole_engine: bool) -> Iterator[None]:
    """Turn what the library raises into our own problems. `whole_engine`: no answer here means none at all."""
    import http.client

    import docker.errors
    import requests.exceptions
    import urllib3.exceptions

    try:
        yield
    except docker.errors.NotFound as gone:
        raise records.Problem(
            "container_gone", redact.redact(f"{subject}: {gone.explanation or 'not found'}")
        ) from None
    except docker.errors.APIError as failure:
        raise records.Problem("docker_error", redact.redact(f"{subject}: {failure.explanation or failure}")) from None
    except (requests.exceptions.ReadTimeout, urllib3.exceptions.ReadTimeoutError, TimeoutError):
        if whole_engine:
            raise _unreached(host, "no answer in time") from None
        raise records.Problem("docker_timeout", f"{subject}: {label(host)} did not answer in time") from None
    except requests.exceptions.JSONDecodeError as garbage:
        if whole_engine:
            raise _unreached(host, "its answer is not JSON") from None
        # an engine that removes a container while it is being measured answers nothing at all
        raise records.Problem("container_gone", f"{subject}: no valid answer ({garbage})") from None
    except (
        docker.errors.DockerException,
        requests.exceptions.RequestException,
        urllib3.exceptions.HTTPError,
        http.client.HTTPException,
        OSError,
        ValueError,  # an address that is none, an answer that is no JSON
    ) as failure:
        raise _unreached(host, _reason(failure)) from None


def _unreached(host: str | None, reason: str) -> records.Problem:
    """Remember that an engine is dead."""
    with _lock:
        _unreachable[host] = (time.monotonic(), reason)
    return records.Problem("docker_unreachable", f"cannot reach Docker at {label(host)}: {redact.redact(reason)}")


def _ask(
    host: str | None, subject: str, timeout: float, work: Callable[[], Answer], whole_engine: bool = False
) -> Answer:
    """`work()`, which asks the engine. Over ssh the library has no timeout, so it is waited for in a thread there."""
    if not label(host).startswith("ssh://"):
        with _problems(host, subject, whole_engine):
            return work()
    with _logins, _problems(host, subject, whole_engine):
        outcome: Future[Answer] = Future()

        def wait() -> None:
            try:
                outcome.set_result(work())
            except BaseException as failure:
                outcome.set_exception(failure)

        threading.Thread(target=wait, daemon=True).start()
        try:
            return outcome.result(timeout)
        except TimeoutError:
            _thread.__dict__.pop("clients", None)  # that connection is still waiting for its answer
            raise


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
        raise records.Problem("docker_unreachable", f"cannot reach Docker at {label(host)}: {redact.redact(reason)}")
    clients: dict[tuple[str | None, float], Any] = _thread.__dict__.setdefault("clients", {})
    if (host, timeout) not in clients:
        clients[host, timeout] = _connect(host, timeout)
    return clients[host, timeout]


def _connect(host: str | None, timeout: float) -> Any:
    import docker
    import docker.utils

    def connect() -> Any:
        settings: dict[str, Any] = {"base_url": host} if host else {**docker.utils.kwargs_from_env()}
        if (settings.get("base_url") or "").startswith("ssh://"):
            settings["use_ssh_client"] = True  # the system's ssh: its config, agent and known hosts count
        settings |= {"version": _versions.get(host, "auto"), "timeout": timeout}
        return docker.APIClient(**settings)

    connection = _ask(host, "version", timeout, connect, whole_engine=True)
    _versions[host] = connection.api_version
    return connection


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
    with _asking[host]:  # whoever comes meanwhile waits for the same answer instead of asking, too
        at, listing = _listings.get(host, (0.0, []))
        if at and time.monotonic() - at < LISTING_SECONDS:
            return listing
        connection = client(host, timeout)
        listing = list(
            _ask(host, "list of containers", timeout, lambda: connection.containers(all=True), whole_engine=True)
        )
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
    answer: dict[str, Any] = _ask(host, container_id[:12], timeout, lambda: connection.inspect_container(container_id))
    return answer


EVENT_ACTIONS = ("create", "start", "die", "oom", "kill", "stop", "restart", "pause", "unpause", "destroy")


def events(host: str | None, container_id: str, seconds: float, timeout: float) -> list[dict[str, Any]]:
    """What happened to a container within the last `seconds`, oldest first.

    Always with an end: a followed event stream would last forever. Healthchecks flood the events, so the engine
    filters them.
    """
    connection = client(host, timeout)
    until = time.time()
    filters = {"type": ["container"], "container": [container_id], "event": EVENT_ACTIONS}
    window = {"since": int(until - seconds), "until": int(until) + 1, "filters": json.dumps(filters)}

    def read() -> list[dict[str, Any]]:
        found = []
        with _get(connection, "/events", window, timeout) as answer:
            for line in answer.iter_lines():
                if line:
                    found.append(json.loads(line))
                if time.time() - until > timeout:
                    break
        return found

    return _ask(host, container_id[:12], timeout, read)


def _get(connection: Any, path: str, parameters: dict[str, Any], timeout: float) -> Any:
    """An answer to be read piece by piece, and closed. The library's own streams have no timeout and take a cut
    connection for the end."""
    import docker.errors
    import requests.exceptions

    url = f"{connection.base_url}/v{connection.api_version}{path}"
    answer = connection.get(url, params=parameters, stream=True, timeout=timeout)
    try:
        answer.raise_for_status()
    except requests.exceptions.HTTPError as failure:
        docker.errors.create_api_error_from_http_exception(failure)  # raises
    return answer


STREAMS = {1: "stdout", 2: "stderr"}


def log(
    host: str | None,
    container_id: str,
    tail: int,
    since: float | None,
    timeout: float,
    take: Callable[[str, bytes], None],
) -> bool:
    """Hand a container's log to `take(stream, piece)`, in the order in which it was written; False if time ran out.

    A piece is what the container wrote at once, at most 16 KiB, with the engine's timestamp before it. (With a
    terminal there is one stream, and the pieces are arbitrary.) Never a `since` without a `tail`: the engine would
    scan the whole file (seconds for 100 MB).
    """
    connection = client(host, timeout)
    deadline = time.monotonic() + timeout
    parameters = {"stdout": 1, "stderr": 1, "timestamps": 1, "tail": tail} | ({"since": since} if since else {})

    def read() -> bool:
        terminal = connection.inspect_container(container_id)["Config"]["Tty"]
        with _get(connection, f"/containers/{container_id}/logs", parameters, timeout) as answer:
            pieces = (("stdout", piece) for piece in answer.iter_content(65536)) if terminal else _frames(answer.raw)
            for stream, piece in pieces:
                take(stream, piece)
                if time.monotonic() > deadline:
                    return False
        return True

    try:
        return _ask(host, container_id[:12], timeout + 1, read)
    except records.Problem as problem:
        if "does not support reading" in problem.message:
            raise records.Problem("logs_unavailable", f"{container_id[:12]}: the log driver cannot be read") from None
        raise


def _frames(raw: Any) -> Iterator[tuple[str, bytes]]:
    """Without a terminal the engine marks every piece with its stream and its length."""
    while header := raw.read(8):
        kind, length = struct.unpack(">BxxxL", header)
        yield STREAMS.get(kind, "stderr"), raw.read(length)


def stats(host: str | None, container_id: str, timeout: float) -> dict[str, Any]:
    """Two samples about a second apart: `cpu_stats` the second, `precpu_stats` the first."""
    connection = client(host, timeout)
    answer: dict[str, Any] = _ask(
        host, container_id[:12], timeout, lambda: connection.stats(container_id, stream=False)
    )
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
        raise records.Problem(
            "no_route", f"port {port} of {(names(container) or ['?'])[0]!r} is not published by {label(host)}"
        )
    if "host" in _networks(container):
        return "127.0.0.1", port
    for network in _networks(container).values():
        found = network.get("IPAddress") or network.get("GlobalIPv6Address")
        if found:
            return found, port
    return None
