"""Who is at fault: from what each service shows and says of others to the next step on the way to the root."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from functools import partial
from itertools import pairwise

from dm_tools.diagnose.both_sides import (
    asked_wrongly,
    refused_by_each_other,
    said_by_both,
    told_by_the_other,
    turned_away_rightly,
)
from dm_tools.diagnose.claims import (
    CRIPPLING,
    FACT_RANK,
    REQUESTS_RANK,
    SPECIFIC_RANK,
    Claim,
    Judged,
    claim_of,
    of_requests,
    said_of,
    weight,
)
from dm_tools.diagnose.facts import Facts
from dm_tools.diagnose.related import Related
from dm_tools.diagnose.relations import related
from dm_tools.diagnose.standing import agree, outlived
from dm_tools.diagnose.together import of_the_same_requests, stopped_together
from dm_tools.diagnose.topology import LOOPBACK, Topology
from dm_tools.patterns.language import Level, Library
from dm_tools.records import ActionName, Cause, Confidence, Fix

SHARED_RANK = Level.GENERAL.rank  # several services say the same of one that shows nothing itself
WAITING = (Cause.UNRESPONSIVE, Cause.UPSTREAM_TIMEOUT, Cause.SLOW_RESPONSE)  # what who waits for another shows, too

MAX_NAMES = 5  # services or users that one sentence names


def attribute(stack: dict[str, Facts], topology: Topology, library: Library) -> dict[str, Judged]:
    """Every service with its claims, who accuses it, and the service that it suffers from, if any."""
    judged = {service: Judged(each) for service, each in stack.items()}
    for service, each in judged.items():
        claims = [
            claim_of(service, hit, course, each.facts, topology, library)
            for hit, course in zip(each.facts.hits, each.facts.courses, strict=True)
        ]
        claims += [of_requests(service, failing, each.facts, topology) for failing in each.facts.failing]
        for claim in claims:
            (each.own if claim.finding.points_to is None else each.blaming).append(claim)
    for relation in related(stack, topology):
        _take(judged[relation.service], relation)
    guests = _guests(judged, topology)
    for service, each in judged.items():
        _shown_by_a_guest(each, judged, guests)
        outlived(service, each, judged)
        agree(each, judged)
        peers = [judged[peer] for peer in topology.peers(service)]
        asked_wrongly(each, peers)
        said_by_both(each, peers)
        told_by_the_other(each, peers)
        refused_by_each_other(each, peers)
        turned_away_rightly(each, judged)
    for service, each in judged.items():
        if each.broken or each.suspect:
            _accuse(service, each, judged)
    failing_guests = _failing_guests(judged, topology)
    for service, each in judged.items():
        for claim in each.blaming:
            _explained_by_the_map(service, claim, judged, topology, failing_guests)
        moved = [claim for claim in each.blaming if claim.finding.points_to is None]
        each.own, each.blaming = each.own + moved, [claim for claim in each.blaming if claim not in moved]
    _accuse_together(judged, topology)
    for each in judged.values():
        each.own.sort(key=partial(weight, measured=each.measured))
    for service, each in judged.items():
        if each.broken or each.suspect or each.murmurs:
            each.because_of = _because_of(service, each, judged, topology)
    _through_needs(judged, topology)
    _break_circles(judged)
    of_the_same_requests(judged)
    stopped_together(judged)
    return judged


def _take(judged: Judged, relation: Related) -> None:
    """Add what several services prove together of one, in the place of what its own record says less well of it."""
    if relation.status is not None:
        judged.facts = replace(judged.facts, status=relation.status)
    judged.own = [each for each in judged.own if each.finding.pattern not in relation.replaces]
    claim = Claim(relation.finding, relation.rank, relation.course, relation.accuses, fixes=relation.fixes)
    (judged.own if claim.finding.points_to is None else judged.blaming).append(claim)


_CERTIFICATES = (Cause.TLS_EXPIRED, Cause.TLS_UNTRUSTED)


def _guests(stack: dict[str, Judged], topology: Topology) -> dict[str, list[str]]:
    """By the service whose network they share: the others in it."""
    found: dict[str, list[str]] = defaultdict(list)
    for service in stack:
        if owner := topology.owner(service):
            found[owner.service].append(service)
    return found


def _shown_by_a_guest(each: Judged, stack: dict[str, Judged], guests: dict[str, list[str]]) -> None:
    """A certificate is shown by whoever answers at the peer's address: a sidecar, if its log tells of TLS."""
    for claim in each.blaming:
        finding = claim.finding
        if finding.cause not in _CERTIFICATES:
            continue
        for guest in guests.get(str(finding.points_to), []):
            if any(own.finding.cause in _CERTIFICATES for own in stack[guest].own):
                finding.explanation += f" ({guest} answers there)"
                finding.points_to = guest


