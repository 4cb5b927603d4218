"""dm-show: any record, report or approval for people; on a terminal and in a pipe, and safe whatever a log says."""

from __future__ import annotations

import json
import platform
import re
import shlex
import unicodedata
from pathlib import Path
from typing import Any

import pexpect
import pytest

from dm_tools.pipe import clock
from dm_tools.show import columns as wide
from dm_tools.show import copied, records
from tests.conftest import ROOT, SEALED, Run

DATA = ROOT / "tests" / "data"
NASTY = "\x1b[2J\x1b]0;owned\x07\x9b31m\r\x08\u202e\u200b\u0000end"
SHOWN = "\\x1b[2J\\x1b]0;owned\\x07\\x9b31m\\r\\x08\\u202e\\u200b\\x00end"


def shown(run: Run, value: Any) -> list[str]:
    """The lines that dm-show makes of one JSON value."""
    done = run("dm-show", stdin=json.dumps(value) + "\n")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.fixture
def reports(run: Run, tmp_path: Path) -> dict[str, Path]:
    """The two reports of the recorded incident with the database down, and what dm-report printed."""
    done = run(f"dm-analyze < {DATA}/database-down.jsonl | dm-propose | dm-report --proofs-dir p | tee line.json")
    written = json.loads(done.stdout)
    return {
        "enhanced": tmp_path / written["report_path"],
        "stack": tmp_path / written["base_report_path"],
        "line": tmp_path / "line.json",
    }


# What is shown


def test_records_that_nobody_judged(run: Run) -> None:
    done = run(f"dm-show {DATA}/database-down.jsonl")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["SERVICE", "STATUS", "CAUSE", "DETAIL"]
    assert len([line for line in lines if not line.startswith("    | ")]) == 6
    postgres = next(line for line in lines if " postgres " in line)
    assert postgres.startswith("✗ postgres")
    assert "failed" in postgres
    assert "exited" in postgres
    redis = next(line for line in lines if " redis " in line)
    assert redis.startswith("✓ redis")
    assert "running (healthy)" in redis
    assert re.search(r"tcp://redis:6379 ok [\d.]+ ms · .*cpu [\d.]+ % · memory [\d.]+ % · \d+ log items", redis)
    below = lines[lines.index(postgres) + 1 :]
    assert below[0].startswith("    | exit code 0, ended 2026-")
    assert below[1] == "    | tcp://postgres:5432: the container is exited"
    assert [each.endswith(" database system is shut down") for each in below[2:5]] == [False, False, True]
    assert lines[lines.index(redis) + 1 :][:1] != ["    | "]


def test_a_log_that_nobody_judged_is_shown_by_its_newest_lines(run: Run) -> None:
    def item(number: int) -> dict[str, Any]:
        said = ["2026-01-02 03:04:05 plain", "Traceback:\n  File x\nKeyError: 'a'", "\x1b[31mred"][number % 3]
        return {"id": f"logs:{number}", "ts": "2026-01-02T03:04:05.678Z", "stream": "stdout", "text": said}

    record = {"service": "app", "logs": {"lines": [item(number) for number in range(30)]}}
    shown = run("dm-show", stdin=json.dumps(record)).stdout.splitlines()[2:]
    assert len(shown) == 10
    assert shown[-4:] == [
        "    | 2026-01-02 03:04:05 UTC  [31mred",
        "    | 2026-01-02 03:04:05 plain",
        "    | 2026-01-02 03:04:05 UTC KeyError: 'a' (2 more lines)",
        "    | 2026-01-02 03:04:05 UTC  [31mred",
    ]
    undecided = {"analysis": {"role": "unknown", "status": "unknown", "hypothesis": None}}
    assert run("dm-show", stdin=json.dumps(record | undecided)).stdout.splitlines()[2:] == shown
    running = {"inspect": {"state": "running"}}
    assert len(run("dm-show", stdin=json.dumps(record | running)).stdout.splitlines()) == 2  # it is well
    failed = {"inspect": {"state": "exited", "exit_code": 137, "oom_killed": True}}
    shown = run("dm-show", stdin=json.dumps(record | failed)).stdout.splitlines()[2:]
    assert (len(shown), shown[0]) == (4, "    | exit code 137, killed for memory")


