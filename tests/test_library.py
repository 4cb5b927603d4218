"""The whole pattern library against all samples: own pattern yes, near miss no, and nobody else's cause.

tests/data/sayings-without-example.txt holds the sayings that have no example yet. It may only shrink.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from dm_tools.diagnose import analyze as judge
from dm_tools.diagnose.claims import SPECIFIC_RANK
from dm_tools.diagnose.facts import facts
from dm_tools.patterns import language
from dm_tools.patterns import reading as reader
from dm_tools.patterns.haystack import Haystack, Searcher
from dm_tools.records import Analysis
from tests.conftest import ROOT
from tests.making import service
from tests.samples import examples, items, samples, written

LIBRARY = reader.read(None, check=True)
PATTERNS = {pattern.id: pattern for pattern in LIBRARY.patterns}
SAMPLES = samples()
WRITTEN = written()
WITHOUT = ROOT / "tests" / "data" / "sayings-without-example.txt"


MOUNTED = {"mount.file": "/etc/app/app.conf", "mount.system": "/etc"}


def record(name: str, text: str) -> dict[str, object]:
    """A failed service whose log is the sample; a pattern that needs a stopped container or a mount gets one."""
    clauses = PATTERNS[name].match
    down = any(clause.where in ("down", "looping", "last_words") for clause in clauses)
    changes: dict[str, Any] = {"state": "restarting", "restart_count": 3, "exit_code": 1} if down else {}
    for clause in clauses:
        if clause.where.startswith("inspect.") and clause.one_of:
            changes[clause.where.removeprefix("inspect.")] = clause.one_of[-1]
        if clause.where == "ended.code" and clause.one_of:
            changes["exit_code"] = clause.one_of[0]
        if clause.where in MOUNTED:
            mount = {"type": "bind", "source": "/srv", "destination": MOUNTED[clause.where], "read_only": True}
            changes["mounts"] = [mount]
    return service("x", "failed", log=items(text), **changes)


@cache
def judged(name: str, text: str) -> tuple[frozenset[str], Analysis]:
    """Ids of all patterns that fire for a sample of a pattern, and what the analysis of that service alone says."""
    digest = facts(record(name, text), LIBRARY)
    return frozenset(hit.pattern.id for hit in digest.hits), judge.analyze({"x": digest}, LIBRARY)["x"]


def test_every_pattern_that_looks_at_logs_says_what_they_hold() -> None:
    said = ("log", language.LAST_WORDS)
    looking_at_logs = {each.id for each in LIBRARY.patterns if any(clause.where in said for clause in each.match)}
    assert set(SAMPLES) == looking_at_logs
    assert all(each.matches and each.near_misses for each in SAMPLES.values())


def test_editors_are_told_the_schema_and_it_describes_every_key() -> None:
    first = {path.name: path.read_text().partition("\n")[0] for path in reader.shipped().glob("*.toml")}
    assert {name for name, line in first.items() if line != "#:schema ./pattern.schema.json"} == set()
    kinds = language.schema()["$defs"]
    for kind in ("WrittenFile", "Written", "Saying", "Clause", "Technology"):
        assert all(key.get("description") for key in kinds[kind]["properties"].values()), kind
        assert kinds[kind]["additionalProperties"] is False


def test_every_saying_has_an_example() -> None:
    without = {f"{each.id}: {saying.text}" for each in WRITTEN.values() for saying in each.says if not examples(saying)}
    known = WITHOUT.read_text(encoding="utf-8").splitlines()
    assert known == sorted(set(known))
    assert not without - set(known), "a new saying has an example: a line that the program really prints"
    assert not set(known) - without, f"these have an example now, or are gone: take them out of {WITHOUT.name}"


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_a_pattern_holds_what_it_says(name: str) -> None:
    """One test for each of two thousand: its examples, its samples and near misses, and nobody else's cause."""
    _examples_are_of_their_sayings(WRITTEN[name])
    for text in SAMPLES[name].matches:
        assert name in judged(name, text)[0], f"it does not match its sample: {text}"
        _claims_no_foreign_cause(PATTERNS[name], text)
    for text in SAMPLES[name].near_misses:
        assert name not in judged(name, text)[0], f"it matches its near miss: {text}"


def _examples_are_of_their_sayings(pattern: language.Written) -> None:
    for saying in pattern.says:
        searcher = Searcher()
        searcher.add(saying.text)
        for example in examples(saying):
            found = Haystack(searcher, list(items(example))).positions(saying.text, pattern.but_not)
            assert list(found), f"an example is not of its saying: {example}"


def _claims_no_foreign_cause(own: language.Pattern, text: str) -> None:
    """Every sample against every pattern: a specific one that fires beside its own names the same cause."""
    fired, verdict = judged(own.id, text)
    found = {other: PATTERNS[other].cause for other in fired if PATTERNS[other].rank >= SPECIFIC_RANK}
    foreign = {other: cause for other, cause in found.items() if cause != own.cause}
    assert not foreign, f"others claim another cause: {foreign} of {text}"
    assert own.rank < SPECIFIC_RANK or verdict.cause == own.cause, f"judged as {verdict.cause}: {text}"
