"""dm_tools/pipe/command.py: whom --when leaves alone, and how a command ends on a signal, whatever it waits for."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from dm_tools.pipe import command
from tests.conftest import COLD, SEALED, Run
from tests.test_contract import await_handlers

WELL = {"probe": {"status": "healthy"}, "inspect": {"state": "running", "health": "healthy"}}


@pytest.mark.parametrize(
    ("record", "looked_at"),
    [
        (WELL, False),
        (WELL | {"inspect": {"state": "running", "health": None}}, False),
        (WELL | {"inspect": None}, False),
        (WELL | {"inspect": {"state": "running", "health": "unhealthy"}}, True),
        (WELL | {"inspect": {"state": "running", "health": "starting"}}, True),
        (WELL | {"inspect": {"state": "paused", "health": "healthy"}}, True),
        (WELL | {"probe": {"status": "degraded"}}, True),
        (WELL | {"probe": {"status": "unknown"}}, True),
        (WELL | {"probe": None}, True),
    ],
)
def test_when_unhealthy_looks_at_all_that_is_not_known_to_be_well(record: dict[str, Any], looked_at: bool) -> None:
    def work(found: dict[str, Any]) -> dict[str, Any]:
        return found | {"looked": True}

    assert command.when("unhealthy", work)(record).get("looked", False) is looked_at
    assert command.when("always", work)(record)["looked"]


@contextlib.contextmanager
def started(name: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A command as a terminal starts it: Ctrl-C is not ignored, whatever the tests run under."""
    with subprocess.Popen(
        [f"dm-{name}"],
        stderr=subprocess.PIPE,
        env=SEALED,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **options,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("name", ["probe", "redact", "analyze", "show"])
def test_a_reader_that_has_stopped_reading_does_not_hold_a_command(
    name: str, number: int, status: int, tmp_path: Path
) -> None:
    """As a pager does: the pipe is full, and the command is stuck in the middle of a write."""
    (tmp_path / "in.jsonl").write_text('{"service": "x", "filler": "%s"}\n' % ("f" * 400) * 2000)
    reading, writing = os.pipe()
    with (
        (tmp_path / "in.jsonl").open("rb") as source,
        os.fdopen(reading, "rb"),
        os.fdopen(writing, "wb") as pipe,
        started(name, stdin=source, stdout=pipe, cwd=tmp_path) as process,
    ):
        deadline = time.monotonic() + 60
        while select.select([], [pipe], [], 0)[1]:  # there is room left: it still works
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(1)  # by now it is in its write: a signal in the moment before is only seen when that has ended
        process.send_signal(number)
        assert process.wait(timeout=30) == status
        assert process.stderr is not None and process.stderr.read() == b""


def test_ctrl_c_while_records_are_worked_on_leaves_whole_lines_only(tmp_path: Path) -> None:
    """Some are done, others wait for a server that says nothing: what was written is whole, and nobody adds to it."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        waiting = {"service": "waits", "external": [f"http://127.0.0.1:{silent.getsockname()[1]}/"]}
        done = {"service": "done", "external": ["http://127.0.0.1:1/"]}
        text = "".join(json.dumps(each) + "\n" for each in [*[done] * 40, *[waiting] * 40])
        out = tmp_path / "out.jsonl"
        with out.open("wb") as file, started("probe", stdin=subprocess.PIPE, stdout=file, cwd=tmp_path) as process:
            assert process.stdin is not None and process.stderr is not None
            process.stdin.write(text.encode())
            process.stdin.flush()
            deadline = time.monotonic() + 20
            while out.read_bytes().count(b"\n") < 40 and time.monotonic() < deadline:
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=5) == 130
            assert process.stderr.read() == b""
    lines = out.read_bytes().split(b"\n")
    assert lines.pop() == b""
    assert [json.loads(line)["service"] for line in lines] == ["done"] * 40


def test_ctrl_c_at_a_terminal_ends_the_whole_pipe_without_a_word(tmp_path: Path) -> None:
    line = "trap : INT; sleep 60 | dm-probe | dm-analyze | dm-show; echo ended ${PIPESTATUS[@]}"
    person = pexpect.spawn(
        "/bin/bash",
        ["-c", f"echo began; {line}"],
        cwd=str(tmp_path),
        env=SEALED,
        encoding="utf-8",
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    person.expect_exact("began\r\n", timeout=10)
    time.sleep(2)  # all three wait for the first record
    person.sendintr()
    person.expect(pexpect.EOF, timeout=10)
    person.close()
    assert person.before == "^Cended 130 130 130 130\r\n"


def test_a_job_in_the_background_ignores_ctrl_c(tmp_path: Path) -> None:
    """A shell starts it so: Ctrl-C is for what is in the foreground."""
    with subprocess.Popen(
        ["dm-redact"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=SEALED,
        cwd=tmp_path,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    ) as process:
        await_handlers(process)
        process.send_signal(signal.SIGINT)
        shown, _ = process.communicate(b'{"service": "x"}\n', timeout=10)
        assert (process.returncode, shown) == (0, b'{"service":"x"}\n')


LOSES_IT = """
import os, signal, time, click
from dm_tools.pipe import command

class Dropping:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)

