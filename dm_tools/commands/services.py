"""dm-services: write one record per service, from the manifest or from Docker."""

from __future__ import annotations

import os
from pathlib import Path

import click

from dm_tools import records
from dm_tools.pipe import choosing, command, configs, exits, stream
from dm_tools.pipe.several import Hosts
from dm_tools.pipe.several import options as hosts_options


@command.define("dm-services", unreachable=True)
@click.argument("names", nargs=-1, metavar="[SERVICE]...")
@click.option(
    "--manifest",
    type=click.Path(path_type=Path),
    envvar="SERVICES_MANIFEST_PATH",
    default=configs.manifest,
    show_default=configs.MANIFEST_SHOWN,
    show_envvar=True,
    help="The services manifest, a JSON file.",
)
@click.option("--discover", is_flag=True, help="Ask Docker for its containers instead of reading a manifest.")
@choosing.options
@hosts_options
@click.option(
    "-t",
    "--timeout",
    type=command.Duration(0.1, 3600),
    default=10.0,
    show_default=True,
    help="Time that Docker has: seconds, or as 500ms, 30s.",
)
@click.option("--every", type=command.Duration(0.1, 86400), help="Repeat it: seconds, or as 500ms, 30s, 5m.")
@click.option(
    "--through",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --every: the status file of the watch session; a round begins when the one before is in it.",
)
def cli(
    names: tuple[str, ...],
    manifest: Path,
    discover: bool,
    project: str | None,
    file: Path | None,
    filters: tuple[tuple[str, str], ...],
    several: Hosts,
    timeout: float,
    every: float | None,
    through: Path | None,
) -> int:
    """Write one record per service, in the manifest's order; with SERVICE arguments only those.

    In the manifest's texts ${NAME} and ${NAME:-default} are replaced from the environment and the .env file here; a
    variable that is not set is an error. `dm docs manifest` has the keys: what is wanted of a URL, too.

    With --discover, Compose services are named as in the Compose file (of two projects that have the name, that of the
    current folder; the other is PROJECT/SERVICE), other containers by their own name, and published TCP ports become
    checks, at most 8 a container, of what is spoken there: as the healthcheck, the labels of Traefik and
    caddy-docker-proxy, VIRTUAL_HOST and the port's number tell, or else as dm-probe finds out. `discovered` says why.

    Of a Swarm manager the services are discovered as the swarm knows them: `swarm` says how many tasks are wanted and
    run, and why not. Old tasks are history. With several hosts each record says its `host`, and its name begins with it
    (HOST/SERVICE); one that does not answer is a record of its own.

    With --every the pipe stays: the list is read again each time, and a marker ends each round, a line with the key
    `round` and no `service`, which all filters pass on behind the round's records. Events of the containers (start,
    die, oom, pause, health_status, ...) begin a round early. A round that begins late says so (`late_s`).

    Network: none; with --discover or --every the Docker Engine.

    \b
    Examples:
      dm-services | dm-probe | dm-show
      dm-services --discover | jq -r .service
      dm-services --host ssh://me@one --host ssh://me@two | dm-probe | dm-inspect | dm-analyze
      dm-services --filter status=running | dm-inspect
    """
    from dm_tools.collect import hosts, resident, services

    discover |= several.named or choosing.given()

    def look() -> list[stream.Record]:
        found = hosts.look(machines) if discover else services.read_manifest(manifest)
        return services.named(found, names, may_come=every is not None)

    try:
        machines = hosts.chosen(several, timeout, choosing.wanted(filters)) if discover else []
        if machines and (project or file):  # it counts for whatever is looked up by name
            os.environ["COMPOSE_PROJECT_NAME"] = project or services.project_of_file(machines[0].engine, file or Path())
            for each in machines:
                each.known.project_typed = choosing.project_given()
        if every:
            asked = [each.engine.host for each in machines]
            return stream.write(resident.rounds(look, every, through, asked), "services")
        found = look()
    except services.ManifestError as wrong:
        raise exits.Stop(exits.BAD_INPUT, str(wrong)) from None
    except (services.WrongChoiceError, services.NothingFoundError) as nothing:
        wrong_use = isinstance(nothing, services.WrongChoiceError)
        raise exits.Stop(exits.USAGE if wrong_use else exits.ERRORS, str(nothing)) from None
    except records.Problem as problem:
        raise exits.Stop(exits.UNREACHABLE, problem.message) from None
    return stream.write(stream.one_by_one(found), "services")


def main() -> None:
    """Entry point of the console script."""
    command.run(cli)


if __name__ == "__main__":
    main()
