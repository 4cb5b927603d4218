"""What an engine tells by itself: the events of its containers, as they come."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from dm_tools.engine import reading
from dm_tools.engine.connection import Engine

# Podman 4.3 filters by its own name of `die` and then tells Docker's.
ACTIONS = ("start", "die", "died", "oom", "pause", "unpause", "destroy", "health_status")
SECONDS = 60.0  # an answer that never ends could end unseen: it is asked for anew, from where it was


def follow(engine: Engine, since: float | None, take: Callable[[dict[str, Any]], None]) -> float | None:
    """Hand each event of a container to `take` until the answer ends; returns when the newest one was (seconds since
    1970, `since` if there was none).

    `engine` is one of the caller's own: its timeout is how long one answer may last. Raises records.Problem if the
    engine cannot be asked; an answer that ends is no problem.
    """
    newest = since
    parameters: dict[str, Any] = {"filters": json.dumps({"type": ["container"], "event": ACTIONS})}
    if since is not None:
        parameters["since"] = f"{since:.9f}"

    def read(client: Any) -> None:
        nonlocal newest
        import requests.exceptions
        import urllib3.exceptions

        with reading.opened(client, "/events", parameters, engine.timeout) as answer:
            try:
                for line in answer.iter_lines(chunk_size=65536):
                    event = json.loads(line) if line else None
                    if isinstance(event, dict) and (newest is None or reading.moment(event) > newest):
                        newest = reading.moment(event)
                        take(event)
            except (OSError, ValueError, requests.exceptions.RequestException, urllib3.exceptions.HTTPError):
                return  # its time is over, or the connection is: whether the engine is there the next question tells

    engine.ask("events", read, whole_engine=True, seconds=engine.timeout + 10)
    return newest
