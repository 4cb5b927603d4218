"""A set of recordings whose truth is written down beside them: how each is judged.

A set is a folder: `expected.toml` and the recordings, `NAME.jsonl` or `NAME.jsonl.gz` as dm-stats would hand them to
dm-analyze. `NAME.log` beside it is a look of its own: the same case seen from one service's log alone. A case says

    name, title or source, cause   for people; `cause` is what was wrong
    kind           fault, combination (several roots), healthy (nothing is wrong), recreate (a container is being made
                   anew), stopped (all of it, on purpose); where it is not said, it follows from the roots
    roots          the services of which any may be named as the root; an outside host is one, too
    roots_all      instead: independent roots, of which each must be named
    causes         ids of causes that are right, for judging what is said with high confidence
    words          expressions (case does not matter): any of them in a root's hypothesis means that the cause is told
    actions        what the first proposed action of a right root may be
    symptoms       the services that suffer from it
    causal_line    an expression that finds the piece of evidence that tells the cause best; empty if there is none
    false_words    expressions that no hypothesis may hold; those beside `title` at the top hold for each case
    events         of a stopped stack: expressions of which one must be said
    recording, service   where several cases share a recording: its name, and the only record that counts
    log            a table: what of all this is otherwise where only the log is seen
"""

from __future__ import annotations

import gzip
import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dm_tools.act.propose import propose
from dm_tools.diagnose.analyze import analyze
from dm_tools.diagnose.facts import facts
from dm_tools.evidence.ids import resolve
from dm_tools.evidence.view import View
from dm_tools.evidence.words import quote
from dm_tools.patterns.language import Library
from dm_tools.records import ActionName, Analysis, Cause, Confidence, Role, Severity
from tests.score import cases

Record = dict[str, Any]

FAULT, COMBINATION, HEALTHY, RECREATE, STOPPED = "fault", "combination", "healthy", "recreate", "stopped"
FAULTS, QUIET = (FAULT, COMBINATION), (HEALTHY, RECREATE, STOPPED)
KEYS = {
    *("name", "title", "source", "cause", "kind", "roots", "roots_all", "causes", "words", "actions", "symptoms"),
    *("causal_line", "false_words", "events", "recording", "service", "log"),
}


@dataclass(frozen=True)
class Truth:
    """What is true of one look. `roots`: groups of services; of each group one must be named."""

    name: str
    kind: str
    cause: str
    roots: tuple[frozenset[str], ...]
    causes: frozenset[Cause]
    words: tuple[re.Pattern[str], ...]
    actions: frozenset[ActionName]
    symptoms: frozenset[str]
    causal_line: re.Pattern[str] | None
    false_words: tuple[re.Pattern[str], ...]
    events: tuple[re.Pattern[str], ...]


@dataclass(frozen=True)
class Look:
    """A truth and the records that are judged by it."""

    truth: Truth
    records: list[Record]


@dataclass(frozen=True)
class Outcome:
    """How one look went. `misses`: what was not right, in words that `tests/data/given/open.txt` uses."""

    name: str
    kind: str
    misses: frozenset[str]
    symptoms: tuple[int, int]  # named, of how many
    causal_line: bool | None  # cited; None: there is none
    said: str
    sure: tuple[tuple[Confidence | None, bool], ...]  # of each root that was named: how sure, and is it right

    def missed(self, what: str) -> bool:
        """Whether `root`, `cause`, `action`, `silent`, `false`, `high`, `line`, `words` or `event` is not right."""
        return any(each.partition(":")[0] == what for each in self.misses)


def title(folder: Path) -> str:
    """What a set is called; without a title, as its folder."""
    whole = tomllib.loads((folder / "expected.toml").read_text(encoding="utf-8"))
    return str(whole.get("title", folder.name))


