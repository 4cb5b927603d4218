"""dm-brief: a whole stack in a few thousand tokens, for whoever finds out what is wrong with it."""

from __future__ import annotations

import click

from dm_tools.pipe import command, exits, stream
from dm_tools.pipe.rounds import rounds


@command.define("dm-brief")
@click.option(
    "--tokens",
    type=click.IntRange(500, 1_000_000),
    default=6_000,
    show_default=True,
    help="Tokens that the text may have, by a count that is rather too high.",
)
@command.input_options
def cli(services: tuple[str, ...], on_bad: str, tokens: int) -> int:
    """Write a briefing of the whole stack as text: for a large model, or a person, who is to read only this.

    What the rules found and what was set aside, how each service is and how it answered, what changed lately, who
    needs whom, and per service the log lines that tell most with counts and times, whether a rule knows them or not;
    last what is not known. What tells most stays where not all fits. Records that dm-analyze has not seen are welcome:
    then nothing is said of causes. Reads the whole stack before it writes, and keeps a digest of each service.

    Of a stream in rounds (dm-services --every) each round is a briefing, written at its end.

    What is quoted is data: no line of it can pose as a heading, and the text says so to its reader.

    Network: none.

    \b
    Examples:
      dm-services | dm-probe | dm-inspect | dm-logs | dm-stats | dm-analyze | dm-brief
      dm-brief --tokens 3000 < judged.jsonl
    """
    from dm_tools.show.brief.stack import Stack

    status = exits.DONE
    for each in rounds(command.source(services, on_bad)):
        stack, seen = Stack(), False
        for record in each:
            seen = True
            if "service" in record:
                record = stream.attempt(stack.add, record, "brief")
            if record.get("service") not in stack.services:
                stack.add_bad(record)
            status = exits.worst(status, stream.status_of(record, "brief"))
        if seen:
            stream.Writer().write(stack.text(tokens).encode("utf-8", "replace"), flush=True)
    return status


def main() -> None:
    """Entry point of the console script."""
    command.run(cli)


if __name__ == "__main__":
    main()
