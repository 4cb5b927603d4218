"""dm-execute: carry approved actions out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import click

from dm_tools.pipe import clock, command, exits, stream


@command.define("dm-execute", unreachable=True)
@command.proofs_dir_option
@click.argument("approvals", nargs=-1, metavar="[FILE|-]...")
@click.option("--plan", "only_plan", is_flag=True, help="Say what would be done, in which order, and change nothing.")
@click.option("--services", metavar="NAME,...", help="Only what was approved for these services.")
@click.option(
    "--deadline",
    type=command.Duration(1, 3600),
    default="60s",
    show_default=True,
    help="How long to wait for another program that acts on the engine, and for a container to run steadily after an "
    "action: as 90s, 5m.",
)
@click.option(
    "--wait",
    type=click.Choice(["running", "healthy"]),
    default="running",
    show_default=True,
    help="What is waited for: that it runs, or that its healthcheck passes.",
)
@click.option("--resume", is_flag=True, help="End what a killed run left half done; reads no approvals.")
@click.option("--settle", metavar="ID", multiple=True, help="Remove the container kept from before this proved action.")
def cli(
    approvals: tuple[str, ...],
    proofs_dir: Path,
    only_plan: bool,
    services: str | None,
    deadline: float,
    wait: str,
    resume: bool,
    settle: tuple[str, ...],
) -> int:
    """Carry out approved actions, and add `execution`: what was done, the state before and after, the way back.

    Reads an approved_fixes_<ts>.json, or approved actions as JSON Lines (what dm-review prints). What others need is
    done first. An approval of a container that was replaced, restarted or changed since is stale, and is not done. The
    same approval is never carried out twice. Before anything is done it stands in the journal (journal/ in the folder
    of the reports); a run that was killed is ended by --resume. Read-only actions look; manual ones are told.

    No action touches data: volumes, images and networks are never removed. `dm-undo` takes an action back. A container
    with the label dm-tools.heal=never is left alone.

    Network: the Docker Engine ($DOCKER_HOST or the Docker context, or the action's docker_host), writing.

    \b
    Examples:
      dm-execute --plan volumes/proofs/approved_fixes_20260101_030000.json | jq -r '.execution.steps[]'
      dm-review | dm-execute --wait healthy | jq -c '[.service, .action, .execution.status]'
    """
    from dm_tools.act import past, plan, work
    from dm_tools.act.execute import Executor
    from dm_tools.engine.connection import Engines
    from dm_tools.store import files, journal

    written, writer, status = journal.Journal(proofs_dir), stream.Writer(), exits.DONE

    def stories() -> dict[str, past.Story]:
        return past.stories(written.entries())

    try:
        actions = [] if settle or resume else [each for given in _given(approvals) for each in plan.approved(*given)]
        actions = plan.only(actions, services.split(",")) if services else actions
        if not (actions or settle or resume):
            return exits.DONE
        with contextlib.ExitStack() as held:
            if not only_plan:
                held.enter_context(written.alone(deadline))
            hold = journal.holder(held, deadline)
            executor = Executor(Engines(ENGINE_SECONDS), written, deadline, wait == "healthy", hold)
            if settle:
                found = work.settle(executor, stories(), settle)
            elif resume:
                found = work.resume(executor, stories())
            else:
                found = work.carry_out(executor, stories, actions, only_plan, clock.now())
            for record in found:
                writer.write(stream.dumps(record), flush=True)
                status = exits.worst(status, work.status(record))
    except (journal.Busy, plan.Unreadable, LookupError) as wrong:
        raise exits.Stop(exits.BAD_INPUT, str(wrong.args[0])) from None
    except files.CannotWrite as failure:
        raise exits.Stop(exits.CANNOT_WRITE, f"{failure}; nothing is done without the journal") from None
    return status


ENGINE_SECONDS = 10.0


def _given(names: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Every file's content, or that of standard input. Raises exits.Stop."""
    for name in names or ("-",):
        if name == "-":
            yield "standard input", command.standard_input("approved actions on it or a file as argument").read()
            continue
        try:
            yield name, Path(name).read_bytes()
        except OSError as failure:
            raise exits.cannot_read(name, failure) from None


def main() -> None:
    """Entry point of the console script."""
    command.run(cli)


if __name__ == "__main__":
    main()
