"""dm-llm: what a model endpoint can do; and a small endpoint for those who have none."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from dm_tools.pipe import command, exits, say, stream


@command.define("dm-llm", unreachable=True)
@click.option("--model", type=click.Path(path_type=Path, dir_okay=False), help="serve: the model, a GGUF file.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="serve: 0 is a free one.")
@click.option("--context", type=click.IntRange(256), default=8192, show_default=True, help="serve: tokens in all.")
@click.option("--parallel", type=click.IntRange(1, 16), default=1, show_default=True, help="serve: answers at once.")
@click.option(
    "--template",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="serve: a chat template (Jinja) in the place of the model's own.",
)
@click.argument("what", type=click.Choice(["check", "serve"]))
def cli(what: str, model: Path | None, port: int, context: int, parallel: int, template: Path | None) -> int:
    """check: try what the endpoint of LLM_BASE_URL and LLM_MODEL can do, and write it as one JSON line.

    serve: start an OpenAI-compatible server with the model of a GGUF file on the loopback address (extra local-llm),
    and write its address as one JSON line once it answers. LLM_API_KEY, if set, is the key that it asks for.
    It computes with all processors but one, which is left to the stack.

    Settings: LLM_BASE_URL, LLM_MODEL, LLM_API_KEY or LLM_API_KEY_FILE, LLM_TIMEOUT, LLM_DEADLINE (seconds), LLM_JOBS,
    LLM_CONTEXT, LLM_PROMPT_TOKENS, LLM_RUN_TOKENS (tokens), LLM_TEMPERATURE.

    Network: check: the endpoint. serve: listens on 127.0.0.1.

    \b
    Examples:
      dm-llm check | jq .output
      dm-llm serve --port 8000 --model model.gguf
    """
    writer = stream.Writer()
    if what == "check":
        from dm_tools.llm import check, settings
        from dm_tools.llm.client import Client, ModelError

        try:
            found = check.check(Client(settings.from_environment()))
        except ModelError as failure:
            raise exits.Stop(exits.UNREACHABLE, failure.message) from None
        writer.write(stream.dumps(found), flush=True)
        return exits.ERRORS if found["errors"] else exits.DONE
    from dm_tools.llm import server, settings

    if model is None:
        raise click.UsageError("serve needs --model FILE.gguf")
    alias = settings.alias()
    try:
        chat = template.read_text(encoding="utf-8") if template else None
    except (OSError, UnicodeDecodeError):
        raise exits.Stop(exits.BAD_INPUT, f"cannot read {str(template)!r}, which should be a chat template") from None
    options = server.Options(model, alias, port, context, parallel, settings.key(), chat)
    try:
        url = server.start(options)
    except server.NoServer as why:
        raise exits.Stop(exits.BAD_INPUT, str(why)) from None
    writer.write(stream.dumps({"base_url": url, "model": alias}), flush=True)
    if sys.stderr.isatty():
        say.note(f"serving {model.name} as {alias} at {url}; Ctrl-C ends it")
    server.wait()
    return exits.DONE


def main() -> None:
    """Entry point of the console script."""
    command.run(cli)


if __name__ == "__main__":
    main()
