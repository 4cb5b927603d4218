"""dm-notify: tell people of incidents, each once."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from dm_tools.pipe import command, exits


@command.define("dm-notify")
@command.proofs_dir_option
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="DM_NOTIFY",
    show_envvar=True,
    help="Who is told what (default: ~/.config/dm-tools/notify.toml, or configs/notify.toml).",
)
@click.option("--page", type=click.Path(path_type=Path, dir_okay=False), help="The HTML page of the report, to attach.")
@click.option("--test", is_flag=True, help="Send a test message to every target, and say how it went.")
@click.option("--dry-run", is_flag=True, help="Print what would be sent, and send and remember nothing.")
@click.option("--pass-on", is_flag=True, help="Print also the events and markers that are read, each in its place.")
@click.argument("file", required=False, metavar="[FILE|-]")
def cli(
    file: str | None,
    proofs_dir: Path,
    config: Path | None,
    page: Path | None,
    test: bool,
    dry_run: bool,
    pass_on: bool,
) -> int:
    """Tell of the events of dm-incidents by mail, webhook, Slack, ntfy or whatever else apprise knows.

    Rules say who is told what: by severity, service, project, time of day, only of what is still open after a while,
    and again. Whoever was told that an incident began is told that it is over. What a target could not be told is tried
    again later, with more time between the tries, or another target takes over. Many at once become one message.
    A message stands in a journal before it is sent: after a kill nothing is sent twice. Prints one line for each
    message with its outcome; status 4 if one was not told.

    In rounds (dm-services --every) each marker is a time to tell; else the end of the input. Without input, what is
    due is told: a second try, or that something is still open. Several may tell from one folder at a time.

    Network: the targets of the configuration.

    \b
    Examples:
      dm-incidents judged.jsonl | dm-notify --dry-run | jq -r '[.target, .subject]'
      dm-notify --dry-run < /dev/null
      dm-notify --test | jq -r 'select(.outcome == "failed") | [.target, .why]'
    """
    from dm_tools.notify import channels, work
    from dm_tools.notify import config as configuration
    from dm_tools.store import files, journal

    path = configuration.path(config)
    settings = configuration.read(path)
    if not settings.config.target:
        missing = f"{str(path)!r} names no target"
        if path == configuration.shipped():
            missing = f"there is no {str(configuration.own())!r}, and the shipped file names no target"
        raise exits.Stop(exits.USAGE, f"{missing} (dm docs notify says how)")
    teller = work.Teller(settings, proofs_dir, page, dry_run, pass_on)
    try:
        if test:
            return teller.test()
        with contextlib.ExitStack() as held:
            if file in (None, "-"):
                source = command.standard_input("events of dm-incidents on it, or a file of them")
            else:
                source = held.enter_context(_opened(str(file)))
            return teller.run(work.events(source))
    except files.CannotWrite as failure:
        raise exits.Stop(exits.CANNOT_WRITE, str(failure)) from None
    except journal.Busy as busy:
        raise exits.Stop(exits.CANNOT_WRITE, str(busy)) from None
    except channels.NotInstalled as missing:
        raise exits.Stop(exits.USAGE, str(missing)) from None


def _opened(file: str):  # type: ignore[no-untyped-def]
    try:
        return Path(file).open("rb")
    except OSError as failure:
        raise exits.cannot_read(file, failure) from None


def main() -> None:
    """Entry point of the console script."""
    command.run(cli)


if __name__ == "__main__":
    main()
