"""dm-report --html: one page that shows the incident, needs nothing else, and obeys nothing that it quotes.

Looked at in a real Chromium: what counts is what a browser makes of it.
"""

from __future__ import annotations

import base64
import copy
import importlib.resources
import json
import os
import re
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser
from playwright.sync_api import Page as Tab

from dm_tools.act.policy import ceiling
from dm_tools.act.propose import propose
from dm_tools.patterns import reading as reader
from dm_tools.pipe.spool import Spool
from dm_tools.records import ConsoleEntry, Page, Reason, Request, Screenshot, Status, Verdict, with_section
from dm_tools.show import columns
from dm_tools.show import records as show
from dm_tools.show.html import graph, page
from dm_tools.store import reports as report
from dm_tools.store import screenshots
from tests.browser import Seen, chromium, opened
from tests.conftest import COLD, ROOT, Run, records
from tests.score.faults import judge
from tests.test_report import incident, judged

Json = dict[str, Any]

MANNER = report.Manner(ceiling.is_safe, show.text, page.render)
FAULTS = ROOT / "tests" / "data" / "faults"
AXE = importlib.resources.files("axe_playwright_python") / "axe.min.js"
# One pixel, red.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg=="
)

pytestmark = pytest.mark.xdist_group("browser")  # one browser, not one in each process


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for this file only: its driver keeps an event loop, which other tests must not meet."""
    with chromium() as ours:
        yield ours


def written(run: Run, tmp_path: Path, text: str, options: str = "") -> Path:
    """The page made of judged records."""
    done = run(f"dm-report --html --proofs-dir proofs {options}", stdin=text)
    said = [line for line in done.stderr.splitlines() if "the records were not judged" not in line]
    assert (done.returncode in (0, 4), said) == (True, []), done.stderr
    return tmp_path / json.loads(done.stdout)["html_path"]


def looked_at(verdict: str, thumbnail: str | None) -> Json:
    """What dm-screenshot says of one page."""
    seen = Page(
        id="screenshot:0",
        url="http://web/",
        scope="internal",
        verdict=Verdict(verdict),
        reasons=[Reason("nginx", "nginx says 502")],
        final_url="http://web/login",
        status_code=502,
        path="proofs/web.png",
        thumbnail_path=thumbnail,
        sha256="0",
        title="502 Bad Gateway",
        text="502",
        console=[ConsoleEntry("error", "Failed to load resource", None)],
        exceptions=["TypeError: x is null"],
        failed_requests=[Request("http://web/app.js", "GET", "script", None, "net::ERR_ABORTED", None)],
    )
    found: Json = msgspec.to_builtins(Screenshot(Status.FAILED, [seen]))
    return found


def with_screenshots(text: str, tmp_path: Path) -> str:
    """Judged records of which `web` has been looked at."""
    folder = tmp_path / "proofs" / "screenshots"
    folder.mkdir(parents=True)
    (folder / "web.png").write_bytes(PNG)
    stack = records(text)
    for record in stack:
        if record["service"] == "web":
            record["screenshot"] = looked_at("error_page", str(folder / "web.png"))
    return "".join(json.dumps(record) + "\n" for record in stack)


def run_folder(tmp_path: Path) -> Path:
    """What supervisor-session.sh leaves of a run by the time the report is written."""
    folder = tmp_path / "runs" / "it's one"
    folder.mkdir(parents=True)
    for name, seconds in {"services": 0.6, "probe": 2.3, "stats": 4.25}.items():
        noted = {"stage": name, "status": 0, "finished_s": seconds}
        (folder / f"{name}.status").write_text(json.dumps(noted))
        (folder / f"{name}.err").touch()
    (folder / "report.err").touch()
    (folder / "stats.jsonl").touch()
    (folder / "screenshot.jsonl").touch()
    return folder


def whole(tmp_path: Path, run: Run) -> Path:
    """The page of an incident with all that a page can have."""
    text = with_screenshots(judged(run, incident("database-down")), tmp_path)
    return written(run, tmp_path, text, f'--run-path "{run_folder(tmp_path)}"')


# What it shows


def test_a_recorded_fault_opens_in_chromium_and_shows_its_card(run: Run, tmp_path: Path, browser: Browser) -> None:
    with opened(browser, whole(tmp_path, run)) as (shown, seen):
        picture = tmp_path / "report.png"
        shown.screenshot(path=picture, full_page=True)
        assert picture.stat().st_size > 20_000
        assert "postgres is in trouble, and 3 services with it" in shown.title()
        (card,) = shown.locator("article").all()
        assert card.locator("h2").inner_text() == "postgres"
        assert "exited" in card.locator(".eyebrow").inner_text()
        assert "postgres shut itself down (exit code 0)" in card.locator(".hypothesis").inner_text()
        facts = card.locator(".facts").first.inner_text()
        assert all(word in facts for word in ("failed", "high", "2026-11-22 20:20:58 UTC", "rules", "container.ended"))
        fixes = card.locator(".fixes > li").all_inner_texts()
        assert ["start" in fixes[0], "reversible" in fixes[0], "To undo: stop it again" in fixes[0]] == [True] * 3
        copied = [each.inner_text() for each in card.locator(".fixes .copy code").all()]
        assert [line.split()[:4] for line in copied] == [
            ["dm", "review", "--approve", f"postgres:{number}"] for number in (1, 3)
        ]
        assert ["fix config" in fixes[1], "For a person to do" in fixes[1]] == [True] * 2
        assert ["check logs" in fixes[2], "Changes nothing" in fixes[2]] == [True] * 2
        assert card.locator("svg[role=img] text").all_text_contents() == ["postgres", "app", "web", "worker"]
        assert card.locator("svg[role=img] .arrow").count() == 3
        symptoms = card.locator(".symptoms li").all_inner_texts()
        assert [each.split("\n")[0].split(" ", 1)[1] for each in symptoms] == [
            "app postgres → app",
            "web postgres → app → web",
            "worker postgres → worker",
        ]
        assert "not killed for lack of memory" in card.locator("details .checks").text_content()
        assert shown.locator(".counts li").all_inner_texts() == ["✗ 3 failed", "! 1 degraded", "✓ 1 healthy"]
        assert shown.locator(".glance li").all_text_contents() == [
            f" {mark} {name} {status}"[1:]
            for mark, name, status in (
                ("✗", "postgres", "failed"),
                ("✗", "worker", "failed"),
                ("✗", "app", "failed"),
                ("!", "web", "degraded"),
                ("✓", "redis", "healthy"),
            )
        ]
        assert nothing_happened(shown, seen)


def test_every_claim_leads_to_its_line(run: Run, tmp_path: Path, browser: Browser) -> None:
    """By a real click, to a place that is seen and marked."""
    with opened(browser, whole(tmp_path, run)) as (shown, _):
        links = shown.locator(".hypothesis a.ref").all()
        assert [link.text_content() for link in links] == [f"evidence {number}" for number in range(1, 7)]
        for link in links:
            link.click()
            target = shown.locator(":target")
            assert f"evidence {target.locator('.number').inner_text()}" == link.text_content()
            assert target.evaluate("e => { const r = e.getBoundingClientRect(); return r.top >= 0 && r.top < 900 }")
        assert "could not translate host name" in shown.locator(":target mark").inner_text()
        assert shown.locator(".fixes a.ref").first.text_content() == "evidence 1–6"


def test_a_cited_log_line_is_marked_among_its_neighbours(run: Run, tmp_path: Path, browser: Browser) -> None:
    text = judged(run, (FAULTS / "wrong-password.jsonl").read_text())
    report = run("dm-report --proofs-dir p | jq -r .report_path | xargs cat", stdin=text).stdout
    (issue,) = json.loads(report)["issues"]
    quoted = [line for part in issue["log_context"] for line in part]
    assert any(line["evidence"] for line in quoted) and any(not line["evidence"] for line in quoted)
    with opened(browser, written(run, tmp_path, text)) as (shown, _):
        assert shown.locator(".log .line").count() == len(quoted)
        marked = shown.locator(".log .line mark").all_text_contents()
        assert len(marked) == sum(1 for line in quoted if line["evidence"])
        assert all(any(text in line["text"] for line in quoted if line["evidence"]) for text in marked)


def test_a_link_to_a_service_opens_its_details(run: Run, tmp_path: Path, browser: Browser) -> None:
    with opened(browser, whole(tmp_path, run)) as (shown, _):
        redis = shown.locator("details.service", has_text="redis").last
        assert redis.get_attribute("open") is None
        shown.locator(".glance a", has_text="redis").click()
        assert redis.get_attribute("open") is not None
        told = redis.inner_text()
        assert "tcp://redis:6379 answers" in told
        assert re.search(r"Memory\s+[\d.]+MiB of 128MiB", told)
        shown.locator("details.service", has_text="web").last.locator("summary").first.click()
        shown.locator("a", has_text="To its incident").locator("visible=true").first.click()
        assert shown.evaluate("location.hash") == "#i1"


def test_screenshots_are_in_the_page_with_what_the_console_said(run: Run, tmp_path: Path, browser: Browser) -> None:
    with opened(browser, whole(tmp_path, run)) as (shown, _):
        image = shown.locator(".card .shot img")
        assert image.evaluate("e => [e.complete, e.naturalWidth]") == [True, 1]
        small = image.evaluate("e => e.clientWidth")
        image.click()  # the full picture is in the page, too
        assert image.evaluate("e => e.clientWidth") > 2 * small
        assert image.get_attribute("alt") == "Screenshot of http://web/, a page of web; verdict: error page"
        told = shown.locator(".card .shot figcaption").inner_text()
        for words in ("error page", "502 Bad Gateway", "nginx says 502", "TypeError: x is null", "net::ERR_ABORTED"):
            assert words in told


def test_an_issue_tells_of_the_pages_of_all_its_services(run: Run, tmp_path: Path) -> None:
    """For dm-review: the page that is broken is a symptom's, the incident is the database's."""
    text = with_screenshots(judged(run, incident("database-down")), tmp_path)
    (found,) = json.loads(written(run, tmp_path, text).with_suffix(".json").read_text())["issues"]
    assert found["service"] == "postgres"
    wanted = {"id": "screenshot:0", "service": "web", "url": "http://web/", "verdict": "error_page"}
    assert found["screenshots"] == [wanted | {"reason": "nginx says 502", "path": "proofs/web.png"}]


@pytest.mark.parametrize(
    "strange", [7, [], {}, {"pages": 7}, {"pages": [7, {}, {"url": 7, "console": 7, "reasons": {}}]}]
)
def test_a_strange_screenshot_section_costs_nothing_else(run: Run, tmp_path: Path, strange: Any) -> None:
    stack = records(judged(run, incident("database-down")))
    text = "".join(json.dumps(record | {"screenshot": strange}) + "\n" for record in stack)
    assert "postgres shut itself down" in written(run, tmp_path, text).read_text()


def test_the_time_of_each_stage_and_the_way_to_replay(run: Run, tmp_path: Path, browser: Browser) -> None:
    with opened(browser, whole(tmp_path, run)) as (shown, _):
        rows = shown.locator(".stages tbody tr").all_inner_texts()
        assert [row.split() for row in rows] == [["services", "0.60"], ["probe", "2.30"], ["stats", "4.25"]]
        commands = shown.locator(".commands code").all_inner_texts()
    review, why, replay = commands
    assert run(why, timeout=30).stdout.startswith("\nCRITICAL postgres: exited")
    assert review.startswith(f"dm-review {tmp_path}/proofs/enhanced_diagnostics_")
    kept = (tmp_path / "proofs" / "screenshots" / "web.png").parent
    text = with_screenshots(incident("database-down"), tmp_path / "other").replace(
        str(tmp_path / "other" / "proofs" / "screenshots"), str(kept)
    )
    (tmp_path / "runs" / "it's one" / "screenshot.jsonl").write_text(text)
    again = json.loads(run(replay, PROOFS_DIR=str(tmp_path / "again")).stdout)
    assert "data:image/png" in Path(again["html_path"]).read_text()
    assert [issue["service"] for issue in again["issues"]] == ["postgres"]
    assert Path(again["html_path"]).exists()


def test_a_healthy_stack_says_so(run: Run, tmp_path: Path, browser: Browser) -> None:
    with opened(browser, written(run, tmp_path, judged(run, incident("healthy")))) as (shown, _):
        assert shown.locator("h1").inner_text() == "No problem found in 5 services"
        assert shown.locator("article").count() == 0
        assert shown.locator("details.service").count() == 5


def test_records_that_nobody_judged_make_a_page_of_the_stack(run: Run, tmp_path: Path, browser: Browser) -> None:
    path = written(run, tmp_path, incident("database-down") + "torn <b>line\n")
    assert re.fullmatch(r"stack_diagnostics_\d+\.html", path.name)
    with opened(browser, path) as (shown, _):
        assert shown.locator("h1").inner_text() == "4 of 5 services not healthy"
        assert shown.locator("details.service[open]").count() == 4
        assert "line 6: not a JSON object\ntorn <b>line" in shown.locator("#main").inner_text()
        link = shown.locator("footer a").get_attribute("href")
        assert (path.parent / str(link)).exists()


def test_records_of_which_little_is_known(run: Run, tmp_path: Path) -> None:
    nothing = dict.fromkeys(("cause", "root", "severity", "confidence", "hypothesis"))
    nothing |= {key: [] for key in ("evidence", "findings", "symptoms", "peers", "looked_at")}
    stack = [{"service": "alone"}]
    for status in ("healthy", "degraded", "failed", "unknown"):
        for role in ("root", "symptom", "healthy", "unknown"):
            verdict = nothing | {"engine": "rules", "status": status, "role": role}
            stack.append({"service": f"{status}-{role}", "analysis": verdict})
            verdict = verdict | {"symptoms": [{"service": "elsewhere", "path": []}], "evidence": ["logs:7", "x/logs:1"]}
            stack.append({"service": f"{status}-{role}", "analysis": verdict})
    text = "".join(json.dumps(record) + "\n" for record in stack)
    page_text = written(run, tmp_path, text).read_text()
    assert page_text.count("<article") == 8
    assert set(re.findall(r'href="#([^"]*)"', page_text)) <= set(re.findall(r'\bid="([^"]*)"', page_text))
    assert page_text.count("(its record is not among these)") == 4
    assert written(run, tmp_path, '{"service":"alone"}\n').read_text().count("alone") == 2


def healed(run: Run, tmp_path: Path) -> Path:
    """The page of a stack that was healed, with all that can have happened, told in a wrong order."""
    action = {
        "issue_id": "1",
        "service": "redis",
        "action": "unpause",
        "confidence": "high",
        "reasoning": "it is paused",
    }
    action |= {"parameters": {}}
    undo = "pause shop-redis-1 <again>"
    ended = [
        {"id": "c" * 16, "status": "undone", "begun_at": "2026-03-04T10:05:00Z", "ended_at": "2026-03-04T10:05:01Z"},
        {"id": "a" * 16, "status": "done", "steps": ["let shop-redis-1 go on"], "undo": undo}
        | {"begun_at": "2026-03-04T10:00:00Z", "ended_at": "2026-03-04T10:00:01.5Z"},
        {"id": "b" * 16, "status": "refused", "reason": "it is not paused"},
    ]
    (tmp_path / "done.jsonl").write_text("".join(json.dumps(action | {"execution": each}) + "\n" for each in ended))
    stack = records(judged(run, incident("healthy")))
    for record in stack:
        if record["service"] == "redis":
            record["inspect"]["observed_at"] = "2026-03-04T10:00:09Z"
            record["verification"] = {"proof": "recovered", "gone": ["redis: the container is paused"]}
            record["verification"] |= {"stays": [], "new": []}
    return written(run, tmp_path, "".join(json.dumps(record) + "\n" for record in stack), "--executed done.jsonl")


def test_what_was_done_and_proved_is_told_in_the_order_of_time(run: Run, tmp_path: Path, browser: Browser) -> None:
    path = healed(run, tmp_path)
    with opened(browser, path) as (shown, _):
        assert shown.locator("h1").inner_text() == "redis recovered"
        deeds = [" ".join(each.inner_text().split()) for each in shown.locator(".deeds > li").all()]
    assert deeds == [
        "10:00:01.5 redis unpause done let shop-redis-1 go on "
        "To take it back: pause shop-redis-1 <again> (dm-undo aaaaaaaa)",
        "redis unpause refused it is not paused",
        "10:00:09 redis recovered gone: redis: the container is paused",
        "10:05:01 redis unpause undone",
    ]
    told = run(f"dm-show {path.with_suffix('.json')}").stdout
    assert told[told.index("What was done") :].splitlines() == [
        "What was done, and what it proved:",
        "  2026-03-04 10:00:01 UTC  redis: unpause done",
        "    let shop-redis-1 go on",
        "    way back (dm-undo aaaaaaaa): pause shop-redis-1 <again>",
        "  redis: unpause refused: it is not paused",
        "  2026-03-04 10:00:09 UTC  redis recovered",
        "    gone: redis: the container is paused",
        "  2026-03-04 10:05:01 UTC  redis: unpause undone",
    ]


def test_a_line_that_dm_execute_did_not_print_is_told_of_and_costs_nothing_else(run: Run, tmp_path: Path) -> None:
    (tmp_path / "done.jsonl").write_text(
        '{"service":"redis"}\n{"service":"redis","action":"exec","execution":{}}\nno line\n'
    )
    done = run("dm-report --executed done.jsonl --proofs-dir proofs", stdin=judged(run, incident("healthy")))
    assert done.returncode == 0
    report_path = Path(tmp_path / json.loads(done.stdout)["report_path"])
    assert json.loads(report_path.read_text())["healing"] == []
    assert len(json.loads(report_path.read_text())["input_errors"]) == 2
    missing = run("dm-report --executed nowhere.jsonl", stdin=judged(run, incident("healthy")))
    assert (missing.returncode, "cannot read 'nowhere.jsonl'" in missing.stderr) == (3, True)


def test_every_recorded_fault_has_its_cards_and_no_link_leads_nowhere(tmp_path: Path) -> None:
    """In this process: sixty times three commands would take a minute."""
    library = reader.read(None)
    for recording in sorted(FAULTS.glob("*.jsonl")):
        verdicts = judge(records(recording.read_text()), library)
        with Spool() as spool:
            collector = report.Collector(spool)
            for record in records(recording.read_text()):
                verdict = verdicts[record["service"]]
                record = with_section(record, "analysis", verdict)
                collector.add(with_section(record, "proposals", propose(record["service"], verdict)))
            done = report.write(collector, tmp_path / recording.stem, 1732800000, None, MANNER)
        text = Path(done["html_path"]).read_text()
        roots = sorted(service for service, each in verdicts.items() if each.role == "root")
        assert sorted(re.findall(r'<h2 id="i\d+-h"><a href="#s\d+">([^<]*)</a></h2>', text)) == roots, recording.stem
        places = re.findall(r'\bid="([^"]*)"', text)
        assert len(places) == len(set(places)), recording.stem
        assert set(re.findall(r'href="#([^"]*)"', text)) <= set(places), recording.stem


# What it obeys: nothing

NASTY = " ".join(
    (
        "<script>owned=1</script>",
        '"><img src=x onerror=owned=1><img src=HOST>',
        "' onfocus='owned=1' autofocus tabindex='1' x='",
        "</pre></details></style></title></textarea></svg><svg onload=owned=1><script>owned=1</script></svg>",
        "<iframe srcdoc='<script>parent.owned=1</script>'></iframe><iframe src=HOST></iframe><object data=HOST>",
        "<style>@import 'HOST'; body { background: url(HOST) }</style><link rel=stylesheet href=HOST>",
        "<meta http-equiv=refresh content='0;url=HOST'><base href=HOST><script src=HOST></script>",
        "<a href='javascript:owned=1' ping=HOST>x</a><form action=HOST><input autofocus onfocus=owned=1></form>",
        "<details open ontoggle=owned=1><video><source onerror=owned=1></video><!-- ]]> {{ 7*7 }} {% raw %} {#",
        "\\u003cscript\\u003e &lt;script&gt; &#60;script&#62;",
    )
)
INVISIBLE = "\u202egnp.exe\u2066\u200b\u0000\x1b]0;x\x07\ufeff"
PLAIN_KEYS = {
    "status",
    "role",
    "severity",
    "confidence",
    "pages",
    "v",
    "risk",
    "kind",
    "scope",
    "thumbnail_path",
    "verdict",
}
IDENTITIES = {"evidence", "id", "service", "path", "peers", "points_to"}


def poisoned(value: Any, host: str, key: str = "") -> Any:
    """The value with hostile text in every string that is not of a closed list. Equal names stay equal."""
    if isinstance(value, dict):
        return {name: poisoned(each, host, name) for name, each in value.items()}
    if isinstance(value, list):
        return [poisoned(each, host, key) for each in value]
    nasty = NASTY.replace("HOST", host)
    if not isinstance(value, str) or key in PLAIN_KEYS or value in ("exited", "auth_failure", "refused", "dns"):
        return value
    if key in IDENTITIES:
        return value if re.match(r"[\w/]+:[\w.-]+$", value) else value + nasty
    if key in ("url", "final_url"):
        return f"javascript:owned=1//{nasty}"
    return value + nasty + INVISIBLE


def hostile(run: Run, tmp_path: Path, host: str) -> str:
    """A judged stack in which every free text is hostile."""
    text = with_screenshots(judged(run, incident("database-down")), tmp_path)
    stack = []
    for record in records(text):
        causes = copy.deepcopy({each: record["analysis"][each] for each in ("cause", "findings", "fixes")})
        error = {"stage": "logs", "code": "x", "message": "y"}
        record = poisoned(record, host)
        record["analysis"] |= causes
        record["errors"] = [poisoned(error, host)]
        for number, check in enumerate((record["probe"] or {}).get("checks", [])):
            check["id"] = f"probe:{number}"
            check["error"] = None
        for fix in record["proposals"]:
            fix["parameters"] = {NASTY: INVISIBLE + NASTY}
            fix["undo"] = NASTY
        stack.append(record)
    return "".join(json.dumps(record) + "\n" for record in stack) + NASTY + "\n"


@dataclass
class Host:
    """A real server that nobody may ask, and what it was asked."""

    url: str
    asked: list[str]


@pytest.fixture
def host() -> Iterator[Host]:
    """Listens on a port of its own."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *details: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Host(f"http://127.0.0.1:{server.server_port}/asked", asked)
        server.shutdown()


