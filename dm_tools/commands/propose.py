"""dm-propose: say what to do about each verdict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dm_tools.pipe import command, exits, stream

if TYPE_CHECKING:
    from dm_tools.act import posterior


@command.define("dm-propose")
@command.history_option
@command.input_options
def cli(services: tuple[str, ...], on_bad: str, history: Path | None) -> int:
    """Add `proposals`: typed actions with confidence, risk, parameters, evidence and the way back.

    Only actions of the catalogue are proposed, only with parameters that name what is in the inventory, and none
    with more confidence than the verdict has. A root gets remedies for its cause, a symptom a look at its root, a
    healthy service nothing. Nothing is carried out. The catalogue is in dm-tools(7).

    With --history, what became of an action against this cause before, on this service, its image or elsewhere, decides
    the order, and is told as "it helped 3 of 3, 47-99 %" (the interval that holds 90 % of the posterior). It lowers the
    confidence of what does not help, and of a verdict whose pattern was disproved more often than proved; it raises
    none to high.

    Network: none.

    \b
    Examples:
      dm-logs app | dm-analyze | dm-propose | jq -c '.proposals[]'
      dm-propose --history volumes/proofs < judged.jsonl | jq -r '.proposals[].reasoning'
      dm-propose < judged.jsonl | jq -c 'select(.proposals != []) | [.service, .proposals[0].action]'
    """
    from dm_tools.act import posterior, ranking
    from dm_tools.act.propose import propose
    from dm_tools.records import Analysis, Inspect, section, with_section

    experience = _experience(history) if history else None

    def add(record: stream.Record) -> stream.Record:
        command.want_judged(record, "nothing to propose")
        verdict = section(record, "analysis", Analysis)
        if verdict is None:
            return with_section(record, "proposals", [])
        if experience:
            sure, verdict = verdict, ranking.doubted(verdict, experience)
            record = record if verdict is sure else with_section(record, "analysis", verdict)
        found = propose(record["service"], verdict, swarm=record.get("swarm") is not None)
        if experience and found:
            inspect = section(record, "inspect", Inspect)
            place = posterior.place_of_record(record["service"], inspect, record.get("docker_host"))
            found = ranking.ranked(found, verdict, place, experience)
        return with_section(record, "proposals", found)

    source = command.source(services, on_bad)
    return stream.write(stream.pmap(add, source, "propose", jobs=1, keep_order=True), "propose")


def _experience(history: Path) -> posterior.Experience:
    """What became of actions before. Raises exits.Stop."""
    from dm_tools.act import posterior
    from dm_tools.store import policies

    try:
        return posterior.Experience(policies.outcomes(history))
    except policies.Unusable as wrong:
        raise exits.Stop(exits.BAD_INPUT, str(wrong)) from None


def main() -> None:
    """Entry point of the console script."""
    command.run(cli)


if __name__ == "__main__":
    main()
