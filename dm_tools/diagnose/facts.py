"""The digest of one record: what judgement keeps of a service while its record waits on disk."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass, field, replace
from typing import Any

from dm_tools.diagnose.currency import Course, Log
from dm_tools.diagnose.topology import Node, node
from dm_tools.evidence import pages as page
from dm_tools.evidence import requests
from dm_tools.evidence import swarm as tasks
from dm_tools.evidence.ids import Kind, parse, resolve, time_of
from dm_tools.evidence.view import View
from dm_tools.evidence.words import quote
from dm_tools.patterns.language import Library
from dm_tools.patterns.matching import READ_RANK, Hit, matches
from dm_tools.patterns.places import Places
from dm_tools.records import Cause, Check, Inspect, LogLine, ProbeError, Status, Verdict
from dm_tools.text.last_words import Words, last_words, quoted
from dm_tools.text.late import late
from dm_tools.text.shorten import short
from dm_tools.text.times import parse_time, seconds_between

# What a service's place in the stack is judged by, whatever patterns fire.
CONTEXT = frozenset(
    (
        *("inspect:networks", "inspect:network_mode", "inspect:network_owner", "inspect:started_at", "inspect:state"),
        *("inspect:depends_on", "inspect:env_hosts", "inspect:exit_code", "inspect:error"),
    )
)
UNANSWERED = (ProbeError.REFUSED, ProbeError.RESET, ProbeError.TIMEOUT)


@dataclass(frozen=True)
class Listening:
    """Where a program said at its start that it listens. `address`: as written, empty for any."""

    line: str
    address: str
    port: str


@dataclass
class Facts:
    """What judgement keeps of one record; small, so that a large stack fits in memory."""

    node: Node
    status: Status
    hits: list[Hit]
    courses: list[Course]  # of each hit: how often it was seen, and whether it is over
    listening: list[Listening]  # where it says that it listens
    failing: list[requests.Failing]  # kinds of requests that fail now, as its access log tells
    values: dict[str, str]  # what explanations may mention
    looked_at: list[str]
    quotes: dict[str, str]  # the evidence of the hits and alarms, those that stand for something, as short text
    times: dict[str, str]  # when evidence appeared, where that is known: RFC 3339 UTC
    alarms: list[str]  # ids of what shows that the service does not work
    said: dict[str, str] = field(default_factory=dict)  # by pattern: what its lines of the log tell, as a clause
    lost: bool = False  # what was looked at came to an end half way
    unanswered: dict[str, str] = field(default_factory=dict)  # port that nobody answers at -> the check that asked
    answers: bool = False  # some of its checks are well
    finished: bool = False  # a job that has done its work, as far as its own record tells
    unasked: bool = False  # it runs, and no healthcheck, URL or page tells whether it works
    running: bool = False
    now: float | None = None  # when it was looked at; this and the next in seconds since 1970
    started: float | None = None
    ended: float | None = None
    spoke: float | None = None  # when its log spoke last


def facts(record: dict[str, Any], library: Library) -> Facts:
    """The digest of one record. Raises records.Problem if a section is malformed."""
    view = View.of(record)
    places = Places(library, view)
    hits = [] if view.finished else matches(library, places)
    log = _log(view, places)
    failing = [] if view.finished else _failing(log)
    listening = _listening(log) if log.started is not None else []
    read = any(hit.pattern.rank >= READ_RANK for hit in hits)
    words = _last_words(places, hits, read)
    alarms = _alarms(view) + ([words.id] if words and not read else [])
    ids = {
        *CONTEXT,
        *alarms,
        *(f"swarm:tasks.{at}" for at in range(len(view.swarm.tasks) if view.swarm else 0)),
        *(each for hit in hits for each in hit.evidence),
        *(each for hit in hits for each in hit.oldest),
        *(each for kind in failing for each in (*kind.lines, *([kind.words.id] if kind.words else []))),
        *(each.line for each in listening),
    }
    found = {each: value for each in ids if (value := resolve(view, each)) is not None}
    checks = view.probe.checks if view.probe else []
    return Facts(
        node=node(record, view, library, places.haystack, hits, log.requests),
        status=view.status,
        hits=hits,
        courses=[log.course(hit.positions, hit.is_state, hit.pattern.cause) for hit in hits],
        listening=listening,
        failing=failing,
        values=_values(view) | {"last_words": quoted(words)},
        looked_at=view.looked_at,
        quotes={each: short(quote(value)) for each, value in found.items()},
        times={each: stamp for each, value in found.items() if (stamp := time_of(value) or _ended(view, each))},
        alarms=alarms,
        said={hit.pattern.id: said for hit in hits if (said := _said(hit, places.lines))},
        lost=view.lost,
        unanswered={port: check.id for check in checks if check.error in UNANSWERED and (port := _port(check.url))},
        answers=any(check.ok for check in checks),
        finished=view.finished,
        unasked=view.unasked,
        now=log.now,
        running=view.inspect is not None and view.inspect.state == "running",
        started=log.started,
        ended=parse_time(view.inspect.finished_at) if view.inspect and view.inspect.state != "running" else None,
        spoke=next((time for line in reversed(_lines(view)) if (time := parse_time(line.ts)) is not None), None),
    )


def _lines(view: View) -> list[LogLine]:
    return view.logs.lines if view.logs else []


def _port(url: str) -> str | None:
    """The port that a check's URL asks at."""
    scheme, _, rest = url.partition("://")
    written = re.match(r"[^/?#]*:(\d{1,5})(?:[/?#]|$)", rest)
    return written[1] if written else {"http": "80", "https": "443"}.get(scheme)


