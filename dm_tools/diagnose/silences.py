"""Silences: of what no alarm is raised, and until when. Pure: the command brings the entries and the time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from dm_tools.diagnose.looks import Look
from dm_tools.records import Silence
from dm_tools.text.late import late
from dm_tools.text.times import parse_time

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WINDOW = late(r"(mon|tue|wed|thu|fri|sat|sun|daily) ([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
_DAY = 24 * 60


def window(text: str) -> tuple[int, int, int] | None:
    """Day of the week (0 is Monday, -1 every day), begin and end in minutes of the day; None if the text is none."""
    found = _WINDOW.fullmatch(text)
    if not found:
        return None
    day = -1 if found[1] == "daily" else DAYS.index(found[1])
    return day, int(found[2]) * 60 + int(found[3]), int(found[4]) * 60 + int(found[5])


def within(text: str, day: int, minute: int) -> bool:
    """Whether a local time is in a weekly window. One that ends before it begins ends on the next day."""
    found = window(text)
    if found is None:
        return False
    on, begin, end = found
    if begin < end:
        return on in (-1, day) and begin <= minute < end
    return (on in (-1, day) and minute >= begin) or (on in (-1, (day - 1) % 7) and minute < end)


def standing(entries: Iterable[Silence], wall: float) -> list[Silence]:
    """The silences that were begun, not ended, and are not over at a time in seconds since 1970."""
    found: dict[str, Silence] = {}
    for each in entries:
        if each.action == "end":
            found.pop(each.id, None)
        else:
            found[each.id] = each
    return [each for each in found.values() if (parse_time(each.until) or 0.0) > wall]


def matches(silence: Silence, look: Look, incident: str | None, day: int, minute: int) -> bool:
    """Whether a silence that stands is about a service now. `incident`: the id of its open incident, or None."""
    where = look.service, look.project or "", look.host or ""
    return covers(silence, where, (incident, look.fingerprint), look.labels) and current(silence, day, minute)


def labelled(label: str, labels: Mapping[str, str]) -> bool:
    """Whether one of a container's labels is `NAME=VALUE`, or `NAME` with any value; `*` stands for any text."""
    name, _, value = label.partition("=")
    return any(fnmatchcase(key, name) and fnmatchcase(text, value or "*") for key, text in labels.items())


def covers(
    silence: Silence,
    where: tuple[str, str | None, str | None],
    incidents: tuple[str | None, ...],
    labels: Mapping[str, str] | None,
) -> bool:
    """Whether a silence is about a service, at whatever time. `where`: service, project, host; None (as `labels`): it
    is not known, and may be any. `incidents`: ids and fingerprints of its incident."""
    patterns = (silence.service, silence.project, silence.host)
    if any(p and v is not None and not fnmatchcase(v, p) for p, v in zip(patterns, where, strict=True)):
        return False
    if silence.label and labels is not None and not labelled(silence.label, labels):
        return False
    return not silence.incident or silence.incident in incidents


def current(silence: Silence, day: int, minute: int) -> bool:
    """Whether a local time is within a silence's weekly window, if it has one."""
    return not silence.weekly or within(silence.weekly, day, minute)
