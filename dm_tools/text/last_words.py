"""The line of a log that tells most of why its program does not work, to be quoted where no rule reads it.

Not simply the last one: a program says why first and "aborting" afterwards, or prints its usage below what was wrong
with it. So each line of the last run is weighed: its level, whether it gives a reason ("no such file", "expired"),
whether it names something, whether it is hollow ("startup failed"). Of equals the earliest of that run counts: an
earlier cause beats a later consequence. What users sent (access logs) is nobody's last words.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from dm_tools.records import LogLine
from dm_tools.text.late import late
from dm_tools.text.shorten import short
from dm_tools.text.times import parse_time

MAX_WORDS = 200  # characters that are quoted
MAX_ITEMS = 60  # items from the end of the log that are looked at
MAX_LINES = 200  # lines of one item that are looked at, half from its beginning
MAX_LINE = 1000  # characters of a line that are looked at
MAX_JSON = 16 * 1024  # characters of a log item that is read as JSON
LAST_RUN_SECONDS = 10.0  # before the newest item: a program that cannot start ends within moments
TELLING = 3  # the weight from which a line is quoted though its program goes on


@dataclass(frozen=True)
class Words:
    """The line that tells most: the id of its log item, and the line as one printable text without time and level."""

    id: str
    text: str


def last_words(lines: list[LogLine], ended: bool, least: int = TELLING) -> Words | None:
    """The line that tells most of the end of a log, None if there is none.

    `ended`: the program does not run any more, so that the last it said is better than nothing; of one that runs on
    only a line that speaks of a failure is taken, one of the weight `least`.
    """
    best: tuple[int, int, str, str] | None = None  # weight, order (earlier is larger), id, text
    run = list(_last_run(lines))
    pairs = list(pairwise(run))
    before_usage = {line.id for line, following in pairs if _USAGE.match(_bare(following.text))}
    after_panic = {following.id for line, following in pairs if _PANICKED.search(line.text[-MAX_LINE:])}
    said: set[str] = set()
    for order, line in enumerate(reversed(run)):
        signature = _NUMBERS.sub("", line.text[:MAX_LINE])
        if signature in said:
            continue  # the newest of those that differ in their numbers stands for all
        said.add(signature)
        for weight, text in _told(line):
            weight += 3 * (line.id in before_usage and weight > 0) + 5 * (line.id in after_panic)
            if best is None or (weight, order) > best[:2]:
                best = (weight, order, line.id, text)
    if best is None or (best[0] < least and not ended):
        return None
    if best[0] < 1:  # nothing speaks of a failure: the very last it said, literally
        best = max((each for each in _plain(run)), default=None)
    return Words(best[2], short(" ".join(best[3].split()), MAX_WORDS)) if best else None


def _last_run(lines: list[LogLine]) -> Iterator[LogLine]:
    """The items close to the newest, oldest first; none from before the word that the program serves."""
    tail = lines[-MAX_ITEMS:]
    serves = max((at for at, line in enumerate(tail) if _SERVES.search(line.text[:MAX_LINE])), default=0)
    tail = tail[serves:]
    newest = next((stamp for line in reversed(tail) if (stamp := parse_time(line.ts)) is not None), None)
    for line in tail:
        stamp = parse_time(line.ts)
        if stamp is None or newest is None or newest - stamp <= LAST_RUN_SECONDS:
            yield line


def _plain(run: list[LogLine]) -> Iterator[tuple[int, int, str, str]]:
    """Every item's first line, the later the better; none that a logger marks as harmless."""
    for order, line in enumerate(run):
        if _CALM.search(line.text[:MAX_LINE]):
            continue
        for _, text in _told(line):
            yield 0, order, line.id, text
            break


