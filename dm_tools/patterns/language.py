"""The pattern library: what a broken service looks like, as data (configs/patterns/*.toml), and matching it.

A pattern matches a service when all clauses of `match` hold and none of `unless`. A clause looks at one place
(`where`) with one test. Every hit carries the ids of the evidence that made it fire.

Regular expressions are RE2's: they take time linear in the text, whatever the expression and the text. One pass over a
log tells which of all expressions can match in it at all (haystack.py).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec

from dm_tools.patterns.haystack import Haystack, Searcher
from dm_tools.records import Cause, Fix, Inspect, Severity, Stats
from dm_tools.text.late import late

MAX_NAMED = 3  # items that one pattern may keep from being condensed: more of the same says nothing more

_LISTS = (
    "log",
    "health",
    "event",
    "probe.error",
    "screenshot.verdict",
    "screenshot.reason",
    "mount.file",
    "mount.system",
)
_COMPUTED = (
    *(
        "answers",
        "disarmed",
        "down",
        "events_forgotten",
        "looping",
        "missing",
        "probe.status",
        "ended.code",
        "ended.killed",
        "ended.memory",
    ),
    *("ended.stopped", "health.port", "last_words", "process.state", "processes.ended"),
    *(
        "host.unreachable",
        "node.reachability",
        "node.state",
        "swarm.error",
        "swarm.rejected",
        "swarm.short",
        "swarm.update",
    ),
)
LAST_WORDS = "last_words"  # the line that tells most of a service that does not work (text/last_words.py)
_BARE_FLAGS = late(r"(?<!\\)\(\?[a-zA-Z-]+\)")
_GROUP = late(r"(?<!\\)\(\?P<([a-z_]+)>")
CAPTURED = frozenset(("upstream", "port", "user", "path", "limit", "setting"))
PLACEHOLDER = late(r"\{([a-z_]+)\}")
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
        *("certificate_date", "probe_message", "limit_memory", "cpu_percent", "memory_percent", "throttled_percent"),
        *("page_message", "tasks"),
    ]
)


class PatternError(Exception):
    """A pattern file that cannot be used; the message names file, pattern and reason."""


def _says(description: str) -> msgspec.Meta:
    return msgspec.Meta(description=description)


class Clause(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, rename={"one_of": "is", "but_not": "not"}):
    """One condition. Exactly one of `regex`, `is`, `above` and `empty` is given."""

    where: Annotated[str, _says("the place: log, health, event, probe.error, inspect.KEY, stats.KEY, ...")]
    regex: Annotated[str | None, _says("an expression of RE2 that matches the text")] = None
    but_not: Annotated[str | None, _says("a second expression: text that it matches does not count")] = None
    recovered: Annotated[
        str | None, _says("what the log says when all is well again: only what comes after that counts")
    ] = None
    near: Annotated[
        str | None,
        _says("an expression: it captures what the failure is about, where `regex` does not, close to it in the log"),
    ] = None
    one_of: Annotated[list[Any] | None, _says("the value is one of these")] = None
    above: Annotated[float | None, _says("the value is a number above this one")] = None
    empty: Annotated[bool | None, _says("whether the value is empty")] = None


class Level(StrEnum):
    """How much a pattern explains, the least first."""

    OUTCOME = "outcome"
    HINT = "hint"
    FAILING = "failing"
    SYMPTOM = "symptom"
    BROAD = "broad"
    GENERAL = "general"
    EFFECT = "effect"
    CAUSE = "cause"
    EXACT = "exact"
    FACT = "fact"

    @property
    def rank(self) -> int:
        """Its place, the least first, from 0: what claims are compared by."""
        return _RANKS[self]


_RANKS = {level: rank for rank, level in enumerate(Level)}  # asked for a hundred times for each service


# What each of them means. Up to `symptom` nothing is explained; from `broad` on the reason is known.
MEANINGS = {
    Level.OUTCOME: "how it looks from outside (an error answer, the word fatal): any other pattern says more",
    Level.HINT: "a sign without a reason: no answer at all, a figure at its limit, an exception",
    Level.FAILING: "that it fails, in whatever words",
    Level.SYMPTOM: "what it does in its trouble: it starts over and over, waits, ends at an error that nothing handles",
    Level.BROAD: "a kind of reason in anybody's words, where nothing says of what",
    Level.GENERAL: "a reason in anybody's words, and of what",
    Level.EFFECT: "a reason in a program's own words that often follows from another one, such as a lost connection",
    Level.CAUSE: "the cause, in a program's own words",
    Level.EXACT: "the cause, in words that nothing else brings about and that say what to change",
    Level.FACT: "what the engine states of a container; what stands in a log counts as exact at most",
}
_EXPLAINS = "how much it explains, the least first: " + "; ".join(f"{level}: {MEANINGS[level]}" for level in Level)


class Unnamed(msgspec.Struct, forbid_unknown_fields=True):
    """What is said of a failure whose object the log does not name."""

    level: Annotated[Level, _says("how much it explains then")]
    explanation: Annotated[str, _says("one sentence for people, without what could not be captured")]


class Pattern(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One pattern: a kind of failure, by what shows it."""

    id: Annotated[str, _says("technology.what")]
    cause: Annotated[Cause, _says("what is wrong, of a closed list")]
    level: Annotated[Level, _says(_EXPLAINS)]
    explanation: Annotated[str, _says("one sentence for people; {service}, {peer}, {user}, ... are filled in")]
    source: Annotated[str, _says("where it is documented")]
    severity: Annotated[Severity, _says("warning is for what still works, or for now")] = Severity.CRITICAL
    match: Annotated[list[Clause], _says("conditions that must hold, all of them")] = []
    unless: Annotated[list[Clause], _says("conditions of which none may hold")] = []
    blames: Annotated[
        Literal["self", "peer", "credentials", "technology"],
        _says(
            "who is at fault: self, this service; peer, the captured upstream; credentials, this service's log-in at "
            "its peer; technology, whoever runs the file's technology, no matter who quotes its message"
        ),
    ] = "self"
    accuses: Annotated[
        bool | None, _says("whether the one that is blamed counts as broken even if it shows nothing itself")
    ] = None
    refuses: Annotated[
        bool,
        _says(
            "whether a server says it of a request that it turns away, which may be a stranger's: said once, or while "
            "whoever asks whether it works is answered, it is no trouble"
        ),
    ] = False
    yields: Annotated[
        bool, _says("whether it stands back where a specific pattern reads the same log item: for general sayings")
    ] = False
    unnamed: Annotated[
        Unnamed | None,
        _says(
            "what holds where nothing was captured that `explanation` mentions; without it the pattern does not fire"
        ),
    ] = None
    fixes: Annotated[list[Fix], _says("what helps here, more than what helps against the cause in general")] = []

    @property
    def rank(self) -> int:
        """How much it explains, as a number: that of its level."""
        return self.level.rank

    @property
    def conditions(self) -> int:
        """How many things must hold: of two patterns of one level, the one that wants more says more."""
        return len(self.match) + len(self.unless)

    @property
    def telling(self) -> Clause | None:
        """The clause on the log that tells: the first. Others say what must be there beside it."""
        return next((clause for clause in self.match if clause.where == "log"), None)

    @property
    def guesses(self) -> bool:
        """Whether it only tells of what kind the last words are of a service that does not work, where no other reads
        anything: the words of any program, of which the first of a file that fits holds."""
        return self.match[0].where == LAST_WORDS

    @property
    def general(self) -> bool:
        """Whether it is said of any program, so that what it is about has to be found."""
        return self.yields or self.unnamed is not None

    @property
    def mentions(self) -> frozenset[str]:
        """What the explanation needs from a log to be a sentence."""
        return frozenset(PLACEHOLDER.findall(self.explanation)) & CAPTURED

    @property
    def accusing(self) -> bool:
        return self.blames == "technology" if self.accuses is None else self.accuses


