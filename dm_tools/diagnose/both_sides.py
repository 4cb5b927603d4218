"""What a client and the one that it needs say of the same thing, put side by side: whose trouble it is."""

from __future__ import annotations

from dm_tools.diagnose.claims import REQUESTS, Judged


def asked_wrongly(each: Judged, peers: list[Judged]) -> None:
    """What a server says of a question of its client, which says the same, is no trouble of the server's own."""
    said = [claim.finding for claim in each.own]
    asked = {(finding.cause, finding.captures["path"]) for finding in said if "path" in finding.captures}
    for claim in (claim for peer in peers if asked for claim in peer.own):
        claim.serving = claim.serving or (claim.finding.cause, claim.finding.captures.get("path")) in asked


def said_by_both(each: Judged, peers: list[Judged]) -> None:
    """What a client was told, and the one that it needs says of itself, too, is no mere talk of that one.

    The client may have spoken of other things since: it is asked again and again, the other one only now and then.
    """
    told = {claim.finding.pattern for claim in each.own}
    for claim in (claim for peer in peers for claim in peer.own):
        claim.agreed = claim.agreed or claim.finding.pattern in told


def turned_away_rightly(each: Judged, stack: dict[str, Judged]) -> None:
    """Requests that a server answers with 401, and whose client says that its log-in is refused, are the client's."""
    refusing = {claim.finding.captures.get("dependency") for claim in each.own if claim.login and not claim.course.over}
    for peer in (stack[name] for name in refusing if name in stack and stack[name] is not each):
        peer.own = [
            claim
            for claim in peer.own
            if claim.finding.pattern != REQUESTS or claim.finding.captures["status"] not in ("401", "403")
        ]
