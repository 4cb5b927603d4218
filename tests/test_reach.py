"""dm_tools/collect/reach.py, the rule; and the tab's proxy and the probe, which obey it, by hand."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket
from typing import Any

import pytest

from dm_tools.collect import reach, socks, targets
from dm_tools.engine.connection import Engines
from dm_tools.records import Problem
from dm_tools.tools.registry import Toolbox
from tests.conftest import Run, records
from tests.hearing import ADMIN, witness
from tests.site import serve

LOOPBACK, PRIVATE, LINK_LOCAL = "a loopback address", "a private address", "a link-local address"
METADATA, RESERVED, MACHINE = "the address of a metadata service", "a reserved address", "an address of this machine"
MULTICAST, DOCUMENTATION = "a multicast address", "an address for documentation"

KINDS = {
    None: "1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255 "
    "172.15.255.255 172.32.0.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255 "
    "2606:4700::1111 2a00::1 2001:4860:4860::8888 ::ffff:1.1.1.1 64:ff9b::101:101 2002:101:101::1",
    LOOPBACK: "127.0.0.1 127.0.0.2 127.255.255.255 ::1 ::ffff:127.0.0.1 ::ffff:7f00:1 ::127.0.0.1 64:ff9b::7f00:1 "
    "2002:7f00:1::1 ::ffff:0:127.0.0.1 ::1%lo",
    MACHINE: "0.0.0.0 0.1.2.3 :: ::ffff:0.0.0.0",
    PRIVATE: "10.0.0.0 10.255.255.255 172.16.0.0 172.31.255.255 192.168.0.0 192.168.255.255 fc00::1 fd00::1 fdff::1 "
    "fec0::1 ::ffff:10.0.0.1 ::10.0.0.1 64:ff9b::10.0.0.1 2002:a00:1::",
    LINK_LOCAL: "169.254.0.1 169.254.255.255 fe80::1 fe80::1%eth0 febf::1 ::ffff:169.254.1.1",
    METADATA: "169.254.169.254 169.254.170.2 169.254.170.23 100.100.100.200 168.63.129.16 192.0.0.192 fd00:ec2::254 "
    "fd00:ec2::23 fd20:ce::254 ::ffff:169.254.169.254 64:ff9b::a9fe:a9fe 2002:a9fe:a9fe::",
    "a shared address": "100.64.0.0 100.127.255.255",
    "an address for measurements": "198.18.0.1 198.19.255.255",
    DOCUMENTATION: "192.0.2.1 198.51.100.1 203.0.113.1 2001:db8::1 3fff::1",
    MULTICAST: "224.0.0.1 239.255.255.250 ff02::1 ff02::fb",
    RESERVED: "192.0.0.1 192.88.99.1 240.0.0.1 255.255.255.255 2001::1 64:ff9b:1::1 100::1 4000::1 5f00::1",
}
EACH = [(address, words) for words, addresses in KINDS.items() for address in addresses.split()]


@pytest.mark.parametrize(("address", "words"), EACH)
def test_what_an_address_is(address: str, words: str | None) -> None:
    assert reach.kind(address) == words
    why = reach.why_not("somebody.test", 80, address, reach.Known())
    if words is None:
        assert why is None
    else:
        assert why is not None and words in why and address in why and "somebody.test:80" in why


@pytest.mark.parametrize("address", ["", "somebody.test", "1.2.3", "127.0.0.1:80", "[::1]"])
def test_what_is_no_address_is_not_asked(address: str) -> None:
    assert reach.why_not("somebody.test", 80, address, reach.Known())


def test_whatever_python_knows_not_to_be_public_is_refused() -> None:
    """A second opinion on the table: the special-purpose addresses that the standard library has, at their edges."""
    for constants in (ipaddress._IPv4Constants, ipaddress._IPv6Constants):  # type: ignore[attr-defined]
        for network in constants._private_networks:
            for address in (network[0], network[-1]):
                assert address.is_global or reach.kind(str(address)), address


@pytest.mark.parametrize(
    ("written", "host"),
    [
        *((each, "127.0.0.1") for each in ("127.0.0.1", "2130706433", "0x7f000001", "0x7F.1", "127.1", "0177.0.0.1")),
        *((each, "::1") for each in ("[::1]", "[0:0:0:0:0:0:0:1]", "::0001")),
        ("[::ffff:127.0.0.1]", "::ffff:7f00:1"),
        ("LOCALHOST.", "localhost"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("4.example.com", "4.example.com"),
    ],
)
def test_a_host_however_it_is_written(written: str, host: str) -> None:
    assert reach.host(written) == host


@pytest.mark.parametrize(
    ("urls", "name", "address", "asked"),
    [
        (["http://127.0.0.1:8080/x"], "127.0.0.1", "127.0.0.1", True),
        (["http://127.0.0.1:8080/x"], "localhost", "127.0.0.1", True),
        (["http://127.0.0.1:8080/x"], "public.test", "127.0.0.1", True),  # the server that was named, by another name
        (["http://127.0.0.1:8080/x"], "127.0.0.2", "127.0.0.2", False),
        (["http://127.0.0.1:8081/x"], "127.0.0.1", "127.0.0.1", False),
        (["http://127.0.0.1:8080/x"], "0.0.0.0", "0.0.0.0", False),
        (["http://localhost:8080"], "127.0.0.1", "127.0.0.1", True),
        (["http://app.localhost:8080"], "::1", "::1", True),
        (["http://[::1]:8080"], "::1", "::1", True),
        (["http://[::1]:8080"], "localhost", "127.0.0.1", False),
        (["tcp://10.0.0.5:8080"], "10.0.0.5", "10.0.0.5", True),
        (["http://10.0.0.5:8080"], "::ffff:a00:5", "::ffff:10.0.0.5", True),
        (["https://user:p@intranet.test:8080/"], "intranet.test", "10.0.0.6", True),
        (["https://intranet.test/"], "intranet.test", "10.0.0.6", False),
        (["http://[bad", "nonsense", "http://x:99999/"], "127.0.0.1", "127.0.0.1", False),
    ],
)
def test_what_the_inventory_names_is_asked(urls: list[str], name: str, address: str, asked: bool) -> None:
    assert (reach.why_not(name, 8080, address, reach.Known(reach.named(urls))) is None) == asked


def test_a_container_of_the_stack_is_asked_and_its_gateway_is_not() -> None:
    known = reach.Known(containers=frozenset({"172.18.0.3", "fd00::3"}))
    assert reach.why_not("web", 9, "172.18.0.3", known) is None
    assert reach.why_not("web", 9, "::ffff:172.18.0.3", known) is None
    assert reach.why_not("web", 9, "fd00::3", known) is None
    assert reach.why_not("web", 9, "172.18.0.1", known)
    assert reach.why_not("web", 9, "1.1.1.1", known, is_own=True)


SENT = ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "post", "")
OWN = reach.origin("https://app.test/")


@pytest.mark.parametrize("method", SENT)
@pytest.mark.parametrize(
    ("url", "origin", "sent"),
    [
        ("https://app.test/api", "https://app.test", True),
        ("https://app.test:443/api", "https://app.test", True),
        ("http://app.test/api", "https://app.test", False),
        ("https://app.test:8443/api", "https://app.test", False),
        ("https://api.app.test/", "https://app.test", False),
        ("https://app.test/api", "https://evil.test", False),
        ("https://app.test/api", "null", False),
        ("https://app.test@evil.test/", "https://app.test", False),
        ("https://evil.test/", "https://evil.test", False),
        ("file:///etc/passwd", "https://app.test", False),
    ],
)
def test_other_methods_go_to_the_own_origin(method: str, url: str, origin: str, sent: bool) -> None:
    assert OWN is not None
    assert reach.may_send(method, reach.origin(url), {"Origin": origin}, {OWN}) == sent
    assert reach.may_send("GET", reach.origin(url), {}, {OWN})


# The proxy by hand


def through(way: socks.Way, *asked: bytes) -> tuple[list[int], socks.Proxy]:
    """What a tab's proxy answers, one connection after another: `asked` is kind, address and port as in RFC 1928."""

    async def connect() -> tuple[list[int], socks.Proxy]:
        proxy = socks.Proxy()
        proxy.forget(way)
        port, answers = await proxy.open(), []
        for each in asked:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"\x05\x01\x00\x05\x01\x00" + each)
            answers.append((await reader.readexactly(12))[3])
            writer.close()
        proxy.close()
        return answers, proxy

    return asyncio.run(connect())


