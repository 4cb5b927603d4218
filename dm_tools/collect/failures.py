"""What went wrong with a check, from the exception that it raised: a class and words for people."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator

from dm_tools.records import ProbeError
from dm_tools.text.late import late

REFUSES = "the server refuses the TLS handshake"
NO_TLS = "the server does not speak TLS on this port"
CLIENT_CERTIFICATE = "the server wants a certificate of its client"

# OpenSSL's X509_V_ERR_* (man 3 X509_STORE_CTX_get_error)
NOT_YET_VALID, EXPIRED = 9, 10
HOSTNAME = (62, 64)  # host name mismatch, address mismatch

ALERT = late(r"(?:SSLV3|TLSV1|TLSV13)_")  # how OpenSSL's reasons begin that came from the other side
_SEVERAL = late(r"Multiple exceptions: \[Errno (\d+)\]")  # how asyncio says that no address of a name answered


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
    if ALERT.match(reason) and ("CERTIFICATE_REQUIRED" in reason or "BAD_CERTIFICATE" in reason):
        return ProbeError.TLS_CLIENT_CERTIFICATE, CLIENT_CERTIFICATE
    said = reason.lower().replace("_", " ")
    if ALERT.match(reason):
        return ProbeError.TLS_ERROR, f"{REFUSES}: {said}"
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"):
        return ProbeError.TLS_ERROR, NO_TLS
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
