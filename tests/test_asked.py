"""Whom a diagnosed page makes the browser ask: nobody but whom the inventory names, its containers, and the public.

A real Chromium, and a witness on every address of this machine that must hear nothing. Each way is also tried with the
guard taken away, which shows that the witness does hear.
"""

from __future__ import annotations

import contextlib
import html
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from dm_tools.collect import browser, reach, socks
from dm_tools.collect.browser import chromium
from dm_tools.collect.browser.gate import Guest
from dm_tools.evidence import pages as judge
from tests import hearing
from tests.conftest import BROWSER, Run, records
from tests.hearing import ADMIN, AWAY, CLOSED, HEADERS, ODD, SILENT, WITHIN, Witness
from tests.servers import Authority
from tests.site import Answer, Site, serve

pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with serve() as running:
        yield running


@pytest.fixture
def witness() -> Iterator[Witness]:
    with hearing.witness() as listening:
        yield listening


@pytest.fixture(scope="module")
def eyes() -> Iterator[browser.Browser]:
    looker = browser.Browser(browser.Manner(), tabs=3)
    yield looker
    looker.close()


@pytest.fixture
def unguarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: what the guard stops does arrive without it."""
    monkeypatch.setattr(reach, "why_not", lambda *_: None)
    monkeypatch.setattr(socks, "NOWHERE", socks.AS_WRITTEN)
    monkeypatch.setattr(Guest, "may_send", lambda *_: True)


SLOW = {"slow": "<img src='/slow'>"}


def page(site: Site, ways: dict[str, str], place: str) -> str:
    """A page that tries these ways at once; returns its URL."""

    def out(answer: Answer) -> None:
        answer.send(302, b"", Location=f"http://{place}/{answer.path.partition('?')[2]}")

    site.pages["/out"] = out
    site.pages["/slow"] = lambda answer: (time.sleep(1), answer.send(200, b""))[1]  # some ways take their time
    return site.html("/tries", "<h1>The page</h1>" + "\n".join(ways.values()).replace("{place}", place))


def test_nobody_hears_what_a_page_tries_from_where_it_is(eyes: browser.Browser, site: Site, witness: Witness) -> None:
    place = f"127.0.0.1:{witness.port}"
    look = eyes.look(page(site, WITHIN | SILENT | CLOSED | SLOW, place), 20)
    assert witness.settled() == set()
    assert look.seen.text.startswith("The page")
    assert look.picture
    assert f"{place} is a loopback address; no URL of the inventory names it" in " ".join(look.seen.refused)


@pytest.mark.usefixtures("unguarded")
def test_the_witness_hears_each_of_these_ways_if_there_is_no_guard(
    eyes: browser.Browser, site: Site, witness: Witness
) -> None:
    eyes.look(page(site, WITHIN, f"127.0.0.1:{witness.port}"), 20)
    own = {"ping", "rules", "prefetch"}  # the first two not every build of Chromium does, the last only when it is idle
    assert set(WITHIN) - witness.settled() <= own


@pytest.mark.usefixtures("unguarded")
def test_the_witness_hears_a_connection_without_a_word(eyes: browser.Browser, site: Site, witness: Witness) -> None:
    eyes.look(page(site, SILENT | SLOW, f"127.0.0.1:{witness.port}"), 10)
    assert witness.settled() == {"tcp"}


def all_at_once(eyes: browser.Browser, urls: list[str]) -> list[browser.Look]:
    return eyes.look_at_all([(url, socks.Way()) for url in urls], 15)


def leaving(site: Site, place: str) -> list[str]:
    """A page for each way to lead its tab away; their URLs."""
    page(site, {}, place)
    return [site.html(f"/{way}", f"<h1>The page</h1>{AWAY[way].replace('{place}', place)}") for way in AWAY]


def test_a_tab_stays_where_it_is(eyes: browser.Browser, site: Site, witness: Witness) -> None:
    looks = all_at_once(eyes, leaving(site, f"127.0.0.1:{witness.port}"))
    assert witness.settled(0.3) == set()
    for way, look in zip(AWAY, looks, strict=True):
        assert look.seen.text == "The page", way
        assert urlsplit(look.seen.final_url or "").netloc == urlsplit(site.url).netloc, way
        verdict, reasons = judge.judged(look.seen, "screenshot:0")
        assert (verdict, {reason.code for reason in reasons} - {"not_allowed"}) == ("ok", set()), way


@pytest.mark.usefixtures("unguarded")
def test_the_witness_hears_each_tab_that_goes_away(eyes: browser.Browser, site: Site, witness: Witness) -> None:
    all_at_once(eyes, leaving(site, f"127.0.0.1:{witness.port}"))
    heard = witness.settled(0.3)
    assert set(AWAY) - heard <= {"unload"}  # what is sent at the very end is cut off, or comes just in time


def answered(site: Site, way: str, place: str) -> str:
    """A page whose headers lead away; returns its URL."""
    status, headers = HEADERS[way]
    given = {name.replace("-", "_"): value.replace("{place}", place) for name, value in headers.items()}
    return site.html(f"/{way}", "<h1>The page</h1><img src=/x>", status, **given)


def test_nobody_hears_what_headers_lead_to(eyes: browser.Browser, site: Site, witness: Witness) -> None:
    place = f"127.0.0.1:{witness.port}"
    looks = all_at_once(eyes, [answered(site, way, place) for way in HEADERS])
    assert witness.settled(0.3) == set()
    for way, look in zip(HEADERS, looks, strict=True):
        if HEADERS[way][0] == 200:
            assert (look.seen.text, look.seen.failure) == ("The page", None), way
        else:
            assert look.seen.failure and look.seen.failure[0] == "not_allowed" and place in look.seen.failure[1], way
            assert (look.seen.final_url, look.picture) == (None, None), way


@pytest.mark.usefixtures("unguarded")
def test_the_witness_hears_what_headers_lead_to(eyes: browser.Browser, site: Site, witness: Witness) -> None:
    all_at_once(eyes, [answered(site, way, f"127.0.0.1:{witness.port}") for way in HEADERS])
    assert witness.settled(0.3) - {"tcp"} == set(HEADERS)  # a browser may connect once more, and ask nothing


def test_what_is_no_page_of_the_web_is_not_opened(eyes: browser.Browser, site: Site, witness: Witness) -> None:
    urls = []
    for number, odd in enumerate(each.replace("{place}", f"127.0.0.1:{witness.port}") for each in ODD):
        shown = html.escape(odd)
        urls += [
            site.html(f"/script{number}", f"<h1>The page</h1><script>location = {json.dumps(odd)}</script>"),
            site.html(f"/frame{number}", f'<h1>The page</h1><iframe src="{shown}"></iframe>'),
            site.html(f"/redirect{number}", "", 302, Location=odd),
        ]
    looks = all_at_once(eyes, urls)
    assert witness.settled(0.3) == set()
    for url, look in zip(urls, looks, strict=True):
        assert (look.seen.text.strip(), bool(look.seen.failure)) == (
            ("", True) if "/redirect" in url else ("The page", False)
        ), (url, look.seen.failure)
        # A headless browser never says that a page which asks for another program has loaded: nobody waits for that.
        assert (look.seen.timing.total_ms or 0) < 11_000, url


@pytest.mark.slow  # a whole Chromium takes long to start; what passes by a shell's proxy the first test here sees
@pytest.mark.parametrize("guarded", [True, False])
def test_a_whole_chromium_starts_no_program_and_sends_no_udp(
    site: Site, witness: Witness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guarded: bool
) -> None:
    """A shell, which is preferred, can do neither; a whole one has other options, and asks the desktop to open URLs."""
    started = tmp_path / "started"
    for name in ("xdg-open", "xdg-email"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho x >>{started}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    whole = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), "")
    monkeypatch.setenv("DM_CHROMIUM", whole)
    if not guarded:
        monkeypatch.setattr(chromium, "NOTHING", tmp_path)
        monkeypatch.setattr(chromium, "FLAGS", tuple(each for each in chromium.FLAGS if "webrtc" not in each))
    ways = CLOSED | SLOW | {"mail": "<script>location = 'mailto:somebody@host.test'</script>"}
    looker = browser.Browser(browser.Manner(), tabs=1)
    try:
        assert looker.look(page(site, ways, f"127.0.0.1:{witness.port}"), 20).seen.text == "The page"
        time.sleep(0.5)
    finally:
        looker.close()
    assert (witness.settled(0.3) == set(), started.exists()) == (guarded, not guarded)


def certified(authority: Authority, place: str) -> Path:
    """A certificate of a server whose issuer's is said to be found at that place: whoever checks it may go there."""
    return authority.server(asks=f"http://{place}/issuer")


