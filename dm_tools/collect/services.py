"""Where records begin: the services manifest, or what Docker says is there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
import orjson

from dm_tools import records, redact
from dm_tools.collect import discover as discovering
from dm_tools.collect import expecting, swarm
from dm_tools.engine import finding, reading, swarming
from dm_tools.engine.connection import Container, Engine
from dm_tools.pipe import configs, say, settings
from dm_tools.text.late import late
from dm_tools.text.near import meant, nearest

Record = dict[str, Any]

# ${NAME}, ${NAME:-default} as in Compose; $$ is a dollar. What else begins with ${ is a mistake.
_VARIABLE = late(r"\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|(\{[^}]{0,40}\}?))")


MAX_TEXT = 64 * 1024  # characters of a text of the manifest, once its variables are replaced


class ManifestError(Exception):
    """The manifest cannot be used; the message says which file, which entry and why."""


class WrongChoiceError(Exception):
    """A name is no service's, or an engine does not take a value of --filter."""


class NothingFoundError(Exception):
    """The engine has no container that could be looked at; the message says which engine, and of which project."""


class _Entry(msgspec.Struct):
    name: str
    internal: list[str] = []
    external: list[str] = []
    container: str | Literal[False] | None = None
    docker_host: str | None = None


_KEYS = ("name", "internal", "external", "container", "docker_host", "depends_on", "v")
_TOP = ("services", "v", "version", "$schema")


def _check_keys(value: Any, known: tuple[str, ...]) -> None:
    """A key that is misspelt would be a check that nobody makes. Raises ManifestError."""
    for key in value if isinstance(value, dict) else ():
        if key not in known and not key.startswith("x-"):
            near = nearest(key, known)
            hint = f"did you mean {near!r}?" if near else f"there are: {', '.join(known)}"
            raise ManifestError(f"unknown key {key[:100]!r}: {hint} (a key of your own begins with x-)")


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

    size = len(text)

    def bounded(match: re.Match[str]) -> str:
        nonlocal size
        found = value(match)
        size += len(found)
        if size > MAX_TEXT:
            raise ManifestError(f"a text becomes longer than {MAX_TEXT // 1024} KiB by what its variables stand for")
        return found

    return _VARIABLE.sub(bounded, text)


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
    """The manifest's services as records; keys that begin with x- are passed on as they are. Raises ManifestError."""
    try:
        manifest = orjson.loads(data)
    except ValueError as wrong:
        raise ManifestError(f"not valid JSON: {wrong}") from None
    _check_keys(manifest, _TOP)
    entries = manifest.get("services") if isinstance(manifest, dict) else None
    if not isinstance(entries, list):
        raise ManifestError('no list "services"')
    if not entries:
        raise ManifestError('the list "services" is empty')
    found: dict[str, Record] = {}
    for index, entry in enumerate(entries):
        where = f"services[{index}]"
        try:
            _check_keys(entry, _KEYS)
            entry, wanted = _with_plain_urls(entry, environment)
            entry = expanded(entry, environment)
            known = msgspec.convert(entry, _Entry)
        except ManifestError as wrong:
            raise ManifestError(f"{where}: {wrong}") from None
        except RecursionError:
            raise ManifestError(f"{where}: nested too deeply") from None
        except KeyError as unset:
            raise ManifestError(f"{where}: the variable {unset.args[0]} is not set") from None
        except (msgspec.ValidationError, ValueError) as wrong:
            raise ManifestError(f"{where}: {wrong}") from None
        if not known.name or not known.name.isprintable():
            raise ManifestError(f"{where}: the name is empty or not printable")
        if any(redact.has_secret(url) for url in [*known.internal, *known.external, known.docker_host or ""]):
            raise ManifestError(f"{where}: {redact.NO_PASSWORDS}")
        if known.name in found:
            raise ManifestError(f"{where}: a second service is named {known.name!r}")
        extra = {key: value for key, value in entry.items() if key == "depends_on" or key.startswith("x-")}
        extra = redact.Redactor().value(extra)
        if known.container is False:
            extra["outside"], known.container = True, None
        fields = {key: value for key, value in msgspec.to_builtins(known).items() if key != "name"}
        found[known.name] = records.new(known.name, **(extra | fields))
        if wanted:
            found[known.name] = records.with_section(found[known.name], "wanted", wanted)
    return list(found.values())


