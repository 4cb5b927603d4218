"""The reports: `stack_diagnostics_<ts>.json` and `enhanced_diagnostics_<ts>.json`, in the schema of the seed.

One issue is one incident: the root with its evidence and fixes; the services that only suffer are listed in it as
`symptoms`.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import orjson

from dm_tools.evidence import ids, moments
from dm_tools.evidence.view import View
from dm_tools.evidence.words import told
from dm_tools.pipe import clock
from dm_tools.pipe.spool import Spool
from dm_tools.records import (
    Analysis,
    Before,
    Deed,
    EnhancedReport,
    Head,
    Issue,
    Moment,
    Problem,
    ProposedFix,
    Quoted,
    ReportedComplaint,
    Role,
    ServiceLine,
    Status,
    error,
    section,
)
from dm_tools.store import compared, deeds, files, of_service, screenshots
from dm_tools.store.meter import Meter

Record = dict[str, Any]


class Lines:
    """The services of a stack report, read from the disk anew each time that somebody goes through them."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def __iter__(self) -> Iterator[ServiceLine]:
        return (msgspec.convert(each, ServiceLine) for each in self._spool)


class Collector:
    """Takes the records of a stack one after another and keeps only what the reports need.

    `services`: the stack report's services wait on the disk, as JSON.
    """

    def __init__(self, spool: Spool) -> None:
        self.services = spool
        self.lines = Lines(spool)
        self.counts: Counter[str] = Counter()
        self.issues: list[Issue] = []
        self.complaints: list[ReportedComplaint] = []
        self.input_errors: list[dict[str, Any]] = []
        self.quoted: dict[str, Quoted] = {}  # evidence that other services' verdicts may cite
        self.deeds: list[Deed] = []
        self.moments: dict[str, list[Moment]] = {}  # of services that have a part in an incident
        self.observed: dict[str, str | None] = {}  # when the root of each issue was looked at
        self.analysed = False
        self.meter = Meter()

    def add_bad_line(self, record: Record) -> None:
        """Keep what an input line that was no record left behind, or what a session says of itself."""
        self.input_errors += record.get("errors") or []

    def add_done(self, record: Record) -> None:
        """Keep what was done of an action, as dm-execute and dm-undo print it."""
        try:
            self.deeds.append(deeds.done(record))
        except Problem as problem:
            self.input_errors.append(error("report", problem.code, problem.message))

    def add(self, record: Record) -> Record:
        """Take one record in; returns it with the sections that are malformed as entries in its `errors`."""
        record = of_service.readable(record)
        view = View.of(record)
        verdict = section(record, "analysis", Analysis)
        status = verdict.status if verdict else view.certain_status
        self.counts[status] += 1
        self.analysed |= verdict is not None
        self.meter.add(record, verdict)
        self.services.add(msgspec.to_builtins(of_service.line(record, view, verdict, status)))
        for finding in verdict.findings if verdict else []:  # also of healthy ones: their logs may accuse another
            for evidence_id in finding.evidence:
                whole = f"{view.service}/{evidence_id}"
                self.quoted[whole] = msgspec.structs.replace(told(view, evidence_id), id=whole)
        if verdict is not None and verdict.role in (Role.ROOT, Role.SYMPTOM):
            self.moments[view.service] = moments.of_service(view, of_service.own_evidence(verdict))
        if verdict is not None and verdict.role == Role.ROOT:
            self.issues.append(of_service.issue(record, view, verdict))
            self.observed[view.service] = view.inspect.observed_at if view.inspect else None
        self.complaints += of_service.complaints(view, verdict)
        if proved := deeds.looked(record):
            self.deeds.append(proved)
        return record

    def fails(self, statuses: Iterable[str], issues: bool) -> bool:
        """Whether a service has one of these statuses; with `issues` also if an issue is about a service not here."""
        return any(self.counts[Status(each)] for each in statuses) or (issues and not self.healthy)

    @property
    def healthy(self) -> bool:
        """Whether there is nothing to report."""
        return not self.issues and not (self.counts[Status.DEGRADED] or self.counts[Status.FAILED])


@dataclass(frozen=True)
class Manner:
    """What a report is made with and this module need not know.

    `is_safe`: whether a fix may be carried out without a person. `text`: an enhanced report as a person reads it.
    `page`: the HTML page of (report, the stack's services, its path, the folder), None if there is to be none.
    `before`: what is known of a fingerprint from before a time.
    """

    is_safe: Callable[[ProposedFix], bool]
    text: Callable[[Record], str]
    page: Callable[[Head, Iterable[ServiceLine], str, Path], Iterable[bytes]] | None = None
    before: Callable[[str, str], Before | None] = lambda fingerprint, at: None


def write(collector: Collector, folder: Path, now: float, run_path: str | None, manner: Manner) -> dict[str, Any]:
    """Write the reports; returns what was written: paths, id, summary. Raises files.CannotWrite.

    All files carry the same second in their names. If another run has taken it, the next free one is used.
    """
    files.make_folder(folder)
    _complete(collector)
    stamp = int(now)
    while True:
        base = folder / f"stack_diagnostics_{stamp}.json"
        enhanced = folder / f"enhanced_diagnostics_{stamp}.json"
        taken = any(path.exists() for path in (enhanced, base.with_suffix(".html"), enhanced.with_suffix(".html")))
        if not taken and files.write_new(base, _stack(collector, _head(collector, stamp, now, run_path), base)):
            break
        stamp += 1
    report = _head(collector, stamp, now, run_path)
    written = {"report_path": files.text(base), "base_report_path": files.text(base), "html_path": None}
    if collector.analysed:
        report = _enhanced(collector, report, stamp, base, manner)
        text = orjson.dumps(msgspec.to_builtins(report), option=orjson.OPT_INDENT_2) + b"\n"
        files.replace(enhanced, [text])
        written["report_path"] = files.text(enhanced)
    if manner.page:
        target = Path(enhanced if collector.analysed else base).with_suffix(".html")
        files.replace(target, manner.page(report, collector.lines, str(written["report_path"]), folder))
        written["html_path"] = files.text(target)
    told_of = {"report_id": report.report_id, "generated_at": report.generated_at, "summary": report.summary}
    told_of["incomplete"] = [each["message"] for each in report.input_errors if "message" in each]
    if isinstance(report, EnhancedReport):
        told_of["issues"] = [_in_short(each) for each in report.issues]
        told_of["complaints"] = [f"{each.service}: {each.text}" for each in report.complaints]
    return written | told_of


