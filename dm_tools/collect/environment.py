"""What a container's settings say: the hosts and ports that it needs, never a value; and which values are secret."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from typing import Any

from dm_tools import redact
from dm_tools.text.late import late

# The schemes of services, and where they listen. A word before `://` that is none of these stands for no host:
# `prowl://KEY` and its like hold a key in the host's place.
DEFAULT_PORTS = {
    "amqp": 5672, "amqps": 5671, "bolt": 7687, "clickhouse": 9000, "ftp": 21, "http": 80, "https": 443, "imap": 143,
    "imaps": 993, "kafka": 9092, "ldap": 389, "ldaps": 636, "mariadb": 3306, "memcached": 11211, "mongodb": 27017,
    "mqtt": 1883, "mqtts": 8883, "mssql": 1433, "mysql": 3306, "nats": 4222, "neo4j": 7687, "oracle": 1521,
    "postgres": 5432, "postgresql": 5432, "pulsar": 6650, "redis": 6379, "rediss": 6379, "sftp": 22, "smtp": 25,
    "smtps": 465, "sqlserver": 1433, "ssh": 22, "stomp": 61613, "valkey": 6379, "ws": 80, "wss": 443,
}  # fmt: skip
OTHER_SCHEMES = frozenset(
    ("cassandra", "clickhouses", "cockroachdb", "consul", "couchbase", "db2", "elasticsearch", "etcd", "grpc", "grpcs")
) | frozenset(("h2", "h2c", "influxdb", "minio", "mongodb+srv", "s3", "socks5", "solr", "syslog", "tcp", "tls", "udp"))

# A Compose service, a container or a name of the DNS: what another container can be asked by.
_HOSTNAME = late(r"^(?=.{1,253}$)[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9_-]+)*$")
_HOST_PORT = late(r"^([A-Za-z0-9][A-Za-z0-9._-]*):(\d{2,5})$")
_SECRET_NAMES = late(
    r"PASS|PWD|SECRET|TOKEN|CRED|SALT|COOKIE|(?:API|ACCESS|PRIVATE)_?KEY|(?:^|_)(?:KEY|AUTH|PIN)S?$",
    re.IGNORECASE,
)
# A bare `word:number` under one of these names is a log-in, an image with its tag or the service's own address.
_NO_HOST_NAMES = late(
    r"LOG_?IN|USER|ACCOUNT|E?MAIL|IMAGE|VERSION|(?:^|_)TAGS?$|LISTEN|ADVERTISED|BIND|(?:^|_)TIME|DATE|CRON",
    re.IGNORECASE,
)
_HOST_NAME_KEYS = late(r"(?:^|_|PG)(?:HOST|HOSTNAME|SERVER|ADDR|ADDRESS)$")
_HOST_LIST_KEYS = late(r"(?:^|_)(?:HOSTS|SERVERS|NODES|BROKERS|PEERS|ENDPOINTS|SEEDS|ADDRESSES)$")
_NO_HOSTS = frozenset(("true", "false", "yes", "no", "on", "off", "none", "null", "auto", "default"))
_OURSELVES = ("localhost", "127.", "0.0.0.0", "[::")

_URL = late(r"(?:jdbc:)?([a-z][a-z0-9+.:-]*?)://(\S*)", re.IGNORECASE)
_NEXT_URL = late(r"[,;\s]+(?=[a-z][a-z0-9+.-]*://)", re.IGNORECASE)
_ORACLE = late(r"jdbc:oracle:\w+:(?:[^@]*)@(?://)?([^\s:/?(]+):(\d{2,5})", re.IGNORECASE)
_ADDRESS = late(r"\(\s*host\s*=\s*([^()\s]+)\s*\)\s*\(\s*port\s*=\s*(\d{2,5})\s*\)", re.IGNORECASE)
_GO = late(r"@(?:tcp|udp)6?\(([^()\s:]+):(\d{2,5})\)")  # user:password@tcp(db:3306)/shop
_PAIR = late(
    r"(?:^|[\s;:])(host|hostname|server|data source|addr|address|network address)\s*=\s*(?:tcp:)?'?([^\s;'=]+)",
    re.IGNORECASE,
)
_PORT_PAIR = late(r"(?:^|[\s;:])port\s*=\s*'?(\d{2,5})\b", re.IGNORECASE)


def env_hosts(environment: dict[str, str]) -> list[str]:
    """`host:port` of every peer that an environment value names; the values themselves stay here.

    Read are URLs (JDBC's too), Go's and ODBC's ways of writing a data source, `host=db port=5432`, lists of hosts, and
    names such as DB_HOST with DB_PORT.
    """
    found: set[str] = set()
    for name, value in environment.items():
        secret = bool(_SECRET_NAMES.search(name) or redact.is_secret_name(name))
        if "://" in value or value.startswith("jdbc:"):
            found |= set(_in_url(value, secret))
        elif not secret:
            found |= set(_in_text(environment, name, value))
    return sorted(host for host in found if not host.startswith(_OURSELVES))


def _in_url(value: str, secret: bool) -> Iterator[str]:
    """The hosts of one URL or several; of a URL with a list of hosts all of them.

    Under the name of a secret only what has a port or a domain is taken for an address.
    """
    if match := _ORACLE.search(value):
        yield from _named(match[1], match[2])
    for match in _ADDRESS.finditer(value):
        yield from _named(match[1], match[2])
    for piece in _NEXT_URL.split(value):
        match = _URL.search(piece)
        if match is None:
            continue
        scheme = match[1].lower().partition("+")[0].partition(":")[0]
        if scheme not in DEFAULT_PORTS and scheme not in OTHER_SCHEMES:
            continue
        netloc = re.split(r"[/?#;\\]", match[2], maxsplit=1)[0]
        if "@" not in netloc and "@" in match[2]:
            continue  # an unescaped / or # cuts through a password
        hosts = [each.strip() for each in netloc.rpartition("@")[2].split(",")]
        for each in hosts:
            host, _, port = each.partition(":")
            if secret and not port and "." not in host:
                continue
            default = DEFAULT_PORTS.get(scheme)
            yield from _named(host.lower(), port if port.isdigit() else str(default or ""))


def _in_text(environment: dict[str, str], name: str, value: str) -> Iterator[str]:
    """The hosts of a value that is no URL."""
    if source := list(_GO.finditer(value)):
        yield from _named(source[-1][1], source[-1][2])
        return
    if pair := _PAIR.search(value):
        port = _PORT_PAIR.search(value)
        hosts = pair[2].split(",")
        if len(hosts) == 2 and hosts[1].isdigit():  # ODBC: Server=tcp:db,1433
            yield from _named(hosts[0], hosts[1])
        else:
            for each in hosts:
                host, _, own = each.partition(":")
                yield from _named(host, own or (port[1] if port else ""))
        return
    for part in re.split(r"[,;\s]+", value.strip()) if not _NO_HOST_NAMES.search(name) else ():
        match = _HOST_PORT.match(part)
        # Docker's names are in small letters; a person's or a key's need not be.
        if match and not match[1].isdigit() and part == part.lower() and not _is_time(match[1]):
            yield from _named(match[1], match[2])
        elif match is None and _HOST_LIST_KEYS.search(name) and not part.isdigit():
            yield from _named(part, "")
    if _HOST_NAME_KEYS.search(name) and ":" not in value and "," not in value:
        port_name = re.sub(r"(HOST|HOSTNAME|SERVER|ADDR|ADDRESS)$", "PORT", name)
        port_text = environment.get(port_name, "")
        yield from _named(value, port_text if port_text.isdigit() else "")


def _is_time(text: str) -> bool:
    return text.replace(".", "").isdigit() and text.count(".") != 3


def _named(host: str, port: str) -> Iterator[str]:
    if not _HOSTNAME.match(host) or host.lower() in _NO_HOSTS or (port and not 0 < int(port) < 65536):
        return
    yield f"{host}:{port}" if port else host


def virtual_hosts(environment: dict[str, str]) -> list[tuple[str, bool | None]]:
    """The names under which nginx-proxy shows a container, each with whether over TLS (None: nothing says so).

    https://github.com/nginx-proxy/nginx-proxy/tree/main/docs
    """
    tls = True if environment.get("LETSENCRYPT_HOST") or environment.get("CERT_NAME") else None
    names = [name.strip().partition(":")[0] for name in environment.get("VIRTUAL_HOST", "").split(",")]
    return [(name, tls) for name in names if _HOSTNAME.match(name)]


MAX_SECRET_FILE = 64 * 1024  # bytes


def secrets(raw: dict[str, Any]) -> list[str]:
    """What is secret of an inspected container, to be masked wherever it is said: in its environment, its command
    line, its labels, and in the files with secrets that this machine mounts into it."""
    config = raw["Config"]
    environment = [entry.partition("=")[::2] for entry in config.get("Env") or []]
    labels = [pair for pair in (config.get("Labels") or {}).items() if not pair[0].startswith("com.docker.compose.")]
    compose = [("", value) for name, value in (config.get("Labels") or {}).items() if name.startswith("com.docker.")]
    public = [*_names(raw), *(str(config.get(key) or "") for key in ("Hostname", "User", "Image"))]
    arguments = [
        raw.get("Path") or "",
        *(raw.get("Args") or []),
        *((config.get("Healthcheck") or {}).get("Test") or []),
    ]
    files = [("secret", text) for text in _secret_files(raw, dict(environment))]
    pairs = [*environment, *labels, *compose, *files]
    public += [value for name, value in environment if not redact.holds_secret(name, value)]
    return sorted({*redact.in_pairs(pairs, public), *redact.in_arguments(arguments, public)})


def _names(raw: dict[str, Any]) -> list[str]:
    labels = raw["Config"].get("Labels") or {}
    names = [(raw.get("Name") or "").lstrip("/")]
    names += [labels.get(f"com.docker.compose.{key}") or "" for key in ("service", "project")]
    for network in ((raw.get("NetworkSettings") or {}).get("Networks") or {}).values():
        names += [*(network.get("Aliases") or []), *(network.get("DNSNames") or [])]
    return names


def _secret_files(raw: dict[str, Any], environment: dict[str, str]) -> list[str]:
    """What stands in the files that Compose mounts as secrets, or that a variable such as DB_PASSWORD_FILE names.

    On another machine's engine the files are not here; then nothing is known of them.
    """
    named = {value for name, value in environment.items() if name.upper().endswith("_FILE")}
    texts = []
    for mount in raw.get("Mounts") or []:
        inside = mount.get("Destination") or ""
        if mount.get("Type") == "bind" and (inside.startswith("/run/secrets/") or inside in named):
            with contextlib.suppress(OSError):
                texts.append(_read(mount.get("Source") or ""))
    return [text for text in texts if text]


def _read(path: str) -> str:
    """A small file as text; nothing of what is no file, such as a pipe, and nothing of a large one."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_SECRET_FILE:
            return ""
        return file.read(MAX_SECRET_FILE).decode("utf-8", "replace").strip()
