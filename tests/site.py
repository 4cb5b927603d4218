"""A web site on loopback for tests of the browser: pages from tests/data/pages, and pages that misbehave."""

from __future__ import annotations

import contextlib
import ssl
import threading
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

FOLDER = ROOT / "tests" / "data" / "pages"
PAGES: dict[str, dict[str, Any]] = tomllib.loads((FOLDER / "pages.toml").read_text())


def path_of(name: str) -> str:
    """Where the site has a recorded page."""
    return str(PAGES[name].get("path", f"/{name}"))


class Answer(BaseHTTPRequestHandler):
    """One request to a site."""

    protocol_version = "HTTP/1.1"
    site: Site

    def do_GET(self) -> None:
        self.site.requests.append((self.path, dict(self.headers)))
        with contextlib.suppress(OSError):
            self.answer(self.path.partition("?")[0])

    def answer(self, path: str) -> None:
        if path in self.site.pages:
            self.site.pages[path](self)
            return
        for name, page in PAGES.items():
            if path == path_of(name):
                kind = page.get("type", "text/html; charset=utf-8")
                self.send(page.get("status", 200), (FOLDER / page["file"]).read_bytes(), **{"Content-Type": kind})
                return
        self.send(404, b"no such page")

    def send(self, status: int, body: bytes, **headers: str) -> None:
        """A whole answer."""
        self.send_response(status)
        for name, value in ({"Content-Type": "text/html; charset=utf-8"} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *arguments: object) -> None:
        pass  # a browser that has seen enough hangs up


@dataclass
class Site:
    """A running site: where it is, what it was asked, and pages that a test adds."""

    url: str
    handler: type[Answer]
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    pages: dict[str, Callable[[Answer], None]] = field(default_factory=dict)

    def html(self, path: str, body: str, status: int = 200, **headers: str) -> str:
        """Add a page; returns its URL."""
        self.pages[path] = lambda answer: answer.send(status, body.encode(), **headers)
        return self.url + path


@contextlib.contextmanager
def serve(tls: tuple[Path, Path] | None = None, host: str = "127.0.0.1") -> Iterator[Site]:
    """A site, with TLS if a certificate and key are given."""

    class handler(Answer):  # its own, so that a test can have it take other methods
        pass

    server = _Server((host, 0), handler)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    site = Site(f"{'https' if tls else 'http'}://{host}:{server.server_port}", handler)
    handler.site = site
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
