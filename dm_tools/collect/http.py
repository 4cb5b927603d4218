"""HTTP, TLS and TCP checks: it sends requests that only look, and opens connections.

A check that fails because another protocol is spoken than was asked for says which one it is.

Every check has one deadline for everything (name, connection, TLS, headers, redirects). A check never raises: what
went wrong is its `error`, from the closed list `records.ProbeError`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ssl
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

from dm_tools.collect import reach
from dm_tools.collect.certificates import certificate, judge_dates
from dm_tools.collect.exchange import USER_AGENT, Exchange, header, headers_of, host_header, path_of
from dm_tools.collect.failures import ALERT, CLIENT_CERTIFICATE, NO_TLS, classify
from dm_tools.records import Certificate, Check, ProbeError
from dm_tools.text.late import late

MAX_BODY_BYTES = 8 * 1024
BODY_SECONDS = 1.0  # an event stream never ends: what has come by then must do
MAX_REDIRECTS = 5
EYEBALLS_SECONDS = 0.25  # until the next of several addresses of a name is tried beside (RFC 8305)
DEFAULT_PORTS = {"http": 80, "https": 443}
HTTP2_ONLY = "it speaks HTTP/2 only"

TLS_ERRORS = (
    *(ProbeError.TLS_EXPIRED, ProbeError.TLS_NOT_YET_VALID, ProbeError.TLS_UNTRUSTED, ProbeError.TLS_HOSTNAME),
    *(ProbeError.TLS_CLIENT_CERTIFICATE, ProbeError.TLS_ERROR),
)
_NOT_UNDERSTOOD = (ProbeError.TLS_ERROR, ProbeError.RESET, ProbeError.BAD_RESPONSE)
# What servers answer to plain HTTP on a port for TLS: nginx, Go, Tomcat, Apache.
_WANTS_TLS = late(
    r"(?i)plain HTTP request was sent to HTTPS|HTTP request to an HTTPS|requires TLS|plain HTTP to an SSL"
)
_ADDRESS = late(r"[\d.]+|.*:.*")
_MEDIA_TYPE = late(r"[a-z0-9.+-]{1,60}/[a-z0-9.+-]{1,80}")
_WANTS_CERTIFICATE = late(r"(?i)No required SSL certificate was sent")


@dataclass
class Target:
    """A URL to ask, and the address to ask instead of looking the name up.

    `refused` is why it cannot be asked at all: the container that it names is not running, or has no address.
    """

    id: str
    url: str
    scope: str
    address: tuple[str, int] | None = None
    refused: tuple[ProbeError, str] | None = None
    parts: SplitResult = field(init=False)

    def __post_init__(self) -> None:
        self.parts = urlsplit(self.url)

    @property
    def port(self) -> int:
        """The port; 0 if there is none. Raises ValueError if it is no port."""
        port = self.parts.port
        return DEFAULT_PORTS.get(self.parts.scheme, 0) if port is None else port

    @property
    def connect_to(self) -> tuple[str, int]:
        return self.address or (self.parts.hostname or "", self.port)

    def spoken_to(self, scheme: str) -> Target:
        """The same place, asked in another way; tcp and tls have no path."""
        host = self.parts.hostname or ""
        host = f"[{host}]" if ":" in host else host
        netloc = host if self.port == DEFAULT_PORTS.get(scheme) else f"{host}:{self.port}"
        path = (self.parts.path or "/") if scheme in DEFAULT_PORTS else ""
        return replace(self, url=f"{scheme}://{netloc}{path}")


@dataclass(frozen=True)
class Manner:
    """How a target is asked. `verify` false: any certificate will do. `handshake_seconds`: what connecting may take of
    the whole time. `greeting_seconds`: how long a server that is only connected to may take to speak first. `headers`:
    sent beside our own, which they may replace. `method`: one that only looks.
    """

    verify: bool = True
    handshake_seconds: float | None = None
    greeting_seconds: float = 0.2
    headers: tuple[tuple[str, str], ...] = ()
    method: str = "GET"


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    """One event loop in a thread of its own: a check that is abandoned at its deadline costs a task, no thread."""
    loop = asyncio.new_event_loop()
    loop.set_default_executor(ThreadPoolExecutor(64))  # name look-ups: slow ones must not queue up fast ones
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return loop


@functools.cache
def _trusting(verify: bool, http2: bool = False) -> ssl.SSLContext:
    """One TLS context for all checks: building one reads the whole trust store. $SSL_CERT_FILE counts.

    `http2` is offered in handshakes after which nothing is said.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["h2", "http/1.1"] if http2 else ["http/1.1"])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def warm_up() -> None:
    """Load the library before the first record is here: a check's times must not hold that."""
    Exchange.load()
    _loop()


