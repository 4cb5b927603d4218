"""supervisor-session.sh as people and cron meet it: the seed's example sessions, in a real terminal, on containers."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from pathlib import Path
from typing import Any

import pexpect
import pytest

from dm_tools.store import approvals
from tests import lab as fault_lab
from tests import warm
from tests.browser import chromium, opened
from tests.conftest import BROWSER, ROOT, SEALED

SUPERVISOR = str(warm.SUPERVISOR)


def program(session: str) -> str:
    """The script, with warm commands; of a demo with those of the checkout, for whose setup it sees."""
    return str(ROOT / "scripts" / warm.SUPERVISOR.name) if session == "demo" else SUPERVISOR


def supervisor(
    folder: Path, *arguments: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a session without a terminal, as cron does."""
    return subprocess.run(
        [program(arguments[0]), *arguments],
        env=SEALED | {"PROOFS_DIR": str(folder)} | (environment or {}),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        start_new_session=True,
    )


def terminal(folder: Path, environment: dict[str, str], *arguments: str) -> pexpect.spawn:
    """Run a session in a real terminal."""
    return pexpect.spawn(
        program(arguments[0]),
        list(arguments),
        env=SEALED | environment | {"PROOFS_DIR": str(folder), "TERM": "xterm"},
        cwd=str(folder),
        encoding="utf-8",
        timeout=60,
        dimensions=(50, 200),
    )


def test_the_seeds_first_example(shop: dict[str, str], tmp_path: Path) -> None:
    fault_lab.inject("paused")
    session = terminal(tmp_path, shop, "diagnose-enhanced")
    session.expect_exact("[supervisor] Triggering ENHANCED diagnostics...")
    session.expect_exact("Analyzing ")
    session.expect_exact("Enhanced diagnostic report saved: ")
    session.expect(r"(\S+enhanced_diagnostics_\d+\.json)")
    report = json.loads(Path(session.match[1]).read_text())
    session.expect(pexpect.EOF)
    session.close()
    assert session.exitstatus == 10

    session = terminal(tmp_path, shop | {"HEAL_SOAK": "1"}, "review")
    for line in (
        "Issue #1: redis",
        "Severity: CRITICAL",
        "Status: failed",
        "Root Cause Analysis:",
        "  redis is paused",
        "Log Excerpt (last 20 lines):",
        "Resource Metrics:",
        "  cpu: ",
        "  memory: ",
        "Proposed Fixes:",
        "  1. Action: unpause",
        "     Confidence: high",
        "     Reasoning: ",
        "Review (1/1):",
        "  [a] Approve all",
        "  [s] Select specific",
        "  [d] Defer",
        "  [i] Ignore",
        "  [q] Quit",
        "Your choice: ",
    ):
        session.expect_exact(line)
    session.sendline("a")
    session.expect_exact("✓ Approved 1 fix(es) for redis")
    session.expect(r"✅ Approved actions saved to: (\S+approved_fixes_\d{8}_\d{6}\.json)")
    approved = json.loads(Path(session.match[1]).read_text())
    for line in ("redis: unpause", "    let ", " go on", "    way back: pause ", "Carry this out? [y/N] "):
        session.expect_exact(line)
    assert fault_lab.status()["redis"] == "paused", "nothing was done yet"
    session.sendline("y")
    session.expect_exact("[supervisor] redis: unpause: done (take it back: supervisor-session.sh rollback ")
    session.expect_exact("redis: recovered, proved by what is gone: ")
    session.expect(r"What was done and proved: (\S+\.json) in a browser: (\S+\.html)")
    healed, page = json.loads(Path(session.match[1]).read_text()), Path(session.match[2]).read_text()
    session.expect(pexpect.EOF)
    session.close()
    assert session.exitstatus == 0
    assert [(each["action"], each["outcome"], each["proof"]) for each in healed["healing"]] == [
        ("unpause", "done", None),
        (None, None, "recovered"),
    ]
    assert "<h1>redis recovered</h1>" in page
    assert approved["source_report"].endswith(f"enhanced_diagnostics_{report['report_id'].split('-')[1]}.json")
    assert [(each["service"], each["action"]) for each in approved["approved_actions"]] == [("redis", "unpause")]


