"""The options of every command that calls tools."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])


def tool_options(function: Function) -> Function:
    """Whose containers and URLs may be asked (`inventory`), and the `folder` of tools of one's own."""
    function = click.option(
        "--tools",
        "folder",
        type=click.Path(file_okay=False, exists=True, path_type=Path),
        envvar="DM_TOOLS",
        show_envvar=True,
        help="A folder of tools of your own (*.py).",
    )(function)
    return click.option(
        "--inventory",
        type=click.Path(dir_okay=False, exists=True, path_type=Path),
        metavar="FILE",
        help="Records (of dm-services) whose containers and URLs may be asked; without it the manifest's, or Docker's.",
    )(function)
