"""A real dm-serve for tests: started until it says that it listens, and told to end."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from dm_tools.records import new

ROOT = Path(__file__).resolve().parent.parent
CANARY = "kXq7ZpL2mWv9"  # a secret that lies where no door may reach


@dataclass(frozen=True)
class Server:
    """A server that runs: its port, the folder of its reports, its process, what it says to people."""

    port: int
    proofs: Path
    process: subprocess.Popen[bytes]
    said: Path

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, **given: Any) -> httpx.Response:
        """One request."""
        return httpx.request(method, self.url + path, timeout=60, trust_env=False, **given)


PATIENCE = "from dm_tools.serve import listening\n{}from dm_tools.commands.serve import main\nmain()"


@contextlib.contextmanager
def serving(
    folder: Path, variables: dict[str, str], *options: str, patience: dict[str, float] | None = None
) -> Iterator[Server]:
    """Run dm-serve on a free port until the end. `patience`: bounds of dm_tools.serve.listening, made shorter."""
    proofs = folder / "proofs"
    proofs.mkdir(exist_ok=True)
    shorter = "".join(f"listening.{name} = {value}\n" for name, value in (patience or {}).items())
    command = [sys.executable, "-c", PATIENCE.format(shorter)] if patience else [str(ROOT / "bin/dm-serve")]
    command += ["--bind", "127.0.0.1:0", "--proofs-dir", str(proofs), *options]
    said = folder / "serve.err"
    with said.open("wb") as errors:
        process = subprocess.Popen(command, env=variables | {"PYTHONPATH": str(ROOT)}, stderr=errors, cwd=folder)
    try:
        deadline = time.monotonic() + 60
        while not (found := re.search(r"listening on http://127\.0\.0\.1:(\d+)/\n", said.read_text())):
            assert process.poll() is None and time.monotonic() < deadline, said.read_text()
            time.sleep(0.05)
        yield Server(int(found[1]), proofs, process, said)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server without Docker, whose inventory is one service; shared by all tests that leave it as it is."""
    folder = tmp_path_factory.mktemp("serve")
    (folder / "stack.jsonl").write_text(json.dumps(new("app", internal=["http://127.0.0.1:9/health"])) + "\n")
    variables = sealed() | {"SECRET": CANARY}
    with serving(folder, variables, "--inventory", str(folder / "stack.jsonl")) as running:
        report = {"report_id": "enhanced-1", "generated_at": 1764500000000, "summary": {"total": 2, "healthy": 1}}
        report |= {"issues": []}
        (running.proofs / "enhanced_diagnostics_1764500000.json").write_text(json.dumps(report))
        (running.proofs / "enhanced_diagnostics_1764500000.html").write_text("<p>page</p>")
        (running.proofs / "secret.json").write_text(json.dumps({"report_id": "x", "summary": {}, "issues": [CANARY]}))
        (running.proofs / "stack_diagnostics_1764500001.json").symlink_to(running.proofs / "secret.json")
        yield running


def sealed() -> dict[str, str]:
    """The tests' environment; imported late, since conftest imports this."""
    from tests.conftest import SEALED

    return SEALED


__all__ = ["CANARY", "PATIENCE", "Server", "server", "serving"]
