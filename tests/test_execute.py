"""Approved actions on a real engine: done, refused, taken back, cut off by kill -9, and never at the cost of data."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker.errors
import msgspec
import pytest

from dm_tools.act import past, plan, prepare, state, work
from dm_tools.records import ApprovedAction, Execution, Identity, Outcome, Phase
from dm_tools.store import files, journal
from tests import acting
from tests.acting import Bench
from tests.conftest import COLD, SEALED, Run, records


@pytest.fixture
def bench(_engine_up: str, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(_engine_up, tmp_path)
    yield made
    made.close()


def only(done: list[Execution]) -> Execution:
    (one,) = done
    return one


# What each action does, and how it is taken back


def set_the_stage(bench: Bench, action: str) -> dict[str, str]:
    """A container that needs the action; the action's parameters."""
    if action == "reconnect_network":
        network = bench.network("net")
        container = bench.make("box", network=network, labels={"com.docker.compose.service": "box"})
        bench.client.api.disconnect_container_from_network(container.id, network)
        return {}
    if action == "scale_up":
        bench.make("box", mem_limit="32m", memswap_limit="48m", nano_cpus=500_000_000, pids_limit=20)
        return {"resource": "memory"}
    container = bench.make("box")
    if action == "start":
        container.stop(timeout=1)
    elif action == "unpause":
        container.pause()
    return {}


REVERSIBLE = ("start", "unpause", "reconnect_network", "scale_up", "recreate")


@pytest.mark.parametrize("action", REVERSIBLE)
def test_an_action_is_done_once_and_taken_back(bench: Bench, action: str) -> None:
    approved = bench.approved("box", action, **set_the_stage(bench, action))
    before = bench.now("box")
    planned = only(bench.do(approved, only_plan=True))
    assert (planned.status, planned.undo is None) == (Outcome.PLANNED, False)
    assert bench.now("box") == before, "a plan changes nothing"
    assert acting.entries(bench) == []

    done = only(bench.do(approved))
    assert (done.status, done.reason) == (Outcome.DONE, None)
    assert done.steps == planned.steps
    assert bench.now("box").state == "running"
    assert done.before == before
    assert only(bench.do(approved)).status == Outcome.ALREADY_DONE

    undone = bench.undo()
    assert (undone.status, undone.reason) == (Outcome.UNDONE, None)
    assert state.difference(before, bench.now("box")) is None
    assert bench.now("box").container_id == before.container_id
    assert bench.orphans() == []
    with pytest.raises(LookupError, match="no action that could be taken back"):
        bench.undo()


@pytest.mark.parametrize(
    ("resource", "before", "after"),
    [
        ("memory", (32 << 20, 48 << 20), (64 << 20, 80 << 20)),
        ("cpus", 500_000_000, 1_000_000_000),
        ("pids", 20, 40),
    ],
)
def test_a_limit_is_raised_to_twice_its_value(bench: Bench, resource: str, before: Any, after: Any) -> None:
    def limits() -> Any:
        now = bench.now("box")
        found = {"memory": (now.memory_bytes, now.memory_swap_bytes), "cpus": now.nano_cpus, "pids": now.pids}
        return found[resource]

    set_the_stage(bench, "scale_up")
    assert limits() == before
    assert only(bench.do(bench.approved("box", "scale_up", resource=resource))).status == Outcome.DONE
    assert limits() == after
    assert bench.undo().status == Outcome.UNDONE
    assert limits() == before


def test_a_limit_that_a_person_names(bench: Bench) -> None:
    set_the_stage(bench, "scale_up")
    assert only(bench.do(bench.approved("box", "scale_up", resource="memory", limit="40m"))).status == Outcome.DONE
    assert bench.now("box").memory_bytes == 40 << 20
    refused = only(bench.do(bench.approved("box", "scale_up", resource="memory", limit="lots")))
    assert refused.status == Outcome.REFUSED


def test_a_container_that_needs_eight_times_its_memory_to_run_gets_it(bench: Bench) -> None:
    hungry = "import time; kept = bytearray(b'x') * (90 << 20); time.sleep(600)"
    limits = {"mem_limit": "16m", "memswap_limit": "16m", "stop_signal": "KILL"}
    bench.make("box", "python3", "-I", "-S", "-c", hungry, restart_policy={"Name": "always"}, **limits)
    while bench.raw("box")["RestartCount"] < 2:
        time.sleep(0.05)
    done = only(bench.do(bench.approved("box", "scale_up", resource="memory"), deadline=20))
    assert (done.status, done.reason) == (Outcome.DONE, None)
    assert bench.now("box").memory_bytes == 128 << 20
    assert bench.undo().status in (Outcome.UNDONE, Outcome.FAILED)  # it is killed again, and that is how it was
    assert bench.now("box").memory_bytes == 16 << 20


