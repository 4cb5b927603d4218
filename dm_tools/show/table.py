"""Rows of any kind as a table for people."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from dm_tools.pipe import say, stream
from dm_tools.show import terminal
from dm_tools.show.columns import columns, fitted, padded
from dm_tools.show.records import Line

WIDEST = 100  # characters of one column


def write(found: Iterable[bytes], as_json: bool) -> None:
    """JSON Lines as they are, or as a table for people on a terminal."""
    if not as_json and sys.stdout is not None and sys.stdout.isatty():
        rows = [orjson.loads(line) for line in b"".join(found).splitlines()]
        terminal.write(lines(rows), terminal.width(), paged=True)
        return
    writer = stream.Writer()
    for part in found:
        writer.write(part, flush=False)
    writer.write(b"", flush=True)


def lines(rows: list[dict[str, Any]]) -> Iterator[Line]:
    """Aligned columns under their names; a number to the right."""
    if not rows:
        yield Line("Nothing found.")
        return
    names = list(rows[0])
    cells = [[_cell(row.get(name)) for name in names] for row in rows]
    widths = [max(columns(name), *(columns(row[place]) for row in cells)) for place, name in enumerate(names)]
    numeric = [all(isinstance(row.get(name), int | float | None) for row in rows) for name in names]
    yield Line("  ".join(name.ljust(width) for name, width in zip(names, widths, strict=True)).rstrip(), bold=True)
    for row in cells:
        parts = zip(row, widths, numeric, strict=True)
        yield Line("  ".join(each.rjust(w) if right else padded(each, w) for each, w, right in parts).rstrip())


def _cell(value: Any) -> str:
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    text = "" if value is None else f"{value:g}" if isinstance(value, float) and abs(value) < 1e6 else str(value)
    text = say.printable(text.replace("\n", " "))
    return fitted(text, WIDEST)
