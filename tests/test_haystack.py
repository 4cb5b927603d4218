"""Searching a log for all expressions at once finds what searching it for each alone finds."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate

import pytest

from dm_tools.patterns import haystack
from dm_tools.patterns import reading as reader
from dm_tools.patterns.haystack import Haystack, Searcher
from dm_tools.patterns.literals import literals
from dm_tools.text import needles
from tests.samples import items, samples

LIBRARY = reader.read(None)
ENDS = re.compile(r"[$^]|\\[Az]")


def found(searcher: Searcher, texts: list[str], expression: str) -> list[int]:
    return list(Haystack(searcher, texts).positions(expression))


@pytest.mark.parametrize(
    ("expression", "needed"),
    [
        ("connection refused", {"nnection refused"}),
        ("[Cc]onnection (?:refused|reset)", {"nnection refused", "connection reset"}),
        ("(?i:Out Of Memory)", {"out of memory"}),
        ("a|(?i)Killed process", set()),  # `a` stands everywhere
        (r"disk (?:is )?full: \d+", {"disk "}),
        (r"x{1,3}panicked", {"panicked"}),
        (r"\d+", set()),
        ("(", set()),  # refused elsewhere
    ],
)
def test_literals(expression: str, needed: set[str]) -> None:
    assert {each.decode() for each in literals(expression)} == needed


def test_whatever_an_expression_matches_holds_one_of_its_literals() -> None:
    texts = {each.encode() for sample in samples().values() for text in sample.matches for each in items(text)}
    sought = sorted(texts)
    lower = b"\0".join(sought).lower()
    starts = [0, *accumulate(len(each) + 1 for each in sought)]

    def holding(literal: bytes) -> Iterator[int]:
        at = lower.find(literal)
        while at >= 0:
            yield bisect_right(starts, at) - 1
            at = lower.find(literal, starts[bisect_right(starts, at)])

    for expression in LIBRARY.searcher.expressions:
        needed, compiled = literals(expression), LIBRARY.searcher.compiled(expression)
        held = {at for literal in needed for at in holding(literal)}
        without = [each for at, each in enumerate(sought) if at not in held] if needed else []
        # One search of all of them is the quick way to see that it matches none; an end or a beginning is each one's.
        together = without if ENDS.search(expression.replace("[^", "[")) else [b"\n".join(without)]
        assert not any(map(compiled.search, together)) or not [e for e in without if compiled.search(e)], expression


def test_the_same_is_found_in_one_piece_and_in_many(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [each for sample in samples().values() for text in sample.matches[:1] for each in items(text)]
    whole = LIBRARY.causal(texts)
    monkeypatch.setattr(haystack, "PIECE_BYTES", 200)
    monkeypatch.setattr("dm_tools.patterns.places.MAX_EVIDENCE", len(texts))
    in_pieces = LIBRARY.causal(texts)
    assert {position: set(ids) for position, ids in whole.items()}.keys() <= in_pieces.keys()
    assert len(in_pieces) > 0.9 * len(samples())


def test_few_places_and_many_lead_to_the_same_items() -> None:
    searcher = Searcher()
    searcher.add("no space left")
    texts = [f"line {number}: no space left" if number % 7 == 0 else f"line {number}" for number in range(1000)]
    assert found(searcher, texts, "no space left") == list(range(0, 1000, 7))
    assert found(searcher, texts[:20], "no space left") == [0, 7, 14]


def test_a_match_does_not_reach_into_the_next_item() -> None:
    searcher = Searcher()
    searcher.add("(?s)begin.*end")
    assert found(searcher, ["begin", "end", "begin and end"], "(?s)begin.*end") == [2]


def test_the_newest_come_first_and_no_more_than_asked_for() -> None:
    searcher = Searcher()
    searcher.add(r"failed (?P<path>\w+)")
    log = Haystack(searcher, [f"failed x{number}" for number in range(5000)])
    assert log.newest(r"failed (?P<path>\w+)", None, 2) == [(4999, {"path": "x4999"}), (4998, {"path": "x4998"})]
    assert log.first(r"failed (?P<path>\w+)", "x[0-9]$") == 10


@pytest.mark.parametrize("bound", ["SOME", "LARGE"])
def test_an_automaton_for_large_logs_finds_the_same(monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    monkeypatch.setattr(haystack, bound, 1000)
    searcher = Searcher()
    searcher.add("no space left")
    texts = ["x" * 100] * 50 + ["no space left"]
    assert [found(searcher, texts, "no space left") for _ in range(3)] == [[50]] * 3


def test_a_resident_pipe_needs_no_fastest_automaton_for_all_that_it_ever_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would take 40 MB for good; a round that is large by itself still gets it."""
    made = []

    def in_bytes(wanted: Iterable[bytes], speed: int) -> needles.InBytes:
        made.append(speed)
        return automaton(wanted, speed)

    automaton = needles.in_bytes
    monkeypatch.setattr(haystack, "SOME", 500)
    monkeypatch.setattr(haystack, "LARGE", 1000)
    monkeypatch.setattr(needles, "in_bytes", in_bytes)
    searcher = Searcher()
    searcher.add("broken pipe")
    for _ in range(5):
        searcher.possible(b"." * 900)
        searcher.rest()
    assert made == [0, 1]
    for _ in range(3):
        searcher.possible(b"." * 900)
    assert made == [0, 1, 2]
