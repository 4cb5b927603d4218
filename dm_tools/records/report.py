"""Reports and approvals: what dm-report and dm-review write, in the schema of the seed, and what reads them again.

Where the seed has a key, its name and form are the seed's ("cpu": "0.5%"); what we add is beside it, and has a default
so that a report in the seed's own words can be read.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from dm_tools.records.action import ActionName, Confidence, Risk
from dm_tools.records.base import Section
from dm_tools.records.evidence import ConsoleEntry, ProbeError, Reason, Request, Status, Verdict
from dm_tools.records.execution import Execution, Identity, Outcome, Proof
from dm_tools.records.history import Before
from dm_tools.records.verdict import Cause, Role, Root, Severity

REPORT_VERSION = 1


class ProposedFix(Section):
    """A proposed action of an issue."""

    action: ActionName
    confidence: Confidence
    reasoning: str
    parameters: dict[str, Any]
    risk: Risk | None = None
    automatic: bool = False
    undo: str | None = None
    evidence: list[str] = msgspec.field(default_factory=list)


class Quoted(Section):
    """A piece of evidence in words. `at`: when it appeared, null where nothing says."""

    id: str
    at: str | None
    text: str


class ContextLine(Section):
    """A log item near a cited one; `evidence` is the id that cites it, null for one that only stands beside it."""

    id: str
    at: str | None
    stream: str
    text: str
    evidence: str | None


class Fine(Section):
    """Something that was looked at and is as it should be."""

    id: str
    text: str


class ToolCall(Section):
    """One call of a tool by a model."""

    id: str
    tool: str
    arguments: dict[str, Any]
    output: str
    error: str | None


class IssuePage(Section):
    """A page of a service in an incident."""

    service: str
    url: str | None
    verdict: Verdict | None
    id: str | None = None
    path: str | None = None
    reason: str | None = None


class Moment(Section):
    """Something that happened at a time, RFC 3339 UTC. `times`: how often, the last time at `until`."""

    at: str
    service: str
    text: str
    times: int = 1
    until: str | None = None


class Issue(Section):
    """One incident: the root with its evidence and fixes; the services that only suffer are its `symptoms`.

    `fingerprint` is the same for the same trouble in the next run; `id` is this report's own. `history`: what was known
    of it before. `moments`: what happened to its services, in the order of time.
    """

    id: str
    service: str
    severity: Severity
    status: str  # ours are Status; the seed's own reports say "unhealthy"
    evidence: list[str]
    root_cause_hypothesis: str
    log_excerpt: str
    resource_metrics: dict[str, str | None]
    proposed_fixes: list[ProposedFix]
    fingerprint: str | None = None
    cause: Cause | None = None
    confidence: Confidence | None = None
    pattern: str | None = None
    since: str | None = None
    symptoms: list[Root] = msgspec.field(default_factory=list)
    evidence_detail: list[Quoted] = msgspec.field(default_factory=list)
    engine: str | None = None
    looked_at: list[str] = msgspec.field(default_factory=list)
    found_fine: list[Fine] = msgspec.field(default_factory=list)
    log_context: list[list[ContextLine]] = msgspec.field(default_factory=list)
    next: list[str] = msgspec.field(default_factory=list)
    notes: list[str] = msgspec.field(default_factory=list)
    steps: list[ToolCall] = msgspec.field(default_factory=list)
    screenshots: list[IssuePage] = msgspec.field(default_factory=list)
    identity: Identity | None = None
    docker_host: str | None = None
    history: Before | None = None
    moments: list[Moment] = msgspec.field(default_factory=list)


class Compared(Section):
    """What has changed since the enhanced report before it in the same folder: issues as "service: cause". `over` has
    only what was looked at this time, too."""

    report_id: str
    generated_at: int
    begun: list[str]
    over: list[str]
    going_on: list[str]


class ReportedComplaint(Section):
    """What a service says that made no issue: nobody is seen to fail because of it, and it was said lately."""

    service: str
    text: str
    severity: Severity
    pattern: str
    since: str | None
    until: str | None
    evidence_detail: list[Quoted]


class CheckLine(Section):
    """One URL's answer in short; `note` and `chosen` as in the record's check."""

    url: str
    ok: bool
    status_code: int | None
    error: ProbeError | None
    total_ms: float | None
    note: str | None = None
    chosen: str | None = None


class PageLine(Section):
    """One page in short."""

    id: str
    url: str
    final_url: str | None
    title: str | None
    verdict: Verdict
    path: str | None
    thumbnail_path: str | None
    status_code: int | None
    reasons: list[Reason]
    console: list[ConsoleEntry]
    exceptions: list[str]
    failed_requests: list[Request]


class ServiceLine(Section):
    """One service of a stack report."""

    name: str
    status: Status
    container: str | None
    state: str | None
    health: str | None
    role: Role | None
    cause: Cause | None
    path: list[str] | None
    checks: list[CheckLine]
    hypothesis: str | None
    evidence_detail: list[Quoted]
    resources: dict[str, float | None]
    screenshots: list[PageLine]
    errors: list[dict[str, Any]]


class Cost(Section):
    """What a diagnosis cost in tokens, and what reading everything would have cost."""

    model: str | None
    model_calls: int
    local_prompt_tokens: int
    local_completion_tokens: int
    local_ms: float
    evidence_tokens: int
    summary_tokens: int
    saved_percent: float


class Head(Section, kw_only=True):
    """What every report says of itself. `generated_at` in milliseconds since 1970; `summary` counts services; `host`:
    the machine that it was made on."""

    generated_at: int = 0
    report_id: str
    version: int = REPORT_VERSION
    host: str | None = None
    summary: dict[str, int]
    run_path: str | None = None
    input_errors: list[dict[str, Any]] = msgspec.field(default_factory=list)


class StackReport(Head, kw_only=True):
    """`stack_diagnostics_<ts>.json`: every service in short."""

    report_path: str
    services: list[ServiceLine]


class Deed(Section):
    """An action with what became of it (`outcome`, and `steps` in words), or a look afterwards (`proof`, and what is
    gone, what stays and what is new). `at`: when it ended or was looked at, RFC 3339 UTC, null where it never began."""

    at: str | None
    service: str
    action: ActionName | None = None
    outcome: Outcome | None = None
    proof: Proof | None = None
    reason: str | None = None
    steps: list[str] = msgspec.field(default_factory=list)
    gone: list[str] = msgspec.field(default_factory=list)
    stays: list[str] = msgspec.field(default_factory=list)
    new: list[str] = msgspec.field(default_factory=list)
    undo: str | None = None
    id: str | None = None


class EnhancedReport(Head, kw_only=True):
    """`enhanced_diagnostics_<ts>.json`: the issues. `sent_to`: endpoints that evidence left this machine for.
    `healing`: what was done and proved before this report, in the order of time."""

    issues: list[Issue]
    automated_actions_safe: list[str] = msgspec.field(default_factory=list)
    requires_human_review: list[str] = msgspec.field(default_factory=list)
    complaints: list[ReportedComplaint] = msgspec.field(default_factory=list)
    base_report_path: str | None = None
    sent_to: list[str] = msgspec.field(default_factory=list)
    cost: Cost | None = None
    healing: list[Deed] = msgspec.field(default_factory=list)
    since_last: Compared | None = None


class ApprovedAction(Section):
    """A fix that was approved. `identity`: the container that it was approved for, as it was then.

    `by`: "person", or "policy:RULE". `fingerprint`, `cause`, `pattern`: of the issue that it is to end.
    """

    issue_id: str
    service: str
    action: ActionName
    confidence: Confidence
    reasoning: str
    parameters: dict[str, Any]
    risk: Risk | None = None
    undo: str | None = None
    identity: Identity | None = None
    docker_host: str | None = None
    approved_at: str | None = None
    by: str = "person"
    fingerprint: str | None = None
    cause: Cause | None = None
    pattern: str | None = None


class Phase(StrEnum):
    """What an entry of the journal of actions says."""

    INTENT = "intent"  # before the engine is asked for anything
    STEP = "step"  # before each step of several
    OUTCOME = "outcome"
    SETTLED = "settled"  # proved: what was kept of before is gone
    UNDOING = "undoing"
    UNDONE = "undone"


class JournalEntry(Section):
    """One line of the journal of actions: it is on the disk before what it tells of is done. `at` is RFC 3339 UTC."""

    at: str
    id: str
    phase: Phase
    action: ApprovedAction | None = None
    execution: Execution | None = None
    step: str | None = None


class Approval(Section):
    """`approved_fixes_<time>.json`: all that was approved of one report."""

    generated_at: str
    source_report: str
    approved_actions: list[ApprovedAction]


def report_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the reports and the approval file."""
    (*_, definitions) = msgspec.json.schema_components([StackReport, EnhancedReport, Approval])
    return definitions
