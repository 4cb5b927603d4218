"""dm_tools/evidence/view.py: what container and probe say together, and which log lines tell of the present."""

from __future__ import annotations

from typing import Any

import pytest

from dm_tools.evidence.recent import LAST_LINES, recent
from dm_tools.evidence.view import View
from dm_tools.records import Status
from tests import making


def view(probe: dict[str, Any] | None = None, **changes: Any) -> View:
    """A running container with changes; without a probe unless one is given."""
    record = making.service("x")
    return View.of(record | {"probe": probe, "inspect": record["inspect"] | changes})


def probed(status: str, kind: str = "http") -> dict[str, Any]:
    error = None if status == "healthy" else "http_5xx"
    return {"status": status, "checks": [making.check(error, kind=kind)]}


@pytest.mark.parametrize(
    ("mode", "networks", "status"),
    [
        ("shop_default", True, Status.HEALTHY),
        ("shop_default", False, Status.FAILED),  # cut off from all that should reach it
        ("host", False, Status.HEALTHY),
        ("none", False, Status.HEALTHY),  # as it was wanted
        ("container:0123", False, Status.HEALTHY),  # it has another one's
    ],
)
def test_a_container_without_a_network_has_failed_unless_it_was_made_so(
    mode: str, networks: bool, status: Status
) -> None:
    changes: dict[str, Any] = {} if networks else {"networks": []}
    assert view(network_mode=mode, **changes).status == status


def test_a_failing_healthcheck_weighs_less_where_users_get_answers() -> None:
    assert view(health="unhealthy").status == Status.FAILED
    assert view(probed("healthy"), health="unhealthy").status == Status.DEGRADED
    assert view(probed("healthy", kind="container"), health="unhealthy").status == Status.FAILED
    assert view(probed("failed"), health="healthy").status == Status.FAILED
    assert view(probed("healthy"), state="paused").status == Status.FAILED


def stamped(*stamps: str | None) -> dict[str, Any]:
    lines = [{"id": f"logs:{at}", "ts": stamp, "stream": "stderr", "text": str(at)} for at, stamp in enumerate(stamps)]
    return {"lines": lines, "total_lines": len(lines), "truncated": False}


OLD, EDGE, NEW = "2026-01-01T00:00:00Z", "2026-01-01T00:03:00Z", "2026-01-01T00:08:00Z"  # looked at: 00:10:00


@pytest.mark.parametrize(
    ("status", "stamps", "kept"),
    [
        ("failed", (OLD, EDGE, NEW), "12"),  # five minutes before its newest line
        ("healthy", (OLD, EDGE, NEW), "12"),  # a green healthcheck does not tell that what it said last is past
        ("failed", (OLD,), "0"),  # it said why, and fell silent
        ("healthy", (OLD,), "0"),
        ("failed", (OLD, None, NEW), "12"),  # nobody knows when: it counts
        ("failed", (None, None), "01"),
        ("failed", (OLD, "2026-01-01T09:00:00Z"), "1"),  # a clock that is ahead
        ("failed", (NEW, "2026-01-01T09:00:00Z"), "01"),  # makes nothing else look old
        ("failed", ("yesterday", NEW), "01"),
    ],
)
def test_which_lines_tell_of_the_present(status: str, stamps: tuple[str | None, ...], kept: str) -> None:
    logs = stamped(*stamps, *[stamps[-1]] * LAST_LINES)
    record = making.service("x", status) | {"logs": logs}
    shown = [line.text for line in recent(View.of(record)) if int(line.text) < len(stamps)]
    assert "".join(shown) == kept


def test_what_a_healthy_one_said_last_days_ago_is_history() -> None:
    record = making.service("x", "healthy", observed_at="2026-01-03T00:00:00Z") | {"logs": stamped(OLD, NEW)}
    assert recent(View.of(record)) == []


@pytest.mark.parametrize(("followed_by", "kept"), [(LAST_LINES - 1, True), (LAST_LINES, False)])
def test_what_few_lines_have_followed_is_of_the_present(followed_by: int, kept: bool) -> None:
    record = making.service("x", "healthy") | {"logs": stamped(OLD, *[NEW] * followed_by)}
    assert ("0" in [line.text for line in recent(View.of(record))]) == kept


