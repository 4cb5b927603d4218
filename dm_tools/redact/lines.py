"""Redaction of a text that comes line by line, where a secret and its name need not stand on one line."""

from __future__ import annotations

from dm_tools.redact.redactor import Redactor
from dm_tools.redact.rules import Kind, kind_of, tables
from dm_tools.text import KEY, KeyLines, key_begins
from dm_tools.text.late import late


class Lines:
    """Redacts a text that comes line by line: a private key runs over many lines, and each is masked by itself.

    So does a table whose head names a secret, an object that is opened behind a name, and a value that stands alone on
    the line after its name.
    """

    def __init__(self, redactor: Redactor) -> None:
        self.redactor = redactor
        self.key: KeyLines | None = None
        self.before = ""  # the lines before, if they announce something and have nothing behind it yet
        self.table: tables.Head | None = None
        self.rows = 0

    def redact(self, line: str) -> str:
        """The next line without its secrets; the line's end stays."""
        body = line.rstrip("\r\n")
        if self.key is not None:
            own = self.key.own(body)
            if self.key.ended or own is None:
                self.key = None
            if own is not None and own[0] < own[1]:
                return self.redactor.masked(body, [own]) + line[len(body) :]
        if (KEY in body and key_begins(body) >= 0) or body.startswith("Private-Lines:"):
            self.key = KeyLines(body)
        cells = self._cells(body)
        if cells and "<secret" not in body:
            masked = self.redactor.masked(body, [*cells, *self.redactor.found(body)])
        elif self.before and "\x1b" not in body and "<secret" not in body:
            masked = self._behind(body)
        else:
            masked = self.redactor.redact(body)
            self.before = body if _is_open(body) else ""
        return masked + line[len(body) :]

    def _cells(self, body: str) -> list[tuple[int, int]]:
        """The secrets of a row below a head that names one."""
        spans = tables.row(self.table, body) if self.table and self.rows < tables.MAX_ROWS else None
        if spans is None:
            self.table, self.rows = tables.head(body), 0
        else:
            self.rows += 1
        return spans or []

    def _behind(self, body: str) -> str:
        """A line behind one that announces something, and is open."""
        whole = f"{self.before}\n{body}"
        begin = len(self.before) + 1
        found = self.redactor.found(whole)
        own = [(max(first, begin) - begin, last - begin) for first, last in found if last > begin]
        lines = self.before.count("\n")
        goes_on = bool(own) and lines < MAX_OPEN_LINES and self.before[-1:] not in ("", " ")
        head = self.before.partition("\n")[0]
        deeper = head.endswith(":") and _indent(body) > _indent(head) and bool(body.strip())
        opened = lines < MAX_OPENED_LINES and (deeper or _is_opened(head)) and not _closes(body)
        if len(whole) > MAX_OPEN_TEXT:
            self.before = ""
        elif (not body.strip() and lines < 2) or opened or (goes_on and _BLOCK.search(self.before)):
            self.before = whole
        else:
            self.before = body if _is_open(body) else ""
        return self.redactor.masked(body, own) if own else body


MAX_OPEN_LINES = 100  # of a block of YAML
MAX_OPEN_TEXT = 20_000  # characters
MAX_OPENED_LINES = 8  # of an object behind a name
_BLOCK = late(r"^[^\n]{0,200}[:=][ \t]*[|>][+-]?\d?[ \t]*(?:\n|$)")
_KEYS = r"(?i:name|key|property|variable|setting|option|parameter)"
_OPEN = late(
    r"(?:[:：][ \t]*(?:[|>][+-]?\d?)?|=>|>)\s*$"
    rf"|^\s*-?\s*[\"']?{_KEYS}[\"']?\s?[:=]\s?[\"']?[\w.-]{{1,80}}[\"']?,?\s*$"
    r"|(?:^|[ >:\]])334 |form-data; name=\"[\w.-]{1,80}\"\s*$"
)
_OPENED = late(r"([\w.-]{1,100})[\"']{0,2}\s{0,2}(?:[:=]>?\s{0,2}[A-Za-z]{0,20}|[A-Za-z]{1,20})?[({\[]$")
_BARE = late(r"\s*[A-Za-z_][\w.]{3,60}")
_BEGINNINGS = ("name", "key", "propert", "variab", "setting", "option", "paramet", "content-disp")
_FIRST = frozenset(" -\"'nkpvsocNKPVSOC")


def _is_open(line: str) -> bool:
    """Whether a line ends where a value would begin: "password:", "- name: DB_PASSWORD", "password": {, "api_token"."""
    if len(line) >= 300 or not line:
        return False
    last = line[-1]
    if last in "({[":
        return _is_opened(line)
    option = line.strip().removeprefix("- ")
    if option.startswith("--") and len(option) < 64 and " " not in option and "=" not in option:  # its value is next
        return kind_of(option) not in (None, Kind.WEAK)
    if last.isalnum() and len(line) < 64 and " " not in line.strip() and _BARE.fullmatch(line):
        return kind_of(line.strip()) not in (None, Kind.WEAK)
    return (
        last in ":|>- \t："
        or (line[0] in _FIRST and line[:40].lstrip(" -\"'").lower().startswith(_BEGINNINGS))
        or ("334 " in line and len(line) < 80)
    ) and _OPEN.search(line) is not None


def _is_opened(line: str) -> bool:
    """Whether a line opens an object or a list behind a name that announces a secret."""
    match = _OPENED.search(line[-140:])
    return match is not None and kind_of(match[1]) not in (None, Kind.WEAK)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _closes(line: str) -> bool:
    return line.lstrip()[:1] in ("}", "]", ")")
