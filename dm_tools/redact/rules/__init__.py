"""Where the secrets in a text are: names that announce one, keys that say what they are, URLs, headers, hashes.

A rule yields spans (begin, end) of the text and runs only where a cheap test says that it might find something: most
log lines cost a few substring searches. What a rule leaves alone is as much a part of it as what it takes: a host,
a user, a path, `password authentication failed for user "shop"`, `KeyError: 'SECRET_KEY'` are the diagnosis.

Every pattern takes time linear in the text: repetitions are possessive or bounded, and begin where a word begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dm_tools.redact.rules import addresses, announced, tokens
from dm_tools.redact.rules.names import Kind, kind_of
from dm_tools.redact.rules.tokens import key_line, opens_key
from dm_tools.redact.rules.values import STAND_IN, Span, is_secret

__all__ = [
    "STAND_IN",
    "Kind",
    "Span",
    "is_secret",
    "key_line",
    "kind_of",
    "opens_key",
    "query_secret",
    "spans",
    "values",
]

Rule = Callable[[str, str], Iterator[Span]]
# The rules behind what a text must hold, in lower case, for them to find anything. Short on purpose: an ordinary log
# line costs these searches and no more.
_RULES: tuple[tuple[tuple[str, ...], tuple[Rule, ...]], ...] = (
    (
        ("pass", "secret", "token", "key", "auth", "pwd", "cred", "cookie", "sess"),
        (
            announced.assignments, announced.flags, announced.headers, announced.prose, announced.spaced,
            announced.logins, addresses.queries, tokens.vendor, tokens.other_hashes, tokens.pem,
        ),
    ),
    (("identified by",), (announced.spaced,)),
    (("bearer", "basic"), (announced.headers,)),
    ((" -p", '"-p', "redis-cli", "valkey-cli", "curl "), (announced.logins,)),
    (("sig=", "signature=", "code="), (addresses.queries,)),
    (("://",), (addresses.urls,)),
    (("@",), (addresses.connections, addresses.emails)),
    (("eyj",), (tokens.web_tokens,)),
    (("$",), (tokens.hashes, tokens.other_hashes)),
    (("_",), (tokens.underscored,)),
    ((".",), (tokens.discord,)),
    (
        (
            "sk-", "xox", "akia", "asia", "aiza", "glpat-", "glrt-", ":aa", "ya29.", "xapp-", "gocspx-", "pypi-ag",
            "sg.", "hvs.", "dapi", "xai-", "pplx-",
        ),
        (tokens.vendor,),
    ),
)  # fmt: skip


def spans(text: str) -> list[Span]:
    """Where the text's secrets are, in any order; spans may overlap."""
    lowered = text.lower()
    if len(lowered) != len(text):  # one capital of Turkish becomes two characters
        lowered = text
    wanted: list[Rule] = []
    for needles, rules in _RULES:
        for needle in needles:
            if needle in lowered:
                wanted += rules
                break
    found: list[Span] = []
    for rule in dict.fromkeys(wanted):
        found += rule(text, lowered)
    return found


def values(text: str) -> set[str]:
    """The secrets that a text holds, without e-mail addresses."""
    lowered = text.lower()
    rules = dict.fromkeys(rule for _, rules in _RULES for rule in rules if rule is not addresses.emails)
    return {text[begin:end] for rule in rules for begin, end in rule(text, lowered)}


def query_secret(url: str) -> bool:
    """Whether a URL carries a secret in its query or path: ?token=..., a webhook's address."""
    return any(True for rule in (addresses.queries, addresses.webhooks) for _ in rule(url, url))
