"""Who is who and who needs whom: from names, addresses, depends_on labels and environment hosts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from dm_tools.diagnose.haystack import Haystack
from dm_tools.diagnose.patterns import Library
from dm_tools.diagnose.view import View


@dataclass
class Node:
    """What the stack's map needs to know of one service; small, so that a large stack fits in memory."""

    service: str
    project: str | None
    container: str | None
    compose_service: str | None
    aliases: frozenset[str]
    addresses: frozenset[str]
    needs: list[str]  # names as written: a service, a host, or host:port
    technologies: set[str] = field(default_factory=set)


def node(record: dict[str, Any], view: View, library: Library, log: Haystack) -> Node:
    """The node of one record."""
    inspect = view.inspect
    networks = inspect.networks if inspect else []
    declared = [each for each in record.get("depends_on") or [] if isinstance(each, str)]
    hosts = {record.get("container")} | {alias for network in networks for alias in network.aliases}
    return Node(
        service=view.service,
        project=inspect.project if inspect else None,
        container=record.get("container") if isinstance(record.get("container"), str) else None,
        compose_service=inspect.compose_service if inspect else None,
        aliases=frozenset(alias for alias in hosts if isinstance(alias, str)),
        addresses=frozenset(network.ip for network in networks if network.ip),
        needs=declared + (inspect.depends_on + inspect.env_hosts if inspect else []),
        technologies=_technologies(view, library, log),
    )


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


class Topology:
    """The map of the stack."""

    def __init__(self, nodes: list[Node], library: Library) -> None:
        self.nodes = {each.service: each for each in nodes}
        self._by_name: dict[str, list[Node]] = {}
        for each in nodes:
            own = {each.service, each.container, each.compose_service, *each.aliases, *each.addresses}
            for name in own - {None}:
                self._by_name.setdefault(str(name), []).append(each)
        self._by_port = {str(port): name for name, each in library.technologies.items() for port in each.ports}
        for each in nodes:
            for need in each.needs:
                host, _, port = need.partition(":")
                technology = self._by_port.get(port)
                target = self.resolve(host, each)
                if target and technology:
                    self.nodes[target].technologies.add(technology)
        self._peers: dict[str, list[str]] = {}

    def resolve(self, name: str, seen_from: Node | str) -> str | None:
        """The service that a host name or address means to another service; its own project comes first."""
        if isinstance(seen_from, str):
            seen_from = self.nodes[seen_from]
        found = self._by_name.get(name) or self._by_name.get(name.partition(".")[0] if _dotted(name) else name)
        if not found:
            return None
        return min(found, key=lambda each: each.project != seen_from.project).service

    def peers(self, service: str) -> list[str]:
        """The services that this one needs, in the order in which they are named."""
        if service not in self._peers:
            own = self.nodes[service]
            names = [self.resolve(need.partition(":")[0], own) for need in own.needs]
            self._peers[service] = [each for each in dict.fromkeys(names) if each and each != service]
        return self._peers[service]

    def runner_of(self, technology: str, service: str) -> str | None:
        """Who runs a technology, seen from a service: itself, or its only peer that does."""
        if technology in self.nodes[service].technologies:
            return service
        found = [each for each in self.peers(service) if technology in self.nodes[each].technologies]
        return found[0] if len(found) == 1 else None


def _dotted(name: str) -> bool:
    """Whether a name could be a service's name with its network's name behind it (`db.shop_backend`)."""
    return "." in name and not name.replace(".", "").isdigit() and "_" in name.partition(".")[2]
