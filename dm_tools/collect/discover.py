"""Which URLs of a container are worth asking that nobody configured, and why: pure, from what the engine says of it.

Published ports are: someone meant them to be reached. What is spoken there follows from what the healthcheck asks, what
the labels of a proxy say, the number of the port, the image; where nothing tells, dm-probe finds out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from dm_tools import redact
from dm_tools.collect.environment import virtual_hosts
from dm_tools.engine import finding
from dm_tools.engine.connection import Container
from dm_tools.records import Discovered
from dm_tools.text.late import late

MAX_EXPOSED = 2
MAX_URLS = 8  # of one container: a published range of ports is not asked through

# Ports where HTTP would be a foreign language: whoever listens there is only connected to.
FOREIGN = {
    21: "FTP", 22: "SSH", 23: "Telnet", 25: "SMTP", 53: "DNS", 110: "POP3", 111: "RPC", 119: "NNTP", 139: "SMB",
    143: "IMAP", 389: "LDAP", 445: "SMB", 514: "syslog", 554: "RTSP", 587: "SMTP", 873: "rsync", 1080: "SOCKS",
    1433: "SQL Server", 1521: "Oracle", 1883: "MQTT", 1935: "RTMP", 2049: "NFS", 2181: "ZooKeeper", 2222: "SSH",
    3306: "MySQL", 3389: "RDP", 4222: "NATS", 5222: "XMPP", 5269: "XMPP", 5432: "PostgreSQL", 5672: "AMQP",
    5900: "VNC", 6379: "Redis", 6380: "Redis", 6432: "PgBouncer", 6667: "IRC", 7687: "Bolt", 9042: "Cassandra",
    9092: "Kafka", 9300: "Elasticsearch's nodes", 10051: "Zabbix", 11211: "memcached", 25565: "Minecraft",
    26379: "Redis Sentinel", 27017: "MongoDB", 27018: "MongoDB", 27019: "MongoDB", 33060: "MySQL", 61613: "STOMP",
    61616: "ActiveMQ",
}  # fmt: skip
# TLS, and not HTTP in it: the certificate is read.
ENCRYPTED = {
    465: "SMTP", 636: "LDAP", 853: "DNS", 990: "FTP", 993: "IMAP", 995: "POP3", 5061: "SIP", 5671: "AMQP",
    6697: "IRC", 8883: "MQTT", 61617: "ActiveMQ",
}  # fmt: skip
TLS = frozenset((443, 2376, 4443, 5986, 6443, 8443, 8444, 9443, 10443))
HTTP = frozenset({
    80, 81, 88, 591, 2019, 2368, 3000, 3001, 3002, 3100, 3200, 4000, 4200, 5000, 5001, 5173, 5601, 5984, 7474,
    8000, 8001, 8008, 8065, *range(8080, 8100), 8123, 8200, 8222, 8404, 8428, 8500, 8529, 8761, 8888, 8983,
    9090, 9091, 9100, 9104, 9113, 9115, 9121, 9187, 9200, 9411, 15672, 15692, 16686, 19999,
})  # fmt: skip
# Images whose only port, whatever its number, speaks a protocol of its own and waits for the client's first word.
DATABASES = late(
    r"(?:^|[^a-z])(postgres(?:ql)?|postgis|timescaledb|pgvector|pgbouncer|mysql|mariadb|percona|redis|valkey|keydb"
    r"|dragonfly|memcached|mongo(?:db)?|cassandra|scylla|zookeeper|kafka|mosquitto|fpm)(?:[^a-z]|$)"
)
_BESIDE = late(r"exporter|admin|commander|express|ui\b|proxy|insight|manager|rest\b")  # it only works beside one

_ASKS = late(
    r"(?:(https?)://)?(localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1?\])(?::(\d{1,5}))?(/[A-Za-z0-9._~/%-]*)?(?=[\s\"',;|&)\]]|$)"
)
_CLIENTS = late(r"\b(?:curl|wget|http|httpie|xh)\b")
_HOST = late(r"\bHost\(([^)]*)\)")
_PATH = late(r"\bPath(?:Prefix)?\(\s*[`\"']([^`\"']*)[`\"']\s*\)")
_QUOTED = late(r"[`\"']([^`\"']*)[`\"']")
_NAME = late(r"(?i)(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")
_SAFE_PATH = late(r"/[A-Za-z0-9._~/%-]*")
_ROUTER = late(r"traefik\.http\.routers\.([^.]+)\.(rule|entrypoints|tls(?:\..*)?)", re.IGNORECASE)
_CADDY = late(r"caddy(?:_\d+)?")


@dataclass(frozen=True)
class Route:
    """A name that a proxy answers to on behalf of a service; `tls` None: nothing says whether over TLS."""

    proxy: str  # a word of the proxy's image
    name: str
    path: str
    tls: bool | None
    why: str


@dataclass(frozen=True)
class Published:
    """A TCP port of a container as it is reached from here: `host` and `port`, or `inner` at its own address."""

    inner: int
    host: str
    port: int
    own: str | None  # the container's own host:port, if that can be reached, too

    @property
    def addresses(self) -> list[str]:
        published = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        return [published, self.own] if self.own else [published]


def urls(container: Container, raw: dict[str, Any], engine_label: str, routes: Iterable[Route]) -> list[Discovered]:
    """What to ask of a container. `raw` is its inspection, empty if there is none; `routes` those of all services."""
    ports = published(container, engine_label)
    found: list[Discovered] = []
    proxied = list(_proxied(container, ports, routes))
    found += proxied
    checked = dict(_healthchecks(raw))
    for port in sorted(ports, key=lambda each: (each.inner not in TLS | HTTP | checked.keys(), each.inner, each.port)):
        if proxied and port.inner in (80, 443):
            continue  # it was asked for its sites; a name that is none of them tells nothing
        found += _of_port(container, port, checked.get(port.inner))
    if not found and finding.is_local(engine_label) and not _has_healthcheck(raw):
        found = list(_exposed(container))
    return list({each.url: each for each in found}.values())[:MAX_URLS]


def published(container: Container, engine_label: str) -> list[Published]:
    """The published TCP ports that can be reached from here; each once, though it is published for IPv4 and IPv6."""
    found: dict[tuple[int, int], Published] = {}
    local = finding.is_local(engine_label)
    for each in sorted(container.get("Ports") or [], key=lambda each: ":" in str(each.get("IP"))):
        inner, port, bound = each.get("PrivatePort"), each.get("PublicPort"), str(each.get("IP") or "")
        if not port or each.get("Type") != "tcp":
            continue
        if bound == "::" and any(known.inner == inner for known in found.values()):
            continue  # the same once more; old engines give it another number
        if bound in ("", "0.0.0.0", "::"):
            host = "localhost" if local else urlsplit(engine_label).hostname or ""
        elif bound.startswith("127.") or bound == "::1":
            host = "localhost" if local and bound in ("127.0.0.1", "::1") else bound if local else ""
        else:
            host = bound
        if not host:
            continue  # only the engine's machine itself reaches it
        own = finding.address(engine_label, container, inner) if local else None
        address = "::1" if bound == "::1" else "127.0.0.1" if host == "localhost" else host
        found.setdefault((inner, port), Published(inner, address, port, f"{own[0]}:{own[1]}" if own else None))
    return list(found.values())


def _of_port(container: Container, port: Published, asks: tuple[str, str] | None) -> Iterator[Discovered]:
    why = f"port {port.inner} is published as {port.port}"
    host = "localhost" if port.host in ("127.0.0.1", "::1") else port.host
    place = f"{f'[{host}]' if ':' in host else host}:{port.port}"

    def one(scheme: str, path: str, chosen: str, guessed: bool) -> Discovered:
        return Discovered(f"{scheme}://{place}{path}", chosen, guessed, addresses=port.addresses)

    if asks is not None:
        scheme, path = asks
        if path != "/":
            yield one(scheme, path, f"the healthcheck asks {path} on port {port.inner}, published as {port.port}", True)
        yield one(scheme, "/", f"{why}, and the healthcheck asks there", True)
    elif port.inner in FOREIGN:
        yield one("tcp", "", f"{why}; {FOREIGN[port.inner]} is spoken there, so it is only connected to", False)
    elif port.inner in ENCRYPTED:
        yield one("tls", "", f"{why}; {ENCRYPTED[port.inner]} over TLS is spoken there", False)
    elif port.inner in TLS:
        yield one("https", "/", why, True)
    elif port.inner in HTTP:
        yield one("http", "/", why, True)
    elif is_database(container):
        yield one("tcp", "", f"{why}; the image is a database's, so it is only connected to", False)
    else:
        yield one("tcp", "", why, True)


def _exposed(container: Container) -> Iterator[Discovered]:
    """Ports that the image exposes, and nobody publishes: images expose ports that nobody listens on, so they may fail.

    Only where nobody else asks whether it works, and only for HTTP by their number.
    """
    inner = {each.get("PrivatePort") for each in container.get("Ports") or [] if each.get("Type") == "tcp"}
    name = next(iter(finding.names(container)), "")
    if is_database(container) or not _NAME.fullmatch(name):
        return
    for port in sorted(inner & (HTTP | TLS))[:MAX_EXPOSED]:
        scheme = "https" if port in TLS else "http"
        chosen = f"port {port} is exposed, and nobody else asks whether it works"
        yield Discovered(f"{scheme}://{name}:{port}/", chosen, guessed=True, optional=True)


def _has_healthcheck(raw: dict[str, Any]) -> bool:
    test = ((raw.get("Config") or {}).get("Healthcheck") or {}).get("Test") or []
    return bool(test) and test[0] != "NONE"


def is_database(container: Container) -> bool:
    """Whether the image is of a server that speaks a protocol of its own."""
    image = _image(container)
    return bool(DATABASES.search(image)) and not _BESIDE.search(image)


def _image(container: Container) -> str:
    """The last part of an image's name with its tag; the registry and who made it say nothing of what it is."""
    return str(container.get("Image") or "").rpartition("/")[2].partition("@")[0].lower()


