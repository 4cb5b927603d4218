"""No false alarm: what healthy programs print makes no specific pattern fire."""

from __future__ import annotations

from pathlib import Path

import pytest

from dm_tools.diagnose.claims import SPECIFIC_RANK
from dm_tools.diagnose.facts import facts
from dm_tools.patterns import reading as reader
from tests.conftest import ROOT
from tests.making import service
from tests.samples import items

FOLDER = ROOT / "tests" / "data" / "harmless"
LIBRARY = reader.read(None)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.log")), ids=lambda path: path.stem)
def test_nothing_specific_fires_on_the_log_of_a_healthy_program(path: Path) -> None:
    log = items(path.read_text(encoding="utf-8"))
    hits = facts(service("x", "failed", log=log), LIBRARY).hits
    said = {hit.pattern.id: hit.evidence for hit in hits if hit.pattern.rank >= SPECIFIC_RANK}
    assert not said, [log[int(each.removeprefix("logs:"))] for evidence in said.values() for each in evidence]
