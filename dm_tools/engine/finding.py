"""Which container of an engine's list is meant: by a service's name, or by a name of the Docker network."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dm_tools import records
from dm_tools.engine import reading
from dm_tools.engine.connection import Container, Engine
from dm_tools.text.late import late
from dm_tools.text.near import meant

RUNNING = ("running", "paused", "restarting")
_DEFAULT_NETWORKS = frozenset(("bridge", "host", "none", "podman"))
# A container that was made anew is kept beside the new one until that is proved: stopped, with all its labels.
_WORKING_FOLDER = "com.docker.compose.project.working_dir"
_CONFIG_FILES = "com.docker.compose.project.config_files"
_KEPT = late(r".+\.before-[0-9a-f]{8}\Z")


def find(engine: Engine, record: dict[str, Any], fresh: bool = False) -> Container:
    """A record's container; of several projects that of $COMPOSE_PROJECT_NAME counts, or else of the current folder.

    The list that it is looked up in may be a second old, with `fresh` it is new. Raises Problem container_not_found,
    ambiguous_container, NO_CONTAINER (it need not be one), and those of the connection.
    """
    service, container = record["service"], record.get("container")
    project = os.environ.get("COMPOSE_PROJECT_NAME")
    if record.get("outside"):
        raise records.Problem(records.NO_CONTAINER, f"{service!r} is no container: the manifest says so")
    listing = reading.containers(engine, fresh)
    found = of_service(listing, service, container, project, of_folder(listing))
    if found is None:
        alone = bool(record.get("external")) and not record.get("internal") and container is None
        if alone and (record.get("probe") or {}).get("status") in ("healthy", "degraded"):
            raise records.Problem(records.NO_CONTAINER, f"{service!r} answers, and is no container of {engine.name}")
        hint = '; of what is none, the manifest says "container": false' if alone else _meant(listing, record, fresh)
        raise records.Problem("container_not_found", f"no container {container or service!r} at {engine.name}{hint}")
    return found


def _meant(listing: list[Container], record: dict[str, Any], fresh: bool) -> str:
    """What a mistyped name may have been, as the end of a message. Of one that was found there, and is gone meanwhile,
    another's name would be no help; nor to what acts, which asks for a fresh list."""
    if fresh or "discovered" in record:
        return ""
    own = [name for each in listing if not is_kept(each) for name in names(each)]
    if record.get("container"):
        return meant(record["container"], own)
    return meant(record["service"], [*(name for name, _, _ in told_apart(listing, of_folder(listing))), *own])


def of_service(
    listing: list[Container],
    service: str,
    container: str | None = None,
    project: str | None = None,
    near: str | None = None,
) -> Container | None:
    """The container of a service: by its own name or id, or else by its Compose service label, a running one first.

    `service` may be PROJECT/SERVICE. `project` is the Compose project that counts; without one the project `near`, if
    it has the service. Raises Problem ambiguous_container if it is not known which of several is meant.
    """
    wanted = container or service
    for candidate in listing:
        if wanted in names(candidate) or (len(wanted) >= 12 and candidate["Id"].startswith(wanted)):
            return candidate
    if container is not None:
        return None
    whose, _, name = service.rpartition("/")
    project = whose.rpartition("/")[2] or project
    found = [
        each
        for each in listing
        if compose_service(each) == name and project in (None, "", project_of(each)) and not is_kept(each)
    ]
    found = [each for each in found if near is not None and project_of(each) == near] or found
    if len({project_of(each) for each in found}) > 1:
        listed = " or ".join(sorted({f"{project_of(each)}/{name}" for each in found}))
        raise records.Problem(
            "ambiguous_container",
            f"service {name!r} is in several Compose projects: say {listed}, or set COMPOSE_PROJECT_NAME",
        )
    return min(found, key=lambda each: (each.get("State") != "running", names(each)), default=None)


