"""The stream contract, held over every command: input, output, statuses, signals, memory.

Real processes and real pipes. Commands that need Docker meet a socket that is not there: then a record carries an
entry in `errors` and the stream goes on, which is part of the contract.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import subprocess
import termios
import time
from pathlib import Path

import pytest

from tests.conftest import COLD, COMMANDS, ROOT, SEALED, Run, records
from tests.used import used

# records in, the same records out
FILTERS = ["probe", "inspect", "logs", "condense", "stats", "screenshot", "analyze", "propose", "redact"]
READERS = [*FILTERS, "report", "show", "brief", "execute", "incidents", "approve", "learn"]
STREAMING = ["probe", "inspect", "logs", "condense", "stats", "screenshot", "propose", "redact", "show"]
NEEDS_DOCKER = ["probe", "inspect", "logs", "stats"]
CONCURRENT = [*NEEDS_DOCKER, "screenshot"]  # several records at once: the order is lost without -K
GOOD = '{"service": "x", "internal": ["tcp://127.0.0.1:1"], "more": {"kept": [1, 2.5, null]}}\n'


def wanted(run: Run, name: str) -> str:
    """A record that a command says nothing of: who proposes wants it judged."""
    return run("dm-analyze", stdin=GOOD).stdout if name == "propose" else GOOD


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_examples_and_the_exit_table(run: Run, name: str) -> None:
    for flag, start in (("-h", {}), ("--help", COLD)):
        shown = run(f"dm-{name} {flag}", **start)
        assert shown.returncode == 0
        assert "Examples:" in shown.stdout
        assert "Exit status:" in shown.stdout
        assert "Network:" in shown.stdout or name == "schema"
        assert shown.stderr == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_unknown_option_is_one_line_and_status_2(run: Run, name: str) -> None:
    refused = run(f"dm-{name} --no-such-option")
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert refused.stderr.startswith(f"dm-{name}: ")
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "serve"])  # which reads nothing, and stays
def test_empty_input_ends_at_once_without_output(run: Run, name: str) -> None:
    ended = run(f"dm-{name} < /dev/null", timeout=10)
    assert "Traceback" not in ended.stderr
    if name in READERS:
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    else:
        assert ended.returncode == {
            "schema": 0,
            "history": 2,
            "llm": 2,
            "notify": 2,
            "tool": 2,
            "undo": 2,
            "verify": 2,
        }.get(name, 3)  # no manifest, no report: one line that says so
        assert ended.stderr.count("\n") == (ended.returncode != 0)


@pytest.mark.parametrize("name", READERS)
def test_closed_input_is_one_line(run: Run, name: str) -> None:
    refused = run(f"dm-{name} <&-", timeout=10)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize("name", READERS)
def test_a_terminal_on_stdin_is_a_usage_error_and_not_a_wait(name: str, tmp_path: Path) -> None:
    master, slave = os.openpty()
    try:
        refused = subprocess.run(
            [f"dm-{name}"], stdin=slave, capture_output=True, text=True, env=SEALED, cwd=tmp_path, timeout=10
        )
    finally:
        os.close(master)
        os.close(slave)
    assert refused.returncode == 2
    assert "--help" in refused.stderr


@pytest.mark.parametrize("name", [*FILTERS, "show", "schema"])
def test_head_closes_the_pipe_without_a_word(run: Run, name: str, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(wanted(run, name) * 5000)
    ended = run(f"dm-{name} < in.jsonl | head -n 1; echo ${{PIPESTATUS[0]}} >&2")
    assert ended.stdout.count("\n") == 1
    assert ended.stderr in ("141\n", "0\n" if name == "schema" else "141\n")  # a schema may fit into the pipe


@pytest.mark.parametrize("name", COMMANDS)
def test_help_into_a_closed_pipe_is_141(name: str, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)  # gone before the first byte
    with os.fdopen(writer, "wb") as pipe:
        ended = subprocess.run([f"dm-{name}", "--help"], stdout=pipe, stderr=subprocess.PIPE, env=SEALED, cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (141, b"")


@pytest.mark.parametrize("name", [*FILTERS, "show", "schema"])
def test_full_disk_is_one_line_and_status_6(run: Run, name: str) -> None:
    ended = run(f"dm-{name} > /dev/full", stdin=wanted(run, name))
    assert ended.returncode == 6
    assert ended.stderr.startswith(f"dm-{name}: cannot write to standard output: ")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_help_to_a_full_disk_is_one_line_and_status_6(run: Run, name: str) -> None:
    ended = run(f"dm-{name} --help > /dev/full")
    assert ended.returncode == 6
    assert ended.stderr.count("\n") == 1


BROKEN = [
    '{"service": "x"',  # cut off
    "[1, 2]",
    '"text"',
    "null",
    '{"service": 5}',
    '{"service": "x", "internal": "http://x/"}',
    '{"other": "key"}',
    '{"service": "x", "v": 99}',
    '{"service": "x\\u0007"}',
    "two words",
    '{"service": "x", "deep": ' + "[" * 300 + "]" * 300 + "}",
    "\x00\x01\x02",
]


@pytest.mark.parametrize("name", FILTERS)
def test_broken_lines_are_reported_or_skipped(run: Run, name: str) -> None:
    text = GOOD + "".join(f"{line}\n{GOOD}" for line in BROKEN)
    reported = run(f"dm-{name} --keep-order" if name in CONCURRENT else f"dm-{name}", stdin=text)
    found = records(reported.stdout)
    assert [record.get("service") for record in found] == ["x", *[None, "x"] * len(BROKEN)]
    told = [error for record in found[1::2] for error in record["errors"]]
    assert [(each["code"], each["line"]) for each in told] == [("bad_line", 2 * at + 2) for at in range(len(BROKEN))]
    assert reported.returncode in (4, 5)

    skipped = run(f"dm-{name} --on-bad skip", stdin=text)
    assert [record["service"] for record in records(skipped.stdout)] == ["x"] * (len(BROKEN) + 1)
    assert [f"line {2 * at + 2}:" in skipped.stderr for at in range(len(BROKEN))] == [True] * len(BROKEN)


# Which lines are broken is judged at one place, for all commands: each of them here, and each line at one of them.
@pytest.mark.parametrize(("name", "line"), [*((name, "[1, 2]") for name in FILTERS), *(("redact", x) for x in BROKEN)])
def test_a_broken_line_can_be_fatal(run: Run, name: str, line: str) -> None:
    failed = run(f"dm-{name} --on-bad fail", stdin=f"{GOOD}{line}\n{GOOD}")
    assert failed.returncode == 3
    assert "line 2" in failed.stderr
    assert "Traceback" not in failed.stderr


@pytest.mark.parametrize("name", FILTERS)
def test_a_reported_line_flows_through_the_rest_of_the_pipe(run: Run, name: str) -> None:
    flowed = run(f"dm-probe | dm-{name}", stdin="[1]\n")
    assert records(flowed.stdout) == [
        {
            "errors": [
                {
                    "stage": "input",
                    "code": "bad_line",
                    "message": "line 1: not a JSON object",
                    "line": 1,
                    "text": "[1]",
                }
            ]
        }
    ]
    assert flowed.returncode == 4


@pytest.mark.parametrize("name", FILTERS)
def test_a_bare_name_and_a_bare_url_are_records(run: Run, name: str) -> None:
    text = "shop-app-1\nhttp://127.0.0.1:1/\n"
    by_stdin = run(f"dm-{name} --keep-order" if name in CONCURRENT else f"dm-{name}", stdin=text)
    named, url = records(by_stdin.stdout)
    assert named["service"] == "shop-app-1"
    assert url["external"] == ["http://127.0.0.1:1/"]
    # as arguments: standard input is not touched
    by_argument = run(f"dm-{name} shop-app-1 < <(echo '[1]')")
    assert [record["service"] for record in records(by_argument.stdout)] == ["shop-app-1"]
    mixed = run(f"dm-{name} first -", stdin="second\n")
    assert sorted(record["service"] for record in records(mixed.stdout)) == ["first", "second"]


@pytest.mark.parametrize("name", FILTERS)
def test_unknown_keys_pass_untouched_and_in_order(run: Run, name: str) -> None:
    record = {"zebra": {"b": 1, "a": [None, 1e300, "ü\u2028"]}, "service": "x", "tail": -5, "v": 1}
    passed = records(run(f"dm-{name}", stdin=json.dumps(record) + "\n").stdout)[0]
    assert {key: passed[key] for key in record} == record
    assert list(passed)[:4] == list(record)


@pytest.mark.parametrize("name", NEEDS_DOCKER)
def test_without_docker_the_records_flow_and_the_status_is_5(run: Run, name: str) -> None:
    ended = run(f"dm-{name}", stdin="a\nb\n")
    assert ended.returncode == 5
    for record in records(ended.stdout):
        assert record["errors"][0]["code"] == "docker_unreachable"


@pytest.mark.parametrize("name", ["inspect", "logs", "stats", "screenshot"])
def test_when_unhealthy_leaves_healthy_records_alone(run: Run, name: str) -> None:
    healthy = '{"service":"a","probe":{"status":"healthy","checks":[]},"inspect":{"state":"running","health":null}}'
    sick = [
        '{"service":"b","probe":{"status":"failed","checks":[]}}',
        '{"service":"c","probe":{"status":"healthy","checks":[]},"inspect":{"state":"exited","health":null}}',
        '{"service":"d"}',
    ]
    done = run(f"dm-{name} --when unhealthy -K", stdin="\n".join([healthy, *sick]) + "\n")
    new = name if name == "screenshot" else "errors"  # what shows that a record was worked on
    asked = {record["service"]: bool(record.get(new)) for record in records(done.stdout)}
    assert asked == {"a": False, "b": True, "c": True, "d": True}


def await_handlers(process: subprocess.Popen[bytes]) -> None:
    """Wait until the program has set its signal handlers."""
    bit = 1 << (signal.SIGTERM - 1)
    for _ in range(500):
        status = Path(f"/proc/{process.pid}/status").read_text()
        caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
        if int(caught, 16) & bit:
            time.sleep(0.3)  # and has gone on to wait for its input
            return
        time.sleep(0.02)
    raise AssertionError("no signal handler within 10 s")


def await_reading(process: subprocess.Popen[bytes]) -> None:
    """Wait until the program has taken a first line from its input, and so has set its signal handlers before."""
    assert process.stdin is not None
    process.stdin.write(b"\n")  # an empty one says nothing to anybody
    process.stdin.flush()
    deadline = time.monotonic() + 60
    while fcntl.ioctl(process.stdin, termios.FIONREAD, bytes(4)) != bytes(4):
        assert time.monotonic() < deadline, "nothing was read within a minute"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("number", "status", "start"),
    [(signal.SIGINT, 130, COLD), (signal.SIGTERM, 143, {})],  # of real processes one kind is enough
    ids=["ctrl-c", "sigterm"],
)
@pytest.mark.parametrize("name", READERS)
def test_a_signal_while_stdin_is_open(
    name: str, number: int, status: int, start: dict[str, str], tmp_path: Path
) -> None:
    with subprocess.Popen(
        [f"dm-{name}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=SEALED | start,
        cwd=tmp_path,
        # a shell ignores it for what it starts in the background, and so would all that comes after
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        await_reading(process)
        process.send_signal(number)
        assert process.wait(timeout=10) == status
        assert process.stderr is not None
        assert process.stderr.read() == b""


@pytest.mark.parametrize("name", STREAMING)
def test_the_first_record_leaves_while_stdin_stays_open(name: str, tmp_path: Path) -> None:
    with subprocess.Popen(
        [f"dm-{name}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=SEALED, cwd=tmp_path
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(GOOD.encode())
        process.stdin.flush()
        if name == "show":
            assert b"SERVICE" in process.stdout.readline()
        assert b"x" in process.stdout.readline()
        process.stdin.close()
        assert process.wait(timeout=10) in (0, 4, 5)


@pytest.mark.parametrize("name", [name for name in READERS if name != "execute"])  # it reads approvals, not records
def test_twenty_thousand_records_at_constant_memory(name: str, tmp_path: Path) -> None:
    """A hundred services, two hundred times over: what a command holds follows the services, not the records."""
    line = json.dumps({"service": "service-%d", "filler": "f" * 400, "probe": {"status": "healthy", "checks": []}})

    def kilobytes(count: int) -> int:
        path = tmp_path / f"{count}.jsonl"
        path.write_text("".join(line % (index % 100) + "\n" for index in range(count)))
        command = [str(ROOT / ".venv/bin/python"), "-P", "-m", f"dm_tools.commands.{name}"]
        with path.open("rb") as source:
            done = used(command, tmp_path, SEALED | {"PYTHONPATH": str(ROOT)}, source)
        assert done.status in (0, 4, 5)
        return done.kilobytes

    grown = kilobytes(20_000) - kilobytes(1_000)
    assert grown < 5_000, f"{grown} kB more for 20 times the records"


def test_an_endless_input_stays_small(tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (1_500_000_000, 1_500_000_000))

    line = 'yes \'{"service":"x","external":["http://127.0.0.1:1/"]}\' | dm-probe | head -n 3000 | wc -l'
    counted = subprocess.run(
        ["bash", "-c", line],
        env=SEALED | COLD,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        preexec_fn=limit,
        timeout=120,
    )
    assert counted.stdout == "3000\n"


def test_a_line_without_end_is_reported_and_not_held(run: Run) -> None:
    ended = run("(head -c 200000000 /dev/zero | tr '\\0' a; echo; echo x) | dm-propose")
    first, second = records(ended.stdout)
    assert first["errors"][0]["code"] == "bad_line"
    assert len(first["errors"][0]["text"]) == 200
    assert second["service"] == "x"


def test_flag_before_environment_before_env_file_before_default(run: Run, tmp_path: Path) -> None:
    """Shown on the folder of the reports, which every stage can set; its default is in test_settings.py."""
    (tmp_path / "own.env").write_text("PROOFS_DIR=from-file\n")
    record = '{"service": "x"}\n'

    def folder(line: str, **variables: str) -> str:
        return str(Path(records(run(line, stdin=record, **variables).stdout)[0]["report_path"]).parent)

    own = {"DM_ENV_FILE": "own.env"}
    flag = folder("dm-report --proofs-dir from-flag", PROOFS_DIR="from-environment", **own)
    assert flag == "from-flag"
    assert folder("dm-report", PROOFS_DIR="from-environment", **own) == "from-environment"
    assert folder("dm-report", PROOFS_DIR="", **own) == "from-file"
    missing = run("dm-report", stdin=record, DM_ENV_FILE="nowhere.env")
    assert missing.returncode == 2
    assert "nowhere.env" in missing.stderr


def test_the_old_letter_of_keep_order_works_and_warns(run: Run) -> None:
    lines = "".join(f'{{"service": "s{number}"}}\n' for number in range(20))
    old, new = run("dm-stats -k", lines), run("dm-stats -K", lines)
    assert old.stdout == new.stdout and [each["service"] for each in records(new.stdout)][-1] == "s19"
    assert (
        old.stderr.replace(new.stderr, "").startswith("dm-stats: -k is -K now")
        and " -k" not in run("dm-stats -h").stdout
    )


def test_two_records_of_one_name_are_not_mixed_up(run: Run) -> None:
    first = '{"service":"x","probe":{"status":"failed","checks":[]}}'
    second = '{"service":"x","probe":{"status":"healthy","checks":[]}}'
    done = run("dm-analyze", stdin=f"{first}\n{second}\n")
    one, other = records(done.stdout)
    assert one["analysis"]["role"] == "root"
    assert "analysis" not in other
    assert other["errors"][0]["code"] == "duplicate_service"
    assert done.returncode == 4


@pytest.mark.parametrize("name", FILTERS)
def test_a_bug_is_reported_and_the_stream_goes_on(run: Run, name: str) -> None:
    """A section of a wrong shape, and with DM_DEBUG: the record comes out, and nothing hangs."""
    text = '{"service":"x","depends_on":["y:²"],"analysis":5,"inspect":[1],"probe":"?"}\n'
    for variables in ({}, {"DM_DEBUG": "1"}):
        done = run(f"dm-{name}", stdin=text, timeout=20, **variables)
        assert records(done.stdout)[0]["service"] == "x"
        assert done.returncode in (0, 1, 4, 5)


def test_a_folder_with_modules_of_our_names_changes_nothing(run: Run, tmp_path: Path) -> None:
    """The current folder is not searched for Python modules: it may be anybody's."""
    (tmp_path / "click.py").write_text("raise SystemExit(99)")
    (tmp_path / "dm_tools").mkdir()
    (tmp_path / "dm_tools" / "__init__.py").write_text("raise SystemExit(99)")
    assert run("dm-schema").returncode == 0
