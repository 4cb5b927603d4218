"""status PROOFS_DIR: what the watch saw last, what is open, and what was done. supervisor-session.sh calls it."""

from __future__ import annotations

from pathlib import Path

import click
import orjson

from dm_tools.pipe import clock, command, exits, say
from dm_tools.store.incidents import Incidents
from dm_tools.watch.pulse import told

NEWEST = 5  # events that are shown


@command.define("status")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON.")
@click.argument("proofs_dir", type=click.Path(path_type=Path, file_okay=False))
def cli(proofs_dir: Path, as_json: bool) -> int:
    """Print the newest round of the watch that looks into a folder."""
    try:
        status = orjson.loads((proofs_dir / "watch" / "status.json").read_bytes())
    except (OSError, ValueError):
        raise exits.Stop(
            exits.BAD_INPUT, f"no watch has come through a round in {str(proofs_dir)!r} (dm watch begins one)"
        ) from None
    lines, ended = told(status, Incidents(proofs_dir).newest(NEWEST), clock.now())
    for line in [orjson.dumps(status).decode()] if as_json else lines:
        click.echo(say.printable(line))
    return ended


if __name__ == "__main__":
    command.run(cli)
