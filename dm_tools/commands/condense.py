"""dm-condense: a long log in short."""

from __future__ import annotations

from pathlib import Path

import click

from dm_tools.pipe import command, exits, say, stream


@command.define("dm-condense")
@click.option("--text", is_flag=True, help="Read one log (FILE or standard input) as plain text, and write one record.")
@click.option("--service", metavar="NAME", help="The service whose log the text is (implies --text).  [default: log]")
@command.patterns_option
@command.input_options
def cli(services: tuple[str, ...], on_bad: str, text: bool, service: str | None, patterns: Path | None) -> int:
    """Shorten `logs`: `templates` say what the lines have in common, how many there are and when; of the lines those
    stay that are worth reading.

    Kept as they are: the first and the newest lines of every pattern that tells a cause, an example of every template,
    the newest of every error and warning, the last ten, and what the record's own verdict cites. A trace is one line.

    A text log may be of any length; the id of a line is its number in it (logs:17 is line 17). The time with which a
    line begins is read (RFC 3339, ISO 8601, docker logs -t, access logs); without a zone it counts as UTC. Secrets are
    masked.

    Network: none.

    \b
    Examples:
      dm-condense --service app < app.log | jq -r '.logs.templates[] | "\\(.count) \\(.text)"'
      dm-condense --service app app.log | dm-analyze | dm-show
      dm-logs --tail 100000 app | dm-condense | jq -c .logs.templates
    """
    from dm_tools.collect import textlog
    from dm_tools.patterns import reading as reader
    from dm_tools.patterns.language import PatternError
    from dm_tools.records import new, problem, with_section
    from dm_tools.text import condense

    try:
        library = reader.read(patterns)
    except PatternError as wrong:
        raise exits.Stop(exits.BAD_INPUT, str(wrong)) from None
    if not text and service is None:
        source = (
            stream.attempt(lambda each: condense.shortened(each, library.causal), record, "condense")
            for record in map(_told, command.source(services, on_bad))
        )
        return stream.write(stream.one_by_one(source), "condense")
    if len(services) > 1:
        raise exits.Stop(exits.USAGE, "a text log is one file, or standard input")
    record = new("log" if service is None else service)
    if why := problem(record):
        raise exits.Stop(exits.USAGE, f"--service: {why}")
    if services and services[0] != "-":
        try:
            with Path(services[0]).open("rb") as log:
                logs = textlog.condensed(log, library.causal)
        except OSError as failure:
            raise exits.cannot_read(services[0], failure) from None
    else:
        logs = textlog.condensed(command.standard_input("a log on it"), library.causal)
    return stream.write([(with_section(record, "logs", logs), True)], "condense")


def _told(record: stream.Record) -> stream.Record:
    """The record; where there is none, what a log in plain text wants is said once."""
    if isinstance(record, stream.BadLine):
        say.once("not records? a log in plain text wants --text, or --service NAME")
    return record


def main() -> None:
    """Entry point of the console script."""
    command.run(cli)


if __name__ == "__main__":
    main()
