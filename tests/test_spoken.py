"""dm-probe on ports that nobody configured: it finds out what is spoken there, by real servers on loopback."""

import contextlib
import json
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conftest import Run, records
from tests.servers import Authority, Handler, Serve, answer, request, status, until_closed

SETTINGS = bytes.fromhex("000006040000000000000300000064")  # how an HTTP/2 server begins: MAX_CONCURRENT_STREAMS 100
GUESSES = ("http", "https", "tcp")
Find = Callable[..., dict[str, Any]]


@pytest.fixture
def find(run: Run) -> Find:
    """The check of a discovered URL; keyword arguments are those of `discovered`, `variables` those of the command."""

    def one(url: str, timeout: float = 3, variables: dict[str, str] | None = None, **found: Any) -> dict[str, Any]:
        entry = {"url": url, "chosen": "somebody published it", "guessed": True} | found
        record = {"service": "a", "external": [url], "discovered": [entry]}
        done = run(f"dm-probe -t {timeout}", stdin=json.dumps(record), **(variables or {}))
        assert (done.returncode, done.stderr) == (0, "")
        (said,) = records(done.stdout)
        (check,) = said["probe"]["checks"]
        assert check["ok"] is (check["error"] is None)
        assert check["chosen"].startswith("somebody published it")
        assert said["external"] == [check["url"]] == [each["url"] for each in said["discovered"]]
        again = run(f"dm-probe -t {timeout}", stdin=json.dumps(said), **(variables or {}))
        assert [each["kind"] for each in records(again.stdout)[0]["probe"]["checks"]] == [check["kind"]]
        return dict(check)

    return one


def url(guess: str, port: int, path: str = "/") -> str:
    return f"{guess}://localhost:{port}" + ("" if guess == "tcp" else path)


class Heard:
    """Connections that a server had, and the first bytes of each."""

    def __init__(self, handler: Handler) -> None:
        self.first: list[bytes] = []
        self.handler = handler

    def __call__(self, connection: socket.socket) -> None:
        connection.settimeout(2)
        place = len(self.first)
        self.first.append(b"")
        with contextlib.suppress(TimeoutError):
            self.first[place] = connection.recv(4096, socket.MSG_PEEK)
        self.handler(connection)


@pytest.mark.parametrize("guess", GUESSES)
def test_plain_http(serve: Serve, find: Find, guess: str) -> None:
    port = serve(answer(status(200, "hello", "Content-Type: text/html; charset=utf-8\r\n")))
    check = find(url(guess, port), addresses=[f"127.0.0.1:{port}"])
    assert (check["kind"], check["url"], check["status_code"]) == ("http", f"http://localhost:{port}/", 200)
    assert (check["note"], check["content_type"]) == (None, "text/html")
    assert check["chosen"].endswith("; it speaks HTTP")


@pytest.mark.parametrize("guess", GUESSES)
def test_https(serve: Serve, find: Find, authority: Authority, guess: str) -> None:
    port = serve(answer(status(200, "hello")), authority.context("shop.test"))
    check = find(url(guess, port), addresses=[f"127.0.0.1:{port}"])
    assert (check["kind"], check["url"], check["status_code"]) == ("http", f"https://localhost:{port}/", 200)
    assert (check["ok"], check["note"], check["certificate"]["names"]) == (True, None, ["shop.test"])
    assert check["chosen"].endswith("; it speaks HTTP and TLS")


def test_a_right_guess_is_one_request_and_nothing_else(serve: Serve, find: Find) -> None:
    heard = Heard(answer(status(200)))
    port = serve(heard)
    find(url("http", port), addresses=[f"127.0.0.1:{port}"])
    assert len(heard.first) == 2  # find() asks twice
    assert all(each.startswith(b"GET / HTTP/1.1\r\nHost: localhost:") for each in heard.first)