def test_judged_records(run: Run) -> None:
    done = run(f"dm-analyze < {DATA}/database-down.jsonl | dm-propose | dm-show")
    assert (done.returncode, done.stderr) == (0, "")
    text = done.stdout
    assert re.search(r"^✗ postgres +failed +exited +postgres shut itself down", text, re.MULTILINE)
    assert re.search(r"^ +do: start \[high, reversible\]: ", text, re.MULTILINE)
    assert re.search(r"^! web +degraded +← postgres ", text, re.MULTILINE)
    assert "do: check_dependencies" not in text  # what suffers needs no repair
    assert len([line for line in text.splitlines() if line.split()[:1] == ["SERVICE"]]) == 1


def test_an_enhanced_report(run: Run, reports: dict[str, Path]) -> None:
    lines = run(f"dm-show {reports['enhanced']}").stdout.splitlines()
    assert lines[0].endswith("5 services: 1 healthy, 1 degraded, 3 failed")
    assert "CRITICAL postgres: exited" in lines
    assert "  also fails because of it: postgres → app → web" in lines
    assert any(line.startswith("  do: start [high, reversible]: ") for line in lines)
    assert '  [inspect:state] state = "exited"' in lines
    commands = [line.split("$ ")[1] for line in lines if line.startswith("      $ ")]
    options, path = shlex.split(commands[0])[2:4], shlex.split(commands[0])[-1]
    assert (commands[0].split()[:2], options, len(commands)) == (
        ["dm", "review"],
        ["--approve", "postgres:1"],
        2,
    )  # one is manual
    approved = run(f"dm-review {' '.join(options)} {reports['enhanced'].parent / path.rpartition('/')[2]}").stdout
    assert json.loads(approved)["action"] == "start"


@pytest.mark.parametrize("service", ["a b", "$(touch x)", "x;y", "-v", "a'b"])
def test_a_command_to_copy_names_one_thing_whatever_it_is_called(service: str) -> None:
    line = copied.of_fix(service, 2, "reversible", "/proofs dir/r.json")
    assert shlex.split(str(line)) == ["dm", "review", "--approve", f"{service}:2", "/proofs dir/r.json"]
    assert copied.of_fix(service, 2, "manual", "r.json") is None


def test_a_stack_report(run: Run, reports: dict[str, Path]) -> None:
    lines = run(f"dm-show {reports['stack']}").stdout.splitlines()
    assert lines[0].endswith("5 services: 1 healthy, 1 degraded, 3 failed")
    assert len(lines) == 7
    assert any(re.fullmatch(r"! web +degraded +dependency_down +postgres → app → web", line) for line in lines)


@pytest.mark.parametrize(("later", "old"), [(5, "5 seconds"), (7300, "2 hours"), (-60, "1 second")])
def test_a_report_tells_its_age_and_where_it_was_made(run: Run, reports: dict[str, Path], later: int, old: str) -> None:
    made = json.loads(reports["enhanced"].read_text())
    assert made["host"] == platform.node()
    now = made["generated_at"] / 1000 + later
    for kind in ("enhanced", "stack"):
        second = run(f"dm-show {reports[kind]}", DM_NOW=str(now)).stdout.splitlines()[1]
        at = clock.rfc3339(made["generated_at"] / 1000)[:19].replace("T", " ")
        assert second == f"  made {at} UTC, {old} ago, on {made['host']}"


def test_latest_is_the_newest_report_and_of_two_of_one_second_the_one_with_issues(run: Run, tmp_path: Path) -> None:
    assert run("dm-show latest").returncode == 3
    for stamp in (1732800000, 1732800009):
        run("dm-analyze | dm-report", stdin=(DATA / "healthy.jsonl").read_text(), DM_NOW=str(stamp))
    assert run("dm-show latest").stdout.startswith("enhanced-1732800009: ")
    (tmp_path / "latest").write_text('{"service": "mine"}')
    assert "mine" in run("dm-show latest").stdout


