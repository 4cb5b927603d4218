"""The way of one browser tab to the world: a SOCKS5 server (RFC 1928) on loopback, in the browser's event loop.

Why not the browser's own `--host-resolver-rules`: they are fixed when it starts, but the stream of records goes on.

- Names are looked up where the services live (in containers), for all that a page loads. Host header and SNI stay as
  written, since the bytes pass untouched.
- The browser itself asks no name server, and nobody whom the page does not ask.
- How much a page may load is bounded, and why a connection failed is known.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import Callable
from urllib.parse import urlsplit

from dm_tools import records
from dm_tools.collect import http
from dm_tools.records import ProbeError

MAX_BYTES = 16 * 1024 * 1024  # what one page may load

Place = tuple[tuple[str, int] | None, tuple[ProbeError, str] | None]
Resolve = Callable[[str, int], Place]  # where a host and port lead: an address, or why nowhere; neither: as written


def key(host: str) -> str:
    """A URL's host as a browser asks for it: an IPv6 address may be written in many ways."""
    try:
        return str(ipaddress.IPv6Address(host))
    except ValueError:
        return host


def as_written(host: str, port: int) -> Place:
    """Every name means what it means to this machine's resolver."""
    return None, None


class Proxy:
    """The server; begins anew for each page (`forget`)."""

    def __init__(self) -> None:
        self.server: asyncio.Server | None = None
        self.writers: set[asyncio.StreamWriter] = set()
        self.forget(as_written)

    def forget(self, resolve: Resolve) -> None:
        """Begin anew for another page."""
        self.resolve = resolve
        self.failed: dict[tuple[str, int], tuple[ProbeError, str]] = {}
        self.places: dict[tuple[str, int], Place] = {}
        self.received = 0
        self.drop()

    def drop(self) -> None:
        """Cut all connections: the next page must not speak through them."""
        for writer in list(self.writers):
            writer.transport.abort()
        self.writers.clear()

    async def open(self) -> int:
        """Listen; returns the port."""
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self.server.sockets[0].getsockname()[1]
        return port

    def close(self) -> None:
        """Listen no more."""
        if self.server is not None:
            self.server.close()
        self.drop()

    def why_failed(self, url: str) -> tuple[ProbeError, str] | None:
        """Why nothing answers where a URL leads, if that is known."""
        parts = urlsplit(url)
        return self.failed.get((key(parts.hostname or ""), parts.port or http.DEFAULT_PORTS.get(parts.scheme, 0)))

    @property
    def cut(self) -> bool:
        return self.received > MAX_BYTES

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward: asyncio.StreamWriter | None = None
        self.writers.add(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError):
            host, port = await self._asked(reader, writer)
            try:
                back, onward = await self._connect(host, port)
            except (OSError, TimeoutError, UnicodeError, records.Problem) as failure:
                self.failed[host, port] = _why(failure)
                writer.write(b"\x05\x05\x00\x01" + bytes(6))
            else:
                self.writers.add(onward)
                writer.write(b"\x05\x00\x00\x01" + bytes(6))
                await asyncio.gather(self._pump(reader, onward), self._pump(back, writer, counts=True))
        for each in (writer, onward):
            if each is not None:
                self.writers.discard(each)
                each.close()

    async def _asked(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, int]:
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(b"\x05\x00")
        _, command, _, kind = await reader.readexactly(4)
        if command != 1:
            raise ValueError("only connections")
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode("ascii")
        elif kind == 1:
            host = ".".join(map(str, await reader.readexactly(4)))
        else:
            raw = await reader.readexactly(16)
            host = str(ipaddress.IPv6Address(raw))
        return host, int.from_bytes(await reader.readexactly(2), "big")

    async def _connect(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if (host, port) not in self.places:
            loop = asyncio.get_running_loop()
            self.places[host, port] = await loop.run_in_executor(None, self.resolve, host, port)
        address, refused = self.places[host, port]
        if refused is not None:
            raise records.Problem(*refused)
        return await asyncio.open_connection(*(address or (host, port)))

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, counts: bool = False) -> None:
        try:
            while not self.cut and (data := await source.read(65536)):
                self.received += len(data) if counts else 0
                sink.write(data)
                await sink.drain()
        finally:
            sink.close()


def _why(failure: Exception) -> tuple[ProbeError, str]:
    if isinstance(failure, records.Problem):
        known = set(ProbeError)
        return ProbeError(failure.code) if failure.code in known else ProbeError.UNREACHABLE, failure.message
    return http.classify(failure)
