"""What is known of every incident from before, kept small: a fold over the events of the history. Pure functions."""

from __future__ import annotations

import statistics
from collections.abc import Iterable

import msgspec

from dm_tools.diagnose.events import Sight, identified
from dm_tools.records import ActionName, Before, Cause, Cure, EventKind, HistoryEvent, Outcome, Proof
from dm_tools.text.times import lasting, parse_time, seconds_between

MOST_SPANS = 50  # durations that are kept of one trouble
MOST_ACTIONS = 1000  # actions of which a proof is still waited for
MOST_IDS = 4096  # events that are known to be there: what is recorded twice in a row is not written twice

_TRIED = (Outcome.DONE, Outcome.FAILED, Outcome.UNDONE)


class Trouble(msgspec.Struct):
    """What is known of one fingerprint. `opened`: when the occasion that is not over began."""

    service: str
    host: str | None
    first: str
    last: str
    opened: str | None = None
    times: int = 0
    last_over: str | None = None  # when the last occasion that is over was seen last
    spans: list[float] = []
    cures: dict[ActionName, Cure] = {}
    cause: Cause | None = None
    pattern: str | None = None
    image: str | None = None
    project: str | None = None

    def end(self, at: str) -> None:
        """The occasion is over."""
        if self.opened is None or at <= self.opened:
            return
        self.spans = [*self.spans, seconds_between(self.opened, at) or 0.0][-MOST_SPANS:]
        self.opened, self.times, self.last_over = None, self.times + 1, self.last


class Tried(msgspec.Struct):
    """One action that was carried out."""

    fingerprint: str
    action: ActionName
    proof: Proof | None = None
    proved_at: str = ""


