"""dm-screenshot with a real Chromium: recorded pages, and pages that misbehave."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from dm_tools.collect import browser, reach, screenshot, socks
from dm_tools.collect.browser.tab import Tab
from dm_tools.engine.connection import Engines
from dm_tools.evidence import pages as judge
from dm_tools.records import ProbeError
from tests import scripted
from tests.conftest import BROWSER, COLD, ROOT, SEALED, Run, records
from tests.site import PAGES, Answer, Site, path_of, serve

# One browser after another, also with tests/test_html.py: two at once take longer than both in turn.
pytestmark = pytest.mark.xdist_group("browser")

Record = dict[str, Any]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with serve() as running:
        yield running


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, site: Site) -> dict[str, Record]:
    """Every recorded page, looked at in one run: name -> page."""
    folder = tmp_path_factory.mktemp("recorded")
    lines = [json.dumps({"service": name, "external": [site.url + path_of(name)]}) for name in PAGES]
    done = subprocess.run(
        ["dm-screenshot", "-t", "8", "-j", "6"],
        input="\n".join(lines),
        env=SEALED | BROWSER,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return {record["service"]: record["screenshot"]["pages"][0] for record in records(done.stdout)}


@pytest.mark.parametrize("name", PAGES)
def test_the_verdict_on_a_recorded_page(recorded: dict[str, Record], name: str) -> None:
    page = recorded[name]
    assert page["verdict"] == PAGES[name]["verdict"], page
    assert [reason["code"] for reason in page["reasons"]] == PAGES[name]["reasons"], page


# Pages that misbehave, looked at by one browser that survives them all.


@pytest.fixture(scope="module")
def eyes() -> Iterator[browser.Browser]:
    looker = browser.Browser(browser.Manner(), tabs=2)
    yield looker
    looker.close()


def verdict(look: browser.Look) -> tuple[str, list[str]]:
    """The verdict and the codes of its reasons."""
    found, reasons = judge.judged(look.seen, "screenshot:0")
    return found.value, [reason.code for reason in reasons]


PATIENCE = 60.0  # seconds for a page that must be shown, on a machine where others come first


def console(look: browser.Look, kind: str) -> list[str]:
    return [entry.text for entry in look.seen.console if entry.type == kind]


def test_dialogs_are_dismissed_and_windows_closed(eyes: browser.Browser, site: Site) -> None:
    url = site.html(
        "/noisy",
        "<script>alert('one'); confirm('two'); prompt('three'); for (let n = 0; n < 5; n++) window.open('/dashboard');"
        "</script><p>Still here</p><script>onbeforeunload = event => event.preventDefault()</script>",
    )
    look = eyes.look(url, 8)
    assert verdict(look) == ("ok", [])
    assert console(look, "dialog") == ["alert: one", "confirm: two", "prompt: three"]
    assert console(look, "popup")
    assert look.picture
    assert verdict(eyes.look(site.url + "/dashboard", 8)) == ("ok", [])


def test_a_dialog_without_end_costs_the_timeout(eyes: browser.Browser, site: Site) -> None:
    url = site.html("/dialogs", "<p>x</p><script>while (true) alert('again')</script>")
    eyes.look(site.url + "/dashboard", 8)  # the browser runs: its start is not what is measured
    began = time.monotonic()
    look = eyes.look(url, 3)
    assert time.monotonic() - began < 15  # three, and what a busy machine adds; without a bound it never ends
    assert len(look.seen.console) <= browser.MAX_ENTRIES
    assert verdict(eyes.look(site.url + "/dashboard", 8)) == ("ok", [])


def test_a_download_is_refused(eyes: browser.Browser, site: Site) -> None:
    url = site.html("/file", "x" * 1000, Content_Disposition="attachment; filename=x.bin")
    look = eyes.look(url, 8)
    assert verdict(look) == ("not_rendered", ["download"])
    assert look.picture is None


def test_redirects_without_end(eyes: browser.Browser, site: Site) -> None:
    url = site.html("/circle", "", 302, Location="/circle")
    assert verdict(eyes.look(url, 8)) == ("not_rendered", ["too_many_redirects"])


def test_a_page_that_never_answers_costs_its_timeout_and_nothing_else(eyes: browser.Browser, site: Site) -> None:
    site.pages["/silent"] = lambda answer: time.sleep(20)
    began = time.monotonic()
    look = eyes.look(f"{site.url}/silent", 2)
    assert 1 < time.monotonic() - began < 15
    assert verdict(look) == ("not_rendered", ["timeout"])


def test_a_half_loaded_page_is_read_and_drawn(eyes: browser.Browser, site: Site) -> None:
    site.pages["/hanging.js"] = lambda answer: time.sleep(15)
    look = eyes.look(site.html("/half", "<h1>Half a page</h1><img src='/hanging.js'>"), 6)
    assert verdict(look) == ("ok", ["still_loading"])
    assert look.seen.text == "Half a page"
    assert look.picture


def test_a_script_that_never_ends_costs_its_timeout(eyes: browser.Browser, site: Site) -> None:
    url = site.html("/busy", "<p>busy</p><script>onload = () => { while (true) {} }</script>")
    began = time.monotonic()
    assert verdict(eyes.look(url, 3))[0] == "not_rendered"
    assert time.monotonic() - began < 20
    assert verdict(eyes.look(site.url + "/dashboard", 8)) == ("ok", [])


def test_a_crashed_renderer(eyes: browser.Browser, site: Site) -> None:
    """chrome://crash is what Chromium has for this; a page cannot lead there, so the address is given."""
    look = eyes.look("chrome://crash", 8)
    assert verdict(look) == ("not_rendered", ["crashed"])
    assert verdict(eyes.look(site.url + "/dashboard", 8)) == ("ok", [])


