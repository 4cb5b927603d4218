"""The views of dm-show: what becomes of a stream of JSON values in each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from dm_tools.records import Before
from dm_tools.show import overview
from dm_tools.show import records as show


def lines(
    found: Iterator[Any], view: str | None, width: int | None, known: Callable[[str, str], Before | None]
) -> Iterator[show.Line]:
    """The values as text: `view` is why, overview, cost or None; `width` that of the terminal, None for a pipe.

    `known`: what the history knows of a fingerprint from before a time.
    """
    if view == "overview":
        return overview.lines(found, width)
    if view == "why":
        return _reasons(found, known)
    return {"cost": _costs}.get(view or "", _tables)(found)


def _tables(found: Iterator[Any]) -> Iterator[show.Line]:
    """Values one after another; records that follow each other share one table."""
    in_table = False
    for value in found:
        if show.is_record(value) and not in_table:
            yield show.Line(show.HEADER, bold=True)
        in_table = show.is_record(value)
        yield from show.lines(value)


def _reasons(found: Iterator[Any], known: Callable[[str, str], Before | None]) -> Iterator[show.Line]:
    """What the verdicts of reports and of a stack's records stand on."""
    from dm_tools.show import why

    stack = why.Why(known)
    seen = False
    for value in found:
        issues = value.get("issues") if isinstance(value, dict) else None
        if isinstance(issues, list):
            for each in issues:
                yield from why.issue(each if isinstance(each, dict) else {})
        elif show.is_record(value):
            seen = True
            stack.add(value)
    if seen:
        yield from stack.lines()


def _costs(found: Iterator[Any]) -> Iterator[show.Line]:
    """What reports say of their cost."""
    from dm_tools.show import cost

    prices = cost.prices()
    for value in found:
        yield from cost.lines(value if isinstance(value, dict) else {}, prices)
