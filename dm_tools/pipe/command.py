"""What all commands share: options, and where records come from."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import click

from dm_tools import __version__, records, redact
from dm_tools.pipe import configs, exits, output, say, stream
from dm_tools.pipe.ending import finish as finish
from dm_tools.pipe.ending import run as run
from dm_tools.pipe.pace import Pace
from dm_tools.pipe.parameters import Duration as Duration
from dm_tools.pipe.parameters import Size as Size

Function = TypeVar("Function", bound=Callable[..., Any])


def define(
    name: str, *, unreachable: bool = False, fail_on: bool = False, reads: bool = True, errors: bool = True
) -> Callable[[Callable[..., Any]], click.Command]:
    """The click command of one of our programs: help on -h, the version, the table of exit statuses that it may have.

    `reads`: an input of it may be unusable. `errors`: it may be done, and something was missing.
    """
    leave_out = [] if unreachable else [exits.UNREACHABLE]
    leave_out += [] if fail_on else [exits.MATCHED]
    leave_out += [] if reads else [exits.BAD_INPUT]
    leave_out += [] if errors else [exits.ERRORS]

    def decorate(function: Callable[..., Any]) -> click.Command:
        function = click.version_option(__version__, "-V", "--version", prog_name=name)(function)
        function = click.option(
            "-v",
            "--verbose",
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=lambda context, parameter, value: say.be_talkative(value),
            help="Say on standard error what is asked of whom: the engine, URLs, a model.",
        )(function)
        function = click.option(
            "-q",
            "--quiet",
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=lambda context, parameter, value: say.be_quiet(value),
            help="No messages: the exit status tells.",
        )(function)
        function = click.option(
            "-o",
            "--output",
            type=click.Path(path_type=Path, dir_okay=False),
            expose_value=False,
            callback=lambda context, parameter, value: output.into(value) if value else None,
            help="Write to this file, in full or not at all, instead of standard output.",
        )(function)
        return click.command(
            name,
            context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
            epilog=exits.table(*leave_out),
        )(function)

    return decorate


def input_options(function: Function) -> Function:
    """Names, URLs, files or `-` as arguments, and what to do with a line that is no record."""
    function = click.option(
        "--on-bad",
        type=click.Choice(["report", "skip", "fail"]),
        default="report",
        show_default=True,
        help="A line that is no record: report it as a record, skip it, or fail with status 3.",
    )(function)
    return click.argument("services", nargs=-1, metavar="[SERVICE|URL|FILE|-]...")(function)


_OLD_KEEP_ORDER = "dm_tools.k"


def _renamed(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    """-k until the next release: curl's -k is something else."""
    if value:
        context.meta[_OLD_KEEP_ORDER] = True
        say.note("-k is -K now (--keep-order); the next release does not know it any more")


def stream_options(jobs: int = 8, timeout: float = 10, envvar: str | None = None) -> Callable[[Function], Function]:
    """The options of a filter that works on several records at once."""

    def decorate(function: Function) -> Function:
        function = click.option(
            "-k", "old_keep_order", is_flag=True, hidden=True, is_eager=True, expose_value=False, callback=_renamed
        )(function)
        function = click.option(
            "-K",
            "--keep-order",
            is_flag=True,
            callback=lambda context, parameter, value: value or context.meta.get(_OLD_KEEP_ORDER, False),
            help="Write the records in the order in which they came.",
        )(function)
        function = click.option(
            "-t",
            "--timeout",
            type=Duration(0.1, 3600),
            envvar=envvar,
            default=timeout,
            show_default=True,
            show_envvar=True,
            help="Time that one record's answer may take: seconds, or as 500ms, 30s, 5m.",
        )(function)
        function = click.option(
            "-j",
            "--jobs",
            type=click.IntRange(1, 256),
            default=jobs,
            show_default=True,
            help="Records worked on at once.",
        )(function)
        return input_options(function)

    return decorate


def when_option(function: Function) -> Function:
    """Collect from every service, or only from those that look unhealthy so far."""
    return click.option(
        "--when",
        type=click.Choice(["always", "unhealthy"]),
        default="always",
        show_default=True,
        help="Leave records alone whose probe and container look healthy.",
    )(function)


