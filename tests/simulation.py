"""A simulated year of incidents: what a policy would have done, against a truth that it does not know.

The world, drawn from a seed: 40 services of 12 images, each with one to three troubles of its own (a cause, and the
action that is proposed for it) that come at random (a Poisson process), 2 to 40 times a year. Whether the action helps
is hidden, one of four kinds for each trouble (KINDS). Every 30 to 120 days a service gets a new version (a new tag);
with one version in ten the truth of each of its troubles is drawn anew. In two services it changes for the worse in the
middle of the year without a new version, which nothing announces. One proof in twenty stays unproven; one verdict in
five has only a medium confidence. A person does everything that the policy does not approve, with the same action, and
accepts each promotion on the next morning without thinking, which is the worst that a person can do.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from dm_tools.act.policy import earned
from dm_tools.act.policy.decide import Known, decide
from dm_tools.act.policy.language import Policy
from dm_tools.act.policy.rehearse import subject_of
from dm_tools.act.posterior import Experience, Place, helped
from dm_tools.pipe import clock
from dm_tools.records import (
    Acceptance,
    ActionName,
    ActionOutcome,
    Cause,
    Confidence,
    Outcome,
    Promotion,
    Proof,
    Risk,
    Ruling,
    Standing,
)

DAY = 86400.0
BEGIN = 1_767_225_600.0  # 2026-01-01, a Thursday
# The chances of: recovered, not recovered, worse; and how common such a trouble is.
KINDS = {
    "helps": ((0.97, 0.03, 0.0), 0.60),
    "sometimes": ((0.60, 0.40, 0.0), 0.20),
    "useless": ((0.10, 0.90, 0.0), 0.10),
    "harms": ((0.60, 0.10, 0.30), 0.10),
}
TROUBLES = [
    (Cause.UNRESPONSIVE, ActionName.RESTART),
    (Cause.STOPPED, ActionName.START),
    (Cause.EXITED, ActionName.START),
    (Cause.PAUSED, ActionName.UNPAUSE),
    (Cause.NETWORK_DETACHED, ActionName.RECONNECT_NETWORK),
    (Cause.CONNECTION_LIMIT, ActionName.RESTART),
]


@dataclass
class Trouble:
    """What goes wrong with a service, how often in a year, and what is true of the action against it."""

    cause: Cause
    action: ActionName
    rate: float
    kind: str


@dataclass
class Service:
    """A service; `versions`: the days on which it gets a new one."""

    name: str
    image: str
    troubles: list[Trouble]
    versions: list[float]
    drifts: float | None = None
    version: int = 1


@dataclass
class Year:
    """What came of a year. `harmful`: changes without a person that made things worse. `coverage`: whether the 90 %
    interval held the truth, for each decision with some experience; `calibration`: the mean, and whether it helped."""

    incidents: int = 0
    alone: int = 0  # approved by the policy, and recovered
    approved: int = 0
    harmful: int = 0
    harmful_of_persons: int = 0
    promotions: list[Promotion] = field(default_factory=list)
    losses: int = 0
    after_a_loss: int = 0  # approved after a failure that nobody has accepted anew
    ends: Counter[Proof] = field(default_factory=Counter)
    coverage: list[bool] = field(default_factory=list)
    calibration: list[tuple[float, bool]] = field(default_factory=list)
    earned_by: Counter[str] = field(default_factory=Counter)  # the kind of what was promoted, when it was


def year(policy: Policy, seed: int) -> Year:
    """A year under a policy. The same seed is the same world and the same luck, whatever the policy is."""
    luck = random.Random(seed)
    services = _world(luck)
    found, experience, signed = Year(), Experience(), dict[str, Acceptance]()
    of_service: dict[str, list[ActionOutcome]] = {each.name: [] for each in services}
    waiting: list[tuple[float, earned.Key, str]] = []
    for number, (at, service, trouble) in enumerate(_incidents(luck, services)):
        chance = luck.random(), luck.random(), luck.random()
        for due, key, kind in [each for each in waiting if each[0] <= at]:
            waiting.remove((due, key, kind))
            _accept(due, key, kind, policy, of_service[key.place.service], signed, experience, found)
        outcome = _outcome(number, at, service, trouble, chance)
        past = of_service[service.name]
        subject = subject_of(outcome)
        key = earned.Key(trouble.cause, trouble.action, subject.facts.place)
        known = Known(policy, past, list(signed.values()), at, experience)
        ((_, decision),) = decide([subject], known)
        approved = decision.ruling == Ruling.APPROVED
        if approved:
            outcome.by = f"policy:{decision.rule}"
        _count(found, outcome, approved, trouble, experience)
        if approved and (entry := signed.get(key.id)) is not None and _failed_since(past, key, entry):
            found.after_a_loss += 1
        if key.id in signed and not _failed_since(past, key, signed[key.id]):
            found.losses += _failed_since([outcome], key, signed[key.id])
        past.append(outcome)
        experience.add(outcome)
        if policy.earned and policy.earned.actions:
            state = earned.standing(key, past, list(signed.values()), policy.earned, experience)
            if state is not None and state.standing == Standing.PROPOSED:
                morning = (at // DAY + 1) * DAY + 9 * 3600
                waiting.append((morning, key, trouble.kind))
    return found


def _world(luck: random.Random) -> list[Service]:
    services = []
    for number in range(40):
        chosen = luck.sample(TROUBLES, luck.randint(1, 3))
        troubles = [Trouble(cause, action, 2 * 20 ** luck.random(), _kind(luck)) for cause, action in chosen]
        days, versions = 0.0, []
        while (days := days + luck.uniform(30, 120)) < 365:
            versions.append(days)
        drifts = luck.uniform(120, 300) if number < 2 else None
        services.append(Service(f"service-{number:02d}", f"example/image-{number % 12}", troubles, versions, drifts))
    return services


def _kind(luck: random.Random) -> str:
    return luck.choices(list(KINDS), [share for _, share in KINDS.values()])[0]


def _incidents(luck: random.Random, services: list[Service]) -> Iterator[tuple[float, Service, Trouble]]:
    """All incidents by time; versions and drift happen on the way."""
    plan: list[tuple[float, int, str, Service, Trouble | None]] = []
    for service in services:
        plan += [(day, len(plan), "version", service, None) for day in service.versions]
        if service.drifts is not None:
            plan.append((service.drifts, len(plan), "drift", service, None))
        for trouble in service.troubles:
            day = 0.0
            while (day := day + luck.expovariate(trouble.rate / 365)) < 365:
                plan.append((day, len(plan), "incident", service, trouble))
    for day, _, what, service, one in sorted(plan, key=lambda each: each[:2]):
        if one is not None:
            yield BEGIN + day * DAY, service, one
            continue
        service.version += what == "version"
        if what == "drift" or luck.random() < 0.1:
            for each in service.troubles:
                each.kind = "useless" if what == "drift" else _kind(luck)


def _outcome(
    number: int, at: float, service: Service, trouble: Trouble, chance: tuple[float, float, float]
) -> ActionOutcome:
    (good, bad, _), _ = KINDS[trouble.kind]
    proof = Proof.RECOVERED if chance[0] < good else Proof.NOT_RECOVERED if chance[0] < good + bad else Proof.WORSE
    if chance[1] < 0.05 and proof != Proof.WORSE:
        proof = Proof.UNPROVEN
    return ActionOutcome(
        action_id=f"{number:016x}",
        at=clock.rfc3339(at),
        service=service.name,
        action=trouble.action,
        outcome=Outcome.DONE,
        by="person",
        proof=proof,
        cause=trouble.cause,
        confidence=Confidence.MEDIUM if chance[2] < 0.2 else Confidence.HIGH,
        risk=Risk.REVERSIBLE,
        project="shop",
        image=f"{service.image}:{service.version}",
    )


def _accept(
    at: float,
    key: earned.Key,
    kind: str,
    policy: Policy,
    past: list[ActionOutcome],
    signed: dict[str, Acceptance],
    experience: Experience,
    found: Year,
) -> None:
    """On the next morning, if it is still proposed."""
    assert policy.earned is not None
    state = earned.standing(key, past, list(signed.values()), policy.earned, experience)
    if state is not None and state.standing == Standing.PROPOSED:
        signed[key.id] = Acceptance(clock.rfc3339(at), key.id, "a person", True, state)
        found.promotions.append(state)
        found.earned_by[kind] += 1


def _failed_since(past: list[ActionOutcome], key: earned.Key, entry: Acceptance) -> bool:
    return any(
        each.at >= entry.at
        and each.action == key.action
        and (each.cause == key.cause or each.proof == Proof.WORSE)
        and helped(each) is False
        for each in past
    )


def _count(found: Year, outcome: ActionOutcome, approved: bool, trouble: Trouble, experience: Experience) -> None:
    found.incidents += 1
    if approved:
        found.approved += 1
        found.ends[outcome.proof or Proof.UNPROVEN] += 1
        found.alone += outcome.proof == Proof.RECOVERED
    worse = outcome.proof == Proof.WORSE
    found.harmful += approved and worse
    found.harmful_of_persons += worse and not approved
    if approved or found.approved:  # what persons alone learn is the same for all policies, and enough
        return
    place = Place(outcome.service, outcome.project, None, outcome.image)
    guess = experience.estimate(trouble.cause, trouble.action, place)
    good = helped(outcome)
    if guess.tried and good is not None:
        (truth, *_), _ = KINDS[trouble.kind]
        found.coverage.append(guess.low <= truth <= guess.high)
        found.calibration.append((guess.mean, good))
