"""Secrets planted in every place that evidence comes from, on a real engine; none may come out of any stage.

Every canary is different and holds the word that is looked for: a leak names its place. The container's program logs
them, serves them in headers, pages and redirects, and dies of an exception that quotes its environment.
"""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pexpect
import pytest

from tests import scripted, warm
from tests.conftest import BROWSER, SEALED, Box, Run, records

WORD = "cnry"


def canary(place: str) -> str:
    """A secret of its own for a place: letters, digits and the word that is looked for."""
    return f"{WORD}7{place}X2q9"


def leaks(text: str) -> set[str]:
    """The canaries in a text."""
    return set(re.findall(rf"{WORD}7?\w*", text, re.IGNORECASE))


LOGGED = [
    f"connecting to postgres://shop:{canary('url')}@db:5432/shop as shop",
    f"DB_PASSWORD={canary('assigned')} DB_HOST=db",
    f'{{"level": "error", "msg": "login", "password": "{canary("json")}", "token": "{canary("jsontoken")}"}}',
    f'{{"level": "debug", "request": "{{\\"password\\": \\"{canary("escaped")}\\"}}"}}',
    f'level=info msg="started" api_key={canary("logfmt")} port=8080',
    f"password is {canary('prose')}",
    f"password: correct {canary('phrase')} battery staple",
    f"Authorization: Bearer {canary('bearer')}.{canary('bearer')}",
    f'Authorization: Hawk id="x", mac="{canary("scheme")}"',
    f"Cookie: session={canary('cookie')}; lang=en",
    f"Set-Cookie: id={canary('setcookie')}; HttpOnly",
    f"X-Api-Key: {canary('header')}",
    f"\x1b[31mSECRET_KEY\x1b[0m={canary('colour')}",
    f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx{WORD}7jwt.c2lnbmF0dXJl",
    f"-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA{canary('pem')}abcdefgh\n{canary('pem')}==\n"
    "-----END RSA PRIVATE KEY-----",
    f"app | -----BEGIN PRIVATE KEY-----\napp | MIIEpAIBAAKCAQEA{canary('prefixed')}\n"
    f"app | {canary('prefixed')}ab==\napp | -----END PRIVATE KEY-----",
    f'{{"key": "-----BEGIN PRIVATE KEY-----\\nMIIEpAIBAAKCAQEA{canary("jsonpem")}\\n-----END PRIVATE KEY-----\\n"}}',
    f"shop:{canary('dsn')}@tcp(db:3306)/shop",
    f"Server=db;User Id=shop;Password={canary('odbc')};Database=shop",
    f"host=db user=shop password={canary('libpq')} dbname=shop",
    f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={canary('azure')}==;",
    f"GET https://x.example/?token={canary('query')}&page=2&sig={canary('signature')}",
    f"redis-server --requirepass {canary('flag')} --port 6379",
    f"mysqldump -ushop -p{canary('mysql')} shop",
    f"sk-proj-{canary('openai')}1234567890abcdef and ghp_{WORD}7github1234567890123456",
    f"mail to {WORD}7mail@example.com failed",
    f"hash $2b$12${WORD}7bcryptYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW",
]

PROGRAM = r"""
import http.server, os, sys, threading, time
for line in sys.argv[1].split('\x1e'):
    print(line, file=sys.stderr if len(line) % 2 else sys.stdout, flush=True)
env = os.environ
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith('/redirect'):
            self.send_response(302)
            self.send_header('Location', '/page?token=' + env['LOCATION_SECRET'])
            self.send_header('Content-Length', '0')
            return self.end_headers()
        if self.path.startswith('/garbage'):
            garbage = 'HTTP/1.1 200 OK\r\nSet-Cookie: id=%s\r\npassword %s\r\n\r\n'
            return self.wfile.write((garbage % (env['GARBAGE_SECRET'], env['GARBAGE_SECRET'])).encode())
        self.send_response(500)
        self.send_header('Set-Cookie', 'session=' + env['HEADER_SECRET'])
        self.end_headers()
        page = '<h1>KeyError</h1> DB_PASSWORD = "%s" from %s' % (env['PAGE_SECRET'], env['PAGE_SECRET'])
        self.wfile.write(('%s asked with %s %s' % (page, self.headers.get('Authorization'), self.path)).encode())
    def log_message(self, *arguments): print(*arguments, flush=True)
threading.Thread(target=http.server.HTTPServer(('', 8080), Page).serve_forever, daemon=True).start()
try:
    raise ValueError('cannot use %r for the database' % env['DB_PASSWORD'])
except ValueError:
    import traceback; traceback.print_exc()
time.sleep(1000)
"""

