"""Who is who and who needs whom: from names, addresses, depends_on labels, environment hosts, published ports,
networks, Compose projects and the peers that logs name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from dm_tools.evidence.requests import Request
from dm_tools.evidence.view import View
from dm_tools.patterns.haystack import Haystack
from dm_tools.patterns.language import Library
from dm_tools.patterns.matching import Hit
from dm_tools.records import NetworkOwner
from dm_tools.text.late import late

# Names under which a container reaches the machine that it runs on, and so what other containers publish there.
# https://docs.docker.com/desktop/features/networking/#i-want-to-connect-from-a-container-to-a-service-on-the-host
HOST_NAMES = frozenset(("host.docker.internal", "gateway.docker.internal", "172.17.0.1"))
SHARED = "container:"  # the network mode of a container that shares another one's network
LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))

MAX_CANDIDATES = 16  # services of one name that are compared: more of them are beyond telling apart


@dataclass
class Node:
    """What the stack's map needs to know of one service; small, so that a large stack fits in memory."""

    service: str
    project: str | None
    container: str | None
    compose_service: str | None
    aliases: frozenset[str]
    addresses: frozenset[str]
    networks: frozenset[str]
    own_network: bool  # false where it shares the machine's or another container's
    ports: frozenset[str]  # what it exposes, as far as that is known
    published: frozenset[str]  # ports of the machine that lead to it
    needs: list[str]  # names as written: a service, a host, or host:port
    clients: frozenset[str]  # the addresses whose requests its access log tells of
    engine: str | None = None  # the Docker host that it runs on, as the record names it
    container_id: str | None = None
    state: str | None = None
    health: str | None = None
    exit_code: int | None = None
    failed_to_start: bool = False  # the engine says why it could not be started
    started_at: str | None = None
    network_of: str | None = None  # the id (or name) of the container whose network it shares
    network_owner: NetworkOwner | None = None  # what the engine said of that container, if it was asked
    depends: list[str] = field(default_factory=list)  # what it depends on, as Compose's label names it
    conditions: dict[str, str] = field(default_factory=dict)  # what Compose waits for, by the service depended on
    inner: dict[str, str] = field(default_factory=dict)  # port of the machine -> port of the container
    exposed: frozenset[str] = frozenset()  # the ports of the container that it exposes itself
    technologies: set[str] = field(default_factory=set)
    serves: frozenset[str] = frozenset()  # of these, those whose server says in its log that it started
    tasks_on: dict[str, str] = field(default_factory=dict)  # node that is away -> evidence of its task there
    hosts: frozenset[str] = frozenset()  # names and addresses of its machine, as others reach what it publishes
    away: bool = False  # its engine does not answer
    stands_for_host: bool = False  # it is the record of a machine, and of no service


def node(
    record: dict[str, Any], view: View, library: Library, log: Haystack, hits: list[Hit], asked: Iterable[Request]
) -> Node:
    """The node of one record. `asked`: the requests of its access log."""
    inspect = view.inspect
    networks = inspect.networks if inspect else []
    ports = inspect.ports if inspect else []
    swarm = view.swarm
    lost = [(at, each) for at, each in enumerate(swarm.tasks if swarm else []) if each.state == "lost"]
    published = {port.host_port for port in ports} | set(swarm.published if swarm else [])
    declared = [each for each in record.get("depends_on") or [] if isinstance(each, str)]
    hosts = {record.get("container")} | {alias for network in networks for alias in network.aliases}
    technologies = _technologies(view, library, log)
    known = {str(port) for each in technologies for port in library.technologies[each].ports}
    known |= {port for each in record.get("internal") or [] for port in _PORT.findall(str(each))}
    return Node(
        service=view.service,
        project=swarm.stack if swarm else inspect.project if inspect else None,
        container=record.get("container") if isinstance(record.get("container"), str) else None,
        compose_service=inspect.compose_service if inspect else None,
        aliases=frozenset(alias for alias in [*hosts, *(swarm.aliases if swarm else [])] if isinstance(alias, str)),
        addresses=frozenset(network.ip for network in networks if network.ip),
        networks=frozenset(network.name for network in networks),
        own_network=inspect is not None
        and inspect.network_mode not in ("host", "none", "")
        and not inspect.network_mode.startswith(SHARED),
        ports=frozenset({str(port.container_port) for port in ports} | known),
        published=frozenset(str(port) for port in published if port),
        needs=declared + (inspect.depends_on + inspect.env_hosts if inspect else []) + _named(hits),
        engine=record.get("docker_host") if isinstance(record.get("docker_host"), str) else None,
        container_id=inspect.id if inspect else None,
        state=inspect.state if inspect else None,
        health=inspect.health if inspect else None,
        exit_code=inspect.exit_code if inspect else None,
        failed_to_start=bool(inspect and inspect.error),
        started_at=inspect.started_at if inspect else None,
        network_of=inspect.network_mode.removeprefix(SHARED)
        if inspect and inspect.network_mode.startswith(SHARED)
        else None,
        network_owner=inspect.network_owner if inspect else None,
        depends=inspect.depends_on if inspect else [],
        conditions=inspect.conditions if inspect else {},
        inner={str(port.host_port): str(port.container_port) for port in ports if port.host_port},
        exposed=frozenset(str(port.container_port) for port in ports),
        clients=frozenset(each.client for each in asked if each.client),
        technologies=technologies,
        serves=frozenset(each for each in technologies if log.has(library.technologies[each].signature)),
        tasks_on={each.node: f"swarm:tasks.{at}" for at, each in lost if each.node},
        hosts=frozenset(view.host.addresses) if view.host else frozenset(_machine(record.get("docker_host"))),
        stands_for_host=bool(view.host and view.host.unreachable),
        away=bool(view.host and view.host.unreachable) or "docker_unreachable" in view.error_codes,
    )


