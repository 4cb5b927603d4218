"""Secrets that something before them announces: a name, an option, a program, a sentence, a header."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dm_tools.redact.rules.names import Kind, kind_of
from dm_tools.redact.rules.values import (
    ALONE,
    BARE,
    MAX_VALUE,
    QUOTE,
    SENTENCE,
    Span,
    is_harmless,
    looks_like_token,
    secret_at,
)

_ASSIGNMENT = re.compile(
    r"""(?<![\w.-])([\w.-]++)(?:\\{0,7}["'`])?[\])]?[ \t]{0,8}"""
    r"""(:=|=>|={1,3}|:(?!:)|>(?=[^<>\s][^<\n]{0,500}</))([ \t]*+)"""
)
_NAMED = re.compile(
    r"""\bname(\\{0,7}["'])?[ \t]?[:=][ \t]?\1?([\w.-]{1,80})\1?[ \t]?(?:,|\n)\s{0,20}\1?value\1?[ \t]?[:=][ \t]?"""
)
_OWNER = re.compile(r"([A-Za-z]{2,16})[ _-]$")


def assignments(text: str, lowered: str) -> Iterator[Span]:
    """NAME=value, "name": "value", Name: several words, <name>value</name>, ;Name=a value;"""
    done = 0
    for match in _ASSIGNMENT.finditer(text):
        if match.start() < done:
            continue
        name = match[1][-100:].strip("-.")
        kind = kind_of(name)
        if kind in (None, Kind.WEAK):
            owner = _OWNER.search(text, max(0, match.start() - 18), match.start())
            if owner and (kind is None or kind is Kind.WEAK):  # "api key: x", "secret access key = x"
                kind = kind_of(f"{owner[1]}_{name}") if name.lower() in ("key", "token", "phrase", "code") else kind
        if kind is None:
            continue
        begin, separator = match.end(), match[2]
        if separator == ">":
            end = text.find("</", begin)
            if not is_harmless(text, begin, end):
                yield begin, end
                done = end
            continue
        direct = separator in ("=", ":=", "=>", "==") and not match[3]
        if name.lower() == "pass" and not direct and not QUOTE.match(text, begin):
            continue  # "pass: 5 fail: 0"
        if name == "pass" and text[begin : begin + 5].rstrip(" ,;").isdigit():
            continue
        if kind is Kind.PASSWORD and direct and match.start() and text[match.start() - 1] == ";":
            end = text.find(";", begin)  # Server=db;User Id=app;Password=with a space;
            quote = QUOTE.match(text, begin)
            if end > begin and not quote and "\n" not in text[begin:end] and not is_harmless(text, begin, end):
                yield begin, end
                continue
        span = secret_at(text, begin, kind, match[1], direct)
        if span is not None:
            yield span
            done = span[1]
    for match in _NAMED.finditer(text):  # {"name": "DB_PASSWORD", "value": "x"}
        kind = kind_of(match[2])
        span = secret_at(text, match.end(), kind, "", direct=True) if kind else None
        if span is not None:
            yield span


_FLAG = re.compile(r"""(?<![\w.-])--?([A-Za-z][\w-]*+)(?:["'],?)?[ \t]+["']?(?![-=])""")
_LOGIN = re.compile(
    r"\b(?:mysql\w*|mariadb[\w-]*|sshpass|docker login|podman login|redis-cli|valkey-cli|mongo\w*|curl|wget|ldap\w+)\b"
)
# What these programs take as a password; mysql's -p has it attached.
_LOGIN_OPTION = re.compile(
    r"""(?<=[ \t"'])(?:-p(?:=|["'],?[ \t]*["']|[ \t])?["']?|-a["']?,?[ \t]+["']?|-w["']?,?[ \t]+["']?"""
    r"""|(?:-u|--user)["']?,?[ \t]+["']?[^\s:"']{1,64}:)([^\s"',;]{3,200})"""
)


def flags(text: str, lowered: str) -> Iterator[Span]:
    """The value behind an option: --password foo, and in a list of arguments."""
    for match in _FLAG.finditer(text):
        kind = kind_of(match[1])
        bare = BARE.match(text, match.end()) if kind not in (None, Kind.WEAK) else None
        if bare and bare[0].rstrip(".,:").lower() not in SENTENCE and not is_harmless(text, *bare.span()):
            yield bare.span()


def logins(text: str, lowered: str) -> Iterator[Span]:
    """mysql -pfoo, redis-cli -a foo, curl -u user:foo"""
    for login in _LOGIN.finditer(text):
        line = text.find("\n", login.end(), login.end() + 400)
        until = min(login.end() + 400, line if line >= 0 else len(text))
        for option in _LOGIN_OPTION.finditer(text, login.end(), until):
            if not option[1].isdigit() and not is_harmless(text, *option.span(1)):  # redis-cli -p 6379
                yield option.span(1)


# Searched for in the lower case of a text: faster than a search that ignores case.
_PROSE = re.compile(
    r"\bpass(?:word|phrase|wd|code)[ \t]+(?:(?:is|was)(?:[ \t]+(?:set|changed|reset|now))?(?:[ \t]+to)?|"
    r"(?:set|changed|reset)[ \t]+to|"
    r"(?:has been|is|was)[ \t]+(?:generated|created|set)[ \t]+for[ \t]+\S{1,80}:)[ \t]*:?[ \t]+"
)
_PASSWORD_THEN = re.compile(
    r"\b(?i:pass(?:word|phrase|wd|code))[ \t]+(?!(?i:sha|scram|md5|bcrypt|argon|pbkdf|scrypt|v\d))"
    r"(?=[A-Za-z_-]{0,60}\d)(?=[\d_-]{0,60}[A-Za-z])([\w!#$%&*+@^~-]{8,200}+)(?![\w(.:/=])"
)
_PASSWORD_QUOTED = re.compile(r"\bpass(?:word|phrase|wd|code)[ \t]+(?=[\"'`]\S)")
_NEW_PASSWORD = re.compile(
    r"\b(?:(?:generated|temporary|initial|default|following|new)\b[\w \t]{0,30}pass(?:word|phrase)\b[^:\n]{0,80}"
    r"|pass(?:word|phrase|code) for\b[^:\n]{0,80}):[ \t]+"
)
_SPACED = re.compile(
    r"""(?:\b(?:requirepass|masterauth|(?<!revision )identified by(?: password)?)|"auth"|^auth)[ \t]+"""
)
_DEFAULT = re.compile(r"""(?:environ\.get|getenv)\(\s?["'](\w{1,80})["']\s?,\s?(?=["'])""")


def prose(text: str, lowered: str) -> Iterator[Span]:
    """password is X, password "X", temporary password for root: X, requirepass X, IDENTIFIED BY 'X'"""
    if "env" in lowered:
        for match in _DEFAULT.finditer(text):
            kind = kind_of(match[1])
            span = secret_at(text, match.end(), kind, "", direct=True) if kind else None
            if span is not None:
                yield span
    if "pass" not in lowered:
        return
    for match in _PROSE.finditer(lowered):
        bare = BARE.match(text, match.end())
        word = bare[0].rstrip(".,:!?") if bare else ""
        if not bare:
            span = secret_at(text, match.end(), Kind.PASSWORD, "", direct=False)
            if span is not None:
                yield span
        elif (
            word.lower() not in SENTENCE
            and not is_harmless(text, *bare.span())
            and (looks_like_token(word) or ALONE.match(text, bare.end()))
        ):
            yield bare.start(), bare.start() + len(word)
    for match in _PASSWORD_THEN.finditer(text):
        yield match.span(1)
    for match in _NEW_PASSWORD.finditer(lowered):
        span = secret_at(text, match.end(), Kind.PASSWORD, "", direct=False)
        if span is not None and looks_like_token(text[slice(*span)]):
            yield span
    for match in _PASSWORD_QUOTED.finditer(lowered):
        span = secret_at(text, match.end(), Kind.PASSWORD, "", direct=False)
        if span is not None:
            yield span


def spaced(text: str, lowered: str) -> Iterator[Span]:
    """requirepass X, IDENTIFIED BY 'X', auth X: a word and a blank before it."""
    if not any(word in lowered for word in ("requirepass", "masterauth", "identified by", "auth ", 'auth"')):
        return
    for match in _SPACED.finditer(lowered):
        span = secret_at(text, match.end(), Kind.PASSWORD, "", direct=True)
        if span is not None and text[span[0] : span[1]].lower() not in SENTENCE:
            yield span


_HEADER = re.compile(
    r"""\b((?:proxy-|x-amzn-)?authorization|(?:set-)?cookie2?|x-(?:api-key|auth-token|access-token|csrf-token)|apikey)"""
    r"""(?:\\{0,7}["'])?[ \t]{0,4}(?:[:=]|,(?=[ \t]?b?["']))[ \t]{0,8}b?(\\{0,7}["'])?\[?"""
)
_SCHEME = re.compile(r"(?:bearer|basic|token|apikey|bot|key)[ \t]+", re.IGNORECASE)
_CREDENTIAL = re.compile(r"[^\s\"'`,;\\]{1,4000}")
_OTHER_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9-]{2,30}[ \t]+(?=[\w.-]{1,40}=|\S{8})")
_AUTH_TOKEN = re.compile(
    r"\b(bearer|basic)(?:[ \t]+|%20)([A-Za-z0-9._~+/=-]{6,4000})(?![A-Za-z0-9._~+/-])", re.IGNORECASE
)


