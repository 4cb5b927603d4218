"""A stack as the briefing sees it: records in, text out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from dm_tools.show.brief.layout import fitted
from dm_tools.show.brief.lines import lines
from dm_tools.show.brief.service import Kept, kept
from dm_tools.show.brief.words import name

Json = dict[str, Any]
TOKENS = 6_000
MAX_TOLD = 6  # records that could not be read, told one by one


@dataclass
class Stack:
    """Add the records of a stack, then ask for the text."""

    services: dict[str, Kept] = field(default_factory=dict)
    again: Counter[str] = field(default_factory=Counter)  # records of a name that was there before
    bad: list[str] = field(default_factory=list)  # why a line was no record

    def add(self, record: Json) -> Json:
        """One more record. Raises records.Problem if a section of it is malformed."""
        if record["service"] in self.services:
            self.again[record["service"]] += 1
        else:
            self.services[record["service"]] = kept(record)
        return record

    def add_bad(self, record: Json) -> None:
        """One of which nothing could be read: its last entry in `errors` says why."""
        if len(self.bad) < MAX_TOLD:
            whose = name(record["service"]) if "service" in record else "a line of the input"
            self.bad.append(f"{whose} could not be read: {(record.get('errors') or [{}])[-1].get('message')}")

    def text(self, budget: int = TOKENS) -> str:
        """The briefing, of at most so many tokens as text.tokens counts them."""
        again = [f"{name(each)}: {count} more records of that name were not read" for each, count in self.again.items()]
        return fitted(list(lines(list(self.services.values()), [*self.bad, *again[:MAX_TOLD]])), budget)


def text(found: Iterable[Json], budget: int = TOKENS) -> str:
    """The briefing of these records. Raises records.Problem if a section is malformed."""
    stack = Stack()
    for record in found:
        stack.add(record)
    return stack.text(budget)