def insatiable(bench: Bench) -> ApprovedAction:
    bench.make(
        "box",
        "python3",
        "-I",
        "-S",
        "-c",
        "kept = bytearray(b'x') * (300 << 20)",
        mem_limit="16m",
        memswap_limit="16m",
        restart_policy={"Name": "always"},
    )
    while bench.raw("box")["RestartCount"] < 2:
        time.sleep(0.05)
    return bench.approved("box", "scale_up", resource="memory")


def test_a_limit_that_does_not_help_is_set_back(bench: Bench) -> None:
    failed = only(bench.do(insatiable(bench), deadline=4))
    assert failed.status == Outcome.FAILED
    assert failed.steps[-1] == "set the limit of memory back to 16 MiB"
    assert [each for each in failed.steps if each.endswith("to 128 MiB")]
    assert bench.now("box").memory_bytes == 16 << 20


def test_killed_while_a_limit_was_raised_step_by_step_it_is_set_back(bench: Bench) -> None:
    assert bench.killed(5, insatiable(bench))
    assert bench.now("box").memory_bytes > 16 << 20
    (ended,) = work_resume(bench)
    assert ended.status == Outcome.FAILED
    assert bench.now("box").memory_bytes == 16 << 20


def work_resume(bench: Bench) -> list[Execution]:
    executor = bench.executor(deadline=4)
    return [acting.execution(each) for each in work.resume(executor, bench.stories())]


