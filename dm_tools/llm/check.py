"""What an endpoint can do: tried, not believed. Each way of asking gets a question whose answer only it can force."""

from __future__ import annotations

from typing import Any

from dm_tools.llm import answers
from dm_tools.llm.client import Client, Mode, ModelError, Reply

TOOL = {
    "type": "function",
    "function": {
        "name": "read_clock",
        "description": "Tells the time of one clock.",
        "parameters": {
            "type": "object",
            "properties": {"clock": {"type": "string", "enum": ["hall", "tower"]}},
            "required": ["clock"],
        },
    },
}
WORDS = ["qivex", "zorba"]  # no model says these of itself: an answer that has one was forced
SCHEMA = {
    "type": "object",
    "properties": {"word": {"enum": WORDS}},
    "required": ["word"],
    "additionalProperties": False,
}
MAX_TOKENS = 60
CALLED, HERMES, IGNORED = "tool_calls", "hermes_text", "ignored"
HONOURED = "honoured"


def check(client: Client) -> dict[str, Any]:
    """What works with this endpoint. Raises ModelError if nothing answers at all."""
    models = client.models()
    found: dict[str, Any] = {
        "base_url": client.settings.place,
        "model": client.settings.model,
        "models": models,
        "model_known": client.settings.model in models,
        "context_tokens": client.context(),
        "output": {},
        "tools": None,
        "prompt_tokens_per_second": None,
        "errors": [],
    }
    for mode in Mode:
        reply = _asked(client, found, mode.value, mode=mode, schema=SCHEMA)
        found["output"][mode.value] = "refused" if reply is None else _output(mode, reply)
        if reply is not None and mode is Mode.TEXT and reply.usage.ms:
            found["prompt_tokens_per_second"] = round(reply.usage.prompt_tokens / reply.usage.ms * 1000, 1)
    reply = _asked(client, found, "tools", tools=[TOOL], question="Read the clock of the tower.")
    found["tools"] = "refused" if reply is None else _tools(reply)
    return found


def _asked(client: Client, found: dict[str, Any], what: str, question: str = "", **how: Any) -> Reply | None:
    text = question or "Greet me with one word, as JSON with the key word."
    try:
        return client.chat([{"role": "user", "content": text}], MAX_TOKENS, **how)
    except ModelError as failure:
        if failure.code in ("unreachable", "unauthorized"):
            raise
        found["errors"].append(f"{what}: {failure.message}")
        return None


def _output(mode: Mode, reply: Reply) -> str:
    value = answers.json_object(reply.text)
    if mode is Mode.SCHEMA:
        return HONOURED if value is not None and value.get("word") in WORDS else IGNORED
    if mode is Mode.OBJECT:
        return HONOURED if value is not None and reply.text.lstrip().startswith("{") else IGNORED
    return "works" if reply.text else "empty"


def _tools(reply: Reply) -> str:
    if reply.calls:
        return CALLED
    return HERMES if answers.hermes_calls(reply.text) else IGNORED
