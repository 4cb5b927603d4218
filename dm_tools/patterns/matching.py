"""Matching the pattern library with one service: which patterns fire, and on what evidence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from dm_tools.patterns.language import PLACEHOLDER, Clause, Level, Library, Pattern
from dm_tools.patterns.places import Places, Seen

READ_RANK = Level.BROAD.rank  # from this on a pattern says why something fails, not only that it does
HIGHEST_RANK = Level.FACT.rank
MAX_PEERS = 4  # peers that one pattern may blame


@dataclass
class Hit:
    """A pattern that fired, and why: what each of its clauses saw."""

    pattern: Pattern
    seen: list[Seen]

    @property
    def evidence(self) -> list[str]:
        return list(dict.fromkeys(each for seen in self.seen for each in seen.evidence))

    @property
    def oldest(self) -> list[str]:
        return [seen.oldest for seen in self.seen if seen.oldest]

    @property
    def positions(self) -> list[int]:
        """Where in the log it was said: of several clauses, the positions of the one that was seen last."""
        return max((seen.positions for seen in self.seen), key=lambda each: max(each, default=-1), default=[])

    @property
    def is_state(self) -> bool:
        """It is said once, when it begins, and holds until the program says that it is over."""
        return any(seen.clause.recovered for seen in self.seen)

    @property
    def captures(self) -> dict[str, str]:
        return {name: text for seen in self.seen for name, text in seen.captures.items()}


def matches(library: Library, places: Places) -> list[Hit]:
    """Every pattern that fires for a service, the most telling first."""
    possible = [each for text in places.haystack.possible for each in library.telling_of.get(text, ())]
    silent = [each for first, patterns in library.silent.values() if places.look(first) for each in patterns]
    patterns = sorted([*silent, *possible], key=library.order)
    hits = [hit for pattern in patterns for seen in _fires(pattern, places) if (hit := _named(pattern, seen))]
    hits.sort(key=lambda hit: (hit.pattern.yields, library.order(hit.pattern)))
    hits = list(_yielding(hits, places))
    if not any(hit.pattern.rank >= READ_RANK for hit in hits):
        hits += _guess(library, places)
    return sorted(hits, key=lambda hit: library.order(hit.pattern))


def _guess(library: Library, places: Places) -> list[Hit]:
    """Of what kind the last words of a service that does not work are: the first that fits, or none."""
    found = (hit for each in library.guesses for seen in _fires(each, places) if (hit := _named(each, seen)))
    return [hit] if (hit := next(found, None)) else []


def _named(pattern: Pattern, seen: list[Seen]) -> Hit | None:
    """The hit as its captures allow: where the log does not name what the explanation mentions, it says less."""
    hit = Hit(pattern, seen)
    if not pattern.general or pattern.mentions <= hit.captures.keys():
        return hit
    if pattern.unnamed is None:
        return None
    return Hit(
        msgspec.structs.replace(pattern, level=pattern.unnamed.level, explanation=pattern.unnamed.explanation), seen
    )


def _yielding(hits: list[Hit], places: Places) -> Iterator[Hit]:
    """Of hits, general ones last: of a general saying only what neither a specific nor a stronger general one reads."""
    reading: list[tuple[int, Clause]] = []
    for hit in hits:
        rank, telling = hit.pattern.rank, hit.pattern.telling
        if hit.pattern.yields:
            stronger = [clause for other, clause in reading if other > rank]
            for seen in hit.seen:
                seen.evidence = [each for each in seen.evidence if not places.read_by(stronger, each)]
            if not hit.evidence:
                continue
        if rank >= READ_RANK and telling is not None:
            reading.append((rank if hit.pattern.yields else HIGHEST_RANK + 1, telling))
        yield hit


def _fires(pattern: Pattern, places: Places) -> list[list[Seen]]:
    """What the clauses saw, once for every peer that the log names; empty if the pattern does not fire."""
    found: list[list[Seen]] = [[]]
    for clause in pattern.match:
        seen = places.look(clause, pattern.cause)
        found = [[*before, each] for before in found for each in seen][:MAX_PEERS]
        if not found:
            return []
    return [] if any(places.look(clause) for clause in pattern.unless) else found


def explain(template: str, values: dict[str, str]) -> str:
    """The explanation with its placeholders filled in; nothing but names is ever interpreted."""
    return PLACEHOLDER.sub(lambda match: values.get(match[1], "?"), template)
