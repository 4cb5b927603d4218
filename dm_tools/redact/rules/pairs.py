"""A name that announces a secret, and the value that belongs to it, in whatever notation the two stand.

The reader goes to every place where a name may be (a needle says so), reads the identifier there, and asks what kind of
secret it announces. Only then it looks at what is around: an assignment, an object with a name and a value, a tag, a
table, a list of arguments, the next line. So the time depends on the names in a text, and on nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dm_tools.redact.rules.late import late
from dm_tools.redact.rules.names import Kind, kind_of
from dm_tools.redact.rules.values import (
    BARE,
    SENTENCE,
    Span,
    is_harmless,
    is_name,
    is_weak_secret,
    looks_like_token,
    value_at,
)

_NAME_BEFORE = late(r"[\w.-]{0,100}$")
_NAME_AFTER = late(r"[\w.-]{1,120}")
_OWNER = late(r"([A-Za-z2]{2,16})[ _-]$")
_OWNED = {"key", "keys", "token", "phrase", "code", "codes", "answer", "string", "pin"}
_AFTER_NAME = late(
    r"[ \t]#?\d{1,2}(?=[ \t]?:)|[ \t]\([^()\n]{1,60}\)(?=[ \t]?:)|[ \t](?:provided|given|is|supplied|value)"
    r"(?=[ \t]?:[ \t])"
)

_QUOTED = r"""(?:\\{0,7}["'`]|&quot;|&#0?3[49];|&#x2[27];)"""
_ASSIGNMENT = late(
    rf"""{_QUOTED}?(?:[!?]|:(?:protected|private))?[\])}}]{{0,2}}[ \t]{{0,16}}"""
    rf"""(:=|=>|=&gt;|->|\?=|!={{1,2}}|={{1,3}}|:(?!:)|：|\.{{3,100}}:?|-(?=[ \t]\[))([ \t]*+)"""
)


def pairs(text: str, places: list[int]) -> Iterator[Span]:
    """The secrets behind, before and around the names at these places."""
    done = named = 0
    for place in places:
        if place < named or place < done:
            continue
        begin = place - len(_NAME_BEFORE.search(text, max(0, place - 100), place)[0])  # type: ignore[index]
        name_match = _NAME_AFTER.match(text, begin)
        if not name_match:
            continue
        named = name_match.end()
        for name, start, end in _names(text, begin, name_match[0]):
            kind = kind_of(name)
            owner = _OWNER.search(text, max(0, start - 18), start)
            if kind in (None, Kind.WEAK) and owner and name.lower() in _OWNED:
                kind = kind_of(f"{owner[1]}_{name}")  # "api key: x", "secret access key = x"
            if kind is None:
                continue
            for span in _around(text, start, end, name, kind):
                yield span
                if span[0] >= end:
                    done = max(done, span[1])


def _names(text: str, begin: int, whole: str) -> Iterator[tuple[str, int, int]]:
    """The identifier at a place, without what is no part of it: the dashes of an option, a dot at its end."""
    name = whole.lstrip("-.")
    start = begin + len(whole) - len(name)
    name = name.rstrip(".-") if whole.endswith("->") or text[start + len(name) : start + len(name) + 1] == ">" else name
    bare = name.rstrip(".")
    if bare:
        yield bare, start, start + len(bare)


def _around(text: str, start: int, end: int, name: str, kind: Kind) -> Iterator[Span]:
    """The secrets that a name announces at its place."""
    before = text[max(0, start - 60) : start]
    if _TAG_BEGINS.search(before):
        span = _element(text, end, kind)
        if span:
            yield span
            return
    if _ATTRIBUTE.search(before):
        found = list(_attributes(text, start, end, kind))
        if found:
            yield from found
            return
    if _NAMED.search(before):
        span = _sibling(text, start, end, kind)
        if span:
            yield span
            return
    for far in (_PART, _WITH_VALUE):
        match = far.match(text, end)
        if match and not is_harmless(text, *match.span(1)) and match[1].lower() not in SENTENCE:
            yield match.span(1)
            return
    shift = _AFTER_NAME.match(text, end)
    assignment = _ASSIGNMENT.match(text, shift.end() if shift else end)
    if assignment:
        yield from _assigned(text, start, end, assignment, name, kind)
        return
    for read in (_listed, _tagged, _cell, _option, _spaced, _told):
        found = list(read(text, start, end, name, kind))
        if found:
            yield from found
            return


# name="password"\r\n\r\nx in a form of several parts; key 'password' ... with value x

_PART = late(r"""["'](?:;[^\n\\]{0,100})?(?:\r?\n|\\{1,2}r\\{1,2}n|\\{1,2}n){2,4}(?!--)([^\n\\]{1,500})""")
_WITH_VALUE = late(r"""[^\n]{0,100}?\bwith value:?[ \t]+["'\[]?([^\s"'\]]{3,200})""")


# password=x, "password": "x", password => x, password:\n  x


def _assigned(text: str, start: int, end: int, match: re.Match[str], name: str, kind: Kind) -> Iterator[Span]:
    begin, separator = match.end(), match[1]
    direct = separator[0] not in ":：.-" and not match[2]
    quoted_name = text[end : end + 1] in "\"'`\\&" and match.end() > end + 1
    lowered = name.lower()
    if text[begin : begin + 1] == "=" or (separator == "->" and "(" in text[begin : begin + 60]):
        return
    if (
        lowered in ("pass", "pwd", "pin")
        and not direct
        and not quoted_name
        and text[begin : begin + 5].strip(" ,;").isdigit()
    ):
        return  # "pass: 5 fail: 0"
    if (
        lowered == "pass"
        and (name.isupper() or not direct)
        and separator == ":"
        and not quoted_name
        and text[begin : begin + 1] not in "\"'"
    ):
        return  # "PASS: test_login"
    if (
        lowered in ("pwd", "oldpwd")
        and direct
        and text.startswith(("/", "~"), begin)
        and text[start - 1 : start] != ";"
    ):
        return  # the working directory
    tags = (
        _TAGS.match(text, begin) if text.startswith("<", begin) and not text.startswith(("<<", "<!["), begin) else None
    )
    if tags:
        span = _cell_text(text, tags.end(), kind, strict=False)
        if span:
            yield span
        return
    opening = text[start - 1 : start]
    if opening and opening in "\"'" and direct and not quoted_name and text[begin : begin + 1] not in "\"'\\":
        closing = text.find(opening, begin, begin + 500)  # -e "NAME=with a blank", ["NAME=with a blank"]
        value = text[begin : max(begin, closing)]
        one = " " in value and "\n" not in value and not re.search(r"[ &;][\w.-]+=", value)
        if one and not is_harmless(text, begin, closing):
            yield begin, closing
            return
    if kind in (Kind.PASSWORD, Kind.SECRET) and direct and opening == ";":
        brace = text.startswith("{", begin)
        stop = text.find("}" if brace else ";", begin, begin + 500)  # Server=db;User Id=app;Password=with a space;
        if stop > begin and text[begin : begin + 1] not in "\"'" and "\n" not in text[begin:stop]:
            if not is_harmless(text, begin, stop):
                yield begin + brace, stop
            return
    yield from value_at(
        text, begin, kind, name, direct, at_line_start=separator[0] not in ":：.-" and _begins_line(text, start)
    )


_LINE_START = late(r"(?:^|\n)[ \t]*(?:-[ \t]+|export[ \t]+|set[ \t]+|[#;][ \t]*)?(?:[\w-]{1,20}[ \t])?$")


def _begins_line(text: str, start: int) -> bool:
    return bool(_LINE_START.search(text, max(0, start - 40), start)) and (
        start < 40 or "\n" in text[start - 40 : start] or start == 0
    )


# {"name": "DB_PASSWORD", "value": "x"}, value before name, - name: X\n  value: y

_KEYS = r"(?:name|key|k|id|field|variable|var|label|param|parameter|attribute|option|setting|property|header|env)"
_VALUES = r"(?:value|val|v|data|content|secret|string|default)"
_NAMED = late(rf"""(?:^|[^A-Za-z0-9])(?i:{_KEYS}){_QUOTED}?[ \t]?[:=]>?[ \t]*{_QUOTED}?(?:--?)?$""")
_VALUE_KEY = late(rf"""(?<![A-Za-z0-9])(?i:{_VALUES})({_QUOTED})?[ \t]?[:=]>?[ \t]*""")
_SIBLINGS_END = late(r"[{}<>]|\n\s*-[ \t]|\n\s*\n")


def _sibling(text: str, start: int, end: int, kind: Kind) -> Span | None:
    """The value of the object whose name this is."""
    stop = _SIBLINGS_END.search(text, end, end + 300)
    after = _VALUE_KEY.search(text, end, stop.start() if stop else end + 300)
    if after:
        return next(value_at(text, after.end(), kind, "", direct=True), None)
    first = max(0, start - 400)
    opening = max(text.rfind(each, first, start) for each in ("{", "}", "<", ">", "\n\n"))
    for match in _VALUE_KEY.finditer(text, max(first, opening), start):
        return next(value_at(text, match.end(), kind, "", direct=True), None)
    return None


# <password type="x">y</password>

_TAG_BEGINS = late(r"(?:<|&lt;)(?:[A-Za-z][\w.-]{0,40}:)?$")
_ELEMENT = late(
    r"(?:\s[^<>]{0,300})?(?:>|&gt;)\s{0,20}(?:<!\[CDATA\[((?:(?!\]\]>).){1,2000})\]\]>|([^<>&]{1,2000}|(?:(?!&lt;).){1,2000}?)(?:</|&lt;/))",
    re.DOTALL,
)


def _element(text: str, end: int, kind: Kind) -> Span | None:
    match = _ELEMENT.match(text, end)
    if not match:
        return None
    span = match.span(1 if match[1] else 2)
    value = text[slice(*span)]
    if is_harmless(text, *span) or (kind is Kind.WEAK and not is_weak_secret(value)) or not value.strip():
        return None
    return span


# <add key="DbPassword" value="x"/>, <input type="password" value="x">, <meta name="csrf-token" content="x">

_ATTRIBUTE = late(r"""(?:^|[\s<])(?i:name|key|id|property|http-equiv|field|type)\s?=\s?\\{0,7}["']$""")
_VALUE_ATTRIBUTE = late(r"""\b(?:value|content|val)\s?=\s?(\\{0,7}["'])((?:(?!\1).){1,2000}?)\1""", re.DOTALL)


def _attributes(text: str, start: int, end: int, kind: Kind) -> Iterator[Span]:
    first = text.rfind("<", max(0, start - 400), start)
    last = text.find(">", end, end + 2000)
    if first < 0 or last < 0 or text.find("<", first + 1, last) >= 0:
        return
    for match in _VALUE_ATTRIBUTE.finditer(text, first, last):
        if not is_harmless(text, *match.span(2)):
            yield match.span(2)


# <td>NAME</td><td>x</td>, <key>Password</key><string>x</string>, <property name="password">x</property>

_ROWS = r"(?!/?(?:tr|li|p|h\d|form|ul|ol|table|body|html|head|script|style|option|input|meta|thead|tbody)\b|th\b|dt\b)"
_TAGS = late(
    rf"""(?:["'][^<>\n]{{0,200}}>|[\])"']{{0,3}}[ \t]{{0,4}}:?\s{{0,20}}(?=<)(?!<<))"""
    rf"""(?:\s{{0,20}}<{_ROWS}[^<>]{{1,200}}>){{0,6}}\s{{0,20}}"""
)
_INPUT = late(r"""<input\b[^<>]{0,200}\bvalue\s?=\s?["']([^"'<>]{1,500})["']""")
_CELL = late(
    r"(?:<!\[CDATA\[)?(?:&quot;|&#0?3[49];|&#x2[27];|[\"'])?([^<>\n]{1,1000}?)(?:&quot;|&#0?3[49];|&#x2[27];|"
    r"[\"'])?[ \t]*(?:\]\]>)?(?=<|$|\n)"
)
_SURE_TAG = late(r"<(?:td|dd|string|value|code|pre|kbd|strong|data)\b[^<>]*>\s*$|[\"'][^<>]*>$")


def _tagged(text: str, start: int, end: int, name: str, kind: Kind) -> Iterator[Span]:
    tags = _TAGS.match(text, end)
    if not tags or ">" not in tags[0]:
        return
    field = _INPUT.match(text, tags.end())
    if field and not is_harmless(text, *field.span(1)):
        yield field.span(1)
        return
    sure = bool(_SURE_TAG.search(text, max(0, tags.end() - 120), tags.end()))
    span = _cell_text(text, tags.end(), kind, strict=not sure)
    if span:
        yield span


def _cell_text(text: str, begin: int, kind: Kind, strict: bool) -> Span | None:
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

_CELL_ROW = late(r"[ \t]*[|│][ \t]*([^|│\n]{1,500}?)[ \t]*(?:[|│]|$)", re.MULTILINE)


def _cell(text: str, start: int, end: int, name: str, kind: Kind) -> Iterator[Span]:
    row = _CELL_ROW.match(text, end)
    if not row or is_name(row[1]) or not re.search(r"(?:^|\n|[|│])[ \t]*$", text[max(0, start - 200) : start]):
        return
    value = row[1]
    if value.isupper() and value.isalpha():
        return
    first = value.partition(" ")[0].lower()
    if (
        first in SENTENCE
        or is_harmless(text, *row.span(1))
        or value.lower() in _FIELDS
        or set(value) <= {"-", "+", " "}
    ):
        return
    if kind is not Kind.WEAK or is_weak_secret(value):
        yield row.span(1)


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
_FIELDS = {
    "active", "address", "admin", "age", "app", "created", "created_at", "date", "db", "description", "email",
    "enabled",
    "first_name", "firstname", "host", "hostname", "id", "ip", "label", "last_name", "lastname", "level", "login",
    "mail", "message", "name", "phone", "port", "role", "roles", "state", "status", "time", "title", "type", "updated",
    "updated_at", "url", "user", "user_id", "user_name", "userid", "username", "value",
}  # fmt: skip


def _listed(text: str, start: int, end: int, name: str, kind: Kind) -> Iterator[Span]:
    match = _LISTED.match(text, end)
    if match:
        span, value, quote = match.span(3), match[3], match[1]
        blank = text[end + len(quote) : end + len(quote) + 1] in (" ", "\t")
        first = value.partition(" ")[0].rstrip(".,:;!?").lower()
        if value.startswith("-") or first in SENTENCE or is_harmless(text, *span) or is_name(value):
            return
        if (
            value.lower() in _FIELDS
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
        likely = sure or (" " not in value and looks_like_token(value))
        if likely and (kind is not Kind.WEAK or is_weak_secret(value)):
            yield span
        return
    term = _TERM.match(text, end) if text[start - 1 : start] in ("{", "(") and start else None
    if term and not is_harmless(text, *term.span(2)) and term[2].lower() not in _FIELDS:
        yield term.span(2)


# --password x, -storepass x

_OPTION = late(r"""(?:["'],?|,)?[ \t]+(?![-=])""")


def _option(text: str, start: int, end: int, name: str, kind: Kind) -> Iterator[Span]:
    if text[start - 1 : start] != "-" or (kind is Kind.WEAK and not text.startswith("--", start - 2)):
        return
    if start > 2 and (text[start - 2].isalnum() or text[start - 3 : start - 1] == "]-"):
        return
    match = _OPTION.match(text, end)
    if not match:
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
_QUOTED_TOKEN = late(r"""["'](?=[^"'\n]{0,40}\d)(?=[^"'\n]{0,40}[A-Za-z])([\w-]{8,500})["']""")
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


def _spaced(text: str, start: int, end: int, name: str, kind: Kind) -> Iterator[Span]:
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
    if quote and kind is Kind.TOKEN and (token := _QUOTED_TOKEN.match(text, begin)):
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


# password for user admin is x; the key x; password changed from 'x' to 'y'

_IS = late(
    r"(?:[ \t](?:for|of|to)[ \t][^:=\n]{1,60}?)?[ \t](?:is|was|are|will be)(?:[ \t](?:now|set|changed|reset)"
    r")?(?:[ \t]to)?[ \t]?:?[ \t]+(?:<\w+>)?"
)
_TO = late(
    r"(?:[ \t](?:for|of)[ \t][^:=\n]{1,60}?)?[ \t](?:(?:was |has been |is )?(?:now )?(?:set|changed|reset|updated)"
    r"[ \t]to[ \t]?:?|to:)[ \t]+"
)
_FROM_TO = late(r"""[ \t]\w{2,10}[ \t]from[ \t](["'`])(.{1,200}?)\1[ \t]to[ \t]\1(.{1,200}?)\1""")
_FOR = late(r"[ \t](?:for|of|zur|für|de|pour|para)[ \t][^:=\n]{1,60}?[ \t]?(?:[:：]|=)[ \t]+")
_THEN = late(r"[ \t](?:value[ \t])?([\w!#$%&*+@^~./=-]{4,200}+)(?![\w(:])")
_ALGORITHM = late(r"(?i:sha|scram|md5|bcrypt|argon|pbkdf|scrypt|v\d|rfc|oauth|utf|x509|id=|id:|len|type|name)")
_NOT_THEN = late(r"(?i:unexpected|near|at|missing|expected|next|last|first|invalid|of|max|per|\d)[ \t]$")


def _told(text: str, start: int, end: int, name: str, kind: Kind) -> Iterator[Span]:
    if kind is Kind.WEAK:
        return
    changed = _FROM_TO.match(text, end)
    if changed:
        yield from (changed.span(2), changed.span(3))
        return
    match = _TO.match(text, end) or _IS.match(text, end)
    if not match and kind in (Kind.PASSWORD, Kind.PIN):
        match = _FOR.match(text, end)
    if match:
        yield from value_at(text, match.end(), kind, name, direct=False, told=True)
        return
    if kind is Kind.SECRET and name.lower() not in ("key", "keys"):
        return
    then = _THEN.match(text, end)
    if (
        not then
        or (kind is not Kind.PASSWORD and _NOT_THEN.search(text, max(0, start - 12), start))
        or _ALGORITHM.match(then[1])
    ):
        return
    value = then[1].rstrip(".,")
    if kind is Kind.PIN:
        if value.isdigit() and 4 <= len(value) <= 8 and name.lower() != "pin":
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
