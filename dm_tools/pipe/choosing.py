"""Which containers are discovered: options as those of docker compose and docker ps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from dm_tools.pipe.parameters import Filter

Function = TypeVar("Function", bound=Callable[..., Any])


def options(function: Function) -> Function:
    """--project, --file and --filter."""
    function = click.option(
        "--filter",
        "filters",
        multiple=True,
        type=Filter(),
        help="Discover what passes it, as in docker ps: label=tier=web, name=shop, status=running.",
    )(function)
    function = click.option(
        "-f",
        "--file",
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        help="Discover the project that Compose has started from this file.",
    )(function)
    return click.option(
        "-p",
        "--project",
        envvar="COMPOSE_PROJECT_NAME",
        show_envvar=True,
        help="Discover this Compose project only.",
    )(function)


def wanted(filters: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """What --filter was given, as an engine wants it."""
    found: dict[str, list[str]] = {}
    for key, value in filters:
        found.setdefault(key, []).append(value)
    return found


def given() -> bool:
    """Whether one of them stands on the command line of the current command."""
    return project_given() or _typed("filters")


def project_given() -> bool:
    """Whether the command line, and not only the environment, says which project is meant."""
    return _typed("project", "file")


def _typed(*names: str) -> bool:
    source = click.get_current_context().get_parameter_source
    return any(source(name) == ParameterSource.COMMANDLINE for name in names)