def test_what_dm_report_prints(run: Run, reports: dict[str, Path]) -> None:
    text = run(f"dm-show < {reports['line']}").stdout
    assert "5 services: 1 healthy, 1 degraded, 3 failed" in text
    assert "CRITICAL postgres: exited" in text
    assert "also fails because of it: web" in text


def test_an_approval_file_and_approved_actions(run: Run) -> None:
    action = {
        "issue_id": "issue-app-1",
        "service": "app",
        "action": "check_dependencies",
        "confidence": "high",
        "reasoning": "because",
        "parameters": {"dependency": "db"},
        "risk": "read_only",
    }
    line = "  app: check_dependencies (dependency=db) [high, read_only]: because"
    content = {"generated_at": "x", "source_report": "/proofs/r.json", "approved_actions": [action, action]}
    assert shown(run, content) == ["2 approved action(s) of /proofs/r.json", line, line]
    assert shown(run, action) == [line]


def test_lines_that_were_no_records_are_shown(run: Run) -> None:
    done = run(f"(cat {DATA}/healthy.jsonl; echo '{{torn') | dm-analyze | dm-propose | tee all.jsonl | dm-show")
    assert "input: line 6: not valid JSON" in done.stdout
    run("dm-report --proofs-dir p < all.jsonl")
    for name in ("stack", "enhanced"):
        assert "input: line 6: not valid JSON" in run(f"dm-show p/{name}*.json").stdout


def test_errors_of_services_are_shown(run: Run) -> None:
    record = {"service": "x", "errors": [{"stage": "logs", "code": "timeout", "message": "took too long"}]}
    assert any("logs: took too long" in line for line in shown(run, record))
    run("dm-report --proofs-dir p", stdin=json.dumps(record))
    assert "logs: took too long" in run("dm-show p/stack*.json").stdout


def test_documents_over_many_lines_and_blank_lines(run: Run, reports: dict[str, Path]) -> None:
    wanted = run(f"dm-show {reports['enhanced']}", DM_NOW="4000000000").stdout
    text = reports["enhanced"].read_text()
    assert run("dm-show", stdin=text, DM_NOW="4000000000").stdout == wanted
    assert run("dm-show -", stdin="\n \n" + text, DM_NOW="4000000000").stdout == wanted
    assert run("dm-show", stdin=json.dumps(json.loads(text)), DM_NOW="4000000000").stdout == wanted


# The overview


def overview(run: Run, name: str, options: str = "") -> list[str]:
    """The lines of a recorded fault's overview."""
    done = run(f"dm-analyze < {DATA}/faults/{name}.jsonl | dm-propose | dm-show --overview {options}")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_the_overview_has_one_line_per_service_and_causes_first(run: Run) -> None:
    lines = overview(run, "both-stores")
    assert lines[0] == "5 services: 4 failed, 1 degraded; 2 causes"
    assert [line.split()[:3] for line in lines[1:]] == [
        ["✗", "postgres", "exited"],
        ["✗", "└", "app"],
        ["!", "└", "web"],
        ["✗", "redis", "paused"],
        ["✗", "└", "worker"],
    ]
    assert re.search(r"exited +start +postgres shut itself down", lines[1])
    assert lines[3].split() == ["!", "└", "web", "←", "app", "web", "needs", "app"]  # not the root's words again


def test_healthy_services_come_last_in_the_overview(run: Run) -> None:
    lines = overview(run, "two-changes")
    assert [line.split()[:2] for line in lines[1:]] == [
        ["!", "web"],
        ["✗", "worker"],
        ["✓", "app"],
        ["✓", "postgres"],
        ["✓", "redis"],
    ]
    assert overview(run, "healthy")[0] == "5 services: 5 healthy"