def pace_options(function: Function) -> Function:
    """When to collect: only from those that look unhealthy, and at a slower pace than that of the rounds."""
    function = click.option(
        "--every",
        type=Duration(0.1, 86400),
        help="In rounds: look only so often, or when a service has changed; in between carry on what was found last.",
    )(function)
    return when_option(function)


def patterns_option(function: Function) -> Function:
    """The folder of the user's own patterns."""
    return click.option(
        "--patterns",
        type=click.Path(path_type=Path, file_okay=False),
        envvar="DM_PATTERNS",
        show_envvar=True,
        help="A folder of your own pattern files (*.toml), added to the shipped ones.",
    )(function)


def engine_options(function: Function) -> Function:
    """Who judges: the rules, a model, or both."""
    function = click.option(
        "--max-steps",
        type=click.IntRange(1, 100),
        envvar="MAX_STEPS",
        default=12,
        show_default=True,
        show_envvar=True,
        help="Tool calls that --agent may make about one incident.",
    )(function)
    function = click.option(
        "--agent", is_flag=True, help="Let the model look further, with read-only tools, before it answers."
    )(function)
    return click.option(
        "--engine",
        type=click.Choice(["auto", "rules", "hybrid", "llm"]),
        default="auto",
        show_default=True,
        help="Who judges: auto is hybrid if LLM_BASE_URL is set, else rules.",
    )(function)


def proofs_dir_option(function: Function) -> Function:
    """The folder of reports and approvals."""
    return click.option(
        "--proofs-dir",
        type=click.Path(path_type=Path, file_okay=False),
        envvar="PROOFS_DIR",
        default=configs.proofs,
        show_default=configs.PROOFS_SHOWN,
        show_envvar=True,
        help="The folder of the reports and approvals.",
    )(function)


def policy_option(function: Function) -> Function:
    """The file that says what needs no person."""
    return click.option(
        "--policy",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="DM_POLICY",
        show_envvar=True,
        help="The policy; else ~/.config/dm-tools/policy.toml, or the one that comes along and approves nothing.",
    )(function)


