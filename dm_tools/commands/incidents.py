"""dm-incidents: say what begins, changes and ends, and not the same again."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from dm_tools.pipe import command, exits


class Looks(click.ParamType):  # type: ignore[type-arg] # generic only in the newest stubs
    """`2/3`: two bad looks of the last three; a bare number is that many of as many."""

    name = "n/m"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> tuple[int, int]:
        """N and M."""
        found = re.fullmatch(r"([1-9]\d?)(?:/([1-9]\d?))?", str(value), re.ASCII)
        if not found or int(found[1]) > int(found[2] or 99):
            self.fail(f"{str(value)[:40]!r} is no number of looks (2/3: two of the last three)", parameter, context)
        return int(found[1]), int(found[2] or found[1])


@command.define("dm-incidents")
@command.proofs_dir_option
@click.option("--open-after", type=Looks(), help="Bad looks that open an incident (1, or 2/3 in rounds).")
@click.option(
    "--recover-after", type=click.IntRange(1, 99), help="Good looks in a row that end it (1, or 3 in rounds)."
)
@click.option(
    "--stopped",
    type=click.Choice(["hurting", "all", "none"]),
    default="hurting",
    show_default=True,
    help="Whether what somebody stopped on purpose is an incident: only if others suffer from it, always, never.",
)
@click.option("--for", "lasting", type=command.Duration(60, 366 * 86400), help="silence: how long (weekly: 366d).")
@click.option("--why", help="silence: the reason, for those who wonder later.")
@click.option("--project", default="", help="silence: the Compose project; * stands for any text.")
@click.option("--host", default="", help="silence: the Docker host of the records.")
@click.option(
    "--label",
    default="",
    metavar="NAME[=VALUE]",
    help="silence: containers with this label; its name begins with 'dm-tools.'.",
)
@click.option("--incident", default="", help="silence: this one only, by its id or the fingerprint of its report.")
@click.option("--weekly", default="", help="silence: only in this window, as 'sat 22:00-04:00' or 'daily 02:00-03:00'.")
@click.option("--json", "as_json", is_flag=True, help="list: JSON Lines.")
@command.input_options
def cli(services: tuple[str, ...], on_bad: str, proofs_dir: Path, as_json: bool, **options: Any) -> int:
    """Read judged records (after dm-analyze, dm-propose) and print events of incidents, one a line.

    An incident is opened, changes (worse, better, another cause), comes and goes, recovers or ends; each is told once.
    Another run goes on where the last one ended: the state is in incidents/ of the folder of the reports. Without
    rounds (dm-services --every) one input is one look. What was stopped on purpose and hurts nobody, is being made, is
    in its start period or has done its work is none. Also what dm-execute and dm-verify print is read: that healing
    failed is told at once, and what was done when it is over. A time when nobody looked is told as that.

    list: what is open, what is silenced, when it was looked last.

    silence SERVICE --for 2h --why TEXT: no incident of it is opened and no change told meanwhile; * stands for any
    text. One that still holds afterwards is opened then. unsilence ID ends it.

    Network: none.

    \b
    Examples:
      dm-services | dm-probe | dm-inspect | dm-logs | dm-analyze | dm-propose | dm-incidents | jq -r '[.kind, .service]'
      dm-incidents judged.jsonl | jq -c '[.kind, .service, .text, .symptoms]'
      dm-incidents silence web --for 2h --why 'new disk' && dm-incidents list
      dm-incidents silence --label dm-tools.tier=test --for 1d --why 'load test'
      dm-incidents silence 'batch-*' --weekly 'sun 02:00-04:00' --why 'the weekly import'
    """
    from dm_tools.incidents import work
    from dm_tools.store import files, journal

    verb, words = (services[0], services[1:]) if services[:1] and services[0] in work.VERBS else ("", services)
    files_meant = any(word == "-" or Path(word).exists() or word.endswith(command.SUFFIXES) for word in services)
    if services and not verb and not files_meant:
        raise click.UsageError(f"{services[0]!r} is neither a file of records nor list, silence or unsilence")
    try:
        if verb == "list":
            return work.listed(proofs_dir, as_json)
        if verb == "silence":
            return work.silence(proofs_dir, words, options)
        if verb == "unsilence":
            return work.unsilence(proofs_dir, words)
        return work.judge(proofs_dir, command.source(words, on_bad), options)
    except files.CannotWrite as failure:
        raise exits.Stop(exits.CANNOT_WRITE, str(failure)) from None
    except journal.Busy as busy:
        raise exits.Stop(exits.CANNOT_WRITE, str(busy)) from None


def main() -> None:
    """Entry point of the console script."""
    command.run(cli)


if __name__ == "__main__":
    main()