_FAR = re.compile(r"(?:tcp|ssh|https?)://(?:[^@/]*@)?\[?([^\]:/]+|[0-9A-Fa-f:]+)\]?(?::\d+)?/?$")


def _machine(docker_host: Any) -> Iterable[str]:
    """The name of the machine in the address of another machine's engine."""
    found = _FAR.match(docker_host) if isinstance(docker_host, str) else None
    if found and found[1] not in LOOPBACK:
        yield found[1]


def _named(hits: list[Hit]) -> list[str]:
    """The peers that a log complains about by name."""
    found = [hit.captures for hit in hits if "upstream" in hit.captures]
    return list(dict.fromkeys(f"{each['upstream']}:{each.get('port', '')}" for each in found))


_PORT = late(r"^\w+://[^/?#]*:(\d{1,5})(?:[/?#]|$)")

# A service that is named after a technology and one of these only works beside it: postgres-exporter, redis-ui.
_BESIDE = frozenset(("exporter", "backup", "admin", "commander", "ui", "proxy", "init", "migrate", "client", "insight"))


def _technologies(view: View, library: Library, log: Haystack) -> set[str]:
    """What a service runs, by its image's name, its own name or what its log says at the start."""
    image = (view.inspect.image if view.inspect else "").rpartition("/")[2].partition(":")[0].partition("@")[0]
    own = (view.inspect.compose_service if view.inspect else None) or view.service
    words = set(re.split(r"[^a-z0-9]+", f"{image} {own}".lower()))
    named = words if not words & _BESIDE else set()
    return {
        name
        for name, technology in library.technologies.items()
        if named & set(technology.names) or log.has(technology.signature)
    }


FAMILY = 3  # containers of a project from which on one that is absent is missed


def is_name(host: str) -> bool:
    """Whether a host can be a service's: no address, no domain, not this machine."""
    return bool(host) and not set(host) & set(".:") and host not in LOOPBACK and host not in HOST_NAMES


