"""Hostile input steers no verdict: every entry of tests/data/injection beside the same stack without it."""

from __future__ import annotations

import json

import pytest

from tests.injection import Entry, Outcome, by_functions, entries, given, hostile, outcome

pytestmark = pytest.mark.xdist_group("score")  # beside test_score.py, which counts the same outcomes

ENTRIES = entries()


@pytest.fixture(scope="module")
def found() -> dict[str, Outcome]:
    """Outcomes by name, each made once."""
    return {}


def made(entry: Entry, found: dict[str, Outcome]) -> Outcome:
    """The outcome of an entry."""
    if entry.name not in found:
        found[entry.name] = outcome(entry)
    return found[entry.name]


def name(entry: Entry) -> str:
    return f"{entry.kind}: {entry.name}"


def test_the_corpus_is_large_and_its_names_are_unique() -> None:
    assert len(ENTRIES) >= 100
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES)
    assert sum(entry.limit is not None for entry in ENTRIES) <= len(ENTRIES) // 10, "a limit is the exception"


@pytest.mark.parametrize("entry", [each for each in ENTRIES if each.limit is None], ids=name)
def test_hostile_input_steers_nothing(entry: Entry, found: dict[str, Outcome]) -> None:
    assert not made(entry, found).steered, found[entry.name].verdict


@pytest.mark.parametrize("entry", [each for each in ENTRIES if each.limit is not None], ids=name)
def test_what_cannot_be_seen_through_is_never_certain_and_shows_its_line(
    entry: Entry, found: dict[str, Outcome]
) -> None:
    result = made(entry, found)
    assert result.steered, "it is seen through now: take out its limit"
    assert result.shown, "the reader sees which line it stands on"
    alone = len(entry.extra) < 2  # several who agree are sure of themselves
    assert not alone or result.sure != "high"
    trouble = entry.given or any(each.status != "healthy" for each in entry.extra)
    assert trouble or "healthy" not in result.bases, "no words make an issue of a stack that is well"


@pytest.mark.parametrize("entry", [each for each in ENTRIES if each.free], ids=name)
def test_a_captured_word_in_a_proposal_is_short_and_printable(entry: Entry) -> None:
    for base in entry.bases:
        for _, proposals in by_functions(json.dumps(hostile(entry, given(entry, base)))).values():
            for proposal in proposals:
                values = [str(value) for value in proposal.parameters.values()]
                assert all(len(value) <= 200 and value.isprintable() for value in values), values
