"""A name that announces a secret, and the value that belongs to it, in whatever notation the two stand.

The reader goes to every place where a name may be (a needle says so), reads the identifier there, and asks what kind of
secret it announces. Only then it looks at what is around: an assignment, an object with a name and a value, a tag, a
table, a list of arguments, the next line. So the time depends on the names in a text, and on nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dm_tools.redact.rules.behind import listed, option, spaced
from dm_tools.redact.rules.markup import ATTRIBUTE, TAG_BEGINS, TAGS, attributes, cell, cell_text, element, tagged
from dm_tools.redact.rules.names import Kind, kind_of
from dm_tools.redact.rules.told import told
from dm_tools.redact.rules.values import Span, is_harmless, looks_like_token, looks_random
from dm_tools.redact.rules.words import SENTENCE
from dm_tools.redact.rules.wrapped import value_at
from dm_tools.text.late import late

_NAME_BEFORE = late(r"[\w.-]{0,100}")
_NAME_AFTER = late(r"[\w.-]{1,120}")
_OWNER = late(r"((?i:one-time)|[A-Za-z2]{2,16})[ _-]$")
_OWNED = {"key", "keys", "token", "phrase", "code", "codes", "answer", "string", "pin"}
_AFTER_NAME = late(
    r"[是为為は](?=[ \t]?[:：])|[ \t]#?\d{1,2}(?=[ \t]?:)|[ \t]\([^()\n]{1,60}\)(?=[ \t]?:)"
    r"|[ \t](?:provided|given|is|supplied|value)(?=[ \t]?:[ \t])|[ \t]\[[^\]\n]{0,60}\](?=[ \t]?:)"
)

_QUOTED = r"""(?:\\{0,7}["'`]|&quot;|&#0?3[49];|&#x2[27];)"""
_ASSIGNMENT = late(
    rf"""{_QUOTED}?(?:[!?]|:(?:protected|private)|\[\d{{0,4}}\])?[\])}}]{{0,2}}[ \t]{{0,60}}"""
    rf"""((?<=\w)::(?=[ \t])|:=|=>|=&gt;|->|\?=|!={{1,2}}|={{1,3}}|\\u003[dD]|:(?!:)|：|\.{{3,100}}:?|-(?=[ \t]\[))"""
    r"""([ \t]*+)"""
)


def pairs(text: str, places: list[int]) -> Iterator[Span]:
    """The secrets behind, before and around the names at these places."""
    done = named = 0
    for place in places:
        if place < named or place < done:
            continue
        backwards = text[max(0, place - 100) : place][::-1]
        begin = place - len(_NAME_BEFORE.match(backwards)[0])  # type: ignore[index]
        name_match = _NAME_AFTER.match(text, begin)
        if not name_match:
            continue
        named = name_match.end()
        for name, start, end in _names(text, begin, name_match[0]):
            kind = kind_of(name)
            owned = kind in (None, Kind.WEAK) and name.lower() in _OWNED
            if owned and (owner := _OWNER.search(text, max(0, start - 18), start)):
                kind = kind_of(f"{owner[1]}_{name}")  # "api key: x", "secret access key = x"
            if kind is None:
                yield from _long_key(text, end) if name.lower() == "key" else ()
                continue
            for span in _around(text, start, end, name, kind):
                yield span
                if span[0] >= end:
                    done = max(done, span[1])


_KEY = late(r"""["']?[ \t]?[=:][ \t]?["']?([A-Za-z0-9+/=_-]{24,200})(?=[\s"',;&]|$)""")


def _long_key(text: str, end: int) -> Iterator[Span]:
    """key=x, if it is of capitals, small letters and figures and long: what programs sort by is none of that."""
    match = _KEY.match(text, end)
    if match and looks_random(match[1]) and any(map(str.isupper, match[1])) and any(map(str.islower, match[1])):
        yield match.span(1)


_UNSPACED = late("密码|密碼|口令|パスワード|비밀번호")


def _names(text: str, begin: int, whole: str) -> Iterator[tuple[str, int, int]]:
    """The identifier at a place, without what is no part of it: the dashes of an option, a dot at its end."""
    name = whole.lstrip("-.")
    start = begin + len(whole) - len(name)
    name = name.rstrip(".-") if whole.endswith("->") or text[start + len(name) : start + len(name) + 1] == ">" else name
    bare = name.rstrip(".")
    if not bare.isascii() and (word := _UNSPACED.search(bare)):  # languages that write no blanks
        start, bare = start + word.start(), word[0]
    if bare:
        yield bare, start, start + len(bare)


def _around(text: str, start: int, end: int, name: str, kind: Kind) -> Iterator[Span]:
    """The secrets that a name announces at its place."""
    before = text[max(0, start - 60) : start]
    typed = _TYPED.match(text, end) if before[-1:] and before[-1] in _SELECTS else None
    if typed:
        yield typed.span(1)
        return
    if ("<" in before or "&lt;" in before) and TAG_BEGINS.search(before):
        span = element(text, end, kind)
        if span:
            yield span
            return
    if ATTRIBUTE.search(before):
        found = list(attributes(text, start, end, kind))
        if found:
            yield from found
            return
    if before.rstrip(" \t\"'`\\-").endswith(_BEHIND_A_KEY) and _NAMED.search(before):
        span = _sibling(text, start, end, kind)
        if span:
            yield span
            return
    for far in (_PART, _WITH_VALUE):
        match = far.match(text, end) if far is _PART or "value" in text[end : end + 330].lower() else None
        group = match.lastindex or 0 if match else 0
        if match and not is_harmless(text, *match.span(group)) and match[group].lower() not in SENTENCE:
            yield match.span(group)
            return
    shift = _AFTER_NAME.match(text, end)
    assignment = _ASSIGNMENT.match(text, shift.end() if shift else end)
    if assignment:
        yield from _assigned(text, start, end, assignment, name, kind)
        return
    made = _MADE.match(text, end) if _TYPE.fullmatch(name) and not _FAULTY.match(name) else None
    if made and not is_harmless(text, *made.span(made.lastindex or 0)):
        yield made.span(made.lastindex or 0)
        return
    for read in (listed, tagged, cell, option, spaced, told):
        found = list(read(text, start, end, name, kind))
        if found:
            yield from found
            return


# cy.get('#password').type('x'), page.fill('input[name="password"]', 'x')

_SELECTS = "#.\"'="
_TYPED = late(
    r"""[\w-]{0,20}(?:["']?\][ ]?)?["']\)?(?:(?<=[\])]["'])(?:,|\),)[ ]?"""
    r"""|(?<=\))\.(?:type|fill|sendKeys|send_keys|val|setValue)\()"""
    r"""["']([^"'\n]{1,200})["']"""
)

# Secret("x"), Password(Some([1, 2, 3])): what a type of that name prints

_MADE = late(
    r"""\((?:Some\()?(?:b?"([^\s"]{4,500})"\)|\[(\d{1,3}(?:,[ ]?\d{1,3}){3,200})\]"""
    r"""|(?=[^\s()]{0,60}\d)([A-Za-z0-9+/=_-]{12,500})\))"""
)
_TYPE = late(r"[A-Z][A-Za-z0-9]{2,60}")
# A fault of one, or what is done with one: InvalidToken("expired"), LoadPrivateKey("site.key").
_FAULTY = late(
    r"(?:Invalid|Wrong|Missing|Expired|No|Unknown|Bad|Not|Unexpected|Malformed|Incorrect|Get|Load|Read|Use|Find|Parse"
    r"|Check|Verify|Open|Fetch|Decode)[A-Z]"
)

# name="password"\r\n\r\nx in a form of several parts; key 'password' ... with value x

_PART = late(r"""["'](?:;[^\n\\]{0,100})?(?:\r?\n|\\{1,2}r\\{1,2}n|\\{1,2}n){2,4}(?!--)([^\n\\]{1,500})""")
_WITH_VALUE = late(
    r"""[^\n]{0,100}?\b(?:with value:?|(?i:value)(?=:?[ ]["']))[ \t]*:?[ \t]+["'\[]?([^\s"'\]]{3,200})"""
    r"""|\r?\n[^\n]{0,200}?\binput_value=b?["']([^"'\n]{3,200})["']"""
)


# password=x, "password": "x", password => x, password:\n  x


def _assigned(text: str, start: int, end: int, match: re.Match[str], name: str, kind: Kind) -> Iterator[Span]:
    begin, separator = match.end(), match[1]
    direct = separator[0] not in ":：.-" and not match[2]
    quoted_name = text[end : end + 1] in "\"'`\\&" and match.end() > end + 1
    lowered = name.lower()
    if text[begin : begin + 1] == "=" or (text.startswith("->", end) and "(" in text[begin : begin + 60]):
        return
    if lowered in ("pass", "pwd", "pin") and not direct and not quoted_name:
        number = _NUMBER.match(text, begin)  # "pass: 5 fail: 0"; one that is typed in has four figures at least
        if number and (lowered != "pin" or len(number[0]) < 4):
            return
    if lowered in ("cookie", "set-cookie") and _COOKIE.match(text, begin):
        return  # the headers' rule reads it, pair by pair
    if text[start - 1 : start] == "-" and separator == ":" and text.startswith(("env ", "file "), begin):
        return  # -keypass:env NAME
    bare = separator == ":" and not quoted_name and text[begin : begin + 1] not in "\"'"
    if lowered == "pass" and bare and (name.isupper() or (not direct and not _TYPED_IN.match(text, begin))):
        return  # "PASS: test_login", "second pass: done"
    if separator == "=" and match[2] and text[match.start(1) - 1] not in " \t" and _NEXT_FIELD.match(text, begin):
        return  # next_page_token= page_size=50
    if separator == ":" and text[start - 2 : start] == "${" and text[begin : begin + 1] in ("?", "+"):
        return  # ${PASSWORD:?is not set}
    if separator in _COMPARED and _IDENTIFIER.match(text, begin):
        return  # if (password !== hash)
    if (
        lowered in ("pwd", "oldpwd")
        and direct
        and text.startswith(("/", "~"), begin)
        and text[start - 1 : start] != ";"
    ):
        return  # the working directory
    tags = (
        TAGS.match(text, begin) if text.startswith("<", begin) and not text.startswith(("<<", "<!["), begin) else None
    )
    if tags:
        span = cell_text(text, tags.end(), kind, strict=False)
        angled = _ANGLED.match(text, begin)
        if span:
            yield span
        elif angled and kind is not Kind.WEAK and looks_like_token(angled[1]):
            yield angled.span(1)
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
    if kind is Kind.SECRET and not direct and _NO_SUCH.search(text, max(0, start - 20), start):
        return  # no such secret: payments/stripe
    for span in value_at(
        text, begin, kind, name, direct, at_line_start=separator[0] not in ":：.-" and _begins_line(text, start)
    ):
        yield span
        if changed := _CHANGED.match(text, span[1]):  # "x" => "y"
            yield changed.span(1)


_TYPED_IN = late(r"(?:[\w.@-]{1,40}/)?(?=\S{0,40}(?:\d|[a-z][A-Z]|[!?#$%&*+@^~]))[^\s/]{6,200}(?=[\s,;|]|$)")
_NEXT_FIELD = late(r"[A-Za-z_][\w.-]{0,60}=[^=\s]")
_COMPARED = ("!=", "!==", "==", "===")
_IDENTIFIER = late(r"[A-Za-z_]+(?=[\s)&|;]|$)")
_ANGLED = late(r"<([^\s<>/]{6,200})>(?=[\s,;]|$)")
_COOKIE = late(r"[\"']?[^\s=;,\"']{1,200}=[^\s;]")
_NO_SUCH = late(r"(?i:no such|unknown|find|missing)[ ]$")
_CHANGED = late(r"""["'][ ](?:=>|->)[ ]["']([^"'\n]{1,500})["']""")
_NUMBER = late(r"\d{1,8}(?![\w.-])")
_LINE_START = late(r"(?:^|\n)[ \t]*(?:-[ \t]+|export[ \t]+|set[ \t]+|[#;][ \t]*)?(?:[\w-]{1,20}[ \t])?$")


def _begins_line(text: str, start: int) -> bool:
    return bool(_LINE_START.search(text, max(0, start - 40), start)) and (
        start < 40 or "\n" in text[start - 40 : start] or start == 0
    )


# {"name": "DB_PASSWORD", "value": "x"}, value before name, - name: X\n  value: y

_OF = r"(?:(?:parameter|variable|secret|env|config|option|setting)[_-]?)?"
_KEYS = (
    rf"(?:{_OF}(?:name|key)|k|id|field|variable|var|label|param|parameter|attribute|option|setting|property|header|env)"
)
_VALUES = rf"(?:{_OF}value|val|v|data|content|secret|string|default)"
_NAMED = late(rf"""(?:^|[^A-Za-z0-9])(?i:{_KEYS}){_QUOTED}?[ \t]?[:=]>?[ \t]*{_QUOTED}?(?:--?)?$|\bvariable "$""")
_BEHIND_A_KEY = (":", "=", ">", ";", "variable")  # what _NAMED ends with, but for blanks, quotes and dashes
_VALUE_KEY = late(rf"""(?<![A-Za-z0-9])(?i:{_VALUES})({_QUOTED})?[ \t]{{0,20}}[:=]>?[ \t]*""")
_BLOCK_OF_NAME = late(r'"[ \t]*\{')  # variable "password" {
_SIBLINGS_END = late(r"[{}<>]|\n\s*-[ \t]|\n\s*\n")


def _sibling(text: str, start: int, end: int, kind: Kind) -> Span | None:
    """The value of the object whose name this is."""
    opened = _BLOCK_OF_NAME.match(text, end)
    end = opened.end() if opened else end
    stop = _SIBLINGS_END.search(text, end, end + 300)
    after = _VALUE_KEY.search(text, end, stop.start() if stop else end + 300)
    if after:
        return next(value_at(text, after.end(), kind, "", direct=True), None)
    first = max(0, start - 400)
    opening = max(text.rfind(each, first, start) for each in ("{", "}", "<", ">", "\n\n"))
    for match in _VALUE_KEY.finditer(text, max(first, opening), start):
        return next(value_at(text, match.end(), kind, "", direct=True), None)
    return None
