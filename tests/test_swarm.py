"""Services, tasks and nodes of a Swarm: judged as their manager tells.

Recorded from real swarms (tests/lab/record_swarm.py) on Docker 20.10.24: one node with every kind of trouble, one that
lost a node, one that lost its majority. The last tests make a swarm of their own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from dm_tools import records
from dm_tools.act import state
from dm_tools.act.propose import propose
from dm_tools.collect import swarm
from dm_tools.diagnose.analyze import analyze
from dm_tools.diagnose.facts import facts
from dm_tools.engine import swarming
from dm_tools.engine.connection import Engine
from dm_tools.patterns import reading as library
from dm_tools.records import Analysis, Cause, Role, Status
from tests import engines
from tests.conftest import Run
from tests.conftest import records as lines_of
from tests.lab import record_swarm

DATA = Path(__file__).parent / "data/swarm"
PATTERNS = library.read(None)


class Known:
    """An engine that is not there: what was recorded is all that is asked."""

    host, label, name = None, "unix:///var/run/docker.sock", "unix:///var/run/docker.sock"

    def ask(self, *_: Any, **__: Any) -> dict[str, Any]:
        return {"Name": "here"}


def recorded(name: str, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The records of a recording, as dm-services made them at that moment."""
    told = json.loads((DATA / f"{name}.json").read_text())
    monkeypatch.setattr("dm_tools.pipe.clock.now", lambda: told["now"])
    said = told.get("said", {}).get("message")
    cluster = swarming.Cluster(*(told.get(key, []) for key in ("services", "tasks", "nodes")), said)
    return swarm.found(cast(Engine, Known()), cluster, told["containers"])


def judged(found: list[dict[str, Any]]) -> dict[str, Analysis]:
    return analyze({each["service"]: facts(each, PATTERNS) for each in found}, PATTERNS)


@pytest.mark.parametrize(
    ("name", "status", "pattern", "cause", "actions"),
    [
        ("web", "healthy", None, None, []),
        ("off", "healthy", None, None, []),
        ("everywhere", "healthy", None, None, []),
        ("job", "healthy", None, None, []),
        ("pull", "failed", "swarm.image", "image_missing", ["fix_config"]),
        ("nowhere", "failed", "swarm.constraints", "unschedulable", ["fix_config"]),
        ("big", "failed", "swarm.resources", "unschedulable", ["fix_config"]),
        ("port", "degraded", "swarm.port", "port_conflict", ["fix_config"]),
        ("mount", "failed", "swarm.bind_missing", "resource_missing", ["check_config"]),
        ("command", "failed", "swarm.command", "bad_command", ["fix_config", "force_update"]),
        ("crash", "failed", "swarm.ending", "crash_loop", ["check_logs"]),
        ("once", "failed", "swarm.ending", "crash_loop", ["check_logs"]),
    ],
)
def test_what_a_manager_says(
    monkeypatch: pytest.MonkeyPatch, name: str, status: str, pattern: str | None, cause: str | None, actions: list[str]
) -> None:
    """The containers were not looked at: all that is known comes from the service API."""
    verdict = judged(recorded("one-node", monkeypatch))[name]
    assert (verdict.status, verdict.pattern, verdict.cause) == (status, pattern, cause)
    assert verdict.role == (Role.ROOT if cause else Role.HEALTHY)
    assert [each.action for each in propose(name, verdict, swarm=True)] == actions
    assert all(each.startswith("swarm:") for each in verdict.evidence)


