"""Checks that nobody configured: what is asked is what the port speaks, with as little noise as that takes.

The likeliest protocol comes first, so that no server sees another one's bytes if the guess is right. Where there is
no guess, a server gets its chance to speak first (SSH, SMTP, FTP, MySQL do): then nothing is sent to it at all.
"""

from __future__ import annotations

import ipaddress
import time
from dataclasses import replace

from dm_tools.collect import certificates, failures, http
from dm_tools.collect.targets import address
from dm_tools.records import Check, Discovered, ProbeError

UNKNOWN_SECONDS = 2.0  # for a server of which nothing says that it would understand
_WAITING = http.Manner(greeting_seconds=0.3)  # a server that speaks first does so at once
# Names that no public authority signs (RFC 2606, 6761, 6762, 8375, and what people use): a stack of somebody's own.
_LOCAL = frozenset(
    ("localhost", "local", "test", "example", "invalid", "internal", "lan", "home", "intranet", "localdomain", "arpa")
)
_NOBODY_THERE = (ProbeError.REFUSED, ProbeError.UNREACHABLE)
_WORDS = {"http": "HTTP", "h2": "HTTP/2", "tls": "TLS"}


async def ask(target: http.Target, found: Discovered, timeout: float) -> Check | None:
    """Ask a discovered URL, at the first of its addresses that accepts; the check's URL is what it turned out to be.

    None: it was only asked in case that somebody answers, and nobody did. Takes at most `timeout` seconds in all.
    """
    end = time.monotonic() + (min(timeout, UNKNOWN_SECONDS) if found.optional else timeout)
    places = [replace(target, address=address(each)) for each in found.addresses] or [target]
    checks: list[Check] = []
    for place in places:
        checks.append(await (_find_out if found.guessed else _judged)(place, found.named, end))
        if checks[-1].error not in _NOBODY_THERE:
            break
    check = checks[0] if checks[-1].error in _NOBODY_THERE else checks[-1]
    if found.optional and not (check.status_code or check.certificate or check.kind == "h2"):
        return None
    check.chosen = found.chosen
    if found.guessed and (spoken := _WORDS.get(check.kind)) and (check.status_code or check.ok):
        also = " and TLS" if check.url.startswith("https:") else ""
        check.chosen += f"; it speaks {spoken}{also}"
    return check


async def _find_out(target: http.Target, named: bool, end: float) -> Check:
    """Which protocol is spoken there, and the check that it calls for."""
    guess, connected = target.parts.scheme, None
    if guess == "tcp":
        connected, greeting = await http.greeted(target, end - time.monotonic(), _WAITING)
        if http.is_http2(greeting or b""):
            connected.kind, connected.note = "h2", http.HTTP2_ONLY
        if greeting is not None or not connected.ok:
            return connected
        end = min(end, time.monotonic() + UNKNOWN_SECONDS)
    asked: list[Check] = []
    for scheme in ("https", "http") if guess == "https" else ("http", "https"):
        asked.append(await _judged(target.spoken_to(scheme), named, end, handshake=0.5))
        if _settled(asked[-1]):
            asked = asked[-1:]
            break
    check = next((each for each in asked if each.status_code), asked[0])
    if connected is not None and not (check.ok or check.status_code or check.certificate):
        connected.note = "it accepts connections, and speaks neither HTTP nor TLS"
        return connected
    if check.kind == "h2":
        check.url = target.spoken_to("tls" if check.url.startswith("https") else "tcp").url
    return check


def _settled(check: Check) -> bool:
    """Whether it shows what is spoken. 400 may be what a server says that wants TLS, each in its own words."""
    if check.error == ProbeError.SPEAKS_TLS or (check.status_code == 400 and check.url.startswith("http:")):
        return False
    if check.error == ProbeError.TLS_ERROR and (check.message or "").startswith(failures.REFUSES):
        return True
    if check.error == ProbeError.TIMEOUT:  # a server that wants plain HTTP may wait for the rest of a handshake
        return check.url.startswith("http:") or check.tls_ms is not None
    return bool(check.error in _NOBODY_THERE or check.ok or check.status_code or check.certificate)


async def _judged(target: http.Target, named: bool, end: float, handshake: float = 1) -> Check:
    """A check whose certificate is judged by what was promised: nobody promised one for a name like localhost.

    `handshake`: the part of the time that is left which connecting may take.
    """
    name, scheme = target.parts.hostname or "", target.parts.scheme
    strict = named and is_public(name)
    left = end - time.monotonic()
    check = await http.check(target, left, http.Manner(verify=strict, handshake_seconds=left * handshake))
    if scheme in ("https", "tls") and not strict:
        _judge_certificate(check, name if named else None)
    if scheme == "https" and not named and (check.status_code or 0) >= 400:
        check = await _under_its_name(target, check, end)
    words = check.message or ""
    if check.error == ProbeError.TLS_CLIENT_CERTIFICATE:
        check.url, check.kind = target.spoken_to("tls").url, "tls"
        _note(check, "it wants a certificate of its client")
    elif check.error == ProbeError.TLS_ERROR and words.startswith(failures.REFUSES) and not named:
        check.url, check.kind = target.spoken_to("tls").url, "tls"
        _note(check, f"{words}, asked as {name}")
    elif check.error == ProbeError.HTTP_4XX:  # which path there is nobody said
        _note(check, f"HTTP status {check.status_code} at {target.parts.path or '/'}")
    return check


def _note(check: Check, words: str) -> None:
    """It is no failure, and worth a remark."""
    check.note = f"{check.note}; {words}" if check.note else words
    check.ok, check.error, check.message = True, None, None
    certificates.judge_dates(check)
    check.ok = check.error is None


def _judge_certificate(check: Check, name: str | None) -> None:
    """What a certificate says that nobody is asked to trust: its dates, and whether it is for the given name."""
    shown = check.certificate
    if shown is None:
        return
    own = shown.subject == shown.issuer
    if name is not None and shown.names and not own and not is_for(shown.names, name):
        check.error, check.message = ProbeError.TLS_HOSTNAME, f"the certificate is for {', '.join(shown.names[:3])}"
    if own:
        check.note = "its certificate is self-signed"
    certificates.judge_dates(check)
    check.ok = check.error is None


async def _under_its_name(target: http.Target, check: Check, end: float) -> Check:
    """A proxy may know only the names of its sites: it is asked once more under the one of its certificate."""
    names = check.certificate.names if check.certificate and check.error != ProbeError.TLS_EXPIRED else []
    name = next((each for each in names if "." in each and "*" not in each), None)
    if name is None or end - time.monotonic() < 0.1:
        return check
    url = target.url.replace(f"//{target.parts.netloc}", f"//{name}:{target.port}", 1)
    there = replace(target, url=url, address=target.connect_to)
    again = await http.check(there, end - time.monotonic(), http.Manner(verify=False))
    _judge_certificate(again, None)
    if not again.status_code or again.status_code >= 500 or again.status_code >= (check.status_code or 0):
        return check
    asked = f"asked under the name of its certificate: as {target.parts.hostname} it answers {check.status_code}"
    again.note = f"{again.note}; {asked}" if again.note else asked
    return again


def is_public(name: str) -> bool:
    """Whether a public authority could sign for the name."""
    return "." in name and name.rstrip(".").rpartition(".")[2].lower() not in _LOCAL and not _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_for(names: list[str], name: str) -> bool:
    """Whether one of a certificate's names means a host: the same, or a wildcard for its first label (RFC 6125)."""
    name = name.lower().rstrip(".")
    return any(each.lower() in (name, f"*.{name.partition('.')[2]}") for each in names)