def test_a_page_that_takes_all_memory(eyes: browser.Browser, site: Site) -> None:
    site.pages["/hanging.js"] = lambda answer: time.sleep(12)  # it is never done loading
    url = site.html(
        "/hog",
        "<p>x</p><script>const all = []; setInterval(() => { const one = new Uint8Array(64e6); one.fill(1); "
        "all.push(one); }, 20)</script><img src='/hanging.js'>",
    )
    look = eyes.look(url, 10)
    assert verdict(look)[0] == "not_rendered", look.seen
    assert verdict(eyes.look(site.url + "/dashboard", 8)) == ("ok", [])


def test_fifty_megabytes(eyes: browser.Browser, site: Site) -> None:
    def large(answer: Answer) -> None:
        answer.send_response(200)
        answer.send_header("Content-Type", "text/html")
        answer.send_header("Connection", "close")
        answer.end_headers()
        for _ in range(50):
            answer.wfile.write(b"<p>A page that is too large</p>\n" * 32768)

    site.pages["/large"] = large
    began = time.monotonic()
    look = eyes.look(f"{site.url}/large", 10)
    assert time.monotonic() - began < 40  # ten, and what a busy machine adds
    # On a slow machine not even the part that is read is laid out in time, or the renderer grows too large.
    assert look.seen.cut or verdict(look)[0] == "not_rendered", look.seen
    assert len(look.seen.text) <= browser.MAX_TEXT
    assert len(look.seen.html) <= browser.MAX_HTML
    assert verdict(eyes.look(site.url + "/dashboard", 8)) == ("ok", [])


def test_a_page_that_navigates_away_while_it_is_looked_at(eyes: browser.Browser, site: Site) -> None:
    url = site.html("/away", "<p>first</p><script>setTimeout(() => location = '/dashboard', 30)</script>")
    for _ in range(3):
        look = eyes.look(url, PATIENCE)
        assert verdict(look)[0] == "ok"
        assert look.picture
    restless = site.html(
        "/restless", "<p>restless</p><script>setTimeout(() => location = '?' + Date.now(), 20)</script>"
    )
    look = eyes.look(restless, 4)
    assert verdict(look)[0] in ("ok", "not_rendered")
    assert look.seen.failure is None or look.picture is None, "a picture of nobody knows which page"
    assert verdict(eyes.look(site.url + "/dashboard", PATIENCE)) == ("ok", [])


