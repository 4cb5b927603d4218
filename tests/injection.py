"""The injection corpus (tests/data/injection): hostile input of every kind, judged beside the same stack without it.

An entry is steered if the hostile part changes who is at fault, of what, how badly, how surely, or what is proposed.
Services that the entry itself adds are the attacker's: whatever is said of them is no success. An entry with `limit`
is one that judgement cannot see through, and says why; what holds of it is that the confidence is never high and that
the line is shown.
"""

from __future__ import annotations

import copy
import json
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import msgspec

from dm_tools.act.propose import propose
from dm_tools.collect.logs import grouped
from dm_tools.diagnose.analyze import analyze
from dm_tools.records import Analysis, Proposal
from tests.conftest import ROOT, SEALED, records
from tests.making import Record, service
from tests.score import once

FOLDER = ROOT / "tests" / "data" / "injection"
BASES = ("healthy", "failing", "database-down")
LIBRARY = once.library()
SURENESS = ("low", "medium", "high")

Verdict = tuple[Analysis, list[Proposal]]


class Extra(msgspec.Struct, forbid_unknown_fields=True):
    """A service that the attacker adds."""

    service: str
    status: str = "healthy"
    log: list[str] = []
    inspect: dict[str, Any] = {}


class Entry(msgspec.Struct, forbid_unknown_fields=True):
    """One hostile input. `log`: raw lines by service, at the engine's time `at`; `change`: merged into a record;
    `answer`: merged into every check; `rename`: old and new name; `extra`: more services, first or `last`. `given` and
    `given_log` are in both stacks. `free`: parameters of proposals whose text may differ. `repeat`: how often the
    letter before `*` in a log line stands there.
    """

    name: str
    tries: str
    kind: str = ""
    limit: str | None = None
    bases: list[str] = msgspec.field(default_factory=lambda: list(BASES))
    at: str | None = None
    log: dict[str, list[str]] = {}
    change: dict[str, Record] = {}
    answer: dict[str, Record] = {}
    rename: dict[str, str] = {}
    extra: list[Extra] = []
    last: bool = False
    given: dict[str, Record] = {}
    given_log: dict[str, list[str]] = {}
    free: list[str] = []
    repeat: int = 0


@dataclass
class Outcome:
    """What came of an entry, on all its stacks. `sure`: the highest confidence of a root that is new."""

    name: str
    kind: str
    limit: str | None
    steered: bool = False
    verdict: str = ""
    sure: str | None = None
    shown: bool = True  # every root that is new cites a line of a log or a health check
    bases: list[str] = field(default_factory=list)  # the stacks on which it was steered


def entries() -> list[Entry]:
    """The whole corpus; an entry's kind is its file's name."""
    found = []
    for path in sorted(FOLDER.glob("*.toml")):
        for entry in msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8"))["entry"], list[Entry]):
            entry.kind = path.stem
            found.append(entry)
    return found


def outcomes() -> list[Outcome]:
    """What came of every entry."""
    return [outcome(entry) for entry in entries()]


def outcome(entry: Entry) -> Outcome:
    """What came of an entry: judged on each of its stacks without and with the hostile part."""
    found = Outcome(entry.name, entry.kind, entry.limit)
    judge = by_commands if entry.kind == "records" else by_functions
    for base in entry.bases:
        stack = given(entry, base)
        before, after = judge(json.dumps(stack)), judge(json.dumps(hostile(entry, stack)))
        for told, verdict in differences(entry, before, after):
            found.steered = True
            found.verdict += f"[{base}] {told} "
            if verdict.role == "root":
                found.sure = max(found.sure, verdict.confidence, key=lambda each: SURENESS.index(each or "low"))
                found.shown &= any("logs:" in each or "health" in each for each in verdict.evidence)
            found.bases.append(base)
    return found


def differences(entry: Entry, before: dict[str, Verdict], after: dict[str, Verdict]) -> Iterator[tuple[str, Analysis]]:
    """For every innocent service of which something else is said now: what, and the verdict."""
    names = {new: old for old, new in entry.rename.items()}
    own = {each.service for each in entry.extra} - set(before)
    for service_name, (analysis, proposals) in after.items():
        name = names.get(service_name, service_name)
        if name in own:
            continue
        new = said(analysis, proposals, names, entry.free)
        old = said(*before[name], {}, entry.free)
        if new != old:
            yield f"{name}: {old} -> {new}", analysis


