"""dm-report: both files in the seed's schema, whole or not there at all, and nothing that came in is lost."""

from __future__ import annotations

import json
import os
import random
import signal
import stat
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, SEALED, Run, records

DATA = ROOT / "tests" / "data"
JUDGE = "dm-analyze | dm-propose"

Json = dict[str, Any]


def incident(name: str) -> str:
    """A recorded stack as it is before dm-analyze."""
    return (DATA / f"{name}.jsonl").read_text()


def changed(name: str, service: str, change: Callable[[Json], Any]) -> str:
    """A recorded stack with the record of one service changed."""
    found = records(incident(name))
    for record in found:
        if record["service"] == service:
            change(record)
    return "".join(json.dumps(record) + "\n" for record in found)


_judged: dict[str, str] = {}


def judged(run: Run, text: str) -> str:
    """Records with analysis and proposals; the same text is judged once."""
    if text not in _judged:
        done = run(JUDGE, stdin=text)
        assert done.stderr == ""
        _judged[text] = done.stdout
    return _judged[text]


def diagnosed(run: Run, text: str, **variables: str) -> tuple[Json, Json]:
    """The enhanced and the stack report of records."""
    done = run("dm-report --proofs-dir proofs", stdin=judged(run, text), **variables)
    assert (done.returncode, done.stderr) == (0, "")
    written = json.loads(done.stdout)
    return load(run, written["report_path"]), load(run, written["base_report_path"])


def load(run: Run, path: str) -> Json:
    """A file that a command wrote."""
    content: Json = json.loads(run(f"cat '{path}'").stdout)
    return content


# What the seed shows, as types: a list holds the type of its items, a dictionary its keys.
FIX = {"action": str, "confidence": str, "reasoning": str, "parameters": {}}
ISSUE = {
    "id": str,
    "service": str,
    "severity": str,
    "status": str,
    "evidence": [str],
    "root_cause_hypothesis": str,
    "log_excerpt": str,
    "resource_metrics": {"cpu": str, "memory": str, "mem_percent": str},
    "proposed_fixes": [FIX],
}
ENHANCED = {
    "generated_at": int,
    "report_id": str,
    "summary": dict.fromkeys(("total", "healthy", "degraded", "failed", "issues", "safe_actions", "needs_review"), int),
    "issues": [ISSUE],
    "automated_actions_safe": [str],
    "requires_human_review": [str],
    "base_report_path": str,
}
STACK = {
    "summary": dict.fromkeys(("total", "healthy", "degraded", "failed"), int),
    "report_path": str,
    "services": [{}],
}


