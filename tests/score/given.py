"""The cases that were given to us: a foreign stack, trouble reports, a newcomer's stacks. All have been looked at."""

from __future__ import annotations

from dm_tools.patterns.language import Library
from tests.conftest import ROOT
from tests.score import truth
from tests.score.truth import Outcome

FOLDER = ROOT / "tests" / "data" / "given"
SETS = ("stack", "reports", "newcomer")
OPEN = FOLDER / "open.txt"

_HEAD = """\
# What is not right yet, of the cases in this folder (see tests/test_given.py). This list only becomes shorter:
# `pytest tests/test_given.py --accept` writes it anew; look at `git diff` before that is committed.
#   silent  nothing was said                 root    the service at fault is not named, or one more is
#   cause   no hypothesis tells the cause    action  the first proposed action does not help
#   false   an alarm where nothing is wrong  high    a wrong root or cause, said with high confidence
#   words   a sentence that is not true      line    the line that tells the cause is not among the evidence
#   event   what happened to the whole stack is not said
"""


def score(library: Library) -> dict[str, Outcome]:
    """Every look of every set, by `SET/NAME`."""
    return {
        f"{name}/{look.truth.name}": truth.judge(look, library) for name in SETS for look in truth.looks(FOLDER / name)
    }


def still_open() -> dict[str, frozenset[str]]:
    """What open.txt says is not right yet, by `SET/NAME`."""
    lines = [line for line in OPEN.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return {name: frozenset(misses.split()) for name, _, misses in (line.partition(": ") for line in lines)}


def accept(outcomes: dict[str, Outcome]) -> None:
    """Write open.txt anew."""
    lines = [f"{name}: {' '.join(sorted(each.misses))}\n" for name, each in outcomes.items() if each.misses]
    OPEN.write_text(_HEAD + "".join(lines), encoding="utf-8")
