"""What is remembered: one outcome of each action that was carried out, the unit in which everything is learned."""

from __future__ import annotations

from dm_tools.records.action import ActionName, Confidence, Risk
from dm_tools.records.base import Section
from dm_tools.records.execution import Outcome, Proof
from dm_tools.records.verdict import Cause


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
