"""From alarms to causes: findings per service, who blames whom, and the root behind the symptoms.

Works on `Facts`, a small digest of each record, so that a whole stack can be judged while the records themselves
wait on disk. Everything here is a pure function of the records.
"""

from __future__ import annotations

import ipaddress
import signal
from dataclasses import dataclass, field
from typing import Any

from dm_tools.diagnose import grounding
from dm_tools.diagnose.patterns import Hit, Library, Places, explain, matches
from dm_tools.diagnose.topology import Node, Topology, node
from dm_tools.diagnose.view import View, resolve
from dm_tools.records import (
    Analysis,
    Cause,
    Confidence,
    Finding,
    Inspect,
    Role,
    Root,
    Severity,
    Status,
)

FACT_RANK = 85  # what the engine itself states of a container
SPECIFIC_RANK = 50  # a cause by name; below it, "it fails" in other words
GENERIC_RANK = 40

MAX_WORDS = 160


@dataclass
class Facts:
    """What judgement keeps of one record."""

    node: Node
    status: Status
    hits: list[Hit]
    values: dict[str, str]
    looked_at: list[str]
    resolved: set[str]  # the evidence ids of the hits that stand for something


def facts(record: dict[str, Any], library: Library) -> Facts:
    """The digest of one record. Raises records.Problem if a section is malformed."""
    view = View.of(record)
    status = view.status
    places = Places(library, view)
    hits = [] if view.finished else matches(library, places)
    resolved = {each for hit in hits for each in hit.evidence if resolve(view, each) is not None}
    values = _values(view) if hits else {}
    return Facts(node(record, view, library, places.haystack), status, hits, values, view.looked_at, resolved)


def _values(view: View) -> dict[str, str]:
    """What explanations may mention of a service, all of it short and printable."""
    values = {"service": view.service}
    if view.inspect:
        values |= _container_values(view.inspect)
    if view.stats:
        values |= {key: f"{getattr(view.stats, key) or 0:g}" for key in ("memory_percent", "throttled_percent")}
    failed = [check for check in (view.probe.checks if view.probe else []) if not check.ok]
    values["probe_message"] = failed[0].message or "" if failed else ""
    expired = [check.certificate.not_after for check in failed if check.certificate]
    values["certificate_date"] = f" (on {expired[0][:10]})" if expired else ""
    values["last_words"] = _last_words(view)
    return {key: short(value) for key, value in values.items()}


def _container_values(inspect: Inspect) -> dict[str, str]:
    number = (inspect.exit_code or 0) - 128
    name = signal.Signals(number).name if number in set(signal.Signals) else ""
    limit = inspect.limits.memory_bytes
    return {
        "exit_code": str(inspect.exit_code),
        "exit_note": f", exit code {inspect.exit_code}" if inspect.state != "running" else "",
        "signal": f" ({name})" if name else "",
        "restart_policy": inspect.restart_policy,
        "restart_count": str(inspect.restart_count),
        "error": inspect.error or "",
        "limit_memory": f"{limit / 2**20:.0f} MiB" if limit else "the whole machine (no limit is set)",
    }


def _last_words(view: View) -> str:
    """The last line of the newest trace: the exception that ended it."""
    for line in reversed(view.logs.lines if view.logs else []):
        if "Traceback (most recent call last):" in line.text:
            return ": " + line.text.rstrip().rpartition("\n")[2]
    return ""


def short(text: str, length: int = MAX_WORDS) -> str:
    """One printable line of bounded length."""
    line = "".join(c if c.isprintable() else " " for c in text)
    return line if len(line) <= length else line[: length - 1] + "…"


@dataclass
class Judged:
    """A service while it is being judged."""

    facts: Facts
    own: list[Finding] = field(default_factory=list)
    blaming: list[Finding] = field(default_factory=list)
    accused_by: list[tuple[int, Finding]] = field(default_factory=list)
    ranks: dict[str, int] = field(default_factory=dict)
    accusations: set[str] = field(default_factory=set)
    because_of: str | None = None

    @property
    def best_rank(self) -> int:
        return self.ranks[self.own[0].pattern] if self.own else 0

    @property
    def broken(self) -> bool:
        """It does not work; where nothing was measured, a specific complaint in its log has to do."""
        if self.facts.status in (Status.FAILED, Status.DEGRADED):
            return True
        specific = any(self.ranks[each.pattern] >= SPECIFIC_RANK for each in self.own + self.blaming)
        return self.facts.status == Status.UNKNOWN and specific

    @property
    def suspect(self) -> bool:
        """It looks healthy, but its recent log complains: counts when somebody else is broken because of it.

        A past fact about the container (it was once killed, it runs again) is no complaint.
        """
        complains = any(
            self.ranks[each.pattern] >= SPECIFIC_RANK and any(id.startswith("logs:") for id in each.evidence)
            for each in self.own
        )
        return complains or bool(self.blaming) or bool(self.accused_by)


