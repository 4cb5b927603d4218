"""Section `probe`: ask a service's URLs, from here, also those that only containers can resolve."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import msgspec

from dm_tools import records, redact, text
from dm_tools.collect import http, spoken, targets
from dm_tools.engine import finding
from dm_tools.engine.connection import Engines
from dm_tools.evidence.ids import parse
from dm_tools.records import Check, Discovered, Probe, ProbeError, Status

EXCERPT_CHARACTERS = 400

Record = dict[str, Any]


def probe(record: Record, engines: Engines, timeout: float, manner: http.Manner | None = None) -> Record:
    """The record with its `probe` section; a URL that cannot be asked from here becomes an entry in `errors`.
    `manner`: how the URLs that were configured are asked."""
    urls = targets.urls(record)
    if not urls:
        return _container(record, engines)
    asked: list[Coroutine[Any, Any, Check | None]] = []
    known = targets.discovered(record)
    redactor = redact.Redactor(redact.following(record), targets.secrets(record))
    for index, (url, scope) in enumerate(urls):
        try:
            target = targets.target(record, f"probe:{index}", targets.with_secrets(url), scope, engines)
        except records.Problem as problem:
            record = records.with_error(record, "probe", problem.code, problem.message)
        else:
            found = known.get(url)
            asked.append(spoken.ask(target, found, timeout) if found else http.check(target, timeout, manner))
    record = targets.without_secrets(record, redactor)
    checks = http.run(asked)
    if known:
        record = _corrected(record, checks, known)
        if not checks and not targets.urls(record):
            return _container(record, engines)
    for check in checks:
        check.url = redactor.url(check.url)
        if check.message is not None:  # it may quote what the server sent
            check.message = redactor.redact(check.message)
        if check.note is not None:
            check.note = redactor.redact(check.note)
        if check.body_excerpt is not None:
            check.body_excerpt = redactor.redact(text.clean(check.body_excerpt))[:EXCERPT_CHARACTERS]
    return records.with_section(record, "probe", Probe(status=status(checks), checks=checks))


def _corrected(record: Record, checks: list[Check], known: dict[str, Discovered]) -> Record:
    """The record whose discovered URLs are what they turned out to be, and lead to where they were answered."""
    urls = targets.urls(record)
    turned_out = {urls[parse(check.id).number or 0][0]: check for check in checks}
    corrected: dict[str, str | None] = {}
    for url, found in known.items():
        check = turned_out.get(url)
        corrected[url] = check.url if check else None if found.optional else url
        if check is not None and check.address in found.addresses:
            found.addresses = [check.address]
    for scope in ("internal", "external"):
        now = [corrected.get(url, url) for url in record.get(scope) or []]
        record = record | {scope: [url for url in now if url is not None]}
    kept = [msgspec.structs.replace(found, url=corrected[url]) for url, found in known.items() if corrected[url]]
    return records.with_section(record, "discovered", kept)


def status(checks: list[Check]) -> Status:
    """Healthy: all is well. Failed: nothing answers as it should. Degraded: some does, or the answer is a 4xx."""
    if not checks:
        return Status.UNKNOWN
    if all(check.ok for check in checks):
        return Status.HEALTHY
    if any(check.ok or check.error == ProbeError.HTTP_4XX for check in checks):
        return Status.DEGRADED
    return Status.FAILED


def _container(record: Record, engines: Engines) -> Record:
    """A service without URLs is judged by its container: it runs, and its healthcheck does not fail."""
    if record.get("swarm") is not None or records.stands_alone(record):
        return record  # one container tells little of a service of many tasks: its manager said how it is
    try:
        container = finding.find(engines.of(record), record)
    except records.Problem as problem:
        record = records.with_error(record, "probe", problem.code, problem.message)
        return records.with_section(record, "probe", Probe(status=Status.UNKNOWN, checks=[]))
    name = (finding.names(container) or [container["Id"][:12]])[0]
    check = Check(id="probe:0", url=f"container:{name}", kind="container", scope="internal", ok=True)
    if container.get("State") != "running":
        check.error, check.message = ProbeError.NOT_RUNNING, f"the container is {container.get('State')}"
        if container.get("State") == "exited" and container.get("Status", "").startswith("Exited (0)"):
            check.message = "the container has ended with exit code 0"
    elif "(unhealthy)" in container.get("Status", ""):
        check.error, check.message = ProbeError.UNHEALTHY, "the container's healthcheck fails"
    check.ok = check.error is None
    return records.with_section(record, "probe", Probe(status=status([check]), checks=[check]))
