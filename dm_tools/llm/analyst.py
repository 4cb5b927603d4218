"""Ask the model about every incident that the rules leave open, within a deadline; whatever it answers, and whether or
not it answers, the rules' verdicts are never worse for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from dm_tools import redact
from dm_tools.diagnose import grounding
from dm_tools.diagnose.grounding import Resolves
from dm_tools.evidence.view import steps
from dm_tools.llm import answers, claims, prompts
from dm_tools.llm import brief as briefs
from dm_tools.llm.brief import Brief
from dm_tools.llm.client import Client, Message, ModelError, Reply
from dm_tools.llm.settings import Settings
from dm_tools.records import ActionName, Analysis, Cause, ModelCall, ModelUse, Step
from dm_tools.text.tokens import evidence_tokens, tokens

ANSWER_TOKENS = 500  # an answer in our schema with all its strings at their bounds
FRAME_TOKENS = 40  # what the chat template adds
LEAST_EVIDENCE = 150  # tokens; with less there is nothing to ask
MAX_ROUNDS = 3  # answers that are asked for until one can be read

Record = dict[str, Any]
# Lets the model look further before it answers: (client, brief, the root's steps so far) -> more steps, and its calls.
Explore = Callable[[Client, Brief, list[Step]], tuple[list[Step], list[ModelCall]]]


@dataclass
class Consultation:
    """What came of asking about one incident."""

    claim: claims.Claim | None = None
    brief: Brief | None = None
    problem: ModelError | None = None
    calls: list[ModelCall] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    evidence_tokens: int = 0


@dataclass
class Gathered:
    """What is kept of an incident's records while they go by: little, however large they are."""

    pieces: list[briefs.Piece] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)  # of the root: what a model looked at before
    evidence_tokens: int = 0


def consult(
    client: Client,
    verdicts: dict[str, Analysis],
    stack: Iterable[Record],
    resolves: Resolves,
    engine: str,
    explore: Explore | None = None,
) -> dict[str, ModelError]:
    """Ask about the incidents, several at once, and put what holds into the verdicts; returns why some have no answer.

    `stack`: the records, read once. `engine`: "hybrid" asks about what the rules leave open, "llm" about every
    incident. `resolves`: the evidence that the verdicts know already. Returns at the client's deadline at the latest:
    what is not answered then, a note says. Never raises for anything the model does.
    """
    prompt = prompts.read("analyst")
    wanted = gathered(verdicts, stack, engine)
    done: SimpleQueue[tuple[str, Consultation]] = SimpleQueue()
    waiting: SimpleQueue[str] = SimpleQueue()
    for root in wanted:
        waiting.put(root)

    def work() -> None:
        while True:
            try:
                root = waiting.get_nowait()
            except Empty:
                return
            done.put((root, _ask(client, prompt, root, verdicts, wanted[root], explore)))

    # Daemons: one that hangs in a socket delays neither the deadline nor the exit.
    for _ in range(min(client.settings.jobs, len(wanted))):
        threading.Thread(target=work, daemon=True).start()
    found: dict[str, Consultation] = {}
    while len(found) < len(wanted):
        try:
            root, consultation = done.get(timeout=max(client.seconds_left, 0.001))
        except Empty:
            break
        found[root] = consultation
    late = ModelError("deadline", f"the model had not answered after {client.settings.deadline:g} s")
    problems = {}
    for root in wanted:
        consultation = found.get(root) or Consultation(problem=late, steps=wanted[root].steps)
        before = verdicts[root].hypothesis
        _conclude(verdicts[root], consultation, client.settings, prompt.id, engine)
        if consultation.problem is not None:
            problems[root] = consultation.problem
        if verdicts[root].engine != "rules" and consultation.brief is not None:
            _ground(root, verdicts, consultation.brief, resolves, before or "")
    return problems


def gathered(verdicts: dict[str, Analysis], stack: Iterable[Record], engine: str) -> dict[str, Gathered]:
    """The incidents to ask about, by root, with what is kept of their records."""
    wanted: dict[str, Gathered] = {}
    root_of: dict[str, str] = {}
    for root, names in briefs.incidents(verdicts).items():
        if engine == "llm" or briefs.is_open(verdicts[root]):
            wanted[root] = Gathered()
            root_of |= dict.fromkeys(names, root)
    for record in stack if wanted else ():
        if (root := root_of.get(str(record.get("service")), "")) in wanted:
            keeping = wanted[root]
            keeping.pieces += briefs.pieces(record, root, verdicts)
            keeping.evidence_tokens += evidence_tokens(record)
            if record["service"] == root:
                keeping.steps = steps(record)
    return wanted