def in_short(collector: Collector) -> dict[str, Any]:
    """What is added to the marker of a round that was reported or could have been: `summary` and `issues`."""
    counts = {str(status): collector.counts[status] for status in Status}
    return {
        "summary": {"total": sum(counts.values())} | counts,
        "issues": [_in_short(each) for each in collector.issues],
    }


def _in_short(issue: Issue) -> dict[str, Any]:
    """An issue as the session and scripts are told of it."""
    names = ("id", "service", "severity", "status", "cause", "root_cause_hypothesis", "fingerprint")
    first = issue.proposed_fixes[0].action if issue.proposed_fixes else None
    symptoms = [each.service for each in issue.symptoms]
    before = issue.history.words if issue.history else None
    return {name: getattr(issue, name) for name in names} | {
        "symptoms": symptoms,
        "first_action": first,
        "before": before,
    }


def _complete(collector: Collector) -> None:
    """Add to each issue what the records of other services tell: evidence that it cites, pages of its symptoms."""
    pages = {
        line.name: [screenshots.of_issue(line.name, page) for page in line.screenshots]
        for line in collector.lines
        if line.role in (Role.ROOT, Role.SYMPTOM) and line.screenshots
    }
    for issue in collector.issues:
        foreign = [collector.quoted[each] for each in issue.evidence if each in collector.quoted]
        issue.evidence_detail += foreign
        members = [issue.service, *(each.service for each in issue.symptoms)]
        issue.screenshots = [page for name in members for page in pages.get(name, [])]
        there = [moment for name in dict.fromkeys(members) for moment in collector.moments.get(name, [])]
        issue.moments = moments.of_incident(issue.service, issue.since, there)
        quoted = [each.text for each in foreign if ids.parse(each.id).kind == ids.Kind.LOGS]
        if quoted and not ids.cites_own_log(issue.evidence):
            issue.log_excerpt = "\n".join("\n".join(quoted).split("\n")[-of_service.EXCERPT_LINES :])


def _head(collector: Collector, stamp: int, now: float, run_path: str | None) -> Head:
    """What both reports say of themselves."""
    counts = {str(status): collector.counts[status] for status in Status}
    return Head(
        generated_at=int(now * 1000),
        report_id=f"stack-{stamp}",
        host=platform.node() or None,
        summary={"total": sum(counts.values())} | counts,
        run_path=files.text(run_path) if run_path else None,
        input_errors=collector.input_errors,
    )


def _stack(collector: Collector, head: Head, path: Path) -> Iterator[bytes]:
    """The stack report in pieces: its list of services may be long."""
    yield orjson.dumps(msgspec.to_builtins(head) | {"report_path": files.text(path)})[:-1] + b',\n"services": [\n'
    for index, service in enumerate(collector.services):
        yield (b",\n" if index else b"") + orjson.dumps(service)
    yield b"\n]}\n"


def _enhanced(collector: Collector, head: Head, stamp: int, base: Path, manner: Manner) -> EnhancedReport:
    for issue in collector.issues:
        at = collector.observed.get(issue.service) or clock.rfc3339(head.generated_at / 1000)
        issue.history = manner.before(issue.fingerprint or "", at)
    issues = sorted(collector.issues, key=lambda issue: (issue.severity.order, -len(issue.symptoms)))
    seen: Counter[str] = Counter()
    for issue in issues:
        issue.id = f"{issue.id}-{stamp}"
        seen[issue.id] += 1
        if seen[issue.id] > 1:  # two records of one name: a review must be able to tell their issues apart
            issue.id += f"-{seen[issue.id]}"
    fixes = [(issue.service, fix) for issue in issues for fix in issue.proposed_fixes]
    safe = [f"{service}: {fix.action}" for service, fix in fixes if manner.is_safe(fix)]
    review = [f"{service}: {fix.action}" for service, fix in fixes if not manner.is_safe(fix)]
    report = EnhancedReport(
        generated_at=head.generated_at,
        report_id=f"enhanced-{stamp}",
        host=head.host,
        summary=head.summary | {"issues": len(issues), "safe_actions": len(safe), "needs_review": len(review)},
        run_path=head.run_path,
        input_errors=head.input_errors,
        issues=issues,
        automated_actions_safe=safe,
        requires_human_review=review,
        complaints=sorted(collector.complaints, key=lambda each: each.severity.order),
        base_report_path=files.text(base),
        sent_to=sorted(collector.meter.sent_to),
        healing=deeds.in_time(collector.deeds),
    )
    if earlier := compared.before(base.parent, f"enhanced_diagnostics_{stamp}"):
        report.since_last = compared.compared(earlier, issues, {line.name for line in collector.lines})
    report.cost = collector.meter.cost(manner.text(msgspec.to_builtins(report)))
    return report
