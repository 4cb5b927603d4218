"""dm-review on a real terminal (a pty): the seed's sessions, every answer, and nothing lost however it ends."""

from __future__ import annotations

import base64
import json
import os
import random
import re
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pexpect
import pytest

from dm_tools.records import ApprovedAction, Phase
from dm_tools.store.approvals import ReportError, Review, read
from dm_tools.store.journal import Journal
from tests.conftest import ROOT, SEALED, Run, records

Json = dict[str, Any]

# The report of the seed, in its own schema and nothing added.
SEED_REPORT: Json = {
    "generated_at": 1732800000000,
    "report_id": "enhanced-1732800000",
    "summary": {
        "total": 15,
        "healthy": 14,
        "degraded": 1,
        "failed": 0,
        "issues": 1,
        "safe_actions": 2,
        "needs_review": 0,
    },
    "issues": [
        {
            "id": "issue-vllm-router-1732800000",
            "service": "vllm-router",
            "severity": "warning",
            "status": "degraded",
            "evidence": ["screenshot:/proofs/screenshots/vllm-router.png", "wellness_report"],
            "root_cause_hypothesis": "Container repeatedly restarting; connection to vllm:8000 timing out",
            "log_excerpt": "ERROR: Connection refused to vllm:8000\nINFO: Retrying in 5s...\n"
            "ERROR: Connection refused to vllm:8000\n",
            "resource_metrics": {"cpu": "0.5%", "memory": "128MiB / 2GiB", "mem_percent": "6.25%"},
            "proposed_fixes": [
                {
                    "action": "restart",
                    "confidence": "high",
                    "reasoning": "Clean restart often resolves transient connection issues",
                    "parameters": {},
                },
                {
                    "action": "check_dependencies",
                    "confidence": "medium",
                    "reasoning": "Verify vllm service is healthy",
                    "parameters": {"dependency": "vllm"},
                },
            ],
        }
    ],
    "automated_actions_safe": ["vllm-router: restart", "vllm-router: check_dependencies"],
    "requires_human_review": [],
    "base_report_path": "/proofs/stack_diagnostics_1732800000.json",
}

EXAMPLE_1 = """\
Issue #1: vllm-router
Severity: WARNING
Status: degraded

Root Cause Analysis:
  Container repeatedly restarting; connection to vllm:8000 timing out

Log Excerpt (last 20 lines):
  ERROR: Connection refused to vllm:8000
  INFO: Retrying in 5s...
  ERROR: Connection refused to vllm:8000

Resource Metrics:
  cpu: 0.5%
  memory: 128MiB / 2GiB

Proposed Fixes:
  1. Action: restart
     Confidence: high
     Reasoning: Clean restart often resolves transient connection issues

  2. Action: check_dependencies
     Confidence: medium
     Reasoning: Verify vllm service is healthy

Review (1/1):
  [a] Approve all
  [s] Select specific
  [d] Defer
  [i] Ignore
  [q] Quit

Your choice: a
✓ Approved 2 fix(es) for vllm-router
✅ Approved actions saved to: {path}
"""


def issue(service: str, severity: str = "warning", fixes: int = 2, **more: Any) -> Json:
    """An issue as dm-report writes it."""
    actions = ("restart", "check_logs", "recreate", "escalate")[:fixes]
    return {
        "id": f"issue-{service}-1732800000",
        "service": service,
        "severity": severity,
        "status": "failed",
        "evidence": ["logs:1"],
        "root_cause_hypothesis": f"{service} is broken",
        "log_excerpt": "ERROR: it broke",
        "resource_metrics": {"cpu": None, "memory": None, "mem_percent": None},
        "proposed_fixes": [
            {
                "action": action,
                "confidence": "high",
                "reasoning": f"because {action}",
                "parameters": {},
                "risk": "reversible",
            }
            for action in actions
        ],
        "cause": "exited",
        "confidence": "high",
        "symptoms": [{"service": "web", "path": ["web", service]}],
        "evidence_detail": [{"id": "logs:1", "at": "2025-11-30T11:59:59Z", "text": f"the log of {service}\nin full"}],
    } | more


@pytest.fixture
def proofs(tmp_path: Path) -> Path:
    """The folder of reports."""
    folder = tmp_path / "proofs"
    folder.mkdir()
    return folder


def report(folder: Path, *issues: Json, stamp: int = 1732800000, **more: Any) -> Path:
    """Put an enhanced report into a folder."""
    path = folder / f"enhanced_diagnostics_{stamp}.json"
    summary = {"total": 5, "healthy": 5 - len(issues), "failed": len(issues)}
    content = SEED_REPORT | {"report_id": f"enhanced-{stamp}", "summary": summary, "issues": list(issues)} | more
    path.write_text(json.dumps(content))
    return path


