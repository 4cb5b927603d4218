"""dm-report: write the reports that people and dm-review read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dm_tools.pipe import command


@command.define("dm-report", fail_on=True)
@command.proofs_dir_option
@click.option("--run-path", help="Where the records of this run are kept; noted in the report.")
@click.option("--html", is_flag=True, help="Write the report also as one HTML page, beside the JSON report.")
@click.option(
    "--executed",
    type=click.Path(path_type=Path),
    multiple=True,
    help="What dm-execute or dm-undo printed: the report tells of it, with the proofs that the records bring.",
)
@click.option(
    "--when",
    type=click.Choice(["always", "changed"]),
    default="always",
    show_default=True,
    help="Of a stream in rounds: report each, or those in which an incident began, changed or ended.",
)
@click.option(
    "--again",
    type=command.Duration(1),
    default=3600.0,
    show_default=True,
    help="With --when changed: report also what has not changed for so long.",
)
@click.option("--pass-on", is_flag=True, help="Print the records that are read, and of the reports only the markers.")
@click.option(
    "--kept-round",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keep the records of the newest round that had issues, or came within five minutes after one, in this file.",
)
@click.option("--keep", type=click.IntRange(1), help="Remove all but so many of the newest reports in the folder.")
@command.fail_on_option
@command.input_options
def cli(
    services: tuple[str, ...], on_bad: str, fail_on: str | None, html: bool, when: str, again: float, **options: Any
) -> int:
    """Write stack_diagnostics_<ts>.json and, if the records are analysed, enhanced_diagnostics_<ts>.json.

    One issue is one incident: the root with its evidence and proposed fixes; the services that only suffer are its
    symptoms. Files are written whole or not at all, and never over another run's. Prints one line with the paths,
    the summary and the issues. Of a stream in rounds (dm-services --every) each is reported by itself; its marker is
    passed on with `summary`, `issues`, and `report_path` and `html_path` of the newest report. Records behind the last
    marker are of a round that was cut off: in no report.

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
    from dm_tools.store import reporter
    from dm_tools.store import reports as report
    from dm_tools.store.history import History

    if html:
        from dm_tools.show.html import page

    def manner() -> report.Manner:
        before = History(options["proofs_dir"]).remembered().before
        return report.Manner(ceiling.is_safe, show.text, page.render if html else None, before)

    def fails(collector: report.Collector) -> bool:
        return bool(fail_on) and collector.fails(command.FAIL_ON[fail_on or ""], issues=fail_on == "unhealthy")

    again = again if when == "changed" else 0.0
    chosen = reporter.Options(on_bad=on_bad, again=again, fail_on=bool(fail_on), fails=fails, manner=manner, **options)
    return reporter.run(command.source(services, on_bad), chosen)


def main() -> None:
    """Entry point of the console script."""
    command.run(cli)


if __name__ == "__main__":
    main()
