"""The faults of the lab that an action can heal: healed by the session, and proved, in real containers.

python -m tests.score.healing [FAULT]...     (scripts/heal-score)
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dm_tools.act import state
from dm_tools.records import ContainerState
from tests import lab
from tests.conftest import COLD, ROOT, SEALED, records
from tests.score import overhead
from tests.score.approving import HEALS, SESSION, approve

HEADING = "## Healing, in real containers"
PAGE = ROOT / "docs" / "scoreboard.md"


@dataclass
class Healing:
    """One fault. `proofs`: of each root that was acted on; `as_it_was`: after what did not help was taken back."""

    name: str
    actions: list[str] = field(default_factory=list)
    proofs: dict[str, str] = field(default_factory=dict)
    why: str = ""
    as_it_was: bool | None = None
    seconds: float = 0.0

    @property
    def healed(self) -> bool:
        """Whether every root has recovered."""
        return bool(self.proofs) and set(self.proofs.values()) == {"recovered"}


def healable() -> list[str]:
    """The faults of which every root's remedy is an action that can be carried out."""
    return [
        fault.name
        for fault in lab.faults()
        if fault.roots and all(set(root.first_actions) & HEALS for root in fault.roots)
    ]


def heal(name: str) -> Healing:
    """Put a fault in, diagnose, approve, carry out, prove; what did not help is taken back."""
    found = Healing(name)
    lab.inject(name)
    variables = SEALED | COLD | lab.environment()
    with tempfile.TemporaryDirectory() as folder:
        proofs = Path(folder)

        def session(*arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [SESSION, *arguments],
                env=variables | {"PROOFS_DIR": folder, "HEAL_DEADLINE": "40"},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=300,
            )

        session("diagnose-enhanced")
        (path,) = proofs.glob("enhanced_diagnostics_*.json")
        report = json.loads(path.read_text()) | {"report_path": str(path)}
        found.actions = approve(report, proofs / "approved_fixes_1.json")
        if not found.actions:
            found.why = "nothing was proposed that can be carried out"
            return found
        begun = time.monotonic()
        printed = session("execute", "--yes", str(proofs / "approved_fixes_1.json"))
        found.seconds = time.monotonic() - begun
        verified = sorted(proofs.glob("runs/*/verify.jsonl"))
        for record in records(verified[-1].read_text()) if verified else []:
            found.proofs[record["service"]] = record["verification"]["proof"]
        if not found.healed:
            found.why = " ".join((printed.stdout + printed.stderr).split())[-300:]
            done = records((verified[-1].parent / "execute.jsonl").read_text()) if verified else []
            found.as_it_was = all([_taken_back(session, each) for each in reversed(done)])
    return found


def _taken_back(session: Any, record: dict[str, Any]) -> bool:
    execution = record["execution"]
    if execution["undo"]:
        session("rollback", "--yes", execution["id"])
    if not execution["before"]:
        return True
    import msgspec

    before = msgspec.convert(execution["before"], ContainerState)
    with contextlib.closing(lab.engine.connect(lab.environment()["DOCKER_HOST"])) as client:
        return state.difference(before, state.captured(client.api.inspect_container(before.container_id))) is None


def page(found: list[Healing], costs: list[str]) -> Iterator[str]:
    """The section of the scoreboard. `costs`: the rows of what acting costs."""
    acted = [each for each in found if each.actions]
    back = {fault.name: fault.comes_back for fault in lab.faults() if fault.comes_back}
    can = [each for each in acted if each.name not in back]
    healed = [each for each in can if each.healed]
    rest = [each for each in acted if not each.healed]
    without = ", ".join(f"`{each.name}`" for each in found if not each.actions and each.name not in back)
    times = sorted(each.seconds for each in healed) or [0.0]
    yield HEADING
    yield ""
    yield (
        f"Measured with `scripts/heal-score` on {os.cpu_count()} processors: the first reversible fix of each issue is "
        "approved, carried out and proved by `supervisor-session.sh execute`."
    )
    yield ""
    yield "| What | Figure |"
    yield "| --- | --- |"
    yield f"| faults of the lab with a proposed remedy that can be carried out, of {_all()} | {len(acted)} |"
    yield f"| of these with one that can last | {len(can)} |"
    yield f"| of those healed and proved | {len(healed)} of {len(can)} ({100 * len(healed) // max(len(can), 1)} %) |"
    as_they_were = sum(bool(each.as_it_was) for each in rest)
    yield f"| not recovered, and as they were after it was taken back | {as_they_were} of {len(rest)} |"
    median, longest = statistics.median(times), times[-1]
    yield f"| from the approval to the proof, median and longest | {median:.1f} s, {longest:.1f} s |"
    yield from costs
    yield ""
    for name in back:
        yield f"`{name}` comes back: {back[name]}."
        yield ""
    if without:
        yield f"An action could help, and none is proposed, of {without}."
        yield ""
    yield "| Fault | Carried out | Proof |"
    yield "| --- | --- | --- |"
    for each in acted:
        proofs = ", ".join(f"{service}: {proof}" for service, proof in each.proofs.items()) or each.why
        yield f"| `{each.name}` | {', '.join(each.actions) or 'nothing'} | {proofs} |"


def _all() -> int:
    return sum(bool(fault.roots) for fault in lab.faults())


def main() -> int:
    """Heal them all, or those that are named; all: the page is written."""
    wanted = sys.argv[1:]
    lab.up()
    found = []
    try:
        for name in wanted or healable():
            if lab.injected():
                lab.clear()
            found.append(heal(name))
            one = found[-1]
            sys.stderr.write(f"{name}: {one.actions} {one.proofs} {one.seconds:.1f} s {one.why} {one.as_it_was}\n")
        if lab.injected():
            lab.clear()
        costs = overhead.Overhead([], []) if wanted else overhead.measured()
    finally:
        if lab.injected():
            lab.clear()
    section = "\n".join(page(found, [] if wanted else overhead.rows(costs)))
    sys.stdout.write(section + "\n")
    if not wanted:
        text = PAGE.read_text()
        before, there, rest = text.partition(HEADING)
        after = rest.partition("\n## ")
        tail = f"\n## {after[2]}" if there and after[1] else ""
        PAGE.write_text(f"{before.rstrip()}\n\n{section}\n{tail}")
    return 0 if all(each.healed or each.as_it_was for each in found if each.actions) else 1


if __name__ == "__main__":
    sys.exit(main())
