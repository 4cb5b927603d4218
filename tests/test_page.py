"""Pure judgement of pages: pictures, evidence ids, what a verdict means for a service."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import pytest

from dm_tools.diagnose import analyze as judge
from dm_tools.diagnose.facts import facts
from dm_tools.evidence import pages as page
from dm_tools.evidence.ids import resolve
from dm_tools.evidence.pages import Seen
from dm_tools.evidence.view import View
from dm_tools.patterns import reading as reader
from dm_tools.records import Verdict
from tests.making import service

LIBRARY = reader.read(None)


def png(rows: list[list[tuple[int, int, int]]], filters: list[int]) -> bytes:
    """A picture whose rows are stored with these filters (differences to the pixel left, above, ...)."""
    width = len(rows[0])
    above = [0] * (width * 3)
    data = b""
    for row, kind in zip(rows, filters, strict=True):
        flat = [value for pixel in row for value in pixel]
        data += bytes([kind])
        for at, value in enumerate(flat):
            left, corner = (flat[at - 3], above[at - 3]) if at >= 3 else (0, 0)
            near = left + above[at] - corner
            paeth = min((left, above[at], corner), key=lambda each: abs(near - each))
            guess = [0, left, above[at], (left + above[at]) // 2, paeth][kind]
            data += bytes([(value - guess) & 255])
        above = flat
    head = struct.pack(">IIBBBBB", width, len(rows), 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


@pytest.mark.parametrize("filters", [[0] * 5, [1] * 5, [2] * 5, [3] * 5, [4] * 5, [0, 1, 2, 3, 4]])
def test_a_picture_of_one_colour(filters: list[int]) -> None:
    grey = [[(7, 8, 9)] * 6 for _ in range(5)]
    assert page.uniform(png(grey, filters))
    for x, y in ((0, 0), (5, 4), (3, 2)):
        spotted = [list(row) for row in grey]
        spotted[y][x] = (7, 8, 10)
        assert not page.uniform(png(spotted, filters))


def seen(verdict: str, *codes: str, **more: Any) -> dict[str, Any]:
    """A section `screenshot` with one page."""
    reasons = [{"code": code, "message": code, "evidence": ["screenshot:0"]} for code in codes]
    shown = {"id": "screenshot:0", "url": "http://x/", "scope": "internal", "verdict": verdict, "reasons": reasons}
    return {"status": "healthy", "pages": [shown | more]}


def verdict(record: dict[str, Any]) -> Any:
    return judge.analyze({record["service"]: facts(record, LIBRARY)}, LIBRARY)[record["service"]]


def test_evidence_ids_of_a_page_resolve() -> None:
    entry = {"type": "error", "text": "boo"}
    request = {"url": "/x.js", "method": "GET", "kind": "script", "status_code": 404}
    section = seen("ok", title="T", text="words", console=[entry], exceptions=["e"], failed_requests=[request])
    view = View.of(service("x") | {"screenshot": section})
    assert resolve(view, "screenshot:0").url == "http://x/"
    assert (resolve(view, "screenshot:0.title"), resolve(view, "screenshot:0.text")) == ("T", "words")
    assert resolve(view, "screenshot:0.console.0").text == "boo"
    assert resolve(view, "screenshot:0.exception.0") == "e"
    assert resolve(view, "screenshot:0.request.0").status_code == 404
    for wrong in (
        "screenshot:1",
        "screenshot:0.console.1",
        "screenshot:0.verdict",
        "screenshot:0.console",
        "screenshot:x",
    ):
        assert resolve(view, wrong) is None
    for wrong in ("screenshot:0.console.x", "screenshot:0.console.²", "screenshot:0.slow.0", "screenshot:0.text.0"):
        assert resolve(view, wrong) is None


@pytest.mark.parametrize(
    "section, status, cause",
    [
        (seen("ok"), "healthy", None),
        (seen("ok", "exception", "script_failed", "mixed_content"), "healthy", None),
        (seen("login", "login_form"), "healthy", None),
        (seen("not_rendered", "crashed"), "healthy", None),
        (seen("blank", "no_content"), "degraded", "wrong_content"),
        (seen("blank", "no_content", "script_failed"), "degraded", "wrong_content"),
        (seen("blank", "no_content", "exception"), "degraded", "app_exception"),
        (seen("loading", "spinner"), "degraded", "wrong_content"),
        (seen("loading", "spinner", "data_failed"), "degraded", "http_error"),
        (seen("error_page", "trace"), "degraded", "app_exception"),
        (seen("error_page", "server_error"), "degraded", "http_error"),
        (seen("error_page", "default_page"), "degraded", "wrong_content"),
    ],
)
def test_what_a_page_means_for_a_service_that_answers(section: dict[str, Any], status: str, cause: str | None) -> None:
    found = verdict(service("x") | {"screenshot": section})
    assert (found.status, found.cause) == (status, cause)
    assert cause is None or found.evidence == ["screenshot:0"]
    assert found.confidence != "high", "a page is a text, and one source"


def test_a_page_alone_is_judged_and_without_one_nothing_changes() -> None:
    alone = {"service": "x", "screenshot": seen("not_rendered", "refused")}
    assert (verdict(alone).status, verdict(alone).cause) == ("failed", "connection_refused")
    assert verdict({"service": "x", "screenshot": {"status": "unknown", "pages": []}}).status == "unknown"
    assert verdict(service("x")).status == "healthy"


def test_a_better_explanation_replaces_an_error_page() -> None:
    full = "OSError: [Errno 28] No space left on device: '/data/x'"
    found = verdict(service("x", "failed", log=(full,)) | {"screenshot": seen("error_page", "server_error")})
    assert found.cause == "disk_full"


def test_an_article_about_errors_is_none() -> None:
    text = "Bad Gateway, says nginx. " * 50
    assert (
        page.judged(Seen("http://x/", title="Post", text=text, elements=9, loaded=True), "screenshot:0")[0]
        == Verdict.OK
    )
