"""The watch session: what it tells of its rounds, and that it goes on whatever dies."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from dm_tools import records as contract
from dm_tools.collect.waking import Alarm, Timetable, concerns, told
from dm_tools.pipe.pace import Pace
from dm_tools.store import changes
from dm_tools.text.times import parse_time
from dm_tools.watch import figures
from dm_tools.watch.figures import Counts
from dm_tools.watch.pulse import Pulse, late
from dm_tools.watch.pulse import told as told_status
from dm_tools.watch.stages import Death
from tests import warm
from tests.conftest import ROOT, SEALED, Box
from tests.site import serve
from tests.test_deaths import NAMES, engine, processes
from tests.test_rounds import marker

SUPERVISOR = ROOT / "scripts" / "supervisor-session.sh"


# Pure: what a round is told as.

OPEN = {
    "id": "f1-1",
    "service": "db",
    "severity": "critical",
    "cause": "exited",
    "fingerprint": "f1",
    "text": "db has ended",
    "symptoms": ["web"],
    "since": "2026-11-30T12:00:01.000Z",
    "done": ["start: done"],
}
RECOVERED = {
    "kind": "recovered",
    "service": "db",
    "at": "2026-11-30T12:00:20.000Z",
    "reason": "well again after 19 seconds",
    "done": ["start: done", "looked again: recovered"],
}


def beaten(every: float = 30, **more: Any) -> Pulse:
    """A watch after one round, which took a second and a half."""
    pulse = Pulse(every, "2026-11-30T12:00:00.000Z")
    pulse.beat(marker(1) | more, "2026-11-30T12:00:01.500Z")
    return pulse


def test_a_pulse_holds_what_is_open() -> None:
    pulse = beaten(incidents={"open": [OPEN], "undecided": True, "events": 1})
    assert (pulse.status["took_s"], pulse.status["open"], pulse.status["undecided"]) == (1.5, [OPEN], True)
    pulse.beat(marker(2) | {"incidents": {"open": [], "undecided": False, "events": 2}}, "2026-11-30T12:00:31.000Z")
    assert (pulse.status["open"], pulse.status["undecided"], pulse.status["rounds"]) == ([], False, 2)


NOW = parse_time("2026-11-30T12:00:01.500Z") or 0.0


@pytest.mark.parametrize(
    ("every", "passed", "overdue"),
    [(30, 60, 0), (30, 91.5, 0), (30, 92.5, 1), (1, 32.5, 0), (1, 33.5, 1), (3600, 10000, 0), (3600, 10802.5, 1)],
)
def test_rounds_are_late(every: float, passed: float, overdue: float) -> None:
    assert late(beaten(every).status, NOW + passed) == pytest.approx(overdue)


@pytest.mark.parametrize(
    ("more", "passed", "status", "says"),
    [
        ({}, 10, 0, ["looked last 10 seconds ago: round 1 of 2 services, after 1.5 s", "nothing is open"]),
        ({}, 200, 4, ["LATE by ", "nothing is open"]),
        ({"incidents": {"open": [OPEN]}}, 10, 10, ["CRITICAL db: db has ended (also failing: web); done: start: done"]),
        ({"incidents": {"open": [OPEN]}}, 200, 10, ["LATE by "]),
        ({"errors": [contract.error("services", "docker_unreachable", "no engine")]}, 10, 4, ["seen: no engine"]),
    ],
)
def test_the_status_in_words(more: dict[str, Any], passed: float, status: int, says: list[str]) -> None:
    lines, ended = told_status(beaten(**more).status, [RECOVERED], NOW + passed)
    assert ended == status
    assert all(any(each in line for line in lines) for each in says), lines
    assert lines[-1] == (
        "2026-11-30 12:00:20 UTC RECOVERED db: well again after 19 seconds; done: start: done; looked again: recovered"
    )


def test_a_round_that_could_not_see_everything_is_not_good() -> None:
    pulse = Pulse(30, "x")
    pulse.beat(marker(1) | {"errors": [contract.error("services", "docker_unreachable", "no engine")]}, "y")
    assert (pulse.status["good"], pulse.status["errors"]) == (False, ["no engine"])
    assert "dm_watch_good 0" in figures.text(pulse.status, Counts())


def test_figures_are_prometheus_text() -> None:
    pulse = Pulse(30, "x", restarts=2)
    given = marker(7, late_s=1.5) | {"incidents": {"open": [OPEN]}, "summary": {"total": 3, "healthy": 2, "failed": 1}}
    pulse.beat(given, "2026-11-30T12:00:01.500Z")
    pulse.beat(given, "2026-11-30T12:00:02.500Z")
    told = {("mail", "told"): 7, ('a "b"', "failed"): 1}
    counts = Counts({"recovered": 3, "failed": 1, "unproven": 0}, told)
    lines = figures.text(pulse.status, counts).split("\n")
    for line in (
        "dm_watch_rounds_total 2",
        "dm_watch_restarts_total 2",
        "dm_watch_late_seconds 1.5",
        "dm_watch_last_round_seconds 2.5",
        "dm_watch_round_seconds_total 4",
        "dm_watch_round_timestamp_seconds 1796040002.5",
        'dm_watch_services{status="failed"} 1',
        'dm_incidents_open{severity="critical"} 1',
        'dm_incidents_open{severity="info"} 0',
        'dm_heals_total{outcome="recovered"} 3',
        'dm_notifications{target="mail",outcome="told"} 7',
        'dm_notifications{target="a \\"b\\"",outcome="failed"} 1',
    ):
        assert line in lines
    assert not any("total" in line and "status" in line for line in lines)
    # OpenMetrics calls a counter by its name without `_total`: no other family may have that one.
    families = [line.split()[2].removesuffix("_total") for line in lines if line.startswith("# TYPE ")]
    assert len(families) == len(set(families)) > 10


@pytest.mark.parametrize(
    ("changed", "now", "reason"),
    [
        ({}, "12:01:30", ""),
        ({}, "12:01:32", "no round of the watch has come through for 92 seconds, since 2026-11-30 12:00:00 UTC"),
        ({"took_s": 100.0}, "12:03:09", ""),  # the next one begins when this one is through
        ({"took_s": 100.0}, "12:03:11", "no round of the watch has come through for 3 minutes"),
        ({"stopped_at": "2026-11-30T12:00:05Z"}, "23:59:59", ""),
        ({"good": False}, "12:00:31", ""),  # it looks, and cannot see
        ({"ended_at": None}, "23:59:59", ""),
    ],
)
def test_a_watch_is_late_when_no_round_comes_and_nobody_ended_it(
    changed: dict[str, Any], now: str, reason: str
) -> None:
    status = {"every_s": 30.0, "took_s": 1.0, "ended_at": "2026-11-30T12:00:00Z"} | changed
    found = figures.trouble(status, parse_time(f"2026-11-30T{now}Z") or 0.0)
    assert found.startswith(reason) and bool(found) == bool(reason)


@pytest.mark.parametrize(
    ("status", "said", "words"),
    [
        (137, "", "dm-logs was killed (signal 9)"),
        (143, "", "dm-logs was terminated (signal 15)"),
        (127, "", "dm-logs could not be started (status 127)"),
        (6, "no space", "dm-logs failed (status 6): no space"),
        (0, "", "dm-logs ended (status 0)"),
    ],
)
def test_a_death_in_words(status: int, said: str, words: str) -> None:
    assert Death("dm-logs", status, said).words == words


# Which event is whose.


def event(action: str = "die", **attributes: str) -> dict[str, Any]:
    """As an engine tells it."""
    return {"Type": "container", "Action": action, "Actor": {"ID": "1", "Attributes": attributes}}


@pytest.mark.parametrize(
    ("given", "project", "discovering", "expected"),
    [
        (event(name="web"), None, False, True),
        (event(name="other"), None, False, False),
        (event(name="shop-web-1", **{"com.docker.compose.service": "web"}), None, False, True),
        (event(name="other"), None, True, True),
        (event(name="other"), "shop", True, False),
        (event(name="x", **{"com.docker.compose.project": "shop"}), "shop", True, True),
        (event("health_status: unhealthy", name="web"), None, False, True),
        (event("exec_start: sh", name="web"), None, False, False),
        ({"Action": None}, None, True, False),
    ],
)
def test_whose_events_begin_a_round(
    given: dict[str, Any], project: str | None, discovering: bool, expected: bool
) -> None:
    assert concerns(given, [contract.new("web")], project, discovering) is expected


def test_an_event_in_words() -> None:
    assert told(event("health_status: unhealthy", name="web")) == "web: health_status: unhealthy"


@pytest.mark.parametrize("rings", [False, True])
def test_one_look_more_begins_early_while_it_may_decide_something(tmp_path: Path, rings: bool) -> None:
    """Whoever waits for an event is not held up by that."""
    through = tmp_path / "status.json"
    alarm = Alarm(lambda event: True)
    table = Timetable(30, alarm, through)
    table.next(None)

    def took(undecided: bool) -> tuple[float, str | None]:
        through.write_text(json.dumps({"round": {"at": "now"}, "undecided": undecided}))
        begun = time.monotonic()
        _, because = table.next("now")
        return time.monotonic() - begun, because

    first, because = took(True)
    assert 0.9 < first < 1.8 and because == "to be sure"
    second, _ = took(True)
    assert 1.9 < second < 2.8
    if rings:
        alarm.ring("web: die")
        third, because = took(True)  # it would be four seconds
        assert third < 2.5 and because == "web: die"
    else:
        threading.Timer(1.5, alarm.ring, ["web: die"]).start()
        third, because = took(False)  # it would be thirty
        assert third < 3 and because == "web: die"


def test_who_writes_to_the_bell_asks_for_a_round(tmp_path: Path) -> None:
    alarm = Alarm(lambda event: True, tmp_path / "bell")
    table = Timetable(300, alarm, None)
    table.next(None)
    threading.Timer(0.2, lambda: (tmp_path / "bell").write_text("now\n")).start()
    begun = time.monotonic()
    assert table.next(None)[1] == "asked for"
    assert time.monotonic() - begun < 100
    assert not alarm.wait(0.1)  # once


# A slower pace.


def test_between_its_times_a_section_is_carried_only_while_the_service_is_the_same() -> None:
    looked: list[str] = []

    def work(record: dict[str, Any]) -> dict[str, Any]:
        looked.append(record["service"])
        return record | {"logs": {"number": len(looked)}}

    pace = Pace("logs", 3600)
    slowed = pace.slowed(work)
    fine = contract.new("web") | {"inspect": {"id": "1", "state": "running"}}
    assert "carried" not in slowed(fine)
    pace.between()
    carried = slowed(fine)
    assert (carried["logs"], list(carried["carried"])) == ({"number": 1}, ["logs"])
    pace.between()
    assert slowed(fine | {"inspect": {"id": "1", "state": "exited"}})["logs"] == {"number": 2}
    pace.between()
    assert slowed(fine | {"probe": {"status": "failed", "checks": []}})["logs"] == {"number": 3}
    pace.between()
    pace.between()  # a round without it: it is forgotten
    assert slowed(fine | {"probe": {"status": "failed", "checks": []}})["logs"] == {"number": 4}


def test_what_could_not_be_looked_at_is_tried_again_in_the_next_round() -> None:
    looked: list[str] = []

    def work(record: dict[str, Any]) -> dict[str, Any]:
        looked.append(record["service"])
        return contract.with_error(record | {"logs": {}}, "logs", "docker_timeout", "late")

    pace = Pace("logs", 3600)
    for _ in range(3):
        pace.slowed(work)(contract.new("web"))
        pace.between()
    assert len(looked) == 3


def test_old_reports_are_removed_and_nothing_else(tmp_path: Path) -> None:
    for stamp in (1, 2, 3):
        for name in (f"stack_diagnostics_{stamp}.json", f"enhanced_diagnostics_{stamp}.html"):
            (tmp_path / name).touch()
    (tmp_path / "approved_fixes_1.json").touch()
    changes.remove_old(tmp_path, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "approved_fixes_1.json",
        *("enhanced_diagnostics_2.html", "enhanced_diagnostics_3.html"),
        *("stack_diagnostics_2.json", "stack_diagnostics_3.json"),
    ]


# Real processes, before a fake engine: what an engine must answer some hundred times is not what is looked at here.


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The variables of a small healthy stack, and of its proofs."""
    with engine(tmp_path) as address, serve() as site:
        url = site.html("/", "<h1>fine</h1>")
        services = [{"name": name, "external": [url]} for name in NAMES]
        (tmp_path / "manifest.json").write_text(json.dumps({"services": services}))
        given = {"SERVICES_MANIFEST_PATH": str(tmp_path / "manifest.json"), "PROOFS_DIR": str(tmp_path / "proofs")}
        yield SEALED | given | {"DOCKER_HOST": address}


