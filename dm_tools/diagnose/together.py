"""What befell several services at once: the same requests that fail, a project that was stopped as a whole."""

from __future__ import annotations

from collections import defaultdict

from msgspec import structs

from dm_tools.diagnose.claims import FACT_RANK, REQUESTS_RANK, Claim, Judged
from dm_tools.diagnose.ways import Ways
from dm_tools.records import Cause, Severity
from dm_tools.text.times import lasting

TOGETHER = 3  # services at least that were stopped as one
TOGETHER_SECONDS = 120.0  # `docker compose stop` waits up to 10 s for each step of dependencies


def of_the_same_requests(stack: dict[str, Judged]) -> None:
    """Requests that fail somewhere for no known reason fail because of whoever has one, or fails at the same ones.

    A proxy's configuration is in no environment, so the map need not know whom it asks.
    """
    ways = Ways(stack)
    nameless = {
        service
        for service, each in stack.items()
        if each.unserved and each.because_of is None and not each.measured and not each.accused_by
        and each.best_rank <= REQUESTS_RANK
    }  # fmt: skip
    known: dict[str | None, list[str]] = defaultdict(list)  # by project: those that have a reason
    for name, each in stack.items() if nameless else ():
        # Never one whose own way ends at a nameless one: two of them would suffer from each other.
        if (each.troubles or each.broken) and ways.root(name) not in nameless:
            known[each.facts.node.project].append(name)
    for service in nameless:
        others = known[stack[service].facts.node.project]
        failing = {kind.path for kind in stack[service].facts.failing}
        same = [name for name in others if failing & {kind.path for kind in stack[name].facts.failing}]
        named = [name for name in others if any(name in path.split("/") for path in failing)]
        stack[service].because_of = next(
            (each[0] for each in (same, named, others) if len({ways.root(name) for name in each}) == 1), None
        )


def stopped_together(stack: dict[str, Judged]) -> None:
    """A project that was stopped as a whole is one event, on purpose: not a failure of each of its services."""
    projects: dict[tuple[str | None, str | None], dict[str, Judged]] = defaultdict(dict)
    for service, each in stack.items():
        projects[each.facts.node.engine, each.facts.node.project].setdefault(service, each)
    for (_, project), members in projects.items():
        ended = {name: each.facts.ended for name, each in members.items() if each.facts.ended is not None}
        stopped = [name for name in ended if any(c.finding.cause == Cause.STOPPED for c in members[name].own)]
        if project is None or len(ended) < len(members) or len(stopped) < max(TOGETHER, len(members) / 2):
            continue
        span = max(ended.values()) - min(ended.values())
        if span > TOGETHER_SECONDS:
            continue
        last = max(stopped, key=lambda name: ended[name])
        claim = next(each for each in members[last].own if each.finding.cause == Cause.STOPPED)
        explanation = (
            f"all {len(members)} services of {project} were stopped within {lasting(span)}: on purpose, it seems"
        )
        event = structs.replace(claim.finding, explanation=explanation, severity=Severity.WARNING)
        for name, each in members.items():
            each.because_of = None if name == last else last
        members[last].own.insert(0, Claim(event, FACT_RANK))