def _told(line: LogLine) -> Iterator[tuple[int, str]]:
    """The lines of an item that could be quoted, each with its weight; none of what stands in an access log."""
    texts = line.text.split("\n")
    if len(texts) > MAX_LINES:
        texts = texts[: MAX_LINES // 2] + texts[-MAX_LINES // 2 :]
    deepest = _deepest(texts)
    for at, text in enumerate(texts):
        said = _WRITTEN_OUT.match(text)
        words = said[1][:MAX_LINE] if said else _bare(text)
        shown = text.strip()[:MAX_LINE]
        if not shown or not _LETTERS.search(shown) or _ACCESS.search(shown):
            continue
        if (
            at
            and at != deepest
            and (_FRAME.match(text) or (text[0] in " \t" and not said and not text.lstrip().startswith('{"')))
        ):
            continue
        if words.endswith(":") and at + 1 < len(texts) and not _FRAME.match(texts[at + 1]):
            words = f"{words} {texts[at + 1].strip()}"[:MAX_LINE]  # a heading, and what stands below it
            shown = f"{shown} {texts[at + 1].strip()}"[:MAX_LINE]
        opens = shown.endswith("{") and at + 1 < len(texts)  # what it is about stands in the object below it
        yield _weight(shown, words) + 2 * (at == deepest) - opens, words


def _deepest(texts: list[str]) -> int | None:
    """Of a trace the line with the exception that began it; None if it is no trace."""
    found = None
    python = any("Traceback (most recent call last):" in text for text in texts)
    for at, text in enumerate(texts):
        if not at or not text:
            continue
        ends_frames = python and text[0] not in " \t" and _EXCEPTION.match(text)
        if ends_frames or text.lstrip().startswith("Caused by:") or (found is None and _THROWN.match(text)):
            found = at
    return found


def _weight(line: str, words: str) -> int:
    """How much a line tells."""
    weight = 0
    if _FATAL.search(line[:400]):
        weight += 3
    elif _ERROR.search(line[:400]):
        weight += 2
    if _REASON.search(line):
        weight += 2
    elif _FAILING.search(line):
        weight += 1
    if weight and _NAMED.search(words):
        weight += 1
    if _USAGE.match(words):
        weight += 2  # it refuses how it is called, and perhaps says no more
    if _HOLLOW.match(words):
        weight -= 4
    if _CALM.search(line[:200]):
        weight -= 3
    return weight


def _bare(line: str) -> str:
    """A line without its time, its level and its logger's frame; of a JSON object what it says."""
    line = line.strip()
    if line.startswith("{") and len(line) <= MAX_JSON and (said := _of_json(line)):
        return said[:MAX_LINE]
    line = line[:MAX_LINE]
    if _LOGFMT.match(line) and (fields := dict(_PAIRS.findall(line))):
        told = [text for key in _MESSAGES if (text := fields.get(key, "").strip('"').replace('\\"', '"'))]
        if told:
            return ": ".join(dict.fromkeys(told))
    return _PREFIX.sub("", line) or line


def _of_json(line: str) -> str | None:
    """The message and the error of a log item in JSON; None if it is none."""
    try:
        item = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(item, dict):
        return None
    said = [value for key in _MESSAGES if isinstance(value := item.get(key), str) and value]
    return ": ".join(dict.fromkeys(said)) or None


def quoted(words: Words | None) -> str:
    """The clause that an explanation ends with: marked as a quotation, empty if there is nothing to quote."""
    return f'; its last words: "{words.text.replace(chr(34), chr(39))}"' if words else ""


_MESSAGES = ("msg", "message", "@m", "event", "log", "error", "err", "exception", "detail")
# `ts=... level=error msg="..." err="..."`, as programs in Go write it
_LOGFMT = late(r"(?:[a-z_.]{1,20}=\S+ ){0,4}(?:level|lvl|severity)=\w+ |(?:ts|time|t)=\S+ ")
# A message within a JSON object that is written out over several lines; of a trace in it the first line.
_WRITTEN_OUT = late(r'\s+"(?:message|stack|error|reason|detail)": ?"((?:[^"\\]|\\[^n])+)')
_PAIRS = late(r'\b([a-z_]{2,20})=("(?:[^"\\]|\\.)*"|[^\s"]+)')
_NUMBERS = late(r"\d+")
_LETTERS = late(r"[^\W\d_]{3}")
_USAGE = late(r"(?i)usage(?: of \S+)?\s?:")
# The time, the process, the level and the brackets around them that a logger writes before what is said.
_PREFIX = late(
    r"""(?xi) ^(?: \[?\d{4}[-/]\d\d[-/]\d\d[T ]\ ?[\d:.,]{5,18}(?:Z|\ ?[+-]\d\d:?\d\d|\ UTC)?\]?
      | \[?[A-Z][a-z]{2}\ [\ \d]\d\ [\d:.]{8,15}\]? | \[[\d.:\ ]{1,20}\] | \d\d:\d\d:\d\d[.,]?\d*
      | \[\d+/\d+/\d+\] | \[\d+:\d\d:\d\d\ [AP]M\]
      | \d+\#\d+: | \[(?:error|err|emerg|alert|crit|critical|fatal|ftl|warn|warning|notice|info)\ *\]:?
      | [\s|] )+""",
)
_ACCESS = late(
    r'\[\d\d/[A-Z][a-z]{2}/\d{4}[: ]\d\d:|"(?:GET|HEAD|POST|PUT|DELETE|PATCH|OPTIONS|CONNECT) |http\.log\.access'
)
_FRAME = late(r"\s+(?:at |from |File \"|\.\.\. \d+ more|in )|goroutine \d+ \[|created by |exit status \d|#\d+ ")
_EXCEPTION = late(r"[A-Za-z_][\w.]*(?:: |$)")
# The first line of a trace of the JVM's or of .NET's, below the message that it belongs to.
_THROWN = late(r"(?:[A-Za-z_]\w*\.)+[A-Z]\w*(?:Exception|Error|Throwable)\b")
_PANICKED = late(r"panicked at [^\n]{1,300}:\s*$")  # Rust: what happened is on the next line
_FATAL = late(
    r"(?i)\b(?:fatal|ftl|fata|panic|panicked|emerg|alert|crit|critical|unhandled|uncaught|aborted|terminate called)\b"
)
_ERROR = late(r"(?i)\b(?:error|erro|err|severe|fail(?:ed|ure))\b|<error>|[a-z](?:Error|Exception)\b|^E\d{4} |\*\* \(")
_REASON = late(
    r"""(?xi) no\ such|not\ found|could\ ?n.t\ (?:be\ )?found|does\ ?n.t\ exist|not\ exist|missing|not\ set\b|undefined
      | unset|is\ empty|not\ defined|required|must\ (?:be|set|have|not)|need(?:s|ed)?\ to|please\ (?:set|define|provide)
      | denied|not\ permitted|not\ allowed|forbidden|unauthori|refused|rejected|timed?\ ?out|unreachable|no\ route
      | reset\ by|resolve|name\ or\ service|unknown|unrecogni|invalid|illegal|malformed|unexpected|bad\ |syntax
      | not\ (?:a|an|valid|supported|compatible|writable|readable|available|running)\b|unsupported|incompatible
      | too\ (?:many|old|new|large|small|long|low|high|few)|expired|already|in\ use|locked|corrupt|damaged|mismatch
      | out\ of|no\ space|no\ (?:usable|valid|suitable|free|more)\b|exceed|read-?only|is\ a\ directory|differ|duplicate
      | wrong|incorrect|conflict|dirty|lost|broken|unable|cannot|can.t|could\ ?n.t|could\ not"""
)
_FAILING = late(r"(?i)\b(?:fail(?:s|ed|ure|ing)?|errors?|refus\w+|killed|crash\w*|exception|not|no)\b")
# Something is named: a path, a host, a port, a quoted word, a setting.
_NAMED = late(
    r"""(?x) /[\w.-]+ | [\w-]+\.[\w-]+\.\w+ | \b[\w.-]+:\d{2,5}\b | ["'`][^"'`]{2,80}["'`]
      | \b[A-Z][A-Z0-9]+_[A-Z0-9_]+\b"""
)
# What is only said because something else went wrong before.
_HOLLOW = late(
    r"""(?xi) [\W_]*(?: (?:error|fatal|info|err|crit(?:ical)?|panic|alert|warn(?:ing)?)[:!\s\]]+ )* (?:
        (?:aborting|exiting|quitting|terminat(?:ing|ed)|bye|shutting\ down|stopp(?:ing|ed)|kill(?:ing|ed)|restarting)\b
        .{0,40}$
      | .{0,40}\bexited\ with\ (?:code|status|error).{0,20}$
      | .{0,60}(?:failed\ with\ exit\ code|command\ failed|returned\ (?:a\ )?non-?zero|exit\ (?:code|status)).{0,30}$
      | (?:startup|start-up|boot|initiali[sz]ation|(?:database\ )?migration|deployment|script)s?\ (?:has\ |was\ )?failed
        .{0,20}$
      | (?:failed|unable|error|could\ not|cannot)\ (?:to\ |while\ )?(?:start|initiali[sz]e|boot|launch|run)(?:ing)?
        (?:\ \S{1,30}){0,2}$
      | .{0,40}\b(?:see|check)\ (?:the\ )?(?:logs?|above|https?://).{0,200}$
      | fatal\ errors?\ (?:found|occurred|in).{0,40}$ | some\ .{0,40}failed.{0,100}$
      | node(?:\.js)?\ v\d.{0,20}$ | npm\ .{0,200}$ | \(use\ .{0,200}$ | traceback\ \(most\ recent\ call\ last\):$
      | .{0,80}failed:?\ see\ .{0,100}$ | at\ .{1,200}:\d+(?::\d+)?\)?$ | (?:throw|raise|return)\ .*$
    )""",
)
_SERVES = late(r"(?i)\bready (?:to accept|for) connections\b")  # Redis, PostgreSQL, MySQL
_CALM = late(r"(?i)\b(?:info|debug|notice|note|trace|dbg|inf)\b(?!\w)")