def _log(view: View, places: Places) -> Log:
    """The log's recent lines with what tells how current they are; one that keeps dying has no run of its own."""
    inspect = view.inspect
    running = inspect is not None and inspect.state == "running" and not view.looping
    newest = next((time for line in reversed(places.lines) if (time := parse_time(line.ts)) is not None), None)
    observed = parse_time(inspect.observed_at) if inspect else None
    return Log(
        lines=places.lines,
        requests=requests.read(places.lines[-requests.MAX_LINES :]),
        now=observed if running and observed is not None else newest,
        started=parse_time(inspect.started_at) if inspect and running else None,
    )


def _failing(log: Log) -> list[requests.Failing]:
    """The kinds of requests that fail now; what failed and was not asked again for long may work by now."""
    places = {line.id: place for place, line in enumerate(log.lines)}
    return [
        replace(each, words=_beside(places[each.lines[-1]], log))
        for each in requests.failing(log.requests)
        if not log.course([places[id] for id in each.lines], cause=Cause.HTTP_ERROR).over
    ]


BESIDE = 3  # items before a request that failed, and one after it, that may say why
BESIDE_SECONDS = 1.0


def _beside(place: int, log: Log) -> Words | None:
    """What a program said of a failure at the moment of a request that failed."""
    asked, request = {each.line for each in log.requests}, log.lines[place]
    around = [line for line in log.lines[max(0, place - BESIDE) : place + 2] if line.id not in asked and line.ts]
    near = [line for line in around if abs(seconds_between(line.ts, request.ts) or 0) <= BESIDE_SECONDS]
    return last_words(near, ended=False)


_LISTENING = late(
    r"(?i)\b(?:listen(?:s|ing)?|running|serving|started|accepting|bound|starting \w+ (?:server|listener))\b"
    r"[^\n]{0,100}?"
    r"(?:https?://|[\s=(\"'])(?P<address>\[[0-9a-f:]*\]|[\d.]{7,15}|localhost|\*)?:(?P<port>\d{2,5})\b"
)
STARTING = 50  # items of a run that are read for that


def _listening(log: Log) -> list[Listening]:
    """Where the program of this run says that it listens."""
    since = (log.started or 0) - 1.0
    first = next((at for at, line in enumerate(log.lines) if (parse_time(line.ts) or since) >= since), 0)
    return [
        Listening(line.id, found["address"] or "", found["port"])
        for line in log.lines[first : first + STARTING]
        if (found := _LISTENING.search(line.text[:500]))
    ]


def _ended(view: View, evidence_id: str) -> str | None:
    """When a container ended: what Docker says of one that does not run is true since then."""
    stopped = view.inspect if view.inspect and view.inspect.state in ("exited", "dead") else None
    return stopped.finished_at if stopped and parse(evidence_id).kind == Kind.INSPECT else None


