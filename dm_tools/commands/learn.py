"""dm-learn: draft patterns from what stood in logs before incidents that an action ended."""

from __future__ import annotations

from pathlib import Path

import click

from dm_tools.pipe import command, exits, stream


@command.define("dm-learn", errors=False)
@command.proofs_dir_option
@command.patterns_option
@click.option("--accept", metavar="ID", help="Move a draft, as it is now, into the folder of your own patterns.")
@click.option("--drop", metavar="ID", help="Put a draft away: it is not made again.")
@command.input_options
def cli(
    services: tuple[str, ...],
    on_bad: str,
    proofs_dir: Path,
    patterns: Path | None,
    accept: str | None,
    drop: str | None,
) -> int:
    """Write draft patterns for a person to drafts/ in the folder of the reports, and print one line for each new one.

    Reads judged records of a stack that is well again, and the history. A log line that no rule explained, that stood
    before most incidents of one service and cause which one action ended (proved), and that the healthy service says
    no more, becomes a pattern file with its examples and near misses. Nothing uses a draft before it is
    accepted; open it first, say what it means, and see that it is no wider than that. Secrets are masked in it.

    Network: none.

    \b
    Examples:
      dm-learn < judged.jsonl | jq -r '[.id, .says] | @tsv'
    """
    from dm_tools.diagnose import learning
    from dm_tools.evidence.view import View
    from dm_tools.patterns import language, reading
    from dm_tools.records import Analysis, Status, section
    from dm_tools.store import drafts, files
    from dm_tools.store.history import History

    waiting, writer = drafts.Drafts(proofs_dir), stream.Writer()
    try:
        if accept or drop:
            if accept and patterns is None:
                raise click.UsageError("--accept needs the folder of your own patterns: --patterns or DM_PATTERNS")
            moved = waiting.accept(accept, patterns) if accept and patterns else waiting.drop(drop or "")
            writer.write(stream.dumps({"id": accept or drop, "path": files.text(moved)}), flush=True)
            return exits.DONE
        healthy: dict[str, list[str]] = {}
        for record in command.source(services, on_bad):
            verdict = section(record, "analysis", Analysis) if "service" in record else None
            if verdict is not None and verdict.status == Status.HEALTHY:
                view = View.of(record)
                healthy[view.service] = [each.text for each in view.logs.lines] if view.logs else []
        for draft in learning.learned(History(proofs_dir).events(), healthy) if healthy else []:
            text = learning.written(draft)
            reading.checked(f"{draft.id}.toml", text)
            if (path := waiting.add(draft.id, text)) is not None:
                own = {name: getattr(draft, name) for name in ("id", "service", "cause", "action", "incidents")}
                says = {"says": " ... ".join(draft.parts), "path": files.text(path)}
                writer.write(stream.dumps(own | says), flush=True)
    except (LookupError, language.PatternError) as wrong:
        raise exits.Stop(exits.BAD_INPUT, str(wrong.args[0])) from None
    except files.CannotWrite as failure:
        raise exits.Stop(exits.CANNOT_WRITE, str(failure)) from None
    return exits.DONE


def main() -> None:
    """Entry point of the console script."""
    command.run(cli)


if __name__ == "__main__":
    main()
