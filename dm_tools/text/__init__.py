"""Text as people and patterns want it: no escape codes, no control characters, traces in one piece, and in short."""

from dm_tools.text.plain import clean
from dm_tools.text.traces import KEY, THROWN, Grouper

__all__ = ["KEY", "THROWN", "Grouper", "clean"]
