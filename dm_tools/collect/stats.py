"""Section `stats`: what a service's container uses right now."""

from __future__ import annotations

from typing import Any

from dm_tools import records
from dm_tools.engine import finding, reading
from dm_tools.engine.connection import Engines
from dm_tools.records import Stats
from dm_tools.text.times import seconds_between

Record = dict[str, Any]


def stats(record: Record, engines: Engines) -> Record:
    """The record with its `stats` section; of a container that does not run, all figures are null."""
    if records.stands_alone(record):
        return record
    engine = engines.of(record)
    container = finding.find(engine, record)
    raw = {}
    if container.get("State") in ("running", "paused"):
        raw = reading.stats(engine, container["Id"])
    return records.with_section(record, "stats", figures(raw))


def figures(raw: dict[str, Any]) -> Stats:
    """The engine's counters as figures.

    CPU: the container's share of the time that all processors had between two samples, times their number
    (docker stats' formula); where that time is unknown, its share of the time between the samples. Memory: usage
    without the page cache that the kernel can take back at once (`total_inactive_file` on cgroup v1, `inactive_file`
    on v2).
    """
    cpu, before = raw.get("cpu_stats") or {}, raw.get("precpu_stats") or {}
    used = _delta(cpu, before, "cpu_usage", "total_usage")
    system = _delta(cpu, before, "system_cpu_usage")
    processors = cpu.get("online_cpus") or len((cpu.get("cpu_usage") or {}).get("percpu_usage") or []) or 1
    one = system / processors if system else (seconds_between(raw.get("preread"), raw.get("read")) or 0) * 1e9
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
        cpu_percent=round(used / one * 100, 2) if used is not None and one else None,
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