def test_where_only_the_log_is_known_all_of_it_counts() -> None:
    record = {"v": 1, "service": "x", "logs": stamped(OLD, NEW)}
    assert "".join(line.text for line in recent(View.of(record))) == "01"
    assert recent(View.of({"v": 1, "service": "x"})) == []


def event(action: str, second: int, exit_code: int | None = None, signal: int | None = None) -> dict[str, Any]:
    return {"ts": f"2026-01-01T00:09:{second:02d}Z", "action": action, "exit_code": exit_code, "signal": signal}


START, DIED, OOM = event("start", 1), event("die", 5, 137), event("oom", 4)
KILL, TERM, STOP = event("kill", 3, signal=9), event("kill", 2, signal=15), event("stop", 6)


@pytest.mark.parametrize(
    ("changes", "evidence"),
    [
        ({"state": "exited", "exit_code": 137, "oom_killed": True}, ["inspect:oom_killed"]),
        # from engine 26 on the flag is gone while the next run is alive: the events still tell
        (
            {"restart_count": 3, "started_at": "2026-01-01T00:09:50Z", "events": [START, OOM, DIED]},
            ["event:1", "event:2"],
        ),
        ({"state": "restarting", "exit_code": 137, "events": [START, OOM, DIED]}, ["event:1", "event:2"]),
        # the flag of an exec'ed process, or of a run before
        ({"state": "exited", "exit_code": 0, "oom_killed": True}, []),
        ({"state": "exited", "exit_code": 143, "oom_killed": True}, []),
        ({"state": "exited", "exit_code": 137, "events": [START, OOM, KILL, DIED]}, []),
        ({"oom_killed": True}, []),
    ],
)
def test_a_kill_for_lack_of_memory_is_the_end_and_the_flag_together(
    changes: dict[str, Any], evidence: list[str]
) -> None:
    assert view(**changes).out_of_memory == evidence


@pytest.mark.parametrize(
    ("events", "actions"),
    [
        ([START, TERM, DIED, STOP], ["kill", "stop"]),
        ([START, KILL, DIED], ["kill"]),
        ([START, event("kill", 2, signal=1), DIED], []),  # a reload
        ([TERM, event("die", 1, 143), STOP, START, DIED], []),  # the run before
    ],
)
def test_who_stopped_it(events: list[dict[str, Any]], actions: list[str]) -> None:
    found = view(state="exited", exit_code=137, events=events).stopped_by
    assert [each.action for _, each in found] == actions


PASSED = {"exit_code": 0, "output": "ok", "start": "2026-01-01T00:09:00Z", "end": "2026-01-01T00:09:01Z"}
UNHEALTHY: dict[str, Any] = {"health": "unhealthy", "has_healthcheck": True}


def test_one_that_was_unpaused_a_moment_ago_is_not_failed() -> None:
    checks = {"status": "failed", "checks": [making.check("unhealthy", kind="container")]}
    assert view(checks, health_log=[PASSED], **UNHEALTHY).status == Status.HEALTHY
    assert view(checks, health_log=[PASSED], failing_streak=1, **UNHEALTHY).status == Status.FAILED
    assert view(checks, health_log=[PASSED | {"exit_code": 1}], **UNHEALTHY).status == Status.FAILED


NOW = "2026-01-01T00:09:58Z"