def test_old_tasks_are_no_services(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the update there are four containers of `web`, two of which have ended: one record, of one that runs."""
    found = {each["service"]: each for each in recorded("one-node", monkeypatch)}
    assert sorted(found) == sorted(record_swarm.SERVICES)
    told = json.loads((DATA / "one-node.json").read_text())
    states = {each["Names"][0][1:]: each["State"] for each in told["containers"]}
    assert sorted(state for name, state in states.items() if name.startswith("web.")).count("exited") == 2
    assert states[found["web"]["container"]] == "running"
    assert found["off"]["container"] is found["nowhere"]["container"] is None
    assert states[found["crash"]["container"]] == "exited"  # its log says why


@pytest.mark.parametrize(
    ("state", "task", "cluster", "told"),
    [
        ("running", True, swarming.Cluster([], [], []), True),
        ("exited", True, swarming.Cluster([], [], []), True),
        ("running", True, None, False),  # of a worker: nobody else tells of it
        ("exited", True, None, True),  # another task has taken its place, who knows where
        ("running", True, swarming.Cluster([], [], [], "no leader"), False),
        ("exited", False, None, False),
    ],
)
def test_whose_containers_others_tell_of(state: str, task: bool, cluster: swarming.Cluster | None, told: bool) -> None:
    container = {"Id": "x", "State": state, "Labels": {swarming.TASK: "x"} if task else {}}
    assert swarming.is_told(container, cluster) is told


def test_a_lost_node_is_one_incident(monkeypatch: pytest.MonkeyPatch) -> None:
    found = recorded("node-down", monkeypatch)
    nodes = {each["service"]: each["node"]["state"] for each in found if "node" in each}
    (down,) = [name for name, state in nodes.items() if state == "down"]
    verdicts = judged(found)
    assert {name for name, each in verdicts.items() if each.role == Role.ROOT} == {down}
    assert (verdicts[down].cause, verdicts[down].confidence) == (Cause.HOST_DOWN, "high")
    assert [each.service for each in verdicts[down].symptoms] == ["nowhere", "web"]  # of web one task is on its way


def test_a_swarm_without_a_majority(monkeypatch: pytest.MonkeyPatch) -> None:
    (node,) = recorded("leaderless", monkeypatch)
    verdict = judged([node])["node/here"]
    assert (verdict.cause, verdict.pattern) == (Cause.QUORUM_LOST, "swarm.leaderless")
    told = json.loads((DATA / "leaderless.json").read_text())
    cluster = swarming.Cluster([], [], [], told["said"]["message"])
    running = [each for each in told["containers"] if each["State"] == "running"]
    assert running and not any(swarming.is_told(each, cluster) for each in running)  # they are looked at by themselves


@pytest.mark.parametrize("command", ["dm-probe", "dm-inspect", "dm-logs", "dm-stats"])
def test_where_there_is_no_container_none_is_missed(run: Run, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    found = [each for each in recorded("one-node", monkeypatch) if each["container"] is None]
    found += [each for each in recorded("node-down", monkeypatch) if "node" in each]
    done = run(command, "\n".join(map(json.dumps, found)), DOCKER_HOST="unix:///nonexistent")
    assert done.returncode == 0
    assert sorted(map(str, lines_of(done.stdout))) == sorted(map(str, found))


@pytest.mark.parametrize(
    ("action", "instead"),
    [
        ("restart", "force_update"),
        ("recreate", "force_update"),
        ("scale_up", "fix_config"),
        ("check_logs", "check_logs"),
    ],
)
def test_no_action_on_a_container_is_proposed(action: str, instead: str) -> None:
    verdict = Analysis(
        **dict.fromkeys(("root", "severity", "hypothesis")),
        **{each: [] for each in ("evidence", "findings", "symptoms", "peers", "looked_at")},
        **{"engine": "rules", "status": Status.FAILED, "role": Role.ROOT, "cause": Cause.OOM_KILLED},
        confidence=records.Confidence.HIGH,
        fixes=[records.Fix(records.ActionName(action), records.Confidence.HIGH, "x", {"resource": "memory"})],
    )
    (proposal,) = propose("web", verdict, swarm=True)
    assert proposal.action == instead
    assert not proposal.automatic or proposal.risk == records.Risk.READ_ONLY


# A real swarm


@pytest.fixture(scope="module")
def cluster(_engine_up: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A manager with services in trouble; on an engine of its own, since a swarm changes its engine."""
    folder = tmp_path_factory.mktemp("swarm") / "e"
    with engines.engine(folder) as client:
        record_swarm.init(client)
        record_swarm.create(client, ("web", "off", "pull", "nowhere", "big", "crash"))
        until = record_swarm.until
        until(lambda: record_swarm.running(client, "web", 2))
        web = client.services.list(filters={"name": "web"})[0]
        web.update(env=["VERSION=2"], force_update=True)
        until(lambda: len(web.tasks()) == 4 and record_swarm.running(client, "web", 2))
        until(lambda: len([each for each in record_swarm.errors(client, "crash") if "exit (3)" in each]) >= 2)
        until(lambda: any("No such image" in each for each in record_swarm.errors(client, "pull")))
        yield client, f"unix://{folder}/docker.sock"


PIPE = "dm-services --discover | dm-probe | dm-inspect | dm-logs | dm-analyze | dm-propose"


def test_a_real_swarm(run: Run, cluster: tuple[Any, str]) -> None:
    done = run(PIPE, DOCKER_HOST=cluster[1])
    assert done.returncode == 0, done.stderr
    found = {each["service"]: each for each in lines_of(done.stdout)}
    shown = {name: (each["analysis"]["role"], each["analysis"]["pattern"]) for name, each in found.items()}
    assert shown == {
        "web": ("healthy", None),
        "off": ("healthy", None),
        "pull": ("root", "swarm.image"),
        "nowhere": ("root", "swarm.constraints"),
        "big": ("root", "swarm.resources"),
        "crash": ("root", found["crash"]["analysis"]["pattern"]),
    }
    assert "no such table: orders" in json.dumps(found["crash"]["logs"])
    actions = {each["action"] for record in found.values() for each in record["proposals"]}
    assert actions <= {"check_logs", "check_config", "fix_config", "force_update"}


def test_nothing_is_done_to_a_task(cluster: tuple[Any, str]) -> None:
    """What dm-execute asks before anything; tests/test_execute.py sees it refuse."""
    client, _ = cluster
    name = next(each["Names"][0][1:] for each in client.api.containers() if "/web." in each["Names"][0])
    said = state.opted_out(client.api.inspect_container(name), "restart")
    assert "only the swarm may act on it" in str(said)
