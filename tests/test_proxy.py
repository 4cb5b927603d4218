"""The docker-proxy: a real HAProxy before a witness, which is asked every call of the Engine API, and before an engine.

The witness stands for the engine where every call is tried: a real one would be destroyed by what must be refused.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import shlex
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests import dockerproxy
from tests.conftest import ROOT, Box, Proxy, Run, records

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
LISTS = [ROOT / "tests/data/engine-api" / f"{version}.txt" for version in ("1.41", "1.56")]
CALLS = sorted({tuple(line.split(" ", 1)) for path in LISTS for line in path.read_text().splitlines()})
PATHS = sorted({path for _, path in CALLS})

LOOKED_AT = {
    "/_ping",
    "/version",
    "/info",
    "/events",
    "/containers/json",
    "/containers/{id}/json",
    "/containers/{id}/logs",
    "/containers/{id}/stats",
    "/containers/{id}/top",
    "/images/json",
    "/images/{name}/json",
    "/networks",
    "/nodes",
    "/services",
    "/tasks",
}
LOOKS = {(method, path) for method in ("GET", "HEAD") for path in LOOKED_AT}
ACTS = {
    ("POST", f"/containers/{{id}}/{verb}") for verb in ["start", "stop", "restart", "pause", "unpause", "update"]
} | {
    ("POST", "/networks/{id}/connect"),
    ("POST", "/networks/{id}/disconnect"),
}
MAKES = {
    ("POST", "/containers/create"),
    ("POST", "/containers/{id}/rename"),
    ("GET", "/containers/{id}/changes"),
    ("HEAD", "/containers/{id}/changes"),
    ("HEAD", "/containers/{id}/archive"),
}


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self.path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self.path)


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[dockerproxy.Witness]:
    """What the proxy lets through is heard at `witness.sock`."""
    with dockerproxy.witness(tmp_path / "witness.sock") as heard:
        yield heard


def filled(path: str) -> str:
    """A path of the API with something in it: names as they are."""
    return path.replace("{id}", "shop-web_1.2").replace("{name}", "library/nginx:1.27")


def test_every_call_of_the_engines_api(proxy: Proxy, witness: dockerproxy.Witness, tmp_path: Path) -> None:
    ways = {
        ("haproxy", ""): LOOKS,
        ("haproxy-execute", ""): LOOKS | ACTS,
        ("haproxy-execute", "yes"): LOOKS | ACTS | MAKES,
    }
    assert len(PATHS) > 90 and len(CALLS) >= 108
    for (config, recreate), expected in ways.items():
        variables = {"DM_PROXY_RECREATE": recreate} if recreate else {}
        own = proxy(tmp_path / "witness.sock", config, **variables)
        passed = set()
        with contextlib.closing(UnixConnection(own)) as connection:
            for method, path, version in itertools.product(METHODS, PATHS, ("", "/v1.41", "/v1.56")):
                witness.heard.clear()
                connection.request(method, version + filled(path))
                answer = connection.getresponse()
                said = answer.read()
                assert (answer.status == 200) == bool(witness.heard), (method, version + path)
                if answer.status == 200:
                    passed.add((method, path))
                elif method != "HEAD":
                    assert f"{method} {version}{filled(path)} is not allowed" in json.loads(said)["message"]
                    assert answer.status == 403
        assert passed == expected, config


REFUSED = [
    "/containers/json/../x/exec",
    "/containers/../secrets",
    "/containers/x/../../secrets/json",
    "//containers/json",
    "/containers//json",
    "/./containers/json",
    "/containers/%2e%2e/json",
    "/containers/x%2farchive/json",
    "/containers/x/json/",
    "/containers/x/json%00",
    "/containers/x/json;a=b",
    "/containers/-x/json",
    "/v1.41/v1.41/containers/json",
    "/v2.0/containers/json",
    "/v1.41.1/containers/json",
    "/v4.3.1/libpod/containers/json",
    "/libpod/containers/json",
    "/images/a/../../containers/x/archive/json",
    "/images/.hidden/json",
    "/debug/pprof/profile",
    "/grpc",
    "/metrics",
    "http://elsewhere/containers/x/archive",
    "*",
]


@pytest.mark.parametrize("config", ["haproxy", "haproxy-execute"])
def test_tricks_with_paths_and_methods(config: str, proxy: Proxy, witness: dockerproxy.Witness, tmp_path: Path) -> None:
    own = proxy(tmp_path / "witness.sock", config, DM_PROXY_RECREATE="yes")
    lines = [f"GET {path} HTTP/1.1\r\n" for path in REFUSED]
    lines += [f"{method} /containers/json HTTP/1.1\r\n" for method in ("get", "GETX", "TRACE", "CONNECT", "PROPFIND")]
    lines += [f"DELETE /containers/x{query} HTTP/1.1\r\n" for query in ("", "?v=1", "?v=true&force=false", "?force=1")]
    for line in lines:
        assert b" 200 " not in asked(own, line + "Host: docker\r\n"), line
    for headers in (
        "Host: evil.example\r\n",
        "Host: docker\r\nOrigin: http://evil.example\r\n",
    ):
        assert b" 200 " not in asked(own, "GET /containers/json HTTP/1.1\r\n" + headers), headers
    assert witness.heard == []
    for host in ("docker", "localhost:2375", "127.0.0.1:2375", "[::1]:2375", "api.moby.localhost", "docker-proxy"):
        assert b" 200 " in asked(own, f"GET /containers/json HTTP/1.1\r\nHost: {host}\r\n"), host
    assert len(witness.heard) == 6
    within = "0\r\n\r\nPOST /containers/x/kill HTTP/1.1\r\nHost: docker\r\n"
    both = "Host: docker\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    asked(own, "GET /containers/json HTTP/1.1\r\n" + both + within)
    assert {method for method, _ in witness.heard} == {"GET"}


def asked(own: Path, head: str) -> bytes:
    """What comes back to the beginning of a request, as it is."""
    with socket.socket(socket.AF_UNIX) as end:
        end.settimeout(10)
        end.connect(str(own))
        end.sendall(head.encode() + b"Connection: close\r\n\r\n")
        return b"".join(iter(lambda: end.recv(65536), b""))


def test_all_that_looks_works_through_it(run: Run, box: Box, shop: dict[str, str], proxy: Proxy) -> None:
    labels = {"com.docker.compose.project": "dmproxy", "com.docker.compose.service": "web"}
    container = box("proxy-web", "sh", "-c", "echo ready; sleep 100", labels=labels)
    engine = shop["DOCKER_HOST"].removeprefix("unix://")
    own = proxy(engine)
    behind = shop | {"DOCKER_HOST": f"unix://{own}", "COMPOSE_PROJECT_NAME": "dmproxy"}
    done = run("dm-services --discover | dm-probe | dm-inspect | dm-logs | dm-stats | dm-analyze", **behind)
    assert (done.returncode, done.stderr) == (0, "")
    (record,) = records(done.stdout)
    assert not record.get("errors") and record["inspect"]["state"] == "running"
    assert [line["text"] for line in record["logs"]["lines"]] == ["ready"]
    assert record["stats"]["memory_bytes"] > 0 and record["inspect"]["processes"]
    action = {
        "issue_id": "1",
        "service": "web",
        "action": "restart",
        "confidence": "high",
        "reasoning": "",
        "parameters": {},
    }
    inspected = record["inspect"]
    action["identity"] = {
        "container_id": container.id,
        "started_at": inspected["started_at"],
        "state": "running",
        "restart_count": 0,
    }
    approval = {"generated_at": inspected["observed_at"], "source_report": "x", "approved_actions": [action]}
    refused = run("dm-execute", json.dumps(approval), **behind)
    (execution,) = (each["execution"] for each in records(refused.stdout))
    assert execution["status"] == "failed" and "is not allowed" in execution["reason"], refused.stderr
    acting = behind | {"DOCKER_HOST": f"unix://{proxy(engine, 'haproxy-execute')}"}
    done = run("dm-execute", json.dumps(approval), **acting)
    assert [each["execution"]["status"] for each in records(done.stdout)] == ["done"], done.stdout


def test_the_session_starts_one(run: Run, witness: dockerproxy.Witness, tmp_path: Path) -> None:
    own = tmp_path / "made/by it/docker.sock"
    command = [str(ROOT / "scripts/supervisor-session.sh"), "proxy", "--bind", f"unix://{own}"]
    variables = os.environ | {"DOCKER_HOST": f"unix://{tmp_path}/witness.sock"}
    own.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as left:  # by one that was killed: nobody listens there
        left.bind(str(own))
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, env=variables, **pipes) as process:
        try:
            assert process.stdout and process.stdout.readline() == f"[proxy] DOCKER_HOST=unix://{own}\n"
            assert b" 200 " in asked(own, "GET /_ping HTTP/1.1\r\nHost: docker\r\n")  # at once: it listens
            assert b" 403 " in asked(own, "POST /containers/x/start HTTP/1.1\r\nHost: docker\r\n")
            another = run(shlex.join(command), **variables)
            assert (another.returncode, another.stdout) == (2, "") and "somebody listens at" in another.stderr
            with socket.socket(socket.AF_UNIX) as end:  # a request that is not whole yet
                end.connect(str(own))
                end.sendall(b"GET /_ping HTTP/1.1\r\nHo")
                process.terminate()
                assert process.wait(10) in (0, 143, -15)
                assert [line for line in process.stdout if "403" not in line] == []
        finally:
            process.kill()
    assert witness.heard == [("GET", "/_ping")] and own.parent.stat().st_mode & 0o777 <= 0o755 and own.is_socket()


SLOW = {
    "says nothing": "",
    "a head": "GET /_ping HTTP/1.1\r\nHost: docker\r\n",
    "a body": "POST /containers/x/start HTTP/1.1\r\nHost: docker\r\nContent-Length: 999\r\n\r\n",
    "a second head": "GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\nGET /_pi",
}


@pytest.mark.slow  # it waits the ten seconds of `timeout http-request`; what else those lines say is tried on each push
def test_who_takes_his_time_is_not_waited_for(proxy: Proxy, witness: dockerproxy.Witness, tmp_path: Path) -> None:
    own = proxy(tmp_path / "witness.sock", "haproxy-execute")

    def dripped(head: str) -> float:
        with socket.socket(socket.AF_UNIX) as end:
            end.connect(str(own))
            end.settimeout(0.2)
            begun = time.monotonic()
            with contextlib.suppress(OSError):
                end.sendall(head.encode())
                while time.monotonic() - begun < 30:
                    with contextlib.suppress(TimeoutError):
                        if not end.recv(4096):
                            break
                    end.sendall(b"x" if head else b"")
            return time.monotonic() - begun

    with ThreadPoolExecutor(len(SLOW)) as pool:
        found = dict(zip(SLOW, pool.map(dripped, SLOW.values()), strict=True))
    assert not [name for name, seconds in found.items() if seconds > 20], found
    assert {path for _, path in witness.heard} <= {"/_ping"}


@pytest.mark.parametrize("arguments", ["--bind", "--bind nowhere", "--bind ftp", "--elsewhere"])
def test_the_session_says_what_it_wants(arguments: str, run: Run) -> None:
    done = run(f"{ROOT}/scripts/supervisor-session.sh proxy {arguments}")
    assert (done.returncode, done.stdout) == (2, "") and "usage: supervisor-session.sh proxy" in done.stderr
    done = run(f"{ROOT}/scripts/supervisor-session.sh proxy", DOCKER_HOST="ssh://elsewhere")
    assert (done.returncode, done.stderr) == (
        2,
        "supervisor: cannot stand before ssh://: the engine must be at unix:// or tcp://\n",
    )
