"""A folder of reports in which somebody, a full disk or a kill has broken a file: one line that says so, or none, and
the status of the table. In a folder that others may write to a file may also be a pipe, or a link to what never ends.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import COLD, Run
from tests.making import service

NOTIFY = '[target.me]\nwebhook = "http://127.0.0.1:1/"\n[[rule]]\ntell = ["me"]\n'
READ_BY = {
    "history/here-2026-11-30-0001.jsonl": ["dm-history show", "dm-tool history", "dm-history record < records"],
    "history/known.json": ["dm-history show", "dm-history record < records"],
    "incidents/rounds.jsonl": [
        "dm-incidents list",
        "dm-incidents records",
        "dm-notify --config notify.toml < /dev/null",
    ],
    "incidents/silences.jsonl": ["dm-incidents list", "dm-incidents records", "dm-incidents unsilence x"],
    "incidents/told.jsonl": ["dm-notify --config notify.toml < /dev/null"],
    "journal/actions.jsonl": ["dm-incidents records", "dm-undo --plan last"],
    "enhanced_diagnostics_1700000000.json": ["dm-review", "dm-tool explain of=1", "dm-approve", "dm-history compact"],
}


def _filled(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


BROKEN: dict[str, Callable[[Path], object]] = {
    "deep": _filled(b'{"a":' + b"[" * 100_000 + b"\n"),
    "binary": _filled(bytes(range(256)) * 20 + b"\n"),
    "no object": _filled(b"[]\n5\nnull\n"),
    "other types": _filled(b'{"id":5,"at":[],"state":"x","events":{"number":"x"},"kind":{},"issues":5,"version":[]}\n'),
    "folder": lambda path: path.mkdir(),
    "pipe": lambda path: os.mkfifo(path),
    "without end": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("name", READ_BY)
def test_a_broken_file_is_no_bug_and_holds_up_nobody(run: Run, tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / "notify.toml").write_text(NOTIFY)
    (tmp_path / "records").write_text(json.dumps(service("app", "failed")) + "\n")
    path = tmp_path / "proofs" / name
    path.parent.mkdir(parents=True)
    BROKEN[kind](path)
    for line in READ_BY[name]:
        done = run(line, PROOFS_DIR=str(tmp_path / "proofs"))
        assert done.returncode in (0, 2, 3, 4, 6, 10), (line, done.stderr)
        said = [each for each in done.stderr.splitlines() if "was not judged" not in each]
        assert len(said) <= 1 and not any(word in done.stderr for word in ("internal error", "'None'")), (line, said)


WITHOUT_RIGHTS = "setpriv --bounding-set=-dac_override,-dac_read_search --inh-caps=-dac_override,-dac_read_search"


def test_a_history_that_may_not_be_read_is_not_an_empty_one(run: Run, tmp_path: Path) -> None:
    """Root may read all, unless it gives that up."""
    (tmp_path / "records").write_text(json.dumps(service("app", "failed")) + "\n")
    folder = tmp_path / "proofs/history"
    folder.mkdir(parents=True)
    folder.chmod(0)
    before, kept = WITHOUT_RIGHTS if os.geteuid() == 0 else "env", str(tmp_path / "proofs")
    try:
        for words in ("show", "show --json", "query 'SELECT count() FROM events'"):
            done = run(f"{before} dm-history {words}", PROOFS_DIR=kept, **COLD)
            assert (done.returncode, done.stdout) == (3, ""), words
            assert done.stderr == f"dm-history: cannot read '{folder}': permission denied\n"
        told = run(f"{before} dm-report records", PROOFS_DIR=kept, **COLD)  # which does without
        assert told.returncode == 0 and "what happened before is left out" in told.stderr
    finally:
        folder.chmod(0o700)