def by_name(name: str, port: int) -> bytes:
    return b"\x03%c" % len(name) + name.encode() + port.to_bytes(2, "big")


REFUSED = 2  # "connection not allowed by ruleset"
FORMS = ("127.0.0.1", "localhost", "0", "0.0.0.0", "127.1", "2130706433", "0x7f000001", "0x7f.1", "017700000001", "::1")
FORMS += ("::ffff:127.0.0.1", "::", "::ffff:0:0", "ip6-localhost", "127.0.0.1.", "fe80::1%lo", "LocalHost")


@pytest.mark.parametrize("form", FORMS)
def test_the_proxy_refuses_an_own_address_given_as_a_name(form: str) -> None:
    """Browsers write addresses in their usual form; whoever else speaks to the proxy need not."""
    with witness() as listening:
        answers, proxy = through(socks.Way(), by_name(form, listening.port))
        assert listening.settled(0.05) == set()
    assert answers[0] in (REFUSED, 5)  # 5: a name that this machine does not know
    if answers[0] == REFUSED:
        assert "no URL of the inventory names it" in proxy.refused[0]


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "::ffff:0.0.0.0"])
def test_the_proxy_refuses_an_own_address_in_bytes(address: str) -> None:
    packed = ipaddress.ip_address(address).packed
    with witness() as listening:
        asked = bytes([1 if len(packed) == 4 else 4]) + packed + listening.port.to_bytes(2, "big")
        assert through(socks.Way(), asked)[0] == [REFUSED]
        assert listening.settled(0.05) == set()
        named = socks.Way(named=frozenset({(reach.host(address), listening.port)}))
        assert through(named, asked)[0] == [0], "the control: it is there"


