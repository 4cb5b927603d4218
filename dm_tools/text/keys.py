"""Private keys in armour, line by line: which lines after "-----BEGIN PRIVATE KEY-----" are the key's own.

That text by itself is no key: a request can carry it, and so can an error. Only lines in a key's alphabet and length,
behind the same words as the first line (a logger's), are taken for more of it.
"""

from __future__ import annotations

import re

from dm_tools.text.late import late

KEY = "PRIVATE KEY"
_BEGIN = late(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|PuTTY-User-Key-File-\d|Private-Lines: \d")
_END = late(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|Private-MAC:")
_HEADER = late(r"(?:Proc-Type|DEK-Info|Version|Comment|Charset|Hash): ?[^\n]{0,200}$")
_BODY = late(r"(=?[A-Za-z0-9+/]{1,20000}+={0,2})[\s\"',\\]*$")
_NUMBER = late(r"\d+")
FULL = 60  # characters from which on a line of a key is a whole one, so that another follows
LEAST = 16


def begins(line: str) -> int:
    """Where in a line the armour of a private key ends that is not closed in it; -1 if there is none."""
    if KEY not in line and "Private-Lines:" not in line:
        return -1
    end = max((match.end() for match in _BEGIN.finditer(line)), default=-1)
    return end if end >= 0 and not _END.search(line, end) else -1


class KeyLines:
    """Tells for one line after another whether it is more of the key that began in `first`."""

    def __init__(self, first: str) -> None:
        begin = max((match.start() for match in _BEGIN.finditer(first)), default=0)
        self.shape = _shape(first[:begin])
        self.length = 0  # of the key's line before
        self.ended = False
        body = _BODY.search(first, begins(first)) if begins(first) >= 0 else None
        if body and " " not in first[begins(first) :].strip():
            self.length = len(body[1])

    def own(self, line: str) -> tuple[int, int] | None:
        """The span of a line that is the key's, empty for its headers and blank lines; None: it is over."""
        end = _END.search(line)
        if end:
            self.ended = True
            bare = line[: end.start()].strip()
            span = self._body(line[: end.start()])
            return span if span and bare else (end.start(), end.start())
        header = _HEADER.search(line)
        if not line.strip() or (header and self._same(line[: header.start()])):
            return len(line), len(line)
        return self._body(line)

    def _body(self, line: str) -> tuple[int, int] | None:
        body = _last_word(line)
        if not body:
            return None
        token = body[1]
        random = len(token) >= LEAST and any(map(str.isdigit, token)) and not token.islower() and not token.isdigit()
        more = bool(self.length) and (self.length >= FULL or token.startswith("=") or token.endswith("="))
        same = self._same(line[: body.start()])
        if not (random or len(token) >= FULL) and not (more and same):
            return None
        if not same:
            if ": " in line[: body.start()]:
                return None
            self.shape = _shape(line[: body.start()])
        self.length = len(token)
        return body.span(1)

    def _same(self, words: str) -> bool:
        """Whether these are the words that the logger wrote before the key's begin, or none."""
        before = _shape(words)
        return not before or self.shape.startswith(before)


def _last_word(line: str) -> re.Match[str] | None:
    bare = line.rstrip(" \t\"',\\")
    at = max(bare.rfind(each) for each in " \t|>:\"'") + 1
    return _BODY.match(line, at)


def _shape(words: str) -> str:
    """What a logger writes before a line, whatever the time."""
    return " ".join(_NUMBER.sub("0", words).strip(" \t\"'>").split())