class Person:
    """Somebody at a terminal, in front of a command."""

    def __init__(self, folder: Path, line: str, **variables: str) -> None:
        environment = SEALED | {"TERM": "xterm-256color", "DM_NOW": "1764504000", "PAGER": "cat"} | variables
        command = ["-c", line]
        self.process = pexpect.spawn(
            "/bin/bash",
            command,
            cwd=str(folder.parent),
            env=environment,
            dimensions=(50, 200),
            encoding="utf-8",
            # as a terminal starts it: the tests themselves may run under nohup, which is inherited
            preexec_fn=lambda: [signal.signal(each, signal.SIG_DFL) for each in (signal.SIGHUP, signal.SIGINT)],
        )
        self.process.delaybeforesend = None
        self.seen = ""

    def expect(self, text: str) -> str:
        """Wait for a text; what was shown up to it."""
        self.process.expect_exact(text, timeout=15)
        shown = str(self.process.before) + text
        self.seen += shown
        return shown

    def answer(self, *words: str) -> None:
        """Give one answer after the other, each when asked."""
        for word in words:
            self.expect("Your choice: ")
            self.process.sendline(word)

    def end(self) -> int:
        """Wait for the end; the exit status."""
        self.process.expect(pexpect.EOF, timeout=15)
        self.seen += str(self.process.before)
        self.process.close()
        return int(self.process.exitstatus) if self.process.exitstatus is not None else -self.process.signalstatus

    @property
    def text(self) -> str:
        return self.seen.replace("\r\n", "\n")


@pytest.fixture
def sit(proofs: Path) -> Iterator[Any]:
    """Sit down in front of a command (dm-review unless said otherwise)."""
    people: list[Person] = []

    def down(line: str = "exec dm-review", **variables: str) -> Person:
        people.append(Person(proofs, line, **({"PROOFS_DIR": str(proofs)} | variables)))
        return people[-1]

    yield down
    for person in people:
        person.process.close(force=True)


def in_order(wanted: str, text: str) -> list[str]:
    """The lines of `wanted` that do not come in this order in the text."""
    lines = iter(text.split("\n"))
    return [line for line in wanted.split("\n") if line not in lines]


def approvals(folder: Path) -> list[Json]:
    """The approval files of a folder."""
    return [json.loads(path.read_bytes()) for path in sorted(folder.glob("approved_fixes_*"))]


def approved(folder: Path) -> list[tuple[str, str]]:
    """What the only approval file approves."""
    (content,) = approvals(folder)
    return [(each["service"], each["action"]) for each in content["approved_actions"]]


# The seed's sessions


def test_example_1_reads_as_in_the_seed(sit: Any, proofs: Path) -> None:
    (proofs / "enhanced_diagnostics_1732800000.json").write_text(json.dumps(SEED_REPORT))
    person = sit()
    person.answer("a")
    assert person.end() == 0
    path = proofs / "approved_fixes_20251130_120000.json"
    assert in_order(EXAMPLE_1.format(path=path), person.text) == []
    assert json.loads(path.read_bytes())["generated_at"] == "2025-11-30T12:00:00"


def test_example_2_reads_as_in_the_seed(sit: Any, proofs: Path) -> None:
    report(proofs)
    person = sit()
    assert person.end() == 0
    assert person.text == "✅ No issues found! All services healthy.\n"
    assert not list(proofs.glob("approved*"))


@pytest.mark.parametrize(("answer", "status"), [("a", 0), ("q", 0)])
def test_the_supervisor_holds_the_same_session(sit: Any, proofs: Path, answer: str, status: int) -> None:
    (proofs / "enhanced_diagnostics_1732800000.json").write_text(json.dumps(SEED_REPORT))
    person = sit(f"exec {ROOT}/scripts/supervisor-session.sh review")
    person.answer(answer)
    assert person.end() == status
    if answer == "a":
        assert in_order(EXAMPLE_1.format(path=proofs / "approved_fixes_20251130_120000.json"), person.text) == []
    assert '"issue_id"' not in person.text  # a person reads; the file has the actions


def test_a_recorded_incident_from_judgement_to_approval(run: Run, sit: Any, proofs: Path) -> None:
    data = ROOT / "tests" / "data" / "database-down.jsonl"
    done = run(f"dm-analyze < {data} | dm-propose | dm-report --proofs-dir {proofs}")
    assert done.returncode == 0
    person = sit()
    person.answer("e", "a")
    assert person.end() == 0
    wanted = (
        "Issue #1: postgres\nSeverity: CRITICAL\nStatus: failed\n  Also fails because of it: app (postgres → app)\n"
        "  Also fails because of it: web (postgres → app → web)\n  1. Action: start\n  2. Action: fix_config\n"
        "  3. Action: check_logs\n"
        'Evidence:\n  [inspect:state]\n    state = "exited"\n✓ Approved 3 fix(es) for postgres'
    )
    assert in_order(wanted, person.text) == []
    assert approved(proofs) == [("postgres", "start"), ("postgres", "fix_config"), ("postgres", "check_logs")]


