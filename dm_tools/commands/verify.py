"""dm-verify: say whether what was done has helped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from dm_tools.pipe import command, exits, say, stream


@command.define("dm-verify", fail_on=True)
@click.option(
    "--before",
    type=click.Path(path_type=Path),
    required=True,
    help="The judged records of the diagnosis that led to the actions (a run's analyze.jsonl or propose.jsonl).",
)
@click.option(
    "--executed",
    type=click.Path(path_type=Path),
    help="What dm-execute printed: what was done, and when.",
)
@click.option(
    "--fail-on", type=click.Choice(["not-recovered"]), help="Exit with 10 unless every incident is over, proved."
)
@command.input_options
def cli(services: tuple[str, ...], on_bad: str, before: Path, executed: Path | None, fail_on: str | None) -> int:
    """Add `verification` to the root of each incident of before: recovered, not_recovered, worse or unproven.

    Reads the judged records of now, made by the commands that found the fault. The failing checks, pages, states and
    sayings of before must be gone, by evidence that is younger than the action, and nothing may fail that did not
    before. What is gone, what stays and what is new stands in words. Prints the records of the roots only.

    Network: none.

    \b
    Examples:
      dm-verify --before before.jsonl < after.jsonl | jq -r '[.service, .verification.proof] | @tsv'
      dm-verify --before before.jsonl --executed done.jsonl --fail-on not-recovered < after.jsonl || dm-undo last
    """
    from dm_tools.act import verify

    status, roots, recovered = exits.DONE, 0, True

    def readable(found: Iterable[stream.Record]) -> Iterator[stream.Record]:
        """Those whose sections are what they should be; of the others nothing is proved."""
        nonlocal status, recovered
        for record in found:
            checked = stream.attempt(verify.checked, record, "verify")
            status = exits.worst(status, stream.status_of(checked, "verify"))
            why = [entry["message"] for entry in checked.get("errors") or () if entry.get("stage") == "verify"]
            if "service" in record and not why:
                yield record
            elif "service" in record:
                recovered = False
                say.note(f"{record['service']!r} is left out: {why[-1]}")

    def now() -> Iterator[stream.Record]:
        for record in command.source(services, on_bad):
            command.want_judged(record, "what causes say is not compared")
            yield record

    was = {record["service"]: record for record in readable(stream.of_files([before], on_bad))}
    if was and not any(map(command.judged, was.values())):
        raise exits.Stop(exits.BAD_INPUT, f"{str(before)!r}: the records were not judged (dm-analyze comes before)")
    after = {record["service"]: record for record in readable(now())}
    done = list(readable(stream.of_files([executed] if executed else [], on_bad)))
    writer = stream.Writer()
    for record in verify.verified_roots(was, after, done):
        writer.write(stream.dumps(record), flush=True)
        recovered &= record["verification"]["proof"] == "recovered"
        roots += 1
    if fail_on and not roots and recovered:
        say.note("no incident stands in what was before: nothing is proved")
        status = exits.worst(status, exits.ERRORS)
    return exits.worst(status, exits.MATCHED if fail_on and not recovered else exits.DONE)


def main() -> None:
    """Entry point of the console script."""
    command.run(cli)


if __name__ == "__main__":
    main()
