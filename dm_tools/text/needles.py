"""Many texts looked for in one pass over a text: Aho-Corasick. The only module that imports `ahocorasick_rs`."""

from __future__ import annotations

from collections.abc import Iterable

from ahocorasick_rs import AhoCorasick, BytesAhoCorasick, Implementation, MatchKind

__all__ = ["InBytes", "InText", "in_bytes", "in_text"]

InBytes = BytesAhoCorasick
InText = AhoCorasick


def in_bytes(needles: Iterable[bytes], fast: bool = False) -> InBytes:
    """What finds the needles in bytes. `fast`: takes longer to make, and less time for each byte."""
    kind = Implementation.DFA if fast else Implementation.ContiguousNFA
    return BytesAhoCorasick(list(needles) or [b"\0"], implementation=kind)


def in_text(needles: Iterable[str], longest: bool = False) -> InText:
    """What finds the needles in a text: all of them, or, with `longest`, at each place the longest, none twice."""
    kind = MatchKind.LeftmostLongest if longest else MatchKind.Standard
    return AhoCorasick(list(needles) or ["\0"], matchkind=kind, store_patterns=False)