def test_the_approval_file_is_in_the_schema_of_the_seed(sit: Any, proofs: Path) -> None:
    path = proofs / "enhanced_diagnostics_1732800000.json"
    path.write_text(json.dumps(SEED_REPORT))
    person = sit()
    person.answer("a")
    person.end()
    written = proofs / "approved_fixes_20251130_120000.json"
    content = json.loads(written.read_bytes())
    assert list(content) == ["generated_at", "source_report", "approved_actions"]
    assert content["source_report"] == str(path)
    fixes = SEED_REPORT["issues"][0]["proposed_fixes"]
    for action, fix in zip(content["approved_actions"], fixes, strict=True):
        wanted = {"issue_id": "issue-vllm-router-1732800000", "service": "vllm-router"} | fix
        assert {key: action[key] for key in wanted} == wanted
    assert stat.S_IMODE(written.stat().st_mode) == 0o600


# Screenshots


PNG = (
    base64.b64decode(  # one red pixel, and a comment that makes it longer than one piece of a terminal's picture
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
    )
    + bytes(range(256)) * 20
)


def pictured(proofs: Path, **more: Any) -> Path:
    """A report whose issue has a page with a picture in the proofs folder; returns the picture's path."""
    (proofs / "screenshots").mkdir()
    picture = proofs / "screenshots" / "5f2c.png"
    picture.write_bytes(PNG)
    seen = {
        "service": "web",
        "url": "http://web/",
        "verdict": "error_page",
        "reason": "nginx: 502",
        "path": str(picture),
    }
    fine = seen | {"url": "http://web/fine", "verdict": "ok", "reason": None, "path": None}
    report(proofs, issue("app", screenshots=[fine, seen | more]))
    return picture


@pytest.fixture
def browser(tmp_path: Path) -> Path:
    """A "browser" that writes down what it was asked to open, and prints."""
    program = tmp_path / "browser"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >>{tmp_path}/opened\necho noise\n')
    program.chmod(0o755)
    return program


def test_a_page_is_told_with_its_verdict_and_picture(sit: Any, proofs: Path) -> None:
    picture = pictured(proofs)
    person = sit()
    person.answer("q")
    assert person.end() == 0
    wanted = f"Screenshots:\n  web http://web/: error_page: nginx: 502\n     {picture}\n  web http://web/fine: ok"
    assert in_order(wanted, person.text) == []


def test_the_browser_opens_it_and_standard_output_stays_clean(sit: Any, proofs: Path, browser: Path) -> None:
    picture = pictured(proofs)
    person = sit(f"dm-review > {proofs}/out", BROWSER=str(browser))
    person.answer("v", "a")
    assert person.end() == 0
    assert (proofs.parent / "opened").read_text() == picture.as_uri() + "\n"
    assert "noise" in person.text
    assert [each["action"] for each in records((proofs / "out").read_text())] == ["restart", "check_logs"]


@pytest.mark.parametrize(
    ("variables", "pattern"),
    [
        ({"TERM": "xterm-kitty"}, r"\x1b_G(?:a=T,f=100,q=2,c=100,)?m=[01];([^\x1b]+)\x1b\\"),
        ({"LC_TERMINAL": "iTerm2"}, r"\x1b\]1337;File=inline=1;width=100;preserveAspectRatio=1;size=\d+:([^\a]+)\a"),
    ],
)
def test_a_terminal_that_can_draws_it(sit: Any, proofs: Path, variables: dict[str, str], pattern: str) -> None:
    pictured(proofs)
    person = sit(**variables)
    person.answer("v", "q")
    assert person.end() == 0
    assert base64.b64decode("".join(re.findall(pattern, person.text))) == PNG


@pytest.mark.parametrize("variables", [{}, {"TERM": "xterm-kitty", "TMUX": "/tmp/tmux-0/default,1,0"}])
def test_without_either_it_says_where_the_picture_is(sit: Any, proofs: Path, variables: dict[str, str]) -> None:
    picture = pictured(proofs)
    person = sit(**variables)
    person.answer("v", "q")
    assert person.end() == 0
    assert f"no $BROWSER opens them: see {picture}" in person.text
    assert "\x1b_G" not in person.text


def test_a_moved_folder_still_has_its_pictures(sit: Any, proofs: Path, browser: Path) -> None:
    picture = pictured(proofs, path="volumes/elsewhere/screenshots/5f2c.png")
    person = sit(BROWSER=str(browser))
    person.answer("v", "q")
    assert person.end() == 0
    assert (proofs.parent / "opened").read_text() == picture.as_uri() + "\n"


@pytest.mark.parametrize("path", ["/etc/passwd", "--version", "javascript:alert(1)", "a\0b", "{proofs}/link.png"])
def test_no_other_file_is_opened(sit: Any, proofs: Path, browser: Path, path: str) -> None:
    """The report may have been made by anybody."""
    (proofs / "link.png").symlink_to("/etc/passwd")
    pictured(proofs, path=path.format(proofs=proofs))
    person = sit(BROWSER=str(browser), TERM="xterm-kitty")
    person.answer("v", "q")
    assert person.end() == 0
    assert f"no picture in {proofs}" in person.text
    assert not (proofs.parent / "opened").exists()
    assert "\x1b_G" not in person.text


