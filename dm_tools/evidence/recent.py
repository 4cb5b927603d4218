"""Which lines of a service's log tell of the present."""

from __future__ import annotations

from datetime import UTC, datetime

from dm_tools.evidence.view import View
from dm_tools.records import LogLine, Status
from dm_tools.text.times import TIME, parse_time, utc

RECENT_SECONDS = 300.0  # a log line that much older than the newest one is history, not a symptom,
LAST_LINES = 20  # unless so few have followed that nothing tells that it is past,
STALE_SECONDS = 26 * 3600.0  # and of a healthy one not even those are older than the last run of a daily job


def recent(view: View) -> list[LogLine]:
    """The log lines that tell of the present.

    They are close to its newest line, however long ago, or among its last: it may have said why and fallen silent, be
    it that a green healthcheck answers for it. Whether what they complain of still holds is told by what came after
    (diagnose/currency.py). If only the log is known, all of it counts: nothing says what is past.
    """
    lines = view.logs.lines if view.logs else []
    if view.inspect is None and view.probe is None:
        return lines
    newest = next((stamp for line in reversed(lines) if (stamp := parse_time(line.ts)) is not None), None)
    observed = parse_time(view.inspect.observed_at) if view.inspect else None
    if observed is not None:
        newest = observed if newest is None else min(newest, observed)  # a clock that is ahead makes nothing look old
    if newest is None:
        return lines
    bound, stale = _written(newest - RECENT_SECONDS), ""
    if view.status == Status.HEALTHY and observed is not None:
        stale = _written(observed - STALE_SECONDS)
        bound = max(bound, stale)
    last = len(lines) - LAST_LINES
    return [
        line
        for at, line in enumerate(lines)
        if line.ts is None or utc(line.ts) >= (stale if at >= last else bound) or not TIME.match(line.ts)
    ]


def _written(seconds: float) -> str:
    """A time (seconds since 1970) as text; times in UTC are all of one form: their order as text is that in time."""
    return datetime.fromtimestamp(max(seconds, 0), UTC).strftime("%Y-%m-%dT%H:%M:%S")