_LOADING = threading.Lock()


def trust() -> None:
    """Load the trust store, before a check over TLS for the same reason; from any thread, and once for all."""
    with _LOADING:
        _trusting(True)


def run(checks: list[Coroutine[Any, Any, Check | None]]) -> list[Check]:
    """Make all checks at the same time; those that come to nothing are left out."""

    async def everything() -> list[Check]:
        return [check for check in await asyncio.gather(*checks) if check is not None]

    return asyncio.run_coroutine_threadsafe(everything(), _loop()).result()


async def check(target: Target, timeout: float, manner: Manner | None = None) -> Check:
    """Ask a target; takes at most `timeout` seconds in all."""
    return (await greeted(target, timeout, manner))[0]


async def greeted(target: Target, timeout: float, manner: Manner | None = None) -> tuple[Check, bytes | None]:
    """The same, and how a server that was only connected to began to speak; None: it was silent for that long."""
    scheme, manner = target.parts.scheme, manner or Manner()
    check = Check(
        id=target.id, url=target.url, kind=scheme if scheme in ("tcp", "tls") else "http", scope=target.scope, ok=False
    )
    started, greeting = time.monotonic(), None
    if target.refused is not None:
        check.error, check.message = target.refused
        return check, None
    try:
        async with asyncio.timeout(timeout):
            if scheme == "tcp":
                greeting = await _tcp(target, check, manner)
            else:
                await (_tls if scheme == "tls" else _http)(target, check, manner)
    except TimeoutError:
        check.error, check.message = ProbeError.TIMEOUT, f"no answer within {timeout:g} s"
    except Exception as failure:
        check.error, check.message = classify(failure)
    check.total_ms = _ms(started)
    if check.error is not None and scheme != "tcp":
        with contextlib.suppress(OSError, TimeoutError, ValueError):
            async with asyncio.timeout(timeout - (time.monotonic() - started)):
                await _look_closer(target, check, manner)
    check.ok = check.error is None
    return check, greeting


def _ms(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 1)


async def _tcp(target: Target, check: Check, manner: Manner) -> bytes | None:
    host, port = target.connect_to
    started = time.monotonic()
    reader, writer = await asyncio.open_connection(host, port)
    check.connect_ms = _ms(started)
    check.address = f"{host}:{port}"
    try:
        if target.scope == "external":
            # Docker's port proxy accepts first and resets when nothing listens behind it: look once more.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(manner.greeting_seconds):
                    if greeting := await reader.read(64):
                        return greeting
                    raise ConnectionResetError("connection closed at once")
        return None
    finally:
        writer.close()


async def _tls(target: Target, check: Check, manner: Manner) -> None:
    started = time.monotonic()
    check.certificate, protocol = await _handshake(target, manner.verify)
    check.tls_ms = _ms(started)
    check.address = "{}:{}".format(*target.connect_to)
    if protocol == "h2":
        check.kind = "h2"


