"""One service's record as judgement sees it: typed sections, evidence ids, and the first verdict on its status."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec

from dm_tools import records
from dm_tools.evidence import pages as page
from dm_tools.evidence import swarm as tasks
from dm_tools.records import (
    Event,
    Host,
    Inspect,
    Logs,
    Page,
    Probe,
    ProbeError,
    Screenshot,
    Stats,
    Status,
    Step,
    Swarm,
    SwarmNode,
)
from dm_tools.text.late import late
from dm_tools.text.runs import dying
from dm_tools.text.times import seconds_between

# Compose renames a container like this while it puts a new one in its place: `ff201f16580e_shop-app-1`.
REPLACED = late(r"^/?[0-9a-f]{12}_.")
YOUNG_SECONDS = 10.0  # a container that was made or started so recently has shown nothing yet
REPLACED_SECONDS = 60.0  # what Compose needs to stop the old container and remove it
STOP_SIGNALS = (None, 2, 3, 9, 15)  # `docker kill` with another one tells a program something, and ends nothing
MAX_FAREWELL = 3  # last log items that say whether a program came to its end or was told to end
TOLD_TO_END = late(r"\bSIG(?:TERM|INT|QUIT|HUP)\b|[Cc]aught signal|[Ss]ignal (?:2|3|15)\b|[Ii]nactivity timeout")
# Programs that only start others and wait for them: what they do says nothing of the service.
INITS = frozenset(
    ("tini", "tini-static", "docker-init", "dumb-init", "catatonit", "s6-svscan", "s6-supervise", "podman-init")
)

ENDINGS = ("die", "died")  # Docker's word and Podman's
# What a probe finds of a service that is about to listen.
NOT_YET = frozenset((ProbeError.NO_ADDRESS, ProbeError.NOT_RUNNING, ProbeError.REFUSED, ProbeError.RESET))
KILLED = 137  # 128 and SIGKILL

OUTLIVED_SECONDS = 25.0  # and three times the longest of the runs before: then it does not loop any more
FULL_PERCENT = 90.0  # of its limit of memory
LOOP_SECONDS = 90.0  # restarted so recently that it may well be dying again (Docker backs off up to a minute)


def meant_to_end(event: Event) -> bool:
    """Whether somebody meant to end the container; an engine calls every signal that is sent a kill."""
    return event.action == "stop" or (event.action == "kill" and event.signal in STOP_SIGNALS)


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
    swarm: Swarm | None = None
    node: SwarmNode | None = None
    host: Host | None = None

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
            swarm=records.section(record, "swarm", Swarm),
            node=records.section(record, "node", SwarmNode),
            host=records.section(record, "host", Host),
        )

    @property
    def missing(self) -> bool:
        """Docker was asked and has no container for the service."""
        gone = self.inspect is None and "container_not_found" in self.error_codes
        return gone and not self.answers and not REPLACED.match(self.service)

    @property
    def being_made(self) -> bool:
        """It is made or replaced at this moment, and nobody is at fault.

        Not started yet, on its way out, or under the name that Compose gives to a container which it replaces.
        """
        found = self.inspect
        if found is None:
            return bool(REPLACED.match(self.service)) and "container_not_found" in self.error_codes
        if found.state == "removing":
            return True
        ended = _age(found, found.finished_at)
        if REPLACED.match(found.name) and found.state == "exited":
            return ended is not None and ended < REPLACED_SECONDS
        if found.state == "created" and not found.error:
            made = [event.ts for event in found.events if event.action in ("create", "rename")]
            age = _age(found, made[-1] if made else None)
            return age is not None and age < YOUNG_SECONDS
        return False

    @property
    def just_started(self) -> bool:
        """It was started seconds ago, and not because it had ended by itself: it need not listen yet."""
        found = self.inspect
        if found is None or found.state != "running" or found.restart_count or self._crashed:
            return False
        age = _age(found, found.started_at)
        return age is not None and age < YOUNG_SECONDS

    @property
    def answers(self) -> bool:
        """At least one URL was asked and all is well with it."""
        return bool(self.probe and self.probe.checks and self.probe.status == Status.HEALTHY)

    @property
    def log_alone(self) -> bool:
        """Nothing but its log is known."""
        return self.looked_at == ["logs"]

    @cached_property
    def looping(self) -> bool:
        """The container dies and is restarted again and again."""
        if self.swarm is not None:
            return tasks.looping(self.swarm)  # a policy of the engine restarts none of them
        if self.inspect is None:
            return self.log_alone and dying(self.logs.lines if self.logs else [])
        if self.inspect.state == "restarting":
            return True
        often = self.inspect.restart_count >= (1 if self._at_its_limit and self._starved else 2)
        running = self.inspect.state == "running" and often
        age = seconds_between(self.inspect.started_at, self.inspect.observed_at)
        return bool(running and age is not None and age < LOOP_SECONDS and not self._outlived(age))

    def _outlived(self, age_seconds: float) -> bool:
        """This run has lasted much longer than those before it, as far as the events tell of them: it is over."""
        found = self.inspect.events if self.inspect else []
        started: str | None = None
        longest: float | None = None
        for event in found:
            if event.action == "start":
                started = event.ts
            elif event.action in ENDINGS and started is not None:
                longest = max(longest or 0.0, seconds_between(started, event.ts) or 0.0)
                started = None
        pause = 0.1 * float(
            1 << min(self.inspect.restart_count if self.inspect else 0, 9)
        )  # the engine waits ever longer
        known = longest if longest is not None else pause
        return age_seconds > max(OUTLIVED_SECONDS, 3 * known, 3 * pause)

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
    def last_run(self) -> list[tuple[str, Event]]:
        """The events of the newest run that has ended, its start left out: evidence ids and events, oldest first.

        Empty if no run is known to have ended, or if they tell of another end than the container's state does.
        """
        found = self.inspect
        if found is None:
            return []
        events = [(f"event:{index}", event) for index, event in enumerate(found.events)]
        ends = [at for at, (_, event) in enumerate(events) if event.action in ENDINGS]
        starts = [at for at, (_, event) in enumerate(events) if event.action == "start"]
        down = found.state in ("exited", "dead", "restarting")
        if not ends:
            return events[starts[-1] + 1 if starts else 0 :] if down else []
        code = events[ends[-1]][1].exit_code
        if down and code is not None and found.exit_code not in (None, code):
            return []
        before = [at for at in starts if at < ends[-1]]
        after = [at for at in starts if at > ends[-1]]
        return events[before[-1] + 1 if before else 0 : after[0] if after else None]

    @property
    def _crashed(self) -> bool:
        """Its newest run that has ended did so by itself."""
        return bool(self.last_run) and not any(event.action in ("kill", "stop") for _, event in self.last_run)

    @property
    def last_exit(self) -> tuple[str, int] | None:
        """With what one that does not stay up ended, and the evidence: while it runs once more, an event."""
        found = self.inspect
        if found is None or not self.down:
            return None
        if found.state != "running":
            return ("inspect:exit_code", found.exit_code) if found.exit_code is not None else None
        ends = [(id, event.exit_code) for id, event in self.last_run if event.action in ENDINGS]
        return next(((id, code) for id, code in reversed(ends) if code is not None), None)

    @property
    def out_of_memory(self) -> list[str]:
        """The evidence that its last end was a kill for lack of memory.

        The engine's flag alone is no proof: it belongs to another process of the container, or to an earlier run
        (Docker 20.10), or was cleared when the container was started once more (from 26 on).
        """
        if self.inspect is None or not self.down:
            return []
        if self._starved:
            return self._starved
        code = self.last_exit[1] if self.last_exit else None
        return ["inspect:oom_killed"] if self.inspect.oom_killed and code in (None, KILLED) else []

    @property
    def _starved(self) -> list[str]:
        """The events that tell that its newest run that has ended was killed for lack of memory."""
        run = self.last_run
        ends = [(id, event.exit_code) for id, event in run if event.action in ENDINGS]
        kills = [event for _, event in run if event.action == "kill"]
        oom = [id for id, event in run if event.action == "oom"]
        return [oom[-1], ends[-1][0]] if oom and ends and ends[-1][1] == KILLED and not kills else []

    @property
    def _at_its_limit(self) -> bool:
        """What its new run uses already comes near its limit of memory: it will be killed once more."""
        limited = self.inspect is not None and self.inspect.limits.memory_bytes is not None
        return limited and self.stats is not None and (self.stats.memory_percent or 0) > FULL_PERCENT

    @property
    def stopped_by(self) -> list[tuple[str, Event]]:
        """What a person or program had the engine do to end it: `stop`, `kill`; empty if it ended otherwise."""
        if self.inspect is None or self.inspect.state not in ("exited", "dead"):
            return []
        return [(id, event) for id, event in self.last_run if meant_to_end(event)]

    @property
    def disarmed(self) -> list[str]:
        """The events by which somebody disarmed its restart policy: Docker heeds that no more once `docker kill` has
        sent a signal, whatever the signal means to the program, until somebody starts the container anew."""
        found = self.inspect
        if found is None or self.swarm is not None or found.restart_policy == "no" or self.stopped_by:
            return []
        if found.state == "running":
            begun = [at for at, event in enumerate(found.events) if event.action == "start"]
            run = list(enumerate(found.events))[begun[-1] + 1 if begun else 0 :]
        else:
            run = [(int(id.partition(":")[2]), event) for id, event in self.last_run] if self.down else []
        return [f"event:{at}" for at, event in run if event.action == "kill" and not meant_to_end(event)]

    @property
    def main_process(self) -> int | None:
        """The place of the process that is the service: the first that does not only wait for others."""
        processes = self.inspect.processes if self.inspect else []
        return next((at for at, each in enumerate(processes) if each.command not in INITS), None)

    @property
    def process_stopped(self) -> bool:
        """Its process was stopped by a signal (SIGSTOP) and waits to be continued."""
        return self.main_process is not None and bool(
            self.inspect and self.inspect.state == "running" and self.inspect.processes[self.main_process].state == "T"
        )

    @property
    def unhealthy(self) -> bool:
        """Its healthcheck fails. The engine also says so of a container that was paused, until the next check."""
        found = self.inspect
        if found is None or found.health != "unhealthy":
            return False
        passed = bool(found.health_log) and all(run.exit_code == 0 for run in found.health_log)
        return not (passed and found.failing_streak == 0)

    @property
    def complaints_of_its_check(self) -> list[tuple[str, str]]:
        """What the failing healthcheck prints: evidence ids and texts, each text once, its newest."""
        found = self.inspect
        if found is None or not self.unhealthy:
            return []
        since = found.started_at or ""
        said = {
            run.output: f"inspect:health.{index}"
            for index, run in enumerate(found.health_log)
            if run.exit_code and run.output and (run.start or since) >= since  # old entries survive a restart
        }
        return [(id, output) for output, id in said.items()]

    @property
    def finished(self) -> bool:
        """A job that has done its work: ended with 0, nobody stopped it, nobody expects it to answer."""
        found = self.inspect
        if self.swarm is not None:
            return tasks.done(self.swarm)
        return (
            found is not None
            and found.state == "exited"
            and found.exit_code == 0
            and found.restart_policy in ("no", "on-failure")
            and not found.has_healthcheck
            and not any(port.host_port for port in found.ports)
            and not any(meant_to_end(event) for event in found.events)
            and not self.told_to_end
            and not any(check.kind != "container" for check in (self.probe.checks if self.probe else []))
        )

    @property
    def told_to_end(self) -> bool:
        """Its last words are those of a server that is shut down, not of a job that has done its work."""
        lines = self.logs.lines if self.logs else []
        return any(TOLD_TO_END.search(line.text) for line in lines[-MAX_FAREWELL:])

    @property
    def status(self) -> Status:
        """What the container and the probe say together; `unknown` if neither was looked at."""
        if self.finished or (self.being_made and self.inspect is not None):
            return Status.HEALTHY
        if self.missing:
            return Status.FAILED
        probed = self._probed
        if self.host is not None and self.host.unreachable is not None:
            return Status.FAILED
        if self.node is not None:
            return Status.HEALTHY if self.node.state == "ready" else Status.FAILED
        if self.swarm is not None:
            return self._of_tasks(self.swarm, probed)
        if self.inspect is None:
            return Status.FAILED if self.looping else self._as_shown(probed)
        if self.inspect.state != "running" or self.looping or self.process_stopped:
            return Status.FAILED
        if probed in (Status.FAILED, Status.DEGRADED):
            return probed
        mode = self.inspect.network_mode
        if not self.inspect.networks and mode not in ("host", "none") and not mode.startswith("container:"):
            return Status.FAILED
        if self.unhealthy:
            return Status.DEGRADED if self.answers_urls else Status.FAILED
        return self._as_shown(Status.HEALTHY)

    def _of_tasks(self, swarm: Swarm, probed: Status) -> Status:
        """Of a Swarm service its manager tells most; a container only of its own task."""
        found = tasks.status(swarm)
        if found != Status.HEALTHY or tasks.beginning(swarm):
            return found
        if probed in (Status.FAILED, Status.DEGRADED):
            return probed
        return self._as_shown(Status.DEGRADED if self.unhealthy else Status.HEALTHY)

    @property
    def lost(self) -> bool:
        """Its container was removed, or a stage died, while it was looked at: that it was well may be over, or half."""
        removed = self.inspect is not None and "container_not_found" in self.error_codes
        return not self.finished and (removed or bool(self.error_codes & {"container_gone", "stage_died"}))

    @property
    def certain_status(self) -> Status:
        """The status as people are told it: `healthy` only of what was looked at to the end."""
        return Status.UNKNOWN if self.status == Status.HEALTHY and self.lost else self.status

    @property
    def _probed(self) -> Status:
        """What the probe says; a probe of the container's state alone is older than what the engine said later."""
        if self.probe is None:
            return Status.UNKNOWN
        errors = {check.error for check in self.probe.checks if not check.ok}
        running = self.inspect is not None and self.inspect.state == "running"
        if running and errors and (errors == {ProbeError.UNHEALTHY} or (self.just_started and errors <= NOT_YET)):
            return Status.UNKNOWN
        return self.probe.status

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
        """Some URL was asked, and all is well with each, whatever its healthcheck (the container's own check) says."""
        asked = [check.ok for check in (self.probe.checks if self.probe else []) if check.kind != "container"]
        return bool(asked) and all(asked)

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
        kinds |= {"screenshot": self.screenshot if self.pages else None, "swarm": self.swarm, "node": self.node}
        return [name for name, section in kinds.items() if section is not None]


def steps(record: dict[str, Any]) -> list[Step]:
    """What a model looked at, as the record's verdict tells. It may be malformed: the record is judged anew anyway."""
    verdict = record.get("analysis")
    found = verdict.get("steps") if isinstance(verdict, dict) else None
    try:
        return msgspec.convert(found or [], list[Step])
    except msgspec.ValidationError:
        return []


def _age(found: Inspect, since: str | None) -> float | None:
    """How many seconds before it was looked at something happened to a container."""
    age = seconds_between(since, found.observed_at)
    return age if age is not None and age >= 0 else None
