"""HTTP, TLS and TCP checks: the one module that imports `httpx`. It sends GET requests and opens connections.

Every check has one deadline for everything (name, connection, TLS, headers, redirects). A check never raises: what
went wrong is its `error`, from the closed list `records.ProbeError`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from dm_tools import __version__
from dm_tools.pipe import clock
from dm_tools.records import Certificate, Check, ProbeError

if TYPE_CHECKING:
    import httpx

MAX_BODY_BYTES = 8 * 1024
BODY_SECONDS = 1.0  # an event stream never ends: what has come by then must do
MAX_REDIRECTS = 5
DEFAULT_PORTS = {"http": 80, "https": 443}

# OpenSSL's X509_V_ERR_* (man 3 X509_STORE_CTX_get_error)
EXPIRED = (9, 10)  # not yet valid, expired
HOSTNAME = (62, 64)  # host name mismatch, address mismatch


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


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    """One event loop in a thread of its own: a check that is abandoned at its deadline costs a task, no thread."""
    loop = asyncio.new_event_loop()
    loop.set_default_executor(ThreadPoolExecutor(64))  # name look-ups: slow ones must not queue up fast ones
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return loop


@functools.cache
def _trusting(verify: bool) -> ssl.SSLContext:
    """One TLS context for all checks: building one reads the whole trust store. $SSL_CERT_FILE counts."""
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def warm_up() -> None:
    """Load the library and the trust store before the first record is here: a check's times must not hold them."""
    import httpx  # noqa: F401

    _trusting(True)
    _loop()


def run(targets: list[Target], timeout: float) -> list[Check]:
    """Ask all targets at the same time; takes at most `timeout` seconds in all."""

    async def everything() -> list[Check]:
        return list(await asyncio.gather(*(_check(target, timeout) for target in targets)))

    return asyncio.run_coroutine_threadsafe(everything(), _loop()).result()


async def _check(target: Target, timeout: float) -> Check:
    kind = "tcp" if target.parts.scheme == "tcp" else "http"
    check = Check(id=target.id, url=target.url, kind=kind, scope=target.scope, ok=False)
    started = time.monotonic()
    if target.refused is not None:
        check.error, check.message = target.refused
        return check
    try:
        async with asyncio.timeout(timeout):
            await (_tcp if kind == "tcp" else _http)(target, check)
    except TimeoutError:
        check.error, check.message = ProbeError.TIMEOUT, f"no answer within {timeout:g} s"
    except Exception as failure:
        check.error, check.message = classify(failure)
    check.total_ms = _ms(started)
    if check.error in (ProbeError.TLS_UNTRUSTED, ProbeError.TLS_EXPIRED, ProbeError.TLS_HOSTNAME):
        await _look_at_certificate(target, check, timeout - (time.monotonic() - started))
    check.ok = check.error is None
    return check


def _ms(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 1)


async def _tcp(target: Target, check: Check) -> None:
    host, port = target.connect_to
    started = time.monotonic()
    reader, writer = await asyncio.open_connection(host, port)
    check.connect_ms = _ms(started)
    check.address = f"{host}:{port}"
    try:
        if target.scope == "external":
            # Docker's port proxy accepts first and resets when nothing listens behind it: look once more.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    if not await reader.read(1):
                        raise ConnectionResetError("connection closed at once")
    finally:
        writer.close()


async def _http(target: Target, check: Check) -> None:
    import httpx

    url, home = target.url, (target.parts.hostname, target.port)
    async with httpx.AsyncClient(
        verify=_trusting(True), trust_env=False, timeout=None, follow_redirects=False
    ) as client:
        for _ in range(MAX_REDIRECTS + 1):
            location = await _get(client, target, url, check)
            onward = urlsplit(urljoin(url, location)) if location else None
            # A redirect to somewhere else (a login portal) is an answer; we ask nobody we were not told to ask.
            same_host = onward and (onward.hostname, onward.port or DEFAULT_PORTS.get(onward.scheme)) == home
            if not onward or not same_host:
                break
            url = onward.geturl()
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


