"""How sure it is that an action helps against a cause: what became of it before, here and elsewhere.

A beta-binomial model of three levels: the service, the image it runs, everything. What is known of a wider level is
the prior of the narrower one, worth M observations (the m-estimate of Cestnik, "Estimating probabilities", ECAI 1990;
the model is the hierarchical one of Gelman et al., "Bayesian Data Analysis", ch. 5, with a fixed concentration):

    everything else   a0 = 1 + s0               b0 = 1 + f0               p0 = a0 / (a0 + b0)
    the same image    a1 = M p0 + s1            b1 = M (1 - p0) + f1      p1 = a1 / (a1 + b1)
    this service      a2 = M p1 + s2            b2 = M (1 - p1) + f2

s and f are the successes and failures of a level that are of no narrower one, so nothing counts twice. The interval
holds 90 %, with 5 % on either side. What nobody ever tried is as likely to help as not (5-95 %).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from dm_tools.act import beta
from dm_tools.act.catalogue import CATALOGUE
from dm_tools.records import ActionName, ActionOutcome, Cause, Inspect, Outcome, Proof, Risk

M = 2.0
INTERVAL = 0.90


class Scope(StrEnum):
    """Whose outcomes are counted."""

    SERVICE = "service"
    IMAGE = "image"
    OVERALL = "overall"


@dataclass(frozen=True)
class Place:
    """What an action is carried out on: a service of a project on an engine; `image` with its tag."""

    service: str
    project: str | None = None
    host: str | None = None
    image: str | None = None

    @property
    def repository(self) -> str | None:
        """The image without tag and digest: what other versions of the same program have in common."""
        if self.image is None:
            return None
        path, slash, last = self.image.partition("@")[0].rpartition("/")
        return f"{path}{slash}{last.partition(':')[0]}"


@dataclass(frozen=True)
class Estimate:
    """The chance that an action helps. `low` and `high` bound 90 % of it; the counts are those of `scope`."""

    mean: float
    low: float
    high: float
    successes: int
    failures: int
    scope: Scope

    @property
    def tried(self) -> int:
        """How often it was tried with a known end."""
        return self.successes + self.failures


def place_of_record(service: str, inspect: Inspect | None, host: str | None) -> Place:
    """Where an action on a service would be carried out."""
    return Place(service, inspect.project if inspect else None, host, inspect.image if inspect else None)


def place_of(outcome: ActionOutcome) -> Place:
    """Where an action was carried out."""
    return Place(outcome.service, outcome.project, outcome.host, outcome.image)


def same_service(outcome: ActionOutcome, place: Place) -> bool:
    """Whether an action was carried out on that service, whatever its image was."""
    return (outcome.host, outcome.project, outcome.service) == (place.host, place.project, place.service)


def possibly_here(outcome: ActionOutcome, place: Place) -> bool:
    """The same, also where an outcome does not say of which project: what speaks against an action counts then."""
    there = outcome.host, outcome.service, outcome.project or place.project
    return there == (place.host, place.service, place.project)


def latest(outcomes: Iterable[ActionOutcome]) -> list[ActionOutcome]:
    """One outcome of each action: of several with one id the last one counts, as when it was proved later."""
    return list({each.action_id: each for each in outcomes}.values())


def helped(outcome: ActionOutcome) -> bool | None:
    """Whether an action helped, by its proof; None where that is not known, or it is nothing that can help.

    What failed, or was proved not to have helped or to have made it worse, did not, also if it was taken back. A look
    cures nothing; what was done already was not our doing.
    """
    if CATALOGUE[outcome.action].risk in (Risk.READ_ONLY, Risk.MANUAL):
        return None
    if outcome.outcome == Outcome.FAILED:
        return False
    if outcome.outcome not in (Outcome.DONE, Outcome.UNDONE):
        return None
    if outcome.proof in (Proof.NOT_RECOVERED, Proof.WORSE):
        return False
    return True if outcome.outcome == Outcome.DONE and outcome.proof == Proof.RECOVERED else None


class Experience:
    """What is known of actions by their outcomes."""

    def __init__(self, outcomes: Iterable[ActionOutcome] = ()) -> None:
        self._counts: Counter[tuple[object, ...]] = Counter()
        self._patterns: Counter[tuple[str, bool]] = Counter()
        for outcome in latest(outcomes):
            self.add(outcome)

    def add(self, outcome: ActionOutcome) -> None:
        """Take one more outcome in."""
        good = helped(outcome)
        if good is not None:
            place = place_of(outcome)
            for key in _keys(outcome.cause, outcome.action, place).values():
                self._counts[*key, good] += 1
            self._counts[*_both(outcome.cause, outcome.action, place), good] += 1
            if outcome.pattern and outcome.outcome != Outcome.FAILED:  # what was not done says nothing of the verdict
                self._patterns[outcome.pattern, good] += 1

    def of_pattern(self, pattern: str) -> Estimate:
        """The chance that what helps against the cause that a pattern names helps where it decided, on any service."""
        good, bad = self._patterns[pattern, True], self._patterns[pattern, False]
        return _estimate(1.0 + good, 1.0 + bad, good, bad, Scope.OVERALL)

    def counts(self, cause: Cause | None, action: ActionName, place: Place, scope: Scope) -> tuple[int, int]:
        """Successes and failures."""
        key = _keys(cause, action, place).get(scope)
        return (self._counts[*key, True], self._counts[*key, False]) if key else (0, 0)

    def estimate(self, cause: Cause | None, action: ActionName, place: Place, scope: Scope = Scope.SERVICE) -> Estimate:
        """The chance that the action helps against the cause in this place."""
        own = {each: self.counts(cause, action, place, each) for each in Scope}
        both = _both(cause, action, place)
        shared = self._counts[*both, True], self._counts[*both, False]  # by this service with this image
        narrower = {
            Scope.OVERALL: [own[Scope.SERVICE][i] + own[Scope.IMAGE][i] - shared[i] for i in (0, 1)],
            Scope.IMAGE: shared,
            Scope.SERVICE: (0, 0),
        }
        a = b = 1.0
        for level in reversed(Scope):
            if level != Scope.OVERALL:
                a, b = M * a / (a + b), M * b / (a + b)
            inner = narrower[level] if level != scope else (0, 0)
            a, b = a + own[level][0] - inner[0], b + own[level][1] - inner[1]
            if level == scope:
                break
        return _estimate(a, b, *own[scope], scope)

    def nearest(self, cause: Cause | None, action: ActionName, place: Place) -> Estimate | None:
        """The estimate for this service, with the counts of the narrowest level that has any; None if none has."""
        for scope in Scope:
            if any(self.counts(cause, action, place, scope)):
                here = self.estimate(cause, action, place)
                good, bad = self.counts(cause, action, place, scope)
                return Estimate(here.mean, here.low, here.high, good, bad, scope)
        return None


def _estimate(a: float, b: float, successes: int, failures: int, scope: Scope) -> Estimate:
    """What Beta(a, b) says."""
    side = (1 - INTERVAL) / 2
    return Estimate(a / (a + b), beta.quantile(side, a, b), beta.quantile(1 - side, a, b), successes, failures, scope)


def _keys(cause: Cause | None, action: ActionName, place: Place) -> dict[Scope, tuple[object, ...]]:
    of_all: dict[Scope, tuple[object, ...]] = {
        Scope.SERVICE: (cause, action, "service", place.host, place.project, place.service),
        Scope.OVERALL: (cause, action, "overall"),
    }
    return of_all | ({Scope.IMAGE: (cause, action, "image", place.repository)} if place.repository else {})


def _both(cause: Cause | None, action: ActionName, place: Place) -> tuple[object, ...]:
    return cause, action, "both", place.host, place.project, place.service, place.repository


def told(estimate: Estimate) -> str:
    """An estimate as people read it: `3 of 3, 47-99 %`."""
    share = f"{100 * estimate.low:.0f}-{100 * estimate.high:.0f} %"
    return f"{estimate.successes} of {estimate.tried}, {share}"
