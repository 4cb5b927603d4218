"""What a model claims of an incident, held against the evidence that it was given: by code, word for word.

A claim passes only if it names a service of the incident, cites pieces that it was shown, quotes one that shows its
cause letter by letter, and names a cause that a cited piece carries: the kind of evidence fits
(grounding.CARRIED_BY), a figure or state says so, and a text speaks of it. Even then it becomes the verdict only where
the rules have none; what contradicts a verdict of theirs, or adds nothing to it, is kept as a note.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec

from dm_tools import redact
from dm_tools.evidence.ids import Kind, parse
from dm_tools.llm.brief import Brief, Piece
from dm_tools.patterns import causes, haystack
from dm_tools.records import ActionName, Analysis, Cause, Confidence, Fix, Severity, Step
from dm_tools.text.shorten import short

MAX_CITED = 5
MAX_EXPLANATION = 240
MAX_QUOTE = 160
MIN_QUOTE = 8  # characters: less is in every text
MAX_ACTIONS = 3


class Suggestion(msgspec.Struct):
    """An action as a model names it. Parameters are not its to choose."""

    action: ActionName
    reason: Annotated[str, msgspec.Meta(max_length=MAX_QUOTE)] = ""


class Claim(msgspec.Struct):
    """A model's answer, in the shape that it was asked for."""

    service: str
    cause: Cause
    evidence: Annotated[list[str], msgspec.Meta(max_length=MAX_CITED)]
    quote: Annotated[str, msgspec.Meta(max_length=MAX_QUOTE)]
    explanation: Annotated[str, msgspec.Meta(max_length=MAX_EXPLANATION)]
    actions: Annotated[list[Suggestion], msgspec.Meta(max_length=MAX_ACTIONS)] = msgspec.field(default_factory=list)


def schema(brief: Brief) -> dict[str, Any]:
    """JSON Schema of an answer about this very incident: services, pieces, causes and actions are closed lists.

    Every string has a bound, or a small model writes until it is cut off.
    """
    action = {
        "type": "object",
        "properties": {
            "action": {"enum": [str(each) for each in ActionName]},
            "reason": {"type": "string", "maxLength": MAX_QUOTE},
        },
        "required": ["action", "reason"],
        "additionalProperties": False,
    }
    numbers = {"type": "array", "items": {"enum": list(brief.pieces)}, "minItems": 1, "maxItems": MAX_CITED}
    properties = {
        "service": {"enum": brief.services},
        "cause": {"enum": [str(each) for each in Cause]},
        "evidence": numbers,
        "quote": {"type": "string", "maxLength": MAX_QUOTE},
        "explanation": {"type": "string", "maxLength": MAX_EXPLANATION},
        "actions": {"type": "array", "items": action, "maxItems": MAX_ACTIONS},
    }
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def read(value: dict[str, Any] | None) -> Claim | None:
    """An answer as a claim; None if it is none. Text that is too long is cut, not refused: it is only words."""
    if value is None:
        return None
    known = dict(value)
    for key, most in (("quote", MAX_QUOTE), ("explanation", MAX_EXPLANATION)):
        if isinstance(known.get(key), str):
            known[key] = known[key][:most]
    if isinstance(known.get("evidence"), list):
        known["evidence"] = [str(each).strip("[] ") for each in known["evidence"][:MAX_CITED]]
    suggested = known.get("actions")
    known["actions"] = [each for each in map(_suggestion, suggested) if each] if isinstance(suggested, list) else []
    try:
        return msgspec.convert(known, Claim)
    except msgspec.ValidationError:
        return None


def _suggestion(value: Any) -> dict[str, str] | None:
    """An action of the catalogue with its reason; None for what a model made up."""
    if not isinstance(value, dict) or not isinstance(value.get("action"), str):
        return None
    if value["action"] not in set(ActionName):
        return None
    return {"action": value["action"], "reason": str(value.get("reason") or "")[:MAX_QUOTE]}


@dataclass
class Judgement:
    """Whether a claim holds, and if not, why not; `carrying`: the cited pieces that show its cause."""

    holds: bool
    reason: str = ""
    carrying: list[Piece] = field(default_factory=list)


