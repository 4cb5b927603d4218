"""The scoreboard as a page: one table, the failures by name, and how to read it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests import injection
from tests.score import (
    calibration,
    canaries,
    cases,
    faults,
    first_sight,
    given,
    healing,
    live,
    model,
    once,
    speed,
    truth,
)
from tests.score.share import share, table


@dataclass
class Board:
    """Everything that was measured in one run. `speeds`: what, megabytes a second."""

    patterns: int
    technologies: int
    first_sight: list[first_sight.Row]
    given: dict[str, truth.Outcome]
    faults: list[faults.Outcome]
    unchecked: list[faults.Outcome]  # the same in a stack without healthchecks
    cases: list[cases.Outcome]
    cases_file: str
    foreign: list[tuple[str, str, str]]
    judges: tuple[int, int]
    injections: int
    limits: int  # attempts that no rule can see through, of which only is promised that they never look certain
    steered: list[str]
    canaries: int
    leaked: list[str]
    alone: model.Row
    lied: model.Row
    believed: list[str]  # hostile input that steered a model which believes what it reads
    believing: int
    long: model.Long
    speeds: list[tuple[str, float]] = field(default_factory=list)
    replay_seconds: float | None = None
    live: str = ""
    healing: str = ""
    real: str = ""


def measure(with_live: bool, before: str, with_speed: bool, with_model: bool = False) -> Board:
    """Everything. `before`: the page as it was; what was measured live stays on it until it is measured again."""
    library = once.library()
    hostile = injection.outcomes()
    planted, leaked = canaries.score()
    believing, believed = model.steered(library)
    found = Board(
        patterns=len(library.patterns),
        technologies=len({each.partition(".")[0] for each in library.file_of}),
        first_sight=first_sight.rows(),
        given=given.score(),
        faults=faults.score(library),
        unchecked=faults.score_without_healthchecks(library),
        cases=cases.score(cases.PUBLIC, library),
        cases_file="[CRE](../tests/data/public/NOTICE)",
        foreign=cases.foreign_claims(cases.PUBLIC, library),
        judges=cases.judges_agree(cases.PUBLIC, library),
        injections=sum(each.limit is None for each in hostile),
        limits=sum(each.limit is not None for each in hostile),
        steered=[each.name for each in hostile if each.limit is None and each.steered],
        canaries=planted,
        leaked=leaked,
        alone=model.rules(library),
        lied=model.lying(library),
        believed=believed,
        believing=believing,
        long=model.long_logs(library),
        live="\n".join(live.page(live.measure())) if with_live else _kept(before, live.HEADING),
        healing=_kept(before, healing.HEADING),
        real="\n".join(model.page(library)) if with_model else _kept(before, model.HEADING),
    )
    if with_speed:
        lines = speed.log()
        found.speeds = [
            ("all patterns over the log", speed.analysis(library, lines)),
            ("`dm-analyze` on records of it, JSON in and out", speed.end_to_end(lines)),
            ("`grep -E` with the same expressions, at most (it is stopped after 30 s)", speed.grep(library, lines)),
            ("Drain3 (templates only)", speed.drain3(lines)),
            ("`dm-condense --text` (templates, causal lines, redaction)", speed.condensing(lines)),
        ]
        found.replay_seconds = min(speed.replay_seconds() for _ in range(3))
    return found


def renewed(page: str) -> str:
    """The page with what takes seconds measured anew: first sight and the given cases. The rest stays as it is."""
    sections = {
        first_sight.HEADING: first_sight.page(first_sight.rows()),
        given.HEADING: given.page(given.score()),
    }
    for heading, lines in sections.items():
        old = _kept(page, heading)
        if not old:
            raise ValueError(f"the page has no section {heading!r}")
        page = page.replace(old, "\n".join(lines))
    return page


def _kept(page: str, heading: str) -> str:
    """A section of the page as it was."""
    _, found, rest = page.partition(heading)
    return found + rest.partition("\n## ")[0].rstrip()


def cases_only(path: Path) -> Iterator[str]:
    """The score of another file of cases, as lines."""
    library = once.library()
    found = cases.score(path, library)
    results = Counter(each.result for each in found)
    total = len(found)
    yield f"cases                        {total}"
    yield f"specific and correct         {share(results[cases.RIGHT], total)}"
    yield f"right cause, not specific    {share(results[cases.UNSPECIFIC], total)}"
    yield f"wrong, said with confidence  {share(sum(e.result == cases.WRONG and e.confident for e in found), total)}"
    yield f"no claim                     {share(results[cases.MISSED], total)}"
    yield f"judged by label              {share(sum(e.judged_by == 'label' for e in found), total)}"
    for each in found:
        yield json.dumps({"id": each.case, "result": each.result, "judged_by": each.judged_by, "said": each.said})


def figures(page: str) -> str:
    """The part of the page that is the same on every machine."""
    return re.sub(r"## Speed.*", "", page, flags=re.DOTALL)


def rows(board: Board) -> Iterator[tuple[str, str]]:
    """The figures that do not depend on the machine: (what, how much)."""
    wrong = [each for each in board.faults if each.expected]
    quiet = [each for each in board.faults if not each.expected]
    combined = [each for each in wrong if each.kind == "combination"]
    yield (
        "**Compose faults** (recorded from real containers, replayed)",
        f"{len(wrong)}, of them {len(combined)} combinations",
    )
    yield "detected", share(sum(each.detected for each in wrong), len(wrong))
    yield "root service right", share(sum(each.roots_right for each in wrong), len(wrong))
    yield "root service and cause right", share(sum(each.causes_right for each in wrong), len(wrong))
    yield "first proposed action right", share(sum(each.actions_right for each in wrong), len(wrong))
    yield "symptoms right", share(sum(each.symptoms_right for each in wrong), len(wrong))
    yield "false alarms where nothing is wrong", share(sum(each.detected for each in quiet), len(quiet))
    bare = [each for each in board.unchecked if each.expected]
    yield (
        "root service and cause right if no container had a healthcheck",
        share(sum(each.causes_right for each in bare), len(bare)),
    )
    results = Counter(each.result for each in board.cases)
    total = len(board.cases)
    yield f"**Public log cases** ({board.cases_file})", f"{total}"
    yield "specific and correct", share(results[cases.RIGHT], total)
    yield "right cause, explanation not specific enough", share(results[cases.UNSPECIFIC], total)
    yield "wrong, said with confidence", share(sum(e.result == cases.WRONG and e.confident for e in board.cases), total)
    yield "no claim (inconclusive)", share(results[cases.MISSED], total)
    yield "specific claims that fire in a case where they are not true", f"{len(board.foreign)}"
    amended = sum("amended" in each for each in cases.labels().values())
    yield "labels amended after the first score (each says why)", f"{amended}"
    by_words = sum(each.judged_by == "words" for each in board.cases)
    if by_words:
        yield "cases judged by words in common, for want of a label", share(by_words, total)
    if board.judges[0]:
        yield "the judge by words agrees with the labels", share(board.judges[1], board.judges[0])
    yield "**Hostile input**: attempts to steer the verdict", f"{board.injections}"
    yield "steered", share(len(board.steered), board.injections)
    yield (
        "more of which a log alone cannot be seen through (never high confidence, the line is shown)",
        f"{board.limits}",
    )
    yield "**Secrets** planted where evidence comes from", f"{board.canaries}"
    yield "leaked", share(len(board.leaked), board.canaries)
    lied = board.lied
    yield "**A model that lies**: incidents that it was asked about", f"{lied.asked}"
    yield "its claims that became a verdict", share(lied.adopted, lied.asked)
    yield (
        "root service and cause right, with it and without",
        f"{share(lied.right, lied.of)}, {share(board.alone.right, board.alone.of)}",
    )
    yield (
        "first proposed action right, with it and without",
        f"{share(lied.actions, lied.of)}, {share(board.alone.actions, board.alone.of)}",
    )
    yield (
        "public log cases right, with it and without",
        f"{share(lied.cases_right, lied.cases)}, {share(board.alone.cases_right, board.alone.cases)}",
    )
    yield "**Hostile input and a model that believes it**: attempts", f"{board.believing}"
    yield "steered", share(len(board.believed), board.believing)
    long = board.long
    yield f"**Prompts** about incidents with {model.NOISE:,} log lines", f"{long.incidents}"
    yield "longest, of 4,000 tokens allowed (counted rather too high)", f"{long.most_tokens:,}"
    yield "the line that tells why is in it", share(long.held, long.incidents)
    yield "the same if no rule knew the line", share(long.held_without_rules, long.incidents)
    yield (
        "the line that tells why is in the briefing of `dm-brief`, if no rule knew it",
        share(long.briefed, long.incidents),
    )
    yield "longest briefing, of 6,000 tokens", f"{long.briefing_tokens:,}"
    yield (
        "tokens saved against reading everything",
        f"{100 * (1 - long.told_tokens / long.raw_tokens):.1f} %" if long.raw_tokens else "none",
    )
    levels = reliability(board)
    yield "**Brier score** of all verdicts (0 is best, 0.25 a coin)", f"{calibration.brier(levels):.3f}"


def reliability(board: Board) -> list[calibration.Level]:
    """Confidence against outcome, over the faults and the public cases together."""
    judged: list[tuple[calibration.Confidence | None, bool]] = []
    for each in board.faults:
        judged += [(verdict.confidence, right) for verdict, right in each.verdicts]
    judged += [(each.verdict.confidence, each.result == cases.RIGHT) for each in board.cases if each.verdict.cause]
    return calibration.reliability(judged)


def page(board: Board) -> Iterator[str]:
    """The lines of docs/scoreboard.md."""
    yield "# Scoreboard"
    yield ""
    yield (
        f"Printed by `scripts/score`; {board.patterns} patterns of {board.technologies} technologies; no model "
        "but where one is named. Failures count as failures, and stand below by name."
    )
    for section in (first_sight.page(board.first_sight), given.page(board.given)):
        yield ""
        yield from section
    yield ""
    yield "## Our own lab and public cases"
    yield ""
    yield from table(("What", "Figure"), rows(board))
    yield ""
    yield (
        "The faults are our own, and the public cases were read while patterns were written: expect less on what "
        "nobody here has seen. How much less: in the first score (commit d15a7a9) 39 of the 48 cases that the authors "
        "of the patterns had read were right, and 34 of the 47 that they had not (72 %); of these, 3 were wrong with "
        "confidence."
    )
    yield ""
    yield "## Is the confidence worth its name?"
    yield ""
    yield from calibration.page(reliability(board))
    yield ""
    yield "How far the chance that an action helps can be trusted: [policy.md](policy.md#what-would-have-happened)."
    yield ""
    yield "## Failures by name"
    yield ""
    yield from failures(board)
    yield ""
    yield "## Speed"
    yield ""
    yield "Measured in the same run on the same log, one processor; they differ from machine to machine."
    yield ""
    speeds = [(what, f"{figure:.3g} MB/s") for what, figure in board.speeds]
    if board.replay_seconds is not None:
        speeds.append(
            (
                "an incident of 30 services (400 log lines each) through dm-analyze and dm-propose",
                f"{board.replay_seconds:.2f} s",
            )
        )
    yield from table(("What", "Figure"), speeds)
    for section in (board.real, board.live, board.healing):
        if section:
            yield ""
            yield section


def failures(board: Board) -> Iterator[str]:
    """What went wrong, each with what was said instead."""
    bad = [e for e in board.faults if not (e.roots_right and e.causes_right and e.actions_right and e.symptoms_right)]
    for fault in bad:
        flags = {"root": fault.roots_right, "cause": fault.causes_right, "action": fault.actions_right}
        missed = [name for name, right in (flags | {"symptoms": fault.symptoms_right}).items() if not right]
        yield f"- fault `{fault.fault}` ({', '.join(missed)} wrong): {fault.said}"
    for fault in board.unchecked:
        if not fault.causes_right:
            yield f"- fault `{fault.fault}`, no container with a healthcheck: {fault.said}"
    for case in board.cases:
        if case.result != cases.RIGHT:
            yield f"- case `{case.case}` ({case.result}): {case.said}"
    for name in board.steered:
        yield f"- hostile input `{name}` steered the verdict"
    for name in board.believed:
        yield f"- hostile input steered a model that believes it: {name}"
    for name in board.lied.wrong:
        yield f"- a lie became a verdict: {name}"
    for name in board.long.lost:
        yield f"- the prompt about `{name}` does not hold its line"
    for name in board.leaked:
        yield f"- secret leaked: {name}"
    others = (board.steered, board.leaked, board.believed, board.lied.wrong, board.long.lost)
    if not bad and all(case.result == cases.RIGHT for case in board.cases) and not any(others):
        yield "None."
