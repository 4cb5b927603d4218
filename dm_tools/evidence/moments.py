"""What happened when: the moments of one service that tell of its trouble."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dm_tools.evidence.ids import Kind, parse
from dm_tools.evidence.view import View
from dm_tools.evidence.words import told
from dm_tools.records import Event, Moment
from dm_tools.text.shorten import short
from dm_tools.text.times import parse_time, seconds_or_never, utc
from dm_tools.text.traces import decisive

WORDS = {
    "create": "container made",
    "start": "container started",
    "restart": "container restarted",
    "die": "container ended",
    "oom": "out of memory",
    "kill": "container got a signal",
    "stop": "container stopped",
    "pause": "container paused",
    "unpause": "container unpaused",
}
SHOWN = 40  # moments of an incident: the first and the last
BEFORE_S = 600.0  # seconds before the root's trouble began from which on its symptoms are told of


def of_service(view: View, cited: Sequence[str]) -> list[Moment]:
    """What the engine did with the container, and what the evidence says that has a time; in the order of time.

    What comes again in the same words is one moment, with how often and until when.
    """
    found = [(event.ts, _event(event)) for event in (view.inspect.events if view.inspect else [])]
    if view.inspect and not found:
        found.append((view.inspect.started_at or "", "container started"))
        if view.inspect.state in ("exited", "dead"):
            found.append((view.inspect.finished_at or "", f"container ended (exit code {view.inspect.exit_code})"))
    for evidence_id in cited:
        piece = told(view, evidence_id)
        if piece.at and parse(evidence_id).kind != Kind.EVENT:
            found.append((piece.at, short(decisive(piece.text)[0])))
    moments: dict[str, Moment] = {}
    for at, text in sorted(((utc(at), text) for at, text in found if _known(at)), key=lambda each: _order(each[0])):
        if (earlier := moments.get(text)) is None:
            moments[text] = Moment(at, view.service, text)
        elif earlier.at != at:
            earlier.times, earlier.until = earlier.times + 1, at
    return list(moments.values())


def of_incident(root: str, since: str | None, moments: Iterable[Moment]) -> list[Moment]:
    """Those of all its services in the order of time; of its symptoms what is near its beginning or later."""
    begun = parse_time(since)
    kept = [
        each
        for each in moments
        if each.service == root or begun is None or _order(each.until or each.at) >= begun - BEFORE_S
    ]
    kept.sort(key=lambda each: _order(each.at))
    return kept if len(kept) <= SHOWN else kept[: SHOWN // 2] + kept[-SHOWN // 2 :]


def _known(at: str) -> bool:
    """Whether it is a time; the engine writes the year 1 for never."""
    return parse_time(at) is not None and not at.startswith("0001-")


def _order(at: str) -> float:
    return seconds_or_never(at)


def _event(event: Event) -> str:
    words = WORDS.get(event.action, f"container {event.action.replace('_', ' ')}")
    if event.exit_code is not None:
        words += f" (exit code {event.exit_code})"
    return words + (f" {event.signal}" if event.signal is not None else "")