def _accuse(service: str, judged: Judged, stack: dict[str, Judged]) -> None:
    """A message of a technology, or a timeout, tells of the one it comes from even if that one shows nothing."""
    for claim in judged.blaming:
        if claim.accuses and claim.finding.points_to is not None and not claim.course.over:
            stack[claim.finding.points_to].accused_by.append(said_of(service, claim))


def _accuse_together(stack: dict[str, Judged], topology: Topology) -> None:
    """What several services say of one that looks well is true of that one, not of each of them.

    One refused log-in is a wrong password of the client; those of three clients, of two as different users, or of all
    clients there are, is a server that does not know its users: its initialisation did not run, its data are from
    before, or its rules were changed.
    """
    refused: dict[str, list[tuple[str, Claim]]] = defaultdict(list)
    blamed: dict[str, list[tuple[str, Claim]]] = defaultdict(list)
    for service, each in stack.items():
        if not each.broken:
            continue
        for claim in each.own:
            peer = claim.finding.captures.get("dependency")
            if claim.login and peer and peer != service:
                refused[peer].append((service, claim))
        for claim in each.blaming:
            if claim.finding.points_to and claim.rank >= SPECIFIC_RANK:
                blamed[claim.finding.points_to].append((service, claim))
    clients: dict[str, set[str]] = defaultdict(set)
    for service in stack if refused else ():
        for peer in topology.peers(service):
            clients[peer].add(service)
    for peer, said in refused.items():
        services = sorted({service for service, _ in said})
        users = sorted({claim.finding.captures["user"] for _, claim in said if "user" in claim.finding.captures})
        if len(services) >= 3 or (len(services) == 2 and (len(users) >= 2 or clients[peer] <= set(services))):
            together = _said_by_all(said)
            if len(users) >= 2:
                together.finding.explanation = (
                    f"{peer} refuses the log-ins of {_names(services)} (users {_names(users)}): its users were never "
                    "made (its initialisation did not run), or its data have other passwords"
                )
            else:
                together.finding.explanation = f"{peer} refuses {_names(services)}: {together.finding.explanation}"
            stack[peer].accused_by.append(together)
            for service, claim in said:
                claim.finding.points_to = peer
                stack[service].own.remove(claim)
                stack[service].blaming.append(claim)
    for peer, said in blamed.items():
        services = sorted({service for service, _ in said})
        if len(services) >= 2 and not stack[peer].at_fault:
            together = _said_by_all(said)
            together.rank = min(together.rank, SHARED_RANK)
            together.finding.explanation = f"{_names(services)} cannot use {peer}: {together.finding.explanation}"
            stack[peer].accused_by.append(together)


def _said_by_all(said: list[tuple[str, Claim]]) -> Claim:
    """The strongest of their claims, with the evidence of all who make it."""
    together = said_of(*max(said, key=lambda each: each[1].rank))
    together.finding.evidence = [f"{service}/{each}" for service, claim in said for each in claim.finding.evidence[-1:]]
    together.finding.since = min((claim.finding.since for _, claim in said if claim.finding.since), default=None)
    return together


