"""What a failure is about, where its saying does not name it: the rest of the line, its neighbours, the environment.

"could not connect to the database" names no host; the URL beside it does, or the trace below, or the line before, or
only the container's environment, which knows one database.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from dm_tools.patterns.haystack import Captures, Searcher
from dm_tools.patterns.language import Technology
from dm_tools.text.late import late

AROUND = 3  # items before and after that may name it
SECONDS = 1.0  # and not further away in time
MAX_TRIED = 50  # places in one text that are tried
MAX_TEXT = 4000  # characters of an item that are looked at

# Words that stand where a name could, and name nothing.
_NO_NAMES = frozenset(
    re.findall(
        r"\w+",
        """
        a address all an and any api app application at backend be because broker by cache client cluster connect
        connection database db endpoint error errors exception failed failure for from has host http https in
        information is it its master network no node not of on one or our peer port proxy queue refused remote replica
        self server service some storage store socket tcp that the them there this timed to tunnel udp unix unknown
        upstream url us was with your repository registry
        """,
    )
)
_SOURCE = late(
    r"(?i)\.(?:c|cc|cpp|cs|cxx|ex|exs|erl|f90|go|h|hpp|hs|java|jl|js|jsx|kt|lua|mjs|cjs|php|pl|pm|py|rb|rs|scala|sh"
    r"|swift|ts|tsx|vue|zig|conf|cfg|cnf|ini|json|toml|xml|ya?ml|log|txt)$"
)
_NUMBER = late(r"^[\d.]*$")
# An item beside the one that fails is about the same thing if it speaks of trying or failing, too.
_SPOKEN = late(
    r"(?i)error|fail|fatal|crit|emerg|panic|invalid|unknown|could|cannot|can't|unable|connect|open|load|read|writ|config"
    r"|mount|accept|try|start|using|running|exec|resolv|exception|LOG:"
)
_PLACE = late(r"(?:[\"']?, line|:| on line|\()\s?\d")  # behind a source file: a place in the code, no object
_FRAME = late(r"^\s*(?:at |from |File \"|in /|#\d+ |\.\.\. )")

# What programs call a database or a queue whose product they do not name.
_CALLED = {
    "database": {"postgres", "mysql", "mongodb"},
    "db": {"postgres", "mysql", "mongodb"},
    "jdbc": {"postgres", "mysql"},
    "cache": {"redis", "memcached"},
    "broker": {"rabbitmq", "kafka", "redis", "nats"},
    "amqp": {"rabbitmq"},
    "queue": {"rabbitmq", "redis"},
    "smtp": {"mail server"},
}
# The libraries through which they speak to one: a trace names them in its frames.
_CLIENTS = {
    "mail server": ("smtplib", "aiosmtplib", "nodemailer", "smtpconnection", "javamail"),
    "mysql": ("pymysql", "mysqlclient", "mysqldb", "mysqli", "mysql2", "aiomysql"),
    "postgres": ("psycopg", "psycopg2", "asyncpg", "pgx", "pgjdbc", "npgsql"),
    "mongodb": ("pymongo", "mongoose", "motor"),
    "rabbitmq": ("pika", "amqplib", "amqpstorm", "bunny"),
    "redis": ("ioredis", "jedis", "lettuce", "hiredis", "predis"),
    "memcached": ("pymemcache", "memjs", "spymemcached", "pylibmc"),
    "kafka": ("kafkajs", "confluent", "aiokafka", "sarama"),
    "ldap": ("ldap3", "ldapjs"),
}
_CALLED |= {client: {technology} for technology, clients in _CLIENTS.items() for client in clients}


_DATE = late(r"\d{4}-\d\d-\d\d(?:T\d\d)?$")  # of a time, what stands before its first colon


def usable(captures: Captures) -> Captures:
    """The captures without a host that is none (a source file, a number, a word such as `server`), paths without the
    mark that ends their sentence.
    """
    found = {
        key: value.rstrip(".,:;") if key in ("path", "setting", "limit") else value for key, value in captures.items()
    }
    host = found.get("upstream")
    nameless = host is not None and (
        (host.lower() in _NO_NAMES and "port" not in found)
        or bool(_SOURCE.search(host))
        or bool(_DATE.match(host))
        or _is_number(host)
    )
    return {key: value for key, value in found.items() if value and not (nameless and key in ("upstream", "port"))}


def _is_number(host: str) -> bool:
    return bool(_NUMBER.match(host)) and host.count(".") != 3


def beside(searcher: Searcher, near: str, text: str) -> Captures:
    """What an expression captures first in an item beside the one that fails, in the program's own words."""
    if _SPOKEN.search(text[:MAX_TEXT]):
        for found, (first, last) in searcher.occurrences(near, text[:MAX_TEXT], MAX_TRIED):
            if (named := usable(found)) and not searcher.cited(text[:MAX_TEXT], first, last):
                return named
    return {}


def nearest(searcher: Searcher, near: str, text: str, start: int, end: int) -> Captures:
    """What an expression captures closest to a part of a text, on the same line if anything is there; empty if nothing.

    `start`, `end`: the part, in characters. Lines of a trace that only tell a place in the code are left out.
    """
    if len(text) > MAX_TEXT:
        begin = max(0, min(start, len(text)) - MAX_TEXT // 2)
        text, start, end = text[begin : begin + MAX_TEXT], start - begin, end - begin
    best: tuple[tuple[bool, int], Captures] | None = None
    for found, (first, last) in searcher.occurrences(near, text, MAX_TRIED):
        line = text[text.rfind("\n", 0, first) + 1 : last]
        named = usable(found)
        code = _SOURCE.search(named.get("path", "")) and _PLACE.match(text, last)
        if not named or code or _FRAME.match(line):
            continue
        between = text[min(end, last) : max(start, first)] if first < end else text[end:first]
        rank = ("\n" in between, max(first - end, start - last, 0))
        if best is None or rank < best[0]:
            best = (rank, named)
    return best[1] if best else {}


def of_environment(
    text: str, port: str | None, needs: Iterable[str], technologies: Mapping[str, Technology]
) -> Captures:
    """The one service of those that a container's environment or labels name that a text speaks of; empty if unclear.

    It is named in the text, or has the port, or the port of the technology that the text names; or of all hosts it is
    the only one without a port, and no other has that technology's; or it is the only one that there is.
    """
    known: dict[str, str] = {}
    for need in needs:
        host, _, own = need.partition(":")
        if own or host not in known:
            known[host] = own
    ports = set(_ports(set(re.findall(r"[a-z0-9]+", text[:MAX_TEXT].lower())), technologies))
    for candidates in (
        [host for host in known if _names(text[:MAX_TEXT], host)],
        [host for host, own in known.items() if port and own == port],
        [host for host, own in known.items() if own in ports],
        [host for host, own in known.items() if ports and not own],
        list(known),
    ):
        if len(candidates) == 1:
            host = candidates[0]
            return {"upstream": host} | ({"port": known[host]} if known[host] else {})
    return {}


def _names(text: str, host: str) -> bool:
    return bool(re.search(rf"(?<![\w./@-]){re.escape(host)}(?![\w/-]|\.\w)", text))


def _ports(words: set[str], technologies: Mapping[str, Technology]) -> Iterator[str]:
    called = {name for word in words for name in _CALLED.get(word, ())}
    for name, technology in technologies.items():
        if name in called or words & {name, *technology.names}:
            yield from map(str, technology.ports)
