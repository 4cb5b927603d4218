"""A stack that looks after itself: the session heal, and the watch that heals, tells once, and survives any kill."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from dm_tools.diagnose import silences
from dm_tools.records import ActionName, ApprovedAction, Confidence, Execution, Outcome, Phase, Silence
from dm_tools.store.journal import Journal
from dm_tools.watch.healing import FIRST_PAUSE, MOST_PAUSE, Healer, Plan
from tests import approving
from tests import lab as fault_lab
from tests.conftest import SEALED, Box, Run, records
from tests.test_deaths import NAMES, engine, processes
from tests.test_sessions import manifest, supervisor
from tests.test_watch import stages, status, until, watching

# Pure: when a pass is worth it.


def incident(name: str = "i1", newest: str = "db unreachable") -> dict[str, Any]:
    """One that is open, as a marker has it."""
    return {"id": name, "newest": newest, "service": "db"}


def test_a_pass_begins_at_once_for_what_is_new_and_then_rarely() -> None:
    plan, now = Plan(), 1000.0
    assert not plan.wanted([], now)
    assert plan.wanted([incident()], now)
    pauses = []
    for _ in range(9):
        plan.began([incident()])
        plan.ended(now, 10)
        begun = now
        while not plan.wanted([incident()], now):
            now += 10
        pauses.append(now - begun)
    assert pauses[:4] == [60, 120, 240, 480] and pauses[-1] == MOST_PAUSE
    plan.began([incident()])
    plan.ended(now, 10)
    assert not plan.wanted([incident()], now)
    assert plan.wanted([incident(newest="db exited start")], now)  # another cause: something else may help
    assert plan.wanted([incident(), incident("i2")], now)
    plan.began([incident(newest="db exited start")])
    plan.ended(now, 10)
    assert not plan.wanted([incident()], now)  # what comes and goes makes no storm
    assert not plan.wanted([], now) and plan.pause == FIRST_PAUSE


@pytest.mark.parametrize("status", [3, 4, 6, -9, 127])
def test_a_pass_that_did_not_come_to_its_end_is_begun_again_soon(status: int) -> None:
    plan, now, pauses = Plan(), 1000.0, []
    for _ in range(3):
        plan.began([incident()])
        plan.ended(now, status)
        pauses.append(plan.next - now)
    assert pauses == [5, 10, 20]
    plan.began([incident()])
    plan.ended(now, 10)
    assert plan.next - now == FIRST_PAUSE


def test_a_session_that_heals_runs_beside_the_rounds_and_one_at_a_time(tmp_path: Path) -> None:
    script = f"echo pass >> {tmp_path}/passes; while [ ! -e {tmp_path}/go ]; do sleep 0.02; done; exit 10"
    healer = Healer(("/bin/sh", "-c", script))
    assert healer.look([]) is None
    assert healer.look([incident()]) == "begun because of db"
    until(lambda: (tmp_path / "passes").exists())
    assert healer.look([incident(), incident("i2")]) is None  # it is under way
    (tmp_path / "go").touch()
    said: list[str] = []
    until(lambda: said.append(healer.look([incident()]) or "") or said[-1])
    assert said[-1].endswith(": not all is well")
    assert healer.look([incident()]) is None  # it has just been tried
    (tmp_path / "go").unlink()
    assert healer.look([incident("i3")]) == "begun because of db"
    until(lambda: (tmp_path / "passes").read_text() == "pass\npass\n")
    healer.end()
    assert not [pid for pid, (parent, _) in processes().items() if parent == os.getpid() and "passes" in _command(pid)]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


# Whoever silenced a service works on it.


@pytest.mark.parametrize(
    ("silence", "silent"),
    [
        ({"service": "app"}, True),
        ({"service": "db"}, False),
        ({"project": "shop"}, True),
        ({"label": "dm-tools.tier"}, False),
        ({"incident": "f1" * 6 + "-4"}, True),
        ({"incident": "f2" * 6 + "-4"}, False),
        ({"incident": "f1" * 32}, True),
    ],
)
def test_what_is_silenced_is_for_a_person(silence: dict[str, str], silent: bool) -> None:
    quiet = [Silence(id="1", at="", why="new disk", **silence)]
    known = approving.Known(approving.policy(approving.allow()), [], [], approving.NOW, quiet=quiet)
    ((_, found),) = approving.decide([approving.subject(fingerprint="f1" * 32)], known)
    assert found.ruling == ("person" if silent else "approved")
    assert ("it is silenced: new disk" in found.reason) is silent


def test_a_project_that_is_not_known_may_be_the_silenced_one() -> None:
    silence = Silence(id="1", at="", project="shop")
    assert silences.covers(silence, ("app", None, ""), (), {})
    assert not silences.covers(silence, ("app", "bank", ""), (), {})


# The session, without containers.


def closed_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_one_pass_tells_like_cron_and_changes_nothing_without_a_policy(tmp_path: Path) -> None:
    port = closed_port()
    environment = manifest(tmp_path, {"name": "shop", "external": [f"tcp://127.0.0.1:{port}"]})
    first = supervisor(tmp_path, "heal", "--no-screenshots", environment=environment)
    assert (first.returncode, first.stdout.split(":")[0]) == (10, "OPENED shop")
    again = supervisor(tmp_path, "heal", "--no-screenshots", environment=environment)
    assert (again.returncode, again.stdout) == (10, "")
    assert not list(tmp_path.glob("approved_fixes_*")) and not (tmp_path / "journal").exists()
    with socket.create_server(("127.0.0.1", port)):
        over = supervisor(tmp_path, "heal", "--no-screenshots", environment=environment)
    assert (over.returncode, over.stdout.split(":")[0]) == (5, "RECOVERED shop")  # there is no Docker here


def test_a_broken_policy_is_said_and_what_is_new_is_told_all_the_same(tmp_path: Path) -> None:
    environment = manifest(tmp_path, {"name": "shop", "external": [f"tcp://127.0.0.1:{closed_port()}"]})
    (tmp_path / "policy.toml").write_text("version = 2\n")
    environment["DM_POLICY"] = str(tmp_path / "policy.toml")
    done = supervisor(tmp_path, "heal", "--no-screenshots", environment=environment)
    assert done.returncode == 2 and "nothing is approved" in done.stderr
    assert done.stdout.startswith("OPENED shop: ")


@pytest.mark.parametrize(("phases", "resumed"), [("intent step", True), ("intent step outcome", False)])
def test_only_what_was_cut_off_is_ended_first(tmp_path: Path, phases: str, resumed: bool) -> None:
    environment = manifest(tmp_path, {"name": "shop", "external": [f"tcp://127.0.0.1:{closed_port()}"]})
    action = ApprovedAction("1", "app", ActionName.RESTART, Confidence.HIGH, "a test", {})
    for phase in phases.split():
        begun = action if phase == "intent" else None
        Journal(tmp_path).add("1", Phase(phase), begun, None if phase == "step" else Execution("1", Outcome.DONE))
    assert supervisor(tmp_path, "heal", "--no-screenshots", environment=environment).returncode == 10
    assert (tmp_path / "journal" / "resumed.jsonl").exists() is resumed


def test_one_heals_at_a_time(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    done = supervisor(tmp_path, "heal")
    os.close(descriptor)
    assert (done.returncode, "another heal is at work" in done.stderr) == (6, True)


# The watch: told once, whatever is killed.


@pytest.fixture
def stack(tmp_path: Path, hears: Any) -> Iterator[dict[str, Any]]:
    """A small stack of which one service can be broken, and somebody who is told."""
    with engine(tmp_path) as address:
        port, hook = closed_port(), hears()
        services = [{"name": name, "external": [f"tcp://127.0.0.1:{port}"]} for name in NAMES[:1]]
        (tmp_path / "manifest.json").write_text(json.dumps({"services": services}))
        (tmp_path / "notify.toml").write_text(f'[target.hook]\nwebhook = "{hook.url}"\n')
        given = {"SERVICES_MANIFEST_PATH": str(tmp_path / "manifest.json"), "PROOFS_DIR": str(tmp_path / "proofs")}
        given |= {"DOCKER_HOST": address, "DM_NOTIFY": str(tmp_path / "notify.toml")}
        yield {"variables": SEALED | given, "port": port, "hook": hook}


def test_killed_anywhere_it_tells_each_event_once(stack: dict[str, Any]) -> None:
    variables, hook = stack["variables"], stack["hook"]

    def kinds() -> list[str]:
        return [event["kind"] for body in hook.bodies() for event in body["events"]]

    with socket.create_server(("127.0.0.1", stack["port"])), watching(variables, "--every=300ms") as session:
        until(lambda: status(variables).get("rounds", 0) >= 2)
    with watching(variables, "--every=300ms") as session:
        until(lambda: kinds() == ["opened"])
        for name in ("dm-incidents", "dm-notify"):
            before = status(variables)["restarts"]
            os.kill(stages(session)[name], signal.SIGKILL)
            until(lambda before=before: status(variables)["restarts"] > before)  # type: ignore[misc]
        orphans = stages(session).values()
        os.kill(session.pid, signal.SIGKILL)
        until(lambda: not set(orphans) & set(processes()))  # nobody goes on without the watcher
    with socket.create_server(("127.0.0.1", stack["port"])), watching(variables, "--every=300ms"):
        until(lambda: len(kinds()) > 1)
        time.sleep(1)
    assert kinds() == ["opened", "recovered"]


def test_events_and_records_are_passed_on_in_their_place(run: Run, tmp_path: Path) -> None:
    empty: dict[str, Any] = {key: [] for key in ("evidence", "findings", "symptoms", "peers", "looked_at")}
    down = {"engine": "rules", "role": "root", "status": "failed", "cause": "exited", "root": None}
    down |= {"severity": "critical", "confidence": "high", "hypothesis": "it ended"} | empty
    marker = {"v": 1, "round": {"number": 1, "at": "2024-11-28T13:20:00Z", "services": 1}}
    lines = "".join(json.dumps(each) + "\n" for each in ({"service": "db", "analysis": down}, marker) * 2)
    (tmp_path / "notify.toml").write_text('[target.hook]\nwebhook = "http://127.0.0.1:1/"\n')
    line = "dm-report --pass-on --kept-round kept.jsonl | dm-incidents | dm-notify --config notify.toml --pass-on"
    found = records(run(line, lines, PROOFS_DIR="p").stdout)
    assert [each["outcome"] for each in found if "outcome" in each] == ["failed"]  # nobody is there
    begun, opened, ended = (each for each in found if "outcome" not in each)
    assert (begun["incidents"], opened["kind"]) == ({"open": [], "undecided": True, "events": 0}, "opened")
    assert ended["incidents"]["open"][0]["service"] == "db" and ended["report_path"].startswith("p/")
    assert [each["service"] for each in records((tmp_path / "kept.jsonl").read_text())] == ["db"]


ONCE = "[ -e /tmp/again ] && exec sleep 600; touch /tmp/again"


def test_a_start_is_not_taken_back_because_something_else_fails_now(box: Box, _engine_up: str, tmp_path: Path) -> None:
    container, journal = box("again", "sh", "-c", ONCE), tmp_path / "journal" / "actions.jsonl"
    until(lambda: container.reload() or container.status == "exited", PATIENCE)
    (tmp_path / "policy.toml").write_text(POLICY + 'confidence = "medium"\n')
    other = socket.create_server(("127.0.0.1", 0))

    def fail() -> None:
        until(lambda: journal.exists() and '"outcome"' in journal.read_text(), PATIENCE)
        other.close()

    again: dict[str, object] = {"name": "dmtest-again", "internal": ["tcp://dmtest-again:80"]}
    named: dict[str, object] = {"name": "other", "external": [f"tcp://127.0.0.1:{other.getsockname()[1]}"]}
    environment = manifest(tmp_path, again, named) | {"DOCKER_HOST": _engine_up}
    environment |= {"DM_POLICY": str(tmp_path / "policy.toml"), "HEAL_SOAK": "1", "HEAL_DEADLINE": "1"}
    threading.Thread(target=fail, daemon=True).start()
    assert supervisor(tmp_path, "heal", "--no-screenshots", environment=environment).returncode == 10
    newest = sorted((tmp_path / "runs").iterdir())[-1]
    assert [each["verification"]["proof"] for each in records((newest / "verify.jsonl").read_text())] == ["worse"]
    container.reload()
    assert (container.status, '"undoing"' in journal.read_text()) == ("running", False)


# A real database, broken by hand, twice.

POLICY = """version = 1
[[rule]]
name = "start-what-ended"
effect = "allow"
actions = ["start"]
causes = ["exited", "stopped"]
"""


PATIENCE = 300.0  # seconds; the machine may do ten other things


@contextmanager
def mended(proofs: Path) -> Iterator[None]:
    """If what is in it fails, the shop is made healthy all the same: others need it. What was kept is printed."""
    try:
        yield
    except BaseException:
        sys.stdout.write(f"{kept_of(proofs)}\n")
        fault_lab.clear()
        raise


def kept_of(proofs: Path) -> str:
    """What tells why nothing came of it: the watch's status and messages, the events, the journal, the last runs."""
    runs = sorted((proofs / "runs").glob("*"))[-4:]
    names = [proofs / "watch" / "status.json", *sorted((proofs / "watch").glob("*.err"))]
    names += [proofs / "incidents" / "rounds.jsonl", proofs / "journal" / "actions.jsonl"]
    names += [path for run in runs for path in sorted(run.glob("*")) if path.suffix in (".err", ".txt", ".status")]
    names += [run / name for run in runs for name in ("approve.jsonl", "execute.jsonl", "verify.jsonl")]
    found = []
    for path in names:
        if path.exists() and (text := path.read_text().strip()):
            found.append(f"--- {path.relative_to(proofs)}\n{text[-3000:]}")
    return "\n".join(found)