def test_nobody_is_asked_for_the_issuer_of_a_certificate(
    eyes: browser.Browser, witness: Witness, authority: Authority
) -> None:
    pem = certified(authority, f"127.0.0.1:{witness.port}")
    with serve((pem, pem)) as secure:
        look = eyes.look(secure.html("/page", "<h1>The page</h1>"), 10)
        assert (look.seen.text, look.seen.tls and look.seen.tls[0]) == ("The page", "tls_untrusted")
    assert witness.settled(0.3) == set()


@pytest.mark.usefixtures("unguarded")
def test_the_witness_hears_who_asks_for_an_issuer(
    eyes: browser.Browser, witness: Witness, authority: Authority
) -> None:
    pem = certified(authority, f"127.0.0.1:{witness.port}")
    with serve((pem, pem)) as secure:
        eyes.look(secure.html("/page", "<h1>The page</h1>"), 10)
    assert witness.settled(0.3) - {"tcp"} == {"issuer"}


# One address in many words; and what resolves to it.

OWN = (
    *("127.0.0.1", "127.0.0.2", "127.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "127.0.0.1."),
    *(
        "0.0.0.0",
        "0",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::ffff:0.0.0.0]",
    ),
    *("localhost", "LOCALHOST", "localhost.", "%6cocalhost", "127.0.0.1%2e", "１２７.0.0.1", "public.test", "six.test"),
)
NAMES = {"public.test": "127.0.0.1", "six.test": "::1"}  # as whoever owns a name may have it resolved