def test_the_overview_of_reports_is_that_of_their_records(run: Run, reports: dict[str, Path]) -> None:
    wanted = [line.split("  ")[0].replace("└ ", "") for line in overview(run, "database-down")]
    stack = run(f"dm-show --overview {reports['stack']}").stdout.splitlines()
    assert [line.split("  ")[0].replace("└ ", "") for line in stack] == wanted
    for path in (reports["enhanced"], reports["line"]):  # which do not say how the symptoms are
        lines = run(f"dm-show --overview {path}").stdout.splitlines()
        assert lines[0] == "5 services: 3 failed, 1 degraded, 1 healthy; 1 cause"
        assert lines[1].startswith("✗ postgres  exited")
        assert sorted(line.split()[1] for line in lines[2:]) == ["app", "web", "worker"]


def test_records_that_nobody_judged_have_an_overview(run: Run) -> None:
    lines = run(f"dm-show --overview {DATA}/database-down.jsonl").stdout.splitlines()
    assert lines[0] == "5 services: 3 failed, 1 degraded, 1 healthy"
    assert [line[0] for line in lines[1:]] == ["✗", "✗", "✗", "!", "✓"]


def test_no_line_is_lost_in_the_overview(run: Run) -> None:
    text = '{"service":"a","errors":[{"stage":"logs","message":"took too long"}]}\n{torn\n[1]\n'
    lines = run("dm-show --overview", stdin=text).stdout.splitlines()
    assert lines[0] == "3 services: 3 unknown"
    assert "logs: took too long" in lines[1]
    assert lines[2].startswith("? (bad line)")
    assert lines[3].startswith("? (no record)")


def test_what_suffers_from_a_service_that_is_not_there_is_shown(run: Run) -> None:
    verdict = {"status": "failed", "role": "symptom", "root": {"service": "db", "path": ["app", "db"]}}
    done = run("dm-show --overview", stdin=json.dumps({"service": "app", "analysis": verdict}))
    assert done.stdout.splitlines()[1].split() == ["✗", "app", "←", "db"]


@pytest.mark.parametrize("columns", [20, 44, 80, 200])
def test_the_overview_fits_the_terminal(run: Run, tmp_path: Path, columns: int) -> None:
    line = f"dm-analyze < {DATA}/faults/both-stores.jsonl | dm-propose | dm-show --overview"
    styled = on_terminal(tmp_path, line, columns, NO_COLOR="")
    assert "\x1b[31m" in styled
    lines = STYLE.sub("", styled).splitlines()
    assert len(lines) == 6
    assert max(map(len, lines)) <= columns
    assert any(line.endswith("…") for line in lines) == (columns < 200)
    assert "\x1b" not in on_terminal(tmp_path, line, columns, NO_COLOR="1")


def test_wide_and_hostile_text_in_the_overview(tmp_path: Path) -> None:
    root = {"status": "failed", "role": "root", "cause": NASTY, "severity": "critical", "hypothesis": NASTY + "停" * 90}
    record = {"service": "服务" * 30, "analysis": root, "proposals": [{"action": NASTY}]}
    (tmp_path / "wide.jsonl").write_text(json.dumps(record) + "\n")
    lines = on_terminal(tmp_path, "dm-show --overview wide.jsonl", 80).splitlines()
    assert len(lines) == 2
    assert sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in lines[1]) <= 80
    assert lines[1].isprintable()


def test_of_several_views_the_last_one_counts(run: Run) -> None:
    text = '{"report_id": "r", "issues": []}\n'
    assert run("dm-show --overview --why", stdin=text).stdout == run("dm-show --why", stdin=text).stdout


def test_cost_of_a_report_and_of_what_has_none(run: Run) -> None:
    line = "dm-analyze | dm-propose | dm-report --proofs-dir proofs | jq -r .report_path"
    path = run(line, stdin=(ROOT / "tests/data/faults/database-down.jsonl").read_text()).stdout.strip()
    shown = run(f"dm-show --cost {path}").stdout
    assert "local model: not asked" in shown
    cost = json.loads(run(f"cat {path}").stdout)["cost"]
    assert cost["evidence_tokens"] > 10 * cost["summary_tokens"] > 0
    assert f"saved: {cost['saved_percent']} %" in shown
    assert "Claude Opus 4" in shown
    assert "holds no cost" in run("dm-show --cost", stdin='{"service": "x"}\n').stdout


