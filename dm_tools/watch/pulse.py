"""What a marker that has come through to the end of the pipe is told as: status and changes. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dm_tools.text.times import parse_time, seconds_between

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

    def beat(self, marker: Json, now: str) -> list[str]:
        """Take in a marker that came through at `now` (RFC 3339); returns what has changed since the one before, a line
        each."""
        self.rounds += 1
        errors = [str(each.get("message")) for each in marker.get("errors") or []]
        was = {str(each.get("fingerprint")): each for each in self.status["open"]}
        found = {str(each.get("fingerprint")): each for each in marker.get("issues") or []}
        names = ("service", "severity", "cause", "fingerprint", "root_cause_hypothesis", "symptoms")
        still = [
            {name: issue.get(name) for name in names} | {"since": (was.get(key) or {}).get("since") or now}
            for key, issue in found.items()
        ]
        self.status |= {
            "round": marker["round"],
            "ended_at": now,
            "took_s": (took := round(seconds_between(marker["round"]["at"], now) or 0.0, 3)),
            "took_total_s": round(self.status.get("took_total_s", 0.0) + took, 3),
            "good": not errors,
            "errors": errors,
            "summary": marker.get("summary") or {},
            "open": still,
            "rounds": self.rounds,
            "restarts": self.restarts,
            "last_death": self.death,
        }
        lines = [f"{_words(issue)}" for key, issue in found.items() if key not in was]
        lines += [f"over: {_words(issue)}" for key, issue in was.items() if key not in found]
        return lines


GAP_ROUNDS, GAP_SECONDS = 3.0, 30.0  # as dm-incidents has it: then it says that nobody looked


def late(status: Json, now: float) -> float:
    """By how many seconds the next round is overdue at `now` (seconds since 1970); 0 if it is not.

    A round may take its time: overdue is what does not come within three intervals, or one and half a minute. Whoever
    ended the watch by a signal meant to (`stopped_at`): nothing is overdue then.
    """
    every, ended = float(status.get("every_s") or 0.0), parse_time(status.get("ended_at"))
    allowed = max(GAP_ROUNDS * every, every + GAP_SECONDS) + float(status.get("took_s") or 0.0)
    return max(now - ended - allowed, 0.0) if ended is not None and not status.get("stopped_at") else 0.0


def _words(issue: Json) -> str:
    """An issue in one line, as the sessions tell it."""
    symptoms = issue.get("symptoms") or []
    also = f" (also failing: {', '.join(map(str, symptoms))})" if symptoms else ""
    severity = str(issue.get("severity") or "").upper()
    return f"{severity} {issue.get('service')}: {issue.get('root_cause_hypothesis')}{also}".strip()