ENVIRONMENT = {
    "DB_PASSWORD": canary("environment"),
    "API_TOKEN": canary("token"),
    "DATABASE_URL": f"postgres://shop:{canary('envurl')}@db:5432/shop",
    "BROKEN_URL": f"amqp://shop:{WORD}7/un#escaped@queue:5672/",
    "CREDS": f"{WORD}7user:12345",
    **{
        name: canary(name.lower().partition("_")[0])
        for name in ("LOCATION_SECRET", "GARBAGE_SECRET", "HEADER_SECRET", "PAGE_SECRET")
    },
}
LABELS = {
    "com.example.password": canary("label"),
    "com.docker.compose.depends_on": f"db:service_started:false,postgres://u:{canary('labelurl')}@x",
}
SETTINGS = {
    "CANARY_PASSWORD": canary("urlpassword"),
    "CANARY_TOKEN": canary("urltoken"),
}


@pytest.fixture
def planted(box: Box, shop: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    """The containers, the manifest and the .env file; yields the variables that lead to them."""
    check = (
        f"echo GET http://u:{canary('health')}@127.0.0.1/ failed, token={canary('healthtoken')} $DB_PASSWORD; exit 1"
    )
    container = box(
        "canary",
        "python3", "-c", PROGRAM, "\x1e".join(LOGGED), "--password", canary("argument"),
        environment=ENVIRONMENT,
        labels=LABELS,
        healthcheck={"test": ["CMD-SHELL", check], "interval": 300_000_000, "retries": 1},
        ready=8080,
    )  # fmt: skip
    image = f"dmtest-canary:ghp_{WORD}7image1234567890123456"
    container.image.tag(image)
    client = container.client
    broken = box("canary-broken", f"postgres://u:{canary('command')}@db/x", start=False)
    broken.remove()
    broken = client.containers.create(
        image, [f"postgres://u:{canary('command')}@db/x"], name="dmtest-canary-broken", labels={"dm-tools.lab": "1"}
    )
    with pytest.raises(Exception, match="postgres"):
        broken.start()
    manifest = tmp_path / "manifest.json"
    services = [
        {
            "name": "canary",
            "container": "dmtest-canary",
            "internal": [
                "http://shop:${CANARY_PASSWORD}@dmtest-canary:8080/page",
                "http://dmtest-canary:8080/page?token=${CANARY_TOKEN}",
                "http://dmtest-canary:8080/redirect",
                "http://dmtest-canary:8080/garbage",
            ],
            "external": ["gopher://x/?a=b"],
            "depends_on": ["postgres://shop:${CANARY_PASSWORD}@db/shop", "canary-broken"],
            "x-team": {"password": canary("manifest"), "token": "${CANARY_TOKEN}", "note": f"token={canary('note')}"},
        },
        {"name": "canary-broken", "container": "dmtest-canary-broken", "depends_on": ["canary"]},
    ]
    manifest.write_text(json.dumps({"services": services}))
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in SETTINGS.items()))
    deadline = time.monotonic() + 10
    while container.attrs["State"].get("Health", {}).get("Status") != "unhealthy" and time.monotonic() < deadline:
        time.sleep(0.1)
        container.reload()
    yield shop | {"SERVICES_MANIFEST_PATH": str(manifest), "PROOFS_DIR": str(tmp_path / "proofs")}
    broken.remove(force=True)
    client.images.remove(image, force=True)


def test_no_canary_comes_out_of_any_stage(planted: dict[str, str], run: Run, tmp_path: Path) -> None:
    stages = [
        "services",
        "probe",
        "inspect",
        "logs",
        "condense",
        "stats",
        "screenshot",
        "analyze",
        "propose",
        "report",
        "redact",
    ]
    said = {}
    for before, stage in zip(["/dev/null", *stages], stages, strict=False):
        source = before if before == "/dev/null" else f"{before}.jsonl"
        done = run(f"dm-{stage} < {source} > {stage}.jsonl", **planted, **BROWSER)
        said[stage] = done.stderr
        assert done.returncode in (0, 4), done.stderr
    for stage in stages:
        text = (tmp_path / f"{stage}.jsonl").read_text()
        assert leaks(text) == set(), stage
        assert leaks(said[stage]) == set(), stage
        assert leaks(run(f"dm-show {stage}.jsonl", **planted).stdout) == set(), stage
        assert leaks(run(f"dm-brief < {stage}.jsonl", **planted).stdout) == set(), stage

    # What must be there is there: nothing was masked by not being collected.
    by_name = {record["service"]: record for record in records((tmp_path / "propose.jsonl").read_text())}
    sick, broken = by_name["canary"], by_name["canary-broken"]
    collected = {record["service"]: record for record in records((tmp_path / "logs.jsonl").read_text())}
    texts = [line["text"] for line in collected["canary"]["logs"]["lines"]]
    whole = "\n".join(texts)
    for kept in ("@db:5432/shop as shop", "DB_HOST=db", "Hawk", "@tcp(db:3306)/shop", "User Id=shop", "@example.com"):
        assert kept in whole
    assert re.search(r"ValueError: cannot use '<secret:\d+>' for the database", whole)
    assert "DB_PASSWORD" in sick["inspect"]["env_names"]
    assert "db:5432" in sick["inspect"]["env_hosts"]
    assert sick["inspect"]["health_log"][-1]["output"].startswith("GET http://u:<secret:")
    assert "KeyError" in sick["probe"]["checks"][0]["body_excerpt"]
    assert "postgres://u:<secret:" in broken["inspect"]["error"]
    # The password that the URL was asked with and the page repeated is one secret, and has one number.
    number = re.search(r"shop:(<secret:\d+>)@", sick["probe"]["checks"][0]["url"])
    assert number is not None


