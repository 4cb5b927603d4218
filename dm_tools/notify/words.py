"""One message in three lengths: a subject, a few words, and all that one needs at night. Pure.

What an event quotes was masked where it was collected; it is looked through once more for secrets before it leaves.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import Template

from dm_tools.records import ENDS, Happening, IncidentEvent
from dm_tools.text.shorten import short
from dm_tools.text.times import lasting, shown

SUBJECT = 120  # characters
SHORT = 400
FULL = 8000
DIGEST = 30  # incidents that a digest lists


@dataclass(frozen=True)
class Text:
    """A message in three lengths; `subject` is one line."""

    subject: str
    short: str
    full: str


_CALL = re.compile(r"@(?=(?:everyone|here|channel|all|room)\b)|(?<=<)(?=[!@#])", re.IGNORECASE)


def harmless(text: str) -> str:
    """The text without what calls everybody in a chat: a log line that says so must not."""
    return _CALL.sub(lambda found: found[0] + " ", text)


def of_one(
    events: Sequence[IncidentEvent], machine: str, own: Mapping[str, Template] | None = None, still: str = ""
) -> Text:
    """The message of one incident: what is new of it, oldest first. `own`: templates; `still`: it is told again."""
    event = events[-1]
    words = _words(events, machine, still)
    subject = short(_filled(own, "subject", words) or _subject(event, machine, still), SUBJECT)
    words |= {"subject": subject}
    brief = _filled(own, "short", words) or _short(event, words)
    return Text(subject, brief[:SHORT], (_filled(own, "full", words) or _full(event, words))[:FULL])


def of_many(incidents: Sequence[Sequence[IncidentEvent]], machine: str) -> Text:
    """The digest of several incidents: one line each, the worst first."""
    newest = sorted((each[-1] for each in incidents), key=_gravity)
    over = sum(each.kind in ENDS for each in newest)
    subject = short(
        f"[{len(newest)} INCIDENTS] on {machine}: {len(newest) - over} open or changed, {over} over", SUBJECT
    )
    lines = [f"{_label(each)} {each.service or ''}: {short(each.reason or each.text, 160)}" for each in newest[:DIGEST]]
    if len(newest) > DIGEST:
        lines.append(f"and {len(newest) - DIGEST} more: dm-incidents list")
    return Text(
        subject, "\n".join(lines)[:SHORT], "\n".join([subject, "", *lines, "", "To look: dm-incidents list"])[:FULL]
    )


def of_test(machine: str, target: str) -> Text:
    """What --test sends."""
    subject = f"[TEST] dm-notify on {machine}"
    return Text(
        subject,
        f"{subject}: {target} can be told",
        f"{subject}\n\nIf you read this, {target} can be told of incidents.",
    )


def _gravity(event: IncidentEvent) -> tuple[bool, int, str]:
    return event.kind in ENDS, event.severity.order if event.severity else 9, event.service or ""


def _label(event: IncidentEvent) -> str:
    if event.kind in (
        Happening.RECOVERED,
        Happening.ENDED,
        Happening.HEALING_FAILED,
        Happening.GAP,
        Happening.FLAPPING,
    ):
        return f"[{'WATCHER AWAY' if event.kind == Happening.GAP else event.kind.replace('_', ' ').upper()}]"
    return f"[{(event.severity or 'info').upper()}{'' if event.kind == Happening.OPENED else f', {event.kind}'}]"


def _subject(event: IncidentEvent, machine: str, still: str) -> str:
    where = f"{event.project} on {event.host or machine}" if event.project else f"on {event.host or machine}"
    if event.kind == Happening.GAP:
        return f"{_label(event)} {where}: nobody looked for {lasting(event.seconds or 0)}"
    cause = str(event.cause or "").replace("_", " ")
    what = f"over after {lasting(event.seconds or 0)}" if event.kind in ENDS else cause or short(event.text, 60)
    more = f", {len(event.symptoms)} more fail" if event.symptoms and event.kind not in ENDS else ""
    return f"{_label(event)} {event.service}: {still or what}{more} ({where})"


def _words(events: Sequence[IncidentEvent], machine: str, still: str) -> dict[str, str]:
    event = events[-1]
    reasons = [each.reason for each in events if each.reason]
    if still:
        reasons.append(still)
    if event.before and event.kind not in ENDS:
        reasons.append(event.before)
    if event.in_gap and event.kind == Happening.OPENED:
        reasons.append(f"it began at some time in the {lasting(event.in_gap)} in which nobody looked")
    name = shlex.quote(event.service or "")
    return {
        "kind": str(event.kind),
        "severity": str(event.severity or ""),
        "service": event.service or "",
        "project": event.project or "",
        "host": event.host or "",
        "machine": machine,
        "what": event.text,
        "cause": str(event.cause or ""),
        "reason": "\n".join(dict.fromkeys(reasons)),
        "symptoms": ", ".join(event.symptoms),
        "evidence": "\n".join(event.evidence),
        "done": "\n".join(event.done),
        "todo": "\n".join(event.proposed or event.next) if event.kind not in ENDS else "",
        "look": f"dm-inspect {name} | dm-logs | dm-show" if event.service else "dm-incidents list",
        "opened": event.opened or event.at,
        "since": event.since or "",
        "duration": lasting(event.seconds or 0.0),
        "incident": event.incident or "",
    }


def _short(event: IncidentEvent, words: Mapping[str, str]) -> str:
    what = words["reason"] if event.kind in (*ENDS, Happening.HEALING_FAILED, Happening.GAP) else words["what"]
    also = f"; also failing: {words['symptoms']}" if event.symptoms and event.kind not in ENDS else ""
    todo = f"; to do: {words['todo'].splitlines()[0]}" if words["todo"] else ""
    return f"{words['service'] or 'watcher'}: {what}{also}{todo}"


_PARTS = (
    *(("why it is told", "reason"), ("also failing", "symptoms"), ("evidence", "evidence"), ("done", "done")),
    *(("to do", "todo"), ("to look", "look")),
)


def _full(event: IncidentEvent, words: Mapping[str, str]) -> str:
    lines = [words["what"], ""]
    for title, name in _PARTS:
        lines += [
            f"{title + ':':<16}{line}" if at == 0 else f"{'':<16}{line}"
            for at, line in enumerate(words[name].splitlines())
        ]
    if event.incident:
        lines += [
            "",
            f"Incident {event.incident}, seen for {words['duration']}, opened {shown(words['opened'])}",
        ]
    return "\n".join(lines)


def _filled(own: Mapping[str, Template] | None, name: str, words: Mapping[str, str]) -> str:
    return own[name].safe_substitute(words).strip() if own and name in own else ""
