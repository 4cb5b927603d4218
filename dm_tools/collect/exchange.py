"""One request over HTTP and its answer: the one module that imports `h11`."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, unquote

from dm_tools import __version__

if TYPE_CHECKING:
    import h11

USER_AGENT = f"dm-probe/{__version__}"
MAX_HEAD_BYTES = 100 * 1024  # of what comes before a body


class Exchange:
    """One request and its answer on a connection, as h11 reads it. Raises h11.RemoteProtocolError."""

    @staticmethod
    def load() -> None:
        """Import the library now: the times of the first exchange must not hold that."""
        import h11  # noqa: F401

    def __init__(self, reader: asyncio.StreamReader) -> None:
        import h11

        self._reader = reader
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)

    def request(self, method: str, path: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
        """The bytes of a request without a body."""
        import h11

        sent = self._connection.send(h11.Request(method=method, target=path, headers=headers))
        return (sent or b"") + (self._connection.send(h11.EndOfMessage()) or b"")

    async def answer(self) -> h11.Response | h11.InformationalResponse:
        """Status and headers."""
        import h11

        while True:
            event = await self._event()
            if isinstance(event, h11.Response) or (
                isinstance(event, h11.InformationalResponse) and event.status_code == 101
            ):
                return event

    async def body(self) -> bytes:
        """The next piece of the body; empty at its end."""
        import h11

        event = await self._event()
        return bytes(event.data) if isinstance(event, h11.Data) else b""

    async def _event(self) -> Any:
        import h11

        while (event := self._connection.next_event()) is h11.NEED_DATA:
            data = await self._reader.read(MAX_HEAD_BYTES)
            if not data and self._connection.their_state is h11.SEND_RESPONSE:
                raise h11.RemoteProtocolError("server disconnected without an answer")
            self._connection.receive_data(data)
        return event


def path_of(parts: SplitResult) -> bytes:
    """What of a URL stands in the first line of a request."""
    path = parts._replace(scheme="", netloc="", fragment="").geturl()
    return quote(path if path.startswith("/") else f"/{path}", safe="%/:?#[]@!$&'()*+,;=~").encode()


def headers_of(parts: SplitResult, given: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Ours for a URL, but for those that are given; a user and a password in the URL beat a header that is."""
    ours = {"Host": host_header(parts), "User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}
    ours |= {"Connection": "close"}
    theirs = dict(given)
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        theirs = {name: value for name, value in theirs.items() if name.lower() != "authorization"}
        theirs["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    replaced = {name.lower() for name in theirs}
    headers = {name: value for name, value in ours.items() if name.lower() not in replaced} | theirs
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def header(answer: h11.Response | h11.InformationalResponse, name: bytes) -> str:
    """The value of a header, empty if there is none; `name` in lower case."""
    value = b", ".join(value for key, value in answer.headers if key == name)
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def host_header(parts: SplitResult) -> str:
    """The host and port of a URL as they stand in a request."""
    host = parts.netloc.rpartition("@")[2]
    return host if host.isascii() else host.encode("idna").decode()
