"""Who was told what so far, and who is to be told now. Pure: the journal keeps it, the command brings the time.

Of each incident a target has what it was told and what not. What it was not told becomes one message, about the newest
of it; the events before are covered by that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

import msgspec

from dm_tools.notify.config import Config, Rule
from dm_tools.records import ENDS, Happening, IncidentEvent
from dm_tools.text.times import lasting

BACK_OFF_SECONDS = 30.0  # before the second try; twice as long before each further one
MOST_BACK_OFF_SECONDS = 3600.0
GIVEN_UP_SECONDS = 86400.0  # what could not be told for so long is told no more
KEPT_SECONDS = 2 * 86400.0  # of what is over
AT_ONCE_SECONDS = 60.0  # an incident of which the end comes with the beginning
HEARD = ("told", "elsewhere", "unsure")


class Told(msgspec.Struct, omit_defaults=True):
    """How it went with one event and one target. `at`: seconds since 1970; `instead_of`: whose it was to be told."""

    state: Literal["trying", "told", "failed", "unsure", "elsewhere"]
    tries: int = 0
    at: float = 0.0
    instead_of: str = ""


class Story(msgspec.Struct, omit_defaults=True):
    """One incident, or one gap. `told`: by target, by event; `repeats`: by target, when it was told again last."""

    events: list[IncidentEvent] = []
    begun: float = 0.0
    told: dict[str, dict[str, Told]] = {}
    repeats: dict[str, list[float]] = {}

    @property
    def over(self) -> bool:
        """Whether nothing more is to come."""
        return bool(self.events) and self.events[-1].kind in (*ENDS, Happening.GAP)


class Sending(msgspec.Struct, omit_defaults=True):
    """A message: to whom, about which events of which incidents. `instead_of`: from whom it is taken over."""

    id: int
    target: str
    events: dict[str, list[str]]
    at: float
    instead_of: str = ""
    repeated: bool = False


class Entry(msgspec.Struct, omit_defaults=True):
    """One line of the journal: an event came in, a message is about to be sent, or what came of it."""

    event: IncidentEvent | None = None
    sending: Sending | None = None
    outcome: Literal["told", "failed", "unsure", ""] = ""
    id: int = 0
    at: float = 0.0
    ledger: Ledger | None = None


class Ledger(msgspec.Struct):
    """All stories, and messages that were begun. `sent`: by target, the times of the last ones. `since`: the number of
    the newest event from before anybody was to be told."""

    stories: dict[str, Story] = {}
    begun: dict[int, Sending] = {}
    sent: dict[str, list[float]] = {}
    number: int = 0
    since: int = 0

    def apply(self, entry: Entry) -> None:
        """Take one line of the journal in."""
        if entry.event is not None:
            self._came(entry.event, entry.at)
        elif entry.sending is not None:
            self.number = max(self.number, entry.sending.id)
            self.begun[entry.sending.id] = entry.sending
            self._mark(entry.sending, "trying", entry.sending.at)
        elif entry.outcome and (sending := self.begun.pop(entry.id, None)) is not None:
            self._mark(sending, entry.outcome, entry.at)

    def knows(self, event: IncidentEvent) -> bool:
        """Whether an event came before."""
        story = self.stories.get(event.incident or event.id)
        return story is not None and any(each.id == event.id for each in story.events)

    def _came(self, event: IncidentEvent, at: float) -> None:
        if not self.knows(event):
            story = self.stories.setdefault(event.incident or event.id, Story(begun=at))
            story.events.append(event)

    def _mark(self, sending: Sending, state: Literal["trying", "told", "failed", "unsure"], at: float) -> None:
        for name, ids in sending.events.items():
            if (story := self.stories.get(name)) is None:
                continue
            told = story.told.setdefault(sending.target, {})
            for id in ids:
                before = told.get(id, Told("trying"))
                tries = before.tries + (state == "trying")
                told[id] = Told(state, tries, at, sending.instead_of)
                if state == "told" and sending.instead_of:
                    story.told[sending.instead_of][id] = Told("elsewhere", tries, at)
            if sending.repeated and state == "trying":
                story.repeats.setdefault(sending.target, []).append(at)
        if state == "trying":
            self.sent[sending.target] = [*self.sent.get(sending.target, [])[-50:], at]

    def tidied(self, now: float) -> Ledger:
        """Without what is over and settled."""
        kept = {name: each for name, each in self.stories.items() if not each.over or now - each.begun < KEPT_SECONDS}
        return Ledger(kept, self.begun, self.sent, self.number, self.since)


@dataclass(frozen=True)
class Time:
    """Seconds since 1970, and the local day of the week (0 is Monday) and minute of the day."""

    now: float
    day: int = 0
    minute: int = 0


@dataclass(frozen=True)
class Message:
    """What is to be told now: of each story its events, oldest first. `still`: words, if it is told again."""

    target: str
    parts: tuple[tuple[str, tuple[IncidentEvent, ...]], ...]
    instead_of: str = ""
    still: str = ""


def due(ledger: Ledger, config: Config, time: Time, final: bool) -> list[Message]:
    """What is to be told now, target by target. `final`: nothing follows soon, so nothing waits for a digest."""
    rules = config.rule or [Rule(tell=list(config.target))]
    found: dict[tuple[str, str], list[Message]] = {}
    for name, story in ledger.stories.items():
        for target in config.target:
            for each in _of_story(name, story, target, [rule for rule in rules if target in rule.tell], config, time):
                found.setdefault((each.target, each.instead_of), []).append(each)
    messages: list[Message] = []
    for (target, _), ready in found.items():
        room = config.digest_above - _lately(ledger, target, config, time)
        if len(ready) <= room or (final and len(ready) == 1):
            messages += ready
        elif final or room > 0:
            messages.append(Message(target, tuple(part for one in ready for part in one.parts), ready[0].instead_of))
    return messages


def _lately(ledger: Ledger, target: str, config: Config, time: Time) -> int:
    return sum(0 <= time.now - at < config.window_seconds for at in ledger.sent.get(target, []))


def _of_story(
    name: str, story: Story, target: str, rules: Sequence[Rule], config: Config, time: Time
) -> Iterator[Message]:
    told = story.told.get(target, {})
    heard = any(each.state in HEARD for each in told.values())
    own = {id: was for id, was in told.items() if not was.instead_of}  # what was taken over is tried with its owner's
    new = [
        each
        for each in story.events
        if _wanted(told.get(each.id), story, time)
        and (each.id in own or any(_matches(rule, each, story, time, heard) for rule in rules))
    ]
    if new:
        yield Message(target, ((name, tuple(new)),))
    elif not story.over and heard and (again := _again(story, target, rules, time)):
        yield Message(target, ((name, (story.events[-1],)),), still=again)
    elif instead := config.target[target].instead:
        others = story.told.get(instead, {})
        lost = [each for each in story.events if (was := told.get(each.id)) and was.state in ("failed", "unsure")]
        lost = [each for each in lost if _wanted(others.get(each.id), story, time)]
        if lost:
            yield Message(instead, ((name, tuple(lost)),), instead_of=target)


def _wanted(told: Told | None, story: Story, time: Time) -> bool:
    """Whether an event is still to be told, and it is time to try."""
    if told is None:
        return True
    lasted = story.events[-1].seconds or 0.0
    if told.state != "failed" or time.now - story.begun > GIVEN_UP_SECONDS + lasted:
        return False
    wait = min(BACK_OFF_SECONDS * 2 ** (told.tries - 1), MOST_BACK_OFF_SECONDS)
    return not 0 <= time.now - told.at < wait


def _open_now(rule: Rule, time: Time) -> bool:
    names = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    if rule.days and names[time.day] not in rule.days:
        return False
    if (window := rule.minutes) is None:
        return True
    begin, end = window
    return begin <= time.minute < end if begin < end else time.minute >= begin or time.minute < end


def _matches(rule: Rule, event: IncidentEvent, story: Story, time: Time, heard: bool) -> bool:
    if not _open_now(rule, time):
        return False  # it waits until the rule's hours, and is told then if it is still open
    if rule.kinds and event.kind not in rule.kinds:
        return False
    pairs = ((rule.service, event.service), (rule.project, event.project), (rule.host, event.host))
    if any(wanted and not any(fnmatchcase(value or "", each) for each in wanted) for wanted, value in pairs):
        return False
    if event.kind in ENDS and heard:
        return True  # whoever was told that it began is told that it is over
    if event.severity is not None and event.severity.order > rule.severity.order:
        return False
    if event.kind == Happening.GAP or heard:
        return True
    if story.over:  # before anybody was told: of what came and went in one go, all is told
        return not rule.after_seconds and time.now - story.begun < AT_ONCE_SECONDS
    return time.now - story.begun >= rule.after_seconds


def _again(story: Story, target: str, rules: Sequence[Rule], time: Time) -> str:
    """The words if an open incident is to be told again."""
    times = [each.at for each in story.told.get(target, {}).values() if each.state == "told"]
    last = max([*times, *story.repeats.get(target, [])], default=None)
    event = story.events[-1]
    if last is None:
        return ""
    for rule in rules:
        if rule.repeat_seconds and time.now - last >= rule.repeat_seconds and _matches(rule, event, story, time, True):
            return f"still open after {lasting(time.now - story.begun)}"
    return ""
