"""Counts what a diagnosis cost in tokens, and what reading everything that was collected would have cost."""

from __future__ import annotations

from typing import Any

from dm_tools.records import Analysis, Cost, ModelCall
from dm_tools.text.tokens import CHARACTERS_PER_TOKEN, evidence_tokens

Json = dict[str, Any]


class Meter:
    """Counts while the records of a stack go by."""

    def __init__(self) -> None:
        self.evidence_tokens = 0
        self.model: str | None = None
        self.calls: list[ModelCall] = []
        self.sent_to: set[str] = set()

    def add(self, record: Json, verdict: Analysis | None) -> None:
        """One record with all that was collected of it."""
        self.evidence_tokens += evidence_tokens(record)
        if verdict is not None and verdict.model is not None:
            self.model = verdict.model.model
            self.calls += verdict.model.calls
            self.sent_to |= {verdict.model.sent_to} if verdict.model.sent_to else set()

    def cost(self, summary: str) -> Cost:
        """The figures of one report. `summary`: what a person or a large model reads instead of the evidence."""
        evidence = self.evidence_tokens
        read = len(summary) // CHARACTERS_PER_TOKEN
        return Cost(
            model=self.model,
            model_calls=len(self.calls),
            local_prompt_tokens=sum(each.prompt_tokens for each in self.calls),
            local_completion_tokens=sum(each.completion_tokens for each in self.calls),
            local_ms=round(sum(each.ms for each in self.calls), 1),
            evidence_tokens=evidence,
            summary_tokens=read,
            saved_percent=round(100 * (1 - read / evidence), 1) if evidence > read else 0.0,
        )
