"""The occasions on which an incident was there: from its first sight to its end, with what was done. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from dm_tools.records import ActionName, Cause, Confidence, EventKind, HistoryEvent, Outcome, Proof
from dm_tools.text.times import seconds_between


class Deed(msgspec.Struct):
    """An action that was carried out on an occasion, and what its proof said. Times are RFC 3339 UTC."""

    action_id: str
    action: ActionName | None
    at: str
    by: str
    outcome: Outcome | None
    reason: str | None
    proof: Proof | None = None
    proved_at: str | None = None


class Occasion(msgspec.Struct):
    """One occasion. `ended`: when it was proved or seen to be over, null where nothing tells.

    `sights`: in how many runs it was seen.
    """

    fingerprint: str
    service: str
    host: str | None
    begun: str
    last: str
    sights: int
    cause: Cause | None
    confidence: Confidence | None
    pattern: str | None
    image: str | None
    text: str | None
    symptoms: list[str]
    ended: str | None = None
    seconds: float | None = None
    deeds: list[Deed] = []


def occasions(events: Iterable[HistoryEvent], service: str | None = None) -> Iterator[Occasion]:
    """The occasions of one service or of all, in the order of their beginning; `events` in the order of time."""
    found: list[Occasion] = []
    going_on: dict[str, Occasion] = {}
    deeds: dict[str, tuple[Deed, Occasion]] = {}
    for event in events:
        if service is not None and event.service != service:
            continue
        name = event.fingerprint or ""
        here = going_on.get(name)
        if event.kind == EventKind.INCIDENT and name:
            if here is None:
                here = going_on[name] = _begun(event)
                found.append(here)
            here.last, here.sights = event.at, here.sights + 1
        elif event.kind == EventKind.EXECUTION and event.action_id and here and event.outcome != Outcome.STALE:
            before = deeds.get(event.action_id)
            if before:
                before[0].outcome, before[0].reason = event.outcome, event.text
                continue
            by = event.by or "person"
            deed = Deed(event.action_id, event.action, event.at, by, event.outcome, event.text)
            here.deeds = [*here.deeds, deed]
            deeds[event.action_id] = deed, here
        elif event.kind == EventKind.PROOF and event.action_id in deeds:
            deed, of = deeds[event.action_id]
            deed.proof, deed.proved_at = event.proof, event.at
            if event.proof == Proof.RECOVERED and going_on.get(of.fingerprint) is of:
                _end(going_on.pop(of.fingerprint), event.at)
        elif event.kind == EventKind.OVER and here:
            _end(going_on.pop(name), event.at)
    yield from found


def _begun(event: HistoryEvent) -> Occasion:
    return Occasion(
        fingerprint=event.fingerprint or "",
        service=event.service,
        host=event.host,
        begun=event.at,
        last=event.at,
        sights=0,
        cause=event.cause,
        confidence=event.confidence,
        pattern=event.pattern,
        image=event.image,
        text=event.text,
        symptoms=event.symptoms,
    )


def _end(occasion: Occasion, at: str) -> None:
    occasion.ended, occasion.seconds = at, seconds_between(occasion.begun, at)
