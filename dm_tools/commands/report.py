"""dm-report: write the reports that people and dm-review read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dm_tools.pipe import clock, command, exits, spool, stream


@command.define("dm-report", fail_on=True)
@command.proofs_dir_option
@click.option("--run-path", help="Where the records of this run are kept; noted in the report.")
@click.option("--html", is_flag=True, help="Write the report also as one HTML page, beside the JSON report.")
@click.option(
    "--executed",
    "executed",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    help="What dm-execute or dm-undo printed: the report tells of it, with the proofs that the records bring.",
)
@command.fail_on_option
@command.input_options
def cli(
    services: tuple[str, ...],
    on_bad: str,
    fail_on: str | None,
    proofs_dir: Path,
    run_path: str | None,
    html: bool,
    executed: tuple[Path, ...],
) -> int:
    """Write stack_diagnostics_<ts>.json and, if the records are analysed, enhanced_diagnostics_<ts>.json.

    One issue is one incident: the root with its evidence and proposed fixes; the services that only suffer are its
    symptoms. Files are written whole or not at all, and never over another run's. Prints one line with the paths,
    the summary and the issues.

    The HTML page holds all it needs (no script, no request) and opens from disk. Screenshots are in it if their
    thumbnails lie in the folder of the reports; seconds per stage if --run-path names a run of supervisor-session.sh.

    Network: none.

    \b
    Examples:
      dm-services | dm-probe | dm-inspect | dm-logs | dm-analyze | dm-propose | dm-report | jq -r .report_path
      dm-report --html < judged.jsonl | jq -r .html_path
      dm-report --fail-on unhealthy < judged.jsonl || echo "something is wrong"
      dm-report --html --executed done.jsonl < proved.jsonl | jq -r .html_path
    """
    from dm_tools.act.policy import ceiling
    from dm_tools.show import records as show
    from dm_tools.store import files
    from dm_tools.store import reports as report
    from dm_tools.store.history import History

    with spool.Spool() as waiting:
        collector = report.Collector(waiting)
        seen, status = False, exits.DONE
        for record in command.source(services, on_bad):
            seen = True
            if "service" in record:
                record = stream.attempt(collector.add, record, "report")
            else:
                collector.add_bad_line(record)
            status = exits.worst(status, stream.status_of(record, "report"))
        if not seen:
            return exits.DONE
        for line in stream.of_files(executed, on_bad):
            collector.add_done(line)
        try:
            memory = History(proofs_dir).memory()
            manner = report.Manner(ceiling.is_safe, show.text, _page() if html else None, memory.before)
            written = report.write(collector, proofs_dir, clock.now(), run_path, manner)
        except files.CannotWrite as failure:
            raise exits.Stop(exits.CANNOT_WRITE, str(failure)) from None
    stream.Writer().write(stream.dumps(written), flush=True)
    return exits.worst(status, exits.MATCHED if fail_on and not collector.healthy else exits.DONE)


def _page() -> Any:
    """What makes the HTML page; loaded only where there is to be one."""
    from dm_tools.show.html import page

    return page.render


def main() -> None:
    """Entry point of the console script."""
    command.run(cli)


if __name__ == "__main__":
    main()
