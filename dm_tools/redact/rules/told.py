"""Secrets that a sentence tells of: "the password for bob is x", "password changed from x to y"."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dm_tools.redact.rules.names import Kind
from dm_tools.redact.rules.values import (
    BARE,
    Span,
    is_harmless,
    is_weak_secret,
    looks_like_token,
    looks_random,
)
from dm_tools.redact.rules.wrapped import value_at
from dm_tools.text.late import late

# password for user admin is x; the key x; password changed from 'x' to 'y'

_IS = late(
    r"(?:[是为為は][ \t]?)|(?:[ \t](?:base|material))?"
    r"(?:[ \t](?:for|of|to|de|del|für|von|pour|para|di|van)[ \t][^:=\n]{1,60}?)?"
    r"[ \t](?:is|was|are|will be|es|est|ist|lautet|é|è|är|jest)(?:[ \t](?:now|set|changed|reset)"
    r")?(?:[ \t]to)?[ \t]?:?[ \t]+(?:<\w+>)?"
)
_TO = late(
    r"(?:[ \t](?:for|of)[ \t][^:=\n]{1,60}?)?[ \t](?:(?:was |has been |is )?(?:now )?(?:set|changed|reset|updated)"
    r"[ \t]to[ \t]?:?|to:)[ \t]+"
)
_FROM_TO = late(
    r"""(?:[ \t](?:for|of)[ \t]\S{1,60})?[ \t]\w{2,10}[ \t]from[ \t](["'`])(.{1,200}?)\1[ \t]to[ \t]\1(.{1,200}?)\1"""
)
_FOR = late(r"[ \t](?:for|of|zur|für|de|pour|para)[ \t][^:=\n]{1,60}?[ \t]?(?:[:：]|=>|->|=)[ \t]+")
_OWN = late(r"[ \t][\w.-]{1,40}[ \t]=[ \t](\S{6,200})(?=\s|$)")
_UNQUOTED = late(r"[ \t]\w{2,10}[ \t]from[ \t](\S{4,200})[ \t]to[ \t](\S{4,200})(?=\s|$)")
_AS = late(
    r"\b(?:with|using|uses|use|entered)[ \t]+[\"']?([^\s\"']{4,200})[\"']?"
    r"[ \t]+as[ \t]+(?:(?:the|a|its|my|their)[ \t]+)?$"
)
_PAIR = late(r"[ \t](?:[a-z]{1,10}[ \t])?[A-Za-z][\w.@-]{0,60}:(?!//)([^\s\"',;:]{4,200})(?=[\s\"',;]|$)")
_INSTEAD = late(
    r"[ \t](?:is |was )?(?:not (?:set|configured|provided|given|found|defined)|unset|missing|empty|undefined)\b"
    r"[^\n]{0,60}?[ \t](?:using|value|generated|to|is|key|secret|token)[ \t:]{1,3}([\w+/=.-]{8,200})(?![^\s.,;)])"
)
_THEN = late(r"[ \t](?:value[ \t])?([\w!#$%&*+@^~./=-]{4,200}+)(?![\w(:])")
_ALGORITHM = late(r"(?i:sha|scram|md5|bcrypt|argon|pbkdf|scrypt|v\d|rfc|oauth|utf|x509|id=|id:|len|type|name)")
_GOT = late(r"""[ \t](?:mismatch|differs|wrong)[^\n:]{0,40}:?[ \t](?:got|have)[ \t:]{1,2}["']?([^\s"',;]{4,200})""")
_REFUSED = late(r"(?i:invalid)[ \t]$")
_NOT_THEN = late(r"(?i:unexpected|near|at|missing|expected|next|last|first|invalid|of|max|per|\d)[ \t]$")


def told(text: str, start: int, end: int, name: str, kind: Kind) -> Iterator[Span]:
    """What a sentence tells of the value of a name: changed from and to, used instead of a missing one, `set to x`."""
    if kind is Kind.WEAK:
        return
    changed = _FROM_TO.match(text, end)
    if changed:
        yield from (changed.span(2), changed.span(3))
        return
    unquoted = _UNQUOTED.match(text, end) if kind is Kind.PASSWORD else None
    if unquoted and looks_like_token(unquoted[1]) and looks_like_token(unquoted[2]):
        yield from (unquoted.span(1), unquoted.span(2))
        return
    instead = _INSTEAD.match(text, end)
    if instead and is_weak_secret(instead[1].rstrip(".")) and not is_harmless(text, *instead.span(1)):
        yield instead.start(1), instead.start(1) + len(instead[1].rstrip("."))
        return
    given = _AS.search(text, max(0, start - 240), start)
    if given and looks_like_token(given[1]) and not is_harmless(text, *given.span(1)):
        yield given.span(1)
        return
    own = _OWN.match(text, end) if kind is Kind.PASSWORD else None
    if own and is_weak_secret(own[1]):  # PASSWORD elastic = x
        yield own.span(1)
        return
    match = _TO.match(text, end) or _IS.match(text, end)
    if not match and kind in (Kind.PASSWORD, Kind.PIN):
        match = _FOR.match(text, end)
    if not match and kind in (Kind.TOKEN, Kind.SECRET):
        match = _FOR.match(text, end)
        bare = BARE.match(text, match.end()) if match else None
        if not bare or not is_weak_secret(bare[0]):
            match = None
    if match:
        yield from value_at(text, match.end(), kind, name, direct=False, told=True)
        return
    if name.lower().startswith("cred") and (pair := _PAIR.match(text, end)) and looks_like_token(pair[1]):
        yield pair.span(1)
        return
    got = _GOT.match(text, end) if kind is Kind.PASSWORD else None
    if got and is_weak_secret(got[1]):
        yield got.span(1)
        return
    if kind is Kind.SECRET and not name.lower().endswith(("key", "keys")):
        return
    then = _THEN.match(text, end)
    if (
        not then
        or (
            kind is not Kind.PASSWORD
            and _NOT_THEN.search(text, max(0, start - 12), start)
            and not (_REFUSED.search(text, max(0, start - 12), start) and looks_random(then[1]))
        )
        or _ALGORITHM.match(then[1])
    ):
        return
    value = then[1].rstrip(".,")
    if kind is Kind.PIN:
        if value.isdigit() and 4 <= len(value) <= 8 and name.lower() != "pin":
            yield then.span(1)
        return
    if name.lower() == "passcode" and value.isdigit() and len(value) >= 4:
        yield then.span(1)
        return
    letters, digits = any(map(str.isalpha, value)), any(map(str.isdigit, value))
    if (
        letters
        and digits
        and "/" not in value[:-1]
        and not is_harmless(text, *then.span(1))
        and "=" not in value.rstrip("=")
    ):
        if re.search(r"\.\w{1,5}$", value) and kind is not Kind.TOKEN:
            return
        cased = any(map(str.isupper, value[1:])) and any(map(str.islower, value))
        if len(value) >= (6 if cased else 8):
            yield then.start(1), then.start(1) + len(value)
