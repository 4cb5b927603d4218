"""Text as people and patterns want it: no escape codes, no control characters, traces in one piece, and in short."""

from dm_tools.text.keys import KEY, KeyLines
from dm_tools.text.keys import begins as key_begins
from dm_tools.text.plain import clean
from dm_tools.text.traces import ANNOUNCE_ENDS, ANNOUNCES, THROWN, Grouper

__all__ = ["ANNOUNCES", "ANNOUNCE_ENDS", "KEY", "THROWN", "Grouper", "KeyLines", "clean", "key_begins"]
