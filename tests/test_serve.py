"""dm-serve as its callers meet it: a real server, curl's and httpx's requests, the MCP SDK's own client."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from dm_tools.commands.serve import token
from dm_tools.pipe import clock, configs
from dm_tools.records import new
from dm_tools.serve import app, guard, stack
from dm_tools.serve.runs import Busy, Failed, Runs, Wanted
from tests import lab as fault_lab
from tests.conftest import COLD, ROOT, SEALED, Proxy, Run
from tests.serving import Server, serving

TOKEN = "0123456789abcdef-0123"


def test_what_the_seed_asks_for(server: Server) -> None:
    health = server.ask("GET", "/healthz")
    assert (health.status_code, health.json()) == (200, {"ok": True})
    listed = server.ask("GET", "/tools").json()["tools"]
    names = ["browser_screenshot", "browser_dom", "http_get", "docker_list_containers", "docker_logs", "docker_stats"]
    ours = {"diagnose", "explain", "history"}
    assert {each["name"] for each in listed} == {*names, "docker_inspect", "host_exec_readonly"} | ours
    assert all(each["annotations"]["readOnlyHint"] for each in listed)
    answer = server.ask("POST", "/tools/host_exec_readonly", json={"cmd": "nproc"})
    assert answer.status_code == 200 and int(answer.json()["output"]) == os.cpu_count()


# Of "Troubleshooting" in the seed's manual: the line, and what it prints
WRITTEN = {
    "curl http://localhost:8081/healthz": '{"ok":true}',
    "curl http://localhost:8081/tools": '"name":"docker_logs"',
}


def test_the_seeds_commands_work_as_written(tmp_path: Path) -> None:
    """With a dm-serve that was told nothing, in a network of their own: the port is the real one."""
    asked = "".join(f"echo; echo '== {line}'; {line} 2>&1\n" for line in WRITTEN)
    waited = "until grep -q listening serve.err; do sleep 0.1; done"
    script = f"ip link set lo up; dm-serve 2>serve.err & server=$!; {waited}; cd {ROOT}\n{asked}kill $server; wait"
    variables = SEALED | COLD | {"PROOFS_DIR": str(tmp_path / "proofs")}
    command = ["unshare", "--map-root-user", "--net", "bash", "-c", script]
    done = subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    printed = dict(each.split("\n", 1) for each in done.stdout.split("== ")[1:])
    assert list(printed) == list(WRITTEN), done.stderr
    assert [line for line, expected in WRITTEN.items() if expected not in printed[line]] == [], printed


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/tools/docker_remove", "{}", 404, "unknown_tool"),
        ("/tools/docker_logs", "{}", 422, "bad_arguments"),
        ("/tools/docker_logs", '{"container": "app", "tail": 9999}', 422, "bad_arguments"),
        ("/tools/docker_logs", '{"container": "elsewhere"}', 404, "not_in_inventory"),
        ("/tools/docker_logs", '{"container": "app"}', 503, "docker_unreachable"),
        ("/tools/http_get", '{"url": "http://169.254.169.254/latest/meta-data"}', 404, "not_in_inventory"),
        ("/tools/http_get", '{"url": "file:///etc/passwd"}', 404, "not_in_inventory"),
        ("/tools/http_get", '{"url": "http://127.0.0.1:9@evil/"}', 404, "not_in_inventory"),
        ("/tools/host_exec_readonly", '{"cmd": "cat /etc/shadow"}', 403, "not_allowed"),
        ("/tools/host_exec_readonly", '{"cmd": "uptime; id"}', 403, "not_allowed"),
        ("/tools/host_exec_readonly", "[]", 400, "400"),
        ("/tools/host_exec_readonly", "{", 400, "400"),
        ("/tools/host_exec_readonly", '"x"', 400, "400"),
        ("/analyze-and-propose-fixes", '{"services": ["--help"]}', 422, "bad_arguments"),
        ("/analyze-and-propose-fixes", '{"services": ["a b"]}', 422, "bad_arguments"),
        ("/analyze-and-propose-fixes", '{"engine": "x; id"}', 422, "bad_arguments"),
        ("/analyze-and-propose-fixes", '{"execute": true}', 422, "bad_arguments"),
        ("/start-stack-probe", '{"services": 1}', 422, "bad_arguments"),
        ("/start-stack-probe", "{}", 503, "failed"),
    ],
)
def test_what_is_refused_is_told(server: Server, path: str, body: str, status: int, code: str) -> None:
    answer = server.ask("POST", path, content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text


def test_reports_and_the_page(server: Server) -> None:
    rows = server.ask("GET", "/reports").json()["reports"]
    assert [row["id"] for row in rows] == ["enhanced_diagnostics_1764500000"]
    assert server.ask("GET", "/reports/enhanced").json()["report_id"] == "enhanced-1"
    page = server.ask("GET", "/reports/enhanced_diagnostics_1764500000.html")
    assert page.text == "<p>page</p>" and page.headers["content-type"].startswith("text/html")
    home = server.ask("GET", "/")
    assert "/reports/enhanced_diagnostics_1764500000.html" in home.text and "<script" not in home.text
    assert home.headers["content-security-policy"].startswith("default-src 'none'")
    figures = server.ask("GET", "/metrics").text
    assert 'dm_services{status="healthy"} 1' in figures and "dm_report_timestamp_seconds 1764500000.000" in figures


def test_a_watch_that_makes_no_rounds_turns_healthz_red_and_its_figures_are_told(server: Server) -> None:
    watch, at = server.proofs / "watch", "2026-01-01T00:00:00Z"
    watch.mkdir()
    status = {
        "every_s": 30.0,
        "took_s": 1.0,
        "ended_at": clock.rfc3339(time.time()),
        "rounds": 7,
        "open": [{"severity": "critical"}],
    }

    def written(**changes: str) -> httpx.Response:
        (watch / "status.json").write_text(json.dumps(status | changes))
        return server.ask("GET", "/healthz")

    try:
        assert written().json() == {"ok": True}
        health = written(ended_at=at)
        assert health.status_code == 503 and health.json()["reason"].startswith(
            "no round of the watch has come through"
        )
        figures = server.ask("GET", "/metrics").text
        assert "dm_watch_rounds_total 7\n" in figures and 'dm_incidents_open{severity="critical"} 1\n' in figures
        assert written(ended_at=at, stopped_at=at).json() == {"ok": True}
    finally:
        shutil.rmtree(watch)


def test_the_document_tells_every_route(server: Server) -> None:
    document = server.ask("GET", "/openapi.json").json()
    tools = {f"/tools/{each['name']}" for each in server.ask("GET", "/tools").json()["tools"]}
    assert tools < set(document["paths"])
    for path, methods in document["paths"].items():
        for method in methods:
            answer = server.ask(
                method.upper(), path.replace("{name}", "latest"), content="[]" if method == "post" else b""
            )
            assert str(answer.status_code) in methods[method]["responses"], (path, answer.status_code)
            assert server.ask("DELETE", path.replace("{name}", "x")).status_code in (404, 405)


HEADERS = [
    ({"Host": "evil.example"}, 421),
    ({"Host": "127.0.0.1.evil.example"}, 421),
    ({"Host": "localhost@evil.example"}, 421),
    ({"Host": "localhost#@evil.example"}, 421),
    ({"Host": ""}, 421),
    ({"Origin": "http://evil.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Origin": "file://"}, 403),
    ({"Origin": "http://127.0.0.1:3000"}, 403),  # a page of a service that is looked at
    ({"Origin": "http://localhost:8081"}, 403),
    ({"Origin": "http://127.0.0.1"}, 403),
    ({"Origin": "ftp://127.0.0.1:8081"}, 403),
    ({"Origin": "http://127.0.0.1.evil.example:8081"}, 403),
    ({"Content-Length": str(2 << 20)}, 413),
    ({"Content-Length": "-1"}, 413),
]


@pytest.mark.parametrize(("headers", "status"), HEADERS)
def test_who_may_ask(headers: dict[str, str], status: int) -> None:
    given = {"Host": "127.0.0.1:8081"} | headers
    pairs = [(name.lower().encode(), value.encode()) for name, value in given.items()]
    refused = guard.refused("/tools", pairs, None, guard.LOOPBACK)
    assert refused is not None and refused[0] == status


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8081", "127.0.0.1:1", "[::1]:8081", "LOCALHOST:80", "probe:8081"]
)
def test_by_which_names(host: str) -> None:
    pairs = [(b"host", host.encode()), (b"origin", f"http://{host}".encode())]
    assert guard.refused("/tools", pairs, None, guard.LOOPBACK | {"probe"}) is None
    assert guard.refused("/tools", [*pairs, (b"host", b"evil")], None, guard.LOOPBACK | {"probe"}) is not None


def test_behind_a_proxy_that_writes_the_host_anew() -> None:
    pairs = [(b"host", b"127.0.0.1:8081"), (b"origin", b"https://probe")]
    assert guard.refused("/tools", pairs, None, guard.LOOPBACK | {"probe"}) is None
    assert guard.refused("/tools", [*pairs[:1], (b"origin", b"https://probe:3000")], None, guard.LOOPBACK | {"probe"})


@pytest.mark.parametrize(
    "value", [None, "", "Bearer", "Bearer x", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}"]
)
def test_a_token_is_asked_for(value: str | None) -> None:
    pairs = [(b"host", b"localhost")] + ([(b"authorization", value.encode())] if value is not None else [])
    refused = guard.refused("/tools", pairs, TOKEN, guard.LOOPBACK)
    assert refused is not None and refused[0] == 401
    assert guard.refused("/healthz", pairs, TOKEN, guard.LOOPBACK) is None
    good = [(b"host", b"localhost"), (b"authorization", f"bearer {TOKEN}".encode())]
    assert guard.refused("/tools", good, TOKEN, guard.LOOPBACK) is None


def test_a_server_with_a_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    doors = app.Doors(stack.Stack(lambda engine: [], {}), Runs(tmp_path), tmp_path)
    served = app.application(doors, token(tmp_path / "token"), guard.LOOPBACK)

    async def ask() -> list[int]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url="http://localhost") as client:
            known = {"Authorization": f"Bearer {TOKEN}"}
            answers = [await client.get("/tools"), await client.get("/tools", headers=known)]
            answers += [await client.post("/mcp", json={}), await client.get("/healthz")]
            return [each.status_code for each in answers]

    assert asyncio.run(ask()) == [401, 200, 401, 200]


def test_beyond_loopback_only_with_a_token(tmp_path: Path) -> None:
    command = [ROOT / "bin/dm-serve", "--bind", "0.0.0.0:0", "--proofs-dir", tmp_path]
    done = subprocess.run(command, env=SEALED, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (
        2,
        "dm-serve: to listen on 0.0.0.0 a token is needed: --token-file or $DM_SERVE_TOKEN\n",
    )
    done = subprocess.run(command, env=SEALED | {"DM_SERVE_TOKEN": "short"}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "at least 16 characters" in done.stderr
    (tmp_path / "token").write_bytes(b"\xff" * 20)
    done = subprocess.run(
        [*command, "--token-file", tmp_path / "token"], env=SEALED, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2 and "at least 16 characters of ASCII" in done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-"])
def test_mcp_without_a_stream_is_said(run: Run, closed: str) -> None:
    done = run(f"dm-serve --mcp stdio {closed}", **COLD)
    assert (done.returncode, done.stderr) == (
        2,
        "dm-serve: standard input or output is closed: MCP is spoken on both\n",
    )


def test_many_callers_at_once(server: Server) -> None:
    """Two hundred callers: no error, and that it lives is told at once."""
    slow: list[float] = []

    async def everybody() -> list[int]:
        limits = httpx.Limits(max_connections=200)
        async with httpx.AsyncClient(limits=limits, timeout=60, trust_env=False) as client:

            async def one() -> int:
                return (await client.post(f"{server.url}/tools/host_exec_readonly", json={"cmd": "nproc"})).status_code

            async def alive() -> None:
                async with httpx.AsyncClient(timeout=60, trust_env=False) as another:
                    for _ in range(10):
                        begun = time.monotonic()
                        assert (await another.get(f"{server.url}/healthz")).status_code == 200
                        slow.append(time.monotonic() - begun)
                        await asyncio.sleep(0.02)

            (*found, _) = await asyncio.gather(*(one() for _ in range(200)), alive())
            return found

    assert asyncio.run(everybody()) == [200] * 200
    assert sorted(slow)[len(slow) // 2] < 5  # 50 ms on an idle machine (scripts/bench-serve); this one is shared


def test_it_cannot_change_an_engine() -> None:
    """All that the server imports, in a process of its own."""
    look = "import sys, dm_tools.serve.app, dm_tools.serve.protocol, dm_tools.tools.plugins, dm_tools.commands.serve\n"
    look += "from dm_tools.collect import probe, inspect, logs, stats, screenshot, host\n"
    look += "print([name for name in sys.modules if name.startswith(('dm_tools.act', 'dm_tools.engine.changing'))])"
    done = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# Language models: the SDK's own client


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_model_over_http(server: Server, mode: str) -> None:
    asyncio.run(_talk(f"{server.url}/mcp", mode))


def test_a_model_over_stdio(tmp_path: Path) -> None:
    from mcp import StdioServerParameters

    (tmp_path / "stack.jsonl").write_text(json.dumps(new("app", internal=["http://127.0.0.1:9/health"])) + "\n")
    (tmp_path / "enhanced_diagnostics_1764500000.json").write_text('{"report_id": "enhanced-1"}')
    words = ["--mcp", "stdio", "--inventory", str(tmp_path / "stack.jsonl"), "--proofs-dir", str(tmp_path)]
    started = StdioServerParameters(command=str(ROOT / "bin/dm-serve"), args=words, env=SEALED)
    asyncio.run(_talk(started, "auto"))


async def _talk(where: Any, mode: str) -> None:
    from mcp import MCPError
    from mcp.client import Client

    async with Client(where, mode=mode) as client:  # type: ignore[arg-type]
        tools = {each.name: each for each in (await client.list_tools()).tools}
        assert {"diagnose", "docker_logs", "http_get"} < set(tools)
        assert all(each.annotations and each.annotations.read_only_hint for each in tools.values())
        done = await client.call_tool("host_exec_readonly", {"cmd": "nproc"})
        assert not done.is_error and int(done.content[0].text) == os.cpu_count()
        for name, arguments in (
            ("docker_logs", {"container": "elsewhere"}),
            ("docker_logs", {"container": "app", "follow": True}),
            ("diagnose", {"services": ["--help"]}),
            ("diagnose", {"approve": True}),
            ("docker_remove", {}),
        ):
            refused = await client.call_tool(name, arguments)
            assert refused.is_error and refused.content[0].text, name
        assert "report://latest first" in (client.instructions or "")
        uris = [str(each.uri) for each in (await client.list_resources()).resources]
        assert uris == ["report://latest", "brief://latest", "report://enhanced_diagnostics_1764500000/json"]
        read = await client.read_resource(uris[2])
        assert json.loads(read.contents[0].text)["report_id"] == "enhanced-1"
        with pytest.raises(MCPError):
            await client.read_resource("report://secret")
        told = await client.get_prompt("diagnose_stack")
        assert "report://latest" in told.messages[0].content.text


# A real stack, reached through the docker-proxy only


def test_a_diagnosis_through_the_proxy(shop: dict[str, str], proxy: Proxy, tmp_path: Path) -> None:
    fault_lab.inject("database-down")
    docker = proxy(shop["DOCKER_HOST"].removeprefix("unix://"))
    behind = shop | {"DOCKER_HOST": f"unix://{docker}"}
    with serving(tmp_path, SEALED | behind) as running:
        options = {"json": {"screenshots": False, "engine": "rules"}, "headers": {"Accept": "application/x-ndjson"}}
        lines: list[dict[str, Any]] = []

        def stream() -> None:
            answer = running.ask("POST", "/analyze-and-propose-fixes", **options)
            lines.extend(json.loads(line) for line in answer.text.splitlines())

        first = threading.Thread(target=stream)
        first.start()
        time.sleep(1)
        second = running.ask("POST", "/start-stack-probe", json={})
        assert (second.status_code, second.json()["error"]["code"]) == (409, "busy")
        first.join()
        assert [line["stage"] for line in lines[:-1]][:2] == ["services", "probe"]
        report = lines[-1]["report"]
        assert [(issue["service"], issue["cause"]) for issue in report["issues"]] == [("postgres", "exited")]
        assert {"generated_at", "report_id", "summary", "automated_actions_safe", "requires_human_review"} < set(report)
        basic = running.ask("POST", "/start-stack-probe", json={"services": ["app", "postgres"]}).json()
        assert basic["summary"]["total"] == 2 and basic["report_path"].startswith(str(running.proofs))
        assert "postgres" in running.ask("GET", "/brief").text
        container = running.ask("POST", "/tools/docker_inspect", json={"container": "postgres"}).json()["output"]
        assert container["state"] == "exited"
        asyncio.run(_diagnosed(f"{running.url}/mcp"))
        assert 'dm_runs_total{session="diagnose-enhanced",outcome="done"} 2' in running.ask("GET", "/metrics").text


async def _diagnosed(url: str) -> None:
    from mcp.client import Client

    async with Client(url, read_timeout_seconds=120) as client:
        done = await client.call_tool("diagnose", {"services": ["postgres"]})
        assert not done.is_error and "critical postgres exited" in done.content[0].text
        read = await client.read_resource("report://latest")
        assert read.contents[0].text == done.content[0].text
        why = await client.call_tool("explain", {"of": "postgres"})
        assert (await client.read_resource("report://latest/1")).contents[0].text == why.content[0].text
        assert "[inspect:state]" in why.content[0].text
        assert "postgres" in (await client.read_resource("brief://latest")).contents[0].text


# A session that takes its time, or says much: no real one can be made to do that on purpose


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    script = tmp_path / "scripts/supervisor-session.sh"
    script.parent.mkdir()
    script.write_text(
        "#!/bin/bash\n"
        'folder=$PROOFS_DIR/runs/20261130T000000Z-$$; mkdir -p "$folder"; echo "$$" >>"$PROOFS_DIR/started"\n'
        'echo \'{"stage": "probe"}\' >"$folder/probe.status"\n'
        'if [[ $1 == much ]]; then head -c 3000000 /dev/zero | tr "\\0" x >&2; echo "the last word" >&2; exit 3; fi\n'
        """[[ $1 != deaf ]] || { (trap '' TERM; exec sleep 60 2>/dev/null) & echo $! >"$PROOFS_DIR/deaf"; }\n"""
        "sleep 1\n"
        'echo "{}" >"$PROOFS_DIR/report.json"\n'
        'echo "{\\"report_path\\": \\"$PROOFS_DIR/report.json\\"}" >"$folder/report.jsonl"\n'
    )
    script.chmod(0o700)
    monkeypatch.setattr(configs, "session", lambda: script)
    return Runs(tmp_path)


async def _all(runs: Runs, session: str = "diagnose") -> list[dict[str, Any]]:
    return [line async for line in runs.start(session, Wanted())]


def test_of_many_who_ask_at_once_one_run_is_started(runs: Runs, tmp_path: Path) -> None:
    async def ask() -> list[Any]:
        return await asyncio.gather(*(_all(runs) for _ in range(50)), return_exceptions=True)

    answers = asyncio.run(ask())
    assert [each for each in answers if isinstance(each, list)] == [[{"stage": "probe"}, {"report": {}}]]
    assert sum(isinstance(each, Busy) for each in answers) == 49
    assert len((tmp_path / "started").read_text().split()) == 1


def test_a_run_whose_asker_goes_away_ends_and_the_next_one_works(runs: Runs, tmp_path: Path) -> None:
    async def go_away() -> list[dict[str, Any]]:
        with anyio.move_on_after(0.5):  # as Starlette does when a client is gone: every wait is cancelled again
            await _all(runs)
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(Busy):
                    return await _all(runs)
                await asyncio.sleep(0.05)

    assert asyncio.run(go_away())[-1] == {"report": {}}
    assert runs.counts == {("diagnose", "abandoned"): 1, ("diagnose", "done"): 1}
    first = int((tmp_path / "started").read_text().split()[0])
    assert not Path(f"/proc/{first}").exists()


def test_nothing_that_a_run_started_outlives_it(runs: Runs, tmp_path: Path) -> None:
    async def go_away() -> None:
        with anyio.move_on_after(0.5):
            await _all(runs, "deaf")
        async with asyncio.timeout(10):
            while runs.running is not None:
                await asyncio.sleep(0.05)

    asyncio.run(go_away())
    state = Path(f"/proc/{(tmp_path / 'deaf').read_text().strip()}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_run_that_says_much_is_not_held_up_and_its_last_words_are_told(runs: Runs) -> None:
    async def ask() -> None:
        async with asyncio.timeout(20):
            await _all(runs, "much")

    with pytest.raises(Failed, match=r"the last word$") as failed:
        asyncio.run(ask())
    assert failed.value.status == 3 and len(str(failed.value)) <= 2_000
