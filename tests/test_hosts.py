"""Several hosts at once. The last tests have two real engines, each with a machine's address of its own."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dm_tools.collect import hosts
from dm_tools.collect.services import ManifestError
from dm_tools.diagnose.analyze import analyze
from dm_tools.diagnose.facts import facts
from dm_tools.patterns import reading as library
from dm_tools.pipe.several import Hosts
from dm_tools.records import Analysis, Cause, Role
from tests import engines
from tests.conftest import ROOT, Run
from tests.conftest import records as lines_of

PATTERNS = library.read(None)
ONE, TWO = "tcp://10.9.0.1:2375", "tcp://10.9.0.2:2375"


def judged(*found: dict[str, Any]) -> dict[str, Analysis]:
    return analyze({each["service"]: facts(each, PATTERNS) for each in found}, PATTERNS)


# Which hosts


def test_the_hosts_of_a_file() -> None:
    path = ROOT / "configs/hosts.example.toml"

    def named(*words: str, contexts: tuple[str, ...] = ()) -> list[tuple[str, str | None]]:
        return [(each.name, each.engine.host) for each in hosts.chosen(Hosts(words, contexts, path), 1)]

    assert named() == [("shop", "ssh://me@shop.example"), ("db", "context://db")]
    assert named("db") == [("db", "context://db")]
    assert named("shop", TWO) == [("shop", "ssh://me@shop.example"), ("10.9.0.2", TWO)]
    assert named(contexts=("default",)) == [("local", "unix:///var/run/docker.sock")]
    assert named("unix:///run/a/docker.sock", "unix:///run/b/docker.sock")[1][0] == "b"
    assert hosts.chosen(Hosts(file=path), 1)[0].also == ["shop.example.com", "10.0.0.7"]
    assert [each.engine.host for each in hosts.chosen(Hosts(("shop",), (), path, "tcp://x:1"), 1)] == ["tcp://x:1"]


@pytest.mark.parametrize(
    ("text", "words", "says"),
    [
        ("", ["nobody"], "no host 'nobody': give unix://, tcp:// or ssh://, or a name of"),
        ("", [ONE, "tcp://10.9.0.1:2376"], "two hosts are called '10.9.0.1'"),
        ('[host.a]\nalso = ["x"]\n', [], "host 'a': give docker_host or context"),
        ('[host."a/b"]\ncontext = "x"\n', [], "has a slash"),
        ('[host.a]\ndocker = "x"\n', [], "unknown field `docker`"),
        ("[host", [], "hosts.toml: "),
        ("", ["tcp://me:made-up@far:1"], "password"),
        ("", ["tcp://[::1", TWO], "no address of an engine: 'tcp://[::1'"),
        ("", ["tcp://a:99999", TWO], "no address of an engine"),
        ("", ["tcp://a..b:2375", TWO], "no address of an engine"),
        ("", ["tcp://a\udcff:2375", TWO], "no address of an engine"),
        ("", ["ftp://a", TWO], "no address of an engine: 'ftp://a' (unix://, tcp:// or ssh://)"),
        ("[host.a]\ndocker_host = 'tcp://[::1'", [], "no address of an engine"),
        ("[host.a]\ndocker_host = ''\n", [], "host 'a': give docker_host or context"),
        ("a = " + "[" * 5000, [], "nested too deeply"),
    ],
)
def test_hosts_that_are_none(tmp_path: Path, text: str, words: list[str], says: str) -> None:
    path = tmp_path / "hosts.toml"
    path.write_text(text)
    with pytest.raises(ManifestError) as refused:
        hosts.chosen(Hosts(tuple(words), (), path), 1)
    assert says in str(refused.value) and "made-up" not in str(refused.value)


def test_a_file_that_is_named_must_be_there(run: Run, tmp_path: Path) -> None:
    done = run("dm-services --discover --hosts-file nowhere.toml")
    assert (done.returncode, "cannot read the hosts 'nowhere.toml': no such file" in done.stderr) == (3, True)


# What follows from them


def service(name: str, host: str, **more: Any) -> dict[str, Any]:
    """A record with the digest of a running container, and one line in its log."""
    address = host.partition("://")[2].partition(":")[0]
    inspect: dict[str, Any] = {
        **dict.fromkeys(("exit_code", "error", "finished_at", "health", "project", "compose_service")),
        **{each: [] for each in ("health_log", "ports", "mounts", "depends_on", "env_names", "events")},
        **{"observed_at": "2026-11-30T12:00:00Z", "id": name * 20, "name": name, "image": "made-up:1"},
        **{"state": "running", "oom_killed": False, "restart_count": 0, "restart_policy": "no", "failing_streak": 0},
        **{"started_at": "2026-11-30T11:00:00Z", "has_healthcheck": False, "network_mode": "bridge"},
        "networks": [{"name": "bridge", "ip": "172.17.0.2", "aliases": []}],
        "limits": {"memory_bytes": None, "cpus": None, "pids": None},
        "env_hosts": more.pop("env_hosts", []),
    } | more.pop("inspect", {})
    lines = [{"id": "logs:0", "ts": "2026-11-30T11:59:59Z", "stream": "stderr", "text": more.pop("log", "")}]
    return {
        "v": 1,
        "service": f"{address}/{name}",
        "container": name,
        "docker_host": host,
        "host": {"name": address, "addresses": [address, f"{address}.example"], "unreachable": None},
        "inspect": inspect,
        "logs": {"lines": lines, "total_lines": 1, "truncated": False},
    } | more


DOWN: dict[str, Any] = {"state": "exited", "exit_code": 1, "finished_at": "2026-11-30T11:30:00Z"}
PUBLISHED = [{"container_port": 5432, "protocol": "tcp", "host_ip": "0.0.0.0", "host_port": 15432}]
FULL = "PANIC:  could not write to file: No space left on device"
REFUSED = 'connection to server at "10.9.0.2", port 15432 failed: Connection refused'


def test_a_published_port_of_another_host_is_who_publishes_it() -> None:
    """Each host has a container with the address 172.17.0.2 and one named db: only its own host's are meant by that."""
    app = service("app", ONE, env_hosts=["10.9.0.2:15432"], log=REFUSED, inspect=DOWN)
    near = service("db", ONE)
    far = service(
        "db", TWO, inspect=DOWN | {"ports": PUBLISHED}, log="PANIC:  could not write: No space left on device"
    )
    verdicts = judged(app, near, far)
    assert verdicts["10.9.0.1/app"].root is not None
    assert verdicts["10.9.0.1/app"].root.path == ["10.9.0.1/app", "10.9.0.2/db"]
    assert verdicts["10.9.0.2/db"].cause == Cause.DISK_FULL
    assert verdicts["10.9.0.1/db"].role == Role.HEALTHY


