"""dm-probe against real servers on loopback (sockets, TLS with certificates made here) and in containers of the lab's
engine. Every error class comes from a server that really behaves so; nothing is faked.
"""

import base64
import contextlib
import json
import os
import socket
import ssl
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import lab
from tests.conftest import Box, Run, records
from tests.servers import Authority, Serve, answer, drip, request, reset, status, until_closed

NOTHING_LISTENS = "http://127.0.0.1:1/"


@pytest.fixture
def ask(run: Run) -> Callable[..., dict[str, Any]]:
    """The one check that dm-probe makes of a URL; keyword arguments are variables."""

    def one(url: str, options: str = "-t 5", **variables: str) -> dict[str, Any]:
        done = run(f"dm-probe {options} '{url}'", **variables)
        assert (done.returncode, done.stderr) == (0, "")
        (record,) = records(done.stdout)
        (check,) = record["probe"]["checks"]
        assert check["ok"] is (check["error"] is None)
        assert record["probe"]["status"] == (
            "healthy" if check["ok"] else "degraded" if check["error"] == "http_4xx" else "failed"
        )
        return dict(check)

    return one


Ask = Callable[..., dict[str, Any]]
AskAll = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def ask_all(run: Run) -> AskAll:
    """The checks of one service with all these URLs."""

    def several(*urls: str) -> list[dict[str, Any]]:
        done = run("dm-probe -t 5", stdin=json.dumps({"service": "a", "external": urls}))
        assert (done.returncode, done.stderr) == (0, "")
        checks = records(done.stdout)[0]["probe"]["checks"]
        assert [check["id"] for check in checks] == [f"probe:{number}" for number in range(len(urls))]
        return list(checks)

    return several


def test_a_good_answer_has_its_latencies_and_its_body(serve: Serve, ask: Ask) -> None:
    def slow(connection: socket.socket) -> None:
        request(connection)
        time.sleep(0.2)
        connection.sendall(status(200, "all is well").encode())

    port = serve(slow)
    check = ask(f"http://127.0.0.1:{port}/health?a=b")
    assert check["status_code"] == 200
    assert check["body_excerpt"] == "all is well"
    assert check["address"] == f"127.0.0.1:{port}"
    assert check["scope"] == "external"
    assert 0 <= check["connect_ms"] < 150
    assert check["tls_ms"] is None
    assert check["first_byte_ms"] >= 200
    assert check["total_ms"] >= check["first_byte_ms"]
    assert check["certificate"] is None


def test_errors_of_the_connection(ask_all: AskAll) -> None:
    """The kernel itself refuses to connect to the broadcast address: no packet leaves."""
    expected = {
        "http://no-such-host.invalid/": "dns",
        "https://no-such-host.invalid/": "dns",
        "tcp://no-such-host.invalid:1": "dns",
        "http://" + "x" * 300 + ".invalid/": "dns",
        NOTHING_LISTENS: "refused",
        "https://127.0.0.1:1/": "refused",
        "tcp://127.0.0.1:1": "refused",
        "http://255.255.255.255/": "unreachable",
        "tcp://255.255.255.255:80": "unreachable",
    }
    assert {check["url"]: check["error"] for check in ask_all(*expected)} == expected


def test_reset(serve: Serve, ask: Ask) -> None:
    assert ask(f"http://127.0.0.1:{serve(reset)}/")["error"] == "reset"
    assert ask(f"http://127.0.0.1:{serve(answer(''))}/")["error"] == "reset"
    closes_at_once = serve(lambda connection: None)
    assert ask(f"tcp://127.0.0.1:{closes_at_once}")["error"] == "reset"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_timeout_when_nothing_is_ever_said(serve: Serve, ask: Ask, scheme: str) -> None:
    started = time.monotonic()
    check = ask(f"{scheme}://127.0.0.1:{serve(until_closed)}/", "-t 0.5")
    assert check["error"] == "timeout"
    assert 500 <= check["total_ms"] < 4000
    assert time.monotonic() - started < 15


def test_timeout_is_for_the_whole_answer_and_not_for_each_byte(serve: Serve, ask: Ask) -> None:
    check = ask(f"http://127.0.0.1:{serve(drip)}/", "-t 0.6")
    assert check["error"] == "timeout"
    assert 600 <= check["total_ms"] < 1500


