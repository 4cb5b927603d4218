"""`dm`: all commands under one name; how sessions say how they are called; what shells offer after a Tab."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pexpect
import pytest

from dm_tools import umbrella
from tests.conftest import COLD, COMMANDS, ROOT, SEALED, Run

SUPERVISOR = ROOT / "scripts/supervisor-session.sh"


def test_the_list_has_each_command_and_session_with_a_line(run: Run) -> None:
    shown = run("dm", **COLD)
    assert (shown.returncode, shown.stderr) == (0, "")
    listed = dict(re.findall(r"^  (\S+) +(\S.*)$", shown.stdout, re.MULTILINE))
    commands = {f"dm-{name}" if name in umbrella.SESSIONS else name for name in COMMANDS}
    assert set(listed) == {*umbrella.SESSIONS, *umbrella.HELP} | commands
    assert max(map(len, shown.stdout.split("\n"))) <= 120
    for words in ("-h", "--help", "help"):
        assert run(f"dm {words}", **COLD).stdout == shown.stdout


def test_the_sessions_are_those_of_the_supervisor() -> None:
    offered = re.findall(r"^([a-z-]+)\) [a-z_]+ \"\$@\" ;;$|^(history)\)$", SUPERVISOR.read_text(), re.MULTILINE)
    assert {one or other for one, other in offered} == set(umbrella.SESSIONS)


@pytest.mark.parametrize("name", ["probe", "dm-probe"])
def test_a_command_is_the_same_by_either_name(run: Run, name: str) -> None:
    for words in ("gopher://example.invalid/", "--no-such-option", "--help", "-V", "- < /dev/null"):
        own, other = run(f"dm-probe {words}", **COLD), run(f"dm {name} {words}", **COLD)
        assert (other.returncode, other.stdout, other.stderr) == (own.returncode, own.stdout, own.stderr)
    assert run(f"dm help {name}", **COLD).stdout == run("dm-probe --help").stdout


@pytest.mark.parametrize("session", umbrella.SESSIONS)
def test_a_session_says_how_it_is_called(run: Run, session: str) -> None:
    told = run(f"{SUPERVISOR} {session} --help")
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith(f"Usage: supervisor-session.sh {session}")
    usage = run(f"{SUPERVISOR} help").stdout
    entry = re.search(rf"^  {session}( .*?)(?=\n  [a-z]|\n\n)", usage, re.MULTILINE | re.DOTALL)
    assert entry
    for option in re.findall(r"--[a-z-]+", entry[1].split("   ")[0]):
        assert option in told.stdout
    for line in (f"{SUPERVISOR} {session} x -h", f"{SUPERVISOR} help {session}"):
        assert run(line, **COLD).stdout == told.stdout
    by_dm = run(f"dm {session} --help", **COLD).stdout
    assert by_dm == told.stdout.replace("supervisor-session.sh", "dm")  # the name that was typed


def test_a_session_by_dm_dies_of_a_closed_pipe_as_by_itself(run: Run) -> None:
    gone = run("dm execute --help | exec <&- sleep 3; echo ${PIPESTATUS[0]}", **COLD)
    assert (gone.stderr, gone.stdout) == ("", "141\n")


def test_an_unknown_word_is_one_line_and_status_2(run: Run) -> None:
    refused = run("dm $'no\\esuch'", **COLD)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("dm: ") and refused.stderr.count("\n") == 1 and "\x1b" not in refused.stderr


@pytest.mark.parametrize("words", ["", "-V", "docs", "docs readme", "completion bash", "help"])
def test_what_cannot_be_written_is_one_line_and_status_6(run: Run, words: str) -> None:
    full = run(f"dm {words} > /dev/full", **COLD)
    assert (full.returncode, full.stderr) == (
        6,
        "dm: cannot write to standard output: [Errno 28] No space left on device\n",
    )
    closed = run(f"dm {words} >&-", **COLD)
    assert (closed.returncode, closed.stderr) == (6, "dm: standard output is closed\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_version_has_a_short_option(run: Run, name: str) -> None:
    assert run(f"dm-{name} -V").stdout == run(f"dm-{name} --version").stdout == "dm-" + name + ", version 0.1.0\n"


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("dm-probe --time", {"--timeout"}),
        ("dm-probe --on-bad ", {"report", "skip", "fail"}),
        ("dm diagnose", {"diagnose", "diagnose-enhanced"}),
        ("dm pro", {"probe", "propose", "proxy"}),
        ("dm probe --time", {"--timeout"}),
        ("supervisor-session.sh diag", {"diagnose", "diagnose-enhanced"}),
    ],
)
def test_bash_and_fish_offer(typed: str, offered: set[str]) -> None:
    *words, last = typed.split(" ")
    script = (
        f"source {ROOT}/completions/dm-tools.bash; COMP_WORDS=({typed}); COMP_CWORD={len(words)}; "
        f'_dm_tools {words[0]} "{last}" "{words[-1]}"; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    assert set(_said("bash", "-c", script)) == offered
    script = f"source {ROOT}/completions/dm-tools.fish; complete -C '{typed}'"
    assert {line.split("\t")[0] for line in _said("fish", "--no-config", "-c", script)} >= offered


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("dm execute --", {"--yes", "--undo-if-worse", "--help"}),
        ("dm policy r", {"rehearse", "revoke"}),
        ("dm docs pol", {"policy", "policy.toml"}),
        ("dm verify ", {"--help"}),
        ("supervisor-session.sh incidents u", {"unsilence"}),
        ("dm watch --ev", {"--every"}),
        ("dm tell --engine ", {"auto", "rules", "hybrid", "llm"}),
        ("dm demo oom", {"oom-restart-loop"}),
    ],
)
def test_bash_offers_what_a_session_takes(typed: str, offered: set[str]) -> None:
    *words, last = typed.split(" ")
    script = (
        f"source {ROOT}/completions/dm-tools.bash; COMP_WORDS=({typed}); COMP_CWORD={len(words)}; "
        f'_dm_tools {words[0]} "{last}" "{words[-1]}"; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    assert set(_said("bash", "-c", script)) == offered


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("dm execute --undo", {"--undo-if-worse"}),
        ("dm policy re", {"rehearse", "revoke"}),
        ("dm docs pol", {"policy", "policy.toml"}),
        ("dm comp", {"completion"}),
        ("dm watch --ev", {"--every"}),
        ("dm watch --proj", {"--project"}),
        ("dm heal --engine ", {"auto", "rules", "hybrid", "llm"}),
        ("supervisor-session.sh incidents un", {"unsilence"}),
        ("dm silence --w", {"--why"}),
    ],
)
def test_fish_offers_what_a_session_takes(typed: str, offered: set[str]) -> None:
    script = f"source {ROOT}/completions/dm-tools.fish; complete -C '{typed}'"
    assert {line.split("\t")[0] for line in _said("fish", "--no-config", "-c", script)} == offered


def test_services_are_offered_by_name(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_text('{"services": [{"name": "web"}, {"name": "worker"}]}')
    manifest = {"SERVICES_MANIFEST_PATH": str(path)}
    assert run("dm completion services", **manifest, **COLD).stdout == "web\nworker\n"
    nothing = run("dm completion services", SERVICES_MANIFEST_PATH="none.json", **COLD)
    assert (nothing.returncode, nothing.stdout, nothing.stderr) == (0, "", "")
    script = f"source {ROOT}/completions/dm-tools.bash; COMP_WORDS=(dm logs w) COMP_CWORD=2; _dm_tools dm w logs; "
    assert run(script + "echo ${COMPREPLY[@]}", **manifest, **COLD).stdout == "web worker\n"
    script = script.replace("dm logs w) COMP_CWORD=2", "dm-logs --tail w) COMP_CWORD=2").replace(
        "dm w logs", "dm-logs w --tail"
    )
    assert run(script + "echo ${COMPREPLY[@]}", **manifest).stdout == "\n"


def test_the_manual_has_each_session() -> None:
    page = (ROOT / "man/dm.1").read_text()
    for session in umbrella.SESSIONS:
        assert f"\n.SS dm {session}" in page.replace("\\-", "-")


def _said(*command: str) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=SEALED | {"HOME": "/tmp"})
    assert done.stderr == ""
    return done.stdout.split() if command[0] == "bash" else done.stdout.splitlines()


def test_zsh_offers(tmp_path: Path) -> None:
    shell = pexpect.spawn("zsh", ["-f", "-i"], env=SEALED | {"HOME": str(tmp_path), "TERM": "dumb"}, timeout=20)
    shell.setwinsize(50, 160)
    shell.sendline(f"PS1=; fpath=({ROOT}/completions $fpath); autoload -Uz compinit; compinit -D; echo rea''dy")
    shell.expect_exact("ready")
    for typed, offered in (
        ("dm-probe --time", "out="),
        ("dm-probe --on-bad=re", "port"),
        ("dm diagnose-", "enhanced"),
        ("dm prob", "e"),
        ("dm probe --keep", "-order"),
        ("dm execute --undo", "-if-worse"),
        ("dm policy reh", "earse"),
        ("dm docs scoreb", "oard"),
        ("dm watch --proj", "ect="),
        ("dm heal --engine=hy", "brid"),
        ("supervisor-session.sh incidents un", "silence"),
        ("supervisor-session.sh rollback la", "st"),
    ):
        shell.send(f"{typed}\t")
        shell.expect(re.escape(typed) + "\a?" + re.escape(offered))
        shell.sendcontrol("u")
    shell.close(force=True)
