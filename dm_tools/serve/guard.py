"""Who may ask the server: before anything else is looked at. Pure but for the counting of a request's body."""

from __future__ import annotations

import asyncio
import hmac
import json
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

MAX_BODY = 1 << 20  # bytes
MAX_HEADERS = 32 << 10
VERSIONS = ("1.0", "1.1")
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
OPEN = frozenset({"/healthz"})  # told without a token: that it lives, and nothing else

_PLACE = re.compile(r"[A-Za-z0-9._:\[\]-]+/?", re.ASCII)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class TooLarge(Exception):
    """A body beyond MAX_BODY."""


def refused(
    path: str, headers: Iterable[tuple[bytes, bytes]], token: str | None, names: frozenset[str]
) -> tuple[int, str, str] | None:
    """Why a request is not answered: status, code, message; None if it is.

    `names`: what this server is called, without a port. A page in a browser that reaches loopback calls it by a name
    of its own (DNS rebinding) or says where it comes from: neither is answered.
    """
    given: dict[bytes, list[str]] = {}
    size = 0
    for name, value in headers:
        size += len(name) + len(value)
        given.setdefault(name.lower(), []).append(value.decode("latin-1"))
    if size > MAX_HEADERS:
        return 431, "too_large", f"headers have at most {MAX_HEADERS >> 10} KiB"
    if b"content-length" in given and b"transfer-encoding" in given:  # whoever is in front may have read it otherwise
        return 400, "wrong_framing", "a length is told twice"
    hosts = given.get(b"host", [])
    if len(hosts) != 1 or _name(f"//{hosts[0]}") not in names:
        return 421, "wrong_host", "this server is not called so: --allow-host NAME lets a name in"
    for origin in given.get(b"origin", []):
        if not _own(origin, hosts[0], names):
            return 403, "wrong_origin", "pages of other origins may not ask"
    if token is not None and path not in OPEN:
        asked = given.get(b"authorization", [])
        kind, _, secret = asked[0].partition(" ") if len(asked) == 1 else ("", "", "")
        if kind.lower() != "bearer" or not hmac.compare_digest(secret.strip().encode(), token.encode()):
            return 401, "unauthorized", "Authorization: Bearer TOKEN is missing or wrong"
    for length in given.get(b"content-length", []):
        if not length.isdigit() or int(length[:12]) > MAX_BODY:
            return 413, "too_large", f"a body has at most {MAX_BODY >> 20} MiB"
    return None


def _own(origin: str, host: str, names: frozenset[str]) -> bool:
    """Whether an origin is this server: what Host says, or a name of ours behind a proxy that writes Host anew.

    Another port is another program's: a page of a service that is looked at is no page of ours.
    """
    scheme, _, place = origin.partition("://")
    if scheme not in ("http", "https") or _name(f"//{place}") not in names:
        return False
    return place.lower() == host.lower() or (place.lower() in names - LOOPBACK)


def _name(url: str) -> str | None:
    if not _PLACE.fullmatch(url.partition("//")[2]):
        return None
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 (raises for what is no port)
    except ValueError:
        return None
    return None if parts.username is not None or parts.path.strip("/") else parts.hostname


class Guard:
    """ASGI middleware: answers for the application where `refused` says so, and bounds every body."""

    def __init__(self, app: Application, token: str | None, names: frozenset[str]) -> None:
        self.app, self.token, self.names = app, token, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        why = refused(scope["path"], scope["headers"], self.token, self.names)
        if scope["http_version"] not in VERSIONS:
            why = 505, "wrong_version", "this server speaks HTTP/1.1"
        if why is not None:
            await _answer(send, *why)
            return
        seen, begun = 0, False

        async def bounded() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body") or b"")
            if seen > MAX_BODY:
                raise TooLarge
            return message

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, bounded, noted)
        except asyncio.CancelledError:  # the server ends, and has waited long enough
            if not begun:
                await _answer(send, 503, "ending", "the server ends")
        except TooLarge:
            if not begun:
                await _answer(send, 413, "too_large", f"a body has at most {MAX_BODY >> 20} MiB")


async def _answer(send: Send, status: int, code: str, message: str) -> None:
    body = json.dumps({"error": {"code": code, "message": message}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(b"www-authenticate", b"Bearer")] if status == 401 else []
    await send({"type": "http.response.start", "status": status, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})