def _ground(root: str, verdicts: dict[str, Analysis], brief: Brief, resolves: Resolves, before: str) -> None:
    """The checker that every verdict passes, and the symptoms' sentences, which quote that of their root."""
    shown = {each.id for each in brief.pieces.values()}

    def known(owner: str, evidence_id: str) -> bool:
        return f"{owner}/{evidence_id}" in shown or resolves(owner, evidence_id)

    verdict = verdicts[root] = grounding.checked(root, verdicts[root], set(verdicts), known)
    for symptom in verdict.symptoms:
        suffering = verdicts[symptom.service]
        suffering.hypothesis = (suffering.hypothesis or "").replace(before, verdict.hypothesis or "")


def _ask(
    client: Client,
    prompt: prompts.Prompt,
    root: str,
    verdicts: dict[str, Analysis],
    kept: Gathered,
    explore: Explore | None,
) -> Consultation:
    found = Consultation(evidence_tokens=kept.evidence_tokens, steps=kept.steps)
    try:
        room = min(client.settings.prompt_tokens, client.context() - ANSWER_TOKENS)
        found.brief = fitted(prompt, root, verdicts, kept.pieces, room)
        if explore is not None:
            more, calls = explore(client, found.brief, kept.steps)
            found.steps, found.calls = kept.steps + more, calls
        _answer(client, prompt, found)
    except ModelError as failure:
        found.problem = failure
    except Exception as bug:  # a bug of ours in one incident must not cost the others their verdicts
        found.problem = ModelError("internal_error", redact.redact(f"internal error: {type(bug).__name__}: {bug}"))
    return found


def fitted(
    prompt: prompts.Prompt, root: str, verdicts: dict[str, Analysis], pieces: list[briefs.Piece], room: int
) -> Brief:
    """The brief of an incident for a prompt of `room` tokens in all."""
    empty = briefs.of(root, verdicts, (), 0)
    frame = FRAME_TOKENS + sum(tokens(each["content"]) for each in messages(prompt, empty))
    return briefs.of(root, verdicts, pieces, room - frame)


def messages(prompt: prompts.Prompt, brief: Brief) -> list[Message]:
    """The prompt about one incident."""
    user = prompt.user.format(
        services=briefs.shortened(", ".join(brief.services)),
        topology=brief.topology,
        verdict=brief.verdict,
        causes=", ".join(Cause),
        actions=", ".join(ActionName),
        evidence=brief.evidence,
    )
    return [{"role": "system", "content": prompt.system}, {"role": "user", "content": user}]


def _answer(client: Client, prompt: prompts.Prompt, found: Consultation) -> None:
    """Get a claim: from the strictest way of asking to the loosest, with less evidence if it is too much."""
    brief = found.brief
    assert brief is not None
    modes = list(client.modes)
    said: Reply | None = None
    for _ in range(MAX_ROUNDS):
        if not brief.pieces:
            raise ModelError("context_overflow", "the model's context has no room for any evidence")
        try:
            said = client.chat(messages(prompt, brief), ANSWER_TOKENS, modes[0], claims.schema(brief))
        except ModelError as failure:
            if failure.code == "context_overflow":
                _halve(brief)
                continue
            if failure.code not in ("refused", "server_error") or len(modes) == 1:
                raise
            modes.pop(0)  # it may not know this way of asking
            continue
        found.calls.append(ModelCall(**vars(said.usage)))
        found.claim = claims.read(answers.json_object(said.text))
        if found.claim is not None:
            client.modes = modes  # what works here works for the next incident
            return
        if len(modes) > 1:
            modes.pop(0)
    cut = ", cut off by its length limit" if said is not None and said.cut else ""
    raise ModelError("bad_answer", f"the model's answer was not usable{cut}")


def _halve(brief: Brief) -> None:
    """Leave out the lower half of the evidence."""
    numbers = list(brief.pieces)
    for number in numbers[len(numbers) // 2 :]:
        del brief.pieces[number]
        brief.left_out += 1


def _conclude(verdict: Analysis, found: Consultation, endpoint: Settings, prompt: str, engine: str) -> None:
    """Put what came of it into the verdict."""
    outcome = "no_answer"
    if found.claim is not None and found.brief is not None:
        judgement = claims.judge(found.claim, found.brief)
        if not judgement.holds:
            outcome = "rejected"
            verdict.notes.append(f"the model's claim was rejected: {judgement.reason}")
        else:
            note = claims.take(verdict, found.claim, found.brief, judgement, engine)
            outcome = "note" if note else "agrees" if verdict.engine == "rules" else "verdict"
            if note:
                verdict.notes.append(note)
    elif found.problem:
        verdict.notes.append(found.problem.message)
    verdict.steps = found.steps
    sent_to = None if endpoint.is_here or not found.calls else endpoint.place
    verdict.model = ModelUse(endpoint.model, prompt, outcome, found.evidence_tokens, found.calls, sent_to)
