"""What a Docker Engine is asked: it is only ever read. Each question raises records.Problem (see connection)."""

from __future__ import annotations

import base64
import json
import math
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson

from dm_tools import records, redact
from dm_tools.engine import shapes
from dm_tools.engine.connection import Container, Engine
from dm_tools.text.late import late

EVENT_ACTIONS = ("create", "start", "die", "oom", "kill", "stop", "restart", "pause", "unpause", "destroy")
EVENT_LATE_SECONDS = 1.0  # a state shows before its event is told
PS_SECONDS = 3.0  # ps takes milliseconds, or waits for a disk that hangs
STREAMS = {1: "stdout", 2: "stderr"}


def containers(engine: Engine, fresh: bool = False) -> list[Container]:
    """All containers, running or not, as the engine's list has them (one question, nothing inspected).

    The list may be a second old; with `fresh` it shows everything that was done before this call.
    """
    return engine.listing.get(
        lambda: list(
            engine.ask(
                "list of containers",
                lambda client: shapes.checked(client.containers(all=True), [shapes.LISTED]),
                whole_engine=True,
            )
        ),
        fresh,
    )


def matching(engine: Engine, filters: dict[str, list[str]]) -> set[str]:
    """The ids of the containers that pass the engine's own filters, those of `docker ps`. Raises Problem."""
    asked = engine.ask(
        "list of containers",
        lambda client: shapes.checked(client.containers(all=True, filters=filters), [shapes.LISTED]),
    )
    return {each["Id"] for each in asked}


def inspect(engine: Engine, container_id: str) -> dict[str, Any]:
    """Everything the engine knows of a container. Holds secrets: only a digest may leave this process."""
    return engine.ask(
        container_id[:12], lambda client: shapes.checked(client.inspect_container(container_id), shapes.INSPECTED)
    )


def unchanged(engine: Engine, container: Container) -> tuple[dict[str, Any], float | None]:
    """What the engine knows of a listed container, as `inspect` has it, and as of when (seconds since 1970; None: now).

    In a resident pipe it is what was asked in the round before, if the list shows the same, and the engine's events
    reach back so far and tell of nothing that happened to it since: then the engine knows nothing else of it when its
    events are asked. Each run of a healthcheck is an event.
    """
    container_id, mark = container["Id"], _mark(container)
    last: _Seen | None = engine.kept.get(container_id)
    if last is not None and last.mark == mark and not engine.podman and engine.label.startswith("unix://"):
        try:
            told: _Told = engine.events.get(lambda: _events_of_docker(engine))
        except records.Problem:
            told = _Told([])
        begin = last.at - EVENT_LATE_SECONDS
        if told.since < begin and not any(moment(each) >= begin for each in told.about.get(container_id, ())):
            engine.kept.put(container_id, _Seen(mark, engine.events.asked_at, last.raw))
            return last.raw, engine.events.asked_at
    at = time.time()
    raw = inspect(engine, container_id)
    engine.kept.put(container_id, _Seen(mark, at, raw))
    return raw, None


@dataclass(frozen=True)
class _Seen:
    """An inspected container: its mark, when it was asked for, the engine's answer."""

    mark: Any
    at: float
    raw: dict[str, Any]


def _mark(container: Container) -> Any:
    """What the list shows of a container's state: its status tells health and exit code beside times."""
    networks = (container.get("NetworkSettings") or {}).get("Networks") or {}
    status = str(container.get("Status"))
    told = [word for word in ("(healthy)", "(unhealthy)", "(health: starting)", "(Paused)") if word in status]
    ends = sorted((name, each.get("EndpointID"), each.get("IPAddress")) for name, each in networks.items() if each)
    return container.get("State"), container.get("Names"), container.get("Image"), told, ends, container.get("Ports")


def stats(engine: Engine, container_id: str) -> dict[str, Any]:
    """Two samples about a second apart: `cpu_stats` the second, `precpu_stats` the first.

    Podman gives one sample at a time, and leaves idle time out of the time of all processors: that is taken away.
    Nothing of a container that has ended meanwhile.
    """

    def sample() -> dict[str, Any]:
        return engine.ask(
            container_id[:12], lambda client: shapes.checked(client.stats(container_id, stream=False), shapes.STATS)
        )

    try:
        first = sample()
        if not engine.podman or "cpu_stats" not in first:
            return first
        time.sleep(1)
        before = {key: value for key, value in first["cpu_stats"].items() if key != "system_cpu_usage"}
        return sample() | {"precpu_stats": before, "preread": first.get("read")}
    except records.Problem as problem:
        if problem.code == "container_gone" and inspect(engine, container_id)["State"]["Status"] == "exited":
            return {}  # Podman answers nothing at all
        raise


