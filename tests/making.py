"""Makes records for tests of judgement: a healthy service, and what a test changes in it."""

from __future__ import annotations

from typing import Any

Record = dict[str, Any]
OBSERVED = "2026-01-01T00:10:00.000Z"


def inspect(name: str, **changes: Any) -> Record:
    """Section `inspect` of a running container of the project `shop`."""
    return {
        "observed_at": OBSERVED,
        "id": "0" * 64,
        "name": f"shop-{name}-1",
        "image": f"registry.invalid/shop/{name}:1",
        "state": "running",
        "exit_code": 0,
        "error": None,
        "oom_killed": False,
        "restart_count": 0,
        "restart_policy": "unless-stopped",
        "started_at": "2026-01-01T00:00:00Z",
        "finished_at": None,
        "health": None,
        "failing_streak": 0,
        "has_healthcheck": False,
        "health_log": [],
        "networks": [{"name": "shop_default", "ip": None, "aliases": [name]}],
        "network_mode": "shop_default",
        "ports": [],
        "mounts": [],
        "limits": {"memory_bytes": None, "cpus": None, "pids": None},
        "project": "shop",
        "compose_service": name,
        "depends_on": [],
        "env_names": [],
        "env_hosts": [],
        "events": [],
    } | changes


def swarm(*errors: str, **changes: Any) -> Record:
    """A record of a Swarm service, one task of which is wanted and none runs: why, by tasks that were rejected, if the
    word does not begin with `pending: ` or `failed: `."""
    tasks = []
    for error in errors:
        state = next((each for each in ("pending", "failed") if error.startswith(f"{each}: ")), "rejected")
        said = error.removeprefix(f"{state}: ")
        task = {"name": "x.1", "state": state, "current": state == "pending", "error": said, "exit_code": None}
        tasks.append(task | {"node": "vm", "at": "2026-01-01T00:09:50Z"})
    found = {"observed_at": OBSERVED, "mode": "replicated", "desired": 1, "running": 0, "completed": 0}
    found |= {"restart": "any", "tasks": tasks} | changes
    return {"v": 1, "service": "x", "container": None, "swarm": found}


def node(**changes: Any) -> Record:
    """A record of a Swarm node that is well."""
    found = {"observed_at": OBSERVED, "state": "ready", "availability": "active", "role": "manager"}
    return {"v": 1, "service": "node/x", "container": None, "node": found | changes}


def check(error: str | None = None, number: int = 0, **changes: Any) -> Record:
    """One check of section `probe`; with an error it has failed."""
    return {
        "id": f"probe:{number}",
        "url": "http://x/",
        "kind": "http",
        "scope": "internal",
        "ok": error is None,
        "error": error,
        "message": error,
    } | changes


def logs(*texts: str) -> Record:
    """Section `logs` with these items, a second apart."""
    lines = [
        {"id": f"logs:{index}", "ts": f"2026-01-01T00:09:{index:02d}Z", "stream": "stderr", "text": text}
        for index, text in enumerate(texts)
    ]
    return {"lines": lines, "total_lines": len(lines), "truncated": False}


def service(name: str, status: str = "healthy", log: tuple[str, ...] = (), **changes: Any) -> Record:
    """A record of a service with a probe status, log lines, and changes of its `inspect` section."""
    checks = [check(None if status == "healthy" else "http_5xx")]
    return {
        "v": 1,
        "service": name,
        "container": f"shop-{name}-1",
        "probe": {"status": status, "checks": checks},
        "inspect": inspect(name, **changes),
        "logs": logs(*log),
    }
