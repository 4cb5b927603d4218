"""What a policy sees of a proposal: closed words, names and numbers. No text of a log decides anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dm_tools.act.catalogue import CATALOGUE
from dm_tools.act.posterior import Place, place_of_record
from dm_tools.diagnose.incidents import fingerprint
from dm_tools.records import (
    ActionName,
    Analysis,
    ApprovedAction,
    Cause,
    Confidence,
    EnhancedReport,
    Identity,
    Inspect,
    Issue,
    Proposal,
    ProposedFix,
    Role,
    section,
    sections,
)

Record = dict[str, Any]


@dataclass(frozen=True)
class Facts:
    """What the record of a service tells, beside its verdict. None: nobody looked."""

    place: Place
    labels: Mapping[str, str] | None = None
    writable_mounts: bool | None = None
    needed_by: int | None = None
    identity: Identity | None = None
    twins: int = 1  # records of the same service


@dataclass(frozen=True)
class Subject:
    """One proposal. `fix` is its place among those of its issue; `words` are passed on and never read."""

    issue_id: str
    fix: int
    action: ActionName
    cause: Cause | None
    confidence: Confidence
    parameters: Mapping[str, Any]
    facts: Facts
    by_rules: bool = True  # the verdict is the rules', not a model's
    claims_safe: bool = True  # the record itself does not say that it is riskier than the catalogue says
    words: str = field(default="", compare=False)
    pattern: str | None = field(default=None, compare=False)
    fingerprint: str | None = field(default=None, compare=False)

    @property
    def service(self) -> str:
        """The service that it is about."""
        return self.facts.place.service


def approval_of(subject: Subject, rule: str, at: str) -> ApprovedAction:
    """The approval of a proposal, as dm-execute takes it; its risk and its way back are the catalogue's."""
    known = CATALOGUE[subject.action]
    return ApprovedAction(
        issue_id=subject.issue_id,
        service=subject.service,
        action=subject.action,
        confidence=subject.confidence,
        reasoning=subject.words,
        parameters=dict(subject.parameters),
        risk=known.risk,
        undo=known.undo,
        identity=subject.facts.identity,
        docker_host=subject.facts.place.host,
        approved_at=at,
        by=f"policy:{rule}",
        fingerprint=subject.fingerprint,
        cause=subject.cause,
        pattern=subject.pattern,
    )


def of(report: EnhancedReport | None, records: list[Record]) -> list[Subject]:
    """The proposals of a report, or of records where there is none. Raises records.Problem."""
    return of_report(report, records) if report else of_records(records)


def of_records(records: Iterable[Record]) -> list[Subject]:
    """The proposals for the roots in records. Raises records.Problem if a section is malformed."""
    known = list(records)
    facts = _facts(known)
    found = []
    for record in known:
        verdict = section(record, "analysis", Analysis)
        if verdict is None or verdict.role != Role.ROOT:
            continue
        for index, each in enumerate(sections(record, "proposals", Proposal)):
            mark = fingerprint(record["service"], verdict, record.get("docker_host"))
            found.append(_subject(f"issue-{record['service']}", index, each, verdict, facts[_name(record)], mark))
    return found


def of_report(report: EnhancedReport, records: Iterable[Record]) -> list[Subject]:
    """The proposals of a report's issues; what is known of the services beside is in the records of its run."""
    facts = _facts(list(records))
    twins = Counter((each.docker_host, each.service) for each in report.issues)
    found = []
    for issue in report.issues:
        name = issue.docker_host, issue.service
        own = facts.get(name) or Facts(Place(issue.service, host=issue.docker_host))
        twin = max(own.twins, twins[name])
        own = Facts(own.place, own.labels, own.writable_mounts, own.needed_by, issue.identity, twin)
        for index, each in enumerate(issue.proposed_fixes):
            found.append(_subject(issue.id, index, each, issue, own, issue.fingerprint))
    return found


def _subject(
    issue_id: str,
    index: int,
    each: Proposal | ProposedFix,
    verdict: Analysis | Issue,
    facts: Facts,
    mark: str | None,
) -> Subject:
    known = CATALOGUE[each.action]
    return Subject(
        issue_id=issue_id,
        fix=index,
        action=each.action,
        cause=verdict.cause,
        confidence=min(each.confidence, verdict.confidence or Confidence.LOW, key=lambda one: one.order),
        parameters=each.parameters,
        facts=facts,
        by_rules=verdict.engine == "rules",
        claims_safe=each.risk == known.risk and each.automatic == known.automatic,
        words=each.reasoning,
        pattern=verdict.pattern,
        fingerprint=mark,
    )


def _name(record: Record) -> tuple[str | None, str]:
    return record.get("docker_host"), record["service"]


def _facts(records: list[Record]) -> dict[tuple[str | None, str], Facts]:
    """What is known of each service, by engine and name."""
    verdicts = {_name(each): section(each, "analysis", Analysis) for each in records}
    needs = {(name[0], name[1]): found.peers for name, found in verdicts.items() if found is not None}
    twins = Counter(map(_name, records))
    found = {}
    for record in records:
        name, inspect = _name(record), section(record, "inspect", Inspect)
        found[name] = Facts(
            place=place_of_record(record["service"], inspect, name[0]),
            labels=inspect.labels if inspect else None,
            writable_mounts=_keeps_data(inspect) if inspect else None,
            needed_by=_needed_by(name, needs) if name in needs else None,
            identity=Identity(inspect.id, inspect.started_at, inspect.state, inspect.restart_count)
            if inspect
            else None,
            twins=twins[name],
        )
    return found


def _keeps_data(inspect: Inspect) -> bool:
    return any(not each.read_only and each.type != "tmpfs" for each in inspect.mounts)


def _needed_by(name: tuple[str | None, str], needs: Mapping[tuple[str | None, str], list[str]]) -> int:
    """How many services need one, directly or through others. A peer's name counts on whatever engine it is."""
    seen, new = {name[1]}, {name[1]}
    while new:
        new = {service for (_, service), peers in needs.items() if new & set(peers)} - seen
        seen |= new
    return len(seen) - 1
