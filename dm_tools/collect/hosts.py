"""Several machines at once: which ones, and the records of all of them, each with its machine's name before its own.

A machine is a Docker host (unix://, tcp://, ssh://), a Docker context, or an entry of configs/hosts.toml.
"""

from __future__ import annotations

import contextlib
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import msgspec

from dm_tools import records, redact
from dm_tools.collect.services import Known, ManifestError, NothingFoundError, discover
from dm_tools.engine import address, finding, reading
from dm_tools.engine.connection import Engine
from dm_tools.pipe.several import Hosts
from dm_tools.records import Host
from dm_tools.text import toml

Record = dict[str, Any]
Filters = Mapping[str, list[str]]

DEFAULT = Path("configs/hosts.toml")
AT_ONCE = 16  # machines that are asked at the same time
LOCAL = "local"  # what the machine is called that this program runs on
ALL = "all"
_SCHEMES = ("tcp", "ssh", "http", "https")


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    """A machine in the file. `also`: more names and addresses by which its published ports are reached."""

    docker_host: str | None = None
    context: str | None = None
    also: list[str] = []


class _File(msgspec.Struct, forbid_unknown_fields=True):
    host: dict[str, _Entry] = {}


class Machine:
    """One of several machines, with the way to its engine and what is known of it from the look before."""

    def __init__(self, name: str, host: str | None, timeout: float, filters: Filters, also: Iterable[str] = ()) -> None:
        self.name = name
        self.engine = Engine(host, timeout)
        self.also = list(also)
        self.known = Known(dict(filters))

    def look(self, others: Iterable[Machine]) -> list[Record]:
        """The records of its services, or the one that says why it does not answer."""
        host = Host(self.name, [*self._addresses(others), *self.also])
        try:
            found = discover(self.engine, self.known)
        except NothingFoundError:
            return []
        except records.Problem as problem:
            host.unreachable = problem.message
            host.addresses = sorted(set(host.addresses) - {""})
            alone = records.new(self.name, docker_host=self.engine.host)
            return [records.with_section(alone, "host", host)]
        with contextlib.suppress(records.Problem):
            host.addresses.append(str(reading.machine(self.engine).get("Name")))
        host.addresses = sorted(set(host.addresses) - {"", "None"})
        prefixed = [record | {"service": f"{self.name}/{record['service']}"} for record in found]
        return [records.with_section(record, "host", host) for record in prefixed]

    def _addresses(self, others: Iterable[Machine]) -> Iterator[str]:
        """How its machine is called in its engine's address, and what that stands for. Of this machine: by which
        addresses it reaches the others."""
        if not finding.is_local(self.engine.label):
            yield from _resolved(urlsplit(self.engine.label).hostname or "")
            return
        yield socket.gethostname()
        for other in others:
            name = urlsplit(other.engine.label).hostname
            if name and not finding.is_local(other.engine.label):
                with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
                    door.connect((name, 9))  # nothing is sent
                    yield door.getsockname()[0]


def _resolved(name: str) -> Iterator[str]:
    yield name
    with contextlib.suppress(OSError, UnicodeError):
        yield from {str(each[4][0]) for each in socket.getaddrinfo(name, None)}


