"""What the page in a tab does while it is looked at: what it says and asks for, windows, dialogs, files, a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dm_tools.collect.browser.gate import Guest
from dm_tools.evidence.pages import Seen
from dm_tools.records import ConsoleEntry, ProbeError, Request
from dm_tools.text.late import late

if TYPE_CHECKING:
    from playwright.async_api import ConsoleMessage, Dialog, Download, Frame, Page, Response
    from playwright.async_api import Request as Sent

MAX_ENTRIES = 50  # of the console, of exceptions, of requests
MAX_ENTRY_CHARACTERS = 2000
MAX_ORIGINS = 100  # whose storage is cleared
SLOW_MS = 1000.0
NET = late(r"net::(ERR_\w+)")


class Witness:
    """Notes in `seen` what happens, within bounds, and refuses what a page must not get."""

    def __init__(self, page: Page, guest: Guest) -> None:
        self.page = page
        self.guest = guest
        self.seen = Seen("")
        self.origins: set[str] = set()  # that may have stored something
        self.crashed = asyncio.Event()
        self.network_changed = False  # the browser broke connections off, since the machine's network is another one
        self._tasks: set[asyncio.Future[Any]] = set()
        page.context.on("page", self._on_popup)
        page.on("dialog", self._on_dialog)
        page.on("download", self._on_download)
        page.on("crash", lambda _: self.crashed.set())
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self._add(self.seen.exceptions, str(error)[:MAX_ENTRY_CHARACTERS]))
        page.on("response", self._on_response)
        page.on("requestfailed", self._on_failed)
        page.on("requestfinished", self._on_finished)
        page.on("framenavigated", self._on_navigated)

    def begin(self, url: str) -> Seen:
        """From now on what happens is of this page."""
        self.seen = Seen(url)
        self.crashed.clear()
        self.network_changed = False
        return self.seen

    def end(self) -> None:
        """What happens from now on is not of this page any more; that it crashed stays known."""
        self.seen = Seen("")

    def begin_again(self) -> None:
        """Forget what was noted of this page: it is asked for once more."""
        for entries in (self.seen.console, self.seen.exceptions, self.seen.failed_requests, self.seen.slow_requests):
            entries.clear()
        self.network_changed = False

    def later(self, work: Awaitable[Any]) -> None:
        """Do something that an event calls for; whether it works is of no account."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Future[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # asked for, so that nobody complains that it was not

    def _add(self, entries: list[Any], entry: Any) -> None:
        if len(entries) < MAX_ENTRIES:
            entries.append(entry)

    def _note(self, kind: str, text: str, location: str | None = None) -> None:
        self._add(self.seen.console, ConsoleEntry(kind, text[:MAX_ENTRY_CHARACTERS], location))

    def _on_popup(self, other: Page) -> None:
        if other is not self.page:
            self._note("popup", "the page opened a window")
            self.later(other.close())

    def _on_dialog(self, dialog: Dialog) -> None:
        self._note("dialog", f"{dialog.type}: {dialog.message}")
        self.later(dialog.dismiss())

    def _on_download(self, download: Download) -> None:
        self._note("download", f"the page sent a file: {download.suggested_filename}")
        self.later(download.cancel())

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning", "assert"):
            at = message.location
            self._note(message.type, message.text, f"{at['url']}:{at['lineNumber'] + 1}" if at.get("url") else None)

    def _on_response(self, response: Response) -> None:
        request = response.request
        if request.is_navigation_request() and request.frame == self.page.main_frame:
            self.seen.status_code = response.status
        elif response.status >= 400:
            self._add(self.seen.failed_requests, self._request(request, status_code=response.status))

    def _on_failed(self, request: Sent) -> None:
        words = request.failure or ""
        self.network_changed |= "ERR_NETWORK_CHANGED" in words
        # What was broken off because the page went on, or was seen enough of, is no fault of the page.
        if request.is_navigation_request() or "ERR_ABORTED" in words or not self.seen.url:
            return
        known = self.guest.proxy.why_failed(request.url)
        net = NET.search(words)
        if why := self.guest.refused.get((request.method, request.url)):
            known = ProbeError.NOT_ALLOWED, why
        error = f"{known[0]}: {known[1]}" if known else net[1] if net else words
        self._add(self.seen.failed_requests, self._request(request, error=error))

    def _on_finished(self, request: Sent) -> None:
        took = request.timing["responseEnd"]
        if took >= SLOW_MS and not request.is_navigation_request():
            self._add(self.seen.slow_requests, self._request(request, duration_ms=round(took, 1)))

    def _request(self, request: Sent, **more: Any) -> Request:
        return Request(request.url[:MAX_ENTRY_CHARACTERS], request.method, request.resource_type, **more)

    def _on_navigated(self, frame: Frame) -> None:
        self._visited(frame.url)

    def _visited(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and len(self.origins) < MAX_ORIGINS:
            self.origins.add(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}")

    def stored(self, event: dict[str, Any]) -> None:
        """The event DOMStorage.domStorageItemAdded."""
        self._visited(event["storageId"].get("securityOrigin") or event["storageId"].get("storageKey", ""))
