"""What a diagnosis cost in tokens, and what it would have cost to let a large model read everything that was collected.

Tokens of texts that no model has read are estimated at four characters each, which is what OpenAI's documentation says
of English; logs have rather more tokens, so what is saved is rather understated.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

from dm_tools.pipe import configs
from dm_tools.show.records import Line

Json = dict[str, Any]


def lines(report: Json, prices: list[Json]) -> Iterator[Line]:
    """A report's cost as text."""
    cost = report.get("cost")
    if not isinstance(cost, dict):
        yield Line(f"{report.get('report_id', 'this')}: holds no cost; an enhanced report does")
        return
    evidence, summary = int(cost.get("evidence_tokens") or 0), int(cost.get("summary_tokens") or 0)
    yield Line(f"{report.get('report_id')}", bold=True)
    if cost.get("model"):
        used = f"{cost.get('local_prompt_tokens')} tokens read, {cost.get('local_completion_tokens')} written"
        seconds = float(cost.get("local_ms") or 0) / 1000
        yield Line(f"  local model {cost['model']}: {cost.get('model_calls')} calls, {used}, {seconds:.1f} s")
    else:
        yield Line("  local model: not asked")
    yield Line(f"  all evidence: about {evidence} tokens; this report's text: about {summary}")
    yield Line(f"  saved: {cost.get('saved_percent')} %")
    for each in prices:
        dollars = (evidence * each["input"] / 1e6, summary * each["input"] / 1e6)
        yield Line(f"  {each['name']}: {dollars[0]:.4f} $ to read all of it, {dollars[1]:.4f} $ to read the report")


def prices() -> list[Json]:
    """The prices that come with the tools."""
    text = (configs.folder("prices") / "prices.toml").read_text(encoding="utf-8")
    found: list[Json] = tomllib.loads(text)["model"]
    return found
