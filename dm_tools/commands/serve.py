"""dm-serve: the tools, sessions and reports over HTTP and MCP."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import click

from dm_tools.pipe import command, configs, exits, say
from dm_tools.tools.options import tool_options


@command.define("dm-serve", errors=False)
@command.proofs_dir_option
@click.option("--bind", default="127.0.0.1:8081", show_default=True, metavar="HOST:PORT", help="Where to listen.")
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file with the token that callers must send; without it $DM_SERVE_TOKEN. Needed beyond loopback.",
)
@click.option("--allow-host", multiple=True, metavar="NAME", help="A name of this server, beside loopback's.")
@click.option("--mcp", type=click.Choice(["stdio"]), help="Speak MCP on standard input and output instead of HTTP.")
@tool_options
def cli(
    proofs_dir: Path,
    bind: str,
    token_file: Path | None,
    allow_host: tuple[str, ...],
    mcp: str | None,
    inventory: Path | None,
    folder: Path | None,
) -> int:
    """Answer over HTTP, and over MCP at /mcp: the tools, diagnoses, reports. It looks, and changes nothing.

    GET /healthz, /tools, /reports, /reports/latest, /brief, /metrics, /openapi.json and the page at /; POST
    /tools/NAME, /start-stack-probe, /analyze-and-propose-fixes. There is no door to approve or to carry out.

    It listens on loopback; elsewhere only with a token. Requests that call it by another name, or come from another
    page, are refused. dm docs serve shows it with curl and with an MCP client.

    Network: the Docker Engine, URLs of the inventory, whoever asks.

    \b
    Examples:
      dm-serve --bind 127.0.0.1:8081 &
      curl -s http://127.0.0.1:8081/tools/docker_logs -d '{"container": "app"}' | jq -r .output
    """
    try:
        from dm_tools.serve import app, guard, listening, protocol, stack
        from dm_tools.serve.runs import Runs
        from dm_tools.tools import plugins, reports

        runs = Runs(proofs_dir.absolute())
        tools, refused = plugins.tools(folder, reports.tools(runs.proofs_dir, runs.diagnosed))
        for each in refused:
            say.note(f"refused: {each}")
        host, _, port = bind.rpartition(":")
        host = host.strip("[]")
        if not host or not port.isdigit() or int(port) > 65535:
            raise click.UsageError(f"--bind is HOST:PORT, not {bind!r}")
        known = token(token_file)
        if mcp is None and host not in guard.LOOPBACK and known is None:
            raise exits.Stop(exits.USAGE, f"to listen on {host} a token is needed: --token-file or $DM_SERVE_TOKEN")
        names = guard.LOOPBACK | frozenset(allow_host)
        doors = app.Doors(stack.Stack(stack.known(inventory), tools), runs, runs.proofs_dir)
        server = protocol.server(doors)
        if mcp is not None:
            _open()
            asyncio.run(protocol.over_stdio(server))
        else:
            application = app.application(doors, known, names, protocol.over_http(server, names))
            listening.run(application, host, int(port), runs.end)
    except ModuleNotFoundError as missing:
        raise exits.Stop(exits.USAGE, f"{missing.name} is not installed ({configs.install('serve')})") from None
    return exits.DONE


def _open() -> None:
    """Raises exits.Stop if there is nobody to speak to."""
    if sys.stdin is None or sys.stdout is None:
        raise exits.Stop(exits.USAGE, "standard input or output is closed: MCP is spoken on both")


def token(path: Path | None) -> str | None:
    """The token that callers must send. Raises exits.Stop for one that is no good."""
    try:
        text = (
            path.read_text(errors="replace").strip()
            if path is not None
            else os.environ.get("DM_SERVE_TOKEN", "").strip()
        )
    except OSError as failure:
        raise exits.cannot_read(path, failure) from None
    if (path is not None or text) and (len(text) < 16 or not text.isascii()):
        raise exits.Stop(exits.USAGE, "a token has at least 16 characters of ASCII: openssl rand -hex 24")
    return text or None


def main() -> None:
    """Entry point of the console script."""
    command.run(cli)


if __name__ == "__main__":
    main()
