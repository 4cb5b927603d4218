"""A ClickHouse server, over HTTP: questions, and the events that it is sent."""

from __future__ import annotations

import base64
import http.client
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

from dm_tools.ask.embedded import CannotAsk, WrongQuestion, said
from dm_tools.ask.views import TABLES, VIEWS

VARIABLE = "CLICKHOUSE_URL"
CONNECT_SECONDS = 600.0  # a large question takes its time
CHUNK = 1024 * 1024
READ_ONLY = {"readonly": "1", "output_format_json_quote_64bit_integers": "0"}


class Server:
    """The server of a URL such as http://user:password@host:8123/database."""

    def __init__(self, url: str) -> None:
        try:
            parts = urllib.parse.urlsplit(url)
            port = f":{parts.port}" if parts.port else ""
            (parts.hostname or "").encode("idna")
            url.encode()
        except ValueError:  # also of what is no UTF-8
            parts, port = urllib.parse.urlsplit(""), ""
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CannotAsk(f"{VARIABLE} is no URL such as http://host:8123/database")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self.address = f"{parts.scheme}://{host}{port}/"
        self.database = urllib.parse.unquote(parts.path.strip("/")) or "default"
        user, password = (urllib.parse.unquote(each or "") for each in (parts.username, parts.password))
        self._headers = {"User-Agent": "dm-history"}
        if user or password:
            token = base64.b64encode(f"{user or 'default'}:{password}".encode()).decode()
            self._headers["Authorization"] = f"Basic {token}"
        # no proxy and no redirect: what is sent is for that server
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())

    def answer(self, sql: str, form: str) -> Iterator[bytes]:
        """The answer to a checked question, in one of ClickHouse's formats. Raises CannotAsk, WrongQuestion."""
        yield from self._post({"database": self.database, "default_format": form, **READ_ONLY}, sql.encode())

    def prepare(self, anew: bool) -> None:
        """Make the table and the views that are not there, or the views `anew`. Raises CannotAsk, WrongQuestion."""
        self._do(f"CREATE DATABASE IF NOT EXISTS `{self.database}`", database="")
        for table, (columns, engine) in TABLES.items():
            self._do(f"CREATE TABLE IF NOT EXISTS {table} ({columns}) ENGINE = {engine}")
        for view, definition in VIEWS.items():
            if anew:
                self._do(f"DROP TABLE IF EXISTS {view}")
            self._do(f"CREATE VIEW IF NOT EXISTS {view} AS {definition}")

    def insert(self, table: str, rows: bytes) -> None:
        """Add rows, one JSON object each. Raises CannotAsk, WrongQuestion."""
        statement = f"INSERT INTO {table} FORMAT JSONEachRow"
        for _ in self._post({"database": self.database, "query": statement, **_SKIP}, rows):
            pass

    def _do(self, statement: str, database: str | None = None) -> None:
        name = self.database if database is None else database
        try:
            for _ in self._post({"database": name} if name else {}, statement.encode()):
                pass
        except WrongQuestion as failure:
            if "already exists" not in str(failure):  # another machine is faster, whatever IF NOT EXISTS says
                raise

    def _post(self, parameters: dict[str, str], body: bytes) -> Iterator[bytes]:
        request = urllib.request.Request(
            f"{self.address}?{urllib.parse.urlencode(parameters)}", body, self._headers, method="POST"
        )
        try:
            with self._opener.open(request, timeout=CONNECT_SECONDS) as response:
                while chunk := response.read(CHUNK):
                    yield chunk
        except urllib.error.HTTPError as failure:
            text = failure.read(4000).decode("utf-8", "replace")
            if failure.code in (401, 403, 503) or not text.startswith("Code:"):
                raise CannotAsk(f"ClickHouse at {self.address} answers {failure.code}: {said(text)[:200]}") from None
            raise WrongQuestion(said(text)) from None
        except (OSError, http.client.HTTPException) as failure:
            reason = getattr(failure, "reason", failure)
            words = str(getattr(reason, "strerror", None) or reason).lower()
            raise CannotAsk(f"ClickHouse at {self.address} cannot be reached: {words}") from None


_SKIP = {"input_format_skip_unknown_fields": "1"}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: Any) -> None:
        return None


def from_environment() -> Server | None:
    """The server of CLICKHOUSE_URL; None if it is not set. Raises CannotAsk."""
    url = os.environ.get(VARIABLE)
    return Server(url) if url else None