@click.command("dm-x")
def main():
    Dropping()
    time.sleep(20)

command.run(main)
"""


def test_a_signal_that_arrives_where_python_drops_what_is_raised_ends_the_command_all_the_same() -> None:
    done = subprocess.run([sys.executable, "-c", LOSES_IT], capture_output=True, env=SEALED, timeout=10)
    assert (done.returncode, done.stderr) == (143, b"")


# How a command ends when it cannot say why


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("dm-analyze", 0),
        ("dm-report", 0),
        ("dm-show", 0),
        ("dm-probe http://127.0.0.1:1/", 0),
        ("dm-logs", 5),
        ("dm-services --manifest nowhere.json", 3),
        ("dm-probe -t nan", 2),
        ("dm-analyze nowhere.json", 3),
        ("dm-analyze --on-bad fail <<<'{'", 3),
        ("dm-analyze <&-", 2),
        ("dm-show >&-", 6),
        ("dm-report >&-", 6),
        ("dm-show >/dev/full", 6),
        ("HTTP_TIMEOUT=nan dm-probe", 2),
    ],
)
def test_with_standard_error_closed_the_status_is_the_same(tmp_path: Path, line: str, status: int) -> None:
    for closed in ("", " 2>&-"):
        done = subprocess.run(
            ["bash", "-c", line + closed],
            input=b'{"service": "x"}\n',
            env=SEALED | COLD,
            cwd=tmp_path,
            capture_output=True,
        )
        assert done.returncode == status


def test_a_file_that_takes_a_closed_streams_number_gets_no_message(tmp_path: Path) -> None:
    """The first file that a program opens has number 2 then; whatever is printed as an error would stand in it."""
    line = "dm-report --proofs-dir proofs 2>&-"
    subprocess.run(
        ["bash", "-c", line], input=b"{\n", env=SEALED | COLD, cwd=tmp_path, capture_output=True, check=False
    )
    (report,) = (tmp_path / "proofs").iterdir()
    assert json.loads(report.read_bytes())["summary"]["total"] == 0


@pytest.mark.parametrize("name", ["analyze", "report", "show", "brief", "redact", "services"])
def test_under_a_limit_of_file_sizes_nothing_is_written_and_the_status_says_so(tmp_path: Path, name: str) -> None:
    (tmp_path / "m.json").write_text('{"services": [{"name": "a"}]}')
    (tmp_path / "in").write_text('{"service": "x"}\n')
    line = f"ulimit -f 0; exec dm-{name} {'--manifest m.json' if name == 'services' else ''} <in >out 2>err"
    assert subprocess.run(["bash", "-c", line], env=SEALED | COLD, cwd=tmp_path).returncode == 6
    assert (tmp_path / "out").read_bytes() == (tmp_path / "err").read_bytes() == b""
    written = {path.name for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size}
    assert written == {"m.json", "in"}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            "dm-incidents silence a --for 2h --why $'new \\xff disk'",
            "the argument 'new \\udcff disk' is no text in UTF-8",
        ),
        ("env LOGNAME=$'\\xff' dm-incidents silence a --for 2h --why x", "$LOGNAME is no text in UTF-8"),
        ("dm-services --host $'tcp://a\\xff:1'", "no address of an engine: 'tcp://a\\udcff:1'"),
    ],
)
def test_a_word_that_is_no_text_is_named(run: Run, line: str, says: str) -> None:
    done = run(line, **COLD)
    assert done.returncode in (2, 3) and done.stdout == ""
    assert says in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "line",
    [
        "dm-notify --config deep",
        "dm-approve --policy deep",
        "dm-analyze --patterns .",
        "dm-services --discover --hosts-file deep",
    ],
)
def test_a_file_that_is_nested_without_end_is_no_bug_of_ours(run: Run, tmp_path: Path, line: str) -> None:
    for name in ("deep", "deep.toml"):
        (tmp_path / name).write_text("a = " + "[" * 5000)
    done = run(f"{line} < /dev/null")
    assert done.returncode in (2, 3) and "nested too deeply" in done.stderr and done.stderr.count("\n") == 1