def test_interrupted_it_is_put_back_at_once(bench: Bench, tmp_path: Path) -> None:
    slow = "trap 'sleep 1; exit 0' TERM; while :; do sleep 0.1; done"
    bench.make("box", "sh", "-c", slow)
    before = bench.now("box")
    line = msgspec.json.encode(bench.approved("box", "recreate"))
    variables = SEALED | COLD | {"DOCKER_HOST": bench.host, "PROOFS_DIR": str(tmp_path / "own")}
    with subprocess.Popen(
        ["dm-execute"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=variables,
        # a shell ignores it for what it starts in the background, and so would all that comes after
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdin is not None
        process.stdin.write(line)
        process.stdin.close()
        path = tmp_path / "own" / "journal" / "actions.jsonl"
        while not path.exists() or b'"step"' not in path.read_bytes():
            time.sleep(0.02)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert state.difference(before, bench.now("box")) is None
    assert len(bench.all()) == 1
    ended = journal.Journal(tmp_path / "own").entries()[-1]
    assert (ended.phase, ended.execution and ended.execution.reason) == (
        Phase.OUTCOME,
        "it was interrupted: everything is as it was before",
    )


@pytest.mark.parametrize("removes_itself", [False, True])
def test_a_limit_that_the_program_has_outgrown_is_taken_back_by_a_stop(bench: Bench, removes_itself: bool) -> None:
    grows = (
        "import os, time\nwhile not os.path.exists('/grow'): time.sleep(0.05)\n"
        "os.remove('/grow'); kept = bytearray(b'x') * (60 << 20); open('/grown', 'w'); time.sleep(600)"
    )
    limits = {"mem_limit": "48m", "memswap_limit": "48m"}
    box = bench.make("box", "python3", "-c", grows, stop_signal="KILL", auto_remove=removes_itself, **limits)
    assert only(bench.do(bench.approved("box", "scale_up", resource="memory"))).status == Outcome.DONE
    acting.put(box, "/grow", b"")
    while box.exec_run(["test", "-e", "/grown"]).exit_code:
        time.sleep(0.05)
    started = bench.now("box").started_at
    undone = bench.undo()
    if removes_itself:  # with its unnamed volumes: it is left running
        assert (undone.status, "keeps the new limit" in str(undone.reason)) == (Outcome.FAILED, True)
        assert bench.now("box").started_at == started
        return
    assert (undone.status, undone.reason) == (Outcome.UNDONE, None)
    assert bench.now("box").memory_bytes == 48 << 20
    assert bench.now("box").started_at != started


@pytest.mark.parametrize("action", ["start", "reconnect_network"])
def test_one_that_removes_itself_is_never_stopped(bench: Bench, action: str) -> None:
    network = bench.network("net")
    bench.make("box", started=False, auto_remove=True, network=network)
    if action == "reconnect_network":
        bench.client.api.disconnect_container_from_network(bench.name("box"), network)
    done = only(bench.do(bench.approved("box", action)))
    assert (done.status, done.undo is None) == (Outcome.DONE, action == "start")
    undone = bench.undo()
    assert undone.status == (Outcome.REFUSED if action == "start" else Outcome.UNDONE)
    assert bench.now("box").state == "running"


def test_a_restart_starts_who_shares_the_network_anew(bench: Bench) -> None:
    bench.make("box")
    bench.make("sidecar", network_mode=f"container:{bench.name('box')}")
    done = only(bench.do(bench.approved("box", "restart")))
    assert done.status == Outcome.DONE
    assert done.undo is None
    assert "sidecar" in done.steps[1]
    assert bench.now("sidecar").started_at > bench.now("box").started_at  # type: ignore[operator]


def test_who_shares_the_network_of_one_made_anew_is_made_anew_and_taken_back_with_it(bench: Bench) -> None:
    network = bench.network("net")
    bench.make("box", network=network)
    bench.make("sidecar", network_mode=f"container:{bench.name('box')}")
    before = bench.now("box"), bench.now("sidecar")
    done = only(bench.do(bench.approved("box", "recreate")))
    assert done.status == Outcome.DONE
    mode = bench.raw("sidecar")["HostConfig"]["NetworkMode"]
    assert mode == f"container:{bench.raw('box')['Id']}"
    seen = bench.client.api.exec_create(bench.name("sidecar"), ["sh", "-c", "ip a || cat /proc/net/dev"])
    assert b"eth0" in bench.client.api.exec_start(seen["Id"])
    assert len(bench.all()) == 4
    assert bench.undo().status == Outcome.UNDONE
    assert (bench.now("box").container_id, bench.now("sidecar").container_id) == tuple(x.container_id for x in before)
    assert bench.now("sidecar").state == "running"
    assert len(bench.all()) == 2


def test_who_shares_processes_or_memory_does_not_stay_behind(bench: Bench) -> None:
    """Who shares the processes of a container ends with it; who shares its memory cannot be started any more."""
    bench.make("box", ipc_mode="shareable")
    bench.make("memory", ipc_mode=f"container:{bench.name('box')}")
    bench.make("processes", pid_mode=f"container:{bench.name('box')}")
    bench.make("deep", pid_mode=f"container:{bench.name('processes')}")
    names = ("box", "memory", "processes", "deep")
    restarted = only(bench.do(bench.approved("box", "restart")))
    assert (restarted.status, len(restarted.steps)) == (Outcome.DONE, 4)
    before = {name: bench.now(name) for name in names}
    assert {each.state for each in before.values()} == {"running"}
    done = only(bench.do(bench.approved("box", "recreate")))
    assert (done.status, len(done.others)) == (Outcome.DONE, 3)
    assert bench.raw("deep")["HostConfig"]["PidMode"] == f"container:{bench.raw('processes')['Id']}"
    assert {bench.now(name).state for name in names} == {"running"}
    assert all(bench.now(name).digest == before[name].digest for name in names)
    assert bench.undo().status == Outcome.UNDONE
    assert {name: bench.now(name).container_id for name in names} == {
        name: each.container_id for name, each in before.items()
    }
    assert {bench.now(name).state for name in names} == {"running"}


def test_made_anew_it_has_its_data_names_address_and_limits(bench: Bench) -> None:
    first = bench.name("net")
    bench.networks.append(first)
    pool = docker.types.IPAMPool(subnet="198.18.241.0/24")
    bench.client.networks.create(first, ipam=docker.types.IPAMConfig(pool_configs=[pool]), labels={"dm-tools.lab": "1"})
    second = bench.network("other")
    container = bench.with_data("box", network=first)
    api = bench.client.api
    api.disconnect_container_from_network(container.id, first)
    api.connect_container_to_network(container.id, first, aliases=["db"], ipv4_address="198.18.241.77")
    api.connect_container_to_network(container.id, second, aliases=["also"])
    whole, before = acting.data(bench, "box"), bench.now("box")

    done = only(bench.do(bench.approved("box", "recreate")))
    assert (done.status, done.reason) == (Outcome.DONE, None)
    after = bench.now("box")
    assert after.container_id != before.container_id
    assert (after.digest, after.networks, after.image_id) == (before.digest, before.networks, before.image_id)
    assert (after.restart_policy, after.restart_retries) == ("on-failure", 7)
    assert acting.data(bench, "box") == whole
    kept = bench.client.api.inspect_container(done.kept)
    assert (kept["State"]["Running"], kept["HostConfig"]["RestartPolicy"]["Name"]) == (False, "no")
    assert bench.settle(done.id).status == Outcome.DONE
    assert len(bench.all()) == 1
    assert acting.data(bench, "box") == whole, "the volumes stay when the kept container is let go"
    with pytest.raises(LookupError):
        bench.undo("nobody")
    assert (bench.undo(done.id).status, bench.settle(done.id).status) == (Outcome.REFUSED, Outcome.DONE)


MIGRATED = 'Successfully applied 2 migrations to schema "public", now at version v42'


def test_the_image_that_ran_before_comes_back_with_what_the_container_has_of_its_own(bench: Bench) -> None:
    """As Compose builds: the newer image takes the name, the older one has none left."""
    compose = {"com.docker.compose.project": bench.run_id, "com.docker.compose.service": "app"}
    changes = [f"LABEL {key}={value}" for key, value in compose.items()]
    base, name = bench.make("base"), f"dmtest-{bench.run_id}"
    images = []
    try:
        for version in ("old", "new"):
            images.append(str(base.commit(name, "latest", changes=[*changes, f"ENV VERSION={version}"]).id))
        bench.make("box", image=f"{name}:latest", labels=compose, environment={"OWN": "kept"})
        assert "VERSION=new" in bench.raw("box")["Config"]["Env"]
        done = only(bench.do(bench.approved("box", "rollback_image")))
        assert (done.status, done.reason) == (Outcome.DONE, None)
        assert bench.raw("box")["Image"] == images[0]
        assert {"VERSION=old", "OWN=kept"} <= set(bench.raw("box")["Config"]["Env"])
        assert bench.undo().status == Outcome.UNDONE
        assert bench.raw("box")["Image"] == images[1]
        named = only(bench.do(bench.approved("box", "rollback_image", image=images[0])))
        assert named.status == Outcome.DONE
        assert bench.undo().status == Outcome.UNDONE
        bench.client.api.exec_start(
            bench.client.api.exec_create(bench.name("box"), ["sh", "-c", f"echo '{MIGRATED}' >/proc/1/fd/1"])["Id"]
        )
        for asked in ({}, {"image": images[0]}):
            refused = only(bench.do(bench.approved("box", "rollback_image", **asked)))
            assert (refused.status, MIGRATED in str(refused.reason)) == (Outcome.REFUSED, True)
        assert bench.raw("box")["Image"] == images[1]
        missing = only(bench.do(bench.approved("box", "rollback_image", image="nobody/nothing:1")))
        assert (missing.status, missing.reason) == (
            Outcome.REFUSED,
            "there is no image nobody/nothing:1 on this machine: pull it first",
        )
    finally:
        bench.close()
        for image in images:
            bench.client.images.remove(image, force=True)


def test_where_the_data_are_newer_than_the_program_a_newer_image_is_no_way_back_and_is_taken(bench: Bench) -> None:
    says = f'echo "Can\'t handle RDB format version 12"; {acting.TRAPPING}'
    bench.make("box", "sh", "-c", says)
    image = bench.client.containers.get(bench.name("box")).commit(f"dmtest-{bench.run_id}", "newer")
    try:
        done = only(bench.do(bench.approved("box", "rollback_image", image=str(image.id))))
        assert (done.status, done.reason) == (Outcome.DONE, None)
        assert bench.raw("box")["Image"] == image.id
    finally:
        bench.close()
        bench.client.images.remove(str(image.id), force=True)


def test_there_is_no_image_to_go_back_to(bench: Bench) -> None:
    bench.make("box")
    refused = only(bench.do(bench.approved("box", "rollback_image")))
    assert refused.status == Outcome.REFUSED
    assert "is not on this machine" in str(refused.reason)


def test_of_two_networks_it_comes_back_to_the_one_where_those_are_that_it_needs(bench: Bench) -> None:
    first, second = bench.network("front"), bench.network("back")

    def labels(service: str, needs: str = "") -> dict[str, str]:
        names = {"project": bench.run_id, "service": service, "depends_on": needs}
        return {f"com.docker.compose.{key}": value for key, value in names.items()}

    bench.make("app", network=second, labels=labels("app"))
    web = bench.make("web", network=first, labels=labels("web", "app:service_healthy:false"))
    assert [each.network for each in bench.now("web").networks] == [first]
    done = only(bench.do(bench.approved("web", "reconnect_network")))
    assert done.status == Outcome.DONE
    assert [each.network for each in bench.now("web").networks] == sorted([first, second])
    assert "web" in bench.raw("web")["NetworkSettings"]["Networks"][second]["Aliases"]
    assert bench.undo().status == Outcome.UNDONE
    assert list(bench.raw(web.name.rpartition("-")[2])["NetworkSettings"]["Networks"]) == [first]
    assert only(bench.do(bench.approved("app", "reconnect_network"))).status == Outcome.ALREADY_DONE


@pytest.mark.parametrize("killed", [False, True])
def test_a_removed_network_that_is_there_again(bench: Bench, killed: bool) -> None:
    network = bench.network("net")
    container = bench.make("box", network=network)
    container.stop(timeout=1)
    bench.client.api.remove_network(network)
    hindered = only(bench.do(bench.approved("box", "start")))
    assert hindered.status == Outcome.REFUSED
    assert "was removed" in str(hindered.reason)
    bench.network("net")
    action = bench.approved("box", "reconnect_network")
    if killed:  # it is connected, and is about to be started
        assert bench.killed(3, action)
    done = only(bench.resume() if killed else bench.do(action))
    assert (done.status, done.reason) == (Outcome.DONE, None)
    assert bench.now("box").state == "running"


# What is refused, and what is said then


def looped(bench: Bench) -> ApprovedAction:
    bench.make("box", "sh", "-c", "sleep 0.2; exit 1", restart_policy={"Name": "always"})
    while bench.raw("box")["RestartCount"] < 2:
        time.sleep(0.02)
    return bench.approved("box", "scale_up", resource="memory")


def test_a_crash_loop_does_not_make_an_approval_stale(bench: Bench) -> None:
    action = looped(bench)
    count = bench.raw("box")["RestartCount"]
    while bench.raw("box")["RestartCount"] < count + 2:
        time.sleep(0.02)
    assert plan.stale(action, bench.raw("box")) is None
    bench.client.api.restart(bench.name("box"), timeout=1)
    assert "started anew" in str(plan.stale(action, bench.raw("box")))


def test_a_container_that_was_replaced_restarted_or_removed_is_stale(bench: Bench) -> None:
    box = bench.make("box")
    action = bench.approved("box", "restart")
    box.restart(timeout=1)
    assert "started anew" in str(only(bench.do(action)).reason)
    box.remove(force=True)
    gone = only(bench.do(action))
    assert (gone.status, "is gone" in str(gone.reason)) == (Outcome.STALE, True)
    bench.make("box")
    other = only(bench.do(action))
    assert (other.status, "another container" in str(other.reason)) == (Outcome.STALE, True)


@pytest.mark.parametrize(
    ("options", "action", "says"),
    [
        ({"auto_remove": True}, "recreate", "removes itself"),
        ({"labels": {"dm-tools.heal": "never"}}, "restart", "dm-tools.heal=never"),
        ({"labels": {"dm-tools.heal": "start, unpause"}}, "restart", "does not allow restart"),
        ({"labels": {"com.docker.swarm.task.id": "x"}}, "restart", "only the swarm may act on it"),
        ({}, "unpause", None),
        ({"mem_limit": 0}, "scale_up", "no limit of memory"),
        ({"network_mode": "host"}, "reconnect_network", "no network of its own"),
        ({}, "reconnect_network", None),
    ],
)
def test_what_is_not_done(bench: Bench, options: dict[str, Any], action: str, says: str | None) -> None:
    bench.make("box", **options)
    before = bench.now("box")
    parameters = {"resource": "memory"} if action == "scale_up" else {}
    refused = only(bench.do(bench.approved("box", action, **parameters)))
    assert refused.status == (Outcome.REFUSED if says else Outcome.ALREADY_DONE)
    assert (says or "") in str(refused.reason)
    assert bench.now("box") == before
    assert acting.entries(bench) == []


def test_what_others_hang_on_is_not_broken(bench: Bench) -> None:
    bench.make("box")
    bench.make("linked", links={bench.name("box"): "db"})
    refused = only(bench.do(bench.approved("box", "recreate")))
    assert (refused.status, "its link would break" in str(refused.reason)) == (Outcome.REFUSED, True)
    bench.client.api.stop(bench.name("box"), timeout=1)
    hindered = only(bench.do(bench.approved("linked", "restart")))
    assert (hindered.status, "which does not run" in str(hindered.reason)) == (Outcome.REFUSED, True)
    bench.make("sidecar", network_mode=f"container:{bench.name('linked')}", labels={"dm-tools.heal": "never"})
    bench.client.api.start(bench.name("box"))
    never = only(bench.do(bench.approved("linked", "restart")))
    assert (never.status, "would be cut off" in str(never.reason)) == (Outcome.REFUSED, True)


def test_nothing_is_done_to_what_this_program_stands_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    box = bench.make("box", ports={"80/tcp": ("127.0.0.1", None)})
    assert prepare._ourselves(bench.raw("box"), "unix:///var/run/docker.sock") is None
    raw = bench.raw("box")
    raw["HostConfig"]["PortBindings"] = {"2375/tcp": [{"HostIp": "127.0.0.1", "HostPort": "2375"}]}
    assert "proxy" in str(prepare._ourselves(raw, "tcp://localhost:2375"))
    assert prepare._ourselves(raw, "tcp://localhost:2376") is None
    monkeypatch.setattr(socket, "gethostname", lambda: str(box.id)[:12])
    refused = only(bench.do(bench.approved("box", "restart")))
    assert (refused.status, refused.reason) == (Outcome.REFUSED, "it is the container that this program runs in")


def test_an_approval_without_a_container_or_of_another_action_is_refused(bench: Bench) -> None:
    bench.make("box")
    action = bench.approved("box", "restart")
    action.identity = None
    assert "does not say for which container" in str(only(bench.do(action)).reason)
    bench.make("other")
    foreign = bench.approved("other", "restart")
    foreign.service = bench.name("box")
    refused = only(bench.do(foreign))
    assert (refused.status, f"its container is {bench.name('other')}" in str(refused.reason)) == (Outcome.REFUSED, True)
    edited = bench.approved("box", "scale_up", resource="everything")
    assert (only(bench.do(edited)).status, only(bench.do(edited)).reason) == (
        Outcome.REFUSED,
        "scale_up: resource cannot be 'everything'",
    )
    never_made = bench.approved("box", "recreate")
    never_made.identity = None
    assert "docker compose up -d" in str(only(bench.do(never_made)).reason)


def test_of_several_changes_of_one_service_only_the_first_is_done(bench: Bench) -> None:
    bench.make("box")
    actions = [bench.approved("box", "restart"), bench.approved("box", "recreate"), bench.approved("box", "check_logs")]
    statuses = [each.status for each in bench.do(*actions, actions[0])]
    assert statuses == [Outcome.DONE, Outcome.STALE, Outcome.LOOKED]
    again = [each.status for each in bench.do(*actions)]
    assert again == [Outcome.ALREADY_DONE, Outcome.STALE, Outcome.LOOKED]


def test_the_fourth_time_within_an_hour_somebody_has_to_look(bench: Bench) -> None:
    bench.make("box")
    done = [only(bench.do(bench.approved("box", "restart"))).status for _ in range(4)]
    assert done == [Outcome.DONE, Outcome.DONE, Outcome.DONE, Outcome.REFUSED]


def test_the_plan_tells_what_would_be_missing_in_a_new_one(bench: Bench) -> None:
    acting.put(bench.with_data("box"), "/by-hand", b"")
    planned = only(bench.do(bench.approved("box", "recreate"), only_plan=True))
    assert [each for each in planned.steps if each.endswith("is not in the new one: /by-hand")]


def test_what_does_not_run_when_it_is_made_anew_is_put_back(bench: Bench) -> None:
    """The program needs a file that is in no volume: a new container does not have it."""
    made = bench.make("box", "sh", "-c", f"[ -e /made ] || exit 3; {acting.TRAPPING}", started=False)
    acting.put(made, "/made", b"")
    made.start()
    before = bench.now("box")
    failed = only(bench.do(bench.approved("box", "recreate")))
    assert (failed.status, failed.reason) == (Outcome.FAILED, "it does not run: it is exited with exit code 3")
    assert (failed.undo, failed.kept) == (None, None)
    assert failed.steps[-1] == f"put {before.name} back as it was"
    assert state.difference(before, bench.now("box")) is None
    assert bench.now("box").container_id == before.container_id
    assert len(bench.all()) == 1


# Kills, full disks, two at once, engines that go away


def cut_points(action: str) -> int:
    return {"recreate": 6}.get(action, 3)


@pytest.mark.parametrize(
    ("action", "entry"),
    [(action, entry) for action in ("recreate", "restart") for entry in range(1, cut_points(action))],
)
def test_killed_at_every_entry_of_the_journal_it_is_ended_by_the_next_run(
    bench: Bench, action: str, entry: int
) -> None:
    bench.with_data("box")
    whole, before = acting.data(bench, "box"), bench.now("box")
    approved = bench.approved("box", action)
    assert bench.killed(entry, approved)
    assert (len(bench.resume()), bench.resume()) == (1, [])
    assert bench.orphans() == []
    assert acting.data(bench, "box") == whole
    assert bench.now("box").state == "running"
    assert state.difference(before, bench.now("box")) is None
    assert past.done(bench.stories()[plan.identify(approved)]) is None  # it was cut off before the last step was done


@pytest.mark.parametrize("action", REVERSIBLE)
def test_killed_while_it_was_taken_back_it_is_taken_back(bench: Bench, action: str) -> None:
    approved = bench.approved("box", action, **set_the_stage(bench, action))
    before = bench.now("box")
    assert only(bench.do(approved)).status == Outcome.DONE
    assert bench.killed(1, None)
    assert [each.status for each in bench.resume()] == [Outcome.UNDONE]
    assert state.difference(before, bench.now("box")) is None
    assert bench.orphans() == []


@pytest.mark.parametrize("what", [acting.kill, acting.sequence], ids=["kill", "sequence"])
def test_killed_at_a_random_time_and_after_random_sequences_no_data_are_lost(_engine_up: str, what: Any) -> None:
    """Side by side: each mostly waits for the engine."""
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda seed: what(_engine_up, seed), range(4))) == [[]] * 4


