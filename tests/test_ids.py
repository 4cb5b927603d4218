"""Evidence ids: what takes them apart, and what is none."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dm_tools.evidence.ids import EvidenceId, Kind, cites_own_log, own, parse, resolve, seen_from, time_of
from dm_tools.evidence.view import View
from dm_tools.records import Stats
from tests import making


@pytest.mark.parametrize(
    ("text", "owner", "kind", "key", "thing"),
    [
        ("logs:41", None, "logs", "41", "logs:41"),
        ("app/logs:10-20", "app", "logs", "10-20", "logs:10-20"),
        ("inspect:health.2", None, "inspect", "health.2", "inspect:health"),
        ("odd/name:1/event:0", "odd/name:1", "event", "0", "event:0"),
        ("/logs:1", "", "logs", "1", "logs:1"),
        ("logs:", None, None, "logs:", "None:logs:"),
        ("docs:1", None, None, "docs:1", "None:docs:1"),
        ("logs:1\n", None, None, "logs:1\n", "None:logs:1\n"),
        ("app/", "app", None, "", "None:"),
    ],
)
def test_an_id_is_taken_apart(text: str, owner: str | None, kind: str | None, key: str, thing: str) -> None:
    assert parse(text) == EvidenceId(owner, Kind(kind) if kind else None, key)
    assert parse(text).thing == thing


@given(st.one_of(st.none(), st.text()), st.sampled_from(Kind), st.from_regex(r"[a-z0-9_.]{1,20}", fullmatch=True))
def test_what_was_put_together_is_taken_apart_alike(owner: str | None, kind: Kind, key: str) -> None:
    text = f"{kind}:{key}" if owner is None else f"{owner}/{kind}:{key}"
    found = parse(text)
    assert (found.owner, found.kind, found.key) == (owner, kind, key)
    assert found.local == f"{kind}:{key}"


@given(st.text())
def test_any_text_is_taken(text: str) -> None:
    found = parse(text)
    assert text == (found.local if found.owner is None else f"{found.owner}/{found.local}")
    assert found.number is None or found.number >= 0


@pytest.mark.parametrize(
    ("text", "engine", "healthcheck", "number", "span"),
    [
        ("inspect:health", True, False, None, None),
        ("inspect:health.0", False, True, None, None),
        ("inspect:health_log", True, False, None, None),
        ("app/event:3", True, False, 3, None),
        ("logs:7", False, False, 7, None),
        ("logs:7-9", False, False, None, ("logs:7", "logs:9")),
        ("probe:0", False, False, 0, None),
    ],
)
def test_what_an_id_is_of(text: str, engine: bool, healthcheck: bool, number: int | None, span: object) -> None:
    found = parse(text)
    assert (found.of_engine, found.of_healthcheck, found.number, found.span) == (engine, healthcheck, number, span)


def test_what_another_service_said_is_not_in_ones_own_log() -> None:
    assert cites_own_log(["inspect:state", "logs:1"])
    assert not cites_own_log(["inspect:state", "db/logs:1"])
    assert own(["a/logs:1", "logs:2", "probe:0"]) == ["logs:2", "probe:0"]


@pytest.mark.parametrize(
    ("citing", "owner", "text", "written"),
    [
        ("app", "db", "logs:1", "db/logs:1"),
        ("app", "db", "app/logs:1", "logs:1"),
        ("app", "db", "web/logs:1", "web/logs:1"),
    ],
)
def test_an_id_as_another_service_writes_it(citing: str, owner: str, text: str, written: str) -> None:
    assert seen_from(citing, owner, text) == written


STEP = {"id": "step:4", "tool": "docker_logs", "arguments": {}, "output": "x", "error": None, "ms": 1.0}
LOOKED_AT = View.of(
    making.swarm("no suitable node")
    | {"node": making.node(state="down")["node"]}
    | {"host": {"name": "vm-1", "unreachable": "refused"}, "analysis": {"steps": [STEP | {"id": "step:3"}, STEP]}}
    | {"stats": dict.fromkeys(Stats.__struct_fields__) | {"pids": 7, "observed_at": making.OBSERVED}}
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("stats:pids", 7),
        ("stats:no_such_key", None),
        ("swarm:mode", "replicated"),
        ("swarm:tasks.1", None),
        ("node:state", "down"),
        ("host:unreachable", "refused"),
        ("step:5", None),
        *((f"{owner}/stats:pids", None) for owner in ("x", "db")),
    ],
)
def test_what_an_id_stands_for(text: str, value: object) -> None:
    assert resolve(LOOKED_AT, text) == value


def test_a_step_and_a_task_are_found_by_their_number() -> None:
    assert resolve(LOOKED_AT, "step:4").id == "step:4"
    assert resolve(LOOKED_AT, "swarm:tasks.0").error == "no suitable node"


def test_of_what_was_not_looked_at_nothing_is_found() -> None:
    nothing = View.of({"service": "x"})
    for kind, key in (("stats", "pids"), ("swarm", "mode"), ("node", "state"), ("host", "name"), ("event", "0")):
        assert resolve(nothing, f"{kind}:{key}") is None


@pytest.mark.parametrize("key", ["ts", "start", "at"])
@pytest.mark.parametrize(("stamp", "told"), [("2026-01-01T00:00:00Z", True), ("yesterday", False), (5, False)])
def test_when_a_piece_of_evidence_appeared(key: str, stamp: object, told: bool) -> None:
    assert time_of(SimpleNamespace(**{key: stamp})) == (stamp if told else None)