def test_the_seeds_second_example(shop: dict[str, str], tmp_path: Path) -> None:
    session = terminal(tmp_path, shop, "diagnose-enhanced")
    session.expect_exact("[supervisor] Triggering ENHANCED diagnostics...")
    session.expect_exact("Enhanced diagnostic report saved: ")
    session.expect(pexpect.EOF)
    session.close()
    assert session.exitstatus == 0
    session = terminal(tmp_path, shop, "review")
    session.expect_exact("✅ No issues found! All services healthy.")
    session.expect(pexpect.EOF)
    session.close()
    assert session.exitstatus == 0


def test_the_base_diagnosis(shop: dict[str, str], tmp_path: Path) -> None:
    done = supervisor(tmp_path, "diagnose", environment=shop)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    report = json.loads(next(tmp_path.glob("stack_diagnostics_*.json")).read_text())
    assert report["summary"]["healthy"] == 5
    assert not list(tmp_path.glob("enhanced_*"))
    assert "5 healthy" in supervisor(tmp_path, "report").stdout


def manifest(folder: Path, *services: dict[str, object]) -> dict[str, str]:
    """A manifest file, and the variable that names it."""
    path = folder / "manifest.json"
    path.write_text(json.dumps({"services": list(services)}))
    return {"SERVICES_MANIFEST_PATH": str(path)}


def test_without_docker_it_says_so_in_one_line_and_still_probes(tmp_path: Path) -> None:
    environment = manifest(tmp_path, {"name": "gone", "external": ["tcp://127.0.0.1:1"]}, {"name": "job"})
    done = supervisor(tmp_path, "diagnose-enhanced", environment=environment)
    assert done.returncode == 10
    assert done.stderr.count("\n") == 1
    assert "cannot reach Docker at unix:///nonexistent/docker.sock" in done.stderr
    assert "CRITICAL gone: " in done.stdout
    report = json.loads(next(tmp_path.glob("enhanced_*.json")).read_text())
    assert report["summary"] | {"issues": 0, "safe_actions": 0, "needs_review": 0} == {
        "total": 2,
        "healthy": 0,
        "degraded": 0,
        "failed": 1,
        "unknown": 1,
        "issues": 0,
        "safe_actions": 0,
        "needs_review": 0,
    }


def test_discovery_without_docker(tmp_path: Path) -> None:
    done = supervisor(tmp_path, "diagnose-enhanced", "--discover")
    assert done.returncode == 5
    assert "cannot reach Docker" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["no-such-command"], 2, "unknown command"),
        (["diagnose-enhanced", "--no-such-option"], 2, "unknown option"),
        (["diagnose-enhanced", "nobody"], 2, "no service 'nobody'"),
        (["report"], 3, "no report in"),
        (["review"], 3, "no report in"),
        (["demo", "no-such-fault"], 2, "no fault is named"),
        (["demo", "--heel"], 2, "unknown option '--heel' (try"),
        (["help", "no-such-command"], 2, "unknown command"),
        (["execute", "nothing.json"], 3, "cannot read 'nothing.json'"),
    ],
)
def test_wrong_use_is_one_line(tmp_path: Path, arguments: list[str], status: int, words: str) -> None:
    environment = manifest(tmp_path, {"name": "x"})
    done = supervisor(tmp_path, *arguments, environment=environment)
    assert (done.returncode, done.stdout) == (status, "")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_diagnosis_says_what_is_not_well(tmp_path: Path) -> None:
    """Whoever is woken reads names, not a path alone; also in the mail of cron."""
    own = {"container": False}
    sick = manifest(tmp_path, {"name": "gone", "external": ["tcp://127.0.0.1:1"], **own})
    done = supervisor(tmp_path, "diagnose", environment=sick)
    assert done.returncode == 10
    assert re.search(r"✗ gone +failed +tcp://127.0.0.1:1 refused", done.stdout)
    old = next(tmp_path.glob("stack_diagnostics_*.json"))
    old.rename(old.with_name("stack_diagnostics_1700000000.json"))
    session = terminal(tmp_path, sick, "report")
    session.expect(r"This is how it was \d+ minutes ago")
    session.expect(pexpect.EOF)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"services": []}', '{"services": [{"name": 5}]}'])