def test_a_raised_limit_is_not_raised_twice_after_a_kill(bench: Bench) -> None:
    bench.make("box", mem_limit="32m", memswap_limit="32m")
    action = bench.approved("box", "scale_up", resource="memory")
    bench.killed(3, action)  # after the update, with the outcome not yet known
    assert [each.status for each in bench.do(action)][-1] == Outcome.ALREADY_DONE
    assert bench.now("box").memory_bytes == 64 << 20


class Full(journal.Journal):
    """A journal on a disk that is full after some entries."""

    def __init__(self, proofs_dir: Path, entries: int) -> None:
        super().__init__(proofs_dir)
        self.left = entries

    def add(self, *arguments: Any, **named: Any) -> None:
        if self.left == 0:
            raise files.CannotWrite("cannot write 'actions.jsonl': no space left on device")
        self.left -= 1
        super().add(*arguments, **named)


@pytest.mark.parametrize("entries", [0, 1, 3, 5])
def test_without_a_journal_nothing_is_done_and_what_was_begun_is_put_back(bench: Bench, entries: int) -> None:
    bench.make("box")
    before = bench.now("box")
    with pytest.raises(files.CannotWrite):
        bench.do(bench.approved("box", "recreate"), journal=Full(bench.proofs, entries))
    assert state.difference(before, bench.now("box")) is None
    assert bench.now("box").container_id == before.container_id
    assert (bench.now("box").started_at == before.started_at) == (entries < 2)
    bench.resume()
    assert state.difference(before, bench.now("box")) is None
    assert len(bench.all()) == 1


