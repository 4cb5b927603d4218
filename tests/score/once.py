"""What the sets are judged with, made once for all that measure them in one process.

The same recordings are judged by the rules, beside models that lie, and with hostile lines in one service of five: most
of that is to read the same record again. Facts are no part of a verdict that anybody keeps, so they are kept here.
"""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from functools import cache
from typing import Any

from dm_tools.diagnose import facts as read
from dm_tools.diagnose.facts import Facts
from dm_tools.patterns import reading
from dm_tools.patterns.language import Library


@cache
def library() -> Library:
    """The shipped patterns."""
    return reading.read(None)


EMPTY = Library()
"""No patterns at all."""


class _Known(dict[str, Facts]):
    """Facts by the record's JSON. The library is held, so that no other one can have its identity."""

    def __init__(self, library: Library) -> None:
        self.library = library


_known: dict[int, _Known] = {}


def facts(record: dict[str, Any], library: Library) -> Facts:
    """As dm_tools.diagnose.facts.facts; an equal record is read once. The node is a copy: to analyze adds to it."""
    known = _known.setdefault(id(library), _Known(library))
    text = json.dumps(record)
    if text not in known:
        known[text] = read.facts(record, library)
    return replace(known[text], node=copy.deepcopy(known[text].node))
