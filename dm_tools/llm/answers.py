"""What a model wrote, taken apart: the JSON in a text, and tool calls in the way that Hermes writes them."""

from __future__ import annotations

import json
from typing import Any

MAX_STARTS = 50  # places where a JSON object may begin that are tried
MAX_CALLS = 20


def json_object(text: str) -> dict[str, Any] | None:
    """The first JSON object in a text, in whatever prose or fence it stands; None if there is none.

    What a model thought aloud is no answer.
    """
    text = _spoken(text)
    decoder = json.JSONDecoder()
    at = -1
    for _ in range(MAX_STARTS):
        at = text.find("{", at + 1)
        if at < 0:
            return None
        try:
            value, _ = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            return value
    return None


def hermes_calls(text: str) -> list[tuple[str, dict[str, Any]]]:
    """The calls of `<tool_call>{"name": ..., "arguments": {...}}</tool_call>` in a text; broken ones are left out.

    Source: the function-calling format of NousResearch's Hermes 2 Pro.
    """
    found = []
    for part in _spoken(text).split("<tool_call>", MAX_CALLS)[1:]:
        value = json_object(part.partition("</tool_call>")[0])
        if value is None:
            continue
        arguments = value.get("arguments", {})
        if isinstance(value.get("name"), str) and isinstance(arguments, dict):
            found.append((value["name"], arguments))
    return found


def _spoken(text: str) -> str:
    """The text without what stands between <think> and </think>, or behind a <think> without end."""
    kept = []
    while text:
        before, _, text = text.partition("<think>")
        kept.append(before)
        text = text.partition("</think>")[2]
    return "".join(kept)
