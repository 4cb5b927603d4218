"""HTTP, TLS and TCP checks: the one module that imports `h11`. It sends GET requests and opens connections.

A check that fails because another protocol is spoken than was asked for says which one it is.

Every check has one deadline for everything (name, connection, TLS, headers, redirects). A check never raises: what
went wrong is its `error`, from the closed list `records.ProbeError`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import os
import socket
import ssl
import threading
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from dm_tools import __version__
from dm_tools.collect import reach
from dm_tools.pipe import clock
from dm_tools.records import Certificate, Check, ProbeError
from dm_tools.text.late import late

if TYPE_CHECKING:
    import h11

_USER_AGENT = f"dm-probe/{__version__}"
MAX_BODY_BYTES = 8 * 1024
MAX_HEAD_BYTES = 100 * 1024  # of what comes before a body
BODY_SECONDS = 1.0  # an event stream never ends: what has come by then must do
MAX_REDIRECTS = 5
EYEBALLS_SECONDS = 0.25  # until the next of several addresses of a name is tried beside (RFC 8305)
MAX_NAMES = 20  # of those that a certificate is for
DEFAULT_PORTS = {"http": 80, "https": 443}
HTTP2_ONLY = "it speaks HTTP/2 only"
REFUSES = "the server refuses the TLS handshake"
_NO_TLS = "the server does not speak TLS on this port"
_CLIENT_CERTIFICATE = "the server wants a certificate of its client"

# OpenSSL's X509_V_ERR_* (man 3 X509_STORE_CTX_get_error)
NOT_YET_VALID, EXPIRED = 9, 10
HOSTNAME = (62, 64)  # host name mismatch, address mismatch

TLS_ERRORS = (
    *(ProbeError.TLS_EXPIRED, ProbeError.TLS_NOT_YET_VALID, ProbeError.TLS_UNTRUSTED, ProbeError.TLS_HOSTNAME),
    *(ProbeError.TLS_CLIENT_CERTIFICATE, ProbeError.TLS_ERROR),
)
_NOT_UNDERSTOOD = (ProbeError.TLS_ERROR, ProbeError.RESET, ProbeError.BAD_RESPONSE)
# What servers answer to plain HTTP on a port for TLS: nginx, Go, Tomcat, Apache.
_WANTS_TLS = late(
    r"(?i)plain HTTP request was sent to HTTPS|HTTP request to an HTTPS|requires TLS|plain HTTP to an SSL"
)
_ALERT = late(r"(?:SSLV3|TLSV1|TLSV13)_")  # how OpenSSL's reasons begin that came from the other side
_SEVERAL = late(r"Multiple exceptions: \[Errno (\d+)\]")  # how asyncio says that no address of a name answered
_ADDRESS = late(r"[\d.]+|.*:.*")
_HOST_NAME = late(r"[A-Za-z0-9.*_-]{1,253}")
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
    """Load the library and the trust store before the first record is here: a check's times must not hold them."""
    import h11  # noqa: F401

    _trusting(True)
    _loop()


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
        exchange = _Exchange(reader)
        writer.write(exchange.request(manner.method, _path(parts), _headers(parts, manner)))
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
        kind = _header(answer, b"content-type").partition(";")[0].strip().lower()
        check.content_type = kind if _MEDIA_TYPE.fullmatch(kind) else None
        location = _header(answer, b"location") if 300 <= answer.status_code < 400 else ""
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


class _Exchange:
    """One request and its answer on a connection, as h11 reads it. Raises h11.RemoteProtocolError."""

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


def _path(parts: SplitResult) -> bytes:
    path = parts._replace(scheme="", netloc="", fragment="").geturl()
    return quote(path if path.startswith("/") else f"/{path}", safe="%/:?#[]@!$&'()*+,;=~").encode()