def _with_plain_urls(entry: Any, environment: Mapping[str, str]) -> tuple[Any, list[records.Wanted]]:
    """An entry whose URLs are texts, and what it wants of those that it says more of. Raises as `parse_manifest`."""
    wanted = []
    for scope in ("internal", "external"):
        urls = entry.get(scope) if isinstance(entry, dict) else None
        for index, each in enumerate(urls if isinstance(urls, list) else ()):
            if not isinstance(each, dict):
                continue
            _check_keys(each, expecting.KEYS)
            # A header's variables are dm-probe's to fill in: they are secrets, as a rule.
            filled = {key: value if key == "headers" else expanded(value, environment) for key, value in each.items()}
            try:
                given = msgspec.convert(filled, expecting.Url)
                interval = settings.seconds(given.interval) if given.interval else None
                if given.interval and not interval:
                    raise ValueError(f"{given.interval!r} is no time (30s, 5m, 2h)")
                wanted.append(expecting.wanted(given, interval))
            except ValueError as wrong:
                raise ManifestError(f"{scope}[{index}]: {wrong}") from None
            urls = [*urls[:index], each.get("url"), *urls[index + 1 :]]  # type: ignore[index]
        if urls is not None:
            entry = entry | {scope: urls}
    return entry, wanted


def read_manifest(path: Path) -> list[Record]:
    """The records of a manifest file. Raises ManifestError, its message beginning with the file's name."""
    try:
        return parse_manifest(path.read_bytes(), settings.variables())
    except OSError as failure:
        reason = (failure.strerror or str(failure)).lower()
        missing = isinstance(failure, FileNotFoundError)
        otherwise = " (--discover asks Docker instead; dm docs manifest)" if missing else ""
        raise ManifestError(f"cannot read the manifest {str(path)!r}: {reason}{otherwise}") from None
    except ManifestError as wrong:
        raise ManifestError(f"{path}: {wrong}") from None


def known(engine: Engine) -> list[Record]:
    """The stack as the sessions see it: of the manifest that the settings name, if it is there, else of the engine.
    Raises ManifestError, NothingFoundError, records.Problem."""
    path = Path(os.environ.get("SERVICES_MANIFEST_PATH") or configs.manifest())
    return read_manifest(path) if path.is_file() else discover(engine)


def names(engine: Engine) -> list[str]:
    """What the services of `known` are called, with one question at most. Raises ManifestError, records.Problem."""
    path = Path(os.environ.get("SERVICES_MANIFEST_PATH") or configs.manifest())
    if path.is_file():
        return [record["service"] for record in read_manifest(path)]
    listing = [each for each in reading.containers(engine) if not finding.is_one_off(each)]
    return [name for name, _, _ in finding.told_apart(listing, finding.of_folder(listing))]


def project_of_file(engine: Engine, file: Path) -> str:
    """The project that Compose has started from a file. Raises NothingFoundError, records.Problem."""
    if (project := finding.of_file(reading.containers(engine), file)) is None:
        raise NothingFoundError(f"nothing to look at: Docker at {engine.name} has no container of {str(file)!r}")
    return project


