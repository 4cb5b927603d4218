"""What may be carried out without a person."""

from __future__ import annotations

from typing import Any

from dm_tools.records import Confidence


def is_safe(fix: dict[str, Any]) -> bool:
    """Whether a proposed fix is an automatic action that is not a guess."""
    return bool(fix["automatic"]) and (fix["risk"] == "read_only" or fix["confidence"] == Confidence.HIGH)