def mismatches(value: Any, shape: Any, at: str = "") -> list[str]:
    """Where a value does not have the shape; keys that the shape does not know are allowed."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return [f"{at}: no object"]
        return [
            wrong
            for key, inner in shape.items()
            for wrong in (mismatches(value[key], inner, f"{at}.{key}") if key in value else [f"{at}.{key}: missing"])
        ]
    if isinstance(shape, list):
        if not isinstance(value, list) or not value:
            return [f"{at}: no list with anything in it"]
        return [wrong for index, each in enumerate(value) for wrong in mismatches(each, shape[0], f"{at}[{index}]")]
    return [] if type(value) is shape else [f"{at}: {value!r} is no {shape.__name__}"]


def measured(record: Json) -> None:
    """Give a stopped service figures, so that resource_metrics has them."""
    record["stats"] |= {"cpu_percent": 0.5, "memory_bytes": 128 * 2**20, "memory_percent": 6.25}
    record["inspect"]["limits"]["memory_bytes"] = 2 * 2**30


def test_both_files_have_every_key_of_the_seed(run: Run) -> None:
    text = changed("oom-restart-loop", "worker", measured)
    enhanced, stack = diagnosed(run, text, DM_NOW="1732800000")
    assert mismatches(enhanced, ENHANCED) == []
    assert mismatches(stack, STACK) == []
    assert enhanced["issues"][0]["resource_metrics"] == {
        "cpu": "0.5%",
        "memory": "128MiB / 2GiB",
        "mem_percent": "6.25%",
    }


def test_the_names_and_ids_are_those_of_the_seed(run: Run, tmp_path: Path) -> None:
    text = incident("oom-restart-loop")
    done = run("dm-report", stdin=judged(run, text), DM_NOW="1732800000.25", PROOFS_DIR=str(tmp_path / "proofs"))
    assert done.returncode == 0
    written = json.loads(done.stdout)
    assert written["report_path"] == f"{tmp_path}/proofs/enhanced_diagnostics_1732800000.json"
    assert written["base_report_path"] == f"{tmp_path}/proofs/stack_diagnostics_1732800000.json"
    report = json.loads(Path(written["report_path"]).read_bytes())
    assert (report["generated_at"], report["report_id"]) == (1732800000250, "enhanced-1732800000")
    assert [issue["id"] for issue in report["issues"]] == ["issue-worker-1732800000"]
    assert report["base_report_path"] == written["base_report_path"]
    stack = json.loads(Path(written["base_report_path"]).read_bytes())
    assert stack["report_path"] == written["base_report_path"]


def test_the_counts_are_right(run: Run) -> None:
    enhanced, stack = diagnosed(run, incident("database-down"))
    counts = {"total": 5, "healthy": 1, "degraded": 1, "failed": 3, "unknown": 0}
    assert stack["summary"] == counts
    assert enhanced["summary"] == counts | {"issues": 1, "safe_actions": 2, "needs_review": 1}
    assert len(stack["services"]) == 5
    assert enhanced["automated_actions_safe"] == ["postgres: start", "postgres: check_logs"]
    assert enhanced["requires_human_review"] == ["postgres: fix_config"]


def test_every_fix_is_either_safe_or_for_review(run: Run) -> None:
    enhanced, _ = diagnosed(run, incident("oom-restart-loop"))
    assert enhanced["automated_actions_safe"] == ["worker: check_logs"]
    assert enhanced["requires_human_review"] == ["worker: scale_up"]
    assert (enhanced["summary"]["safe_actions"], enhanced["summary"]["needs_review"]) == (1, 1)


def test_what_suffers_is_a_symptom_with_its_path_and_no_issue(run: Run) -> None:
    enhanced, stack = diagnosed(run, incident("database-down"))
    (issue,) = enhanced["issues"]
    assert (issue["service"], issue["cause"]) == ("postgres", "exited")
    assert {each["service"]: each["path"] for each in issue["symptoms"]} == {
        "app": ["app", "postgres"],
        "worker": ["worker", "postgres"],
        "web": ["web", "app", "postgres"],
    }
    assert {each["name"]: each["role"] for each in stack["services"]} == {
        "postgres": "root",
        "app": "symptom",
        "worker": "symptom",
        "web": "symptom",
        "redis": "healthy",
    }


@pytest.mark.parametrize("worker", ["suffering", "healthy"])
def test_evidence_from_another_service_is_there_in_words(run: Run, worker: str) -> None:
    def recover(record: Json) -> None:
        if worker == "healthy":
            record["probe"] |= {"status": "healthy", "checks": []}
            record["inspect"]["health"] = "healthy"

    enhanced, _ = diagnosed(run, changed("redis-maxmemory", "worker", recover))
    (issue,) = enhanced["issues"]
    assert issue["service"] == "redis"
    assert {each.partition("/")[0] for each in issue["evidence"]} == {"app", "worker"}
    told = {each["id"]: each["text"] for each in issue["evidence_detail"]}
    assert list(told) == issue["evidence"]
    assert all("OOM command not allowed" in text for text in told.values())
    assert "OOM command not allowed" in issue["log_excerpt"]  # redis itself said nothing of it


def test_every_evidence_id_is_told_in_words(run: Run) -> None:
    enhanced, _ = diagnosed(run, incident("database-down"))
    (issue,) = enhanced["issues"]
    assert [each["id"] for each in issue["evidence_detail"]] == issue["evidence"]
    assert 'state = "exited"' in [each["text"] for each in issue["evidence_detail"]]


def test_issues_come_by_severity_then_by_reach(run: Run) -> None:
    def broken(service: str, severity: str, symptoms: int) -> str:
        root = {"service": service, "path": [service]}
        verdict = {
            "engine": "rules",
            "status": "failed",
            "role": "root",
            "cause": "inconclusive",
            "root": root,
            "severity": severity,
            "confidence": "low",
            "hypothesis": "?",
            "evidence": [],
            "findings": [],
            "symptoms": [root] * symptoms,
            "peers": [],
            "looked_at": [],
        }
        return json.dumps({"service": service, "analysis": verdict}) + "\n"

    text = broken("a", "info", 9) + broken("b", "warning", 0) + broken("c", "critical", 0) + broken("d", "critical", 2)
    done = run("dm-report --proofs-dir p", stdin=text)
    report = load(run, json.loads(done.stdout)["report_path"])
    assert [issue["service"] for issue in report["issues"]] == ["d", "c", "b", "a"]


def test_two_services_of_one_name_make_two_issues_that_can_be_told_apart(run: Run) -> None:
    """Two hosts, judged each for itself and reported together."""
    twice = judged(run, incident("oom-restart-loop")) * 2
    enhanced = load(run, json.loads(run("dm-report --proofs-dir proofs", stdin=twice).stdout)["report_path"])
    ids = [issue["id"] for issue in enhanced["issues"]]
    assert len(ids) == len(set(ids)) == 2


def test_a_healthy_stack_has_no_issue(run: Run) -> None:
    enhanced, stack = diagnosed(run, incident("healthy"))
    assert enhanced["issues"] == enhanced["automated_actions_safe"] == enhanced["requires_human_review"] == []
    assert enhanced["summary"]["healthy"] == enhanced["summary"]["total"] == len(stack["services"]) == 5


def test_fail_on_unhealthy(run: Run) -> None:
    command = "dm-report --proofs-dir p --fail-on unhealthy"
    assert run(command, stdin=judged(run, incident("healthy"))).returncode == 0
    assert run(command, stdin=judged(run, incident("database-down"))).returncode == 10


def test_records_that_nobody_analysed_make_a_stack_report_only(run: Run, tmp_path: Path) -> None:
    done = run("dm-report --proofs-dir proofs --run-path runs/1", stdin=incident("database-down"))
    written = json.loads(done.stdout)
    assert written["report_path"] == written["base_report_path"]
    assert [path.name for path in (tmp_path / "proofs").iterdir()] == [Path(written["report_path"]).name]
    stack = load(run, written["report_path"])
    assert stack["summary"] == {"total": 5, "healthy": 1, "degraded": 1, "failed": 3, "unknown": 0}
    assert stack["run_path"] == "runs/1"


def test_a_line_that_is_no_record_is_kept_in_both_reports(run: Run) -> None:
    text = incident("oom-restart-loop") + 'torn {"servi\n' + '["a list"]\n'
    done = run(f"{JUDGE} | dm-report --proofs-dir p", stdin=text)
    assert done.returncode == 4
    written = json.loads(done.stdout)
    for path in (written["report_path"], written["base_report_path"]):
        kept = load(run, path)["input_errors"]
        assert [(each["line"], each["text"]) for each in kept] == [(6, 'torn {"servi'), (7, '["a list"]')]


def test_only_bad_lines_make_a_report_too(run: Run) -> None:
    done = run("dm-report --proofs-dir p", stdin="{torn\n")
    assert done.returncode == 4
    report = load(run, json.loads(done.stdout)["report_path"])
    assert (report["summary"]["total"], len(report["input_errors"])) == (0, 1)


@pytest.mark.parametrize("section", ["probe", "inspect", "logs", "stats", "analysis", "proposals"])
def test_a_malformed_section_loses_neither_the_service_nor_the_rest(run: Run, section: str) -> None:
    stack = records(judged(run, incident("oom-restart-loop")))
    stack = [record | ({section: [7]} if record["service"] == "worker" else {}) for record in stack]
    done = run("dm-report --proofs-dir p", stdin="".join(json.dumps(each) + "\n" for each in stack))
    assert (done.returncode, done.stderr) == (4, "")
    written = json.loads(done.stdout)
    report = load(run, written["base_report_path"])
    worker = next(each for each in report["services"] if each["name"] == "worker")
    assert [each["code"] for each in worker["errors"]] == ["bad_section"]
    assert f"section '{section}'" in worker["errors"][0]["message"]
    assert report["summary"]["total"] == 5
    issues = [] if section == "analysis" else ["worker"]
    assert [issue["service"] for issue in load(run, written["report_path"])["issues"]] == issues


def test_errors_of_a_record_are_in_the_report(run: Run) -> None:
    error = {"stage": "logs", "code": "docker_unreachable", "message": "no engine"}
    done = run("dm-report --proofs-dir p", stdin=json.dumps({"service": "x", "errors": [error]}))
    assert done.returncode == 4
    (service,) = load(run, json.loads(done.stdout)["report_path"])["services"]
    assert (service["status"], service["errors"]) == ("unknown", [error])


def test_hostile_text_is_carried_as_data(run: Run) -> None:
    nasty = "\x1b]0;owned\x07\u202e\u0000\ud7ff</script>" + "x" * 100_000

    def speak(record: Json) -> None:
        record["logs"]["lines"][-1]["text"] = nasty

    enhanced, _ = diagnosed(run, changed("oom-restart-loop", "worker", speak))
    assert nasty in enhanced["issues"][0]["log_excerpt"]
    done = run("dm-show proofs/enh*.json")
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout


def test_no_input_writes_no_report(run: Run, tmp_path: Path) -> None:
    done = run("dm-report --proofs-dir proofs < /dev/null")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (tmp_path / "proofs").exists()


def test_reports_are_private(run: Run, tmp_path: Path) -> None:
    run("umask 000; dm-report --proofs-dir proofs", stdin=judged(run, incident("oom-restart-loop")))
    assert stat.S_IMODE((tmp_path / "proofs").stat().st_mode) == 0o700
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "proofs").iterdir()}
    assert modes == {0o600}


def test_reports_of_the_same_second_do_not_touch_each_other(run: Run, tmp_path: Path) -> None:
    text = judged(run, incident("oom-restart-loop"))

    def report(_: int) -> Json:
        done = run("dm-report --proofs-dir proofs", stdin=text, DM_NOW="1732800000")
        written: Json = json.loads(done.stdout)
        return written

    with ThreadPoolExecutor(6) as pool:
        written = list(pool.map(report, range(6)))
    stamps = range(1732800000, 1732800006)
    assert sorted(each["report_id"] for each in written) == [f"enhanced-{stamp}" for stamp in stamps]
    for each in written:
        report_file = json.loads((tmp_path / each["report_path"]).read_bytes())
        assert report_file["report_id"] == each["report_id"]
        assert report_file["base_report_path"] == each["base_report_path"]
    assert len(list((tmp_path / "proofs").iterdir())) == 12


def test_an_older_report_is_never_overwritten(run: Run, tmp_path: Path) -> None:
    (tmp_path / "proofs").mkdir()
    older = tmp_path / "proofs" / "enhanced_diagnostics_1732800000.json"  # its stack report was tidied away
    older.write_text("older\n")
    enhanced, _ = diagnosed(run, incident("oom-restart-loop"), DM_NOW="1732800000")
    assert enhanced["report_id"] == "enhanced-1732800001"
    assert older.read_text() == "older\n"


def test_killed_at_any_moment_it_leaves_whole_files_or_none(run: Run, tmp_path: Path) -> None:
    records_of_many = [
        json.dumps(record | {"service": f"{record['service']}-{number}"}) + "\n"
        for number in range(60)
        for record in records(judged(run, incident("oom-restart-loop")))
    ]
    (tmp_path / "judged.jsonl").write_text("".join(records_of_many))
    proofs = tmp_path / "proofs"
    chance = random.Random(1)

    def killed() -> bool:
        """Begin a report and kill it a moment after it began to write; whether that came in time."""
        before = set(proofs.glob(".writing-*"))
        with (tmp_path / "judged.jsonl").open() as source:
            command = [ROOT / "bin" / "dm-report", "--proofs-dir", proofs]
            writer = subprocess.Popen(command, stdin=source, env=SEALED, stdout=subprocess.DEVNULL)
        while writer.poll() is None and set(proofs.glob(".writing-*")) <= before:
            time.sleep(0.0005)
        time.sleep(chance.uniform(0, 0.008))
        writer.kill()
        return writer.wait() == -signal.SIGKILL

    assert sum(killed() for _ in range(24)) >= 4
    assert list(proofs.glob(".writing-*"))  # some died in the middle of a file
    for path in proofs.glob("[se]*.json"):
        content = json.loads(path.read_bytes())
        assert content["summary"]["total"] == 300
        if path.name.startswith("enhanced"):
            assert len(content["issues"]) == content["summary"]["issues"] == 60
            assert Path(content["base_report_path"]).exists()
        else:
            assert len(content["services"]) == 300
    done = run(f"dm-report --proofs-dir {proofs} < judged.jsonl")
    assert done.returncode == 0


@pytest.fixture
def tiny(tmp_path: Path) -> Any:
    """A file system of 64 KiB, mounted for one test."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a dm-report that could not write."""
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("free_kib", [0, 4, 8])
def test_a_full_disk_is_one_clear_line_and_nothing_half_written(run: Run, tiny: Path, free_kib: int) -> None:
    (tiny / "filler").write_bytes(b"x" * (64 - free_kib) * 1024)
    line = refused(run(f"dm-report --proofs-dir {tiny}", stdin=judged(run, incident("redis-maxmemory"))))
    assert line.startswith(f"dm-report: cannot write '{tiny}/")
    assert "no space left on device" in line
    left = sorted(set(os.listdir(tiny)) - {"filler"})
    assert len(left) <= 1  # the stack report may have found room
    for name in left:
        assert json.loads((tiny / name).read_bytes())["summary"]["total"] == 5


def test_a_read_only_folder_is_one_clear_line(run: Run, tiny: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", tiny], check=True)
    assert "read-only file system" in refused(run(f"dm-report --proofs-dir {tiny}", stdin=incident("healthy")))
    assert "read-only file system" in refused(run(f"dm-report --proofs-dir {tiny}/new", stdin=incident("healthy")))


def test_a_file_in_place_of_the_folder(run: Run, tmp_path: Path) -> None:
    (tmp_path / "proofs").write_text("not a folder")
    done = run("dm-report", stdin=incident("healthy"), PROOFS_DIR=str(tmp_path / "proofs"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "is a file" in done.stderr
    assert "not a directory" in refused(
        run("dm-report", stdin=incident("healthy"), PROOFS_DIR=str(tmp_path / "proofs" / "below"))
    )


def test_a_folder_whose_name_is_no_utf_8(run: Run) -> None:
    done = run("dm-report --proofs-dir $'p\\xff' --run-path $'r\\xff'", stdin=judged(run, incident("healthy")))
    assert (done.returncode, done.stderr) == (0, "")
    assert run("cat p*/enhanced*.json | jq -r .run_path").stdout == "r?\n"
