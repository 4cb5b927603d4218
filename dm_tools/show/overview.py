"""A stack on one screen: one line per service, each cause with what fails because of it, the healthy ones last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from dm_tools.evidence.words import own_part
from dm_tools.pipe import say
from dm_tools.records import Severity
from dm_tools.show.columns import columns, fitted, padded
from dm_tools.show.records import COLOURS, MARKS, Line, as_dict, as_list, is_record, measured, seen_status

ORDER = ("failed", "degraded", "unknown", "healthy")
SEVERITIES = tuple(map(str, Severity))
GAP = 2  # columns between two cells

Json = dict[str, Any]


@dataclass
class Row:
    """What is said of one service. `root`: why it fails, where that is another service; `status` "": not known."""

    service: str
    status: str
    cause: str = ""
    action: str = ""
    detail: str = ""
    is_root: bool = False
    severity: str = ""
    root: str = ""
    distance: int = 0


def lines(found: Iterable[Any], width: int | None) -> Iterator[Line]:
    """The overview of records or reports. With a width, cells are shortened so that a line fits into it."""
    rows: list[Row] = []
    counts: Counter[str] = Counter()
    for value in found:
        kind = as_dict(value)
        if not {"service", "errors", "issues", "services"} & kind.keys() or "issue_id" in kind:
            rows.append(Row("(no record)", "unknown", detail=_text(value)))
            counts["unknown"] += 1
        elif is_record(value):
            rows.append(_of_record(value))
            counts[rows[-1].status] += 1
        elif "issues" in value:  # an enhanced report names those in trouble and counts the others
            counts.update({status: _number(as_dict(value.get("summary")).get(status)) for status in ORDER})
            for issue in as_list(value["issues"]):
                rows += _of_issue(as_dict(issue))
            for said in filter(None, map(as_dict, as_list(value.get("complaints")))):  # dm-report prints mere texts
                rows.append(Row(_text(said.get("service")), "healthy", detail=f"complains: {_text(said.get('text'))}"))
        else:
            for service in as_list(value.get("services")):
                rows.append(_of_service(as_dict(service)))
                counts[rows[-1].status] += 1
    groups = _groups(rows)
    yield _summary(counts, len([row for row in rows if row.is_root]))
    ordered = [(row, place > 0 and group[0].is_root) for group in groups for place, row in enumerate(group)]
    cells = [_cells(row, below) for row, below in ordered]
    widths = [max((columns(each[column]) for each in cells), default=0) for column in range(3)]
    if width is not None:  # most of the line belongs to what happened
        widths = [min(each, width // share) for each, share in zip(widths, (4, 5, 5), strict=True)]
    for (row, _), each in zip(ordered, cells, strict=True):
        padded = "".join(_fitted(cell, room) + " " * GAP for cell, room in zip(each[:3], widths, strict=True) if room)
        text = f"{MARKS.get(row.status, ' ' if not row.status else '?')} {padded}{each[3]}".rstrip()
        yield Line(text if width is None else fitted(text, width), COLOURS.get(row.status), row.is_root)


def _of_record(record: Json) -> Row:
    analysis = as_dict(record.get("analysis"))
    found = Row(_text(record.get("service", "(bad line)")), seen_status(record))
    _judge(found, analysis.get("role"), analysis.get("cause"), as_dict(analysis.get("root")).get("path"))
    found.severity = str(analysis.get("severity"))
    found.action = _first_action(record.get("proposals")) if found.is_root else ""
    said = analysis.get("hypothesis") or complaint(analysis) or (measured(record) if not analysis else "")
    found.detail = _detail(said, record)
    return found


def _of_service(service: Json) -> Row:
    """A service of a stack report."""
    found = Row(_text(service.get("name")), str(service.get("status")))
    _judge(found, service.get("role"), service.get("cause"), service.get("path"))
    found.detail = _detail(service.get("hypothesis"), service)
    return found


def complaint(analysis: Json) -> str:
    """What a service says first that made no issue."""
    said = as_dict(next(iter(as_list(analysis.get("complaints"))), {}))
    return f"complains: {said.get('text')}" if said else ""


def _of_issue(issue: Json) -> Iterator[Row]:
    root = _text(issue.get("service"))
    yield Row(
        root,
        str(issue.get("status")),
        _text(issue.get("cause")),
        _first_action(issue.get("proposed_fixes")),
        _text(issue.get("root_cause_hypothesis")),
        is_root=True,
        severity=str(issue.get("severity")),
    )
    for symptom in as_list(issue.get("symptoms")):
        known = symptom if isinstance(symptom, dict) else {"service": symptom}  # what dm-report prints names them only
        found = Row(_text(known.get("service")), "")
        _judge(found, "symptom", None, known.get("path"))
        found.root, found.cause = root, found.cause or f"← {root}"
        yield found


def _judge(row: Row, role: Any, cause: Any, path: Any) -> None:
    """Fill in the part that the service has in an incident."""
    way = [_text(each) for each in as_list(path)]
    row.is_root = role == "root"
    row.cause = _text(cause) if cause and role != "healthy" else ""
    if role == "symptom" and len(way) > 1:
        row.root, row.distance, row.cause = way[-1], len(way), f"← {way[1]}"


def _detail(said: Any, measured_in: Json) -> str:
    """What is said of the service, or else what could not be measured."""
    errors = [as_dict(each) for each in as_list(measured_in.get("errors"))]
    return _text(said or "; ".join(f"{each.get('stage')}: {each.get('message')}" for each in errors))


def _groups(rows: list[Row]) -> list[list[Row]]:
    """The incidents, worst first, each with its root on top; then every other service for itself."""
    suffering: dict[str, list[Row]] = {}
    for row in rows:
        if row.root:
            suffering.setdefault(row.root, []).append(row)
    incidents, others = [], []
    for row in rows:
        if row.is_root:
            below = suffering.pop(row.service, [])
            for each in below:
                each.detail = own_part(each.detail, row.detail)
            incidents.append([row, *sorted(below, key=lambda each: (each.distance, each.service))])
    for row in rows:
        if not row.is_root and (not row.root or row.root in suffering):
            others.append([row])
    incidents.sort(key=lambda group: (_place(group[0].severity, SEVERITIES), -len(group)))
    others.sort(key=lambda group: _place(group[0].status, ORDER))
    return incidents + others


def _summary(counts: Counter[str], causes: int) -> Line:
    parts = [f"{counts[status]} {status}" for status in ORDER if counts[status]]
    total = counts.total()
    text = f"{total} service{'s' if total != 1 else ''}" + (f": {', '.join(parts)}" if parts else "")
    return Line(text + (f"; {causes} cause{'s' if causes != 1 else ''}" if causes else ""), bold=True)


def _cells(row: Row, below: bool) -> tuple[str, str, str, str]:
    cause = row.cause or (row.status if row.status != "healthy" else "")
    return ("└ " if below else "") + row.service, cause, row.action, row.detail


def _first_action(fixes: Any) -> str:
    return _text(next((as_dict(fix).get("action") for fix in as_list(fixes)), ""))


def _text(value: Any) -> str:
    """On one line, and with control characters spelled out before its width is taken."""
    return say.printable(" ".join(str(value if value is not None else "").split()))


def _fitted(text: str, room: int) -> str:
    return padded(fitted(text, room), room)


def _place(value: str, order: tuple[str, ...]) -> int:
    return order.index(value) if value in order else len(order)


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0
