"""The scoreboard as a page: one table, the failures by name, and how to read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tests.score import calibration, cases, faults


@dataclass
class Board:
    """Everything that was measured in one run. `speeds`: what, megabytes a second."""

    patterns: int
    technologies: int
    faults: list[faults.Outcome]
    cases: list[cases.Outcome]
    cases_file: str
    foreign: list[tuple[str, str, str]]
    judges: tuple[int, int]
    injections: int
    steered: list[str]
    canaries: int
    leaked: list[str]
    speeds: list[tuple[str, float]] = field(default_factory=list)
    replay_seconds: float | None = None
    live: str = ""


def share(part: int, whole: int) -> str:
    """`38 of 42 (90 %)`; the share is rounded down: a figure is never flattered."""
    return f"{part} of {whole} ({int(100 * part / whole)} %)" if whole else "none"


def rows(board: Board) -> Iterator[tuple[str, str]]:
    """The figures that do not depend on the machine: (what, how much)."""
    wrong = [each for each in board.faults if each.expected]
    quiet = [each for each in board.faults if not each.expected]
    combined = [each for each in wrong if each.kind == "combination"]
    yield "**Compose faults** (recorded from real containers, replayed)", f"{len(wrong)}, of them {len(combined)} combinations"
    yield "detected", share(sum(each.detected for each in wrong), len(wrong))
    yield "root service right", share(sum(each.roots_right for each in wrong), len(wrong))
    yield "root service and cause right", share(sum(each.causes_right for each in wrong), len(wrong))
    yield "first proposed action right", share(sum(each.actions_right for each in wrong), len(wrong))
    yield "symptoms right", share(sum(each.symptoms_right for each in wrong), len(wrong))
    yield "false alarms where nothing is wrong", share(sum(each.detected for each in quiet), len(quiet))
    results = Counter(each.result for each in board.cases)
    total = len(board.cases)
    yield f"**Public log cases** ({board.cases_file})", f"{total}"
    yield "specific and correct", share(results[cases.RIGHT], total)
    yield "right cause, explanation not specific enough", share(results[cases.UNSPECIFIC], total)
    yield "wrong, said with confidence", share(sum(e.result == cases.WRONG and e.confident for e in board.cases), total)
    yield "no claim (inconclusive)", share(results[cases.MISSED], total)
    yield "specific claims that fire in a case where they are not true", f"{len(board.foreign)}"
    by_words = sum(each.judged_by == "words" for each in board.cases)
    if by_words:
        yield "cases judged by words in common, for want of a label", share(by_words, total)
    if board.judges[0]:
        yield "the judge by words agrees with the labels", share(board.judges[1], board.judges[0])
    yield "**Hostile input**: attempts to steer the verdict", f"{board.injections}"
    yield "steered", share(len(board.steered), board.injections)
    yield "**Secrets** planted where evidence comes from", f"{board.canaries}"
    yield "leaked", share(len(board.leaked), board.canaries)
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
        f"Printed by `scripts/score`; {board.patterns} patterns of {board.technologies} technologies, no model. "
        "Failures count as failures, and stand below by name."
    )
    yield ""
    yield from _table(("What", "Figure"), rows(board))
    yield ""
    yield "## Is the confidence worth its name?"
    yield ""
    yield from _table(
        ("Confidence", "Promised", "Verdicts", "Right"),
        ((each.confidence, f"{each.promised:.0%}", each.verdicts, share(each.right, each.verdicts)) for each in reliability(board)),
    )
    yield ""
    yield "## Failures by name"
    yield ""
    yield from failures(board)
    yield ""
    yield "## Speed"
    yield ""
    yield "Measured in the same run on the same log, one processor; they differ from machine to machine."
    yield ""
    speeds = [(what, f"{figure:.1f} MB/s") for what, figure in board.speeds]
    if board.replay_seconds is not None:
        speeds.append(("an incident of 30 services (400 log lines each) through dm-analyze and dm-propose", f"{board.replay_seconds:.2f} s"))
    yield from _table(("What", "Figure"), speeds)
    if board.live:
        yield ""
        yield board.live


def failures(board: Board) -> Iterator[str]:
    """What went wrong, each with what was said instead."""
    bad = [e for e in board.faults if not (e.roots_right and e.causes_right and e.actions_right and e.symptoms_right)]
    for fault in bad:
        flags = {"root": fault.roots_right, "cause": fault.causes_right, "action": fault.actions_right}
        missed = [name for name, right in (flags | {"symptoms": fault.symptoms_right}).items() if not right]
        yield f"- fault `{fault.fault}` ({', '.join(missed)} wrong): {fault.said}"
    for case in board.cases:
        if case.result != cases.RIGHT:
            yield f"- case `{case.case}` ({case.result}): {case.said}"
    for name in board.steered:
        yield f"- hostile input `{name}` steered the verdict"
    for name in board.leaked:
        yield f"- secret leaked: {name}"
    if not bad and all(case.result == cases.RIGHT for case in board.cases) and not board.steered and not board.leaked:
        yield "None."


def _table(head: tuple[str, ...], lines: Iterable[tuple[object, ...]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + " --- |" * len(head)
    for line in lines:
        yield "| " + " | ".join(str(each) for each in line) + " |"