def test_no_canary_in_what_a_model_is_told(planted: dict[str, str], run: Run, tmp_path: Path) -> None:
    """Neither in the prompts nor in what its tools return, whatever it asks for; nor in what is said of its answer."""
    calls = [
        ("docker_logs", {"container": "canary", "tail": 500}),
        ("docker_inspect", {"container": "canary"}),
        ("docker_stats", {"container": "canary"}),
        ("docker_list_containers", {}),
        ("http_get", {"url": "http://dmtest-canary:8080/page"}),
        ("http_get", {"url": "http://dmtest-canary:8080/redirect"}),
        ("http_get", {"url": "http://dmtest-canary:8080/garbage"}),
        ("browser_screenshot", {"url": "http://dmtest-canary:8080/page"}),
        ("browser_dom", {"url": "http://dmtest-canary:8080/page"}),
        ("host_exec_readonly", {"cmd": "ps -eo pid,ppid,stat,comm,rss,pcpu,etimes"}),
    ]

    def script(request: scripted.Json) -> scripted.Answer:
        if "tools" in request:
            text = request["messages"][-1]["content"]
            made = sum(text.partition("Called already")[2].count(f"{name} {{") for name in {each[0] for each in calls})
            name, arguments = calls[made % len(calls)]
            return scripted.Answer(calls=[(name, json.dumps(arguments))])
        number, (_, text) = next(iter(scripted.pieces(request).items()))
        claim = {"service": "canary", "cause": "http_error", "evidence": [number], "quote": text[:60]}
        return scripted.Answer(json.dumps(claim | {"explanation": f"password={canary('said')}", "actions": []}))

    with scripted.endpoint(script) as place:
        line = "dm-services | dm-probe | dm-inspect | dm-logs | dm-stats | dm-analyze --engine llm --agent | dm-propose"
        patient = place.variables | {"LLM_DEADLINE": "90"}
        done = run(f"{line} | tee judged.jsonl | dm-report", timeout=120, **planted | patient | BROWSER)
        assert leaks("\n".join(place.prompts)) == set()
    steps = [step for each in records((tmp_path / "judged.jsonl").read_text()) for step in each["analysis"]["steps"]]
    assert {step["tool"] for step in steps} == {name for name, _ in calls}
    assert sum(step["error"] is None for step in steps) >= 9
    assert leaks((tmp_path / "judged.jsonl").read_text() + done.stdout + done.stderr) == set()
    assert "connecting to postgres" in "".join(step["output"] for step in steps)
    for path in (tmp_path / "proofs").rglob("*.json"):
        assert leaks(path.read_text()) == set(), path.name


