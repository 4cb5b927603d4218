"""dm-propose: say what to do about each verdict."""

from __future__ import annotations

from dm_tools.pipe import command, stream


@command.define("dm-propose")
@command.input_options
def cli(services: tuple[str, ...], on_bad: str) -> int:
    """Add `proposals`: typed actions with confidence, risk, parameters, evidence and the way back.

    Only actions of the catalogue are proposed, only with parameters that name what is in the inventory, and none
    with more confidence than the verdict has. A root gets remedies for its cause, a symptom a look at its root, a
    healthy service nothing. Nothing is carried out. The catalogue is in dm-tools(7).

    Network: none.

    \b
    Examples:
      dm-logs app | dm-analyze | dm-propose | jq -c '.proposals[]'
      dm-propose < judged.jsonl | jq -c 'select(.proposals != []) | [.service, .proposals[0].action]'
    """
    from dm_tools.act.propose import propose
    from dm_tools.records import Analysis, section, with_section

    def add(record: stream.Record) -> stream.Record:
        verdict = section(record, "analysis", Analysis)
        found = propose(record["service"], verdict) if verdict else []
        return with_section(record, "proposals", found)

    source = command.source(services, on_bad)
    return stream.write(stream.pmap(add, source, "propose", jobs=1, keep_order=True), "propose")


def main() -> None:
    """Entry point of the console script."""
    command.run(cli)


if __name__ == "__main__":
    main()