def looks(folder: Path) -> Iterator[Look]:
    """Every look of a set."""
    whole = tomllib.loads((folder / "expected.toml").read_text(encoding="utf-8"))
    common = whole.get("false_words", [])
    for case in whole["case"]:
        if unknown := set(case) - KEYS:
            raise ValueError(f"{folder.name}: {case['name']} says {min(unknown)!r}, which means nothing")
        recording = case.get("recording", case["name"])
        records = [json.loads(line) for line in _text(folder, f"{recording}.jsonl").splitlines() if line.strip()]
        if service := case.get("service"):
            records = [record for record in records if record["service"] == service]
        yield Look(_truth(case, common), records)
        if _there(folder, f"{case['name']}.log") is not None:
            seen = {"apps": case["roots"], "evidence": _text(folder, f"{case['name']}.log").rstrip("\n")}
            record = cases.record(seen)
            other = {"name": f"{case['name']}.log", "roots": [record["service"]], "symptoms": []} | case.get("log", {})
            yield Look(_truth(case | other, common), [record])


def _there(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.exists()), None)


def _text(folder: Path, name: str) -> str:
    path = _there(folder, name)
    if path is None:
        raise FileNotFoundError(f"{folder / name} is named by expected.toml")
    return gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text(encoding="utf-8")


def _truth(case: dict[str, Any], common: list[str]) -> Truth:
    every = case.get("roots_all")
    roots = [name.split("|") for name in every] if every else [case["roots"]] if case["roots"] else []
    line = case.get("causal_line")
    kind = case.get("kind", COMBINATION if every else FAULT if roots else HEALTHY)
    if kind not in (FAULTS if roots else QUIET):
        raise ValueError(f"{case['name']} is of kind {kind!r}, which does not go with its roots")
    return Truth(
        name=case["name"],
        kind=kind,
        cause=case.get("cause", ""),
        roots=tuple(frozenset(group) for group in roots),
        causes=frozenset(Cause(each) for each in case.get("causes", [])),
        words=_expressions(case.get("words", [])),
        actions=frozenset(ActionName(each) for each in case.get("actions", [])),
        symptoms=frozenset(case.get("symptoms", [])),
        causal_line=re.compile(line, re.MULTILINE) if line and roots else None,
        false_words=_expressions([*common, *case.get("false_words", [])]),
        events=_expressions(case.get("events", [])),
    )


def _expressions(texts: Iterable[str]) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(text, re.IGNORECASE | re.DOTALL) for text in texts)


def _any(expressions: Iterable[re.Pattern[str]], text: str | None) -> bool:
    return any(each.search(text or "") for each in expressions)


def judge(look: Look, library: Library) -> Outcome:
    """What the analysis says of a look, held against its truth."""
    truth = look.truth
    verdicts = analyze({record["service"]: facts(record, library) for record in look.records}, library)
    roots = {_named(service, each): each for service, each in verdicts.items() if each.role == Role.ROOT}
    alarms = {name: each for name, each in roots.items() if each.severity in (Severity.CRITICAL, Severity.WARNING)}
    cited = [
        text for service, each in verdicts.items() if each.role == Role.ROOT for text in _cited(service, each, look)
    ]
    line = truth.causal_line and any(truth.causal_line.search(text) for text in cited)
    misses = set(_of_fault(truth, roots, alarms) if truth.roots else _of_quiet(truth, verdicts, alarms))
    misses |= {"line"} if line is False else set()
    misses |= {"words"} if any(_any(truth.false_words, each.hypothesis) for each in verdicts.values()) else set()
    suffering = {service for service, each in verdicts.items() if each.role == Role.SYMPTOM}
    judged = truth.kind != STOPPED  # one issue may tell of that
    return Outcome(
        name=truth.name,
        kind=truth.kind,
        misses=frozenset(misses),
        symptoms=(len(suffering & truth.symptoms), len(truth.symptoms)),
        causal_line=line,
        said="; ".join(_in_short(name, each) for name, each in roots.items()) or "nothing",
        sure=tuple((each.confidence, _right(truth, name, each)) for name, each in roots.items()) if judged else (),
    )


def _right(truth: Truth, name: str, verdict: Analysis) -> bool:
    """Whether a root is one, and its cause right."""
    return any(name in group for group in truth.roots) and verdict.cause in truth.causes


def _named(service: str, verdict: Analysis) -> str:
    """Of what a root's verdict speaks: the service whose record it is, or the outside host that it blames."""
    blamed = verdict.root.service if verdict.root else service
    return blamed.removesuffix(" (host)")