def test_an_endless_event_stream_is_an_answer(serve: Serve, ask: Ask) -> None:
    def events(connection: socket.socket) -> None:
        request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: hello\n\n")
        until_closed(connection)

    check = ask(f"http://127.0.0.1:{serve(events)}/", "-t 10")
    assert (check["ok"], check["body_excerpt"]) == (True, "data: hello\n\n")
    assert check["total_ms"] < 3000


def test_a_trusted_certificate_and_its_expiry(serve: Serve, ask: Ask, authority: Authority) -> None:
    port = serve(answer(status(200)), authority.context(end=30))
    check = ask(f"https://127.0.0.1:{port}/", SSL_CERT_FILE=str(authority.bundle))
    assert check["ok"]
    assert check["tls_ms"] > 0
    assert check["certificate"]["expires_in_days"] == pytest.approx(30, abs=0.1)
    assert check["certificate"]["not_after"].endswith("Z")
    assert check["certificate"]["subject"] == "CN=127.0.0.1"
    assert check["certificate"]["issuer"] == "CN=dmtest CA"


@pytest.mark.parametrize("known", [True, False], ids=["CA known", "CA unknown"])
@pytest.mark.parametrize("days_ago", [3, 0.01], ids=["days ago", "minutes ago"])
def test_tls_expired_is_not_masked_by_an_unknown_authority(
    serve: Serve, ask: Ask, authority: Authority, known: bool, days_ago: float
) -> None:
    port = serve(answer(status(200)), authority.context(begin=-9, end=-days_ago))
    check = ask(f"https://127.0.0.1:{port}/", **({"SSL_CERT_FILE": str(authority.bundle)} if known else {}))
    assert check["error"] == "tls_expired"
    assert check["certificate"]["expires_in_days"] == pytest.approx(-days_ago, abs=0.1)
    assert check["status_code"] is None


def test_tls_untrusted(serve: Serve, ask: Ask, authority: Authority) -> None:
    check = ask(f"https://127.0.0.1:{serve(answer(status(200)), authority.context())}/")
    assert check["error"] == "tls_untrusted"
    assert check["certificate"]["issuer"] == "CN=dmtest CA"


def test_tls_hostname(serve: Serve, ask: Ask, authority: Authority) -> None:
    trusted = {"SSL_CERT_FILE": str(authority.bundle)}
    port = serve(answer(status(200)), authority.context("elsewhere.invalid"))
    assert ask(f"https://127.0.0.1:{port}/", **trusted)["error"] == "tls_hostname"
    assert ask(f"https://localhost:{port}/", **trusted)["error"] == "tls_hostname"


