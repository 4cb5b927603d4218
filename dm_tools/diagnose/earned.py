"""Which patterns earn their place: how often each fired, and what the proofs said of its verdicts. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from dm_tools.records import ActionOutcome, EventKind, HistoryEvent, Outcome, Proof

DISPROVED = "disproved: what helps against its cause was done, and the trouble stayed"
UNKNOWN = "no pattern file has it any more"


class Earned(msgspec.Struct):
    """One pattern. `hits`: runs in which it fired at the root of an incident; `decided`: in which the verdict was its.

    `proved`, `disproved`: actions against its verdicts that were carried out and helped, or did not, by their newest
    proof; `precision`: the share that helped, null where nothing is proved. Times are RFC 3339 UTC.
    """

    pattern: str
    origin: str  # shipped, own or gone
    cause: str | None
    hits: int = 0
    decided: int = 0
    first: str | None = None
    last: str | None = None
    proved: int = 0
    disproved: int = 0
    precision: float | None = None
    note: str | None = None


def earned(
    known: Mapping[str, tuple[str, str]], events: Iterable[HistoryEvent], outcomes: Iterable[ActionOutcome]
) -> list[Earned]:
    """What each pattern has earned, those that were disproved first, then by hits. `known`: id -> (origin, cause)."""
    found = {name: Earned(name, origin, cause) for name, (origin, cause) in known.items()}
    for event in events:
        if event.kind != EventKind.INCIDENT:
            continue
        for name in {*event.patterns, *([event.pattern] if event.pattern else [])}:
            each = found.setdefault(name, Earned(name, "gone", None, note=UNKNOWN))
            each.hits += 1
            each.decided += name == event.pattern
            each.first = min(each.first or event.at, event.at)
            each.last = max(each.last or event.at, event.at)
    for outcome in outcomes:
        if not outcome.pattern or outcome.outcome not in (Outcome.DONE, Outcome.UNDONE):
            continue
        each = found.setdefault(outcome.pattern, Earned(outcome.pattern, "gone", None, note=UNKNOWN))
        each.proved += outcome.proof == Proof.RECOVERED
        each.disproved += outcome.proof in (Proof.NOT_RECOVERED, Proof.WORSE)
    for each in found.values():
        if judged := each.proved + each.disproved:
            each.precision = round(each.proved / judged, 3)
        if each.disproved > each.proved:
            each.note = DISPROVED
    return sorted(found.values(), key=lambda each: (each.note != DISPROVED, -each.hits, each.pattern))
