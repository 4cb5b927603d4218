"""Executable transcripts: tests/cases/COMMAND/CASE/cmd is run beside its files; out, err and code are what it must do.

`pytest tests/test_cases.py --accept` writes the expectations; review them with `git diff`.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT, SEALED

CASES = ROOT / "tests" / "cases"


@pytest.mark.parametrize("cmd", sorted(CASES.glob("*/*/cmd")), ids=lambda path: "/".join(path.parts[-3:-1]))
def test_case(cmd: Path, request: pytest.FixtureRequest) -> None:
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "cmd"],
        cwd=cmd.parent,
        env=SEALED | {"DM_NOW": "1732800000"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    for name, text in {"out": done.stdout, "err": done.stderr, "code": f"{done.returncode}\n"}.items():
        path = cmd.with_name(name)
        if request.config.getoption("--accept"):
            path.write_text(text)
        assert text == path.read_text()
