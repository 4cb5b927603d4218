"""Section `screenshot`: the service's pages as a browser shows them, judged, and without secrets."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from dm_tools import records, redact, text
from dm_tools.collect import browser, environment, http, targets
from dm_tools.engine import finding, reading
from dm_tools.engine.connection import Engines
from dm_tools.evidence import pages as judge
from dm_tools.evidence.pages import Seen
from dm_tools.pipe import say
from dm_tools.records import Page, Probe, ProbeError, Request, Screenshot, Verdict
from dm_tools.text.late import late

Record = dict[str, Any]
Read = Callable[[bytes], str]  # a PNG -> the text in it. Raises Problem.
Save = Callable[[bytes, str], str]  # (data, suffix of the name) -> where it was written

MAX_PAGES = 20
TITLE_CHARACTERS = 300
TEXT_CHARACTERS = 8000
FEW_CHARACTERS = 50  # of a page whose words may be in its picture
DOM_CHARACTERS = 4000
ENTRY_CHARACTERS = 500
MAX_EXCERPTED = 100_000  # characters of the document that the excerpt is taken from
# Where a probe got no answer at all, a browser gets none either: that is not waited for twice.
_NO_ANSWER = (
    *(ProbeError.DNS, ProbeError.NO_ADDRESS, ProbeError.REFUSED, ProbeError.UNREACHABLE, ProbeError.TIMEOUT),
    ProbeError.NOT_RUNNING,
)
_HTML = ("text/html", "application/xhtml+xml")
_UNREADABLE = late(r"<(script|style|svg|noscript)\b[^>]*>.*?</\1\s*>", re.IGNORECASE | re.DOTALL)


def screenshot(
    record: Record,
    looker: browser.Browser,
    engines: Engines,
    timeout: float,
    save: Save,
    save_dom: Save | None = None,
    read: Read | None = None,
) -> Record:
    """The record with its `screenshot` section; a URL that cannot be asked from here becomes an entry in `errors`.

    `save` keeps the pictures, `save_dom` the documents; `read` tells the text in a picture: that of pages which are not
    as they should be, or have hardly any text of their own. Raises Problem browser_unavailable.
    """
    # A URL that cannot be taken apart is told of below.
    urls = [each for each in targets.urls(record) if each[0].lower().startswith(("http://", "https://"))]
    urls = [each for each in urls if each[0] not in _no_pages(record)]
    known = targets.secrets(record) + [value for _, value in looker.manner.headers]
    asked: list[tuple[http.Target, tuple[str, str] | None]] = []
    before = _unanswered(record)
    for url, scope in urls[:MAX_PAGES]:
        try:
            target = targets.target(record, f"screenshot:{len(asked)}", targets.with_secrets(url), scope, engines)
        except records.Problem as problem:
            record = records.with_error(record, "screenshot", problem.code, problem.message)
            continue
        asked.append((target, target.refused or before.get(url)))
    ways = {scope: targets.way(record, scope, engines) for scope in ("internal", "external")}
    wanted = [(target.url, ways[target.scope]) for target, refused in asked if refused is None]
    answers = iter(looker.look_at_all(wanted, timeout) if wanted else ())
    looks = [browser.Look(Seen(target.url, failure=no)) if no else next(answers) for target, no in asked]
    if any(look.seen.text for look in looks):  # only then Docker is asked for what to mask in them
        known += _of_container(record, engines)
    redactor = redact.Redactor(redact.following(record), known)
    record = targets.without_secrets(record, redactor)
    pages = []
    for (target, _), look in zip(asked, looks, strict=True):
        pages.append(page(target.id, target.scope, look.seen, redactor))
        try:
            _keep(pages[-1], look, save, save_dom, redactor)
        except OSError as failure:
            record = records.with_error(record, "screenshot", "cannot_write", str(failure))
        if read is not None and look.picture and _wants_reading(pages[-1]):
            try:
                words = redactor.redact(text.clean(read(look.picture)))
                pages[-1].ocr_text = words[:TEXT_CHARACTERS].strip() or None
            except records.Problem as problem:
                record = records.with_error(record, "screenshot", problem.code, problem.message)
    return records.with_section(record, "screenshot", Screenshot(judge.status(pages), pages))


def look(
    looker: browser.Browser, record: Record, url: str, engines: Engines, timeout: float, dom_characters: int = 20_000
) -> tuple[Page, str]:
    """One URL, as a service's containers see it: the page, and its document as text, both bounded and masked.

    For whoever asks for one page at a time (a model's tool); nothing is written. Raises Problem bad_url,
    unset_variable, browser_unavailable.
    """
    target = targets.target(record, "screenshot:0", targets.with_secrets(url), "internal", engines)
    found = Seen(target.url, failure=target.refused)
    if target.refused is None:
        found = looker.look(target.url, timeout, targets.way(record, "internal", engines)).seen
    known = [*targets.secrets(record), *(value for _, value in looker.manner.headers), *_of_container(record, engines)]
    redactor = redact.Redactor(redact.following(record), known)
    document = redactor.redact(excerpt(found.html)[: 2 * dom_characters])[:dom_characters]
    return page(target.id, target.scope, found, redactor), document


def _wants_reading(page: Page) -> bool:
    return page.verdict != Verdict.OK or len(page.text or "") < FEW_CHARACTERS


def _no_pages(record: Record) -> set[str]:
    """The URLs that nobody configured and that showed the probe no page: an API, a redirect away, a path unknown."""
    probe = records.section(record, "probe", Probe)
    pages = {
        check.url
        for check in (probe.checks if probe else [])
        if check.content_type in _HTML and (check.status_code or 0) // 100 in (2, 5)
    }
    return set() if probe is None else targets.discovered(record).keys() - pages


def _unanswered(record: Record) -> dict[str, tuple[str, str]]:
    """The URLs that the record's probe got no answer from, and why."""
    probe = records.section(record, "probe", Probe)
    checks = probe.checks if probe else []
    return {
        check.url: (check.error, f"{check.id} got no answer: {check.message or check.error}")
        for check in checks
        if check.error in _NO_ANSWER
    }


def _of_container(record: Record, engines: Engines) -> list[str]:
    engine = engines.of(record)
    try:
        return environment.secrets(reading.inspect(engine, finding.find(engine, record)["Id"]))
    except records.Problem:
        return []  # there is no Docker here, or no such container: then secrets are masked by what they look like


def page(page_id: str, scope: str, seen: Seen, redactor: redact.Redactor) -> Page:
    """What was recorded of a page, judged, bounded and without secrets."""

    def safe(words: str, limit: int) -> str:
        # Cut with a margin and once more when masked: no half of a secret is shown.
        return redactor.redact(text.clean(words[: 2 * limit]))[:limit].strip()

    def request(each: Request) -> Request:
        error = safe(each.error, ENTRY_CHARACTERS) if each.error else None
        return Request(url(each.url), each.method, each.kind, each.status_code, error, each.duration_ms)

    def url(words: str) -> str:
        return redactor.url(words)[:ENTRY_CHARACTERS]

    clean = replace(
        seen,
        url=url(seen.url),
        final_url=url(seen.final_url) if seen.final_url else None,
        failure=(seen.failure[0], safe(seen.failure[1], ENTRY_CHARACTERS)) if seen.failure else None,
        title=safe(seen.title, TITLE_CHARACTERS),
        text=safe(seen.text, TEXT_CHARACTERS),
        console=[
            records.ConsoleEntry(each.type, safe(each.text, ENTRY_CHARACTERS), url(each.location or "") or None)
            for each in seen.console
        ],
        refused=[safe(each, ENTRY_CHARACTERS) for each in seen.refused],
        exceptions=[safe(each, ENTRY_CHARACTERS) for each in seen.exceptions],
        failed_requests=[request(each) for each in seen.failed_requests],
        slow_requests=[request(each) for each in seen.slow_requests],
    )
    verdict, reasons = judge.judged(clean, page_id)
    say.detail(f"asked {clean.url} in a browser: {verdict}")
    return Page(
        id=page_id,
        url=clean.url,
        scope=scope,
        verdict=verdict,
        reasons=reasons,
        final_url=clean.final_url,
        status_code=clean.status_code,
        content_type=clean.content_type,
        failure=clean.failure[0] if clean.failure else None,
        tls=clean.tls[0] if clean.tls else None,
        title=clean.title or None,
        text=clean.text if clean.final_url else None,
        dom_excerpt=safe(excerpt(seen.html), DOM_CHARACTERS) or None,
        console=clean.console,
        exceptions=clean.exceptions,
        failed_requests=clean.failed_requests,
        slow_requests=clean.slow_requests,
        timing=clean.timing,
    )


def excerpt(html: str) -> str:
    """A document without what nobody reads in it: scripts, styles, drawings."""
    return re.sub(r"\n\s*\n+", "\n", _UNREADABLE.sub(r"<\1/>", html[:MAX_EXCERPTED]))


def _keep(page: Page, look: browser.Look, save: Save, save_dom: Save | None, redactor: redact.Redactor) -> None:
    """Write the pictures and the document, and say where in the page."""
    if look.picture:
        page.sha256, page.size_bytes = hashlib.sha256(look.picture).hexdigest(), len(look.picture)
        page.path = page.thumbnail_path = save(look.picture, ".png")
    if look.thumbnail:
        page.thumbnail_path = save(look.thumbnail, ".thumbnail.png")
    if save_dom is not None and look.seen.html:
        page.dom_path = save_dom(redactor.redact(look.seen.html).encode("utf-8", "replace"), ".html")


def headers(lines: str) -> tuple[tuple[str, str], ...]:
    """The header lines of a file, `Name: value`; empty lines and those that begin with # count for nothing.

    Raises ValueError with the number of the line that is none; the line itself may be a secret.
    """
    found = []
    for number, line in enumerate(lines.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, value = line.partition(":")
        if not colon or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or not value.strip().isprintable():
            raise ValueError(f"line {number} is no header (Name: value)")
        found.append((name, value.strip()))
    return tuple(found)