async def _http(target: Target, check: Check, manner: Manner) -> None:
    url, home = target.url, reach.origin(target.url)
    peer: tuple[str, int] | None = None  # who answered: a name may lead elsewhere the next time
    for _ in range(MAX_REDIRECTS + 1):
        location, peer = await _get(target, url, check, manner, peer)
        onward = urljoin(url, location) if location else None
        # A redirect to somewhere else (a login portal) is an answer; we ask nobody we were not told to ask.
        place = reach.origin(onward) if onward else None
        if not onward or not place or not home or place[1:] != home[1:] or place[0] not in DEFAULT_PORTS:
            break
        url = onward
        check.redirects += 1
    else:
        check.error = ProbeError.TOO_MANY_REDIRECTS
        check.message = f"more than {MAX_REDIRECTS} redirects"
        return
    code = check.status_code or 0
    if code >= 500:
        check.error, check.message = ProbeError.HTTP_5XX, f"HTTP status {code}"
    elif code >= 400 and code != 401:  # 401: it is alive and asks who we are
        check.error, check.message = ProbeError.HTTP_4XX, f"HTTP status {code}"


async def _get(
    target: Target, url: str, check: Check, manner: Manner, peer: tuple[str, int] | None
) -> tuple[str | None, tuple[str, int]]:
    """One GET, of `peer` if there was an answer before; fills the check in, returns where a redirect leads and who
    answered."""
    parts, begun = urlsplit(url), time.monotonic()
    reader, writer = await _connected(target, parts, check, manner, peer)
    try:
        tls = writer.get_extra_info("ssl_object")
        if tls is not None:
            shown = tls.getpeercert(True)
        exchange = Exchange(reader)
        writer.write(exchange.request(manner.method, path_of(parts), headers_of(parts, manner.headers)))
        answer = await exchange.answer()
        check.status_code = answer.status_code
        check.first_byte_ms = _ms(begun)
        if tls is not None:
            check.certificate = certificate(shown)
        body = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BODY_SECONDS):
                while len(body) < MAX_BODY_BYTES and (chunk := await exchange.body()):
                    body += chunk
        check.body_excerpt = body[:MAX_BODY_BYTES].decode("utf-8", "replace")
        kind = header(answer, b"content-type").partition(";")[0].strip().lower()
        check.content_type = kind if _MEDIA_TYPE.fullmatch(kind) else None
        location = header(answer, b"location") if 300 <= answer.status_code < 400 else ""
        return location or None, writer.get_extra_info("peername")[:2]
    finally:
        writer.close()


