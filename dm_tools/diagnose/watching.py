"""From round to round: which incidents open, change and end. Pure: (state, round, time) → (state, events).

What is kept of a service are the last few looks. N bad ones of M open an incident, R good ones in a row close it, and
more of them the more often it came back: what comes and goes is one incident. Another cause, or another root that the
old one is a symptom of, is a change of the same incident.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from dm_tools.diagnose import silences
from dm_tools.diagnose.comparing import changed, order, verdict, well, worse
from dm_tools.diagnose.looks import Healing, Look, Sight, key
from dm_tools.diagnose.state import Incident, Over, State, Watched
from dm_tools.records import Happening, IncidentEvent, Severity, Silence, Status
from dm_tools.text.times import lasting, shown

LATELY_SECONDS = 1800.0  # what was over for less is the same trouble again
NOT_LOOKED_SECONDS = 86400.0  # an incident that nobody has looked at for so long is not open for ever
REMOVED_SECONDS = 600.0  # in rounds: who is missing in them for so long is not made anew, but gone
GAP_ROUNDS = 3.0  # nobody has looked for so many rounds, and so many seconds: a gap
GAP_SECONDS = 30.0
INTERVALS = 5  # the last ones tell how long a round usually takes; from three on they are believed
MOST_DOUBLINGS = 4  # of the good looks that one wants which comes and goes, and of the looks that a change must hold
AFTERMATH_SECONDS = 600.0  # who suffered from a root and fails on for so long when it is well has a trouble of his own
FLAPS = 3  # returns after which it is said that it comes and goes
MOST_DONE = 8  # sentences on what was done
MOST_PROVED = 32  # actions of whose proof is known


@dataclass(frozen=True)
class Rules:
    """N of the last M looks open an incident, `recover` good ones in a row close it.

    `stopped`: whether a service that somebody stopped on purpose is an incident: hurting, if others suffer from it.
    `scheduled`: rounds come by themselves, if not always after the same time.
    """

    bad: int = 1
    of: int = 1
    recover: int = 1
    stopped: str = "hurting"
    scheduled: bool = False


@dataclass(frozen=True)
class Moment:
    """A time: RFC 3339 and seconds since 1970; seconds of a clock that nobody sets and that counts a suspend, with the
    boot that it belongs to; local day of the week (0 is Monday) and minute of the day."""

    at: str
    wall: float
    steady: float
    boot: str
    day: int = 0
    minute: int = 0


def judged(
    before: State,
    looks: Iterable[Look],
    moment: Moment,
    quiet: Sequence[Silence] = (),
    rules: Rules | None = None,
    own: Sequence[Silence] = (),
) -> tuple[State, list[IncidentEvent]]:
    """The state after a round and what there is to tell. `quiet`: silences that stand; `own`: those of what we do
    ourselves (see deeds), while which a recovery waits for its proof, too. `before` stays as it is."""
    round = _Round(copy.deepcopy(before), moment, quiet, rules or Rules(), own)
    round.judge(list(looks))
    return round.state, round.events


class _Round:
    def __init__(
        self, state: State, moment: Moment, quiet: Sequence[Silence], rules: Rules, own: Sequence[Silence]
    ) -> None:
        self.state, self.moment, self.rules = state, moment, rules
        # After a proof that all is well again, what fails is not the aftermath of what was done.
        self.own = [each for each in own if each.at > state.proved.get(each.id, "")]
        self.quiet = [*quiet, *self.own]
        self.events: list[IncidentEvent] = []
        self.gap: float | None = None

    def judge(self, looks: list[Look]) -> None:
        if not looks or any(each.healing is None for each in looks):
            self._time_passes()  # what was done is no look of its own
        found: dict[str, Look] = {}
        for each in sorted(looks, key=order):
            if each.healing is not None:
                self._healed(each, each.healing)
            else:
                found[each.key] = worse(found.get(each.key), each)
        found = {name: self._meant(each, found) for name, each in found.items()}
        for incident in self.state.open.values():
            host = incident.look.host
            incident.suffering = [each for each in incident.suffering if not well(found.get(key(host, each)))]
        self._roots_move(found)
        for name in sorted(self.state.open.keys() - found.keys()):
            self._not_looked_at(name)
        for name, each in found.items():
            if name in self.state.open:
                self._open(name, each)
            else:
                self._closed(name, each)

    # time

    def _time_passes(self) -> None:
        state, now, passed = self.state, self.moment, self._passed()
        if state.at is not None:
            usual = max(state.intervals, default=0.0)
            if self._expected and passed > max(GAP_ROUNDS * usual, usual + GAP_SECONDS):
                self._nobody_looked(passed)
            else:
                state.intervals = [*state.intervals, passed][-INTERVALS:]
        state.rounds += 1
        state.at, state.wall, state.steady, state.boot = now.at, now.wall, now.steady, now.boot
        for each in state.open.values():
            each.seconds += passed
            each.away += passed
        for watched in state.watched.values():
            watched.seconds += passed
        for over in state.over.values():
            over.seconds += passed
        state.over = {name: each for name, each in state.over.items() if each.seconds < LATELY_SECONDS}

    def _passed(self) -> float:
        """Seconds since the last round."""
        state, now = self.state, self.moment
        if state.at is None:
            return 0.0
        return max(now.steady - state.steady if state.boot == now.boot else now.wall - state.wall, 0.0)

    @property
    def _expected(self) -> bool:
        """Whether the next round was to come about when it usually comes: by a schedule, not by hand."""
        intervals = self.state.intervals
        return len(intervals) >= 3 and (self.rules.scheduled or max(intervals) <= 2 * min(intervals))

    def _nobody_looked(self, seconds: float) -> None:
        self.gap = seconds
        self.state.watched = {}  # looks from before say nothing of now
        for each in self.state.open.values():
            each.good = each.stopped = each.held = 0
        span = f"{lasting(seconds)}, from {shown(self.state.at)} on"
        reason = f"nobody looked for {span}: what began or ended then is told now"
        self.state.number += 1
        self.events.append(
            IncidentEvent(
                id=f"gap-{self.state.number}",
                number=self.state.number,
                kind=Happening.GAP,
                at=self.moment.at,
                severity=Severity.INFO,
                text="the watcher was away",
                reason=reason,
                seconds=seconds,
            )
        )

    # what a look means beside the others of its round

    def _meant(self, look: Look, found: dict[str, Look]) -> Look:
        """One that somebody stopped, as what the rules take it for."""
        if look.sight != Sight.STOPPED or self.rules.stopped == "none":
            return look
        suffer = [
            name
            for name in look.symptoms
            if (other := found.get(key(look.host, name))) is None or other.sight not in (Sight.STOPPED, Sight.GOOD)
        ]
        if self.rules.stopped == "all" or suffer:
            return msgspec.structs.replace(
                look, sight=Sight.SYMPTOM if look.root and look.root != look.service else Sight.BAD
            )
        return look

    def _roots_move(self, found: dict[str, Look]) -> None:
        """Open incidents follow their root: a symptom's to the root that is found now, a cured root's to what stays."""
        for name in sorted(self.state.open):
            look = found.get(name)
            if look is None:
                continue
            if look.sight == Sight.SYMPTOM and look.root:
                to = key(look.host, look.root)
                if to in self.state.open and to != name:
                    self._end(name, f"it is a part of the incident of {look.root}")
                elif to in found and found[to].sight == Sight.BAD:
                    self.state.open[to] = self.state.open.pop(name)
                    self.state.watched.pop(to, None)
            elif look.sight == Sight.GOOD and (heir := self._heir(self.state.open[name], found)):
                if self._silent(look, self.state.open[name], self.own):
                    continue  # whoever needs it has yet to find it again: a proof is to come
                self.state.open[heir] = self.state.open.pop(name)
                self.state.watched.pop(heir, None)

    def _heir(self, incident: Incident, found: dict[str, Look]) -> str | None:
        """Whose the incident is when its root is well again: one that still suffers, or the root that it has now."""
        host = incident.look.host
        for symptom in incident.suffering:
            look = found.get(key(host, symptom))
            root = key(host, look.root) if look and look.sight == Sight.SYMPTOM and look.root else key(host, symptom)
            if root in found and found[root].sight == Sight.BAD and root not in self.state.open:
                return root
        return None

    def _suffers(self, look: Look) -> bool:
        """Whether it is a part of an open incident: its root may be well already, and it is not yet."""
        incidents = self.state.open.values()
        return any(look.service in each.suffering and look.host == each.look.host for each in incidents)

    # services

    def _closed(self, name: str, look: Look) -> None:
        if look.sight == Sight.STOPPED or (look.sight == Sight.SYMPTOM and self._suffers(look)):
            self.state.watched.pop(name, None)  # what it had of its own is explained
        if look.sight not in (Sight.BAD, Sight.GOOD):
            return
        watched = self.state.watched.setdefault(name, Watched())
        watched.looks = [*watched.looks, look.sight == Sight.BAD][-self.rules.of :]
        if not any(watched.looks):
            del self.state.watched[name]
        elif look.sight == Sight.BAD and sum(watched.looks) >= self.rules.bad:
            # One whose incident has moved to another root is told of again once that is told.
            told = any(each.look.key == name for each in self.state.open.values())
            own = not self._suffers(look) or watched.seconds >= AFTERMATH_SECONDS
            if own and not told and not self._silent(look, None):
                self._begin(name, look, self.state.watched.pop(name).seconds)

    def _begin(self, name: str, look: Look, seconds: float) -> None:
        lately = self.state.over.pop(name, None)
        number = self.state.number + 1
        self.state.open[name] = incident = Incident(
            id=f"{(look.fingerprint or '')[:12]}-{number}",
            opened=self.moment.at,
            look=look,
            newest=verdict(look),
            seconds=seconds,
            flaps=lately.flaps + 1 if lately else 0,
            again=lately.again + 1 if lately else 0,
            symptoms=list(look.symptoms),
            suffering=list(look.symptoms),
        )
        reason = f"it is back: it was over for {lasting(lately.seconds)}" if lately else None
        self._tell(Happening.OPENED, incident, reason)

    def _open(self, name: str, look: Look) -> None:
        incident = self.state.open[name]
        if look.sight != Sight.NOTHING:
            incident.away = 0.0
        if look.sight in (Sight.BAD, Sight.SYMPTOM):
            if incident.good:
                incident.flaps += 1
            incident.good = incident.stopped = 0
            if look.sight == Sight.BAD:
                incident.newest = verdict(look)
                incident.suffering = sorted({*incident.suffering, *look.symptoms} - {look.service})
                self._changed(incident, look)
            if incident.flaps == FLAPS and not self._silent(look, incident):
                incident.flaps += 1  # told once
                self._tell(
                    Happening.FLAPPING, incident, "it comes and goes; it counts as over when it stays away for longer"
                )
        elif look.sight == Sight.GOOD:
            incident.stopped = 0
            incident.good += 1
            enough = incident.good >= self.rules.recover * 2 ** min(incident.flaps, MOST_DOUBLINGS)
            if enough and not self._silent(look, incident, self.own):
                self._recovered(name)
        elif look.sight == Sight.STOPPED:
            incident.good = 0
            incident.stopped += 1
            if incident.stopped >= self.rules.recover:
                self._end(name, "somebody stopped it on purpose")

    def _changed(self, incident: Incident, look: Look) -> None:
        change = changed(incident.look, incident.symptoms, look)
        if change is None:
            incident.mark, incident.held = "", 0
            incident.look = look  # newer evidence, the same trouble
            return
        kind, words, mark = change
        incident.held = incident.held + 1 if mark == incident.mark else 1
        incident.mark = mark
        patient = 0 if kind == Happening.WORSE else min(incident.changes, MOST_DOUBLINGS)
        if incident.held < self.rules.bad * 2**patient or self._silent(look, incident):
            return
        incident.look, incident.mark, incident.held = look, "", 0
        incident.symptoms = sorted({*incident.symptoms, *look.symptoms} - {look.service})
        incident.changes += 1
        self._tell(kind, incident, words)

    def _healed(self, look: Look, healing: Healing) -> None:
        if healing.helped:
            proved = self.state.proved | dict.fromkeys(healing.ids, self.moment.at)
            self.state.proved = dict(list(proved.items())[-MOST_PROVED:])
        incident = self.state.open.get(look.key)
        if incident is None:
            return
        incident.done = [*incident.done, *(each for each in healing.words if each not in incident.done)][-MOST_DONE:]
        if healing.helped:
            incident.seconds += self._passed()
            self._recovered(look.key)
        elif healing.helped is False and not set(healing.ids) & set(incident.failed):
            incident.failed = [*incident.failed, *healing.ids][-MOST_DONE:]
            self._tell(Happening.HEALING_FAILED, incident, healing.words[-1])

    def _not_looked_at(self, name: str) -> None:
        away = self.state.open[name].away
        if self.rules.scheduled and away >= REMOVED_SECONDS:
            self._end(name, f"it has not been among the services for {lasting(away)}: it was removed")
        elif away >= NOT_LOOKED_SECONDS:
            self._end(name, f"nobody has looked at it for {lasting(away)}")

    # ends and events

    def _recovered(self, name: str) -> None:
        incident = self.state.open.pop(name)
        cure = "after what was done" if incident.done else "nothing of ours was done: by itself, or by hand"
        self.state.over[name] = Over(incident.flaps, incident.again)
        self._tell(Happening.RECOVERED, incident, f"well again after {lasting(incident.seconds)}; {cure}")

    def _end(self, name: str, reason: str) -> None:
        incident = self.state.open.pop(name)
        self.state.over[name] = Over(incident.flaps, incident.again)
        self._tell(Happening.ENDED, incident, reason)

    def _silent(self, look: Look, incident: Incident | None, among: Sequence[Silence] | None = None) -> bool:
        moment, id = self.moment, incident.id if incident else None
        quiet = self.quiet if among is None else among
        return any(silences.matches(each, look, id, moment.day, moment.minute) for each in quiet)

    def _tell(self, kind: Happening, incident: Incident, reason: str | None) -> None:
        look = incident.look
        self.state.number += 1
        incident.events += 1
        self.events.append(
            IncidentEvent(
                id=f"{incident.id}.{incident.events}",
                number=self.state.number,
                kind=kind,
                at=self.moment.at,
                incident=incident.id,
                fingerprint=look.fingerprint,
                service=look.service,
                host=look.host,
                project=look.project,
                severity=look.severity,
                status=Status.HEALTHY if kind == Happening.RECOVERED else look.status,
                cause=look.cause,
                confidence=look.confidence,
                text=look.text,
                reason=reason,
                evidence=list(look.evidence),
                symptoms=incident.symptoms[:],
                done=incident.done[:],
                proposed=list(look.proposed),
                next=list(look.next),
                opened=incident.opened,
                since=look.since,
                seconds=incident.seconds,
                again=incident.again,
                in_gap=self.gap,
            )
        )