def discover(engine: Engine, known: Known | None = None) -> list[Record]:
    """A record per container of the engine: Compose services by their service's name, others by their own.

    Where services of several projects have one name, those of the current folder's project keep it.

    Published ports become checks: someone meant them to be reached. Of exposed ones that are not published only those
    for HTTP do, where nobody else asks, and only if somebody answers: images expose ports that nobody listens on.
    Of a Swarm manager also its services and nodes: its tasks' containers are no services of their own, and on any
    node those that have ended are history. $COMPOSE_PROJECT_NAME limits it to one project, or stack. `known` holds what
    was asked in the round before: a container of which the list says nothing else is not inspected again.
    Raises NothingFoundError, WrongChoiceError.
    """
    known = Known() if known is None else known
    project = os.environ.get("COMPOSE_PROJECT_NAME")
    whole = reading.containers(engine, fresh=True)
    cluster = swarming.cluster(engine)
    everything = [
        each
        for each in whole
        if not finding.is_one_off(each) and not finding.is_kept(each) and not swarming.is_told(each, cluster)
    ]
    listing = [each for each in everything if project in (None, "", finding.project_of(each))]
    if known.filters:
        passed = _passing(engine, known.filters)
        listing = [each for each in listing if each["Id"] in passed]
    # A filter is about containers, of which a swarm's service is none.
    tasks = swarm.found(engine, cluster, whole, project) if cluster and not known.filters else []
    if not listing and not tasks:
        others = sorted({name for each in everything if (name := finding.project_of(each))})
        where = "" if known.project_typed else " (COMPOSE_PROJECT_NAME)"
        of = f" of the project {project!r}{where}" if project else ""
        of += " that passes --filter" if known.filters else ""
        there = f"; there are: {', '.join(others)}" if others else ""
        there += meant(project, others) if project else ""
        raise NothingFoundError(f"nothing to look at: Docker at {engine.name} has no container{of}{there}")
    named = finding.told_apart(listing, finding.of_folder(listing))
    inspected = {container["Id"]: known.inspected(engine, container) for _, _, container in named}
    known.forget_others(inspected)
    routes = [
        route
        for name, _, container in named
        for route in discovering.routes(name, finding.labels(container), _environment(inspected[container["Id"]]))
    ]
    found = []
    for name, own, container in named:
        chosen = discovering.urls(container, inspected[container["Id"]], engine.label, routes)
        scopes = {
            "internal": [each.url for each in chosen if not each.addresses],
            "external": [each.url for each in chosen if each.addresses],
        }
        record = records.new(name, container=own, docker_host=engine.host, **scopes)
        found.append(records.with_section(record, "discovered", chosen))
    return found + tasks


def named(found: list[Record], names: tuple[str, ...], may_come: bool) -> list[Record]:
    """The records of these services; without names all. `may_come`: a service that is not there yet is said once, and
    it is looked again. Raises WrongChoiceError, NothingFoundError."""
    there = [record["service"] for record in found]
    unknown = next((each for each in sorted(names) if each not in there), None)
    if unknown is not None:
        wrong = f"no service {unknown!r}; there are: {', '.join(there)}{meant(unknown, there)}"
        if not may_come:
            raise WrongChoiceError(wrong)
        if not set(names) & set(there):
            raise NothingFoundError(wrong)
        say.once(wrong)
    return [record for record in found if not names or record["service"] in names]


def _passing(engine: Engine, filters: dict[str, list[str]]) -> set[str]:
    """The ids that pass --filter. Raises WrongChoiceError, Problem."""
    try:
        return reading.matching(engine, filters)
    except records.Problem as problem:
        if problem.code != "docker_error":
            raise
        words = " ".join(f"{key}={value}" for key, values in filters.items() for value in values)
        raise WrongChoiceError(f"--filter {words}: {problem.message.removeprefix('list of containers: ')}") from None


class Known:
    """What the engine said of running containers, kept while its list says the same of them.

    `filters` as the engine's: only what passes them is discovered. `project_typed`: the project was named
    on the command line, and not in the environment.
    """

    def __init__(self, filters: dict[str, list[str]] | None = None) -> None:
        self.filters = filters or {}
        self.project_typed = False
        self._answers: dict[str, tuple[Container, dict[str, Any]]] = {}

    def inspected(self, engine: Engine, container: Container) -> dict[str, Any]:
        """As _inspected."""
        listed = {key: value for key, value in container.items() if key != "Status"}  # "Up 3 minutes"
        before = self._answers.get(container["Id"])
        if before is None or before[0] != listed or not before[1]:
            before = self._answers[container["Id"]] = listed, _inspected(engine, container)
        return before[1]

    def forget_others(self, ids: Iterable[str]) -> None:
        """Keep the answers about these containers only."""
        kept = set(ids)
        self._answers = {each: answer for each, answer in self._answers.items() if each in kept}


def _inspected(engine: Engine, container: Container) -> dict[str, Any]:
    """What the engine knows of a running container; nothing if it is gone meanwhile: then its list must do."""
    if container.get("State") != "running":
        return {}
    try:
        return reading.inspect(engine, container["Id"])
    except records.Problem:
        return {}


def _environment(raw: dict[str, Any]) -> dict[str, str]:
    return dict(entry.partition("=")[::2] for entry in (raw.get("Config") or {}).get("Env") or [])
