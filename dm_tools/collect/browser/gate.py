"""What a page may send, and where its tab may go: asked by the browser before it asks anybody else.

At the browser's own target, not at a page's: so it sees what frames of other sites, workers, windows, beacons, requests
that outlive their page and each hop of a redirect want, and nothing passes beside it but WebSockets, which are GET
requests that the proxy judges. What can only be a GET (pictures, scripts, styles, fonts) is not asked about. Preflights
never get here: Playwright answers them itself where it routes requests, as in our tabs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dm_tools import records
from dm_tools.collect import reach, socks
from dm_tools.records import ProbeError

if TYPE_CHECKING:
    from playwright.async_api import CDPSession

MAX_REFUSED = 50  # that are remembered of one page
_SHOWN = frozenset(("http", "https", "about", "data", "blob", "javascript"))  # by a tab itself
_KINDS = ("Document", "XHR", "Fetch", "Ping", "CSPViolationReport", "Other")


@dataclass
class Guest:
    """The page in a tab. `frame`: its main frame's id; `own`: origins that it was asked for or went on to."""

    frame: str
    proxy: socks.Proxy
    asked: reach.Origin | None = None
    own: set[reach.Origin] = field(default_factory=set)
    refused: dict[tuple[str, str], str] = field(default_factory=dict)  # (method, URL) -> why
    stays: asyncio.Event = field(default_factory=asyncio.Event)  # the tab was kept from going away
    wants_program: bool = False  # it asked for another program, which is why it stays

    def begin(self, url: str | None) -> None:
        """Another page, or none."""
        self.asked = reach.origin(url) if url else None
        self.own = {self.asked} if self.asked else set()
        self.refused = {}
        self.stays.clear()
        self.wants_program = False

    def wants_to_go(self, event: Mapping[str, Any]) -> None:
        """`Page.frameRequestedNavigation`: what another program would open leaves the tab where it is.

        A headless Chromium has no such program, and never says that a page which asks for one has loaded
        (microsoft/playwright#33948).
        """
        if event["frameId"] == self.frame and urlsplit(event["url"]).scheme not in _SHOWN:
            self.wants_program = True
            self.stays.set()

    def refuse(self, method: str, url: str, why: str) -> None:
        """Remember what was refused."""
        if len(self.refused) < MAX_REFUSED:
            self.refused[method, url] = why

    def may_send(self, method: str, url: str, headers: Mapping[str, str], frame: str | None) -> bool:
        """Whether a request of this page may be sent, as far as its method goes."""
        target = reach.origin(url)
        # With the policy `no-referrer` a form says nothing of its origin: then it counts who sent it.
        by_itself = target is not None and target == self.asked and frame == self.frame
        return by_itself or reach.may_send(method, target, headers, self.own)

    async def may_not_go(self, url: str) -> str | None:
        """Why the tab may not go on to a URL; None: it may, and is there a page of that origin."""
        place = reach.origin(url)
        if place is None:
            return None  # about:blank, data:
        try:
            await self.proxy.addresses(*place[1:])
        except records.Problem as problem:
            if problem.code == ProbeError.NOT_ALLOWED:
                return problem.message
        except (OSError, UnicodeError):
            pass  # that nothing answers there is for the page to find out
        self.own.add(place)
        return None


class Gate:
    """The gate of one browser and all its tabs."""

    def __init__(self, session: CDPSession) -> None:
        """`session`: with the browser itself."""
        self.session = session
        self.guests: list[Guest] = []
        self._tasks: set[asyncio.Future[Any]] = set()
        self._opened: asyncio.Future[Any] | None = None

    async def open(self) -> None:
        """Begin to be asked, if that has not begun; without it no tab may be opened."""
        if self._opened is None:
            self.session.on("Fetch.requestPaused", self._paused)
            patterns = [{"urlPattern": "*", "resourceType": kind} for kind in _KINDS]
            self._opened = asyncio.ensure_future(self.session.send("Fetch.enable", {"patterns": patterns}))
        await asyncio.shield(self._opened)

    def _paused(self, event: dict[str, Any]) -> None:
        task = asyncio.ensure_future(self._answer(event))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Future[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # the page, or the browser, has gone meanwhile

    async def _answer(self, event: dict[str, Any]) -> None:
        reason = await self._reason(event)
        answer = {"requestId": event["requestId"]}
        if reason is None:
            await self.session.send("Fetch.continueRequest", answer)
        else:
            await self.session.send("Fetch.failRequest", answer | {"errorReason": reason})

    async def _reason(self, event: dict[str, Any]) -> str | None:
        """Why a request is not to be made, in the words of the protocol; None: it is."""
        request, frame = event["request"], event.get("frameId")
        method, url = request["method"], request["url"]
        guest = next((each for each in self.guests if each.frame == frame), None)
        why = None
        if method not in reach.SAFE and not any(
            each.may_send(method, url, request["headers"], frame) for each in self.guests
        ):
            why = elsewhere(method, url)
        elif guest is not None and event["resourceType"] == "Document":
            why = await guest.may_not_go(url)
        if why is None:
            return None
        for each in [guest] if guest else self.guests:  # of a frame within: it may be any page's
            each.refuse(method, url, why)
        if guest is None or event["resourceType"] != "Document":
            return "BlockedByClient"
        guest.stays.set()
        return "Aborted"  # not blocked: then the tab keeps the page that it shows


def elsewhere(method: str, url: str) -> str:
    """Why a request was refused for its method, in words."""
    place = reach.origin(url)
    where = "another origin" if place is None else f"{place[0]}://{place[1]}:{place[2]}"
    return f"{method} to {where}: other requests than GET and HEAD go to the page's own origin only"
