"""What a marker that has come through to the end of the pipe is told as: status and words. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from dm_tools.pipe import exits
from dm_tools.show.incidents import event
from dm_tools.text.times import lasting, parse_time, seconds_between, shown

GAP_ROUNDS, GAP_SECONDS = 3.0, 30.0  # as dm-incidents has it: then it says that nobody looked

Json = dict[str, Any]


@dataclass
class Pulse:
    """What is known of the rounds so far. `status` is what the status file holds.

    `every` seconds are between two rounds. `before`: the status file of the watcher before this one: what was open then
    began then.
    """

    every: float
    began_at: str
    before: Json = field(default_factory=dict)
    rounds: int = 0
    restarts: int = 0
    death: str | None = None
    status: Json = field(init=False)

    def __post_init__(self) -> None:
        self.status = {"v": 1, "began_at": self.began_at, "every_s": self.every, "open": self.before.get("open") or []}

    def beat(self, marker: Json, now: str) -> None:
        """Take in a marker that came through at `now` (RFC 3339)."""
        self.rounds += 1
        errors = [str(each.get("message")) for each in marker.get("errors") or []]
        self.status |= {
            "round": marker["round"],
            "ended_at": now,
            "took_s": (took := round(seconds_between(marker["round"]["at"], now) or 0.0, 3)),
            "took_total_s": round(self.status.get("took_total_s", 0.0) + took, 3),
            "good": not errors,
            "errors": errors,
            "summary": marker.get("summary") or {},
            "open": (marker.get("incidents") or {}).get("open") or [],
            "undecided": bool((marker.get("incidents") or {}).get("undecided")),
            "report_path": marker.get("report_path"),
            "html_path": marker.get("html_path"),
            "rounds": self.rounds,
            "restarts": self.restarts,
            "last_death": self.death,
        }


def first(status: Json) -> str:
    """What the first round saw, for who has just started the watch."""
    seen, count = status["summary"], (status.get("round") or {}).get("services") or 0
    parts = [f"{seen[key]} {key}" for key in ("healthy", "degraded", "failed", "unknown") if seen.get(key)]
    found = f": {', '.join(parts)}" if parts else ""
    still = f"{len(status['open'])} open" if status["open"] else "nothing is open"
    return f"{shown(status['ended_at'])} first look at {count} service{'' if count == 1 else 's'}{found}; {still}"


def late(status: Json, now: float) -> float:
    """By how many seconds the next round is overdue at `now` (seconds since 1970).

    A round may take its time: overdue is what does not come within three intervals, or one and half a minute. Whoever
    ended the watch by a signal meant to (`stopped_at`): nothing is overdue then.
    """
    every, ended = float(status.get("every_s") or 0.0), parse_time(status.get("ended_at"))
    allowed = max(GAP_ROUNDS * every, every + GAP_SECONDS) + float(status.get("took_s") or 0.0)
    return max(now - ended - allowed, 0.0) if ended is not None and not status.get("stopped_at") else 0.0


def told(status: Json, happened: Iterable[Json], now: float) -> tuple[list[str], int]:
    """What `status` says, in lines, and the exit status: 10 if something is open, 4 if that is not known for sure.

    `happened`: the newest events of dm-incidents, oldest first.
    """
    by, ended = late(status, now), parse_time(status.get("ended_at")) or now
    found = status.get("round") or {}
    lines = [
        f"looked last {lasting(max(now - ended, 0.0))} ago: round {found.get('number')} of {found.get('services')}"
        f" services, after {status.get('took_s')} s"
    ]
    if stopped := status.get("stopped_at"):
        lines.append(f"the watch was ended {shown(stopped)}")
    if by:
        lines.append(f"LATE by {lasting(by)}: a round is to come every {lasting(status.get('every_s') or 0.0)}")
    if not status.get("good"):
        lines.append(f"not everything could be seen: {(status.get('errors') or ['?'])[0]}")
    if status.get("last_death"):
        lines.append(f"starts of the pipe after a death: {status.get('restarts')}, last: {status['last_death']}")
    if healing := status.get("healing"):
        lines.append(f"healing: {healing}")
    lines += [_open(each) for each in status.get("open") or []] or ["nothing is open"]
    lines += [f"{shown(each.get('at'))} {event(each)}" for each in happened]
    doubtful = bool(by) or not status.get("good")
    return lines, exits.MATCHED if status.get("open") else exits.ERRORS if doubtful else exits.DONE


def _open(incident: Json) -> str:
    """An open incident in one line."""
    symptoms = incident.get("symptoms") or []
    also = f" (also failing: {', '.join(map(str, symptoms))})" if symptoms else ""
    done = f"; done: {'; '.join(map(str, incident['done'][-3:]))}" if incident.get("done") else ""
    severity = str(incident.get("severity") or "").upper()
    since = shown(incident.get("since"))
    return f"{severity} {incident.get('service')}: {incident.get('text')}{also}{done} (since {since})"