def broken() -> float:
    """The shop's database ended by a signal; when. A busy engine may lose the signal: it is sent until it has come."""
    with closing(fault_lab.engine.connect(fault_lab.environment()["DOCKER_HOST"])) as client:
        database = fault_lab.containers.Shop(client).container("postgres")

        def ended() -> bool:
            database.reload()
            if database.status == "running":
                database.exec_run(["kill", "-QUIT", "1"])
                database.reload()
            return database.status != "running"

        until(ended, PATIENCE)
    return time.monotonic()


def test_it_heals_proves_and_tells_once_and_the_second_time_it_knows_what_helped(
    shop: dict[str, str], tmp_path: Path, hears: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    hook = hears()
    (tmp_path / "policy.toml").write_text(POLICY)
    (tmp_path / "notify.toml").write_text(f'[target.hook]\nwebhook = "{hook.url}"\n')
    variables = SEALED | shop | {"PROOFS_DIR": str(tmp_path / "p"), "HEAL_SOAK": "2"}
    variables |= {"DM_POLICY": str(tmp_path / "policy.toml"), "DM_NOTIFY": str(tmp_path / "notify.toml")}

    def events(kind: str) -> list[dict[str, Any]]:
        return [event for body in hook.bodies() for event in body["events"] if event["kind"] == kind]

    with mended(Path(variables["PROOFS_DIR"])), watching(variables, "--heal", "--every=10s") as session:
        until(lambda: status(variables).get("rounds"), PATIENCE)
        took = []
        for times in (1, 2):
            begun = broken()
            until(lambda times=times: len(events("recovered")) == times, PATIENCE)  # type: ignore[misc]
            took.append(time.monotonic() - begun)
            until(lambda: "ended after" in status(variables).get("healing", ""), PATIENCE)
            until(lambda: status(variables)["summary"]["healthy"] == 5, PATIENCE)
        session.terminate()
        out, said = session.communicate(timeout=60)
    with capsys.disabled():
        sys.stdout.write(f"\n[heal] from the fault to the proof: {', '.join(f'{each:.1f} s' for each in took)}\n")
    assert "internal error" not in said
    assert len(events("opened")) == len(events("recovered")) == 2
    assert events("healing_failed") == events("gap") == []
    for each in events("recovered"):
        assert each["service"] == "postgres"
        assert [words.split(":")[0] for words in each["done"]] == ["start", "looked again"]
        assert "recovered" in each["done"][-1]
    first, second = events("opened")
    assert first["before"] is None
    # On a busy machine the first looks of an occasion may see another cause.
    again = [each for each in [second, *events("changed")] if each["incident"] == second["incident"]]
    assert "start helped 1 of 1, proved" in " ".join(each["before"] or "" for each in again)
    assert out.count("HEALING begun") >= 2
