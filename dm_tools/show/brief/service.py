"""What a briefing keeps of one service: how it is, what it says, what happened to it. Bounded in size."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dm_tools.diagnose.topology import Node, node
from dm_tools.evidence import requests
from dm_tools.evidence.ids import own
from dm_tools.evidence.telling import Answered, Telling, answered, condensed, telling
from dm_tools.evidence.view import View
from dm_tools.evidence.words import fine, size, told
from dm_tools.patterns.haystack import Haystack
from dm_tools.patterns.language import Library
from dm_tools.records import Analysis, Check, Inspect, Mount, Page, Quoted, Status, Verdict, section
from dm_tools.show.brief.words import MAX_QUOTED, MAX_TALK, duration, name
from dm_tools.text.shorten import short
from dm_tools.text.times import seconds_between

Json = dict[str, Any]

MAX_LINES = 30  # items of a log that are kept of each service
MAX_EVENTS = 60  # events kept of each service
_CLOUDY = re.compile(r"[0-9a-f]{40,64}")
NO_LIBRARY = Library()  # names, addresses and ports tell who needs whom; no pattern is asked
_NO_LOG = Haystack(NO_LIBRARY.searcher, [])


@dataclass
class Happened:
    """Something that happened to a service, `count` times. Times are RFC 3339."""

    first: str
    last: str
    words: str
    count: int
    value: float


@dataclass
class Kept:
    """What is kept of one record; bounded, so that a large stack fits in memory."""

    name: str
    host: str | None
    node: Node
    status: Status
    verdict: Analysis | None
    inspect: Inspect | None
    row: str
    remarks: list[tuple[str, float]]  # quoted below its row, and how much each tells, 0 to 1
    lines: list[Telling]
    texts: dict[str, str]  # id -> the item in short
    items: int
    answered: list[Answered]
    words: dict[str, Quoted]  # what the evidence of its own verdict says
    fine: list[str]
    events: list[Happened]
    unseen: list[str]
    newest: str | None
    remarkable: bool


def kept(record: Json) -> Kept:
    """What is kept of a record. Raises records.Problem if a section of it is malformed."""
    view = View.of(record)
    verdict = section(record, "analysis", Analysis)
    inspect = view.inspect
    found = telling(view)[:MAX_LINES]
    ids = own(verdict.evidence) if verdict else []
    ids += [each for finding in (verdict.findings if verdict else []) for each in own(finding.evidence[:2])]
    lines = view.logs.lines if view.logs else []
    status = verdict.status if verdict else view.status
    remarks = list(_remarks(view, status))
    return Kept(
        name=view.service,
        host=record.get("docker_host") if isinstance(record.get("docker_host"), str) else None,
        node=node(record, view, NO_LIBRARY, _NO_LOG, [], requests.read(lines[-requests.MAX_LINES :])),
        status=status,
        verdict=verdict,
        inspect=inspect,
        row=_row(view, status),
        remarks=remarks,
        lines=found,
        texts={each.line.id: condensed(each.line.text, MAX_QUOTED if each.weight > 2 else MAX_TALK) for each in found},
        items=max(view.logs.total_lines, len(lines)) if view.logs else 0,
        answered=answered(view),
        words={each: told(view, each) for each in dict.fromkeys(ids)},
        fine=[each.text for each in fine(view, verdict.evidence if verdict else [])],
        events=_happened(inspect),
        unseen=list(_unseen(record, view)),
        newest=lines[-1].ts if lines else None,
        remarkable=any(tells > 0.2 for _, tells in remarks) or status not in (Status.HEALTHY, Status.UNKNOWN),
    )


def _row(view: View, status: Status) -> str:
    """A service on one line."""
    parts = [f"- {name(view.service)} [{status}]"]
    inspect = view.inspect
    if inspect:
        parts.append(name(_CLOUDY.sub(lambda match: match[0][:12], inspect.image)) + ":")
        parts.append(_state(inspect))
    else:
        parts.append("there is no container:" if view.missing else "its container was not looked at:")
    asked = [_asked(check) for check in (view.probe.checks if view.probe else []) if check.kind != "container"]
    if asked:
        parts.append("; asked " + ", ".join(asked[:6]) + (f" and {len(asked) - 6} more" if len(asked) > 6 else ""))
    pages = Counter(str(page.verdict) for page in view.pages)
    if pages:
        parts.append("; pages " + ", ".join(f"{count} {verdict}" for verdict, count in pages.items()))
    if view.stats:
        parts += [f"; {each}" for each in _figures(view, status in (Status.FAILED, Status.DEGRADED))]
    return " ".join(parts).replace(" ;", ";")


def _state(inspect: Inspect) -> str:
    parts = [inspect.state]
    if inspect.state == "running":
        parts.append(f"for {duration(seconds_between(inspect.started_at, inspect.observed_at))}")
    else:
        parts.append(f"exit code {inspect.exit_code}")
        if inspect.exit_code is not None and 128 < inspect.exit_code < 160:
            parts.append(f"(signal {inspect.exit_code - 128})")
        if inspect.finished_at:
            ran = seconds_between(inspect.started_at, inspect.finished_at)
            ended = seconds_between(inspect.finished_at, inspect.observed_at)
            parts.append(f"ended {duration(ended)} ago after {duration(ran)}")
    if inspect.health:
        streak = f" {inspect.failing_streak} times in a row" if inspect.failing_streak else ""
        parts.append(f", health {inspect.health}{streak}")
    if inspect.restart_count:
        parts.append(f", restarted {inspect.restart_count} times (policy {inspect.restart_policy})")
    elif inspect.state != "running":
        parts.append(f", restart policy {inspect.restart_policy or 'no'}")
    if inspect.oom_killed:
        parts.append(", killed for lack of memory")
    return " ".join(parts).replace(" ,", ",")


def _asked(check: Check) -> str:
    answer = str(check.status_code or "ok") if check.ok else f"{check.error or 'failed'}"
    if not check.ok and check.status_code:
        answer += f" {check.status_code}"
    took = f" in {check.total_ms:.0f} ms" if check.total_ms is not None and check.total_ms >= 1 else ""
    return f"{short(check.url, 100)} → {answer}{took}"


MEMORY_PERCENT, CPU_PERCENT, THROTTLED_PERCENT, PIDS_SHARE = 75.0, 75.0, 10.0, 0.8


def _figures(view: View, every: bool) -> Iterator[str]:
    """The figures that are remarkable; with `every` also what memory and processor are used."""
    stats = view.stats
    if stats is None:
        return
    if stats.memory_percent is not None and (every or stats.memory_percent >= MEMORY_PERCENT):
        limit = f" of {size(stats.memory_limit_bytes)}" if stats.memory_limit_bytes else ""
        yield f"memory {stats.memory_percent:g} %{limit}"
    if stats.cpu_percent is not None and (every or stats.cpu_percent >= CPU_PERCENT):
        yield f"cpu {stats.cpu_percent:g} % of one core"
    if stats.throttled_percent is not None and stats.throttled_percent >= THROTTLED_PERCENT:
        yield f"throttled {stats.throttled_percent:g} %"
    if stats.pids and stats.pids_limit and stats.pids >= PIDS_SHARE * stats.pids_limit:
        yield f"{stats.pids} of {stats.pids_limit} processes"


# Folders of a system: a mount over one of them hides what the image brought.
_SYSTEM = re.compile(r"/(?:etc|usr|bin|sbin|lib|lib64|opt|root|var|proc|sys|dev|run|app)?/?\Z")
_FILE = re.compile(r"/[^/]+\.[A-Za-z0-9]{1,8}\Z")
MAX_MOUNTS, MAX_NAMES, CERTIFICATE_DAYS = 6, 24, 14
_EVERYWHERE = frozenset(("PATH", "LANG", "HOME", "HOSTNAME", "LC_ALL", "TZ", "PWD", "SHLVL", "TERM", "GPG_KEY"))


def _remarks(view: View, status: Status) -> Iterator[tuple[str, float]]:
    """What is quoted below a service's row, and how much each tells, 0 to 1."""
    inspect = view.inspect
    bad = status in (Status.FAILED, Status.DEGRADED)
    if inspect:
        if inspect.error:
            yield f"the engine says: {condensed(inspect.error, 2 * MAX_QUOTED)}", 1.0
        failed = [each for each in inspect.health_log if each.exit_code != 0]
        if failed:
            count = f" ({len(failed)} of the last {len(inspect.health_log)})"
            words = condensed(failed[-1].output, MAX_QUOTED) or "(it printed nothing)"
            yield f"healthcheck ended with {failed[-1].exit_code}{count}: {words}", 0.9
    for check in view.probe.checks if view.probe else []:
        if not check.ok and check.kind != "container":
            body = f"; it answered: {condensed(check.body_excerpt, MAX_TALK)}" if check.body_excerpt else ""
            yield f"{short(check.url, 100)}: {condensed(check.message or str(check.error), MAX_TALK)}{body}", 0.9
        if check.certificate and check.certificate.expires_in_days < CERTIFICATE_DAYS:
            days = check.certificate.expires_in_days
            when = f"expired {-days:.0f} days ago" if days < 0 else f"expires in {days:.0f} days"
            yield f"{short(check.url, 100)}: its certificate {when}", 1.0
    for page in view.pages:
        yield from ((words, 0.8) for words in _page(page))
    if inspect:
        if inspect.network_mode.startswith("container:") or inspect.network_mode in ("host", "none"):
            yield f"network mode {_CLOUDY.sub(lambda match: match[0][:12], short(inspect.network_mode, 80))}", 0.3
        odd = [each for each in inspect.mounts if _odd(each)]
        shown = [*odd, *(each for each in inspect.mounts if each not in odd)] if bad else odd
        if shown:
            yield "mounts: " + ", ".join(_mount(each) for each in shown[:MAX_MOUNTS]), 0.6 if bad else 0.0
        names = [each for each in inspect.env_names if each not in _EVERYWHERE]
        if bad and names:
            yield "variables (values unknown): " + ", ".join(short(each, 60) for each in names[:MAX_NAMES]), 0.1


