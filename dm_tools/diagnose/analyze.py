"""The verdict on every service of a stack: root, symptom or healthy; with cause, confidence and evidence.

Works on `Facts`, a small digest of each record, so that a whole stack can be judged while the records themselves
wait on disk. Everything here is a pure function of the records.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from dm_tools.diagnose import grounding
from dm_tools.diagnose.attribution import attribute
from dm_tools.diagnose.claims import FACT_RANK, GENERIC_RANK, SPECIFIC_RANK, Claim, Judged, weight
from dm_tools.diagnose.facts import Facts
from dm_tools.diagnose.topology import Topology
from dm_tools.diagnose.ways import Ways
from dm_tools.evidence.ids import Kind, cites_own_log, parse
from dm_tools.patterns.language import Clause, Library
from dm_tools.records import Analysis, Cause, Complaint, Confidence, Finding, Fix, Role, Root, Severity, Status
from dm_tools.text.times import lasting, seconds_between

SLOWNESS = (Cause.UPSTREAM_TIMEOUT, Cause.SLOW_RESPONSE, Cause.UNRESPONSIVE)
SATURATION = (Cause.CPU_SATURATED, Cause.MEMORY_PRESSURE)
MAX_AGREEING = 3  # symptoms whose own words are cited beside the root's: more of the same proves nothing more


def analyze(stack: dict[str, Facts], library: Library) -> dict[str, Analysis]:
    """The verdict on every service of the stack."""
    topology = Topology([each.node for each in stack.values()], library)
    judged = attribute(stack, topology, library)
    verdicts = _verdicts(judged, topology)
    inventory, known = set(stack), resolver(stack)
    return {service: grounding.checked(service, verdict, inventory, known) for service, verdict in verdicts.items()}


def resolver(stack: dict[str, Facts]) -> grounding.Resolves:
    """Tells whether an evidence id of a service stands for something that the rules saw."""
    return lambda owner, evidence_id: owner in stack and evidence_id in stack[owner].quotes


def _verdicts(stack: dict[str, Judged], topology: Topology) -> dict[str, Analysis]:
    ways = Ways(stack)
    # Services in the middle of a way take part in the incident even if their own checks find nothing.
    involved: set[str] = set()
    for service, each in stack.items():
        here = service if each.broken else None
        while here is not None and here not in involved:
            involved.add(here)
            here = stack[here].because_of
    # One that looks well, and complains of a service that is known to fail, suffers from it.
    for service, each in stack.items():
        if each.suspect and ways.root(service) in involved:
            involved |= set(ways.way(service))
    suffering: dict[str, list[str]] = {}
    for service in sorted(involved):
        if (root := ways.root(service)) != service:
            suffering.setdefault(root, []).append(service)
    roots = {
        service: _root(stack[service], [(each, stack[each]) for each in suffering.get(service, [])])
        for service in sorted(involved)
        if ways.root(service) == service
    }
    found = {}
    for service, each in stack.items():
        if service in roots:
            verdict = roots[service]
            verdict.symptoms = [Root(service=name, path=ways.way(name)) for name in suffering.get(service, [])]
        elif service in involved:
            verdict = _symptom(service, ways.way(service), each, roots[ways.root(service)])
        else:
            verdict = _at_rest(each)
        verdict.peers = topology.peers(service)
        if verdict.cause == Cause.INCONCLUSIVE:
            verdict.next = _next(each, verdict.peers)
        found[service] = verdict
    return found


def _analysis(judged: Judged, role: Role, root: Root | None) -> Analysis:
    return Analysis(
        engine="rules",
        status=judged.facts.status,
        role=role,
        cause=None,
        root=root,
        severity=None,
        confidence=None,
        hypothesis=None,
        evidence=[],
        findings=[claim.finding for claim in judged.own + judged.blaming],
        symptoms=[],
        peers=[],
        looked_at=judged.facts.looked_at,
    )


def _at_rest(judged: Judged) -> Analysis:
    """No issue: findings stay visible, and what still holds of them is what it complains of."""
    unknown = judged.facts.status == Status.UNKNOWN and not judged.facts.looked_at
    verdict = _analysis(judged, Role.UNKNOWN if unknown else Role.HEALTHY, None)
    verdict.complaints = _complaints(judged)
    if judged.facts.lost and verdict.status == Status.HEALTHY:
        verdict.status, verdict.role = Status.UNKNOWN, Role.UNKNOWN
    return verdict


MAX_COMPLAINTS = 3  # of a service: the most telling


def _complaints(judged: Judged) -> list[Complaint]:
    """What a service says that made no issue, the most telling first; only its log complains, a state is no words."""
    found: dict[Cause, Complaint] = {}
    for claim in sorted(judged.own + judged.blaming, key=weight):
        finding = claim.finding
        said = cites_own_log(finding.evidence)
        if said and not claim.course.over and claim.rank >= GENERIC_RANK and finding.cause not in found:
            until = judged.facts.times.get(finding.evidence[-1])
            found[finding.cause] = Complaint(
                text=finding.explanation + _how_often(finding.occasions, finding.since, until),
                pattern=finding.pattern,
                severity=finding.severity,
                evidence=finding.evidence,
                occasions=finding.occasions,
                since=finding.since,
                until=until,
            )
    return list(found.values())[:MAX_COMPLAINTS]


def _how_often(occasions: int, since: str | None, until: str | None) -> str:
    """`, 8 times in 5 minutes`"""
    if occasions < 2:
        return ", once"
    seconds = seconds_between(since, until)
    within = f" in {lasting(seconds)}" if seconds else ""
    return f", {occasions} times{within}"


def _root(judged: Judged, suffering: list[tuple[str, Judged]]) -> Analysis:
    """The verdict on a service that is at fault itself. `suffering`: its symptoms."""
    service = judged.facts.node.service
    verdict = _analysis(judged, Role.ROOT, Root(service=service, path=[service]))
    # A complaint about a peer that is fine explains more than "it answers with an error"; and what others say counts
    # as much as what the service says itself, which comes first if both are as telling.
    claims = judged.own + judged.blaming + judged.accused_by
    best = min(claims, key=partial(weight, measured=judged.measured), default=None)
    if best is not None and best.finding.cause in SLOWNESS:
        # That it is slow is what others see; why, it shows itself.
        best = next((claim for claim in judged.own if claim.finding.cause in SATURATION), best)
    if best is None:
        verdict.cause, verdict.confidence, verdict.severity = Cause.INCONCLUSIVE, Confidence.LOW, Severity.WARNING
        looked = ", ".join(judged.facts.looked_at) or "nothing"
        verdict.evidence = list(judged.facts.alarms)
        verdict.hypothesis = f"{service} is {judged.facts.status}, and no rule says why (looked at: {looked})"
        return verdict
    finding = best.finding
    verdict.cause, verdict.severity, verdict.hypothesis = finding.cause, finding.severity, finding.explanation
    verdict.pattern, verdict.captures, verdict.fixes = finding.pattern, finding.captures, _filled(best)
    agreeing = [claim.finding for claim in claims if claim.finding.cause == finding.cause]
    own_words = [each for each in agreeing if each.points_to == finding.points_to]
    said = [
        f"{name}/{claim.finding.evidence[-1]}"
        for name, each in suffering
        for claim in each.blaming
        if claim.finding.points_to == service and claim.finding.evidence and claim.rank >= SPECIFIC_RANK
    ][:MAX_AGREEING]
    said += _of_the_same_host(finding, suffering)
    sources = list(dict.fromkeys([*finding.evidence, *(id for each in own_words for id in each.evidence), *said]))
    # What the service itself shows comes first, then what others say.
    cited = dict.fromkeys([*sources, *judged.facts.alarms])
    verdict.evidence = sorted(cited, key=lambda each: parse(each).owner is not None)
    verdict.since = min((each.since for each in own_words if each.since), default=None)
    if judged.facts.status == Status.HEALTHY:
        verdict.status = Status.DEGRADED  # it looks well, yet it or others fail
    verdict.confidence = confidence(best.rank, sources)
    if not any(parse(each).kind == Kind.LOGS for each in verdict.evidence):
        # What it said itself is shown, even if it tells less than its state does.
        spoken = [id for claim in judged.own for id in claim.finding.evidence if parse(id).of_own_log]
        verdict.evidence += spoken[:MAX_AGREEING]
    return verdict


def _of_the_same_host(finding: Finding, suffering: list[tuple[str, Judged]]) -> list[str]:
    """What its symptoms say of the same host outside: ids."""
    host = finding.captures.get("upstream")
    claims = [(name, claim.finding) for name, each in suffering for claim in each.own] if host else []
    same = [(name, each) for name, each in claims if each.captures.get("upstream") == host and each.evidence]
    return [f"{name}/{each.evidence[-1]}" for name, each in same][:MAX_AGREEING]


def _filled(claim: Claim) -> list[Fix]:
    """The pattern's fixes with what it captured in the place of `$name`; a parameter without its value is left out."""
    captures = claim.finding.captures
    return [
        Fix(
            action=fix.action,
            confidence=fix.confidence,
            reasoning=fix.reasoning,
            parameters={
                key: text
                for key, value in fix.parameters.items()
                if (text := captures.get(value[1:]) if value.startswith("$") else value)
            },
        )
        for fix in claim.fixes
    ]


