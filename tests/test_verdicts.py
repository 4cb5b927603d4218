"""Every recorded fault and public log case is judged byte for byte as it was when somebody last looked at the change.

tests/data/verdicts/reviewed.jsonl has one line per service: what the verdict says in short, and a digest of all of it.
It began as what commit 953fdba said, before the code was moved to where it is now. `pytest tests/test_verdicts.py
--accept` writes it anew; review that with `git diff`: each changed line is a verdict that changed.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator

import msgspec
import orjson
import pytest

from dm_tools.patterns.language import Library
from dm_tools.records import Analysis
from tests import lab
from tests.conftest import ROOT
from tests.score import cases, faults, once

pytestmark = pytest.mark.xdist_group("score")  # beside test_score.py, which judges the same cases

KEPT = ROOT / "tests" / "data" / "verdicts" / "reviewed.jsonl"
SHOWN = ("role", "cause", "confidence", "pattern", "hypothesis", "evidence")


def line(case: str, service: str, verdict: Analysis) -> bytes:
    """One service's verdict."""
    whole = msgspec.to_builtins(verdict)
    digest = hashlib.sha256(orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
    return orjson.dumps({"case": case, "service": service} | {key: whole[key] for key in SHOWN} | {"digest": digest})


def judged(library: Library) -> Iterator[bytes]:
    """Every service of every recording, then every public case."""
    for fault in lab.faults():
        for service, verdict in faults.judge(faults.recorded(fault), library).items():
            yield line(fault.name, service, verdict)
    yield from public(library)


def public(library: Library) -> Iterator[bytes]:
    """Every public case."""
    for case in cases.read(cases.PUBLIC):
        yield line(str(case["id"]), str(cases.record(case)["service"]), cases.verdict(case, library))


def test_every_verdict_is_the_one_that_was_reviewed(pytestconfig: pytest.Config) -> None:
    found = b"".join(each + b"\n" for each in judged(once.library()))
    if pytestconfig.getoption("accept"):
        KEPT.write_bytes(found)
    assert found.split(b"\n") == KEPT.read_bytes().split(b"\n")


def test_no_verdict_depends_on_the_hash_seed() -> None:
    """Python shuffles its sets anew in each process: two seeds that gave two verdicts on some of these cases."""
    code = (
        "from dm_tools.patterns import reading as reader; from tests.test_verdicts import public; "
        "import sys; sys.stdout.buffer.write(b'\\n'.join(public(reader.read(None))))"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": seed}, check=True, stdout=-1
        ).stdout
        for seed in ("0", "5")
    ]
    assert said[0] == said[1] and said[0]
