"""dm-review: let a person approve fixes, one incident after another."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from dm_tools.pipe import clock, command, exits, stream
from dm_tools.show import terminal


@command.define("dm-review", errors=False)
@click.argument("report", required=False, type=click.Path(path_type=Path))
@command.proofs_dir_option
@click.option(
    "--approve", metavar="SERVICE:NUMBER", multiple=True, help="Ask nothing: approve this fix of that service's issue."
)
@click.option("--undo", is_flag=True, help="Take the last decision back first, and ask about its issue again.")
def cli(report: Path | None, proofs_dir: Path, approve: tuple[str, ...], undo: bool) -> int:
    """Show each issue of REPORT (default: the newest one, `latest`) and ask: approve, select, defer, ignore or quit.

    Asks on the terminal, also when standard input or output is a pipe. Every decision is on the disk before the next
    question, so nothing is lost by quitting, Ctrl-C or a crash, and the next review goes on with what is undecided;
    deferred issues come back, ignored ones do not; the last decision can be taken back. What was approved is written to
    approved_fixes_<time>.json beside the report, and at the end to standard output as JSON Lines. Nothing is carried
    out.

    Where the services' pages were looked at, each is told with its verdict and picture. To view one, it is drawn in the
    terminal (kitty, Ghostty, iTerm2, WezTerm), or else opened with $BROWSER or the desktop's browser.

    Network: none.

    \b
    Examples:
      dm-review
      dm-review volumes/proofs/enhanced_diagnostics_1732800000.json | jq -r '.service + ": " + .action'
      dm-review --approve postgres:1 latest | dm-execute --plan | jq -r '.execution.steps[]'
    """
    from dm_tools.show import records as show
    from dm_tools.show import review as session
    from dm_tools.store import approvals as review
    from dm_tools.store import files

    writer = stream.Writer()

    def emit(reviewed: review.Review) -> None:
        for action in reviewed.approved():
            if action.issue_id in reviewed.approved_now:
                writer.write(stream.dumps(msgspec.to_builtins(action)), flush=True)

    try:
        path = report if report and str(report) != "latest" else review.newest(proofs_dir)
        found = review.read(path)
        if approve:
            named = review.Review(path, found)
            with named.alone():
                named.approve(approve)
            emit(named)
            return exits.DONE
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
            if made := show.made(msgspec.to_builtins(found), clock.now()):
                person.show(made.text, fg=made.colour or "reset")
            if undo and (taken := current.take_back()):
                person.show(f"Taken back: {taken.service} is undecided again")
            if not current.undecided():
                person.show("Every issue of this report is decided; --undo asks about the last one again.")
            try:
                session.hold(current, person)
            finally:
                if written := current.write_approvals():
                    person.show(f"✅ Approved actions saved to: {written}", fg="green")
                emit(current)
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