@pytest.mark.parametrize(
    "greeting", [b"SSH-2.0-OpenSSH_9.2p1\r\n", b"220 mail ESMTP\r\n", b"J\0\0\0\x0a8.0.36\0", b"* OK IMAP ready\r\n"]
)
def test_who_speaks_first_is_not_spoken_to(serve: Serve, find: Find, greeting: bytes) -> None:
    def speaks(connection: socket.socket) -> None:
        connection.sendall(greeting)
        received.append(connection.recv(100))

    received: list[bytes] = []
    check = find(url("tcp", serve(speaks)))
    assert (check["kind"], check["ok"], check["note"]) == ("tcp", True, None)
    time.sleep(0.1)
    assert received == [b"", b""]


def test_a_known_port_is_only_connected_to(serve: Serve, find: Find) -> None:
    received: list[bytes] = []
    port = serve(lambda connection: received.append(connection.recv(100)))
    check = find(url("tcp", port), guessed=False)
    assert (check["kind"], check["ok"], check["chosen"]) == ("tcp", True, "somebody published it")
    time.sleep(0.1)
    assert received == [b"", b""]


@pytest.mark.parametrize("guess", GUESSES)
def test_nothing_behind_a_published_port(serve: Serve, find: Find, guess: str) -> None:
    """As Docker's port proxy does it: it accepts, and closes."""
    assert find(url(guess, serve(lambda connection: None)))["error"] == "reset"


def test_a_server_that_understands_neither(serve: Serve, find: Find) -> None:
    def closes(connection: socket.socket) -> None:
        connection.recv(100)

    assert find(url("tcp", serve(closes)))["note"] == "it accepts connections, and speaks neither HTTP nor TLS"
    silent = serve(until_closed)
    assert find(url("tcp", silent), 1)["ok"]
    assert find(url("http", silent), 1)["error"] == "timeout"  # its number says that it should


@pytest.mark.parametrize("code", [400, 401, 403, 404, 405, 429])
def test_a_path_that_nobody_named_may_be_missing(serve: Serve, find: Find, code: int) -> None:
    check = find(url("http", serve(answer(status(code)))))
    assert (check["ok"], check["status_code"]) == (True, code)
    assert check["note"] == (None if code == 401 else f"HTTP status {code} at /")


@pytest.mark.parametrize("guess", GUESSES)
def test_an_error_of_the_server_is_one(serve: Serve, find: Find, authority: Authority, guess: str) -> None:
    assert find(url(guess, serve(answer(status(503)))))["error"] == "http_5xx"
    check = find(url(guess, serve(answer(status(503)), authority.context(own=True))))
    assert (check["error"], check["note"]) == ("http_5xx", "its certificate is self-signed")


@pytest.mark.parametrize("guess", GUESSES)
@pytest.mark.parametrize("own", [True, False], ids=["self-signed", "CA unknown"])
@pytest.mark.parametrize(("begin", "end", "error"), [(-9, -3, "tls_expired"), (2, 9, "tls_not_yet_valid")])
def test_a_certificate_out_of_its_time_is_a_fault(
    serve: Serve, find: Find, authority: Authority, guess: str, own: bool, begin: int, end: int, error: str
) -> None:
    check = find(url(guess, serve(answer(status(200)), authority.context(begin=begin, end=end, own=own))))
    assert (check["error"], check["status_code"]) == (error, 200)
    assert check["certificate"]["not_after" if end < 0 else "not_before"] in check["message"]


def test_a_self_signed_certificate_is_a_remark(serve: Serve, find: Find, authority: Authority) -> None:
    check = find(url("https", serve(answer(status(200)), authority.context("shop.test", own=True))))
    assert (check["ok"], check["note"]) == (True, "its certificate is self-signed")


