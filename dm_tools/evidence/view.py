"""One service's record as judgement sees it: typed sections, evidence ids, and the first verdict on its status."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from dm_tools import records
from dm_tools.evidence import pages as page
from dm_tools.records import Inspect, LogLine, Logs, Page, Probe, Screenshot, Stats, Status, Step
from dm_tools.text.times import TIME, parse_time, seconds_between, utc

LOOP_SECONDS = 90.0  # restarted so recently that it may well be dying again (Docker backs off up to a minute)


@dataclass(frozen=True)
class View:
    """The sections of a record that have been collected so far."""

    service: str
    probe: Probe | None
    inspect: Inspect | None
    logs: Logs | None
    stats: Stats | None
    screenshot: Screenshot | None
    error_codes: frozenset[str]
    steps: list[Step] = field(default_factory=list)  # what a model looked at before

    @classmethod
    def of(cls, record: dict[str, Any]) -> View:
        """Raises records.Problem if a section is malformed."""
        return cls(
            service=record["service"],
            probe=records.section(record, "probe", Probe),
            inspect=records.section(record, "inspect", Inspect),
            logs=records.section(record, "logs", Logs),
            stats=records.section(record, "stats", Stats),
            screenshot=records.section(record, "screenshot", Screenshot),
            error_codes=frozenset(str(entry.get("code")) for entry in record.get("errors") or []),
            steps=steps(record),
        )

    @property
    def missing(self) -> bool:
        """Docker was asked and has no container for the service."""
        return self.inspect is None and "container_not_found" in self.error_codes and not self.answers

    @property
    def answers(self) -> bool:
        """At least one URL was asked and all is well with it."""
        return bool(self.probe and self.probe.checks and self.probe.status == Status.HEALTHY)

    @property
    def looping(self) -> bool:
        """The container dies and is restarted again and again."""
        if self.inspect is None:
            return False
        if self.inspect.state == "restarting":
            return True
        running = self.inspect.state == "running" and self.inspect.restart_count >= 2
        age = seconds_between(self.inspect.started_at, self.inspect.observed_at)
        return running and age is not None and age < LOOP_SECONDS

    @property
    def down(self) -> bool:
        """The container does not stay up: it has ended, or is about to be started once more."""
        return self.looping or (self.inspect is not None and self.inspect.state in ("exited", "dead"))

    @property
    def events_forgotten(self) -> bool:
        """The container ended before what the engine remembers: that there is no event of a command proves nothing."""
        gap = seconds_between(self.inspect.events_since, self.inspect.finished_at) if self.inspect else None
        return gap is not None and gap < 0

    @property
    def finished(self) -> bool:
        """A job that has done its work: ended with 0, nobody stopped it, nobody expects it to answer."""
        found = self.inspect
        return (
            found is not None
            and found.state == "exited"
            and found.exit_code == 0
            and found.restart_policy in ("no", "on-failure")
            and not found.has_healthcheck
            and not any(port.host_port for port in found.ports)
            and not any(event.action in ("kill", "stop") for event in found.events)
            and not any(check.kind != "container" for check in (self.probe.checks if self.probe else []))
        )

    @property
    def status(self) -> Status:
        """What the container and the probe say together; `unknown` if neither was looked at."""
        if self.finished:
            return Status.HEALTHY
        if self.missing:
            return Status.FAILED
        probed = self.probe.status if self.probe else Status.UNKNOWN
        if self.inspect is None:
            return self._as_shown(probed)
        if self.inspect.state != "running" or self.looping:
            return Status.FAILED
        if probed in (Status.FAILED, Status.DEGRADED):
            return probed
        mode = self.inspect.network_mode
        if not self.inspect.networks and mode not in ("host", "none") and not mode.startswith("container:"):
            return Status.FAILED
        if self.inspect.health == "unhealthy":
            return Status.DEGRADED if self.answers_urls else Status.FAILED
        return self._as_shown(Status.HEALTHY)

    def _as_shown(self, otherwise: Status) -> Status:
        """What a browser adds: HTTP 200 and a blank page is not healthy. If nothing else was asked, it decides."""
        pages = self.pages
        if not pages:
            return otherwise
        if otherwise == Status.UNKNOWN and (self.probe is None or not self.probe.checks):
            return page.status(pages)
        return Status.DEGRADED if otherwise == Status.HEALTHY and page.broken(pages) else otherwise

    @property
    def pages(self) -> list[Page]:
        """The pages that a browser looked at."""
        return self.screenshot.pages if self.screenshot else []

    @property
    def answers_urls(self) -> bool:
        """Some URL (not just the container's state) was asked, and all is well."""
        return self.answers and any(check.kind != "container" for check in (self.probe.checks if self.probe else []))

    @property
    def unasked(self) -> bool:
        """It runs, and nobody asks whether it works: no healthcheck that has an opinion yet, no URL, no page."""
        return (
            self.inspect is not None
            and self.status == Status.HEALTHY
            and not self.finished
            and self.inspect.health not in ("healthy", "unhealthy")
            and not self.answers_urls
            and not self.pages
        )

    @property
    def looked_at(self) -> list[str]:
        """Which kinds of evidence there are."""
        kinds: dict[str, Any] = {"probe": self.probe, "inspect": self.inspect, "logs": self.logs, "stats": self.stats}
        kinds |= {"screenshot": self.screenshot if self.pages else None}
        return [name for name, section in kinds.items() if section is not None]


def steps(record: dict[str, Any]) -> list[Step]:
    """What a model looked at, as the record's verdict tells. It may be malformed: the record is judged anew anyway."""
    verdict = record.get("analysis")
    found = verdict.get("steps") if isinstance(verdict, dict) else None
    try:
        return msgspec.convert(found or [], list[Step])
    except msgspec.ValidationError:
        return []


RECENT_SECONDS = 300.0  # a log line that much older than the newest one is history, not a symptom


def recent(view: View) -> list[LogLine]:
    """The log lines that tell of the present.

    Of a service in trouble those close to its newest line, however long ago: it may have said why and fallen silent.
    Of a healthy one those close to the moment when it was looked at: what it said at its start is past. If only the
    log is known, all of it counts: nothing says what is past.
    """
    lines = view.logs.lines if view.logs else []
    if view.inspect is None and view.probe is None:
        return lines
    newest = next((stamp for line in reversed(lines) if (stamp := parse_time(line.ts)) is not None), None)
    if view.inspect is not None and (observed := parse_time(view.inspect.observed_at)) is not None:
        # A clock that is ahead cannot make everything else look old.
        newest = observed if newest is None or view.status == Status.HEALTHY else min(newest, observed)
    if newest is None:
        return lines
    # Times in UTC are all of one form: their order as text is their order in time.
    bound = datetime.fromtimestamp(max(newest - RECENT_SECONDS, 0), UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return [line for line in lines if line.ts is None or utc(line.ts) >= bound or not TIME.match(line.ts)]
