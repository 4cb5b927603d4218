"""The tools that tell what was found: a diagnosis now, a verdict explained, what happened before.

They read the folder of the reports, and are for whoever stands outside a diagnosis: the agent of dm-analyze has none of
them, since a diagnosis must not start another, nor take its own last verdict for evidence.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import orjson

from dm_tools.diagnose.occasions import occasions
from dm_tools.records import EnhancedReport, Issue, Problem, StackReport
from dm_tools.show import history as past
from dm_tools.show import summary, why
from dm_tools.show.records import Line
from dm_tools.store import kept
from dm_tools.store.history import History
from dm_tools.tools.registry import Arguments, Tool, Toolbox

MAX_SERVICES = 500
NAME = "[A-Za-z0-9][A-Za-z0-9_./-]{0,127}"  # of a service
SERVICE = {"type": "string", "maxLength": 128, "pattern": f"^{NAME}$"}
_REPORT = {"type": "string", "maxLength": 64, "description": "its id; the newest without it"}
_DIAGNOSE = {
    "services": {
        "type": "array",
        "items": SERVICE,
        "maxItems": MAX_SERVICES,
        "description": "only these; all without it",
    },
    "discover": {"type": "boolean", "description": "ask Docker for its containers instead of reading the manifest"},
    "screenshots": {"type": "boolean", "description": "also look at pages in a browser (slower)"},
}

Diagnose = Callable[[Arguments], Awaitable[str]]


def tools(folder: Path, diagnose: Diagnose) -> dict[str, Tool]:
    """The tools of a folder of reports. `diagnose`: runs a session and gives the summary of its report."""
    told = (
        Tool(
            "diagnose",
            "Diagnose the stack now (no screenshots unless asked for): the summary of the report.",
            _DIAGNOSE,
            (),
            lambda box, arguments: diagnose(arguments),
            of_stack=False,
            words=True,
            later=True,
        ),
        Tool(
            "explain",
            "What the verdict of the newest report on an issue (1, 2, ... or its id) or a service stands on.",
            {"of": {"type": ["string", "integer"], "maxLength": 160}, "report": _REPORT},
            ("of",),
            lambda box, arguments: explained(folder, str(arguments["of"]), arguments.get("report", "enhanced")),
            of_stack=False,
            words=True,
        ),
        Tool(
            "history",
            "What happened before, at a service or at all: when, what was done, what helped. The newest last.",
            {"service": SERVICE, "newest": {"type": "integer", "minimum": 1, "maximum": 100}},
            (),
            lambda box, arguments: _history(box, folder, arguments),
            of_stack=False,
            words=True,
        ),
    )
    return {tool.name: tool for tool in told}


def summarised(folder: Path, name: str) -> str:
    """The summary of a report by its id, or of the newest. Raises Problem if there is none."""
    found, report = _enhanced(folder, name)
    return summary.text(found, report)


def explained(folder: Path, of: str, name: str) -> str:
    """What a report says of an issue, by number, id or service, or of a service that is no issue. Raises Problem."""
    _, report = _enhanced(folder, name)
    for number, issue in enumerate(report.issues, 1):
        if of in (str(number), issue.id, issue.service):
            return _text(why.issue(issue))
    base = kept.path(folder, Path(report.base_report_path or "").stem)
    services = _read(base, StackReport).services if base is not None else []
    for each in services:
        if each.name == of:
            lines = list(why.service(each, report.complaints))
            leads = [found for found in report.issues if any(one.service == of for one in found.symptoms)]
            return _text([*lines, *(line for found in leads for line in _led(found))])
    known = [str(number) for number in range(1, len(report.issues) + 1)] + [each.name for each in services]
    raise Problem("not_found", f"that report has no such issue or service, but: {', '.join(known)[:500] or 'none'}")


def _led(issue: Issue) -> Iterable[Line]:
    return (Line(""), Line("because of:"), *why.issue(issue))


def _history(box: Toolbox, folder: Path, arguments: Arguments) -> str:
    history = History(folder)
    found = list(occasions(history.events(), arguments.get("service")))
    return _text(past.lines(found[-arguments.get("newest", 20) :], history.memory()))


def _enhanced(folder: Path, name: str) -> tuple[str, EnhancedReport]:
    path = kept.path(folder, "enhanced" if name == "latest" else name)
    if path is None or not path.stem.startswith("enhanced"):
        raise Problem("not_found", "there is no such report; diagnose makes one")
    return path.stem, _read(path, EnhancedReport)


Kind = Any


def _read(path: Path, kind: type[Kind]) -> Kind:
    try:
        return msgspec.convert(orjson.loads(path.read_bytes()), kind)
    except (OSError, ValueError, RecursionError) as failure:  # also what msgspec raises
        raise Problem("unreadable", f"{path.name} is no report that this program knows: {failure}") from None


def _text(lines: Iterable[Line]) -> str:
    return "\n".join(line.text for line in lines).strip()