def test_tls_spoken_to_a_port_for_plain_http(serve: Serve, ask: Ask) -> None:
    def plain(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(status(400, "speak HTTP").encode())

    check = ask(f"https://127.0.0.1:{serve(plain)}/")
    assert check["error"] == "speaks_plain_http"
    assert check["message"]


def test_a_second_look_at_a_certificate_takes_no_more_time_than_is_left(
    serve: Serve, ask: Ask, authority: Authority
) -> None:
    """The first handshake shows a bad certificate, every later connection hangs."""
    context, seen = authority.context(), []

    def once(connection: socket.socket) -> None:
        seen.append(connection)
        if len(seen) > 1:
            until_closed(connection)
        else:
            with contextlib.suppress(ssl.SSLError), context.wrap_socket(connection, server_side=True):
                pass

    started = time.monotonic()
    check = ask(f"https://127.0.0.1:{serve(once)}/", "-t 4")
    assert (check["error"], check["certificate"]) == ("tls_untrusted", None)
    assert len(seen) == 2
    assert time.monotonic() - started < 7.5  # one timeout and not two


def test_bad_response(serve: Serve, ask_all: AskAll) -> None:
    garbage = [
        "SSH-2.0-OpenSSH_9.2p1 Debian\r\n\r\n",
        "\x00\xff\xfe garbage \x1b[2J\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nbody",
        "HTTP/1.1 200 OK\r\nX: " + "x" * 1_000_000 + "\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: http://[bad\r\nContent-Length: 0\r\n\r\n",
    ]
    checks = ask_all(*(f"http://127.0.0.1:{serve(answer(each))}/" for each in garbage))
    assert [check["error"] for check in checks] == ["bad_response"] * len(garbage)
    assert all(check["message"].isprintable() for check in checks)


def test_too_many_redirects(serve: Serve, ask: Ask) -> None:
    check = ask(f"http://127.0.0.1:{serve(answer(status(302, headers='Location: /again' + chr(13) + chr(10))))}/")
    assert check["error"] == "too_many_redirects"
    assert check["redirects"] == 6


def test_redirects_on_the_same_host_are_followed(serve: Serve, ask: Ask) -> None:
    def onward(connection: socket.socket) -> None:
        path = request(connection).split()[1]
        found = status(302, headers="Location: /there\r\n") if path == "/" else status(200, f"you are at {path}")
        connection.sendall(found.encode())

    check = ask(f"http://127.0.0.1:{serve(onward)}/")
    assert (check["status_code"], check["redirects"], check["body_excerpt"]) == (200, 1, "you are at /there")


def test_another_host_is_never_contacted(serve: Serve, ask: Ask) -> None:
    visitors: list[str] = []

    def other(connection: socket.socket) -> None:
        visitors.append("somebody")
        connection.sendall(status(200).encode())

    elsewhere = serve(other)
    for target in (f"http://127.0.0.1:{elsewhere}/", f"http://localhost:{elsewhere}/", f"//127.0.0.1:{elsewhere}/"):
        port = serve(answer(status(302, headers=f"Location: {target}\r\n")))
        check = ask(f"http://127.0.0.1:{port}/")
        assert (check["ok"], check["status_code"], check["redirects"]) == (True, 302, 0)
    assert visitors == []


def test_status_codes(serve: Serve, ask_all: AskAll) -> None:
    expected = {200: None, 204: None, 304: None, 401: None, 403: "http_4xx", 404: "http_4xx", 500: "http_5xx"}
    expected |= {503: "http_5xx"}
    checks = ask_all(*(f"http://127.0.0.1:{serve(answer(status(code)))}/" for code in expected))
    assert {check["status_code"]: check["error"] for check in checks} == expected


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([200, 401], "healthy"),  # it asks who is there: somebody works
        ([404], "degraded"),  # it answers, and not what was asked for
        ([404, 503], "degraded"),
        ([200, 503], "degraded"),
        ([503], "failed"),
        ([503, 0], "failed"),
        ([0], "failed"),
    ],
)
def test_what_a_services_answers_say_of_it(serve: Serve, run: Run, codes: list[int], expected: str) -> None:
    urls = [f"http://127.0.0.1:{serve(answer(status(code))) if code else 1}/" for code in codes]
    probed = run("dm-probe", stdin=json.dumps({"service": "x", "external": urls}) + "\n")
    assert records(probed.stdout)[0]["probe"]["status"] == expected


@pytest.mark.parametrize("header", [f"Content-Length: {10**10}\r\n", "Transfer-Encoding: chunked\r\n"])
def test_ten_gigabytes_cost_nothing(serve: Serve, ask: Ask, header: str) -> None:
    sent = 0
    block = b"10000\r\n" + b"x" * 0x10000 + b"\r\n" if "chunked" in header else b"x" * 0x10000

    def flood(connection: socket.socket) -> None:
        nonlocal sent
        request(connection)
        connection.sendall(f"HTTP/1.1 200 OK\r\n{header}\r\n".encode())
        while sent < 10**10:
            sent += connection.send(block)

    check = ask(f"http://127.0.0.1:{serve(flood)}/")
    assert check["ok"]
    assert check["body_excerpt"] == "x" * 400
    assert check["total_ms"] - check["first_byte_ms"] < 900  # it stops by size, not by the second that a body has
    assert sent < 20_000_000  # what the sockets' buffers take


def test_the_excerpt_is_safe_to_show(serve: Serve, ask: Ask) -> None:
    body = "\x1b[31mdown\x1b[0m \x00\x07\xff password=hunter2 postgres://app:hunter2@db/shop"
    excerpt = ask(f"http://127.0.0.1:{serve(answer(status(500, body)))}/")["body_excerpt"]
    assert excerpt == "down \ufffd password=<secret:1> postgres://app:<secret:1>@db/shop"


