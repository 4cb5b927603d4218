"""Many texts looked for in one pass over a text: Aho-Corasick. The only module that imports `ahocorasick_rs`."""

from __future__ import annotations

from collections.abc import Iterable

from ahocorasick_rs import AhoCorasick, BytesAhoCorasick, Implementation, MatchKind

from dm_tools.text.late import late

__all__ = ["InBytes", "InText", "in_bytes"]

InBytes = BytesAhoCorasick


_BY_SPEED = (Implementation.NoncontiguousNFA, Implementation.ContiguousNFA, Implementation.DFA)


def in_bytes(needles: Iterable[bytes], speed: int) -> InBytes:
    """What finds the needles in bytes. `speed`: 0 to 2; the faster it is, the longer it takes to make."""
    return BytesAhoCorasick(list(needles) or [b"\0"], implementation=_BY_SPEED[speed])


_SURROGATES = late("[\ud800-\udfff]")  # of bytes that are no UTF-8


class InText:
    """Finds needles in a text: all of them, or, with `longest`, at each place the longest, and none within another."""

    def __init__(self, needles: Iterable[str], longest: bool = False) -> None:
        kind = MatchKind.LeftmostLongest if longest else MatchKind.Standard
        self.overlapping = not longest
        self.automaton = AhoCorasick([_encodable(each) for each in needles] or ["\0"], kind, store_patterns=False)

    def places(self, text: str) -> list[tuple[int, int, int]]:
        """Which needle, where it begins and where it ends, in the order of the ends."""
        try:
            return self.automaton.find_matches_as_indexes(text, self.overlapping)
        except UnicodeEncodeError:
            return self.automaton.find_matches_as_indexes(_encodable(text), self.overlapping)


def _encodable(text: str) -> str:
    return _SURROGATES.sub("\ufffd", text)