def test_an_unusable_manifest_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    variables = {"SERVICES_MANIFEST_PATH": str(tmp_path / "manifest.json")}
    done = supervisor(tmp_path, "diagnose-enhanced", environment=variables)
    assert done.returncode == 3
    assert "manifest.json" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.glob("*_diagnostics_*"))


def test_under_a_limit_of_file_sizes_it_cannot_write(tmp_path: Path) -> None:
    manifest(tmp_path, {"name": "gone", "external": ["tcp://127.0.0.1:1"]})
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 0; exec {SUPERVISOR} diagnose"],
        env=SEALED | {"PROOFS_DIR": str(tmp_path), "SERVICES_MANIFEST_PATH": str(tmp_path / "manifest.json")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 6
    assert list(tmp_path.glob("*_diagnostics_*")) == []


def test_no_run_is_kept_through_a_link_in_a_shared_folder(tmp_path: Path) -> None:
    manifest(tmp_path, {"name": "gone", "external": ["tcp://127.0.0.1:1"]})
    (tmp_path / "victim").mkdir()
    (tmp_path / "runs").symlink_to(tmp_path / "victim")
    done = supervisor(tmp_path, "diagnose", environment={"SERVICES_MANIFEST_PATH": str(tmp_path / "manifest.json")})
    assert list((tmp_path / "victim").iterdir()) == []
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr.startswith(f"supervisor: cannot write '{tmp_path}/runs/")
    assert done.stderr.count("\n") == 1


def test_settings_from_the_env_file(tmp_path: Path) -> None:
    manifest(tmp_path, {"name": "gone", "external": ["tcp://127.0.0.1:${PORT}"]})
    (tmp_path / "own.env").write_text("PROOFS_DIR=kept here\nSERVICES_MANIFEST_PATH=manifest.json\n")
    (tmp_path / ".env").write_text("PROOFS_DIR=elsewhere\nPORT=1\n")
    own = {"DM_ENV_FILE": "own.env", "PROOFS_DIR": "", "SERVICES_MANIFEST_PATH": ""}
    done = subprocess.run(
        [SUPERVISOR, "diagnose"], env=SEALED | own, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 10
    assert len(list((tmp_path / "kept here").glob("stack_diagnostics_*.json"))) == 1


def test_an_unwritable_folder_is_said_and_nothing_is_half_written(tmp_path: Path) -> None:
    (tmp_path / "proofs").write_text("a file in the folder's place")
    environment = manifest(tmp_path, {"name": "x"}) | {"PROOFS_DIR": str(tmp_path / "proofs")}
    done = supervisor(tmp_path, "diagnose", environment=environment)
    assert done.returncode == 6
    assert "cannot write" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.json", "proofs"]


def test_a_session_remembers_what_it_saw(tmp_path: Path) -> None:
    """Without Docker, without a server: the second diagnosis of the same trouble says so, and `history` shows it."""
    environment = manifest(tmp_path, {"name": "shop", "external": ["http://127.0.0.1:9/"]})
    first = supervisor(tmp_path, "diagnose-enhanced", environment=environment)
    second = supervisor(tmp_path, "diagnose-enhanced", environment=environment)
    assert (first.returncode, second.returncode) == (10, 10)
    assert "going on since" not in first.stdout and "; going on since" in second.stdout
    shown = supervisor(tmp_path, "history", "shop", environment=environment)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "seen in 2 runs" in shown.stdout
    assert (tmp_path / "history" / "compacted").exists()


def test_help_names_every_session(tmp_path: Path) -> None:
    shown = supervisor(tmp_path, "help")
    assert shown.returncode == 0
    for session in ("diagnose", "diagnose-enhanced", "report", "review", "history", "demo", "test", "help"):
        assert f"\n  {session} " in shown.stdout


def test_the_demo_ends_well_and_names_the_next_command(shop: dict[str, str], tmp_path: Path) -> None:
    """On the lab's own engine, as a project of its own, beside whatever else runs there."""
    folders = {name: value for name, value in os.environ.items() if name in ("HOME", "XDG_CACHE_HOME", "DM_LAB_DIR")}
    done = subprocess.run(
        [program("demo"), "demo"],
        env=SEALED
        | BROWSER
        | folders
        | {"PROOFS_DIR": str(tmp_path), "DM_LAB_PORT": "38080", "DOCKER_HOST": shop["DOCKER_HOST"]},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "CRITICAL postgres: postgres shut itself down" in done.stdout
    page = re.search(r"To open in a browser: (\S+enhanced_diagnostics_\d+\.html)", done.stdout)
    assert page
    with chromium() as browser, opened(browser, Path(page[1])) as (shown, seen):
        assert shown.screenshot(path=tmp_path / "report.png", full_page=True)
        (card,) = shown.locator("article").all()
        assert card.locator("h2").inner_text() == "postgres"
        assert "postgres shut itself down" in card.locator(".hypothesis").inner_text()
        stages = set(shown.locator(".stages tbody th").all_inner_texts())
        assert stages == {"services", "probe", "inspect", "logs", "stats", "screenshot", "analyze", "propose"}
        assert shown.locator(".shot img").count() >= 1
        assert [*seen.console, *seen.dialogs, *seen.popups] == []
    assert done.stdout.rstrip().endswith("supervisor-session.sh review")


def approve_everything(folder: Path) -> list[str]:
    """What a person does in a review who approves all; returns the actions."""
    path = approvals.newest(folder)
    review = approvals.Review(path, approvals.read(path))
    for issue in review.undecided():
        review.decide(issue, "approve", list(range(len(issue.proposed_fixes))))
    return [each.action for each in review.approved()]


def test_what_is_approved_is_carried_out_proved_and_taken_back(shop: dict[str, str], tmp_path: Path) -> None:
    quick = shop | {"HEAL_SOAK": "2", "HEAL_DEADLINE": "40"}
    assert supervisor(tmp_path, "execute", "--yes", environment=quick).returncode == 3
    assert supervisor(tmp_path, "verify", environment=quick).returncode == 3
    fault_lab.inject("paused")
    assert supervisor(tmp_path, "diagnose-enhanced", environment=quick).returncode == 10
    assert approve_everything(tmp_path) == ["unpause"]

    unasked = supervisor(tmp_path, "execute", environment=quick)
    assert unasked.returncode == 2
    assert "redis: unpause\n    let " in unasked.stdout
    assert "way back: pause " in unasked.stdout
    assert "--yes" in unasked.stderr

    asked = terminal(tmp_path, quick, "execute")
    asked.expect_exact("Carry this out? [y/N] ")
    asked.sendline("n")
    asked.expect(pexpect.EOF)
    asked.close()
    assert asked.exitstatus == 0
    assert fault_lab.status()["redis"] == "paused"

    asked = terminal(tmp_path, quick, "execute")
    asked.expect_exact("Carry this out? [y/N] ")
    asked.sendline("y")
    asked.expect_exact("[supervisor] redis: unpause: done (take it back: supervisor-session.sh rollback ")
    asked.expect_exact("redis: recovered, proved by what is gone: ")
    asked.expect(pexpect.EOF)
    asked.close()
    assert asked.exitstatus == 0
    assert supervisor(tmp_path, "verify", environment=quick).returncode == 0

    again = supervisor(tmp_path, "execute", "--yes", environment=quick)
    assert (again.returncode, "already_done: this approval was carried out at" in again.stdout) == (0, True)
    undone = supervisor(tmp_path, "rollback", "--yes", environment=quick)
    assert (undone.returncode, undone.stdout) == (0, "[supervisor] redis: unpause: undone\n")
    assert fault_lab.status()["redis"] == "paused"
    broken = supervisor(tmp_path, "verify", environment=quick)
    assert broken.returncode == 10
    assert "redis: not recovered: what showed the trouble is still there; still: " in broken.stdout

    (approved,) = tmp_path.glob("approved_fixes_*.json")
    content = json.loads(approved.read_text())
    content["approved_actions"][0]["identity"] |= {"started_at": "2000-01-01T00:00:00Z", "restart_count": None}
    approved.write_text(json.dumps(content))
    stale = supervisor(tmp_path, "execute", "--yes", environment=quick)
    assert (stale.returncode, "redis: unpause: stale: " in stale.stdout) == (10, True)
    (issue,) = json.loads(approvals.newest(tmp_path).read_bytes())["issues"]
    # what is proposed next counts in what was done before
    assert "; here it helped 0 of 1, " in issue["proposed_fixes"][0]["reasoning"]


def test_an_edited_approval_is_checked_and_carried_out_and_the_journal_is_shown(
    shop: dict[str, str], tmp_path: Path
) -> None:
    quick = shop | {"HEAL_SOAK": "2", "HEAL_DEADLINE": "40"}
    fault_lab.inject("stopped")
    assert supervisor(tmp_path, "diagnose-enhanced", environment=quick).returncode == 10
    assert approve_everything(tmp_path)[0] == "start"
    (approved,) = tmp_path.glob("approved_fixes_*.json")
    content = json.loads(approved.read_text())
    content["approved_actions"][0] |= {"action": "restart"}  # edited by a person: what helps as well
    approved.write_text(json.dumps(content))
    done = supervisor(tmp_path, "execute", "--yes", environment=quick)
    assert (done.returncode, "worker: recovered, proved by" in done.stdout) == (0, True)
    journal = (tmp_path / "journal" / "actions.jsonl").read_text()
    shown = supervisor(tmp_path, "report", str(tmp_path / "journal" / "actions.jsonl")).stdout
    assert shown.count("\n") == journal.count("\n")
    assert "intent   worker: restart" in shown
    assert "outcome  done" in shown


def test_cron_is_told_what_is_new_and_what_is_over_and_not_the_same_again(tmp_path: Path) -> None:
    """The same mail every ten minutes is none that anybody reads."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    environment = manifest(tmp_path, {"name": "shop", "external": [f"tcp://127.0.0.1:{port}"]})

    def told() -> list[str]:
        return supervisor(tmp_path, "tell", "--no-screenshots", environment=environment).stdout.splitlines()

    first = told()
    assert first[0].startswith("OPENED shop: ") and first[1].startswith("To open in a browser: ")
    assert told() == []
    listed = supervisor(tmp_path, "incidents", environment=environment).stdout
    assert "CRITICAL shop for " in listed
    with socket.create_server(("127.0.0.1", port)):
        over = told()
    assert over[0].startswith("RECOVERED shop: well again after ")


def test_with_targets_they_are_told_and_cron_is_quiet(tmp_path: Path, hears: Any) -> None:
    hook = hears()
    (tmp_path / "notify.toml").write_text(f'[target.hook]\nwebhook = "{hook.url}"\n')
    environment = manifest(tmp_path, {"name": "shop", "external": ["tcp://127.0.0.1:1"]})
    environment["DM_NOTIFY"] = str(tmp_path / "notify.toml")
    done = supervisor(tmp_path, "tell", "--no-screenshots", environment=environment)
    assert (done.returncode, done.stdout) == (10, "")
    (body,) = hook.bodies()
    assert body["events"][0]["service"] == "shop"
    assert "notify" not in done.stderr
