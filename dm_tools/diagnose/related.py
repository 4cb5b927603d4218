"""The form of what several services prove together of one."""

from __future__ import annotations

from dataclasses import dataclass, field

from dm_tools.diagnose.currency import Course
from dm_tools.patterns.language import Level
from dm_tools.records import ActionName, Cause, Confidence, Finding, Fix, Severity, Status

FACT = Level.FACT.rank  # what the engine says of both containers
LIKELY = Level.EFFECT.rank  # what follows from what is not there: a container that no record is of
SUFFERS = Level.SYMPTOM.rank  # that it waits for another one: no second witness of what is wrong with that one
RUNS = ("running", "paused", "restarting")


@dataclass
class Related:
    """A finding about one service that others prove. `rank` is as a pattern's."""

    service: str
    finding: Finding
    rank: int
    fixes: list[Fix] = field(default_factory=list)
    status: Status | None = None  # what the service is because of it, where its own record does not show it
    replaces: frozenset[str] = frozenset()  # patterns whose findings say the same, and less
    course: Course = field(default_factory=Course)
    accuses: bool = False  # the one that it points to counts as broken even if it shows nothing itself


def finding_of(
    name: str, cause: Cause, explanation: str, evidence: list[str], points_to: str | None = None, **captures: str
) -> Finding:
    """A finding of what several services prove together; it is critical."""
    return Finding(
        pattern=f"relation.{name}",
        cause=cause,
        severity=Severity.CRITICAL,
        explanation=explanation,
        evidence=evidence,
        captures=captures,
        points_to=points_to,
    )


def remedy(action: ActionName, reasoning: str, **parameters: str) -> Fix:
    """A remedy that follows from it, and is sure to."""
    return Fix(action, Confidence.HIGH, reasoning, parameters)
