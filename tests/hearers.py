"""Servers on loopback that are told: one for mail, one for HTTP; well, refusing, slow."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from aiosmtpd.controller import Controller


class Web:
    """An HTTP server; keeps what was posted. `codes`: what it answers, one after another, the last one for ever.
    `arrived` is called when a message is there and nothing is answered yet."""

    def __init__(self, *codes: int, wait: float = 0.0, arrived: Callable[[], None] | None = None) -> None:
        self.codes, self.wait = list(codes or [200]), wait
        self.heard: list[tuple[str, dict[str, str], bytes]] = []
        self.asked = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.asked += 1
                code = outer.codes.pop(0) if len(outer.codes) > 1 else outer.codes[0]
                time.sleep(outer.wait)
                if arrived is not None:
                    arrived()
                if code < 300:
                    outer.heard.append((self.path, dict(self.headers), body))
                self.send_response(code)
                self.send_header("Content-Length", "2")
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.end_headers()
                self.wfile.write(b"{}")

            do_PUT = do_POST

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda request, client: None  # type: ignore[method-assign] # it was hung up on
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=[0.02], daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def bodies(self) -> list[dict[str, Any]]:
        """What was posted, as JSON."""
        return [json.loads(body) for _, _, body in self.heard]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Mail(Controller):
    """An SMTP server; keeps the mails."""

    def __init__(self) -> None:
        super().__init__(self, hostname="127.0.0.1", port=0, ready_timeout=10)
        self.mails: list[EmailMessage] = []

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]  # the one that was free
        super()._trigger_server()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"

    @property
    def url(self) -> str:
        """As apprise has it."""
        return f"mailto://127.0.0.1:{self.port}?from=watch@example.com&to=ops@example.com&mode=insecure"


@pytest.fixture
def hears() -> Iterator[Any]:
    """Starts HTTP servers."""
    started: list[Web] = []

    def start(*codes: int, wait: float = 0.0) -> Web:
        started.append(Web(*codes, wait=wait))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
def smtp() -> Iterator[Mail]:
    """An SMTP server."""
    server = Mail()
    server.start()
    yield server
    server.stop()
