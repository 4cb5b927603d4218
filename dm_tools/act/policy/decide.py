"""What a policy decides: a pure function of proposals, policy, history, what was earned, and the time.

First the ceiling, which no rule can raise; then the rules that deny; then those that allow, and what was earned; last
what holds for a whole run. The order of rules and of records does not matter: of several rules that would decide, the
first by name is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from dm_tools.act import state
from dm_tools.act.catalogue import CATALOGUE
from dm_tools.act.policy import ceiling, earned, windows
from dm_tools.act.policy.language import EARNED, Attempts, Policy, Rule, matches
from dm_tools.act.policy.subject import Subject
from dm_tools.act.posterior import Experience, Place, helped, possibly_here, same_service, told
from dm_tools.diagnose import silences
from dm_tools.pipe import settings
from dm_tools.records import (
    Acceptance,
    ActionName,
    ActionOutcome,
    Confidence,
    Decision,
    Outcome,
    Proof,
    Risk,
    Ruling,
    Silence,
    Standing,
)
from dm_tools.text.times import seconds_or_never

_TRIED = (Outcome.DONE, Outcome.FAILED, Outcome.UNDONE)


@dataclass(frozen=True)
class Known:
    """What decides beside the proposals. `now`: seconds since 1970. `quiet`: silences that stand then: whoever silenced
    a service works on it."""

    policy: Policy
    outcomes: Sequence[ActionOutcome]
    acceptances: Sequence[Acceptance]
    now: float
    experience: Experience | None = None  # of these outcomes and of others, where somebody has counted them before
    quiet: Sequence[Silence] = ()


def decide(subjects: Iterable[Subject], known: Known) -> list[tuple[Subject, Decision]]:
    """A decision for each proposal, in their order."""
    experience = known.experience or Experience(known.outcomes)
    found = [(each, _alone(each, known, experience)) for each in subjects]
    found = _one_change_each(found)
    changing = [each for each, decision in found if _is_change(each, decision)]
    if len(changing) <= known.policy.most_at_once:
        return found
    reason = f"{len(changing)} changes at once are more than most_at_once allows ({known.policy.most_at_once})"
    return [
        (each, _told(each, Ruling.PERSON, None, reason) if _is_change(each, decision) else decision)
        for each, decision in found
    ]


def _is_change(subject: Subject, decision: Decision) -> bool:
    return decision.ruling == Ruling.APPROVED and ceiling.changes(subject.action)


def _one_change_each(found: list[tuple[Subject, Decision]]) -> list[tuple[Subject, Decision]]:
    """Of several changes of one service the one that was proposed first: whether it helps is to be seen."""
    first: dict[tuple[str | None, str], Subject] = {}
    for each, decision in sorted(found, key=lambda pair: pair[0].fix):
        if _is_change(each, decision):
            first.setdefault((each.facts.place.host, each.service), each)
    kept = []
    for each, decision in found:
        chosen = first.get((each.facts.place.host, each.service))
        if _is_change(each, decision) and chosen is not None and each is not chosen:
            reason = f"one change of a service at a time, and {chosen.action} comes first"
            decision = _told(each, Ruling.PERSON, decision.rule, reason)
        kept.append((each, decision))
    return kept


def _told(subject: Subject, ruling: Ruling, rule: str | None, reason: str) -> Decision:
    return Decision(subject.issue_id, subject.service, subject.action, subject.cause, ruling, rule, reason)


def _silenced(silence: Silence, subject: Subject) -> bool:
    place, trouble = subject.facts.place, subject.fingerprint or "?"
    incident = silence.incident if silence.incident.startswith(trouble[:12]) else None  # an id begins with it
    where = place.service, place.project, place.host or ""
    return silences.covers(silence, where, (trouble, incident), subject.facts.labels)


def _alone(subject: Subject, known: Known, experience: Experience) -> Decision:
    """What is decided of a proposal, whatever else is proposed."""
    for ruling, reason in _ceiling(subject, known):
        return _told(subject, ruling, None, reason)
    for silence in known.quiet:
        if _silenced(silence, subject):
            return _told(subject, Ruling.PERSON, None, f"it is silenced: {silence.why}")
    # What is not known is as a rule that denies has it, and not as one that allows has it.
    rules = sorted(known.policy.rules, key=lambda each: each.name)
    for rule in rules:
        if rule.effect == "deny" and _about(rule, subject, known) is not False:
            return _told(subject, Ruling.REFUSED, rule.name, "the rule denies it")
    obstacles = []
    for rule in rules:
        if rule.effect != "allow" or not _about(rule, subject, known):
            continue
        missing = list(_obstacles(rule, subject, known, experience))
        if not missing:
            return _told(subject, Ruling.APPROVED, rule.name, _why(rule, subject, experience))
        obstacles.append((len(missing), rule.name, missing[0]))
    standing, reason = _earned(subject, known, experience)
    if standing is not None:
        return _told(subject, Ruling.APPROVED, f"{EARNED}{standing}", reason)
    if obstacles:
        _, name, missing_word = min(obstacles)
        return _told(subject, Ruling.PERSON, name, missing_word)
    return _told(subject, Ruling.PERSON, None, reason or "no rule allows it")


def _ceiling(subject: Subject, known: Known) -> Iterator[tuple[Ruling, str]]:
    """What speaks against a proposal whatever the rules are."""
    facts, action = subject.facts, subject.action
    if ceiling.touches_data(action, facts.writable_mounts):
        yield Ruling.REFUSED, f"{action} may touch the data that the service has stored"
    if refused := state.forbidden_by_label((facts.labels or {}).get(state.HEAL_LABEL), action):
        yield Ruling.REFUSED, refused
    if not subject.claims_safe:
        yield Ruling.PERSON, "what the record says of its risk is not what the catalogue says"
    if not subject.by_rules:
        yield Ruling.PERSON, "the verdict is a model's"
    if text := ceiling.free_text(action, subject.parameters):
        yield Ruling.PERSON, f"its parameter {text!r} is a text that may come from a log"
    if subject.confidence == Confidence.LOW and ceiling.changes(action):
        yield Ruling.PERSON, "it is a guess (confidence low)"
    if facts.twins > 1:
        yield Ruling.PERSON, "there is more than one service of this name"
    if ceiling.changes(action) and facts.identity is None and CATALOGUE[action].risk != Risk.MANUAL:
        yield Ruling.PERSON, "it is not known which container it was proposed for"
    if at := _harmed(facts.place, action, known.outcomes):
        yield Ruling.PERSON, f"it made things worse here at {at}, and nobody has shown since that it helps"


def _harmed(place: Place, action: ActionName, outcomes: Iterable[ActionOutcome]) -> str | None:
    """When an action made a service worse, if no person has since carried it out there with proved success."""
    own = [each for each in outcomes if each.action == action and possibly_here(each, place)]
    harm = max((each.at for each in own if each.proof == Proof.WORSE), key=seconds_or_never, default=None)
    if harm is None:
        return None
    since = [each for each in own if seconds_or_never(each.at) > seconds_or_never(harm)]
    shown = (helped(each) and each.by == "person" and same_service(each, place) for each in since)
    return None if any(shown) else harm


def _about(rule: Rule, subject: Subject, known: Known) -> bool | None:
    """Whether a rule speaks of a proposal at this time; None if that is not known."""
    place, labels = subject.facts.place, subject.facts.labels
    holds = [
        rule.actions is None or subject.action in rule.actions,
        rule.causes is None or (None if subject.cause is None else subject.cause in rule.causes),
        matches(rule.services, place.service),
        matches(rule.projects, place.project),
        not rule.labels or (None if labels is None else rule.labels.items() <= labels.items()),
        rule.when is None or any(windows.is_open(each, known.now, known.policy.where) for each in rule.when),
    ]
    return False if False in holds else None if None in holds else True


def _obstacles(rule: Rule, subject: Subject, known: Known, experience: Experience) -> Iterator[str]:
    """The bounds of a rule that allows which are not kept: what is not known is not within them."""
    if rule.actions is None and not ceiling.nameless(subject.action, subject.confidence):
        risk = CATALOGUE[subject.action].risk
        yield f"it names no actions, and {subject.action} ({risk}, confidence {subject.confidence}) must be named"
    if subject.confidence.order < rule.confidence.order:
        yield f"the confidence is {subject.confidence}, and {rule.confidence} is wanted"
    if (most := rule.needed_by_at_most) is not None:
        needed = subject.facts.needed_by
        if needed is None or needed > most:
            yield f"{'an unknown number of' if needed is None else needed} services need it, and {most} may"
    yield from _too_often(rule.attempts, subject, known)
    if rule.needs:
        found = experience.estimate(subject.cause, subject.action, subject.facts.place, rule.needs.scope)
        if found.successes < rule.needs.successes:
            yield f"{rule.needs.successes} proved successes are needed ({rule.needs.scope}): it helped {told(found)}"
        if found.low < rule.needs.lower_bound:
            yield f"the lower bound must be {rule.needs.lower_bound:.0%} ({rule.needs.scope}): it helped {told(found)}"


def _too_often(attempts: Attempts, subject: Subject, known: Known) -> Iterator[str]:
    if not ceiling.changes(subject.action):
        return
    lately = [
        each
        for each in known.outcomes
        if each.action == subject.action
        and possibly_here(each, subject.facts.place)
        and each.outcome in _TRIED
        and known.now - seconds_or_never(each.at) < attempts.seconds
    ]
    if len(lately) >= attempts.most:
        yield f"it was tried {len(lately)} times within {settings.told(attempts.seconds)}, and {attempts.most} may be"


def _why(rule: Rule, subject: Subject, experience: Experience) -> str:
    if rule.needs is None:
        return "the rule allows it"
    found = experience.estimate(subject.cause, subject.action, subject.facts.place, rule.needs.scope)
    return f"the rule allows it; it helped {told(found)}"


def _earned(subject: Subject, known: Known, experience: Experience) -> tuple[str | None, str]:
    """The id of the accepted promotion that allows it; or why there is none, empty if there is nothing to say."""
    rule = known.policy.earned
    if rule is None or subject.action not in rule.actions:
        return None, ""
    key = earned.Key(subject.cause, subject.action, subject.facts.place)
    found = earned.standing(key, known.outcomes, known.acceptances, rule, experience)
    if found is None:
        return None, ""
    words = f"it helped {found.successes} of {found.successes + found.failures} here"
    if found.standing == Standing.LOST:
        return None, f"what it had earned was lost at {found.at}: {words}"
    if found.standing == Standing.PROPOSED:
        return None, f"{words}: dm-approve --accept {found.id} lets it need no person"
    if found.standing == Standing.PROBATION:
        words = f"{found.with_version} of {rule.per_version} proofs"
        return None, f"it was earned with another version of the image; with this one there are {words}"
    if found.standing != Standing.ACCEPTED:
        return None, ""
    if subject.confidence != Confidence.HIGH:
        return None, f"it was earned for the confidence high, and it is {subject.confidence}"
    if reason := next(_too_often(Attempts(), subject, known), None):
        return None, reason
    return found.id, f"it was earned: {words}, accepted by {found.by} at {found.at}"
