"""JSON Lines in, JSON Lines out: the reader, the bounded concurrent map and the single writer of every filter.

Threads and not asyncio, because every library we stand on can be used synchronously and judgement stays plain
functions. The reader is a thread of its own: a finished record must never wait for the next input line.
"""

from __future__ import annotations

import os
import queue
import re
import select
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from dm_tools import records, redact
from dm_tools.pipe import exits, say

Record = dict[str, Any]

# A longer line is reported and not held: an endless line without a newline must not fill the memory.
MAX_LINE_BYTES = 64 * 1024 * 1024
MAX_DEPTH = 200  # the JSON library reads deeper nesting than it writes
URL = re.compile(r"^[a-z][a-z0-9+.-]*://\S+$", re.IGNORECASE)
# A container's or a service's name, or PROJECT/SERVICE
NAME = re.compile(r"^(?:/?|[a-z0-9][a-z0-9_-]*/)[A-Za-z0-9][A-Za-z0-9_.-]*$")
UNREACHABLE_CODES = frozenset({"docker_unreachable", "browser_unavailable", "model_unreachable"})


def from_word(word: str) -> Record | None:
    """A bare word is a service's (or container's) name, a bare URL is one check; anything else is None."""
    if URL.match(word) and not redact.has_secret(word):
        return records.new(word, external=[word])
    if NAME.match(word) and word not in ("null", "true", "false"):
        return records.new(word.lstrip("/"))
    return None


class BadLine(Record):
    """A line that is no record becomes one that holds only `errors`: it flows to the end, nothing is lost."""

    def __init__(self, number: int, line: bytes, why: str) -> None:
        self.reason = f"line {number}: {why}"
        text = redact.redact(line[:200].decode("utf-8", "replace").rstrip("\r\n"))
        entry = records.error("input", "bad_line", self.reason, line=number, text=text)
        super().__init__(errors=[entry])


def parse(number: int, line: bytes) -> Record:
    """One input line as a record, or as a record that says why it is none."""
    if len(line) >= MAX_LINE_BYTES:
        return BadLine(number, line, f"longer than {MAX_LINE_BYTES} bytes")
    if not line.startswith(b"{"):
        word = line.decode("utf-8", "replace")
        why = redact.NO_PASSWORDS if redact.has_secret(word) else "not a JSON object"
        return from_word(word) or BadLine(number, redact.url(word).encode(), why)
    try:
        record: Record = orjson.loads(line)
    except ValueError:
        return BadLine(number, line, "not valid JSON")
    problem = records.problem(record)
    if not problem and redact.has_password(record.get("docker_host") or ""):
        problem = redact.NO_DOCKER_PASSWORD
    if (
        line.count(b"[") + line.count(b"{") > MAX_DEPTH
        and _may_be_deep(record)
        and _depth(record, MAX_DEPTH) >= MAX_DEPTH
    ):
        problem = f"nested more than {MAX_DEPTH} deep"
    return BadLine(number, line, problem) if problem else record


DEEPEST_WRITTEN = 254  # levels that the JSON library writes


def _may_be_deep(record: Record) -> bool:
    """Whether it is nested about as deep as is too deep: then the JSON library refuses it within so many lists."""
    wrapped: Any = record
    for _ in range(DEEPEST_WRITTEN - MAX_DEPTH + 1):
        wrapped = [wrapped]
    try:
        orjson.dumps(wrapped)
    except TypeError:
        return True
    return False


def _depth(value: Any, enough: int) -> int:
    """How deep a JSON value is nested, counted up to `enough`."""
    level, depth = [value], 0
    while level and depth < enough:
        nested = [each for each in level if type(each) is dict or type(each) is list]  # quicker than isinstance
        level = [item for each in nested for item in (each.values() if type(each) is dict else each)]
        depth += bool(nested)
    return depth


def lines(source: BinaryIO) -> Iterator[bytes]:
    """Lines without their newline; of an overlong one only the beginning is held."""
    while line := source.readline(MAX_LINE_BYTES):
        if len(line) >= MAX_LINE_BYTES and not line.endswith(b"\n"):
            while (rest := source.readline(1024 * 1024)) and not rest.endswith(b"\n"):
                pass
        yield line.strip()


def read(source: BinaryIO, on_bad: str) -> Iterator[Record]:
    """Records from a stream of JSON Lines, names or URLs. `on_bad` is report, skip or fail."""
    for number, line in enumerate(lines(source), 1):
        if not line:
            continue
        record = parse(number, line)
        if isinstance(record, BadLine):
            if on_bad == "fail":
                raise exits.Stop(exits.BAD_INPUT, record.reason)
            if on_bad == "skip":
                say.note(f"skipped {record.reason}")
                continue
        yield record


def nothing_yet(seconds: float = 0.2) -> bool:
    """Whether standard input stays silent for so long: whoever writes there is at work for some time."""
    try:
        return not select.select([sys.stdin], [], [], seconds)[0]
    except (OSError, TypeError, ValueError):  # there is none
        return False


def of_files(paths: Iterable[Path], on_bad: str) -> Iterator[Record]:
    """The records of some files, one file after another; lines that are none are left out. Raises exits.Stop."""
    for path in paths:
        try:
            with path.open("rb") as file:
                yield from (record for record in read(file, on_bad) if "service" in record)
        except OSError as failure:
            raise exits.cannot_read(path, failure) from None


