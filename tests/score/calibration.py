"""Whether confidence means something: how often a verdict of each level is right, and the Brier score of them all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dm_tools.records import Confidence
from tests.score.share import share, table

# What a level promises, as a probability: "high must be right at least 95 times of 100".
PROMISED = {Confidence.HIGH: 0.97, Confidence.MEDIUM: 0.8, Confidence.LOW: 0.4}


@dataclass(frozen=True)
class Level:
    """One row of the reliability table."""

    confidence: Confidence
    promised: float
    verdicts: int
    right: int


def reliability(verdicts: Iterable[tuple[Confidence | None, bool]]) -> list[Level]:
    """(confidence, right) of every verdict, counted by level."""
    found = [(confidence, right) for confidence, right in verdicts if confidence is not None]
    return [
        Level(
            level,
            promised,
            sum(each == level for each, _ in found),
            sum(right for each, right in found if each == level),
        )
        for level, promised in PROMISED.items()
    ]


def brier(levels: list[Level]) -> float:
    """Mean squared difference between what was promised and what came (0 is best, 0.25 is a coin; Brier 1950)."""
    total = sum(each.verdicts for each in levels)
    error = sum(
        each.right * (1 - each.promised) ** 2 + (each.verdicts - each.right) * each.promised**2 for each in levels
    )
    return error / total if total else 0.0


def page(levels: list[Level]) -> Iterator[str]:
    """The lines of a reliability table."""
    yield from table(
        ("Confidence", "Promised", "Verdicts", "Right"),
        ((each.confidence, f"{each.promised:.0%}", each.verdicts, share(each.right, each.verdicts)) for each in levels),
    )
