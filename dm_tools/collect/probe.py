"""Section `probe`: ask a service's URLs, from here, also those that only containers can resolve."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec

from dm_tools import records, redact, text
from dm_tools.collect import expecting, http, spoken, targets
from dm_tools.engine import finding
from dm_tools.engine.connection import Engines
from dm_tools.evidence.ids import parse
from dm_tools.pipe import say
from dm_tools.records import Check, Discovered, Probe, ProbeError, Status, Wanted

EXCERPT_CHARACTERS = 400
RETRY_SECONDS = 1.0

Record = dict[str, Any]
Ask = Callable[[], Coroutine[Any, Any, Check | None]]


@dataclass
class Way:
    """How the URLs that were configured are asked, where the manifest says nothing else of one.

    `wanted`: what of all of them, whatever its URL. `retries`: how often one that fails is asked again, a second later.
    """

    manner: http.Manner | None = None
    wanted: Wanted | None = None
    retries: int = 0
    kept: dict[tuple[str, str], tuple[float, Check]] = field(default_factory=dict)  # of URLs with an interval


def probe(record: Record, engines: Engines, timeout: float, way: Way | None = None) -> Record:
    """The record with its `probe` section; a URL that cannot be asked from here becomes an entry in `errors`."""
    way = way or Way()
    urls = targets.urls(record)
    if not urls:
        return _container(record, engines)
    asked: dict[str, Ask] = {}
    checks: list[Check] = []
    wishes: dict[str, Wanted] = {}
    known, said = targets.discovered(record), {each.url: each for each in records.sections(record, "wanted", Wanted)}
    redactor = redact.Redactor(redact.following(record), targets.secrets(record))
    for index, (url, scope) in enumerate(urls):
        own, check_id = said.get(url), f"probe:{index}"
        if before := _still_counts(way, record, own):
            checks.append(msgspec.structs.replace(before, id=check_id))
            continue
        try:
            target = targets.target(record, check_id, targets.with_secrets(url), scope, engines)
            manner = _manner(own) if own else way.manner
        except records.Problem as problem:
            record = records.with_error(record, "probe", problem.code, problem.message)
            continue
        found = known.get(url)
        if found or target.parts.scheme in ("https", "tls"):
            http.trust()
        if found:
            asked[check_id] = partial(spoken.ask, target, found, timeout)
        else:
            asked[check_id] = partial(http.check, target, timeout, manner)
            if wish := own or way.wanted:
                wishes[check_id] = wish
    record = targets.without_secrets(record, redactor)
    made = _answers(asked, wishes, way.retries)
    if known:
        record = _corrected(record, made, known)
        if not made and not checks and not targets.urls(record):
            return _container(record, engines)
    for check in made:
        check.url = redactor.url(check.url)
        if check.message is not None:  # it may quote what the server sent
            check.message = redactor.redact(check.message)
        if check.note is not None:
            check.note = redactor.redact(check.note)
        if check.body_excerpt is not None:
            check.body_excerpt = redactor.redact(text.clean(check.body_excerpt))[:EXCERPT_CHARACTERS]
        if say.talkative:
            at = f" at {check.address}" if check.address else ""
            say.detail(
                f"asked {check.url}{at}: {check.error or check.status_code or 'ok'}, {check.total_ms or 0:.0f} ms"
            )
        if (wish := wishes.get(check.id)) and wish.interval_s:
            way.kept[record["service"], wish.url] = time.monotonic(), check
    checks = sorted(checks + made, key=lambda check: parse(check.id).number or 0)
    return records.with_section(record, "probe", Probe(status=status(checks), checks=checks))


def _answers(asked: dict[str, Ask], wishes: dict[str, Wanted], retries: int) -> list[Check]:
    """The checks, judged by what is wanted of them; those that fail are made again."""
    found: dict[str, Check] = {}
    for attempt in range(retries + 1):
        if attempt:
            time.sleep(RETRY_SECONDS)
        failing = [ask for check_id, ask in asked.items() if check_id not in found or not found[check_id].ok]
        for check in http.run([ask() for ask in failing]):
            if check.id in wishes:
                expecting.judge(check, wishes[check.id])
            found[check.id] = check
        if all(check.ok for check in found.values()):
            break
    return list(found.values())


def _manner(wanted: Wanted) -> http.Manner:
    """How a URL is asked of which the manifest says more. Raises Problem unset_variable."""
    headers = tuple((name, targets.filled(value)) for name, value in wanted.headers.items())
    return http.Manner(verify=not wanted.insecure, headers=headers, method=wanted.method)


def _still_counts(way: Way, record: Record, wanted: Wanted | None) -> Check | None:
    """The check of an earlier round, if the URL's interval is not over."""
    if wanted is None or not wanted.interval_s:
        return None
    at, check = way.kept.get((record["service"], wanted.url), (0.0, None))
    return check if check is not None and time.monotonic() - at < wanted.interval_s else None


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


_ANSWERS = (ProbeError.HTTP_4XX, ProbeError.UNEXPECTED_ANSWER, ProbeError.TLS_EXPIRES_SOON)


def status(checks: list[Check]) -> Status:
    """Healthy: all is well. Failed: nothing answers as it should. Degraded: some does, or it answers amiss."""
    if not checks:
        return Status.UNKNOWN
    if all(check.ok for check in checks):
        return Status.HEALTHY
    if any(check.ok or check.error in _ANSWERS for check in checks):
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
