"""ClickHouse in this process, over the segments where they lie: nothing is copied, kept or locked.

The only module that imports `chdb`.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from dm_tools.ask.views import STORED, STORED_PATTERNS, TABLES, VIEWS
from dm_tools.pipe import configs
from dm_tools.store.history import History, read, whole_end

AGAIN_SECONDS = 0.2
SETTINGS = {
    "input_format_skip_unknown_fields": 1,
    "input_format_allow_errors_num": 1_000_000,
    "output_format_json_quote_64bit_integers": 0,
    "max_bytes_before_external_group_by": 1_000_000_000,
    "readonly": 1,  # from here on nothing is written, and no table function reads from elsewhere
}


class CannotAsk(Exception):
    """The question cannot be asked; the message says why, in one line."""


class WrongQuestion(Exception):
    """ClickHouse does not take the question; the message is its own first line."""


def answer(kept: History, sql: str, form: str, patterns: bytes = b"") -> Iterator[bytes]:
    """The answer to a checked question, in one of ClickHouse's formats. Raises CannotAsk, WrongQuestion.

    `patterns`: the rows of the pattern library.
    """
    session_type = _session_type()
    with tempfile.TemporaryDirectory(prefix="dm-history-") as name, contextlib.ExitStack() as held:
        folder = Path(name)
        (folder / "segments").mkdir()
        (folder / "engine").mkdir()
        session = session_type(str(folder / "engine"))
        held.callback(session.close)
        _linked(kept, folder / "segments")
        (folder / "patterns.jsonl").write_bytes(patterns)
        for table, lie in ((STORED, "segments/*.jsonl"), (STORED_PATTERNS, "patterns.jsonl")):
            session.query(f"CREATE TABLE {table} ({TABLES[table][0]}) ENGINE = File(JSONEachRow, '{folder}/{lie}')")
        for view, definition in VIEWS.items():
            session.query(f"CREATE VIEW {view} AS {definition}")
        session.query("SET " + ", ".join(f"{key} = {value}" for key, value in SETTINGS.items()))
        for again in (True, True, False):
            try:
                yield session.query(sql, form).bytes()
                return
            except UnicodeDecodeError:  # what it says of a line that it cannot read holds bytes that are no text
                if not again:
                    raise CannotAsk("the history holds bytes that are no text") from None
                _copied(kept, folder / "segments")
            except RuntimeError as failure:
                first = str(failure).split("\n")[0]
                if not again or "while reading" not in first.lower():
                    raise WrongQuestion(said(str(failure))) from None
                time.sleep(AGAIN_SECONDS)  # somebody was in the middle of writing a line


def said(failure: str) -> str:
    """What ClickHouse says of a failure, in one line and without what only its makers can use."""
    first = " ".join(failure.split("\n")[0].split()).removeprefix("Code: ")
    first = first.partition("DB::Exception: ")[2] or first
    for noise in (" (version ", ", e.what()", " Stack trace", ". Expected one of"):
        first = first.partition(noise)[0]
    return first[:500]


def _linked(kept: History, folder: Path) -> None:
    """The segments under names of ours. Of one that a kill tore the whole lines are copied, and one is never empty."""
    for number, path in enumerate(kept.segments()):
        end = whole_end(path)
        if end == path.stat().st_size:
            (folder / f"{number}.jsonl").symlink_to(path.resolve())
        else:
            with path.open("rb") as file:
                (folder / f"{number}.jsonl").write_bytes(file.read(end))
    (folder / "none.jsonl").touch()  # where there is no segment


def _copied(kept: History, folder: Path) -> None:
    """The lines that are events, in place of the segments: of what ClickHouse cannot pass over."""
    for number, path in enumerate(kept.segments()):
        (folder / f"{number}.jsonl").unlink(missing_ok=True)
        (folder / f"{number}.jsonl").write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in read(path, {})))


def _session_type() -> Any:
    import signal

    # Whoever imports ClickHouse is left without Ctrl-Z, and with SIGPIPE blocked, for each program it starts, too
    stopped, blocked = signal.getsignal(signal.SIGTSTP), signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        from chdb.session import Session
    except ImportError:
        hint = f"this needs ClickHouse ({configs.install('history')}), or a server's CLICKHOUSE_URL"
        raise CannotAsk(hint) from None
    signal.signal(signal.SIGTSTP, stopped)
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    return Session
