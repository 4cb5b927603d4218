"""Times as records have them: RFC 3339 text."""

from __future__ import annotations

from datetime import UTC, datetime

from dm_tools.text.late import late

TIME = late(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)$")


def parse_time(value: str | None) -> float | None:
    """Seconds since 1970 of an RFC 3339 time with any number of decimals; None if it is none."""
    match = TIME.match(value or "")
    if not match:
        return None
    try:
        whole = datetime.fromisoformat(match[1] + match[3].replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError):
        return None
    return whole + float(match[2] or 0)


def seconds_or_never(value: str | None) -> float:
    """The same, and what is no time is later than all others: what happened then has not been forgotten yet."""
    found = parse_time(value)
    return float("inf") if found is None else found


def seconds_between(begin: str | None, end: str | None) -> float | None:
    """Seconds from one RFC 3339 time to another; None if either is missing or malformed."""
    first, second = parse_time(begin), parse_time(end)
    return round(second - first, 6) if first is not None and second is not None else None


def lasting(seconds: float) -> str:
    """A span of time as people say it: 8 seconds, 5 minutes, 3 hours, 2 days."""
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}s"
    whole = max(round(seconds), 1)
    return f"{whole} second{'s' if whole != 1 else ''}"


def shown(value: str | None, decimals: int = 0) -> str:
    """An RFC 3339 time as people are shown all times: 2026-11-30 23:24:59 UTC; what is no time stays as it is."""
    text = utc(value or "")
    match = TIME.match(text)
    if match is None or match[3] != "Z":
        return text
    return f"{match[1].replace('T', ' ')}{(match[2] or '')[: decimals + 1] if decimals else ''} UTC"


def utc(value: str) -> str:
    """An RFC 3339 time as UTC, ending in Z, all decimals kept; what is no time stays as it is."""
    match = None if value.endswith("Z") else TIME.match(value)
    if match is None or parse_time(value) is None:
        return value
    whole = datetime.fromisoformat(match[1] + match[3]).astimezone(UTC)
    return whole.strftime("%Y-%m-%dT%H:%M:%S") + (match[2] or "") + "Z"
