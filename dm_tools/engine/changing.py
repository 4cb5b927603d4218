"""What changes a Docker Engine: the only module that does, and only `act` may import it.

Each function asks the engine's API for one thing, by the body that it documents, and raises records.Problem if that is
refused. Nothing here removes a volume, an image or a network.
https://docs.docker.com/reference/api/engine/version/v1.41/
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from dm_tools.engine.connection import Engine

STOP_SECONDS = 10  # what a program gets to end by itself, if its image does not say otherwise
BEYOND_SECONDS = 20.0  # what the engine may take beyond that


def start(engine: Engine, container_id: str) -> None:
    """Start a container; one that runs stays as it is."""
    _post(engine, container_id, "start", seconds=BEYOND_SECONDS)


def stop(engine: Engine, container_id: str, grace_seconds: int | None = None) -> None:
    """Stop a container; one that does not run stays as it is."""
    grace = STOP_SECONDS if grace_seconds is None else grace_seconds
    _post(engine, container_id, "stop", {"t": grace}, seconds=grace + BEYOND_SECONDS)


def restart(engine: Engine, container_id: str, grace_seconds: int | None = None) -> None:
    """Stop a container and start it again."""
    grace = STOP_SECONDS if grace_seconds is None else grace_seconds
    _post(engine, container_id, "restart", {"t": grace}, seconds=grace + BEYOND_SECONDS)


def pause(engine: Engine, container_id: str) -> None:
    """Freeze a container's processes."""
    _post(engine, container_id, "pause")


def unpause(engine: Engine, container_id: str) -> None:
    """Let a container's processes go on."""
    _post(engine, container_id, "unpause")


def update(engine: Engine, container_id: str, changes: dict[str, Any]) -> None:
    """Change limits or the restart policy of a container, as `HostConfig` spells them."""
    _post(engine, container_id, "update", body=changes)


def rename(engine: Engine, container_id: str, name: str) -> None:
    """Give a container another name."""
    _post(engine, container_id, "rename", {"name": name})


def create(engine: Engine, name: str, body: dict[str, Any]) -> str:
    """Make a container, and do not start it; returns its id."""

    def ask(client: Any) -> str:
        return str(_sent(client, "/containers/create", {"name": name}, body, BEYOND_SECONDS).json()["Id"])

    return engine.ask(name, ask, seconds=BEYOND_SECONDS)


def remove(engine: Engine, container_id: str) -> None:
    """Remove a container that does not run. Its volumes stay, the anonymous ones, too."""

    def ask(client: Any) -> None:
        url = f"{client.base_url}/v{client.api_version}/containers/{quote(container_id, safe='')}"
        _checked(client.delete(url, params={"v": "false", "force": "false"}, timeout=BEYOND_SECONDS))

    engine.ask(container_id[:12], ask, seconds=BEYOND_SECONDS)


def connect(engine: Engine, network: str, container_id: str, endpoint: dict[str, Any]) -> None:
    """Attach a container to a network, with its names and addresses there."""
    _network(engine, network, "connect", {"Container": container_id, "EndpointConfig": endpoint})


def disconnect(engine: Engine, network: str, container_id: str) -> None:
    """Detach a container from a network."""
    _network(engine, network, "disconnect", {"Container": container_id, "Force": True})


def _network(engine: Engine, network: str, verb: str, body: dict[str, Any]) -> None:
    def ask(client: Any) -> None:
        _sent(client, f"/networks/{quote(network, safe='')}/{verb}", {}, body, BEYOND_SECONDS)

    engine.ask(network, ask, seconds=BEYOND_SECONDS)


def _post(
    engine: Engine,
    container_id: str,
    verb: str,
    parameters: dict[str, Any] | None = None,
    body: dict[str, Any] | None = None,
    seconds: float = BEYOND_SECONDS,
) -> None:
    def ask(client: Any) -> None:
        _sent(client, f"/containers/{quote(container_id, safe='')}/{verb}", parameters or {}, body, seconds)

    engine.ask(container_id[:12], ask, seconds=seconds)


def _sent(client: Any, path: str, parameters: dict[str, Any], body: dict[str, Any] | None, seconds: float) -> Any:
    url = f"{client.base_url}/v{client.api_version}{path}"
    return _checked(client.post(url, params=parameters, json=body, timeout=seconds))


def _checked(answer: Any) -> Any:
    import docker.errors
    import requests.exceptions

    try:
        answer.raise_for_status()
    except requests.exceptions.HTTPError as failure:
        docker.errors.create_api_error_from_http_exception(failure)  # raises
    return answer
