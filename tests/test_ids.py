"""Evidence ids: what takes them apart, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dm_tools.evidence.ids import EvidenceId, Kind, cites_own_log, own, parse


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