def _names(names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more


_CONNECTING = (Cause.CONNECTION_REFUSED, Cause.DNS_FAILURE)


def _failing_guests(stack: dict[str, Judged], topology: Topology) -> dict[str, str]:
    """By the service whose network they share: services that are at fault themselves."""
    failing = [name for name, each in stack.items() if each.measured or any(c.rank >= FACT_RANK for c in each.own)]
    return {owner.service: name for name in failing if (owner := topology.owner(name))}


def _explained_by_the_map(
    service: str, claim: Claim, stack: dict[str, Judged], topology: Topology, guests: dict[str, str]
) -> None:
    """Say why a peer that is well cannot be reached, if the map knows: no network in common, or another port."""
    finding, peer = claim.finding, claim.finding.points_to
    if peer is None or finding.cause not in _CONNECTING or stack[peer].at_fault:
        return
    if topology.nodes[peer].engine != topology.nodes[service].engine:
        return  # it is reached by its machine, where other ports and no network of containers count
    port, ports = finding.captures.get("port"), topology.nodes[peer].ports
    if topology.apart(service, peer):
        finding.cause, finding.points_to, claim.agreed = Cause.NETWORK_DETACHED, None, True
        finding.evidence.append("inspect:networks")
        finding.explanation = f"{service} cannot reach {peer}: they have no network in common"
    elif finding.cause == Cause.CONNECTION_REFUSED and port and ports and port not in ports:
        finding.cause, finding.points_to = Cause.WRONG_PORT, None
        known = ", ".join(sorted(ports)[:MAX_NAMES])
        finding.explanation = f"{service} asks {peer} at port {port}, where nothing listens: {peer} has {known}"
        if inner := topology.nodes[peer].inner.get(port):
            finding.explanation += f" (inside the network its port is {inner}; {port} is its port on the machine)"
    elif guest := guests.get(peer):
        finding.points_to = guest  # who shares the peer's network is reached at the peer's address
    elif _not_listening(service, claim, stack):
        at = f"{peer}:{port}" if port else peer
        where, shown = _where_it_listens(stack[peer].facts, port)
        finding.explanation = f"{service} is refused at {at}: {peer} runs, but accepts no connection there ({where})"
        finding.evidence += [f"{peer}/{each}" for each in shown]
        claim.fixes = [Fix(ActionName.CHECK_CONFIG, Confidence.HIGH, f"see on which address and port {peer} listens")]
        stack[peer].accused_by.append(said_of(service, claim))


def _where_it_listens(facts: Facts, port: str | None) -> tuple[str, list[str]]:
    """Where a service listens that refuses connections, as far as its log says so, and the evidence."""
    said = facts.listening
    loopback = [each for each in said if each.address.strip("[]") in LOOPBACK]
    if said and len(loopback) == len(said):
        return f"it listens on its own loopback address only, {said[-1].address}:{said[-1].port}", [said[-1].line]
    if said and port not in {each.port for each in said}:
        ports = ", ".join(dict.fromkeys(each.port for each in said))
        return f"by its log it listens on port {ports}", [said[-1].line]
    return "it listens on another port, or only on its own loopback address", []


def _not_listening(service: str, claim: Claim, stack: dict[str, Judged]) -> bool:
    """Whether a peer runs and refuses a client where it should listen, now and again: then it is the one at fault."""
    peer, facts = str(claim.finding.points_to), stack[str(claim.finding.points_to)].facts
    if claim.finding.cause != Cause.CONNECTION_REFUSED or not facts.running or claim.course.over:
        return False
    return claim.course.repeated and "refused" in claim.finding.pattern and peer != service


def _because_of(service: str, judged: Judged, stack: dict[str, Judged], topology: Topology) -> str | None:
    """The service next on the way to the root, or None if this one is at fault itself.

    Of several that it blames the one that it blamed first. One that only waits (it does not answer in time) yields to
    whom it waits for.
    """
    waits = bool(judged.own) and judged.own[0].finding.cause in WAITING
    if (judged.best_rank >= FACT_RANK and not waits) or judged.ends_by_its_own:
        return None
    blaming = sorted(judged.blaming, key=lambda claim: (claim.course.over, claim.finding.since or "9999"))
    if not judged.measured:  # what was said of one that is seen to fail holds, however long ago
        blaming = [each for each in blaming if not each.course.over or stack[str(each.finding.points_to)].measured]
    blamed = [(claim.finding.points_to, claim.finding.cause) for claim in blaming if claim.finding.points_to]
    for peer, cause in blamed:
        # One that looks well is at fault, too, if it says the same of itself, or why it answers with errors.
        answers_badly = cause == Cause.HTTP_ERROR and (stack[peer].suspect or stack[peer].murmurs)
        same = any(
            (claim.finding.cause == cause or (claim.finding.cause in CRIPPLING and claim.rank >= SPECIFIC_RANK))
            and not claim.course.over
            for claim in stack[peer].own
        )
        if stack[peer].at_fault or answers_badly or same:
            return peer
    peers = topology.peers(service)
    if turned_away := _turned_away_by(judged, peers, stack):
        return turned_away
    unnamed = any(
        claim.finding.cause in (Cause.DEPENDENCY_DOWN, Cause.QUORUM_LOST) and not claim.course.over
        for claim in judged.own[:1]
    )
    if (waits or unnamed) and (down := next((peer for peer in peers if _is_down(stack[peer])), None)):
        return down
    # Who answers with errors, as it is seen now, and says nothing: what one that it needs said last still stands.
    mute = not judged.own or judged.own[0].rank < REQUESTS_RANK
    if judged.measured and mute and (stuck := next((peer for peer in peers if stack[peer].stuck), None)):
        return stuck
    standing = [claim for claim in blaming if not claim.course.over or claim.course.silent]
    if judged.best_rank >= SPECIFIC_RANK or judged.accused_by or standing:
        return None
    if not judged.broken:
        # In the middle of a way: it hands on to a peer that is seen to fail.
        return next((peer for peer in peers if stack[peer].measured), None)
    # One that says itself what fails need not look for murmurs elsewhere.
    for trouble in ("broken", "suspect", *(() if judged.murmurs else ("murmurs",))):
        for peer in peers:
            if getattr(stack[peer], trouble):
                return peer
    return None


def _is_down(judged: Judged) -> bool:
    """Whether the engine states that a service is down, or it does not stay up by what it says itself."""
    return judged.best_rank >= FACT_RANK or (judged.measured and judged.ends_by_its_own)


MAX_NEEDS = 4  # steps from need to need


def _turned_away_by(judged: Judged, peers: list[str], stack: dict[str, Judged]) -> str | None:
    """The one on the way to an outside host that says that it lets nobody through to that host: a proxy, say."""
    outside = {
        claim.finding.captures["upstream"]
        for claim in judged.own
        if "upstream" in claim.finding.captures and "dependency" not in claim.finding.captures and not claim.course.over
    }
    for peer in peers if outside else ():
        for claim in stack[peer].own:
            denies = claim.rank >= SPECIFIC_RANK and claim.finding.captures.get("upstream") in outside
            if denies and not claim.course.over:
                return peer
    return None


def _through_needs(stack: dict[str, Judged], topology: Topology) -> None:
    """One that fails for no known reason suffers from what the engine says is down, however many steps away.

    Those between them may look well: their health checks do not ask what they need.
    """
    blamed = {each.because_of for each in stack.values()}
    for service, each in stack.items():
        nameless = each.because_of is None and not each.accused_by and each.best_rank < SPECIFIC_RANK
        if not ((each.broken or service in blamed) and nameless) or any(
            not claim.course.over for claim in each.blaming
        ):
            continue
        way = _way_down(service, stack, topology)
        for here, following in pairwise(way):
            if stack[here].because_of is None:
                stack[here].because_of = following


def _way_down(service: str, stack: dict[str, Judged], topology: Topology) -> list[str]:
    """The shortest way from need to need to a service that is down as the engine states; empty if there is none."""
    came_from: dict[str, str] = {service: service}
    at = [service]
    for _ in range(MAX_NEEDS):
        following = []
        for here in at:
            for peer in topology.peers(here):
                if peer in came_from:
                    continue
                came_from[peer] = here
                if stack[peer].measured and stack[peer].best_rank >= FACT_RANK:
                    way = [peer]
                    while way[-1] != service:
                        way.append(came_from[way[-1]])
                    return way[::-1]
                if not stack[peer].at_fault or stack[peer].because_of is not None:
                    following.append(peer)
        at = following
    return []


def _break_circles(stack: dict[str, Judged]) -> None:
    """In a circle the service with the strongest finding of its own is the root; of equals the one that broke first."""
    done: set[str] = set()
    for start in stack:
        way: dict[str, None] = {}
        here: str | None = start
        while here is not None and here not in done and here not in way:
            way[here] = None
            here = stack[here].because_of
        if here in way:
            names = list(way)
            circle = names[names.index(str(here)) :]
            stack[min(circle, key=lambda each: (-stack[each].best_rank, _since(stack[each]), each))].because_of = None
        done |= set(way)


def _since(judged: Judged) -> str:
    """When a service complained first; one that says no time comes last."""
    return min((claim.finding.since for claim in judged.own + judged.blaming if claim.finding.since), default="9999")