def processes(engine: Engine, container_id: str) -> dict[str, Any]:
    """The processes of a running container, as ps prints them for the engine: `Titles` and `Processes`.

    The names of programs only: arguments may hold secrets. An engine that cannot tell answers with an error.
    """

    def read(client: Any) -> dict[str, Any]:
        words = {"ps_args": "-eo pid,ppid,state,comm"}
        seconds = min(engine.timeout, PS_SECONDS)
        with opened(client, f"/containers/{container_id}/top", words, seconds) as answer:
            return _object(answer.json())

    return engine.ask(container_id[:12], read)


def events(
    engine: Engine, container_id: str, seconds: float, changed: float | None = None
) -> tuple[list[dict[str, Any]], float]:
    """What happened to a container within the last `seconds`, oldest first; and since when (seconds since 1970) the
    engine knows: what is not there may have happened before that.

    Docker holds the last 256 events of all kinds, and each run of a healthcheck takes three: only the oldest that it
    still has, whatever it is, tells how far back it remembers. So all of them are read, once for many containers.
    `changed`: when the container's state is known to have changed last (seconds since 1970); what was read after that
    tells of it. None: everything counts that was done before this call.
    """
    begin = time.time() - seconds
    if engine.podman:
        held, since = _events_of_podman(engine, container_id, begin), begin
    else:
        # The clocks of another machine may differ.
        fresh = (
            changed is None
            or not engine.label.startswith("unix://")
            or changed > engine.events.asked_at - EVENT_LATE_SECONDS
        )
        told: _Told = engine.events.get(lambda: _events_of_docker(engine), fresh)
        held, since = told.about.get(container_id, []), max(begin, min(told.since, time.time()))
    found = [
        event
        for event in held
        if event.get("Action") in EVENT_ACTIONS
        and (event.get("Actor") or {}).get("ID") == container_id
        and moment(event) >= begin
    ]
    return found, since


def moment(event: dict[str, Any]) -> float:
    """When an event happened, in seconds since 1970."""
    return float(event["timeNano"]) / 1e9 if event.get("timeNano") else float(event.get("time") or 0)


