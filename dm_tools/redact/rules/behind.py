"""Secrets that stand behind a name without a sign of assignment: lists, options, commands of settings."""

from __future__ import annotations

from collections.abc import Iterator

from dm_tools.redact.rules.names import Kind, kind_of
from dm_tools.redact.rules.values import (
    BARE,
    Span,
    is_harmless,
    is_name,
    is_weak_secret,
    looks_like_token,
)
from dm_tools.redact.rules.words import FIELDS, SENTENCE
from dm_tools.redact.rules.wrapped import value_at
from dm_tools.text.late import late

# ("password", "x"), define('X', 'y'), ["--password", "x"], {password,"x"}, s:8:"password";s:1:"x"

_LISTED = late(
    r"""(\\{0,7}["'`])(?:,|;s:\d{1,5}:|[ \t]|->)[ \t\n]{0,20}(?:[bruN]|\\u0026|<<)?(\\{0,7}["'])"""
    r"""((?:(?!\2)[^\n\\]|\\(?!["'])|\\.){1,2000}?)\2"""
)
_TERM = late(r"""[ \t]?,[ \t]?(?:<<)?(["'])((?:(?!\1)[^\n\\]|\\.){1,500}?)\1""")
_CALLEE = late(
    r"""(?i:(?<![a-z])(?:define|\w*setenv|putenv|set\w*|put\w*|getenv|get|config\w*|environ\.get|withenv|with\w*|header|addheader|cmd|args?"""
    r"""|add\w*|param|secret|env)\(\s*|(?:^|[\[({,]|[=:]\s?)\s*[\[({]\s*)[bruf]?\\{0,7}["'`](?:--?)?$|--?$"""
)


def listed(text: str, start: int, end: int, name: str, kind: Kind) -> Iterator[Span]:
    """The next element of a list after a name, or the second argument after it: `("password", "x")`, `["-p", "x"]`."""
    match = _LISTED.match(text, end)
    if match:
        span, value, quote = match.span(3), match[3], match[1]
        blank = text[end + len(quote) : end + len(quote) + 1] in (" ", "\t")
        first = value.partition(" ")[0].rstrip(".,:;!?").lower()
        if value.startswith("-") or first in SENTENCE or is_harmless(text, *span) or is_name(value):
            return
        if (
            value.lower() in FIELDS
            or (value.isupper() and "_" in value)
            or (blank and text[start - 1 : start] not in "\"'")
        ):
            return
        before = text[max(0, start - 60) : start]
        sure = (
            _CALLEE.search(before)
            or match[0].startswith((f"{quote};s:", f"{quote} "))
            or text[start - 1 : start] == "\0"
        )
        named = text[start - 1 : start] in ('"', "'", "`")  # the name is all that stands between the quotes
        likely = sure or (named and " " not in value and looks_like_token(value))
        if likely and (kind is not Kind.WEAK or is_weak_secret(value)):
            yield span
        return
    term = _TERM.match(text, end) if text[start - 1 : start] in ("{", "(") and start else None
    if term and not is_harmless(text, *term.span(2)) and term[2].lower() not in FIELDS:
        yield term.span(2)


# --password x, -storepass x

_HELP = late(r"(?:^|\n)\s{0,20}(?:-\w,\s)?--?$")  # "  -p, --password   ask for it"
_OPTION = late(r"""(?:["'],?|,)?(?:[ \t]+|[ \t]*\r?\n[ \t]+(?:-[ \t]+)?)(?:a\d{1,3}=)?(?![-=<])""")
_OWN_LINE = late(r"(?:^|\n)[ \t]*(?:-[ \t]+)?--?$")


def option(text: str, start: int, end: int, name: str, kind: Kind) -> Iterator[Span]:
    """The word after an option whose name is secret: `--password x`, `-storepass x`."""
    if text[start - 1 : start] != "-" or (kind is Kind.WEAK and not text.startswith("--", start - 2)):
        return
    if start > 2 and (text[start - 2].isalnum() or text[start - 3 : start - 1] == "]-"):
        return
    match = _OPTION.match(text, end)
    if match and "\n" in match[0] and not _OWN_LINE.search(text, max(0, start - 60), start):
        return
    if not match or (len(match[0]) > 1 and "\n" not in match[0] and _HELP.search(text, max(0, start - 40), start)):
        return
    if text[match.end() : match.end() + 1] in ("'", '"') and match.end() < len(text):
        yield from value_at(text, match.end(), kind, name, direct=True)
        return
    bare = BARE.match(text, match.end())
    if not bare or is_harmless(text, *bare.span()):
        return
    word = bare[0].rstrip(".,:")
    if (
        word.lower() in SENTENCE
        or word == name
        or (word.isupper() and kind_of(word) is not None)
        or (kind_of(word) is not None and word.isalpha())
    ):
        return
    if kind is not Kind.WEAK or is_weak_secret(word):
        yield bare.span()


# requirepass x, ENV API_KEY x, PASSWORD 'x'

_BLANKS = late(r"(?:[\"'])?[ \t]+")
_SETS = late(
    r"(?i:(?:^|\n|[\s\"'`])(?:env|arg|setenv|set|export|config set|configure set)[\"']?[ \t]+[\"']?|(?:^|\n)[ \t]*)$"
)
_QUOTED_TOKEN = late(r"""["'](?=[^"'\n]{0,40}\d)(?=[^"'\n]{0,40}[A-Za-z])([\w.-]{8,500})["']""")
_SETTINGS = {
    "psk",
    "wpa-psk",
    "wpa_psk",
    "remote_password",
    "requirepass",
    "masterauth",
    "masterpass",
    "rootpw",
    "bindpw",
    "rootdn_pw",
}


def spaced(text: str, start: int, end: int, name: str, kind: Kind) -> Iterator[Span]:
    """The word after a name and blanks, where a setting, a command or SQL sets it: `requirepass x`."""
    blanks = _BLANKS.match(text, end)
    if not blanks or kind not in (Kind.PASSWORD, Kind.SECRET, Kind.TOKEN):
        return
    begin = blanks.end()
    quote = text[begin : begin + 1] in ("'", '"', "`", "$") or text.startswith(("N'", "E'", '\\"', "\\'"), begin)
    lowered = name.lower()
    if quote and kind is Kind.PASSWORD:
        dollars = late(r"\$\w{0,20}\$(.{1,500}?)\$\w{0,20}\$").match(text, begin)
        if dollars:
            yield dollars.span(1)
        elif text[begin] != "$":
            yield from value_at(text, begin, kind, name, direct=True)
        return
    called = kind is Kind.TOKEN or (kind is Kind.SECRET and (name.isupper() or lowered.endswith("key")))
    if quote and called and (token := _QUOTED_TOKEN.match(text, begin)):
        yield token.span(1)
        return
    before = text[max(0, start - 40) : start]
    setting = lowered in _SETTINGS
    variable = "_" in name and (name.isupper() or name.islower()) and bool(_SETS.search(before))
    if not setting and not variable:
        return
    bare = BARE.match(text, begin + (text[begin : begin + 1] in "\"'"))
    if text.startswith("{", begin):
        bare = late(r"\{\w{2,12}\}\S{4,200}").match(text, begin)
    if not bare or is_harmless(text, *bare.span()) or bare[0].rstrip(".,:;").lower() in SENTENCE:
        return
    if (
        (setting and name.lower() != "rootpw")
        or looks_like_token(bare[0])
        or (name.isupper() and variable and before.strip("\n \t"))
        or setting
    ):
        yield bare.span()
