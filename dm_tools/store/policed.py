"""What a policy is asked about, records or a report, and the approval file that follows, as a review would write it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import orjson

from dm_tools.pipe import clock, command, stream
from dm_tools.records import Approval, ApprovedAction, EnhancedReport
from dm_tools.store import approvals, files

Record = dict[str, Any]
TWINS = 2  # records of one name are kept: nothing is approved where there is more than one


@dataclass(frozen=True)
class Given:
    """Records, and the report that they are of, if it is one. `bad`: some lines were no records."""

    records: list[Record]
    report: EnhancedReport | None = None
    path: Path | None = None
    bad: bool = False


def given(source: Path | None) -> Given:
    """What is at a path, or on standard input (None, or `-`). Raises approvals.ReportError.

    With a report come the records of its run, if they are still there: they tell what a report leaves out.
    """
    if source is not None and str(source) != "-" and _is_report(source):
        report = approvals.read(source)
        kept = Path(report.run_path) if report.run_path else None
        found = [kept / name for name in ("arrived.jsonl", "propose.jsonl")] if kept else []
        path = next((each for each in found if each.is_file() and each.stat().st_size), None)
        records = list(command.source([str(path)], "skip")) if path else []
        return Given([each for each in records if "service" in each], report, source)
    records, bad = [], False
    seen: Counter[tuple[str | None, str]] = Counter()
    for each in command.source([str(source)] if source else [], "report"):
        if "service" not in each:
            bad = True
            continue
        name = each.get("docker_host"), each["service"]
        seen[name] += 1
        if seen[name] <= TWINS:
            records.append(each)
    return Given(records, bad=bad)


def _is_report(path: Path) -> bool:
    try:
        whole = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(whole, dict) and "service" not in whole


def taken(asked: Given) -> set[str]:
    """The issues that a person has decided or deferred. Raises approvals.ReportError."""
    if asked.report is None or asked.path is None:
        return set()
    return _taken(approvals.Review(asked.path, asked.report))


def _taken(review: approvals.Review) -> set[str]:
    return {issue_id for issue_id, entry in review.decisions.items() if not entry.by}


def write(asked: Given, approved: list[tuple[str, int, ApprovedAction]], folder: Path) -> list[ApprovedAction]:
    """Write what was approved, (issue, index of the fix, action) each; the actions that were. Raises files.CannotWrite.

    For a report it is the file that a review of it writes, and the review knows of it; what a person has decided
    meanwhile stays as it is. Raises approvals.ReportError.
    """
    if not approved:
        return []
    if asked.report is None or asked.path is None:
        _of_records(folder, [action for _, _, action in approved])
        return [action for _, _, action in approved]
    review = approvals.Review(asked.path, asked.report)
    with review.alone():
        found = [each for each in approved if each[0] not in _taken(review)]
        for issue in asked.report.issues:
            own = [(index, action.by) for issue_id, index, action in found if issue_id == issue.id]
            if own:
                review.decide(issue, "approve", [index for index, _ in own], [by for _, by in own])
        review.write_approvals()
    return [action for _, _, action in found]


def _of_records(folder: Path, actions: list[ApprovedAction]) -> None:
    files.make_folder(folder)
    now = datetime.fromtimestamp(clock.now())
    content = stream.repaired(msgspec.to_builtins(Approval(now.isoformat(timespec="seconds"), "", actions)))
    data = orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n"
    number = 1
    while True:
        more = "" if number == 1 else f"_{number}"
        path = folder / f"approved_fixes_{now:%Y%m%d_%H%M%S}{more}.json"
        if files.write_new(path, iter([data])):
            return
        number += 1
