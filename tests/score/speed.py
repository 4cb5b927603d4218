"""How fast logs are analysed, beside `grep -E` with the same expressions and beside Drain3, in the same run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dm_tools.patterns.language import Library
from tests import logmaker, making
from tests.conftest import ROOT

ITEMS = 200_000
BATCH = 2_000
DRAIN_ITEMS = 20_000  # it is slow: a tenth is enough to know
GREP_ITEMS = 500  # and so is grep with a thousand expressions: it may need minutes only to begin
GREP_SECONDS = 30  # after which it is stopped; what it would have reached by then is the most that can be said


@dataclass(frozen=True)
class Speed:
    """One figure: megabytes of log a second, of one processor's time."""

    what: str
    megabytes_per_second: float


def log() -> list[str]:
    """A log as five kinds of program write it, with one failure in every thousand lines."""
    lines = [text for _, text in logmaker.made("mixed", ITEMS)]
    failure = 'ERROR app: connection to server at "db" (10.0.0.9), port 5432 failed: Connection refused'
    return [failure if index % 1000 == 999 else line for index, line in enumerate(lines)]


def _rate(lines: list[str], work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return sum(map(len, lines)) / 1e6 / (time.process_time() - begin)


def analysis(library: Library, lines: list[str]) -> float:
    """All patterns over all lines, as dm-analyze and dm-condense search them."""
    library.causal(lines[:10])  # compiles what is compiled once

    def work() -> None:
        for begin in range(0, len(lines), BATCH):
            library.causal(lines[begin : begin + BATCH])

    return _rate(lines, work)


def grep(library: Library, lines: list[str]) -> float:
    """GNU grep with the same expressions (as far as ERE can say them), all in one file."""
    with tempfile.TemporaryDirectory() as folder:
        expressions, text = Path(folder, "expressions"), Path(folder, "log")
        expressions.write_text("\n".join(sorted(set(_extended(library)))) + "\n")
        text.write_text("\n".join(lines[:GREP_ITEMS]) + "\n")
        before = os.times()
        command = ["grep", "-c", "-E", "-f", str(expressions), str(text)]
        environment = os.environ | {"LC_ALL": "C.UTF-8"}
        quiet = subprocess.DEVNULL
        try:
            subprocess.run(command, stdout=quiet, stderr=quiet, check=True, env=environment, timeout=GREP_SECONDS)
        except subprocess.TimeoutExpired:
            return text.stat().st_size / 1e6 / GREP_SECONDS
        after = os.times()
        return text.stat().st_size / 1e6 / (after.children_user - before.children_user or 1e-3)


def _extended(library: Library) -> Iterator[str]:
    """The expressions of the log clauses as POSIX extended ones. What ERE lacks is left out: the rest is the same."""
    for pattern in library.patterns:
        for clause in pattern.match:
            if clause.where == "log" and clause.regex and "\n" not in clause.regex:
                text = re.sub(r"\(\?P<\w+>", "(", clause.regex)
                text = re.sub(r"\(\?[a-z]*:", "(", text)
                text = re.sub(r"([*+?}])\?", r"\1", text)
                text = text.replace(r"\d", "[0-9]").replace(r"\D", "[^0-9]").replace("[^\\s", "[^ ").replace(r"\x", "x")
                text = re.sub(r"\[([^\]]*)\\[swd]([^\]]*)\]", r"[\1a-z0-9\2]", text)
                done = subprocess.run(["grep", "-qE", "-e", text], input="", capture_output=True, text=True)
                if done.returncode == 1:
                    yield text


def drain3(lines: list[str]) -> float:
    """Drain3, which makes templates of log lines, with its defaults."""
    from drain3 import TemplateMiner
    from drain3.template_miner_config import TemplateMinerConfig

    miner = TemplateMiner(config=TemplateMinerConfig())
    part = lines[:DRAIN_ITEMS]

    def work() -> None:
        for line in part:
            miner.add_log_message(line)

    return _rate(part, work)


def condensing(lines: list[str]) -> float:
    """The command dm-condense on the same log: templates, causal lines, redaction."""
    with tempfile.TemporaryFile() as text:
        text.write("\n".join(lines).encode())
        text.seek(0)
        before = os.times()
        subprocess.run(
            [ROOT / "bin/dm-condense", "--text"], stdin=text, stdout=subprocess.DEVNULL, check=True, cwd=ROOT
        )
        after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return sum(map(len, lines)) / 1e6 / used


def end_to_end(lines: list[str]) -> float:
    """The command dm-analyze on the same log as records of a thousand lines: reading, judging and writing JSON, too."""
    stack = [
        making.service(f"s{begin}", "failed", tuple(lines[begin : begin + 1000])) for begin in range(0, ITEMS, 1000)
    ]
    with tempfile.TemporaryFile() as records:
        records.write("".join(json.dumps(each) + "\n" for each in stack).encode())
        records.seek(0)
        before = os.times()
        subprocess.run([ROOT / "bin/dm-analyze"], stdin=records, stdout=subprocess.DEVNULL, check=True, cwd=ROOT)
        after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return sum(map(len, lines)) / 1e6 / used


def replay_seconds(services: int = 30) -> float:
    """A recorded incident of so many services through dm-analyze and dm-propose, from start to end: wall seconds."""
    refused = 'connection to server at "s0" (10.0.0.9), port 5432 failed: Connection refused'
    quiet = tuple(f"2026-01-01 INFO request {number} served in 12 ms" for number in range(400))
    stack = [making.service("s0", "failed", quiet, state="exited", exit_code=137, oom_killed=True)]
    stack += [making.service(f"s{number}", "failed", (*quiet, refused)) for number in range(1, services)]
    records = "".join(json.dumps(each) + "\n" for each in stack)
    begin = time.perf_counter()
    done = subprocess.run(
        "bin/dm-analyze | bin/dm-propose", shell=True, input=records, capture_output=True, text=True, cwd=ROOT
    )
    took = time.perf_counter() - begin
    roots = [each for each in map(json.loads, done.stdout.splitlines()) if each["analysis"]["role"] == "root"]
    assert [each["service"] for each in roots] == ["s0"], done.stderr
    return took
