"""What a look at a service in some state finds, judged: lines as dm-propose prints them."""

from __future__ import annotations

import functools
import json
from datetime import datetime, timedelta
from typing import Any

import msgspec

from dm_tools.act.propose import propose
from dm_tools.diagnose.looks import Sight, look
from dm_tools.patterns import reading
from tests import lab, making
from tests.score import faults
from tests.week import peers

Record = dict[str, Any]
BEGIN = 1_772_409_600.0  # 2026-03-02, a Monday
SHOP = ("app", "postgres", "redis", "web", "worker")
_LIBRARY = reading.read(None)
_REFUSED = (
    '2026-01-01 00:09:00 ERROR psycopg2.OperationalError: connection to server at "store" (172.18.0.2), '
    "port 5432 failed: Connection refused"
)


@functools.cache
def recording(name: str) -> dict[str, Record]:
    """A recorded stack, all its times moved so that every recording is of the same moment, and of one project."""
    text = (lab.faults()[0].recording.parent / f"{name}.jsonl").read_text()
    found = [json.loads(line) for line in text.splitlines()]
    times = [each["inspect"]["observed_at"] for each in found if each.get("inspect")]
    by = datetime.fromisoformat(making.OBSERVED) - datetime.fromisoformat(max(times))
    for each in found:
        if each.get("inspect"):
            each["inspect"]["project"] = "shop"
    return {each["service"]: _moved(each, by) for each in found}


def _moved(value: Any, by: timedelta) -> Any:
    if isinstance(value, dict):
        return {key: _moved(each, by) for key, each in value.items()}
    if isinstance(value, list):
        return [_moved(each, by) for each in value]
    if isinstance(value, str) and len(value) >= 20 and value[4:5] == value[7:8] == "-" and value[10] == "T":
        try:
            then = datetime.fromisoformat(value[:19] + "+00:00") + by
        except ValueError:
            return value
        return then.strftime("%Y-%m-%dT%H:%M:%S") + value[19:]
    return value


def of_shop(name: str) -> bool:
    """Whether a recording is of the five services alone: one that is there for an hour is another story."""
    return set(recording(name)) == set(SHOP)


def stopped_and_harmless(name: str) -> set[str]:
    """The services of a recording that somebody stopped on purpose, and of which nobody suffers."""
    looks = [look(json.loads(line)) for line in judged("shop", tuple((each, name) for each in SHOP))]
    return {each.service for each in looks if each.sight == Sight.STOPPED and not each.symptoms}


