"""The process that runs a session's pipe: what came of each stage, beside what tests/test_deaths.py kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from dm_tools.session.__main__ import stages_of
from dm_tools.session.forking import how
from tests.conftest import SEALED


def piped(folder: Path, *words: str, given: str = "") -> dict[str, dict[str, Any]]:
    """Run stages; what is noted of each."""
    subprocess.run(
        [sys.executable, "-P", "-m", "dm_tools.session", folder, "0", "", *words],
        input=given,
        env=SEALED | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")},
        text=True,
        timeout=120,
    )
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.status")}


def outcome(noted: dict[str, dict[str, Any]]) -> dict[str, tuple[int, str | None]]:
    return {name: (each["status"], each["died"]) for name, each in noted.items()}


def test_words_become_stages() -> None:
    found = stages_of(["a", "dm-a", "--x", "|", "b=b.txt", "cat"])
    assert [(each.name, each.out, each.command) for each in found] == [
        ("a", "a.jsonl", ["dm-a", "--x"]),
        ("b", "b.txt", ["cat"]),
    ]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        *((status, None) for status in (0, 4, 5, 10, 141)),
        (127, "could not be started (status 127)"),
        (130, "was interrupted"),
        (137, "was killed (signal 9)"),
        (143, "was terminated (signal 15)"),
        (2, "failed (status 2)"),
        (255, "failed (status 255)"),
    ],
)
def test_a_status_in_words(status: int, words: str | None) -> None:
    assert how(status) == words


def test_each_stage_is_kept_and_what_follows_reads_the_last(tmp_path: Path) -> None:
    noted = piped(
        tmp_path, "one", "cat", "|", "two", "tr", "a", "b", ";", "then=then.txt", "wc", "-c", ";", "x=/dev/null", "cat",
        given="aaa\n",
    )  # fmt: skip
    assert outcome(noted) == dict.fromkeys(("one", "two", "then", "x"), (0, None))
    kept = {name: (tmp_path / name).read_text().strip() for name in ("one.jsonl", "two.jsonl", "then.txt")}
    assert kept == {"one.jsonl": "aaa", "two.jsonl": "bbb", "then.txt": "4"}


def test_one_of_our_own_commands_is_forked_and_keeps_what_it_says(tmp_path: Path) -> None:
    assert outcome(piped(tmp_path, "redact", "dm-redact", "--text", given="password=abc123xyz\n")) == {
        "redact": (0, None)
    }
    noted = piped(tmp_path, "wrong", "dm-redact", "--no-such")
    assert outcome(noted)["wrong"] == (2, "dm-wrong failed (status 2)")
    assert "abc123xyz" not in (tmp_path / "redact.jsonl").read_text()
    assert "--no-such" in (tmp_path / "wrong.err").read_text()


@pytest.mark.parametrize(
    ("command", "status", "words"),
    [
        (["sh", "-c", "kill -9 $$"], 137, "dm-dies was killed (signal 9)"),
        (["no-such-program"], 127, "dm-dies could not be started (status 127)"),
    ],
)
def test_after_a_death_the_others_go_on_and_nothing_follows(
    tmp_path: Path, command: list[str], status: int, words: str
) -> None:
    """The one before writes more than a pipe holds: whoever reads on for the dead takes it."""
    noted = piped(
        tmp_path, "first", "seq", "50000", "|", "dies", *command, "|", "last", "cat", ";", "then", "cat"
    )  # fmt: skip
    assert outcome(noted) == {"first": (0, None), "dies": (status, words), "last": (0, None)}
    assert (tmp_path / "first.jsonl").read_text().endswith("\n50000\n")


def test_who_says_what_is_wrong_and_ends_lets_the_one_before_stop(tmp_path: Path) -> None:
    noted = piped(tmp_path, "first", "yes", "|", "last", "sh", "-c", "exit 2")
    assert outcome(noted) == {"first": (141, None), "last": (2, "dm-last failed (status 2)")}


@pytest.mark.parametrize("alone", [False, True])
def test_an_interrupt_ends_the_stages_and_no_report_follows(tmp_path: Path, alone: bool) -> None:
    """As from a terminal, where all are told; the one that runs them waits for their ends."""
    slow = "import time; print(1, flush=True); time.sleep(60)"
    words = ["slow", sys.executable, "-c", slow, ";", "report", "cat"]
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "dm_tools.session", tmp_path, "0", "", *words],
        env=SEALED | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as running:
        while not ((kept := tmp_path / "slow.jsonl").exists() and kept.read_text()):
            time.sleep(0.02)
        if alone:
            os.kill(running.pid, signal.SIGKILL)
        else:
            os.killpg(running.pid, signal.SIGINT)
        running.wait(timeout=60)
    noted = {path.stem: json.loads(path.read_text())["status"] for path in tmp_path.glob("*.status")}
    assert noted == ({} if alone else {"slow": 130, "report": 130})


def test_who_waits_at_a_terminal_is_told_when_each_stage_is_done(tmp_path: Path) -> None:
    given, shown = os.pipe()
    words = ["services", "printf", "1\\n2\\n", "|", "probe", "head", "-n1", ";", "brief=brief.txt", "cat"]
    command = [sys.executable, "-P", "-m", "dm_tools.session", tmp_path, "0", str(shown), *words]
    environment = SEALED | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    subprocess.run(command, stdin=subprocess.DEVNULL, env=environment, pass_fds=[shown], timeout=120, check=True)
    os.close(shown)
    with open(given) as told:
        lines = sorted(line.split(" s  ")[1] for line in told)
    assert lines == ["probe: 1 record\n", "services: 2 records\n"]  # not the brief, which has none