def test_by_a_name_of_its_host_too_and_never_by_a_containers_name() -> None:
    far = service("db", TWO, inspect=DOWN | {"ports": PUBLISHED})
    for log, host, role in (
        (REFUSED.replace("10.9.0.2", "10.9.0.2.example"), "10.9.0.2.example:15432", Role.SYMPTOM),
        (REFUSED.replace("10.9.0.2", "db"), "db:15432", Role.ROOT),
        (REFUSED.replace("10.9.0.2", "172.17.0.2"), "172.17.0.2:15432", Role.ROOT),
    ):
        app = service("app", ONE, env_hosts=[host], log=log, inspect=DOWN)
        assert judged(app, far)["10.9.0.1/app"].role == role, host


def test_who_needs_a_dead_host_is_its_symptom() -> None:
    app = service("app", ONE, env_hosts=["10.9.0.2:15432"], log=REFUSED, inspect=DOWN)
    dead = {"v": 1, "service": "10.9.0.2", "container": None, "docker_host": TWO}
    dead["host"] = {"name": "10.9.0.2", "addresses": ["10.9.0.2"], "unreachable": "no route to host"}
    verdicts = judged(app, dead)
    assert {name: each.role for name, each in verdicts.items()} == {"10.9.0.1/app": "symptom", "10.9.0.2": "root"}
    assert (verdicts["10.9.0.2"].cause, verdicts["10.9.0.2"].evidence[0]) == (Cause.HOST_DOWN, "host:unreachable")