def judge(claim: Claim, brief: Brief) -> Judgement:
    """Hold a claim against the evidence."""
    if claim.service not in brief.services:
        return Judgement(False, f"it blames {short(claim.service, 60)!r}, which is no service of this incident")
    unknown = [each for each in claim.evidence if each not in brief.pieces]
    if unknown:
        return Judgement(False, f"it cites {short(unknown[0], 20)!r}, which is no piece of the evidence")
    if claim.cause == Cause.INCONCLUSIVE:
        return Judgement(True)
    cited = [brief.pieces[each] for each in dict.fromkeys(claim.evidence)]
    if not cited:
        return Judgement(False, "it cites no evidence")
    wanted = _folded(claim.quote)
    quoted = [each for each in cited if wanted in _folded(f"{each.text} {each.whole}")]
    if len(wanted) < MIN_QUOTE or not quoted:
        return Judgement(False, "its quotation does not stand in what it cites")
    carrying = [each for each in cited if carries(claim.cause, each)]
    if not carrying:
        return Judgement(False, f"nothing that it cites shows {claim.cause}")
    if not any(each in quoted for each in carrying):
        return Judgement(False, f"what it quotes does not show {claim.cause}")
    if not any(each.told_of == claim.service for each in carrying):
        return Judgement(False, f"nothing that it cites tells of {claim.service}")
    return Judgement(True, carrying=carrying)


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def carries(cause: Cause, piece: Piece) -> bool:
    """Whether one piece of evidence can show a cause."""
    known = causes.of(cause)
    cited = parse(piece.local)
    kind, key = cited.kind, cited.thing
    if isinstance(piece.value, Step):
        # Of what tools tell only a log speaks for itself: figures, states and documents name everything there can be.
        words = known.words if piece.value.tool == "docker_logs" else None
        return words is not None and any(haystack.says(words, line) for line in piece.whole.split("\n"))
    if not {kind, key} & causes.carriers(cause):
        return False
    if kind in (Kind.LOGS, Kind.PROBE, Kind.SCREENSHOT) or key in ("inspect:health", "inspect:error"):
        text = piece.text if kind in (Kind.PROBE, Kind.SCREENSHOT) else piece.whole
        return known.words is not None and haystack.says(known.words, text)
    if key == "inspect:oom_killed":
        return cause == Cause.OOM_KILLED and piece.value is True
    if key == "inspect:state" or kind == Kind.STATS:
        wanted = known.shows.get(key)
        if isinstance(wanted, float):
            return isinstance(piece.value, int | float) and piece.value >= wanted
        return wanted is not None and piece.value in wanted
    # Exit codes, restarts and events carry the causes that are nothing but this.
    return known.carried_by is not None and bool(piece.value)


def take(verdict: Analysis, claim: Claim, brief: Brief, found: Judgement, engine: str) -> str | None:
    """Make a claim that holds the verdict where the rules have none; returns the note that it leaves otherwise.

    With the engine "llm" it also takes the place of a verdict that is less than highly confident. It never gets more
    than medium confidence itself: a model is no source of its own, it only read the sources.
    """
    said = _explained(claim)
    words = f"{claim.cause} of {claim.service}: {said}"
    if claim.cause == Cause.INCONCLUSIVE:
        return "the model finds no cause in this evidence either" if verdict.cause == claim.cause else None
    if claim.service != brief.root:
        return f"the model suspects {words}"
    if verdict.cause == claim.cause:
        return None  # it adds nothing
    if verdict.cause != Cause.INCONCLUSIVE and (engine != "llm" or verdict.confidence == Confidence.HIGH):
        return f"the model disagrees, and the rules' evidence is stronger: {words}"
    local = [each.local if each.service == brief.root else each.id for each in found.carrying]
    sources = {each.source for each in found.carrying}
    verdict.cause, verdict.severity = claim.cause, verdict.severity or Severity.WARNING
    verdict.hypothesis = said
    verdict.evidence = list(dict.fromkeys([*local, *verdict.evidence]))
    verdict.confidence = Confidence.MEDIUM if len(sources) >= 2 else Confidence.LOW
    verdict.engine, verdict.pattern, verdict.captures, verdict.next = engine, None, {}, []
    verdict.fixes = [
        Fix(action=each.action, confidence=verdict.confidence, reasoning=short(redact.redact(each.reason)))
        for each in claim.actions
    ]
    return None


def _explained(claim: Claim) -> str:
    """The model's sentence; if there is none, or none in our alphabet, what it quoted."""
    letters = [c for c in claim.explanation if c.isalpha()]
    readable = letters and sum(c.isascii() for c in letters) >= 0.8 * len(letters)
    text = claim.explanation if readable else f"{claim.cause}, as it says: {claim.quote}"
    return short(redact.redact(text), MAX_EXPLANATION)
