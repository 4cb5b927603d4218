"""Which rounds of a resident pipe are worth a report: those that tell something else than the last one told."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dm_tools.store.reports import Collector

_STAMP = re.compile(r"(?:stack|enhanced)_diagnostics_(\d{1,12})\.(?:json|html)")


def told(collector: Collector) -> tuple[Any, ...]:
    """What a report of these records would tell, without its figures and times: the same for two rounds between which
    nothing began, changed or ended."""
    issues = sorted(
        (each.fingerprint, each.severity, tuple(sorted(s.service for s in each.symptoms))) for each in collector.issues
    )
    failing = {status: count for status, count in collector.counts.items() if status in ("degraded", "failed")}
    missing = {(each.get("stage"), each.get("code")) for each in collector.input_errors}
    return issues, sorted(failing.items()), sorted(missing, key=str)


@dataclass
class Watched:
    """Decides round by round; `again`: seconds after which the same is reported again."""

    again: float
    last: tuple[Any, ...] | None = field(default=None, init=False)
    written: float = field(default=0.0, init=False)

    def worth_it(self, collector: Collector, now: float) -> bool:
        """Whether this round is to be reported; then it is the one that later ones are compared with."""
        found = told(collector)
        if found == self.last and 0 <= now - self.written < self.again:
            return False
        self.last, self.written = found, now
        return True


def remove_old(folder: Path, keep: int | None) -> None:
    """Of the reports in a folder leave the newest `keep`, None: all; whatever cannot be removed stays."""
    if keep is None:
        return
    found: dict[int, list[Path]] = {}
    for path in folder.iterdir():
        if match := _STAMP.fullmatch(path.name):
            found.setdefault(int(match[1]), []).append(path)
    for stamp in sorted(found)[:-keep]:
        for path in found[stamp]:
            with contextlib.suppress(OSError):
                path.unlink()
