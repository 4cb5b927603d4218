"""Requests that must not succeed at dm-serve: tests/data/hostile/requests.toml, one by one, at a real server.

Of every answer: it is no success, and no secret of the server's environment or folder is in it; the server lives on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import threading
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from tests.serving import CANARY, ROOT, Server

DATA: dict[str, Any] = tomllib.loads((ROOT / "tests/data/hostile/requests.toml").read_text())
CHUNKED = "Transfer-Encoding: chunked"
ANSWER = re.compile(rb"HTTP/1\.1 (\d{3}) ")


@pytest.fixture(scope="module")
def witness() -> Iterator[tuple[int, list[bytes]]]:
    """A port of this machine that nobody may be led to, and who came all the same."""
    came: list[bytes] = []
    with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, address = listener.accept()
                    came.append(str(address).encode())
                    connection.close()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1], came
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
    assert came == []


def raw(server: Server, data: bytes, patience: float = 20) -> tuple[list[int], bytes]:
    """What comes back to these bytes: the statuses, and all of it."""
    with socket.create_connection(("127.0.0.1", server.port), 20) as end:
        end.settimeout(patience)
        found = b""
        with contextlib.suppress(OSError):  # it may hang up while we still send, or in the middle of what it says
            end.sendall(data)
        with contextlib.suppress(OSError):
            while part := end.recv(1 << 16):
                found += part
    return [int(each) for each in ANSWER.findall(found)], found


def request(method: str, path: str, body: bytes = b"", host: str = "localhost", more: str = "") -> bytes:
    """A request as it goes over the wire; what is no ASCII goes as UTF-8."""
    length = f"Content-Length: {len(body)}\r\n" if body or method == "POST" else ""
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{more}{length}Connection: close\r\n\r\n"
    return head.encode() + body


def refused(server: Server, data: bytes, *expected: int) -> bytes:
    """Send it and hold the answer to what is expected of all of them."""
    statuses, said = raw(server, data)
    assert not [each for each in statuses if each < 400], said[:500]
    assert not expected or statuses in ([each] for each in expected), said[:500]
    assert CANARY.encode() not in said and b"root:x:0" not in said and b"Traceback" not in said
    assert server.process.poll() is None
    return said


def call(name: str, arguments: Any) -> bytes:
    return request("POST", f"/tools/{name}", json.dumps(arguments).encode())


def filled(value: Any, server: Server, place: int) -> Any:
    """The texts of a value with the ports in them."""
    if isinstance(value, str):
        return value.replace("{port}", str(server.port)).replace("{witness}", str(place))
    if isinstance(value, list):
        return [filled(each, server, place) for each in value]
    return {key: filled(each, server, place) for key, each in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize("path", DATA["paths"])
def test_a_path(server: Server, path: str) -> None:
    refused(server, request("GET", path))


@pytest.mark.parametrize("route", DATA["routes"])
@pytest.mark.parametrize("method", DATA["methods"])
def test_a_method(server: Server, method: str, route: str) -> None:
    refused(server, request(method, route))


@pytest.mark.parametrize("host", DATA["hosts"])
def test_another_name(server: Server, host: str) -> None:
    refused(server, request("GET", "/healthz", host=filled(host, server, 0)), 421, 400)


@pytest.mark.parametrize("origin", DATA["origins"])
def test_a_page_of_another_origin(server: Server, origin: str) -> None:
    origin = filled(origin, server, 0)
    refused(
        server,
        request("POST", "/start-stack-probe", host=f"127.0.0.1:{server.port}", more=f"Origin: {origin}\r\n"),
        403,
    )


@pytest.mark.parametrize("url", DATA["urls"])
def test_a_url_that_is_nobodys(server: Server, witness: tuple[int, list[bytes]], url: str) -> None:
    url = filled(url, server, witness[0])
    for tool in ("http_get", "browser_dom"):
        assert re.search(rb"not_in_inventory|bad_arguments", refused(server, call(tool, {"url": url})))
    assert witness[1] == []


@pytest.mark.parametrize("name", DATA["headers"])
def test_a_header_that_is_ours(server: Server, name: str) -> None:
    given = {"url": "http://127.0.0.1:9/health", "headers": {name: f"{CANARY[:-1]}x"}}
    assert re.search(rb"not_allowed|bad_arguments", refused(server, call("http_get", given)))


@pytest.mark.parametrize(("tool", "arguments"), DATA["arguments"], ids=str)
def test_arguments_of_a_tool(server: Server, witness: tuple[int, list[bytes]], tool: str, arguments: Any) -> None:
    said = refused(server, call(tool, arguments))
    assert b"internal" not in said and b"uid=" not in said


@pytest.mark.parametrize("body", DATA["sessions"], ids=str)
def test_arguments_of_a_session(server: Server, witness: tuple[int, list[bytes]], body: Any) -> None:
    body = json.dumps(filled(body, server, witness[0])).encode()
    assert b"bad_arguments" in refused(server, request("POST", "/analyze-and-propose-fixes", body))
    assert not (server.proofs / "runs").exists() or not list((server.proofs / "runs").glob("*/*execute*"))


@pytest.mark.parametrize("body", DATA["bodies"])
def test_what_is_no_object(server: Server, body: str) -> None:
    refused(server, request("POST", "/tools/host_exec_readonly", body.encode()), 400)


@pytest.fixture(scope="module")
def heard(server: Server) -> Iterator[list[Future[tuple[list[int], bytes]]]]:
    """What comes back to each of the smuggled ones within some seconds; all at once, since some wait for more."""
    with ThreadPoolExecutor(len(DATA["smuggled"])) as pool:
        yield [pool.submit(raw, server, data.encode("latin-1"), 3) for data in DATA["smuggled"]]


@pytest.mark.parametrize("number", range(len(DATA["smuggled"])), ids=lambda number: DATA["smuggled"][number][:40])
def test_what_hides_in_a_request(heard: list[Future[tuple[list[int], bytes]]], number: int) -> None:
    statuses, said = heard[number].result()
    assert len(statuses) <= 1 and not [each for each in statuses if each < 400] and b"Traceback" not in said, said


@pytest.mark.parametrize(("what", "size"), DATA["oversized"])
def test_what_is_too_much(server: Server, what: str, size: int) -> None:
    tool, alone = "/tools/host_exec_readonly", "HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    chunk = b"10000\r\n%b\r\n" % (b" " * 65_536)
    data: dict[str, Callable[[], bytes]] = {
        "url": lambda: request("GET", f"/reports/{'x' * size}"),
        "header": lambda: request("GET", "/healthz", more=f"X: {'x' * size}\r\n"),
        "headers": lambda: request("GET", "/healthz", more="X-Y: some words\r\n" * size),
        "body": lambda: request("POST", tool, b"x" * size),
        "chunks": lambda: (
            f"POST {tool} {alone}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk * (size // 65_536 + 1)
        ),
        "declared": lambda: f"POST {tool} {alone}Content-Length: {size}\r\n\r\n{{}}".encode(),
        "nested": lambda: request("POST", tool, b"[" * size),
        "number": lambda: request("POST", tool, b'{"cmd": %b}' % (b"9" * size)),
        "argument": lambda: call("host_exec_readonly", {"cmd": "x" * size}),
        "keys": lambda: call("host_exec_readonly", dict.fromkeys(map(str, range(size)), 1)),
    }
    refused(server, data[what]())
    assert server.ask("GET", "/healthz").status_code == 200


def test_a_resource(server: Server, witness: tuple[int, list[bytes]]) -> None:
    from mcp import MCPError
    from mcp.client import Client

    async def read() -> None:
        async with Client(f"{server.url}/mcp") as client:
            for uri in DATA["resources"]:
                with pytest.raises((MCPError, ValueError)) as wrong:
                    await client.read_resource(filled(uri, server, witness[0]))
                assert CANARY not in str(wrong.value), uri

    asyncio.run(read())


def test_how_many_there_are_is_told() -> None:
    lists = {name: found for name, found in DATA.items() if name not in ("methods", "routes")}
    count = sum(map(len, lists.values())) + len(DATA["methods"]) * len(DATA["routes"])
    assert count >= 200
    assert f"{count} hostile requests" in (ROOT / "docs/serve.md").read_text()
