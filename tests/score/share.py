"""Figures as the scoreboard prints them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def share(part: int, whole: int) -> str:
    """`38 of 42 (90 %)`; the share is rounded down: a figure is never flattered."""
    return f"{part} of {whole} ({int(100 * part / whole)} %)" if whole else "none"


def table(head: tuple[str, ...], lines: Iterable[tuple[object, ...]]) -> Iterator[str]:
    """The lines of a Markdown table."""
    yield "| " + " | ".join(head) + " |"
    yield "|" + " --- |" * len(head)
    for line in lines:
        yield "| " + " | ".join(str(each) for each in line) + " |"