def test_no_canary_in_a_session_its_review_and_its_folder(planted: dict[str, str], tmp_path: Path) -> None:
    supervisor = str(warm.SUPERVISOR)
    done = subprocess.run(
        [supervisor, "diagnose-enhanced"],
        env=SEALED | planted,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 10, done.stderr
    assert leaks(done.stdout + done.stderr) == set()
    review = pexpect.spawn(
        supervisor,
        ["review"],
        env=SEALED | planted | {"TERM": "xterm"},
        cwd=str(tmp_path),
        encoding="utf-8",
        timeout=30,
    )
    shown = ""
    while review.expect([r"Your choice: ", r"\?[^\n]*: ", pexpect.EOF]) < 2:
        shown += review.before + review.after
        review.sendline("a")
    shown += review.before
    review.close()
    assert "Approved" in shown
    assert leaks(shown) == set()
    written = [path for path in (tmp_path / "proofs").rglob("*") if path.is_file()]
    assert any(path.name.startswith("approved_fixes_") for path in written)
    assert any(path.name.startswith("enhanced_diagnostics_") for path in written)
    for path in written:
        assert leaks(path.read_text("utf-8", "replace")) == set(), path.name


def test_numbers_are_the_same_whatever_the_concurrency(planted: dict[str, str], run: Run) -> None:
    line = "dm-services | dm-inspect --keep-order | dm-logs --keep-order -j {} | jq -c '[.service, .logs.lines[].text]'"
    once = run(line.format(1), **planted).stdout
    assert "<secret:" in once
    for _ in range(3):
        assert run(line.format(8), **planted).stdout == once


# Passwords of the engine's own address

HOST = f"tcp://admin:{canary('dockerhost')}@127.0.0.1:1"


@pytest.mark.parametrize("name", ["services --discover", "probe x", "inspect x", "logs x", "stats x"])
def test_the_password_of_docker_host_is_not_told(run: Run, name: str) -> None:
    done = run(f"dm-{name}", DOCKER_HOST=HOST)
    assert done.returncode == 5
    assert "127.0.0.1:1" in done.stdout + done.stderr
    assert leaks(done.stdout + done.stderr) == set()


@pytest.mark.parametrize("name", ["probe", "inspect", "logs", "stats", "analyze", "propose", "redact"])
def test_a_record_does_not_carry_a_password_of_docker_host(run: Run, name: str) -> None:
    done = run(f"dm-{name}", stdin=json.dumps({"service": "x", "docker_host": HOST}) + "\n")
    (record,) = records(done.stdout)
    assert record["errors"][0]["code"] == "bad_line"
    assert leaks(done.stdout + done.stderr) == set()


@pytest.mark.parametrize(
    "entry",
    [
        {"docker_host": HOST},
        {"external": [f"https://u:{canary('clear')}@x/"]},
        {"external": [f"https://x/?api_key={canary('clearquery')}"]},
        {"external": [f"https://hooks.slack.com/services/T0/B0/{canary('webhook')}"]},
    ],
)
def test_a_manifest_with_a_secret_in_clear_is_refused(run: Run, tmp_path: Path, entry: dict[str, object]) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"services": [{"name": "x"} | entry]}))
    refused = run("dm-services", SERVICES_MANIFEST_PATH="manifest.json")
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "write ${NAME}" in refused.stderr
    assert leaks(refused.stderr) == set()


@pytest.mark.parametrize(
    "line",
    [
        f"https://u:{canary('word')}@x/",
        f"https://x/?token={canary('wordtoken')}",
        f'{{"service": 5, "password": "{canary("broken")}"}}',
        f"password={canary('text')} is no record",
        f'{{"service": "x", "token": "{canary("cut")}',
    ],
)
@pytest.mark.parametrize("name", ["probe", "logs", "analyze", "redact"])
def test_a_line_that_is_no_record_is_reported_without_its_secret(run: Run, name: str, line: str) -> None:
    for how in ("report", "skip", "fail"):
        done = run(f"dm-{name} --on-bad {how}", stdin=line + "\n")
        assert leaks(done.stdout + done.stderr) == set()


# Pages


@pytest.fixture
def page() -> Iterator[str]:
    """A server of ours whose headers, page and redirects are full of canaries, and echo what they were asked with."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            away = self.path.startswith("/away")
            self.send_response(302 if away else 503)
            if away:
                self.send_header("Location", f"https://login.example/?token={canary('location')}")
            self.send_header("Set-Cookie", f"session={canary('cookie')}")
            self.send_header("X-Api-Key", canary("header"))
            self.end_headers()
            asked = f"{self.path} {self.headers.get('Authorization')}"
            body = (
                f"<p>token={canary('page')}</p> <p>postgres://app:{canary('pageurl')}@db:5432/shop is down</p> {asked}"
            )
            self.wfile.write(body.encode())

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_page_full_of_secrets(page: str, run: Run) -> None:
    urls = [
        f"http://app:${{PAGE_PASSWORD}}@{page}/page",
        f"http://{page}/page?token=${{PAGE_TOKEN}}&user=bob",
        f"http://{page}/away",
    ]
    secrets = {"PAGE_PASSWORD": f"{canary('password')}/@:?#%", "PAGE_TOKEN": canary("token")}
    done = run("dm-probe", stdin=json.dumps({"service": "a", "external": urls}), **secrets)
    assert (done.returncode, done.stderr) == (0, "")
    assert leaks(done.stdout) == set()
    (record,) = records(done.stdout)
    assert record["external"] == urls  # the variables stay
    first, second, _ = record["probe"]["checks"]
    assert re.fullmatch(rf"http://app:<secret:\d+>@{page}/page", first["url"])
    assert re.fullmatch(rf"http://{page}/page\?token=<secret:\d+>&user=bob", second["url"])
    assert "@db:5432/shop is down" in first["body_excerpt"]
    token = re.search(r"token=(<secret:\d+>)", second["url"])
    assert token is not None and f"/page?token={token[1]}&user=bob" in second["body_excerpt"]
