"""Sections `inspect` and `stats`: what the engine knows of a service's container, in digest."""

from __future__ import annotations

import contextlib
import re
from typing import Any
from urllib.parse import urlsplit

from dm_tools import records, redact, text
from dm_tools.engine import reading as engine
from dm_tools.pipe import clock
from dm_tools.records import (
    Event,
    HealthLog,
    Inspect,
    Limits,
    Mount,
    Network,
    Port,
    Stats,
)

Record = dict[str, Any]

MAX_EVENTS = 50
MAX_HEALTH_RUNS = 5
MAX_HEALTH_CHARACTERS = 1000
NEVER = "0001-01-01T00:00:00Z"  # Go's zero time: it has not happened

DEFAULT_PORTS = {
    "amqp": 5672, "amqps": 5671, "clickhouse": 9000, "http": 80, "https": 443, "kafka": 9092, "ldap": 389,
    "ldaps": 636, "mariadb": 3306, "memcached": 11211, "mongodb": 27017, "mysql": 3306, "nats": 4222,
    "postgres": 5432, "postgresql": 5432, "redis": 6379, "rediss": 6379, "smtp": 25, "valkey": 6379,
}  # fmt: skip
_HOSTNAME = re.compile(r"^(?=.{1,253}$)[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9_-]+)*$")
_HOST_PORT = re.compile(r"^([A-Za-z][A-Za-z0-9._-]*):(\d{2,5})$")
_SECRET_NAMES = re.compile(
    r"PASS|PWD|SECRET|TOKEN|CREDENTIAL|SALT|COOKIE|(?:API|ACCESS|PRIVATE)_?KEY|(?:^|_)(?:KEY|AUTH|PIN)S?$",
    re.IGNORECASE,
)
_HOST_NAME_KEYS = re.compile(r"(?:^|_)(?:HOST|HOSTNAME|SERVER|ADDR|ADDRESS)$")


def container_of(record: Record, timeout: float) -> engine.Container:
    """The record's container in the engine's list."""
    return engine.find(record.get("docker_host"), record["service"], record.get("container"), timeout)


def inspect(record: Record, window_seconds: float, timeout: float) -> Record:
    """The record with its `inspect` section, the container's events of the last `window_seconds` included."""
    host = record.get("docker_host")
    container = container_of(record, timeout)
    raw = engine.inspect(host, container["Id"], timeout)
    observed_at = clock.rfc3339(clock.now())
    try:
        raw_events = engine.events(host, container["Id"], window_seconds, timeout)
    except records.Problem as problem:
        record = records.with_error(record, "inspect", problem.code, problem.message)
        raw_events = []
    record = record | {"container": raw["Name"].lstrip("/")}
    redactor = redact.Redactor(redact.following(record), _secrets_of(raw))
    return records.with_section(record, "inspect", digest(raw, raw_events, observed_at, redactor))


def secrets(host: str | None, container: engine.Container, timeout: float) -> list[str]:
    """What is secret in a container's environment and command line, to be masked in its log; empty if unknown."""
    try:
        return _secrets_of(engine.inspect(host, container["Id"], timeout))
    except records.Problem:
        return []  # the log itself may still be had, and without that it is masked by what it looks like


def _secrets_of(raw: dict[str, Any]) -> list[str]:
    arguments = [raw.get("Path") or "", *(raw.get("Args") or [])]
    labels = (raw["Config"].get("Labels") or {}).items()
    texts = [*(raw["Config"].get("Env") or []), " ".join(arguments), *(f"{name}={value}" for name, value in labels)]
    return redact.secrets_in(texts)


def digest(
    raw: dict[str, Any], raw_events: list[dict[str, Any]], observed_at: str, redactor: redact.Redactor
) -> Inspect:
    """The engine's answer without what judgement does not need, and without any environment value."""
    state, config, host_config = raw["State"], raw["Config"], raw["HostConfig"]
    labels = config.get("Labels") or {}
    health = state.get("Health") or {}
    environment = dict(entry.partition("=")[::2] for entry in config.get("Env") or [])
    return Inspect(
        observed_at=observed_at,
        id=raw["Id"],
        name=raw["Name"].lstrip("/"),
        image=redactor.redact(config.get("Image") or raw.get("Image") or ""),
        state=state.get("Status") or "unknown",
        exit_code=state.get("ExitCode"),
        error=_safe(state.get("Error") or "", redactor) or None,
        oom_killed=bool(state.get("OOMKilled")),
        restart_count=raw.get("RestartCount") or 0,
        restart_policy=(host_config.get("RestartPolicy") or {}).get("Name") or "no",
        started_at=_time(state.get("StartedAt")),
        finished_at=_time(state.get("FinishedAt")),
        health=health.get("Status"),
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
        depends_on=[redactor.redact(name) for name in _depends_on(labels)],
        env_names=sorted(environment),
        env_hosts=env_hosts(environment),
        events=[_event(event) for event in raw_events[-MAX_EVENTS:]],
    )


def _safe(value: str, redactor: redact.Redactor) -> str:
    return redactor.redact(text.clean(value))[:MAX_HEALTH_CHARACTERS].strip()


def _time(value: str | None) -> str | None:
    return None if not value or value == NEVER else value


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


