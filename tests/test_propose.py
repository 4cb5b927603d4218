"""dm-propose: every cause has remedies out of the catalogue, and no text of a log becomes a parameter unseen."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
import re2

from dm_tools.act.catalogue import CATALOGUE, RESOURCES, Kind, Risk, accepts, problem
from dm_tools.act.propose import propose
from dm_tools.patterns import causes
from dm_tools.records import (
    Analysis,
    Cause,
    Confidence,
    Finding,
    Inspect,
    Proposal,
    Role,
    Root,
    Severity,
    Stats,
    Status,
)
from tests.conftest import ROOT, Run, records

Json = dict[str, Any]
ORDER = [Confidence.HIGH, Confidence.MEDIUM, Confidence.LOW]


def verdict(
    cause: Cause | None = Cause.EXITED,
    role: Role = Role.ROOT,
    confidence: Confidence | None = Confidence.HIGH,
    captures: dict[str, str] | None = None,
    root: str = "app",
    peers: tuple[str, ...] = ("db",),
) -> Analysis:
    """The verdict on the service `app`, which needs `db`."""
    finding = Finding(
        pattern="x",
        cause=cause or Cause.INCONCLUSIVE,
        severity=Severity.CRITICAL,
        explanation="",
        evidence=["logs:1"],
        captures=captures or {},
        points_to=None,
    )
    return Analysis(
        engine="rules",
        status=Status.FAILED,
        role=role,
        cause=cause,
        root=Root(service=root, path=["app", root]),
        severity=Severity.CRITICAL,
        confidence=confidence,
        hypothesis="it is broken",
        evidence=["logs:1"],
        findings=[finding],
        symptoms=[Root(service="web", path=["web", "app"])],
        peers=list(peers),
        looked_at=["logs"],
    )


# The catalogue


def test_every_action_can_be_told_and_taken_back() -> None:
    for action in CATALOGUE.values():
        assert action.does
        assert action.name == CATALOGUE[action.name].name
        assert (action.undo is not None) == (action.risk in (Risk.REVERSIBLE, Risk.DISRUPTIVE)), action.name
        if action.automatic:
            assert action.risk in (Risk.READ_ONLY, Risk.REVERSIBLE), action.name


def test_the_actions_of_the_design_and_the_seed_are_there() -> None:
    assert set(CATALOGUE) == {
        *("check_logs", "check_config", "check_dependencies", "check_credentials", "restart", "start", "unpause"),
        *("reconnect_network", "scale_up", "recreate", "rollback_image", "renew_certificate", "fix_healthcheck"),
        *("fix_config", "free_disk", "escalate", "force_update"),
    }


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_is_known_and_means_something_of_its_own(cause: Cause) -> None:
    known = causes.of(cause)
    assert known.means and [each for each in Cause if causes.of(each).means == known.means] == [cause]
    assert re2.compile(known.words or "")
    assert set(known.shows) <= {"inspect:state", *(f"stats:{name}" for name in Stats.__struct_fields__)}
    kinds = {"logs", "probe", "event", "stats", "screenshot", "step", "swarm", "node", "host"}
    for each in causes.carriers(cause) - kinds:
        section, _, key = each.partition(":")
        kind = {"inspect": Inspect, "stats": Stats}[section]
        assert key in (*kind.__struct_fields__, "health"), each


@pytest.mark.parametrize("cause", Cause)
def test_remedies_name_only_what_the_catalogue_has(cause: Cause) -> None:
    remedies = causes.of(cause).remedies
    assert remedies
    for remedy in remedies:
        action = CATALOGUE[remedy.action]
        known = {**action.required, **action.optional}
        assert set(remedy.parameters) <= set(known), remedy
        assert set(action.required) <= set(remedy.parameters), remedy
        for key, value in remedy.parameters.items():
            assert value.startswith("$") or accepts(action, key, value, set()), remedy
    assert len({remedy.action for remedy in remedies}) == len(remedies)


@pytest.mark.parametrize("cause", [*Cause, None])
def test_every_cause_has_something_to_do_whatever_was_captured(cause: Cause | None) -> None:
    everything = {key: "db" for key in ("dependency", "upstream", "user", "port", "path", "command")}
    for captures in ({}, everything):
        found = propose("app", verdict(cause, captures=captures))
        assert found
        for each in found:
            action = CATALOGUE[each.action]
            assert problem(each.action, each.parameters, {"app", "db", "web"}) is None
            assert (each.risk, each.automatic, each.undo) == (action.risk, action.automatic, action.undo)
            assert each.evidence == ["logs:1"]
            assert each.reasoning


def test_the_best_known_causes_get_the_remedy_that_fits() -> None:
    first = {cause: causes.of(cause).remedies[0].action for cause in Cause}
    assert {
        Cause.OOM_KILLED: "scale_up",
        Cause.STOPPED: "start",
        Cause.PAUSED: "unpause",
        Cause.NETWORK_DETACHED: "reconnect_network",
        Cause.TLS_EXPIRED: "renew_certificate",
        Cause.DISK_FULL: "free_disk",
        Cause.HEALTHCHECK_BROKEN: "fix_healthcheck",
        Cause.UNRESPONSIVE: "restart",
        Cause.AUTH_FAILURE: "check_credentials",
        Cause.DATA_CORRUPTION: "escalate",
    }.items() <= first.items()


@pytest.mark.parametrize(
    ("name", "parameters", "why"),
    [
        ("rm", {}, "there is no action 'rm'"),
        ("restart; rm -rf /", {}, "there is no action"),
        ("check_dependencies", {}, "needs the parameter 'dependency'"),
        ("check_dependencies", {"dependency": "elsewhere"}, "dependency cannot be 'elsewhere'"),
        ("check_dependencies", {"dependency": ["db"]}, "dependency cannot be ['db']"),
        ("check_dependencies", {"dependency": None}, "dependency cannot be None"),
        ("restart", {"force": "yes"}, "restart: force cannot be 'yes'"),
        ("scale_up", {"resource": "disk"}, "resource cannot be 'disk'"),
        ("fix_config", {"path": ""}, "path cannot be ''"),
        ("fix_config", {"path": "a\nb"}, "path cannot be"),
        ("fix_config", {"path": "\x1b[2J"}, "path cannot be"),
        ("fix_config", {"path": "x" * 201}, "path cannot be"),
        ("fix_config", {"path": "\u202egnp.exe"}, "path cannot be"),
        ("fix_config", {"command": "sh"}, "command cannot be 'sh'"),
    ],
)
def test_what_may_not_be_proposed(name: str, parameters: Json, why: str) -> None:
    assert why in (problem(name, parameters, {"app", "db"}) or "")


def test_what_may_be_proposed() -> None:
    assert problem("check_dependencies", {"dependency": "db"}, {"app", "db"}) is None
    assert [problem("scale_up", {"resource": each}, set()) for each in RESOURCES] == [None] * 3
    assert problem("fix_config", {"path": "/etc/nginx/nginx.conf", "port": "80"}, set()) is None
    assert all(
        kind in Kind for action in CATALOGUE.values() for kind in {**action.required, **action.optional}.values()
    )


# Captures come from logs: anybody may have written them


@pytest.mark.parametrize(
    "hostile",
    ["elsewhere", "db; reboot", "../../db", "db\n", "DB", " db", "\x1b[2Jdb", "", "x" * 10_000, "$path", "db\u200b"],
)
@pytest.mark.parametrize("cause", [Cause.CONNECTION_REFUSED, Cause.DEPENDENCY_DOWN, Cause.AUTH_FAILURE])
def test_a_dependency_outside_the_inventory_is_dropped(cause: Cause, hostile: str) -> None:
    found = propose("app", verdict(cause, captures={"dependency": hostile}))
    assert found
    assert all("dependency" not in each.parameters for each in found)
    assert "check_dependencies" not in [each.action for each in found]


@pytest.mark.parametrize("known", ["db", "web", "app"])
def test_a_dependency_of_the_inventory_is_named(known: str) -> None:
    found = propose("app", verdict(Cause.CONNECTION_REFUSED, captures={"dependency": known}))
    assert (found[0].action, found[0].parameters) == ("check_dependencies", {"dependency": known})


@pytest.mark.parametrize("hostile", ["/etc\n/passwd", "\x1b]0;owned\x07", "x" * 201, "", "\u2028", "a\x00b"])
@pytest.mark.parametrize(
    ("cause", "capture"),
    [
        (Cause.DISK_FULL, "path"),
        (Cause.MISSING_ENV, "path"),
        (Cause.WRONG_PORT, "port"),
        (Cause.DNS_FAILURE, "upstream"),
        (Cause.AUTH_FAILURE, "user"),
    ],
)
def test_unprintable_or_endless_text_is_dropped(cause: Cause, capture: str, hostile: str) -> None:
    bad = propose("app", verdict(cause, captures={capture: hostile}))
    good = propose("app", verdict(cause, captures={capture: "fine"}))
    assert hostile not in [value for each in bad for value in each.parameters.values()]
    assert "fine" in [value for each in good for value in each.parameters.values()]
    assert [each.action for each in bad] == [each.action for each in good]


def test_captures_of_another_cause_are_not_used() -> None:
    found = verdict(Cause.DISK_FULL, captures={"path": "/data"})
    found.findings[0].cause = Cause.OOM_KILLED
    assert propose("app", found)[0].parameters == {}


# Roles and confidence


@pytest.mark.parametrize("cause", list(Cause))
@pytest.mark.parametrize("confidence", [*Confidence, None])
def test_no_proposal_is_surer_than_its_verdict(cause: Cause, confidence: Confidence | None) -> None:
    limit = ORDER.index(confidence or Confidence.LOW)
    for role in (Role.ROOT, Role.SYMPTOM):
        for each in propose("app", verdict(cause, role, confidence, root="db")):
            assert ORDER.index(each.confidence) >= limit


def test_an_unsure_remedy_stays_unsure() -> None:
    by_action = {each.action: each.confidence for each in propose("app", verdict(Cause.DISK_FULL))}
    assert by_action == {"free_disk": "high", "restart": "low"}


def test_a_symptom_gets_nothing_but_a_look_at_its_root() -> None:
    (found,) = propose("app", verdict(Cause.DEPENDENCY_DOWN, Role.SYMPTOM, root="db"))
    assert (found.action, found.parameters, found.risk) == ("check_dependencies", {"dependency": "db"}, "read_only")


@pytest.mark.parametrize("role", [Role.HEALTHY, Role.UNKNOWN])
def test_who_is_no_part_of_an_incident_gets_nothing(role: Role) -> None:
    assert propose("app", verdict(role=role)) == []


# The command


def judged(run: Run, name: str) -> list[Json]:
    """A recorded stack after dm-analyze and dm-propose."""
    done = run(f"dm-analyze < {ROOT}/tests/data/{name}.jsonl | dm-propose")
    assert (done.returncode, done.stderr) == (0, "")
    return records(done.stdout)


def test_a_recorded_incident(run: Run) -> None:
    actions = {
        record["service"]: [(each["action"], each["parameters"]) for each in record["proposals"]]
        for record in judged(run, "database-down")
    }
    look = [("check_dependencies", {"dependency": "postgres"})]
    assert actions == {
        "postgres": [("start", {}), ("fix_config", {"setting": "restart"}), ("check_logs", {})],
        "app": look,
        "worker": look,
        "web": look,
        "redis": [],
    }


def test_a_healthy_stack_gets_nothing(run: Run) -> None:
    assert [record["proposals"] for record in judged(run, "healthy")] == [[]] * 5


def test_what_comes_out_is_in_the_contract(run: Run) -> None:
    for record in judged(run, "redis-maxmemory"):
        msgspec.convert(record["proposals"], list[Proposal])
        for each in record["proposals"]:
            assert list(each) == [field.name for field in msgspec.structs.fields(Proposal)]


def test_records_that_nobody_analysed_pass_with_no_proposals(run: Run) -> None:
    done = run("dm-propose", stdin='{"service":"x","mine":{"a":1}}\nword\n')
    assert [(each["service"], each["proposals"]) for each in records(done.stdout)] == [("x", []), ("word", [])]
    assert records(done.stdout)[0]["mine"] == {"a": 1}


def test_a_malformed_analysis_is_an_error_of_that_record_only(run: Run) -> None:
    lines = ['{"service":"x","analysis":{"role":"root"}}', '{"service":"y","analysis":7}', '{"service":"z"}']
    done = run("dm-propose", stdin="\n".join(lines))
    assert (done.returncode, done.stderr.count("not judged")) == (4, 1)  # the last one
    assert [each.get("errors", [{}])[0].get("code") for each in records(done.stdout)] == ["bad_section"] * 2 + [None]


# The lists of the seed


def lists(run: Run, text: str) -> tuple[list[str], list[str]]:
    """`automated_actions_safe` and `requires_human_review` of judged records."""
    done = run("dm-report --proofs-dir p | jq -r .report_path | xargs cat", stdin=text)
    report = json.loads(done.stdout)
    assert report["summary"]["safe_actions"] == len(report["automated_actions_safe"])
    assert report["summary"]["needs_review"] == len(report["requires_human_review"])
    return report["automated_actions_safe"], report["requires_human_review"]


def proposed(*causes: tuple[str, Cause, Confidence]) -> str:
    """Roots with a cause each and what dm-propose makes of them."""

    def line(service: str, cause: Cause, confidence: Confidence) -> str:
        found = verdict(cause, confidence=confidence)
        record = {"service": service, "analysis": found, "proposals": propose(service, found)}
        return json.dumps(msgspec.to_builtins(record)) + "\n"

    return "".join(line(*each) for each in causes)


@pytest.mark.parametrize(
    ("cause", "confidence", "safe", "human"),
    [
        (Cause.STOPPED, Confidence.HIGH, ["s: start"], []),
        (Cause.STOPPED, Confidence.MEDIUM, [], ["s: start"]),
        (Cause.CRASH_LOOP, Confidence.LOW, ["s: check_logs"], ["s: rollback_image"]),
        (Cause.OOM_KILLED, Confidence.HIGH, ["s: check_logs"], ["s: scale_up"]),
        (Cause.AUTH_FAILURE, Confidence.HIGH, [], ["s: check_credentials", "s: fix_config"]),
        (Cause.CONTAINER_MISSING, Confidence.HIGH, [], ["s: recreate"]),
        (Cause.INCONCLUSIVE, Confidence.LOW, ["s: check_logs"], ["s: escalate"]),
    ],
)
def test_safe_is_only_what_looks_or_surely_can_be_taken_back(
    run: Run, cause: Cause, confidence: Confidence, safe: list[str], human: list[str]
) -> None:
    assert lists(run, proposed(("s", cause, confidence))) == (safe, human)


def test_a_manual_or_disruptive_action_is_never_safe(run: Run) -> None:
    everything = proposed(*((cause.value, cause, Confidence.HIGH) for cause in Cause))
    safe, human = lists(run, everything)
    assert all(CATALOGUE[each.partition(": ")[2]].automatic for each in safe)
    assert {each.partition(": ")[2] for each in human} >= {"recreate", "fix_config", "escalate", "scale_up"}
    assert len(safe) + len(human) == len(set(safe + human))
