"""dm-review: let a person approve fixes, one incident after another."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from dm_tools.pipe import command, exits, stream
from dm_tools.records import ApprovedAction
from dm_tools.show import terminal


@command.define("dm-review", errors=False)
@click.argument("report", required=False, type=click.Path(path_type=Path, dir_okay=False))
@command.proofs_dir_option
def cli(report: Path | None, proofs_dir: Path) -> int:
    """Show each issue of REPORT (default: the newest one) and ask: approve, select, defer, ignore or quit.

    Asks on the terminal, also when standard input or output is a pipe. Every decision is on the disk before the next
    question, so nothing is lost by quitting, Ctrl-C or a crash, and the next review goes on with what is undecided;
    deferred issues come back, ignored ones do not. What was approved is written to approved_fixes_<time>.json beside
    the report, and to standard output as JSON Lines. Nothing is carried out.

    Where the services' pages were looked at, each is told with its verdict and picture. To view one, it is drawn in the
    terminal (kitty, Ghostty, iTerm2, WezTerm), or else opened with $BROWSER or the desktop's browser.

    Network: none.

    \b
    Examples:
      dm-review
      dm-review volumes/proofs/enhanced_diagnostics_1732800000.json | jq -r '.service + ": " + .action'
    """
    from dm_tools.show import review as session
    from dm_tools.store import approvals as review
    from dm_tools.store import files

    writer = stream.Writer()

    def emit(actions: list[ApprovedAction]) -> None:
        for action in actions:
            writer.write(stream.dumps(msgspec.to_builtins(action)), flush=True)

    try:
        path = report or review.newest(proofs_dir)
        found = review.read(path)
        person = terminal.Terminal("ask on")
        if not found.issues:
            unhealthy = found.summary.get("total", 0) - found.summary.get("healthy", 0)
            if unhealthy:
                person.show(f"No issues found, but {unhealthy} service(s) could not be judged: see {path}")
            elif found.input_errors:
                person.show(f"No issues found, but the evidence is incomplete: see {path}")
            else:
                person.show("✅ No issues found! All services healthy.")
            for each in found.complaints:
                person.show(f"{each.service} complains: {each.text}")
            return exits.DONE
        current = review.Review(path, found)
        with current.alone():
            if not current.undecided():
                person.show("Every issue of this report is decided.")
            try:
                session.hold(current, person, emit)
            finally:
                if written := current.write_approvals():
                    person.show(f"✅ Approved actions saved to: {written}", fg="green")
    except review.ReportError as wrong:
        raise exits.Stop(exits.BAD_INPUT, str(wrong)) from None
    except files.CannotWrite as failure:
        raise exits.Stop(exits.CANNOT_WRITE, str(failure)) from None
    return exits.DONE


def main() -> None:
    """Entry point of the console script."""
    command.run(cli)


if __name__ == "__main__":
    main()
