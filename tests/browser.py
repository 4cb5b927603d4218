"""A real Chromium, and a witness of everything that a page does in it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

# The browser itself must ask nobody for anything, so that every request seen is the page's.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-default-apps",
    "--metrics-recording-only",
    "--no-pings",
    "--mute-audio",
    "--disable-dev-shm-usage",
]

# Before any script of the page: what its policy stopped is kept, too.
_VIOLATIONS = (
    "window.stopped = []; document.addEventListener('securitypolicyviolation', e => stopped.push(e.blockedURI))"
)


@dataclass
class Seen:
    """What a page did."""

    requests: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    popups: list[str] = field(default_factory=list)


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A browser of our own."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def opened(browser: Browser, path: Path, width: int = 1100, **options: Any) -> Iterator[tuple[Page, Seen]]:
    """A file opened from disk, in a profile of its own, and what it did so far."""
    seen = Seen()
    context = browser.new_context(viewport={"width": width, "height": 900}, **options)
    try:
        context.add_init_script(_VIOLATIONS)
        page = context.new_page()
        page.on("request", lambda request: seen.requests.append(request.url))
        page.on("console", lambda message: seen.console.append(message.text))
        page.on("pageerror", lambda error: seen.console.append(str(error)))
        page.on("dialog", lambda dialog: (seen.dialogs.append(dialog.message), dialog.dismiss()))
        page.on("popup", lambda popup: seen.popups.append(popup.url))
        page.goto(path.as_uri())
        yield page, seen
    finally:
        context.close()
