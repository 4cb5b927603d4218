"""What the reports say of one service: its line in the stack report, its issue if it is the root of an incident."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from dm_tools.diagnose.incidents import fingerprint
from dm_tools.evidence import ids, words
from dm_tools.evidence.view import View
from dm_tools.evidence.words import size, told
from dm_tools.records import (
    Analysis,
    CheckLine,
    Identity,
    Inspect,
    Issue,
    Logs,
    Probe,
    Problem,
    Proposal,
    ProposedFix,
    ReportedComplaint,
    Role,
    Screenshot,
    ServiceLine,
    Severity,
    Stats,
    Status,
    Step,
    ToolCall,
    Verification,
    section,
    sections,
    with_error,
)
from dm_tools.store import screenshots

EXCERPT_LINES = 20

Record = dict[str, Any]


def readable(record: Record) -> Record:
    """The record without its malformed sections: the rest of it still belongs into the report."""
    for name, read in _READERS.items():
        try:
            read(record)
        except Problem as problem:
            record = with_error(record | {name: None}, "report", problem.code, problem.message)
    return record


_READERS: dict[str, Callable[[Record], object]] = {
    "probe": lambda record: section(record, "probe", Probe),
    "inspect": lambda record: section(record, "inspect", Inspect),
    "logs": lambda record: section(record, "logs", Logs),
    "stats": lambda record: section(record, "stats", Stats),
    "screenshot": lambda record: section(record, "screenshot", Screenshot),
    "analysis": lambda record: section(record, "analysis", Analysis),
    "proposals": lambda record: sections(record, "proposals", Proposal),
    "verification": lambda record: section(record, "verification", Verification),
}

RESOURCES = ("cpu_percent", "memory_bytes", "memory_limit_bytes", "memory_percent", "throttled_percent", "pids")


def line(record: Record, view: View, verdict: Analysis | None, status: Status) -> ServiceLine:
    """Its line in the stack report."""
    inspect = view.inspect
    checks = view.probe.checks if view.probe else []
    symptom = verdict if verdict and verdict.role == Role.SYMPTOM else None
    return ServiceLine(
        name=view.service,
        status=status,
        container=record.get("container"),
        state=inspect.state if inspect else None,
        health=inspect.health if inspect else None,
        role=verdict.role if verdict else None,
        cause=verdict.cause if verdict else None,
        path=verdict.root.path if verdict and verdict.root else None,
        checks=[
            CheckLine(each.url, each.ok, each.status_code, each.error, each.total_ms, each.note, each.chosen)
            for each in checks
        ],
        hypothesis=verdict.hypothesis if verdict else None,
        evidence_detail=[told(view, each) for each in own_evidence(symptom)],
        resources={name: getattr(view.stats, name, None) for name in RESOURCES},
        screenshots=[screenshots.line(each) for each in view.pages],
        errors=record.get("errors") or [],
    )


def own_evidence(verdict: Analysis | None) -> list[str]:
    """The ids of a verdict's evidence that are in the service's own record."""
    return ids.own(verdict.evidence) if verdict else []


def issue(record: Record, view: View, verdict: Analysis) -> Issue:
    """An issue with what its own record tells; `write` adds what others tell."""
    local = own_evidence(verdict)
    return Issue(
        id=f"issue-{view.service}",
        service=view.service,
        severity=verdict.severity or Severity.WARNING,
        status=verdict.status,
        evidence=verdict.evidence,
        root_cause_hypothesis=verdict.hypothesis or "",
        log_excerpt=excerpt(view, local),
        resource_metrics=metrics(view.stats, view.inspect),
        proposed_fixes=[
            msgspec.convert(each, ProposedFix, from_attributes=True) for each in sections(record, "proposals", Proposal)
        ],
        fingerprint=fingerprint(view.service, verdict, record.get("docker_host")),
        cause=verdict.cause,
        confidence=verdict.confidence,
        pattern=verdict.pattern,
        since=verdict.since,
        symptoms=verdict.symptoms,
        evidence_detail=[told(view, each) for each in local],
        engine=verdict.engine,
        looked_at=verdict.looked_at,
        found_fine=words.fine(view, local),
        log_context=words.context(view, local),
        next=verdict.next,
        notes=verdict.notes,
        steps=[_call(each) for each in verdict.steps],
        identity=_identity(view.inspect),
        docker_host=record.get("docker_host"),
    )


def _identity(inspect: Inspect | None) -> Identity | None:
    """The container that a fix is proposed for, as it was looked at."""
    return Identity(inspect.id, inspect.started_at, inspect.state, inspect.restart_count) if inspect else None


def complaints(view: View, verdict: Analysis | None) -> list[ReportedComplaint]:
    """What a service says that made no issue, with the words that it was said in."""
    return [
        ReportedComplaint(
            service=view.service,
            text=each.text,
            severity=each.severity,
            pattern=each.pattern,
            since=each.since,
            until=each.until,
            evidence_detail=[told(view, evidence_id) for evidence_id in each.evidence],
        )
        for each in (verdict.complaints if verdict else [])
    ]


def _call(step: Step) -> ToolCall:
    return ToolCall(step.id, step.tool, step.arguments, step.output, step.error)


def excerpt(view: View, evidence: list[str]) -> str:
    """The log lines that the verdict cites, or else the newest ones; at most 20 lines."""
    lines = view.logs.lines if view.logs else []
    cited = [line for line in lines if line.id in evidence]
    text = "\n".join(line.text for line in (cited or lines[-EXCERPT_LINES:]))
    return "\n".join(text.split("\n")[-EXCERPT_LINES:])


def metrics(stats: Stats | None, inspect: Inspect | None) -> dict[str, str | None]:
    """CPU and memory as `docker stats` spells them; null where nothing was measured."""
    if stats is None or stats.memory_bytes is None:
        return {"cpu": None, "memory": None, "mem_percent": None}
    limit = inspect.limits.memory_bytes if inspect else None
    memory = f"{size(stats.memory_bytes)} / {size(limit or stats.memory_limit_bytes or 0)}"
    return {
        "cpu": None if stats.cpu_percent is None else f"{stats.cpu_percent:g}%",
        "memory": memory,
        "mem_percent": None if stats.memory_percent is None else f"{stats.memory_percent:g}%",
    }