def _healthchecks(raw: dict[str, Any]) -> Iterator[tuple[int, tuple[str, str]]]:
    """The ports that a healthcheck asks over HTTP, each with scheme and path; no query, it may be secret."""
    test = ((raw.get("Config") or {}).get("Healthcheck") or {}).get("Test") or []
    text = " ".join(str(part) for part in test[1:])
    for scheme, _, port, path in _ASKS.findall(text):
        if not scheme and not (_CLIENTS.search(text) and (port or path)):
            continue
        number = int(port) if port else 443 if scheme == "https" else 80
        path = path or "/"
        if 0 < number < 65536 and not redact.has_secret(f"http://localhost{path}"):
            yield number, (scheme or "http", path)


def routes(service: str, labels: dict[str, str], environment: dict[str, str]) -> list[Route]:
    """The names that proxies are told to answer to for a service: Traefik, caddy-docker-proxy, nginx-proxy."""
    found = [*_traefik(service, labels), *_caddy(service, labels)]
    for name, tls in virtual_hosts(environment):
        found.append(Route("nginx-proxy", name, "/", tls, f"VIRTUAL_HOST of {service} names it"))
    return [each for each in found if _NAME.fullmatch(each.name)]


def _traefik(service: str, labels: dict[str, str]) -> Iterator[Route]:
    """https://doc.traefik.io/traefik/reference/routing-configuration/other-providers/docker/"""
    if labels.get("traefik.enable", "").lower() == "false":
        return
    routers: dict[str, dict[str, str]] = {}
    for key, value in labels.items():
        if match := _ROUTER.fullmatch(key):
            kind = match[2].lower().partition(".")[0]
            routers.setdefault(match[1], {})[kind] = value
    for router, said in sorted(routers.items()):
        rule, entry = said.get("rule", ""), said.get("entrypoints", "").lower()
        hosts, paths = _HOST.findall(rule), _PATH.findall(rule)
        tls = True if said.get("tls", "false").lower() != "false" or re.search("secure|https|443", entry) else None
        simple = len(hosts) == 1 and len(paths) == 1 and "||" not in rule and _SAFE_PATH.fullmatch(paths[0])
        for name in [name for host in hosts for name in _QUOTED.findall(host)]:
            path = paths[0] if simple else "/"
            yield Route("traefik", name, path, tls, f"the label of {service} for the router {router} names it")


