"""The person's terminal, also when standard input and output are pipes."""

from __future__ import annotations

import shutil
import unicodedata
from typing import TextIO

import click

from dm_tools.pipe import exits, say


class Terminal:
    """Asks and shows on /dev/tty."""

    def __init__(self, wanted_for: str) -> None:
        try:
            # Two files: one that reads and writes would have to be seekable.
            self.inp: TextIO = open("/dev/tty", encoding="utf-8", errors="replace")  # noqa: SIM115 - for the program's life
            self.out: TextIO = open("/dev/tty", "w", encoding="utf-8", errors="replace")  # noqa: SIM115
        except OSError:
            raise exits.Stop(exits.USAGE, f"no terminal to {wanted_for}; run it by hand, not from cron") from None
        self.colour = say.colour(self.out)

    def show(self, text: str = "", **style: bool | str) -> None:
        """One or more lines. Control characters of the text are shown, not obeyed: it may quote hostile data."""
        safe = say.printable(text)
        self.out.write((click.style(safe, **style) if self.colour and style else safe) + "\n")  # type: ignore[arg-type]
        self.out.flush()

    def ask(self, prompt: str) -> str | None:
        """One line of an answer; None at the end of the input (Ctrl-D)."""
        self.out.write(prompt)
        self.out.flush()
        line = self.inp.readline()
        return line.strip() if line else None


def width() -> int:
    """$COLUMNS, or the columns of the terminal; 100 when neither is known."""
    return shutil.get_terminal_size((100, 24)).columns


def columns(text: str) -> int:
    """How many columns the text takes: some characters take two."""
    return sum(map(_columns, text))


def _columns(character: str) -> int:
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(line: str, columns: int) -> str:
    """The beginning of the line that fits into so many columns."""
    line = line.expandtabs()
    for index, character in enumerate(line):
        columns -= _columns(character)
        if columns < 0:
            return line[:index]
    return line
