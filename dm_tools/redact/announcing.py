"""Which values are secret of what is known with its name: of an environment, of labels, of a command line."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from dm_tools.redact import rules
from dm_tools.redact.known import SHORTEST, percent_decoded
from dm_tools.redact.rules.names import Kind, kind_of
from dm_tools.redact.rules.values import is_placeholder, is_weak_secret, looks_random
from dm_tools.redact.rules.words import SENTENCE
from dm_tools.text.late import late

# Names of variables: more of them announce a secret than names in a text do, where "key" and "auth" are common words.
_NAME = late(
    r"PASS(?!IVE|ENGER|THR|ED|ING)|PWD|SECRET|TOKEN|CREDENTIAL|SALT|COOKIE|MNEMONIC|(?:API|ACCESS|PRIVATE)_?KEY"
    r"|(?:^|[_.-])AUTH_?USERS?$|(?:^|[_.-])(?:KEY|AUTH|BASIC_?AUTH|PIN|OTP|SID|LOGIN|JWT|HMAC|CSRF|SEED|CREDS?|PW)S?$",
    re.IGNORECASE,
)
_ABOUT = late(
    r"(?:FILE|PATH|DIR|URL|URI|NAME|ALGORITHM|TYPE|TTL|TIMEOUT|EXPIRY|EXPIRES?(?:_IN)?|LIFETIME|LENGTH|ENABLED|SECURE"
    r"|DOMAIN|HOST|PORT|POLICY|METHOD|HEADER|ISSUER|AGE|SAMESITE|HTTPONLY|ID|KEY_ID|ENCRYPTION|REQUIRED|HASHERS?|ENCODER|DRIVER|BACKEND|GENERATOR)$",
    re.IGNORECASE,
)
# What everybody knows, and a log says all the time: to mask it would hide what the log says and protect nothing.
_PUBLIC = SENTENCE | {
    "admin", "administrator", "apache", "basic", "bearer", "bitnami", "cache", "changeit", "changeme", "client", "data",
    "database", "debug", "default", "demo", "dev", "development", "docker", "elastic", "example", "grafana", "guest",
    "host", "http", "https", "info", "localhost", "main", "mariadb", "master", "memcached", "minio", "mongo", "mysql",
    "nginx", "node", "passwd", "pass", "postgres", "postgresql", "prod", "production", "public", "rabbitmq", "redis",
    "replica", "root", "secret", "server", "service", "session", "staging", "system", "test", "user", "users", "warn",
    "warning", "worker", "0000", "1000",
}  # fmt: skip
_COUNTED = late(r"(?:^|[_.-])(?:MAX|MIN|NUM|TOTAL|COUNT|LIMIT)(?:[_.-]\w{1,20})?[_.-]?TOKENS?$", re.IGNORECASE)
_AN_ID = late(r"(?:SECRET|TOKEN)[_.-]?ID$", re.IGNORECASE)  # Vault's: what is random there is the secret
_BASIC = late(r"[\w.@-]{1,60}:[^\s,:]{4,300}(?:,[\w.@-]{1,60}:[^\s,:]{4,300}){0,100}")
_SLASHED = late(r"[\w.@-]{1,60}/([^\s/]{4,300})")
_LOG_INS = late(r"(?:^|[_.-])(?:USERS?|ACCOUNTS?|LOG_?INS?)(?:[_.-]?LIST)?$", re.IGNORECASE)
_PRIVATE = late(r"(?:^|[_.-])PRIVATE$", re.IGNORECASE)  # a half of a pair of keys
_BASE64 = late(r"[A-Za-z0-9+/]{22,2000}={0,2}")
_PATH = late(r"(?:/[\w.@-]+){2,}/?|\.{1,2}/\S*|[A-Z]:\\\S*")


def in_pairs(pairs: Iterable[tuple[str, str]], public: Iterable[str] = ()) -> list[str]:
    """The secrets of names and their values. `public`: what is said elsewhere anyway, such as a container's name."""
    found: set[str] = set()
    known_to_all = {each.lower() for each in public}
    for name, value in pairs:
        value = value.strip()
        if holds_secret(name, value):
            found.update(_parts(name, value))
        else:
            known_to_all.add(value.lower())
            found.update(_inside(value))
    return sorted(each for each in found if _can_be_masked(each, known_to_all))


def announces(name: str) -> bool:
    """Whether a variable, a label or an option of this name holds a secret."""
    if name.upper() in ("PWD", "OLDPWD"):
        return False
    return kind_of(name) not in (None, Kind.WEAK) or (
        bool(_NAME.search(name)) and not _ABOUT.search(name) and not _COUNTED.search(name)
    )


def holds_secret(name: str, value: str) -> bool:
    """Whether a value of this name is secret: by the name alone, or by both."""
    if announces(name) or (looks_random(value) and (_AN_ID.search(name) or _PRIVATE.search(name))):
        return True
    log_ins = bool(_LOG_INS.search(name)) and _BASIC.fullmatch(value) is not None
    return log_ins and is_weak_secret(value.rpartition(":")[2])