def _caddy(service: str, labels: dict[str, str]) -> Iterator[Route]:
    """https://github.com/lucaslorentz/caddy-docker-proxy#labels-to-caddyfile-conversion"""
    for key, value in sorted(labels.items()):
        if not _CADDY.fullmatch(key):
            continue
        for site in re.split(r"[\s,]+", value.strip()):
            scheme, _, rest = site.rpartition("://")
            name, _, port = rest.partition("/")[0].partition(":")
            if port in ("", "80", "443"):
                tls = not (scheme == "http" or port == "80")
                yield Route("caddy-docker-proxy", name, "/", tls, f"the label {key} of {service} names it")


def _proxied(container: Container, ports: list[Published], routes: Iterable[Route]) -> Iterator[Discovered]:
    """A proxy is asked for each name that the services behind it have given it."""
    words = f"{_image(container)} {finding.compose_service(container) or ''}"
    by_inner = {each.inner: each for each in reversed(ports)}
    for route in routes:
        if route.proxy not in words:
            continue
        wanted = ((443, "https"), (80, "http")) if route.tls else ((80, "http"), (443, "https"))
        inner, scheme = next(((inner, scheme) for inner, scheme in wanted if inner in by_inner), (0, ""))
        if not inner:
            continue
        port = by_inner[inner]
        place = route.name if port.port == inner else f"{route.name}:{port.port}"
        yield Discovered(
            f"{scheme}://{place}{route.path}", route.why, guessed=True, named=True, addresses=port.addresses
        )
