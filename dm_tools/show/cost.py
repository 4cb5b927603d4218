"""What a diagnosis cost in tokens, and what it would have cost to let a large model read everything that was collected.

Tokens of texts that no model has read are estimated at four characters each, which is what OpenAI's documentation says
of English; logs have rather more tokens, so what is saved is rather understated.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

from dm_tools.pipe import configs
from dm_tools.records import Cost
from dm_tools.show.records import Line

Json = dict[str, Any]


def lines(report_id: str, cost: Cost, prices: list[Json]) -> Iterator[Line]:
    """A report's cost as text."""
    evidence, summary = cost.evidence_tokens, cost.summary_tokens
    yield Line(report_id, bold=True)
    if cost.model:
        used = f"{cost.local_prompt_tokens} tokens read, {cost.local_completion_tokens} written"
        yield Line(f"  local model {cost.model}: {cost.model_calls} calls, {used}, {cost.local_ms / 1000:.1f} s")
    else:
        yield Line("  local model: not asked")
    yield Line(f"  all evidence: about {evidence} tokens; this report's text: about {summary}")
    yield Line(f"  saved: {cost.saved_percent} %")
    for each in prices:
        dollars = (evidence * each["input"] / 1e6, summary * each["input"] / 1e6)
        yield Line(f"  {each['name']}: {dollars[0]:.4f} $ to read all of it, {dollars[1]:.4f} $ to read the report")


def prices() -> list[Json]:
    """The prices that come with the tools."""
    text = (configs.folder("prices") / "prices.toml").read_text(encoding="utf-8")
    found: list[Json] = tomllib.loads(text)["model"]
    return found