@pytest.mark.parametrize("password", ["hunter2", "pass%3Aw%40rd-hunter2", "hunter2" * 60, 'hunter2"quoted"'])
def test_credentials_reach_the_server_but_not_the_section(serve: Serve, run: Run, password: str) -> None:
    heads: list[str] = []

    def guarded(connection: socket.socket) -> None:
        heads.append(request(connection))
        connection.sendall(status(200).encode())

    url = f"http://app:{password}@127.0.0.1:{serve(guarded)}/x"
    done = run("dm-probe -t 5", stdin=json.dumps({"service": "a", "external": [url]}))
    assert done.returncode == 0
    authorization = next(line for line in heads[0].splitlines() if line.lower().startswith("authorization: basic "))
    sent = base64.b64decode(authorization.split()[-1]).decode()
    assert sent == f"app:{urllib.parse.unquote(password)}"
    assert "hunter2" not in heads[0]
    (record,) = records(done.stdout)
    assert record["probe"]["checks"][0]["url"].startswith("http://app:<secret:1>@127.0.0.1:")
    assert record["external"][0].startswith("http://app:<secret:1>@127.0.0.1:")
    assert "hunter2" not in done.stdout


def test_a_password_comes_from_a_variable_and_is_refused_in_clear(serve: Serve, run: Run, tmp_path: Path) -> None:
    heads: list[str] = []

    def guarded(connection: socket.socket) -> None:
        heads.append(request(connection))
        connection.sendall(status(200).encode())

    url = f"http://app:${{APP_PASSWORD}}@127.0.0.1:{serve(guarded)}/"
    (tmp_path / "manifest.json").write_text(json.dumps({"services": [{"name": "a", "external": [url]}]}))
    line = "dm-services --manifest manifest.json | dm-probe"
    asked = run(line, APP_PASSWORD="hunter2@:/")
    assert asked.returncode == 0
    assert "hunter2" not in asked.stdout
    assert records(asked.stdout)[0]["external"] == [url]
    sent = next(line for line in heads[0].splitlines() if line.lower().startswith("authorization: basic "))
    assert base64.b64decode(sent.split()[-1]) == b"app:hunter2@:/"
    unset = run(line)
    assert (unset.returncode, unset.stdout) == (3, "")
    assert "APP_PASSWORD is not set" in unset.stderr

    clear = "http://app:hunter2@127.0.0.1:1/"
    (tmp_path / "manifest.json").write_text(json.dumps({"services": [{"name": "a", "external": [clear]}]}))
    for refused in (
        run(f"dm-probe {clear}"),
        run("dm-services --manifest manifest.json"),
        run("dm-probe", stdin=clear),
    ):
        assert refused.returncode in (2, 3, 4)
        assert "${NAME}" in refused.stderr + refused.stdout
        assert "hunter2" not in refused.stderr + refused.stdout


def test_a_url_that_cannot_be_asked_is_an_entry_in_errors(run: Run) -> None:
    urls = ["ftp://a/", "http://", "tcp://127.0.0.1", "http://a:0/", "http://a:99999/", "http://[bad/", "a", "", "x:y"]
    done = run("dm-probe", stdin=json.dumps({"service": "a", "external": urls}))
    (record,) = records(done.stdout)
    assert (done.returncode, done.stderr) == (4, "")
    assert [(entry["stage"], entry["code"]) for entry in record["errors"]] == [("probe", "bad_url")] * len(urls)
    assert record["probe"] == {"status": "unknown", "checks": []}


def test_one_bad_url_does_not_hide_the_others(run: Run, serve: Serve) -> None:
    urls = ["ftp://a/", f"http://127.0.0.1:{serve(answer(status(200)))}/", NOTHING_LISTENS]
    done = run("dm-probe", stdin=json.dumps({"service": "a", "external": urls}))
    (record,) = records(done.stdout)
    assert done.returncode == 4
    assert record["probe"]["status"] == "degraded"
    assert [(check["id"], check["error"]) for check in record["probe"]["checks"]] == [
        ("probe:1", None),
        ("probe:2", "refused"),
    ]


def test_urls_of_one_service_are_asked_at_the_same_time(run: Run, serve: Serve) -> None:
    urls = [f"http://127.0.0.1:{serve(until_closed)}/{number}" for number in range(20)]
    started = time.monotonic()
    done = run("dm-probe -t 1", stdin=json.dumps({"service": "a", "external": urls}))
    assert {check["error"] for check in records(done.stdout)[0]["probe"]["checks"]} == {"timeout"}
    assert time.monotonic() - started < 12  # one after another it would be 20


