"""dm-inspect: what the Docker Engine knows of a service's container."""

from __future__ import annotations

import click

from dm_tools.pipe import command, stream


@command.define("dm-inspect", unreachable=True)
@click.option(
    "--window",
    type=command.Duration(1, 86400 * 7),
    default=3600.0,
    show_default=True,
    help="How far back from now events are read: seconds, or as 10m, 1h, 2d.",
)
@command.when_option
@command.stream_options(jobs=8, timeout=10)
def cli(
    services: tuple[str, ...],
    jobs: int,
    timeout: float,
    keep_order: bool,
    on_bad: str,
    when: str,
    window: float,
) -> int:
    """Add `inspect`: state, exit code, OOM kill, restarts, health log, limits, mounts, networks, ports, events.

    It is a digest. Of the environment it keeps the *names*, and the hosts and ports that the values point to; the
    values themselves may be secrets and never leave the process. A service is found by its container's name or id,
    or else by its Compose service label: of several projects PROJECT/SERVICE says which, or COMPOSE_PROJECT_NAME, or
    the current folder, if Compose has started one from it.

    Network: the Docker Engine ($DOCKER_HOST or the Docker context, or the record's docker_host), reading only.

    \b
    Examples:
      dm-inspect app | jq .inspect.health_log
      docker ps -a --format '{{.Names}}' | dm-inspect | jq -c '[.service, .inspect.state, .inspect.exit_code]'
    """
    from dm_tools.collect import inspect as section
    from dm_tools.engine.connection import Engines

    engines = Engines(timeout)
    source = command.source(services, on_bad)
    work = command.when(when, lambda record: section.inspect(record, engines, window))
    return stream.write(stream.pmap(work, source, "inspect", jobs, keep_order, engines.forget), "inspect")


def main() -> None:
    """Entry point of the console script."""
    command.run(cli)


if __name__ == "__main__":
    main()
