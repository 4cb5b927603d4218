"""What was told in a week, held against its truth."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.week import peers, scenes
from tests.week.plan import LEAST_GAP, Truth, Week
from tests.week.watcher import Heard

AFTER = LEAST_GAP  # rounds in which an end may be told, and in which what was there may still be noticed
ENDS = ("recovered", "ended")


@dataclass
class Score:
    """Counts. `openings`, `ends`: by the number of an incident that could be seen; `of_meant`: alarms for what was
    meant, by kind; `about_sufferers`: openings that name one who only suffered; `out_of_nothing`: in words."""

    incidents: list[Truth]
    openings: Counter[int] = field(default_factory=Counter)
    ends: Counter[int] = field(default_factory=Counter)
    about_sufferers: int = 0
    of_meant: Counter[str] = field(default_factory=Counter)
    out_of_nothing: list[str] = field(default_factory=list)
    messages: int = 0

    def once(self, kind: str = "") -> int:
        """How many incidents (of a kind) have one opening and one end."""
        return sum(
            self.openings[number] == self.ends[number] == 1
            for number, each in enumerate(self.incidents)
            if kind in ("", each.kind)
        )

    def several(self, counted: Counter[int]) -> int:
        """How many incidents have more than one."""
        return sum(counted[number] > 1 for number in range(len(self.incidents)))

    def never(self, counted: Counter[int]) -> int:
        """How many have none."""
        return sum(not counted[number] for number in range(len(self.incidents)))


@dataclass
class Ours(Score):
    """Also what people were told. `told_twice`: by one target; `by_both`: a kill left it unsure, another target took
    over; `untold`: ends that reached nobody; `wrong`: what is not as it should be, in words."""

    told_twice: int = 0
    by_both: int = 0
    untold: int = 0
    healing_failures: int = 0
    healing_failures_told: int = 0
    wrong: list[str] = field(default_factory=list)


class Truths:
    """What was true of a service in a round."""

    def __init__(self, week: Week) -> None:
        self.week = week
        self.wanted = [each for each in week.truths if each.wanted and each.seen]
        self.number = {id(each): number for number, each in enumerate(self.wanted)}
        self.by_service: dict[str, list[Truth]] = defaultdict(list)
        for each in week.truths:
            for service in each.services:
                self.by_service[service].append(each)

    def at(self, service: str, number: int) -> Truth | None:
        """What an alarm of a service in a round is about: the one that it is the root of, an incident, the newest."""
        found = [each for each in self.by_service[service] if each.begin <= number < self._noticed(each)]
        found.sort(key=lambda each: (each.services[0] == service, each.wanted, each.begin))
        return found[-1] if found else None

    def _noticed(self, truth: Truth) -> int:
        """Until when somebody may say that it is there: what was seen before nobody looked is told afterwards."""
        number = truth.end
        while number in self.week.away or number in self.week.kills:
            number += 1
        return number + AFTER


def score(week: Week, heard: Heard) -> Ours:
    """Ours: what dm-incidents said of the truth, and what of it people were told."""
    truths = Truths(week)
    found = Ours(truths.wanted)
    about: dict[str, Truth] = {}
    for number, event in heard.events.values():
        where = f"round {number}: {event['service']}: {event['text']}"
        if event["kind"] == "opened":
            if (truth := _opened(truths, found, event["service"], number, where)) is not None:
                about[event["incident"]] = truth
        elif event["kind"] in ENDS and event["incident"] in about:
            found.ends[truths.number[id(about[event["incident"]])]] += 1
        elif event["kind"] == "healing_failed":
            found.healing_failures_told += 1
    found.healing_failures = sum(each.failed_healing for each in week.truths)
    found.wrong += [f"out of nothing: {each}" for each in found.out_of_nothing]
    found.wrong += [f"{count} alarms for what was meant: {kind}" for kind, count in found.of_meant.items()]
    for number, truth in enumerate(truths.wanted):
        if found.openings[number] != 1 or found.ends[number] != 1:
            found.wrong.append(f"{found.openings[number]} openings, {found.ends[number]} ends: {truth}")
    _told(heard, found)
    return found


def _opened(truths: Truths, found: Score, service: str, number: int, where: str) -> Truth | None:
    """Count an alarm; returns what it is about if that is an incident which could be seen."""
    truth = truths.at(service, number)
    if truth is None:
        found.out_of_nothing.append(where)
    elif not truth.wanted:
        found.of_meant[truth.kind] += 1
    elif truth.seen:
        found.openings[truths.number[id(truth)]] += 1
        found.about_sufferers += service != truth.services[0]
        return truth
    return None


def _told(heard: Heard, found: Ours) -> None:
    """What arrived: of a digest each part."""
    ops, backup = (Counter(_ids(bodies)) for bodies in (heard.ops, heard.backup))
    found.messages = len(heard.ops) + len(heard.backup)
    found.told_twice = sum(count - 1 for each in (ops, backup) for count in each.values())
    found.by_both = len(ops.keys() & backup.keys())
    ended = {
        event.get("incident")
        for _, body in [*heard.ops, *heard.backup]
        for event in body["events"]
        if event["kind"] in ENDS
    }
    for _, event in heard.events.values():
        if event["kind"] in ENDS and event["incident"] not in ended:
            found.untold += 1
            found.wrong.append(f"the end of {event['incident']} ({event['service']}) reached nobody")


def _ids(bodies: Iterable[tuple[int, dict[str, Any]]]) -> Iterator[str]:
    for _, body in bodies:
        yield from (each["id"] for each in body["events"])


def seen(week: Week, looked: set[int]) -> Iterator[tuple[int, list[peers.Seen]]]:
    """What the peers would have seen in the rounds that were looked at."""
    for number in sorted(looked):
        looks: list[peers.Seen] = []
        for part in week.parts:
            states = part.states.get(number, {})
            names = scenes.services(part.name)
            looks += scenes.facts(part.name, tuple((name, states.get(name, "well")) for name in names))
        yield number, looks


def judge(week: Week, told: Iterable[peers.Told]) -> Score:
    """A peer's messages against the truth."""
    truths, about = Truths(week), dict[str, Truth]()
    found = Score(truths.wanted)
    for each in told:
        found.messages += 1
        if each.kind == "resolved":
            if (known := about.pop(each.service, None)) is not None:
                found.ends[truths.number[id(known)]] += 1
        elif (truth := _opened(truths, found, each.service, each.number, each.service)) is not None:
            about[each.service] = truth
    return found
