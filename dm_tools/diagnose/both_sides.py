"""What a client and the one that it needs say of the same thing, put side by side: whose trouble it is."""

from __future__ import annotations

from dm_tools.diagnose.claims import GENERAL_RANK, REQUESTS, Claim, Judged
from dm_tools.records import Cause, Severity


def asked_wrongly(each: Judged, peers: list[Judged]) -> None:
    """What a server says of a question of its client, which says the same, is no trouble of the server's own."""
    said = [claim.finding for claim in each.own]
    asked = {(finding.cause, finding.captures["path"]) for finding in said if "path" in finding.captures}
    for claim in (claim for peer in peers if asked for claim in peer.own):
        claim.serving = claim.serving or (claim.finding.cause, claim.finding.captures.get("path")) in asked


def said_by_both(each: Judged, peers: list[Judged]) -> None:
    """What a client was told, and the one that it needs says of itself, too, is no mere talk of that one.

    The client may have spoken of other things since: it is asked again and again, the other one only now and then.
    Nor is it a stranger whom a server turns away, if a client of its own complains of it.
    """
    told = {claim.finding.pattern for claim in each.own}
    blamed = {(claim.finding.points_to, claim.finding.pattern) for claim in each.blaming if not claim.course.over}
    for peer in peers:
        name = peer.facts.node.service
        for claim in peer.own:
            turned_away = claim.refusing and name in {service for service, _ in blamed}
            same = claim.finding.pattern in told or (name, claim.finding.pattern) in blamed
            claim.agreed = claim.agreed or same or turned_away


SAME_SECONDS = 5.0


def refused_by_each_other(each: Judged, peers: list[Judged]) -> None:
    """A log-in of which its client and the server it asks complain at the same moments, again and again, is no
    stranger's: the two do not have the same password or token."""
    mine = [claim for claim in each.own if _refused_again(claim)]
    for claim in mine:
        for peer in peers:
            theirs = [other for other in peer.own if _refused_again(other)]
            if any(abs((other.course.last or 0) - (claim.course.last or 0)) <= SAME_SECONDS for other in theirs):
                claim.agreed, claim.finding.severity = True, Severity.CRITICAL
                for other in theirs:
                    other.serving = True


def _refused_again(claim: Claim) -> bool:
    course = claim.course
    return claim.finding.cause == Cause.AUTH_FAILURE and course.repeated and course.last is not None and not course.over


# What one has no more of than it is allowed: who asks it for more is told so in anybody's words.
CAPACITY = (Cause.CONNECTION_LIMIT, Cause.LIMIT_EXCEEDED, Cause.RATE_LIMITED, Cause.STORE_READ_ONLY)


def told_by_the_other(each: Judged, peers: list[Judged]) -> None:
    """A limit of which a client speaks in anybody's words, and the one that it needs in its own, is that one's."""
    for claim in [own for own in each.own if own.rank <= GENERAL_RANK and own.finding.cause in CAPACITY]:
        for peer in peers:
            same = (own for own in peer.own if own.finding.cause == claim.finding.cause and not own.course.over)
            if any(own.rank > GENERAL_RANK for own in same):
                claim.finding.points_to = peer.facts.node.service
                each.own.remove(claim)
                each.blaming.append(claim)
                break


def turned_away_rightly(each: Judged, stack: dict[str, Judged]) -> None:
    """Requests that a server answers with 401, and whose client says that its log-in is refused, are the client's."""
    refusing = {claim.finding.captures.get("dependency") for claim in each.own if claim.login and not claim.course.over}
    for peer in (stack[name] for name in refusing if name in stack and stack[name] is not each):
        peer.own = [
            claim
            for claim in peer.own
            if claim.finding.pattern != REQUESTS or claim.finding.captures["status"] not in ("401", "403")
        ]
