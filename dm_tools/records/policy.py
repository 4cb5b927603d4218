"""What a policy decided and why, and what was earned: printed by dm-approve."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from dm_tools.records.action import ActionName
from dm_tools.records.base import Section
from dm_tools.records.verdict import Cause


class Ruling(StrEnum):
    """What a policy says of a proposal."""

    APPROVED = "approved"
    PERSON = "person"  # nobody forbids it; a person decides
    REFUSED = "refused"  # a rule denies it, or no policy may ever approve it


class Decision(Section):
    """What was decided of one proposal. `rule` decided: its name, `earned-ID`, or null for what holds of any policy."""

    issue_id: str
    service: str
    action: ActionName
    cause: Cause | None
    ruling: Ruling
    rule: str | None
    reason: str


class Standing(StrEnum):
    """How far an action has come that is to need no person."""

    PROPOSED = "proposed"  # proved often enough: a person may accept it
    ACCEPTED = "accepted"
    PROBATION = "probation"  # accepted, and this version of the image has still to prove it
    LOST = "lost"  # one failed proof, or harm, since it was accepted
    REVOKED = "revoked"  # by a person


class Promotion(Section):
    """An action against a cause on one service that needs no person, or might need none.

    `id` is the same as long as it is about the same: the service, the cause, the action and the image but for its tag.
    `successes` and `failures` are all that is known of this service, `in_a_row` the successes since the last failure,
    `with_version` those of them with this very image; `low` and `high` bound 90 % of the posterior. `at`: when it was
    accepted, lost or revoked, RFC 3339 UTC.
    """

    id: str
    standing: Standing
    service: str
    action: ActionName
    cause: Cause | None
    image: str | None
    project: str | None
    host: str | None
    successes: int
    failures: int
    in_a_row: int
    with_version: int
    low: float
    high: float
    at: str | None = None
    by: str | None = None


class Acceptance(Section):
    """One line of what persons signed: the promotion of that id is accepted, or revoked; what was known then."""

    at: str
    id: str
    by: str
    accepted: bool
    promotion: Promotion


class Keep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many days what was written stays; 0 is for ever. Approvals, reviewed reports and the journal always stay."""

    history: int = 0
    reports: int = 365
    screenshots: int = 90
    runs: int = 90


class Harm(Section):
    """An action that a policy would have approved, and that made things worse."""

    at: str
    service: str
    action: ActionName
    cause: Cause | None
    rule: str | None


class Rehearsal(Section):
    """What a policy would have done with the actions that were carried out, and how those ended. Times are RFC 3339.

    `actions`: all that changed something. Of those that it would have approved: how they ended, and by which rule.
    `proposed`: what could be accepted at the end.
    """

    since: str
    until: str
    actions: int
    approved: int
    for_a_person: int
    refused: int
    recovered: int
    not_recovered: int
    worse: int
    unproven: int
    by_rule: dict[str, int]
    harms: list[Harm]
    proposed: list[Promotion]
