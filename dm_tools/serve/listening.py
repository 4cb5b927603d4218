"""The server itself: where it listens, how patient it is with its callers, how it ends; the only module that imports
`uvicorn` (and h11 with it).
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from dm_tools import redact
from dm_tools.pipe import exits, say

REQUEST_SECONDS = 15.0  # that a request may take to arrive, from its first byte (or the connection's begin) to its last
IDLE_SECONDS = 30  # that a connection may stay open between two requests
UNREAD_SECONDS = 60.0  # that a caller may let an answer wait without reading on
GRACE_SECONDS = 5  # that requests have to end when the server does
MAX_HEAD = 64 * 1024  # bytes of a request's head
MAX_CONNECTIONS = 1_000
LATE = (
    b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 72\r\n\r\n"
    b'{"error": {"code": "too_slow", "message": "the request did not arrive"}}'
)


def run(application: Any, host: str, port: int, ending: Callable[[], Awaitable[None]]) -> None:
    """Answer until a signal; says where it listens once it does. `ending`: what is awaited before requests are given
    up. Raises exits.Stop if it cannot listen there."""
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Patient(H11Protocol):
        """A connection with an end to each wait. uvicorn's own timer is for what is idle between two requests only:
        a head or a body that comes byte by byte would hold a connection for ever."""

        _arrives: asyncio.TimerHandle | None = None
        _read: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._arrives = self.loop.call_later(REQUEST_SECONDS, self._late)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._watch()

        def _watch(self) -> None:
            """One timer from the first byte of a request to its last."""
            name = str(self.conn.their_state)
            begun = name == "SEND_BODY" or (name == "IDLE" and bool(self.conn.trailing_data[0]))
            if not begun:
                self._stop()
            elif self._arrives is None:
                self._arrives = self.loop.call_later(REQUEST_SECONDS, self._late)

        def _stop(self) -> None:
            if self._arrives is not None:
                self._arrives.cancel()
                self._arrives = None

        def _late(self) -> None:
            if not self.transport.is_closing() and not self._answering():
                self.transport.write(LATE)
            self.transport.close()

        def _answering(self) -> bool:
            return self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete

        def pause_writing(self) -> None:
            super().pause_writing()
            self._read = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            if self._read is not None:
                self._read.cancel()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop()
            if self._read is not None:
                self._read.cancel()
            super().connection_lost(exc)

    class Told(uvicorn.Server):
        """Says that it listens when it does, and ends what runs before it waits for requests to end."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            place = f"[{host}]" if ":" in host else host
            say.note(f"listening on http://{place}:{places[0].getsockname()[1]}/")

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # that requests are given up is no news now
            await ending()
            await super().shutdown(sockets)

    places = _places(host, port)
    logging.getLogger().addHandler(_Spoken(logging.ERROR))
    config = uvicorn.Config(
        application,
        http=Patient,
        ws="none",
        log_config=None,
        log_level="error",  # a request that is no HTTP is answered, and none of our business
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        h11_max_incomplete_event_size=MAX_HEAD,
    )
    loop = asyncio.new_event_loop()  # never closed: that would wait for the threads of tools, and the process ends here
    loop.run_until_complete(Told(config).serve(places))


class _Spoken(logging.Handler):
    """What a library has to say, as one line for people: the kind of an exception, not its traceback."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and type(record.exc_info[1]).__name__ == "ClientDisconnect":
            return  # whoever asked has gone: nothing is wrong here
        why = f": {type(record.exc_info[1]).__name__}: {record.exc_info[1]}" if record.exc_info else ""
        say.note(redact.redact(f"{record.getMessage().strip()}{why}"))


def _places(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen: on each address of a name. Raises exits.Stop."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        made: list[socket.socket] = []
        for family, _, _, _, address in dict.fromkeys(found):
            port = made[0].getsockname()[1] if made else port
            made.append(socket.create_server((str(address[0]), port), family=family, backlog=2_048))
        return made
    except OSError as failure:
        number = failure.errno or 0  # of a name that is not known it is negative
        why = os.strerror(number) if number > 0 else failure.strerror or str(failure)
        raise exits.Stop(exits.USAGE, f"cannot listen on {host}:{port}: {why.lower()}") from None
