"""Expressions that are compiled when they are needed first: most runs of a command never need most of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cached_property

from dm_tools.redact.rules.values import Span


class Late:
    """An expression; `now` is it compiled."""

    def __init__(self, source: str, flags: re.RegexFlag = re.NOFLAG) -> None:
        self.source, self.flags = source, flags

    @cached_property
    def now(self) -> re.Pattern[str]:
        """The compiled expression."""
        return re.compile(self.source, self.flags)


def whole(source: str) -> Callable[[str, str], Iterator[Span]]:
    """The rule that every match of an expression is a secret: the whole match, or its group."""
    expression = Late(source)

    def find(text: str, lowered: str) -> Iterator[Span]:
        for match in expression.now.finditer(text):
            yield match.span(match.lastindex or 0)

    return find