def chosen(wanted: Hosts, timeout: float, filters: Filters = MappingProxyType({})) -> list[Machine]:
    """The machines that are named, or if none is all of the hosts file, or else the one whose engine the `docker`
    command would use. `filters` as an engine's: only what passes them is discovered. Raises ManifestError."""
    if wanted.only:
        return [Machine(LOCAL, wanted.only, timeout, filters)]
    path = wanted.file or DEFAULT
    entries = _read(path, needed=wanted.file is not None)
    named: list[tuple[str, str, list[str]]] = []
    for word in wanted.hosts:
        known = entries.get(word)
        if known is None and "://" not in word:
            there = f"; in {path} are: {', '.join(entries)}" if entries else ""
            raise ManifestError(f"no host {word!r}: give unix://, tcp:// or ssh://, or a name of {path}{there}")
        if known is None:
            _check(word)
        named.append((word, _address(known), known.also) if known else (_called(word), word, []))
    for word in wanted.contexts:
        of = address.contexts() if word == ALL else [word]
        named += [(LOCAL if each == "default" else each, _context(each), []) for each in of]
    if not named:
        named = [(name, _address(entry), entry.also) for name, entry in entries.items()]
    double = [name for name, count in Counter(name for name, _, _ in named).items() if count > 1]
    if double:
        raise ManifestError(f"two hosts are called {double[0]!r}: give them names in {path}")
    if any(redact.has_password(host) for _, host, _ in named):
        raise ManifestError(redact.NO_DOCKER_PASSWORD)
    for _, host, _ in named:
        _check(host)
    found = [Machine(name, host, timeout, filters, also) for name, host, also in named]
    return found or [Machine(LOCAL, None, timeout, filters)]


def look(machines: list[Machine]) -> list[Record]:
    """The records of all of them, in their order; of a single one as if there were no others.

    Raises NothingFoundError; of a single one also records.Problem.
    """
    if len(machines) == 1:
        return discover(machines[0].engine, machines[0].known)
    with ThreadPoolExecutor(min(AT_ONCE, len(machines))) as pool:
        asked: list[Callable[[], list[Record]]] = [
            pool.submit(each.look, [other for other in machines if other is not each]).result for each in machines
        ]
        found = _told_apart([answer() for answer in asked])
    if not found:
        raise NothingFoundError(f"nothing to look at on {', '.join(each.name for each in machines)}")
    return found


def _told_apart(found: list[list[Record]]) -> list[Record]:
    """The records of all machines, of whose names and addresses none is left that several have."""
    count = Counter(each for own in found if own for each in own[0]["host"]["addresses"])
    for own in found:
        for record in own:
            record["host"]["addresses"] = [each for each in record["host"]["addresses"] if count[each] == 1]
    return [record for own in found for record in own]


def _context(name: str) -> str:
    return f"unix://{address.DEFAULT_SOCKET}" if name == "default" else f"{address.CONTEXT}{name}"


def _address(entry: _Entry) -> str:
    return entry.docker_host or _context(str(entry.context))


def _check(host: str) -> None:
    """Raises ManifestError for an address at which nothing can be."""
    if host.startswith((address.CONTEXT, "unix://")):
        return
    try:
        parts = urlsplit(host)
        named = bool((parts.hostname or "").encode("idna")) and parts.port != 0
    except ValueError:  # brackets that do not match, a port that is none, a name that no resolver takes
        named = False
    if not named or parts.scheme not in _SCHEMES:
        raise ManifestError(f"no address of an engine: {host[:100]!r} (unix://, tcp:// or ssh://)")


def _called(host: str) -> str:
    """What a machine is called that only its engine's address names."""
    if finding.is_local(host):
        path = Path(host.removeprefix("unix://"))
        return LOCAL if path == address.DEFAULT_SOCKET or not host.startswith("unix://") else path.parent.name or LOCAL
    return urlsplit(host).hostname or host


def _read(path: Path, needed: bool) -> dict[str, _Entry]:
    """The entries of the file; none if it is not there and need not be. Raises ManifestError."""
    try:
        found = msgspec.convert(toml.parsed(path.read_text("utf-8")), _File).host
    except FileNotFoundError:
        if needed:
            raise ManifestError(f"cannot read the hosts {str(path)!r}: no such file or directory") from None
        return {}
    except OSError as failure:
        raise ManifestError(f"cannot read the hosts {str(path)!r}: {(failure.strerror or '').lower()}") from None
    except (ValueError, msgspec.ValidationError) as wrong:
        raise ManifestError(f"{path}: {wrong}") from None
    for name, entry in found.items():
        if not name.isprintable() or "/" in name or not name:
            raise ManifestError(f"{path}: the name {name!r} of a host has a slash, or is not printable")
        if bool(entry.docker_host) == bool(entry.context):
            raise ManifestError(f"{path}: host {name!r}: give docker_host or context")
    return found
