"""What dm-approve puts together: the decisions, the approvals that follow, the promotion that a person means."""

from __future__ import annotations

from datetime import UTC, datetime

from dm_tools.act.policy import earned
from dm_tools.act.policy.decide import Known, decide
from dm_tools.act.policy.subject import Subject, approval_of
from dm_tools.act.posterior import Experience
from dm_tools.records import ApprovedAction, Decision, Promotion, Ruling, Standing

Decided = list[tuple[Subject, Decision]]


def decided(subjects: list[Subject], taken: set[str], known: Known) -> Decided:
    """The decisions; of an issue that a person has decided (`taken`) there is nothing left to decide."""
    free = [each for each in subjects if each.issue_id not in taken]
    found = {id(each): decision for each, decision in decide(free, known)}
    return [(each, found.get(id(each)) or _taken(each)) for each in subjects]


def _taken(each: Subject) -> Decision:
    words = "a person has decided or deferred it"
    return Decision(each.issue_id, each.service, each.action, each.cause, Ruling.PERSON, None, words)


def approved(found: Decided, now: float) -> list[tuple[str, int, ApprovedAction]]:
    """The approvals that decisions amount to: the issue, the index of its fix, the action."""
    at = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
    return [
        (subject.issue_id, subject.fix, approval_of(subject, decision.rule or "", at))
        for subject, decision in found
        if decision.ruling == Ruling.APPROVED
    ]


def promotions(known: Known) -> list[Promotion]:
    """All that is proposed, accepted, lost or revoked; nothing if the policy lets nothing be earned."""
    if known.policy.earned is None:
        return []
    experience = known.experience or Experience(known.outcomes)
    return earned.promotions(known.outcomes, known.acceptances, known.policy.earned, experience)


def chosen(known: Known, promotion_id: str, accepting: bool) -> Promotion:
    """The promotion that a person means to accept, or to revoke. Raises LookupError with the reason."""
    if known.policy.earned is None:
        raise LookupError("the policy has no section [earned]: nothing can be earned")
    wanted = (Standing.PROPOSED,) if accepting else (Standing.ACCEPTED, Standing.PROBATION)
    found = {each.id: each for each in promotions(known)}
    promotion = found.get(promotion_id)
    if promotion is None:
        raise LookupError(f"there is no promotion {promotion_id!r} (dm-approve --promotions lists them)")
    if promotion.standing not in wanted:
        raise LookupError(f"the promotion {promotion_id!r} is {promotion.standing}, not {wanted[0]}")
    return promotion
