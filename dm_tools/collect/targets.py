"""Where a service's URLs lead from here: names that only containers know are looked up in Docker."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from dm_tools import records, redact
from dm_tools.collect import http, reach
from dm_tools.collect.socks import Place, Way
from dm_tools.engine import finding, reading
from dm_tools.engine.connection import Container, Engine, Engines
from dm_tools.pipe import settings
from dm_tools.records import Discovered, ProbeError, Wanted

Record = dict[str, Any]


def urls(record: Record) -> list[tuple[str, str]]:
    """The record's URLs, each with its scope: internal or external."""
    return [(url, scope) for scope in ("internal", "external") for url in record.get(scope) or []]


def without_secrets(record: Record, redactor: redact.Redactor) -> Record:
    """The record with no password or token in its URLs."""
    for scope in ("internal", "external"):
        if any(redact.has_secret(url) for url in record.get(scope) or []):
            record = record | {scope: [redactor.url(url) for url in record[scope]]}
    return record


def target(record: Record, check_id: str, url: str, scope: str, engines: Engines) -> http.Target:
    """A URL of a record as something to ask: of an internal one the container's address. Raises records.Problem."""
    try:
        target = http.Target(check_id, url, scope)
        host, port = target.parts.hostname, target.port
    except ValueError:
        host, port = None, 0
    if not host or not port or target.parts.scheme not in ("http", "https", "tcp", "tls"):
        shown = redact.url(url)
        raise records.Problem("bad_url", f"cannot ask {shown!r}: give http, https, tcp://HOST:PORT or tls://HOST:PORT")
    if scope == "external":
        return target
    target.address, target.refused = place(record, host, port, engines)
    return target


def discovered(record: Record) -> dict[str, Discovered]:
    """What the record says of its URLs that nobody configured, by URL. Raises Problem bad_section."""
    found = {each.url: each for each in records.sections(record, "discovered", Discovered)}
    for each in found.values():
        try:
            for place in each.addresses:
                address(place)
        except ValueError:
            raise records.Problem("bad_section", "section 'discovered': an address is no host:port") from None
    return found


def address(text: str) -> tuple[str, int]:
    """`host:port` (an IPv6 host may stand in brackets) as its parts. Raises ValueError."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def outside(record: Record) -> Callable[[str, int], Place]:
    """Where a name of an external URL leads: where it was discovered, or else whatever this machine's resolver says."""
    known: dict[tuple[str, int], Place] = {}
    for url, found in discovered(record).items():
        with contextlib.suppress(ValueError):  # no URL at all: then nobody asks it either
            target = http.Target("", url, "external")
            if found.addresses:
                known[target.parts.hostname or "", target.port] = address(found.addresses[0]), None
    return lambda host, port: known.get((host, port), (None, None))


def place(record: Record, host: str, port: int, engines: Engines) -> Place:
    """Where a name leads that the record's containers know: an address, or why there is none.

    Neither: it is no container's name, or there is no Docker here; then the name is this machine's resolver's.
    """
    engine = engines.of(record)
    try:
        container = finding.resolved(engine, host, home_of(record, engine))
    except records.Problem as problem:
        if problem.code != "docker_unreachable":
            raise
        return None, None
    if container is None:
        return None, None
    if container.get("State") not in finding.RUNNING:
        return None, (ProbeError.NOT_RUNNING, f"the container is {container.get('State')}")
    address = finding.address(engine.label, container, port)
    return address, None if address else (ProbeError.NO_ADDRESS, "the container has no network address")


def way(record: Record, scope: str, engines: Engines) -> Way:
    """Where the pages of a record may lead, whose URLs are of that scope, and all that they load."""

    def inside(host: str, port: int) -> Place:
        return place(record, host, port, engines)

    named = reach.named([url for url, _ in urls(record)])
    resolve = outside(record) if scope == "external" else inside
    return Way(resolve, named, functools.cache(lambda: stack(record, named, engines)))


def stack(record: Record, named: frozenset[reach.Place], engines: Engines) -> reach.Known:
    """What belongs to the stack of a record beside its URLs: the containers on its networks, the ports of its own.

    A port that is published on all addresses of this machine is known at those that the record's URLs name, too.
    """
    engine = engines.of(record)
    try:
        home = home_of(record, engine)
        listing = reading.containers(engine) if home else []
    except records.Problem:
        return reach.Known()
    if home is None:
        return reach.Known()
    places: set[reach.Place] = set()
    for address, port in finding.published(engine.label, finding.stack(listing, home)):
        hosts = {"127.0.0.1", "::1", *(host for host, _ in named)} if address is None else {reach.host(address)}
        places |= {(host, port) for host in hosts}
    return reach.Known(frozenset(places), finding.addresses(listing, home))


def secrets(record: Record) -> list[str]:
    """The values of the variables that the record's URLs and headers are filled in with: a page may repeat them."""
    texts = (record.get("internal") or []) + (record.get("external") or [])
    texts += [value for each in records.sections(record, "wanted", Wanted) for value in each.headers.values()]
    names = {match[1] for text in texts for match in redact.VARIABLE.finditer(text)}
    return [settings.variable(name) for name in sorted(names)]


def with_secrets(url: str) -> str:
    """The URL with the variables filled in that stand for its password or a token. Raises Problem unset_variable."""

    def value(match: re.Match[str]) -> str:
        is_password = redact.PASSWORD_VARIABLE.match(url, match.start()) is not None
        if not is_password and not redact.is_secret_name(match[1]):
            return match[0]
        found = settings.variable(match[1])
        if not found:
            raise records.Problem("unset_variable", f"the variable {match[1]} of the URL's password is not set")
        return quote(found, safe="")

    return redact.VARIABLE.sub(value, url)


def filled(value: str) -> str:
    """The value of a header with its variables filled in. Raises Problem unset_variable."""

    def variable(match: re.Match[str]) -> str:
        if found := settings.variable(match[1]):
            return found
        raise records.Problem("unset_variable", f"the variable {match[1]} of a header is not set")

    return redact.VARIABLE.sub(variable, value)


def home_of(record: Record, engine: Engine) -> Container | None:
    """The record's own container; None if it has none. Raises Problem docker_unreachable."""
    try:
        return finding.find(engine, record)
    except records.Problem as problem:
        if problem.code == "docker_unreachable":
            raise
        return None