async def _get(client: httpx.AsyncClient, target: Target, url: str, check: Check) -> str | None:
    """One GET; fills the check in and returns where a redirect leads."""
    parts = urlsplit(url)
    host, port = target.connect_to
    netloc = f"[{host}]" if ":" in host else host
    address = parts._replace(netloc=f"{netloc}:{port}").geturl()
    phases: dict[str, float] = {}

    async def trace(event: str, info: Any) -> None:
        phases[event] = time.monotonic()

    host_header = parts.netloc.rpartition("@")[2]
    headers = {
        "Host": host_header if host_header.isascii() else host_header.encode("idna").decode(),
        "User-Agent": f"dm-probe/{__version__}",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    if parts.username is not None:
        import httpx

        auth: Any = httpx.BasicAuth(unquote(parts.username), unquote(parts.password or ""))
    else:
        auth = None
    started = time.monotonic()
    extensions = {"trace": trace, "sni_hostname": parts.hostname}
    async with client.stream("GET", address, headers=headers, auth=auth, extensions=extensions) as answer:
        check.status_code = answer.status_code
        check.address = f"{host}:{port}"
        check.connect_ms = _phase(phases, "connection.connect_tcp")
        check.tls_ms = _phase(phases, "connection.start_tls")
        check.first_byte_ms = _ms(started)
        tls = answer.extensions["network_stream"].get_extra_info("ssl_object")
        if tls is not None:
            check.certificate = certificate(tls.getpeercert(True))
        body = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BODY_SECONDS):
                async for chunk in answer.aiter_raw():
                    body += chunk
                    if len(body) >= MAX_BODY_BYTES:
                        break
        check.body_excerpt = body[:MAX_BODY_BYTES].decode("utf-8", "replace")
        location: str | None = answer.headers.get("location") if answer.is_redirect else None
        return location


def _phase(phases: dict[str, float], name: str) -> float | None:
    begin, end = phases.get(f"{name}.started"), phases.get(f"{name}.complete")
    return round((end - begin) * 1000, 1) if begin is not None and end is not None else None


def certificate(der: bytes | None) -> Certificate | None:
    """What a certificate says of itself."""
    if not der:
        return None
    from cryptography import x509

    found = x509.load_der_x509_certificate(der)
    return Certificate(
        not_before=found.not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        not_after=found.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        expires_in_days=round((found.not_valid_after_utc.timestamp() - time.time()) / 86400, 1),
        subject=found.subject.rfc4514_string(),
        issuer=found.issuer.rfc4514_string(),
    )


async def _look_at_certificate(target: Target, check: Check, timeout: float) -> None:
    """Read the certificate that was refused. An unknown CA masks an expired date, so the date is read here."""
    host, port = target.connect_to
    der: bytes | None = None
    with contextlib.suppress(OSError, TimeoutError, ValueError):
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(
                host, port, ssl=_trusting(False), server_hostname=target.parts.hostname
            )
            tls = writer.get_extra_info("ssl_object")
            der = tls.getpeercert(True)
            writer.transport.abort()
    with contextlib.suppress(Exception):  # a certificate that is nonsense stays untrusted, no more
        check.certificate = certificate(der)
    if check.certificate is not None and check.certificate.not_after < clock.rfc3339(time.time()):
        check.error = ProbeError.TLS_EXPIRED
        check.message = f"the certificate expired on {check.certificate.not_after}"


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
        if isinstance(current, BaseExceptionGroup):
            pending += current.exceptions


def classify(failure: BaseException) -> tuple[ProbeError, str]:
    """The error class and a message for people, from the exception chain of a failed check."""
    for each in _causes(failure):
        if isinstance(each, ssl.SSLCertVerificationError):
            message = each.verify_message or str(each)
            if each.verify_code in EXPIRED:
                return ProbeError.TLS_EXPIRED, message
            if each.verify_code in HOSTNAME:
                return ProbeError.TLS_HOSTNAME, message
            return ProbeError.TLS_UNTRUSTED, message
        if isinstance(each, ssl.SSLError):
            return ProbeError.TLS_ERROR, each.reason or str(each)
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
        if isinstance(each, OSError) and each.strerror:
            return ProbeError.UNREACHABLE, each.strerror.lower()
    names = {type(each).__name__ for each in _causes(failure)}
    if names & {"ReadError", "WriteError"}:
        return ProbeError.RESET, "connection reset"
    if "RemoteProtocolError" in names and "disconnected" in str(failure):
        return ProbeError.RESET, "connection closed without an answer"
    return ProbeError.BAD_RESPONSE, f"{type(failure).__name__}: {failure}"[:200]
