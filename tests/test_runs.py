"""dm_tools/text/runs.py: a log alone that begins anew again and again."""

from __future__ import annotations

import pytest

from dm_tools.records import LogLine
from dm_tools.text.runs import dying

START, WHY, END = "2026-01-01 10:00:0{n} ring starting", "Error: the ring store is locked by 4{n}1", "bye {n}"


def lines(*texts: str) -> list[LogLine]:
    return [LogLine(id=f"logs:{at}", ts=None, stream="stderr", text=text) for at, text in enumerate(texts)]


def runs(*texts: str, count: int = 3) -> list[LogLine]:
    return lines(*(text.replace("{n}", str(number)) for number in range(count) for text in texts))


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (runs(START, WHY, END), True),
        (runs(START, WHY, END, count=2), True),
        (runs(START, WHY, END, count=1), False),  # it ended once
        (runs(START, "order {n} stored", END), False),  # a job that does its work now and then
        ([*runs(START, WHY, END), *lines("listening on :80")], False),  # the last run lives
        (runs(WHY), False),  # one that tries again and again has begun once
        (lines(START, WHY, END, START, "order 1 stored", "done"), False),
        ([], False),
    ],
)
def test_the_same_run_over_and_over_with_a_failure_in_it(log: list[LogLine], expected: bool) -> None:
    assert dying(log) == expected