# What makes no sense

KEYS = ("approved_actions", "issues", "services", "report_path", "summary", "errors", "probe", "inspect", "stats")
KEYS += ("logs", "analysis", "proposals", "service", "issue_id", "parameters", "input_errors")


def test_values_of_any_type_anywhere_are_shown_somehow(run: Run) -> None:
    strange: list[Any] = [None, True, 7, -1.5, "text", [], [7], [[]], {}, {"a": [1]}]
    values: list[Any] = list(strange)
    for inner in strange:
        values += [{key: inner} for key in KEYS]
        values += [{"report_path": "x", "services": [inner], "summary": inner}]
        values += [
            {"report_path": "x", "services": [dict.fromkeys(("name", "status", "cause", "path", "errors"), inner)]}
        ]
        issue = dict.fromkeys(("severity", "service", "symptoms", "proposed_fixes", "evidence_detail", "cause"), inner)
        values += [{"issues": [inner, issue, {"symptoms": [inner], "proposed_fixes": [inner]}]}]
        verdict = dict.fromkeys(("status", "cause", "hypothesis", "root"), inner)
        values += [{"service": inner, "analysis": verdict | {"role": role}} for role in ("root", "symptom", inner)]
        values += [{"service": "x", "probe": {"status": inner, "checks": [inner, {"total_ms": inner, "error": inner}]}}]
        values += [{"service": "x", "stats": dict.fromkeys(("cpu_percent", "memory_percent"), inner)}]
        values += [{"service": "x", "inspect": dict.fromkeys(("state", "health", "restart_count"), inner)}]
    text = "".join(json.dumps(value) + "\n" for value in values)
    done = run("dm-show", stdin=text)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") >= len(values)
    done = run("dm-show --overview", stdin=text)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("view", "value", "said"),
    [
        ("--why", {"issues": 7}, "? no issues that this program knows: Expected `array`, got `int`"),
        ("--why", {"issues": [{"service": "x"}]}, "? no issues that this program knows: Object missing"),
        ("--cost", {"report_id": "r", "cost": 7}, "r: holds no cost that this program knows: Expected"),
        ("--cost", [7], "this: holds no cost; an enhanced report does"),
    ],
)
def test_a_report_that_is_none_is_named_and_the_next_is_shown(run: Run, view: str, value: Any, said: str) -> None:
    done = run(f"dm-show {view}", stdin=json.dumps(value) + '\n{"issues": [], "report_id": "next"}\n')
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(said)
    assert ("next" in done.stdout) == (view == "--cost")


def test_garbage_is_shown_as_garbage(run: Run) -> None:
    done = run("dm-show", stdin='{"service":"a"}\n{"service":"b\n\x00\x01\n[1,2]\nnull\n')
    assert (done.returncode, done.stderr) == (0, "")
    assert "not valid JSON" in done.stdout
    assert "? not a record: [1, 2]" in done.stdout
    assert "? not a record: None" in done.stdout


@pytest.mark.parametrize("content", ['{"issues": [\n', '{\n"a": 1,\n', '{"report_id": "x",\n\x00'])
def test_a_torn_document_is_one_clear_line(run: Run, tmp_path: Path, content: str) -> None:
    (tmp_path / "torn.json").write_text(content)
    done = run("dm-show torn.json")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "dm-show: neither JSON Lines nor one JSON document\n"


def test_a_file_that_is_not_there(run: Run) -> None:
    done = run("dm-show nothing.json")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "dm-show: cannot read 'nothing.json': no such file or directory\n"


# Terminals and pipes


def on_terminal(tmp_path: Path, line: str, columns: int, **variables: str) -> str:
    """What a command writes to a terminal of so many columns."""
    process = pexpect.spawn(
        "/bin/bash",
        ["-c", line],
        cwd=str(tmp_path),
        env=SEALED | {"TERM": "xterm-256color"} | variables,
        dimensions=(24, columns),
        encoding="utf-8",
        timeout=15,
    )
    process.expect(pexpect.EOF)
    process.close()
    assert process.exitstatus == 0
    return str(process.before).replace("\r\n", "\n")


