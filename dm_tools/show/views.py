"""The views of dm-show: what becomes of a stream of JSON values in each of them."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from dm_tools.pipe import clock
from dm_tools.pipe.rounds import rounds
from dm_tools.records import Before, Cost, Issue
from dm_tools.show import overview
from dm_tools.show import records as show


def lines(
    found: Iterator[Any], view: str | None, width: int | None, known: Callable[[str, str], Before | None]
) -> Iterator[show.Line]:
    """The values as text, round by round: `view` is why, overview, cost or None; `width` that of the terminal, None for
    a pipe. `known`: what the history knows of a fingerprint from before a time."""
    shown: dict[str, Callable[[Iterable[Any]], Iterator[show.Line]]] = {
        "why": lambda values: _reasons(values, known),
        "cost": _costs,
        "overview": lambda values: overview.lines(values, width),
    }
    table = functools.partial(_tables, narrow=width is not None and width < show.NARROW)
    marked = False
    for each in rounds(found):
        values = iter(each)
        first = list(itertools.islice(values, 1))
        if first or each.marker or not marked:  # behind the last marker there need be nothing
            yield from shown.get(view or "", table)(itertools.chain(first, values))
        if each.marker:
            marked = True
            yield from show.lines(each.marker)


def _tables(found: Iterable[Any], narrow: bool) -> Iterator[show.Line]:
    """Values one after another; records that follow each other share one table, reports say when they were made."""
    in_table = False
    for value in found:
        if show.is_record(value) and not in_table and not narrow:
            yield show.Line(show.HEADER, bold=True)
        in_table = show.is_record(value)
        shown = show.lines(value, narrow, commands=True)
        yield from itertools.islice(shown, 1)
        if made := "report_id" in show.as_dict(value) and show.made(value, clock.now()):
            yield made
        yield from show.changed(show.as_dict(value))
        yield from shown


def _reasons(found: Iterable[Any], known: Callable[[str, str], Before | None]) -> Iterator[show.Line]:
    """What the verdicts of reports and of a stack's records stand on."""
    from dm_tools.show import why

    stack = why.Why(known)
    seen = False
    for value in found:
        if isinstance(value, dict) and "issues" in value:
            try:
                issues = msgspec.convert(value["issues"], list[Issue])
            except msgspec.ValidationError as wrong:
                yield show.Line(f"? no issues that this program knows: {wrong}")
                continue
            for each in issues:
                yield from why.issue(each)
        elif show.is_record(value):
            seen = True
            stack.add(value)
    if seen:
        yield from stack.lines()


def _costs(found: Iterable[Any]) -> Iterator[show.Line]:
    """What reports say of their cost."""
    from dm_tools.show import cost

    prices = cost.prices()
    for value in found:
        report = show.as_dict(value)
        name = str(report.get("report_id", "this"))
        try:
            used = msgspec.convert(report.get("cost"), Cost | None)
        except msgspec.ValidationError as wrong:
            yield show.Line(f"{name}: holds no cost that this program knows: {wrong}")
            continue
        if used is None:
            yield show.Line(f"{name}: holds no cost; an enhanced report does")
        else:
            yield from cost.lines(name, used, prices)