def made(service: str, state: str, needs: tuple[str, ...] = ()) -> Record:
    """A service of `plant` in a state."""
    usual: Record = {"health": "healthy", "has_healthcheck": True, "depends_on": list(needs), "env_hosts": list(needs)}
    usual |= {"project": "plant", "restart_policy": "on-failure"}
    ended = {"state": "exited", "finished_at": "2026-01-01T00:09:30Z", "health": "unhealthy"}
    die = {"ts": "2026-01-01T00:09:30Z", "action": "die"}
    log: tuple[str, ...] = ("started",)
    status = "healthy"
    if state == "exit":
        status, changes, log = "failed", ended | {"exit_code": 1}, ("fatal: cannot go on",)
        changes["events"] = [die | {"exit_code": 1}]
    elif state == "oom":
        events = [{"ts": "2026-01-01T00:09:29Z", "action": "oom"}, die | {"exit_code": 137}]
        status, changes = "failed", ended | {"exit_code": 137, "oom_killed": True, "events": events}
    elif state == "loop":
        events = [die | {"exit_code": 1}]
        changes = {"state": "restarting", "exit_code": 1, "restart_count": 7, "health": "starting", "events": events}
        status, log = "failed", ("ValueError: bad value in settings",)
    elif state == "sick":
        run = {"exit_code": 1, "output": "no answer", "start": making.OBSERVED, "end": making.OBSERVED}
        changes = {"health": "unhealthy", "failing_streak": 5, "health_log": [run]}
        status = "failed"
    elif state in ("cut off", "mute"):
        changes = {"health": "unhealthy", "failing_streak": 5}
        status, log = "failed", (_REFUSED,) if state == "cut off" else log
    elif state == "stopped":
        stop = [{"ts": "2026-01-01T00:09:20Z", "action": "kill", "signal": 15}, die | {"exit_code": 0}]
        stop += [{"ts": "2026-01-01T00:09:30Z", "action": "stop"}]
        status, changes = "failed", ended | {"exit_code": 0, "events": stop}
    elif state == "created":
        event = {"ts": "2026-01-01T00:09:58Z", "action": "create"}
        status, changes = "failed", {"state": "created", "started_at": None, "health": None, "events": [event]}
    elif state == "starting":
        status, changes = "failed", {"health": "starting", "started_at": "2026-01-01T00:09:55Z"}
    elif state in ("finished", "job failed"):
        code = int(state == "job failed")
        changes = ended | {"exit_code": code, "health": None, "has_healthcheck": False, "restart_policy": "no"}
        changes["events"] = [die | {"exit_code": code}]
        log = ("done",) if not code else ("Traceback: cannot read the list", "RuntimeError: giving up")
        status = "failed" if code else "healthy"
    else:
        changes = {} if state == "well" and service != "nightly" else {"has_healthcheck": False, "health": None}
    record = making.service(service, status, log, **(usual | changes))
    if service == "nightly":
        record["probe"]["checks"] = [making.check(kind="container", url="container:nightly")]
        if status == "failed":
            record["probe"]["checks"] = [making.check("not_running", kind="container", url="container:nightly")]
    return record


def found(part: str, states: tuple[tuple[str, str], ...]) -> list[Record]:
    """The records of a part's services in their states."""
    if part == "shop":
        return [recording(state if state != "well" else "healthy")[service] for service, state in states]
    return [
        made(service, state, ("store",) if service.startswith("unit-") else ())
        for service, state in states
        if state != "removed"
    ]


@functools.cache
def judged(part: str, states: tuple[tuple[str, str], ...]) -> tuple[bytes, ...]:
    """The same as lines, judged; only those lines of logs are left that somebody may quote."""
    records = found(part, states)
    verdicts = faults.judge(records, _LIBRARY)
    lines = []
    for record in records:
        verdict = verdicts[record["service"]]
        logs = record.get("logs")
        said = logs and logs | {"lines": logs["lines"][-20:]}
        proposals = [msgspec.to_builtins(each) for each in propose(record["service"], verdict)]
        whole = record | {"logs": said, "analysis": msgspec.to_builtins(verdict), "proposals": proposals}
        lines.append(msgspec.json.encode(whole))
    return tuple(lines)


def services(part: str) -> tuple[str, ...]:
    """The services of a part, in the order in which they are looked at."""
    if part == "shop":
        return SHOP
    return ("store", *(f"unit-{number:02d}" for number in range(1, 13))) if part == "plant" else (part,)


def verification(service: str, proof: str, number: int) -> bytes:
    """What dm-verify prints of an action on a service."""
    section = {"proof": proof, "gone": [], "stays": [], "new": [], "action_ids": [f"action-{service}-{number}"]}
    return msgspec.json.encode({"v": 1, "service": service, "docker_host": None, "verification": section})


@functools.cache
def facts(part: str, states: tuple[tuple[str, str], ...]) -> tuple[peers.Seen, ...]:
    """What others see of it: Docker's word on its health, and whether its checks are good."""
    looks = []
    for record in found(part, states):
        inspect = record.get("inspect") or {}
        good = record["probe"]["status"] == "healthy"
        looks.append(peers.Seen(record["service"], inspect.get("health"), inspect.get("state", "removed"), good))
    return tuple(looks)
