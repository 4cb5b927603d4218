"""The one place where a program ends: its status, what it says last, what a signal does to it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

import click
from click.core import ParameterSource

from dm_tools import redact
from dm_tools.pipe import exits, output, say, settings
from dm_tools.records import Problem


class _Signal(BaseException):
    """A signal that ends the program; not KeyboardInterrupt, for which click prints an empty line."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def _on_signal(number: int, frame: FrameType | None) -> NoReturn:
    raise _Signal(128 + number)


AGAIN_SECONDS = 0.01


def _swallowed(unraisable: sys.UnraisableHookArgs) -> None:
    """A signal that arrived where Python drops what is raised (`__del__`, the import lock's callbacks) comes again."""
    if isinstance(lost := unraisable.exc_value, _Signal):
        number = lost.status - 128
        signal.signal(signal.SIGALRM, lambda alarm, frame: _on_signal(number, frame))
        signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)  # not here: what this hook raises is dropped as well
    else:
        sys.__unraisablehook__(unraisable)


LAST_SECONDS = 0.5  # after a signal: what is finished is still written, if somebody reads


def _on_another(number: int, frame: FrameType | None) -> NoReturn:
    os._exit(128 + number)


def run(command: click.Command) -> NoReturn:
    """Run one command to its exit status: every way in which a program ends passes here.

    Ends with `os._exit`: a thread that waits for a dead DNS server or a hung engine must not delay the exit.
    """
    say.program = command.name or "dm-tools"
    status = exits.BUG
    try:
        stand_in()
        sys.unraisablehook = _swallowed
        signal.signal(signal.SIGTERM, _on_signal)
        if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:  # a shell's background job ignores Ctrl-C
            signal.signal(signal.SIGINT, _on_signal)
        settings.load()
        with _own_exits():
            status = command.main(prog_name=command.name, standalone_mode=False) or exits.DONE
    except exits.Stop as stop:
        status = stop.status
        if stop.message:
            say.note(redact.redact(stop.message))  # it may quote an argument, a setting, a file's line
    except click.UsageError as wrong:
        status = exits.USAGE
        say.note(redact.redact(_wrong_use(wrong)))
    except click.ClickException as wrong:
        status = exits.USAGE
        say.note(redact.redact(wrong.format_message()))
    except Problem as problem:  # where nothing can be said of a record by itself
        status = exits.BAD_INPUT
        say.note(f"a record is not what it should be: {problem.message}")
    except _Signal as caught:
        status = caught.status
    except BrokenPipeError:
        status = exits.BROKEN_PIPE
    except exits.Unreadable as failure:
        status = exits.BAD_INPUT
        say.note(str(exits.cannot_read(failure.filename, failure)))
    except OSError as failure:
        status = exits.CANNOT_WRITE
        say.note(f"cannot go on: {failure}")
    except Exception as bug:
        if os.environ.get("DM_DEBUG"):
            import traceback

            traceback.print_exc()
        culprit = _no_text() if isinstance(bug, UnicodeEncodeError) else None
        status = exits.USAGE if culprit else exits.BUG
        say.note(
            f"{culprit} is no text in UTF-8"
            if culprit
            else f"internal error: {type(bug).__name__}: {bug} (DM_DEBUG=1 shows where)"
        )
    finish(status)


def _wrong_use(wrong: click.UsageError) -> str:
    """What is wrong, and where it stands: on the command line, in a variable, in a line of the settings file."""
    if isinstance(wrong, click.BadParameter) and wrong.ctx and wrong.param and wrong.param.name:
        variable = wrong.param.envvar
        source = wrong.ctx.get_parameter_source(wrong.param.name)
        if source == ParameterSource.ENVIRONMENT and isinstance(variable, str):
            return f"{settings.origin(variable)}: {wrong.message}"
    return f"{' '.join(wrong.format_message().split())} (try '{say.program} --help')"


def _no_text() -> str | None:
    """The first argument or variable that is no UTF-8, in words; None if all are. Such a word can name a file, and can
    stand in nothing that we write."""
    for word in sys.argv[1:]:
        if not _is_text(word):
            return f"the argument {redact.redact(word)!r}"
    return next((f"${name}" for name, value in os.environ.items() if not _is_text(value)), None)


def _is_text(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def stand_in() -> None:
    """Put /dev/null where a standard stream is closed: else the next file or socket that is opened is in its place.

    Standard output and input stay missing (`sys.stdout` is None), so that it can be said; messages are dropped.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)


def finish(status: int) -> NoReturn:
    """Flush what is left and leave at once; after a signal, whoever has stopped reading is not waited for."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is _on_signal:
            signal.signal(number, _on_another)
    if status in (exits.INTERRUPTED, exits.TERMINATED):
        signal.signal(signal.SIGALRM, lambda number, frame: os._exit(status))
        signal.setitimer(signal.ITIMER_REAL, LAST_SECONDS)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
        output.end(status)
    except BrokenPipeError:
        status = status or exits.BROKEN_PIPE
    except (OSError, ValueError) as failure:
        if status not in (exits.CANNOT_WRITE, exits.BROKEN_PIPE):
            status = exits.CANNOT_WRITE
            say.note(f"cannot write to standard output: {failure}")
    with contextlib.suppress(OSError, ValueError):
        if sys.stderr is not None:
            sys.stderr.flush()
    os._exit(status)


@contextlib.contextmanager
def _own_exits() -> Iterator[None]:
    """Click leaves by SystemExit, with 1 for a closed pipe; we leave by our own table.

    That the pipe was closed shows only in standard output having been replaced.
    """
    before = sys.stdout
    try:
        yield
    except SystemExit as leaving:
        if sys.stdout is not before:
            raise exits.Stop(exits.BROKEN_PIPE) from None
        raise exits.Stop(leaving.code if isinstance(leaving.code, int) else exits.BUG) from None
