"""The digest of one record: what judgement keeps of a service while its record waits on disk."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Any

from dm_tools.diagnose.topology import Node, node
from dm_tools.evidence import pages as page
from dm_tools.evidence.ids import resolve, time_of
from dm_tools.evidence.view import View, recent
from dm_tools.evidence.words import quote
from dm_tools.patterns.language import Library
from dm_tools.patterns.matching import READ_RANK, Hit, Places, matches
from dm_tools.records import Inspect, Status, Verdict
from dm_tools.text.last_words import Words, last_words, quoted
from dm_tools.text.shorten import short

LAST_ITEMS = 5  # of a log: what its program says now


@dataclass
class Facts:
    """What judgement keeps of one record; small, so that a large stack fits in memory."""

    node: Node
    status: Status
    hits: list[Hit]
    values: dict[str, str]  # what explanations may mention
    looked_at: list[str]
    quotes: dict[str, str]  # the evidence of the hits and alarms, those that stand for something, as short text
    times: dict[str, str]  # when evidence appeared, where that is known: RFC 3339 UTC
    alarms: list[str]  # ids of what shows that the service does not work
    last_words: frozenset[str] = frozenset()  # ids of the log's end, where nothing else says whether it works


def facts(record: dict[str, Any], library: Library) -> Facts:
    """The digest of one record. Raises records.Problem if a section is malformed."""
    view = View.of(record)
    places = Places(library, view)
    hits = [] if view.finished else matches(library, places)
    read = any(hit.pattern.rank >= READ_RANK for hit in hits)
    words = _last_words(view, hits, read)
    alarms = _alarms(view) + ([words.id] if words and not read else [])
    ids = {
        "inspect:networks",
        *alarms,
        *(each for hit in hits for each in hit.evidence),
        *(each for hit in hits for each in hit.oldest),
    }
    found = {each: value for each in ids if (value := resolve(view, each)) is not None}
    return Facts(
        node=node(record, view, library, places.haystack, hits),
        status=view.status,
        hits=hits,
        values=_values(view) | {"last_words": quoted(words)},
        looked_at=view.looked_at,
        quotes={each: short(quote(value)) for each, value in found.items()},
        times={each: stamp for each, value in found.items() if (stamp := time_of(value) or _ended(view, each))},
        alarms=alarms,
        last_words=frozenset(line.id for line in recent(view)[-LAST_ITEMS:]) if view.unasked else frozenset(),
    )


def _ended(view: View, evidence_id: str) -> str | None:
    """When a container ended: what Docker says of one that does not run is true since then."""
    stopped = view.inspect if view.inspect and view.inspect.state in ("exited", "dead") else None
    return stopped.finished_at if stopped and evidence_id.startswith("inspect:") else None


def _alarms(view: View) -> list[str]:
    """The evidence that a service does not work, whatever the reason: not its state only, but who says so."""
    found = [check.id for check in (view.probe.checks if view.probe else []) if not check.ok][:1]
    if view.inspect and (view.inspect.state != "running" or view.looping):
        found.append("inspect:state")
    elif view.inspect and view.inspect.health == "unhealthy":
        found.append("inspect:health")
    found += [each.id for each in view.pages if each.verdict in page.BROKEN][:1]
    return found


def _values(view: View) -> dict[str, str]:
    """What explanations may mention of a service, all of it short and printable."""
    values = {"service": view.service}
    if view.inspect:
        values |= _container_values(view.inspect)
    if view.stats:
        values |= {key: f"{getattr(view.stats, key) or 0:g}" for key in ("memory_percent", "throttled_percent")}
    failed = [check for check in (view.probe.checks if view.probe else []) if not check.ok]
    values["probe_message"] = failed[0].message or "" if failed else ""
    values["page_message"] = _of_page(view)
    expired = [check.certificate.not_after for check in failed if check.certificate]
    values["certificate_date"] = f" (on {expired[0][:10]})" if expired else ""
    return {key: short(value) for key, value in values.items()}


def _container_values(inspect: Inspect) -> dict[str, str]:
    number = (inspect.exit_code or 0) - 128
    name = signal.Signals(number).name if number in set(signal.Signals) else ""
    limit = inspect.limits.memory_bytes
    return {
        "exit_code": str(inspect.exit_code),
        "exit_note": f", exit code {inspect.exit_code}" if inspect.state != "running" else "",
        "signal": f" ({name})" if name else "",
        "restart_policy": inspect.restart_policy,
        "restart_count": str(inspect.restart_count),
        "error": inspect.error or "",
        "limit_memory": f"{limit / 2**20:.0f} MiB" if limit else "the whole machine (no limit is set)",
    }


def _of_page(view: View) -> str:
    """Why the first page that is not well is not: the page and the first reasons."""
    well = (Verdict.OK, Verdict.LOGIN)
    bad = next((each for each in view.pages if each.verdict not in well and each.reasons), None)
    return f"{bad.url}: {'; '.join(each.message for each in bad.reasons[:2])}" if bad else ""


def _last_words(view: View, hits: list[Hit], read: bool) -> Words | None:
    """What the log of a service in trouble says: the lines that a rule only recognised, or where none did the end."""
    quoting = next((hit for hit in hits if "{last_words}" in hit.pattern.explanation), None)
    lines = [line for line in recent(view) if quoting and line.id in quoting.evidence]
    if lines or read or view.status not in (Status.FAILED, Status.DEGRADED):
        return last_words(lines, ended=True)
    return last_words(recent(view), ended=view.down)