@contextlib.contextmanager
def watching(variables: dict[str, str], *options: str) -> Iterator[subprocess.Popen[str]]:
    """A watch session that is ended, all of it, at the end."""
    session = subprocess.Popen(
        [SUPERVISOR, "watch", *options], env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield session
    finally:
        session.terminate()
        with session:
            session.wait(20)


def status(variables: dict[str, str]) -> dict[str, Any]:
    """The status file; empty if there is none yet."""
    with contextlib.suppress(FileNotFoundError):
        found: dict[str, Any] = json.loads(Path(variables["PROOFS_DIR"], "watch", "status.json").read_text())
        return found
    return {}


def until(true: Callable[[], Any], seconds: float = 20) -> float:
    """Wait for it; how long that took."""
    begun = time.monotonic()
    while not true():
        assert time.monotonic() - begun < seconds
        time.sleep(0.02)
    return time.monotonic() - begun


def stages(session: subprocess.Popen[str]) -> dict[str, int]:
    """The processes of the pipe by their names."""
    found = {}
    for number, (parent, _) in processes().items():
        if parent == session.pid:
            with contextlib.suppress(OSError):
                found[Path(f"/proc/{number}/comm").read_text().strip()] = number
    return found


def test_whatever_stage_is_killed_is_named_and_the_pipe_goes_on(stack: dict[str, str]) -> None:
    folder = Path(stack["PROOFS_DIR"]) / "watch"
    with watching(stack, "--every=300ms", f"--metrics-file={folder.parent}/watch.prom") as session:
        until(lambda: status(stack).get("rounds", 0) >= 2)
        assert status(stack)["summary"]["healthy"] == len(NAMES)
        for index, name in enumerate(("dm-logs", "dm-services")):
            os.kill(stages(session)[name], signal.SIGKILL)
            until(lambda index=index: status(stack).get("restarts") == index + 1)  # type: ignore[misc]
            assert status(stack)["last_death"].endswith(f"{name} was killed (signal 9)")
            assert len(stages(session)) == 9  # nobody of the pipe before is left
        assert (folder.parent / "watch.prom").stat().st_mode & 0o777 == 0o644
        assert "dm_watch_restarts_total 2" in (folder.parent / "watch.prom").read_text()
        running = stages(session)
        session.terminate()
        out, said = session.communicate(timeout=20)
        assert not set(running.values()) & set(processes())
    assert session.returncode == 143
    assert "stopped_at" in status(stack)
    assert said.split("\n")[0] == "watch: dm-logs was killed (signal 9); the pipe is started again in 1 s"
    assert out.count("Report: ") == 3  # one for each start: nothing changed


def test_a_folder_that_cannot_be_made_ends_it(stack: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with watching(stack | {"PROOFS_DIR": f"{tmp_path}/file"}, "--every=300ms") as session:
        _, said = session.communicate(timeout=20)
    assert (session.returncode, said.count("\n")) == (6, 1) and "cannot write" in said


def test_a_manifest_that_is_wrong_from_the_start_ends_it(stack: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    with watching(stack, "--every=300ms") as session:
        _, said = session.communicate(timeout=20)
    assert session.returncode == 3
    assert 'manifest.json: no list "services"' in said


def test_a_manifest_that_breaks_later_is_told_and_the_last_good_one_goes_on(
    stack: dict[str, str], tmp_path: Path
) -> None:
    with watching(stack, "--every=300ms"):
        until(lambda: status(stack).get("rounds", 0) >= 2)
        (tmp_path / "manifest.json").write_text("{}")
        until(lambda: status(stack)["good"] is False)
        assert 'no list "services"' in status(stack)["errors"][0]
        assert status(stack)["summary"]["healthy"] == len(NAMES)


def test_two_watchers_of_one_folder_and_systemd_and_a_heartbeat(stack: dict[str, str], tmp_path: Path) -> None:
    with serve() as site, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        given = stack | {"NOTIFY_SOCKET": str(tmp_path / "notify"), "DM_HEARTBEAT_URL": site.html("/beat", "x")}
        with watching(given, "--every=300ms"):
            assert manager.recv(1000) == b"READY=1\nWATCHDOG=1\nSTATUS=round 1, open: 0"
            second = subprocess.run([SUPERVISOR, "watch"], env=given, capture_output=True, text=True, timeout=20)
            assert (second.returncode, "another watch is at work" in second.stderr) == (2, True)
            until(lambda: [each for each in site.requests if "/beat" in each])
            until(lambda: status(stack)["rounds"] > 20)  # more than a manager that does not read has room for


# A real engine.


@pytest.mark.parametrize("discover", [False, True])
def test_a_killed_container_is_told_by_its_event(
    box: Box, _lab_up: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], discover: bool
) -> None:
    """The interval is an hour: only the engine's event can have told."""
    container = box(f"watched-{int(discover)}", "sleep", "1000")
    (tmp_path / "manifest.json").write_text(json.dumps({"services": [{"name": container.name}]}))
    given = SEALED | _lab_up | {"PROOFS_DIR": str(tmp_path), "SERVICES_MANIFEST_PATH": str(tmp_path / "manifest.json")}
    given.pop("COMPOSE_PROJECT_NAME", None)
    with watching(given, "--every=1h", *(["--discover"] if discover else []), container.name) as session:
        until(lambda: status(given).get("rounds"))
        assert status(given)["open"] == []
        time.sleep(1)
        container.exec_run(["sh", "-c", "kill -9 -1"])  # by nobody outside: what somebody stops is no incident
        # 1 s on a machine that has nothing else to do (scripts/bench-watch); here other tests run beside
        took = until(lambda: status(given)["open"], 20)
        assert took < 10
        with capsys.disabled():
            sys.stdout.write(f"\n[watch] from the end of a container to its incident, two looks: {took:.1f} s\n")
        assert status(given)["open"][0]["service"] == container.name
        assert status(given)["round"]["because"] == "to be sure"  # the second look
        container.start()
        until(lambda: not status(given)["open"])
        session.terminate()
        out, said = session.communicate(timeout=20)
    assert said == ""
    told_of = [line.split(" ")[3] for line in out.split("\n") if line[:2] == "20"]
    assert told_of == ["OPENED", "RECOVERED"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], ["It changes nothing; with --heal", "first look at 5 services: 5 healthy; nothing is open"]),
        (
            ["--heal", "wbe"],
            ["It does what your policy allows", "no service 'wbe'; there are: app, db, mail, queue, web"],
        ),
    ],
)
def test_at_a_terminal_a_watch_says_what_it_does_and_how_it_ends(
    tmp_path: Path, words: list[str], says: list[str]
) -> None:
    (tmp_path / "engine").mkdir()
    with engine(tmp_path / "engine") as address:
        given = SEALED | {"DOCKER_HOST": address, "PROOFS_DIR": str(tmp_path), "HOME": str(tmp_path)}
        session = pexpect.spawn(
            str(warm.SUPERVISOR),
            ["watch", "--discover", "--every=1h", *words],
            env=given,
            encoding="utf-8",
            timeout=60,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # whoever runs us may ignore it
        )
        session.setwinsize(40, 200)
        chosen = " (wbe)" if words else ""
        session.expect_exact(f"Watching the containers of Docker at {address}{chosen}, every 1h and when one of them")
        session.expect_exact(says[0])
        session.expect_exact("to be told elsewhere: dm docs notify")
        session.expect_exact("Ctrl-C ends it; what it saw last: ")
        session.expect_exact(says[1])
        session.sendintr()
        session.expect(pexpect.EOF)
        session.close()
        assert session.exitstatus == 130
