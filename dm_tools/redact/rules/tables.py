"""Tables whose head names a secret: lines of CSV, what databases and shells print; the cells below it are secrets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from dm_tools.redact.rules.names import Kind, kind_of
from dm_tools.redact.rules.values import Span, is_harmless, looks_like_token
from dm_tools.redact.rules.words import SENTENCE
from dm_tools.text.late import late

NEEDLES = ("pass", "pwd", "secret", "token", "key")
MAX_ROWS = 1000

_RULE = late(r"[\s|+\-=:│┃┼─├┤┬┴┌┐└┘╪═║]+")
_COLUMN = late(r"[\"']?([A-Za-z_#][\w.#-]{0,40}(?:[ ][\w#-]{1,20}){0,2})[\"']?")
_WORDS = late(r"[A-Za-z][\w-]{0,40}")
_APART = late(r"[A-Za-z][\w-]{0,40}(?: {2,40}[A-Za-z][\w-]{0,40}){1,30} *")
_QUOTED_CELL = late(r"""[ ]?(?:"((?:[^"\\]|""|\\.){0,500})"|([^",;\t]{0,500}))[ ]?""")
_BETWEEN = late(r"[|│]")
_DASHES = late(r"-{2,}")


class Head(NamedTuple):
    """The head of a table: what separates its cells (blanks: the columns' places do), and which cells are secret."""

    separator: str
    cells: int
    secret: dict[int, Kind]
    columns: tuple[Span, ...] = ()


def head(line: str) -> Head | None:
    """The head that a line is, if it names a secret and nothing but columns stands in it."""
    if len(line) > 500 or ":" in line or "=" in line:  # as most lines of a log
        return None
    lowered = line.lower()
    if not any(needle in lowered for needle in NEEDLES):
        return None
    for separator in ("|", "│", "\t", ",", ";"):
        if separator in line:
            cells = line.strip(" |│\r" if separator in "|│" else "\r").split(separator)
            names = [_COLUMN.fullmatch(cell.strip() if separator in "|│" else cell) for cell in cells]
            if len(names) > 1 and all(names):
                return _with_secrets(separator, [match[1] for match in names if match])
            return None
    return _in_columns(line)


def _with_secrets(separator: str, names: list[str], columns: tuple[Span, ...] = ()) -> Head | None:
    kinds = ((at, kind_of(name)) for at, name in enumerate(names))
    secret: dict[int, Kind] = {at: kind for at, kind in kinds if kind is not None and kind not in (Kind.WEAK, Kind.PIN)}
    return Head(separator, len(names), secret, columns) if secret else None


def _in_columns(line: str) -> Head | None:
    """NAME      PASSWORD: each column goes on to where the next one begins."""
    words = list(_WORDS.finditer(line))
    if len(words) < 2 or "".join(line.split()) != "".join(word[0] for word in words):
        return None
    if not all(word[0][0].isupper() for word in words) and not _APART.fullmatch(line):
        return None  # a sentence
    begins = [word.start() for word in words]
    columns = tuple(zip(begins, [*begins[1:], 500], strict=True))
    return _with_secrets("", [word[0] for word in words], columns)


def row(found: Head, line: str) -> list[Span] | None:
    """Where the secrets of a row stand; None: the table is over."""
    if line and _RULE.fullmatch(line):
        return []
    if found.columns:
        spans = _by_place(found, line)
    elif found.separator in "|│":
        spans = _between(found, line)
    else:
        spans = _separated(found, line)
    if spans is None:
        return None
    return [span for at, span in spans if _is_secret(line, span, found.secret[at])]


def _by_place(found: Head, line: str) -> list[tuple[int, Span]] | None:
    if not line.strip() or any(begin and line[begin - 1 : begin].strip() for begin, _ in found.columns):
        return None
    spans = []
    for at in found.secret:
        begin, end = found.columns[at]
        cell = line[begin:end].rstrip()
        if not cell or " " in cell:
            return None
        spans.append((at, (begin, begin + len(cell))))
    return spans


def _between(found: Head, line: str) -> list[tuple[int, Span]] | None:
    edges = [match.start() for match in _BETWEEN.finditer(line)]
    bare = line.strip()
    edges = edges if bare[:1] in ("|", "│") else [-1, *edges]
    edges = edges if bare[-1:] in ("|", "│") else [*edges, len(line)]
    if len(edges) != found.cells + 1:
        return None
    return [(at, _stripped(line, edges[at] + 1, edges[at + 1])) for at in found.secret]


def _separated(found: Head, line: str) -> list[tuple[int, Span]] | None:
    spans = []
    at = 0
    for number in range(found.cells):
        cell = _QUOTED_CELL.match(line, at)
        if cell is None:
            return None
        group = 1 if cell[1] is not None else 2
        spans.append((number, cell.span(group)))
        at = cell.end()
        if number < found.cells - 1:
            if not line.startswith(found.separator, at):
                return None
            at += 1
    return [each for each in spans if each[0] in found.secret] if not line[at:].strip() else None


def _stripped(line: str, begin: int, end: int) -> Span:
    cell = line[begin:end]
    begin += len(cell) - len(cell.lstrip())
    return begin, begin + len(cell.strip())


def _is_secret(line: str, span: Span, kind: Kind) -> bool:
    value = line[slice(*span)]
    if len(value) < 4 or value.lower().rstrip(".,:;") in SENTENCE or is_harmless(line, *span):
        return False
    return looks_like_token(value) or (kind is Kind.PASSWORD and " " not in value)


def tables(text: str, lowered: str) -> Iterator[Span]:
    """user,password\nbob,x"""
    if "\n" not in text:
        return
    found: Head | None = None
    rows = at = 0
    for line in text.split("\n"):
        if found and rows < MAX_ROWS:
            spans = row(found, line)
            yield from ((at + begin, at + end) for begin, end in spans or ())
            found, rows = (None, 0) if spans is None else (found, rows + 1)
        if found is None:
            found = head(line)
        at += len(line) + 1
