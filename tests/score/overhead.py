"""What acting costs beyond what it waits for: dm-execute beside `docker restart`, the proof beside its soak.

python -m tests.score.overhead     (scripts/bench-execute)
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tests import acting, lab
from tests.conftest import COLD, ROOT, SEALED
from tests.score.approving import SESSION, approve

ROUNDS = 5
PROOFS = 3
SOAK_SECONDS = 5.0
FAULT = "paused"  # it is healed at once: what is left is the proof's own time


@dataclass
class Overhead:
    """Seconds. `restart`: how much longer dm-execute takes than `docker restart`; `proof`: beyond the soak."""

    restart: list[float]
    proof: list[float]


def restarts(host: str) -> list[float]:
    """The same container restarted in turn by both, each a program that starts cold."""
    found = []
    with tempfile.TemporaryDirectory() as folder, acting.bench(host) as bench:
        bench.make("box")
        variables = SEALED | COLD | {"DOCKER_HOST": host}

        def took(*command: str, text: str = "") -> float:
            begun = time.monotonic()
            subprocess.run(command, input=text, text=True, env=variables, capture_output=True, check=True)
            return time.monotonic() - begun

        for round_number in range(ROUNDS):
            own = f"--proofs-dir={folder}/{round_number}"  # of one action more than three an hour are refused
            theirs = took("docker", "restart", bench.name("box"))
            approval = msgspec.json.encode(bench.approved("box", "restart")).decode()
            found.append(took("dm-execute", own, text=approval) - theirs)
    return found


def proofs(progress: Callable[[str], object]) -> list[float]:
    """A fault that one action ends, healed by the session; what each proof took beyond the soak."""
    found = []
    for number in range(PROOFS):
        progress(f"proof {number + 1} of {PROOFS}\n")
        lab.inject(FAULT)
        with tempfile.TemporaryDirectory() as folder:
            soak = {"HEAL_SOAK": f"{SOAK_SECONDS:g}", "HEAL_DEADLINE": "60", "PROOFS_DIR": folder}
            variables = SEALED | COLD | lab.environment() | soak

            def session(*arguments: str, variables: dict[str, str] = variables) -> None:
                subprocess.run([SESSION, *arguments], env=variables, cwd=ROOT, capture_output=True, check=False)

            session("diagnose-enhanced")
            (report,) = Path(folder).glob("enhanced_diagnostics_*.json")
            approval = Path(folder) / "approved_fixes_1.json"
            approve(json.loads(report.read_bytes()) | {"report_path": str(report)}, approval)
            session("execute", "--yes", str(approval))
            (run,) = [path.parent for path in Path(folder).glob("runs/*/verify.status")]
            ended = [json.loads((run / f"{name}.status").read_bytes())["finished_s"] for name in ("execute", "verify")]
            found.append(ended[1] - ended[0] - SOAK_SECONDS)
        lab.clear()
    return found


def measured() -> Overhead:
    """Both, in the lab, which runs."""
    return Overhead(restarts(lab.environment()["DOCKER_HOST"]), proofs(sys.stderr.write))


def rows(found: Overhead) -> list[str]:
    """The figures as rows of a table."""
    restart, proof = statistics.median(found.restart), statistics.median(found.proof)
    return [
        f"| `dm-execute` beyond `docker restart` of the same container, median of {len(found.restart)}; wanted: 1 s | "
        f"{restart:.2f} s |",
        f"| the proof beyond its soak of {SOAK_SECONDS:g} s, median of {len(found.proof)}; wanted: 2 s | "
        f"{proof:.2f} s |",
    ]


def main() -> int:
    """Print the figures."""
    lab.up()
    found = measured()
    sys.stdout.write("\n".join([*rows(found), str(found), ""]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
