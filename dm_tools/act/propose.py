"""Which actions a verdict calls for: the remedies of its cause, checked against catalogue and inventory."""

from __future__ import annotations

from dm_tools.act.catalogue import CATALOGUE, accepts, problem
from dm_tools.patterns import causes
from dm_tools.records import ActionName, Analysis, Confidence, Fix, Proposal, Risk, Role


def propose(service: str, verdict: Analysis, swarm: bool = False) -> list[Proposal]:
    """The actions for one service: for a root its remedies, for a symptom a look at its root, else none.

    `swarm`: it is a service of a Swarm, and nobody else may act on its containers.
    """
    if verdict.role == Role.SYMPTOM and verdict.root:
        parameters = {"dependency": verdict.root.service}
        reasoning = f"it suffers from {verdict.root.service}: that is to be repaired first"
        remedy = Fix(ActionName.CHECK_DEPENDENCIES, Confidence.HIGH, reasoning, parameters)
        return _proposals([remedy], verdict, {}, {service, verdict.root.service})
    if verdict.role != Role.ROOT:
        return []
    inventory = {service, *verdict.peers, *(symptom.service for symptom in verdict.symptoms)}
    captures: dict[str, str] = {}
    for finding in reversed(verdict.findings):
        if finding.cause == verdict.cause:
            captures |= finding.captures
    captures |= verdict.captures
    # What the pattern itself advises fits better than what helps against its cause in general.
    own, general = verdict.fixes, causes.of(verdict.cause).remedies
    if verdict.engine != "rules" and verdict.pattern is None:
        own = _ranked(general, own)
    # A remedy that names a dependency needs to know which: without it, at least somebody should look.
    for remedies in (own, general, causes.of(None).remedies):
        if swarm:
            remedies = _of_swarm(remedies)
        if found := _proposals(remedies, verdict, captures, inventory):
            return found
    return []


_BY_THE_SWARM = "the swarm makes and ends its tasks itself (docker service update --force has them made anew): "


def _of_swarm(remedies: list[Fix]) -> list[Fix]:
    """The same for a Swarm service, of whose containers none may be touched: a restart of one doubles its task."""
    found: dict[ActionName, Fix] = {}
    for each in remedies:
        action, risk, parameters = each.action, CATALOGUE[each.action].risk, each.parameters
        if action == ActionName.SCALE_UP:
            action, parameters = ActionName.FIX_CONFIG, {"setting": "deploy.resources.limits"}
        elif risk in (Risk.REVERSIBLE, Risk.DISRUPTIVE):
            action, parameters = ActionName.FORCE_UPDATE, {}
        reasoning = _BY_THE_SWARM + each.reasoning if action == ActionName.FORCE_UPDATE else each.reasoning
        found.setdefault(action, Fix(action, each.confidence, reasoning, parameters))
    return list(found.values())


def _ranked(general: list[Fix], suggested: list[Fix]) -> list[Fix]:
    """The remedies of a cause in a model's order and words; it can add none, and choose no parameters."""
    words = {each.action: each.reasoning for each in reversed(suggested)}
    order = [each.action for each in suggested]
    known = sorted(general, key=lambda each: order.index(each.action) if each.action in order else len(order))
    return [
        Fix(each.action, each.confidence, words.get(each.action) or each.reasoning, each.parameters) for each in known
    ]


def _proposals(remedies: list[Fix], verdict: Analysis, captures: dict[str, str], inventory: set[str]) -> list[Proposal]:
    found = []
    for remedy in remedies:
        action = CATALOGUE[remedy.action]
        wanted = {key: _filled(value, captures) for key, value in remedy.parameters.items()}
        parameters = {key: value for key, value in wanted.items() if accepts(action, key, value, inventory)}
        if problem(action.name, parameters, inventory) is not None:
            continue
        confidence = min(remedy.confidence, verdict.confidence or Confidence.LOW, key=lambda each: each.order)
        found.append(
            Proposal(
                action=action.name,
                confidence=confidence,
                risk=action.risk,
                automatic=action.automatic,
                reasoning=remedy.reasoning,
                parameters=parameters,
                evidence=verdict.evidence,
                undo=action.undo,
            )
        )
    return found


def _filled(value: str, captures: dict[str, str]) -> str | None:
    return captures.get(value[1:]) if value.startswith("$") else value