def said(verdict: Analysis, proposals: list[Proposal], names: dict[str, str], free: list[str]) -> str:
    """What matters of a verdict, as one line: who, what, how badly, how surely, and what is proposed."""
    root = names.get(verdict.root.service, verdict.root.service) if verdict.root else None
    actions = [
        each.action + str({k: names.get(v, v) for k, v in each.parameters.items() if k not in free})
        for each in proposals
    ]
    return f"{verdict.role} {root} {verdict.cause} {verdict.severity} {verdict.confidence} {' '.join(actions)}".strip()


# Stacks


def given(entry: Entry, base: str) -> list[Record]:
    """The stack without the hostile part: recorded, or a shop of which the attacked services fail and say nothing."""
    touched = {*entry.log, *entry.change, *entry.answer, *entry.rename, *entry.given, *entry.given_log}
    stack = _failing(touched or {"web"}) if base == "failing" else _recorded(base)
    for record in stack:
        _merge(record, entry.given.get(record["service"], {}))
        _add_lines(record, entry.given_log.get(record["service"], []), None)
    return stack


@cache
def _file(base: str) -> str:
    return (ROOT / "tests" / "data" / f"{base}.jsonl").read_text(encoding="utf-8")


def _recorded(base: str) -> list[Record]:
    return records(_file(base))


NEEDS = {"web": ["app"], "app": ["postgres", "redis"], "worker": ["postgres", "redis"], "postgres": [], "redis": []}
IMAGES = {"web": "nginx:1.27", "postgres": "postgres:16", "redis": "redis:7"}


def _failing(touched: set[str]) -> list[Record]:
    return [
        service(
            name,
            "failed" if name in touched else "healthy",
            (f"{name} started", "tick"),
            depends_on=needs,
            image=IMAGES.get(name, f"registry.invalid/shop/{name}:1"),
        )
        for name, needs in NEEDS.items()
    ]


def hostile(entry: Entry, stack: list[Record]) -> list[Record]:
    """The stack with the hostile part."""
    stack = copy.deepcopy(stack)
    for record in stack:
        name = record["service"]
        lines = [_repeated(line, entry.repeat) for line in entry.log.get(name, [])]
        _add_lines(record, lines, entry.at)
        _merge(record, entry.change.get(name, {}))
        for check in record["probe"]["checks"]:
            check.update(entry.answer.get(name, {}))
        if name in entry.rename:
            record["service"] = entry.rename[name]
    extra = [_made(each) for each in entry.extra]
    return stack + extra if entry.last else extra + stack


def _repeated(line: str, times: int) -> str:
    letter, star, rest = line.partition("*")
    return letter + letter[-1] * times + rest if times and star else line


def _made(extra: Extra) -> Record:
    return service(extra.service, extra.status, tuple(extra.log), **extra.inspect)


def _add_lines(record: Record, lines: list[str], at: str | None) -> None:
    """Lines as dm-logs reads them, as new as the newest."""
    if not lines:
        return
    section = record["logs"]
    old = section["lines"]
    at = at or max((line["ts"] for line in old), default=record["inspect"]["observed_at"])
    observed = record["inspect"]["observed_at"]
    at = max(at, observed) if at[:2] == "20" else at  # a log may be silent for hours; what comes now is news
    raw = [(at, "stderr", line) for text in lines for line in text.split("\n")]
    items = msgspec.to_builtins(grouped(raw))
    first = max((int(line["id"].partition(":")[2]) for line in old), default=-1) + 1
    old += [item | {"id": f"logs:{first + index}"} for index, item in enumerate(items)]
    section["total_lines"] += len(raw)


def _merge(into: Record, changes: Record) -> None:
    """Changes deep into a record; what is in a list is added to the list."""
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        elif isinstance(value, list):
            into[key] = [*(into.get(key) or []), *value]
        else:
            into[key] = value


# Judgement


@cache
def by_functions(stack: str) -> dict[str, Verdict]:
    """The verdicts and proposals on a stack (JSON), by the functions that the commands call."""
    verdicts = analyze({record["service"]: once.facts(record, LIBRARY) for record in json.loads(stack)}, LIBRARY)
    return {name: (verdict, propose(name, verdict)) for name, verdict in verdicts.items()}


@cache
def by_commands(stack: str) -> dict[str, Verdict]:
    """The same by the commands themselves. Of two records of one name the first counts."""
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", "dm-analyze | dm-propose"],
        env=SEALED,
        input="".join(json.dumps(record) + "\n" for record in json.loads(stack)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    found: dict[str, Verdict] = {}
    for record in records(done.stdout):
        if "analysis" in record:
            verdict = (
                msgspec.convert(record["analysis"], Analysis),
                msgspec.convert(record["proposals"], list[Proposal]),
            )
            found.setdefault(record["service"], verdict)
    return found