def test_no_address_of_this_machine_is_public() -> None:
    """Whatever networks it has: each of its own addresses is known as its own, and no other."""
    own = {answer[4][0] for answer in socket.getaddrinfo(socket.gethostname(), None)} | {"127.0.0.1", "::1"}
    assert all(socks.is_own(str(address)) for address in own)
    assert not any(socks.is_own(address) for address in ("1.1.1.1", "2606:4700::1111", "169.254.169.254"))


@pytest.fixture
def resolving(monkeypatch: pytest.MonkeyPatch) -> tuple[list[list[str]], list[str], list[Any]]:
    """A name server that gives these answers in turn, who was asked for, and the places that were connected to.

    The public internet is not there in a test: connections to it are only noted.
    """
    answers: list[list[str]] = []
    asked: list[str] = []
    connected: list[Any] = []
    given, connect = socket.getaddrinfo, asyncio.open_connection

    def answer(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        if not str(host).endswith(".test"):
            return given(host, port, *rest, **more)
        asked.append(host)
        now = answers.pop(0) if len(answers) > 1 else answers[0]
        return [found for address in now for found in given(address, port, *rest, **more)]

    async def opened(host: Any, port: Any, **more: Any) -> Any:
        connected.append(host)
        if reach.kind(host) is None:
            raise ConnectionRefusedError
        return await connect(host, port, **more)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    monkeypatch.setattr(socks.asyncio, "open_connection", opened)  # type: ignore[attr-defined]
    return answers, asked, connected


def test_a_name_that_leads_to_loopback_is_refused(resolving: Any) -> None:
    answers, _, connected = resolving
    answers[:] = [["127.0.0.1"]]
    with witness() as listening:
        codes, proxy = through(socks.Way(), by_name("public.test", listening.port))
        assert (codes, connected[1:], listening.settled(0.05)) == ([REFUSED], [], set())
        assert proxy.refused[0].startswith(f"public.test:{listening.port} leads to 127.0.0.1, a loopback address;")


def test_a_name_that_is_bound_again_leads_where_it_led_at_first(resolving: Any) -> None:
    answers, asked, connected = resolving
    answers[:] = [["1.1.1.1"], ["127.0.0.1"]]
    with witness() as listening:
        place = by_name("public.test", listening.port)
        assert through(socks.Way(), place, place, place)[0] == [5, 5, 5]
        assert listening.settled(0.05) == set()
    assert [host for host in connected if host != "127.0.0.1"] == ["1.1.1.1"] * 3
    assert connected.count("127.0.0.1") == 3, "only those of this test to the proxy"
    assert asked == ["public.test"]


def test_of_several_addresses_only_the_public_ones_are_tried(resolving: Any) -> None:
    answers, _, connected = resolving
    answers[:] = [["127.0.0.1", "10.0.0.1", "1.1.1.1", "::1"]]
    with witness() as listening:
        assert through(socks.Way(), by_name("public.test", listening.port))[0] == [5]
        assert listening.settled(0.05) == set()
    assert connected[1:] == ["1.1.1.1"]


def test_between_two_pages_nobody_is_asked() -> None:
    with witness() as listening:
        place = by_name("localhost", listening.port)
        assert through(socks.NOWHERE, place)[0] == [REFUSED]
        assert through(socks.Way(named=reach.named([f"http://localhost:{listening.port}"])), place)[0] == [0]


# What a record knows: the containers of its stack


class _Engines:
    """An engine's list of containers; a real one is asked in tests/test_screenshot.py."""

    label = "unix:///here"
    name = label

    def __init__(self, listing: list[dict[str, Any]]) -> None:
        self.listing = listing

    def of(self, record: Any) -> Any:
        return self


def container(name: str, project: str, ports: list[dict[str, Any]] | None = None, **networks: str) -> dict[str, Any]:
    labels = {"com.docker.compose.project": project, "com.docker.compose.service": name}
    found = {network: {"IPAddress": address, "Gateway": "172.18.0.1"} for network, address in networks.items()}
    settings = {"Networks": found}
    return {"Id": f"{project}-{name}", "Names": [f"/{project}-{name}-1"], "State": "running", "Labels": labels} | {
        "Ports": ports or [],
        "NetworkSettings": settings,
    }


def test_the_stack_is_its_containers_and_those_on_its_own_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    listing = [
        container("web", "shop", [{"PrivatePort": 80, "PublicPort": 8080, "IP": "0.0.0.0"}], shop="172.18.0.2"),
        container("api", "shop", [{"PrivatePort": 80, "PublicPort": 8081, "IP": "127.0.0.1"}], shop="172.18.0.3"),
        container("old", "shop", bridge="172.17.0.2", back="172.20.0.2"),
        container("guest", "other", [{"PrivatePort": 1, "PublicPort": 9, "IP": "0.0.0.0"}], shop="172.18.0.9"),
        container("stranger", "other", bridge="172.17.0.9", far="172.30.0.9"),
    ]
    monkeypatch.setattr(targets.reading, "containers", lambda engine, fresh=False: engine.listing)
    record = {"service": "web", "external": ["http://192.168.1.5:8080/"]}
    way = targets.way(record, "external", _Engines(listing))  # type: ignore[arg-type]
    found = way.stack()
    assert found.containers == {"172.18.0.2", "172.18.0.3", "172.17.0.2", "172.20.0.2", "172.18.0.9"}
    assert found.places == {
        *(("127.0.0.1", 8080), ("::1", 8080), ("192.168.1.5", 8080)),
        ("127.0.0.1", 8081),
    }
    nobody = targets.way({"service": "nobody", "external": []}, "external", _Engines(listing))  # type: ignore[arg-type]
    assert nobody.stack() == reach.Known()


# The probe, and the model's tools


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_probe_asks_nobody_else_wherever_a_redirect_leads(run: Run, status: int) -> None:
    forms = ("127.0.0.1", "localhost", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "127.1")
    with serve() as site, witness() as listening:
        urls = []
        for index, form in enumerate(forms):
            place = f"//{form}:{listening.port}/"
            for kind in (f"http:{place}", f"https:{place}", place, f"http://127.0.0.1@{place[2:]}"):
                urls.append(site.html(f"/{index}-{len(urls)}", "", status, Location=kind))
        for odd in ("ws://127.0.0.1:{}/", "ftp://127.0.0.1:{}/", "file:///etc/passwd", "http://[bad"):
            urls.append(site.html(f"/odd{len(urls)}", "", status, Location=odd.format(listening.port)))
        done = run("dm-probe", json.dumps({"service": "x", "external": urls}))
        (record,) = records(done.stdout)
        assert listening.settled(0.1) == set()
    assert ADMIN not in done.stdout
    assert {check["redirects"] for check in record["probe"]["checks"]} == {0}


def test_a_redirect_of_a_probed_page_leads_to_the_server_that_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is bound again after its first answer: the second request goes to the same address."""
    from dm_tools.collect import http

    asked: list[str] = []
    given = socket.getaddrinfo

    def answer(host: Any, *rest: Any, **more: Any) -> Any:
        if host not in ("public.test", b"public.test"):
            return given(host, *rest, **more)
        asked.append(host)
        return given("127.0.0.1" if len(asked) == 1 else "127.0.0.9", *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    with serve() as site:
        site.html("/there", "arrived")
        site.html("/here", "", 302, Location="/there")
        url = f"http://public.test:{site.url.rpartition(':')[2]}/here"
        (check,) = http.run([http.check(http.Target("probe:0", url, "internal"), 5)])
    assert (check.status_code, check.redirects, check.body_excerpt) == (200, 1, "arrived")
    assert len(asked) == 1


def test_a_models_tool_asks_only_places_of_the_inventory() -> None:
    with serve() as site, witness() as listening:
        url = site.html("/page", "", 302, Location=f"http://127.0.0.1:{listening.port}/")
        box = Toolbox({"x": {"service": "x", "docker_host": "unix:///nonexistent", "external": [url]}}, Engines(5))
        found = json.loads(box.call("http_get", {"url": url}))
        assert (found["status_code"], found["redirects"]) == (302, 0)
        for form in ("127.0.0.1", "localhost", "[::1]", "0.0.0.0", "2130706433", "127.0.0.1@127.0.0.1"):
            for tool in ("http_get", "browser_dom", "browser_screenshot"):
                with pytest.raises(Problem, match="inventory"):
                    box.call(tool, {"url": f"http://{form}:{listening.port}/"})
        assert listening.settled(0.1) == set()