def analyze(stack: dict[str, Facts], library: Library) -> dict[str, Analysis]:
    """The verdict on every service of the stack."""
    topology = Topology([each.node for each in stack.values()], library)
    judged = {service: Judged(each) for service, each in stack.items()}
    for service, each in judged.items():
        _sort_findings(service, each, topology, library)
    for service, each in judged.items():
        if each.broken or each.suspect:
            _accuse(service, each, judged)
    for service, each in judged.items():
        if each.broken or each.suspect:
            each.because_of = _because_of(service, each, judged, topology)
    return _verdicts(judged, topology)


def _sort_findings(service: str, judged: Judged, topology: Topology, library: Library) -> None:
    """Turn hits into findings about this service itself or about one that it blames."""
    for hit in judged.facts.hits:
        technology = library.technology_of.get(hit.pattern.id)
        blamed, upstream = _blamed(hit, service, topology, technology)
        values = judged.facts.values | {key: short(value, 100) for key, value in hit.captures.items()}
        runner = blamed or (f"its {technology}" if technology else "its peer")
        values["upstream"] = values.get("upstream") or runner
        values["peer"] = upstream or values["upstream"]
        values["technology_service"] = runner
        values.setdefault("user", "?")
        captures = {key: short(value, 100) for key, value in hit.captures.items()}
        if upstream:
            captures["dependency"] = upstream
        finding = Finding(
            pattern=hit.pattern.id,
            cause=hit.pattern.cause,
            severity=hit.pattern.severity,
            explanation=explain(hit.pattern.explanation, values),
            evidence=hit.evidence,
            captures=captures,
            points_to=blamed if blamed != service else None,
        )
        # An address that nobody has (any more) tells that a peer is gone, but not which one.
        nameless = hit.pattern.blames == "peer" and not blamed and _is_address(hit.captures.get("upstream", ""))
        judged.ranks[hit.pattern.id] = min(hit.pattern.rank, GENERIC_RANK) if nameless else hit.pattern.rank
        if hit.pattern.accusing:
            judged.accusations.add(hit.pattern.id)
        (judged.own if finding.points_to is None else judged.blaming).append(finding)
    judged.own.sort(key=lambda finding: -judged.ranks[finding.pattern])


def _blamed(hit: Hit, service: str, topology: Topology, technology: str | None) -> tuple[str | None, str | None]:
    """The service that a hit blames (None: nobody we know, so this one), and the peer that it speaks of."""
    named = hit.captures.get("upstream")
    upstream = topology.resolve(named, service) if named else None
    runner = topology.runner_of(technology, service) if technology else None
    if hit.pattern.blames == "technology":
        return upstream or runner, upstream or runner
    if hit.pattern.blames == "peer":
        return upstream, upstream
    return None, upstream or (runner if hit.pattern.blames == "credentials" and runner != service else None)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _accuse(service: str, judged: Judged, stack: dict[str, Judged]) -> None:
    """A message of a technology, or a timeout, tells of the one it comes from even if that one shows nothing."""
    for finding in judged.blaming:
        if finding.pattern not in judged.accusations or finding.points_to is None:
            continue
        accusation = Finding(
            pattern=finding.pattern,
            cause=finding.cause,
            severity=finding.severity,
            explanation=finding.explanation,
            evidence=[f"{service}/{each}" for each in finding.evidence],
            captures=finding.captures,
            points_to=None,
        )
        stack[finding.points_to].accused_by.append((judged.ranks[finding.pattern], accusation))


def _because_of(service: str, judged: Judged, stack: dict[str, Judged], topology: Topology) -> str | None:
    """The service next on the way to the root, or None if this one is at fault itself."""
    if judged.best_rank >= FACT_RANK:
        return None
    blamed = [finding.points_to for finding in judged.blaming if finding.points_to]
    for peer in blamed:
        if _at_fault(stack[peer]):
            return peer
    if judged.best_rank >= SPECIFIC_RANK or judged.accused_by or blamed:
        return None
    if not judged.broken:
        return None
    peers = topology.peers(service)
    for peer in [each for each in peers if stack[each].broken] + [each for each in peers if stack[each].suspect]:
        return peer
    return None


def _at_fault(judged: Judged) -> bool:
    return judged.broken or bool(judged.accused_by)


def _path(service: str, stack: dict[str, Judged]) -> list[str]:
    """The way from a service to its root. In a circle the one with the strongest finding of its own is the root."""
    path, seen = [service], {service}
    while (following := stack[path[-1]].because_of) is not None:
        if following in seen:
            circle = path[path.index(following) :]
            root = max(circle, key=lambda each: (stack[each].best_rank, each))
            return path[: path.index(root) + 1]
        path.append(following)
        seen.add(following)
    return path


