"""Section `inspect`: what the engine knows of a service's container, in digest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dm_tools import records, redact, text
from dm_tools.collect.environment import env_hosts, secrets
from dm_tools.engine import finding, reading
from dm_tools.engine.connection import Engine, Engines
from dm_tools.pipe import clock
from dm_tools.records import Event, HealthLog, Inspect, Limits, Mount, Network, NetworkOwner, Port, Process
from dm_tools.text import times

Record = dict[str, Any]

MAX_EVENTS = 50
MAX_HEALTH_RUNS = 5
MAX_HEALTH_CHARACTERS = 1000
MAX_PROCESSES = 50
MAX_COMMAND = 40  # characters of a program's name; the kernel keeps 15
SHARED = "container:"  # the network mode of who shares another one's
NEVER = "0001-01-01T00:00:00Z"  # Go's zero time: it has not happened


def inspect(record: Record, engines: Engines, window_seconds: float) -> Record:
    """The record with its `inspect` section, the container's events of the last `window_seconds` included."""
    if records.stands_alone(record):
        return record
    engine = engines.of(record)
    container = finding.find(engine, record)
    raw, as_of = reading.unchanged(engine, container)
    observed_at = clock.rfc3339(clock.now() if as_of is None else as_of)
    try:
        raw_events, events_since = reading.events(engine, container["Id"], window_seconds, _changed(raw["State"]))
    except records.Problem as problem:
        record = records.with_error(record, "inspect", problem.code, problem.message)
        raw_events, events_since = [], None
    record = record | {"container": raw["Name"].lstrip("/")}
    redactor = redact.Redactor(redact.following(record), secrets(raw))
    found = digest(raw, raw_events, observed_at, redactor, events_since)
    if found.state == "running":
        found.processes = _processes(engine, record, found, redactor)
    if found.network_mode.startswith(SHARED):
        found.network_owner = _network_owner(engine, found.network_mode.removeprefix(SHARED))
    return records.with_section(record, "inspect", found)


def _processes(engine: Engine, record: Record, found: Inspect, redactor: redact.Redactor) -> list[Process]:
    """The processes; in a resident pipe those of the round before, if the service answers: then they do not stand."""
    checks = [each for each in (record.get("probe") or {}).get("checks") or [] if each.get("kind") != "container"]
    answers = bool(checks) and all(each.get("ok") for each in checks)
    before = engine.answering.get(found.id) if answers else None
    if before is None or before[0] != found.started_at:
        before = found.started_at, processes(_or_nothing(lambda: reading.processes(engine, found.id)), redactor)
    engine.answering.put(found.id, before)
    return list(before[1])


def _changed(state: dict[str, Any]) -> float | None:
    """When a state began that tells it, in seconds since 1970; None: nobody knows."""
    if state.get("Status") not in ("running", "exited", "created"):
        return None
    found = [times.parse_time(stamp) for key in ("StartedAt", "FinishedAt") if (stamp := _time(state.get(key)))]
    return max((each for each in found if each is not None), default=None)


