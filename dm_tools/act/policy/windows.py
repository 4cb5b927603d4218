"""Windows of time: days and hours by a clock on a wall, in a named time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal, get_args
from zoneinfo import ZoneInfo

import msgspec

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = get_args(Day)


class Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"begins": "from", "ends": "to"}):
    """From `begins` up to, and without, `ends` (HH:MM, to 24:00); over midnight where the end is before the beginning.

    `days`: on which it begins. All hours if neither is given, every day if none is.
    """

    days: tuple[Day, ...] = DAYS
    begins: str = "00:00"
    ends: str = "24:00"

    def __post_init__(self) -> None:
        if not self.days:
            raise ValueError("a window without days never opens")
        if _minutes(self.begins) in (_minutes(self.ends), 24 * 60):
            raise ValueError(f"a window from {self.begins} to {self.ends} never opens")


def _minutes(text: str) -> int:
    """Minutes since midnight. Raises ValueError."""
    hours, colon, minutes = text.partition(":")
    digits = len(hours) == len(minutes) == 2 and (hours + minutes).isascii() and (hours + minutes).isdigit()
    found = int(hours) * 60 + int(minutes) if digits and colon else -1
    if not 0 <= found <= 24 * 60 or int(minutes) > 59:
        raise ValueError(f"{text[:20]!r} is no time of day (HH:MM)")
    return found


def zone(name: str) -> tzinfo:
    """The time zone of that name. Raises ValueError."""
    if name == "UTC":  # known without a database of time zones
        return UTC
    try:
        return ZoneInfo(name)
    except (OSError, ValueError):  # ZoneInfoNotFoundError is a KeyError
        pass
    except KeyError:
        pass
    raise ValueError(f"unknown time zone {name[:100]!r} (or this machine has no database of them: tzdata)")


def is_open(window: Window, at: float, where: tzinfo) -> bool:
    """Whether the window is open at that moment (seconds since 1970).

    By the clock on the wall: an hour that comes twice, when clocks are put back, is in it twice; of one that is left
    out there is nothing.
    """
    local = datetime.fromtimestamp(at, where)
    minute, begins, ends = local.hour * 60 + local.minute, _minutes(window.begins), _minutes(window.ends)
    if begins < ends:
        return DAYS[local.weekday()] in window.days and begins <= minute < ends
    if minute >= begins:
        return DAYS[local.weekday()] in window.days
    yesterday = (local.date() - timedelta(days=1)).weekday()
    return minute < ends and DAYS[yesterday] in window.days
