"""dm-history: what happened before, and what helped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dm_tools.pipe import command, exits

if TYPE_CHECKING:
    from dm_tools.records import Keep


@command.define("dm-history", unreachable=True)
@command.proofs_dir_option
@click.option("--json", "as_json", is_flag=True, help="JSON Lines also on a terminal.")
@click.option("--embedded", is_flag=True, help="query: ask the files here, even if CLICKHOUSE_URL is set.")
@click.option("--all", "every", is_flag=True, help="patterns: also those that never fired. push: all once more.")
@click.option(
    "--keep",
    multiple=True,
    envvar="DM_KEEP",
    show_envvar=True,
    metavar="NAME=DAYS",
    help="compact: how long history, reports, screenshots and runs are kept, instead of as the policy says.",
)
@command.patterns_option
@command.policy_option
@click.argument("what", type=click.Choice(["record", "show", "query", "push", "patterns", "compact"]))
@click.argument("words", nargs=-1, metavar="[FILE|SERVICE|SQL]...")
def cli(
    what: str,
    words: tuple[str, ...],
    proofs_dir: Path,
    as_json: bool,
    embedded: bool,
    every: bool,
    keep: tuple[str, ...],
    patterns: Path | None,
    policy: Path | None,
) -> int:
    """record: remember what the records on standard input, or of FILEs, tell, and pass them on unchanged.

    It takes judged records (incidents, proposals), what dm-execute and dm-undo print, and what dm-verify prints; each
    event once, however often it is recorded. Events are one line each of history/*.jsonl in the folder of the reports,
    on the disk when the program ends. Records that were not judged tell nothing.

    show: what happened at SERVICE (default: at all) on which occasions, what was done, how it ended.

    query: ask in SQL of events, incidents, actions, outcomes, pattern_hits, pattern_library and unexplained_lines.
    ClickHouse answers: in this process over the files (extra `history`), or the server of CLICKHOUSE_URL.

    push: send what is new to the server of CLICKHOUSE_URL.

    patterns: how often each pattern fired at a root, and how often what was done on its word helped, as proved.

    compact: merge the files of past days, and remove what is older than [keep] of the policy (dm docs policy) or --keep
    says: by default reports of a year, screenshots and runs of 90 days, and no history. What was reviewed stays.

    Network: query and push: the server of CLICKHOUSE_URL, if it is set.

    \b
    Examples:
      dm-services | dm-probe | dm-inspect | dm-logs | dm-analyze | dm-propose | dm-history record | dm-report
      dm-history record judged.jsonl done.jsonl | jq -c .service
      dm-history show postgres --json | jq -r '[.begun, .cause, .seconds] | @tsv'
      dm-history compact --keep reports=90 --keep runs=30
      dm-history query 'SELECT cause, count() AS times FROM incidents GROUP BY cause ORDER BY times DESC'
    """
    from dm_tools.ask import work
    from dm_tools.ask.embedded import CannotAsk, WrongQuestion
    from dm_tools.patterns.language import PatternError
    from dm_tools.show import history, table, terminal
    from dm_tools.store import files
    from dm_tools.store.history import History

    kept = History(proofs_dir)
    answers = {
        "show": lambda: work.shown(kept, words),
        "query": lambda: work.answer(kept, " ".join(words), embedded, patterns),
        "push": lambda: work.push(kept, every, patterns),
        "patterns": lambda: work.patterns(kept, patterns, every),
        "compact": lambda: work.compacted(kept, _keep(policy), keep),
    }
    try:
        if what == "record":
            return work.record(kept, command.source(words, "report"))
        if what == "show" and not as_json:
            terminal.write(history.lines(work.occasions_of(kept, words), kept.memory()))
        else:
            table.write(answers[what](), as_json)
    except files.CannotWrite as failure:
        raise exits.Stop(exits.CANNOT_WRITE, str(failure)) from None
    except PermissionError as failure:
        raise exits.Stop(exits.BAD_INPUT, f"cannot read {str(failure.filename)!r}: permission denied") from None
    except (CannotAsk, WrongQuestion, PatternError) as wrong:
        raise exits.Stop(exits.UNREACHABLE if isinstance(wrong, CannotAsk) else exits.USAGE, str(wrong)) from None
    return exits.DONE


def _keep(policy: Path | None) -> Keep:
    """How long the policy keeps what was written. Raises exits.Stop."""
    from dm_tools.act.policy import language
    from dm_tools.store import policies

    try:
        return language.read(policies.text_of(path := policies.path_of(policy))).keep
    except (language.PolicyError, policies.Unusable) as wrong:
        raise exits.Stop(exits.USAGE, f"{str(path)!r}: {wrong}; nothing is removed") from None


def main() -> None:
    """Entry point of the console script."""
    command.run(cli)


if __name__ == "__main__":
    main()
