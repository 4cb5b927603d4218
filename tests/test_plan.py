"""dm_tools/act/plan.py: what of an approval file is carried out, and whether it still fits. See also test_act.py."""

from __future__ import annotations

import msgspec
import orjson
import pytest

from dm_tools.act import plan
from dm_tools.records import Approval, ApprovedAction, Identity
from tests.test_act import action, container, docker

TWO = [action("app"), action("db", "check_logs"), action("app", "check_logs")]


@pytest.mark.parametrize(("services", "kept"), [(["app"], [0, 2]), (["db"], [1]), (["db", "app"], [0, 1, 2]), ([], [])])
def test_only_the_actions_of_the_services_that_were_named(services: list[str], kept: list[int]) -> None:
    assert plan.only(TWO, services) == [TWO[each] for each in kept]


@pytest.mark.parametrize(
    ("actions", "says"),
    [
        (TWO, r"no action was approved for 'web' \(there is: app, db\)"),
        ([], r"no action was approved for 'web' \(there is: nothing\)"),
    ],
)
def test_a_service_without_an_action_is_named(actions: list[ApprovedAction], says: str) -> None:
    with pytest.raises(LookupError, match=says):
        plan.only(actions, ["web", "app"])


def test_an_approval_is_read_from_the_file_and_from_lines() -> None:
    whole = msgspec.json.encode(Approval("2026-01-01T00:00:00", "report.json", TWO))
    lines = b"\n\n".join(msgspec.json.encode(each) for each in TWO) + b"\n"
    indented = orjson.dumps(orjson.loads(whole), option=orjson.OPT_INDENT_2)
    assert plan.approved("x", whole) == plan.approved("x", indented) == plan.approved("x", lines) == TWO
    assert plan.approved("x", msgspec.json.encode(TWO[0])) == TWO[:1]


def test_an_approval_keeps_its_name_from_version_to_version() -> None:
    """By it a journal of before knows what was carried out already."""
    known = Identity("a" * 64, "2026-01-01T00:00:00Z", "running", 0)
    assert plan.identify(action("app", identity=known)) == "09295e96597ddf73"
    assert plan.identify(action("app", identity=known)) != plan.identify(action("app"))


def test_a_container_that_is_no_services_is_known_by_its_name() -> None:
    alone = container("alone", mode="container:" + "vpn" * 8)
    alone["Config"]["Labels"] = {}
    named = container("other", mode="container:alone")
    assert plan.needs([alone, container("vpn"), named]) == {"alone": {"vpn"}, "vpn": set(), "other": {"alone"}}


@pytest.mark.parametrize(
    ("then", "now", "fits"),
    [
        ("running", "restarting", True),
        ("restarting", "running", True),
        ("running", "exited", False),
        ("exited", "running", False),
        ("paused", "restarting", False),
    ],
)
def test_a_crash_loop_fits_in_either_of_its_states_and_nothing_else_does(then: str, now: str, fits: bool) -> None:
    raw = docker("healthy")
    raw["State"] |= {"StartedAt": "2026-01-01T00:00:00Z", "Status": now}
    found = plan.stale(action(identity=Identity(raw["Id"], "2026-01-01T00:00:00Z", then, 1)), raw)
    assert (found is None) is fits


def test_an_approval_of_no_container_fits_any_and_a_count_that_is_not_told_is_none() -> None:
    raw = docker("healthy")
    assert plan.stale(action(), raw) is None
    raw |= {"RestartCount": None}
    raw["State"] |= {"StartedAt": "2026-01-01T00:00:09Z", "Status": "running"}
    identity = Identity(raw["Id"], "2026-01-01T00:00:00Z", "running", 0)
    assert "started anew" in str(plan.stale(action(identity=identity), raw))


def test_a_chain_of_needs_is_followed_to_its_end() -> None:
    needed = {"a": {"b"}, "b": {"c"}, "c": {"d"}, "x": set()}
    wanted = [action(each) for each in ("a", "x", "b", "c", "d")]
    assert [each.service for each in plan.ordered(wanted, needed)] == ["x", "d", "c", "b", "a"]
