"""dm-approve: approve by a policy what needs no person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from dm_tools.pipe import clock, command, exits, say, stream


@command.define("dm-approve")
@click.argument("source", required=False, type=click.Path(path_type=Path, allow_dash=True))
@command.policy_option
@command.history_option
@command.proofs_dir_option
@click.option("--explain", is_flag=True, help="Print each proposal's decision, rule and reason instead; write nothing.")
@click.option("--dry-run", is_flag=True, help="Print what would be approved, and write nothing.")
@click.option("--promotions", is_flag=True, help="Print what has earned, might earn, or lost to need no person.")
@click.option("--accept", metavar="ID", help="Sign that a proposed promotion is accepted: it needs no person any more.")
@click.option("--revoke", metavar="ID", help="Sign that it needs a person again.")
@click.option("--rehearse", is_flag=True, help="Print what the policy would have done in the past, and how it ended.")
@click.option(
    "--last",
    type=command.Duration(60),
    default="30d",
    show_default=True,
    help="How much of the past is rehearsed: as 12h, 30d.",
)
def cli(
    source: Path | None,
    policy: Path | None,
    history: Path | None,
    proofs_dir: Path,
    explain: bool,
    dry_run: bool,
    promotions: bool,
    accept: str | None,
    revoke: str | None,
    rehearse: bool,
    last: float,
) -> int:
    """Approve the proposals that a policy allows: those of records (JSON Lines), or of an enhanced report.

    The same input, policy, history and time give the same decisions. Rules that deny beat those that allow; without a
    policy of your own nothing is approved, and a broken policy approves nothing. No rule reaches what touches data,
    guesses, a model's verdicts, texts out of logs, or a service that is silenced (dm-incidents silence): somebody works
    on it. What was approved is written to approved_fixes_<time>.json, as dm-review does, and to standard output as JSON
    Lines for dm-execute. Nothing is carried out. See dm docs policy.

    Network: none.

    \b
    Examples:
      dm-approve --explain < judged.jsonl | jq -r '[.service, .action, .ruling, .reason] | @tsv'
      dm-approve --dry-run --policy policy.toml < judged.jsonl | dm-execute --plan
      dm-approve --rehearse --last 30d | jq '{actions, approved, worse}'
    """
    from dm_tools.act.policy import decide, language, session, subject
    from dm_tools.act.policy import rehearse as past
    from dm_tools.records import Problem
    from dm_tools.store import approvals, files, policed, policies
    from dm_tools.store.incidents import Silences

    if sum(map(bool, (explain, dry_run, promotions, accept, revoke, rehearse))) > 1:
        raise click.UsageError("--explain, --dry-run, --promotions, --accept, --revoke, --rehearse: one at a time")
    writer, signatures, now = stream.Writer(), policies.Signatures(proofs_dir), clock.now()
    path, status = policies.path_of(policy), exits.DONE
    found: list[Any] = []
    try:
        rules = language.read(policies.text_of(path))
        outcomes = policies.outcomes(history or proofs_dir)
        quiet = Silences(proofs_dir).current(now, *clock.local(now))
        known = decide.Known(rules, outcomes, signatures.entries(), now, quiet=quiet)
        if rehearse:
            found = [past.summary(rules, outcomes, known.acceptances, now - last, now)]
        elif promotions:
            found = session.promotions(known)
        elif accept or revoke:
            chosen = session.chosen(known, accept or revoke or "", accepting=bool(accept))
            found = [signatures.add(chosen, accepted=bool(accept))]
        else:
            asked = policed.given(source)
            status = exits.ERRORS if asked.bad else exits.DONE
            if asked.report is None and not any("proposals" in each for each in asked.records) and asked.records:
                say.note("nothing to approve: the records have no proposals (dm-analyze and dm-propose come before)")
            decided = session.decided(subject.of(asked.report, asked.records), policed.taken(asked), known)
            approved = session.approved(decided, now)
            if explain:
                found = [decision for _, decision in decided]
            else:
                found = [each for *_, each in approved] if dry_run else policed.write(asked, approved, proofs_dir)
    except language.PolicyError as wrong:
        raise exits.Stop(exits.USAGE, f"{str(path)!r}: {wrong}; nothing is approved") from None
    except (policies.Unusable, approvals.ReportError, Problem, LookupError) as wrong:
        raise exits.Stop(exits.BAD_INPUT, str(wrong.args[0])) from None
    except files.CannotWrite as failure:
        raise exits.Stop(exits.CANNOT_WRITE, str(failure)) from None
    for each in found:
        writer.write(stream.dumps(msgspec.to_builtins(each)), flush=True)
    return status


def main() -> None:
    """Entry point of the console script."""
    command.run(cli)


if __name__ == "__main__":
    main()
