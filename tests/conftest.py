"""What all tests share: a sealed environment, a way to run a command, and the lab."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import lab as fault_lab

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = sorted(path.stem.replace("_", "-") for path in (ROOT / "dm_tools" / "commands").glob("[a-z]*.py"))

# Nothing of the caller's settings reaches a test, and no engine unless the test asks for one.
SEALED = {
    "PATH": f"{ROOT / 'bin'}:{os.environ['PATH']}",
    "HOME": "/nonexistent",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "NO_COLOR": "1",
    "DOCKER_HOST": "unix:///nonexistent/docker.sock",
}

Run = Callable[..., subprocess.CompletedProcess[str]]


def records(text: str) -> list[dict[str, Any]]:
    """JSON Lines as a list."""
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a shell line in an empty folder with the sealed environment; keyword arguments are variables."""

    def execute(line: str, stdin: str = "", timeout: float = 60, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            cwd=tmp_path,
            env=SEALED | variables,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return execute


@pytest.fixture(scope="session")
def _lab_up() -> Iterator[dict[str, str]]:
    ours = fault_lab.engine.find() is None
    fault_lab.up()
    if fault_lab.injected():
        fault_lab.clear()
    yield fault_lab.environment()
    fault_lab.down(engine_too=ours)


@pytest.fixture
def shop(_lab_up: dict[str, str]) -> Iterator[dict[str, str]]:
    """The healthy shop on a real engine: the variables that lead to it. A fault that a test injects is cleared."""
    yield _lab_up
    if fault_lab.injected():
        fault_lab.clear()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--accept", action="store_true", help="write the transcripts' expectations; review git diff")
