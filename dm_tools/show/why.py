"""Why a verdict says what it says: from the root to the lines of evidence it stands on, as text for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dm_tools.diagnose.incidents import fingerprint
from dm_tools.evidence.ids import own, parse
from dm_tools.evidence.view import View
from dm_tools.evidence.words import told
from dm_tools.pipe import clock
from dm_tools.records import (
    Analysis,
    Before,
    Confidence,
    Issue,
    Problem,
    Quoted,
    ReportedComplaint,
    Role,
    ServiceLine,
    Step,
    ToolCall,
    section,
)
from dm_tools.show.records import Line, paragraph, way
from dm_tools.text.times import shown

Json = dict[str, Any]

SHOWN_ENDS = 2  # lines shown of the beginning and of the end of a long trace


@dataclass
class _Judged:
    """What is kept of one record: its verdict and the words of its evidence."""

    verdict: Analysis
    words: dict[str, Quoted]
    at: str | None
    host: str | None


class Why:
    """Collects the records of a stack; a verdict may cite the evidence of another service, so it needs them all."""

    def __init__(self, known: Callable[[str, str], Before | None]) -> None:
        self._services: dict[str, _Judged] = {}
        self._known = known

    def add(self, record: Json) -> None:
        """One more record. A malformed section counts as none: dm-analyze has said so in its `errors`."""
        try:
            verdict = section(record, "analysis", Analysis)
            view = View.of(record)
        except (Problem, KeyError):
            return
        if verdict is not None:
            ids = {*verdict.evidence, *(each for finding in verdict.findings for each in finding.evidence)}
            words = {each: told(view, each) for each in own(ids)}
            at = view.inspect.observed_at if view.inspect else None
            self._services[view.service] = _Judged(verdict, words, at, record.get("docker_host"))

    def lines(self) -> Iterator[Line]:
        """Every root with its evidence, and the way of every symptom to it with the evidence of each step."""
        roots = {name: each for name, each in self._services.items() if each.verdict.role == Role.ROOT}
        for name, each in roots.items():
            yield from _verdict(name, each.verdict)
            before = self._known(fingerprint(name, each.verdict, each.host), each.at or clock.rfc3339(clock.now()))
            yield from _before(before.words if before else None)
            yield from self._evidence(name, each.verdict.evidence)
            for symptom in each.verdict.symptoms:
                yield Line(f"  {way(symptom.path)}", "yellow")
                if judged := self._services.get(symptom.service):
                    yield paragraph(f"    {judged.verdict.hypothesis}")
                    yield from self._evidence(symptom.service, judged.verdict.evidence[-1:], "    ")
        if not roots:
            yield Line("No issues.")
        rest = [(name, each.verdict) for name, each in self._services.items()]
        rest = [(name, verdict) for name, verdict in rest if verdict.role in (Role.HEALTHY, Role.UNKNOWN)]
        if rest:
            yield Line("")
        for name, verdict in rest:
            yield from self._at_rest(name, verdict)

    def _at_rest(self, service: str, verdict: Analysis) -> Iterator[Line]:
        """Why a service makes no issue: what was looked at, what it complains of, what is over."""
        looked = ", ".join(verdict.looked_at) or "nothing"
        yield Line(f"{service}: {verdict.status}, no issue (looked at: {looked})")
        for each in verdict.complaints:
            yield paragraph(f"  complains: {each.text}", "yellow")
            yield paragraph("    no issue: nothing is seen to fail (its checks pass, no request in its log fails)")
            yield from self._evidence(service, each.evidence, "    ")
        for finding in verdict.findings:
            if finding.over:
                yield paragraph(f"  over: {finding.explanation} ({finding.pattern})")
                yield from self._evidence(service, finding.evidence[-1:], "    ")

    def _evidence(self, service: str, ids: list[str], margin: str = "  ") -> Iterator[Line]:
        for each in ids:
            cited = parse(each)
            judged = self._services.get(service if cited.owner is None else cited.owner)
            yield _quoted(each, judged.words.get(cited.local) if judged else None, margin)


def issue(found: Issue) -> Iterator[Line]:
    """An issue of a report: it holds the words of its evidence itself."""
    yield Line("")
    yield Line(f"{found.severity.upper()} {found.service}: {found.cause}", "red", bold=True)
    yield paragraph(f"  {found.root_cause_hypothesis}")
    yield from _basis(found.confidence, found.pattern, found.since, found.next)
    yield from _before(found.history.words if found.history else None)
    yield from _model(found.notes, found.steps)
    for each in found.evidence_detail:
        yield _quoted(each.id, each, "  ")
    for moment in found.moments:
        again = f", {moment.times} times until {moment.until[11:23]}" if moment.until else ""
        yield paragraph(f"  {shown(moment.at, 3)} {moment.service}: {moment.text}{again}")
    for symptom in found.symptoms:
        yield Line(f"  {way(symptom.path)}", "yellow")


def service(found: ServiceLine, complaints: Sequence[ReportedComplaint]) -> Iterator[Line]:
    """A service of a stack report that is no root, with what it complains of."""
    yield Line(
        f"{found.name}: {found.status}"
        + ("" if found.role in (None, Role.HEALTHY, Role.UNKNOWN) else f", {found.role}"),
        bold=True,
    )
    if found.path and len(found.path) > 1:
        yield Line(f"  {way(found.path)}", "yellow")
    if found.hypothesis:
        yield paragraph(f"  {found.hypothesis}")
    for each in found.evidence_detail:
        yield _quoted(each.id, each, "  ")
    for complaint in complaints:
        if complaint.service == found.name:
            yield paragraph(f"  complains: {complaint.text}", "yellow")
            for each in complaint.evidence_detail:
                yield _quoted(each.id, each, "    ")


def _verdict(service: str, verdict: Analysis) -> Iterator[Line]:
    yield Line("")
    yield Line(f"{str(verdict.severity).upper()} {service}: {verdict.cause}", "red", bold=True)
    yield paragraph(f"  {verdict.hypothesis}")
    yield from _basis(verdict.confidence, verdict.pattern, verdict.since, verdict.next)
    yield from _model(verdict.notes, verdict.steps)


def _basis(
    confidence: Confidence | None, pattern: str | None, since: str | None, following: list[str]
) -> Iterator[Line]:
    begun = f", since {shown(since)}" if since else ""
    yield paragraph(f"  confidence {confidence}" + (f", pattern {pattern}" if pattern else "") + begun)
    for each in following:
        yield paragraph(f"  next: {each}")


def _before(words: str | None) -> Iterator[Line]:
    if words:
        yield paragraph(f"  history: {words}", "green")


def _model(notes: list[str], steps: Sequence[Step | ToolCall]) -> Iterator[Line]:
    """What a model said that is not the verdict, and what it looked at."""
    for each in notes:
        yield paragraph(f"  model: {each}")
    for step in steps:
        arguments = " ".join(f"{key}={value}" for key, value in step.arguments.items())
        failed = f": {step.error}" if step.error else ""
        yield paragraph(f"  model looked: [{step.id}] {step.tool} {arguments}{failed}")


def _quoted(evidence_id: str, words: Quoted | None, margin: str) -> Line:
    at = f"{shown(words.at, 3)} " if words and words.at else ""
    parts = (words.text if words else "(its record is not among these)").split("\n")
    if len(parts) > 2 * SHOWN_ENDS + 1:
        left = f"[... {len(parts) - 2 * SHOWN_ENDS} lines left out ...]"
        parts = [*parts[:SHOWN_ENDS], left, *parts[-SHOWN_ENDS:]]
    return paragraph(f"{margin}[{evidence_id}] {at}" + f"\n{margin}    ".join(parts), "cyan")