def told_apart(listing: list[Container], near: str | None = None) -> list[tuple[str, str, Container]]:
    """Containers, each with what its service is called and its own name, in the order of the first.

    A Compose service is called as in its file, and PROJECT/SERVICE where that is another's name, too; those of the
    project `near` keep theirs before other projects' do. Replicas, and what is of no project, have their own names.
    """
    own = {each["Id"]: (names(each) or [each["Id"][:12]])[0] for each in listing}
    services = [(project_of(each), compose_service(each)) for each in listing]
    found = []
    for each, (project, service) in zip(listing, services, strict=True):
        name = own[each["Id"]]
        if service and services.count((project, service)) == 1:
            others = {called for one in listing if one is not each for called in names(one)}
            if near is None or project != near:
                others |= {other for whose, other in services if other and whose != project}
            name = f"{project}/{service}" if service in others else service
        found.append((name, own[each["Id"]], each))
    return sorted(found, key=lambda one: one[0])


def of_folder(listing: list[Container], folder: Path | None = None) -> str | None:
    """The project that Compose has started from a folder (the current one) or the nearest above; None if there is none,
    or several were."""
    try:
        folder = folder or Path.cwd()
    except OSError:  # it was removed
        return None
    for each in (folder, *folder.parents):
        found = {project_of(one) for one in listing if labels(one).get(_WORKING_FOLDER) == str(each)}
        if found:
            return found.pop() if len(found) == 1 else None
    return None


def of_file(listing: list[Container], file: Path) -> str | None:
    """The project that Compose has started from a file; None if there is none. Raises Problem: there are several."""
    wanted = str(file.absolute())
    found = {project_of(each) for each in listing if wanted in labels(each).get(_CONFIG_FILES, "").split(",")}
    if len(found) > 1:
        listed = ", ".join(sorted(map(str, found)))
        raise records.Problem("ambiguous_container", f"several projects are of {wanted!r} ({listed}): give --project")
    return found.pop() if found else None


def named(listing: list[Container], name: str, home: Container | None) -> Container | None:
    """The container that answers to a host name inside the Docker network; None if there is none.

    `home` is the container of the service that is asked about: among several with the name (two projects with
    a `db` each), itself or the one in its project is meant. A running one comes before a stopped one.
    """
    found = [each for each in listing if _answers_to(each, name) and not is_kept(each)]
    if home is not None and len(found) > 1:
        same = [each for each in found if project_of(each) == project_of(home)]
        found = [home] if home in found else same or found
    return min(found, key=lambda each: each.get("State") not in RUNNING, default=None)


def resolved(engine: Engine, name: str, home: Container | None) -> Container | None:
    """The container that answers to a host name inside the Docker network, by an alias or its host name, too.

    Docker's list of containers does not have these (Podman's does): if no name of the list fits, the containers on the
    networks of `home` (without one: on all) are inspected, each once. Raises Problem.
    """
    listing = reading.containers(engine)
    found = named(listing, name, home)
    if found is not None or name == "localhost" or _is_address(name):
        return found
    own = set(_networks(home or {})) - _DEFAULT_NETWORKS
    near = [
        each
        for each in listing
        if (set(_networks(each)) & own if home else set(_networks(each)) - _DEFAULT_NETWORKS) and not is_kept(each)
    ]
    return named([_with_aliases(engine, each) for each in near], name, home and _with_aliases(engine, home))


def _with_aliases(engine: Engine, container: Container) -> Container:
    """The container as listed, with its networks as inspected. What it is called there cannot change while it is
    connected; nothing is added to one that is gone meanwhile."""
    networks = _networks(container)
    if all(network.get("Aliases") or network.get("DNSNames") for network in networks.values()):
        return container
    mark = (container["Id"], *sorted(f"{name} {network.get('EndpointID')}" for name, network in networks.items()))
    if mark not in engine.endpoints:
        try:
            engine.endpoints[mark] = _networks(reading.inspect(engine, container["Id"]))
        except records.Problem as problem:
            if problem.code != "container_gone":
                raise
            return container
    return container | {"NetworkSettings": {"Networks": engine.endpoints[mark]}}


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def address(engine_label: str, container: Container, port: int) -> tuple[str, int] | None:
    """Where a container's port is reached from here; None if the container has no address.

    Raises Problem no_route: the engine is remote and does not publish the port.
    """
    if not is_local(engine_label):
        for published in container.get("Ports") or []:
            reachable = published.get("PublicPort") and not str(published.get("IP")).startswith("127.")
            if published.get("PrivatePort") == port and reachable:
                return urlsplit(engine_label).hostname or "", published["PublicPort"]
        name = (names(container) or ["?"])[0]
        raise records.Problem("no_route", f"port {port} of {name!r} is not published by {engine_label}")
    if "host" in _networks(container):
        return "127.0.0.1", port
    for network in _networks(container).values():
        found = network.get("IPAddress") or network.get("GlobalIPv6Address")
        if found:
            return found, port
    return None


