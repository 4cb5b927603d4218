"""What a Docker Engine is asked: it is only ever read. Each question raises records.Problem (see connection)."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

from dm_tools import records
from dm_tools.engine.connection import Container, Engine

EVENT_ACTIONS = ("create", "start", "die", "oom", "kill", "stop", "restart", "pause", "unpause", "destroy")
STREAMS = {1: "stdout", 2: "stderr"}


def containers(engine: Engine, fresh: bool = False) -> list[Container]:
    """All containers, running or not, as the engine's list has them (one question, nothing inspected).

    The list may be a second old; with `fresh` it shows everything that was done before this call.
    """
    return engine.listing.get(
        lambda: list(engine.ask("list of containers", lambda client: client.containers(all=True), whole_engine=True)),
        fresh,
    )


def inspect(engine: Engine, container_id: str) -> dict[str, Any]:
    """Everything the engine knows of a container. Holds secrets: only a digest may leave this process."""
    return engine.ask(container_id[:12], lambda client: _object(client.inspect_container(container_id)))


def stats(engine: Engine, container_id: str) -> dict[str, Any]:
    """Two samples about a second apart: `cpu_stats` the second, `precpu_stats` the first."""
    return engine.ask(container_id[:12], lambda client: _object(client.stats(container_id, stream=False)))


def events(engine: Engine, container_id: str, seconds: float) -> list[dict[str, Any]]:
    """What happened to a container within the last `seconds`, oldest first.

    Always with an end: a followed event stream would last forever. Healthchecks flood the events, so the engine
    filters them.
    """
    until = time.time()
    filters = {"type": ["container"], "container": [container_id], "event": EVENT_ACTIONS}
    window = {"since": int(until - seconds), "until": int(until) + 1, "filters": json.dumps(filters)}

    def read(client: Any) -> list[dict[str, Any]]:
        found = []
        with _get(client, "/events", window, engine.timeout) as answer:
            for line in answer.iter_lines():
                if line:
                    found.append(_object(json.loads(line)))
                if time.time() - until > engine.timeout:
                    break
        return found

    return engine.ask(container_id[:12], read)


def log(
    engine: Engine,
    container_id: str,
    terminal: bool,
    tail: int,
    since: float | None,
    take: Callable[[str, bytes], None],
) -> bool:
    """Hand a container's log to `take(stream, piece)`, in the order in which it was written; False if time ran out.

    A piece is what the container wrote at once, at most 16 KiB, with the engine's timestamp before it. (With a
    `terminal` there is one stream, and the pieces are arbitrary.) Never a `since` without a `tail`: the engine would
    scan the whole file (seconds for 100 MB). Raises Problem logs_unavailable, too.
    """
    deadline = time.monotonic() + engine.timeout
    parameters = {"stdout": 1, "stderr": 1, "timestamps": 1, "tail": tail} | ({"since": since} if since else {})

    def read(client: Any) -> bool:
        with _get(client, f"/containers/{container_id}/logs", parameters, engine.timeout) as answer:
            pieces = (("stdout", piece) for piece in answer.iter_content(65536)) if terminal else _frames(answer.raw)
            for stream, piece in pieces:
                take(stream, piece)
                if time.monotonic() > deadline:
                    return False
        return True

    try:
        return engine.ask(container_id[:12], read, seconds=engine.timeout + 1)
    except records.Problem as problem:
        if "does not support reading" in problem.message:
            raise records.Problem("logs_unavailable", f"{container_id[:12]}: the log driver cannot be read") from None
        raise


def _get(client: Any, path: str, parameters: dict[str, Any], timeout: float) -> Any:
    """An answer to be read piece by piece, and closed. The library's own streams have no timeout and take a cut
    connection for the end."""
    import docker.errors
    import requests.exceptions

    url = f"{client.base_url}/v{client.api_version}{path}"
    answer = client.get(url, params=parameters, stream=True, timeout=timeout)
    try:
        answer.raise_for_status()
    except requests.exceptions.HTTPError as failure:
        docker.errors.create_api_error_from_http_exception(failure)  # raises
    return answer


def _frames(raw: Any) -> Iterator[tuple[str, bytes]]:
    """Without a terminal the engine marks every piece with its stream and its length."""
    while header := raw.read(8):
        if len(header) < 8:
            raise ValueError("a piece of the log without its length")
        kind, length = struct.unpack(">BxxxL", header)
        piece = raw.read(length)
        yield STREAMS.get(kind, "stderr"), piece
        if len(piece) < length:
            raise ValueError("a piece of the log shorter than its length")


def _object(answer: Any) -> dict[str, Any]:
    if not isinstance(answer, dict):
        raise ValueError("no JSON object")
    return answer


def networks(engine: Engine) -> list[dict[str, Any]]:
    """The networks that there are, with `Id` and `Name`."""
    return engine.ask("list of networks", lambda client: [_object(each) for each in client.networks()])


def image(engine: Engine, image_id: str) -> dict[str, Any]:
    """Everything the engine knows of an image."""
    return engine.ask(image_id[:19], lambda client: _object(client.inspect_image(image_id)))


def images(engine: Engine) -> list[dict[str, Any]]:
    """The images that there are, those without a name included."""
    return engine.ask("list of images", lambda client: [_object(each) for each in client.images()])


def machine(engine: Engine) -> dict[str, Any]:
    """The engine's machine: `MemTotal` in bytes, `NCPU`, `Name` and `DockerRootDir`, which together name the engine."""
    return engine.ask("info", lambda client: _object(client.info()))