def _depends_on(labels: dict[str, str]) -> list[str]:
    """Compose writes `service:condition:restart,...` (v2) into a label."""
    value = labels.get("com.docker.compose.depends_on") or ""
    return sorted({part.split(":")[0].strip() for part in value.split(",")} - {""})


def env_hosts(environment: dict[str, str]) -> list[str]:
    """`host:port` of every peer that an environment value names; the values themselves stay here."""
    found = set()
    for name, value in environment.items():
        if (_SECRET_NAMES.search(name) or redact.is_secret_name(name)) and "://" not in value:
            continue  # TOKEN=abc:123 is no address
        for part in value.split(","):
            found.add(_env_host(environment, name, part.strip()))
    return sorted(host for host in found if host and not host.startswith(("localhost", "127.", "0.0.0.0")))


def _env_host(environment: dict[str, str], name: str, value: str) -> str | None:
    if "://" in value:
        with contextlib.suppress(ValueError):
            parts = urlsplit(value)
            scheme = parts.scheme.removeprefix("jdbc:").partition("+")[0]
            port = parts.port or DEFAULT_PORTS.get(scheme)
            whole = "@" in parts.netloc or "@" not in value  # else an unescaped / or # cuts through a password
            if whole and parts.hostname and _HOSTNAME.match(parts.hostname) and scheme not in ("file", "unix"):
                return f"{parts.hostname}:{port}" if port else parts.hostname
        return None
    if match := _HOST_PORT.match(value):
        return value if int(match[2]) < 65536 else None
    if _HOST_NAME_KEYS.search(name) and _HOSTNAME.match(value):
        port_text = environment.get(re.sub(r"(HOST|HOSTNAME|SERVER|ADDR|ADDRESS)$", "PORT", name), "")
        return f"{value}:{port_text}" if port_text.isdigit() else value
    return None


def _event(event: dict[str, Any]) -> Event:
    attributes = (event.get("Actor") or {}).get("Attributes") or {}
    nanoseconds = event.get("timeNano") or int(event.get("time") or 0) * 10**9
    return Event(
        ts=clock.rfc3339(nanoseconds / 1e9),
        action=event.get("Action") or event.get("status") or "",
        exit_code=_int(attributes.get("exitCode")),
        signal=_int(attributes.get("signal")),
    )


def _int(value: str | None) -> int | None:
    return int(value) if value and value.lstrip("-").isdigit() else None


def stats(record: Record, timeout: float) -> Record:
    """The record with its `stats` section; of a container that does not run, all figures are null."""
    container = container_of(record, timeout)
    raw = {}
    if container.get("State") in ("running", "paused"):
        raw = engine.stats(record.get("docker_host"), container["Id"], timeout)
    return records.with_section(record, "stats", figures(raw))


def figures(raw: dict[str, Any]) -> Stats:
    """The engine's counters as figures.

    CPU: the container's share of the time that all processors had between two samples, times their number
    (docker stats' formula). Memory: usage without the page cache that the kernel can take back at once
    (`total_inactive_file` on cgroup v1, `inactive_file` on v2).
    """
    cpu, before = raw.get("cpu_stats") or {}, raw.get("precpu_stats") or {}
    used = _delta(cpu, before, "cpu_usage", "total_usage")
    system = _delta(cpu, before, "system_cpu_usage")
    processors = cpu.get("online_cpus") or len((cpu.get("cpu_usage") or {}).get("percpu_usage") or []) or 1
    memory = raw.get("memory_stats") or {}
    details = memory.get("stats") or {}
    usage, limit = memory.get("usage"), memory.get("limit")
    if usage is not None:
        usage = max(0, usage - (details.get("total_inactive_file") or details.get("inactive_file") or 0))
    periods = _delta(cpu, before, "throttling_data", "periods")
    throttled = _delta(cpu, before, "throttling_data", "throttled_periods")
    networks = list((raw.get("networks") or {}).values())
    blocks = (raw.get("blkio_stats") or {}).get("io_service_bytes_recursive") or []
    pids = raw.get("pids_stats") or {}
    return Stats(
        cpu_percent=round(used / system * processors * 100, 2) if used is not None and system else None,
        memory_bytes=usage,
        memory_limit_bytes=limit,
        memory_percent=round(usage / limit * 100, 2) if usage is not None and limit else None,
        pids=pids.get("current"),
        pids_limit=pids["limit"] if 0 < (pids.get("limit") or 0) < 2**62 else None,
        throttled_percent=round(throttled / periods * 100, 1) if throttled is not None and periods else None,
        network_rx_bytes=sum(each.get("rx_bytes") or 0 for each in networks) if networks else None,
        network_tx_bytes=sum(each.get("tx_bytes") or 0 for each in networks) if networks else None,
        block_read_bytes=_blocks(blocks, "read"),
        block_write_bytes=_blocks(blocks, "write"),
    )


def _delta(now: dict[str, Any], before: dict[str, Any], *path: str) -> int | None:
    for key in path[:-1]:
        now, before = now.get(key) or {}, before.get(key) or {}
    if now.get(path[-1]) is None or not before.get(path[-1]):
        return None
    return int(now[path[-1]]) - int(before[path[-1]])


def _blocks(entries: list[dict[str, Any]], operation: str) -> int | None:
    values = [entry.get("value") or 0 for entry in entries if (entry.get("op") or "").lower() == operation]
    return sum(values) if values else None
