"""Section `probe`: ask a service's URLs, from here, also those that only containers can resolve."""

from __future__ import annotations

import os
import re
from typing import Any
from urllib.parse import quote

from dm_tools import records
from dm_tools.collect import engine, http
from dm_tools.diagnose import redact, text
from dm_tools.records import Check, Probe, ProbeError, Status

EXCERPT_CHARACTERS = 400

Record = dict[str, Any]


def probe(record: Record, timeout: float) -> Record:
    """The record with its `probe` section; a URL that cannot be asked from here becomes an entry in `errors`."""
    urls = [(url, "internal") for url in record.get("internal") or []]
    urls += [(url, "external") for url in record.get("external") or []]
    if not urls:
        return _container(record, timeout)
    targets = []
    redactor = redact.Redactor(redact.following(record), _secrets(record))
    for index, (url, scope) in enumerate(urls):
        try:
            targets.append(_target(record, f"probe:{index}", _with_secrets(url), scope, timeout))
        except records.Problem as problem:
            record = records.with_error(record, "probe", problem.code, problem.message)
    for scope in ("internal", "external"):
        if any(redact.has_secret(url) for url in record.get(scope) or []):
            record = record | {scope: [redactor.url(url) for url in record[scope]]}
    checks = http.run(targets, timeout)
    for check in checks:
        check.url = redactor.url(check.url)
        if check.message is not None:  # it may quote what the server sent
            check.message = redactor.redact(check.message)
        if check.body_excerpt is not None:
            check.body_excerpt = redactor.redact(text.clean(check.body_excerpt))[:EXCERPT_CHARACTERS]
    return records.with_section(record, "probe", Probe(status=status(checks), checks=checks))


def status(checks: list[Check]) -> Status:
    """Healthy: all is well. Failed: nothing answers as it should. Degraded: some does, or the answer is a 4xx."""
    if not checks:
        return Status.UNKNOWN
    if all(check.ok for check in checks):
        return Status.HEALTHY
    if any(check.ok or check.error == ProbeError.HTTP_4XX for check in checks):
        return Status.DEGRADED
    return Status.FAILED


def _target(record: Record, check_id: str, url: str, scope: str, timeout: float) -> http.Target:
    try:
        target = http.Target(check_id, url, scope)
        host, port = target.parts.hostname, target.port
    except ValueError:
        host, port = None, 0
    if not host or not port or target.parts.scheme not in ("http", "https", "tcp"):
        shown = redact.url(url)
        raise records.Problem("bad_url", f"cannot ask {shown!r}: give http, https or tcp://HOST:PORT")
    if scope == "external":
        return target
    docker_host = record.get("docker_host")
    try:
        home = _home(record, timeout)
        container = engine.named(docker_host, host, home, timeout)
    except records.Problem as problem:
        if problem.code != "docker_unreachable":
            raise
        return target  # without Docker the name may still mean something to this machine's resolver
    if container is None:
        return target
    if container.get("State") not in engine.RUNNING:
        target.refused = (ProbeError.NOT_RUNNING, f"the container is {container.get('State')}")
    else:
        target.address = engine.address(docker_host, container, port)
        if target.address is None:
            target.refused = (ProbeError.NO_ADDRESS, "the container has no network address")
    return target


def _secrets(record: Record) -> list[str]:
    """The values of the variables that the record's URLs are filled in with: a page may repeat them."""
    urls = (record.get("internal") or []) + (record.get("external") or [])
    names = {match[1] for url in urls for match in redact.VARIABLE.finditer(url)}
    return [os.environ.get(name, "") for name in sorted(names)]


def _with_secrets(url: str) -> str:
    """The URL with the variables filled in that stand for its password or a token. Raises Problem unset_variable."""

    def value(match: re.Match[str]) -> str:
        is_password = redact.PASSWORD_VARIABLE.match(url, match.start()) is not None
        if not is_password and not redact.is_secret_name(match[1]):
            return match[0]
        found = os.environ.get(match[1])
        if not found:
            raise records.Problem("unset_variable", f"the variable {match[1]} of the URL's password is not set")
        return quote(found, safe="")

    return redact.VARIABLE.sub(value, url)


def _home(record: Record, timeout: float) -> engine.Container | None:
    try:
        return engine.find(record.get("docker_host"), record["service"], record.get("container"), timeout)
    except records.Problem as problem:
        if problem.code == "docker_unreachable":
            raise
        return None


def _container(record: Record, timeout: float) -> Record:
    """A service without URLs is judged by its container: it runs, and its healthcheck does not fail."""
    try:
        container = engine.find(record.get("docker_host"), record["service"], record.get("container"), timeout)
    except records.Problem as problem:
        record = records.with_error(record, "probe", problem.code, problem.message)
        return records.with_section(record, "probe", Probe(status=Status.UNKNOWN, checks=[]))
    name = (engine.names(container) or [container["Id"][:12]])[0]
    check = Check(id="probe:0", url=f"container:{name}", kind="container", scope="internal", ok=True)
    if container.get("State") != "running":
        check.error, check.message = ProbeError.NOT_RUNNING, f"the container is {container.get('State')}"
        if container.get("State") == "exited" and container.get("Status", "").startswith("Exited (0)"):
            check.message = "the container has ended with exit code 0"
    elif "(unhealthy)" in container.get("Status", ""):
        check.error, check.message = ProbeError.UNHEALTHY, "the container's healthcheck fails"
    check.ok = check.error is None
    return records.with_section(record, "probe", Probe(status=status([check]), checks=[check]))
