"""What is wanted of a URL: said in the manifest or on the command line, and held against what really answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dm_tools.collect import asking, expecting
from dm_tools.records import Certificate, Check, ProbeError
from tests.conftest import Run, records
from tests.servers import Serve, answer, request, status

BODY = '{"status": "ok", "db": {"up": true, "pools": [{"size": 0}]}}'


def manifest(folder: Path, *entries: dict[str, Any]) -> None:
    path = folder / "configs/probe-orchestrator/services_manifest.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"services": entries}))


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"status": 200}, None),
        ({"status": [204, 200]}, None),
        ({"status": 204}, "HTTP status 200, and 204 is wanted"),
        ({"text": '"ok"'}, None),
        ({"text": "ready"}, "the answer does not hold 'ready'"),
        ({"json": {"status": "ok", "db.up": True, "db.pools.0.size": 0}}, None),
        ({"json": {"db.up": 1}}, "'db.up' is true, and 1 is wanted"),
        ({"json": {"db.pools.1.size": 0}}, "'db.pools.1.size' is missing, and 0 is wanted"),
        ({"method": "HEAD", "status": 200}, None),
    ],
)
def test_the_manifests_wishes(
    run: Run, tmp_path: Path, serve: Serve, wish: dict[str, Any], message: str | None
) -> None:
    port = serve(answer(status(200, BODY)))
    manifest(tmp_path, {"name": "a", "external": [{"url": f"http://127.0.0.1:{port}/"} | wish]})
    (check,) = records(run("dm-services | dm-probe").stdout)[0]["probe"]["checks"]
    assert (check["ok"], check["message"]) == (message is None, message)
    assert check["error"] == (message and "unexpected_answer")


def test_a_wanted_error_is_well_and_an_unwanted_one_keeps_its_name(run: Run, tmp_path: Path, serve: Serve) -> None:
    url = f"http://127.0.0.1:{serve(answer(status(503)))}/"
    manifest(tmp_path, {"name": "a", "external": [{"url": url, "status": 503}, {"url": url + "b", "status": 200}]})
    first, second = records(run("dm-services | dm-probe").stdout)[0]["probe"]["checks"]
    assert (first["ok"], second["error"]) == (True, "http_5xx")


def test_headers_are_filled_in_by_the_probe_and_are_in_no_record(run: Run, tmp_path: Path, serve: Serve) -> None:
    heard: list[str] = []

    def echo(connection: Any) -> None:
        heard.append(request(connection))
        connection.sendall(status(200, heard[-1]).encode())

    url = f"http://127.0.0.1:{serve(echo)}/"
    manifest(tmp_path, {"name": "a", "external": [{"url": url, "headers": {"Authorization": "Bearer ${SHOP_TOKEN}"}}]})
    listed = run("dm-services").stdout
    assert "${SHOP_TOKEN}" in listed
    done = run("dm-probe", listed, SHOP_TOKEN="s3cr3t-t0ken-1")
    assert "Authorization: Bearer s3cr3t-t0ken-1\r\n" in heard[0]
    assert "s3cr3t" not in done.stdout and records(done.stdout)[0]["probe"]["status"] == "healthy"
    assert records(run("dm-probe", listed).stdout)[0]["errors"][0]["code"] == "unset_variable"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ({"url": "http://x/", "statsu": 1}, "did you mean 'status'?"),
        ({"url": "http://x/", "status": 302}, "redirects are followed"),
        ({"url": "http://x/", "method": "DELETE"}, "DELETE"),
        ({"url": "http://x/", "method": "HEAD", "text": "x"}, "has no text"),
        ({"url": "http://x/", "interval": "soon"}, "'soon' is no time"),
        ({"url": "http://x/", "headers": {"X-Api-Key": "abc"}}, "write ${NAME}"),
        ({"url": "http://x/", "headers": {"A": "b\nc"}}, "is no header"),
        ({"url": "tcp://x:1", "text": "x"}, "have no status"),
        ({"url": "http://${UNSET}/"}, "UNSET"),
        ({"status": 200}, "url"),
    ],
)
def test_what_cannot_be_wanted_is_status_3_and_says_where(run: Run, tmp_path: Path, url: Any, words: str) -> None:
    manifest(tmp_path, {"name": "a", "external": ["http://y/", url]})
    done = run("dm-services")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert "services[0]" in done.stderr and words in done.stderr


@pytest.mark.parametrize(("days", "error"), [(30, None), (7, "tls_expires_soon"), (-1, "tls_expired")])
def test_a_certificate_that_ends_soon(days: float, error: str | None) -> None:
    shown = Certificate(not_before="", not_after="", expires_in_days=days, subject="", issuer="")
    check = Check(id="probe:0", url="", kind="tls", scope="external", ok=days > 0, certificate=shown)
    check.error = ProbeError.TLS_EXPIRED if days < 0 else None
    expecting.judge(check, expecting.wanted(expecting.Url(url="tls://x:1", certificate_days=14), None))
    assert (check.error, check.ok) == (error, error is None)


def test_an_interval_spares_rounds(run: Run, tmp_path: Path, serve: Serve) -> None:
    heard: list[str] = []

    def count(connection: Any) -> None:
        heard.append(request(connection).split()[1])
        connection.sendall(status(200).encode())

    base = f"http://127.0.0.1:{serve(count)}"
    manifest(tmp_path, {"name": "a", "external": [{"url": f"{base}/rare", "interval": "1h"}, f"{base}/often"]})
    done = run("dm-services --every 100ms | dm-probe | head -n 6")
    rounds = [each for each in records(done.stdout) if "service" in each]
    assert len(rounds) == 3
    assert all([check["ok"] for check in each["probe"]["checks"]] == [True, True] for each in rounds)
    assert heard.count("/rare") == 1 and heard.count("/often") >= 3


def test_a_service_outside_docker_is_no_missing_evidence(run: Run, tmp_path: Path, shop: dict[str, str]) -> None:
    listed = {"name": "payments", "container": False, "external": ["http://127.0.0.1:1/"]}
    (tmp_path / "m.json").write_text(json.dumps({"services": [listed]}))
    line = "dm-services | dm-probe | dm-inspect | dm-logs | dm-stats"
    done = run(line, **shop | {"SERVICES_MANIFEST_PATH": "m.json"})
    (record,) = records(done.stdout)
    assert (done.returncode, record.get("errors") or []) == (0, [])
    assert record["probe"]["status"] == "failed" and "inspect" not in record


def test_options_as_curl_has_them(run: Run, tmp_path: Path, serve: Serve) -> None:
    heard: list[str] = []

    def listen(connection: Any) -> None:
        heard.append(request(connection))
        connection.sendall(status(200, "fine").encode())

    port = serve(listen)
    (tmp_path / "headers").write_text("X-From: file\n\nX-Two: 2\n")
    line = f"dm-probe -H 'X-One: 1' -H @headers -X OPTIONS --expect 200 --expect text=fine http://127.0.0.1:{port}/"
    assert records(run(line).stdout)[0]["probe"]["status"] == "healthy"
    assert heard[0].startswith("OPTIONS / ")
    assert all(f"\r\n{header}\r\n" in heard[0] for header in ("X-One: 1", "X-From: file", "X-Two: 2"))
    place = records(run(f"dm-probe --expect text=no 127.0.0.1:{port}").stdout)[0]
    assert (place["external"], place["probe"]["checks"][0]["kind"]) == ([f"tcp://127.0.0.1:{port}"], "tcp")
    for wrong in ("-H nothing", "-H @none", "-X POST", "--expect maybe", "-X HEAD --expect text=x"):
        refused = run(f"dm-probe {wrong} http://127.0.0.1:{port}/")
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)


def test_retries_until_it_answers(run: Run, serve: Serve) -> None:
    left = [status(503), status(503), status(200)]

    def mend(connection: Any) -> None:
        request(connection)
        connection.sendall(left.pop(0).encode())

    url = f"http://127.0.0.1:{serve(mend)}/"
    (check,) = records(run(f"dm-probe --retries 2 {url}").stdout)[0]["probe"]["checks"]
    assert check["ok"] and left == []


@pytest.mark.parametrize(
    ("word", "url"),
    [("db:5432", "tcp://db:5432"), ("[::1]:80", "tcp://[::1]:80"), ("db", "db"), ("http://x:1/", "http://x:1/")],
)
def test_a_place_is_a_url(word: str, url: str) -> None:
    assert asking.as_url(word) == url
