"""Expressions that are compiled when they are needed first: most runs of a command never need most of them."""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast


class _Late:
    """Stands for an expression until somebody uses it."""

    def __init__(self, source: str | bytes, flags: int) -> None:
        self._source, self._flags = source, flags

    def __getattr__(self, name: str) -> Any:
        compiled = re.compile(self._source, self._flags)
        for each in ("match", "search", "fullmatch", "finditer", "findall", "sub", "split", "pattern"):
            setattr(self, each, getattr(compiled, each))
        return getattr(compiled, name)


def late(source: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """An expression as `re.compile` makes it, only later: it costs nothing until it is used."""
    return cast("re.Pattern[AnyStr]", _Late(source, flags))