class Cut:
    """A way to the real engine that is shut after so many connections' worth of changing requests."""

    def __init__(self, target: str, path: Path, changes: int) -> None:
        self.target, self.left = target.removeprefix("unix://"), changes
        self.door = socket.socket(socket.AF_UNIX)
        self.door.bind(str(path))
        self.door.listen(20)
        self.url = f"unix://{path}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                caller, _ = self.door.accept()
            except OSError:
                return
            threading.Thread(target=self._pass, args=(caller,), daemon=True).start()

    def _pass(self, caller: socket.socket) -> None:
        with caller, socket.socket(socket.AF_UNIX) as engine:
            engine.connect(self.target)
            back = threading.Thread(target=self._answers, args=(engine, caller), daemon=True)
            back.start()
            while piece := caller.recv(65536):
                if piece.startswith((b"POST", b"DELETE")):
                    self.left -= 1
                if self.left < 0:
                    self.door.close()
                    return
                engine.sendall(piece)

    def _answers(self, engine: socket.socket, caller: socket.socket) -> None:
        try:
            while piece := engine.recv(65536):
                caller.sendall(piece)
        except OSError:
            return


@pytest.mark.parametrize("changes", [0, 1, 2, 4])
def test_an_engine_that_goes_away_between_two_calls(bench: Bench, tmp_path: Path, changes: int) -> None:
    bench.with_data("box")
    whole, before = acting.data(bench, "box"), bench.now("box")
    way = Cut(bench.host, tmp_path / "cut.sock", changes)
    action = bench.approved("box", "recreate")
    action.docker_host = way.url
    failed = only(bench.do(action))
    assert failed.status == Outcome.FAILED
    assert "dm-execute --resume" in str(failed.reason)
    (tmp_path / "cut.sock").unlink()
    (tmp_path / "cut.sock").symlink_to(bench.host.removeprefix("unix://"))
    bench.engines = type(bench.engines)(20.0)
    assert [each.status for each in bench.resume()] == [Outcome.FAILED]
    assert state.difference(before, bench.now("box")) is None
    assert acting.data(bench, "box") == whole
    assert bench.orphans() == []


