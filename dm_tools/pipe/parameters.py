"""What options take that Click has no type for: times, and the size of a window."""

from __future__ import annotations

import re
from typing import Any

import click

from dm_tools.pipe import settings


class Duration(click.ParamType):  # type: ignore[type-arg] # generic only in the newest stubs
    """A time in seconds, written as `10`, `500ms`, `30s`, `5m` or `2h`, within bounds."""

    name = "duration"

    def __init__(self, least: float, most: float | None = None) -> None:
        self.least, self.most = least, most

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float:
        """Seconds."""
        found = settings.seconds(value.strip()) if isinstance(value, str) else float(value)
        if found is None or found < self.least or (self.most is not None and found > self.most):
            self.fail(settings.no_duration(str(value), self.least, self.most), parameter, context)
        return found


# Those of docker ps (docs.docker.com/reference/cli/docker/container/ls/#filter) that both kinds of engines have.
FILTERS = (
    *("ancestor", "before", "exited", "expose", "health", "id", "label", "name", "network", "publish", "since"),
    *("status", "volume"),
)


class Filter(click.ParamType):  # type: ignore[type-arg]
    """What an engine's list is filtered by, written as `label=tier=web`: a key and a value."""

    name = "filter"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> tuple[str, str]:
        """Both as texts."""
        if isinstance(value, tuple):
            return value
        key, equals, wanted = value.partition("=")
        if not key or not equals or not wanted:
            self.fail("give KEY=VALUE, as in label=tier=web, name=shop, status=running", parameter, context)
        if key not in FILTERS:
            self.fail(f"there is no {key[:40]!r}; there are: {', '.join(FILTERS)}", parameter, context)
        return key, wanted


class Size(click.ParamType):  # type: ignore[type-arg]
    """Width and height in pixels, written as `1280x720`."""

    name = "size"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> tuple[int, int]:
        """Both as numbers."""
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\d{2,4})x(\d{2,4})", value)
        if not found:
            self.fail("give WIDTHxHEIGHT in pixels, as in 1280x720", parameter, context)
        return int(found[1]), int(found[2])
