"""What a policy would have done: each action of the past, judged by what was known the moment before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from dm_tools.act.policy import ceiling, earned
from dm_tools.act.policy.decide import Known, decide
from dm_tools.act.policy.language import Policy
from dm_tools.act.policy.subject import Facts, Subject
from dm_tools.act.posterior import Experience, helped, latest, place_of
from dm_tools.pipe import clock
from dm_tools.records import (
    Acceptance,
    ActionOutcome,
    Confidence,
    Decision,
    Harm,
    Identity,
    Outcome,
    Proof,
    Rehearsal,
    Ruling,
    Standing,
)
from dm_tools.text.times import seconds_or_never

CARRIED_OUT = (Outcome.DONE, Outcome.FAILED, Outcome.UNDONE)
Past = list[tuple[ActionOutcome, Decision]]


def subject_of(outcome: ActionOutcome) -> Subject:
    """An action of the past as a proposal. Labels, who needs the service and parameters are in no outcome."""
    return Subject(
        issue_id=outcome.action_id,
        fix=0,
        action=outcome.action,
        cause=outcome.cause,
        confidence=outcome.confidence or Confidence.LOW,
        parameters={},
        facts=Facts(place_of(outcome), identity=Identity("", None, "")),
    )


def rehearse(
    policy: Policy, outcomes: Sequence[ActionOutcome], signed: Sequence[Acceptance], since: float, until: float
) -> Past:
    """A decision on each action that was carried out from `since` up to `until` (seconds since 1970), oldest first.

    Only what was known before an action counts for it: outcomes that had ended, what had been signed. What a history
    does not hold is taken as not known: a rule that asks for it does not allow.
    """
    experience = Experience()
    of_service: dict[tuple[str | None, str], list[ActionOutcome]] = {}
    found = []
    for outcome in sorted(latest(outcomes), key=lambda each: seconds_or_never(each.at)):
        at = seconds_or_never(outcome.at)
        if at >= until:
            break
        before = of_service.setdefault((outcome.host, outcome.service), [])
        if at >= since and outcome.outcome in CARRIED_OUT and ceiling.changes(outcome.action):
            accepted = [each for each in signed if seconds_or_never(each.at) <= at]
            known = Known(policy, before, accepted, at, experience)
            ((_, decision),) = decide([subject_of(outcome)], known)
            found.append((outcome, decision))
        before.append(outcome)
        experience.add(outcome)
    return found


def summary(
    policy: Policy, outcomes: Sequence[ActionOutcome], signed: Sequence[Acceptance], since: float, until: float
) -> Rehearsal:
    """The same in figures."""
    found = rehearse(policy, outcomes, signed, since, until)
    rulings = Counter(decision.ruling for _, decision in found)
    done = [(outcome, decision) for outcome, decision in found if decision.ruling == Ruling.APPROVED]
    ends = Counter(end_of(outcome) for outcome, _ in done)
    known = [each for each in latest(outcomes) if seconds_or_never(each.at) < until]
    standings = earned.promotions(known, signed, policy.earned, Experience(known)) if policy.earned else []
    harms = [(outcome, decision) for outcome, decision in done if outcome.proof == Proof.WORSE]
    return Rehearsal(
        since=clock.rfc3339(since),
        until=clock.rfc3339(until),
        actions=len(found),
        approved=len(done),
        for_a_person=rulings[Ruling.PERSON],
        refused=rulings[Ruling.REFUSED],
        recovered=ends[Proof.RECOVERED],
        not_recovered=ends[Proof.NOT_RECOVERED],
        worse=ends[Proof.WORSE],
        unproven=ends[Proof.UNPROVEN],
        by_rule=dict(sorted(Counter(decision.rule or "" for _, decision in done).items())),
        harms=[Harm(each.at, each.service, each.action, each.cause, decision.rule) for each, decision in harms],
        proposed=[each for each in standings if each.standing == Standing.PROPOSED],
    )


def end_of(outcome: ActionOutcome) -> Proof:
    """How an action ended: its proof, where what failed has not recovered anything."""
    if outcome.proof == Proof.WORSE:
        return Proof.WORSE
    good = helped(outcome)
    return Proof.UNPROVEN if good is None else Proof.RECOVERED if good else Proof.NOT_RECOVERED