def test_fail_on_unhealthy_is_status_10(run: Run, serve: Serve) -> None:
    good = f"http://127.0.0.1:{serve(answer(status(200)))}/"
    assert run(f"dm-probe --fail-on unhealthy {good}").returncode == 0
    assert run(f"dm-probe --fail-on unhealthy {good} {NOTHING_LISTENS}").returncode == 10
    for word in ("failed", "degraded", "any"):
        assert run(f"dm-probe --fail-on {word} {good}").returncode == 0
        assert run(f"dm-probe --fail-on {word} {NOTHING_LISTENS}").returncode == 10
        assert run(f"dm-probe --fail-on {word} gopher://example.invalid/").returncode == (10 if word == "any" else 4)
    assert run(f"dm-probe {good} {NOTHING_LISTENS}").returncode == 0


def test_http_timeout_comes_from_flag_then_environment_then_env_file_then_default(
    run: Run, serve: Serve, tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{serve(until_closed)}/"

    def message(options: str = "", **variables: str) -> str:
        return str(records(run(f"dm-probe {options} {url}", **variables).stdout)[0]["probe"]["checks"][0]["message"])

    assert message() == "no answer within 5 s"
    (tmp_path / "own.env").write_text("HTTP_TIMEOUT=400ms\n")
    assert message(DM_ENV_FILE="own.env") == "no answer within 0.4 s"
    assert message(DM_ENV_FILE="own.env", HTTP_TIMEOUT="0.3") == "no answer within 0.3 s"
    assert message("-t 200ms", HTTP_TIMEOUT="0.3") == "no answer within 0.2 s"
    done = run(f"dm-probe {url}", HTTP_TIMEOUT="soon")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("dm-probe: HTTP_TIMEOUT: 'soon' is no time from 0.1s to 1h")


def test_proxies_of_the_environment_are_not_asked(serve: Serve, ask: Ask) -> None:
    port = serve(answer(status(200, "direct")))
    proxies = {"http_proxy": NOTHING_LISTENS, "HTTPS_PROXY": NOTHING_LISTENS, "ALL_PROXY": NOTHING_LISTENS}
    assert ask(f"http://127.0.0.1:{port}/", **proxies)["body_excerpt"] == "direct"


# From here on with containers.

ECHO = """
import http.server, ssl, sys
said = {}
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"host={self.headers['Host']} sni={said.get('name')}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
server = http.server.ThreadingHTTPServer(("", 8000), Handler)
if len(sys.argv) > 1:
    open("/tmp/server.pem", "w").write(sys.argv[1])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/tmp/server.pem")
    context.sni_callback = lambda connection, name, context: said.update(name=name)
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


def internal(run: Run, url: str, service: str, variables: dict[str, str]) -> dict[str, Any]:
    done = run("dm-probe -t 5", stdin=json.dumps({"service": service, "internal": [url]}), **variables)
    assert (done.returncode, done.stderr) == (0, "")
    return dict(records(done.stdout)[0]["probe"]["checks"][0])


def test_internal_names_are_found_through_docker_and_host_and_sni_stay(
    run: Run, box: Box, shop: dict[str, str], authority: Authority
) -> None:
    label = {"com.docker.compose.service": "dmtest-echo-service"}
    plain = box("echo", "python3", "-c", ECHO, labels=label, ready=8000)
    box("secure", "python3", "-c", ECHO, authority.server("dmtest-secure").read_text(), ready=8000)
    for name in ("dmtest-echo", "dmtest-echo-service"):
        check = internal(run, f"http://{name}:8000/x", "dmtest-echo", shop | {"COMPOSE_PROJECT_NAME": ""})
        assert (check["ok"], check["scope"]) == (True, "internal")
        assert check["body_excerpt"] == f"host={name}:8000 sni=None"
        assert check["address"] == f"{plain.attrs['NetworkSettings']['IPAddress']}:8000"
    trusting = shop | {"SSL_CERT_FILE": str(authority.bundle)}
    check = internal(run, "https://dmtest-secure:8000/", "dmtest-secure", trusting)
    assert check["body_excerpt"] == "host=dmtest-secure:8000 sni=dmtest-secure"
    assert check["certificate"]["subject"] == "CN=dmtest-secure"


def test_aliases_and_host_names_of_a_network_are_found_on_it(run: Run, box: Box, aliased: dict[str, str]) -> None:
    box("stranger", "sleep", "100")
    names = ["dmtest-cache.example", "dmtest-host", "DMTEST-Cache.example"]
    urls = [f"http://{name}:8000/x" for name in names]
    services = ["dmtest-aliased", "dmtest-neighbour", "dmtest-nobody", "dmtest-stranger"]
    lines = "".join(json.dumps({"service": each, "internal": urls}) + "\n" for each in services)
    found = {
        record["service"]: [check["body_excerpt"] or check["error"] for check in record["probe"]["checks"]]
        for record in records(run("dm-probe -t 5", stdin=lines, **aliased).stdout)
    }
    seen = [f"host={name}:8000 sni=None" for name in names]
    assert found == {each: seen for each in services[:3]} | {"dmtest-stranger": ["dns"] * 3}


@pytest.fixture
def aliased(box: Box, _engine_up: str) -> Iterator[dict[str, str]]:
    """A server with an alias and a host name of its own on a network, and a neighbour; the way to the engine."""
    with contextlib.closing(lab.engine.connect(_engine_up)) as client:
        network = client.networks.create(f"dmtest-aliases-{os.getpid()}")
        try:
            server = box("aliased", "python3", "-c", ECHO, hostname="dmtest-host", network=network.name, start=False)
            network.disconnect(server)
            network.connect(server, aliases=["dmtest-cache.example"])
            server.start()
            box("neighbour", "sleep", "100", network=network.name)
            server.reload()
            address = server.attrs["NetworkSettings"]["Networks"][network.name]["IPAddress"], 8000
            lab.waiting.wait_until(lambda: None if _listens(address) else f"nobody at {address}", 10, every=0.05)
            yield {"DOCKER_HOST": _engine_up}
        finally:
            for container in client.containers.list(all=True, filters={"network": network.id}):
                container.remove(force=True)
            network.remove()


def _listens(address: tuple[str, int]) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(address) == 0


def test_internal_names_of_containers_that_cannot_be_asked(run: Run, box: Box, shop: dict[str, str]) -> None:
    box("lonely", "sleep", "100", network_mode="none")
    box("ended", "true").wait()
    box("empty", "sleep", "100")
    assert internal(run, "http://dmtest-lonely/", "dmtest-lonely", shop)["error"] == "no_address"
    assert internal(run, "tcp://dmtest-ended:80", "dmtest-ended", shop)["error"] == "not_running"
    assert internal(run, "tcp://dmtest-empty:80", "dmtest-empty", shop)["error"] == "refused"


def test_a_published_port_with_nothing_behind_it_is_reset(run: Run, box: Box, shop: dict[str, str]) -> None:
    container = box("hollow", "sleep", "100", ports={"80/tcp": ("127.0.0.1", None)})
    port = container.attrs["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"]
    done = run(f"dm-probe tcp://127.0.0.1:{port} http://127.0.0.1:{port}/", **shop)
    assert {record["probe"]["checks"][0]["error"] for record in records(done.stdout)} == {"reset"}


def test_without_docker_an_internal_name_is_asked_of_the_resolver(run: Run, serve: Serve) -> None:
    port = serve(answer(status(200)))
    check = internal(run, f"http://localhost:{port}/", "a", {})
    assert check["ok"]


def test_a_service_without_urls_is_judged_by_its_container(run: Run, box: Box, shop: dict[str, str]) -> None:
    check = {"test": ["CMD", "false"], "interval": 300_000_000, "retries": 1}
    box("sick", "sleep", "100", healthcheck=check)
    box("fine", "sleep", "100")
    box("ended", "true").wait()
    deadline = time.monotonic() + 10
    while True:
        found = {
            record["service"]: record["probe"]
            for record in records(run("dm-probe dmtest-sick dmtest-fine dmtest-ended", **shop).stdout)
        }
        if found["dmtest-sick"]["status"] == "failed" or time.monotonic() > deadline:
            break
    assert {name: (probe["status"], probe["checks"][0]["error"]) for name, probe in found.items()} == {
        "dmtest-sick": ("failed", "unhealthy"),
        "dmtest-fine": ("healthy", None),
        "dmtest-ended": ("failed", "not_running"),
    }


def test_a_service_without_urls_and_without_a_container_is_unknown(run: Run, shop: dict[str, str]) -> None:
    done = run("dm-probe dmtest-nobody", **shop)
    (record,) = records(done.stdout)
    assert done.returncode == 4
    assert record["probe"] == {"status": "unknown", "checks": []}
    assert record["errors"][0]["code"] == "container_not_found"
    done = run("dm-probe dmtest-nobody")
    assert done.returncode == 5
    assert records(done.stdout)[0]["errors"][0]["code"] == "docker_unreachable"
