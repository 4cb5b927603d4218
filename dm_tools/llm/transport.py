"""How requests go to a model: to its address only, and with an end. The only module that imports `httpx2`, which is
what `openai` stands on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

MAX_ANSWER = 1024 * 1024  # bytes of one answer


def client(seconds: Callable[[], float]) -> Any:
    """An HTTP client without redirects and proxies, whose answers are small, plain and over in time.

    `seconds`: how long an answer may take that begins now. The library's own time-out is one of each read, and it would
    unpack and parse whatever comes, in one piece, for minutes.
    """
    import httpx2

    class _Answer(httpx2.SyncByteStream):
        def __init__(self, stream: Any) -> None:
            self.stream = stream

        def __iter__(self) -> Iterator[bytes]:
            size, ends = 0, time.monotonic() + seconds()
            for part in self.stream:
                size += len(part)
                if size > MAX_ANSWER:
                    raise httpx2.ReadError("the answer is too large")
                if time.monotonic() > ends:
                    raise httpx2.ReadTimeout("the answer takes too long")
                yield part

        def close(self) -> None:
            self.stream.close()

    class _Transport(httpx2.HTTPTransport):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            request.headers["Accept-Encoding"] = "identity"
            response = super().handle_request(request)
            if response.headers.get("Content-Encoding", "identity") != "identity":
                response.close()
                raise httpx2.ReadError("the answer is compressed, which was not asked for")
            return httpx2.Response(response.status_code, headers=response.headers, stream=_Answer(response.stream))

    return httpx2.Client(transport=_Transport(), follow_redirects=False)