class Memory(msgspec.Struct):
    """What is known of all troubles."""

    troubles: dict[str, Trouble] = {}
    actions: dict[str, Tried] = {}
    ids: dict[str, None] = {}

    def add(self, event: HistoryEvent) -> None:
        """One more event, in the order of time."""
        self.ids[event.id] = None
        if len(self.ids) > MOST_IDS:
            del self.ids[next(iter(self.ids))]
        name, trouble = event.fingerprint, self.troubles.get(event.fingerprint or "")
        if event.kind == EventKind.INCIDENT and name:
            trouble = trouble or Trouble(event.service, event.host, event.at, "")
            self.troubles[name] = trouble
            if event.at <= trouble.last:
                return
            trouble.opened, trouble.last = trouble.opened or event.at, event.at
            trouble.cause, trouble.pattern = event.cause, event.pattern
            trouble.image, trouble.project = event.image, event.project
        elif event.kind == EventKind.OVER and trouble:
            trouble.end(event.at)
        elif event.kind == EventKind.EXECUTION and trouble and name:
            self._executed(event, name, trouble)
        elif event.kind == EventKind.PROOF:
            self._proved(event)

    def _executed(self, event: HistoryEvent, name: str, trouble: Trouble) -> None:
        if not event.action_id or not event.action or event.outcome not in _TRIED or event.action_id in self.actions:
            return
        cure = trouble.cures.setdefault(event.action, Cure(event.action))
        cure.tried += 1
        self.actions[event.action_id] = Tried(name, event.action)
        if len(self.actions) > MOST_ACTIONS:
            del self.actions[next(iter(self.actions))]

    def _proved(self, event: HistoryEvent) -> None:
        tried = self.actions.get(event.action_id or "")
        if tried is None or event.at <= tried.proved_at or event.proof is None:
            return
        trouble = self.troubles[tried.fingerprint]
        cure = trouble.cures[tried.action]
        for proof, by in ((tried.proof, -1), (event.proof, 1)):
            cure.recovered += by * (proof == Proof.RECOVERED)
            cure.failed += by * (proof in (Proof.NOT_RECOVERED, Proof.WORSE))
        tried.proof, tried.proved_at = event.proof, event.at
        if event.proof == Proof.RECOVERED:
            trouble.end(event.at)

    def before(self, fingerprint: str, at: str) -> Before | None:
        """What was known of an incident before it was seen at that time; None if nothing was."""
        trouble = self.troubles.get(fingerprint)
        if trouble is None:
            return None
        going_on = trouble.opened if trouble.opened and trouble.opened < at else None
        if not (trouble.times or going_on):
            return None
        found = Before(
            times=trouble.times,
            first=trouble.first,
            last=trouble.last_over,
            going_on=going_on,
            usual_seconds=round(statistics.median(trouble.spans), 1) if trouble.spans else None,
            cures=sorted(trouble.cures.values(), key=lambda each: (-each.recovered, each.action)),
        )
        found.words = words(found)
        return found

    def news(self, sights: Iterable[Sight], machine: str) -> list[HistoryEvent]:
        """The events that are not known yet, completed by what is; they are known from then on.

        A trouble whose service was judged, and was not its root any more, is over.
        """
        found: list[HistoryEvent] = []

        def add(event: HistoryEvent) -> None:
            if event.id not in self.ids:
                found.append(self._completed(event))
                self.add(found[-1])

        for sight in sights:
            for event in sight.events:
                add(event)
            for name, trouble in self.troubles.items():
                here = (trouble.service, trouble.host) == (sight.service, sight.host)
                if not (here and trouble.opened and sight.judged_at and name != sight.fingerprint):
                    continue
                if sight.judged_at > trouble.last:
                    add(self._over(name, trouble, sight.judged_at, machine))
        return found

    def _over(self, name: str, trouble: Trouble, at: str, machine: str) -> HistoryEvent:
        return identified(
            HistoryEvent(
                kind=EventKind.OVER,
                at=at,
                machine=machine,
                service=trouble.service,
                host=trouble.host,
                project=trouble.project,
                image=trouble.image,
                fingerprint=name,
                opened=trouble.opened,
                cause=trouble.cause,
                pattern=trouble.pattern,
                seconds=seconds_between(trouble.opened, at),
            )
        )

    def _completed(self, event: HistoryEvent) -> HistoryEvent:
        tried = self.actions.get(event.action_id or "")
        name = event.fingerprint or (tried.fingerprint if tried else None) or self._open_at(event)
        trouble = self.troubles.get(name or "")
        if event.kind == EventKind.INCIDENT:
            going_on = trouble.opened if trouble and trouble.opened and trouble.opened < event.at else event.at
            return msgspec.structs.replace(event, opened=going_on)
        if trouble is None or event.kind == EventKind.OVER:
            return event
        known = {key: getattr(event, key) or getattr(trouble, key) for key in ("cause", "pattern", "image", "project")}
        if event.kind == EventKind.PROOF:
            known["opened"] = trouble.opened
            known["seconds"] = seconds_between(trouble.opened, event.at) if trouble.opened else event.seconds
            known["action"] = event.action or (tried.action if tried else None)
        return msgspec.structs.replace(event, fingerprint=name, **known)

    def _open_at(self, event: HistoryEvent) -> str | None:
        """The trouble that an action or proof without a fingerprint is about: the one open at its service."""
        if event.kind not in (EventKind.EXECUTION, EventKind.DECISION, EventKind.PROOF):
            return None
        found = [
            name
            for name, each in self.troubles.items()
            if (each.service, each.host) == (event.service, event.host) and each.opened
        ]
        return found[0] if len(found) == 1 else None


def words(before: Before) -> str:
    """What a person is told: "seen 3 times before, last on ...; restart helped 3 of 3, proved"."""
    times = "once" if before.times == 1 else f"{before.times} times"
    parts = [f"seen {times} before, last on {day(before.last)}"] if before.times else []
    if before.going_on:
        parts.append(f"going on since {day(before.going_on)}")
    for cure in before.cures:
        proved = cure.recovered + cure.failed
        name = cure.action.replace("_", " ")
        if proved:
            parts.append(f"{name} helped {cure.recovered} of {proved}, proved")
        elif cure.tried:
            parts.append(f"{name} was tried {'once' if cure.tried == 1 else f'{cure.tried} times'}, nothing is proved")
    if before.usual_seconds is not None and parse_time(before.last) is not None:
        parts.append(f"it usually took {lasting(before.usual_seconds)}")
    return "; ".join(parts)


def day(at: str | None) -> str:
    """A time to the minute, as people read it."""
    return f"{at[:16].replace('T', ' ')} UTC" if at else "an unknown day"