def _headers(parts: SplitResult, manner: Manner) -> list[tuple[bytes, bytes]]:
    ours = {"Host": _host_header(parts), "User-Agent": _USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}
    ours |= {"Connection": "close"}
    given = dict(manner.headers)
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        given = {name: value for name, value in given.items() if name.lower() != "authorization"}
        given["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    replaced = {name.lower() for name in given}
    headers = {name: value for name, value in ours.items() if name.lower() not in replaced} | given
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def _header(answer: h11.Response | h11.InformationalResponse, name: bytes) -> str:
    value = b", ".join(value for key, value in answer.headers if key == name)
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _host_header(parts: SplitResult) -> str:
    host = parts.netloc.rpartition("@")[2]
    return host if host.isascii() else host.encode("idna").decode()


def certificate(der: bytes | None) -> Certificate | None:
    """What a certificate says of itself."""
    if not der:
        return None
    from cryptography import x509

    found = x509.load_der_x509_certificate(der)
    names: list[str] = []
    with contextlib.suppress(x509.ExtensionNotFound, ValueError):
        alternative = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [each for each in alternative.get_values_for_type(x509.DNSName) if _HOST_NAME.fullmatch(each)]
    return Certificate(
        not_before=found.not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        not_after=found.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        expires_in_days=round((found.not_valid_after_utc.timestamp() - time.time()) / 86400, 1),
        subject=found.subject.rfc4514_string(),
        issuer=found.issuer.rfc4514_string(),
        names=names[:MAX_NAMES],
    )


def judge_dates(check: Check) -> None:
    """A certificate out of its time is an error of its check, whoever signed it."""
    if check.certificate is not None and check.certificate.not_after < clock.rfc3339(time.time()):
        check.error = ProbeError.TLS_EXPIRED
        check.message = f"the certificate expired on {check.certificate.not_after}"
    elif check.certificate is not None and check.certificate.not_before > clock.rfc3339(time.time()):
        check.error = ProbeError.TLS_NOT_YET_VALID
        check.message = f"the certificate is not valid before {check.certificate.not_before}"


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
        check.error, check.message = ProbeError.TLS_CLIENT_CERTIFICATE, _CLIENT_CERTIFICATE
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
            if not _ALERT.match(failure.reason or ""):
                return
        check.error, check.message = ProbeError.SPEAKS_TLS, "it speaks TLS on this port, and was asked in plain HTTP"


async def _look_at_tls(target: Target, check: Check, verify: bool) -> None:
    protocol = None
    if check.message != _NO_TLS:
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
        head = {"Host": _host_header(target.parts), "User-Agent": _USER_AGENT, "Connection": "close"}
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


def _causes(failure: BaseException) -> Iterator[BaseException]:
    """The exception and everything it was raised from."""
    pending, seen = [failure], set()
    while pending:
        current = pending.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        pending += [each for each in (current.__cause__, current.__context__) if each is not None]
        if isinstance(current, OSError) and (number := _SEVERAL.match(str(current))):
            pending.append(OSError(int(number[1]), os.strerror(int(number[1]))))


def _refused_handshake(reason: str) -> tuple[ProbeError, str]:
    """What OpenSSL's reason means. An alert is what the server says; it may want a certificate of us (we have none)."""
    if _ALERT.match(reason) and ("CERTIFICATE_REQUIRED" in reason or "BAD_CERTIFICATE" in reason):
        return ProbeError.TLS_CLIENT_CERTIFICATE, _CLIENT_CERTIFICATE
    said = reason.lower().replace("_", " ")
    if _ALERT.match(reason):
        return ProbeError.TLS_ERROR, f"{REFUSES}: {said}"
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"):
        return ProbeError.TLS_ERROR, _NO_TLS
    return ProbeError.TLS_ERROR, said


def classify(failure: BaseException) -> tuple[ProbeError, str]:
    """The error class and a message for people, from the exception chain of a failed check."""
    for each in _causes(failure):
        if isinstance(each, ssl.SSLCertVerificationError):
            message = each.verify_message or str(each)
            if each.verify_code == EXPIRED:
                return ProbeError.TLS_EXPIRED, message
            if each.verify_code == NOT_YET_VALID:
                return ProbeError.TLS_NOT_YET_VALID, message
            if each.verify_code in HOSTNAME:
                return ProbeError.TLS_HOSTNAME, message
            return ProbeError.TLS_UNTRUSTED, message
        if isinstance(each, ssl.SSLEOFError):
            return ProbeError.RESET, "connection closed during the TLS handshake"
        if isinstance(each, ssl.SSLError):
            return _refused_handshake(each.reason or str(each))
        if isinstance(each, socket.gaierror):
            return ProbeError.DNS, each.strerror or "name not found"
        if isinstance(each, ConnectionRefusedError):
            return ProbeError.REFUSED, "connection refused"
        if isinstance(each, ConnectionResetError | BrokenPipeError):
            return ProbeError.RESET, "connection reset"
        if isinstance(each, UnicodeError):
            return ProbeError.DNS, "not a valid host name"
        if isinstance(each, TimeoutError):
            return ProbeError.TIMEOUT, "no answer"
        if isinstance(each, OSError) and each.errno:  # what it says itself may be asyncio's words
            return ProbeError.UNREACHABLE, os.strerror(each.errno).lower()
    names = {type(each).__name__ for each in _causes(failure)}
    if "RemoteProtocolError" in names and "disconnected" in str(failure):
        return ProbeError.RESET, "connection closed without an answer"
    return ProbeError.BAD_RESPONSE, f"{type(failure).__name__}: {failure}"[:200]