def test_two_executors_at_once(run: Run, bench: Bench, tmp_path: Path) -> None:
    bench.make("box")
    line = msgspec.json.encode(bench.approved("box", "restart")).decode()
    machine = bench.client.info()
    with journal.alone_at(f"{machine['Name']}:{machine['DockerRootDir']}"):
        patience = "dm-execute --deadline 1"
        refused = run(patience, stdin=line, PROOFS_DIR=str(tmp_path / "other"), DOCKER_HOST=bench.host)
    assert refused.returncode == 3
    assert f"another program acts at the moment (process {os.getpid()} since " in refused.stderr
    with contextlib.ExitStack() as held:
        held.enter_context(journal.alone_at(f"{machine['Name']}:{machine['DockerRootDir']}"))
        threading.Timer(1, held.close).start()  # it waits for whoever is at work
        done = run("dm-execute", stdin=line, PROOFS_DIR=str(tmp_path / "other"), DOCKER_HOST=bench.host)
    assert (done.returncode, records(done.stdout)[0]["execution"]["status"]) == (0, "done")


# The commands


def test_the_commands_from_plan_to_undo(run: Run, bench: Bench, tmp_path: Path) -> None:
    bench.make("box").stop(timeout=1)
    approval = {
        "generated_at": "now",
        "source_report": "x.json",
        "approved_actions": [msgspec.to_builtins(bench.approved("box", "start"))],
    }
    (tmp_path / "approved.json").write_text(json.dumps(approval, indent=2))
    variables = {"PROOFS_DIR": str(tmp_path / "proofs"), "DOCKER_HOST": bench.host}

    def execution(line: str, status: int = 0) -> dict[str, Any]:
        done = run(line, **variables)
        assert (done.returncode, done.stderr) == (status, "")
        return dict(records(done.stdout)[0]["execution"])

    assert execution("dm-execute --plan approved.json")["steps"] == [f"start {bench.name('box')}"]
    assert not (tmp_path / "proofs").exists()
    assert execution("dm-execute approved.json")["status"] == "done"
    assert execution("dm-execute approved.json")["status"] == "already_done"
    assert execution("dm-undo --plan last")["steps"] == [f"stop {bench.name('box')} again"]
    assert execution("dm-undo last")["status"] == "undone"
    assert bench.now("box").state == "exited"
    assert run("dm-undo last", **variables).returncode == 3
    unknown = run("dm-execute --services nobody approved.json", **variables)
    assert (unknown.returncode, unknown.stdout) == (3, "")
    assert "no action was approved for 'nobody'" in unknown.stderr


