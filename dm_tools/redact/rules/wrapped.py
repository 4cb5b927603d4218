"""The value behind a name, in whatever it is wrapped: a call, a block, a list, an object, the next line."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dm_tools.redact.rules.names import Kind
from dm_tools.redact.rules.values import (
    ALONE,
    BARE,
    PLACEHOLDER,
    QUOTE,
    Span,
    is_harmless,
    is_weak_secret,
    looks_like_token,
    phrase,
    secret_at,
)
from dm_tools.redact.rules.words import PREPOSITIONS, SENTENCE
from dm_tools.text.late import late

# What stands between a separator and a value: a type, a tag, a call that only wraps it.
_WRAPPED = late(
    r"""(?:!!?[\w/!-]{1,30}[ \t]+|&\w{1,30}[ \t]+(?=["'\w])|"""
    r"""(?:&?(?:'?static[ \t])?(?:mut[ \t])?(?:str|string|text|bytes|char|varchar|SecretStr|Optional\[str\]|"""
    r"""String|Vec<u8>)"""
    r"""(?:\(\d{1,6}\)|\[\])?[ \t\n]{0,8}=?[ \t]?(?=["'\\]|<<))|"""
    r"""\s{0,40}string\(\d{1,6}\)\s(?=")|\[\](?:string|byte)\{(?=")|\(string\)[ ](?:\(len=\d{1,6}\)[ ])?(?=")|"""
    r"""(?:Some|Just|0x[0-9a-f]{1,16})[ ](?=["'])|\(ConvertTo-SecureString[ ](?:-String[ ])?(?=["'])|"""
    r"""(?=(?:[A-Za-z_][\w.:]{0,40}|\[\]byte)\()(?!(?i:[\w.:]*(?:get|env|read|load|fetch|find|lookup|open|file|input|prompt|raise|error|config|request|param|print"""
    r"""|log|format|exception|valid|requir)\w*)\()(?:[A-Za-z_][\w.:]{0,40}|\[\]byte)\(\s{0,40}(?=[brN]?\\{0,7}["']|"""
    r"""Some\()){1,3}"""
)
_REFERENCE = late(r"!(?i:secret|ref|sub|env|getatt|importvalue)\b(?![ \t]*[\"'\[])")
_TRIPLE = late(r"""(\"\"\"|\'\'\')(.{1,2000}?)\1""", re.DOTALL)
_BETWEEN = late(
    r"""(?:<!\[CDATA\[(.{1,2000}?)\]\]>|<<(?:"|')(.{1,500}?)(?:"|')(?:/utf8)?>>|(?:&quot;|&#0?3[49];|&#x2[27];)(.{1,500}?)(?:&quot;|&#0?3[49];|&#x2[27];)|\$\$(.{1,500}?)\$\$)""",
    re.DOTALL,
)
_BLOCK = late(r"[|>][+-]?\d?[ \t]*\r?\n")
_NEXT_LINE = late(
    r"[ \t]*\r?\n(?:[ \t]*\r?\n){0,2}([ \t]*)(?:[|>$#*-]{1,2}[ \t]+)?([^\s\"'`{}\[\]<>:=,;]\S{2,300}|"
    r"[\"'][^\n\"']{3,300}[\"'])[ \t]*(?=\r?\n|$)"
)
_ITEM = late(
    r"""(?:["']?([\w.-]{1,60})["']?\s?(?:=>|[:=])\s?)?(?:[bruN]?(\\{0,7}["'])((?:(?!\2)[^\\\n]|\\(?!["'])|\\.){0,500}?)\2|([^\s"'\[\]{}(),:=]{1,200}))"""
)
_INNER = {
    "value",
    "val",
    "v",
    "data",
    "string",
    "plain",
    "plaintext",
    "raw",
    "text",
    "content",
    "secret",
    "password",
    "current",
    "new",
    "old",
    "primary",
    "secondary",
    "id",
    "hash",
}
_BYTES = late(r"\[\d{1,3}(?:,[ ]?\d{1,3}){3,300}\]")
_MAX_CONTAINER = 1000
_MAX_OPEN = 400


def value_at(
    text: str, begin: int, kind: Kind, name: str, direct: bool, *, at_line_start: bool = False, told: bool = False
) -> Iterator[Span]:
    """The spans of the secrets of the value that begins here, in whatever it is wrapped.

    `at_line_start`: NAME=value is a line of a file of settings, so the value goes on to its end. `told`: a sentence
    leads here ("password is x"), so an ordinary word may follow for other reasons.
    """
    wrapped = _WRAPPED.match(text, begin) if not _REFERENCE.match(text, begin) else None
    if wrapped:
        begin = wrapped.end()
    between = _TRIPLE.match(text, begin) or _BETWEEN.match(text, begin)
    if between:
        span = between.span(between.lastindex or 0)
        if not is_harmless(text, *span) and (kind is not Kind.WEAK or is_weak_secret(text[slice(*span)])):
            yield span
        return
    first = text[begin : begin + 1]
    if first and first in "|>" and (block := _BLOCK.match(text, begin)):
        yield from _block(text, begin, block.end())
        return
    if first and first in "\r\n":
        if not direct:
            yield from _below(text, begin, kind) if not _MAPPING.match(text, begin) else _default(text, begin, kind)
        return
    if first and first in "{[(" and not PLACEHOLDER.match(text, begin):
        found = list(_contained(text, begin, kind, name))
        if found or first == "{":
            yield from found
            return
    if (
        kind is Kind.SECRET
        and not direct
        and name.lower().startswith("cred")
        and (user := _CREDENTIALS.match(text, begin))
    ) and not is_harmless(text, *user.span(1)):
        yield user.span(1)
        return
    found_at = secret_at(text, begin, kind, name, direct)
    if found_at is None:
        return
    span = found_at
    if name.lower() == "codes":  # one after the other
        more = _MORE_CODES.match(text, span[1])
        span = span[0], more.end() if more else span[1]
    if told and not QUOTE.match(text, begin):
        bare = BARE.match(text, span[0])
        end = bare.end() if bare else span[1]
        word = text[span[0] : end].rstrip(".,:!?")
        if word.lower() in SENTENCE or not (looks_like_token(word) or ALONE.match(text, end)):
            return
        yield span[0], span[0] + len(word)
        return
    if at_line_start and kind in (Kind.PASSWORD, Kind.SECRET) and not QUOTE.match(text, begin):
        first_word = BARE.match(text, span[0])
        span = span[0], _line(text, first_word.end() if first_word else span[1])
    pair = _USER_THEN.match(text, span[0]) if kind is Kind.PASSWORD and not direct else None
    if pair and not name.lower().endswith("key") and len(pair[0]) < 40:
        span = pair.span(1)
    yield span


_USER_THEN = late(r"[A-Za-z][\w.@-]{0,60}(?:[ ]/[ ]|/(?=\S))(\S{4,200})")
_CREDENTIALS = late(r"[A-Za-z][\w.@-]{0,60}(?: / |/|:)(?!//)([^\s\"'/,;]{4,200})(?=[\s\"',;]|$)")
_COMMAND = late(r"[ ](?:[\w./-]{1,80}[ ]){1,6}--?[A-Za-z]")
_REST = late(r"(?: [^\s=:,;|\"'(){}\[\]]{1,64}){1,7}(?=[ \t]*(?:$|\n|[ \t][#;]))")


_MORE_CODES = late(r"(?:[ ,]{1,3}[A-Za-z0-9-]{4,20}(?![\w-])){0,20}")


def _line(text: str, end: int) -> int:
    """The end of a value that goes on to its line's end, unless more than a value stands there."""
    if _COMMAND.match(text, end):  # NAME=value program -o
        return end
    rest = _REST.match(text, end)
    return rest.end() if rest and rest[0].split(" ")[1].lower() not in PREPOSITIONS else phrase(text, end)


def _block(text: str, line: int, begin: int) -> Iterator[Span]:
    """The lines of a block of YAML: those that are indented more than the line with its name."""
    start = text.rfind("\n", 0, line) + 1
    outer = len(text[start:line]) - len(text[start:line].lstrip(" "))
    at = begin
    for _ in range(200):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        value = text[at:end]
        bare = value.strip()
        if bare:
            if len(value) - len(value.lstrip(" ")) <= outer:
                return
            yield at + value.index(bare[0]), at + len(value.rstrip())
        at = end + 1
        if at > len(text):
            return


def _below(text: str, begin: int, kind: Kind) -> Iterator[Span]:
    """The value on the next line, alone there."""
    below = _NEXT_LINE.match(text, begin)
    if not below:
        return
    value = below[2].strip("\"'")
    at = below.start(2) + below[2].index(value)
    if value.lower().rstrip(".:!?") in SENTENCE or is_harmless(text, at, at + len(value)):
        return
    if looks_like_token(value) or (kind is Kind.PASSWORD and below[1] and "\n\n" not in below[0]):
        yield at, at + len(value)


# DBPassword:
#   Type: String
#   Default: x
_MAPPING = late(r"\r?\n([ \t]+)[A-Za-z]\w{0,40}:(?:[ \t]|\r?\n)")
_DEFAULT = late(r"\n([ \t]+)(?i:default|value|plaintext|data|current)[ \t]?:[ \t]+(?=\S)")


def _default(text: str, begin: int, kind: Kind) -> Iterator[Span]:
    """The value of a mapping that stands below a name."""
    first = _MAPPING.match(text, begin)
    for match in _DEFAULT.finditer(text, begin, begin + _MAX_OPEN):
        if first and match[1] == first[1] and "\n\n" not in text[begin : match.start()]:
            yield from value_at(text, match.end(), kind, "", direct=False)
        return


def _contained(text: str, begin: int, kind: Kind, name: str) -> Iterator[Span]:
    """The secrets of an object or a list behind a name: {"value": "x"}, ["x", "y"], ('user', 'x')."""
    opening = text[begin]
    closing = text.find({"{": "}", "[": "]", "(": ")"}[opening], begin + 1, begin + _MAX_CONTAINER)
    if closing < 0 and len(text) - begin < _MAX_OPEN:  # what comes line by line ends anywhere
        closing = len(text)
    if closing < 0:
        return
    many = name.lower().endswith(("passwords", "secrets", "tokens", "keys")) and kind is not Kind.WEAK
    items = list(_ITEM.finditer(text, begin + 1, closing))
    if opening == "(" and len(items) == 2 and all(each[2] and not each[1] for each in items):
        items = items[1:]
    elif opening == "(" or (kind is Kind.WEAK and opening != "{") or (opening == "[" and "{" in text[begin:closing]):
        return
    if opening == "[" and kind in (Kind.PASSWORD, Kind.SECRET) and _BYTES.match(text, begin):
        yield begin + 1, closing
        return
    if opening == "[" and text[closing + 1 : closing + 2] == ":":  # [smtp.example.org]:587
        return
    for item in items:
        key, value = item[1], item[3] if item[2] else item[4]
        span = item.span(3 if item[2] else 4)
        if not value or is_harmless(text, *span) or value.partition(" ")[0].lower().rstrip(".,:;") in SENTENCE:
            continue
        if opening == "{" and not (key and (many or key.lower() in _INNER)):
            continue
        if opening == "[" and key and key.lower() not in _INNER:
            continue
        if opening == "[" and (
            (not item[2] and not looks_like_token(value)) or (" " in value and kind is not Kind.PASSWORD)
        ):
            continue
        if (
            kind in (Kind.WEAK, Kind.TOKEN)
            and opening == "{"
            and not (is_weak_secret(value) or looks_like_token(value))
        ):
            continue
        if kind is not Kind.WEAK or opening == "(" or is_weak_secret(value):
            yield span
