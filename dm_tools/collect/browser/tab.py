"""One tab: shows a page, reads it, draws it, and forgets it; what happens meanwhile its witness notes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urlsplit

from dm_tools import records
from dm_tools.collect import http, reach, socks
from dm_tools.collect.browser import chromium
from dm_tools.collect.browser.gate import Gate, Guest, elsewhere
from dm_tools.collect.browser.witness import NET, Witness
from dm_tools.collect.socks import Way
from dm_tools.evidence import pages as judge
from dm_tools.evidence.pages import Seen
from dm_tools.records import ProbeError, Timing

if TYPE_CHECKING:
    from playwright.async_api import (
        Browser,
        BrowserContext,
        CDPSession,
        Page,
        Route,
    )

MAX_TEXT = 200_000  # characters that are read of a page's text, and
MAX_HTML = 2_000_000  # of its document
MAX_FRAMES = 10  # inner frames whose text is read
MAX_HEIGHT = 10_000  # pixels of a full page
MAX_LOOKS = 100  # then the tab is closed: history and what leaks stay small
SETTLE_SECONDS = 4.0  # a page that is blank may be about to draw itself
ATTEMPTS = 3  # when the page goes on meanwhile, or the machine's network changes (a container was started)
CLEAR_SECONDS = 2.0
STAY_SECONDS = 1.0
CHANGING_SECONDS = 0.5  # a container that starts changes the machine's network more than once
SHOT_SECONDS = 2.5
TRUST_SECONDS = 2.0
THUMBNAIL = 0.25
SMALL_PICTURE = 64 * 1024  # bytes: such a picture is its own thumbnail, which saves a third of the drawing


@dataclass(frozen=True)
class Manner:
    """How pages are looked at: the window's size, all of the page or its top, and what to wait for.

    `wait`: load, idle (half a second without requests), or a selector. `headers` go to the page's own origin only.
    """

    width: int = 1280
    height: int = 720
    full_page: bool = False
    wait: str = "load"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass
class Look:
    """What looking at one URL gave: what was recorded, and the pictures (PNG).

    `picture` is None if none could be taken, `thumbnail` also where the picture is small.
    """

    seen: Seen
    picture: bytes | None = None
    thumbnail: bytes | None = None


# In an isolated world: the page's scripts cannot change what this sees.
_READ = (Path(__file__).parent / "read_page.js").read_text()


@dataclass
class Tab:
    """One tab in a context of its own, with its proxy; shows one page at a time."""

    manner: Manner
    context: BrowserContext
    page: Page
    cdp: CDPSession
    proxy: socks.Proxy
    witness: Witness
    gate: Gate
    guest: Guest
    parts: SplitResult = field(default_factory=lambda: urlsplit(""))
    plain: set[str] = field(default_factory=set)  # hosts that are asked around the browser: see SECURE_NAMES
    authorization: str | None = None
    tolerant: bool = False  # the page is shown in spite of its certificate
    looks: int = 0
    world: int = 0  # the isolated world that the page was read in

    @property
    def seen(self) -> Seen:
        """What was recorded of the page so far."""
        return self.witness.seen

    @classmethod
    async def open(cls, browser: Browser, manner: Manner, gate: Gate) -> Tab:
        """A new tab of a running browser."""
        await gate.open()
        proxy = socks.Proxy()
        context = await browser.new_context(
            # Without this Chromium asks for loopback and link-local addresses around a proxy.
            proxy={"server": f"socks5://127.0.0.1:{await proxy.open()}", "bypass": "<-loopback>"},
            viewport={"width": manner.width, "height": manner.height},
            accept_downloads=False,
            service_workers="block",
        )
        page = await context.new_page()
        cdp = await context.new_cdp_session(page)
        frame = (await cdp.send("Page.getFrameTree"))["frameTree"]["frame"]["id"]
        guest = Guest(frame, proxy)
        gate.guests.append(guest)
        tab = cls(manner, context, page, cdp, proxy, Witness(page, guest), gate, guest)
        await cdp.send("Network.enable", {"maxTotalBufferSize": 0, "maxResourceBufferSize": 0})
        await cdp.send("Network.setCacheDisabled", {"cacheDisabled": True})
        await cdp.send("DOMStorage.enable")
        await cdp.send("Page.enable")
        await page.route(
            chromium.SECURE, tab._ask_plainly
        )  # by its text: a function would be asked about every request
        cdp.on("Fetch.requestPaused", tab._paused)
        cdp.on("Page.frameRequestedNavigation", guest.wants_to_go)
        cdp.on("DOMStorage.domStorageItemAdded", tab.witness.stored)
        return tab

    def _paused(self, event: dict[str, Any]) -> None:
        """Send our headers along, but to nobody except the page's own origin, wherever it redirects."""
        change: dict[str, Any] = {"requestId": event["requestId"]}
        asked = urlsplit(event["request"]["url"])
        if (asked.scheme, asked.netloc) == (self.parts.scheme, self.parts.netloc.rpartition("@")[2]):
            headers = {name.lower(): (name, value) for name, value in event["request"]["headers"].items()}
            headers |= {name.lower(): (name, value) for name, value in self._headers()}
            change["headers"] = [{"name": name, "value": value} for name, value in headers.values()]
        self.witness.later(self.cdp.send("Fetch.continueRequest", change))

    def _headers(self) -> list[tuple[str, str]]:
        given = list(self.manner.headers)
        return [("Authorization", self.authorization), *given] if self.authorization else given

    def _is_plain(self, url: str) -> bool:
        parts = urlsplit(url)
        return parts.scheme == "http" and parts.hostname in self.plain

    async def _ask_plainly(self, route: Route) -> None:
        """Ask in the browser's place where it would insist on TLS."""
        try:
            headers = await route.request.all_headers()
            asked = urlsplit(route.request.url)
            frame = self.guest.frame if route.request.frame == self.page.main_frame else None
            if not self.guest.may_send(route.request.method, route.request.url, headers, frame):
                why = elsewhere(route.request.method, route.request.url)
                self.guest.refuse(route.request.method, route.request.url, why)
                await route.abort("blockedbyclient")
                return
            if asked.netloc == self.parts.netloc.rpartition("@")[2]:
                headers |= {name.lower(): value for name, value in self._headers()}
            answer = await route.fetch(headers=headers, max_redirects=0, timeout=0)
            await route.fulfill(response=answer)
        except Exception:
            with contextlib.suppress(Exception):
                await route.abort("connectionfailed")

    # Looking

    async def look(self, url: str, timeout: float, way: Way) -> Look:
        """Look at a URL within `timeout` seconds. Raises only if the browser is gone."""
        began = time.monotonic()
        deadline = began + timeout
        # A page that never finishes is read and drawn as far as it has come: that needs a part of the time.
        until = deadline - min(3.0, timeout * 0.3)
        self.looks += 1
        looked = Look(self._begin(url, way))
        end = asyncio.ensure_future(self.witness.crashed.wait())
        work = asyncio.ensure_future(self._look(looked, until, deadline))
        try:
            await asyncio.wait({work, end}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if self.witness.crashed.is_set():
                self.seen.failure = ("crashed", "the page crashed its renderer, or used up its memory")
            elif not work.done():
                self.seen.failure = self.seen.failure or ("timeout", f"not shown within {timeout:g} s")
            else:
                work.result()
        finally:
            work.cancel()
            end.cancel()
        self.seen.cut = self.proxy.cut
        self.seen.refused = list(dict.fromkeys([*self.guest.refused.values(), *self.proxy.refused]))
        self.seen.timing.total_ms = round((time.monotonic() - began) * 1000, 1)
        self.witness.end()
        return looked

    def _begin(self, url: str, way: Way) -> Seen:
        self.proxy.forget(replace(way, named=way.named | reach.named([url])))
        self.guest.begin(url)
        self.parts = urlsplit(url)
        self.tolerant = False
        user, colon, password = self.parts.netloc.rpartition("@")[0].partition(":")
        # Given to the browser, it would remember it for the pages to come.
        pair = f"{unquote(user)}:{unquote(password)}".encode()
        self.authorization = f"Basic {base64.b64encode(pair).decode()}" if user or colon else None
        return self.witness.begin(url)

    async def _look(self, looked: Look, until: float, deadline: float) -> None:
        seen = self.seen
        url = self.parts._replace(netloc=self.parts.netloc.rpartition("@")[2]).geturl()
        if self._headers():
            await self.cdp.send("Fetch.enable", {"patterns": [{"urlPattern": "*"}]})
        for attempt in range(1, ATTEMPTS + 1):
            if not await self._go(url, until):
                return
            await self._until_there(until)
            if not self.witness.network_changed or attempt == ATTEMPTS:
                break
            # Somewhere a container got a network: no fault of the page, which is shown anew, as for the first time.
            await self._forget()
            await asyncio.sleep(CHANGING_SECONDS * attempt)
            self.witness.begin_again()
        await self._read(deadline)
        settled = min(until, time.monotonic() + SETTLE_SECONDS)
        while judge.unsettled(seen) and time.monotonic() < settled:
            await asyncio.sleep(0.25)
            await self._read(deadline)
        for _ in range(ATTEMPTS):
            picture, thumbnail = await self._draw(deadline)
            if await self._still_there(deadline):
                looked.picture, looked.thumbnail = picture, thumbnail
                break
            # It went on to another page meanwhile: what was drawn may be that one, with its inputs unmasked.
            await self._read(deadline)
        if looked.thumbnail and not seen.text.strip():
            seen.uniform = judge.uniform(looked.thumbnail)

    async def _go(self, url: str, until: float) -> bool:
        """Navigate; False if there is nothing to look at, which is noted."""
        from playwright.async_api import Error

        while (left := until - time.monotonic()) > 0:
            try:
                await self.page.goto(url, wait_until="commit", timeout=left * 1000)
                return True
            except Error as failure:
                if self.guest.wants_program and self.page.url.startswith("http"):
                    return True  # it came, and asked for another program at once: that it came went unsaid
                if not await self._again(url, str(failure)):
                    return False
        self.seen.failure = self.seen.failure or ("timeout", "no answer in time")
        return False

    async def _again(self, url: str, words: str) -> bool:
        """What a failed navigation means; True if another attempt may succeed."""
        seen, parts = self.seen, self.parts
        net = NET.search(words)
        code = net[1] if net else ""
        known = self.proxy.why_failed(url)
        if code == "ERR_ABORTED" and self.guest.refused:
            why = next(iter(self.guest.refused.values()))
            seen.failure = (ProbeError.NOT_ALLOWED, f"it leads to somebody who is not asked: {why}")
            return False
        if code == "ERR_ABORTED" or "crash" in words:  # that it crashed may be told a moment later
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.witness.crashed.wait(), 0.3)
                return False
        if "interrupted by another navigation" in words:
            return True
        if code == "ERR_NETWORK_CHANGED":
            await asyncio.sleep(0.2)
            return True
        if code.startswith("ERR_CERT_") and not self.tolerant:
            self.tolerant = True
            if code != "ERR_CERT_AUTHORITY_INVALID" or not await self._is_trusted_here():
                seen.tls = chromium.CERTIFICATE.get(
                    code, ("tls_untrusted", f"the browser refuses the certificate ({code})")
                )
            await self.cdp.send("Security.setIgnoreCertificateErrors", {"ignore": True})
            return True
        if code.startswith("ERR_SSL_") and parts.scheme == "http" and not self._is_plain(url):
            self.plain.add(parts.hostname or "")  # the browser insists on TLS for that name, not the server
            await self.page.route(self._is_plain, self._ask_plainly)
            return True
        if code == "ERR_HTTP_RESPONSE_CODE_FAILURE":  # an error status with nothing in it
            seen.final_url, seen.loaded = url, True
        elif known is not None:
            seen.failure = (known[0], known[1])
        elif code in chromium.FAILURES:
            seen.failure = chromium.FAILURES[code]
        elif "Download is starting" in words or (code == "ERR_ABORTED" and self._sent_a_file()):
            seen.failure = ("download", "the server sends a file to be saved, not a page")
        elif code == "ERR_ABORTED" and seen.status_code in (204, 205):
            seen.failure = ("no_content", f"HTTP status {seen.status_code}: an answer without content")
        elif "imeout" in words and not code:
            seen.failure = ("timeout", "no answer in time")
        else:
            seen.failure = ("navigation_failed", code or words.partition("\n")[0][:200])
        return False

    async def _is_trusted_here(self) -> bool:
        """Whether this machine knows the issuer: a browser has a list of its own, without a company's authority."""
        host = reach.host(self.parts.hostname or "")
        with contextlib.suppress(records.Problem, OSError):
            places = await self.proxy.addresses(host, self.parts.port or 443)
            return await http.trusts(places[0], host, TRUST_SECONDS)
        return False

    def _sent_a_file(self) -> bool:
        return any(entry.type == "download" for entry in self.seen.console)

    async def _until_there(self, until: float) -> None:
        """Wait for the page; one that was kept from going away may never be said to have loaded."""
        there, stays = asyncio.ensure_future(self._wait(until)), asyncio.ensure_future(self.guest.stays.wait())
        left = max(0.1, until - time.monotonic())
        await asyncio.wait({there, stays}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if stays.done():
            await asyncio.wait({there}, timeout=min(STAY_SECONDS, max(0.1, until - time.monotonic())))
        stays.cancel()
        there.cancel()

    async def _wait(self, until: float) -> None:
        from playwright.async_api import Error

        left = max(100.0, (until - time.monotonic()) * 1000)
        with contextlib.suppress(Error):  # a page that goes on to another one is waited for when it is read
            if self.manner.wait in ("load", "idle"):
                state = "load" if self.manner.wait == "load" else "networkidle"
                await self.page.wait_for_load_state(state, timeout=left)  # type: ignore[arg-type]
            else:
                await self.page.wait_for_selector(self.manner.wait, timeout=left)

    async def _read(self, deadline: float) -> None:
        """Mask the page's inputs and read what it shows; a page that navigates meanwhile is read again."""
        from playwright.async_api import Error

        for _ in range(ATTEMPTS):
            left = max(0.2, deadline - time.monotonic())
            try:
                tree = await self.cdp.send("Page.getFrameTree")
                frame = tree["frameTree"]["frame"]["id"]
                world = await self.cdp.send("Page.createIsolatedWorld", {"frameId": frame, "worldName": "dm"})
                answer = await self._send(
                    "Runtime.evaluate",
                    left / 2,
                    expression=f"({_READ})({MAX_TEXT}, {MAX_HTML})",
                    contextId=world["executionContextId"],
                    returnByValue=True,
                    timeout=left * 1000,
                )
            except (Error, TimeoutError):
                await asyncio.sleep(0.1)
                continue
            found = answer["result"].get("value")
            self.world = world["executionContextId"]
            if isinstance(found, dict):
                self._take(found)
                await self._read_frames()
            return

    async def _still_there(self, deadline: float) -> bool:
        """Whether the tab still shows the document that was read; one that does not answer in time does not."""
        from playwright.async_api import Error

        seconds = max(1.0, (deadline - time.monotonic()) / 4)
        with contextlib.suppress(Error, TimeoutError):
            await self._send("Runtime.evaluate", seconds, expression="1", contextId=self.world)
            return True
        return False

    def _take(self, found: dict[str, Any]) -> None:
        seen = self.seen
        seen.title, seen.text, seen.html = found["title"], found["text"], found["html"]
        seen.elements, seen.media = found["elements"], found["media"]
        seen.password, seen.spinner, seen.loaded = found["password"], found["spinner"], found["loaded"]
        seen.final_url, seen.content_type = found["url"], found["type"]
        first, ready, loaded = (round(each, 1) if each else None for each in found["times"])
        seen.timing = Timing(first, ready, loaded)

    async def _read_frames(self) -> None:
        for frame in self.page.frames[1 : MAX_FRAMES + 1]:
            with contextlib.suppress(Exception):
                found = await asyncio.wait_for(frame.evaluate(f"() => ({_READ})({MAX_TEXT}, 0)"), 1)
                self.seen.text = f"{self.seen.text}\n{found['text']}"[:MAX_TEXT]
                self.seen.password |= bool(found["password"])

    async def _send(self, method: str, seconds: float, **parameters: Any) -> Any:
        """Ask the page's process; what is asked while the page goes on to another one may never be answered."""
        return await asyncio.wait_for(self.cdp.send(method, parameters), seconds)

    async def _draw(self, deadline: float) -> tuple[bytes | None, bytes | None]:
        """The page's picture and thumbnail."""
        area = {"x": 0, "y": 0, "width": self.manner.width, "height": self.manner.height}
        how: dict[str, Any] = {"format": "png"}
        if self.manner.full_page:
            size = (await self.cdp.send("Page.getLayoutMetrics"))["cssContentSize"]
            tall = min(MAX_HEIGHT, max(self.manner.height, int(size["height"])))
            how |= {"captureBeyondViewport": True, "clip": area | {"height": tall, "scale": 1}}
        small = {"format": "png", "clip": area | {"scale": THUMBNAIL}}
        picture = await self._shot(how, deadline)
        large = self.manner.full_page or len(picture or b"") > SMALL_PICTURE
        # Whether a page without words is blank is told by its thumbnail.
        return picture, await self._shot(small, deadline) if large or not self.seen.text.strip() else None

    async def _shot(self, how: dict[str, Any], deadline: float) -> bytes | None:
        from playwright.async_api import Error

        for _ in range(ATTEMPTS):
            with contextlib.suppress(Error, TimeoutError):
                shot = await self._send(
                    "Page.captureScreenshot", max(0.3, min(SHOT_SECONDS, (deadline - time.monotonic()) / 2)), **how
                )
                return base64.b64decode(shot["data"])
        return None

    async def clear(self) -> bool:
        """Make the tab ready for another page; False if it cannot be used any more."""
        self.guest.begin(None)
        self.proxy.forget(socks.NOWHERE)
        if self.witness.crashed.is_set() or self.looks >= MAX_LOOKS:
            return False
        try:
            async with asyncio.timeout(CLEAR_SECONDS):
                paused = bool(self._headers())
                self.parts, self.authorization = urlsplit(""), None
                await self._forget()
                if self.plain:
                    await self.page.unroute(self._is_plain)
                await asyncio.gather(
                    self.cdp.send("Security.setIgnoreCertificateErrors", {"ignore": False}),
                    *([self.cdp.send("Fetch.disable")] if paused else []),
                )
        except Exception:
            return False
        self.witness.origins.clear()
        self.plain.clear()
        self.proxy.drop()
        return True

    async def _forget(self) -> None:
        """Show nothing, and drop what the page has stored."""
        await self.page.goto("about:blank", wait_until="commit")
        # Asked for all at once: each answer takes a while to come.
        await asyncio.gather(
            self.cdp.send("Runtime.evaluate", {"expression": "window.name = ''"}),
            self.context.clear_cookies(),
            *(self._clear_storage(origin) for origin in self.witness.origins),
        )

    async def _clear_storage(self, origin: str) -> None:
        await self.cdp.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "all"})
        session = {"storageKey": f"{origin}/", "isLocalStorage": False}
        with contextlib.suppress(Exception):  # it never had any
            await self.cdp.send("DOMStorage.clear", {"storageId": session})

    async def close(self) -> None:
        """Close the tab and its context, within a second or so."""
        self.proxy.close()
        self.gate.guests.remove(self.guest)
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self.context.close(), CLEAR_SECONDS)