def _there(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    if value is not None and not value.exists():
        raise exits.Stop(exits.BAD_INPUT, f"cannot read {str(value)!r}: no such file or directory")
    return value


def history_option(function: Function) -> Function:
    """What became of actions before."""
    return click.option(
        "--history",
        type=click.Path(path_type=Path),
        callback=_there,
        metavar="PATH",
        help="What became of actions before: outcomes as JSON Lines, or a folder of reports with its history.",
    )(function)


FAIL_ON = {
    "unhealthy": ("degraded", "failed"),
    "failed": ("failed",),
    "degraded": ("degraded", "failed"),
    "any": ("degraded", "failed", "unknown"),
}
"""What --fail-on may say, and which statuses it means."""


def fail_on_option(function: Function) -> Function:
    """The grep-like status for scripts."""
    return click.option(
        "--fail-on",
        type=click.Choice(list(FAIL_ON)),
        help="Exit with 10 if any service has failed; degraded and unhealthy: or is degraded; any: or is unknown.",
    )(function)


def when(choice: str, work: Callable[[stream.Record], stream.Record]) -> Callable[[stream.Record], stream.Record]:
    """`work`, or with the choice "unhealthy" only where the record so far does not say that all is well."""
    if choice == "always":
        return work

    def maybe(record: stream.Record) -> stream.Record:
        inspected = record.get("inspect") or {}
        well = not inspected or records.container_fine(inspected.get("state"), inspected.get("health"))
        probe_fine = (record.get("probe") or {}).get("status") == "healthy"
        return record if probe_fine and well else work(record)

    return maybe


def paced(
    section: str, every: float | None, work: Callable[[stream.Record], stream.Record], between: Callable[[], None]
) -> tuple[Callable[[stream.Record], stream.Record], Callable[[], None]]:
    """`work` at the pace of --every (None: always), and what to do between two rounds."""
    if every is None:
        return work, between
    pace = Pace(section, every)

    def both() -> None:
        pace.between()
        between()

    return pace.slowed(work), both


def matched(fail_on: str | None, section: str) -> Callable[[stream.Record], bool] | None:
    """What --fail-on looks for in a written record: the status of one of its sections. None: it is not given."""
    if fail_on is None:
        return None
    wanted = FAIL_ON[fail_on]
    return lambda record: (record.get(section) or {}).get("status") in wanted


def judged(record: stream.Record) -> bool:
    """Whether dm-analyze has looked at a record; what it could say nothing of is in the record's errors."""
    tried = any(entry.get("stage") == "analyze" for entry in record.get("errors") or ())
    return "service" not in record or record.get("analysis") is not None or tried


def want_judged(record: stream.Record, otherwise: str) -> None:
    """Say, once, what does not come of a record that dm-analyze has not looked at."""
    if not judged(record):
        say.once(f"{otherwise}: the records were not judged (dm-analyze comes before)")


def source(
    services: Iterable[str], on_bad: str, meanwhile: Callable[[], object] = lambda: None
) -> Iterator[stream.Record]:
    """The records to work on: from the arguments, or else from standard input (which `-` names, too).

    An argument is a URL, a file of records, or a service's name. `meanwhile` makes something ready while no record has
    come. Raises exits.Stop before anything is read.
    """
    words = tuple(services)
    if not words:
        if stream.nothing_yet():
            meanwhile()
        return stdin(on_bad)
    return _from_words([(word, _meaning(word)) for word in words], on_bad)


Meaning = stream.Record | BinaryIO | None


def _from_words(words: list[tuple[str, Meaning]], on_bad: str) -> Iterator[stream.Record]:
    for word, meaning in words:
        if isinstance(meaning, dict):
            yield meaning
        elif meaning is None:
            yield from stdin(on_bad)
        else:
            with meaning:
                try:
                    yield from stream.read(meaning, on_bad)
                except OSError as failure:
                    raise exits.cannot_read(word, failure) from None


SUFFIXES = (".json", ".jsonl", ".ndjson", ".gz", ".bz2", ".xz", ".zst")  # of what is meant as a file, there or not


def _meaning(word: str) -> Meaning:
    """What an argument stands for: a record of its own, an open file, or None for standard input."""
    if word == "-":
        return None
    if not stream.URL.match(word):
        if (file := _file(word)) is not None:
            return file
        record = None if word.endswith(SUFFIXES) else stream.from_word(word)
    else:
        record = stream.from_word(word)
    if record is not None:
        return record
    if redact.has_secret(word):
        raise exits.Stop(exits.USAGE, redact.NO_PASSWORDS)
    if word.endswith(SUFFIXES) or "/" in word:
        reason = "is a directory" if Path(word).is_dir() else "no such file or directory"
        raise exits.Stop(exits.BAD_INPUT, f"cannot read {word!r}: {reason}")
    raise exits.Stop(exits.USAGE, f"{word!r} is neither a service's name nor a URL nor a file")


def _file(word: str) -> BinaryIO | None:
    """The file that an argument names, opened; None if it names none.

    A bare name without a suffix is a service's, unless the file begins as a record does: many a folder has a program
    that is named as its service.
    """
    path = Path(word)
    if not path.exists() or path.is_dir():
        return None
    try:
        file = path.open("rb")
    except OSError as failure:
        raise exits.cannot_read(word, failure) from None
    begins = file.peek(2)[:2] if path.is_file() else b""  # what is no file on a disk may have nothing to show yet
    if begins == b"\x1f\x8b":
        file.close()
        raise exits.Stop(exits.BAD_INPUT, f"cannot read {word!r}: it is compressed (zcat {word} | {say.program})")
    if "." in word or "/" in word or begins.startswith(b"{"):
        return file
    file.close()
    return None


def stdin(on_bad: str) -> Iterator[stream.Record]:
    """The records on standard input."""
    return stream.read(standard_input("records on it or names as arguments"), on_bad)


def standard_input(wanted: str) -> BinaryIO:
    """Standard input. A terminal there is a mistake, not something to wait for."""
    if sys.stdin is None:
        raise exits.Stop(exits.USAGE, f"standard input is closed; give {wanted}")
    if sys.stdin.isatty():
        raise exits.Stop(exits.USAGE, f"nothing to read on standard input; give {wanted} (see --help)")
    return sys.stdin.buffer
