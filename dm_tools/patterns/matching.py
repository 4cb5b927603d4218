"""Matching the pattern library with one service: which patterns fire, and on what evidence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from dm_tools.evidence.view import View, recent
from dm_tools.patterns.haystack import Captures, Haystack
from dm_tools.patterns.language import PLACEHOLDER, Clause, Library, Pattern

MAX_EVIDENCE = 3  # ids per clause: the newest; more of the same proves nothing more
MAX_LOOKED_AT = 24  # newest matches of a clause in a log that are looked at for the peers that they name
MAX_PEERS = 4  # peers that one pattern may blame


@dataclass
class Seen:
    """What made one clause hold: the newest evidence ids, what was captured, and the id of the oldest evidence.

    `positions`: where in the log it was said, the newest first, at most MAX_LOOKED_AT.
    """

    clause: Clause
    evidence: list[str]
    captures: dict[str, str]
    oldest: str | None
    positions: list[int] = field(default_factory=list)


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
    patterns = sorted([*library.silent, *possible], key=lambda pattern: (-pattern.rank, pattern.id))
    return [Hit(pattern, seen) for pattern in patterns for seen in _fires(pattern, places)]


def _fires(pattern: Pattern, places: Places) -> list[list[Seen]]:
    """What the clauses saw, once for every peer that the log names; empty if the pattern does not fire."""
    found: list[list[Seen]] = [[]]
    for clause in pattern.match:
        seen = places.look(clause)
        found = [[*before, each] for before in found for each in seen][:MAX_PEERS]
        if not found:
            return []
    return [] if any(places.look(clause) for clause in pattern.unless) else found


class Places:
    """The texts and values of one service that clauses look at, with their evidence ids."""

    def __init__(self, library: Library, view: View) -> None:
        self.library = library
        self.view = view
        self.lines = recent(view)
        self.haystack = Haystack(library.searcher, [line.text for line in self.lines])
        self.values: dict[str, list[tuple[str, Any]]] = {}

    def look(self, clause: Clause) -> list[Seen]:
        """What makes a clause hold, empty if nothing does; of a log once for every peer that it names."""
        return self._in_log(clause) if clause.where == "log" else self._in_values(clause)

    def _in_log(self, clause: Clause) -> list[Seen]:
        found: dict[str | None, list[tuple[int, Captures]]] = {}
        well = self._recovered(clause)
        for position, captures in self.haystack.newest(clause.regex or "", clause.but_not, MAX_LOOKED_AT):
            if position <= max(well.get(name, -1) for name in (None, *captures.values())):
                continue
            found.setdefault(captures.get("upstream"), []).append((position, captures))
        if not found:
            return []
        first = self.haystack.first(clause.regex or "", clause.but_not, well.get(None, -1))
        oldest = self.lines[first].id if first is not None else None
        return [
            Seen(
                clause,
                evidence=[self.lines[position].id for position, _ in reversed(newest[:MAX_EVIDENCE])],
                captures=newest[0][1],
                oldest=oldest if len(found) == 1 else self.lines[newest[-1][0]].id,
                positions=[position for position, _ in newest],
            )
            for newest in found.values()
        ]

    def _recovered(self, clause: Clause) -> dict[str | None, int]:
        """Where the log last told of a recovery: of whom it names, or (None) of all."""
        last: dict[str | None, int] = {}
        for position, captures in (
            self.haystack.newest(clause.recovered or "", None, MAX_LOOKED_AT) if clause.recovered else ()
        ):
            for name in captures.values() or (None,):
                last.setdefault(name, position)
        return last

    def _in_values(self, clause: Clause) -> list[Seen]:
        if clause.where not in self.values:
            self.values[clause.where] = list(self._of(clause.where))
        held = [
            (evidence_id, captures)
            for evidence_id, value in self.values[clause.where]
            if (captures := self._test(clause, value)) is not None
        ]
        if not held:
            return []
        evidence = [evidence_id for evidence_id, _ in held[-MAX_EVIDENCE:] if evidence_id]
        return [Seen(clause, evidence, held[-1][1], held[0][0] or None)]

    def _test(self, clause: Clause, value: Any) -> dict[str, str] | None:
        """What the value's match captured, None if it does not match."""
        if clause.regex is not None:
            return self.library.searcher.search(clause.regex, clause.but_not, value) if isinstance(value, str) else None
        if clause.one_of is not None:
            return {} if value in clause.one_of else None
        if clause.above is not None:
            return {} if isinstance(value, int | float) and value > clause.above else None
        return {} if (not value) == clause.empty else None

    def _of(self, where: str) -> Iterator[tuple[str, Any]]:
        probe, inspect = self.view.probe, self.view.inspect
        if where == "missing":
            yield "", self.view.missing
        elif where == "answers":
            yield from [(check.id, self.view.answers_urls) for check in (probe.checks if probe else [])][:1]
        elif where == "probe.error":
            yield from ((check.id, check.error) for check in (probe.checks if probe else []) if check.error)
        elif where == "probe.status":
            yield from ((check.id, probe.status) for check in (probe.checks if probe else []) if probe)
        elif where == "looping":
            yield from [("inspect:restart_count", self.view.looping)] if inspect else []
        elif where == "events_forgotten":
            yield from [("inspect:events_since", self.view.events_forgotten)] if inspect else []
        elif where == "down":
            yield from [("inspect:state", self.view.down)] if inspect else []
        elif where == "health":
            runs = inspect.health_log if inspect else []
            yield from ((f"inspect:health.{index}", run.output) for index, run in enumerate(runs) if run.exit_code)
        elif where == "event":
            events = inspect.events if inspect else []
            yield from ((f"event:{index}", event.action) for index, event in enumerate(events))
        elif where == "screenshot.verdict":
            yield from ((page.id, page.verdict) for page in self.view.pages)
        elif where == "screenshot.reason":
            for page in self.view.pages:
                yield from (((reason.evidence or [page.id])[0], reason.code) for reason in page.reasons)
        else:
            section, _, key = where.partition(".")
            value = getattr(inspect if section == "inspect" else self.view.stats, key, None)
            yield from [(f"{section}:{key}", value)] if value is not None else []


def explain(template: str, values: dict[str, str]) -> str:
    """The explanation with its placeholders filled in; nothing but names is ever interpreted."""
    return PLACEHOLDER.sub(lambda match: values.get(match[1], "?"), template)
