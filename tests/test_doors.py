"""dm-serve and callers who take their time, and how it ends: real servers, whose patience is made shorter."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from dm_tools.serve.app import Doors
from dm_tools.serve.runs import Runs
from dm_tools.serve.stack import Stack
from dm_tools.tools.registry import Tool
from tests.conftest import ROOT, SEALED, Run
from tests.serving import Server, serving

SLEEPS = """
import time

TOOL = {"name": "sleeps", "description": "", "parameters": {"type": "object", "properties": {}}}


def run(arguments, inventory):
    time.sleep(30)
    return "late"
"""
BREAKS = SLEEPS.replace("sleeps", "breaks").replace("time.sleep(30)", "raise SystemExit(3)")
PATIENCE = {"REQUEST_SECONDS": 1.5, "IDLE_SECONDS": 2, "GRACE_SECONDS": 1, "UNREAD_SECONDS": 1.5}


@contextlib.contextmanager
def impatient(folder: Path) -> Iterator[Server]:
    """A server that waits for a second or two only, with a tool that takes long and one that breaks."""
    (folder / "tools").mkdir()
    (folder / "tools/sleeps.py").write_text(SLEEPS)
    (folder / "tools/breaks.py").write_text(BREAKS)
    (folder / "stack.jsonl").write_text("")
    options = ("--tools", str(folder / "tools"), "--inventory", str(folder / "stack.jsonl"))
    with serving(folder, SEALED, *options, patience=PATIENCE) as running:
        yield running


@pytest.fixture(scope="module")
def hurried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One of those, for the tests that leave it as it is."""
    with impatient(tmp_path_factory.mktemp("hurried")) as running:
        yield running
    assert "Traceback" not in running.said.read_text()


def dripped(server: Server, head: str, drop: bytes) -> tuple[float, bytes]:
    """Send a head and a drop every tenth of a second: after how many seconds the connection ends, what was said."""
    with socket.create_connection(("127.0.0.1", server.port), 10) as end:
        end.settimeout(0.1)
        begun, said = time.monotonic(), b""
        end.sendall(head.encode())
        while time.monotonic() - begun < 15:
            try:
                if drop:
                    end.sendall(drop)
                part = end.recv(65_536)
                if not part:
                    break
                said += part
            except TimeoutError:
                continue
            except OSError:
                break
        return time.monotonic() - begun, said


JSON = "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
SLOW = {
    "says nothing": ("", b"", 408),
    "a head for ever": ("GET /healthz HTTP/1.1\r\nHost: localhost\r\n", b"X: y\r\n", 408),
    "a body for ever": ("POST /tools/history HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999\r\n\r\n", b" ", 408),
    "chunks for ever": (
        "POST /tools/history HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"1\r\n \r\n",
        408,
    ),
    "a session's body": (
        "POST /start-stack-probe HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999\r\n\r\n",
        b" ",
        408,
    ),
    "a body for MCP": (f"POST /mcp HTTP/1.1\r\nHost: localhost\r\n{JSON}Content-Length: 999999\r\n\r\n", b" ", 408),
    "a body that nobody reads": (
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999\r\n\r\n",
        b" ",
        200,
    ),
    "a second head": ("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /heal", b"x", 200),
    "idle": ("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"", 200),
}


def test_who_takes_his_time_is_not_waited_for(hurried: Server) -> None:
    """All at once; and meanwhile, and afterwards, it answers everybody else."""
    with ThreadPoolExecutor(len(SLOW)) as pool:
        ended = {name: pool.submit(dripped, hurried, head, drop) for name, (head, drop, _) in SLOW.items()}
        assert hurried.ask("GET", "/healthz").status_code == 200
        for name, (_, _, status) in SLOW.items():
            seconds, said = ended[name].result()
            assert seconds < 10, name
            assert said.startswith(f"HTTP/1.1 {status} ".encode()), (name, said[:200])
    assert hurried.ask("GET", "/healthz").status_code == 200


def test_whoever_goes_away_leaves_no_trace(hurried: Server) -> None:
    before = hurried.said.read_text()
    for name, (head, _, _) in SLOW.items():
        with socket.create_connection(("127.0.0.1", hurried.port), 10) as end:
            end.sendall(head.encode() + (b" " if "body" in name else b""))
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # close with RST
    assert hurried.ask("GET", "/healthz").status_code == 200
    assert hurried.said.read_text() == before


def test_a_tool_that_ends_the_program_does_not(hurried: Server) -> None:
    answer = hurried.ask("POST", "/tools/breaks")
    assert answer.status_code == 502 and answer.json()["error"]["code"] == "tool_failed"
    assert hurried.ask("GET", "/healthz").status_code == 200


def test_a_bug_of_a_tool_closes_no_door(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = Tool("broken", "", {}, (), lambda box, arguments: 1 / 0, of_stack=False)
    doors = Doors(Stack(lambda engine: [], {"broken": broken}), Runs(tmp_path), tmp_path)
    output, error = asyncio.run(doors.answer("broken", {}))
    assert (output, error) == (None, {"code": "internal", "message": "a bug: ZeroDivisionError"})
    assert "internal error: broken: ZeroDivisionError" in capsys.readouterr().err


def test_a_signal_in_the_middle_of_requests(tmp_path: Path) -> None:
    """It takes no more, answers who still waits, and ends with the status of the signal, without a traceback."""
    with impatient(tmp_path) as running, ThreadPoolExecutor(4) as pool:

        def asked(path: str, **given: Any) -> httpx.Response:
            return running.ask("POST", path, **given)

        waiting = pool.submit(asked, "/tools/sleeps")
        accepted = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "sleeps", "arguments": {}}}
        model = pool.submit(asked, "/mcp", content=json.dumps(call), headers=accepted)
        with socket.create_connection(("127.0.0.1", running.port)) as half:
            half.sendall(b"POST /tools/history HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{")
            time.sleep(0.5)
            begun = time.monotonic()
            running.process.send_signal(signal.SIGTERM)
            status = running.process.wait(15)
            assert time.monotonic() - begun < 8
        answer = waiting.result()
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "ending")
        with contextlib.suppress(httpx.TransportError):
            model.result()
        assert status == 143
        said = running.said.read_text().splitlines()
        assert len(said) == 1 and said[0].startswith("dm-serve: listening on "), said


def test_where_somebody_listens_already(hurried: Server, run: Run) -> None:
    done = run(f"dm-serve --bind 127.0.0.1:{hurried.port}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"dm-serve: cannot listen on 127.0.0.1:{hurried.port}: address already in use\n"


def test_over_stdio_a_signal_ends_it_too(tmp_path: Path) -> None:
    command = [ROOT / "bin/dm-serve", "--mcp", "stdio", "--proofs-dir", tmp_path]
    with subprocess.Popen(
        command, env=SEALED, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write(b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
        process.stdin.flush()
        process.stdout.readline()  # it answers, so it is there
        process.stdin.write(b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n' * 500)  # and has something to do
        process.stdin.flush()
        process.terminate()
        assert process.wait(60) == 143
        assert process.stderr.read() == b""