def nothing_happened(shown: Tab, seen: Seen) -> bool:
    """No request but for the file itself and what lies in it, no dialog, no message, no violation, no script run."""
    outside = [url for url in seen.requests if not url.startswith(("file:", "data:"))]
    assert [*outside, *seen.dialogs, *seen.popups, *seen.console] == []
    assert len([url for url in seen.requests if url.startswith("file:")]) == 1
    assert shown.evaluate("[window.owned, window.stopped]") in ([None, []], [{}, []])
    return True


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_hostile_text_is_shown_and_does_nothing(
    run: Run, tmp_path: Path, browser: Browser, host: Host, scheme: str
) -> None:
    path = written(run, tmp_path, hostile(run, tmp_path, host.url))
    assert path.stat().st_size > 100_000
    with opened(browser, path, width=390, color_scheme=scheme) as (shown, seen):
        shown.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        for link in shown.locator("a[href^='#']").all()[:40]:
            link.evaluate("each => { each.focus(); each.click() }")
        shown.wait_for_timeout(300)
        assert nothing_happened(shown, seen)
        assert host.asked == []
        assert shown.locator("script, iframe, object, embed, form, input, base, video, style ~ style").count() == 0
        assert shown.locator("meta[http-equiv=refresh], link:not([rel=icon])").count() == 0
        assert shown.locator("article").count() == 1
        attributes = shown.evaluate(
            "[...document.querySelectorAll('*')].flatMap(e => e.getAttributeNames())"
            ".filter(name => /^(on|style|ping)/.test(name))"
        )
        assert attributes == []
        links = shown.evaluate("[...document.querySelectorAll('a')].map(e => e.getAttribute('href'))")
        assert [each for each in links if not re.fullmatch(r"#[a-z0-9-]+|enhanced_diagnostics_\d+\.json", each)] == []
        text = shown.locator("body").inner_text()
        assert text.count("<script>owned=1</script>") > 50
        assert "{{ 7*7 }}" in text
        assert "\\u202egnp.exe" in text
        assert [each for each in text if not each.isprintable() and each not in "\n\t"] == []
        assert shown.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_witness_sees_what_a_careless_page_does(tmp_path: Path, browser: Browser, host: Host) -> None:
    """The same text, neither escaped nor under a policy: were nothing seen, the test above would prove nothing."""
    text = NASTY.replace("HOST", host.url).replace("http-equiv=refresh", "")  # that one would leave the page
    (tmp_path / "careless.html").write_text("<body>" + text)
    with opened(browser, tmp_path / "careless.html") as (shown, seen):
        assert shown.evaluate("window.owned") == 1
        assert host.asked and any(url.startswith(host.url) for url in seen.requests)


