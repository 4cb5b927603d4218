"""Where the boxes and arrows of an incident go: from the root on the left to what fails because of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dm_tools.show import columns as wide

SHOWN = 24  # boxes; the list beside the drawing has them all
NAME = 20  # columns of a name
COLUMN, CHARACTER, PADDING = 48, 8.5, 40  # between two boxes; of one character; in a box beside its name
ROW, HEIGHT = 46, 34


@dataclass(frozen=True)
class Box:
    """A service: its name as it fits, how it is, its upper left corner and width."""

    name: str
    status: str
    x: int
    y: int
    width: int


@dataclass(frozen=True)
class Arrow:
    """From a service to one that fails because of it: an SVG path, and where its head's point is."""

    line: str
    x: int
    y: int


@dataclass(frozen=True)
class Graph:
    """A drawing, in units of a pixel. `left_out`: services it has no room for."""

    boxes: list[Box]
    arrows: list[Arrow]
    width: int
    height: int
    left_out: int


def draw(root: str, paths: Sequence[Sequence[str]], statuses: Mapping[str, str]) -> Graph:
    """A tree of the paths, each from a symptom to the root. Every service is drawn once, at the first way to it."""
    parents: dict[str, str | None] = {root: None}
    for path in paths:
        after = root
        for name in reversed(path):
            if name not in parents:
                parents[name] = after
            after = name
    names = list(parents)[:SHOWN]  # a parent always comes before its children
    children: dict[str, list[str]] = {name: [] for name in names}
    depth = {root: 0}
    for name in names[1:]:
        parent = parents[name] or root
        children[parent].append(name)
        depth[name] = depth[parent] + 1
    rows = _rows(root, children)
    fitting = {name: wide.fitted(name, NAME) for name in names}
    widths = [0] * (max(depth.values()) + 1)  # of the boxes of each column
    for name in names:
        widths[depth[name]] = max(widths[depth[name]], round(wide.columns(fitting[name]) * CHARACTER) + PADDING)
    columns = [sum(widths[:each]) + each * COLUMN for each in range(len(widths))]
    place = {name: (columns[depth[name]], round(rows[name] * ROW)) for name in names}
    arrows = []
    for name in names[1:]:
        parent = parents[name] or root
        (x, y), (end, below) = place[parent], place[name]
        begin, middle = x + widths[depth[parent]], end - COLUMN // 2
        y, below = y + HEIGHT // 2, below + HEIGHT // 2
        arrows.append(Arrow(f"M{begin} {y}C{middle} {y} {middle} {below} {end - 8} {below}", end - 1, below))
    return Graph(
        [Box(fitting[name], statuses.get(name, "unknown"), *place[name], widths[depth[name]]) for name in names],
        arrows,
        columns[-1] + widths[-1],
        max(y for _, y in place.values()) + HEIGHT,
        len(parents) - len(names),
    )


def _rows(root: str, children: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """A row for each: leaves one below the other, a parent in the middle of its children. Without recursion."""
    rows: dict[str, float] = {}
    free = 0.0
    waiting = [(root, False)]
    while waiting:
        name, done = waiting.pop()
        below = children[name]
        if not below:
            rows[name], free = free, free + 1
        elif done:
            rows[name] = (rows[below[0]] + rows[below[-1]]) / 2
        else:
            waiting += [(name, True), *((each, False) for each in reversed(below))]
    return rows