def _symptom(service: str, path: list[str], judged: Judged, root: Analysis) -> Analysis:
    """The verdict on a service that only suffers."""
    verdict = _analysis(judged, Role.SYMPTOM, Root(service=path[-1], path=path))
    verdict.cause, verdict.severity = Cause.DEPENDENCY_DOWN, Severity.WARNING
    reason = next((claim.finding for claim in judged.blaming if claim.finding.points_to == path[1]), None)
    own = reason.explanation if reason else f"{service} needs {path[1]}"
    if root.hypothesis == own:
        own = f"{service} suffers from {path[-1]}"
    verdict.hypothesis = f"{own}: {root.hypothesis}"
    needs = [each for each in ("inspect:env_hosts", "inspect:depends_on") if each in judged.facts.quotes]
    generic = [id for claim in judged.own[:1] for id in claim.finding.evidence] or judged.facts.alarms or needs
    verdict.evidence = list(reason.evidence if reason else generic)
    verdict.pattern, verdict.since = (reason.pattern, reason.since) if reason else (None, None)
    # It cannot be surer than the verdict on its root.
    verdict.confidence = min(
        root.confidence or Confidence.LOW, Confidence.HIGH if reason else Confidence.MEDIUM, key=lambda each: each.order
    )
    if judged.facts.status == Status.HEALTHY:
        verdict.status = Status.DEGRADED
    return verdict


