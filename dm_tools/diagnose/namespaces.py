"""A container in another one's network: what it is when that one is gone, was started anew or does not run.

https://docs.docker.com/engine/network/#container-networks
"""

from __future__ import annotations

from collections.abc import Iterator

from dm_tools.diagnose.facts import Facts
from dm_tools.diagnose.related import FACT, LIKELY, RUNS, SUFFERS, Related, finding_of, remedy
from dm_tools.diagnose.topology import Node, Topology
from dm_tools.records import ActionName, Cause, Finding, Fix, Status


def stranded(service: str, stack: dict[str, Facts], topology: Topology) -> Related | None:
    """Who shares the network of a container that is gone, was started anew or does not run."""
    own = topology.nodes[service]
    if own.network_of is None:
        return None
    owner, known = topology.owner(service), own.network_owner
    replaces = frozenset(("container.network_of_gone", "container.start_failed"))
    evidence = ["inspect:network_mode", "inspect:network_owner"] if known else ["inspect:network_mode"]
    if owner is None and known is None:
        return _of_nobody(own, topology)
    if owner is None and known is not None and known.name is None:
        successor = _successor(own, topology)
        of = f" of {successor.service}, which was made anew since" if successor else ""
        words = (
            f"{service} shares the network of a container{of or ' that is gone'} ({own.network_of[:12]} is no more): "
            "nobody reaches it and it reaches nobody until it is made anew, too"
        )
        return Related(service, _gone(words, evidence, successor), FACT, [_anew(successor)], Status.FAILED, replaces)
    name = owner.service if owner else str(known.name if known else "")
    state = owner.state if owner else known.state if known else None
    started = owner.started_at if owner else known.started_at if known else None
    fails = owner is not None and stack[owner.service].status == Status.FAILED and own.state == "running"
    if state not in RUNS or (fails and started and own.started_at and started > own.started_at):
        how = "which does not run" if state not in RUNS else "which does not stay up"
        words = f"{service} shares the network of {name}, {how} ({state}): without it, it has none"
        down = finding_of(
            "network_owner_down", Cause.DEPENDENCY_DOWN, words, evidence, owner.service if owner else None
        )
        return Related(service, down, SUFFERS, status=Status.FAILED, replaces=replaces)
    if own.state == "running" and started and own.started_at and started > own.started_at:
        words = (
            f"{service} sits in a network that {name} left behind: {name}, whose network it shares, was started anew "
            f"after it ({started[:19]}Z), and {service} must be restarted, too"
        )
        fix = remedy(ActionName.RESTART, f"started after {name}, it shares the network that {name} has now")
        left = finding_of("network_left", Cause.NETWORK_DETACHED, words, [*evidence, "inspect:started_at"], owner=name)
        return Related(service, left, FACT, [fix], Status.FAILED)
    if own.state in ("exited", "created") and own.failed_to_start:
        words = f"{service} could not be started while {name}, whose network it shares, did not run; {name} runs now"
        fix = remedy(ActionName.START, f"{name} runs again: now the start succeeds")
        late = finding_of("network_owner_back", Cause.STOPPED, words, ["inspect:state", *evidence], owner=name)
        return Related(service, late, FACT, [fix], Status.FAILED, replaces)
    return None


def _of_nobody(own: Node, topology: Topology) -> Related | None:
    """No record is of the container whose network it shares: that one is gone if another one has taken its place."""
    successor = _successor(own, topology)
    if successor is None:
        return None
    words = (
        f"{own.service} shares the network of a container that is in no record (id {str(own.network_of)[:12]}), and "
        f"{successor.service} publishes its port: {successor.service} was made anew, and {own.service} must be, too"
    )
    replaces = frozenset(("container.network_of_gone", "container.start_failed"))
    gone = _gone(words, ["inspect:network_mode"], successor)
    return Related(own.service, gone, LIKELY, [_anew(successor)], Status.FAILED, replaces)


def _gone(words: str, evidence: list[str], successor: Node | None) -> Finding:
    captures = {"owner": successor.service} if successor else {}
    return finding_of("network_gone", Cause.NETWORK_DETACHED, words, evidence, **captures)


def _anew(successor: Node | None) -> Fix:
    of = f" of {successor.service}" if successor else ""
    words = "it holds the id of a container that is gone; made anew (compose up --force-recreate) it shares the network"
    return remedy(ActionName.RECREATE, f"{words}{of} that there is now, which no start or restart does")


def _successor(own: Node, topology: Topology) -> Node | None:
    """Who publishes or exposes a port of the sharer beside its own: the owner's new container."""
    for each in topology.nodes.values():
        same = (each.project, each.engine) == (own.project, own.engine) and each.service != own.service
        if same and each.network_of is None and each.state in RUNS and each.exposed & own.exposed:
            return each
    return None


def served_by_a_sharer(service: str, facts: Facts, left: dict[str, Related], topology: Topology) -> Iterator[Related]:
    """A port of the owner where a stranded sharer should answer: the owner itself is well."""
    for other, relation in left.items():
        if relation.finding.captures.get("owner") != service:
            continue
        served = sorted(set(facts.unanswered) & topology.nodes[other].exposed)
        if served:
            words = f"at port {', '.join(served)} of {service} {other} answers, which shares its network"
            finding = finding_of(
                "port_of_sharer", Cause.DEPENDENCY_DOWN, words, [facts.unanswered[port] for port in served], other
            )
            all_served = set(facts.unanswered) <= set(served)
            hidden = frozenset(("network.refused", "network.timeout", "container.unresponsive"))
            yield Related(service, finding, FACT, replaces=hidden if all_served else frozenset())