def test_an_issue_without_pictures_has_nothing_to_view(sit: Any, proofs: Path) -> None:
    report(proofs, issue("app"))
    person = sit()
    person.answer("v", "q")
    assert person.end() == 0
    assert "[v]" not in person.text
    assert "Please answer a, s, d, i, q, e, o, u or ?\n" in person.text


# The answers


def test_issues_come_by_severity(sit: Any, proofs: Path) -> None:
    report(proofs, issue("low", "info"), issue("mid"), issue("top", "critical"))
    person = sit()
    person.answer("d", "d", "d")
    assert person.end() == 0
    shown = re.findall(r"Issue #(\d): (\w+)|Review \((\d)/3\)", person.text)
    assert [each[1] for each in shown if each[1]] == ["top", "mid", "low"]
    assert [each[2] for each in shown if each[2]] == ["1", "2", "3"]


def test_select_takes_only_what_is_named(sit: Any, proofs: Path) -> None:
    report(proofs, issue("app", fixes=4))
    person = sit()
    for nonsense in ("0", "5", "x", "1 x", "-1", "1-2", "²", "9" * 400, "1;2", "", "\x04"):
        person.answer("s")
        person.expect("Which fixes")
        person.process.send(nonsense if nonsense == "\x04" else nonsense + "\r")
    assert approvals(proofs) == []
    person.answer("s")
    person.expect("Which fixes")
    person.process.sendline(" 3, 1 ,3 ")
    assert person.end() == 0
    assert "✓ Approved 2 fix(es) for app" in person.text
    assert approved(proofs) == [("app", "restart"), ("app", "recreate")]


def test_nonsense_is_asked_again(sit: Any, proofs: Path) -> None:
    report(proofs, issue("app"))
    person = sit()
    person.answer("", "x", "approve", "aa", "1", "\x1b[A", "ä", "A")
    assert person.end() == 0
    assert person.text.count("Please answer a, s, d, i, q, e, o, u or ?") == 7
    assert len(approved(proofs)) == 2


def test_an_issue_without_fixes_cannot_be_approved(sit: Any, proofs: Path) -> None:
    report(proofs, issue("app", fixes=0))
    person = sit()
    person.answer("a", "s", "i")
    assert person.end() == 0
    assert person.text.count("There is no fix to approve") == 2
    assert "Which fixes" not in person.text
    assert approvals(proofs) == []


def test_evidence_is_shown_in_full_on_demand(sit: Any, proofs: Path) -> None:
    long = "\n".join(f"line {number}" for number in range(60))
    report(proofs, issue("app", evidence_detail=[{"id": "logs:7", "at": "2025-11-30T11:59:59Z", "text": long}]))
    person = sit()
    person.answer("e")
    shown = person.expect("Your choice: ")
    assert "[logs:7] at 2025-11-30 11:59:59 UTC" in shown
    assert all(f"    line {number}\r\n" in shown for number in range(60))


def test_deferred_issues_come_back_last_and_ignored_ones_do_not(sit: Any, proofs: Path) -> None:
    report(proofs, issue("one"), issue("two"), issue("three"), issue("four"))
    person = sit()
    person.answer("d", "i", "q")
    assert person.end() == 0
    assert "Stopped; 3 issue(s) left" in person.text
    person = sit()
    person.answer("a", "a", "d")
    assert person.end() == 0
    assert re.findall(r"Issue #\d: (\w+)", person.text) == ["three", "four", "one"]
    person = sit()
    person.answer("a")
    assert person.end() == 0
    assert re.findall(r"Issue #\d: (\w+)", person.text) == ["one"]
    assert {service for service, _ in approved(proofs)} == {"one", "three", "four"}
    person = sit()
    assert person.end() == 0
    assert "Every issue of this report is decided" in person.text


# However it ends


@pytest.mark.parametrize(
    ("leave", "status"),
    [("q\r", 0), ("\x04", 0), ("\x03", 130), ("hang up", -signal.SIGHUP), ("terminate", 143)],
)
def test_a_review_goes_on_where_it_was_left(sit: Any, proofs: Path, leave: str, status: int) -> None:
    report(proofs, issue("one"), issue("two"))
    person = sit()
    person.answer("a")
    person.expect("Your choice: ")
    if leave == "hang up":
        person.process.kill(signal.SIGHUP)
    elif leave == "terminate":
        person.process.kill(signal.SIGTERM)
    else:
        person.process.send(leave)
    assert person.end() == status
    assert "Traceback" not in person.text
    assert {service for service, _ in approved(proofs)} == {"one"}
    person = sit()
    person.answer("a")
    assert person.end() == 0
    assert re.findall(r"Issue #\d: (\w+)", person.text) == ["two"]
    assert [service for service, _ in approved(proofs)] == ["one", "one", "two", "two"]