def test_basic_authentication(eyes: browser.Browser, site: Site) -> None:
    def guarded(answer: Answer) -> None:
        if answer.headers.get("Authorization") == "Basic dXNlcjpw":  # user:p
            answer.send(200, b"<p>Come in</p><script src='/inner.js'></script>")
        else:
            answer.send(401, b"who are you", WWW_Authenticate='Basic realm="x"')

    site.pages["/guarded"] = guarded
    url = f"{site.url}/guarded"
    assert verdict(eyes.look(url, 8)) == ("login", ["login_required"])
    with_password = eyes.look(url.replace("//", "//user:p@"), 8)
    assert with_password.seen.text == "Come in"
    assert verdict(eyes.look(url, 8)) == ("login", ["login_required"]), "it was forgotten"


def test_a_page_that_the_network_broke_off_is_shown_anew_as_for_the_first_time(
    eyes: browser.Browser, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time it is as if a container had got a network meanwhile: the machine's own is not changed for a test."""
    showing = Tab._until_there

    async def broken_off(tab: Tab, until: float) -> None:
        await showing(tab, until)
        tab.witness.network_changed = True

    monkeypatch.setattr(Tab, "_until_there", broken_off)
    stores = "localStorage.x = sessionStorage.x = window.name = 'left'; document.cookie = 'x=1';"
    had = "[document.cookie, localStorage.x, sessionStorage.x, window.name].join('|')"
    url = site.html(
        "/anew", f"<p id=p></p><img src=/gone.png><script>p.textContent = 'had ' + {had}; {stores}</script>"
    )
    seen = eyes.look(url, 15).seen
    assert (seen.text, [each.status_code for each in seen.failed_requests]) == ("had |||", [404])
    assert [path for path, _ in site.requests].count("/anew") == 3


def test_nothing_stays_for_the_next_page(eyes: browser.Browser, site: Site) -> None:
    url = site.html(
        "/state",
        """<p id="p"></p><script>
        const had = [document.cookie, localStorage.x, localStorage.late, sessionStorage.x, window.name];
        document.cookie = 'x=1'; localStorage.x = sessionStorage.x = window.name = 'left';
        onpagehide = () => { document.cookie = 'late=1'; localStorage.late = 'left'; };
        const ask = indexedDB.open('db'); ask.onupgradeneeded = () => had.push('new');
        ask.onsuccess = () => { had.push(ask.result.version); p.textContent = 'had ' + had.join('|'); };
        </script>""",
    )
    seen = {eyes.look(url, 8).seen.text for _ in range(5)}
    assert seen == {"had |||||new|1"}


def test_inputs_are_masked_before_they_are_read_or_drawn(eyes: browser.Browser, site: Site) -> None:
    plain = (
        "<form><input value='{0}'><input type=number value='{1}'><textarea>{0}</textarea>"
        "<input type=submit value=Send></form>"
    )
    one = eyes.look(site.html("/inputs", plain.format("correct horse", "4711")), 8)
    assert "correct" not in one.seen.html and "4711" not in one.seen.html
    assert "Send" in one.seen.html
    other = eyes.look(site.html("/inputs", plain.format("battery staple", "4712")), 8)
    assert one.picture == other.picture
    typed = "<input id=i><script>i.value = 'typed by a script'</script>"
    by_script = eyes.look(site.html("/typed", typed), 8)
    assert by_script.picture == eyes.look(site.html("/typed", typed.replace("typed by", "or another by")), 8).picture


def test_headers_go_to_the_pages_own_origin_only(site: Site) -> None:
    with serve() as other:
        other.html("/x.js", "1")
        other.html("/elsewhere", "<p>Elsewhere</p>")
        url = site.html(
            "/with-headers", f"<p>x</p><script src='{other.url}/x.js'></script><script src='/own.js'></script>"
        )
        site.html("/own.js", "1")
        onward = site.html("/onward", "", 302, Location=f"{other.url}/elsewhere")
        looker = browser.Browser(browser.Manner(headers=(("X-Token", "secret-token"),)), tabs=1)
        site.requests.clear()
        named = reach.named([other.url])
        looker.look(url, 8, socks.Way(named=named))
        look = looker.look(onward, 8, socks.Way(named=named))
        looker.close()
        assert look.seen.text == "Elsewhere"
        assert {path for path, headers in site.requests if headers.get("X-Token") == "secret-token"} == {
            "/with-headers",
            "/own.js",
            "/onward",
        }
        assert [path for path, headers in other.requests if "X-Token" in headers] == []


def test_names_that_only_containers_know(eyes: browser.Browser, site: Site) -> None:
    """Also `app` and `dev`, which browsers know as top-level domains only for TLS. Host stays as written."""
    port = int(site.url.rpartition(":")[2])
    site.html("/api", "{}")
    site.html("/inside", "<p>inside</p><script>fetch('http://dev:9000/api', {mode: 'no-cors'})</script>")

    def resolve(host: str, asked: int) -> Any:
        return (("127.0.0.1", port), None) if host in ("app", "web", "dev") else (None, None)

    way = socks.Way(resolve, reach.named(["http://dev:9000"]))
    for name in ("app", "web"):
        site.requests.clear()
        look = eyes.look(f"http://{name}:8000/inside", 8, way)
        assert look.seen.text == "inside", look.seen
        assert [headers["Host"] for _, headers in site.requests] == [f"{name}:8000", "dev:9000"]
    stopped = socks.Way(lambda host, port: (None, (ProbeError.NOT_RUNNING, "the container is exited")))
    gone = eyes.look("http://nowhere:8000/", 8, stopped)
    assert verdict(gone) == ("not_rendered", ["not_running"])


def test_a_certificate_that_nobody_trusts_and_mixed_content(eyes: browser.Browser, tmp_path: Path, site: Site) -> None:
    line = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost"
    subprocess.run(line.split(), cwd=tmp_path, check=True, capture_output=True)
    with serve((tmp_path / "cert.pem", tmp_path / "key.pem")) as secure:
        mixed = f"<p>Secure</p><script src='{site.url.replace('127.0.0.1', 'plain.invalid')}/x.js'></script>"
        look = eyes.look(secure.html("/mixed", mixed), 8)
        assert verdict(look)[0] == "ok"
        assert {"tls", "mixed_content"} <= set(verdict(look)[1])
        assert look.seen.tls and look.seen.tls[0] == "tls_untrusted"
        assert eyes.look(secure.url + "/dashboard", 8).seen.tls, "it is not trusted from now on"


def test_a_certificate_of_an_authority_that_this_machine_knows(run: Run, tmp_path: Path) -> None:
    """A company's own: browsers do not know it, $SSL_CERT_FILE does."""
    line = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=ours"
    for name in ("127.0.0.1", "127.0.0.2"):  # the second one is known, but it is another server's
        extension = f" -addext subjectAltName=IP:{name}"
        subprocess.run((line + extension).split(), cwd=tmp_path, check=True, capture_output=True)
        with serve((tmp_path / "cert.pem", tmp_path / "key.pem")) as secure:
            line_of_url = f"{secure.url.replace('localhost', '127.0.0.1')}/dashboard\n"
            for known in (True, False):
                trust = {"SSL_CERT_FILE": str(tmp_path / "cert.pem")} if known else {}
                done = run("dm-screenshot", line_of_url, PROOFS_DIR="proofs", **BROWSER, **trust)
                (page,) = records(done.stdout)[0]["screenshot"]["pages"]
                assert page["verdict"] == "ok"
                assert (page["tls"] is None) == (known and name == "127.0.0.1"), (name, known, page["tls"])


def renderers(parent: int) -> list[int]:
    """The browser processes below a process."""
    done = subprocess.run(["pgrep", "-P", str(parent)], capture_output=True, text=True)
    children = [int(each) for each in done.stdout.split()]
    return children + [each for child in children for each in renderers(child)]


def test_a_killed_browser_is_started_again_and_no_record_is_lost(site: Site, tmp_path: Path) -> None:
    site.pages["/slow"] = lambda answer: (time.sleep(0.3), answer.send(200, b"<p>slow</p>"))[1]
    lines = [json.dumps({"service": f"s{n}", "external": [f"{site.url}/slow?{n}"]}) for n in range(16)]
    with subprocess.Popen(
        ["dm-screenshot", "-t", "20"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=SEALED | BROWSER | COLD,
        cwd=tmp_path,
    ) as process:
        assert process.stdin and process.stdout
        first = threading.Thread(target=lambda: (process.stdin.write("\n".join(lines)), process.stdin.close()))
        first.start()
        found = [json.loads(process.stdout.readline())]
        killed = []
        for pid in renderers(process.pid):
            with contextlib.suppress(OSError):
                if (
                    "chromium" in Path(f"/proc/{pid}/cmdline").read_text()
                    and "--type=" not in Path(f"/proc/{pid}/cmdline").read_text()
                ):
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
        assert killed
        found += records(process.stdout.read())
        assert process.wait(30) == 0
    assert sorted(record["service"] for record in found) == sorted(f"s{n}" for n in range(16))
    assert {record["screenshot"]["pages"][0]["verdict"] for record in found} == {"ok"}


def test_a_shell_is_taken_before_a_browser_with_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DM_CHROMIUM", "")
    assert browser.executable() is None
    for name in ("google-chrome", "chromium", "chromium-headless-shell"):
        (tmp_path / name).touch(0o755)
        assert browser.executable() == str(tmp_path / name)
    monkeypatch.setenv("DM_CHROMIUM", "/opt/mine")
    assert browser.executable() == "/opt/mine"


@pytest.mark.parametrize("name", ["chromium", "chromium-headless-shell"])
def test_with_its_windows_and_without(run: Run, site: Site, name: str) -> None:
    """Debian has the engine twice; of the others the first one that is found is taken."""
    path = shutil.which(name)
    assert path, "scripts/setup test installs it"
    done = run(
        "dm-screenshot -K", f"{site.url}/dashboard\n{site.url}/spa-crash\n", PROOFS_DIR="proofs", DM_CHROMIUM=path
    )
    pages = [record["screenshot"]["pages"][0] for record in records(done.stdout)]
    assert [page["verdict"] for page in pages] == ["ok", "blank"]
    assert all(page["path"] for page in pages)


# The command: what it writes, and what becomes of it.


# A large picture, as those of real pages are.
NOISE = """<canvas id="noise" width="400" height="200"></canvas><script>
const on = document.getElementById('noise').getContext('2d'), all = on.createImageData(400, 200);
for (let i = 0, x = 1; i < all.data.length; i++) all.data[i] = (x = (x * 48271) % 2147483647) % 256;
on.putImageData(all, 0, 0);
</script>"""


def test_what_is_written_and_where(run: Run, site: Site, tmp_path: Path) -> None:
    twice = f"{site.url}/dashboard\n{site.url}/dashboard\n"
    done = run("dm-screenshot -j 2 --dom doms", twice, PROOFS_DIR="proofs", **BROWSER)
    assert (done.returncode, done.stderr) == (0, "")
    pages = [record["screenshot"]["pages"][0] for record in records(done.stdout)]
    assert pages[0]["path"] == pages[1]["path"], "equal pages have one picture"
    picture = tmp_path / pages[0]["path"]
    assert picture.parent == tmp_path / "proofs" / "screenshots"
    assert hashlib.sha256(picture.read_bytes()).hexdigest() == pages[0]["sha256"]
    assert picture.stat().st_size == pages[0]["size_bytes"]
    assert {path.stat().st_mode & 0o777 for path in picture.parent.iterdir()} == {0o600}
    assert picture.read_bytes()[16:24] == (1280).to_bytes(4, "big") + (720).to_bytes(4, "big")
    assert pages[0]["thumbnail_path"] == pages[0]["path"], "a small picture is its own thumbnail"
    assert "<h1>Orders</h1>" in (tmp_path / pages[0]["dom_path"]).read_text()
    before = picture.stat().st_mtime_ns
    site.html("/tall", "<p style='height: 3000px'>Tall</p>")
    site.html("/noise", f"<p>Noise</p>{NOISE}")
    (noisy,) = records(run(f"dm-screenshot {site.url}/noise", PROOFS_DIR="proofs", **BROWSER).stdout)
    large = noisy["screenshot"]["pages"][0]
    assert large["size_bytes"] > 64 * 1024
    assert (tmp_path / large["thumbnail_path"]).read_bytes()[16:20] == (320).to_bytes(4, "big")
    line = f"dm-screenshot -K --full-page --viewport 400x300 {site.url}/tall {site.url}/dashboard"
    done = run(line, PROOFS_DIR="proofs", **BROWSER)
    tall, again = (record["screenshot"]["pages"][0] for record in records(done.stdout))
    assert picture.stat().st_mtime_ns == before
    assert (tmp_path / tall["path"]).read_bytes()[16:20] == (400).to_bytes(4, "big")
    assert (tmp_path / tall["thumbnail_path"]).read_bytes()[16:20] == (100).to_bytes(4, "big")
    assert int.from_bytes((tmp_path / tall["path"]).read_bytes()[20:24], "big") > 3000
    assert again["verdict"] == "ok"


def test_waiting_for_an_element_and_sending_headers(run: Run, site: Site, tmp_path: Path) -> None:
    (tmp_path / "headers").write_text("# who asks\nX-Asker: dm-tools-4711\n")
    site.html("/slowly", "<p>x</p><script>setTimeout(() => document.body.innerHTML += '<b>late</b>', 700)</script>")
    site.requests.clear()
    done = run(f"dm-screenshot --wait b --header-file headers {site.url}/slowly", **BROWSER)
    page = records(done.stdout)[0]["screenshot"]["pages"][0]
    assert page["text"].split() == ["x", "late"]
    assert site.requests[0][1]["X-Asker"] == "dm-tools-4711"


def test_pictures_that_cannot_be_written_lose_no_record(run: Run, site: Site, tmp_path: Path) -> None:
    (tmp_path / "proofs").write_text("a file")
    done = run(f"dm-screenshot {site.url}/dashboard", PROOFS_DIR="proofs/below", **BROWSER)
    assert done.returncode == 6
    record = records(done.stdout)[0]
    assert record["errors"][0]["code"] == "cannot_write"
    assert record["screenshot"]["pages"][0]["verdict"] == "ok"


def test_no_secret_leaves_a_page(run: Run, site: Site, tmp_path: Path) -> None:
    canary = "cnry7pageX2q9"
    site.html(
        "/secrets",
        f"<title>token={canary}a</title><input value='{canary}b'><p>DB_PASSWORD = {canary}c</p>"
        f"<!-- password: {canary}d --><script>console.error('Authorization: Bearer {canary}e');"
        f"fetch('/nothing?token={canary}f'); setTimeout(() => {{ throw new Error('api_key={canary}g') }})</script>",
    )
    site.html("/to-secrets", "", 302, Location=f"/secrets?access_token={canary}h")
    done = run(f"dm-screenshot --dom doms {site.url}/to-secrets", **BROWSER)
    page = records(done.stdout)[0]["screenshot"]["pages"][0]
    assert page["exceptions"] and page["console"] and page["failed_requests"]
    assert canary not in done.stdout
    assert canary not in (tmp_path / page["dom_path"]).read_text()


# The docker library forgets a socket when there is no engine.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_one_page_for_whoever_asks(eyes: browser.Browser, site: Site) -> None:
    url = site.html(
        "/one", "<h1>One page</h1><script>let x = 1</script><p>DB_PASSWORD=cnry7oneX2q9</p>" + "<b>b</b> " * 9000
    )
    nowhere = {"service": "x", "docker_host": "unix:///nonexistent"}
    page, document = screenshot.look(eyes, nowhere, url, Engines(10), 10, 2000)
    assert (page.verdict, page.path) == ("ok", None)
    assert document.startswith("<html><head></head><body><h1>One page</h1><script/>")
    assert len(document) == 2000
    assert "cnry" not in document + str(page)


def test_without_playwright_one_line_and_status_5(run: Run, tmp_path: Path) -> None:
    """As where the extra is not installed: the package cannot be found."""
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nf = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'playwright' else f(name, *more)\n"
    )
    done = run(
        f"{ROOT}/.venv/bin/python -m dm_tools.commands.screenshot -K",
        "http://127.0.0.1:1/\nhttp://127.0.0.1:2/\n",
        PYTHONPATH=f"{tmp_path}:{ROOT}",
    )
    assert done.returncode == 5
    assert done.stderr.count("\n") == 1 and "pip install -e" in done.stderr and "[screenshot]" in done.stderr
    assert [record["errors"][0]["code"] for record in records(done.stdout)] == ["browser_unavailable"] * 2


def test_a_browser_that_does_not_start(run: Run) -> None:
    done = run("dm-screenshot http://127.0.0.1:1/", DM_CHROMIUM="/bin/true")
    assert done.returncode == 5
    assert "'/bin/true' does not start" in done.stderr


def test_what_a_probe_got_no_answer_from_is_not_asked_again(run: Run, site: Site) -> None:
    url = f"{site.url}/dashboard"
    check = {"id": "probe:0", "url": url, "kind": "http", "scope": "external", "ok": False, "error": "timeout"}
    record = {"service": "x", "external": [url], "probe": {"status": "failed", "checks": [check]}}
    site.requests.clear()
    page = records(run("dm-screenshot", json.dumps(record)).stdout)[0]["screenshot"]["pages"][0]
    assert (page["verdict"], page["failure"]) == ("not_rendered", "timeout")
    assert site.requests == []


def test_what_nobody_configured_is_looked_at_if_it_showed_a_page(run: Run, site: Site) -> None:
    """Through an address of its own: a browser finds the name as little as a resolver does."""
    place = urlsplit(site.url).netloc
    urls = [f"http://shop.test:81{path}" for path in (path_of("login"), "/no-such-path")]
    entries = [{"url": url, "chosen": "a label", "named": True, "addresses": [place]} for url in urls]
    record = {"service": "x", "external": urls, "discovered": entries}
    done = run("dm-probe | dm-screenshot", json.dumps(record), **BROWSER)
    (found,) = records(done.stdout)
    assert [(each["status_code"], each["ok"]) for each in found["probe"]["checks"]] == [(200, True), (404, True)]
    assert [(each["url"], each["verdict"]) for each in found["screenshot"]["pages"]] == [(urls[0], "login")]


def test_http_200_and_a_blank_page_is_an_issue(run: Run, site: Site) -> None:
    urls = "".join(f"{site.url}{path_of(name)}\n" for name in ("spa-no-script", "login", "welcome-nginx", "spa-crash"))
    done = run("dm-probe -K | dm-screenshot -K | dm-analyze | dm-propose", urls, **BROWSER)
    found = {record["service"].rpartition("/")[2]: record["analysis"] for record in records(done.stdout)}
    judged = {name: (each["status"], each["cause"], each["pattern"]) for name, each in found.items()}
    assert judged == {
        "spa-no-script": ("degraded", "wrong_content", "page.script_missing"),
        "spa-crash": ("degraded", "app_exception", "page.script_exception"),
        "welcome-nginx": ("degraded", "wrong_content", "page.default"),
        "login": ("healthy", None, None),
    }
    assert found["spa-no-script"]["evidence"] == ["screenshot:0", "screenshot:0.request.0"]
    assert "/missing/app." in found["spa-no-script"]["hypothesis"]


# The text in a picture


DRAWN = b"""<!doctype html><title>Status</title><canvas id=c width=1000 height=300></canvas><script>
var c = document.getElementById('c').getContext('2d');
c.font = '32px sans-serif';
c.fillText('database connection refused', 20, 60);
c.fillText('Authorization: Bearer cnry7pictureX2q9cnry7pictureX2q9', 20, 140);
</script>"""


def test_words_that_are_only_in_the_picture_are_read_and_masked(run: Run) -> None:
    """With a real reader: what is drawn on a canvas stands in no document."""
    with serve() as site:
        site.pages["/drawn"] = lambda answer: answer.send(200, DRAWN)
        url = f"{site.url}/drawn"
        plain = records(run(f"dm-screenshot {url}", **BROWSER).stdout)[0]["screenshot"]["pages"][0]
        done = run(f"dm-screenshot --ocr local {url}", timeout=120, **BROWSER)
        page = records(done.stdout)[0]["screenshot"]["pages"][0]
    assert plain["ocr_text"] is None
    assert "database connection refused" in page["ocr_text"]
    assert "cnry7picture" not in done.stdout
    shown = run("jq -c . | dm-analyze | jq -r .analysis.status", stdin=done.stdout)
    assert shown.returncode == 0


def test_a_vision_model_is_sent_the_picture_and_its_words_are_masked(run: Run) -> None:
    """A scripted endpoint: there is no small vision model to be had."""
    said = "database connection refused\npassword=cnry7visionX2q9"
    noise = b"<script>for (var i = 0; i < 9e4; i++) { c.fillStyle = `hsl(${i * 7} 80% 50%)`; "
    noise += b"c.fillRect(i * 37 % 1000, 160 + i * 53 % 140, 3, 3); }</script>"  # a large picture, as real ones are
    with serve() as site, scripted.endpoint(lambda request: scripted.Answer(said)) as place:
        site.pages["/drawn"] = lambda answer: answer.send(200, DRAWN + noise)
        line = f"dm-screenshot {site.url}/drawn"
        done = run(line, **BROWSER, **place.variables, OCR_MODEL="a-vision-model")
        (request,) = place.requests
    assert request["model"] == "a-vision-model"
    picture = request["messages"][0]["content"][1]["image_url"]["url"]
    assert picture.startswith("data:image/png;base64,iVBOR")
    assert len(picture) > 50_000
    text = records(done.stdout)[0]["screenshot"]["pages"][0]["ocr_text"]
    assert text.startswith("database connection refused")
    assert "cnry7vision" not in done.stdout


def test_a_vision_model_that_does_not_answer_costs_its_text_only(run: Run) -> None:
    with serve() as site, scripted.endpoint(lambda request: scripted.Answer(status=500, body={})) as place:
        site.pages["/drawn"] = lambda answer: answer.send(200, DRAWN)
        done = run(f"dm-screenshot --ocr some-model {site.url}/drawn", **BROWSER, **place.variables)
    (record,) = records(done.stdout)
    assert done.returncode == 4
    assert record["errors"][0]["code"] == "model_server_error"
    assert record["screenshot"]["pages"][0]["path"]
    assert run("dm-screenshot --ocr some-model x").returncode == 2  # no endpoint