def _verdicts(stack: dict[str, Judged], topology: Topology) -> dict[str, Analysis]:
    paths = {service: _path(service, stack) for service, each in stack.items() if each.broken}
    # Services in the middle of a way take part in the incident even if their own checks find nothing.
    involved = {service for path in paths.values() for service in path}
    symptoms: dict[str, list[Root]] = {}
    for service in sorted(involved):
        path = paths.setdefault(service, _path(service, stack))
        if path[-1] != service:
            symptoms.setdefault(path[-1], []).append(Root(service=service, path=path))
    found = {}
    for service, each in stack.items():
        if service not in involved:
            found[service] = _at_rest(each, topology.peers(service))
            continue
        root = paths[service][-1]
        verdict = _root(each) if root == service else _symptom(service, paths[service], each, stack)
        verdict.peers = topology.peers(service)
        verdict.symptoms = symptoms.get(service, [])
        found[service] = verdict

    def resolves(owner: str, evidence_id: str) -> bool:
        return evidence_id in stack[owner].facts.resolved

    return {service: grounding.checked(service, verdict, set(stack), resolves) for service, verdict in found.items()}


def _at_rest(judged: Judged, peers: list[str]) -> Analysis:
    """Nothing to report: findings stay visible, but they make no issue."""
    unknown = judged.facts.status == Status.UNKNOWN and not judged.facts.looked_at
    return _analysis(judged, Role.UNKNOWN if unknown else Role.HEALTHY, None, peers)


def _analysis(judged: Judged, role: Role, root: Root | None, peers: list[str]) -> Analysis:
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
        findings=judged.own + judged.blaming,
        symptoms=[],
        peers=peers,
        looked_at=judged.facts.looked_at,
    )


def _root(judged: Judged) -> Analysis:
    """The verdict on a service that is at fault itself."""
    service = judged.facts.node.service
    verdict = _analysis(judged, Role.ROOT, Root(service=service, path=[service]), [])
    accusations = sorted(judged.accused_by, key=lambda each: -each[0])
    # A complaint about a peer that is fine (a wrong port, say) explains more than "it answers with an error".
    best = max(judged.own + judged.blaming, key=lambda each: judged.ranks[each.pattern], default=None)
    rank = judged.ranks[best.pattern] if best else 0
    # Words of others that the service itself says too (the same pattern) only add evidence.
    if accusations and accusations[0][0] > rank:
        rank, best = accusations[0]
    if best is None:
        verdict.cause, verdict.confidence, verdict.severity = (
            Cause.INCONCLUSIVE,
            Confidence.LOW,
            Severity.WARNING,
        )
        looked = ", ".join(judged.facts.looked_at) or "nothing"
        verdict.hypothesis = f"{service} is {judged.facts.status}, and no rule says why (looked at: {looked})"
        return verdict
    verdict.cause, verdict.severity, verdict.hypothesis = best.cause, best.severity, best.explanation
    agreeing = [each for _, each in accusations] + [each for each in judged.own if each.cause == best.cause]
    verdict.evidence = list(dict.fromkeys([*best.evidence, *(id for each in agreeing for id in each.evidence)]))
    if judged.facts.status == Status.HEALTHY:
        verdict.status = Status.DEGRADED  # it looks well, yet others fail because of it
    verdict.confidence = confidence(rank, verdict.evidence)
    return verdict


def _symptom(service: str, path: list[str], judged: Judged, stack: dict[str, Judged]) -> Analysis:
    """The verdict on a service that only suffers."""
    root = stack[path[-1]]
    verdict = _analysis(judged, Role.SYMPTOM, Root(service=path[-1], path=path), [])
    verdict.cause, verdict.severity = Cause.DEPENDENCY_DOWN, Severity.WARNING
    reason = next((each for each in judged.blaming if each.points_to == path[1]), None)
    own = reason.explanation if reason else f"{service} needs {path[1]}"
    because = _root(root).hypothesis
    if because == own:
        own = f"{service} suffers from {path[-1]}"
    verdict.hypothesis = f"{own}: {because}"
    verdict.evidence = list(reason.evidence) if reason else [id for each in judged.own[:1] for id in each.evidence]
    verdict.confidence = Confidence.HIGH if reason else Confidence.MEDIUM
    if judged.facts.status == Status.HEALTHY:
        verdict.status = Status.DEGRADED
    return verdict


def confidence(rank: int, evidence: list[str]) -> Confidence:
    """From the evidence: how specific the finding is, and how many independent kinds of source carry it.

    A fact that the engine states is certain by itself; anything read from a text needs a second kind of source
    (another service's log counts as one).
    """
    if rank >= FACT_RANK:
        return Confidence.HIGH
    kinds = {each.partition(":")[0] for each in evidence}
    if rank >= SPECIFIC_RANK:
        return Confidence.HIGH if len(kinds) >= 2 else Confidence.MEDIUM
    return Confidence.MEDIUM if len(kinds) >= 2 and rank >= 40 else Confidence.LOW
