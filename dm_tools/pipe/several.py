"""Which hosts are looked at: the options, gathered in one value."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click


class Hosts(NamedTuple):
    """What was given of --host, --context, --hosts-file and --docker-host."""

    hosts: tuple[str, ...] = ()
    contexts: tuple[str, ...] = ()
    file: Path | None = None
    only: str | None = None

    @property
    def named(self) -> bool:
        """Whether hosts to discover were named."""
        return bool(self.hosts or self.contexts)


def options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--host, --context, --hosts-file and --docker-host, as the argument `several`."""

    @click.option("--host", multiple=True, help="Discover there, too: an address, or a name of the hosts file.")
    @click.option("--context", multiple=True, help="Discover in this Docker context, too; all: in each.")
    @click.option(
        "--hosts-file",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="DM_HOSTS",
        show_envvar=True,
        help="The hosts that --discover asks where none is named.  [default: configs/hosts.toml, if it is there]",
    )
    @click.option(
        "--docker-host",
        help="With --discover: the engine to ask, instead of the one of $DOCKER_HOST or your context.",
    )
    @functools.wraps(function)
    def gathering(
        *given: Any,
        host: tuple[str, ...],
        context: tuple[str, ...],
        hosts_file: Path | None,
        docker_host: str | None,
        **others: Any,
    ) -> Any:
        return function(*given, several=Hosts(host, context, hosts_file, docker_host), **others)

    return gathering
