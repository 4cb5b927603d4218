"""A forked command is what a cold one is: tests/warm.py may make tests quick, and change nothing else."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import warm
from tests.conftest import COLD, SEALED, Run


def test_the_clients_come_first() -> None:
    found = subprocess.run(["bash", "-c", "command -v dm-schema"], env=SEALED, capture_output=True, text=True)
    assert found.stdout == f"{warm.FOLDER}/dm-schema\n"


@pytest.mark.parametrize(
    "line",
    [
        "dm-show <&-",
        "dm-show >&-",
        "dm-show 2>&-",
        "dm-show --no-such-option",
        'dm-show <(echo \'{"service":"ü"}\')',
        "cd /proc && dm-show --why environ",
        "DM_NOW=1 PROOFS_DIR=p dm-report",
        "dm-report --proofs-dir $'\\xff'; ls | od -c",
        'echo \'{"service":"$\\xff"}\' | dm-analyze | dm-propose | dm-show',
        "dm-schema | head -c 1; echo ${PIPESTATUS[0]}",
        "PYTHONHASHSEED=x dm-schema",
        "env -i PATH=$PATH dm-schema --help",
    ],
)
def test_it_says_and_leaves_what_a_cold_one_does(run: Run, line: str) -> None:
    seen = []
    for start in ({}, COLD):
        done = run(f"mkdir {len(seen)}; cd {len(seen)}; {line}", '{"service":"x"}\n', DM_NOW="1732800000", **start)
        seen.append((done.returncode, done.stdout, done.stderr))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_are_passed_on(tmp_path: Path, number: signal.Signals) -> None:
    ends = []
    for start in ({}, COLD):
        with begun(tmp_path, start) as process:
            process.send_signal(number)
            ends.append(process.wait(10))
    assert ends[0] == ends[1] in (143, 130, -signal.SIGHUP)


def test_a_client_that_is_killed_takes_its_process_with_it(tmp_path: Path) -> None:
    with begun(tmp_path, {}) as process:
        process.kill()
        process.wait()
        assert process.stdout is not None
        assert process.stdout.read() == b""  # nobody has its pipe open any more


@contextlib.contextmanager
def begun(folder: Path, start: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A command that has written one record and waits for the next."""
    with subprocess.Popen(
        ["dm-propose"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=SEALED | start,
        cwd=folder,
        # a shell's background job, as these tests are one, ignores Ctrl-C, and so would its children
        preexec_fn=lambda: [signal.signal(each, signal.SIG_DFL) for each in (signal.SIGHUP, signal.SIGINT)],
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(b'{"service":"x"}\n')
        process.stdin.flush()
        assert process.stdout.readline()
        yield process
        process.stdin.close()
