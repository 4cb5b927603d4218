"""Which items of a log tell most, whether or not a pattern knows them.

A pattern library knows what it was taught. Here is judged by what holds for any program: the words of its levels and
the plain words of failing, what is rare, what is new, what came last and what stands beside the first error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from dm_tools.evidence.recent import RECENT_SECONDS
from dm_tools.evidence.view import View
from dm_tools.records import LogLine, Template
from dm_tools.text import condense
from dm_tools.text.late import late
from dm_tools.text.plain import clean
from dm_tools.text.times import parse_time

GRAVE = 5.0  # the weight of words that are about a failure
SUSPICIOUS = 2.5  # from which on words may be about one
MAX_VARIANTS = 4  # items shown of one kind that may tell of a failure
LOOKED_AT = 20  # the newest variants of a kind, of which these are chosen
HEAD, END = 800, 400  # characters of a long item that are weighed
LAST_WORDS = 4  # items at the end of a log that count as its last words
STARTING_SECONDS = 8.0  # what a program says so early is how it starts
SETTLED_SECONDS = 60.0  # a program that has run for so long has overcome what it complained of at its start

# The level that a program gives to a line itself. Only at its beginning: further on it is somebody's word.
_LEVEL = late(
    r"""(?ix)(?<![\w./-])(?:
      (?P<fatal>fatal|ftl|critical|crit|panic|emerg(?:ency)?|alert)
    | (?P<error>error|erro|err|severe)
    | (?P<warning>warning|warn|wrn)
    | (?P<talk>info|inf|debug|dbg|trace|notice|note|log|verbose)
    )(?![\w/-])"""
)
_LEVEL_WITHIN = 90  # characters
_THROWN = late(r"(?:\b[A-Za-z_.]*(?:Error|Exception)\b(?::| \()|\bTraceback \(most|\bpanic: |\bthread '.*' panicked)")

# The plain words of failing. Strong ones are about a failure; weak ones may be.
_STRONG = late(
    r"""(?ix)\b(?:
      fail(?:s|ed|ure|ures|ing)? | fatal | panic\w* | error | cannot | can't | could\ ?n[o']t | could\ not | unable
    | unavailable | unreachable | refused | reject(?:ed|s) | den(?:ied|y) | forbidden | unauthori[sz]ed | corrupt\w*
    | malformed | broken | damaged | mismatch\w* | inconsistent | incompatible | unsupported | unrecogni[sz]ed
    | unexpected(?:ly)? | uncaught | unhandled | abort(?:ed|ing)? | crash(?:ed|es|ing)? | killed | died | segfault
    | segmentation | core\ dumped | out\ of | exhausted | exceed(?:ed|s)? | insufficient | overflow | expired
    | missing | lost | no\ such | no\ space | no\ route | no\ permission | no\ server | no\ longer | not\ found
    | not\ (?:exist|available|allowed|permitted|supported|installed|valid|set|defined|reachable|running|responding|
             enough|possible|configured|writable|readable|match|open|mounted|a\ directory|authorized|resolve[d]?)
    | (?:does|do|did|is|are|was|were|must|may|will|has|have)(?:\ not|n't)
    | too\ (?:many|old|large|long|small|few|low|big|short) | timed?\ ?out | timeout | gave\ up | giving\ up
    | invalid | illegal | bad | wrong | dirty | deadlock | conflict(?:s|ing)?
    | already\ (?:in\ use|allocated|exists|running|locked) | violat\w+ | unknown | undefined | E[A-Z]{5,}
    )\b""",
)
_WEAK = late(
    r"""(?ix)\b(?:
      warn(?:ing)? | retry(?:ing)? | retries | reconnect\w* | disconnect\w* | closed | reset | down | disabled
    | ignored | skipp(?:ed|ing) | must | requires? | need(?:s|ed) | please | locked | lock | stale | limit | full
    | terminat\w+ | exit(?:ed|ing|s)? | shut(?:ting)?\ ?down | stopp(?:ed|ing) | stopping | restart(?:ed|ing)?
    | clear(?:ed|ing) | removed | deleted | revoked | changed | signal | SIG[A-Z]{3,4} | errno | slow | deprecated
    | degraded | dropped | waiting | rebuild\w* | restored | overrid\w+ | mode | read-?only | blocked | paused
    | suspended | duplicate | fix | empty
    )\b""",
)
# A line about a request: its status tells that something fails, not why.
_ACCESS = late(
    r"\"(?:GET|HEAD|POST|PUT|DELETE|PATCH|OPTIONS|CONNECT) |\b(?:GET|HEAD|POST|PUT|DELETE|PATCH|OPTIONS) /\S* "
    r"|\"(?:method|http_method)\":\s?\"(?:GET|HEAD|POST|PUT|DELETE|PATCH)|handled request"
)
# What belongs to the item before it and says nothing alone.
_FRAGMENT = late(r"^\s*(?:#\d+ |at [\w$.<]|File \"|Stack trace:|thrown in |\{main\}|Node\.js v\d|\^+\s*$|\.\.\. )")
_FRAME = late(
    r"^\s+(?:at |File \"|\.\.\. \d+ (?:more|common))|^\s*#\d+ |^\s+\S+\.(?:go|c|rs|rb|ex|erl|py):\d+|^\s*[\^~]+\s*$"
    r"|^\s+\([\w-]+ \d[\d.]*\) |^goroutine \d|^\S+\(.*\)$"
)
_TRACE = late(r"^Traceback \(most recent call last\):")
_FILE = late(r"^\s+File \"")
_LETTERS = late(r"[^\W\d_]")


@dataclass(frozen=True)
class Telling:
    """One item that is worth reading, the newest of `count` that are alike. `first` and `last`: RFC 3339 or None.

    `weight`: how much it tells, from about -5 (daily talk) to 12 (a program's own last words on why it ends).
    """

    line: LogLine
    count: int
    first: str | None
    last: str | None
    weight: float
    level: int  # condense.ERROR, WARNING or OTHER


@dataclass(frozen=True)
class _Alike:
    """Items that differ in numbers only."""

    line: LogLine  # the newest
    base: float  # how much its words alone tell
    begin: int  # the place of the first in the log, and of the last
    end: int
    count: int
    first: str | None
    last: str | None
    level: int


def telling(view: View) -> list[Telling]:
    """The items of a service's log, some of each kind, those that tell most first."""
    logs = view.logs
    if logs is None or not logs.lines:
        return []
    whole = {template.example: template for template in logs.templates}
    found = [
        each for kind in condense.kinds(logs.lines) for each in _alike(kind, whole.get(kind.example.id), logs.lines)
    ]
    times = _Times(view, logs.lines)
    grave = [each for each in found if each.base >= GRAVE]
    decisive = {min((each.begin for each in grave), default=-1), _first_of_the_last_run(grave, times)}
    before = {place for each in grave for at in (each.begin, each.end) for place in (at - 1, at - 2)}
    weighed = []
    for each in found:
        weight = each.base + _in_its_time(each, times, len(logs.lines))
        if each.base < GRAVE:
            weight += 1.5 if each.end in before else 0.0  # what it said just before an error
        else:
            weight += 2.0 if decisive & {each.begin, each.end} else 0.0  # what comes after it may be its consequence
        weighed.append(Telling(each.line, each.count, each.first, each.last, weight, each.level))
    weighed.sort(key=lambda each: -each.weight)
    return weighed


def _alike(kind: condense.Kind, template: Template | None, lines: list[LogLine]) -> Iterator[_Alike]:
    """Of a kind that may tell of a failure its newest variants, of daily talk the newest item."""
    newest = kind.variants[-LOOKED_AT:]
    bases = {places[-1]: _base(lines[places[-1]].text, kind.level) for places in newest}
    shown = sorted(newest, key=lambda each: (bases[each[-1]], each[-1]))[-MAX_VARIANTS:]
    if bases[shown[-1][-1]] < SUSPICIOUS:
        shown = [sorted(place for each in kind.variants for place in each)]
    for places in shown:
        line = lines[places[-1]]
        if not _says_something(line.text):
            continue
        count, first, last = len(places), lines[places[0]].ts, line.ts
        if template and len(shown) == 1:  # counted over the whole log, of which not all lines may be here
            count, first, last = max(count, template.count), template.first or first, template.last or last
        yield _Alike(line, bases[places[-1]], places[0], places[-1], count, first, last, kind.level)


def _first_of_the_last_run(grave: list[_Alike], times: _Times) -> int:
    """The place of the first error since the container started for the last time, -1 if there is none."""
    started = times.started
    since = [each.end for each in grave if started is None or (parse_time(each.last) or started) >= started]
    return min(since, default=-1)


class _Times:
    """When a log begins and ends, and what is present in it."""

    def __init__(self, view: View, lines: list[LogLine]) -> None:
        stamps = [stamp for line in (lines[0], lines[-1]) if (stamp := parse_time(line.ts)) is not None]
        self.begin = stamps[0] if stamps else None
        self.end = stamps[-1] if stamps else None
        inspect = view.inspect
        observed = parse_time(inspect.observed_at) if inspect else None
        self.started = parse_time(inspect.started_at) if inspect else None
        self.runs = bool(inspect and inspect.state == "running" and not view.looping)
        self.ended = bool(inspect and (inspect.state in ("exited", "dead", "restarting") or view.looping))
        self.now = observed if self.runs and observed is not None else self.end

    def age(self, stamp: str | None) -> float:
        """Seconds from a time to the present of the log; 0 where nothing says."""
        time = parse_time(stamp)
        return max(self.now - time, 0.0) if time is not None and self.now is not None else 0.0

    def since_begin(self, stamp: str | None) -> float | None:
        """Seconds from the log's beginning (or the container's start, if that is later and the time is after it)."""
        time = parse_time(stamp)
        if time is None or self.begin is None:
            return None
        begin = self.started if self.started is not None and self.begin <= self.started <= time else self.begin
        return time - begin


def _in_its_time(each: _Alike, times: _Times, items: int) -> float:
    """What it adds to the weight of an item when it was said, and how often."""
    weight = 0.0
    began, until, age = times.since_begin(each.first), times.since_begin(each.last), times.age(each.last)
    if age > RECENT_SECONDS:
        weight -= 2.5
    if times.runs and until is not None and until < STARTING_SECONDS and age > SETTLED_SECONDS:
        weight -= 2.0  # said while it started, and it runs
    if began is not None and began > STARTING_SECONDS:
        weight += 1.0  # new: the program has run without it
    if each.base < GRAVE:
        weight += 1.0 if each.count == 1 else 0.5 if each.count <= 3 else -1.0 if each.count > 20 else 0.0
        if began is not None and began <= STARTING_SECONDS and items > 10:
            weight -= 1.0
    if each.end >= items - LAST_WORDS:
        weight += 2.0 if times.ended else 1.0
    return weight


def _base(text: str, level: int) -> float:
    """How much the words alone say."""
    head = clean(text if len(text) <= HEAD + END else f"{text[:HEAD]}\n{text[-END:]}")
    named = _named(head)
    strong, weak = ({each.lower() for each in words.findall(head)} for words in (_STRONG, _WEAK))
    weight = min(len(strong), 3) * 1.0 + min(len(weak), 2) * 0.4
    if named == "fatal":
        weight += 5.0
    elif named == "error" or _THROWN.search(head):
        weight += 4.5
    elif named == "warning":
        weight += 2.0
    elif named == "talk":
        weight += 0.5 if strong else -0.5  # many a program tells of its failures as of news
    else:
        weight += {condense.ERROR: 3.0, condense.WARNING: 1.5}.get(level, 0.0)
    if _ACCESS.search(head):
        weight = {condense.ERROR: 2.5, condense.WARNING: 1.0}.get(level, -2.0)
    return weight


def _named(head: str) -> str | None:
    """The level that a line gives to itself: the first word for one, or a graver one that a colon follows.

    The program that hands on another's words may call them a notice: `NOTICE: PHP message: PHP Fatal error: `.
    """
    found = list(_LEVEL.finditer(head, 0, _LEVEL_WITHIN))
    names = {match.lastgroup for match in [*found[:1], *(each for each in found if head[each.end() :][:1] == ":")]}
    return next((name for name in ("fatal", "error", "warning", "talk") if name in names), None)


def _says_something(text: str) -> bool:
    return len(_LETTERS.findall(text[:400])) >= 4 and not _FRAGMENT.match(text)


# Times as programs put them before their lines; the engine's time of the item is told anyway.
_STAMP = late(
    r"""(?x)^[\s\[(]*(?:
      (?:ts|time|timestamp)="?\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:?\d\d)?"?
    | \d{4}[-/.]\d\d[-/.]\d\d[T\ _]+\d{1,2}:\d\d:\d\d(?:[.,:]\d+)?(?:\ ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d))?(?:\ \d+(?=\ \[))?
    | \d{1,2}[-/](?:\d\d|[A-Z][a-z]{2})[-/]\d{4}[:,\ ]+\d\d:\d\d:\d\d(?:[.,]\d+)?(?:\ [AP]M)?(?:\ [+-]\d{4})?
    | [A-Z][a-z]{2}\ +\d{1,2}\ \d\d:\d\d:\d\d
    | \d\d:\d\d:\d\d(?:[.,]\d+)?
    )[\])]?[:|,\s]*"""
)
_JSON_FIRST = (  # the keys that tell most, in this order
    *("level", "severity", "lvl", "status", "method", "uri", "logger", "msg", "message", "event", "error", "err"),
    *("exception", "reason", "detail"),
)
_JSON_LEFT_OUT = frozenset(("ts", "time", "timestamp", "@timestamp", "date", "pid", "hostname", "caller", "v", "proto"))
_JSON_LEFT_OUT |= {"remote_ip", "remote_port", "client_ip"}
_JSON_LONGEST = 16_384


def condensed(text: str, length: int) -> str:
    """One item on one line of at most `length` characters, without control characters and the time that it begins with.

    Of a trace what it says is left: its first line, its exceptions, and lines that speak of a failure; no frames. Of
    a JSON object the message and the errors come first. What is cut out stands beyond the beginning of a long line.
    """
    text = clean(text)
    if text.startswith("{") and len(text) <= _JSON_LONGEST and (told := _json(text)):
        text = told
    parts = [part for part in text.split("\n") if part.strip()]
    parts[:1] = [_STAMP.sub("", part) or part for part in parts[:1]]
    if len(parts) > 1:
        parts = _of_trace(parts)
    parts = ["".join(c if c.isprintable() else " " for c in " ".join(part.split())) for part in parts]
    room = length - len(BETWEEN) * (len(parts) - 1)
    cut: dict[int, str] = {}
    for left, at in zip(
        range(len(parts), 0, -1), sorted(range(len(parts)), key=lambda at: len(parts[at])), strict=True
    ):
        cut[at] = _shortened(parts[at], max(room // left, SHORTEST))  # what a short one does not need, a long one has
        room -= len(cut[at])
    return _shortened(BETWEEN.join(cut[at] for at in range(len(parts))), length)


def _shortened(text: str, length: int) -> str:
    """The text, or two thirds of so many characters from its beginning and one from its end."""
    end = (length - len(CUT)) // 3
    return text if len(text) <= length else f"{text[: length - len(CUT) - end]}{CUT}{text[-end:]}"


BETWEEN = " / "  # stands for a line's end
CUT = " … "
SHORTEST = 40  # characters of a line of a trace
MAX_PARTS = 6


def _of_trace(parts: list[str]) -> list[str]:
    """What a trace says: its first line, its exceptions, what else speaks of a failure; no frames and no source."""
    frames = {at for at, part in enumerate(parts) if _FRAME.match(part) or _TRACE.match(part)}
    source = {at for at, part in enumerate(parts) if at and _FILE.match(parts[at - 1]) and part[0].isspace()}
    said = [at for at in range(len(parts)) if at not in frames | source]
    if not said:
        return parts[:1]
    speaking = [at for at in said[1:] if _THROWN.search(parts[at]) or _STRONG.search(parts[at])]
    last = [at for at in said if not parts[at][0].isspace()][-1:]
    kept = {said[0], *last, *speaking[: MAX_PARTS // 2], *speaking[-(MAX_PARTS // 2) :]}
    return list(dict.fromkeys(parts[at] for at in sorted(kept)))


def _json(text: str) -> str:
    """A log item that is a JSON object, as `key=value`; empty if it is none."""
    try:
        found: Any = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return ""
    if not isinstance(found, dict):
        return ""
    flat: dict[str, Any] = {}
    for key, value in found.items():
        if isinstance(value, dict):
            flat |= {f"{key}.{inner}": each for inner, each in value.items() if not isinstance(each, dict | list)}
        elif not isinstance(value, list):
            flat[key] = value
        elif all(isinstance(each, str) for each in value):
            flat[key] = ", ".join(value)
    own = {key: key.rpartition(".")[2].lower() for key in flat}
    order = sorted(flat, key=lambda key: _JSON_FIRST.index(own[key]) if own[key] in _JSON_FIRST else len(_JSON_FIRST))
    shown = [f"{key}={flat[key]}" for key in order if own[key] not in _JSON_LEFT_OUT and flat[key] not in (None, "")]
    return " ".join(shown[:MAX_KEYS])


MAX_KEYS = 16


@dataclass
class Answered:
    """How often a service's own log tells of a request answered with a class of status: `5xx`, when first and last."""

    status: str
    count: int
    first: str | None
    last: str | None


# The status in an access log: Common Log Format and what is like it, JSON, key=value, HAProxy.
_ANSWER = late(
    r"\" ([1-5])\d\d(?: |$)|\"?status(?:_code)?\"?[=:] ?\"?([1-5])\d\d\b|/-?\d+ ([1-5])\d\d \d+ - - [\w-]{4} "
)


def answered(view: View) -> list[Answered]:
    """The requests that a service answered, as its log tells, by class of status."""
    found: dict[str, Answered] = {}
    for line in view.logs.lines if view.logs else []:
        if _ACCESS.search(line.text, 0, 4000) and (match := _ANSWER.search(line.text, 0, 16_000)):
            status = f"{match[match.lastindex or 1]}xx"
            each = found.setdefault(status, Answered(status, 0, line.ts, line.ts))
            each.count, each.last = each.count + 1, line.ts
    return [found[status] for status in sorted(found)]