def confidence(rank: int, evidence: list[str]) -> Confidence:
    """From the evidence: how specific the finding is, and how many independent sources carry it.

    A fact that the engine states is certain by itself; anything read from a text needs a second source: another kind
    of evidence, or another service's words.
    """
    if rank >= FACT_RANK:
        return Confidence.HIGH
    sources = _sources(evidence)
    if rank >= SPECIFIC_RANK:
        return Confidence.HIGH if len(sources) >= 2 else Confidence.MEDIUM
    return Confidence.MEDIUM if len(sources) >= 2 and rank >= GENERIC_RANK else Confidence.LOW


def _sources(evidence: list[str]) -> set[tuple[str, str]]:
    """The independent sources of evidence: services and kinds. What a healthcheck printed is a text that can quote what
    the log quotes, so beside other evidence of its service it is none of its own."""
    parts = [parse(each) for each in evidence]
    found = {(each.owner or "", str(each.kind)) for each in parts if not each.of_healthcheck}
    spoken = {(each.owner or "", "health") for each in parts if each.of_healthcheck}
    return found | {each for each in spoken if not {(each[0], "logs"), (each[0], "inspect")} & found}


_COLLECTORS = {"probe": "dm-probe", "inspect": "dm-inspect", "logs": "dm-logs", "stats": "dm-stats"}


def _next(judged: Judged, peers: list[str]) -> list[str]:
    """What to look at where no rule says why: what was not collected, then the log, then the neighbours."""
    looked = judged.facts.looked_at
    found = [f"collect its {kind} ({command})" for kind, command in _COLLECTORS.items() if kind not in looked]
    if "logs" in looked:
        found.append("read its newest log lines: they hold nothing that a rule knows; look further back with --tail")
    found += [f"look at {peer}, which it needs" for peer in peers[:MAX_AGREEING]]
    return found


def explained(service: str, facts: Facts, verdict: Analysis) -> Iterator[str]:
    """Why each pattern fired for a service, as lines for people: the clause, and the evidence that it saw."""
    yield f"{service}: {verdict.role}" + (f", {verdict.cause} ({verdict.confidence})" if verdict.cause else "")
    findings = {(finding.pattern, finding.captures.get("upstream")): finding for finding in verdict.findings}
    for hit in facts.hits:
        finding = findings.get((hit.pattern.id, hit.captures.get("upstream")))
        if finding is None:
            yield f"  {hit.pattern.id}: fired, and dropped: its evidence does not hold"
            continue
        decides = ", decides" if verdict.pattern == hit.pattern.id else ""
        blames = f", blames {finding.points_to}" if finding.points_to else ""
        yield f"  {hit.pattern.id}: {finding.cause}, {hit.pattern.level}{blames}{decides}"
        for seen in hit.seen:
            yield f"    {_test(seen.clause)}"
            for each in seen.evidence:
                yield f"      [{each}] {facts.quotes.get(each, '')}"
        for name, value in finding.captures.items():
            yield f"    {name} = {value}"


def _test(clause: Clause) -> str:
    """A clause in words."""
    if clause.regex is not None:
        return f"{clause.where} matches {clause.regex}" + (f", and not {clause.but_not}" if clause.but_not else "")
    if clause.one_of is not None:
        return f"{clause.where} is one of {clause.one_of}"
    return f"{clause.where} is above {clause.above:g}" if clause.above is not None else f"{clause.where} is empty"
