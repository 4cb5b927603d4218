"""Where the secrets in a text are: names that announce one, keys that say what they are, URLs, headers, hashes.

Every rule stands in one table, with the texts without which it finds nothing. One automaton looks for all of those at
once, so most lines of a log cost one pass, and no rule can be there that nothing leads to: `tests/test_redact.py` tries
each with its example. What a rule leaves alone is as much a part of it as what it takes: a host, a user, a path,
`password authentication failed for user "shop"`, `KeyError: 'SECRET_KEY'` are the diagnosis.

Every pattern takes time linear in the text: repetitions are possessive or bounded, and begin where a word begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

from dm_tools.redact.rules import addresses, announced, programs, protocols, sql, tables, tokens
from dm_tools.redact.rules.names import NEEDLES, WHOLE_WORDS, Kind, kind_of
from dm_tools.redact.rules.pairs import pairs
from dm_tools.redact.rules.values import STAND_IN, Span, is_secret
from dm_tools.text import needles

__all__ = ["RULES", "STAND_IN", "Kind", "Rule", "Span", "is_secret", "kind_of", "query_secret", "spans", "values"]


class Rule(NamedTuple):
    """A rule: what finds secrets in a text (as it is, and in lower case), what it needs, and a text that it is for."""

    find: Callable[[str, str], Iterator[Span]]
    needles: tuple[str, ...]
    example: str


def _paired(text: str, lowered: str) -> Iterator[Span]:
    """The pairs of a text, if nobody has looked for their names yet."""
    return pairs(text, sorted(place for rules, place in _led_to(text, lowered) if _PAIRS in rules))


_PAIRS = Rule(_paired, NEEDLES, "password=abc")
RULES: tuple[Rule, ...] = (
    _PAIRS,
    Rule(
        announced.headers,
        ("authorization", "cookie", "apikey", "x-api-key", "x-auth-token", "x-access-token", "x-csrf-token"),
        "Authorization: Hawk a=b12345678",
    ),
    Rule(announced.bearers, ("bearer", "basic ", "basic%20", "ssws "), "Bearer abcde.12345"),
    Rule(announced.defaults, ("getenv(", "environ.get("), 'os.environ.get("SECRET_KEY", "a")'),
    Rule(announced.new_passwords, ("pass",), "generated password for bob: abc12345"),
    Rule(programs.options, programs.OPTION_NEEDLES, "mysql -pabc12345"),
    Rule(programs.places, programs.PLACE_NEEDLES, "htpasswd -b file bob abc12345"),
    *(Rule(find, each, example) for find, each, example in protocols.COMMANDS),
    Rule(sql.statements, sql.NEEDLES, "CREATE USER a IDENTIFIED BY 'b'"),
    Rule(sql.inserts, ("insert ", "replace into"), "INSERT INTO users (name, password) VALUES ('bob', 'abc')"),
    Rule(
        sql.parameters,
        ("identified by", "password=%s", "password = %s", "password=?", "password = ?", "password=$", "password = $"),
        'execute("UPDATE users SET password=%s", ("abc",))',
    ),
    Rule(sql.keyed, (")=(",), "Failing row contains: (id, password)=(7, abc)."),
    Rule(tables.tables, tables.NEEDLES, "user,password\nbob,abc12345"),
    Rule(addresses.queries, addresses.QUERY_NEEDLES, "/?sig=abc123"),
    Rule(addresses.nested_queries, ("%3f", "%26", "%3d"), "/?next=%2F%3Ftoken%3Dabc12345"),
    Rule(addresses.urls, ("://",), "redis://:abc@cache/0"),
    Rule(addresses.webhooks, addresses.WEBHOOKS, "https://hooks.slack.com/services/T000/B000/abc"),
    Rule(addresses.mailed, addresses.SENT_BY_MAIL, "/password/reset/Zk1xT7pLw3vRs8uYdQm9"),
    Rule(addresses.connections, ("@",), "bob:abc@tcp(db:3306)/shop"),
    Rule(addresses.emails, ("@",), "bob@example.com"),
    Rule(tokens.web_tokens, ("eyj",), "eyJhbGciOiJIUzI1NiJ9.e30.c2ln"),
    Rule(tokens.hashes, tokens.HASH_NEEDLES, "$6$rounds=5000$abcdefgh"),
    Rule(tokens.other_hashes, ("{sha", "{ssha", "pbkdf2", "scram-sha", "scrypt:"), "{SSHA}abcdefghijklmnop"),
    Rule(tokens.discord, (".",), "MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs"),
    Rule(
        tokens.pem,
        ("private key", "private-lines", "private-mac"),
        "-----BEGIN PRIVATE KEY-----\nMIIEpAIBAAKCAQEA1234abcd\n",
    ),
    *(Rule(find, each, example) for find, each, example in tokens.VENDORS),
)  # fmt: skip


@cache
def _table() -> tuple[needles.InText, list[tuple[bool, tuple[Rule, ...]]]]:
    """What looks for all needles, and for each whether it counts only where a word begins, and the rules behind it."""
    behind: dict[str, list[Rule]] = {}
    for rule in RULES:
        for needle in rule.needles:
            behind.setdefault(needle, []).append(rule)
    return needles.InText(behind), [(needle in WHOLE_WORDS, tuple(rules)) for needle, rules in behind.items()]


def _led_to(text: str, lowered: str) -> Iterator[tuple[tuple[Rule, ...], int]]:
    """The rules that may find something in a text, and the places (of a needle's last character) that say so."""
    automaton, behind = _table()
    for index, begin, end in automaton.places(lowered):
        word, rules = behind[index]
        if word and begin and text[begin - 1].isalpha() and not (text[begin].isupper() and text[begin - 1].islower()):
            continue
        yield rules, end - 1


def spans(text: str) -> list[Span]:
    """Where the text's secrets are, in any order; spans may overlap."""
    lowered = text.lower()
    if len(lowered) != len(text):  # one capital of Turkish becomes two characters
        lowered = text
    wanted: dict[Callable[[str, str], Iterator[Span]], None] = {}  # a rule's hash is one of all its needles
    names: list[int] = []
    for rules, place in _led_to(text, lowered):
        for rule in rules:
            if rule is _PAIRS:
                names.append(place)
            else:
                wanted[rule.find] = None
    found = list(pairs(text, sorted(names))) if names else []
    for find in wanted:
        found += find(text, lowered)
    return found


def values(text: str) -> set[str]:
    """The secrets that a text holds, without e-mail addresses."""
    mails = set(addresses.emails(text, text))
    return {text[begin:end] for begin, end in spans(text) if (begin, end) not in mails}


def query_secret(url: str) -> bool:
    """Whether a URL carries a secret in its query or path: ?token=..., a webhook's address."""
    lowered = url.lower()
    rules = (addresses.queries, addresses.nested_queries, addresses.webhooks)
    return any(True for rule in rules for _ in rule(url, lowered))