def test_killed_at_any_moment_no_acknowledged_decision_is_lost(sit: Any, proofs: Path) -> None:
    services = [f"service{number:02}" for number in range(14)]
    report(proofs, *(issue(service, fixes=1) for service in services))
    chance = random.Random(7)
    acknowledged: set[str] = set()
    asked: list[str] = []
    for _ in range(14):
        person = sit()
        person.expect("Your choice: ")
        (now,) = re.findall(r"Issue #1: (\w+)", person.text)
        assert now not in acknowledged
        asked.append(now)
        person.process.sendline("a")
        time.sleep(chance.uniform(0, 0.012))
        person.process.kill(signal.SIGKILL)
        person.end()
        acknowledged |= set(re.findall(r"✓ Approved 1 fix\(es\) for (\w+)", person.text))
        for content in approvals(proofs):  # whole at any moment
            assert content["source_report"] == str(proofs / "enhanced_diagnostics_1732800000.json")
    person = sit()
    while person.process.expect_exact(["Your choice: ", pexpect.EOF], timeout=15) == 0:
        person.process.sendline("a")
    assert person.end() == 0
    assert approved(proofs) == [(service, "restart") for service in services]
    assert acknowledged <= set(asked)


def test_a_lost_approval_file_is_made_anew(sit: Any, proofs: Path) -> None:
    report(proofs, issue("one"), issue("two"))
    person = sit()
    person.answer("a", "q")
    person.end()
    (path,) = proofs.glob("approved*")
    path.unlink()
    person = sit()
    person.answer("q")
    assert person.end() == 0
    assert [service for service, _ in approved(proofs)] == ["one", "one"]


@pytest.mark.parametrize(
    "second",
    ["cd proofs && exec dm-review enhanced_diagnostics_1732800000.json", "exec dm-review ./proofs/../link.json"],
)
def test_one_report_has_one_approval_file_however_it_is_named(sit: Any, proofs: Path, second: str) -> None:
    path = report(proofs, issue("one"), issue("two"))
    (proofs.parent / "link.json").symlink_to(path)
    person = sit(f"exec dm-review {path}")
    person.answer("a", "q")
    person.end()
    person = sit(second, TZ="Asia/Tokyo", DM_NOW="1764509999")
    person.answer("a")
    assert person.end() == 0
    assert [service for service, _ in approved(proofs)] == ["one", "one", "two", "two"]


def test_two_reports_approved_in_the_same_second_have_two_files(sit: Any, proofs: Path) -> None:
    for stamp, service in ((1732800000, "one"), (1732800001, "two")):
        path = report(proofs, issue(service, fixes=1), stamp=stamp)
        person = sit(f"exec dm-review {path}")
        person.answer("a")
        assert person.end() == 0
    found = approvals(proofs)
    assert sorted(each["approved_actions"][0]["service"] for each in found) == ["one", "two"]


def test_a_torn_journal_costs_only_the_decision_that_was_torn(sit: Any, proofs: Path) -> None:
    report(proofs, issue("one"), issue("two"), issue("three"))
    person = sit()
    person.answer("a", "i", "q")
    person.end()
    journal = proofs / "review_enhanced-1732800000.jsonl"
    journal.write_bytes(journal.read_bytes()[:-9])  # the second decision
    person = sit()
    person.answer("a", "a")
    assert person.end() == 0
    assert re.findall(r"Issue #\d: (\w+)", person.text) == ["two", "three"]
    assert [service for service, _ in approved(proofs)] == ["one", "one", "two", "two", "three", "three"]
    person = sit()
    person.end()
    assert "Every issue of this report is decided" in person.text  # nothing was written into the torn line


def test_what_another_terminal_decided_before_the_lock_counts(proofs: Path) -> None:
    """Between opening a report and getting its lock somebody may decide an issue: it is not asked about again."""
    path = report(proofs, issue("one"), issue("two"))
    late, early = Review(path, read(path)), Review(path, read(path))
    with early.alone():
        early.decide(early.report.issues[0], "approve", [1])
        with pytest.raises(ReportError, match="another terminal"), late.alone():
            pass
    with late.alone():
        assert [each.service for each in late.undecided()] == ["two"]
        late.decide(late.report.issues[1], "approve", [0])
    assert approved(proofs) == [("one", "check_logs"), ("two", "restart")]


def test_a_garbage_journal_decides_nothing(sit: Any, proofs: Path) -> None:
    report(proofs, issue("one", fixes=1))
    entry = {"at": "2025-11-30T12:00:00Z", "issue_id": "issue-one-1732800000", "decision": "approve", "fixes": [0]}
    garbage: list[Any] = [
        7,
        [],
        {},
        {"issue_id": []},
        entry | {"fixes": 5},
        entry | {"fixes": ["x"]},
        entry | {"at": 5},
    ]
    garbage += [entry | {"at": "yesterday"}, entry | {"at": "2025-11-30T12:00:00"}, entry | {"decision": ["approve"]}]
    lines = [json.dumps(each).encode() for each in garbage]
    (proofs / "review_enhanced-1732800000.jsonl").write_bytes(b"\xff\x00\n{\n" + b"\n".join(lines))
    person = sit()
    person.answer("a")
    assert person.end() == 0
    assert approved(proofs) == [("one", "restart")]


