"""Records on the wire: plain JSON objects, of which a command decodes just the sections that it needs."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from dm_tools.records.action import Proposal
from dm_tools.records.base import Section
from dm_tools.records.described import describe
from dm_tools.records.evidence import Discovered, Error, Inspect, Logs, Probe, Screenshot, Stats, Wanted
from dm_tools.records.round import Marker
from dm_tools.records.swarm import Host, Swarm, SwarmNode
from dm_tools.records.verdict import Analysis

VERSION = 1
NO_CONTAINER = "no_container"
"""The code of a Problem that is none: the service is no container, and need not be one."""


class Service(Section, kw_only=True):
    """A whole record. Sections are null until their command has run; unknown keys are passed on untouched.

    `outside`: it is no container, so nothing is missing that Docker would know.
    """

    v: int = VERSION
    service: str
    container: str | None = None
    docker_host: str | None = None
    internal: list[str] = msgspec.field(default_factory=list)
    external: list[str] = msgspec.field(default_factory=list)
    outside: bool = False
    wanted: list[Wanted] | None = None
    discovered: list[Discovered] | None = None
    swarm: Swarm | None = None
    node: SwarmNode | None = None
    host: Host | None = None
    probe: Probe | None = None
    inspect: Inspect | None = None
    logs: Logs | None = None
    stats: Stats | None = None
    screenshot: Screenshot | None = None
    analysis: Analysis | None = None
    proposals: list[Proposal] | None = None
    errors: list[Error] = msgspec.field(default_factory=list)


class _Envelope(msgspec.Struct):
    """What every command relies on in a record that comes in."""

    service: str = ""
    container: str | None = None
    docker_host: str | None = None
    internal: list[str] = []
    external: list[str] = []
    errors: list[dict[str, Any]] = []


class Problem(Exception):
    """A failure to measure one record: becomes an entry in its `errors`. `code` is stable, `message` is not."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


SectionType = TypeVar("SectionType", bound=Section)


def new(service: str, **fields: Any) -> dict[str, Any]:
    """A record as dm-services begins it."""
    record = {
        "v": VERSION,
        "service": service,
        "container": None,
        "docker_host": None,
        "internal": [],
        "external": [],
    }
    return record | fields


def problem(record: Any) -> str | None:
    """Why this JSON value cannot be a record, or None if it can."""
    try:
        msgspec.convert(record, Marker if is_marker(record) else _Envelope)
    except msgspec.ValidationError as wrong:
        return f"not a record: {wrong}"
    if not record.get("service") and not record.get("errors") and not is_marker(record):
        return "not a record: no key 'service'"
    if not str(record.get("service", "")).isprintable():
        return "not a record: the service's name is not printable"
    version = record.get("v", VERSION)
    if version != VERSION:
        return f"a record of version {version!r}; this program reads version {VERSION}"
    return None


def is_marker(record: Any) -> bool:
    """Whether a JSON value is the line that ends a round (see Marker), and no service's record."""
    return isinstance(record, dict) and "round" in record and "service" not in record


def stands_alone(record: dict[str, Any]) -> bool:
    """Whether there is no container to look at, and none is missing: it is of a node, of a machine that does not
    answer, or of a Swarm service that has no task on the engine that was asked."""
    host = record.get("host")
    silent = isinstance(host, dict) and host.get("unreachable") is not None
    return record.get("container") is None and (silent or any(record.get(key) is not None for key in ("node", "swarm")))


def section(record: dict[str, Any], name: str, kind: type[SectionType]) -> SectionType | None:
    """One section of a record, typed; None if its command has not run. Raises Problem if it is malformed."""
    value = record.get(name)
    if value is None:
        return None
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as wrong:
        raise Problem("bad_section", f"section {name!r}: {wrong}") from None


def sections(record: dict[str, Any], name: str, kind: type[SectionType]) -> list[SectionType]:
    """A section that is a list, typed; empty if its command has not run. Raises Problem if it is malformed."""
    try:
        return msgspec.convert(record.get(name) or [], list[kind])  # type: ignore[valid-type]
    except msgspec.ValidationError as wrong:
        raise Problem("bad_section", f"section {name!r}: {wrong}") from None


def with_section(record: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    """The record with one more section."""
    return record | {name: msgspec.to_builtins(value)}


def error(stage: str, code: str, message: str, **more: Any) -> dict[str, Any]:
    """An entry for a record's `errors`."""
    return {"stage": stage, "code": code, "message": message} | more


def with_error(record: dict[str, Any], stage: str, code: str, message: str) -> dict[str, Any]:
    """The record with one more entry in its `errors`."""
    return record | {"errors": [*(record.get("errors") or []), error(stage, code, message)]}


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a service record; among its `$defs` is Marker, the line that ends a round."""
    found = msgspec.json.schema(Service)
    found["$defs"] |= msgspec.json.schema(Marker)["$defs"]
    describe(found["$defs"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "dm-tools service record",
    } | found