class Topology:
    """The map of the stack."""

    def __init__(self, nodes: list[Node], library: Library) -> None:
        self.nodes = {each.service: each for each in nodes}
        self._by_name: dict[tuple[str | None, str], list[Node]] = {}  # (project or None for any, name)
        self._by_published: dict[tuple[str | None, str], str] = {}  # by engine and port of its machine
        self._by_container: dict[tuple[str | None, str], Node] = {}  # by engine, and by id and by name
        self._engine_of: dict[str, str | None] = {}  # by a name or address of the machine
        self._away: dict[str | None, str] = {}  # by engine: the record of a machine that does not answer
        self._families = Counter((each.project, each.engine) for each in nodes)  # how many a project has on an engine
        for each in nodes:
            own = {each.service, each.container, each.compose_service, *each.aliases, *each.addresses}
            for name in own - {None}:
                for project in {each.project, None}:
                    self._by_name.setdefault((project, str(name)), []).append(each)
            self._by_published |= {(each.engine, port): each.service for port in each.published}
            self._by_container |= {(each.engine, name): each for name in (each.container_id, each.container) if name}
            self._engine_of |= dict.fromkeys(each.hosts, each.engine)
            if each.stands_for_host:
                self._away[each.engine] = each.service
        self._by_port = {str(port): name for name, each in library.technologies.items() for port in each.ports}
        for each in nodes:
            for need in each.needs:
                host, _, port = need.partition(":")
                technology = self._by_port.get(port)
                target = self.resolve(host, each, port)
                if target and technology:
                    self.nodes[target].technologies.add(technology)
        for each in nodes:  # who is asked is needed by whoever asks
            for address in sorted(each.clients):
                if (client := self.resolve(address, each)) and client != each.service:
                    self.nodes[client].needs.append(each.service)
        self._peers: dict[str, list[str]] = {}

    def resolve(self, name: str, seen_from: Node | str, port: str | None = None) -> str | None:
        """The service that a host name or address means to another service.

        One of its own project comes first, then one that shares a network with it; one of another project without a
        common network is somebody else's of the same name. The machine's own name means whoever publishes the port
        there, and so does another machine's; if that does not answer, the record that says so.
        """
        if isinstance(seen_from, str):
            seen_from = self.nodes[seen_from]
        if name in HOST_NAMES and port:
            return self._by_published.get((seen_from.engine, port))
        if name in self._engine_of:
            there = self._engine_of[name]
            if found_there := self._by_published.get((there, port or "")) or self._away.get(there):
                return found_there
        for written in (name, name.partition(".")[0]) if _dotted(name) else (name,):
            found = self._by_name.get((seen_from.project, written)) or self._by_name.get((None, written)) or []
            here = (each for each in found if each.engine == seen_from.engine or each.service == written)
            near = [each for each in islice(here, MAX_CANDIDATES) if not _strangers(seen_from, each)]
            if near:
                far = {each.service for each in near if each.engine != seen_from.engine}
                own = seen_from.networks
                return min(near, key=lambda each: (each.service in far, not (each.networks & own))).service
        return None

    def nobody(self, name: str, service: str) -> bool:
        """Whether a name can only be that of a service of the same project, and none of them bears it."""
        own = self.nodes[service]
        if own.project is None or not is_name(name) or self.resolve(name, own) is not None:
            return False
        return self._families[own.project, own.engine] >= FAMILY

    def needed_at(self, service: str, port: str | None) -> str | None:
        """The only service that this one needs at a port: whom an address means that nobody has any more."""
        own = self.nodes[service]
        needs = [need.partition(":")[::2] for need in own.needs] if port else []
        found = {self.resolve(host, own, port) for host, known in needs if known == port} - {None, service}
        return found.pop() if len(found) == 1 else None

    def peers(self, service: str) -> list[str]:
        """The services that this one needs, in the order in which they are named."""
        if service not in self._peers:
            own = self.nodes[service]
            parts = [need.partition(":") for need in own.needs]
            names = [self.resolve(host, own, port) for host, _, port in parts]
            self._peers[service] = [each for each in dict.fromkeys(names) if each and each != service]
        return self._peers[service]

    def apart(self, service: str, peer: str) -> bool:
        """Whether both have networks of their own and share none."""
        own, other = self.nodes[service], self.nodes[peer]
        if own.engine != other.engine:
            return False
        each_has = own.networks and other.networks and own.own_network and other.own_network
        return bool(each_has) and not own.networks & other.networks

    def depends_on(self, service: str) -> list[str]:
        """The services that Compose starts before this one."""
        own = self.nodes[service]
        found = [self.resolve(name, own) for name in own.depends]
        return [each for each in dict.fromkeys(found) if each and each != service]

    def owner(self, service: str) -> Node | None:
        """The service whose network this one shares, if its container is in the stack."""
        own = self.nodes[service]
        return self._by_container.get((own.engine, own.network_of)) if own.network_of else None

    def runner_of(self, technology: str, service: str) -> str | None:
        """Who runs a technology, seen from a service: itself, or its only peer that does.

        A client may have the image of its server (a job that seeds it): it does not say that it started as one.
        """
        own = self.nodes[service]
        found = [each for each in self.peers(service) if technology in self.nodes[each].technologies]
        if technology in own.technologies:
            asks = technology not in own.serves and len(found) == 1 and technology in self.nodes[found[0]].serves
            return found[0] if asks else service
        return found[0] if len(found) == 1 else None


def _strangers(one: Node, other: Node) -> bool:
    """Whether two are of different projects and share no network, as far as that is known of both."""
    if one.engine != other.engine:
        return False  # who is asked across machines is named by his whole name, or by his machine
    known = one.project and other.project and one.networks and other.networks
    return bool(known) and one.project != other.project and not one.networks & other.networks


def _dotted(name: str) -> bool:
    """Whether a name could be a service's name with its network's name behind it (`db.shop_backend`)."""
    return "." in name and not name.replace(".", "").isdigit() and "_" in name.partition(".")[2]
