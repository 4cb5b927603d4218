"""What one look at one service says of incidents: the digest of a judged record that is kept from round to round."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from dm_tools.diagnose.incidents import fingerprint
from dm_tools.evidence import ids
from dm_tools.evidence.view import View
from dm_tools.evidence.words import told
from dm_tools.records import (
    Analysis,
    Cause,
    Confidence,
    Execution,
    Outcome,
    Problem,
    Proof,
    Proposal,
    Role,
    Severity,
    Status,
    Verification,
    section,
    sections,
)
from dm_tools.text.shorten import short
from dm_tools.text.times import seconds_between

MOST = 4  # pieces of evidence, proposals and next steps that an event quotes
LONGEST = 240  # characters of one of them


class Sight(StrEnum):
    """What a look says: a root of trouble, a symptom of somebody else's, well, stopped on purpose, or nothing."""

    BAD = "bad"
    SYMPTOM = "symptom"
    GOOD = "good"
    STOPPED = "stopped"
    NOTHING = "nothing"


class Healing(msgspec.Struct, frozen=True):
    """What was done about a service, in words; `helped`: whether it is proved that it helped, or that it did not."""

    words: tuple[str, ...]
    helped: bool | None
    ids: tuple[str, ...] = ()


class Look(msgspec.Struct, frozen=True, omit_defaults=True):
    """One service in one round. `root`: whose symptom it is. `healing`: only of what dm-execute and dm-verify print.

    `evidence` in words; `cites`: ids of what other services' records hold, until `completed` has put their words there.
    """

    service: str
    sight: Sight
    host: str | None = None
    project: str | None = None
    root: str | None = None
    fingerprint: str | None = None
    severity: Severity = Severity.WARNING
    status: Status = Status.UNKNOWN
    cause: Cause | None = None
    confidence: Confidence | None = None
    text: str = ""
    evidence: tuple[str, ...] = ()
    cites: tuple[str, ...] = ()
    symptoms: tuple[str, ...] = ()
    proposed: tuple[str, ...] = ()
    next: tuple[str, ...] = ()
    since: str | None = None
    healing: Healing | None = None
    labels: dict[str, str] = {}

    @property
    def key(self) -> str:
        """What tells services of several engines apart."""
        return key(self.host, self.service)


def key(host: str | None, service: str) -> str:
    """The name of a service among those of several engines."""
    return f"{host or ''}/{service}"


def look(record: dict[str, Any]) -> Look:
    """The digest of a judged record, or of what dm-execute and dm-verify print.

    Raises Problem: a section is malformed, or the record was not judged.
    """
    healing = _healing(record)
    host = record.get("docker_host")
    if healing is not None:
        return Look(record["service"], Sight.NOTHING, host, healing=healing)
    view, verdict = View.of(record), section(record, "analysis", Analysis)
    if verdict is None:
        raise Problem("not_judged", "the record was not judged (dm-analyze comes before)")
    proposals = sections(record, "proposals", Proposal)
    return Look(
        service=view.service,
        sight=_sight(view, verdict),
        host=host,
        project=view.inspect.project if view.inspect else None,
        root=verdict.root.service if verdict.root else None,
        fingerprint=fingerprint(view.service, verdict, host) if verdict.role == Role.ROOT else None,
        severity=verdict.severity or Severity.WARNING,
        status=verdict.status,
        cause=verdict.cause,
        confidence=verdict.confidence,
        text=short(verdict.hypothesis or "", 2 * LONGEST),
        evidence=tuple(_quoted(view, each) for each in ids.own(verdict.evidence)[:MOST]),
        cites=tuple(each for each in verdict.evidence if each not in ids.own(verdict.evidence))[:MOST],
        symptoms=tuple(sorted({each.service for each in verdict.symptoms})),
        proposed=tuple(short(f"{each.action}: {each.reasoning}", LONGEST) for each in proposals[:MOST]),
        next=tuple(short(each, LONGEST) for each in verdict.next[:MOST]),
        since=verdict.since,
        labels=view.inspect.labels if view.inspect else {},
    )


def quotes(record: dict[str, Any]) -> dict[str, str]:
    """What other services' verdicts may cite of a record: by id, in words. Raises Problem."""
    verdict = section(record, "analysis", Analysis)
    if verdict is None or not verdict.findings:
        return {}
    view = View.of(record)
    cited = {each for finding in verdict.findings for each in ids.own(finding.evidence)}
    return {f"{view.service}/{each}": f"{view.service}: {_quoted(view, each)}" for each in cited}


def completed(look: Look, quoted: dict[str, str]) -> Look:
    """The look with the words of what it cites of others. `quoted`: by id, of the whole round."""
    if not look.cites:
        return look
    words = tuple(quoted[each] for each in look.cites if each in quoted)
    return msgspec.structs.replace(look, evidence=(*look.evidence, *words)[:MOST], cites=())


def _quoted(view: View, evidence_id: str) -> str:
    return short(" ".join(told(view, evidence_id).text.split()), LONGEST)


FRESH_SECONDS = 15.0  # a program that was started a moment ago and has no healthcheck need not answer yet


def _sight(view: View, verdict: Analysis) -> Sight:
    if view.being_made or _starting(view) or (verdict.role != Role.HEALTHY and _fresh(view)):
        return Sight.NOTHING
    if verdict.role == Role.HEALTHY:
        return Sight.GOOD if verdict.status == Status.HEALTHY and not view.lost else Sight.NOTHING
    if view.stopped_by:
        return Sight.STOPPED
    if verdict.role == Role.ROOT:
        return Sight.BAD
    return Sight.SYMPTOM if verdict.role == Role.SYMPTOM else Sight.NOTHING


def _starting(view: View) -> bool:
    """It is in its start period, for the first time: its healthcheck has yet to say something."""
    found = view.inspect
    return found is not None and found.state == "running" and not found.restart_count and found.health == "starting"


def _fresh(view: View) -> bool:
    """It was started a moment ago, not by its restart policy, and nothing says that it is ready or not."""
    found = view.inspect
    if found is None or found.state != "running" or found.restart_count or found.health:
        return False
    return (seconds_between(found.started_at, found.observed_at) or FRESH_SECONDS) < FRESH_SECONDS


_FAILED = (Outcome.FAILED, Outcome.REFUSED)
_DID = (Outcome.DONE, Outcome.ALREADY_DONE, Outcome.UNDONE, Outcome.STALE)  # what is stale is looked at anew


def _healing(record: dict[str, Any]) -> Healing | None:
    verification = section(record, "verification", Verification)
    if verification is not None:
        if not verification.action_ids:
            return Healing((), None)
        helped = {Proof.RECOVERED: True, Proof.NOT_RECOVERED: False, Proof.WORSE: False}.get(verification.proof)
        signs = [*verification.stays[:1], *verification.new[:1]] if helped is False else verification.gone[:1]
        words = f"looked again: {verification.proof.replace('_', ' ')}" + "".join(f"; {each}" for each in signs)
        return Healing((short(words, LONGEST),), helped, tuple(verification.action_ids))
    execution = section(record, "execution", Execution)
    if execution is None or execution.status not in _FAILED + _DID:
        return None
    action = str(record.get("action") or "an action")
    words = f"{action}: {execution.status.replace('_', ' ')}" + (f": {execution.reason}" if execution.reason else "")
    return Healing((short(words, LONGEST),), False if execution.status in _FAILED else None, (execution.id,))
