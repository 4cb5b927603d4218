"""The pattern library: what a broken service looks like, as data (configs/patterns/*.toml), and matching it.

A pattern matches a service when all clauses of `match` hold and none of `unless`. A clause looks at one place
(`where`) with one test. Every hit carries the ids of the evidence that made it fire.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from dm_tools.diagnose.view import View, parse_time
from dm_tools.records import Cause, Inspect, Severity, Stats, Status

MAX_EVIDENCE = 3  # ids per clause: the newest; more of the same proves nothing more
RECENT_SECONDS = 300.0  # a log line that much older than the newest one is history, not a symptom

_LISTS = ("log", "health", "event", "probe.error")
_COMPUTED = ("down", "looping", "missing", "probe.status")
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_KNOWN_PLACEHOLDERS = frozenset(
    [
        *("service", "upstream", "peer", "technology_service", "user", "path", "port", "command", "error"),
        *("signal", "exit_code", "exit_note", "restart_policy", "restart_count", "last_words"),
        *("certificate_date", "probe_message", "limit_memory", "memory_percent", "throttled_percent"),
    ]
)


class PatternError(Exception):
    """A pattern file that cannot be used; the message names file, pattern and reason."""


class Clause(msgspec.Struct, forbid_unknown_fields=True, rename={"one_of": "is"}):
    """One condition. Exactly one of `regex`, `is`, `above` and `empty` is given."""

    where: str
    regex: str | None = None
    one_of: list[Any] | None = None
    above: float | None = None
    empty: bool | None = None


class Pattern(msgspec.Struct, forbid_unknown_fields=True):
    """One pattern. `rank` says how much it explains: 85-100 a fact about the container, 50-84 a specific cause,
    below 50 a generic one that any better explanation replaces.

    `blames`: self, this service is at fault; peer, the captured `upstream` is; credentials, this service's log-in at
    its peer is; technology, whoever runs the file's technology is, no matter who quotes its message. `accuses`: the
    one that is blamed counts as broken even if it shows nothing itself.
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
    regexes: dict[str, re.Pattern[str]] = field(default_factory=dict)

    def compiled(self, text: str) -> re.Pattern[str]:
        if text not in self.regexes:
            self.regexes[text] = re.compile(text, re.MULTILINE)
        return self.regexes[text]


def load(files: Iterable[tuple[str, dict[str, Any]]]) -> Library:
    """The library of all files, given as (name, parsed TOML). Raises PatternError."""
    library = Library()
    seen: dict[str, str] = {}
    for name, content in files:
        try:
            parsed = msgspec.convert(content, _File)
        except msgspec.ValidationError as wrong:
            raise PatternError(f"{name}: {wrong}") from None
        for pattern in parsed.pattern:
            _check(library, name, pattern)
            if pattern.id in seen:
                raise PatternError(f"{name}: pattern {pattern.id!r} is already in {seen[pattern.id]}")
            seen[pattern.id] = name
            library.patterns.append(pattern)
            if parsed.technology:
                library.technology_of[pattern.id] = parsed.technology.name
            elif pattern.blames == "technology":
                raise PatternError(f"{name}: pattern {pattern.id!r}: blames a technology, but the file names none")
        if parsed.technology:
            library.technologies[parsed.technology.name] = parsed.technology
            _compile(library, name, "technology.signature", parsed.technology.signature)
    return library


def _compile(library: Library, name: str, key: str, text: str) -> None:
    try:
        library.compiled(text)
    except re.error as wrong:
        raise PatternError(f"{name}: {key}: not a regular expression: {wrong}") from None


def _check(library: Library, name: str, pattern: Pattern) -> None:
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
        if clause.regex is not None:
            _compile(library, name, where, clause.regex)
        elif clause.where == "log":
            raise PatternError(f"{name}: {where}: a clause on the log has a regex")
    unknown = set(_PLACEHOLDER.findall(pattern.explanation)) - _KNOWN_PLACEHOLDERS
    if unknown:
        raise PatternError(f"{name}: {where}: unknown placeholder {{{sorted(unknown)[0]}}} in 'explanation'")


@dataclass
class Hit:
    """A pattern that fired, why, and what it captured."""

    pattern: Pattern
    evidence: list[str]
    captures: dict[str, str]


