"""dm-show: records, reports and approvals for people."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click
import orjson

from dm_tools.pipe import command, exits, say, stream
from dm_tools.records import Before
from dm_tools.show import terminal, views
from dm_tools.store import kept


@command.define("dm-show", errors=False)
@click.option("--why", "view", flag_value="why", help="Show what every verdict stands on: the lines of evidence.")
@click.option(
    "--overview",
    "view",
    flag_value="overview",
    help="Show the stack on one screen: one line per service, causes first.",
)
@click.option("--cost", "view", flag_value="cost", help="Show what a report cost in tokens, and what it saves.")
@command.proofs_dir_option
@click.option(
    "--color",
    "--colour",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    expose_value=False,
    callback=lambda context, parameter, value: say.be_coloured(value),
    help="Colours: auto is on a terminal, unless NO_COLOR is set.",
)
@click.argument("file", required=False, type=click.Path(path_type=Path, allow_dash=True))
def cli(file: Path | None, view: str | None, proofs_dir: Path) -> int:
    """Show FILE, or standard input: records (one line per service), a report, or approved fixes.

    `latest` is the newest report. On a terminal, words are wrapped, rows of tables are shortened, and a file that is
    longer than the screen goes to $PAGER; in a pipe lines are whole. Control characters are escaped: a log line cannot
    drive your terminal. Records are shown as they come; --overview reads them all first, to put causes before what they
    cause. --why also tells what the history knows of the same trouble from before.

    Network: none.

    \b
    Examples:
      dm-services | dm-probe | dm-inspect | dm-show
      dm-analyze < incident.jsonl | dm-propose | dm-show --overview
      dm-show --why latest
      dm-show --cost volumes/proofs/enhanced_diagnostics_1732800000.json
    """

    def known(fingerprint: str, at: str) -> Before | None:
        from dm_tools.store.history import History

        return History(proofs_dir).memory().before(fingerprint, at)

    width = terminal.width() if sys.stdout is not None and sys.stdout.isatty() else None
    found = views.lines(values(chosen(file, proofs_dir)), view, width, known)
    terminal.write(found, width, paged=file is not None)
    return exits.DONE


def chosen(file: Path | None, folder: Path) -> Path | None:
    """The file that is named; `latest` is the newest report."""
    if str(file) != "latest" or Path("latest").exists():
        return file
    if found := kept.path(folder, "latest"):
        return found
    raise exits.Stop(exits.BAD_INPUT, f"no report in {str(folder)!r}; run dm diagnose-enhanced first")


def values(file: Path | None) -> Iterator[Any]:
    """JSON values: one a line, or one document over many lines."""
    if file is not None and str(file) != "-":
        try:
            with file.open("rb") as source:
                yield from parsed(source)
        except OSError as failure:
            raise exits.cannot_read(file, failure) from None
        return
    if sys.stdin is None or (sys.stdin.isatty() and file is None):
        raise exits.Stop(exits.USAGE, "nothing to show: pipe records in or name a file (see --help)")
    yield from parsed(sys.stdin.buffer)


def parsed(source: BinaryIO) -> Iterator[Any]:
    """A document over many lines begins with a line that is no JSON value by itself."""
    first = True
    for number, line in enumerate(stream.lines(source), 1):
        if not line:
            continue
        begins, first = first, False
        if begins and line.startswith(b"{") and not line.endswith(b"}"):
            try:
                yield orjson.loads(line + b"\n" + source.read())
            except ValueError:
                raise exits.Stop(exits.BAD_INPUT, "neither JSON Lines nor one JSON document") from None
            return
        try:
            yield orjson.loads(line)
        except ValueError:
            yield stream.parse(number, line)


def main() -> None:
    """Entry point of the console script."""
    command.run(cli)


if __name__ == "__main__":
    main()