def test_two_reviews_of_one_report_at_once(sit: Any, proofs: Path) -> None:
    path = report(proofs, issue("one"))
    first = sit()
    first.expect("Your choice: ")
    second = sit()
    assert second.end() == 3
    assert second.text == f"dm-review: '{path}' is being reviewed in another terminal\n"
    first.process.sendline("a")
    assert first.end() == 0
    assert len(approved(proofs)) == 2


# Taken back, helped, opened


@pytest.mark.parametrize(
    ("answers", "standing"),
    [
        (("a", "u", "i", "q"), []),
        (("a", "u", "a", "q"), ["one", "one"]),
        (("a", "d", "u", "u", "i", "a", "q"), ["two", "two"]),
        (("u", "a", "i", "q"), ["one", "one"]),  # nothing was there to take back
    ],
)
def test_a_decision_can_be_taken_back(sit: Any, proofs: Path, answers: tuple[str, ...], standing: list[str]) -> None:
    report(proofs, issue("one"), issue("two"), issue("three"))
    person = sit(f"exec dm-review > {proofs}/out")
    person.answer(*answers)
    assert person.end() == 0
    assert [each["service"] for each in records((proofs / "out").read_text())] == standing
    assert [each["service"] for file in approvals(proofs) for each in file["approved_actions"]] == standing


def test_the_last_decision_can_be_taken_back_after_the_end(sit: Any, proofs: Path) -> None:
    report(proofs, issue("one"), issue("two"))
    first = sit()
    first.answer("i", "a")
    assert first.end() == 0
    assert len(approved(proofs)) == 2
    again = sit("exec dm-review --undo")
    again.answer("q")
    assert again.end() == 0
    assert "Taken back: two is undecided again" in again.text
    assert approved(proofs) == []  # the file is there, and approves nothing
    third = sit("exec dm-review --undo")
    third.answer("q")
    assert third.end() == 0
    assert "Taken back: one is undecided again" in third.text


def test_what_was_carried_out_is_not_taken_back_here(sit: Any, proofs: Path) -> None:
    report(proofs, issue("one"), issue("two"))
    first = sit()
    first.answer("a", "q")
    assert first.end() == 0
    (action, _) = approvals(proofs)[0]["approved_actions"]
    Journal(proofs).add("1", Phase.INTENT, msgspec.convert(action, ApprovedAction))
    person = sit()
    person.answer("u", "q")
    assert person.end() == 0
    assert "was carried out: dm-undo takes that back" in person.text
    assert len(approved(proofs)) == 2
    assert sit("exec dm-review --undo").end() == 3


@pytest.mark.parametrize(
    ("names", "wanted", "status"),
    [
        ("one:2", [("one", "check_logs")], 0),
        ("one:1 two:2", [("one", "restart"), ("two", "check_logs")], 0),
        ("one:3", None, 3),
        ("one:1 three:1", None, 3),  # none of them
        ("one:0", None, 3),
        ("one", None, 3),
    ],
)
def test_a_fix_is_approved_by_its_name(
    run: Run, proofs: Path, names: str, wanted: list[tuple[str, str]] | None, status: int
) -> None:
    report(proofs, issue("one"), issue("two"))
    options = " ".join(f"--approve {name}" for name in names.split())
    done = run(f"setsid --wait dm-review {options} latest", PROOFS_DIR=str(proofs))
    assert done.returncode == status
    assert [(each["service"], each["action"]) for each in records(done.stdout)] == (wanted or [])
    if wanted is None:
        assert not approvals(proofs) and "has no fix" in done.stderr
        return
    assert approved(proofs) == wanted
    run("dm-review --approve one:1", PROOFS_DIR=str(proofs))
    assert ("one", "restart") in approved(proofs) and set(wanted) <= set(approved(proofs))


def test_help_page_and_age(sit: Any, proofs: Path, browser: Path) -> None:
    path = report(proofs, issue("one"), generated_at=1764504000000 - 7300_000, host="box-7")
    person = sit(BROWSER=str(browser))
    person.answer("?", "o")
    person.expect("This report has no page")
    path.with_suffix(".html").touch()
    person.answer("o", "q")
    assert person.end() == 0
    assert "made 2025-11-30 09:58:20 UTC, 2 hours ago, on box-7" in person.text
    assert "takes your last decision back" in person.text
    assert (proofs.parent / "opened").read_text() == path.with_suffix(".html").as_uri() + "\n"


def test_long_evidence_goes_to_the_pager_also_where_standard_output_is_a_pipe(sit: Any, proofs: Path) -> None:
    lines = [f"line {number}" for number in range(80)]
    report(proofs, issue("one", evidence_detail=[{"id": "logs:1", "at": None, "text": "\n".join(lines)}]))
    person = sit("dm-review | cat > out", PAGER="sed s/^/paged:/")
    person.answer("e", "q")
    person.end()
    assert all(f"paged:    {line}" in person.text for line in lines)
    assert "paged" not in (proofs.parent / "out").read_text()


