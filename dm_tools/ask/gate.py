"""Which SQL is let through. Pure. The engine's own read-only mode is the lock; this is what it leaves open.

Read-only, ClickHouse still writes INTO OUTFILE (the embedded one), reads any file by the function file(), and asks
others for the columns of what DESCRIBE or EXPLAIN names. Newer versions read more as a text than the gate of an older
one would: `$$heredoc$$`, quotation marks of typography, `\\x66ile` as a name. What not all versions read alike is
refused.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"""(?P<skip>[ \t\r\n]+|--[^\n]*|/\*.*?\*/)"""
    r"""|(?P<text>'(?:[^'\\]|\\.|'')*')"""
    r"""|(?P<word>`[^`\\]*`|"[^"\\]*"|\w+)|(?P<sign>[-+*/%=<>!()\[\]{},.;:?|&^~@])|(?P<unclear>.)""",
    re.DOTALL,
)
_BEGINS = ("select", "with", "explain", "describe", "desc", "show", "exists")
_NEVER = ("outfile", "infile")
# Functions of tables that lead out of the history, and file(), of values; as of 26.9 (a test asks for what is new)
FUNCTIONS = frozenset(
    re.findall(
        r"\w+",
        """
        arrowstream azureblobstorage azureblobstoragecluster bigquery cluster clusterallreplicas cosn
        deltalake deltalakeazure deltalakeazurecluster deltalakecluster deltalakelocal deltalakes3
        deltalakes3cluster dictionary eval executable file filecluster filesystem fuzzquery gcs hdfs
        hdfscluster hudi hudicluster iceberg icebergazure icebergazurecluster icebergcluster iceberghdfs
        iceberghdfscluster iceberglocal iceberglocalcluster icebergs3 icebergs3cluster input jdbc mongodb
        mysql odbc oss paimon paimonazure paimonazurecluster paimoncluster paimonhdfs paimonhdfscluster
        paimonlocal paimons3 paimons3cluster postgresql prometheusquery prometheusqueryrange python redis
        remote remotesecure s3 s3cluster sqlite url urlcluster ytsaurus
        """,
    )
)


class Refused(Exception):
    """The SQL is more than a question; the message says why."""


def checked(sql: str) -> str:
    """The one question, without a semicolon at its end. Raises Refused."""
    found = [(match.lastgroup, match[0], match.end()) for match in _TOKEN.finditer(sql) if match.lastgroup != "skip"]
    while found and found[-1][1] == ";":
        found.pop()
    if not found:
        raise Refused("there is no question")
    for kind, text, _ in found:
        if kind == "unclear":
            raise Refused(f"{text!r} may only stand in a text in single quotes, and a quoted name has no backslash")
    words = [text.strip('`"').lower() if kind == "word" else text for kind, text, _ in found]
    if words[0] not in _BEGINS and words[0] != "(":
        raise Refused(f"only questions are answered (SELECT ...), not {words[0][:40].upper()!r}")
    if ";" in words:
        raise Refused("one question at a time")
    for word, after in zip(words, [*words[1:], ""], strict=True):
        if word in _NEVER or (word in FUNCTIONS and after == "("):
            raise Refused(f"a question may read or write nothing but these tables ({word!r})")
    return sql[: found[-1][2]]
