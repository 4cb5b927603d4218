"""What may be carried out without a person."""

from __future__ import annotations

from dm_tools.records import Confidence, ProposedFix, Risk


def is_safe(fix: ProposedFix) -> bool:
    """Whether a proposed fix is an automatic action that is not a guess."""
    return fix.automatic and (fix.risk == Risk.READ_ONLY or fix.confidence == Confidence.HIGH)
