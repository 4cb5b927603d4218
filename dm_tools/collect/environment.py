"""What a container's environment says of the services that it needs: hosts and ports, and never a value."""

from __future__ import annotations

import contextlib
import re
from urllib.parse import urlsplit

from dm_tools import redact

DEFAULT_PORTS = {
    "amqp": 5672, "amqps": 5671, "clickhouse": 9000, "http": 80, "https": 443, "kafka": 9092, "ldap": 389,
    "ldaps": 636, "mariadb": 3306, "memcached": 11211, "mongodb": 27017, "mysql": 3306, "nats": 4222,
    "postgres": 5432, "postgresql": 5432, "redis": 6379, "rediss": 6379, "smtp": 25, "valkey": 6379,
}  # fmt: skip
_HOSTNAME = re.compile(r"^(?=.{1,253}$)[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9_-]+)*$")
_HOST_PORT = re.compile(r"^([A-Za-z][A-Za-z0-9._-]*):(\d{2,5})$")
_SECRET_NAMES = re.compile(
    r"PASS|PWD|SECRET|TOKEN|CREDENTIAL|SALT|COOKIE|(?:API|ACCESS|PRIVATE)_?KEY|(?:^|_)(?:KEY|AUTH|PIN)S?$",
    re.IGNORECASE,
)
_HOST_NAME_KEYS = re.compile(r"(?:^|_)(?:HOST|HOSTNAME|SERVER|ADDR|ADDRESS)$")


def env_hosts(environment: dict[str, str]) -> list[str]:
    """`host:port` of every peer that an environment value names; the values themselves stay here."""
    found = set()
    for name, value in environment.items():
        if (_SECRET_NAMES.search(name) or redact.is_secret_name(name)) and "://" not in value:
            continue  # TOKEN=abc:123 is no address
        for part in value.split(","):
            found.add(_env_host(environment, name, part.strip()))
    return sorted(host for host in found if host and not host.startswith(("localhost", "127.", "0.0.0.0")))


def _env_host(environment: dict[str, str], name: str, value: str) -> str | None:
    if "://" in value:
        with contextlib.suppress(ValueError):
            parts = urlsplit(value)
            scheme = parts.scheme.removeprefix("jdbc:").partition("+")[0]
            port = parts.port or DEFAULT_PORTS.get(scheme)
            whole = "@" in parts.netloc or "@" not in value  # else an unescaped / or # cuts through a password
            if whole and parts.hostname and _HOSTNAME.match(parts.hostname) and scheme not in ("file", "unix"):
                return f"{parts.hostname}:{port}" if port else parts.hostname
        return None
    if match := _HOST_PORT.match(value):
        return value if int(match[2]) < 65536 else None
    if _HOST_NAME_KEYS.search(name) and _HOSTNAME.match(value):
        port_text = environment.get(re.sub(r"(HOST|HOSTNAME|SERVER|ADDR|ADDRESS)$", "PORT", name), "")
        return f"{value}:{port_text}" if port_text.isdigit() else value
    return None


def virtual_hosts(environment: dict[str, str]) -> list[tuple[str, bool | None]]:
    """The names under which nginx-proxy shows a container, each with whether over TLS (None: nothing says so).

    https://github.com/nginx-proxy/nginx-proxy/tree/main/docs
    """
    tls = True if environment.get("LETSENCRYPT_HOST") or environment.get("CERT_NAME") else None
    names = [name.strip().partition(":")[0] for name in environment.get("VIRTUAL_HOST", "").split(",")]
    return [(name, tls) for name in names if _HOSTNAME.match(name)]
