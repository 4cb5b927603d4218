"""dm-logs: the newest lines of a service's log."""

from __future__ import annotations

from typing import Any

import click

from dm_tools.pipe import command, stream


class Lines(click.ParamType):  # type: ignore[type-arg] # generic only in the newest stubs
    """How many lines: a number, or all (None)."""

    name = "lines"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> int | None:
        """The number."""
        return None if value == "all" else click.IntRange(1, 100_000).convert(value, parameter, context)


@command.define("dm-logs", unreachable=True)
@click.option(
    "-n",
    "--tail",
    type=Lines(),
    default="500",
    show_default=True,
    help="Newest lines to read, both streams together, or all that --max-bytes has room for.",
)
@click.option("--since", type=command.Duration(1), help="Only lines of that last time: seconds, or as 10m, 2h.")
@click.option("--until", type=command.Duration(1), help="Without the lines of that last time, as 10m.")
@click.option(
    "-f", "--follow", is_flag=True, help="Go on: a record with what is new, as it comes (looked for every second)."
)
@click.option("--grep", metavar="TEXT", default="", help="Of the lines that were read, only items that hold this text.")
@click.option(
    "--max-bytes",
    type=click.IntRange(1024, 16 * 1024 * 1024),
    default=512 * 1024,
    show_default=True,
    help="Bytes of log kept per service, whatever the lines' lengths; the newest win.",
)
@command.pace_options
@command.stream_options(jobs=8, timeout=10)
def cli(
    services: tuple[str, ...],
    jobs: int,
    timeout: float,
    keep_order: bool,
    on_bad: str,
    when: str,
    every: float | None,
    tail: int | None,
    follow: bool,
    since: float | None,
    until: float | None,
    grep: str,
    max_bytes: int,
) -> int:
    """Add `logs`: the newest lines of both streams, merged by time, each with an id that findings cite.

    A multi-line trace is one item, and `templates` say what the items have in common. Escape sequences are stripped,
    bytes that are no UTF-8 replaced, and secrets (passwords in URLs, tokens, keys) masked before the record leaves the
    process.

    Network: the Docker Engine ($DOCKER_HOST or the Docker context, or the record's docker_host), reading only.

    \b
    Examples:
      dm-logs app | jq -r '.logs.lines[].text'
      dm-logs -f app web | head -n 4
      dm-logs --since 2h --until 1h --tail all --grep timeout app
      docker ps --format '{{.Names}}' | dm-logs --since 10m | dm-analyze | dm-show
    """
    from dm_tools.collect import logs as section
    from dm_tools.engine.connection import Engines

    engines = Engines(timeout)
    source = command.source(services, on_bad)
    if follow:
        if until or every:
            raise click.UsageError("--follow goes on: it fits neither --until nor --every")
        from dm_tools.collect import following

        def newest(record: stream.Record, seconds: float | None) -> stream.Record:
            lines, back = (tail, since) if seconds is None else (None, seconds)
            return section.logs(record, engines, lines, back, max_bytes, grep=grep)

        follower = following.Follower(newest)
        coming = stream.pmap(follower.newer, follower.rounds(source), "logs", jobs, keep_order)
        return stream.write(following.something(coming), "logs")
    work = command.when(when, lambda record: section.logs(record, engines, tail, since, max_bytes, until, grep))
    work, between = command.paced("logs", every, work, engines.forget)
    return stream.write(stream.pmap(work, source, "logs", jobs, keep_order, between), "logs")


def main() -> None:
    """Entry point of the console script."""
    command.run(cli)


if __name__ == "__main__":
    main()
