"""What a marker that has come through to the end of the pipe is told as: status, changes, figures. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dm_tools.text.times import seconds_between

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
            "took_s": round(seconds_between(marker["round"]["at"], now) or 0.0, 3),
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

    def metrics(self) -> str:
        """The same for Prometheus (text format 0.0.4)."""
        status = self.status
        summary = {name: count for name, count in (status.get("summary") or {}).items() if name != "total"}
        rows: list[tuple[str, str, str, dict[str, Any]]] = [
            ("dm_watch_rounds_total", "counter", "Rounds that came through.", {"": self.rounds}),
            ("dm_watch_restarts_total", "counter", "How often the pipe was started again.", {"": self.restarts}),
            ("dm_watch_interval_seconds", "gauge", "Seconds between two rounds.", {"": self.every}),
            ("dm_watch_round_seconds", "gauge", "How long the newest round took.", {"": status.get("took_s", 0)}),
            (
                "dm_watch_late_seconds",
                "gauge",
                "How late it began.",
                {"": (status.get("round") or {}).get("late_s", 0)},
            ),
            ("dm_watch_good", "gauge", "1 if the newest round could see everything.", {"": int(status.get("good", 0))}),
            ("dm_watch_incidents_open", "gauge", "Incidents in the newest round.", {"": len(status["open"])}),
            (
                "dm_watch_services",
                "gauge",
                "Services in the newest round, by status.",
                {f'{{status="{name}"}}': count for name, count in summary.items()},
            ),
        ]
        lines = []
        for name, kind, words, values in rows:
            lines += [f"# HELP {name} {words}", f"# TYPE {name} {kind}"]
            lines += [f"{name}{label} {value:g}" for label, value in values.items()]
        return "\n".join(lines) + "\n"


def _words(issue: Json) -> str:
    """An issue in one line, as the sessions tell it."""
    symptoms = issue.get("symptoms") or []
    also = f" (also failing: {', '.join(map(str, symptoms))})" if symptoms else ""
    severity = str(issue.get("severity") or "").upper()
    return f"{severity} {issue.get('service')}: {issue.get('root_cause_hypothesis')}{also}".strip()
