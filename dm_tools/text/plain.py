"""Text without escape codes and control characters."""

from __future__ import annotations

from dm_tools.text.late import late

# ECMA-48: CSI and OSC sequences, and two-character escapes
_ANSI = late(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROL = late(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """The text without escape sequences and control characters; tabs and newlines stay."""
    return _CONTROL.sub("", _ANSI.sub("", text))