@pytest.mark.parametrize(
    ("changes", "error", "status"),
    [
        ({"started_at": NOW}, "refused", Status.HEALTHY),  # it need not listen yet
        ({"started_at": NOW}, "http_5xx", Status.FAILED),
        ({"started_at": NOW, "restart_count": 1}, "refused", Status.FAILED),
        ({"started_at": NOW, "events": [event("die", 50, 1), event("start", 58)]}, "refused", Status.FAILED),
        ({}, "refused", Status.FAILED),
        ({"state": "created", "started_at": None, "events": [event("create", 55)]}, "not_running", Status.HEALTHY),
        ({"state": "created", "started_at": None, "events": [event("create", 5)]}, "not_running", Status.FAILED),
        ({"state": "removing"}, "not_running", Status.HEALTHY),
        ({"state": "exited", "name": "ff201f16580e_shop-x-1", "finished_at": NOW}, "not_running", Status.HEALTHY),
        ({"state": "exited", "name": "ff201f16580e_shop-x-1", "finished_at": OLD}, "not_running", Status.FAILED),
        ({"processes": [{"state": "S", "command": "tini"}, {"state": "T", "command": "app"}]}, None, Status.FAILED),
        ({"processes": [{"state": "S", "command": "app"}, {"state": "T", "command": "vim"}]}, None, Status.HEALTHY),
    ],
)
def test_seconds_old_is_no_fault(changes: dict[str, Any], error: str | None, status: Status) -> None:
    checks = [making.check(error)]
    assert view({"status": "failed" if error else "healthy", "checks": checks}, **changes).status == status


def test_a_name_that_compose_gives_while_it_replaces_is_no_missing_container() -> None:
    errors = [{"stage": "inspect", "code": "container_not_found", "message": ""}]
    record: dict[str, Any] = {"v": 1, "service": "x", "errors": errors}
    assert View.of(record).missing
    assert not View.of(record | {"service": "ff201f16580e_shop-x-1"}).missing


def test_a_server_that_was_told_to_end_is_no_finished_job() -> None:
    ended: dict[str, Any] = {"state": "exited", "exit_code": 0, "restart_policy": "on-failure"}
    job = making.service("x", log=("backup done",), **ended) | {"probe": None}
    assert View.of(job).finished
    assert not View.of(job | {"logs": making.logs("SIGTERM[soft,ping-exit] received, process exiting")}).finished


def test_what_a_failing_check_prints_is_heard_as_a_log_is() -> None:
    from dm_tools.patterns.matching import matches
    from dm_tools.patterns.places import Places
    from dm_tools.patterns.reading import read

    def causes(output: str, **changes: Any) -> dict[str, list[str]]:
        run = {"exit_code": 1, "output": output, "start": "2026-01-01T00:09:00Z", "end": None}
        library = read(None)
        sick = view(health_log=[run, run], failing_streak=2, **UNHEALTHY | changes)
        return {hit.pattern.cause: hit.evidence for hit in matches(library, Places(library, sick))}

    assert causes("df: write error: No space left on device")["disk_full"] == ["inspect:health.1"]
    assert "limit_exceeded" in causes("sh: can't fork: Resource temporarily unavailable")
    assert "disk_full" not in causes("No space left on device", health="healthy")
    asked = causes("Error 111 connecting to localhost:8000. Connection refused.")
    assert asked["connection_refused"] == ["inspect:state", "inspect:health", "inspect:health.0", "inspect:health.1"]


START = {"ts": "2026-01-01T00:00:00Z", "action": "start", "exit_code": None, "signal": None}
HUP, KILL = (START | {"action": "kill", "signal": number} for number in (1, 9))
DIE = START | {"action": "die", "exit_code": 1}


@pytest.mark.parametrize(
    ("policy", "state", "events", "disarmed"),
    [
        ("always", "running", [START, HUP], ["event:1"]),
        ("always", "exited", [START, HUP, DIE], ["event:1"]),
        ("on-failure", "exited", [HUP, DIE], ["event:0"]),
        ("always", "running", [START, HUP, DIE, START], []),  # a start arms it again
        ("no", "exited", [START, HUP, DIE], []),  # there is nothing to disarm
        ("always", "exited", [START, KILL, DIE], []),  # it was meant to end
        ("always", "exited", [START, HUP, KILL, DIE], []),
    ],
)
def test_a_signal_that_is_sent_disarms_the_restart_policy(
    policy: str, state: str, events: list[dict[str, Any]], disarmed: list[str]
) -> None:
    """Seen on Docker 20.10.24: `docker kill -s HUP` is heeded by the program, and nothing starts it again."""
    found = view(state=state, restart_policy=policy, exit_code=1, events=events)
    assert found.disarmed == disarmed