@pytest.mark.parametrize(
    ("name", "shown", "own", "trusted", "error"),
    [
        ("shop.test", "shop.test", False, False, None),  # a stack of somebody's own: nobody need trust it
        ("shop.test", "shop.test", True, False, None),
        ("shop.test", "*.test", False, False, None),
        ("shop.localhost", "traefik.default", True, False, None),  # what a proxy makes itself for want of another
        ("shop.test", "blog.test", False, False, "tls_hostname"),
        ("www.shop-a.org", "www.shop-a.org", False, False, "tls_untrusted"),
        ("www.shop-a.org", "www.shop-a.org", False, True, None),
        ("www.shop-a.org", "*.shop-a.org", False, True, None),
        ("www.shop-a.org", "blog.shop-a.org", False, True, "tls_hostname"),
    ],
)
def test_a_name_that_was_given_has_its_certificate(
    serve: Serve, find: Find, authority: Authority, name: str, shown: str, own: bool, trusted: bool, error: str | None
) -> None:
    port = serve(answer(status(200)), authority.context(shown, own=own))
    variables = {"SSL_CERT_FILE": str(authority.bundle)} if trusted else {}
    where = [f"127.0.0.1:{port}"]
    check = find(f"https://{name}:{port}/", variables=variables, named=True, addresses=where)
    assert (check["error"], check["address"]) == (error, where[0])


def test_a_site_is_asked_for_under_the_name_of_its_certificate(serve: Serve, find: Find, authority: Authority) -> None:
    def sites(connection: socket.socket) -> None:
        known = f"host: shop.test:{port}" in request(connection).lower()
        connection.sendall(status(200 if known else 503).encode())

    port = serve(sites, authority.context("shop.test"))
    check = find(url("https", port), addresses=[f"127.0.0.1:{port}"])
    assert (check["ok"], check["url"]) == (True, f"https://shop.test:{port}/")
    assert check["note"] == "asked under the name of its certificate: as localhost it answers 503"


def test_http2_only(serve: Serve, find: Find) -> None:
    def at_once(connection: socket.socket) -> None:  # grpc-go, grpc-java
        connection.sendall(SETTINGS)
        connection.recv(4096)

    def when_asked(connection: socket.socket) -> None:  # nghttp2
        connection.recv(4096)
        connection.sendall(SETTINGS)

    for guess, handler in (("tcp", at_once), ("http", at_once), ("tcp", when_asked), ("http", when_asked)):
        check = find(url(guess, serve(handler)))
        assert (check["kind"], check["ok"], check["note"]) == ("h2", True, "it speaks HTTP/2 only")
        assert check["url"].startswith("tcp://")
        assert check["chosen"].endswith("; it speaks HTTP/2")


@pytest.fixture
def s_server(authority: Authority) -> Iterator[Callable[..., int]]:
    """Start `openssl s_server` with these options; returns the port."""
    program = shutil.which("openssl")
    assert program
    with contextlib.ExitStack() as cleaning:

        def start(*options: str, **certificate: Any) -> int:
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = int(free.getsockname()[1])
            pem = str(authority.server(**certificate))
            command = [program, "s_server", "-quiet", "-accept", f"127.0.0.1:{port}", "-cert", pem, "-key", pem]
            server = cleaning.enter_context(
                subprocess.Popen([*command, *options], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
            )
            cleaning.callback(server.kill)
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.02)
            return port

        yield start


@pytest.mark.parametrize("guess", GUESSES)
def test_http2_only_over_tls(s_server: Callable[..., int], find: Find, guess: str) -> None:
    """This one refuses who does not offer h2."""
    check = find(url(guess, s_server("-alpn", "h2", own=True)))
    assert (check["kind"], check["ok"]) == ("h2", True)
    assert check["url"].startswith("tls://")
    assert check["certificate"]["expires_in_days"] > 29
    assert find(url(guess, s_server("-alpn", "h2", begin=-9, end=-1)))["error"] == "tls_expired"


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("guess", GUESSES)
def test_a_client_certificate_is_wanted(
    s_server: Callable[..., int], find: Find, authority: Authority, guess: str, version: str
) -> None:
    wants = (version, "-Verify", "1", "-verify_return_error", "-CAfile", str(authority.bundle), "-www")
    check = find(url(guess, s_server(*wants)))
    assert (check["kind"], check["ok"]) == ("tls", True)
    assert "certificate of its client" in check["note"] or "handshake failure" in check["note"]
    assert check["url"].startswith("tls://")


