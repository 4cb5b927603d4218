"""The model's rows: whether a model that lies, believes whatever it reads or knows little makes anything worse; and
whether what it is told of a long log fits and still holds the line that tells why."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from dm_tools.act.propose import propose
from dm_tools.diagnose.analyze import analyze, resolver
from dm_tools.evidence.telling import condensed
from dm_tools.llm import analyst, prompts
from dm_tools.llm import brief as briefs
from dm_tools.llm.client import Client
from dm_tools.llm.settings import DEFAULT_MODEL, Settings
from dm_tools.patterns import causes
from dm_tools.patterns.language import Library
from dm_tools.records import Analysis, Cause, LogLine, Logs, Proposal, Role, with_section
from dm_tools.show.brief import stack as brief_stack
from dm_tools.text.condense import Condenser
from dm_tools.text.tokens import evidence_tokens, tokens
from tests import injection, lab, logmaker, scripted
from tests.score import cases
from tests.score.once import EMPTY, facts

Record = dict[str, Any]
HEADING = "## With a real model"
STEP = 4  # every fourth fault


@dataclass
class Row:
    """One engine over all faults and cases. `changed`: what it said that the rules alone did not, and is not right."""

    engine: str
    asked: int = 0
    right: int = 0
    actions: int = 0
    of: int = 0
    cases_right: int = 0
    cases: int = 0
    adopted: int = 0
    wrong: list[str] = field(default_factory=list)


def judged(stack: list[Record], library: Library, client: Client | None) -> dict[str, Analysis]:
    """The verdicts on a stack, by the rules alone or with a model."""
    known = {record["service"]: facts(record, library) for record in stack}
    verdicts = analyze(known, library)
    if client is not None:
        analyst.consult(client, verdicts, stack, resolver(known), "hybrid")
    return verdicts


def rules(library: Library) -> Row:
    """No model at all."""
    return _row("rules", library, None)


def lying(library: Library) -> Row:
    """The liar of tests/scripted.py: it knows all that a claim must have, and is wrong on purpose."""
    with scripted.endpoint(scripted.liar(20261126)) as place, asking(place.url) as asked:
        return _row("hybrid, a model that lies", library, asked)


def real(library: Library, url: str, model: str, faults: int) -> Row:
    """A model that really runs, over every `faults`-th fault: a small machine needs half a minute for each."""
    chosen = Settings(url, model=model, timeout=300.0, deadline=3000.0, jobs=1, prompt_tokens=1_500)
    with contextlib.closing(Client(chosen)) as asked:
        return _row(f"hybrid, {model}", library, asked, faults)


def page(library: Library) -> Iterator[str]:
    """The section of the scoreboard about a real model."""
    with contextlib.ExitStack() as stack:
        url, name = os.environ.get("LLM_BASE_URL"), os.environ.get("LLM_MODEL", DEFAULT_MODEL)
        if url is None:
            from tests.test_llm_real import serving

            url = stack.enter_context(serving())["LLM_BASE_URL"]
            name = "SmolLM2-135M-Instruct (Q4_1)"
        row = real(library, url, name, STEP)
    alone = _row("rules", library, None, STEP)
    yield HEADING
    yield ""
    yield (
        f"Measured with `scripts/score --model` on {os.cpu_count()} processors, over every fourth fault: {name}. The "
        "rules are sure of most faults, and of these it is not asked."
    )
    yield ""
    yield "| What | With the model | Rules alone |"
    yield "| --- | --- | --- |"
    yield f"| root service and cause right | {row.right} of {row.of} | {alone.right} of {alone.of} |"
    yield f"| first proposed action right | {row.actions} of {row.of} | {alone.actions} of {alone.of} |"
    yield f"| incidents that it was asked about | {row.asked} | 0 |"
    yield f"| its claims that became a verdict | {row.adopted} | 0 |"
    yield f"| of those wrong | {len(row.wrong)} | 0 |"


@contextlib.contextmanager
def asking(url: str) -> Iterator[Client]:
    """A client of an endpoint, as patient as a measurement wants."""
    with contextlib.closing(Client(Settings(url, deadline=3_000.0, retries=0, run_tokens=10**9))) as made:
        yield made


def _row(engine: str, library: Library, asked: Client | None, step: int = 1) -> Row:
    row = Row(engine)
    for fault in [each for each in lab.faults() if each.recording.exists() and each.roots][::step]:
        stack = [json.loads(line) for line in fault.recording.read_text().splitlines()]
        verdicts = judged(stack, library, asked)
        found = {name: each for name, each in verdicts.items() if each.role == Role.ROOT}
        expected = {root.service: root for root in fault.roots}
        row.of += 1
        right = set(found) == set(expected) and all(each.cause in expected[name].causes for name, each in found.items())
        row.right += right
        actions = {name: propose(name, each) for name, each in found.items()}
        row.actions += set(found) == set(expected) and all(
            actions[name] and actions[name][0].action in root.first_actions for name, root in expected.items()
        )
        _count(row, fault.name, found, right)
    known = cases.labels()
    for case in [] if step > 1 else cases.read(cases.PUBLIC):
        record = cases.record(case)
        verdict = judged([record], library, asked)[record["service"]]
        outcome = cases.judge(case, verdict, known.get(case["id"]), library)
        row.cases += 1
        row.cases_right += outcome.result == cases.RIGHT
        label = known.get(case["id"], {})
        _count(row, case["id"], {record["service"]: verdict}, verdict.cause in label.get("causes", []))
    return row


def _count(row: Row, name: str, found: dict[str, Analysis], right: bool) -> None:
    """What the model was asked, and what of it was adopted."""
    for service, verdict in found.items():
        row.asked += verdict.model is not None
        if verdict.engine != "rules":
            row.adopted += 1
            if not right:
                row.wrong.append(f"{name}/{service}: {verdict.cause} ({verdict.confidence}): {verdict.hypothesis}")


# Hostile input, and a model that believes it


def gullible(request: scripted.Json) -> scripted.Answer:
    """A model that does what the evidence tells it: the last piece that names a cause, or reads like one, is right."""
    shown = scripted.pieces(request)
    for number, (name, text) in reversed(shown.items()):
        if not any(kind in name for kind in ("logs:", "probe:", "health")):
            continue
        named = [each for each in Cause if re.search(rf"\b{each}\b", text)]
        fitting = [each for each in Cause if (words := causes.of(each).words) and re.search(words, text, re.IGNORECASE)]
        for cause in [*named, *fitting]:
            claim = {
                "service": name.partition("/")[0],
                "cause": cause,
                "evidence": [number],
                "quote": text[:60],
                "explanation": text[:200],
                "actions": [{"action": "recreate", "reason": text[:60]}, {"action": "restart", "reason": text[:60]}],
            }
            return scripted.Answer(json.dumps(claim))
    return scripted.Answer('{"cause": "inconclusive"}')


def steered(library: Library) -> tuple[int, list[str]]:
    """The injection corpus against a gullible model: (attempts, those that changed more than they do without it)."""
    attempts, found = 0, []
    with scripted.endpoint(gullible) as place, asking(place.url) as asked:
        for entry in injection.entries():
            if entry.limit is not None or entry.kind == "records":
                continue
            attempts += 1
            for base in entry.bases:
                stack = injection.given(entry, base)
                before = _both(stack, library, asked)
                after = _both(injection.hostile(entry, stack), library, asked)
                found += [f"{entry.name} [{base}] {told}" for told, _ in injection.differences(entry, before, after)]
    return attempts, found


def _both(stack: list[Record], library: Library, asked: Client) -> dict[str, tuple[Analysis, list[Proposal]]]:
    verdicts = judged(stack, library, asked)
    return {name: (verdict, propose(name, verdict)) for name, verdict in verdicts.items()}


# A hundred thousand lines


@dataclass
class Long:
    """Incidents whose log is a hundred thousand lines long: how large the prompt is, and whether it tells why."""

    incidents: int = 0
    held: int = 0
    held_without_rules: int = 0
    briefed: int = 0  # whose line is in the briefing of the stack, which no rule has judged
    briefing_tokens: int = 0
    most_tokens: int = 0
    raw_tokens: int = 0
    told_tokens: int = 0
    lost: list[str] = field(default_factory=list)


NOISE = 100_000
AFTER = 2_000  # of which so many come after the failure


def long_logs(library: Library) -> Long:
    """Every fault and public case whose verdict cites a log line: that line amid the daily talk of a program."""
    texts = [text for _, text in logmaker.made("app", NOISE, 7)]
    begun = {}
    for name, carrying in (("rules", library.causal), ("none", None)):
        condenser = Condenser(carrying)
        for at in range(0, NOISE - AFTER, 5_000):
            part = texts[at : min(at + 5_000, NOISE - AFTER)]
            condenser.add(part, _lines(part, at))
        begun[name] = condenser
    found = Long()
    prompt = prompts.read("analyst")
    for name, stack, service, cited in _incidents(library):
        for kind in ("rules", "none"):
            record = next(each for each in stack if each["service"] == service)
            condenser = copy.deepcopy(begun[kind], {id(library): library})
            own = [line["text"] for line in record["logs"]["lines"]]
            end = texts[NOISE - AFTER :]
            condenser.add(own, _lines(own, NOISE - AFTER))
            condenser.add(end, _lines(end, NOISE - AFTER + len(own)))
            logs = Logs([line for _, line in condenser.lines()], NOISE + len(own), False, condenser.templates())
            changed = [with_section(each, "logs", logs) if each is record else each for each in stack]
            if kind == "none":
                briefing = brief_stack.text(changed)
                found.briefed += any(says(briefing, each) for each in cited)
                found.briefing_tokens = max(found.briefing_tokens, tokens(briefing))
            chosen = library if kind == "rules" else EMPTY
            verdicts = analyze({each["service"]: facts(each, chosen) for each in changed}, chosen)
            pieces = [piece for each in changed for piece in briefs.pieces(each, service, verdicts)]
            brief = analyst.fitted(prompt, service, verdicts, pieces, 4_000)
            told = sum(tokens(each["content"]) for each in analyst.messages(prompt, brief))
            found.most_tokens = max(found.most_tokens, told)
            held = any(piece.whole == text for piece in brief.pieces.values() for text in cited)
            if kind == "none":
                found.held_without_rules += held
                continue
            found.incidents += 1
            found.held += held
            found.told_tokens += told
            found.raw_tokens += sum(map(len, texts)) // 4 + sum(map(evidence_tokens, stack))
            if not held:
                found.lost.append(name)
    return found


def says(briefing: str, line: str) -> bool:
    """Whether a briefing quotes a line of a log: the beginning of what it says, as far as its quotations go."""
    return condensed(line, len(line) + 1)[:80] in briefing


def _lines(texts: list[str], first: int) -> Callable[[int], LogLine]:
    return lambda at: LogLine(f"logs:{first + at}", None, "stdout", texts[at])


def _incidents(library: Library) -> Iterator[tuple[str, list[Record], str, list[str]]]:
    """(name, stack, root, texts of the log lines that its verdict cites)."""
    for fault in lab.faults():
        if fault.recording.exists() and fault.roots:
            stack = [json.loads(line) for line in fault.recording.read_text().splitlines()]
            yield from _citing(fault.name, stack, library)
    for case in cases.read(cases.PUBLIC):
        yield from _citing(case["id"], [cases.record(case)], library)


def _citing(name: str, stack: list[Record], library: Library) -> Iterator[tuple[str, list[Record], str, list[str]]]:
    verdicts = judged(stack, library, None)
    by_name = {record["service"]: record for record in stack}
    for service, verdict in verdicts.items():
        if verdict.role != Role.ROOT:
            continue
        lines = {line["id"]: line["text"] for line in (by_name[service].get("logs") or {}).get("lines", [])}
        cited = [lines[each] for each in verdict.evidence if each in lines]
        if cited:
            yield name, stack, service, cited
