"""One Chromium for a whole stream of pages: tabs that are used again, renderers that are watched, a restart if it ends.

Playwright belongs to one thread, and a stream has many. So one thread owns the browser and runs its event loop; a call
from any other hands a coroutine over and waits. Tabs are coroutines in it: a page that hangs costs a tab, not a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from dm_tools import records
from dm_tools.collect.browser import chromium
from dm_tools.collect.browser.gate import Gate
from dm_tools.collect.browser.tab import CLEAR_SECONDS, Look, Manner, Tab
from dm_tools.collect.socks import AS_WRITTEN, Way
from dm_tools.evidence.pages import Seen

if TYPE_CHECKING:
    from playwright.async_api import Browser as Chromium
    from playwright.async_api import CDPSession, Playwright

ATTEMPTS = 3  # when the browser is killed
OPEN_SECONDS = 20.0
MAX_RENDERER_BYTES = 1024 * 1024 * 1024


def _own_loop() -> asyncio.AbstractEventLoop:
    """An event loop in a thread of its own."""
    loop = asyncio.new_event_loop()
    loop.set_default_executor(ThreadPoolExecutor(16))  # name look-ups
    if not os.environ.get("DM_DEBUG"):
        loop.set_exception_handler(lambda loop, context: None)  # a killed browser leaves answers that nobody waits for
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return loop


class Browser:
    """A browser that is started when the first page is asked for, or before, and again when it was killed."""

    def __init__(self, manner: Manner, tabs: int, unavailable: Callable[[str], None] = lambda reason: None) -> None:
        """`tabs`: pages looked at at once. `unavailable` is told, once, why there is no browser."""
        self.manner = manner
        self._loop = _own_loop()
        self._fleet = _Fleet(manner, tabs, unavailable)

    def look(self, url: str, timeout: float, way: Way = AS_WRITTEN) -> Look:
        """Look at one URL, from any thread; takes at most `timeout` seconds once a tab is free.

        `way` says where the page and all that it loads may lead. Raises Problem browser_unavailable; whatever the page
        does is data.
        """
        return self.look_at_all([(url, way)], timeout)[0]

    def look_at_all(self, pages: list[tuple[str, Way]], timeout: float) -> list[Look]:
        """Look at several URLs, as many at once as there are tabs."""

        async def everything() -> list[Look]:
            return list(await asyncio.gather(*(self._fleet.look(url, timeout, way) for url, way in pages)))

        return asyncio.run_coroutine_threadsafe(everything(), self._loop).result()

    def start(self) -> None:
        """Start the browser beside whatever else is done: a page that is asked for later finds it running."""
        asyncio.run_coroutine_threadsafe(self._fleet.start(), self._loop)

    def close(self) -> None:
        """End the browser; it is started again if it is asked again."""
        with contextlib.suppress(Exception):
            asyncio.run_coroutine_threadsafe(self._fleet.close(), self._loop).result(10)


class _Gone(Exception):
    """The browser, or its driver, has ended."""


class _Fleet:
    """One running browser and its tabs; lives in the loop's thread."""

    def __init__(self, manner: Manner, tabs: int, unavailable: Callable[[str], None]) -> None:
        self.manner = manner
        self.unavailable = unavailable
        self.room = asyncio.Semaphore(tabs)
        self.starting = asyncio.Lock()
        self.run: _Run | None = None
        self.broken: records.Problem | None = None  # it cannot be started: that is tried once

    async def look(self, url: str, timeout: float, way: Way) -> Look:
        async with self.room:
            for _ in range(ATTEMPTS):
                run = await self._running()
                try:
                    return await run.look(url, timeout, way)
                except _Gone:
                    await self._forget(run)
            return Look(Seen(url, failure=("browser_lost", "the browser ended each time that it showed this page")))

    async def start(self) -> None:
        """If that fails, whoever asks for a page tries again, and is told why."""
        async with self.starting:
            if self.run is None:
                with contextlib.suppress(records.Problem, TimeoutError):
                    self.run = _Run(self.manner, *await asyncio.wait_for(chromium.start(), chromium.START_SECONDS))

    async def _running(self) -> _Run:
        async with self.starting:
            if self.broken is not None:
                raise self.broken
            if self.run is None or not self.run.alive:
                try:
                    started = await asyncio.wait_for(chromium.start(), chromium.START_SECONDS)
                    self.run = _Run(self.manner, *started)
                except records.Problem as problem:
                    self.broken = problem
                except TimeoutError:
                    self.broken = chromium.unavailable(f"the browser did not start within {chromium.START_SECONDS:g} s")
                if self.broken is not None:
                    self.unavailable(self.broken.message)
                    raise self.broken
            assert self.run is not None
            return self.run

    async def _forget(self, run: _Run) -> None:
        async with self.starting:
            if self.run is run:
                self.run = None
                await run.close()

    async def close(self) -> None:
        run, self.run = self.run, None
        if run is not None:
            await run.close()


