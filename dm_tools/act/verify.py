"""Whether an action helped: a comparison of records from before and after, made by the commands that found the fault.

Not the exit code of a restart: the checks, pages, states and sayings that showed the trouble must be gone, by evidence
that is younger than the action, and nothing may be broken that was not before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from dm_tools.evidence import pages
from dm_tools.evidence.ids import Kind, parse
from dm_tools.evidence.view import View
from dm_tools.records import (
    Analysis,
    Execution,
    Outcome,
    Proof,
    Role,
    Severity,
    Status,
    Verification,
    section,
    with_section,
)
from dm_tools.text.times import seconds_between

Record = dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """What verification keeps of one record. `signs`: what shows trouble; kind and words, without times and counts.

    `says`: the signs of its log by pattern. `complains`: by pattern, until when it says what made no issue.
    """

    service: str
    status: Status
    role: Role | None
    root: str | None
    severity: Severity | None
    signs: frozenset[tuple[str, str]]
    looked_at: frozenset[str]
    observed_at: str | None
    says: dict[str, tuple[str, str]] = field(default_factory=dict)
    complains: dict[str, str | None] = field(default_factory=dict)


def seen(record: Record) -> Seen:
    """The digest of a judged record. Raises records.Problem if a section is malformed."""
    view = View.of(record)
    verdict = section(record, "analysis", Analysis)
    said = dict(_said(verdict))
    return Seen(
        service=view.service,
        status=verdict.status if verdict else view.status,
        role=verdict.role if verdict else None,
        root=verdict.root.service if verdict and verdict.root else None,
        severity=verdict.severity if verdict else None,
        signs=frozenset([*_signs(view), *said.values()]),
        looked_at=frozenset(view.looked_at),
        observed_at=view.inspect.observed_at if view.inspect else None,
        says=said,
        complains={each.pattern: each.until for each in (verdict.complaints if verdict else [])},
    )


def _signs(view: View) -> Iterator[tuple[str, str]]:
    for check in view.probe.checks if view.probe else []:
        if not check.ok and check.kind != "container":
            yield "probe", f"{check.url}: {check.message or check.error or 'fails'}"
    if view.inspect:
        if view.inspect.state != "running" and not view.finished:
            yield "inspect", f"the container is {view.inspect.state}"
        elif view.looping:
            yield "inspect", "the container is restarted over and over"
        if view.inspect.state == "running" and view.inspect.health == "unhealthy":
            yield "inspect", "its healthcheck fails"
    for page in view.pages:
        if page.verdict in pages.BROKEN:
            yield "screenshot", f"{page.url} shows {str(page.verdict).replace('_', ' ')}"


def _said(verdict: Analysis | None) -> Iterator[tuple[str, tuple[str, str]]]:
    if verdict and verdict.role in (Role.ROOT, Role.SYMPTOM):
        for finding in verdict.findings:
            kinds = {parse(each).kind for each in finding.evidence}
            if not finding.over and kinds == {Kind.LOGS}:
                yield finding.pattern, ("logs", f"its log says: {finding.explanation}")


def verified(
    service: str, before: dict[str, Seen], after: dict[str, Seen], done: list[Execution], began: str | None
) -> Verification:
    """Whether an incident is over whose root was `service`. `began`: when the first action on it began."""
    involved = [each for each in before.values() if each.service == service or each.root == service]
    were = _of(involved)
    stays = {sign: words for sign, words in were.items() if sign[0] in after and sign[1] in after[sign[0]].signs}
    ended = max((each.ended_at for each in done if each.ended_at), default=None)
    stays |= {
        (each.service, sign): f"{each.service}: {sign[1]}" for each in involved for sign in _again(each, after, ended)
    }
    worse = {
        sign: words
        for sign, words in _of([each for each in after.values() if _hurts(each)]).items()
        if sign[0] in before and not _hurts(before[sign[0]])
    }
    proof, reason = _proof(service, before, after, were, stays, worse, involved, began)
    if proof == Proof.RECOVERED and done and all(each.status not in HELPED for each in done):
        reason = "it recovered, and no action of ours was carried out"
    return Verification(
        proof=proof,
        gone=[words for sign, words in were.items() if sign not in stays],
        stays=list(stays.values()),
        new=list(worse.values()),
        reason=reason,
        action_ids=[each.id for each in done],
    )


def _again(each: Seen, after: dict[str, Seen], ended: str | None) -> Iterator[tuple[str, str]]:
    """What a service that looks well said before and goes on saying after the actions: it only has not failed yet."""
    for pattern, until in after[each.service].complains.items() if each.service in after else ():
        age = seconds_between(ended, until)
        if pattern in each.says and age is not None and age > 0:
            yield each.says[pattern]


HELPED = (Outcome.DONE, Outcome.ALREADY_DONE)


def _of(services: list[Seen]) -> dict[tuple[str, tuple[str, str]], str]:
    return {(each.service, sign): f"{each.service}: {sign[1]}" for each in services for sign in sorted(each.signs)}


def _hurts(each: Seen) -> bool:
    return each.role in (Role.ROOT, Role.SYMPTOM) and each.status in (Status.FAILED, Status.DEGRADED)


def _proof(
    service: str,
    before: dict[str, Seen],
    after: dict[str, Seen],
    were: dict[Any, str],
    stays: dict[Any, str],
    worse: dict[Any, str],
    involved: list[Seen],
    began: str | None,
) -> tuple[Proof, str | None]:
    if worse:
        return Proof.WORSE, "something fails now that did not before"
    if stays:
        return Proof.NOT_RECOVERED, "what showed the trouble is still there"
    if not were:
        return Proof.UNPROVEN, "nothing that was measured had shown the trouble, so nothing can show that it is over"
    missing = [each.service for each in involved if each.service not in after]
    if missing:
        return Proof.UNPROVEN, f"{missing[0]} was not looked at again"
    for each in involved:
        again = after[each.service]
        if not each.looked_at & {kind for kind, _ in each.signs} <= again.looked_at:
            kinds = ", ".join(sorted({kind for kind, _ in each.signs} - again.looked_at))
            return Proof.UNPROVEN, f"of {each.service}, {kinds} was not collected again"
        age = seconds_between(began, again.observed_at)
        if began is not None and (age is None or age < 0):
            return Proof.UNPROVEN, f"what is known of {each.service} is from before the action"
    if after[service].role == Role.ROOT:
        return Proof.NOT_RECOVERED, "it is still at fault, if for another reason"
    return Proof.RECOVERED, None


def checked(record: Record) -> Record:
    """The record itself, if what is read of it is what it should be. Raises records.Problem."""
    seen(record)
    section(record, "execution", Execution)
    return record


def verified_roots(before: dict[str, Record], after: dict[str, Record], done: list[Record]) -> Iterator[Record]:
    """The record of now of each service that was the root of an incident, with its section `verification`.

    `done`: what dm-execute printed. Raises records.Problem if a section is malformed.
    """
    were = {service: seen(record) for service, record in before.items()}
    now = {service: seen(record) for service, record in after.items()}
    executions = [(each["service"], one) for each in done if (one := section(each, "execution", Execution))]
    for service, each in were.items():
        if each.role != Role.ROOT:
            continue
        own = [execution for name, execution in executions if name == service]
        began = min((execution.begun_at for execution in own if execution.begun_at), default=None)
        verdict = verified(service, were, now, own, began)
        yield with_section(after.get(service, {"v": 1, "service": service}), "verification", verdict)
