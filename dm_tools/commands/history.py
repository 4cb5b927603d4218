"""dm-history: what happened before, and what helped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from dm_tools.pipe import clock, command, exits, stream

if TYPE_CHECKING:
    from dm_tools.store.history import History


@command.define("dm-history")
@command.proofs_dir_option
@click.option("--json", "as_json", is_flag=True, help="show: one JSON object per occasion.")
@click.argument("what", type=click.Choice(["record", "show"]))
@click.argument("words", nargs=-1, metavar="[FILE|SERVICE]...")
def cli(what: str, words: tuple[str, ...], proofs_dir: Path, as_json: bool) -> int:
    """record: remember what the records on standard input, or of FILEs, tell, and pass them on unchanged.

    It takes judged records (incidents, proposals), what dm-execute and dm-undo print, and what dm-verify prints; each
    event once, however often it is recorded. Events are one line each of history/*.jsonl in the folder of the reports,
    on the disk when the program ends. Records that were not judged tell nothing.

    show: what happened at SERVICE (default: at all) on which occasions, what was done, how it ended.

    Network: none.

    \b
    Examples:
      dm-services | dm-probe | dm-inspect | dm-logs | dm-analyze | dm-propose | dm-history record | dm-report
      dm-history record judged.jsonl done.jsonl | jq -c .service
      dm-history show
      dm-history show postgres --json | jq -r '[.begun, .cause, .seconds] | @tsv'
    """
    from dm_tools.store import files
    from dm_tools.store.history import History

    kept = History(proofs_dir)
    try:
        return record(kept, words) if what == "record" else show(kept, words, as_json)
    except files.CannotWrite as failure:
        raise exits.Stop(exits.CANNOT_WRITE, str(failure)) from None


def record(kept: History, words: tuple[str, ...]) -> int:
    """Pass the records on, and remember what they tell."""
    from dm_tools.diagnose.events import Sight, sight
    from dm_tools.store.history import machine

    sights: list[Sight] = []
    here, now = machine(), clock.rfc3339(clock.now())

    def add(given: stream.Record) -> stream.Record:
        sights.append(sight(given, here, now))
        return given

    def results() -> Iterator[stream.Result]:
        for given in command.source(words, "report"):
            yield stream.attempt(add, given, "history"), True

    status = stream.write(results(), "history")
    kept.append(*kept.memory().news(sights, here))
    return status


def show(kept: History, words: tuple[str, ...], as_json: bool) -> int:
    """What is remembered of services, for people or as JSON Lines."""
    from dm_tools.diagnose.occasions import occasions
    from dm_tools.show import history, terminal

    writer = stream.Writer()
    found = [each for each in occasions(kept.events()) if not words or each.service in words]
    if as_json:
        for each in found:
            writer.write(stream.dumps(msgspec.to_builtins(each)), flush=False)
    else:
        terminal.write(history.lines(found, kept.memory()))
    writer.write(b"", flush=True)
    return exits.DONE


def main() -> None:
    """Entry point of the console script."""
    command.run(cli)


if __name__ == "__main__":
    main()
