"""The checker that no claim passes without evidence: for rules as for any other engine.

It drops findings whose evidence is missing or does not resolve, refuses services that are not in the inventory and
causes that the evidence cannot carry, and demotes a verdict that loses its ground to `inconclusive`.
"""

from __future__ import annotations

from collections.abc import Callable

from dm_tools.evidence.ids import EvidenceId, parse
from dm_tools.patterns import causes
from dm_tools.records import Analysis, Cause, Confidence, Finding, Role, Severity

Resolves = Callable[[str, str], bool]  # (service, evidence id) -> whether it stands for something


def checked(service: str, verdict: Analysis, inventory: set[str], resolves: Resolves) -> Analysis:
    """The verdict with everything removed that has no ground."""
    claimed = len(verdict.evidence)
    verdict.findings = [each for each in verdict.findings if _stands(service, each, inventory, resolves)]
    verdict.evidence = [each for each in verdict.evidence if _resolves(service, each, inventory, resolves)]
    verdict.peers = [each for each in verdict.peers if each in inventory]
    verdict.symptoms = [each for each in verdict.symptoms if set(each.path) <= inventory]
    if verdict.role in (Role.HEALTHY, Role.UNKNOWN):
        verdict.cause, verdict.root = None, None
        return verdict
    if not _leads(service, verdict, inventory) or not _carries(verdict.cause, verdict.evidence):
        return _inconclusive(service, verdict)
    if len(verdict.evidence) < claimed and verdict.confidence == Confidence.HIGH:
        verdict.confidence = Confidence.MEDIUM  # a part of what it stood on was not there
    return verdict


def _leads(service: str, verdict: Analysis, inventory: set[str]) -> bool:
    """Whether the way to the root is one: from this service, through known ones, to the root that it names."""
    root = verdict.root
    if root is None:
        return causes.of(verdict.cause).nothing_to_cite
    if not {root.service, *root.path} <= inventory or not root.path:
        return False
    is_root = root.service == service
    return root.path[0] == service and root.path[-1] == root.service and is_root == (verdict.role == Role.ROOT)


def _inconclusive(service: str, verdict: Analysis) -> Analysis:
    verdict.cause, verdict.confidence, verdict.severity = Cause.INCONCLUSIVE, Confidence.LOW, Severity.WARNING
    verdict.role = Role.ROOT
    verdict.root = None
    verdict.hypothesis = f"{service} is {verdict.status}; no claim about the reason has enough evidence"
    return verdict


def _carries(cause: Cause | None, evidence: list[str]) -> bool:
    if cause is None or causes.of(cause).nothing_to_cite:
        return True
    allowed = causes.carriers(cause)
    return any(_names(parse(each)) & allowed for each in evidence)


def _names(cited: EvidenceId) -> set[str]:
    """What a piece of evidence is called in the table: its kind (logs), or kind and key (inspect:health)."""
    return {str(cited.kind), cited.thing}


def _stands(service: str, finding: Finding, inventory: set[str], resolves: Resolves) -> bool:
    if finding.points_to is not None and finding.points_to not in inventory:
        return False
    if causes.of(finding.cause).nothing_to_cite:
        return True
    known = all(_resolves(service, each, inventory, resolves) for each in finding.evidence)
    return bool(finding.evidence) and known and _carries(finding.cause, finding.evidence)


def _resolves(service: str, evidence_id: str, inventory: set[str], resolves: Resolves) -> bool:
    cited = parse(evidence_id)
    owner = service if cited.owner is None else cited.owner
    return owner in inventory and cited.kind is not None and resolves(owner, cited.local)