def _or_nothing(question: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What an engine answers that not every engine can; a question less is no failure to measure."""
    try:
        return question()
    except records.Problem:
        return {}


def processes(answer: dict[str, Any], redactor: redact.Redactor) -> list[Process]:
    """The processes in an engine's answer (`Titles`, `Processes`), without arguments; empty if it is none.

    Whoever has no parent among the others comes first: the container's main process.
    """
    titles = [str(each).upper() for each in answer.get("Titles") or []]
    if not {"PID", "PPID", "S", "COMMAND"} <= set(titles):
        return []
    rows = [dict(zip(titles, map(str, row), strict=False)) for row in answer.get("Processes") or []]
    known = {row.get("PID") for row in rows}
    rows.sort(key=lambda row: row.get("PPID") in known)
    return [
        Process(row["S"][:1], redactor.redact(text.clean(row["COMMAND"]))[:MAX_COMMAND])
        for row in rows[:MAX_PROCESSES]
        if row.get("S") and row.get("COMMAND")
    ]


def _network_owner(engine: Engine, container_id: str) -> NetworkOwner | None:
    try:
        raw = reading.inspect(engine, container_id)
    except records.Problem as problem:
        gone = problem.code == "container_gone"
        return NetworkOwner(container_id, name=None, state=None, started_at=None) if gone else None
    state = raw.get("State") or {}
    name, stamp = str(raw.get("Name") or "").lstrip("/"), _time(state.get("StartedAt"))
    return NetworkOwner(str(raw.get("Id") or container_id), name=name, state=state.get("Status"), started_at=stamp)


def digest(
    raw: dict[str, Any],
    raw_events: list[dict[str, Any]],
    observed_at: str,
    redactor: redact.Redactor,
    events_since: float | None = None,
) -> Inspect:
    """The engine's answer without what judgement does not need, and without any environment value.

    `events_since`: since when the events are complete, in seconds since 1970; None if nobody knows.
    """
    if len(raw_events) > MAX_EVENTS:
        raw_events = raw_events[-MAX_EVENTS:]
        events_since = reading.moment(raw_events[0])
    state, config, host_config = raw["State"], raw["Config"], raw["HostConfig"]
    labels = config.get("Labels") or {}
    health = state.get("Health") or {}
    environment = dict(entry.partition("=")[::2] for entry in config.get("Env") or [])
    return Inspect(
        observed_at=observed_at,
        id=raw["Id"],
        name=raw["Name"].lstrip("/"),
        image=redactor.redact(config.get("Image") or raw.get("Image") or ""),
        state=_state(state, (host_config.get("RestartPolicy") or {}).get("Name") or "no"),
        exit_code=state.get("ExitCode"),
        error=_safe(state.get("Error") or "", redactor) or None,
        oom_killed=bool(state.get("OOMKilled")),
        restart_count=raw.get("RestartCount") or 0,
        restart_policy=(host_config.get("RestartPolicy") or {}).get("Name") or "no",
        started_at=_time(state.get("StartedAt")),
        finished_at=_time(state.get("FinishedAt")),
        health=health.get("Status") or None,  # Podman 4 says "" where there is no healthcheck
        failing_streak=health.get("FailingStreak") or 0,
        has_healthcheck=_has_healthcheck(config),
        health_log=[_health_run(run, redactor) for run in (health.get("Log") or [])[-MAX_HEALTH_RUNS:]],
        networks=_networks(raw),
        network_mode=host_config.get("NetworkMode") or "default",
        ports=_ports(raw),
        mounts=[_mount(mount, redactor) for mount in raw.get("Mounts") or []],
        limits=_limits(host_config),
        project=labels.get("com.docker.compose.project"),
        compose_service=labels.get("com.docker.compose.service"),
        depends_on=[redactor.redact(name) for name in sorted(_conditions(labels))],
        env_names=sorted(environment),
        env_hosts=env_hosts(_peers(config, environment)),
        events=[_event(event) for event in raw_events],
        events_since=clock.rfc3339(events_since) if events_since is not None else None,
        conditions={redactor.redact(name): each for name, each in sorted(_conditions(labels).items()) if each},
        labels={name: redactor.redact(value) for name, value in sorted(labels.items()) if name.startswith("dm-tools.")},
    )


def _peers(config: dict[str, Any], environment: dict[str, str]) -> dict[str, str]:
    """The environment without the container's own name, which Podman puts there: nobody needs himself."""
    own = config.get("Hostname")
    return {name: value for name, value in environment.items() if name != "HOSTNAME" or value != own}


def _state(state: dict[str, Any], policy: str) -> str:
    """The state in Docker's words. Podman says `stopped` of a container whose process has ended a moment ago, before it
    is `exited` or started once more."""
    said = state.get("Status") or "unknown"
    if said != "stopped":
        return str(said)
    again = policy in ("always", "unless-stopped") or (policy == "on-failure" and state.get("ExitCode"))
    return "restarting" if again else "exited"


def _safe(value: str, redactor: redact.Redactor) -> str:
    return redactor.redact(text.clean(value))[:MAX_HEALTH_CHARACTERS].strip()


def _time(value: str | None) -> str | None:
    """In UTC: the engine tells the times of healthchecks in its machine's zone, Podman others, too."""
    return None if not value or value == NEVER else times.utc(value)


def _has_healthcheck(config: dict[str, Any]) -> bool:
    test = (config.get("Healthcheck") or {}).get("Test") or []
    return bool(test) and test[0] != "NONE"


def _health_run(run: dict[str, Any], redactor: redact.Redactor) -> HealthLog:
    return HealthLog(
        exit_code=int(run.get("ExitCode", -1)),
        output=_safe(run.get("Output") or "", redactor),
        start=_time(run.get("Start")),
        end=_time(run.get("End")),
    )


def _networks(raw: dict[str, Any]) -> list[Network]:
    found = (raw.get("NetworkSettings") or {}).get("Networks") or {}
    return [
        Network(
            name=name,
            ip=network.get("IPAddress") or network.get("GlobalIPv6Address") or None,
            aliases=sorted(set((network.get("Aliases") or []) + (network.get("DNSNames") or []))),
        )
        for name, network in sorted(found.items())
    ]


def _ports(raw: dict[str, Any]) -> list[Port]:
    """Exposed and published ports. What was asked for is in HostConfig even if the container never started."""
    exposed = dict.fromkeys((raw["Config"].get("ExposedPorts") or {}), None)
    wanted = raw["HostConfig"].get("PortBindings") or {}
    actual = (raw.get("NetworkSettings") or {}).get("Ports") or {}
    ports = []
    for key in sorted({*exposed, *wanted, *actual}):
        number, _, protocol = key.partition("/")
        if not number.isdigit():
            continue
        for binding in actual.get(key) or wanted.get(key) or [{}]:
            host_port = binding.get("HostPort") or ""
            ports.append(
                Port(
                    container_port=int(number),
                    protocol=protocol or "tcp",
                    host_ip=binding.get("HostIp") or None,
                    host_port=int(host_port) if host_port.isdigit() and host_port != "0" else None,
                )
            )
    return ports


def _mount(mount: dict[str, Any], redactor: redact.Redactor) -> Mount:
    return Mount(
        type=mount.get("Type") or "",
        source=redactor.redact(mount.get("Name") or mount.get("Source") or "") or None,
        destination=mount.get("Destination") or "",
        read_only=not mount.get("RW", True),
    )


def _limits(host_config: dict[str, Any]) -> Limits:
    nano, quota, period = (host_config.get(key) or 0 for key in ("NanoCpus", "CpuQuota", "CpuPeriod"))
    cpus = nano / 1e9 if nano else quota / (period or 100_000) if quota > 0 else None
    pids = host_config.get("PidsLimit") or 0
    return Limits(memory_bytes=host_config.get("Memory") or None, cpus=cpus, pids=pids if pids > 0 else None)


def _conditions(labels: dict[str, str]) -> dict[str, str]:
    """What Compose waits for before it starts the container; it writes `service:condition:restart,...` into a label."""
    parts = [part.split(":") for part in (labels.get("com.docker.compose.depends_on") or "").split(",")]
    known = {part[0].strip(): part[1].strip() if len(part) > 1 else "" for part in parts if part[0].strip()}
    return {name: condition if condition.isidentifier() else "" for name, condition in known.items()}


def _event(event: dict[str, Any]) -> Event:
    attributes = (event.get("Actor") or {}).get("Attributes") or {}
    return Event(
        ts=clock.rfc3339(reading.moment(event)),
        action=event.get("Action") or "",
        exit_code=_int(attributes.get("exitCode")),
        signal=_int(attributes.get("signal")),
    )


def _int(value: str | None) -> int | None:
    return int(value) if value and value.lstrip("-").isdigit() else None
