"""What there is to remember of a record: events. Pure functions; nothing in a record is a secret any more."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec

from dm_tools.diagnose.incidents import fingerprint
from dm_tools.evidence.ids import cites_own_log, own
from dm_tools.evidence.recent import recent
from dm_tools.evidence.view import View
from dm_tools.evidence.words import told
from dm_tools.records import (
    Analysis,
    ApprovedAction,
    Confidence,
    EventKind,
    Execution,
    HistoryEvent,
    Outcome,
    Problem,
    Proposal,
    Role,
    Status,
    Verification,
    section,
    sections,
)
from dm_tools.text.shorten import both_ends
from dm_tools.text.times import seconds_between

LONGEST = 300  # characters of one text
MOST_EVIDENCE = 8
MOST_LINES = 20  # of a log that no rule explained

Record = dict[str, Any]
_encode = msgspec.json.Encoder(order="deterministic").encode


def identified(event: HistoryEvent, timeless: bool = False) -> HistoryEvent:
    """The event with its id: a digest of what it says. `timeless`: its time is only that of recording it."""
    bare = msgspec.structs.replace(event, id="", at="" if timeless else event.at)
    return msgspec.structs.replace(event, id=hashlib.blake2b(_encode(bare), digest_size=16).hexdigest())


class Sight(msgspec.Struct):
    """What one record tells: its events, and which service of which engine was judged when, if it was.

    `fingerprint`: of the incident whose root it is now, null if it is none.
    """

    events: list[HistoryEvent]
    service: str = ""
    host: str | None = None
    judged_at: str | None = None
    fingerprint: str | None = None


def sight(record: Record, machine: str, now: str) -> Sight:
    """The events of a record: of a diagnosis, of an action that was carried out, or of a verification.

    A record without a container says no time: it is one of `now`.

    Raises Problem if a section is malformed.
    """
    if record.get("execution") is not None:
        return Sight([identified(each, timeless) for each, timeless in _executed(record, machine, now)])
    view, verdict = View.of(record), section(record, "analysis", Analysis)
    at = view.inspect.observed_at if view.inspect else None
    common: Record = {
        "at": at or now,
        "machine": machine,
        "service": view.service,
        "host": record.get("docker_host"),
        "project": view.inspect.project if view.inspect else None,
        "image": view.inspect.image if view.inspect else None,
    }
    verification = section(record, "verification", Verification)
    found = list(_proofs(verification, common)) if verification else []
    seen = None
    if verdict is not None and verdict.role == Role.ROOT:
        seen = fingerprint(view.service, verdict, record.get("docker_host"))
        found += _incident(record, view, verdict, common | {"fingerprint": seen})
    judged = verdict is not None and verdict.status != Status.UNKNOWN
    events = [identified(each) for each in found]
    return Sight(events, view.service, record.get("docker_host"), common["at"] if judged else None, seen)


def _incident(record: Record, view: View, verdict: Analysis, common: Record) -> Iterator[HistoryEvent]:
    judged = common | {"cause": verdict.cause, "confidence": verdict.confidence, "pattern": verdict.pattern}
    yield HistoryEvent(
        kind=EventKind.INCIDENT,
        severity=verdict.severity,
        patterns=sorted({each.pattern for each in verdict.findings}),
        symptoms=sorted(each.service for each in verdict.symptoms),
        text=verdict.hypothesis,
        evidence=[both_ends(told(view, each).text, LONGEST) for each in own(verdict.evidence[:MOST_EVIDENCE])],
        lines=[] if _read(verdict) else [both_ends(each.text, LONGEST) for each in recent(view)[-MOST_LINES:]],
        **judged,
    )
    for proposal in sections(record, "proposals", Proposal):
        yield HistoryEvent(
            kind=EventKind.PROPOSAL,
            action=proposal.action,
            risk=proposal.risk,
            labels=_labels(proposal.parameters),
            text=both_ends(proposal.reasoning, LONGEST),
            **(judged | {"confidence": proposal.confidence}),
        )


def _read(verdict: Analysis) -> bool:
    """Whether the verdict needs no explanation: it is sure, or a rule (not the general grammar) read the root's log."""
    return verdict.confidence == Confidence.HIGH or any(
        cites_own_log(finding.evidence) for finding in verdict.findings if not finding.pattern.startswith("general.")
    )


def _labels(parameters: Record) -> dict[str, str]:
    return {str(name): str(value) for name, value in sorted(parameters.items())}


def _executed(record: Record, machine: str, now: str) -> Iterator[tuple[HistoryEvent, bool]]:
    """The decision and the execution of an action; whether their time is only that of recording them."""
    try:
        action = msgspec.convert(record, ApprovedAction)
    except msgspec.ValidationError as wrong:
        raise Problem("bad_section", f"not an action that was carried out: {wrong}") from None
    done = section(record, "execution", Execution)
    if done is None or done.status == Outcome.PLANNED:
        return
    common: Record = {
        "machine": machine,
        "service": action.service,
        "host": action.docker_host,
        "image": done.before.image if done.before else None,
        "fingerprint": action.fingerprint,
        "cause": action.cause,
        "confidence": action.confidence,
        "pattern": action.pattern,
        "action_id": done.id,
        "action": action.action,
        "risk": action.risk,
        "by": action.by,
        "labels": _labels(action.parameters),
    }
    if action.approved_at:
        yield HistoryEvent(kind=EventKind.DECISION, at=action.approved_at, text=action.reasoning, **common), False
    at = done.ended_at or done.begun_at
    event = HistoryEvent(
        kind=EventKind.EXECUTION,
        at=at or now,
        outcome=done.status,
        text=done.reason,
        seconds=seconds_between(done.begun_at, done.ended_at),
        **common,
    )
    yield event, at is None


def _proofs(verification: Verification, common: Record) -> Iterator[HistoryEvent]:
    ids: list[str | None] = [*verification.action_ids]
    for action_id in ids or [None]:
        yield HistoryEvent(
            kind=EventKind.PROOF,
            action_id=action_id,
            proof=verification.proof,
            text=verification.reason,
            evidence=[both_ends(each, LONGEST) for each in (verification.stays + verification.new)[:MOST_EVIDENCE]],
            **common,
        )
