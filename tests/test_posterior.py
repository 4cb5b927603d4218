"""How sure it is that an action helps: the beta distribution's known values, the three levels, ranks and confidence."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dm_tools.act import beta, ranking
from dm_tools.act.posterior import Experience, Place, Scope, helped, told
from dm_tools.records import ActionName, Cause, Confidence, Outcome, Proof, Proposal, Risk
from tests.approving import HERE, outcome
from tests.conftest import ROOT, Run, records
from tests.test_propose import verdict

RESTART, AGAINST = ActionName.RESTART, Cause.UNRESPONSIVE


@pytest.mark.parametrize(
    ("x", "a", "b", "share"),
    [
        (0.5, 1, 1, 0.5),
        (0.25, 1, 1, 0.25),
        (0.5, 7, 7, 0.5),
        (0.3, 2, 5, 1 - 0.7**6 - 6 * 0.3 * 0.7**5),  # of the binomial distribution
        (0.9, 10, 1, 0.9**10),
        (0.1, 1, 10, 1 - 0.9**10),
        (0.2, 0.5, 0.5, 2 / math.pi * math.asin(math.sqrt(0.2))),  # the arcsine distribution
        (0.0, 2, 3, 0),
        (1.0, 2, 3, 1),
    ],
)
def test_the_share_below(x: float, a: float, b: float, share: float) -> None:
    assert beta.below(x, a, b) == pytest.approx(share, abs=1e-12)


@pytest.mark.parametrize(
    ("share", "a", "b", "x"),
    [
        (0.05, 4, 1, 0.05**0.25),
        (0.95, 1, 4, 1 - 0.05**0.25),
        (0.05, 0.5, 0.5, math.sin(math.pi / 2 * 0.05) ** 2),
        (0.5, 30, 30, 0.5),
    ],
)
def test_quantiles(share: float, a: float, b: float, x: float) -> None:
    assert beta.quantile(share, a, b) == pytest.approx(x, abs=2e-5)


@given(st.floats(0.01, 0.99), st.floats(0.05, 1e6), st.floats(0.05, 1e6))
@settings(max_examples=200, deadline=None)
def test_a_quantile_is_what_the_share_is_below(share: float, a: float, b: float) -> None:
    x = beta.quantile(share, a, b)
    assert 0 <= x <= 1
    if 1e-9 < x < 1 - 1e-9:
        assert beta.below(x, a, b) == pytest.approx(share, abs=1e-4)
    assert beta.below(x, a, b) == pytest.approx(1 - beta.below(1 - x, b, a), abs=1e-9)


@pytest.mark.parametrize(
    ("more", "good"),
    [
        ({}, True),
        ({"proof": Proof.NOT_RECOVERED}, False),
        ({"proof": Proof.WORSE}, False),
        ({"proof": Proof.WORSE, "outcome": Outcome.UNDONE}, False),
        ({"proof": Proof.UNPROVEN}, None),
        ({"proof": None}, None),
        ({"outcome": Outcome.FAILED}, False),
        ({"outcome": Outcome.FAILED, "proof": None}, False),
        ({"outcome": Outcome.ALREADY_DONE}, None),
        ({"outcome": Outcome.REFUSED, "proof": None}, None),
        ({"outcome": Outcome.UNDONE}, None),
        ({"action": ActionName.CHECK_LOGS, "outcome": Outcome.LOOKED}, None),
        ({"action": ActionName.FIX_CONFIG}, None),
    ],
)
def test_what_counts_as_help(more: dict[str, Any], good: bool | None) -> None:
    assert helped(outcome(**more)) is good


def known(good: int, bad: int = 0, **more: Any) -> list[Any]:
    """Outcomes of which so many helped."""
    return [outcome(**more) for _ in range(good)] + [outcome(proof=Proof.NOT_RECOVERED, **more) for _ in range(bad)]


@pytest.mark.parametrize(
    ("good", "bad", "words"),
    [(0, 0, "0 of 0, 5-95 %"), (3, 0, "3 of 3, 47-99 %"), (9, 0, "9 of 9, 74-99 %"), (1, 1, "1 of 2, 14-86 %")],
)
def test_one_service_alone(good: int, bad: int, words: str) -> None:
    assert told(Experience(known(good, bad)).estimate(AGAINST, RESTART, HERE)) == words


def test_the_formula_of_the_three_levels() -> None:
    """Computed by hand: 2 of 3 elsewhere, 4 of 4 of the same image, 1 of 2 here."""
    found = Experience(
        known(2, 1, place=Place("x", None, None, "other:1"))
        + known(4, 0, place=Place("y", None, None, "example/app:9"))
        + known(1, 1)
    )
    p0 = 3 / 5
    p1 = (2 * p0 + 4) / (2 + 4)
    assert found.estimate(AGAINST, RESTART, HERE).mean == pytest.approx((2 * p1 + 1) / (2 + 2))
    assert found.estimate(AGAINST, RESTART, HERE, Scope.OVERALL).mean == pytest.approx(8 / 11)
    assert found.counts(AGAINST, RESTART, HERE, Scope.IMAGE) == (5, 1)
    assert found.estimate(Cause.PAUSED, RESTART, HERE).tried == 0


@pytest.mark.parametrize(
    ("image", "repository"),
    [
        ("postgres:16", "postgres"),
        ("reg.example:5000/a/b:1@sha256:00", "reg.example:5000/a/b"),
        ("reg.example:5000/a/b", "reg.example:5000/a/b"),
        (None, None),
    ],
)
def test_versions_of_an_image_have_their_name_in_common(image: str | None, repository: str | None) -> None:
    assert Place("x", image=image).repository == repository


def test_an_outcome_that_was_proved_later_counts_once() -> None:
    first = outcome(proof=None)
    assert Experience([first, msgspec.structs.replace(first, proof=Proof.RECOVERED)]).counts(
        AGAINST, RESTART, HERE, Scope.SERVICE
    ) == (1, 0)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["i:1", "i:2", "j:1", None]), st.booleans())))
@settings(max_examples=100, deadline=None)
def test_more_success_is_never_less_sure_and_more_failure_never_surer(past: list[tuple[str, str | None, bool]]) -> None:
    def one(service: str, image: str | None, good: bool) -> Any:
        return outcome(proof=Proof.RECOVERED if good else Proof.NOT_RECOVERED, place=Place(service, None, None, image))

    outcomes = [one(*each) for each in past]
    here = Place("a", None, None, "i:1")
    for place in (here, Place("b", None, None, "i:2"), Place("c", None, None, "j:1")):
        lows = [
            Experience([*outcomes, *more]).estimate(AGAINST, RESTART, here).low
            for more in ([outcome(proof=Proof.NOT_RECOVERED, place=place)], [], [outcome(place=place)])
        ]
        assert all(first <= second + 1e-9 for first, second in pairwise(lows))


# Ranks and confidence


def proposal(action: ActionName, confidence: Confidence) -> Proposal:
    """A proposal."""
    return Proposal(action, confidence, Risk.REVERSIBLE, True, "because", {}, [], None)


START, UNPAUSE = ActionName.START, ActionName.UNPAUSE
GIVEN = [proposal(START, Confidence.HIGH), proposal(RESTART, Confidence.LOW), proposal(UNPAUSE, Confidence.MEDIUM)]


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([], ["start high", "restart low", "unpause medium"]),
        (known(1, action=START), ["start high", "unpause medium", "restart low"]),
        (known(0, 1, action=START), ["start low", "unpause medium", "restart low"]),
        (known(0, 3, action=START), ["unpause medium", "start low", "restart low"]),
        (known(3), ["start high", "restart low", "unpause medium"]),  # 3 of 3, 47-99 %: not yet
        (known(5), ["restart medium", "start high", "unpause medium"]),
        (known(40), ["restart medium", "start high", "unpause medium"]),
        (known(40, action=UNPAUSE), ["unpause medium", "start high", "restart low"]),
    ],
)
def test_what_helped_comes_first_and_nothing_becomes_automatic(outcomes: list[Any], expected: list[str]) -> None:
    found = ranking.ranked(GIVEN, verdict(AGAINST), HERE, Experience(outcomes))
    assert [f"{each.action} {each.confidence}" for each in found] == expected


@given(st.lists(st.tuples(st.sampled_from([START, RESTART, UNPAUSE]), st.booleans()), max_size=30))
@settings(max_examples=60, deadline=None)
def test_history_makes_nothing_highly_confident(past: list[tuple[ActionName, bool]]) -> None:
    outcomes = [outcome(proof=Proof.RECOVERED if good else Proof.WORSE, action=each) for each, good in past]
    found = ranking.ranked(GIVEN, verdict(AGAINST, confidence=Confidence.HIGH), HERE, Experience(outcomes))
    assert {each.action for each in found if each.confidence == Confidence.HIGH} <= {START}
    low = ranking.ranked(GIVEN[1:2], verdict(AGAINST, confidence=Confidence.LOW), HERE, Experience(outcomes))
    assert low[0].confidence == Confidence.LOW


@pytest.mark.parametrize(
    ("good", "bad", "confidence"),
    [
        (0, 0, Confidence.HIGH),
        (0, 1, Confidence.HIGH),
        (2, 2, Confidence.HIGH),
        (0, 2, Confidence.MEDIUM),
        (1, 3, Confidence.MEDIUM),
        (0, 4, Confidence.LOW),
        (9, 4, Confidence.HIGH),
    ],
)
def test_a_pattern_that_was_disproved_is_believed_less(good: int, bad: int, confidence: Confidence) -> None:
    decided = msgspec.structs.replace(verdict(AGAINST), pattern="made.up")
    past = [
        *(outcome(proof=Proof.RECOVERED, pattern="made.up") for _ in range(good)),
        *(outcome(proof=Proof.NOT_RECOVERED, pattern="made.up") for _ in range(bad)),
        *(outcome(proof=Proof.WORSE, pattern="another") for _ in range(9)),
        *(outcome(outcome=Outcome.FAILED, proof=None, pattern="made.up") for _ in range(9)),
    ]
    found = ranking.doubted(decided, Experience(past))
    assert found.confidence == confidence
    assert bool(found.next) == (confidence != Confidence.HIGH)
    assert ranking.doubted(verdict(AGAINST), Experience(past)).confidence == Confidence.HIGH  # nobody decided
    low = msgspec.structs.replace(decided, confidence=Confidence.LOW)
    assert ranking.doubted(low, Experience(past)).confidence == Confidence.LOW


def test_the_command_doubts_a_disproved_verdict(run: Run, tmp_path: Any) -> None:
    """It stands in the record, so that the report, the policy and a person see the same."""
    judge = f"dm-analyze < {ROOT}/tests/data/database-down.jsonl | dm-propose"
    (before,) = [each for each in records(run(judge).stdout) if each["service"] == "postgres"]
    decided, sure = before["analysis"]["pattern"], before["analysis"]["confidence"]
    past = [outcome(proof=Proof.NOT_RECOVERED, pattern=decided, service="elsewhere") for _ in range(4)]
    (tmp_path / "outcomes.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, past)))
    (after,) = [
        each for each in records(run(f"{judge} --history outcomes.jsonl").stdout) if each["service"] == "postgres"
    ]
    assert (sure, after["analysis"]["confidence"]) == ("high", "low")
    assert "helped 0 of 4" in after["analysis"]["next"][-1]
    assert {each["confidence"] for each in after["proposals"]} == {"low"}


def test_the_command_says_what_became_of_it(run: Run, tmp_path: Any) -> None:
    place = Place("postgres", "dmlab", None, None)
    lines = [msgspec.json.encode(each) for each in known(3, action=START, cause=Cause.EXITED, place=place)]
    (tmp_path / "outcomes.jsonl").write_bytes(b"\n".join(lines))
    done = run(f"dm-analyze < {ROOT}/tests/data/database-down.jsonl | dm-propose --history outcomes.jsonl")
    (postgres,) = [each for each in records(done.stdout) if each["service"] == "postgres"]
    assert "it helped 3 of 3" in postgres["proposals"][0]["reasoning"]
    (tmp_path / "outcomes.jsonl").write_text(json.dumps({"service": "x"}) + "\n")
    done = run(f"dm-analyze < {ROOT}/tests/data/database-down.jsonl | dm-propose --history outcomes.jsonl")
    assert done.returncode == 3
    assert "line 1" in done.stderr
