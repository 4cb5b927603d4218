"""How an engine's answers come: each with an end and a bound, whatever the engine does, and from itself only.

The library's timeout is one for each read of a socket: an engine that sends a byte now and then has for ever, and an
endless answer is kept in memory until there is none.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import urlsplit

MAX_LIST = 32 * 1024 * 1024  # bytes of the list of containers: thousands with all their labels
MAX_ANSWER = 8 * 1024 * 1024  # of any other answer, but for a log's
MAX_PIECE = 4 * 1024 * 1024  # of what a container wrote at once; engines cut it at 16 KiB, or at a line's end
PIECE = 64 * 1024


class TooLong(ValueError):  # as its message says
    """An answer is longer than any that is one."""


class Body:
    """The body of an answer in place of urllib3's: not decompressed, `seconds` and `most` bytes at most (None: any).

    Reading raises TimeoutError and TooLong.
    """

    def __init__(self, raw: Any, seconds: float, most: int | None) -> None:
        self._raw = raw
        self._ends = time.monotonic() + seconds
        self._most = most
        self._size = 0

    def read(self, amount: int) -> bytes:
        """That many bytes, or fewer at the end."""
        if amount > MAX_PIECE:
            raise TooLong(f"its answer has a piece of more than {MAX_PIECE >> 20} MiB")
        pieces: list[bytes] = []
        while amount > 0 and (piece := self._next(amount)):
            pieces.append(piece)
            amount -= len(piece)
        return b"".join(pieces)

    def stream(self, amount: int, decode_content: bool = False) -> Iterator[bytes]:
        """All of it as it comes, in pieces of at most `amount` bytes. How requests reads, too."""
        while piece := self._next(amount):
            yield piece

    def _next(self, amount: int) -> bytes:
        piece: bytes = self._raw.read1(min(amount, PIECE), decode_content=False)
        self._size += len(piece)
        if self._most is not None and self._size > self._most:
            raise TooLong(f"its answer is longer than {self._most >> 20} MiB")
        if time.monotonic() > self._ends:
            raise TimeoutError("its answer did not end in time")
        return piece

    def close(self) -> None:
        """Hang up."""
        self._raw.close()

    def release_conn(self) -> None:
        """The connection may be used again."""
        self._raw.release_conn()


def load() -> None:
    """Import the library, without what only ssh:// needs: to import paramiko takes as long as all the rest."""
    if "docker" in sys.modules:
        return
    sys.modules.setdefault("paramiko", None)  # type: ignore[arg-type] # the library does without what it cannot import
    try:
        import docker
        import docker.utils  # noqa: F401
    finally:
        if sys.modules["paramiko"] is None:
            del sys.modules["paramiko"]


def client(**settings: Any) -> Any:
    """A docker.APIClient that is bounded so; `settings` are its own, with a `timeout`."""
    if str(settings["base_url"]).startswith("ssh://"):
        import docker.api.client

        with contextlib.suppress(ImportError):  # then the library says what is missing
            from docker.transport.sshconn import SSHHTTPAdapter

            docker.api.client.SSHHTTPAdapter = SSHHTTPAdapter  # type: ignore[attr-defined] # see `load`
    return _class()(**settings)


@cache
def _class() -> Any:
    import docker

    class Client(docker.APIClient):
        """The library's client with a bound to all that it is sent."""

        def send(self, request: Any, **options: Any) -> Any:
            """One request, as requests.Session.send."""
            whole = not options.get("stream")
            request.headers["Accept-Encoding"] = "identity"
            # An engine sends nobody elsewhere; whoever does is none.
            answer = super().send(request, **options | {"stream": True, "allow_redirects": False})
            path = urlsplit(request.url).path
            most = None if path.endswith("/logs") else MAX_LIST if path.endswith("/containers/json") else MAX_ANSWER
            answer.raw = Body(answer.raw, self.timeout, most if answer.ok else MAX_ANSWER)
            if whole:
                try:
                    answer.content  # noqa: B018 # read here, and kept
                except BaseException:
                    answer.close()
                    raise
            return answer

    return Client