class _Run:
    """A browser from its start to its end."""

    def __init__(self, manner: Manner, playwright: Playwright, browser: Chromium, monitor: CDPSession) -> None:
        self.manner = manner
        self.playwright = playwright
        self.browser = browser
        self.monitor = monitor
        self.gate = Gate(monitor)
        self.idle: list[Tab] = []
        self.busy = 0
        self.watch: asyncio.Task[None] | None = None
        self.ended = asyncio.Event()
        browser.on("disconnected", lambda _: self.ended.set())

    @property
    def alive(self) -> bool:
        return not self.ended.is_set() and self.browser.is_connected()

    async def look(self, url: str, timeout: float, way: Way) -> Look:
        """Raises _Gone if the browser ends meanwhile."""
        from playwright.async_api import Error

        self.busy += 1
        if self.watch is None or self.watch.done():
            self.watch = asyncio.create_task(self._watch())
        work = asyncio.ensure_future(self._with_tab(url, timeout, way))
        end = asyncio.ensure_future(self.ended.wait())
        try:
            bound = OPEN_SECONDS + timeout + CLEAR_SECONDS * 3
            await asyncio.wait({work, end}, timeout=bound, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():  # it has ended, or hangs as a whole
                raise _Gone
            try:
                return work.result()
            except (Error, TimeoutError) as failure:
                await asyncio.sleep(0.1)  # that it has ended may be known a moment later
                if not self.alive:
                    raise _Gone from None
                return Look(Seen(url, failure=("failed", str(failure).partition("\n")[0][:200] or "no answer")))
        finally:
            self.busy -= 1
            work.cancel()
            end.cancel()

    async def _with_tab(self, url: str, timeout: float, way: Way) -> Look:
        tab = (
            self.idle.pop()
            if self.idle
            else await asyncio.wait_for(Tab.open(self.browser, self.manner, self.gate), OPEN_SECONDS)
        )
        fit = False
        try:
            looked = await tab.look(url, timeout, way)
            fit = await tab.clear()
            return looked
        finally:
            if fit:
                self.idle.append(tab)
            else:
                await tab.close()

    async def _watch(self) -> None:
        """End renderers that grow without bound: their page is then one that crashed."""
        while self.busy and self.alive:
            await asyncio.sleep(0.5)
            with contextlib.suppress(Exception):
                found = await asyncio.wait_for(self.monitor.send("SystemInfo.getProcessInfo"), 5)
                for each in found["processInfo"]:
                    if each["type"] == "renderer" and _resident_bytes(each["id"]) > MAX_RENDERER_BYTES:
                        os.kill(each["id"], signal.SIGKILL)

    async def close(self) -> None:
        self.ended.set()
        for tab in self.idle:
            tab.proxy.close()
        for end in (self.browser.close, self.playwright.stop):
            with contextlib.suppress(Exception):
                await asyncio.wait_for(end(), 3)


def _resident_bytes(process: int) -> int:
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
