"""What a container's settings say: the hosts and ports that it needs, never a value; and which values are secret."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from typing import Any
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
    public += [value for name, value in environment if not redact.announces(name)]
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