def attempt(work: Callable[[Record], Record], record: Record, stage: str) -> Record:
    """`work(record)`; whatever goes wrong becomes an entry in the record's errors, never the stream's end."""
    if "service" not in record:
        return record  # a line that was none, or a marker
    try:
        return work(record)
    except records.Problem as problem:
        if problem.code == records.NO_CONTAINER:
            return record  # nothing is missing
        return records.with_error(record, stage, problem.code, problem.message)
    except Exception as bug:
        if os.environ.get("DM_DEBUG"):
            traceback.print_exc()
        message = redact.redact(f"{type(bug).__name__}: {bug}")
        say.note(f"internal error at {record.get('service')!r}: {message}")
        return records.with_error(record, stage, "internal_error", message)


NOTHING_CAME = "no record came: --fail-on tells nothing of nothing"
Result = tuple[Record, bool]


@dataclass(frozen=True)
class End:
    """The reader has read `count` records; `failure` is what stopped it, None at the end of the input."""

    count: int
    failure: BaseException | None


def pmap(
    work: Callable[[Record], Record],
    source: Iterable[Record],
    stage: str,
    jobs: int,
    keep_order: bool,
    between: Callable[[], None] = lambda: None,
) -> Iterator[Result]:
    """Map `work` over the records, `jobs` at a time; yields each with whether nothing else is ready right now.

    At most four times `jobs` records are in memory: with an endless input the reader waits for the writer.
    A marker waits until all records of its round are out, and those behind it are not begun before; then `between` is
    called.
    """
    places = jobs * 4
    room = threading.Semaphore(places)
    done: queue.Queue[Record | End] = queue.Queue()
    ordered: dict[int, Record] = {}
    pool = ThreadPoolExecutor(jobs)

    def one(index: int, record: Record) -> None:
        result = attempt(work, record, stage)
        if keep_order:
            ordered[index] = result
        done.put(result)

    def feed() -> None:
        count = 0
        failure: BaseException | None = None
        try:
            for record in source:
                room.acquire()
                if records.is_marker(record):
                    for _ in range(places - 1):
                        room.acquire()
                    between()
                    one(count, record)
                    room.release(places - 1)
                else:
                    pool.submit(one, count, record)
                count += 1
        except BaseException as caught:  # raised in the main thread, after the records before it
            failure = caught
        done.put(End(count, failure))

    threading.Thread(target=feed, daemon=True).start()  # daemon: a blocked read never delays the exit
    end: End | None = None
    written = 0
    while end is None or written < end.count:
        item = done.get()
        if isinstance(item, End):
            end = item
        elif not keep_order:
            written += 1
            room.release()
            yield item, done.empty()
        while keep_order and written in ordered:
            ready = ordered.pop(written)
            written += 1
            room.release()
            yield ready, True
    if end.failure:
        raise end.failure


def one_by_one(source: Iterable[Record]) -> Iterator[Result]:
    """The results of a command that has no reason to work on several records at once."""
    for record in source:
        yield record, True


class Writer:
    """The only writer to standard output. Converts a closed pipe and a full disk to our own exit statuses."""

    def __init__(self, out: BinaryIO | None = None) -> None:
        if out is None and sys.stdout is None:
            raise exits.Stop(exits.CANNOT_WRITE, "standard output is closed")
        self.out: BinaryIO = out if out is not None else sys.stdout.buffer

    def write(self, data: bytes, flush: bool) -> None:
        try:
            self.out.write(data)
            if flush:
                self.out.flush()
        except BrokenPipeError:
            raise exits.Stop(exits.BROKEN_PIPE) from None
        except OSError as failure:
            raise exits.Stop(exits.CANNOT_WRITE, f"cannot write to standard output: {failure.strerror}") from None


def dumps(record: Any) -> bytes:
    """One JSON line. Text that is no valid Unicode is repaired rather than refused."""
    try:
        return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        return orjson.dumps(repaired(record), option=orjson.OPT_APPEND_NEWLINE)


def repaired(value: Any) -> Any:
    """The value with lone surrogates replaced and integers beyond 64 bits as text: orjson refuses both."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return str(value)
    if isinstance(value, dict):
        return {repaired(str(key)): repaired(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [repaired(item) for item in value]
    return value


def write(results: Iterable[Result], stage: str, matched: Callable[[Record], bool] | None = None) -> int:
    """Write every record, at once when nothing else is ready; returns the exit status.

    `matched`: what --fail-on asks for. Of nothing at all it is not known.
    """
    writer, status, came = Writer(), exits.DONE, False
    for record, idle in results:
        came = True
        status = exits.worst(status, status_of(record, stage))
        if matched is not None and matched(record):
            status = exits.worst(status, exits.MATCHED)
        writer.write(dumps(record), idle)
    if matched is not None and not came:
        say.note(NOTHING_CAME)
        status = exits.ERRORS
    writer.write(b"", flush=True)  # a full disk must fail here, not at the interpreter's exit
    return status


def status_of(record: Record, stage: str) -> int:
    """What one written record means for the exit status."""
    status = exits.DONE
    for entry in record.get("errors") or ():
        status = exits.worst(status, exits.ERRORS)
        if entry.get("stage") == stage and entry.get("code") in UNREACHABLE_CODES:
            status = exits.worst(status, exits.UNREACHABLE)
        if entry.get("stage") == stage and entry.get("code") == "cannot_write":
            status = exits.worst(status, exits.CANNOT_WRITE)
        if entry.get("stage") == stage and entry.get("code") == "internal_error":
            status = exits.worst(status, exits.BUG)
    return status
