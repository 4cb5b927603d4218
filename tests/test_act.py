"""Acting, as far as it is judgement: order, staleness, the journal, what makes a container anew, the proof."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dm_tools.act import migrated, past, plan, prepare, state, verify
from dm_tools.records import (
    ActionName,
    ApprovedAction,
    Confidence,
    Execution,
    Identity,
    JournalEntry,
    Outcome,
    Phase,
    Proof,
    Role,
    Severity,
    Status,
)
from dm_tools.store.journal import Journal

ENGINES = Path(__file__).parent / "data" / "engines"
RECORDED = sorted(ENGINES.glob("*/*.json"))


def recorded(path: Path) -> dict[str, Any]:
    raw: dict[str, Any] = json.loads(path.read_text())["inspect"]
    return raw


def docker(name: str) -> dict[str, Any]:
    return recorded(ENGINES / "20.10.24" / f"{name}.json")


def action(service: str = "app", name: str = "restart", **options: Any) -> ApprovedAction:
    return ApprovedAction(
        "1", service, ActionName(name), Confidence.HIGH, "a test", options.pop("parameters", {}), **options
    )


# Order and names


def container(name: str, needs: str = "", mode: str = "default") -> dict[str, Any]:
    found = docker("healthy")
    found |= {"Id": name * 8, "Name": f"/{name}"}
    found["Config"]["Labels"] = {"com.docker.compose.service": name, "com.docker.compose.depends_on": needs}
    found["HostConfig"]["NetworkMode"] = mode
    return found


def test_what_others_need_comes_first() -> None:
    stack = [
        container("web", "app:service_started:false"),
        container("app", "db:service_healthy:false,cache:service_started:false"),
        container("db"),
        container("cache"),
        container("vpn"),
        container("download", mode=f"container:{'vpn' * 8}"),
    ]
    wanted = [action(each) for each in ("download", "web", "vpn", "app", "db")]
    found = [each.service for each in plan.ordered(wanted, plan.needs(stack))]
    assert found == ["vpn", "db", "download", "app", "web"]


def test_services_that_need_each_other_end_the_search() -> None:
    stack = [container("a", "b:x:false"), container("b", "a:x:false")]
    assert len(plan.ordered([action("a"), action("b")], plan.needs(stack))) == 2


def test_an_approval_has_one_name_whoever_reads_it() -> None:
    one = action(identity=Identity("a" * 64, None, "exited", 2))
    again = msgspec.json.decode(msgspec.json.encode(one), type=ApprovedAction)
    assert plan.identify(one) == plan.identify(again)
    assert plan.identify(one) != plan.identify(action())
    assert plan.identify(one) != plan.identify(action("web", identity=one.identity))
    again.approved_at, again.reasoning = "later", "other words"
    assert plan.identify(one) == plan.identify(again)


@pytest.mark.parametrize(
    ("then", "now", "says"),
    [
        ({}, {}, None),
        ({"id": "b" * 64}, {}, "another container"),
        ({}, {"started": "2026-01-01T00:00:09Z"}, "started anew"),
        ({"count": 2}, {"started": "2026-01-01T00:00:09Z", "count": 3}, None),
        ({"count": 2}, {"started": "2026-01-01T00:00:09Z", "count": 2}, "started anew"),
        ({"count": 2, "state": "restarting"}, {"started": "2026-01-01T00:00:09Z", "count": 2}, None),
        ({"count": 2, "state": "restarting"}, {"started": "2026-01-01T00:00:09Z", "count": 0}, "started anew"),
        ({"state": "exited"}, {"state": "paused"}, "it was exited when it was approved, and is paused now"),
        ({"state": "restarting", "count": 1}, {"state": "running"}, None),
        ({"count": None}, {"started": "2026-01-01T00:00:09Z", "count": 9}, "started anew"),
    ],
)
def test_when_an_approval_is_stale(then: dict[str, Any], now: dict[str, Any], says: str | None) -> None:
    raw = docker("healthy")
    raw["Id"], raw["RestartCount"] = "a" * 64, now.get("count", 1)
    raw["State"] |= {"StartedAt": now.get("started", "2026-01-01T00:00:00Z"), "Status": now.get("state", "running")}
    known = Identity(
        then.get("id", "a" * 64), "2026-01-01T00:00:00Z", then.get("state", "running"), then.get("count", 1)
    )
    found = plan.stale(action(identity=known), raw)
    assert (found is None) if says is None else (says in str(found))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b'{"approved_actions": "all of them"}',
        b'{"service": "x"}',
        b"[1, 2]",
        b"rm -rf /",
        b"\xff\xfe",
        b'{"issue_id": "1", "service": "x", "action": "exec", "confidence": "high", "reasoning": "", "parameters": {}}',
    ],
)
def test_what_is_no_approval(text: bytes) -> None:
    if not text:
        assert plan.approved("x", text) == []
        return
    with pytest.raises(plan.Unreadable, match=r"^x: "):
        plan.approved("x", text)


# What the journal tells


def test_a_torn_line_is_nothing_and_a_story_without_an_outcome_is_unfinished(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    one = action()
    journal.add("a1", Phase.INTENT, one, Execution("a1", Outcome.PLANNED))
    with journal.path.open("ab") as file:
        file.write(b'{"at":"2026-01-01T00:00:00Z","id":"a2","phase":"int')
    story = past.stories(journal.entries())["a1"]
    assert (story.unfinished, story.asked, past.done(story)) == (True, False, None)
    journal.add("a1", Phase.STEP, step="stop it")
    journal.add("b7", Phase.INTENT, one, Execution("b7", Outcome.PLANNED))
    journal.add("b7", Phase.OUTCOME, None, Execution("b7", Outcome.DONE))
    known = past.stories(journal.entries())
    assert list(known) == ["a1", "b7"]
    assert (known["a1"].asked, past.chosen(known, "last"), past.chosen(known, "b")) == (True, "b7", "b7")
    with pytest.raises(LookupError, match="no action called 'c'"):
        past.chosen(known, "c")
    with pytest.raises(LookupError, match="several actions called ''"):
        past.chosen(known, "")


@pytest.mark.parametrize(("ago", "count"), [(0, 1), (3500, 1), (3700, 0)])
def test_attempts_within_the_hour_are_counted(ago: int, count: int) -> None:
    one = action()
    entry = JournalEntry("2026-01-01T01:00:00Z", "a", Phase.INTENT, one, None, None)
    now = 1767229200.0 + ago
    known = past.stories([entry])
    assert past.tried(known, one, now) == count
    assert past.tried(known, action("web"), now) == 0
    assert past.tried(known, action(docker_host="tcp://other:1"), now) == 0


# A container as it is


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_recorded_container_is_captured_and_can_be_made_anew(path: Path) -> None:
    raw = recorded(path)
    before = copy.deepcopy(raw)
    captured = state.captured(raw)
    assert captured.container_id == raw["Id"]
    assert not captured.name.startswith("/")
    assert state.difference(captured, captured) is None
    body, later = state.anew(raw)
    assert raw == before, "what the engine said is not changed"
    assert body["Image"] == raw["Image"]
    assert body.get("Hostname") != raw["Id"][:12]
    endpoints = body.get("NetworkingConfig", {}).get("EndpointsConfig", {})
    assert len(endpoints) <= 1, "20.10 takes one network at creation"
    assert {*endpoints, *later} == set(state.networks(raw))
    assert body["HostConfig"]["NetworkMode"] != "default"
    for endpoint in [*endpoints.values(), *later.values()]:
        assert raw["Id"][:12] not in endpoint["Aliases"]
        assert "MacAddress" not in endpoint


def test_every_volume_is_carried_by_name() -> None:
    raw = docker("healthy")
    raw["HostConfig"] |= {
        "Binds": ["named:/named", "/short", "/host:/host:ro"],
        "Mounts": [{"Type": "volume", "Target": "/mounted"}, {"Type": "volume", "Source": "own", "Target": "/own/"}],
        "VolumesFrom": ["other"],
    }
    places = {"/named": "named", "/short": "a" * 64, "/mounted": "b" * 64, "/own": "own", "/declared": "c" * 64}
    raw["Mounts"] = [
        {"Type": "volume", "Name": name, "Source": f"/var/{name}", "Destination": place, "RW": True}
        for place, name in places.items()
    ]
    raw["Mounts"] += [
        {"Type": "bind", "Source": "/host", "Destination": "/host", "RW": False},
        {"Type": "bind", "Source": "/theirs", "Destination": "/from-other", "RW": False},
    ]
    host = state.anew(raw)[0]["HostConfig"]
    mounted = {each["Target"]: each["Source"] for each in host["Mounts"]}
    assert mounted == {"/mounted": "b" * 64, "/own/": "own"}
    assert sorted(host["Binds"]) == sorted(
        ["named:/named", f"{'a' * 64}:/short", "/host:/host:ro", f"{'c' * 64}:/declared", "/theirs:/from-other:ro"]
    )
    assert host["VolumesFrom"] is None


def test_of_another_image_it_keeps_only_what_was_its_own() -> None:
    raw = docker("healthy")
    raw["Config"] |= {"Env": ["PATH=/bin", "OWN=1"], "Cmd": ["serve"], "WorkingDir": "/srv", "User": "app"}
    image = {"Config": {"Env": ["PATH=/bin"], "Cmd": ["serve"], "WorkingDir": "/srv", "User": ""}}
    body, _ = state.anew(raw, image)
    assert body["Env"] == ["OWN=1"]
    assert (body["User"], "Cmd" in body, "WorkingDir" in body) == ("app", False, False)


@pytest.mark.parametrize(
    ("limits", "resource", "by", "most", "change"),
    [
        ({"memory_bytes": 64, "memory_swap_bytes": 64}, "memory", 2.0, None, {"Memory": 128, "MemorySwap": 128}),
        ({"memory_bytes": 64, "memory_swap_bytes": 96}, "memory", 2.0, None, {"Memory": 128, "MemorySwap": 160}),
        ({"memory_bytes": 64, "memory_swap_bytes": -1}, "memory", 2.0, None, {"Memory": 128, "MemorySwap": -1}),
        ({"memory_bytes": 64, "memory_swap_bytes": 0}, "memory", 2.0, None, {"Memory": 128, "MemorySwap": 256}),
        ({"memory_bytes": 64, "memory_swap_bytes": 64}, "memory", 8.0, 100, {"Memory": 100, "MemorySwap": 100}),
        ({"memory_bytes": 64, "memory_swap_bytes": 64}, "memory", 80, None, {"Memory": 80, "MemorySwap": 80}),
        ({"memory_bytes": 64}, "memory", 2.0, 64, None),
        ({"memory_bytes": 64}, "memory", 32, None, None),
        ({}, "pids", 2.0, None, None),
        ({"pids": 10}, "pids", 2.0, None, {"PidsLimit": 20}),
        ({"nano_cpus": 500_000_000}, "cpus", 4.0, 1_000_000_000, {"NanoCpus": 1_000_000_000}),
        ({"nano_cpus": 100_000_000}, "cpus", 2.0, None, {"NanoCpus": 1_000_000_000}),
        ({"nano_cpus": 100_000_000}, "cpus", 150_000_000, None, {"NanoCpus": 150_000_000}),
        ({"nano_cpus": 500_000_000, "cpu_period": 100_000}, "cpus", 4.0, None, {"CpuQuota": 200_000}),
    ],
)
def test_how_a_limit_is_raised(
    limits: dict[str, int], resource: str, by: float, most: int | None, change: dict[str, int] | None
) -> None:
    none = {"memory_bytes": 0, "memory_swap_bytes": 0, "nano_cpus": 0, "pids": 0}
    captured = msgspec.structs.replace(state.captured(docker("healthy")), **(none | limits))
    found = state.raised(captured, resource, by, most)
    assert found == change if change else isinstance(found, str)


def test_a_limit_of_processors_in_its_older_words() -> None:
    raw = docker("healthy")
    raw["HostConfig"] |= {"NanoCpus": 0, "CpuQuota": 25_000, "CpuPeriod": 50_000}
    captured = state.captured(raw)
    assert (captured.nano_cpus, captured.cpu_period) == (500_000_000, 50_000)
    assert state.limits(captured, "cpus") == {"CpuQuota": 25_000}
    assert state.told(captured, "cpus", {"CpuQuota": 50_000}) == "1"


@pytest.mark.parametrize(
    ("resource", "text", "amount"),
    [
        ("memory", "512m", 512 << 20),
        ("memory", "1.5 GiB", 0),
        ("memory", "1.5g", 3 << 29),
        ("memory", "1000", 1000),
        ("cpus", "1.5", 1_500_000_000),
        ("cpus", "2m", 0),
        ("pids", "200", 200),
        ("pids", "-1", 0),
        ("memory", "much", 0),
    ],
)
def test_a_limit_as_people_write_it(resource: str, text: str, amount: int) -> None:
    assert state.amount_of(resource, text) == amount


@pytest.mark.parametrize(
    ("wish", "name", "refused"),
    [
        (None, "restart", False),
        ("always", "restart", False),
        ("never", "restart", True),
        ("", "restart", True),
        ("start, restart", "restart", False),
        ("start", "restart", True),
        ("nonsense", "start", True),
    ],
)
def test_a_label_opts_out(wish: str | None, name: str, refused: bool) -> None:
    raw = docker("healthy")
    raw["Config"]["Labels"] = {} if wish is None else {"dm-tools.heal": wish}
    assert (state.opted_out(raw, name) is not None) == refused


def test_ourselves_is_known_by_what_the_engine_mounted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    raw = docker("healthy")
    line = f"735 707 8:1 /var/lib/docker/containers/{raw['Id']}/hostname /etc/hostname rw,relatime - ext4 /dev/sda1 rw"
    (tmp_path / "mountinfo").write_text(f"{line}\n")
    real = Path
    monkeypatch.setattr(prepare, "Path", lambda name: tmp_path / "mountinfo" if "mountinfo" in name else real(name))
    assert prepare._ourselves(raw, "unix:///x") == "it is the container that this program runs in"
    (tmp_path / "mountinfo").write_text(line.replace("/etc/hostname", "/somewhere/else") + "\n")
    assert prepare._ourselves(raw, "unix:///x") is None


# Data that no older image may have


@pytest.mark.parametrize("saying", migrated.sayings(), ids=lambda saying: saying.text[:40])
def test_a_log_that_tells_of_data_that_no_older_image_may_have(saying: migrated.Saying) -> None:
    found = migrated.reason(f"it began\n{saying.example}\nit went on\n")
    assert found is not None
    assert found.startswith(migrated._WHY[saying.kind])
    assert saying.example.strip()[:60] in found
    assert migrated.reason(f"it began\n{saying.near_miss}\n") is None


def test_a_quoted_log_line_holds_no_secret() -> None:
    log = 'password=hunter2hunter2 Successfully applied 2 migrations to schema "public"'
    assert "hunter2" not in str(migrated.reason(log))


# The proof

SICK = {("probe", "http://app/: http_5xx"), ("inspect", "its healthcheck fails")}
LOOKED = frozenset({"probe", "inspect", "logs"})


def seen(
    service: str, role: Role = Role.HEALTHY, signs: Any = (), root: str | None = None, **options: Any
) -> verify.Seen:
    well = role == Role.HEALTHY
    return verify.Seen(
        service=service,
        status=options.pop("status", Status.HEALTHY if well else Status.FAILED),
        role=role,
        root=root,
        severity=None if well else Severity.CRITICAL,
        signs=frozenset(signs),
        looked_at=options.pop("looked_at", LOOKED),
        observed_at=options.pop("observed_at", "2026-01-01T00:10:00Z"),
        **options,
    )


BEFORE = {
    "db": seen("db", Role.ROOT, {("inspect", "the container is exited")}),
    "app": seen("app", Role.SYMPTOM, SICK, "db"),
    "web": seen("web"),
}
WELL = {name: seen(name) for name in BEFORE}
BEGAN = "2026-01-01T00:05:00Z"


@pytest.mark.parametrize(
    ("changes", "proof", "says"),
    [
        ({}, Proof.RECOVERED, None),
        ({"app": seen("app", Role.SYMPTOM, SICK, "db")}, Proof.NOT_RECOVERED, "is still there"),
        ({"db": seen("db", Role.ROOT, {("logs", "its log says: other")})}, Proof.NOT_RECOVERED, "for another reason"),
        ({"web": seen("web", Role.ROOT, {("inspect", "the container is exited")})}, Proof.WORSE, "did not before"),
        ({"app": None}, Proof.UNPROVEN, "app was not looked at again"),
        ({"app": seen("app", looked_at=frozenset({"inspect"}))}, Proof.UNPROVEN, "probe was not collected again"),
        ({"app": seen("app", observed_at="2026-01-01T00:04:00Z")}, Proof.UNPROVEN, "from before the action"),
        ({"app": seen("app", observed_at=None)}, Proof.UNPROVEN, "from before the action"),
    ],
)
def test_what_the_records_of_after_prove(
    changes: dict[str, verify.Seen | None], proof: Proof, says: str | None
) -> None:
    after = {name: each for name, each in (WELL | changes).items() if each is not None}
    found = verify.verified("db", BEFORE, after, [], BEGAN)
    assert found.proof == proof
    assert (says in str(found.reason)) if says else found.reason is None
    if proof == Proof.RECOVERED:
        assert found.gone == [
            "db: the container is exited",
            "app: its healthcheck fails",
            "app: http://app/: http_5xx",
        ]


@pytest.mark.parametrize(
    ("pattern", "until", "proof"),
    [
        ("system.fd_exhausted", "2026-01-01T00:09:00Z", Proof.NOT_RECOVERED),
        ("system.fd_exhausted", "2026-01-01T00:05:30Z", Proof.RECOVERED),
        ("system.fd_exhausted", "2026-01-01T00:06:00Z", Proof.RECOVERED),  # it may have been said before the end
        ("system.fd_exhausted", "2026-01-01T00:06:00.5Z", Proof.NOT_RECOVERED),
        ("system.other", "2026-01-01T00:09:00Z", Proof.RECOVERED),
    ],
)
def test_who_goes_on_saying_what_showed_the_trouble_has_only_not_failed_yet(
    pattern: str, until: str, proof: Proof
) -> None:
    """As a leak after a restart: the healthcheck passes for some seconds more."""
    sign = ("logs", "its log says: worker has no file descriptors left")
    before = {"worker": seen("worker", Role.ROOT, {sign}, says={"system.fd_exhausted": sign})}
    after = {"worker": seen("worker", complains={pattern: until})}
    done = Execution("a", Outcome.DONE, begun_at=BEGAN, ended_at="2026-01-01T00:06:00Z")
    found = verify.verified("worker", before, after, [done], BEGAN)
    assert (found.proof, found.stays) == (proof, [f"worker: {sign[1]}"] if proof == Proof.NOT_RECOVERED else [])


def test_where_nothing_showed_the_trouble_nothing_can_show_that_it_is_over() -> None:
    before = {"db": seen("db", Role.ROOT)}
    assert verify.verified("db", before, {"db": seen("db")}, [], None).proof == Proof.UNPROVEN


def test_a_recovery_that_no_action_brought_is_none_of_ours() -> None:
    refused = Execution("a", Outcome.REFUSED, "no")
    found = verify.verified("db", BEFORE, WELL, [refused], None)
    assert (found.proof, found.reason) == (Proof.RECOVERED, "it recovered, and no action of ours was carried out")
    assert found.action_ids == ["a"]
