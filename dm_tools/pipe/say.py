"""The only writer to standard error: lines for people, lower case, no full stop, what failed first."""

from __future__ import annotations

import contextlib
import functools
import os
import sys

program = "dm-tools"
quiet = False
talkative = False
coloured: bool | None = None  # what --color says; None: as the stream is


def note(text: str) -> None:
    """One line for people. Control characters are shown, never obeyed: the text may quote hostile data."""
    if quiet:
        return
    line = f"{program}: {text}".replace("\n", " ")
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(printable(line) + "\n")


def detail(text: str) -> None:
    """With -v: one line on what was asked of whom. Whatever is secret in the text is masked by who calls."""
    if talkative:
        note(text)


def be_talkative(wanted: bool) -> None:
    """Say what is asked, if it is wanted; -q is stronger."""
    global talkative
    talkative = wanted


def be_quiet(wanted: bool) -> None:
    """Say nothing any more, if it is wanted."""
    global quiet
    quiet = wanted


def be_coloured(when: str) -> None:
    """Colour always, never, or (auto) on a terminal."""
    global coloured
    coloured = {"always": True, "never": False}.get(when)


@functools.cache
def once(text: str) -> None:
    """A note that is said once, however often its occasion comes."""
    note(text)


def printable(text: str) -> str:
    """The text with control characters escaped, so that a log line cannot drive the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def colour(stream: object) -> bool:
    """Whether people want colour on this stream: as --color says, or else on a terminal (no-color.org)."""
    if coloured is not None:
        return coloured
    isatty = getattr(stream, "isatty", lambda: False)
    return bool(isatty()) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
