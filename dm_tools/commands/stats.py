"""dm-stats: what a service's container uses right now."""

from __future__ import annotations

from dm_tools.pipe import command, stream


@command.define("dm-stats", unreachable=True)
@command.pace_options
@command.stream_options(jobs=64, timeout=10)
def cli(
    services: tuple[str, ...],
    jobs: int,
    timeout: float,
    keep_order: bool,
    on_bad: str,
    when: str,
    every: float | None,
) -> int:
    """Add `stats`: CPU, memory, processes, network and block input/output, CPU throttling.

    CPU is computed from two samples about a second apart: the container's CPU time divided by the CPU time of the
    whole machine between them, times the number of processors, times 100: 100 is one busy core. Memory is usage
    without the page cache that the kernel can take back at once (inactive file pages), as `docker stats` shows it.
    Throttling is the share of scheduling periods in which the CPU limit stopped the container. All containers are
    measured side by side. A container that does not run has null figures.

    Network: the Docker Engine ($DOCKER_HOST or the Docker context, or the record's docker_host), reading only.

    \b
    Examples:
      dm-stats app postgres | jq -c '[.service, .stats.cpu_percent, .stats.memory_percent]'
      docker ps --format '{{.Names}}' | dm-stats | dm-show
    """
    from dm_tools.collect import stats as section
    from dm_tools.engine.connection import Engines

    engines = Engines(timeout)
    source = command.source(services, on_bad)
    work = command.when(when, lambda record: section.stats(record, engines))
    work, between = command.paced("stats", every, work, engines.forget)
    return stream.write(stream.pmap(work, source, "stats", jobs, keep_order, between), "stats")


def main() -> None:
    """Entry point of the console script."""
    command.run(cli)


if __name__ == "__main__":
    main()