def headers(text: str, lowered: str) -> Iterator[Span]:
    """Authorization and Proxy-Authorization of any scheme, Cookie, Set-Cookie, X-Api-Key; Bearer and Basic anywhere."""
    if "bearer" in lowered or "basic" in lowered:
        for match in _AUTH_TOKEN.finditer(text):
            if _credential(match[1].lower(), match[2]):
                yield match.span(2)
    if not any(word in lowered for word in ("authorization", "cookie", "apikey", "x-a", "x-csrf")):
        return
    done = 0
    for match in _HEADER.finditer(lowered):
        if match.start() < done:
            continue
        begin, quote, name = match.end(), match[2], match[1].lower()
        line = text.find("\n", begin, begin + MAX_VALUE)
        end = line if line >= 0 else min(len(text), begin + MAX_VALUE)
        if quote and (closing := text.find(quote, begin, end)) >= 0:
            end = closing
        escaped = text.find("\\r\\n", begin, end)
        end = escaped if escaped >= 0 else end
        value = text[begin:end].rstrip(" \t\r")
        end = begin + len(value)
        first = value.partition(" ")[0].rstrip(".,:;!?").lower()
        if not value or first in SENTENCE or is_harmless(text, begin, end):
            continue
        if "cookie" in name:
            if "=" in value:
                yield begin, end
                done = end
            continue
        scheme = _SCHEME.match(value)
        credential = _CREDENTIAL.match(value, scheme.end() if scheme else 0)
        other = None if scheme else _OTHER_SCHEME.match(value)
        if other and not quote and "=" not in value and not name.endswith("authorization"):
            other = None
        if other:
            yield begin + other.end(), end
            done = end
        elif credential and credential[0].lower() not in SENTENCE and not is_harmless(value, *credential.span()):
            yield begin + credential.start(), begin + credential.end()


def _credential(scheme: str, value: str) -> bool:
    """Whether what follows the word is a token, and not "authentication" or `realm="..."`."""
    if re.match(r"(?:realm|error|charset)=", value, re.IGNORECASE):
        return False
    if value.isalpha():
        return len(value) >= 20 or (scheme == "basic" and not value.islower() and not value.istitle())
    return looks_like_token(value)
