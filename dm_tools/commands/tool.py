"""dm-tool: one call of a read-only tool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import orjson

from dm_tools import records
from dm_tools.pipe import command, exits, say, stream
from dm_tools.tools.options import tool_options


@command.define("dm-tool", unreachable=True)
@click.argument("name", required=False)
@click.argument("arguments", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--list", "only_list", is_flag=True, help="List the tools instead, one a line.")
@click.option("--json", "as_json", is_flag=True, help="With --list: as JSON, with the schema of their arguments.")
@command.proofs_dir_option
@tool_options
def cli(
    name: str | None,
    arguments: tuple[str, ...],
    only_list: bool,
    as_json: bool,
    proofs_dir: Path,
    inventory: Path | None,
    folder: Path | None,
) -> int:
    """Call one read-only tool and write its answer as JSON: `{"tool": ..., "output": ..., "error": null}`.

    The tools that look are those that a model may call (dm-analyze --agent), within the same bounds: they reach the
    containers and the URLs of the inventory and no others. diagnose runs a session and tells its report in short;
    explain and history read the folder of the reports. Arguments are KEY=VALUE words, or one JSON object on standard
    input. What a tool tells is redacted. A tool of your own is a Python file (dm docs tools); one that does not fit is
    refused with a line on standard error, and no tool can take the place of one of ours.

    Network: what the tool asks for: the Docker Engine, a URL of the inventory.

    \b
    Examples:
      dm-tool docker_logs container=app tail=50 | jq -r .output
      dm-tool diagnose discover=true | jq -r .output
      dm-tool --list
    """
    from dm_tools.collect import services
    from dm_tools.engine.connection import Engine
    from dm_tools.serve.runs import Runs
    from dm_tools.tools import plugins, registry, reports

    runs = Runs(proofs_dir.absolute())
    tools, refused = plugins.tools(folder, reports.tools(runs.proofs_dir, runs.diagnosed))
    for each in refused:
        say.note(f"refused: {each}")
    writer = stream.Writer()
    if only_list:
        for tool in tools.values():
            row: Any = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
            words = say.printable(" ".join(tool.description.split()))
            text = stream.dumps(row) if as_json else f"{tool.name:24} {words}\n".encode()
            writer.write(text, flush=False)
        return exits.ERRORS if refused else exits.DONE
    if name is None:
        raise click.UsageError("which tool? --list tells the names")
    problem, output, known = None, None, list[stream.Record]()
    given = _given(arguments, reads=name in tools and bool(tools[name].properties))
    try:
        if name in tools:
            registry.check(tools[name], given)
        if inventory is not None or (name in tools and tools[name].of_stack):
            known = _known(inventory) if inventory else services.known(Engine(None, registry.TIMEOUT))
        output = registry.Toolbox({each["service"]: each for each in known}, tools=tools).answer(name, given)
    except (services.ManifestError, services.NothingFoundError) as wrong:
        status = exits.BAD_INPUT if isinstance(wrong, services.ManifestError) else exits.ERRORS
        raise exits.Stop(status, str(wrong)) from None
    except records.Problem as failure:
        problem = {"code": failure.code, "message": failure.message}
    writer.write(stream.dumps({"tool": name, "output": output, "error": problem}), flush=True)
    statuses = {"unknown_tool": exits.USAGE, "bad_arguments": exits.USAGE, "docker_unreachable": exits.UNREACHABLE}
    return statuses.get(problem["code"], exits.ERRORS) if problem else exits.DONE


def _known(inventory: Path) -> list[stream.Record]:
    """The records of a file. Raises exits.Stop."""
    try:
        with inventory.open("rb") as file:
            return list(stream.read(file, "fail"))
    except OSError as failure:
        raise exits.cannot_read(inventory, failure) from None


def _given(words: tuple[str, ...], reads: bool) -> dict[str, Any]:
    """The arguments: KEY=VALUE words; without any, if the tool takes some, the JSON object on standard input."""
    from dm_tools.tools import schema

    if reads and not words:
        text = command.standard_input("KEY=VALUE, or a JSON object on it").read().strip()
        try:
            read = orjson.loads(text) if text else {}
        except ValueError as wrong:
            raise exits.Stop(exits.BAD_INPUT, f"standard input is no JSON: {wrong}") from None
        if isinstance(read, dict):
            return read
        raise exits.Stop(exits.BAD_INPUT, "standard input is no JSON object")
    try:
        return schema.of_words(words)
    except ValueError as wrong:
        raise click.UsageError(str(wrong)) from None


def main() -> None:
    """Entry point of the console script."""
    command.run(cli)


if __name__ == "__main__":
    main()