async def _connected(
    target: Target, parts: SplitResult, check: Check, manner: Manner, peer: tuple[str, int] | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to whom a target names, or to `peer`; with TLS for https."""
    check.connect_ms = check.tls_ms = check.address = None
    host, port = target.connect_to
    started = time.monotonic()
    try:
        async with asyncio.timeout(manner.handshake_seconds):
            asked, asked_port = peer or (host, port)
            delay = None if _ADDRESS.fullmatch(asked) else EYEBALLS_SECONDS
            reader, writer = await asyncio.open_connection(asked, asked_port, happy_eyeballs_delay=delay)
        check.connect_ms, check.address = _ms(started), f"{host}:{port}"
        if parts.scheme == "https":
            started = time.monotonic()
            try:
                async with asyncio.timeout(manner.handshake_seconds):
                    await writer.start_tls(_trusting(manner.verify), server_hostname=parts.hostname)
            except BaseException:
                writer.transport.abort()
                raise
            check.tls_ms = _ms(started)
    except TimeoutError as failure:
        raise _LateError("no connection in time") from failure
    return reader, writer


class _LateError(Exception):
    """A connection was not there in the time that it has for itself."""


async def _handshake(target: Target, verify: bool, http2: bool = True) -> tuple[Certificate | None, str | None]:
    """A TLS handshake and nothing more: the certificate (None: it is nonsense), and what may be spoken then."""
    host, port = target.connect_to
    name = target.parts.hostname
    _, writer = await asyncio.open_connection(host, port, ssl=_trusting(verify, http2), server_hostname=name)
    tls = writer.get_extra_info("ssl_object")
    shown, protocol = tls.getpeercert(True), tls.selected_alpn_protocol()
    writer.transport.abort()
    with contextlib.suppress(Exception):
        return certificate(shown), protocol
    return None, protocol


async def _look_closer(target: Target, check: Check, manner: Manner) -> None:
    """Why a check failed: what the certificate says that was refused, or which protocol is spoken instead.

    An unknown CA masks an expired date, so the date is read here. Raises OSError, TimeoutError.
    """
    encrypted = target.parts.scheme != "http"
    if encrypted and (check.error in TLS_ERRORS or check.error in _NOT_UNDERSTOOD):
        await _look_at_tls(target, check, manner.verify)
    elif encrypted and _WANTS_CERTIFICATE.search(check.body_excerpt or ""):
        check.error, check.message = ProbeError.TLS_CLIENT_CERTIFICATE, CLIENT_CERTIFICATE
    elif encrypted or check.error not in (ProbeError.RESET, ProbeError.BAD_RESPONSE, ProbeError.HTTP_4XX):
        return
    elif check.error == ProbeError.HTTP_4XX:
        if _WANTS_TLS.search(check.body_excerpt or ""):
            check.error, check.message = (
                ProbeError.SPEAKS_TLS,
                "it speaks TLS on this port, and was asked in plain HTTP",
            )
    elif is_http2(await _first_bytes(target)):
        check.kind, check.error, check.message, check.note = "h2", None, None, HTTP2_ONLY
    else:
        try:
            check.certificate, _ = await _handshake(target, verify=False)
        except ssl.SSLError as failure:
            if not ALERT.match(failure.reason or ""):
                return
        check.error, check.message = ProbeError.SPEAKS_TLS, "it speaks TLS on this port, and was asked in plain HTTP"


async def _look_at_tls(target: Target, check: Check, verify: bool) -> None:
    protocol = None
    if check.message != NO_TLS:
        with contextlib.suppress(OSError, ValueError):
            check.certificate, protocol = await _handshake(target, verify=False)
    if protocol is None and check.certificate is None and check.error in _NOT_UNDERSTOOD:
        if (await _first_bytes(target)).startswith(b"HTTP/"):
            check.error = ProbeError.SPEAKS_PLAIN_HTTP
            check.message = "it speaks plain HTTP on this port, and was asked in TLS"
        return
    if check.error in (ProbeError.TLS_UNTRUSTED, ProbeError.TLS_HOSTNAME):
        judge_dates(check)
    elif protocol == "h2" and check.error in _NOT_UNDERSTOOD:
        if check.error == ProbeError.RESET and (await _handshake(target, False, http2=False))[1] is not None:
            return  # it would speak HTTP/1.1, and does not
        try:
            await _handshake(target, verify)  # refused for want of HTTP/1.1: nobody has looked at the rest
        except ssl.SSLError as failure:
            check.error, check.message = classify(failure)
        else:
            check.kind, check.error, check.message, check.note = "h2", None, None, HTTP2_ONLY


async def _first_bytes(target: Target) -> bytes:
    """How a server begins its answer to a plain GET; empty if it just closes. Raises OSError."""
    host, port = target.connect_to
    reader, writer = await asyncio.open_connection(host, port)
    try:
        head = {"Host": host_header(target.parts), "User-Agent": USER_AGENT, "Connection": "close"}
        writer.write("".join(["GET / HTTP/1.1\r\n", *(f"{key}: {head[key]}\r\n" for key in head), "\r\n"]).encode())
        return await reader.read(64)
    except ConnectionError:
        return b""
    finally:
        writer.close()


def is_http2(data: bytes) -> bool:
    """Whether it is how an HTTP/2 server begins, asked or not: a frame SETTINGS of the connection (RFC 9113, 3.4)."""
    return len(data) >= 9 and int.from_bytes(data[:3], "big") % 6 == 0 and data[3:9] == b"\x04\0\0\0\0\0"


async def trusts(address: tuple[str, int], name: str, timeout: float) -> bool:
    """Whether this machine trusts the certificate of the server there; $SSL_CERT_FILE counts."""
    with contextlib.suppress(OSError, TimeoutError, ValueError):
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(*address, ssl=_trusting(True), server_hostname=name)
            writer.transport.abort()
            return True
    return False
