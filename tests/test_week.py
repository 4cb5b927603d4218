"""A part of a day of trouble, lived through by real processes that are killed; the whole week is in docs/watch.md."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.week import count, peers, plan, watcher
from tests.week.peers import Seen

WEEK = plan.week(seed=5, rounds=480, kills=8)


def test_each_incident_is_told_once_whatever_is_killed(tmp_path: Path) -> None:
    heard = watcher.Watcher(WEEK, tmp_path, random.Random(5)).run()
    ours = count.score(WEEK, heard)
    kinds = {each.kind for each in ours.incidents}
    assert heard.kills >= 6 and len(ours.incidents) >= 10 and kinds >= {"storm", "recorded fault", "single"}
    assert [each for each in ours.wrong if "flapping" not in each] == []
    assert (ours.told_twice, ours.healing_failures_told) == (0, ours.healing_failures)
    quiet = {(name, number) for name, begin, end in WEEK.silences for number in range(begin, end)}
    gatus = count.judge(WEEK, peers.gatus(count.seen(WEEK, heard.looked), quiet))
    assert gatus.messages > ours.messages  # the witness that there was something to group


def test_the_same_seed_is_the_same_week() -> None:
    one, other = (plan.week(seed=1, rounds=2000) for _ in range(2))
    assert one == other != plan.week(seed=2, rounds=2000)


@pytest.mark.parametrize(
    ("good", "told"),
    [
        ("ggbbg", []),
        ("bbb", ["2 opened"]),
        ("bbbbgg", ["2 opened", "5 resolved"]),
        ("bbbgbgbgg", ["2 opened", "8 resolved"]),
    ],
)
def test_gatus_by_its_rules(good: str, told: list[str]) -> None:
    rounds = [(number, [Seen("web", "healthy", "running", each == "g")]) for number, each in enumerate(good)]
    assert [f"{each.number} {each.kind}" for each in peers.gatus(rounds, set())] == told
    assert peers.gatus(rounds, {("web", number) for number in range(9)}) == []


@pytest.mark.parametrize(
    ("state", "health", "restarts"),
    [
        ("running", "unhealthy", [0, 3, 6]),
        ("restarting", "unhealthy", []),
        ("exited", "unhealthy", []),
        ("running", None, []),
    ],
)
def test_autoheal_by_its_rules(state: str, health: str | None, restarts: list[int]) -> None:
    rounds = [(number, [Seen("web", health, state, False)]) for number in range(8)]
    assert [each.number for each in peers.autoheal(rounds)] == restarts