def in_arguments(arguments: list[str], public: Iterable[str] = ()) -> list[str]:
    """The secrets of a command line: behind options that announce one, NAME=value, and whatever its texts announce."""
    pairs: list[tuple[str, str]] = []
    for at, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        bare = name.lstrip("-/")
        if equals and re.fullmatch(r"[\w.-]{1,100}", bare):
            pairs.append((bare, value))
        elif argument.startswith("-") and at + 1 < len(arguments) and not arguments[at + 1].startswith("-"):
            pairs.append((bare, arguments[at + 1]))
        pairs.append(("", argument))
    together = " ".join(arguments)
    known_to_all = {each.lower() for each in public}
    texts = {each for each in rules.values(together) if _can_be_masked(each, known_to_all)}
    return sorted({*in_pairs(pairs, public), *texts})


def _parts(name: str, value: str) -> Iterator[str]:
    """What is secret of a secret's value: all of it, and the parts that a program takes it apart into."""
    if _PATH.fullmatch(value) or is_placeholder(value):
        return
    inside = {*_inside(value), *_in_json(value, name)}
    if "://" in value and inside:  # an address with a password is said again without it
        yield from inside
        return
    yield from inside
    yield value
    for quote in "\"'":
        if len(value) > 2 and value[0] == value[-1] == quote:
            yield value[1:-1]
    _, colon, after = value.partition(":")
    if colon and "://" not in value and (re.search(r"(?i:login|auth|cred|basic|user)", name) or looks_random(after)):
        yield after
    slashed = _SLASHED.fullmatch(value)  # neo4j/x
    if slashed and re.search(r"(?i:login|auth|cred|user)", name):
        yield slashed[1]
    if _BASIC.fullmatch(value):
        yield from (each.partition(":")[2] for each in value.split(",")[1:])
        yield value.partition(":")[2].partition(",")[0]
    pieces = re.split(r"[,;\s]+", value)
    if len(pieces) > 1 and all(len(each) >= 8 and is_weak_secret(each) for each in pieces):
        yield from pieces
    if looks_random(value):
        yield from _same_bytes(value)


def _same_bytes(value: str) -> Iterator[str]:
    """The bytes of a key that is written in base64 as hexadecimal, and the reverse; a key without its dashes."""
    if re.fullmatch(r"(?:[0-9a-fA-F]{2}){16,64}", value):
        yield base64.b64encode(bytes.fromhex(value)).decode()
    elif _BASE64.fullmatch(value):
        with contextlib.suppress(ValueError):
            yield base64.b64decode(value + "=" * (-len(value) % 4)).hex()
    if re.fullmatch(r"\w{2,12}(?:-\w{2,12}){2,9}", value):
        yield value.replace("-", "")


def _inside(value: str) -> Iterator[str]:
    """The secrets that a value holds by itself: of a URL, a connection string, a key that says what it is."""
    for each in rules.values(value):
        yield each
        if "/" in each:  # a webhook's path is said without its beginning
            yield from (piece for piece in each.split("/") if looks_random(piece))
    yield from _in_json(value)
    for each in value.split(","):
        if "://" in each:
            yield from _of_url(each.strip())


def _in_json(value: str, name: str = "") -> Iterator[str]:
    """The secrets of a value that is JSON: a list of keys, the account of a cloud's service."""
    if len(value) > MAX_JSON or value[:1] + value[-1:] not in ("{}", "[]"):
        return
    try:
        given = json.loads(value)
    except (ValueError, RecursionError):
        return
    waiting: list[tuple[str, Any]] = [(name, given)]
    while waiting:
        key, each = waiting.pop()
        if isinstance(each, dict):
            waiting += each.items()
        elif isinstance(each, list):
            waiting += [(key, item) for item in each]
        elif isinstance(each, str) and announces(key):
            yield from _parts(key, each)
            yield from (line for line in each.splitlines() if looks_random(line))


MAX_JSON = 64 * 1024  # characters


# In other addresses the host may be a key: those of services that notify, as Apprise writes them.
_WITH_HOST = late(
    r"(?:jdbc:)?(?:https?|wss?|tcp|udp|unix|file|s?ftps?|ssh|git|amqps?|rediss?|valkey|postgres(?:ql)?|mysql|mariadb"
    r"|mongodb|smtps?|imaps?|pop3s?|ldaps?|nats|kafka|clickhouse|memcached|mqtts?|grpc|docker|s3|gs|sqlite|elasticsearch"
    r"|cassandra|sqlserver|mssql|oracle|otlp|zookeeper|etcd|consul|vault|dns|ntp|syslog)\b",
    re.IGNORECASE,
)


_ADDRESS = late(r"([A-Za-z][\w+.:-]{0,60})://([^/?#]{0,2000})(.{0,4000})", re.DOTALL)


def _of_url(url: str) -> Iterator[str]:
    address = _ADDRESS.fullmatch(url)
    if not address:
        return
    scheme, place, path = address.groups()
    user_info, at, _ = place.rpartition("@")
    if at:
        user, colon, password = user_info.partition(":")
        secret = password if colon else user if looks_random(user) else ""
        yield from (secret, percent_decoded(secret))
    if not _WITH_HOST.match(scheme):
        for piece in re.split(r"[/@:?&=]", path if "." in place else place + path):
            if len(piece) >= 12 and is_weak_secret(piece):
                yield from (piece, percent_decoded(piece))


def _can_be_masked(value: str, public: set[str]) -> bool:
    lowered = value.lower()
    return len(value) >= SHORTEST and lowered not in _PUBLIC and lowered not in public and not is_placeholder(value)
