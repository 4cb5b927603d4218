"""Secrets planted in a log in every form they take there, sent through the commands: what of them comes out?

The places that need a container (environment, labels, health output, pages, headers) are in tests/test_canaries.py.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from tests import shapes
from tests.conftest import SEALED
from tests.test_canaries import LOGGED, leaks

PIPELINE = (
    "dm-condense --service app < app.log | tee condensed.jsonl | dm-analyze --explain 2> explained | tee judged.jsonl"
    " | dm-propose | tee proposed.jsonl | dm-report --proofs-dir . > summary.json"
    "; dm-redact --text < app.log > redacted; dm-show --why proposed.jsonl > why"
)


def score() -> tuple[int, list[str]]:
    """How many were planted, and those that came out of any stage."""
    announced = [shape for folder in shapes.FOLDERS for shape in shapes.announced(folder / "announced.toml")]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = "\n".join([*LOGGED, *(shape.text for shape in announced)])
        (folder / "app.log").write_text(text + "\nERROR cannot write: No space left on device\n")
        done = subprocess.run(PIPELINE, shell=True, cwd=folder, env=SEALED, capture_output=True, text=True)
        written = [path for path in folder.rglob("*") if path.is_file() and path.name != "app.log"]
        out = done.stdout + done.stderr + "".join(path.read_text(errors="replace") for path in written)
    rest = "\n".join([*LOGGED, *(shape.rest for shape in announced)])
    planted = {secret for shape in announced for secret in shape.secrets}
    came_out = {secret for secret in planted if shapes.comes_out(secret, out, rest, least=9)}
    return len(leaks(text)) + len(planted), sorted(leaks(out) | came_out)
