"""Shell lines for people to copy."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any


def of_fix(service: str, number: int, risk: str | None, report: str) -> str | None:
    """What approves this fix alone, shows what would be done, asks once, does and proves it; None if a person must do
    it. `number`: its place in its issue, from 1."""
    if risk in (None, "manual") or not report:
        return None
    return f"dm review --approve {shlex.quote(f'{service}:{number}')} {shlex.quote(report)}"


def path_of(report: Mapping[str, Any]) -> str:
    """Where an enhanced report lies, told from that of its stack report, beside it and of the same second; "" if it
    does not say."""
    folder, slash, name = str(report.get("base_report_path") or "").rpartition("/")
    return f"{folder}{slash}{name.replace('stack_', 'enhanced_', 1)}" if name.startswith("stack_diagnostics_") else ""
