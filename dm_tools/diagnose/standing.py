"""What of a complaint about another service still stands: since that one started anew, and by who says it, too."""

from __future__ import annotations

from dataclasses import replace

from dm_tools.diagnose.claims import LASTING, OFTEN, Claim, Judged
from dm_tools.diagnose.facts import Facts
from dm_tools.diagnose.topology import LOOPBACK
from dm_tools.records import Cause, Status

READY_SECONDS = 20.0  # what a program takes from its start until it answers


def outlived(service: str, each: Judged, stack: dict[str, Judged]) -> None:
    """What was said of a peer before it started anew is over: it was not there, and now it is.

    Not for one that ended its work over it: it said so last, and refuses its own clients since.
    """
    for claim in each.blaming:
        if claim.course.dying and _refuses_since(service, claim, stack):
            claim.agreed = True
            continue
        peer = stack[str(claim.finding.points_to)].facts
        last, now = claim.course.last, each.facts.now
        if not (peer.running and peer.started and last is not None):
            continue
        # One that has just started does not answer yet; if it did not answer later, more would have been said.
        settles = claim.finding.cause not in LASTING and not _listens_to_itself(claim, peer)
        ready = peer.started
        if settles and now is not None and now - last > READY_SECONDS:
            ready += READY_SECONDS
        if last < ready:
            lines = set(claim.finding.evidence)
            for said in (claim, *(own for own in each.own if set(own.finding.evidence) <= lines)):
                said.course = replace(said.course, over=True)
                said.finding.over = True


def _refuses_since(service: str, claim: Claim, stack: dict[str, Judged]) -> bool:
    """Whether clients were refused at a service after it made a claim."""
    return any(
        other.finding.points_to == service
        and other.finding.cause == Cause.CONNECTION_REFUSED
        and (other.course.last or 0.0) > (claim.course.last or 0.0)
        for each in stack.values()
        for other in each.blaming
    )


def _listens_to_itself(claim: Claim, peer: Facts) -> bool:
    """Whether a peer says that it listens at the port where it refused somebody, for nobody but itself."""
    at = [each.address.strip("[]") for each in peer.listening if each.port == claim.finding.captures.get("port")]
    return bool(at) and all(each in LOOPBACK for each in at)


def agree(each: Judged, stack: dict[str, Judged]) -> None:
    """A complaint that the log of the other side makes, too, is no mere talk."""
    for claim in each.own + each.blaming:
        peer = claim.finding.points_to or claim.finding.captures.get("dependency")
        if peer in stack and stack[peer] is not each:
            claim.agreed = (
                claim.agreed
                or any(
                    other.finding.cause == claim.finding.cause and not other.course.over for other in stack[peer].own
                )
                or _refused_for_long(claim, stack[peer].facts)
                or (claim.finding.cause == Cause.CONNECTION_REFUSED and _listens_to_itself(claim, stack[peer].facts))
            )


def _refused_for_long(claim: Claim, peer: Facts) -> bool:
    """Whether a peer runs for longer than a start takes, and its clients are refused again and again."""
    course = claim.course
    refused = claim.finding.cause == Cause.CONNECTION_REFUSED and course.occasions >= OFTEN and not course.over
    started = peer.started if peer.running and peer.status == Status.HEALTHY else None
    return refused and started is not None and course.last is not None and course.last > started + READY_SECONDS