def _alarms(view: View) -> list[str]:
    """The evidence that a service does not work, whatever the reason: not its state only, but who says so."""
    found = [check.id for check in (view.probe.checks if view.probe else []) if not check.ok][:1]
    if view.host and view.host.unreachable:
        found.append("host:unreachable")
    if view.node and view.node.state != "ready":
        found.append("node:state")
    if view.swarm:
        found += ["swarm:running"] if tasks.status(view.swarm) != Status.HEALTHY else []
    elif view.inspect and (view.inspect.state != "running" or view.looping):
        found.append("inspect:state")
    elif view.inspect and view.unhealthy:
        found.append("inspect:health")
    found += [each.id for each in view.pages if each.verdict in page.BROKEN][:1]
    return found


def _values(view: View) -> dict[str, str]:
    """What explanations may mention of a service, all of it short and printable."""
    values = {"service": view.service, "restart_count": "its log tells of several", "exit_note": ""}
    if view.inspect:
        values |= _container_values(view.inspect, view.last_exit)
    if view.swarm:
        wanted = view.swarm
        values["tasks"] = f"{wanted.completed if wanted.job else wanted.running} of {wanted.desired}"
        values["error"] = values.get("error") or next((error for _, error in tasks.complaints(wanted)), "")
        values["restart_policy"] = wanted.restart
        values["restart_count"] = str(sum(not each.current for each in wanted.tasks))
    if view.host and view.host.unreachable:
        values["error"] = view.host.unreachable
    if view.node:
        values["error"] = view.node.message or view.node.state
    if view.stats:
        figures = ("cpu_percent", "memory_percent", "throttled_percent")
        values |= {key: f"{getattr(view.stats, key) or 0:g}" for key in figures}
    failed = [check for check in (view.probe.checks if view.probe else []) if not check.ok]
    values["probe_message"] = _of_check(failed[0]) if failed else ""
    values["page_message"] = _of_page(view)
    expired = [check.certificate.not_after for check in failed if check.certificate]
    values["certificate_date"] = f" (on {expired[0][:10]})" if expired else ""
    return {key: short(value) for key, value in values.items()}


def _of_check(check: Check) -> str:
    """What a check that failed says, and at which port it asked, where its words do not tell."""
    message, port = check.message or "", _port(check.url)
    return f"{message} (asked at port {port})" if port and port not in message else message


# How an engine begins its words on a failed start: who called whom. What was wrong comes last.
_CALLERS = late(
    r"(?:(?:failed to create (?:task for container|shim task)|OCI runtime create failed|runc create failed|"
    r"container_linux\.go:\d+|starting container process caused|unable to start container process|"
    r"error during container init)(?:: |\s))+"
)


def _container_values(inspect: Inspect, last_exit: tuple[str, int] | None) -> dict[str, str]:
    code = last_exit[1] if last_exit else inspect.exit_code
    number = (code or 0) - 128
    name = signal.Signals(number).name if number in set(signal.Signals) else ""
    signaled = f" ({name})" if name else ""
    limit = inspect.limits.memory_bytes
    return {
        "exit_code": str(code),
        "exit_note": f", exit code {code}{signaled}" if last_exit or inspect.state != "running" else "",
        "signal": signaled,
        "restart_policy": inspect.restart_policy,
        "restart_count": str(inspect.restart_count),
        "error": _CALLERS.sub("", inspect.error or ""),
        "limit_memory": f"{limit / 2**20:.0f} MiB" if limit else "the whole machine (no limit is set)",
    }


def _of_page(view: View) -> str:
    """Why the first page that is not well is not: the page and the first reasons."""
    well = (Verdict.OK, Verdict.LOGIN)
    bad = next((each for each in view.pages if each.verdict not in well and each.reasons), None)
    return f"{bad.url}: {'; '.join(each.message for each in bad.reasons[:2])}" if bad else ""


def _said(hit: Hit, lines: list[LogLine]) -> str:
    """What a pattern read in the log, to be quoted where its sentence names nothing of it."""
    if hit.pattern.rank < READ_RANK or hit.pattern.mentions or "{last_words}" in hit.pattern.explanation:
        return ""
    words = last_words([line for line in lines if line.id in hit.evidence], ended=True)
    return f': "{words.text.replace(chr(34), chr(39))}"' if words else ""


def _last_words(places: Places, hits: list[Hit], read: bool) -> Words | None:
    """What the log of a service in trouble says: the lines that a rule only recognised, or where none did the end."""
    quoting = next((hit for hit in hits if "{last_words}" in hit.pattern.explanation), None)
    lines = [line for line in places.recent if quoting and quoting.pattern.telling and line.id in quoting.evidence]
    return last_words(lines, ended=True) if lines or read else places.last_words
