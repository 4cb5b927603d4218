"""A simulated year: promotion and loss where they should be, and nothing harmful by the policy of docs/policy.md."""

from __future__ import annotations

from tests import simulation
from tests.approving import allow, policy

EARNED = "[earned]\nsuccesses = 8\nlower_bound = 0.7\n"


def test_a_year_with_earned_autonomy() -> None:
    """The whole table, of five years, is in docs/policy.md (scripts/simulate-year)."""
    found = simulation.year(policy(EARNED), seed=0)
    assert found.incidents > 700
    assert found.harmful == 0 < found.harmful_of_persons
    assert found.alone / found.incidents > 0.05
    assert found.alone / found.approved > 0.9
    assert found.after_a_loss == 0
    assert found.losses > 0
    assert set(found.earned_by) <= {"helps", "sometimes"}
    assert found.earned_by["helps"] > 10


def test_a_list_of_safe_actions_does_harm_in_the_same_year() -> None:
    """The witness that there is harm to be done."""
    rule = allow("actions = ['restart', 'start', 'unpause', 'reconnect_network']")
    assert simulation.year(policy(rule), seed=0).harmful > 5


def test_the_same_seed_is_the_same_year() -> None:
    one, other = (simulation.year(policy(), seed=1) for _ in range(2))
    assert (one.incidents, one.harmful_of_persons, one.approved) == (other.incidents, other.harmful_of_persons, 0)
