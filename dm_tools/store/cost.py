"""What a diagnosis cost in tokens, and what it would have cost to let a large model read everything that was collected.

Tokens of texts that no model has read are estimated at four characters each, which is what OpenAI's documentation says
of English; logs have rather more tokens, so what is saved is rather understated.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dm_tools.diagnose.brief import CHARACTERS_PER_TOKEN, evidence_tokens
from dm_tools.records import Analysis, ModelCall
from dm_tools.store.show import Line

Json = dict[str, Any]


class Meter:
    """Counts while the records of a stack go by."""

    def __init__(self) -> None:
        self.evidence_tokens = 0
        self.model: str | None = None
        self.calls: list[ModelCall] = []

    def add(self, record: Json, verdict: Analysis | None) -> None:
        """One record with all that was collected of it."""
        self.evidence_tokens += evidence_tokens(record)
        if verdict is not None and verdict.model is not None:
            self.model = verdict.model.model
            self.calls += verdict.model.calls

    def cost(self, summary: str) -> Json:
        """The figures of one report. `summary`: what a person or a large model reads instead of the evidence."""
        evidence = self.evidence_tokens
        read = len(summary) // CHARACTERS_PER_TOKEN
        return {
            "model": self.model,
            "model_calls": len(self.calls),
            "local_prompt_tokens": sum(each.prompt_tokens for each in self.calls),
            "local_completion_tokens": sum(each.completion_tokens for each in self.calls),
            "local_ms": round(sum(each.ms for each in self.calls), 1),
            "evidence_tokens": evidence,
            "summary_tokens": read,
            "saved_percent": round(100 * (1 - read / evidence), 1) if evidence > read else 0.0,
        }


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
    """The prices beside the tools: installed with the package, or in the checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "prices"
    folder = installed if installed.is_dir() else package.parent / "configs" / "prices"
    found: list[Json] = tomllib.loads((folder / "prices.toml").read_text(encoding="utf-8"))["model"]
    return found
