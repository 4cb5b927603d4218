"""dm-undo: take an action back."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from dm_tools.pipe import command, exits, stream


@command.define("dm-undo", unreachable=True)
@command.proofs_dir_option
@click.argument("actions", nargs=-1, required=True, metavar="ID|last...")
@click.option("--plan", "only_plan", is_flag=True, help="Say what would be done, and change nothing.")
def cli(actions: tuple[str, ...], proofs_dir: Path, only_plan: bool) -> int:
    """Take actions of dm-execute back: by the first letters of their id, or the last one that was carried out.

    The state before stands in the journal; `execution.after` shows the container as it is then. A restart has nothing
    to take back. A container that was made anew is replaced by the one that was kept, until `dm-execute --settle` let
    go of that.

    Network: the Docker Engine of the action, writing.

    \b
    Examples:
      dm-undo --plan last | jq -r '.execution.steps[]'
      dm-undo last | jq -c '[.service, .execution.status, .execution.after.state]'
    """
    from dm_tools.act import past, work
    from dm_tools.act.execute import Executor
    from dm_tools.engine.connection import Engines
    from dm_tools.store import files, journal

    written = journal.Journal(proofs_dir)
    writer, status = stream.Writer(), exits.DONE
    try:
        with contextlib.ExitStack() as held:
            if not only_plan:
                held.enter_context(written.alone(DEADLINE_SECONDS))
            hold = journal.holder(held, DEADLINE_SECONDS)
            executor = Executor(Engines(ENGINE_SECONDS), written, DEADLINE_SECONDS, False, hold)
            for record in work.take_back(executor, past.stories(written.entries()), actions, only_plan):
                writer.write(stream.dumps(record), flush=True)
                status = exits.worst(status, work.status(record))
    except (journal.Busy, LookupError) as wrong:
        raise exits.Stop(exits.BAD_INPUT, str(wrong.args[0])) from None
    except files.CannotWrite as failure:
        raise exits.Stop(exits.CANNOT_WRITE, f"{failure}; nothing is done without the journal") from None
    return status


ENGINE_SECONDS, DEADLINE_SECONDS = 10.0, 60.0


def main() -> None:
    """Entry point of the console script."""
    command.run(cli)


if __name__ == "__main__":
    main()
