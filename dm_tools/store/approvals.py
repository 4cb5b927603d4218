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
from dm_tools.store.journal import Journal

_KEPT = ("action", "confidence", "reasoning", "parameters", "risk", "undo")  # of a fix, once it is approved
_REPORT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")


class Decision(msgspec.Struct):
    """One line of the journal: what was decided of an issue, the approved fixes by their index.

    `by`: who approved each of them; a person where it is empty.
    """

    at: Annotated[datetime, msgspec.Meta(tz=True)]
    issue_id: str
    decision: Literal["approve", "defer", "ignore", "undo"]  # undo: what was decided of it before is taken back
    fixes: list[int]
    by: list[str] = []


class _Version(msgspec.Struct):
    version: int = REPORT_VERSION


class ReportError(Exception):
    """A report cannot be used; the message names it and says why."""


def newest(folder: Path) -> Path:
    """The newest enhanced report of a folder. Raises ReportError if there is none."""
    kept = (path for path in folder.glob("enhanced_diagnostics_*.json") if path.is_file() and not path.is_symlink())
    found = [path for path in kept if path.stem.rpartition("_")[2].isdecimal()]
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
    except files.NO_LINE as wrong:
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
        self.decisions = _standing(self.journal)
        self.approved_now: set[str] = set()  # issues

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
        self.decisions.pop(issue.id, None)
        self.decisions[issue.id] = entry
        if decision == "approve":
            self.approved_now.add(issue.id)
            self.write_approvals()

    def take_back(self) -> Issue | None:
        """Take the last decision of a person back, for good; returns its issue, None if there is none.

        Raises ReportError if what it approved was begun: that is for dm-undo. Raises files.CannotWrite.
        """
        known = {issue.id: issue for issue in self.report.issues}
        last = next((e for e in reversed(self.decisions.values()) if not e.by and e.issue_id in known), None)
        if last is None:
            return None
        begun = (entry.action for entry in Journal(self.path.parent).entries() if entry.action)
        if last.decision == "approve" and any(action.issue_id == last.issue_id for action in begun):
            raise ReportError(f"what was approved of {last.issue_id!r} was carried out: dm-undo takes that back")
        now = datetime.fromtimestamp(clock.now(), UTC)
        undone = Decision(at=now, issue_id=last.issue_id, decision="undo", fixes=[])
        files.append(self.journal, msgspec.json.encode(undone))
        del self.decisions[last.issue_id]
        self.approved_now.discard(last.issue_id)
        if last.decision == "approve" and not self.write_approvals():
            for path in self._written():  # nothing is approved any more
                files.replace(path, [self._content([])])
        return known[last.issue_id]

    def approve(self, names: Sequence[str]) -> None:
        """Approve fixes by name, SERVICE:NUMBER as reports count them, beside what was approved of their issues before.

        Raises ReportError if there is no such fix, and then approves none. Raises files.CannotWrite.
        """
        chosen: dict[str, set[int]] = {}
        for name in names:
            service, _, number = name.rpartition(":")
            issue = next((each for each in self.report.issues if each.service == service), None)
            if issue is None or not number.isdecimal() or not 1 <= int(number) <= len(issue.proposed_fixes):
                raise ReportError(f"{str(self.path)!r} has no fix {name!r} (SERVICE:NUMBER)")
            chosen.setdefault(issue.id, set()).add(int(number) - 1)
        for issue in self.report.issues:
            if issue.id in chosen:
                before = self.decisions.get(issue.id)
                kept = set(before.fixes) if before and before.decision == "approve" and not before.by else set()
                self.decide(issue, "approve", sorted(kept | chosen[issue.id]))

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
        for path in self._written():
            return path
        moment = min(entry.at for entry in self.decisions.values() if entry.decision == "approve").astimezone()
        suffix = self.report.report_id.rpartition("-")[2]
        name = f"approved_fixes_{moment:%Y%m%d_%H%M%S}"
        path = self.path.parent / f"{name}.json"
        if path.exists():
            path = self.path.parent / f"{name}_{suffix}.json"  # another report's, of the same second
        return path

    def _written(self) -> Iterator[Path]:
        """The approval file if it is there."""
        own = files.text(self.path.name)
        for path in sorted(self.path.parent.glob("approved_fixes_*.json")):
            if _source_of(path) == own:  # also if the folder has moved, or the time zone is another one
                yield path

    def _content(self, actions: list[ApprovedAction]) -> bytes:
        now = datetime.fromtimestamp(clock.now()).isoformat(timespec="seconds")
        content = msgspec.to_builtins(Approval(now, files.text(self.path), actions))
        return orjson.dumps(stream.repaired(content), option=orjson.OPT_INDENT_2) + b"\n"

    def write_approvals(self) -> Path | None:
        """Write all that was approved so far; None if nothing was. Raises files.CannotWrite."""
        actions = self.approved()
        if not actions:
            return None
        path = self.approvals_path()
        files.replace(path, [self._content(actions)])
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
        self.decisions = _standing(self.journal)
        try:
            yield
        finally:
            os.close(descriptor)


def _standing(journal: Path) -> dict[str, Decision]:
    """The decisions that hold, by issue, the last one last."""
    found: dict[str, Decision] = {}
    for entry in _entries(journal):
        found.pop(entry.issue_id, None)
        if entry.decision != "undo":
            found[entry.issue_id] = entry
    return found


def _entries(journal: Path) -> Iterator[Decision]:
    """The journal's entries; a line that a crash tore is left out, its decision was never acknowledged."""
    try:
        lines = files.lines(journal)
    except OSError as failure:
        raise ReportError(f"cannot read {str(journal)!r}: {(failure.strerror or '').lower()}") from None
    for line in lines:
        with contextlib.suppress(*files.NO_LINE):
            yield msgspec.json.decode(line, type=Decision)


def _source_of(path: Path) -> str | None:
    """The name of the report (beside it) that an approval file belongs to."""
    try:
        content = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return Path(str(content.get("source_report"))).name if isinstance(content, dict) else None
