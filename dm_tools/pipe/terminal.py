"""The person's terminal, also when standard input and output are pipes."""

from __future__ import annotations

import os
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
    """Columns of the terminal, or $COLUMNS; 100 when neither is known."""
    try:
        return int(os.environ.get("COLUMNS") or 0) or os.get_terminal_size(1).columns
    except (OSError, ValueError):
        return 100
