"""Names, times and durations as the briefing writes them."""

from __future__ import annotations

import re

from dm_tools.text.shorten import short
from dm_tools.text.times import parse_time

MAX_QUOTED = 320  # characters of a telling line
MAX_TALK = 200  # of one that tells little

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/@+-]{0,99}\Z")


def name(text: str) -> str:
    """A name as it is; anything unusual in quotes, so that it cannot pose as words of ours."""
    return text if _PLAIN.match(text) else '"' + short(text, 80).replace('"', "'") + '"'


def duration(seconds: float | None) -> str:
    """Seconds as people read them."""
    if seconds is None:
        return "an unknown time"
    seconds = abs(seconds)
    for unit, length, until in (("s", 1, 600), ("min", 60, 120), ("h", 3600, 72)):
        if seconds < until * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"


def seconds_ago(stamp: str | None, now: float | None) -> float | None:
    """Seconds from an RFC 3339 time to `now` (since 1970); None if nothing says."""
    time = parse_time(stamp)
    return now - time if time is not None and now is not None else None


def ago(stamp: str | None, now: float | None) -> str:
    """`-35 s`; empty if nothing says when."""
    seconds = seconds_ago(stamp, now)
    return "" if seconds is None else f"{'-' if seconds > -0.5 else '+'}{duration(seconds)}"
