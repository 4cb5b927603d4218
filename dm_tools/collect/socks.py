"""The way of one browser tab to the world: a SOCKS5 server (RFC 1928) on loopback, in the browser's event loop.

Why not the browser's own `--host-resolver-rules`: they are fixed when it starts, but the stream of records goes on.

- Names are looked up where the services live (in containers), for all that a page loads. Host header and SNI stay as
  written, since the bytes pass untouched.
- A name is looked up once for a page, and what is connected to is the address that `reach` has judged.
- The browser itself asks no name server, and nobody whom the page does not ask.
- How much a page may load is bounded, and why a connection failed is known.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from dm_tools import records
from dm_tools.collect import failures, reach
from dm_tools.records import ProbeError

MAX_BYTES = 16 * 1024 * 1024  # what one page may load

Refusal = tuple[ProbeError, str]
Place = tuple[tuple[str, int] | None, Refusal | None]
Resolve = Callable[[str, int], Place]  # where a host and port lead: an address, or why nowhere; neither: as written


def as_written(host: str, port: int) -> Place:
    """Every name means what it means to this machine's resolver."""
    return None, None


@dataclass(frozen=True)
class Way:
    """Where a page's requests may lead. `named`: the places of the inventory's URLs; `stack`: what else is the stack's,
    asked for only where that matters."""

    resolve: Resolve = as_written
    named: frozenset[reach.Place] = frozenset()
    stack: Callable[[], reach.Known] = reach.Known


AS_WRITTEN = Way()
# Between two pages nobody is asked for anything.
NOWHERE = Way(lambda host, port: (None, (ProbeError.NOT_ALLOWED, "no page is shown")))


@dataclass
class _Visit:
    """What belongs to one page: a connection that outlives it stays one of its own."""

    way: Way
    failed: dict[tuple[str, int], Refusal] = field(default_factory=dict)
    places: dict[tuple[str, int], asyncio.Future[list[tuple[str, int]]]] = field(default_factory=dict)
    received: int = 0


class Proxy:
    """The server; begins anew for each page (`forget`)."""

    def __init__(self) -> None:
        self.server: asyncio.Server | None = None
        self.writers: set[asyncio.StreamWriter] = set()
        self.forget(NOWHERE)

    def forget(self, way: Way) -> None:
        """Begin anew for another page."""
        self.visit = _Visit(way)
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

    def why_failed(self, url: str) -> Refusal | None:
        """Why nothing answers where a URL leads, if that is known."""
        place = reach.origin(url)
        return self.visit.failed.get(place[1:]) if place else None

    @property
    def refused(self) -> list[str]:
        """Whom the page wanted to be asked and who was not, and why."""
        return [why for code, why in self.visit.failed.values() if code == ProbeError.NOT_ALLOWED]

    @property
    def cut(self) -> bool:
        return self.visit.received > MAX_BYTES

    async def addresses(self, host: str, port: int) -> list[tuple[str, int]]:
        """Where a host and port of this page may be connected to, looked up once. Raises OSError, Problem."""
        return await self._addresses(self.visit, reach.host(host), port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward: asyncio.StreamWriter | None = None
        visit = self.visit
        self.writers.add(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError):
            host, port = await self._asked(reader, writer)
            try:
                back, onward = await self._connect(visit, host, port)
            except (OSError, TimeoutError, UnicodeError, records.Problem) as failure:
                visit.failed[host, port] = _why(failure)
                forbidden = visit.failed[host, port][0] == ProbeError.NOT_ALLOWED
                writer.write(b"\x05%c\x00\x01" % (2 if forbidden else 5) + bytes(6))
            else:
                self.writers.add(onward)
                writer.write(b"\x05\x00\x00\x01" + bytes(6))
                pump = self._pump(visit, back, writer, counts=True)
                await asyncio.gather(self._pump(visit, reader, onward), pump)
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
            host = str(ipaddress.IPv6Address(await reader.readexactly(16)))
        return reach.host(host), int.from_bytes(await reader.readexactly(2), "big")

    async def _connect(self, visit: _Visit, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        failure: OSError | None = None
        for place in await self._addresses(visit, host, port):
            try:
                return await asyncio.open_connection(*place)
            except OSError as failed:
                failure = failure or failed
        assert failure is not None
        raise failure

    async def _addresses(self, visit: _Visit, host: str, port: int) -> list[tuple[str, int]]:
        asked = host, port
        if asked not in visit.places:
            visit.places[asked] = asyncio.ensure_future(_judged(visit.way, *asked))
        try:
            return await asyncio.shield(visit.places[asked])
        except OSError:  # a name server that failed once may answer the next time
            visit.places.pop(asked, None)
            raise

    async def _pump(
        self, visit: _Visit, source: asyncio.StreamReader, sink: asyncio.StreamWriter, counts: bool = False
    ) -> None:
        try:
            while visit.received <= MAX_BYTES and (data := await source.read(65536)):
                visit.received += len(data) if counts else 0
                sink.write(data)
                await sink.drain()
        finally:
            sink.close()


async def _judged(way: Way, host: str, port: int) -> list[tuple[str, int]]:
    """The addresses of a host that may be connected to. Raises Problem not_allowed, and what looking up raises."""
    loop = asyncio.get_running_loop()
    place, refused = await loop.run_in_executor(None, way.resolve, host, port)
    if refused is not None:
        raise records.Problem(*refused)
    via = place or (host, port)
    answers = await loop.getaddrinfo(*via, type=socket.SOCK_STREAM)
    found = list(dict.fromkeys(str(answer[4][0]) for answer in answers))
    known, why = reach.Known(way.named), None
    for more in (reach.Known, way.stack):
        known |= await loop.run_in_executor(None, more)
        fit = []
        for address in found:
            own = is_own(address)
            no = reach.why_not(host, port, address, known, own) and reach.why_not(*via, address, known, own)
            fit += [] if no else [(address, via[1])]
            why = why or no
        if fit:
            return fit
    raise records.Problem(ProbeError.NOT_ALLOWED, why or f"{host!r} leads to no address")


def is_own(address: str) -> bool:
    """Whether an address is one of this machine's: what it would answer from. Nothing is sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.connect((address, 9))
        return reach.plain(asking.getsockname()[0]) == reach.plain(address)
    return False


def _why(failure: Exception) -> Refusal:
    if isinstance(failure, records.Problem):
        known = set(ProbeError)
        return ProbeError(failure.code) if failure.code in known else ProbeError.UNREACHABLE, failure.message
    return failures.classify(failure)
