"""What became of actions before, for this time: the order of proposals, and how sure they and the verdict are."""

from __future__ import annotations

import msgspec

from dm_tools.act.posterior import Experience, M, Place, Scope, told
from dm_tools.records import Analysis, Cause, Confidence, Proposal

# What the written confidence of a remedy is worth: a chance to help, as M observations.
_WRITTEN = {Confidence.HIGH: 0.75, Confidence.MEDIUM: 0.5, Confidence.LOW: 0.25}
_WHERE = {Scope.SERVICE: "here", Scope.IMAGE: "with this image elsewhere", Scope.OVERALL: "on other services"}


def doubted(verdict: Analysis, experience: Experience) -> Analysis:
    """The verdict, less sure if the pattern that decided it was disproved more often than proved, and says so.

    Disproved: what helps against its cause was carried out, and the trouble stayed. Then it is medium at most, and low
    once the 90 % interval of its chance to be right lies below one half; one failure alone changes nothing.
    """
    if verdict.pattern is None or verdict.confidence is None:
        return verdict
    known = experience.of_pattern(verdict.pattern)
    if known.failures < 2 or known.mean >= 0.5:
        return verdict
    most = Confidence.LOW if known.high < 0.5 else Confidence.MEDIUM
    words = f"look for another cause, too: where {verdict.pattern} had decided, what was done helped {told(known)}"
    confidence = min(verdict.confidence, most, key=lambda each: each.order)
    return msgspec.structs.replace(verdict, confidence=confidence, next=[*verdict.next, words])


def ranked(proposals: list[Proposal], verdict: Analysis, place: Place, experience: Experience) -> list[Proposal]:
    """The same proposals, best first by what became of them before; what nobody tried counts by its confidence.

    History lowers a confidence to low where an action helps less often than not, and raises low to medium where it
    helps more often than not with 95 %, never above the verdict's. To high it raises nothing: what is automatic (high)
    is not made so by chance, but by a policy.
    """
    weighed = [_weighed(each, verdict, place, experience) for each in proposals]
    if all(proposal == old for (_, proposal), old in zip(weighed, proposals, strict=True)):
        return proposals
    return [proposal for _, proposal in sorted(weighed, key=lambda pair: -pair[0])]


def _weighed(proposal: Proposal, verdict: Analysis, place: Place, experience: Experience) -> tuple[float, Proposal]:
    prior = _WRITTEN[proposal.confidence]
    cause: Cause | None = verdict.cause
    found = experience.nearest(cause, proposal.action, place)
    if found is None:
        return prior, proposal
    confidence = proposal.confidence
    if found.mean < 0.5:
        confidence = Confidence.LOW
    elif found.low >= 0.5 and confidence == Confidence.LOW:
        confidence = min(Confidence.MEDIUM, verdict.confidence or Confidence.LOW, key=lambda each: each.order)
    words = f"{proposal.reasoning}; {_WHERE[found.scope]} it helped {told(found)}"
    weight = (M * prior + found.successes) / (M + found.tried)
    return weight, msgspec.structs.replace(proposal, confidence=confidence, reasoning=words)