def test_the_policy_holds_where_escaping_would_fail(run: Run, tmp_path: Path, browser: Browser, host: Host) -> None:
    path = whole(tmp_path, run)
    leak = "<script>owned=1</script><img src=HOST onerror=owned=1><p style='background:url(HOST)'><script src=HOST>"
    leak += "</script><iframe src=HOST></iframe><style>@import 'HOST'</style><object data=HOST></object>"
    path.write_text(path.read_text().replace("<h1>", leak.replace("HOST", host.url) + "<h1>"))
    with opened(browser, path) as (shown, _):
        shown.wait_for_timeout(200)
        # the picture's own handler, too: that it failed to load must not run it
        assert shown.evaluate("window.owned") is None
        assert host.asked == []
        assert len(shown.evaluate("window.stopped")) >= 7


# How it reads


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(run: Run, tmp_path: Path, browser: Browser, scheme: str) -> None:
    pages = [whole(tmp_path, run)]
    if scheme == "light":  # the other one has other colours and nothing else
        two = written(run, tmp_path, judged(run, (FAULTS / "two-changes.jsonl").read_text()))
        pages += [two, healed(run, tmp_path)]
    for path in pages:
        with opened(browser, path, color_scheme=scheme) as (shown, _):
            shown.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
            shown.evaluate(AXE.read_text())
            found = shown.evaluate("axe.run()")
            assert found["violations"] == []
            assert len(found["passes"]) > 20