@pytest.fixture
def name_server(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A name server that a page's author has: what it was asked. A real one would need the machine's settings."""
    asked: list[str] = []
    given = socket.getaddrinfo

    def answer(host: Any, *rest: Any, **more: Any) -> Any:
        asked.append(host)
        return given(NAMES.get(host, host), *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return asked


def pictures(site: Site, port: int) -> str:
    shown = "".join(f"<img src='http://{each}:{port}/{index}'>" for index, each in enumerate(OWN))
    return site.html("/forms", f"<h1>The page</h1>{shown}")


@pytest.mark.usefixtures("name_server")
def test_no_form_of_an_own_address_is_asked(eyes: browser.Browser, site: Site, witness: Witness) -> None:
    look = eyes.look(pictures(site, witness.port), 20)
    assert witness.settled() == set()
    assert look.seen.text == "The page"
    errors = [request.error or "" for request in look.seen.failed_requests]
    assert len(errors) == len(OWN)
    assert all(error.startswith("not_allowed: ") for error in errors)
    assert judge.judged(look.seen, "screenshot:0")[0] == "ok"


@pytest.mark.usefixtures("name_server", "unguarded")
def test_each_form_of_an_own_address_is_heard_without_a_guard(
    eyes: browser.Browser, site: Site, witness: Witness
) -> None:
    eyes.look(pictures(site, witness.port), 20)
    heard = witness.settled() - {"tcp"}  # as above
    assert heard == {str(index) for index in range(len(OWN))}


FOREIGN = {
    "169.254.169.254": "the address of a metadata service",
    "0xa9fea9fe": "the address of a metadata service",
    "[::ffff:169.254.169.254]": "the address of a metadata service",
    "[fd00:ec2::254]": "the address of a metadata service",
    "169.254.1.1": "a link-local address",
    "[fe80::1]": "a link-local address",
    "10.1.2.3": "a private address",
    "172.16.0.1": "a private address",
    "192.168.1.1": "a private address",
    "[fd12::1]": "a private address",
    "100.64.0.1": "a shared address",
    "[64:ff9b::a00:1]": "a private address",
    "224.0.0.251": "a multicast address",
}


def test_what_is_not_public_is_refused_and_said(eyes: browser.Browser, site: Site) -> None:
    """Nobody is there who could hear it: that no connection was tried is told by how fast it failed, and the words."""
    body = "".join(f"<img src='http://{each}/{index}'>" for index, each in enumerate(FOREIGN))
    look = eyes.look(site.html("/foreign", f"<h1>The page</h1>{body}"), 10)
    found = {urlsplit(request.url).path: request.error or "" for request in look.seen.failed_requests}
    assert len(found) == len(FOREIGN)
    for kind in set(FOREIGN.values()):
        assert sum(kind in error for error in found.values()) == list(FOREIGN.values()).count(kind), (kind, found)


def test_what_a_url_of_the_inventory_names_is_asked(eyes: browser.Browser, site: Site, witness: Witness) -> None:
    for url in (
        f"http://127.0.0.1:{witness.port}/",
        f"http://localhost:{witness.port}",
        f"http://2130706433:{witness.port}",
    ):
        witness.heard.clear()
        way = socks.Way(named=reach.named([url]))
        look = eyes.look(page(site, {"iframe": WITHIN["iframe"]}, f"127.0.0.1:{witness.port}"), 10, way)
        assert "iframe" in witness.settled(0.2), url
        assert ADMIN in look.seen.text
        assert look.seen.refused == []
        onward = eyes.look(answered(site, "redirect-302", f"127.0.0.1:{witness.port}"), 10, way)
        assert onward.seen.text == ADMIN


# Methods


def talk(site: Site, other: str) -> str:
    """A page that sends all sorts of requests to itself and to another origin."""
    sends = f"""
    <iframe name=s></iframe><iframe name=t></iframe><form id=f method=post target=t action='{other}/form'></form>
    <form id=own method=post target=s action='/own-form'></form><a id=a href='#' ping='{other}/ping'></a>
    <script>
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {{
        fetch('{other}/cross', {{method}}).catch(() => 0);
        fetch('/own', {{method}}).catch(() => 0);
    }}
    fetch('{other}/simple', {{method: 'POST', mode: 'no-cors', body: 'x'}}).catch(() => 0);
    fetch('{other}/kept', {{method: 'POST', mode: 'no-cors', keepalive: true}}).catch(() => 0);
    fetchLater('{other}/late', {{method: 'POST', mode: 'no-cors', activateAfter: 0}});
    fetch('/moved', {{method: 'POST', mode: 'no-cors', body: 'x'}}).catch(() => 0);
    navigator.sendBeacon('{other}/beacon', 'x');
    f.submit(); a.click(); own.submit();
    const code = `fetch('{other}/worker', {{method: 'POST', mode: 'no-cors'}});
        fetch('{site.url}/own-worker', {{method: 'POST'}})`;
    new Worker(URL.createObjectURL(new Blob([code])));
    fetch('{other}/read', {{mode: 'no-cors'}}); fetch('{other}/read', {{mode: 'no-cors', method: 'HEAD'}});
    fetch('{other}/asked', {{headers: {{'X-Unusual': '1'}}}}).catch(() => 0);
    </script>"""
    site.pages["/moved"] = lambda answer: answer.send(307, b"", Location=f"{other}/moved")
    return site.html("/talk", f"<h1>The page</h1>{sends}<iframe src='{other}/frame'></iframe>")


@contextlib.contextmanager
def listener(frame: str = "") -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A site of another origin that takes every method; what it was asked."""
    heard: list[tuple[str, str]] = []
    with serve() as other:
        kind = other.handler

        def any_method(answer: Answer) -> None:
            answer.rfile.read(int(answer.headers.get("Content-Length") or 0))
            heard.append((answer.command, answer.path))
            allow = {"Access_Control_Allow_Origin": "*", "Access_Control_Allow_Headers": "*"}
            answer.send(200, frame.encode() if answer.path == "/frame" else b"", **allow)

        for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            setattr(kind, f"do_{method}", any_method)
        yield other.url, heard


def test_other_methods_go_to_the_pages_own_origin_only(eyes: browser.Browser) -> None:
    with serve() as site, listener() as (other, heard):
        url = talk(site, other)
        own: list[str] = []

        def take(answer: Answer) -> None:
            answer.rfile.read(int(answer.headers.get("Content-Length") or 0))
            path = answer.path.partition("?")[0]
            if path.startswith("/own"):
                own.append(f"{answer.command} {path}")
                answer.send(200, b"")
            else:
                answer.answer(path)

        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            setattr(site.handler, f"do_{method}", take)
        way = socks.Way(named=reach.named([other]))
        look = eyes.look(url, 10, way)
        time.sleep(0.5)
        assert {method for method, _ in heard} == {"GET", "HEAD"}
        assert {("GET", "/read"), ("HEAD", "/read"), ("GET", "/frame"), ("GET", "/asked")} <= set(heard)
        assert {"POST /own", "PUT /own", "DELETE /own", "PATCH /own", "OPTIONS /own"} <= set(own)
        assert {"POST /own-form", "POST /own-worker"} <= set(own)
        assert any("go to the page's own origin only" in why for why in look.seen.refused)
        codes = [reason.code for reason in judge.judged(look.seen, "screenshot:0")[1]]
        assert "not_allowed" in codes and "data_failed" not in codes


@pytest.mark.usefixtures("unguarded")
def test_other_methods_arrive_without_a_guard(eyes: browser.Browser) -> None:
    with serve() as site, listener() as (other, heard):
        site.handler.do_POST = site.handler.do_GET  # type: ignore[attr-defined]
        eyes.look(talk(site, other), 10)
        time.sleep(1.0)
        wanted = {"form", "ping", "simple", "kept", "late", "moved", "beacon", "worker"}
        assert {f"/{each}" for each in wanted} <= {path for method, path in heard if method == "POST"}


# What the record says


def test_the_record_says_who_was_refused_and_shows_no_local_page(run: Run, site: Site, witness: Witness) -> None:
    place = f"127.0.0.1:{witness.port}"
    urls = [answered(site, "redirect-302", place), page(site, {"script": WITHIN["script"]}, place)]
    done = run("dm-probe | dm-screenshot", json.dumps({"service": "x", "external": urls}), **BROWSER)
    (record,) = records(done.stdout)
    assert witness.settled(0.2) == set()
    assert ADMIN not in done.stdout
    away, stays = record["screenshot"]["pages"]
    assert (away["verdict"], away["failure"], away["final_url"], away["path"]) == (
        "not_rendered",
        "not_allowed",
        None,
        None,
    )
    assert (stays["verdict"], stays["title"] or stays["text"]) == ("ok", "The page")
    (reason,) = stays["reasons"]
    assert reason["code"] == "not_allowed"
    assert reason["evidence"] == ["screenshot:1.request.0"]
    assert reason["message"] == (
        f"asked for by the page, and not asked: {place} is a loopback address; "
        "no URL of the inventory names it, and it is no container of the stack"
    )
    assert [check["status_code"] for check in record["probe"]["checks"]] == [302, 200]
