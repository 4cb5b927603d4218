"""What several services show together: whose network is gone, who holds a port, what Compose waits for.

Findings of patterns come from one record; these come from the map and the states of the others. Each says of which
service it is, what that service is because of it, and which findings of patterns it tells better.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dm_tools.diagnose.facts import Facts
from dm_tools.diagnose.namespaces import served_by_a_sharer, stranded
from dm_tools.diagnose.related import FACT, LIKELY, RUNS, SUFFERS, Related, finding_of, remedy
from dm_tools.diagnose.topology import Node, Topology
from dm_tools.patterns.language import Level
from dm_tools.records import ActionName, Cause, Status
from dm_tools.text.late import late

NOT_FOUND = (Cause.CONNECTION_REFUSED, Cause.DEPENDENCY_DOWN, Cause.DNS_FAILURE, Cause.UPSTREAM_TIMEOUT)

COMPLETED, HEALTHY = "service_completed_successfully", "service_healthy"  # conditions of Compose


def related(stack: dict[str, Facts], topology: Topology) -> list[Related]:
    """All that the services of a stack show together."""
    left = {service: each for service in stack if (each := stranded(service, stack, topology))}
    found = list(left.values())
    for service, facts in stack.items():
        found += served_by_a_sharer(service, facts, left, topology)
        found += _behind_a_gate(service, stack, topology)
        found += _port_held(service, facts, topology)
        found += _outer_port(service, topology)
        found += _ended_while_away(service, facts, stack, topology)
        found += _nobody_of_that_name(service, facts, topology)
        found += _on_a_lost_node(service, facts, stack, topology)
        found += _depends_on_nobody(service, facts, topology)
        found += _silent_while_waited_for(service, stack, topology)
        found += _set_up_too_early(service, facts)
        found += _never_set_up(service, stack, topology)
    found += _on_a_dead_host(stack, topology)
    return found + list(_needed_after_all(stack, topology))


# What Compose waits for before it starts a container: https://docs.docker.com/compose/how-tos/startup-order/


def _behind_a_gate(service: str, stack: dict[str, Facts], topology: Topology) -> Iterator[Related]:
    """Created and never started: it waits for a job that failed or a service that is not healthy."""
    own = topology.nodes[service]
    if own.state != "created" or own.failed_to_start:
        return
    waits = []
    for name in topology.depends_on(service):
        other, condition = topology.nodes[name], own.conditions.get(topology.nodes[name].compose_service or name, "")
        reason = _not_passed(other, condition, stack[name])
        if reason is None:
            continue
        words = f"{service} was never started: Compose waits with it until {reason}"
        finding = finding_of("gate", Cause.DEPENDENCY_DOWN, words, ["inspect:state", "inspect:depends_on"], name)
        replaces = frozenset(("container.never_started",))
        if stack[name].status in (Status.FAILED, Status.DEGRADED):
            yield Related(service, finding, SUFFERS, replaces=replaces)
            return
        waits.append(Related(service, finding, SUFFERS, status=Status.HEALTHY, replaces=replaces))
    yield from waits[:1]


def _not_passed(other: Node, condition: str, facts: Facts) -> str | None:
    """What is still waited for, in words; None if that gate is open."""
    name, ended = other.service, other.state in ("exited", "dead")
    if condition == COMPLETED or (not condition and ended and not facts.finished):
        if ended:
            code = other.exit_code
            return f"{name} has ended with exit code 0, and it ended with {code}" if code else None
        return f"{name} has ended with exit code 0 ({name} is {other.state})"
    if condition == HEALTHY or (not condition and other.health == "unhealthy"):
        says = other.health or other.state
        return f"{name} is healthy ({name} is {says})" if says != "healthy" or other.state != "running" else None
    return f"{name} runs ({name} is {other.state})" if other.state not in (*RUNS, "exited") else None


def _needed_after_all(stack: dict[str, Facts], topology: Topology) -> Iterator[Related]:
    """One that ended with 0, as a job does, and that others need while they run."""
    for service, facts in stack.items():
        if not facts.finished:
            continue
        sharers = [name for name in topology.nodes if topology.owner(name) is topology.nodes[service]]
        askers = [name for name, other in stack.items() if name != service and _asks(name, other, service, topology)]
        if sharers or askers:
            who = ", ".join((sharers or askers)[:5])
            words = f"{service} ended with exit code 0 and nothing starts it again, and {who} cannot do without it"
            ended = finding_of("ended_and_needed", Cause.EXITED, words, ["inspect:state", "inspect:exit_code"])
            keeps = remedy(
                ActionName.FIX_CONFIG, "with unless-stopped it is started again however it ends", setting="restart"
            )
            fixes = [remedy(ActionName.START, "it ended and nothing starts it again"), keeps]
            yield Related(service, ended, FACT, fixes, Status.FAILED)


AWAY_SECONDS = 30.0  # between the end of one and the start of the other
NOT_STARTED_AGAIN = ("container.exited", "container.job_failed")


def _ended_while_away(service: str, facts: Facts, stack: dict[str, Facts], topology: Topology) -> Iterator[Related]:
    """One that ended because it did not reach a service, which has come back since: nothing but a start is missing."""
    left = any(hit.pattern.id in NOT_STARTED_AGAIN for hit in facts.hits)
    complaints = [hit for hit in facts.hits if hit.pattern.cause in NOT_FOUND]
    if facts.ended is None or not left or not complaints:
        return
    named = {hit.captures["upstream"] for hit in complaints if "upstream" in hit.captures}
    asked = {topology.resolve(each, service) for each in named} if named else set(topology.peers(service))
    for peer in topology.peers(service):
        other = stack[peer]
        back = other.running and other.started is not None and other.started > facts.ended - AWAY_SECONDS
        if peer not in asked or not back or other.status not in (Status.HEALTHY, Status.UNKNOWN):
            continue
        code = topology.nodes[service].exit_code
        since = f"{str(topology.nodes[peer].started_at)[:19]}Z"
        starting = other.started is not None and other.started <= facts.ended
        state = f"was not ready yet (started at {since})" if starting else f"was away and runs again since {since}"
        words = (
            f"{service} ended (exit code {code}) because it did not reach {peer}, which at that moment {state}: "
            f"nothing restarts {service}"
        )
        evidence = ["inspect:state", "inspect:exit_code", *complaints[0].evidence[-1:]]
        start = remedy(ActionName.START, f"{peer} is back: now it can work")
        keeps = remedy(
            ActionName.FIX_CONFIG, "with unless-stopped it is started again after such an end", setting="restart"
        )
        finding = finding_of("ended_while_away", Cause.EXITED, words, evidence, dependency=peer)
        yield Related(service, finding, AWAY, [start, keeps])
        return


AWAY = Level.EXACT.rank
UNFOUND = (Cause.DEPENDENCY_DOWN, Cause.DNS_FAILURE, Cause.UPSTREAM_TIMEOUT)  # who is refused has found somebody
COMPLAINS = Level.FAILING.rank  # rank of a finding that says at least that somebody is not reached


def _nobody_of_that_name(service: str, facts: Facts, topology: Topology) -> Iterator[Related]:
    """It reaches nobody, does not say whom, and of the services that it is configured to ask one is not there."""
    if not facts.running:
        return
    hosts = {need.partition(":")[0]: need for need in topology.nodes[service].needs}
    absent = [need for host, need in hosts.items() if topology.nobody(host, service)]
    for hit, course in zip(facts.hits, facts.courses, strict=True):
        speaks = hit.pattern.cause in UNFOUND and hit.pattern.rank >= COMPLAINS and "upstream" not in hit.captures
        if len(absent) == 1 and speaks and not course.over:
            host = absent[0].partition(":")[0]
            words = (
                f"{service} reaches nobody at {absent[0].rstrip(':')}: there is no container of the name {host} among "
                "these services (it was removed, was never started, or has another name)"
            )
            finding = finding_of("nobody_of_that_name", Cause.CONTAINER_MISSING, words, hit.evidence)
            fix = remedy(ActionName.FIX_CONFIG, f"start {host}, or name the host that there is", host=host)
            yield Related(service, finding, LIKELY, [fix], course=course)
            return


def _depends_on_nobody(service: str, facts: Facts, topology: Topology) -> Iterator[Related]:
    """It does not work, nothing says why, and Compose starts it after a service of which there is no container."""
    own = topology.nodes[service]
    if facts.hits or facts.status not in (Status.FAILED, Status.DEGRADED) or own.state != "running":
        return
    for name in own.depends:
        if SERVICE.fullmatch(name) and topology.resolve(name, own) is None:
            words = (
                f"{service} does not work, and there is no container of {name}, on which it depends, among these "
                "services (it was removed or never started)"
            )
            gone = finding_of("depends_on_nobody", Cause.CONTAINER_MISSING, words, ["inspect:depends_on"])
            fix = remedy(ActionName.FIX_CONFIG, f"start {name}, or name the host that there is", host=name)
            yield Related(service, gone, SUFFERS, [fix])
            return


SERVICE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")  # a name as Compose allows it


def _set_up_too_early(service: str, facts: Facts) -> Iterator[Related]:
    """Its tables are missing, and before that it did not reach its database: its migrations did not run."""
    missing = next((hit for hit in facts.hits if hit.pattern.cause == Cause.SCHEMA_MISSING and hit.positions), None)
    away = [hit for hit in facts.hits if hit.pattern.cause in NOT_FOUND and hit.positions]
    before = [hit for hit in away if missing and max(hit.positions) < min(missing.positions)]
    if missing is None or not before or len(before) < len(away):
        return
    words = (
        f"{service} uses a table that is not in its database: its migrations did not run, because it did not reach the "
        "database when they were to (it was not ready yet)"
    )
    evidence = [*missing.evidence, *before[0].evidence[-1:]]
    finding = finding_of("set_up_too_early", Cause.SCHEMA_MISSING, words, evidence, **missing.captures)
    fixes = [
        remedy(ActionName.RESTART, "once the database is ready, its start runs the migrations again"),
        remedy(ActionName.CHECK_CONFIG, "let it wait for the database (depends_on with condition: service_healthy)"),
    ]
    course = facts.courses[facts.hits.index(missing)]
    yield Related(service, finding, AWAY, fixes, replaces=frozenset((missing.pattern.id,)), course=course)


_SETS_UP = late(r"(?i)migrat|schema|(?:^|[-_.])(?:init|setup|seed|bootstrap)(?:$|[-_.])")


def _never_set_up(service: str, stack: dict[str, Facts], topology: Topology) -> Iterator[Related]:
    """Its tables are missing, and the job that was to make them has failed: that job is why."""
    facts, own = stack[service], topology.nodes[service]
    missing = next((hit for hit in facts.hits if hit.pattern.cause == Cause.SCHEMA_MISSING and hit.positions), None)
    for name, job in topology.nodes.items() if missing else ():
        failed = job.state == "exited" and job.exit_code and name != service and job.project == own.project
        if not (missing and failed and _SETS_UP.search(job.compose_service or name)):
            continue
        words = f"{service} lacks tables that {name} was to make, which ended with exit code {job.exit_code}"
        evidence = [*missing.evidence, f"{name}/inspect:exit_code"]
        finding = finding_of("never_set_up", Cause.SCHEMA_MISSING, words, evidence, name)
        course = facts.courses[facts.hits.index(missing)]
        yield Related(service, finding, SUFFERS, replaces=frozenset((missing.pattern.id,)), course=course)
        return


SILENT_SECONDS = 15.0  # for so long one that is waited for has said nothing when the wait is over


def _silent_while_waited_for(service: str, stack: dict[str, Facts], topology: Topology) -> Iterator[Related]:
    """It waits in vain and does not say for whom: for the only one that it asks and that shows no sign of life."""
    for hit, course in zip(stack[service].hits, stack[service].courses, strict=True):
        waits = hit.pattern.cause == Cause.UPSTREAM_TIMEOUT and "upstream" not in hit.captures
        if not waits or course.over or course.last is None or not course.repeated:
            continue
        limit = course.last - SILENT_SECONDS
        mute = [peer for peer in topology.peers(service) if _mute(stack[peer], limit)]
        if len(mute) == 1:
            peer = mute[0]
            words = (
                f"{peer} does not answer {service} in time, and has said nothing since: its process hangs, or is too "
                "busy to answer"
            )
            evidence = [*hit.evidence, "inspect:env_hosts"]
            finding = finding_of("silent_while_waited_for", Cause.UNRESPONSIVE, words, evidence, peer)
            yield Related(service, finding, SUFFERS, course=course, accuses=True)
        return


def _mute(facts: Facts, limit: float) -> bool:
    """Whether one runs, nobody asks whether it works, and its log says nothing later than that."""
    return facts.running and facts.unasked and not facts.finished and facts.spoke is not None and facts.spoke < limit


def _asks(name: str, facts: Facts, service: str, topology: Topology) -> bool:
    """Whether a service does not work and complains that it cannot reach another one.

    Where nobody asks whether it works, it has to complain more than once. One that does not say whom it cannot reach
    means the only one of those that it asks at a port that does not run.
    """
    broken = facts.status in (Status.FAILED, Status.DEGRADED)
    said = [
        hit.captures
        for hit, course in zip(facts.hits, facts.courses, strict=True)
        if hit.pattern.cause in NOT_FOUND and (broken or (facts.unasked and course.repeated and not course.over))
    ]
    named = [each for each in said if "upstream" in each]
    if any(topology.resolve(each["upstream"], name, each.get("port")) == service for each in named):
        return True
    nameless = len(named) < len(said)
    asked = [need.partition(":")[::2] for need in topology.nodes[name].needs] if nameless else []
    peers = {topology.resolve(host, name, port) for host, port in asked if port} - {None, name}
    return [each for each in peers if topology.nodes[str(each)].state not in RUNS] == [service]


# Ports: https://docs.docker.com/engine/network/port-publishing/


def _port_held(service: str, facts: Facts, topology: Topology) -> Iterator[Related]:
    """Who has the port of the machine that a container wants."""
    hit = next((each for each in facts.hits if each.pattern.id == "container.port_conflict"), None)
    port = next((hit.captures[key] for key in ("port", "port2") if key in hit.captures), None) if hit else None
    if hit is None or port is None:
        return
    own = topology.nodes[service]
    holder = next(
        (
            each.service
            for each in topology.nodes.values()
            if port in each.published and each.state in RUNS and each.service != service and each.engine == own.engine
        ),
        None,
    )
    who = (
        f"{holder} publishes it" if holder else "another program of the machine has it (no container of these records)"
    )
    words = f"{service} cannot start: port {port} of the machine, which it publishes, is taken: {who}"
    captures = {"port": port} | ({"dependency": holder} if holder else {})
    taken = finding_of("port_held", Cause.PORT_CONFLICT, words, list(hit.evidence), **captures)
    taken.pattern = hit.pattern.id  # the same finding in better words
    free = "free the port on the machine (ss -ltnp tells who has it), or publish another one"
    reasoning = f"stop {holder}, or publish another port" if holder else free
    fix = remedy(ActionName.FIX_CONFIG, reasoning, port=port, setting="ports")
    yield Related(service, taken, hit.pattern.rank, [fix], replaces=frozenset((hit.pattern.id,)))


def _outer_port(service: str, topology: Topology) -> Iterator[Related]:
    """A peer that is asked inside the network at the port that it has on the machine."""
    own = topology.nodes[service]
    for need in own.needs:
        host, _, port = need.partition(":")
        peer = topology.resolve(host, own) if port else None
        if peer is None or peer == service:
            continue
        inner = topology.nodes[peer].inner.get(port)
        if inner is None or port in topology.nodes[peer].exposed:
            continue
        words = (
            f"{service} asks {peer} at port {port}: inside the network the port of {peer} is {inner}; "
            f"{port} is its port on the machine"
        )
        finding = finding_of("outer_port", Cause.WRONG_PORT, words, ["inspect:env_hosts"], dependency=peer, port=inner)
        fix = remedy(ActionName.FIX_CONFIG, f"ask {peer} at port {inner}", host=peer, port=inner)
        yield Related(service, finding, Level.CAUSE.rank, [fix])
        return


# Machines: https://docs.docker.com/engine/swarm/how-swarm-mode-works/nodes/


def _on_a_lost_node(service: str, facts: Facts, stack: dict[str, Facts], topology: Topology) -> Iterator[Related]:
    """A Swarm service that lacks tasks which ran on a node that is down, and for which there is no other."""
    if facts.status not in (Status.FAILED, Status.DEGRADED):
        return
    for name, evidence in topology.nodes[service].tasks_on.items():
        node = f"node/{name}"
        if node in stack and stack[node].status == Status.FAILED:
            words = f"{service} ran on {node}, which is down, and no other node takes its tasks"
            hidden = frozenset(each.pattern.id for each in facts.hits if each.pattern.id.startswith("swarm."))
            lost = finding_of("node_lost", Cause.DEPENDENCY_DOWN, words, [evidence], node)
            yield Related(service, lost, SUFFERS, replaces=hidden)
            return


def _on_a_dead_host(stack: dict[str, Facts], topology: Topology) -> Iterator[Related]:
    """Services of a machine whose engine does not answer fail together: one event, told of the first of them."""
    away: dict[str | None, list[str]] = {}
    for service, node in topology.nodes.items():
        if node.away and node.engine is not None and not node.stands_for_host and stack[service].alarms:
            away.setdefault(node.engine, []).append(service)
    for engine, services in away.items():
        if len(services) < 2:
            continue
        first, *others = sorted(services)
        together = ", ".join(services[:5])
        words = f"the engine {engine} does not answer, and {together} fail there together: the machine is down"
        down = finding_of("host_down", Cause.HOST_DOWN, words, stack[first].alarms[:1])
        yield Related(first, down, FACT)
        for other in others:
            evidence = stack[other].alarms[:1]
            fails = finding_of("on_dead_host", Cause.HOST_DOWN, f"{other} fails with its machine", evidence, first)
            yield Related(other, fails, SUFFERS)
