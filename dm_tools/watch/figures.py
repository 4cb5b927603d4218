"""The figures of a watch for Prometheus (text format 0.0.4): the same in --metrics-file and at /metrics of dm-serve.

Of rounds and open incidents the status file tells; of messages and heals what is kept in the folder of the reports.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import orjson

from dm_tools.notify.journal import Journal
from dm_tools.store.history import History
from dm_tools.text.times import lasting, parse_time, shown
from dm_tools.watch.pulse import late

Json = dict[str, Any]
Labels = tuple[tuple[str, str], ...]
Values = dict[Labels, float]


class Counts(msgspec.Struct, frozen=True):
    """What is kept beside the status: actions by what is proved of them, events told by target and state."""

    heals: Mapping[str, int] = {}
    told: Mapping[tuple[str, str], int] = {}


class Kept:
    """Reads the counts, each file only when it has changed."""

    def __init__(self, proofs_dir: Path) -> None:
        self.told, self.history = Journal(proofs_dir), History(proofs_dir)
        self._seen: dict[str, tuple[tuple[tuple[int, int], ...], Any]] = {}

    def counts(self) -> Counts:
        """As they are now."""
        return Counts(
            self._once("heals", self._segments(), lambda: _heals(self.history)),
            self._once("told", [self.told.path], lambda: _told(self.told)),
        )

    def _segments(self) -> list[Path]:
        with contextlib.suppress(OSError):
            return self.history.segments()
        return []

    def _once(self, name: str, paths: Iterable[Path], count: Callable[[], Any]) -> Any:
        state = []
        for path in paths:
            with contextlib.suppress(OSError):
                found = path.stat()
                state.append((found.st_mtime_ns, found.st_size))
        key = tuple(state)
        if name not in self._seen or self._seen[name][0] != key:
            self._seen[name] = key, count()
        return self._seen[name][1]


def status(proofs_dir: Path) -> Json | None:
    """The newest status that a watch of this folder has written; None if there is none."""
    try:
        found = orjson.loads((proofs_dir / "watch" / "status.json").read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def trouble(status: Json, now: float) -> str:
    """Why a watch must be taken for dead, or hanging, at `now` (seconds since 1970); empty if its rounds come. Pure."""
    if not late(status, now):
        return ""
    missing = now - (parse_time(status.get("ended_at")) or 0.0)
    return f"no round of the watch has come through for {lasting(missing)}, since {shown(str(status['ended_at']))}"


def _heals(history: History) -> Counter[str]:
    cures = [cure for trouble in history.remembered().troubles.values() for cure in trouble.cures.values()]
    found = Counter({"recovered": sum(each.recovered for each in cures), "failed": sum(each.failed for each in cures)})
    found["unproven"] = sum(each.tried for each in cures) - found.total()
    return found


def _told(journal: Journal) -> Counter[tuple[str, str]]:
    journal.read()
    return Counter(
        (target, told.state)
        for story in journal.ledger.stories.values()
        for target, events in story.told.items()
        for told in events.values()
    )


def text(status: Json, counts: Counts) -> str:
    """The figures. Pure."""
    rounds, summary = status.get("round") or {}, status.get("summary") or {}
    services: Values = {(("status", name),): count for name, count in summary.items() if name != "total"}
    rows: list[tuple[str, str, str, Values]] = [
        _one("rounds_total", "counter", "Rounds that came through.", status.get("rounds", 0)),
        _one("round_seconds_total", "counter", "How long they took together.", status.get("took_total_s", 0)),
        _one("restarts_total", "counter", "How often the pipe was started again.", status.get("restarts", 0)),
        _one("interval_seconds", "gauge", "Seconds between two rounds.", status.get("every_s", 0)),
        _one("last_round_seconds", "gauge", "How long the newest round took.", status.get("took_s", 0)),
        _one("late_seconds", "gauge", "How late it began.", rounds.get("late_s", 0)),
        _one("round_timestamp_seconds", "gauge", "When it ended.", parse_time(status.get("ended_at")) or 0),
        _one("good", "gauge", "1 if it could see everything.", int(status.get("good", 0))),
        ("dm_watch_services", "gauge", "Services in it, by status.", services),
    ]
    open_now = Counter(str(each.get("severity")) for each in status.get("open") or [])
    by_severity: Values = {(("severity", name),): open_now[name] for name in ("critical", "warning", "info")}
    rows.append(("dm_incidents_open", "gauge", "Open incidents, by severity.", by_severity))
    heals: Values = {(("outcome", name),): count for name, count in sorted(counts.heals.items())}
    rows.append(("dm_heals_total", "counter", "Actions that were carried out, by what is proved of them.", heals))
    told: Values = {(("target", target), ("outcome", state)): n for (target, state), n in sorted(counts.told.items())}
    words = "Events of the incidents of the last days, by whom they were told and how that went."
    rows.append(("dm_notifications", "gauge", words, told))
    lines = []
    for name, kind, what, values in rows:
        lines += [f"# HELP {name} {what}", f"# TYPE {name} {kind}"]
        lines += [f"{name}{_labels(label)} {value:.15g}" for label, value in values.items()]
    return "\n".join(lines) + "\n"


def _one(name: str, kind: str, words: str, value: float) -> tuple[str, str, str, Values]:
    return f"dm_watch_{name}", kind, words, {(): value}


def _labels(pairs: Labels) -> str:
    if not pairs:
        return ""
    return "{" + ",".join(f'{name}="{escaped(value)}"' for name, value in pairs) + "}"


def escaped(value: str) -> str:
    """The value of a label."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
