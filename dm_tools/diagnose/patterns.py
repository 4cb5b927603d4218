"""The pattern library: what a broken service looks like, as data (configs/patterns/*.toml), and matching it.

A pattern matches a service when all clauses of `match` hold and none of `unless`. A clause looks at one place
(`where`) with one test. Every hit carries the ids of the evidence that made it fire.

Regular expressions are RE2's: they take time linear in the text, whatever the expression and the text. One pass over a
log tells which of all expressions can match in it at all (haystack.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from dm_tools.diagnose.haystack import Captures, Haystack, Searcher
from dm_tools.diagnose.view import View, recent
from dm_tools.records import Cause, Fix, Inspect, Severity, Stats

MAX_EVIDENCE = 3  # ids per clause: the newest; more of the same proves nothing more
MAX_LOOKED_AT = 24  # newest matches of a clause in a log that are looked at for the peers that they name
MAX_PEERS = 4  # peers that one pattern may blame

_LISTS = ("log", "health", "event", "probe.error", "screenshot.verdict", "screenshot.reason")
_COMPUTED = ("answers", "down", "looping", "missing", "probe.status")
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_KNOWN_PLACEHOLDERS = frozenset(
    [
        *("service", "upstream", "peer", "technology_service", "user", "path", "port", "command", "error"),
        *(
            "limit",
            "setting",
            "host",
            "signal",
            "exit_code",
            "exit_note",
            "restart_policy",
            "restart_count",
            "last_words",
        ),
        *("certificate_date", "probe_message", "limit_memory", "memory_percent", "throttled_percent"),
        "page_message",
    ]
)


class PatternError(Exception):
    """A pattern file that cannot be used; the message names file, pattern and reason."""


class Clause(msgspec.Struct, forbid_unknown_fields=True, rename={"one_of": "is", "but_not": "not"}):
    """One condition. Exactly one of `regex`, `is`, `above` and `empty` is given.

    `not`: a second expression; text that it matches does not count for this clause. `recovered`, for logs: what the
    program says when it is well again; then only what it says after that counts.
    """

    where: str
    regex: str | None = None
    but_not: str | None = None
    recovered: str | None = None
    one_of: list[Any] | None = None
    above: float | None = None
    empty: bool | None = None


class Pattern(msgspec.Struct, forbid_unknown_fields=True):
    """One pattern. `rank` says how much it explains: 85-100 a fact about the container, 50-84 a specific cause,
    below 50 a generic one that any better explanation replaces.

    `blames`: self, this service is at fault; peer, the captured `upstream` is; credentials, this service's log-in at
    its peer is; technology, whoever runs the file's technology is, no matter who quotes its message. `accuses`: the
    one that is blamed counts as broken even if it shows nothing itself. `fixes`: what helps, where that is more than
    what helps against the cause in general.
    """

    id: str
    cause: Cause
    severity: Severity
    rank: int
    match: list[Clause]
    explanation: str
    source: str
    unless: list[Clause] = []
    blames: Literal["self", "peer", "credentials", "technology"] = "self"
    accuses: bool | None = None
    fixes: list[Fix] = []

    @property
    def telling(self) -> Clause | None:
        """The clause on the log that tells: the first. Others say what must be there beside it."""
        return next((clause for clause in self.match if clause.where == "log"), None)

    @property
    def accusing(self) -> bool:
        return self.blames == "technology" if self.accuses is None else self.accuses


class Technology(msgspec.Struct, forbid_unknown_fields=True):
    """How a service that runs this technology is recognised: parts of its image or name, ports, log lines."""

    name: str
    names: list[str]
    ports: list[int]
    signature: str


class _File(msgspec.Struct, forbid_unknown_fields=True):
    pattern: list[Pattern]
    technology: Technology | None = None


@dataclass
class Library:
    """All patterns, compiled once."""

    patterns: list[Pattern] = field(default_factory=list)
    technologies: dict[str, Technology] = field(default_factory=dict)
    technology_of: dict[str, str] = field(default_factory=dict)  # pattern id -> technology
    file_of: dict[str, str] = field(default_factory=dict)  # pattern id -> where it is written
    telling_of: dict[str, list[Pattern]] = field(default_factory=dict)  # expression of the telling clause -> patterns
    silent: list[Pattern] = field(default_factory=list)  # patterns that look at no log
    searcher: Searcher = field(default_factory=Searcher)

    def causal(self, texts: list[str]) -> dict[int, list[str]]:
        """Which of these log items patterns look for: position -> pattern ids. Of many that say the same, some."""
        haystack = Haystack(self.searcher, texts)
        found: dict[int, list[str]] = {}
        for text in haystack.possible:
            for pattern in self.telling_of.get(text, ()):
                telling = pattern.telling
                for position in haystack.positions(text, telling.but_not if telling else None, MAX_EVIDENCE):
                    found.setdefault(position, []).append(pattern.id)
        return found


def load(files: Iterable[tuple[str, dict[str, Any], bool]], table: Mapping[str, list[str]] | None = None) -> Library:
    """The library of all files, given as (name, parsed TOML, whether its expressions are known to be good).

    `table`: see Searcher. Raises PatternError.
    """
    library = Library(searcher=Searcher(table))
    for name, content, checked in files:
        try:
            parsed = msgspec.convert(content, _File)
        except msgspec.ValidationError as wrong:
            raise PatternError(f"{name}: {_named(content, str(wrong))}") from None
        for pattern in parsed.pattern:
            _check(library, name, pattern, checked)
            if pattern.id in library.file_of:
                raise PatternError(f"{name}: pattern {pattern.id!r} is already in {library.file_of[pattern.id]}")
            library.file_of[pattern.id] = name
            library.patterns.append(pattern)
            telling = pattern.telling
            if telling is not None and telling.regex is not None:
                library.telling_of.setdefault(telling.regex, []).append(pattern)
                library.searcher.add(telling.regex)
            else:
                library.silent.append(pattern)
            if parsed.technology:
                library.technology_of[pattern.id] = parsed.technology.name
            elif pattern.blames == "technology":
                raise PatternError(f"{name}: pattern {pattern.id!r}: blames a technology, but the file names none")
        if parsed.technology:
            library.technologies[parsed.technology.name] = parsed.technology
            if not checked:
                _try(library, name, "technology.signature", parsed.technology.signature)
            library.searcher.add(parsed.technology.signature)
    return library


def _named(content: dict[str, Any], wrong: str) -> str:
    """The message of a validation error, with the id of the pattern instead of its number."""
    place = re.search(r" - at `\$\.pattern\[(\d+)\]", wrong)
    patterns = content.get("pattern")
    if not place or not isinstance(patterns, list):
        return wrong
    pattern = patterns[int(place[1])]
    return f"pattern {pattern['id']!r}: {wrong}" if isinstance(pattern, dict) and "id" in pattern else wrong


def _try(library: Library, name: str, key: str, text: str) -> None:
    """Refuse an expression that is none."""
    try:
        library.searcher.compiled(text)
    except ValueError as wrong:
        raise PatternError(f"{name}: {key}: not a regular expression that RE2 takes: {wrong}") from None


def _check(library: Library, name: str, pattern: Pattern, checked: bool) -> None:
    where = f"pattern {pattern.id!r}"
    if not pattern.match:
        raise PatternError(f"{name}: {where}: 'match' is empty")
    for clause in [*pattern.match, *pattern.unless]:
        tests = [test for test in (clause.regex, clause.one_of, clause.above, clause.empty) if test is not None]
        if len(tests) != 1:
            raise PatternError(f"{name}: {where}: a clause has exactly one of regex, is, above, empty")
        section, _, key = clause.where.partition(".")
        kind = {"inspect": Inspect, "stats": Stats}.get(section)
        if clause.where not in (*_LISTS, *_COMPUTED) and not (kind and key in kind.__struct_fields__):
            raise PatternError(f"{name}: {where}: unknown place {clause.where!r}")
        # Compiling all expressions takes long: those that come with the tools are tried by the tests, once for all.
        if clause.regex is None and (clause.where == "log" or clause.but_not is not None):
            raise PatternError(f"{name}: {where}: a clause on the log, or one with 'not', has a regex")
        if clause.recovered is not None and clause.where != "log":
            raise PatternError(f"{name}: {where}: only a clause on the log has 'recovered'")
        for text in filter(None, (clause.regex, clause.but_not, clause.recovered)) if not checked else ():
            _try(library, name, where, text)
    unknown = set(_PLACEHOLDER.findall(pattern.explanation)) - _KNOWN_PLACEHOLDERS
    if unknown:
        raise PatternError(f"{name}: {where}: unknown placeholder {{{sorted(unknown)[0]}}} in 'explanation'")


@dataclass
class Seen:
    """What made one clause hold: the newest evidence ids, what was captured, and the id of the oldest evidence."""

    clause: Clause
    evidence: list[str]
    captures: dict[str, str]
    oldest: str | None


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
        found: dict[str | None, list[tuple[str, Captures]]] = {}
        well = self.haystack.newest(clause.recovered, None, 1) if clause.recovered else []
        since = well[0][0] if well else -1
        for position, captures in self.haystack.newest(clause.regex or "", clause.but_not, MAX_LOOKED_AT):
            if position <= since:
                continue
            found.setdefault(captures.get("upstream"), []).append((self.lines[position].id, captures))
        if not found:
            return []
        first = self.haystack.first(clause.regex or "", clause.but_not, since)
        oldest = self.lines[first].id if first is not None else None
        return [
            Seen(
                clause,
                evidence=[each for each, _ in reversed(newest[:MAX_EVIDENCE])],
                captures=newest[0][1],
                oldest=oldest if len(found) == 1 else newest[-1][0],
            )
            for newest in found.values()
        ]

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
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], "?"), template)
