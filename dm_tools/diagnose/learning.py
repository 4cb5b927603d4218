"""Draft patterns: what stood in logs before incidents that no rule explained, and was gone once an action had helped.

A draft is for a person, who says what it means; nothing here changes a verdict. Pure functions.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dm_tools import redact
from dm_tools.records import ActionName, Cause, EventKind, HistoryEvent, LogLine, Proof
from dm_tools.text import condense
from dm_tools.text.late import late

LEAST_INCIDENTS = 2  # before which it stood
LEAST_SHARE = 0.8  # of the incidents that were cured so
LEAST_WORDS = 3  # that are the same each time
MOST_PARTS = 6  # a saying of more pieces is no saying
EXAMPLES, NEAR_MISSES, DRAFTS = 3, 3, 3  # of each kind of incident

_WORD = late(r"[^\W\d_]{2,}")


@dataclass(frozen=True)
class Draft:
    """A saying that may tell of a cause. `parts`: what is the same each time, in order; between them is anything."""

    service: str
    image: str | None
    cause: Cause
    action: ActionName
    parts: tuple[str, ...]
    incidents: int
    cured: int
    examples: tuple[str, ...]
    near_misses: tuple[str, ...]

    @property
    def id(self) -> str:
        """A name for it: the program, and what it says."""
        program = re.sub(r"[^a-z0-9]+", "-", (self.image or self.service).rpartition("/")[2].partition(":")[0].lower())
        words = [each.lower() for each in _WORD.findall(" ".join(self.parts)) if each.isascii()][:4]
        mark = hashlib.blake2b("\0".join(self.parts).encode("utf-8", "replace"), digest_size=2).hexdigest()
        return f"{program.strip('-')[:40] or 'service'}.{'-'.join(words)[:60]}-{mark}"


@dataclass(frozen=True)
class _Cured:
    incident: HistoryEvent
    action: ActionName


def learned(events: Iterable[HistoryEvent], healthy: Mapping[str, list[str]]) -> list[Draft]:
    """The drafts that a history gives. `healthy`: the log lines of services that are well, collected afterwards.

    A line counts if it looks like an error or a warning, stood before most incidents of one service and cause that one
    action cured with proof, and is in the log of the healthy service no more: without that log nothing can be learned.
    """
    groups: dict[tuple[str | None, str, Cause, ActionName], list[_Cured]] = {}
    for each in _cured(list(events)):
        incident = each.incident
        if incident.cause is not None and incident.lines:
            groups.setdefault((incident.host, incident.service, incident.cause, each.action), []).append(each)
    found = []
    for (_, service, cause, action), cured in sorted(groups.items(), key=lambda pair: [str(key) for key in pair[0]]):
        if healthy.get(service) and len(cured) >= LEAST_INCIDENTS:
            found += _drafts(service, cause, action, [each.incident for each in cured], healthy[service])
    return found


def _cured(events: list[HistoryEvent]) -> list[_Cured]:
    """Of each occasion that an action ended, proved, the sight of it that came last before."""
    done = {each.action_id: each for each in events if each.kind == EventKind.EXECUTION and each.action_id}
    proofs: dict[str, HistoryEvent] = {}
    for each in sorted(events, key=lambda event: event.at):
        if each.kind == EventKind.PROOF and each.action_id in done:
            proofs[each.action_id] = each
    found = []
    for action_id, proof in proofs.items():
        execution = done[action_id]
        before = [
            each
            for each in events
            if each.kind == EventKind.INCIDENT and _trouble(each) == _trouble(execution) and each.at <= execution.at
        ]
        if proof.proof == Proof.RECOVERED and execution.action and before:
            found.append(_Cured(max(before, key=lambda event: event.at), execution.action))
    return list({each.incident.id: each for each in found}.values())


def _trouble(event: HistoryEvent) -> tuple[str | None, str, str | None]:
    return event.host, event.service, event.fingerprint


def _drafts(
    service: str, cause: Cause, action: ActionName, incidents: list[HistoryEvent], healthy: list[str]
) -> list[Draft]:
    lines = [redact.redact(line) for incident in incidents for line in incident.lines]
    logged = [LogLine(f"logs:{number}", None, "stderr", line) for number, line in enumerate(lines)]
    text_of = {line.id: line.text for line in logged}
    weighed: Counter[tuple[str, ...]] = Counter()
    for template in condense.templates(logged):
        parts = _parts(template.text)
        if parts is None or condense.level(text_of[template.example]) == condense.OTHER:
            continue
        standing = sum(any(_says(parts, redact.redact(line)) for line in each.lines) for each in incidents)
        gone = not any(_says(parts, line) for line in healthy)
        if gone and standing >= max(LEAST_INCIDENTS, LEAST_SHARE * len(incidents)):
            weighed[parts] = standing
    found = []
    for parts, standing in sorted(weighed.items(), key=lambda pair: (-pair[1], pair[0]))[:DRAFTS]:
        examples = tuple(dict.fromkeys(line for line in lines if _says(parts, line)))[:EXAMPLES]
        image = incidents[-1].image
        near = _nearest(parts, healthy)
        found.append(Draft(service, image, cause, action, parts, standing, len(incidents), examples, near))
    return found


def _parts(template: str) -> tuple[str, ...] | None:
    """The pieces of a template that are the same each time, from the first word on; None if they say too little."""
    text = template.split("\n")[0].replace("<secret>", f"<secret:{condense.ANY}>")
    parts = [each.strip() for each in text.split(condense.ANY)]
    while parts and not _WORD.search(parts[0]):
        parts.pop(0)  # the time, the process
    parts = [each for each in parts if re.search(r"\w", each)]
    if len(_WORD.findall(" ".join(parts))) < LEAST_WORDS or len(parts) > MOST_PARTS:
        return None
    return tuple(parts)


def _says(parts: tuple[str, ...], line: str) -> bool:
    position = 0
    for part in parts:
        found = line.find(part, position)
        if found < 0:
            return False
        position = found + len(part)
    return True


def _nearest(parts: tuple[str, ...], healthy: list[str]) -> tuple[str, ...]:
    """The lines of a healthy log that share most words with a saying."""
    words = set(_WORD.findall(" ".join(parts).lower()))
    shared = {line: len(words & set(_WORD.findall(line.lower()))) for line in healthy}
    alike = [line for line in shared if shared[line]]
    return tuple(sorted(alike, key=lambda line: (-shared[line], line))[:NEAR_MISSES])


def written(draft: Draft) -> str:
    """A draft as a pattern file, for a person to read and to complete."""
    expression = ".*?".join(re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", part) for part in draft.parts)
    examples = ", ".join(map(_quoted, draft.examples))
    words = re.sub(r"[{}]", "", " ... ".join(draft.parts))
    explanation = f"{{service}} says what stood before incidents that {draft.action} ended: {words}"
    reasoning = f"it ended {draft.incidents} of {draft.cured} such incidents"
    fix = f'{{ action = {_quoted(draft.action)}, confidence = "medium", reasoning = {_quoted(reasoning)} }}'
    counts = f"{draft.incidents} of {draft.cured}"
    return f"""# A draft, made of the history: it stood before {counts} incidents of {_plain(draft.service)}
# that nothing explained and {draft.action} ended, proved, and it is in the log of the healthy service no more.
# Before you accept it: say in words what it means, choose the cause, and see that the saying is no wider than that.

[[pattern]]
id = {_quoted(draft.id)}
cause = {_quoted(draft.cause)}
level = "broad"
severity = "warning"
says = [
    {{ text = {_quoted(expression)}, example = [{examples}] }},
]
near_misses = [{", ".join(map(_quoted, draft.near_misses))}]
explanation = {_quoted(explanation)}
fixes = [{fix}]
source = "the history of this stack"
"""


def _plain(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text)[:60]


def _quoted(text: str) -> str:
    """A basic string of TOML, on one line."""
    plain = json.dumps(text.encode("utf-8", "replace").decode(), ensure_ascii=False)
    return "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in plain)
