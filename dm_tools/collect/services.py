"""Where records begin: the services manifest, or what Docker says is there."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import orjson

from dm_tools import records, redact
from dm_tools.engine import finding, reading
from dm_tools.engine.connection import Engine

Record = dict[str, Any]

# ${NAME}, ${NAME:-default} as in Compose; $$ is a dollar. What else begins with ${ is a mistake.
_VARIABLE = re.compile(r"\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|(\{[^}]{0,40}\}?))")


class ManifestError(Exception):
    """The manifest cannot be used; the message says which file, which entry and why."""


class _Entry(msgspec.Struct):
    name: str
    internal: list[str] = []
    external: list[str] = []
    container: str | None = None
    docker_host: str | None = None


def expand(text: str, environment: Mapping[str, str]) -> str:
    """The text with its variables replaced. Raises KeyError with the name of one that is not set, ManifestError."""

    def value(match: re.Match[str]) -> str:
        name, default = match[1], match[2]
        if match[3]:
            raise ManifestError(f"cannot read ${match[3]}: write ${{NAME}} or ${{NAME:-default}}, and $$ for a dollar")
        if name is None:
            return "$"
        found = environment.get(name)
        if not found and default is None:
            raise KeyError(name)
        if redact.PASSWORD_VARIABLE.match(text, match.start()) and "://" in text[: match.start()]:
            return match[0]  # a password is filled in by the one who needs it, not carried through the pipe
        if default is None and redact.is_secret_name(name):
            return match[0]  # and so is ?token=${API_TOKEN}
        return found or default or ""

    return _VARIABLE.sub(value, text)


def expanded(value: Any, environment: Mapping[str, str]) -> Any:
    """The same for every text in a JSON value."""
    if isinstance(value, str):
        return expand(value, environment)
    if isinstance(value, list):
        return [expanded(item, environment) for item in value]
    if isinstance(value, dict):
        return {key: expanded(item, environment) for key, item in value.items()}
    return value


def parse_manifest(data: bytes, environment: Mapping[str, str]) -> list[Record]:
    """The manifest's services as records; keys that we do not know are passed on. Raises ManifestError."""
    try:
        manifest = orjson.loads(data)
    except ValueError as wrong:
        raise ManifestError(f"not valid JSON: {wrong}") from None
    entries = manifest.get("services") if isinstance(manifest, dict) else None
    if not isinstance(entries, list):
        raise ManifestError('no list "services"')
    if not entries:
        raise ManifestError('the list "services" is empty')
    found: dict[str, Record] = {}
    for index, entry in enumerate(entries):
        where = f"services[{index}]"
        try:
            entry = expanded(entry, environment)
            known = msgspec.convert(entry, _Entry)
        except ManifestError as wrong:
            raise ManifestError(f"{where}: {wrong}") from None
        except RecursionError:
            raise ManifestError(f"{where}: nested too deeply") from None
        except KeyError as unset:
            raise ManifestError(f"{where}: the variable {unset.args[0]} is not set") from None
        except msgspec.ValidationError as wrong:
            raise ManifestError(f"{where}: {wrong}") from None
        if not known.name or not known.name.isprintable():
            raise ManifestError(f"{where}: the name is empty or not printable")
        if any(redact.has_secret(url) for url in [*known.internal, *known.external, known.docker_host or ""]):
            raise ManifestError(f"{where}: {redact.NO_PASSWORDS}")
        if known.name in found:
            raise ManifestError(f"{where}: a second service is named {known.name!r}")
        extra = {key: value for key, value in entry.items() if key not in ("name", "service", "v", "errors")}
        extra = redact.Redactor().value(extra)
        fields = {key: value for key, value in msgspec.to_builtins(known).items() if key != "name"}
        found[known.name] = records.new(known.name, **(extra | fields))
    return list(found.values())


def read_manifest(path: Path) -> list[Record]:
    """The records of a manifest file. Raises ManifestError, its message beginning with the file's name."""
    try:
        return parse_manifest(path.read_bytes(), os.environ)
    except OSError as failure:
        reason = (failure.strerror or str(failure)).lower()
        raise ManifestError(f"cannot read the manifest {str(path)!r}: {reason}") from None
    except ManifestError as wrong:
        raise ManifestError(f"{path}: {wrong}") from None


def discover(engine: Engine) -> list[Record]:
    """A record per container of the engine: Compose services by their service's name, others by their own.

    Published ports become checks: someone meant them to be reached. Exposed ones that are not published do not;
    images expose ports that nobody listens on. $COMPOSE_PROJECT_NAME limits it to one project.
    """
    project = os.environ.get("COMPOSE_PROJECT_NAME")
    listing = [
        each
        for each in reading.containers(engine)
        if not finding.is_one_off(each)
        and not finding.is_kept(each)
        and project in (None, "", finding.project_of(each))
    ]
    services = [finding.compose_service(each) for each in listing]
    taken = [name for each in listing for name in finding.names(each)] + services
    found = []
    for container, service in zip(listing, services, strict=True):
        own = (finding.names(container) or [container["Id"][:12]])[0]
        name = service if service and taken.count(service) == 1 else own
        ports = {
            port["PrivatePort"]
            for port in container.get("Ports") or []
            if port.get("PublicPort") and port.get("Type") == "tcp"
        }
        internal = [f"tcp://{own}:{port}" for port in sorted(ports)]
        found.append(records.new(name, container=own, docker_host=engine.host, internal=internal))
    return sorted(found, key=lambda record: str(record["service"]))