JUDGED = f"dm-analyze < {DATA}/database-down.jsonl | dm-propose"
STYLE = re.compile(r"\x1b\[[0-9;]*m")


def test_colour_on_a_terminal_only(run: Run, tmp_path: Path) -> None:
    styled = on_terminal(tmp_path, f"{JUDGED} | dm-show", 400, NO_COLOR="")
    assert "\x1b[31m" in styled  # red: failed
    assert "\x1b[32m" in styled  # green: healthy
    piped = run(f"{JUDGED} | dm-show", NO_COLOR="").stdout
    assert "\x1b" not in piped
    assert STYLE.sub("", styled) == piped
    assert "\x1b" not in on_terminal(tmp_path, f"{JUDGED} | dm-show", 400, NO_COLOR="1")
    assert "\x1b" not in on_terminal(tmp_path, f"{JUDGED} | dm-show", 400, NO_COLOR="", TERM="dumb")


@pytest.mark.parametrize("columns", [40, 60, 80, 133, 200])
def test_words_are_wrapped_rows_are_shortened_and_a_pipe_has_them_whole(run: Run, tmp_path: Path, columns: int) -> None:
    whole = run(f"{JUDGED} | dm-show").stdout
    shown = on_terminal(tmp_path, f"{JUDGED} | dm-show", columns)
    assert max(map(len, whole.splitlines())) > 133
    assert max(map(len, shown.splitlines())) <= columns
    cut = [line for line in shown.splitlines() if line.endswith("…")]
    if columns < records.NARROW:
        assert cut == []
        assert "".join(shown.split()) == "".join(whole.split()[4:])  # all but the head of the table
    else:
        assert all(
            len(line) == columns and any(row.startswith(line[:-1]) for row in whole.splitlines()) for line in cut
        )


def test_a_long_file_goes_to_the_pager_and_a_short_one_does_not(tmp_path: Path, reports: dict[str, Path]) -> None:
    line = f"dm-show {reports['enhanced']}"
    shown = on_terminal(tmp_path, line, 60, PAGER="sed s/^/paged:/")
    assert len(shown.splitlines()) > 24
    assert all(each.startswith("paged:") for each in shown.splitlines())
    assert "paged:" not in on_terminal(tmp_path, line, 60, PAGER="sed s/^/paged:/", LINES="200")
    assert "paged:" not in on_terminal(tmp_path, f"{line} < /dev/null", 60, PAGER="sed s/^/paged:/")  # nobody is there


@pytest.mark.parametrize(
    ("text", "room", "lines"),
    [
        ("one two three", 9, ["one two", "three"]),
        ("one two three", 40, ["one two three"]),
        ("", 40, [""]),
        ("数据", 1, ["数", "据"]),  # there is no room, and an end
        ("      deep " + "x" * 30, 24, ["    deep", "    " + "x" * 20, "    " + "x" * 10]),
        ("数据库 停止了", 8, ["数据库", "停止了"]),
        ("数据库停止了", 8, ["数据库停", "止了"]),
        ("a\u0301" * 8, 8, ["a\u0301" * 8]),
        ("👩‍👩‍👧" * 5, 8, ["👩‍👩‍👧" * 4, "👩‍👩‍👧"]),
        ("\u1100\u1161\u11a8" * 5, 8, ["\u1100\u1161\u11a8" * 4, "\u1100\u1161\u11a8"]),
    ],
)
def test_words_wrap_between_words_if_they_can(text: str, room: int, lines: list[str]) -> None:
    assert list(wide.wrapped(text, room)) == lines


def test_a_port_that_answers_makes_no_unhealthy_container_well(run: Run, tmp_path: Path) -> None:
    """As Docker says and dm-report counts; one that is starting is none."""
    probed = {"service": "db", "probe": {"status": "healthy", "checks": []}}
    for state, health, status in (
        ("running", "unhealthy", "degraded"),
        ("exited", None, "failed"),
        ("running", "starting", "healthy"),
        ("running", "healthy", "healthy"),
    ):
        record = probed | {"inspect": {"state": state, "health": health}}
        (tmp_path / "one.jsonl").write_text(json.dumps(record) + "\n")
        assert f" {status} " in run("dm-show one.jsonl").stdout
        assert f"1 {status}" in run("dm-show --overview one.jsonl").stdout


