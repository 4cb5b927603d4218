"""dm_tools/pipe/exits.py: the statuses are a promise to scripts, and of several the one that matters most is told."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from dm_tools.pipe import exits
from tests.conftest import Run


def test_the_statuses_are_those_that_scripts_rely_on() -> None:
    assert sorted(exits.MEANING) == [0, 1, 2, 3, 4, 5, 6, 10, 130, 141, 143]
    named = (exits.DONE, exits.BUG, exits.USAGE, exits.BAD_INPUT, exits.ERRORS, exits.UNREACHABLE)
    assert named == (0, 1, 2, 3, 4, 5)
    assert (exits.CANNOT_WRITE, exits.MATCHED) == (6, 10)
    assert (exits.INTERRUPTED, exits.BROKEN_PIPE, exits.TERMINATED) == (130, 141, 143)


def test_of_several_the_one_that_matters_most_whatever_their_order() -> None:
    by_weight = [1, 6, 3, 10, 5, 4, 0]
    for one, other in itertools.combinations(by_weight, 2):
        assert exits.worst(one, other) == exits.worst(other, one) == one
    assert exits.worst() == 0


def test_the_table_leaves_out_what_a_command_never_says() -> None:
    assert "   5  Docker" in exits.table(exits.MATCHED)
    assert "  10  " not in exits.table(exits.MATCHED)
    assert exits.table().count("\n") == len(exits.MEANING) + 1


@pytest.mark.parametrize("given", ["", "\n\n"])
@pytest.mark.parametrize("line", ["probe --fail-on failed", "analyze --fail-on any", "report --fail-on unhealthy"])
def test_of_nothing_at_all_it_is_not_said_that_it_is_well(run: Run, line: str, given: str) -> None:
    """What stands before in a pipe may have died before it told of anything."""
    done = run(f"dm-{line}", given)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == f"dm-{line.partition(' ')[0]}: no record came: --fail-on tells nothing of nothing\n"
    assert run(f"dm-{line.partition(' ')[0]}", given).returncode == 0


def test_where_nothing_was_wrong_nothing_is_proved(run: Run, tmp_path: Path) -> None:
    (tmp_path / "before.jsonl").write_text("")
    done = run("dm-verify --before before.jsonl --fail-on not-recovered", "")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == "dm-verify: no incident stands in what was before: nothing is proved\n"