# WCAG's contrast of what axe leaves open: signs, and words beside a sign that the style puts there.
CONTRAST = """(selector) => {
    const numbers = text => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
    const part = value => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
    return [...document.querySelectorAll(selector)].map(element => {
        const style = getComputedStyle(element), svg = element.closest('svg');
        const behind = svg ? getComputedStyle(element.parentElement.querySelector('rect')).fill : style.backgroundColor;
        const both = [light(numbers(svg ? style.fill : style.color)), light(numbers(behind))].sort((a, b) => b - a);
        return (both[0] + 0.05) / (both[1] + 0.05);
    });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_signs_and_drawings_have_contrast(run: Run, tmp_path: Path, browser: Browser, scheme: str) -> None:
    with opened(browser, whole(tmp_path, run), color_scheme=scheme) as (shown, _):
        found = shown.evaluate(CONTRAST, ".mark, .tag, .ref, mark, svg text")
        assert len(found) > 20
        assert min(found) >= 4.5


def test_the_keyboard_reaches_everything(run: Run, tmp_path: Path, browser: Browser) -> None:
    with opened(browser, whole(tmp_path, run)) as (shown, _):
        shown.keyboard.press("Tab")
        assert shown.evaluate("document.activeElement.className") == "skip"
        shown.keyboard.press("Enter")
        assert shown.evaluate("location.hash") == "#main"
        shown.reload()
        can = "[...document.querySelectorAll('a, summary, [tabindex]')].filter(e => e.checkVisibility()).length"
        expected = shown.evaluate(can)
        shown.evaluate("window.reached = new Set(); document.addEventListener('focusin', e => reached.add(e.target))")
        for _ in range(expected + 3):
            shown.keyboard.press("Tab")
        assert shown.evaluate("reached.size") == expected


@pytest.mark.parametrize("name", ["database-down", "two-changes", "oom-restart-loop", "wrong-password"])
def test_a_phone_has_no_need_to_scroll_sideways(run: Run, tmp_path: Path, browser: Browser, name: str) -> None:
    path = written(run, tmp_path, judged(run, (FAULTS / f"{name}.jsonl").read_text()))
    with opened(browser, path, width=390) as (shown, _):
        shown.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert shown.evaluate("document.documentElement.scrollWidth") <= 390


def test_dark_is_dark_and_paper_is_white_and_has_it_all(run: Run, tmp_path: Path, browser: Browser) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    with opened(browser, whole(tmp_path, run), color_scheme="dark") as (shown, _):
        assert shown.evaluate(colour) == "rgb(15, 18, 22)"
        assert shown.locator("details .checks li").first.is_hidden()
        shown.emulate_media(media="print", color_scheme="light")
        assert shown.evaluate(colour) == "rgb(255, 255, 255)"
        heights = shown.locator("details .checks li").evaluate_all(
            "all => all.map(e => e.getBoundingClientRect().height)"
        )
        assert heights and min(heights) > 0
        pdf = tmp_path / "report.pdf"
        shown.pdf(path=pdf)
        assert pdf.read_bytes().startswith(b"%PDF")


def test_paper_has_no_page_that_is_nearly_empty(run: Run, tmp_path: Path, browser: Browser) -> None:
    """The more a card holds, the sooner it would be moved to the next page in one piece."""
    with opened(browser, whole(tmp_path, run), color_scheme="light") as (shown, _):
        shown.emulate_media(media="print")
        shown.set_viewport_size({"width": 718, "height": 900})
        height = shown.evaluate("document.documentElement.scrollHeight")
        pdf = shown.pdf(width="718px", height="1000px", margin=dict.fromkeys(("top", "bottom", "left", "right"), "0"))
    pages = len(re.findall(rb"/Type\s*/Page\b(?!s)", pdf))
    assert height / 1000 <= pages <= height / 1000 * 1.15 + 1


# What it is made of


def test_the_page_is_private_whole_and_needs_no_other_file(run: Run, tmp_path: Path) -> None:
    path = whole(tmp_path, run)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each for each in path.parent.iterdir() if each.name.startswith(".")] == []
    text = path.read_text()
    assert text.rstrip().endswith("</html>")
    assert not re.search(r"""(src|href|url\()\s*=?\s*["']?(https?:|//|file:)""", text)


def test_a_page_is_never_written_over_another(run: Run, tmp_path: Path) -> None:
    text = judged(run, incident("healthy"))
    (tmp_path / "proofs").mkdir()
    (tmp_path / "proofs" / "enhanced_diagnostics_1732800000.html").write_text("mine")
    done = run("dm-report --html --proofs-dir proofs", stdin=text, DM_NOW="1732800000")
    assert json.loads(done.stdout)["html_path"] == "proofs/enhanced_diagnostics_1732800001.html"
    assert (tmp_path / "proofs" / "enhanced_diagnostics_1732800000.html").read_text() == "mine"


def test_a_page_that_cannot_be_written_is_said_and_the_json_is_there(run: Run, tmp_path: Path) -> None:
    line = "ulimit -f 24; dm-report --html --proofs-dir proofs"  # KiB: the JSON reports are smaller, the page is not
    done = run(line, stdin=judged(run, incident("database-down")), **COLD)
    assert done.returncode == 6
    assert re.fullmatch(r"dm-report: cannot write 'proofs/enhanced_\S+\.html': file too large\n", done.stderr)
    names = sorted(path.name.split("_")[0] for path in (tmp_path / "proofs").iterdir())
    assert names == ["enhanced", "stack"]


def test_thousands_of_services(run: Run, tmp_path: Path, browser: Browser) -> None:
    stack = records(judged(run, incident("healthy")))
    text = "".join(json.dumps(stack[n % 5] | {"service": f"service-{n}"}) + "\n" for n in range(3000))
    began = time.monotonic()
    path = written(run, tmp_path, text)
    assert time.monotonic() - began < 20
    with opened(browser, path) as (shown, _):
        assert shown.locator("h1").inner_text() == "No problem found in 3000 services"
        assert shown.locator(".glance li").last.inner_text() == f"✓ and {3000 - page.GLANCED_FINE} more"
        assert shown.locator("details.service").count() == page.FINE_SHOWN
        assert f"and {3000 - page.FINE_SHOWN} more that are healthy" in str(shown.locator("#main").text_content())


def test_only_pictures_below_the_folder_of_reports_get_in(tmp_path: Path) -> None:
    folder = tmp_path / "proofs"
    folder.mkdir()
    good = folder / "good.png"
    good.write_bytes(PNG)
    assert screenshots.picture(str(good), folder) == f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    (tmp_path / "outside.png").write_bytes(PNG)
    (folder / "link.png").symlink_to(tmp_path / "outside.png")
    (folder / "secret.png").write_text("password")
    (folder / "vector.png").write_text("<svg xmlns='http://www.w3.org/2000/svg' onload='owned=1'/>")
    (folder / "large.png").write_bytes(PNG + b"\0" * screenshots.LARGEST)
    (folder / "circle.png").symlink_to(folder / "circle.png")
    os.mkfifo(folder / "pipe.png")
    for name in ("link", "secret", "vector", "large", "circle", "pipe", "nothing"):
        assert screenshots.picture(str(folder / f"{name}.png"), folder) is None
    for path in ("", None, "\0", str(folder), "/dev/zero", str(folder / ".." / "outside.png")):
        assert screenshots.picture(path, folder) is None


def test_stages_that_make_no_sense_are_left_out(tmp_path: Path) -> None:
    assert page.stages(None) == page.stages(str(tmp_path / "nothing")) == []
    folder = run_folder(tmp_path)
    for name, text in {"torn": '{"stage"', "list": "[]", "text": '{"stage":"x","status":0,"finished_s":"y"}'}.items():
        (folder / f"{name}.status").write_text(text)
    assert [stage["name"] for stage in page.stages(str(folder))] == ["services", "probe", "stats"]


def test_a_stage_that_never_notes_its_end_delays_the_page_by_a_second(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    (folder / "stats.status").unlink()
    began = time.monotonic()
    assert len(page.stages(str(folder))) == 2
    assert time.monotonic() - began < page.STATUS_WAIT_S + 5


# The drawing


def test_a_drawing_has_no_two_boxes_in_one_place(run: Run) -> None:
    paths = [[f"s{n}", f"m{n % 4}", "root"] for n in range(15)]
    found = graph.draw("root", paths, {"root": "failed"})
    assert len(found.boxes) == 20
    assert len({(box.x, box.y) for box in found.boxes}) == 20
    assert all(0 <= box.x <= found.width - box.width and 0 <= box.y < found.height for box in found.boxes)
    assert (found.boxes[0].name, found.boxes[0].status, found.boxes[1].status) == ("root", "failed", "unknown")


@pytest.mark.parametrize(
    "paths",
    [
        [["a", "b", "root"], ["b", "a", "root"]],
        [["a", "a", "root"], ["root", "root"], ["root"], []],
        [["a", "elsewhere"], ["b", "root", "a"]],
    ],
)
def test_circles_and_strange_paths_are_drawn_somehow(paths: list[list[str]]) -> None:
    found = graph.draw("root", paths, {})
    assert len(found.boxes) == len({"root", *(each for path in paths for each in path)})
    assert len(found.arrows) == len(found.boxes) - 1


def test_a_drawing_stays_small_and_says_what_it_left_out() -> None:
    chain = [f"n{n}" for n in range(5000)]
    found = graph.draw("root", [[*chain, "root"], *([f"s{n}", "root"] for n in range(5000))], {})
    assert len(found.boxes) == graph.SHOWN
    assert found.left_out == 10_001 - graph.SHOWN


@pytest.mark.parametrize("name", ["x" * 300, "服务" * 40, "a\u0301" * 50])
def test_a_long_name_is_shortened(name: str) -> None:
    (box,) = graph.draw(name, [], {}).boxes
    assert box.name.endswith("…")
    assert columns.columns(box.name) <= graph.NAME


@pytest.mark.parametrize(
    ("text", "telling"),
    [
        ("Traceback (most recent call last):\n" + "  File x\n" * 12 + "ValueError: no", "ValueError: no"),
        ("java.io.IOException: no\n" + "\tat a.b(C.java:1)\n" * 12 + "\t... 5 more", "java.io.IOException: no"),
        ("one", "one"),
        ("", ""),
        ("  \n ", " "),
    ],
)
def test_the_telling_line_of_a_trace(text: str, telling: str) -> None:
    (kind, first), *others = page.folded(text)
    assert (kind, first) == ("telling", telling)
    lines = text.rstrip("\n").split("\n")
    lines.remove(telling)
    assert "\n".join(part for _, part in others) == "\n".join(lines)
    assert [kind for kind, _ in others] == (["folded"] if text.count("\n") > 9 else ["plain"] if lines else [])


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("/srv/proofs/report_17.json", ["/srv/", "proofs/", "report_", "17.", "json"]),
        ("<b>/\x00\u202ex", ["&lt;b&gt;/\\x00\\u202ex"]),
        ("", [""]),
    ],
)
def test_a_path_breaks_at_its_joints_only(text: str, parts: list[str]) -> None:
    assert page.breakable(text).split("<wbr>") == parts
