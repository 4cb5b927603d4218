"""The truth of a week: which service is in which state in which round, and what of it is an incident."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests import lab
from tests.week import scenes

EVERY = 30.0  # seconds between two rounds
HOUR = 120  # rounds
DAY = 24 * HOUR
UNITS = tuple(f"unit-{number:02d}" for number in range(1, 13))
LONELY = ("mailer", "search", "thumbs", "billing")
LEAST_GAP = 8  # rounds between two troubles of one service: more than the good looks that end an incident


@dataclass
class Truth:
    """Something that happened. `services`: the root and whoever suffers; `end`: the first round in which all is well.

    `wanted`: it is an incident; else it was meant, or too short to be one. `seen`: by enough looks.
    """

    kind: str
    services: tuple[str, ...]
    begin: int
    end: int
    wanted: bool = True
    seen: bool = True
    failed_healing: bool = False


@dataclass
class Part:
    """Services that are judged together: the name of each one's state, round by round (sparse: well otherwise)."""

    name: str
    states: dict[int, dict[str, str]] = field(default_factory=dict)

    def put(self, begin: int, end: int, service: str, state: str) -> None:
        """A service is in a state from a round to before another."""
        for number in range(begin, end):
            self.states.setdefault(number, {})[service] = state


@dataclass
class Week:
    """All of it. `away`: rounds in which nobody looks; `silences`: service, begin, end; `healings`: by round."""

    rounds: int
    parts: list[Part]
    truths: list[Truth]
    away: set[int] = field(default_factory=set)
    kills: dict[int, str] = field(default_factory=dict)
    boots: list[int] = field(default_factory=list)
    silences: list[tuple[str, int, int]] = field(default_factory=list)
    healings: dict[int, list[tuple[str, str]]] = field(default_factory=dict)
    deaf: tuple[int, int] = (0, 0)

    def wall(self, number: int) -> float:
        """Seconds since 1970 as the machine's clock says: two hours of a day it is 90 minutes ahead, then back; later
        it is set back by ten minutes for good."""
        ahead = self.rounds * 3 // 7
        wrong = 5400.0 if ahead <= number < ahead + 2 * HOUR else 0.0
        return scenes.BEGIN + number * EVERY + wrong - (600.0 if number >= self.rounds * 5 // 7 else 0.0)

    def boot(self, number: int) -> int:
        """Which start of the machine it is."""
        return sum(each <= number for each in self.boots)


def week(seed: int = 0, rounds: int = 7 * DAY, kills: int = 50) -> Week:
    """The same seed is the same week."""
    luck = random.Random(seed)
    found = Week(rounds, [], [])
    _shop(found, luck)
    _store(found, luck)
    for name in LONELY:
        _lonely(found, luck, name)
    _job(found, luck)
    _absences(found, luck, kills)
    found.truths = _as_seen(found)
    found.healings = _as_heard(found)
    return found


def _gaps(luck: random.Random, rounds: int, mean: float) -> Iterator[int]:
    """Rounds at which something may begin; the caller sends back when it is over."""
    number = 0
    while (number := number + LEAST_GAP + int(luck.expovariate(1 / mean))) < rounds - 2 * HOUR:
        over = yield number
        number = over if over is not None else number


def _lasts(luck: random.Random) -> int:
    return min(3 + int(luck.expovariate(1 / 30)), 4 * HOUR)


def _shop(week: Week, luck: random.Random) -> None:
    """Recorded faults one after another; who suffers fails a little sooner or later, and is well a little later."""
    part, services = Part("shop"), scenes.SHOP
    week.parts.append(part)
    faults = [each for each in lab.faults() if each.roots and scenes.of_shop(each.name)]
    queue: list[lab.Fault] = []
    gaps = _gaps(luck, week.rounds, 50)
    begin = next(gaps, None)
    while begin is not None:
        queue = queue or luck.sample(faults, len(faults))
        fault, end = queue.pop(), begin + _lasts(luck)
        roots = {root.service for root in fault.roots}
        last = end
        for service in services:
            if service in roots or service not in fault.symptoms:
                part.put(begin, end, service, fault.name)
                continue
            first = max(begin + luck.choices((-1, 0, 1, 2), (1, 6, 2, 1))[0], 0)
            until = end + luck.choices((0, 1, 2, 4), (5, 2, 2, 1))[0]
            part.put(first, until, service, fault.name)
            last = max(last, until)
        meant = scenes.stopped_and_harmless(fault.name)
        for root in sorted(roots):
            kind = "stopped on purpose" if root in meant else "recorded fault"
            week.truths.append(Truth(kind, (root, *fault.symptoms), begin - 1, last, root not in meant))
        begin = _next(gaps, last)


def _next(gaps: Iterator[int], over: int) -> int | None:
    try:
        return gaps.send(over)  # type: ignore[attr-defined] # a generator
    except StopIteration:
        return None


def _store(week: Week, luck: random.Random) -> None:
    """The database and its units: storms, updates one after another, a stop of everything, and of single units."""
    part = Part("plant")
    week.parts.append(part)
    gaps = _gaps(luck, week.rounds, 130)
    begin = next(gaps, None)
    while begin is not None:
        kind = luck.choices(("storm", "unit", "rolling", "all stopped"), (6, 4, 2, 1))[0]
        end = begin + _lasts(luck)
        if kind == "storm":
            part.put(begin, end, "store", luck.choice(("exit", "oom", "sick")))
            last, mute = end, luck.random() < 0.3
            for unit in UNITS:
                first = begin + luck.choices((-1, 0, 1, 2), (1, 6, 2, 1))[0]
                until = end + luck.choices((0, 1, 2, 4), (4, 3, 2, 1))[0]
                part.put(first, until, unit, "mute" if mute else "cut off")
                last = max(last, until)
            week.truths.append(Truth(kind, ("store", *UNITS), begin - 1, last))
        elif kind == "unit":
            unit = luck.choice(UNITS)
            part.put(begin, end, unit, luck.choice(("exit", "oom", "loop", "sick")))
            week.truths.append(Truth("single", (unit,), begin, end))
            last = end
        elif kind == "rolling":
            last = begin
            for unit in UNITS:
                last = _updated(part, unit, last, luck)
            week.truths.append(Truth("rolling update", UNITS, begin, last, wanted=False))
        else:
            for service in ("store", *UNITS):
                part.put(begin, end, service, "stopped")
                part.put(end, end + 2, service, "starting")
            last = end + 2
            week.truths.append(Truth("stack stopped on purpose", ("store", *UNITS), begin, last, wanted=False))
        begin = _next(gaps, last)


def _updated(part: Part, service: str, begin: int, luck: random.Random) -> int:
    """A container is stopped, made anew and in its start period; returns the round in which it is well."""
    number = begin
    for state in ("stopped", "created", "starting"):
        end = number + luck.choice((1, 2) if state == "starting" else (0, 1))
        part.put(number, end, service, state)
        number = end
    return number


def _lonely(week: Week, luck: random.Random, name: str) -> None:
    """A service that needs nobody."""
    part = Part(name)
    week.parts.append(part)
    gaps = _gaps(luck, week.rounds, 90)
    begin = next(gaps, None)
    kinds = {"single": 8, "healed": 2, "flapping": 2, "cause changes": 2, "removed": 1}
    meant = {"one bad look": 2, "stopped on purpose": 3, "update": 3, "silenced": 1}
    while begin is not None:
        kind = luck.choices([*kinds, *meant], [*kinds.values(), *meant.values()])[0]
        end = begin + _lasts(luck)
        state = luck.choice(("exit", "oom", "loop", "sick"))
        truth = Truth(kind, (name,), begin, end, kind in kinds)
        quiet = 0
        if kind == "flapping":
            end = truth.end = begin + luck.randint(HOUR // 2, 2 * HOUR)
            number = begin
            while number < end:
                part.put(number, min(number + luck.randint(2, 4), end), name, state)
                number += luck.randint(4, 8)
            part.put(end - 2, end, name, state)
            quiet = HOUR  # it counts as over when it stays away for longer
        elif kind == "cause changes":
            middle = begin + max((end - begin) // 2, 2)
            end = truth.end = max(end, middle + 4)
            part.put(begin, middle, name, "exit")
            part.put(middle, end, name, "loop")
        elif kind == "removed":
            part.put(begin, end, name, state)
            gone = end + luck.randint(HOUR // 2, 2 * HOUR)
            part.put(end, gone, name, "removed")
            quiet = gone - end
        elif kind == "one bad look":
            end = truth.end = begin + 1
            part.put(begin, end, name, state)
        elif kind == "update":
            end = truth.end = _updated(part, name, begin, luck)
        elif kind == "stopped on purpose":
            part.put(begin, end, name, "stopped")
        else:
            part.put(begin, end, name, state)
        if kind == "silenced":
            week.silences.append((name, begin - 2, end + 6))
        elif kind == "healed":
            if end - begin > 12:
                week.healings.setdefault(begin + 6, []).append((name, "not_recovered"))
            week.healings.setdefault(end, []).append((name, "recovered"))
        week.truths.append(truth)
        begin = _next(gaps, end + quiet)


def _job(week: Week, luck: random.Random) -> None:
    """Every six hours it runs and ends with 0, or now and then with 1; then it runs again an hour later."""
    part = Part("nightly")
    week.parts.append(part)
    part.put(0, week.rounds, "nightly", "finished")
    for begin in range(HOUR, week.rounds - 3 * HOUR, 6 * HOUR):
        part.put(begin, begin + 20, "nightly", "well")
        if luck.random() < 0.25:
            part.put(begin + 20, begin + 20 + HOUR, "nightly", "job failed")
            week.truths.append(Truth("job failed", ("nightly",), begin + 20, begin + 20 + HOUR))
        else:
            week.truths.append(Truth("job done", ("nightly",), begin, begin + 21, wanted=False))


HOW = ("between", "while it reads", "while it judges", "while it tells", "with a message on its way")


def _absences(week: Week, luck: random.Random, kills: int) -> None:
    """When nobody looks: a night of suspend, a start of the machine, and what the killed watcher misses."""
    night = week.rounds * 2 // 7 - HOUR
    week.away |= set(range(night, night + min(8 * HOUR, week.rounds // 21)))
    start = week.rounds * 4 // 7
    week.boots.append(start)
    week.away |= set(range(start, start + 4))
    week.kills[start + 4] = "between"
    for number in range(max(kills - 1, 0)):
        at = luck.randrange(10, week.rounds - 10)
        week.kills[at] = HOW[number % len(HOW)]
        missed = luck.choices((0, luck.randint(1, 6), luck.randint(20, 2 * HOUR)), (6, 3, 1))[0]
        week.away |= set(range(at + 1, min(at + 1 + missed, week.rounds - HOUR)))
    for at in sorted(week.kills.keys() & week.away):  # who is not there cannot be killed
        how = week.kills.pop(at)
        while at in week.away or at in week.kills:
            at += 1
        week.kills[at] = how
    week.deaf = (week.rounds * 6 // 7, week.rounds * 6 // 7 + min(2 * HOUR, week.rounds // 84))


def _as_seen(week: Week) -> list[Truth]:
    """What nobody can have told apart is one; what was not looked at often enough is not `seen`."""
    looked = [number not in week.away and number not in week.kills for number in range(week.rounds + 1)]
    found: list[Truth] = []
    for truth in sorted(week.truths, key=lambda each: each.begin):
        before = _before(found, truth)
        if before is not None and sum(looked[before.end : truth.begin]) < 6:
            before.end = truth.end
            before.services = tuple(dict.fromkeys((*before.services, *truth.services)))
            continue
        bad = [number for number in range(truth.begin, truth.end) if looked[max(number, 0)]]
        truth.seen = any(later - sooner <= 2 for sooner, later in itertools.pairwise(bad))
        found.append(truth)
    return found


def _as_heard(week: Week) -> dict[int, list[tuple[str, str]]]:
    """Nobody heals while the watcher is away: what would have come then comes when it looks again, if it still fits."""
    heard: dict[int, list[tuple[str, str]]] = {}
    for number, proofs in week.healings.items():
        while number in week.away or number in week.kills:
            number += 1
        for service, proof in proofs:
            about = [each for each in week.truths if each.services[0] == service and each.begin + 5 < number < each.end]
            if proof == "recovered" or about:
                heard.setdefault(number, []).append((service, proof))
            if proof == "not_recovered" and about:
                about[0].failed_healing = True
    return heard


def _before(found: Sequence[Truth], truth: Truth) -> Truth | None:
    """The newest incident of the same root before."""
    same = [each for each in found if each.wanted and truth.wanted and each.services[0] == truth.services[0]]
    return same[-1] if same else None
