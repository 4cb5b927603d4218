"""Which SQL is let through. Pure. The engine's own read-only mode is the lock; this is what it leaves open.

Read-only, ClickHouse still writes INTO OUTFILE (the embedded one) and reads any file by the function file().
"""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"""(?P<skip>\s+|--[^\n]*|\#[^\n]*|/\*.*?\*/)"""
    r"""|(?P<text>'(?:[^'\\]|\\.|'')*')"""
    r"""|(?P<word>`(?:[^`\\]|\\.)*`|"(?:[^"\\]|\\.)*"|\w+)|(?P<other>.)""",
    re.DOTALL,
)
_BEGINS = ("select", "with", "explain", "describe", "desc", "show", "exists")
_NEVER = ("outfile", "infile")
_FUNCTIONS = ("file",)


class Refused(Exception):
    """The SQL is more than a question; the message says why."""


def checked(sql: str) -> str:
    """The one question, without a semicolon at its end. Raises Refused."""
    found = [(match.lastgroup, match[0], match.end()) for match in _TOKEN.finditer(sql) if match.lastgroup != "skip"]
    while found and found[-1][1] == ";":
        found.pop()
    if not found:
        raise Refused("there is no question")
    words = [text.strip('`"').lower() if kind == "word" else text for kind, text, _ in found]
    if words[0] not in _BEGINS and words[0] != "(":
        raise Refused(f"only questions are answered (SELECT ...), not {words[0][:40].upper()!r}")
    if ";" in words:
        raise Refused("one question at a time")
    for word, after in zip(words, [*words[1:], ""], strict=True):
        if word in _NEVER or (word in _FUNCTIONS and after == "("):
            raise Refused(f"a question may not read or write files ({word!r})")
    return sql[: found[-1][2]]