def _mount(mount: Mount) -> str:
    read_only = " (read-only)" if mount.read_only else ""
    return f"{short(mount.source or mount.type, 80)} on {short(mount.destination, 80)}{read_only}"


def _odd(mount: Mount) -> bool:
    """Whether a mount may hide something: a system folder, or a file of the host that may be missing there."""
    return mount.type == "bind" and bool(_SYSTEM.match(mount.destination) or _FILE.search(mount.destination))


def _page(page: Page) -> Iterator[str]:
    if page.verdict == Verdict.OK and not page.exceptions:
        return
    reasons = "; ".join(each.message for each in page.reasons[:3])
    words = f"{reasons} {page.title or ''} {page.text or ''}"
    yield f"{short(page.url, 100)} shows {page.verdict}: {condensed(words, MAX_TALK)}"
    told_by = [*page.exceptions[:2], *(each.text for each in page.console[:2])]
    failed = [f"{each.url}: {each.error or each.status_code}" for each in page.failed_requests[:2]]
    for each in [*told_by, *failed]:
        yield f"the page says: {condensed(each, MAX_TALK)}"


_BAD_EVENTS = frozenset(("die", "oom", "kill", "destroy", "pause", "disconnect"))


def _happened(inspect: Inspect | None) -> list[Happened]:
    """A container's events; those that come again and again told once, with their number."""
    found: list[Happened] = []
    kinds: dict[str, Happened] = {}
    for event in (inspect.events if inspect else [])[-MAX_EVENTS:]:
        words = short(event.action, 80)
        words += f" {event.exit_code}" if event.exit_code is not None else ""
        words += f" (signal {event.signal})" if event.signal is not None else ""
        if words in kinds:
            kinds[words].last, kinds[words].count = event.ts, kinds[words].count + 1
            continue
        bad = event.action.partition(":")[0] in _BAD_EVENTS or "unhealthy" in event.action
        kinds[words] = Happened(event.ts, event.ts, words, 1, 24.0 if bad else 15.0)
        found.append(kinds[words])
    if inspect and inspect.started_at and not any(each.words.startswith("start") for each in found):
        found.append(Happened(inspect.started_at, inspect.started_at, "start", 1, 9.0))
    if (
        inspect
        and inspect.state != "running"
        and inspect.finished_at
        and not any("die" in each.words for each in found)
    ):
        words = f"ended with {inspect.exit_code}"
        found.append(Happened(inspect.finished_at, inspect.finished_at, words, 1, 24.0))
    return found


def _unseen(record: Json, view: View) -> Iterator[str]:
    """What is not known of a service."""
    for error in (record.get("errors") or [])[:3]:
        if isinstance(error, dict):
            yield f"{short(str(error.get('stage')), 20)}: {short(str(error.get('message')), MAX_TALK)}"
    if view.logs is None:
        yield "its log was not read"
    elif view.logs.truncated:
        yield f"its log was read only in part (the newest {len(view.logs.lines)} items)"
    if view.inspect is None:
        yield "its container was not looked at"
    if not view.probe or not any(check.kind != "container" for check in view.probe.checks):
        yield "no URL of it was asked"
    if view.stats is None:
        yield "no figures of memory and processor"
