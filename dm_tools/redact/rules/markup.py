"""Secrets of a name in markup and tables: elements, attributes, cells."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dm_tools.redact.rules.names import Kind
from dm_tools.redact.rules.values import (
    Span,
    is_harmless,
    is_name,
    is_weak_secret,
    looks_like_token,
)
from dm_tools.redact.rules.words import FIELDS, SENTENCE
from dm_tools.text.late import late

# <password type="x">y</password>

TAG_BEGINS = late(r"(?:<|&lt;)(?:[A-Za-z][\w.-]{0,40}:)?$")
_ELEMENT = late(
    r"(?:\s[^<>]{0,300})?(?:>|&gt;)\s{0,20}(?:<!\[CDATA\[((?:(?!\]\]>).){1,2000})\]\]>"
    r"|([^<>&]{1,2000}|(?!<[A-Za-z/!])(?:(?!&lt;).){1,2000}?)(?:</|&lt;/)|\n[ \t]*([^\s<>&]{4,500})\s*$)",
    re.DOTALL,
)


def element(text: str, end: int, kind: Kind) -> Span | None:
    """What stands in an element whose tag is the name: `<password>x</password>`."""
    match = _ELEMENT.match(text, end)
    if not match:
        return None
    span = match.span(match.lastindex or 0)
    value = text[slice(*span)]
    if is_harmless(text, *span) or (kind is Kind.WEAK and not is_weak_secret(value)) or not value.strip():
        return None
    return span


# <add key="DbPassword" value="x"/>, <input type="password" value="x">, <meta name="csrf-token" content="x">

ATTRIBUTE = late(r"""(?:^|[\s<])(?i:name|key|id|property|http-equiv|field|type)\s?=\s?\\{0,7}["']$""")
_VALUE_ATTRIBUTE = late(r"""\b(?:value|content|val)\s?=\s?(\\{0,7}["'])((?:(?!\1).){1,2000}?)\1""", re.DOTALL)


def attributes(text: str, start: int, end: int, kind: Kind) -> Iterator[Span]:
    """The value beside a name in the attributes of one tag."""
    first = text.rfind("<", max(0, start - 400), start)
    last = text.find(">", end, end + 2000)
    if first < 0 or last < 0 or text.find("<", first + 1, last) >= 0:
        return
    for match in _VALUE_ATTRIBUTE.finditer(text, first, last):
        if not is_harmless(text, *match.span(2)):
            yield match.span(2)


# <td>NAME</td><td>x</td>, <key>Password</key><string>x</string>, <property name="password">x</property>

_ROWS = r"(?!/?(?:tr|li|p|h\d|form|ul|ol|table|body|html|head|script|style|option|input|meta|thead|tbody)\b|th\b|dt\b)"
TAGS = late(
    rf"""(?:["'][^<>\n]{{0,200}}>|[\])"']{{0,3}}[ \t]{{0,4}}:?\s{{0,20}}(?=<)(?!<<))"""
    rf"""(?:\s{{0,20}}<{_ROWS}[^<>]{{1,200}}>){{0,6}}\s{{0,20}}"""
)
_INPUT = late(r"""<input\b[^<>]{0,200}\bvalue\s?=\s?["']([^"'<>]{1,500})["']""")
_CELL = late(
    r"(?:<!\[CDATA\[)?(?:&quot;|&#0?3[49];|&#x2[27];|[\"'])?([^<>\n]{1,1000}?)(?:&quot;|&#0?3[49];|&#x2[27];|"
    r"[\"'])?[ \t]*(?:\]\]>)?(?=<|$|\n)"
)
_SURE_TAG = late(r"<(?:td|dd|string|value|code|pre|kbd|strong|data)\b[^<>]*>\s*$|[\"'][^<>]*>$")


def tagged(text: str, start: int, end: int, name: str, kind: Kind) -> Iterator[Span]:
    """What stands in the elements after a name: the next cell, the next definition, the value of the next input."""
    tags = TAGS.match(text, end)
    if not tags or ">" not in tags[0]:
        return
    field = _INPUT.match(text, tags.end())
    if field and not is_harmless(text, *field.span(1)):
        yield field.span(1)
        return
    sure = bool(_SURE_TAG.search(text, max(0, tags.end() - 120), tags.end()))
    span = cell_text(text, tags.end(), kind, strict=not sure)
    if span:
        yield span


def cell_text(text: str, begin: int, kind: Kind, strict: bool) -> Span | None:
    """The text at the beginning of an element, if it can be a secret; `strict`: only if it looks like a token."""
    cell = _CELL.match(text, begin)
    if not cell:
        return None
    value = cell[1].strip()
    at = cell.start(1) + len(cell[1]) - len(cell[1].lstrip())
    first = value.partition(" ")[0].rstrip(".,:;!?").lower()
    if not value or first in SENTENCE or is_harmless(text, at, at + len(value)) or is_name(value):
        return None
    if strict and (" " in value or not looks_like_token(value)):
        return None
    if kind is Kind.WEAK and not is_weak_secret(value):
        return None
    return at, at + len(value)


# | DB_PASSWORD | x |

_CELL_BEGINS = late(r"(?:^|\n|[|│])[ \t]*(?:[$\w]{1,20}[\[({][\"']?)?$")
_CELL_ROW = late(r"(?:[\"'][\])}]{1,2})?[ \t]*[|│][ \t]*([^|│\n]{1,500}?)[ \t]*(?:[|│]|$)", re.MULTILINE)


def cell(text: str, start: int, end: int, name: str, kind: Kind) -> Iterator[Span]:
    """The next cell of a row whose first cell is the name."""
    row = _CELL_ROW.match(text, end)
    if not row or is_name(row[1]) or not _CELL_BEGINS.search(text, max(0, start - 200), start):
        return
    value = row[1]
    if value.isupper() and value.isalpha():
        return
    first = value.partition(" ")[0].lower()
    if first in SENTENCE or is_harmless(text, *row.span(1)) or value.lower() in FIELDS or set(value) <= {"-", "+", " "}:
        return
    if kind is not Kind.WEAK or is_weak_secret(value):
        yield row.span(1)