def _first(name: str, verdict: Analysis) -> ActionName | None:
    """The action that is proposed before all others."""
    return next((proposal.action for proposal in propose(name, verdict)), None)


def _in_short(name: str, verdict: Analysis) -> str:
    return f"{name}: {verdict.cause} ({verdict.confidence}), {_first(name, verdict)}: {verdict.hypothesis}"


def _told(name: str, verdict: Analysis) -> str:
    """A root's hypothesis without the service's own name, which tells nothing (one may be called `apparmor`)."""
    if "." in name:  # an outside host: that it is this one is what there is to tell
        return verdict.hypothesis or ""
    return re.sub(rf"(?<![\w./-]){re.escape(name)}(?![\w/-]|\.\w)", "it", verdict.hypothesis or "")


def _of_fault(truth: Truth, roots: dict[str, Analysis], alarms: dict[str, Analysis]) -> Iterator[str]:
    """What a verdict on a fault missed."""
    right = frozenset().union(*truth.roots)
    if not roots:
        yield "silent"
    if len(truth.roots) == 1 and set(alarms) - right:
        yield "root"  # a third was named beside it
    for group in truth.roots:
        mark = f":{min(group)}" if len(truth.roots) > 1 else ""
        named = {name: each for name, each in roots.items() if name in group}
        # A sentence that tells the cause tells it, whichever of the services it is filed under.
        telling = named if mark else roots
        if not named:
            yield f"root{mark}"
        if not any(_any(truth.words, _told(name, each)) for name, each in telling.items()):
            yield f"cause{mark}"
        if not any(_first(name, each) in truth.actions for name, each in named.items()):
            yield f"action{mark}"
    if len(truth.roots) > 1 and set(alarms) - right:
        yield "root"
    for name, each in roots.items():
        if each.confidence == Confidence.HIGH and not _right(truth, name, each):
            yield "high"


def _of_quiet(truth: Truth, verdicts: dict[str, Analysis], alarms: dict[str, Analysis]) -> Iterator[str]:
    """What was said where nothing is wrong, or where all was stopped: of that, one issue may tell."""
    if len(alarms) > (1 if truth.kind == STOPPED else 0):
        yield "false"
    if truth.events and not any(_any(truth.events, each.hypothesis) for each in verdicts.values()):
        yield "event"
    if truth.kind != STOPPED and any(each.confidence == Confidence.HIGH for each in alarms.values()):
        yield "high"


def _cited(service: str, verdict: Analysis, look: Look) -> Iterator[str]:
    """The text of every piece of evidence that a verdict names."""
    stack, views = {record["service"]: record for record in look.records}, dict[str, View]()
    for each in verdict.evidence:
        owner, found, own = each.rpartition("/")
        owner = owner if found else service
        if owner not in views:
            views[owner] = View.of(stack[owner])
        value = resolve(views[owner], own)
        yield "\n".join(map(quote, value)) if isinstance(value, list) else quote(value)


@dataclass(frozen=True)
class Row:
    """A set's figures. `quiet`: looks at which nothing is wrong; `lines`: faults that a line tells the cause of."""

    faults: int
    root: int
    cause: int
    action: int
    silent: int
    high: int
    lines: int
    cited: int
    symptoms: int
    named: int
    quiet: int
    false: int


def row(outcomes: list[Outcome]) -> Row:
    """The figures of a set's outcomes."""
    faults = [each for each in outcomes if each.kind in FAULTS]
    quiet = [each for each in outcomes if each.kind in QUIET]
    return Row(
        faults=len(faults),
        root=sum(not each.missed("root") for each in faults),
        cause=sum(not each.missed("cause") for each in faults),
        action=sum(not each.missed("action") for each in faults),
        silent=sum(each.missed("silent") for each in faults),
        high=sum(each.missed("high") for each in outcomes),
        lines=sum(each.causal_line is not None for each in faults),
        cited=sum(each.causal_line is True for each in faults),
        symptoms=sum(each.symptoms[1] for each in faults),
        named=sum(each.symptoms[0] for each in faults),
        quiet=len(quiet),
        false=sum(each.missed("false") for each in quiet),
    )
