"""The person's terminal, also when standard input and output are pipes."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TextIO

import click

from dm_tools.pipe import exits, say, stream
from dm_tools.show.records import Line


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

    def show_picture(self, png: bytes) -> bool:
        """Draw a picture between the lines; False if this terminal is not known to do that."""
        protocol = picture_protocol(os.environ)
        if protocol is None:
            return False
        for piece in encoded_picture(png, protocol, min(width(), 100)):
            self.out.write(piece)
        self.out.write("\n")
        self.out.flush()
        return True

    def browse(self, path: Path) -> bool:
        """Open a file with $BROWSER, or else with the browser of the desktop; False if there is neither."""
        import webbrowser

        if not any(os.environ.get(name) for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")):
            return False
        with self._lent():
            return webbrowser.open(path.as_uri())

    @contextlib.contextmanager
    def _lent(self) -> Iterator[None]:
        """Another program gets the terminal: what it prints must not get into our standard output, a pipe perhaps."""
        own = [os.dup(number) for number in (0, 1, 2)]
        try:
            for number, stream in enumerate((self.inp, self.out, self.out)):
                os.dup2(stream.fileno(), number)
            yield
        finally:
            for number, kept in enumerate(own):
                os.dup2(kept, number)
                os.close(kept)


def picture_protocol(environment: Mapping[str, str]) -> str | None:
    """How the terminal draws pictures, told from its variables: "kitty", "iterm2", or None.

    None in tmux and screen, which do not pass pictures on unless told to.
    """
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if environment.get("TMUX") or environment.get("STY") or term.startswith(("tmux", "screen")):
        return None
    if environment.get("KITTY_WINDOW_ID") or term in ("xterm-kitty", "xterm-ghostty") or program == "ghostty":
        return "kitty"
    if program in ("iTerm.app", "WezTerm") or environment.get("LC_TERMINAL") == "iTerm2":
        return "iterm2"
    return None


def encoded_picture(png: bytes, protocol: str, columns: int) -> Iterator[str]:
    """The escape sequences that draw a PNG, so many columns wide.

    Sources: sw.kovidgoyal.net/kitty/graphics-protocol (pieces of at most 4096), iterm2.com/documentation-images.html.
    """
    data = base64.b64encode(png).decode()
    if protocol == "iterm2":
        yield f"\x1b]1337;File=inline=1;width={columns};preserveAspectRatio=1;size={len(png)}:{data}\a"
        return
    for start in range(0, len(data), 4096):
        control = f"a=T,f=100,q=2,c={columns}," if start == 0 else ""
        yield f"\x1b_G{control}m={int(start + 4096 < len(data))};{data[start : start + 4096]}\x1b\\"


def width() -> int:
    """$COLUMNS, or the columns of the terminal; 100 when neither is known."""
    return shutil.get_terminal_size((100, 24)).columns


def columns(text: str) -> int:
    """How many columns the text takes: some characters take two."""
    return sum(map(_columns, text))


def _columns(character: str) -> int:
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fitted(text: str, room: int) -> str:
    """The text, or what fits into so many columns of it, an ellipsis included."""
    text = text.expandtabs()
    return text if columns(text) <= room else cut(text, room - 1) + "…"


def folded(text: str, room: int) -> str:
    """The text in lines of so many columns; those after the first stand two columns further to the right."""
    indent = text[: len(text) - len(text.lstrip())]
    found = textwrap.wrap(text, max(room, 20), subsequent_indent=f"{indent}  ", break_on_hyphens=False)
    return "\n".join(fitted(each, room) for each in found) or text


def cut(line: str, columns: int) -> str:
    """The beginning of the line that fits into so many columns."""
    line = line.expandtabs()
    for index, character in enumerate(line):
        columns -= _columns(character)
        if columns < 0:
            return line[:index]
    return line


def write(found: Iterable[Line], wide: int | None = None) -> None:
    """Lines to standard output: coloured on a terminal, and cut to `wide` columns, or folded if they are to be whole;
    nothing in them drives it."""
    writer, colour = stream.Writer(), say.colour(sys.stdout)
    for line in found:
        text = say.printable(line.text)
        if wide is not None:
            text = "\n".join(folded(part, wide) if line.whole else fitted(part, wide) for part in text.split("\n"))
        if colour:
            text = click.style(text, fg=line.colour, bold=line.bold)
        writer.write(text.encode("utf-8", "replace") + b"\n", flush=True)
