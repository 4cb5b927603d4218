"""Secrets in statements of SQL, and in what a database says of them."""

from __future__ import annotations

from collections.abc import Iterator

from dm_tools.redact.rules.names import Kind, kind_of
from dm_tools.redact.rules.protocols import NO_COMMAND
from dm_tools.redact.rules.values import Span, is_harmless
from dm_tools.redact.rules.wrapped import value_at
from dm_tools.text.late import late

_STATEMENTS = (
    late(
        r"""(?i:(?<!revision )\bidentified[ \t]+(?:with[ \t]+["'`]?\w{1,60}["'`]?[ \t]+)?"""
        r"""(?:by(?:[ \t]+password)?|as(?=[ \t]+["'])))[ \t]+"""
    ),
    late(
        r"""(?i:\bset[ \t]+password[ \t]+(?:for[ \t]+[^=\n;]{1,200}?)?(?:=|to)[ \t]{0,4}(?:(?:old_)?password\()?)"""
        r"""[ \t]{0,2}(?=["'])"""
    ),
    late(r"""(?i:\bpgp_(?:sym|pub)_(?:en|de)crypt(?:_bytea)?\((?:[^(),\n]{1,500}),)[ \t]?(?=["'])"""),
    late(r"""(?i:\b(?:aes|des)_(?:en|de)crypt\((?:[^(),\n]{1,500}),)[ \t]?(?=["'])"""),
    late(r"""(?i:\bcrypt\()(?=["'])"""),
    late(r"""(?i:\bpragma[ \t]+(?:re)?key[ \t]?=[ \t]?)(?=["'])"""),  # SQLCipher
    late(r"""(?i:\bsp_(?:addlogin|password)[ \t]+[^,\n]{1,200},)[ \t]?(?=N?["'])"""),
    # ClickHouse's tables elsewhere: the secret is the third, or the fifth
    late(r"""\b(?:s3|s3Cluster|gcs|oss|cosn)\((?:'[^'\n]{0,500}',[ ]?){2,3}(?='(?=[^'\n]{0,60}\d)[\w/+=-]{16,200}')"""),
    late(r"""\b(?:mysql|postgresql|mongodb)\((?:'[^'\n]{0,200}',[ ]?){4}(?=')"""),
)
NEEDLES = (
    "identified ", "set password", "crypt(", "pragma key", "pragma rekey", "sp_addlogin", "sp_password", "s3(",
    "s3cluster(", "gcs(", "oss(", "cosn(", "mysql('", "postgresql('", "mongodb('",
)  # fmt: skip
_INSERT = late(
    r"""(?i:\b(?:insert|replace)(?:[ \t]+ignore)?[ \t]+into[ \t]+)["'`\w.\[\]]{1,100}\s{0,4}\(([^()\n]{1,1000})"""
    r"""\)\s{0,4}(?i:values)\s{0,4}"""
)
_ROW = late(r"""\(((?:[^()'\n]|'(?:[^'\n]|''){0,500}'|\([^()\n]{0,200}\)){1,2000})\)\s?,?\s?""")
_CELL = late(
    r"""\s*(?:[NEB]?'((?:[^'\\]|''|\\.){0,500})'|"([^"]{0,500})"|((?:[^,'()]|\([^()]{0,200}\)){1,200}))\s*(?:,|$)"""
)


def statements(text: str, lowered: str) -> Iterator[Span]:
    """IDENTIFIED BY 'foo', SET PASSWORD FOR bob = 'foo'"""
    for statement in _STATEMENTS:
        for match in statement.finditer(text):
            span = next(value_at(text, match.end(), Kind.PASSWORD, "", direct=True), None)
            if span is not None:
                end = span[0] + len(text[slice(*span)].rstrip(";"))
                value = text[span[0] : end]
                if value.lower() not in NO_COMMAND and not (value.isupper() and value.isalpha()):
                    yield span[0], end


def inserts(text: str, lowered: str) -> Iterator[Span]:
    """INSERT INTO users (name, password) VALUES ('bob', 'foo')"""
    for insert in _INSERT.finditer(text):
        names = [name.strip(" \t\"'`[]") for name in insert[1].split(",")]
        secret = [kind_of(name) in (Kind.PASSWORD, Kind.SECRET, Kind.TOKEN) for name in names]
        at = insert.end()
        while any(secret) and (row := _ROW.match(text, at)):
            for hidden, cell in zip(secret, _CELL.finditer(row[1]), strict=False):
                group = next(number for number in (1, 2, 3) if cell[number] is not None)
                begin, end = (row.start(1) + place for place in cell.span(group))
                if hidden and group != 3 and end > begin and not is_harmless(text, begin, end):
                    yield begin, end
            at = row.end()


_ROW_OF_NAMES = late(r"\(([\w\", ]{3,500})\)=\(([^()\n]{1,2000})\)")


def keyed(text: str, lowered: str) -> Iterator[Span]:
    """Failing row contains (id, password)=(7, foo)"""
    for match in _ROW_OF_NAMES.finditer(text):
        names, cells = match[1].split(","), match[2].split(",")
        at = match.start(2)
        for name, cell in zip(names, cells, strict=False):
            begin, end = at + len(cell) - len(cell.lstrip()), at + len(cell.rstrip())
            if kind_of(name.strip(' "')) in (Kind.PASSWORD, Kind.SECRET, Kind.TOKEN) and not is_harmless(
                text, begin, end
            ):
                yield begin, end
            at += len(cell) + 1


_PARAMETERS = late(
    r"""["']([^"'\n]{0,1000}?(?i:identified by|password|passwd)["`]?[ ]?(?:=[ ]?)?)(?:%s|\?|\$\d{1,2})"""
    r"""[^"'\n]{0,300}["'],[ ]?[(\[]([^()\[\]\n]{1,1000})[)\]]"""
)
_PLACE = late(r"%s|\?|\$\d{1,2}")
_PARAMETER = late(r"""["']([^"'\n]{0,500})["']|[^,"'\n]{1,100}(?=,|$)""")


def parameters(text: str, lowered: str) -> Iterator[Span]:
    """execute("ALTER USER x IDENTIFIED BY %s", ("foo",)): the parameter of the place that is the password's"""
    for match in _PARAMETERS.finditer(text):
        before = len(_PLACE.findall(match[1]))
        for number, parameter in enumerate(_PARAMETER.finditer(match[2])):
            if number == before and parameter[1]:
                yield match.start(2) + parameter.start(1), match.start(2) + parameter.end(1)
