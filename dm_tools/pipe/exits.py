"""Exit statuses: the one table behind the code, every --help and every man page.

A status that is not listed means failure; statuses are only ever added.
"""

from __future__ import annotations

DONE = 0
BUG = 1
USAGE = 2
BAD_INPUT = 3
ERRORS = 4
UNREACHABLE = 5
CANNOT_WRITE = 6
MATCHED = 10
INTERRUPTED = 130
BROKEN_PIPE = 141
TERMINATED = 143

MEANING = {
    DONE: "done (a service found broken is data, not a failure)",
    BUG: "a bug in this program",
    USAGE: "wrong usage or settings",
    BAD_INPUT: "an input line was not a record (with --on-bad fail), or the input file is unusable",
    ERRORS: "done, but some records carry an entry in 'errors', or there was nothing to look at",
    UNREACHABLE: "Docker or the model could not be reached, or there is no browser; the records say so in 'errors'",
    CANNOT_WRITE: "standard output or a file could not be written",
    MATCHED: "--fail-on matched: some service is degraded or failed (dm-verify: has not recovered)",
    INTERRUPTED: "interrupted (Ctrl-C)",
    BROKEN_PIPE: "the reader of standard output had enough",
    TERMINATED: "terminated",
}

# When several apply, the first one in this order is the exit status.
PRECEDENCE = (BUG, CANNOT_WRITE, BAD_INPUT, MATCHED, UNREACHABLE, ERRORS, DONE)


class Stop(Exception):
    """End the program now with `status` and one line for people."""

    def __init__(self, status: int, message: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def cannot_read(what: object, failure: OSError) -> Stop:
    """What ends a program whose input, a file, is unusable."""
    return Stop(BAD_INPUT, f"cannot read {str(what)!r}: {(failure.strerror or str(failure)).lower()}")


class Unreadable(OSError):
    """A file of ours that is there cannot be read; `filename` and `strerror` as of any OSError."""


def worst(*statuses: int) -> int:
    """The status to exit with when several apply."""
    return min(statuses, key=PRECEDENCE.index, default=DONE)


def table(*leave_out: int) -> str:
    """The exit status section of a help text."""
    rows = [f"  {status:>3}  {meaning}" for status, meaning in MEANING.items() if status not in leave_out]
    return "\b\nExit status:\n" + "\n".join(rows)
