"""The reports: `stack_diagnostics_<ts>.json` and `enhanced_diagnostics_<ts>.json`, in the schema of the seed.

Where the seed has a key, its name and form are the seed's ("cpu": "0.5%"); what we add is beside it. One issue is
one incident: the root with its evidence and fixes; the services that only suffer are listed in it as `symptoms`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from dm_tools.evidence import words as evidence
from dm_tools.evidence.view import View
from dm_tools.evidence.words import size, told
from dm_tools.pipe.spool import Spool
from dm_tools.records import (
    Analysis,
    Inspect,
    Logs,
    Probe,
    Problem,
    Proposal,
    Role,
    Screenshot,
    Stats,
    Status,
    Step,
    section,
    sections,
    with_error,
)
from dm_tools.store import files, screenshots
from dm_tools.store.meter import Meter

VERSION = 1
EXCERPT_LINES = 20

Record = dict[str, Any]


class Collector:
    """Takes the records of a stack one after another and keeps only what the reports need."""

    def __init__(self, spool: Spool) -> None:
        self.services = spool
        self.counts: Counter[str] = Counter()
        self.issues: list[dict[str, Any]] = []
        self.input_errors: list[dict[str, Any]] = []
        self.quoted: dict[str, dict[str, Any]] = {}  # evidence that other services' verdicts may cite
        self.analysed = False
        self.meter = Meter()

    def add_bad_line(self, record: Record) -> None:
        """Keep what an input line that was no record left behind."""
        self.input_errors += record.get("errors") or []

    def add(self, record: Record) -> Record:
        """Take one record in; returns it with the sections that are malformed as entries in its `errors`."""
        record = _readable(record)
        view = View.of(record)
        verdict = section(record, "analysis", Analysis)
        status = verdict.status if verdict else view.status
        self.counts[status] += 1
        self.analysed |= verdict is not None
        self.meter.add(record, verdict)
        self.services.add(_service(record, view, verdict, status))
        for finding in verdict.findings if verdict else []:  # also of healthy ones: their logs may accuse another
            for evidence_id in finding.evidence:
                self.quoted[f"{view.service}/{evidence_id}"] = told(view, evidence_id)
        if verdict is not None and verdict.role == Role.ROOT:
            self.issues.append(_issue(record, view, verdict))
        return record

    @property
    def healthy(self) -> bool:
        """Whether there is nothing to report."""
        return not self.issues and not (self.counts[Status.DEGRADED] or self.counts[Status.FAILED])


def _readable(record: Record) -> Record:
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
}

RESOURCES = ("cpu_percent", "memory_bytes", "memory_limit_bytes", "memory_percent", "throttled_percent", "pids")


def _service(record: Record, view: View, verdict: Analysis | None, status: Status) -> Record:
    inspect = view.inspect
    checks = view.probe.checks if view.probe else []
    symptom = verdict if verdict and verdict.role == Role.SYMPTOM else None
    return {
        "name": view.service,
        "status": status,
        "container": record.get("container"),
        "state": inspect.state if inspect else None,
        "health": inspect.health if inspect else None,
        "role": verdict.role if verdict else None,
        "cause": verdict.cause if verdict else None,
        "path": verdict.root.path if verdict and verdict.root else None,
        "checks": [
            {
                "url": check.url,
                "ok": check.ok,
                "status_code": check.status_code,
                "error": check.error,
                "total_ms": check.total_ms,
            }
            for check in checks
        ],
        "hypothesis": verdict.hypothesis if verdict else None,
        "evidence_detail": [{"id": each} | told(view, each) for each in _local(symptom)],
        "resources": {name: getattr(view.stats, name, None) for name in RESOURCES},
        "screenshots": screenshots.pages(record),
        "errors": record.get("errors") or [],
    }


def _local(verdict: Analysis | None) -> list[str]:
    """The ids of a verdict's evidence that are in the service's own record."""
    return [each for each in verdict.evidence if "/" not in each] if verdict else []


def _issue(record: Record, view: View, verdict: Analysis) -> dict[str, Any]:
    proposals = sections(record, "proposals", Proposal)
    local = _local(verdict)
    return {
        "id": f"issue-{view.service}",
        "service": view.service,
        "severity": verdict.severity or "warning",
        "status": verdict.status,
        "evidence": verdict.evidence,
        "root_cause_hypothesis": verdict.hypothesis or "",
        "log_excerpt": excerpt(view, local),
        "resource_metrics": metrics(view.stats, view.inspect),
        "proposed_fixes": [_fix(each) for each in proposals],
        "cause": verdict.cause,
        "confidence": verdict.confidence,
        "pattern": verdict.pattern,
        "since": verdict.since,
        "symptoms": [{"service": each.service, "path": each.path} for each in verdict.symptoms],
        "evidence_detail": [{"id": each} | told(view, each) for each in local],
        "engine": verdict.engine,
        "looked_at": verdict.looked_at,
        "found_fine": evidence.fine(view, local),
        "log_context": evidence.context(view, local),
        "next": verdict.next,
        "notes": verdict.notes,
        "steps": [_step(each) for each in verdict.steps],
    }


def _step(step: Step) -> dict[str, Any]:
    return {"id": step.id, "tool": step.tool, "arguments": step.arguments, "output": step.output, "error": step.error}


def _fix(proposal: Proposal) -> dict[str, Any]:
    return {
        "action": proposal.action,
        "confidence": proposal.confidence,
        "reasoning": proposal.reasoning,
        "parameters": proposal.parameters,
        "risk": proposal.risk,
        "automatic": proposal.automatic,
        "undo": proposal.undo,
        "evidence": proposal.evidence,
    }


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


_SEVERITIES = ("critical", "warning", "info")


@dataclass(frozen=True)
class Manner:
    """What a report is made with and this module need not know.

    `is_safe`: whether a fix may be carried out without a person. `text`: an enhanced report as a person reads it.
    `page`: the HTML page of (report, its services, its path, the folder), None if there is to be none.
    """

    is_safe: Callable[[Record], bool]
    text: Callable[[Record], str]
    page: Callable[[Record, Iterable[Record], str, Path], Iterable[bytes]] | None = None


def write(collector: Collector, folder: Path, now: float, run_path: str | None, manner: Manner) -> dict[str, Any]:
    """Write the reports; returns what was written: paths, id, summary. Raises files.CannotWrite.

    All files carry the same second in their names. If another run has taken it, the next free one is used.
    """
    files.make_folder(folder)
    pictured = _pictured(collector)
    for issue in collector.issues:
        for evidence_id in issue["evidence"]:
            if "/" in evidence_id and evidence_id in collector.quoted:
                issue["evidence_detail"].append({"id": evidence_id} | collector.quoted[evidence_id])
        members = [issue["service"], *(each["service"] for each in issue["symptoms"])]
        issue["screenshots"] = [each for name in members for each in pictured.get(name, [])]
        quoted = [each["text"] for each in issue["evidence_detail"] if "/logs:" in each["id"]]
        if quoted and not any(each.startswith("logs:") for each in issue["evidence"]):
            issue["log_excerpt"] = "\n".join("\n".join(quoted).split("\n")[-EXCERPT_LINES:])
    stamp = int(now)
    while True:
        base = folder / f"stack_diagnostics_{stamp}.json"
        enhanced = folder / f"enhanced_diagnostics_{stamp}.json"
        taken = any(path.exists() for path in (enhanced, base.with_suffix(".html"), enhanced.with_suffix(".html")))
        if not taken and files.write_new(base, _stack(collector, _head(collector, stamp, now, run_path), base)):
            break
        stamp += 1
    content = _head(collector, stamp, now, run_path)
    written: dict[str, Any] = {
        "report_path": files.text(base),
        "base_report_path": files.text(base),
        "html_path": None,
    }
    if collector.analysed:
        content = _enhanced(collector, content, stamp, base, manner)
        text = orjson.dumps(content, option=orjson.OPT_INDENT_2, default=str) + b"\n"
        files.replace(enhanced, [text])
        written["report_path"] = files.text(enhanced)
    if manner.page:
        target = Path(enhanced if collector.analysed else base).with_suffix(".html")
        files.replace(target, manner.page(content, collector.services, written["report_path"], folder))
        written["html_path"] = files.text(target)
    written |= {key: content[key] for key in ("report_id", "generated_at", "summary")}
    if not collector.analysed:
        return written
    return written | {
        "issues": [
            {key: issue[key] for key in ("id", "service", "severity", "status", "cause", "root_cause_hypothesis")}
            | {"symptoms": [each["service"] for each in issue["symptoms"]]}
            | {"first_action": issue["proposed_fixes"][0]["action"] if issue["proposed_fixes"] else None}
            for issue in content["issues"]
        ],
    }


def _pictured(collector: Collector) -> dict[str, list[dict[str, Any]]]:
    """The pages of the services that have a part in an incident."""
    roles = (Role.ROOT, Role.SYMPTOM)
    found = ((each["name"], each["screenshots"]) for each in collector.services if each["role"] in roles)
    return {name: screenshots.of_issue(name, seen) for name, seen in found if seen}


def _summary(collector: Collector) -> dict[str, int]:
    counts = {str(status): collector.counts[status] for status in Status}
    return {"total": sum(counts.values())} | counts


def _head(collector: Collector, stamp: int, now: float, run_path: str | None) -> dict[str, Any]:
    """What both reports say of themselves."""
    return {
        "generated_at": int(now * 1000),
        "report_id": f"stack-{stamp}",
        "version": VERSION,
        "summary": _summary(collector),
        "run_path": run_path and files.text(run_path),
        "input_errors": collector.input_errors,
    }


def _stack(collector: Collector, head: dict[str, Any], path: Path) -> Iterator[bytes]:
    """The stack report in pieces: its list of services may be long."""
    yield orjson.dumps(head | {"report_path": files.text(path)})[:-1] + b',\n"services": [\n'
    for index, service in enumerate(collector.services):
        yield (b",\n" if index else b"") + orjson.dumps(service)
    yield b"\n]}\n"


def _enhanced(collector: Collector, head: dict[str, Any], stamp: int, base: Path, manner: Manner) -> dict[str, Any]:
    issues = sorted(collector.issues, key=lambda issue: (_SEVERITIES.index(issue["severity"]), -len(issue["symptoms"])))
    seen: Counter[str] = Counter()
    for issue in issues:
        issue["id"] = f"{issue['id']}-{stamp}"
        seen[issue["id"]] += 1
        if seen[issue["id"]] > 1:  # two records of one name: a review must be able to tell their issues apart
            issue["id"] += f"-{seen[issue['id']]}"
    fixes = [(issue["service"], fix) for issue in issues for fix in issue["proposed_fixes"]]
    safe = [f"{service}: {fix['action']}" for service, fix in fixes if manner.is_safe(fix)]
    review = [f"{service}: {fix['action']}" for service, fix in fixes if not manner.is_safe(fix)]
    content = {
        **head,
        "report_id": f"enhanced-{stamp}",
        "summary": head["summary"] | {"issues": len(issues), "safe_actions": len(safe), "needs_review": len(review)},
        "issues": issues,
        "automated_actions_safe": safe,
        "requires_human_review": review,
        "base_report_path": files.text(base),
    }
    return content | {"cost": collector.meter.cost(manner.text(content))}
