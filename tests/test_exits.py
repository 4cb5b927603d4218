"""dm_tools/pipe/exits.py: the statuses are a promise to scripts, and of several the one that matters most is told."""

from __future__ import annotations

import itertools

from dm_tools.pipe import exits


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