class Saying(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One thing that a program says in its log."""

    text: Annotated[str, _says("a short expression of RE2; flags as (?i:...)")]
    example: Annotated[
        str | list[str],
        _says(
            "what the program really prints, or a list of such; of several lines one log item per line that begins at "
            "the margin. The whole pattern fires on it."
        ),
    ] = ""


class Written(Pattern, rename={"but_not": "not"}, forbid_unknown_fields=True, omit_defaults=True):
    """A pattern as it stands in a file."""

    says: Annotated[list[Saying], _says("what a log says, any of it: one row for each saying")] = []
    where: Annotated[
        Literal["log", "last_words"],
        _says(
            "where it is said: anywhere in the log, or in the one line that tells most of why a service does not work, "
            "which is looked at where no other pattern names a reason"
        ),
    ] = "log"
    but_not: Annotated[str | None, _says("an expression: a log item that it matches does not count")] = None
    recovered: Annotated[
        str | None, _says("what the log says when all is well again: only what comes after that counts")
    ] = None
    near: Annotated[
        str | None,
        _says(
            "an expression: it captures what the failure is about, where the saying does not, close to it in the log"
        ),
    ] = None
    near_misses: Annotated[list[str], _says("logs that look alike, on which the pattern does not fire")] = []

    def compiled(self) -> Pattern:
        """The pattern as it is matched, without what only people and tests read. Raises PatternError."""
        fields = {name: getattr(self, name) for name in Pattern.__struct_fields__}
        if self.says:
            together = _alternation([each.text for each in self.says])
            telling = Clause(self.where, regex=together, but_not=self.but_not, recovered=self.recovered, near=self.near)
            fields["match"] = [telling, *self.match]
        elif self.but_not is not None or self.recovered is not None or self.near is not None or self.near_misses:
            raise PatternError("'not', 'recovered', 'near' and 'near_misses' belong to 'says'")
        return Pattern(**fields)


def _alternation(texts: list[str]) -> str:
    """One expression for several. A group that many of them capture is numbered, as RE2 wants it. May be refused."""
    for text in texts:
        if flags := _BARE_FLAGS.search(text):
            raise PatternError(f"{flags[0]} would hold for the sayings behind it, too: write {flags[0][:-1]}:...)")
    known: Counter[str] = Counter()

    def numbered(group: re.Match[str]) -> str:
        known[group[1]] += 1
        return f"(?P<{group[1]}{known[group[1]] if known[group[1]] > 1 else ''}>"

    return _GROUP.sub(numbered, "|".join(texts))


class Technology(msgspec.Struct, forbid_unknown_fields=True):
    """How a service that runs this technology is recognised."""

    name: Annotated[str, _says("its name")]
    names: Annotated[list[str], _says("words of the names of images or services")]
    ports: Annotated[list[int], _says("the ports that it listens on")]
    signature: Annotated[str, _says("an expression: what its log says at its start")]


class WrittenFile(msgspec.Struct, forbid_unknown_fields=True):
    """A pattern file as it is written."""

    pattern: Annotated[list[Written], _says("the patterns")]
    technology: Annotated[Technology | None, _says("the technology that all of them are about")] = None


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a pattern file."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(WrittenFile)}


class File(msgspec.Struct):
    """A pattern file as it is matched."""

    pattern: list[Pattern]
    technology: Technology | None = None


@dataclass
class Library:
    """All patterns, compiled once."""

    patterns: list[Pattern] = field(default_factory=list)
    technologies: dict[str, Technology] = field(default_factory=dict)
    technology_of: dict[str, str] = field(default_factory=dict)  # pattern id -> technology

    def order(self, pattern: Pattern) -> tuple[int, bool, bool, bool, int, str]:
        """What sorts patterns, the most telling first. Within a level: a program's own words before anybody's, what was
        measured before what a log says (anybody may write into a log), what is read before what is guessed, the pattern
        with more conditions, then by id, so that the same log always has the same verdict."""
        own = pattern.id in self.technology_of
        said = pattern.telling is not None or pattern.guesses
        return (-pattern.rank, not own, said, pattern.guesses, -pattern.conditions, pattern.id)

    file_of: dict[str, str] = field(default_factory=dict)  # pattern id -> where it is written
    telling_of: dict[str, list[Pattern]] = field(default_factory=dict)  # expression of the telling clause -> patterns
    guesses: list[Pattern] = field(default_factory=list)  # those that only tell of what kind last words are, in order
    silent: dict[bytes, tuple[Clause, list[Pattern]]] = field(default_factory=dict)  # those that look at no log, by
    # their first clause: dozens begin with the same, and if that does not hold none of them does
    searcher: Searcher = field(default_factory=Searcher)

    def causal(self, texts: list[str]) -> dict[int, list[str]]:
        """Which of these log items patterns look for: position -> pattern ids. Of many that say the same, some."""
        haystack = Haystack(self.searcher, texts)
        found: dict[int, list[str]] = {}
        for text in haystack.possible:
            for pattern in self.telling_of.get(text, ()):
                telling = pattern.telling
                for position in haystack.positions(text, telling.but_not if telling else None, MAX_NAMED):
                    found.setdefault(position, []).append(pattern.id)
        return found


def parse(name: str, content: dict[str, Any]) -> WrittenFile:
    """A pattern file from its parsed TOML. Raises PatternError."""
    try:
        return msgspec.convert(content, WrittenFile)
    except msgspec.ValidationError as wrong:
        raise PatternError(f"{name}: {_named(content, str(wrong))}") from None


def compiled(name: str, written: WrittenFile) -> File:
    """A pattern file as it is matched. Raises PatternError."""
    found = []
    for pattern in written.pattern:
        try:
            found.append(pattern.compiled())
        except PatternError as wrong:
            raise PatternError(f"{name}: pattern {pattern.id!r}: {wrong}") from None
    return File(found, written.technology)


def load(files: Iterable[tuple[str, File, bool]], table: Mapping[str, list[str]] | None = None) -> Library:
    """The library of all files, given as (name, content, whether its expressions are known to be good).

    `table`: see Searcher. Raises PatternError.
    """
    library = Library(searcher=Searcher(table))
    for name, parsed, checked in files:
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
            elif pattern.guesses:
                library.guesses.append(pattern)
            else:
                first = pattern.match[0]
                library.silent.setdefault(msgspec.json.encode(first), (first, []))[1].append(pattern)
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
        raise PatternError(f"{name}: {where}: neither 'says' nor 'match' says anything")
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
        if (clause.recovered is not None or clause.near is not None) and clause.where != "log":
            raise PatternError(f"{name}: {where}: only a clause on the log has 'recovered' and 'near'")
        for text in filter(None, (clause.regex, clause.but_not, clause.recovered, clause.near)) if not checked else ():
            _try(library, name, where, text)
    if pattern.unnamed is not None and not pattern.mentions:
        raise PatternError(f"{name}: {where}: 'unnamed', but the explanation mentions nothing that is captured")
    sentences = pattern.explanation + (pattern.unnamed.explanation if pattern.unnamed else "")
    unknown = set(PLACEHOLDER.findall(sentences)) - _KNOWN_PLACEHOLDERS
    if unknown:
        raise PatternError(f"{name}: {where}: unknown placeholder {{{sorted(unknown)[0]}}} in 'explanation'")