# Pipes, no terminal


def test_it_asks_on_the_terminal_when_stdin_and_stdout_are_pipes(sit: Any, proofs: Path) -> None:
    report(proofs, issue("one"), issue("two"), issue("three"))
    person = sit("set -o pipefail; yes a 2>/dev/null | { dm-review; status=$?; exec 1>&2; exit $status; } | cat > out")
    person.answer("a", "i")
    person.expect("Review (3/3)")
    assert (proofs.parent / "out").read_text() == ""  # the person may yet take it back
    person.answer("s")
    person.expect("Which fixes")
    person.process.sendline("2")
    person.end()
    lines = records((proofs.parent / "out").read_text())
    assert lines == approvals(proofs)[0]["approved_actions"]
    assert [(each["service"], each["action"]) for each in lines] == [
        ("one", "restart"),
        ("one", "check_logs"),
        ("three", "check_logs"),
    ]


def wait_for(path: Path, count: int = 1) -> str:
    """The text of a file that is being written, as soon as it has so many lines."""
    for _ in range(200):
        text = path.read_text() if path.exists() else ""
        if text.count("\n") >= count:
            return text
        time.sleep(0.02)
    raise AssertionError(f"{path} has only {text!r}")


def test_a_reader_that_had_enough_loses_nothing(sit: Any, proofs: Path) -> None:
    report(proofs, issue("one", fixes=1), issue("two", fixes=1), issue("three", fixes=1))
    person = sit("dm-review | { exec 0<&-; echo gone > gone; }; exit ${PIPESTATUS[0]}")
    wait_for(proofs.parent / "gone")
    person.answer("a", "a", "q")
    assert person.end() == 141
    assert [service for service, _ in approved(proofs)] == ["one", "two"]
    assert "Traceback" not in person.text


def test_output_to_a_full_disk_is_told_and_loses_nothing(sit: Any, proofs: Path) -> None:
    report(proofs, issue("one"))
    person = sit("exec dm-review > /dev/full")
    person.answer("a")
    assert person.end() == 6
    assert "dm-review: cannot write to standard output: No space left on device" in person.text
    assert len(approved(proofs)) == 2


def test_without_a_terminal_it_says_so(run: Run, proofs: Path) -> None:
    report(proofs, issue("one"))
    done = run("setsid --wait dm-review", stdin="a\n", PROOFS_DIR=str(proofs))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "dm-review: no terminal to ask on; run it by hand, not from cron\n"


