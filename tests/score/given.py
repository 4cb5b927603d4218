"""The cases that have been looked at: given to us, or after first sight (the orchard, the blind reports)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from tests.conftest import ROOT
from tests.score import calibration, once, truth
from tests.score.share import share, table
from tests.score.truth import Outcome

FOLDER = ROOT / "tests" / "data" / "given"
SETS = {name: FOLDER / name for name in ("stack", "reports", "newcomer")} | {
    name: FOLDER.parent / name
    for name in (
        "foreign",
        "foreign-fresh",
        "blind-reports",
        "blind-reports-2",
        "blind-reports-3",
        "blind-reports-4",
        "foreign-late",
    )
}
OPEN = FOLDER / "open.txt"
HEADING = "## Given cases"

_HEAD = """\
# What is not right yet, of the cases here and in ../foreign* (see tests/test_given.py). This list only becomes shorter:
# `pytest tests/test_given.py --accept` writes it anew; look at `git diff` before that is committed.
#   silent  nothing was said                 root    the service at fault is not named, or one more is
#   cause   no hypothesis tells the cause    action  the first proposed action does not help
#   false   an alarm where nothing is wrong  high    a wrong root or cause, said with high confidence
#   words   a sentence that is not true      line    the line that tells the cause is not among the evidence
#   event   what happened to the whole stack is not said
"""


def score() -> dict[str, Outcome]:
    """Every look of every set, by `SET/NAME`."""
    return {name: outcome(name) for name in looks()}


@cache
def looks() -> dict[str, truth.Look]:
    """The same, unjudged."""
    return {f"{name}/{look.truth.name}": look for name, folder in SETS.items() for look in truth.looks(folder)}


@cache
def outcome(name: str) -> Outcome:
    """What is said of a look, judged once: each is a test of its own, and counts on the scoreboard."""
    return truth.judge(looks()[name], once.library())


def still_open() -> dict[str, frozenset[str]]:
    """What open.txt says is not right yet, by `SET/NAME`."""
    lines = [line for line in OPEN.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return {name: frozenset(misses.split()) for name, _, misses in (line.partition(": ") for line in lines)}


def accept(outcomes: dict[str, Outcome]) -> None:
    """Write open.txt anew."""
    lines = [f"{name}: {' '.join(sorted(each.misses))}\n" for name, each in outcomes.items() if each.misses]
    OPEN.write_text(_HEAD + "".join(lines), encoding="utf-8")


def page(outcomes: dict[str, Outcome]) -> Iterator[str]:
    """The section of the scoreboard. A log alone is a look of its own, and has a row of its own."""
    yield HEADING
    yield ""
    yield (
        "A part of those sets was given to us later ([NOTICE](../tests/data/given/NOTICE)) and has been looked at; "
        "a regression, no first sight, and so is the orchard by now. "
        "What is not right is in [open.txt](../tests/data/given/open.txt) by name."
    )
    yield ""
    head = ("Set", "Root", "Specific cause", "First action", "Silent", "Wrong, high confidence", "False alarms")
    yield from table(
        (*head, "Causal line cited", "Symptoms named"),
        (_line(title, truth.row(found)) for title, found in _parts(outcomes) if found),
    )
    yield ""
    yield "How sure it was of each root that it named in these, and how often that and the cause were right:"
    yield ""
    yield from calibration.page(calibration.reliability(pair for each in outcomes.values() for pair in each.sure))


def _parts(outcomes: dict[str, Outcome]) -> Iterator[tuple[str, list[Outcome]]]:
    for name, folder in SETS.items():
        title = truth.title(folder)
        looks = {look: each for look, each in outcomes.items() if look.startswith(f"{name}/")}
        yield title, [each for look, each in looks.items() if not look.endswith(".log")]
        yield f"{title}, the log alone", [each for look, each in looks.items() if look.endswith(".log")]


def _line(title: str, row: truth.Row) -> tuple[str, ...]:
    figures = (row.root, row.cause, row.action, row.silent, row.high)
    shares = (*(share(figure, row.faults) for figure in figures), share(row.false, row.quiet))
    return title, *shares, share(row.cited, row.lines), share(row.named, row.symptoms)
