"""What is remembered: events, one line each; and one outcome of each action, the unit in which all is learned."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from dm_tools.records.action import ActionName, Confidence, Risk
from dm_tools.records.base import Section
from dm_tools.records.execution import Outcome, Proof
from dm_tools.records.verdict import Cause, Severity


class EventKind(StrEnum):
    """What an event tells of."""

    INCIDENT = "incident"  # an incident was seen, in one run
    OVER = "over"  # its service was looked at, and it was not there any more
    PROPOSAL = "proposal"
    DECISION = "decision"  # somebody or something approved an action
    EXECUTION = "execution"
    PROOF = "proof"


class HistoryEvent(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One line of the history. `id` is made of the content: what is recorded twice is there once.

    Flat, so that it is a row, too; what does not apply to a kind is left out. `at`: RFC 3339 UTC. `machine`: where it
    was recorded; `host`: the Docker engine's name, null for the machine's own. `opened`: when the occasion began.
    `seconds`: from the first sight of the incident to a proof or to its end; of an execution, how long it took.
    `text`: the hypothesis, or the reason. `evidence`: in words; `lines`: of a log that no rule explained. `patterns`:
    all that fired on the root. `labels` of an execution are its parameters. Nothing in it is a secret: it is made of
    redacted records.
    """

    id: str = ""
    kind: EventKind
    at: str
    machine: str = ""
    service: str
    host: str | None = None
    project: str | None = None
    image: str | None = None
    fingerprint: str | None = None
    opened: str | None = None
    cause: Cause | None = None
    confidence: Confidence | None = None
    severity: Severity | None = None
    pattern: str | None = None
    patterns: list[str] = msgspec.field(default_factory=list)
    symptoms: list[str] = msgspec.field(default_factory=list)
    text: str | None = None
    evidence: list[str] = msgspec.field(default_factory=list)
    lines: list[str] = msgspec.field(default_factory=list)
    action_id: str | None = None
    action: ActionName | None = None
    risk: Risk | None = None
    by: str | None = None
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    outcome: Outcome | None = None
    proof: Proof | None = None
    seconds: float | None = None


class Cure(Section):
    """What was tried against one trouble: how often it was carried out, and what the proofs said."""

    action: ActionName
    tried: int = 0
    recovered: int = 0
    failed: int = 0  # carried out, or tried in vain, and proved not to have helped


class Before(Section):
    """What is known of an incident from before this sight of it. Times are RFC 3339 UTC.

    `times`: occasions that are over; `first`, `last`: when the first of them began and the last was seen; `going_on`:
    since when this occasion has been seen already, null if it is new; `usual_seconds`: the median of how
    long they took.
    """

    times: int
    first: str | None
    last: str | None
    going_on: str | None = None
    usual_seconds: float | None = None
    cures: list[Cure] = msgspec.field(default_factory=list)
    words: str = ""


class ActionOutcome(Section):
    """An action that was carried out and what its proof said; `proof` is null where nobody looked afterwards.

    `at`: when it ended, RFC 3339 UTC. `by`: "person", or "policy:RULE". `image`: the name, not the id. `seconds`: from
    the first sight of the incident to the proof.
    """

    action_id: str
    at: str
    service: str
    action: ActionName
    outcome: Outcome
    by: str
    proof: Proof | None = None
    cause: Cause | None = None
    confidence: Confidence | None = None
    risk: Risk | None = None
    pattern: str | None = None
    fingerprint: str | None = None
    host: str | None = None
    project: str | None = None
    image: str | None = None
    seconds: float | None = None
