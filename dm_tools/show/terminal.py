"""The person's terminal, also when standard input and output are pipes."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TextIO

import click

from dm_tools.pipe import exits, say, stream
from dm_tools.show.columns import fitted, wrapped
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
        room = self.size().columns
        safe = "\n".join(part for line in say.printable(text).split("\n") for part in wrapped(line, room))
        self.out.write((click.style(safe, **style) if self.colour and style else safe) + "\n")  # type: ignore[arg-type]
        self.out.flush()

    def show_long(self, text: str) -> None:
        """Lines that may be more than the terminal has room for: then by the person's pager."""
        size = self.size()
        found = [part for line in say.printable(text).split("\n") for part in wrapped(line, size.columns)]
        if len(found) < size.lines:
            self.show(text)
            return
        with self._lent():
            page("\n".join(found) + "\n", colour=False)

    def size(self) -> os.terminal_size:
        """$COLUMNS and $LINES, or the size of this terminal; 100 by 24 when nobody knows."""
        found = shutil.get_terminal_size((0, 0))  # of standard output, which may be a pipe
        with contextlib.suppress(OSError):
            if not sys.__stdout__ or not sys.__stdout__.isatty():
                own = os.get_terminal_size(self.out.fileno())
                named = (os.environ.get("COLUMNS", ""), os.environ.get("LINES", ""))
                sides = [int(n) if n.isdecimal() and int(n) else side for n, side in zip(named, own, strict=True)]
                found = os.terminal_size(sides)
        return os.terminal_size((found.columns or 100, found.lines or 24))

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


def height() -> int:
    """$LINES, or the lines of the terminal; 24 when neither is known."""
    return shutil.get_terminal_size((100, 24)).lines


def write(found: Iterable[Line], wide: int | None = None, paged: bool = False) -> None:
    """Lines to standard output: coloured on a terminal, and made to fit into `wide` columns; nothing in them drives it.

    `paged`: all of them at once, and by the person's pager where they are more than the terminal has room for.
    """
    writer, colour = stream.Writer(), say.colour(sys.stdout)
    if paged and wide is not None and sys.stdin is not None and sys.stdin.isatty():
        text = "".join(part + "\n" for line in found for part in styled(line, wide, colour))
        if text.count("\n") >= height():
            page(text, colour)
        else:
            writer.write(text.encode("utf-8", "replace"), flush=True)
        return
    for line in found:
        for part in styled(line, wide, colour):
            writer.write(part.encode("utf-8", "replace") + b"\n", flush=True)


def styled(line: Line, wide: int | None, colour: bool) -> Iterator[str]:
    """A line as it is written: several if it holds several, or is wrapped."""
    for part in say.printable(line.text).split("\n"):
        for fit in [part] if wide is None else wrapped(part, wide) if line.wraps else [fitted(part, wide)]:
            yield click.style(fit, fg=line.colour, bold=line.bold) if colour else fit


def page(text: str, colour: bool) -> None:
    """A long text by $PAGER, or else by less, as git calls it: it stays on the screen, and colours are colours."""
    os.environ.setdefault("LESS", "FRX")
    click.echo_via_pager(text, color=colour)
