"""The state of a review: which issues of a report are decided, and what was approved.

Every decision is one line of `review_<report id>.jsonl`, on the disk before the next question is asked. The approval
file is made anew from those lines, so it can be lost or torn at any moment without losing a decision.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import orjson

from dm_tools.pipe import clock, configs, stream
from dm_tools.records import REPORT_VERSION, Approval, ApprovedAction, EnhancedReport, Issue, Risk
from dm_tools.store import files

_KEPT = ("action", "confidence", "reasoning", "parameters", "risk", "undo")  # of a fix, once it is approved
_REPORT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")


class Decision(msgspec.Struct):
    """One line of the journal: what was decided of an issue, the approved fixes by their index.

    `by`: who approved each of them; a person where it is empty.
    """

    at: Annotated[datetime, msgspec.Meta(tz=True)]
    issue_id: str
    decision: Literal["approve", "defer", "ignore"]
    fixes: list[int]
    by: list[str] = []


class _Version(msgspec.Struct):
    version: int = REPORT_VERSION


class ReportError(Exception):
    """A report cannot be used; the message names it and says why."""


def newest(folder: Path) -> Path:
    """The newest enhanced report of a folder. Raises ReportError if there is none."""
    found = [path for path in folder.glob("enhanced_diagnostics_*.json") if path.stem.rpartition("_")[2].isdecimal()]
    if not found:
        raise ReportError(f"no report in {str(folder)!r}; run {configs.called()} diagnose-enhanced first")
    return max(found, key=lambda path: int(path.stem.rpartition("_")[2]))


def read(path: Path) -> EnhancedReport:
    """An enhanced report, its issues by severity. Raises ReportError."""
    try:
        data = path.read_bytes()
        version = msgspec.json.decode(data, type=_Version).version
        if version != REPORT_VERSION:
            ours = f"this program reads version {REPORT_VERSION}"
            raise ReportError(f"{str(path)!r} is a report of version {version}; {ours}")
        report = msgspec.json.decode(data, type=EnhancedReport)
    except OSError as failure:
        raise ReportError(f"cannot read {str(path)!r}: {(failure.strerror or '').lower()}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise ReportError(f"{str(path)!r} is not an enhanced report: {wrong}") from None
    if not _REPORT_ID.match(report.report_id):  # it becomes part of a file's name
        raise ReportError(f"{str(path)!r} is not an enhanced report: its id cannot be {report.report_id[:100]!r}")
    report.issues.sort(key=lambda issue: issue.severity.order)
    return report


class Review:
    """A review of one report that may be left and taken up again."""

    def __init__(self, path: Path, report: EnhancedReport) -> None:
        self.path, self.report = path.resolve(), report
        self.journal = self.path.parent / f"review_{report.report_id}.jsonl"
        self.decisions = {entry.issue_id: entry for entry in _entries(self.journal)}

    def undecided(self) -> list[Issue]:
        """The issues to ask about: neither approved nor ignored. Deferred ones come last.

        One of which a policy approved nothing but a look is still for a person.
        """
        asked = [issue for issue in self.report.issues if self._decision(issue) not in ("approve", "ignore")]
        waiting = [issue for issue in self.report.issues if issue in asked or self._only_looked_at(issue)]
        return sorted(waiting, key=lambda issue: self._decision(issue) == "defer")

    def _decision(self, issue: Issue) -> str | None:
        entry = self.decisions.get(issue.id)
        return entry.decision if entry else None

    def _only_looked_at(self, issue: Issue) -> bool:
        entry = self.decisions[issue.id]
        fixes = [issue.proposed_fixes[each] for each in entry.fixes if 0 <= each < len(issue.proposed_fixes)]
        return entry.decision == "approve" and bool(entry.by) and all(each.risk == Risk.READ_ONLY for each in fixes)

    def decide(
        self,
        issue: Issue,
        decision: Literal["approve", "defer", "ignore"],
        chosen: list[int],
        by: Sequence[str] = (),
    ) -> None:
        """Record a decision for good, the approved fixes by their index. Raises files.CannotWrite.

        `by`: who approved each of them, nothing if it was a person.
        """
        now = datetime.fromtimestamp(clock.now(), UTC)
        entry = Decision(at=now, issue_id=issue.id, decision=decision, fixes=chosen, by=list(by))
        files.append(self.journal, msgspec.json.encode(entry))
        self.decisions[issue.id] = entry
        if decision == "approve":
            self.write_approvals()

    def approved(self, only: str | None = None) -> list[ApprovedAction]:
        """The approved actions in the seed's schema: all, or those of one issue."""
        found = []
        for issue in self.report.issues:
            if self._decision(issue) != "approve" or (only is not None and issue.id != only):
                continue
            entry = self.decisions[issue.id]
            for index, by in zip(entry.fixes, entry.by or ["person"] * len(entry.fixes), strict=False):
                if 0 <= index < len(issue.proposed_fixes):
                    fix = issue.proposed_fixes[index]
                    when = entry.at.astimezone(UTC).isoformat(timespec="seconds")
                    action = ApprovedAction(
                        issue_id=issue.id,
                        service=issue.service,
                        identity=issue.identity,
                        docker_host=issue.docker_host,
                        approved_at=when,
                        by=by,
                        fingerprint=issue.fingerprint,
                        cause=issue.cause,
                        pattern=issue.pattern,
                        **{name: getattr(fix, name) for name in _KEPT},
                    )
                    found.append(action)
        return found

    def approvals_path(self) -> Path:
        """The approval file, one per report: named after the moment of the report's first approval."""
        own = files.text(self.path.name)
        for path in sorted(self.path.parent.glob("approved_fixes_*.json")):
            if _source_of(path) == own:  # also if the folder has moved, or the time zone is another one
                return path
        moment = min(entry.at for entry in self.decisions.values() if entry.decision == "approve").astimezone()
        suffix = self.report.report_id.rpartition("-")[2]
        name = f"approved_fixes_{moment:%Y%m%d_%H%M%S}"
        path = self.path.parent / f"{name}.json"
        if path.exists():
            path = self.path.parent / f"{name}_{suffix}.json"  # another report's, of the same second
        return path

    def write_approvals(self) -> Path | None:
        """Write all that was approved so far; None if nothing was. Raises files.CannotWrite."""
        actions = self.approved()
        if not actions:
            return None
        now = datetime.fromtimestamp(clock.now()).isoformat(timespec="seconds")
        content = msgspec.to_builtins(Approval(now, files.text(self.path), actions))
        path = self.approvals_path()
        files.replace(path, [orjson.dumps(stream.repaired(content), option=orjson.OPT_INDENT_2) + b"\n"])
        return path

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else reviews this report meanwhile. Raises ReportError if somebody does."""
        try:
            descriptor = files.open_own(self.journal, 0)
        except OSError as failure:
            reason = (failure.strerror or "").lower()
            raise files.CannotWrite(f"cannot write {str(self.journal)!r}: {reason}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise ReportError(f"{str(self.path)!r} is being reviewed in another terminal") from None
        self.decisions = {entry.issue_id: entry for entry in _entries(self.journal)}
        try:
            yield
        finally:
            os.close(descriptor)


def _entries(journal: Path) -> Iterator[Decision]:
    """The journal's entries; a line that a crash tore is left out, its decision was never acknowledged."""
    try:
        lines = journal.read_bytes().splitlines()
    except FileNotFoundError:
        return
    except OSError as failure:
        raise ReportError(f"cannot read {str(journal)!r}: {(failure.strerror or '').lower()}") from None
    for line in lines:
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            yield msgspec.json.decode(line, type=Decision)


def _source_of(path: Path) -> str | None:
    """The name of the report (beside it) that an approval file belongs to."""
    try:
        content = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return Path(str(content.get("source_report"))).name if isinstance(content, dict) else None
