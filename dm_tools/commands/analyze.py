"""dm-analyze: find the cause behind the alarms of a whole stack."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from dm_tools.pipe import command, exits, say, spool, stream
from dm_tools.pipe.rounds import rounds


@command.define("dm-analyze", unreachable=True, fail_on=True)
@command.patterns_option
@click.option("--explain", is_flag=True, help="Say on standard error why every pattern fired.")
@command.engine_options
@command.fail_on_option
@command.input_options
def cli(
    services: tuple[str, ...],
    on_bad: str,
    fail_on: str | None,
    patterns: Path | None,
    explain: bool,
    engine: str,
    agent: bool,
    max_steps: int,
) -> int:
    """Add `analysis`: findings, role (root or symptom), cause, path to the root, evidence ids, confidence.

    Reads the whole stack before it writes, like sort: the records wait in a temporary file, and only a digest of
    each is kept in memory. Rules from configs/patterns/ find what each service shows; dependencies (depends_on
    labels, hosts in the environment, peers named in logs) lead from the symptoms to the root. Every claim cites
    evidence, and a checker drops those that do not hold. A service that nothing is known of has role "unknown".
    A stream in rounds (dm-services --every) is judged round by round, each at its end.

    With a model (LLM_BASE_URL, LLM_MODEL, LLM_API_KEY) the engine "hybrid" asks it about the incidents that the rules
    leave open, and "llm" about all; its claims are checked against the evidence by code. See dm docs llm.

    Network: none with --engine rules: a recorded incident can be judged again anywhere. Else the model's endpoint;
    with --agent also Docker and the services' own URLs, reading only.

    \b
    Examples:
      dm-services | dm-probe | dm-inspect | dm-logs | dm-analyze | dm-show
      dm-analyze --explain < incident.jsonl 2>&1 > judged.jsonl | less
      LLM_BASE_URL=http://localhost:8000/v1 dm-analyze < incident.jsonl | dm-show
      dm-analyze < incident.jsonl | jq -c 'select(.analysis.role == "root") | .analysis.hypothesis'
    """
    from dm_tools.diagnose import analyze as judge
    from dm_tools.diagnose.again import Again
    from dm_tools.diagnose.facts import Facts
    from dm_tools.evidence.view import steps
    from dm_tools.llm import consult as asked
    from dm_tools.patterns import reading as reader
    from dm_tools.patterns.language import PatternError
    from dm_tools.records import Problem, with_error, with_section

    model, again = asked.model(engine, agent, max_steps), Again()
    try:
        library = reader.read(patterns)
    except PatternError as wrong:
        raise exits.Stop(exits.BAD_INPUT, str(wrong)) from None

    def judged(records: Iterable[stream.Record], waiting: spool.Spool) -> Iterator[stream.Record]:
        stack: dict[str, Facts] = {}
        about = bytearray()  # one of each record: whether the verdict of its service is about it

        def digest(record: stream.Record) -> stream.Record:
            about.append(False)
            if record["service"] in stack:
                raise Problem("duplicate_service", "a record of this name came before; only that one is judged")
            stack[record["service"]] = again.facts(record, library)
            about[-1] = True
            return record

        for record in records:
            known = len(about)
            waiting.add(stream.attempt(digest, record, "analyze"))
            about.extend([False] * (known + 1 - len(about)))  # a line that was no record is not looked at
        verdicts = judge.analyze(stack, library)
        problems = asked.consult(model, verdicts, stack, waiting, about) if model else {}
        for service, verdict in verdicts.items() if explain else ():
            for line in judge.explained(service, stack[service], verdict):
                say.note(line)
        for record, known in zip(waiting, about, strict=True):
            if known and (verdict := verdicts.get(record["service"])) is not None:  # type: ignore[assignment]
                if problem := problems.get(record["service"]):
                    record = with_error(record, "analyze", f"model_{problem.code}", problem.message)
                verdict.steps = verdict.steps or steps(record)
                yield with_section(record, "analysis", verdict)
            else:  # whatever came in as a verdict on a record that was not judged is not ours to pass on
                yield {key: value for key, value in record.items() if key != "analysis"}

    def everything() -> Iterator[stream.Record]:
        for each in rounds(command.source(services, on_bad)):
            with spool.Spool() as waiting:
                yield from judged(each, waiting)
            if each.marker:
                yield each.marker
                library.searcher.rest()
                again.next()

    return stream.write(stream.one_by_one(everything()), "analyze", command.matched(fail_on, "analysis"))


def main() -> None:
    """Entry point of the console script."""
    command.run(cli)


if __name__ == "__main__":
    main()
