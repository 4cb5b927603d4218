"""Why a verdict says what it says: from the root to the lines of evidence it stands on, as text for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from dm_tools.diagnose.incidents import fingerprint
from dm_tools.evidence.view import View
from dm_tools.evidence.words import told
from dm_tools.pipe import clock
from dm_tools.records import Analysis, Before, Problem, Quoted, Role, section
from dm_tools.show.records import Line

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
            words = {each: told(view, each) for each in ids if "/" not in each}
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
                yield Line(f"  {' → '.join(symptom.path)}", "yellow")
                if judged := self._services.get(symptom.service):
                    yield Line(f"    {judged.verdict.hypothesis}")
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
            yield Line(f"  complains: {each.text}", "yellow")
            yield Line("    no issue: nothing is seen to fail (its checks pass, no request in its log fails)")
            yield from self._evidence(service, each.evidence, "    ")
        for finding in verdict.findings:
            if finding.over:
                yield Line(f"  over: {finding.explanation} ({finding.pattern})")
                yield from self._evidence(service, finding.evidence[-1:], "    ")

    def _evidence(self, service: str, ids: list[str], margin: str = "  ") -> Iterator[Line]:
        for each in ids:
            owner, slash, local = each.rpartition("/")
            judged = self._services.get(owner if slash else service)
            yield _quoted(each, _json(judged.words.get(local)) if judged else {}, margin)


def issue(found: Json) -> Iterator[Line]:
    """An issue of a report: it holds the words of its evidence itself."""
    yield Line("")
    yield Line(f"{str(found.get('severity')).upper()} {found.get('service')}: {found.get('cause')}", "red", bold=True)
    yield Line(f"  {found.get('root_cause_hypothesis')}")
    yield from _basis(found.get("confidence"), found.get("pattern"), found.get("since"), found.get("next") or [])
    history = found.get("history")
    yield from _before(history.get("words") if isinstance(history, dict) else None)
    yield from _model(found.get("notes") or [], found.get("steps") or [])
    for each in found.get("evidence_detail") or []:
        if isinstance(each, dict):
            yield _quoted(str(each.get("id")), each, "  ")
    for symptom in found.get("symptoms") or []:
        if isinstance(symptom, dict):
            yield Line("  " + " → ".join(map(str, symptom.get("path") or [])), "yellow")


def _verdict(service: str, verdict: Analysis) -> Iterator[Line]:
    yield Line("")
    yield Line(f"{str(verdict.severity).upper()} {service}: {verdict.cause}", "red", bold=True)
    yield Line(f"  {verdict.hypothesis}")
    yield from _basis(verdict.confidence, verdict.pattern, verdict.since, verdict.next)
    yield from _model(verdict.notes, [msgspec.to_builtins(each) for each in verdict.steps])


def _basis(confidence: Any, pattern: Any, since: Any, following: list[Any]) -> Iterator[Line]:
    begun = f", since {since}" if since else ""
    yield Line(f"  confidence {confidence}" + (f", pattern {pattern}" if pattern else "") + begun)
    for each in following:
        yield Line(f"  next: {each}")


def _before(words: Any) -> Iterator[Line]:
    if words:
        yield Line(f"  history: {words}", "green")


def _model(notes: list[Any], steps: list[Any]) -> Iterator[Line]:
    """What a model said that is not the verdict, and what it looked at."""
    for each in notes:
        yield Line(f"  model: {each}")
    for each in steps:
        if isinstance(each, dict):
            arguments = " ".join(f"{key}={value}" for key, value in (each.get("arguments") or {}).items())
            failed = f": {each['error']}" if each.get("error") else ""
            yield Line(f"  model looked: [{each.get('id')}] {each.get('tool')} {arguments}{failed}")


def _json(quoted: Quoted | None) -> Json:
    return msgspec.to_builtins(quoted) if quoted else {}


def _quoted(evidence_id: str, words: Json, margin: str) -> Line:
    at = f"{words['at']} " if words.get("at") else ""
    parts = str(words.get("text", "(its record is not among these)")).split("\n")
    if len(parts) > 2 * SHOWN_ENDS + 1:
        left = f"[... {len(parts) - 2 * SHOWN_ENDS} lines left out ...]"
        parts = [*parts[:SHOWN_ENDS], left, *parts[-SHOWN_ENDS:]]
    return Line(f"{margin}[{evidence_id}] {at}" + f"\n{margin}    ".join(parts), "cyan")
