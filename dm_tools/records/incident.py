"""Incidents over time: what dm-incidents writes and dm-notify reads, one event a line; and silences."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

from dm_tools.records.action import Confidence
from dm_tools.records.base import Section
from dm_tools.records.evidence import Status
from dm_tools.records.verdict import Cause, Severity


class Happening(StrEnum):
    """What an event of an incident tells. The last two are its end; `gap` is about the watcher, not an incident."""

    OPENED = "opened"
    WORSE = "worse"
    BETTER = "better"
    CHANGED = "changed"  # another cause or another root: the same incident
    FLAPPING = "flapping"  # it comes and goes; told once
    HEALING_FAILED = "healing_failed"
    GAP = "gap"  # nobody looked for a while
    RECOVERED = "recovered"
    ENDED = "ended"  # over without a proof: a part of another incident, stopped on purpose, not looked at any more


ENDS = (Happening.RECOVERED, Happening.ENDED)


class IncidentEvent(Section, kw_only=True):
    """One event. `id` is `INCIDENT.N`, `number` counts all events of a folder of reports, from 1.

    `incident` is null for a gap. `at`, `opened`, `since` are RFC 3339 UTC: now, when the incident was opened, when its
    evidence appeared first. `seconds`: since it was first seen, whatever the clock did; of a gap, how long nobody
    looked. `text`: what is wrong; `reason`: what this event adds to it. `evidence`, `done`, `proposed`, `next` are
    sentences; `symptoms` are services. `again`: how often the same was open lately; `in_gap`: seconds before it was
    seen, in which nobody looked. `before`: what the history knows of the same trouble, in words.
    """

    v: int = 1
    id: str
    number: int
    kind: Happening
    at: str
    incident: str | None = None
    fingerprint: str | None = None
    service: str | None = None
    host: str | None = None
    project: str | None = None
    severity: Severity | None = None
    status: Status | None = None
    cause: Cause | None = None
    confidence: Confidence | None = None
    text: str = ""
    reason: str | None = None
    evidence: list[str] = msgspec.field(default_factory=list)
    symptoms: list[str] = msgspec.field(default_factory=list)
    done: list[str] = msgspec.field(default_factory=list)
    proposed: list[str] = msgspec.field(default_factory=list)
    next: list[str] = msgspec.field(default_factory=list)
    opened: str | None = None
    since: str | None = None
    seconds: float | None = None
    again: int = 0
    in_gap: float | None = None
    before: str | None = None


class Silence(Section, kw_only=True):
    """Of what no alarm is raised, until when, and why. Empty selectors match all; `*` stands for any text.

    `label`: `NAME=VALUE`, or `NAME` with any value, of a container's label. `incident`: an incident's id or its
    fingerprint. `weekly`: only in this window, `sat 22:00-04:00`, in the watcher's
    local time. `until`: RFC 3339 UTC. `by`: who asked for it. An entry of action `end` ends the one of its id.
    """

    id: str
    action: Literal["begin", "end"] = "begin"
    at: str
    by: str = ""
    why: str = ""
    service: str = ""
    project: str = ""
    host: str = ""
    label: str = ""
    incident: str = ""
    weekly: str = ""
    until: str = ""