def test_what_a_manifest_names_on_a_dead_host_is_one_incident() -> None:
    found = []
    for name in ("a", "b", "c"):
        check = {"id": "probe:0", "url": f"http://10.9.0.2/{name}", "kind": "http", "scope": "external", "ok": False}
        probe = {"status": "failed", "checks": [check | {"error": "timeout", "message": "no answer"}]}
        errors = [{"stage": "inspect", "code": "docker_unreachable", "message": "cannot reach Docker"}]
        found.append({"v": 1, "service": name, "docker_host": TWO, "probe": probe, "errors": errors})
    verdicts = judged(*found)
    assert [name for name, each in verdicts.items() if each.role == Role.ROOT] == ["a"]
    assert (verdicts["a"].cause, len(verdicts["a"].symptoms)) == (Cause.HOST_DOWN, 2)
    alone = judged(found[0])
    assert alone["a"].cause != Cause.HOST_DOWN  # of one alone nobody knows


# Two real engines


@pytest.fixture(scope="module")
def two(_engine_up: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Any]]:
    """Two engines at NETWORK.2 and NETWORK.3, and their folders."""
    folder = tmp_path_factory.mktemp("two")
    with engines.several(folder, 2, 3) as (first, second):
        say = f"connection to server at {engines.NETWORK}.3, port 15432 failed: Connection refused"
        environment = [f"DATABASE_URL=postgres://shop@{engines.NETWORK}.3:15432/shop"]
        first.containers.run(
            engines.IMAGE, ["sh", "-c", f"echo '{say}'; exit 1"], name="app", environment=environment, detach=True
        )
        fails = "echo 'PANIC:  could not write to file: No space left on device'; exit 1"
        second.containers.run(engines.IMAGE, ["sh", "-c", fails], name="db", ports={5432: 15432}, detach=True)
        for client in (first, second):
            client.containers.run(engines.IMAGE, ["sleep", "1000"], name="web", init=True, detach=True)
        yield [first, second, folder]


PIPE = "dm-probe | dm-inspect | dm-logs | dm-analyze"


def test_two_engines(run: Run, two: list[Any]) -> None:
    one, other = (f"{engines.NETWORK}.{number}" for number in (2, 3))
    named = " ".join(f"--host tcp://{each}:2375" for each in (one, other))
    done = run(f"dm-services {named} | {PIPE}")
    assert done.returncode == 0, done.stderr
    found = {each["service"]: each for each in lines_of(done.stdout)}
    assert set(found) == {f"{one}/app", f"{one}/web", f"{other}/db", f"{other}/web"}
    assert all(each["docker_host"] == f"tcp://{name.partition('/')[0]}:2375" for name, each in found.items())
    assert found[f"{one}/web"]["inspect"]["id"] != found[f"{other}/web"]["inspect"]["id"]
    roots = {name: each["analysis"]["root"]["service"] for name, each in found.items() if each["analysis"]["root"]}
    assert roots == {f"{one}/app": f"{other}/db", f"{other}/db": f"{other}/db"}


def test_a_host_that_dies_is_one_incident_and_the_others_go_on(run: Run, two: list[Any]) -> None:
    """The last test of the two: the engine of the second is killed."""
    os.killpg(int((two[2] / "3/pid").read_text()), signal.SIGKILL)
    (Path(two[2]) / "hosts.toml").write_text(
        "".join(
            f'[host.{name}]\ndocker_host = "tcp://{engines.NETWORK}.{at}:2375"\n' for name, at in (("a", 2), ("b", 3))
        )
    )
    began = time.monotonic()
    done = run(f"dm-services --discover -t 4 | {PIPE}", DM_HOSTS=str(two[2] / "hosts.toml"))
    assert time.monotonic() - began < 30
    assert done.returncode == 0, done.stderr
    verdicts = {each["service"]: each["analysis"] for each in lines_of(done.stdout)}
    assert {name: each["role"] for name, each in verdicts.items()} == {
        "a/app": "symptom",
        "a/web": "healthy",
        "b": "root",
    }
    assert verdicts["b"]["cause"] == "host_down"
