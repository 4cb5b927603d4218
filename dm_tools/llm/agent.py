"""The model looks further before it answers: read-only tools, a bound on everything, every step recorded.

Each round is a prompt of its own, with what was found so far as evidence: no history of messages that grows beyond the
context or that an endpoint refuses, and the same for an endpoint's own tool calls as for those in a text.
"""

from __future__ import annotations

import json
import time
from typing import Any

from dm_tools import redact
from dm_tools.evidence.ids import parse
from dm_tools.llm import answers, prompts
from dm_tools.llm.brief import Brief, of_step, shortened
from dm_tools.llm.client import Client, ModelError
from dm_tools.records import ModelCall, Problem, Step
from dm_tools.text.shorten import short
from dm_tools.tools.registry import Toolbox

CALL_TOKENS = 150  # a tool call
MAX_WRITTEN = 2_000  # characters of a call's arguments
MAX_WORD, MAX_ARGUMENTS = 500, 8  # of what is recorded of them
MAX_FRUITLESS = 2  # calls in a row that told nothing new, after which there is no more looking

Record = dict[str, Any]


class Agent:
    """Looks into incidents of one stack; for several threads."""

    def __init__(self, inventory: dict[str, Record], max_steps: int) -> None:
        self.box = Toolbox(inventory)
        self.max_steps = max_steps
        self.prompt = prompts.read("agent")

    def explore(self, client: Client, brief: Brief, before: list[Step]) -> tuple[list[Step], list[ModelCall]]:
        """The steps that the model took, each also a piece of the brief. `before`: those of an earlier look.

        Never raises for what the model does: what was seen until then still counts.
        """
        looking = _Looking(self, client, brief, before)
        try:
            looking.run()
        except ModelError as failure:
            looking.note(failure.message)
        except Exception as bug:
            looking.note(redact.redact(f"internal error: {type(bug).__name__}: {bug}"))
        return looking.steps, looking.calls


class _Looking:
    """One incident being looked into."""

    def __init__(self, agent: Agent, client: Client, brief: Brief, before: list[Step]) -> None:
        self.agent, self.client, self.brief = agent, client, brief
        # Tools reach this incident's services and no others.
        self.box = agent.box.only(brief.services)
        numbers = [number for each in before if (number := parse(each.id).number) is not None]
        self.first = max(numbers, default=-1) + 1
        self.steps: list[Step] = []
        self.calls: list[ModelCall] = []
        self.native = True
        self.made: set[str] = set()
        self.outputs: set[str] = set()

    def note(self, message: str) -> None:
        """Why the looking ended, as a step of its own."""
        self._record("", {}, "", message, 0.0)

    def run(self) -> None:
        """Ask, call, record, until there is nothing new."""
        fruitless = 0
        while len(self.steps) < self.agent.max_steps and fruitless < MAX_FRUITLESS:
            wanted = self._next()
            if wanted is None:
                return
            name, arguments = wanted
            key = json.dumps([name, arguments], sort_keys=True, default=str)
            if key in self.made:
                fruitless += 1
                continue
            self.made.add(key)
            output = self._call(name, arguments)
            fruitless = fruitless + 1 if output is None or output in self.outputs else 0
            if output is not None:
                self.outputs.add(output)

    def _call(self, name: str, arguments: dict[str, Any]) -> str | None:
        """Make one call and record it; None if it failed."""
        begin = time.monotonic()
        output, error = "", None
        try:
            output = self.box.call(name, arguments)
        except Problem as problem:
            error = problem.message
        except Exception as bug:
            error = f"internal error: {type(bug).__name__}"
        step = self._record(name, arguments, output, error, (time.monotonic() - begin) * 1000)
        if error is not None:
            return None
        self.brief.add(of_step(self.brief.root, step, self.brief.services))
        return output

    def _record(self, name: str, arguments: dict[str, Any], output: str, error: str | None, ms: float) -> Step:
        words = {
            short(redact.redact(str(key)[:MAX_WORD]), 40): short(redact.redact(str(value)[:MAX_WORD]), 200)
            for key, value in list(arguments.items())[:MAX_ARGUMENTS]
        }
        step = Step(f"step:{self.first + len(self.steps)}", short(name, 40), words, output, error, round(ms, 1))
        self.steps.append(step)
        return step

    def _next(self) -> tuple[str, dict[str, Any]] | None:
        """The call that the model wants to make; None if it wants none."""
        tools = self.box.definitions()
        try:
            reply = self.client.chat(self._messages(), CALL_TOKENS, tools=tools if self.native else None)
        except ModelError as failure:
            if not self.native or failure.code not in ("refused", "server_error", "not_found"):
                raise
            self.native = False  # it knows no tools: as text, then
            reply = self.client.chat(self._messages(), CALL_TOKENS)
        self.calls.append(ModelCall(**vars(reply.usage)))
        for _, name, written in reply.calls:
            try:
                arguments = json.loads(written or "{}") if len(written) <= MAX_WRITTEN else None
            except (ValueError, RecursionError):
                arguments = None
            if not isinstance(arguments, dict):
                return name, {"arguments that are no JSON object": written[:MAX_WORD]}
            return name, arguments
        found = answers.hermes_calls(reply.text)
        return found[0] if found else None

    def _messages(self) -> list[dict[str, Any]]:
        prompt, system = self.agent.prompt, self.agent.prompt.system
        if not self.native:
            described = "\n".join(json.dumps(each["function"]) for each in self.box.definitions())
            system += "\n" + prompt.hermes.format(tools=described)
        urls = [
            shortened(redact.url(url)) for each in self.box.inventory.values() for url in each.get("internal") or []
        ]
        called = "; ".join(f"{each.tool} {json.dumps(each.arguments)}" for each in self.steps)
        user = prompt.user.format(
            services=shortened(", ".join(self.brief.services)),
            topology=self.brief.topology,
            urls=", ".join(urls[:10]),
            verdict=self.brief.verdict,
            called=called or "nothing",
            evidence=self.brief.evidence,
        )
        return [{"role": "system", "content": system}, {"role": "user", "content": user}]