# Unusable reports


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is not an enhanced report"),
        ('{"report_id": "enhanced-1", "summ', "is not an enhanced report"),
        ("\x00\x01\x02", "is not an enhanced report"),
        ("[]", "is not an enhanced report"),
        ("{}", "is not an enhanced report: Object missing required field `report_id`"),
        (json.dumps(SEED_REPORT | {"issues": [{"id": "x"}]}), "is not an enhanced report"),
        (json.dumps(SEED_REPORT | {"issues": {}, "version": 2}), "a report of version 2; this program reads version 1"),
        (json.dumps(SEED_REPORT | {"report_id": "../../tmp/x"}), "its id cannot be '../../tmp/x'"),
        (json.dumps(SEED_REPORT | {"report_id": "a\u0000b"}), "its id cannot be 'a\\x00b'"),
    ],
)
def test_an_unusable_report_is_one_clear_line(run: Run, proofs: Path, content: str, says: str) -> None:
    path = proofs / "enhanced_diagnostics_1732800000.json"
    path.write_text(content)
    done = run(f"dm-review {path}")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith(f"dm-review: '{path}' ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert os.listdir(proofs) == [path.name]


def test_no_report_yet(run: Run, proofs: Path) -> None:
    for folder in (proofs, proofs / "missing"):
        done = run("dm-review", PROOFS_DIR=str(folder))
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr == f"dm-review: no report in '{folder}'; run dm diagnose-enhanced first\n"
    assert run("dm-review nothing.json").stderr == "dm-review: cannot read 'nothing.json': no such file or directory\n"


def test_the_newest_report_is_reviewed(sit: Any, proofs: Path) -> None:
    report(proofs, issue("old"), stamp=999999999)
    report(proofs, issue("new"), stamp=1732800000)
    for name in (
        "enhanced_diagnostics_copy.json",
        "enhanced_diagnostics_².json",
        "enhanced_diagnostics_2000000000.txt",
    ):
        (proofs / name).write_text("not a report")
    person = sit()
    person.answer("q")
    assert re.findall(r"Issue #1: (\w+)", person.text) == ["new"]


def test_services_that_could_not_be_judged_are_not_called_healthy(sit: Any, proofs: Path) -> None:
    path = report(proofs, summary={"total": 5, "healthy": 3, "unknown": 2})
    person = sit()
    assert person.end() == 0
    assert person.text == f"No issues found, but 2 service(s) could not be judged: see {path}\n"


# Folders that cannot be written


@pytest.fixture
def small_disk(proofs: Path) -> Iterator[Path]:
    """The folder of reports on a file system of 64 KiB."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", proofs], check=True)
    yield proofs
    subprocess.run(["umount", "--lazy", proofs], check=True)


def test_a_read_only_folder_is_told_before_anything_is_asked(sit: Any, small_disk: Path) -> None:
    report(small_disk, issue("one"))
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    person = sit()
    assert person.end() == 6
    journal = small_disk / "review_enhanced-1732800000.jsonl"
    assert person.text == f"dm-review: cannot write '{journal}': read-only file system\n"


def test_a_full_disk_acknowledges_nothing_that_is_not_saved(sit: Any, small_disk: Path) -> None:
    report(small_disk, issue("one"), issue("two"))
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="space"):
        while file.write(b"x" * 4096):
            pass
    person = sit()
    person.answer("a")
    assert person.end() == 6
    assert "no space left on device" in person.text
    assert "✓" not in person.text
    filler.unlink()
    person = sit()
    person.answer("a", "a")
    assert person.end() == 0
    assert re.findall(r"Issue #\d: (\w+)", person.text) == ["one", "two"]
    assert [service for service, _ in approved(small_disk)] == ["one", "one", "two", "two"]


def test_approvals_without_room_are_written_by_the_next_review(sit: Any, small_disk: Path) -> None:
    report(small_disk, issue("one", fixes=4))
    (small_disk / "review_enhanced-1732800000.jsonl").write_text("\n")  # has its block already
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="space"):
        while file.write(b"x" * 4096):
            pass
    person = sit()
    person.answer("a")
    assert person.end() == 6
    assert "cannot write" in person.text
    assert approvals(small_disk) == []
    filler.unlink()
    person = sit()
    assert person.end() == 0
    assert "Issue #" not in person.text
    assert len(approved(small_disk)) == 4


# Hostile text


NASTY = "\x1b[2J\x1b]0;owned\x07\x9b31m\rYour choice: a\x08\u202e\u200b\x00end"


@pytest.mark.parametrize("colour", [False, True])
def test_no_text_of_a_report_drives_the_terminal(sit: Any, proofs: Path, colour: bool) -> None:
    fix = {"action": "restart", "confidence": "low", "reasoning": NASTY, "parameters": {NASTY: NASTY}}
    hostile = issue(
        NASTY,
        status=NASTY,
        root_cause_hypothesis=NASTY,
        log_excerpt=NASTY,
        resource_metrics={NASTY: NASTY},
        proposed_fixes=[fix | {"undo": NASTY}],
        symptoms=[{"service": NASTY, "path": [NASTY]}],
        evidence_detail=[{"id": NASTY, "at": NASTY, "text": NASTY}],
    )
    report(proofs, hostile)
    person = sit(**({"NO_COLOR": ""} if colour else {}))
    person.expect("\nYour choice: ")
    person.process.sendline("e")
    person.expect("\nYour choice: ")
    person.process.sendline("a")
    assert person.end() == 0
    styles = re.findall(r"\x1b\[[0-9;]*m", person.text)
    assert bool(styles) == colour
    plain = re.sub(r"\x1b\[[0-9;]*m", "", person.text)
    # Standard output is this terminal, too: its JSON lines escape control characters, and only those.
    plain = "\n".join(line for line in plain.split("\n") if not line.startswith('{"issue_id"'))
    assert [c for c in plain if not c.isprintable() and c != "\n"] == []
    assert "\\x1b[2J\\x1b]0;owned\\x07\\x9b31m\\rYour choice: a" in plain


@pytest.mark.parametrize("key", ["severity", "cause", "confidence"])
def test_a_report_with_a_word_that_is_in_no_list_is_refused(sit: Any, proofs: Path, key: str) -> None:
    report(proofs, issue("one", **{key: NASTY}))
    person = sit()
    assert person.end() == 3
    assert person.text.count("\n") == 1
    assert f"issues[0].{key}`" in person.text and "\x1b" not in person.text


@pytest.mark.parametrize("key", ["action", "confidence", "risk"])
def test_a_fix_that_no_catalogue_has_is_refused(sit: Any, proofs: Path, key: str) -> None:
    fix = {"action": "restart", "confidence": "high", "reasoning": "", "parameters": {}, "risk": "reversible"}
    report(proofs, issue("one", proposed_fixes=[fix | {key: "rm -rf"}]))
    person = sit()
    assert person.end() == 3
    assert f"proposed_fixes[0].{key}`" in person.text


def test_numbers_beyond_64_bits_are_no_obstacle(sit: Any, proofs: Path) -> None:
    fixes = [{"action": "restart", "confidence": "high", "reasoning": "", "parameters": {"number": 10**30}}]
    report(proofs, issue("one", proposed_fixes=fixes))
    person = sit()
    person.answer("a")
    assert person.end() == 0
    assert approvals(proofs)[0]["approved_actions"][0]["parameters"] == {"number": str(10**30)}