def matches(library: Library, view: View) -> list[Hit]:
    """Every pattern that fires for this service, the most telling first."""
    candidates = _Candidates(view)
    hits = []
    for pattern in library.patterns:
        evidence: list[str] = []
        captures: dict[str, str] = {}
        if all(_holds(library, clause, candidates, evidence, captures) for clause in pattern.match) and not any(
            _holds(library, clause, candidates, [], {}) for clause in pattern.unless
        ):
            hits.append(Hit(pattern, list(dict.fromkeys(evidence)), captures))
    return sorted(hits, key=lambda hit: -hit.pattern.rank)


class _Candidates:
    """The texts and values that clauses look at, with their evidence ids; built once per service."""

    def __init__(self, view: View) -> None:
        self.view = view
        self._log = recent_lines(view)
        self.log_text = "\n".join(text for _, text in self._log)

    def of(self, where: str) -> list[tuple[str, Any]]:
        view = self.view
        if where == "log":
            return self._log
        if where == "probe.error":
            checks = view.probe.checks if view.probe else []
            return [(check.id, check.error) for check in checks if check.error]
        if where == "probe.status":
            return [(check.id, view.probe.status) for check in view.probe.checks] if view.probe else []
        if where == "looping":
            return [("inspect:restart_count", view.looping)] if view.inspect else []
        if where == "down":
            return [("inspect:state", view.down)] if view.inspect else []
        if where == "missing":
            return [("", view.missing)]
        if where == "health":
            runs = view.inspect.health_log if view.inspect else []
            return [(f"inspect:health.{index}", run.output) for index, run in enumerate(runs) if run.exit_code]
        if where == "event":
            events = view.inspect.events if view.inspect else []
            return [(f"event:{index}", event.action) for index, event in enumerate(events)]
        section, _, key = where.partition(".")
        value = getattr(view.inspect if section == "inspect" else view.stats, key, None)
        return [(f"{section}:{key}", value)] if value is not None else []


def recent_lines(view: View) -> list[tuple[str, str]]:
    """Id and text of the log lines that tell of the present.

    Of a service in trouble those close to its newest line, however long ago: it may have said why and fallen silent.
    Of a healthy one those close to the moment when it was looked at: what it said at its start is past.
    """
    lines = view.logs.lines if view.logs else []
    newest = max((stamp for line in lines if (stamp := parse_time(line.ts)) is not None), default=None)
    if view.inspect is not None and view.status == Status.HEALTHY:
        newest = parse_time(view.inspect.observed_at) or newest
    return [
        (line.id, line.text)
        for line in lines
        if newest is None or (stamp := parse_time(line.ts)) is None or newest - stamp <= RECENT_SECONDS
    ]


def _holds(
    library: Library, clause: Clause, candidates: _Candidates, evidence: list[str], captures: dict[str, str]
) -> bool:
    test = _test(library, clause)
    # One search over the whole log first: nearly all patterns end here.
    if clause.where == "log" and not library.compiled(clause.regex or "").search(candidates.log_text):
        return False
    found: list[str] = []
    for evidence_id, value in reversed(candidates.of(clause.where)):
        outcome = test(value)
        if outcome is None:
            continue
        if not found:
            captures.update(outcome)
        found.append(evidence_id)
        if len(found) == MAX_EVIDENCE:
            break
    evidence += [each for each in reversed(found) if each]
    return bool(found)


def _test(library: Library, clause: Clause) -> Callable[[Any], dict[str, str] | None]:
    """A function that says what a value's match captured, or None if it does not match."""
    if clause.regex is not None:
        regex = library.compiled(clause.regex)

        def by_regex(value: Any) -> dict[str, str] | None:
            match = regex.search(value) if isinstance(value, str) else None
            if not match:
                return None
            # several alternatives capture the same thing as upstream, upstream2, ...
            return {name.rstrip("0123456789"): text for name, text in match.groupdict().items() if text}

        return by_regex
    if clause.one_of is not None:
        allowed = clause.one_of
        return lambda value: {} if value in allowed else None
    if clause.above is not None:
        bound = clause.above
        return lambda value: {} if isinstance(value, int | float) and value > bound else None
    return lambda value: {} if (not value) == clause.empty else None


def explain(template: str, values: dict[str, str]) -> str:
    """The explanation with its placeholders filled in; nothing but names is ever interpreted."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], "?"), template)
