"""docs/policy.md keeps its word: its policy can be read, its examples run on recorded evidence."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from dm_tools.act.policy import language
from dm_tools.act.posterior import INTERVAL, M
from tests.approving import outcome
from tests.conftest import ROOT, Run

PAGE = (ROOT / "docs/policy.md").read_text()
POLICY = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[0]
EXAMPLES = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)[0].splitlines()


def test_the_policy_of_the_page_can_be_read() -> None:
    found = language.read(POLICY)
    assert [rule.name for rule in found.rules] == ["start-what-ended", "restart-at-night", "never-the-ledger"]
    assert (M, INTERVAL) == (2, 0.9)


@pytest.mark.parametrize("line", EXAMPLES)
def test_the_examples_run(run: Run, tmp_path: Path, line: str) -> None:
    (tmp_path / "policy.toml").write_text(POLICY)
    (tmp_path / "outcomes.jsonl").write_bytes(b"\n".join(msgspec.json.encode(outcome(each)) for each in range(3, 12)))
    run(f"dm-analyze < {ROOT}/tests/data/database-down.jsonl | dm-propose > judged.jsonl")
    done = run(line)
    # 5: the plan asks a Docker that is not there
    assert done.returncode == (5 if "--plan" in line else 0), done.stderr
    assert done.stdout


def test_the_table_is_there() -> None:
    """scripts/simulate-year writes it; tests/test_simulation.py holds a year of it."""
    table = PAGE.partition("<!-- printed by scripts/simulate-year -->")[2].partition("<!-- end -->")[0]
    assert "| nothing (as shipped) | 0.0% | 0.0% | 0 | 0, 0 |" in table
    assert "| **`[earned]` 8, lower bound 0.7** |" in table
