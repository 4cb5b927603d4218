"""A real HAProxy with a configuration of the docker-proxy, and a witness that stands behind it in an engine's place."""

from __future__ import annotations

import contextlib
import os
import socketserver
import subprocess
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Thread
from typing import Any

CONFIGS = Path(__file__).resolve().parent.parent / "configs/docker-proxy"


class Witness(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Hears what the proxy lets through, and answers 200."""

    def __init__(self, path: Path) -> None:
        self.heard: list[tuple[str, str]] = []
        super().__init__(str(path), _Answer)

    def handle_error(self, *_: Any) -> None:
        """The proxy may hang up."""


class _Answer(BaseHTTPRequestHandler):
    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self._any
        raise AttributeError(name)

    def _any(self) -> None:
        self.server.heard.append((self.command, self.path))  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def witness(path: Path) -> Iterator[Witness]:
    """A witness on a unix socket, until the end."""
    with Witness(path) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@contextlib.contextmanager
def started(folder: Path, engine: Path | str, config: str = "haproxy", **variables: str) -> Iterator[Path]:
    """The proxy before an engine's socket, until the end: its own socket."""
    own = folder / f"{config}-{len(variables)}.sock"
    process = subprocess.Popen(
        ["/usr/sbin/haproxy", "-db", "-f", CONFIGS / f"{config}.cfg"],
        env=os.environ | {"DM_PROXY_BIND": f"unix@{own}", "DM_PROXY_ENGINE": f"unix@{engine}"} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        deadline = time.monotonic() + 10
        while not own.exists():
            assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
            time.sleep(0.02)
        yield own
    finally:
        process.terminate()
        process.communicate(timeout=10)