@pytest.mark.parametrize("guess", GUESSES)
def test_a_proxy_without_a_certificate_for_localhost(
    serve: Serve, find: Find, authority: Authority, guess: str
) -> None:
    context = authority.context("shop.test")
    context.sni_callback = lambda connection, name, own: (
        None if name == "shop.test" else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
    )
    port = serve(answer(status(200)), context)
    check = find(url(guess, port))
    assert (check["kind"], check["ok"]) == ("tls", True)
    assert "refuses the TLS handshake" in check["note"] and "asked as localhost" in check["note"]
    where = [f"127.0.0.1:{port}"]
    assert find(f"https://shop.test:{port}/", named=True, addresses=where)["status_code"] == 200
    assert find(f"https://blog.test:{port}/", named=True, addresses=where)["error"] == "tls_error"


def test_the_first_address_that_accepts_is_asked(serve: Serve, run: Run) -> None:
    port = serve(answer(status(200)))
    places = ["127.0.0.1:1", f"127.0.0.1:{port}"]
    entry = {"url": "http://localhost:1/", "chosen": "x", "guessed": True, "addresses": places}
    done = run("dm-probe", stdin=json.dumps({"service": "a", "external": [entry["url"]], "discovered": [entry]}))
    (record,) = records(done.stdout)
    assert record["probe"]["checks"][0]["address"] == places[1]
    assert record["discovered"][0]["addresses"] == places[1:]  # where a browser goes then, too
    entry["addresses"] = ["127.0.0.1:1", "127.0.0.1:2"]
    done = run("dm-probe", stdin=json.dumps({"service": "a", "external": [entry["url"]], "discovered": [entry]}))
    assert records(done.stdout)[0]["probe"]["checks"][0]["error"] == "refused"


def test_what_was_only_asked_in_case_is_no_check_if_nobody_answers(serve: Serve, run: Run) -> None:
    port = serve(answer(status(500)))
    urls = [f"http://127.0.0.1:{port}/", "http://127.0.0.1:1/", f"http://127.0.0.1:{serve(lambda each: None)}/"]
    entries = [{"url": url, "chosen": "exposed", "guessed": True, "optional": True} for url in urls]
    done = run("dm-probe", stdin=json.dumps({"service": "a", "internal": urls, "discovered": entries}))
    (record,) = records(done.stdout)
    assert [(each["id"], each["error"]) for each in record["probe"]["checks"]] == [("probe:0", "http_5xx")]
    assert record["internal"] == [each["url"] for each in record["discovered"]] == urls[:1]
    done = run("dm-probe", stdin=json.dumps({"service": "a", "internal": urls[1:], "discovered": entries[1:]}))
    (record,) = records(done.stdout)
    assert record["internal"] == record["discovered"] == record["probe"]["checks"] == []
    assert record["errors"][0]["code"] == "docker_unreachable"  # its container was asked about instead


@pytest.mark.parametrize(
    "wrong", [{"url": 1}, {"url": "http://a/", "chosen": "x", "addresses": ["a"]}, {"url": "http://a/", "chosen": 1}]
)
def test_what_is_wrong_with_the_section_is_said(run: Run, wrong: dict[str, Any]) -> None:
    done = run(
        "dm-probe", stdin=json.dumps({"service": "a", "external": ["http://127.0.0.1:1/"], "discovered": [wrong]})
    )
    assert done.returncode == 4
    assert records(done.stdout)[0]["errors"][0]["code"] == "bad_section"


def test_what_is_made_of_it(serve: Serve, run: Run, authority: Authority) -> None:
    """An expired certificate is an issue; one that nobody signed, a path that nobody named, and gRPC are none."""
    expired = serve(answer(status(200)), authority.context(begin=-9, end=-1, own=True))
    ports = {
        "expired": expired,
        "own": serve(answer(status(200)), authority.context(own=True)),
        "api": serve(answer(status(404))),
        "grpc": serve(lambda connection: (connection.sendall(SETTINGS), connection.recv(99), None)[2]),
        "broken": serve(answer(status(502))),
    }
    lines = []
    for name, port in ports.items():
        entry = {"url": f"https://localhost:{port}/", "chosen": "published", "guessed": True}
        lines.append(json.dumps({"service": name, "external": [entry["url"]], "discovered": [entry]}))
    done = run("dm-probe -K -t 3 | dm-analyze", stdin="\n".join(lines))
    judged = {each["service"]: each["analysis"] for each in records(done.stdout)}
    assert {name: (each["status"], each["cause"]) for name, each in judged.items()} == {
        "expired": ("failed", "tls_expired"),
        "own": ("healthy", None),
        "api": ("healthy", None),
        "grpc": ("healthy", None),
        "broken": ("failed", "http_error"),
    }
    assert "has expired (on " in judged["expired"]["hypothesis"]


