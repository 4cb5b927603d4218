"""dm_tools/collect/browser and its way to the world: what the machine or the network did is told from the page."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from dm_tools.collect import browser, reach, socks
from dm_tools.collect.browser.witness import Witness
from dm_tools.records import ProbeError
from tests.conftest import ROOT, Run
from tests.site import Answer, Site, serve

# One browser after another: two at once take longer than both in turn.
pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture
def site() -> Iterator[Site]:
    with serve() as running:
        yield running


@pytest.fixture
def eyes() -> Iterator[browser.Browser]:
    looker = browser.Browser(browser.Manner(), tabs=1)
    yield looker
    looker.close()


def test_what_the_machines_own_network_broke_off_is_asked_for_again(
    eyes: browser.Browser, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection really breaks off; only the browser's word for the reason is put in, since a test that gives the
    machine another network would disturb all others."""
    asked: list[str] = []

    def picture(answer: Answer) -> None:
        asked.append(answer.path)
        if len(asked) == 1:
            answer.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nthe beginning")
            answer.connection.shutdown(socket.SHUT_RDWR)
        else:
            answer.send(200, b"x")

    noted = Witness._on_failed

    def as_chromium_says(self: Witness, sent: Any) -> None:
        words = {"failure": "net::ERR_NETWORK_CHANGED", "is_navigation_request": sent.is_navigation_request}
        noted(self, SimpleNamespace(url=sent.url, method="GET", resource_type="image", **words))  # type: ignore[arg-type]

    monkeypatch.setattr(Witness, "_on_failed", as_chromium_says)
    site.pages["/picture"] = picture
    look = eyes.look(site.html("/page", "<h1>A page</h1><img src='/picture'>"), 10)
    assert len(asked) == 2
    assert look.seen.failed_requests == []
    assert look.seen.text.strip() == "A page"


@pytest.mark.parametrize("host", ["[::1]", "[0:0:0:0:0:0:0:1]", "127.0.0.1"])
def test_why_nothing_answers_at_an_address_however_it_is_written(eyes: browser.Browser, host: str) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        port = taken.getsockname()[1]
    seen = eyes.look(f"http://{host}:{port}/", 8).seen
    assert seen.failure is not None and seen.failure[0] == ProbeError.REFUSED


def test_a_page_says_why_a_request_to_an_ipv6_address_failed(eyes: browser.Browser, site: Site) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        port = taken.getsockname()[1]
    way = socks.Way(named=reach.named([f"http://[::1]:{port}"]))
    look = eyes.look(site.html("/six", f"<h1>Six</h1><img src='http://[0:0::1]:{port}/x.png'>"), 8, way)
    (failed,) = look.seen.failed_requests
    assert str(failed.error).startswith("refused: ")


def test_a_proxy_asks_for_an_ipv6_address_as_people_write_it() -> None:
    """A connection by hand, as the browser makes it: what is looked up, and under which name the reason is kept."""
    asked: list[tuple[str, int]] = []

    def nowhere(host: str, port: int) -> socks.Place:
        asked.append((host, port))
        return None, (ProbeError.UNREACHABLE, "the container is not running")

    async def connect() -> socks.Proxy:
        proxy = socks.Proxy()
        proxy.forget(socks.Way(nowhere))
        reader, writer = await asyncio.open_connection("127.0.0.1", await proxy.open())
        address = socket.inet_pton(socket.AF_INET6, "fd00::c:1")
        writer.write(b"\x05\x01\x00\x05\x01\x00\x04" + address + (8080).to_bytes(2, "big"))
        assert (await reader.readexactly(12))[3] == 5
        writer.close()
        proxy.close()
        return proxy

    proxy = asyncio.run(connect())
    assert asked == [("fd00::c:1", 8080)]
    for written in ("fd00::c:1", "FD00:0:0:0:0:0:c:1", "fd00::000c:0001"):
        assert proxy.why_failed(f"http://[{written}]:8080/x") == (
            ProbeError.UNREACHABLE,
            "the container is not running",
        )
    assert proxy.why_failed("http://[fd00::c:1]/") is None


def test_what_nobody_waits_for_in_the_loop_is_printed_with_dm_debug(run: Run) -> None:
    code = "import asyncio; from dm_tools.collect.browser import fleet; loop = fleet._own_loop(); "
    code += "loop.call_soon_threadsafe(lambda: 1 / 0); "
    code += "asyncio.run_coroutine_threadsafe(asyncio.sleep(0.1), loop).result()"
    line = f"{sys.executable} -c '{code}'"
    assert run(line, PYTHONPATH=str(ROOT)).stderr == ""
    shown = run(line, PYTHONPATH=str(ROOT), DM_DEBUG="1").stderr
    assert "Traceback" in shown and "ZeroDivisionError: division by zero" in shown
