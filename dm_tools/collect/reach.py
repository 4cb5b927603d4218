"""Whom a page may make us ask: one rule for the browser's requests, the probe's redirects and the model's tools.

A page is hostile input, and whoever diagnoses it stands where its author cannot: on this machine, in its network, in a
cloud with a metadata service. So the *address* that is really connected to decides, never the name alone:

1. A place (host and port) that a URL of the inventory names may be asked, wherever it leads.
2. A public address may be asked, unless it is one of this machine's own.
3. A container on the networks of the stack may be asked at its own address, and where it publishes a port.
4. Everything else may not: loopback, link-local, private and shared addresses, metadata services, multicast, what IANA
   has reserved, and IPv6 addresses that carry such an IPv4 address (mapped, compatible, NAT64, 6to4).

Other methods than GET and HEAD go to the page's own origin only (`may_send`).

Sources: IANA's registries of special-purpose addresses (RFC 6890) for IPv4 and IPv6, and the documents named below.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

Place = tuple[str, int]  # a host as a browser asks for it, and a port
Origin = tuple[str, str, int]  # scheme, host, port
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
SAFE = ("GET", "HEAD")

# What clouds tell to whoever asks from the right machine: credentials among it. Some are public addresses.
_METADATA = frozenset(
    ipaddress.ip_address(each)
    for each in (
        *("169.254.169.254", "fd00:ec2::254", "fd20:ce::254"),  # AWS, Azure, Google, OpenStack and most others
        *("169.254.170.2", "169.254.170.23", "fd00:ec2::23"),  # credentials of AWS's containers
        *("168.63.129.16", "100.100.100.200", "192.0.0.192"),  # Azure's host, Alibaba, Oracle
    )
)
_KINDS: tuple[tuple[str, str], ...] = (
    ("127.0.0.0/8", "a loopback address"),  # RFC 1122, 3.2.1.3
    ("0.0.0.0/8", "an address of this machine"),  # "this host on this network", RFC 1122; Linux connects to itself
    ("169.254.0.0/16", "a link-local address"),  # RFC 3927
    ("10.0.0.0/8", "a private address"),  # RFC 1918
    ("172.16.0.0/12", "a private address"),
    ("192.168.0.0/16", "a private address"),
    ("100.64.0.0/10", "a shared address"),  # carriers and overlay networks, RFC 6598
    ("192.0.0.0/24", "a reserved address"),  # IETF protocol assignments, RFC 6890
    ("192.0.2.0/24", "an address for documentation"),  # RFC 5737
    ("198.51.100.0/24", "an address for documentation"),
    ("203.0.113.0/24", "an address for documentation"),
    ("192.88.99.0/24", "a reserved address"),  # 6to4 relays, RFC 7526
    ("198.18.0.0/15", "an address for measurements"),  # RFC 2544
    ("224.0.0.0/4", "a multicast address"),  # RFC 5771
    ("240.0.0.0/4", "a reserved address"),  # RFC 1112; broadcast, RFC 919
    ("::1/128", "a loopback address"),  # RFC 4291
    ("::/128", "an address of this machine"),
    ("fc00::/7", "a private address"),  # unique local, RFC 4193
    ("fe80::/10", "a link-local address"),  # RFC 4291
    ("fec0::/10", "a private address"),  # site-local, RFC 3879
    ("ff00::/8", "a multicast address"),  # RFC 4291
    ("2001::/23", "a reserved address"),  # IETF protocol assignments, Teredo among them: RFC 2928, 4380
    ("2001:db8::/32", "an address for documentation"),  # RFC 3849
    ("3fff::/20", "an address for documentation"),  # RFC 9637
)
_NETWORKS = tuple((ipaddress.ip_network(network), words) for network, words in _KINDS)
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")  # all that IANA has given out so far, RFC 4291
# IPv6 networks whose addresses carry an IPv4 address, and how many bits follow it.
_CARRIERS = (
    (ipaddress.ip_network("::ffff:0:0/96"), 0),  # mapped, RFC 4291
    (ipaddress.ip_network("::ffff:0:0:0/96"), 0),  # translated, RFC 2765
    (ipaddress.ip_network("::/96"), 0),  # compatible, RFC 4291
    (ipaddress.ip_network("64:ff9b::/96"), 0),  # NAT64, RFC 6052
    (ipaddress.ip_network("2002::/16"), 80),  # 6to4, RFC 3056
)


@dataclass(frozen=True)
class Known:
    """What may be asked though it is not public. `places`: hosts and ports that the inventory's URLs name, and where
    the stack publishes ports; `containers`: the addresses of containers on the stack's networks.
    """

    places: frozenset[Place] = frozenset()
    containers: frozenset[str] = frozenset()

    def __or__(self, other: Known) -> Known:
        return Known(self.places | other.places, self.containers | other.containers)


def host(written: str) -> str:
    """A host as browsers ask for it: lower case, ASCII, an address in its usual form, however it was written."""
    plain = written.strip("[]").rstrip(".").lower()
    if ":" in plain:
        with contextlib.suppress(ValueError):
            return str(ipaddress.IPv6Address(plain))
    if plain[:1].isdigit():
        with contextlib.suppress(OSError):  # 2130706433, 0x7f.1, 0177.0.0.1
            return socket.inet_ntoa(socket.inet_aton(plain))
    with contextlib.suppress(UnicodeError):
        return plain.encode("idna").decode() if not plain.isascii() else plain
    return plain


def origin(url: str) -> Origin | None:
    """Scheme, host and port of a URL; None if it has none. The schemes of WebSockets are those of their handshakes."""
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    except ValueError:
        return None
    if not parts.hostname or not port:
        return None
    return {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme), host(parts.hostname), port


def named(urls: Collection[str]) -> frozenset[Place]:
    """The places that URLs name; `localhost` is what RFC 6761 says that it is."""
    found = {each[1:] for url in urls if (each := origin(url)) is not None}
    loopback = {(address, port) for name, port in found if _is_localhost(name) for address in ("127.0.0.1", "::1")}
    return frozenset(found | loopback)


def _is_localhost(name: str) -> bool:
    return name == "localhost" or name.endswith(".localhost")


def kind(address: str) -> str | None:
    """What an address is that is not public, in words; None: it is public. Raises ValueError if it is none."""
    found = plain(address)
    if found in _METADATA:
        return "the address of a metadata service"
    for network, words in _NETWORKS:
        if found in network:
            return words
    return "a reserved address" if found.version == 6 and found not in _GLOBAL_UNICAST else None


def plain(address: str) -> Address:
    """An address, of an IPv6 one that carries an IPv4 address the latter. Raises ValueError if it is none."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address) and int(found) > 1:  # :: and ::1 are themselves
        for network, following in _CARRIERS:
            if found in network:
                return ipaddress.IPv4Address(int(found) >> following & 0xFFFFFFFF)
    return found


def why_not(name: str, port: int, address: str, known: Known, is_own: bool = False) -> str | None:
    """Why an address may not be connected to for a page that asks for `name`; None: it may.

    `is_own`: it is one of this machine's addresses, which only the machine knows. What is no address may not be asked.
    """
    try:
        found, words = str(plain(address)), kind(address)
    except ValueError:
        return f"{name!r} leads to no address"
    if (name, port) in known.places or (found, port) in known.places:
        return None
    if words is None and is_own:
        words = "an address of this machine"
    if words is None or found in known.containers:
        return None
    place = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
    what = f"is {words}" if name in (address, found) else f"leads to {address}, {words}"
    return f"{place} {what}; no URL of the inventory names it, and it is no container of the stack"


def may_send(method: str, target: Origin | None, headers: Mapping[str, str], own: Collection[Origin]) -> bool:
    """Whether a request may be sent to `target`, as far as its method goes.

    `own`: the origins of the page. `headers`: as the browser sends them; no page can write `Origin`.
    """
    if method in SAFE:
        return True
    sender = next((value for name, value in headers.items() if name.lower() == "origin"), "")
    return target is not None and target in own and origin(sender) == target