def test_columns_of_the_environment_win(tmp_path: Path) -> None:
    text = on_terminal(tmp_path, f"dm-show {DATA}/healthy.jsonl", 400, COLUMNS="50")
    assert 40 < max(map(len, text.splitlines())) <= 50


@pytest.mark.parametrize("columns", ["0", "-7", "wide"])
def test_a_terminal_that_does_not_know_its_size(tmp_path: Path, columns: str) -> None:
    text = on_terminal(tmp_path, f"stty cols 0; dm-show {DATA}/healthy.jsonl", 0, COLUMNS=columns)
    assert max(map(len, text.splitlines())) == 100
    text = on_terminal(tmp_path, f"dm-show {DATA}/healthy.jsonl", 60, COLUMNS=columns)
    assert 50 < max(map(len, text.splitlines())) <= 60


def test_wide_characters_take_two_columns(tmp_path: Path) -> None:
    record = {"service": "服务" * 30, "analysis": {"hypothesis": "数据库\t停止了" * 20, "status": "failed"}}
    (tmp_path / "wide.jsonl").write_text(json.dumps(record) + "\n")
    for line in on_terminal(tmp_path, "dm-show wide.jsonl", 80).splitlines():
        assert sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line) <= 80
        assert "\t" not in line


def test_control_characters_are_shown_and_not_obeyed(run: Run, tmp_path: Path) -> None:
    verdict = {"status": NASTY, "role": "root", "cause": NASTY, "hypothesis": NASTY, "root": {"service": NASTY}}
    fix = dict.fromkeys(("action", "confidence", "risk", "reasoning"), NASTY) | {"parameters": {NASTY: NASTY}}
    detail = [{"id": NASTY, "text": NASTY}]
    errors = [{"stage": NASTY, "message": NASTY}]
    issue = {"severity": NASTY, "service": NASTY, "cause": NASTY, "root_cause_hypothesis": NASTY}
    issue |= {"symptoms": [NASTY, {"path": [NASTY]}], "proposed_fixes": [fix], "evidence_detail": detail}
    service = {"name": NASTY, "status": NASTY, "cause": NASTY, "path": [NASTY], "errors": errors}
    values: list[Any] = [
        NASTY,
        {"service": NASTY, "analysis": verdict, "proposals": [fix], "errors": errors},
        {"report_id": NASTY, "issues": [issue], "input_errors": errors},
        {"report_id": NASTY, "report_path": NASTY, "services": [service]},
        {"report_path": NASTY},
        {"source_report": NASTY, "approved_actions": [fix | {"service": NASTY}]},
    ]
    (tmp_path / "nasty.jsonl").write_text("".join(json.dumps(value) + "\n" for value in values))
    piped = run("dm-show nasty.jsonl").stdout
    assert [c for c in piped if not c.isprintable() and c != "\n"] == []
    assert piped.count(SHOWN) >= 30
    styled = on_terminal(tmp_path, "dm-show nasty.jsonl", 4000, NO_COLOR="")
    assert [c for c in STYLE.sub("", styled) if not c.isprintable() and c != "\n"] == []


def test_nothing_to_show_on_a_terminal_is_a_mistake(tmp_path: Path) -> None:
    text = on_terminal(tmp_path, "dm-show; test $? = 2", 100)
    assert text == "dm-show: nothing to show: pipe records in or name a file (see --help)\n"


def test_each_record_is_shown_at_once(tmp_path: Path) -> None:
    line = '(echo \'{"service":"first"}\'; read -t 10 < fifo) | dm-show'
    process = pexpect.spawn("/bin/bash", ["-c", f"mkfifo fifo; {line}"], cwd=str(tmp_path), env=SEALED, timeout=8)
    process.expect_exact("first")  # while standard input stays open
    process.close(force=True)