def test_it_costs_a_second_more_than_docker_restart_at_most(run: Run, bench: Bench, tmp_path: Path) -> None:
    """The start of Python is left out, which a busy machine makes long; of three the best counts."""
    bench.make("box")
    variables = {"DOCKER_HOST": bench.host, "PROOFS_DIR": str(tmp_path)}

    def took(line: str, text: str = "") -> float:
        began = time.monotonic()
        assert run(line, stdin=text, **variables).returncode == 0
        return time.monotonic() - began

    approved = [lambda: msgspec.json.encode(bench.approved("box", "restart")).decode()] * 3
    ours = min(took("dm-execute", each()) for each in approved)
    assert ours - min(took(f"docker restart {bench.name('box')}") for _ in approved) < 1.5


def test_a_kept_container_is_seen_by_nobody_who_does_not_ask_for_it(run: Run, bench: Bench) -> None:
    compose = {"com.docker.compose.project": bench.run_id, "com.docker.compose.service": "box"}
    # one process, which the kept one has room for
    bench.make("box", "sleep", "600", labels=compose, stop_signal="KILL")
    done = only(bench.do(bench.approved("box", "recreate")))
    variables = {"DOCKER_HOST": bench.host, "COMPOSE_PROJECT_NAME": bench.run_id}
    found = records(run("dm-services --discover", **variables).stdout)
    assert [each["container"] for each in found] == [bench.name("box")]
    assert [each["service"] for each in found] == ["box"]
    bench.client.api.stop(bench.name("box"), timeout=1)
    (inspected,) = records(run("dm-inspect box", **variables).stdout)
    assert inspected["inspect"]["id"] == bench.raw("box")["Id"]
    (asked,) = records(run(f"dm-inspect {done.kept}", **variables).stdout)
    assert asked["inspect"]["id"] == done.before.container_id  # type: ignore[union-attr]
    bench.client.api.start(done.kept)  # one that somebody starts is a container like any other
    found = records(run("dm-services --discover", **variables).stdout)
    assert done.kept in [each["container"] for each in found]


def test_identity_and_phase_survive_their_way_through_json() -> None:
    identity = Identity("a" * 64, None, "created", 3)
    assert msgspec.json.decode(msgspec.json.encode(identity), type=Identity) == identity
    assert Phase("undone") is Phase.UNDONE
