"""Secrets that something before them announces: a name, an option, a program, a sentence, a header."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dm_tools.redact.rules.names import Kind, kind_of
from dm_tools.redact.rules.values import MAX_VALUE, Span, is_harmless, looks_like_token, secret_at
from dm_tools.redact.rules.words import SENTENCE
from dm_tools.redact.rules.wrapped import value_at
from dm_tools.text.late import late

# Searched for in the lower case of a text: faster than a search that ignores case.
_NEW_PASSWORD = late(
    r"\b(?:(?:generated|temporary|initial|default|following|new)\b[\w \t]{0,30}pass(?:word|phrase)\b[^:\n]{0,80}"
    r"|pass(?:word|phrase|code) for\b[^:\n]{0,80}):(?:[ \t]+|(?=\s*\n))"
)
_DEFAULT = late(r"""(?:environ\.get|getenv)\(\s?["'](\w{1,80})["']\s?,\s?(?=["'])""")


def defaults(text: str, lowered: str) -> Iterator[Span]:
    """os.environ.get("SECRET_KEY", "x")"""
    for match in _DEFAULT.finditer(text):
        kind = kind_of(match[1])
        span = secret_at(text, match.end(), kind, "", direct=True) if kind else None
        if span is not None:
            yield span


def new_passwords(text: str, lowered: str) -> Iterator[Span]:
    """temporary password for root: x, the following password to go on:, and on the next line x"""
    for match in _NEW_PASSWORD.finditer(lowered):
        for begin, end in value_at(text, match.end(), Kind.PASSWORD, "", direct=False):
            if looks_like_token(text[begin:end]):
                yield begin, end


_HEADER = late(
    r"""\b((?:proxy-|x-amzn-)?authorization|(?:set-)?cookie2?|x-(?:api-key|auth-token|access-token|csrf-token)|apikey)"""
    r"""(?:\\{0,7}["'])?[ \t]{0,4}(?:[:=]|,(?=[ \t]?b?["']))[ \t]{0,8}(?:b?(\\{0,7}["']))?\[?"""
)
# A cookie's name and what is said of it tell why it was not taken; only its value is a secret, unless it is a choice.
_COOKIE = late(
    r"(?:^|(?<=[:;,\s\"'\[]))(?!(?i:path|domain|expires|max-age|samesite|version|priority|comment)=)([^\s=;,\"']{1,200})="
    r"[\"']?([^;\s\"']{1,4000})"
)
_PLAIN_COOKIE = late(r"[a-zA-Z]{1,5}|\d{1,3}|[a-z]{2}[_-][A-Z]{2}")
_SCHEME = late(r"(?:bearer|basic|token|apikey|bot|key)[ \t]+", re.IGNORECASE)
_CREDENTIAL = late(r"[^\s\"'`,;\\]{1,4000}")
_OTHER_SCHEME = late(r"[A-Za-z][A-Za-z0-9-]{2,30}[ \t]+(?=[\w.-]{1,40}=|\S{8})")
_NO_CREDENTIALS = late(r"(?:realm|error|charset)=|[.xX*]+$", re.IGNORECASE)
_AUTH_TOKEN = late(
    r"\b(bearer|basic|ssws)(?:[ \t]+|%20)([A-Za-z0-9._~+/=-]{6,4000})(?![A-Za-z0-9._~+/-])", re.IGNORECASE
)


def bearers(text: str, lowered: str) -> Iterator[Span]:
    """Bearer x and Basic x, wherever they stand"""
    for match in _AUTH_TOKEN.finditer(text):
        if _credential(match[1].lower(), match[2]):
            yield match.span(2)


def headers(text: str, lowered: str) -> Iterator[Span]:
    """Authorization and Proxy-Authorization of any scheme, Cookie, Set-Cookie, X-Api-Key"""
    done = 0
    for match in _HEADER.finditer(lowered):
        if match.start() < done:
            continue
        begin, quote, name = match.end(), match[2], match[1].lower()
        line = text.find("\n", begin, begin + MAX_VALUE)
        end = line if line >= 0 else min(len(text), begin + MAX_VALUE)
        around = text[match.start() - 1 : match.start()]  # curl -H "Authorization: Bearer x"
        quote = quote or (around if around and around in "\"'" and text[match.end(1)] not in "\"'\\" else None)
        if quote and (closing := text.find(quote, begin, end)) >= 0:
            end = closing
        escaped = text.find("\\r\\n", begin, end)
        end = escaped if escaped >= 0 else end
        value = text[begin:end].rstrip(" \t\r")
        end = begin + len(value)
        first = value.partition(" ")[0].rstrip(".,:;!?").lower()
        if not value or (first in SENTENCE and not _SCHEME.match(value)) or is_harmless(text, begin, end):
            continue
        if "cookie" in name:
            for pair in _COOKIE.finditer(text, begin, end) if "=" in value else ():
                if not _PLAIN_COOKIE.fullmatch(pair[2]) and not is_harmless(text, *pair.span(2)):
                    yield pair.span(2)
                done = end
            continue
        scheme = _SCHEME.match(value)
        credential = _CREDENTIAL.match(value, scheme.end() if scheme else 0)
        other = None if scheme else _OTHER_SCHEME.match(value)
        if other and not match[2] and "=" not in value and not name.endswith("authorization"):
            other = None
        if other:
            yield begin + other.end(), end
            done = end
        elif credential and credential[0].lower() not in SENTENCE and not is_harmless(value, *credential.span()):
            yield begin + credential.start(), begin + credential.end()


def _credential(scheme: str, value: str) -> bool:
    """Whether what follows the word is a token, and not "authentication" or `realm="..."`."""
    if _NO_CREDENTIALS.match(value):
        return False
    if value.isalpha():
        return len(value) >= 20 or (scheme == "basic" and not value.islower() and not value.istitle())
    return looks_like_token(value)