def stack(listing: list[Container], home: Container) -> list[Container]:
    """The containers of a container's own Compose project; of one that has none, itself."""
    project = project_of(home)
    return [each for each in listing if each["Id"] == home["Id"] or (project and project_of(each) == project)]


def addresses(listing: list[Container], home: Container) -> frozenset[str]:
    """The addresses of a stack's containers, and of others on its networks; strangers share Docker's default ones.

    Never a gateway's: that is the machine itself.
    """
    own = stack(listing, home)
    shared = {name for each in own for name in _networks(each)} - _DEFAULT_NETWORKS
    found = [network for each in own for network in _networks(each).values()]
    found += [network for each in listing for name, network in _networks(each).items() if name in shared]
    given = {network.get(key) or "" for network in found for key in ("IPAddress", "GlobalIPv6Address")}
    return frozenset(str(ipaddress.ip_address(address)) for address in given if address)


def published(engine_label: str, containers: list[Container]) -> set[tuple[str | None, int]]:
    """Where ports of containers are published: address (None: all of this machine) and port."""
    ports = [port for each in containers for port in each.get("Ports") or [] if port.get("PublicPort")]
    if not is_local(engine_label):
        return {(urlsplit(engine_label).hostname, port["PublicPort"]) for port in ports}
    everywhere = (None, "", "0.0.0.0", "::")
    return {(None if port.get("IP") in everywhere else port["IP"], port["PublicPort"]) for port in ports}


def is_local(engine_label: str) -> bool:
    """Whether the engine's container addresses can be reached from here: it runs on this machine."""
    return engine_label.startswith(("unix://", "/")) or urlsplit(engine_label).hostname in (
        "localhost",
        "127.0.0.1",
        "::1",
    )


def names(container: Container) -> list[str]:
    """A container's own names (a name with a second slash is a link of another container)."""
    return [name[1:] for name in container.get("Names") or [] if name.count("/") == 1]


def kept_name(name: str, action_id: str) -> str:
    """What a container is called that is kept from before an action."""
    return f"{name}.before-{action_id[:8]}"


def is_kept(container: Container) -> bool:
    """Whether it is only kept from before an action; one that somebody starts is a container like any other."""
    return container.get("State") not in RUNNING and any(_KEPT.match(name) for name in names(container))


def labels(container: Container) -> dict[str, str]:
    """The container's labels."""
    return container.get("Labels") or {}


def compose_service(container: Container) -> str | None:
    """The Compose service that a container belongs to; None for a one-off `compose run`."""
    return None if is_one_off(container) else labels(container).get("com.docker.compose.service")


def project_of(container: Container) -> str | None:
    """The Compose project that a container belongs to."""
    return labels(container).get("com.docker.compose.project")


def is_one_off(container: Container) -> bool:
    """Whether it is one of `compose run`."""
    return labels(container).get("com.docker.compose.oneoff", "").lower() == "true"


def _networks(container: Container) -> dict[str, dict[str, Any]]:
    return (container.get("NetworkSettings") or {}).get("Networks") or {}


def _answers_to(container: Container, name: str) -> bool:
    """Upper and lower case are the same in names; in a URL they are lost anyway."""
    known = [*names(container), compose_service(container) or ""]
    for network in _networks(container).values():
        known += (network.get("Aliases") or []) + (network.get("DNSNames") or [])
    return name.lower() in (each.lower() for each in known)