# URLs that somebody configured: the wrong protocol is a fault, and named.


@pytest.fixture
def ask(run: Run) -> Callable[[str], dict[str, Any]]:
    def one(url: str) -> dict[str, Any]:
        return dict(records(run(f"dm-probe -t 3 {url}").stdout)[0]["probe"]["checks"][0])

    return one


def test_tls_spoken_to_a_plain_port(serve: Serve, ask: Callable[[str], dict[str, Any]]) -> None:
    def strict(connection: socket.socket) -> None:
        if connection.recv(4096).startswith(b"GET "):
            connection.sendall(status(200).encode())

    def lenient(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(status(400).encode())

    for handler in (strict, lenient):
        check = ask(f"https://127.0.0.1:{serve(handler)}/")
        assert check["error"] == "speaks_plain_http"
    assert check["message"] == "it speaks plain HTTP on this port, and was asked in TLS"
    foreign = ask(f"https://127.0.0.1:{serve(lambda connection: connection.sendall(b'220 mail ESMTP' + bytes(9)))}/")
    assert (foreign["error"], foreign["message"]) == ("tls_error", "the server does not speak TLS on this port")


def test_plain_http_spoken_to_a_tls_port(
    serve: Serve, authority: Authority, ask: Callable[[str], dict[str, Any]]
) -> None:
    said = "<h1>400 Bad Request</h1><center>The plain HTTP request was sent to HTTPS port</center>"
    for port in (serve(answer(status(200)), authority.context()), serve(answer(status(400, said)))):
        check = ask(f"http://127.0.0.1:{port}/")
        assert check["error"] == "speaks_tls"
        assert check["message"] == "it speaks TLS on this port, and was asked in plain HTTP"


def test_a_certificate_alone(serve: Serve, authority: Authority, run: Run) -> None:
    port = serve(until_closed, authority.context())
    done = run(f"dm-probe tls://127.0.0.1:{port}", SSL_CERT_FILE=str(authority.bundle))
    check = records(done.stdout)[0]["probe"]["checks"][0]
    assert (check["kind"], check["ok"], check["certificate"]["subject"]) == ("tls", True, "CN=127.0.0.1")
    expired = serve(until_closed, authority.context(begin=-5, end=-1))
    assert records(run(f"dm-probe tls://127.0.0.1:{expired}").stdout)[0]["probe"]["checks"][0]["error"] == "tls_expired"


def test_configured_http2_and_client_certificates(
    s_server: Callable[..., int], authority: Authority, run: Run, serve: Serve
) -> None:
    def check(url: str) -> dict[str, Any]:
        done = run(f"dm-probe -t 3 {url}", SSL_CERT_FILE=str(authority.bundle))
        return dict(records(done.stdout)[0]["probe"]["checks"][0])

    assert check(f"https://127.0.0.1:{s_server('-alpn', 'h2')}/")["kind"] == "h2"
    assert check(f"https://127.0.0.1:{s_server('-alpn', 'h2', host='other.test')}/")["error"] == "tls_hostname"
    wants = ("-tls1_3", "-Verify", "1", "-verify_return_error", "-CAfile", str(authority.bundle), "-www")
    assert check(f"https://127.0.0.1:{s_server(*wants)}/")["error"] == "tls_client_certificate"
    said = "<center>No required SSL certificate was sent</center>"
    nginx = serve(answer(status(400, said)), authority.context())
    assert check(f"https://127.0.0.1:{nginx}/")["error"] == "tls_client_certificate"