class _Told:
    """What an engine has told of all that happened: of each container, and since when it knows (seconds since 1970)."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self.since = min(map(moment, events), default=math.inf)
        self.about: dict[str, list[dict[str, Any]]] = {}
        for event in events:
            actor = event.get("Actor") or {}
            whose = actor.get("ID"), (actor.get("Attributes") or {}).get("container")  # a network's names who joins it
            for each in whose:
                if isinstance(each, str):
                    self.about.setdefault(each, []).append(event)


def _events_of_docker(engine: Engine) -> _Told:
    """Without an end the answer would go on forever, and with one that is yet to come until then: on this machine the
    end is now, elsewhere the clocks may differ."""
    until = time.time() + (0 if engine.label.startswith("unix://") else 1)
    return _Told(_events(engine, "events", {"since": 0, "until": f"{until:.9f}"}))


def _events_of_podman(engine: Engine, container_id: str, begin: float) -> list[dict[str, Any]]:
    """It keeps its events in a file, reads on while others come unless told not to, and stops reading at `until`, which
    loses most of them. (4.3 filters by its own names only, and then tells Docker's.)"""
    filters = {"type": ["container"], "container": [container_id], "event": [*EVENT_ACTIONS, "died"]}
    window = {"since": int(begin), "stream": "false", "filters": json.dumps(filters)}
    return _events(engine, container_id[:12], window)


def _events(engine: Engine, subject: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    deadline = time.monotonic() + engine.timeout

    def read(client: Any) -> list[dict[str, Any]]:
        found = []
        with opened(client, "/events", parameters, engine.timeout) as answer:
            for line in answer.iter_lines(chunk_size=65536):
                if line:
                    found.append(_object(orjson.loads(line)))
                if time.monotonic() > deadline:
                    raise TimeoutError
        return found

    return engine.ask(subject, read)


def log(
    engine: Engine,
    raw: dict[str, Any],
    tail: int | None,
    since: float | None,
    take: Callable[[str, bytes], None],
    until: float | None = None,
) -> bool:
    """Hand an inspected container's log to `take(stream, piece)`, in the order in which the engine has it; False if
    time ran out.

    A piece is what the container wrote at once, at most 16 KiB, with the engine's time before it; `tail` counts pieces
    (None: all). With a terminal there is one stream, and a time that the program itself prints begins a piece, too.
    Never a `since` without a `tail` unless all is meant: the engine would scan the whole file (seconds for 100 MB). It
    counts `tail` before it leaves out what came after `until`. Raises Problem logs_unavailable, too.
    """
    container_id, terminal = raw["Id"], raw["Config"]["Tty"]
    deadline = time.monotonic() + engine.timeout
    parameters: dict[str, Any] = {"stdout": 1, "stderr": 1, "timestamps": 1, "tail": "all" if tail is None else tail}
    parameters |= {key: moment for key, moment in (("since", since), ("until", until)) if moment}

    def read(client: Any) -> bool:
        import docker.errors

        try:
            answering = opened(client, f"/containers/{container_id}/logs", parameters, engine.timeout)
        except docker.errors.NotFound:
            raise
        except docker.errors.APIError as refusal:
            if unavailable := _unavailable(raw, refusal.explanation or ""):
                raise unavailable from None
            raise
        with answering as answer:
            pieces = _of_terminal(answer.iter_content(65536)) if terminal else _frames(answer.raw)
            for stream, piece in pieces:
                take(stream, piece)
                if time.monotonic() > deadline:
                    return False
        return True

    return engine.ask(container_id[:12], read, seconds=engine.timeout + 1)


def log_driver(raw: dict[str, Any]) -> str:
    """The name of an inspected container's log driver."""
    return ((raw.get("HostConfig") or {}).get("LogConfig") or {}).get("Type") or "json-file"


def _unavailable(raw: dict[str, Any], refusal: str) -> records.Problem | None:
    """What it means that the engine refuses a log; None if that has nothing to do with the driver.

    Docker has a copy of what a driver sends away, and yet it opens an ended container's driver before it reads that: if
    the server is away, there is no log.
    """
    driver, short_id = log_driver(raw), raw["Id"][:12]
    if "does not support reading" in refusal or "cannot read logs" in refusal:
        return records.Problem("logs_unavailable", f"{short_id}: the log driver {driver!r} cannot be read")
    if driver in ("json-file", "local"):
        return None
    words = f"{short_id}: the engine gives no log of the driver {driver!r}: {refusal}"
    return records.Problem("logs_unavailable", redact.redact(words))


def opened(client: Any, path: str, parameters: dict[str, Any], timeout: float) -> Any:
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


# The engine's time before a piece has nine decimals; a program's own times seldom do.
_BETWEEN = late(rb"(?<=\n)|(?=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(?:Z|[+-]\d\d:\d\d) )")
_LONGEST_PIECE = 65536  # four times what the engine gives at once


def _of_terminal(chunks: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    """With a terminal the engine marks nothing: a piece ends with its line, or where a time stands."""
    rest = b""
    for chunk in chunks:
        *pieces, rest = _BETWEEN.split(rest + chunk)
        if len(rest) > _LONGEST_PIECE:
            pieces, rest = [*pieces, rest], b""
        yield from (("stdout", piece) for piece in pieces if piece)
    if rest:
        yield "stdout", rest


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


def changes(engine: Engine, container_id: str) -> list[dict[str, Any]]:
    """What of a container's files is not as in its image: `Path` and `Kind` (0 changed, 1 added, 2 removed)."""
    return engine.ask(container_id[:12], lambda client: list(client.diff(container_id) or []))


def stat(engine: Engine, container_id: str, path: str) -> dict[str, Any]:
    """What the engine tells of a file in a container, not its content: `mode` (as Go counts it), `mtime`, `size`."""

    def ask(client: Any) -> dict[str, Any]:
        url = f"{client.base_url}/v{client.api_version}/containers/{quote(container_id, safe='')}/archive"
        answer = client.head(url, params={"path": path}, timeout=engine.timeout)
        answer.raise_for_status()
        told = base64.b64decode(answer.headers.get("X-Docker-Container-Path-Stat", ""))
        return _object(orjson.loads(told))

    return engine.ask(container_id[:12], ask)


def images(engine: Engine) -> list[dict[str, Any]]:
    """The images that there are, those without a name included."""
    return engine.ask("list of images", lambda client: [_object(each) for each in client.images()])


def machine(engine: Engine) -> dict[str, Any]:
    """The engine's machine: `MemTotal` in bytes, `NCPU`, `Name` and `DockerRootDir`, which together name the engine."""
    return engine.ask("info", lambda client: _object(client.info()))
