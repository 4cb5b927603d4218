"""A report in few words, for whoever pays for each: what is broken, why, who suffers, what would help."""

from __future__ import annotations

from collections.abc import Iterator

from dm_tools.records import EnhancedReport, Issue
from dm_tools.text.shorten import short

MAX_ISSUES = 20
MAX_WHY = 300  # characters of a hypothesis
MAX_NAMES = 12  # services that suffer, or complain
STATES = ("failed", "degraded", "unknown", "healthy")


def text(name: str, report: EnhancedReport) -> str:
    """The summary of a report that is called so: a line for the stack, one for each issue, one for what complains."""
    return "\n".join(_lines(name, report))


def _lines(name: str, report: EnhancedReport) -> Iterator[str]:
    states = ", ".join(f"{report.summary[state]} {state}" for state in STATES if report.summary.get(state))
    yield f"{name}: {states or 'no services'}"
    for number, each in enumerate(report.issues[:MAX_ISSUES], 1):
        yield _issue(number, each)
    if len(report.issues) > MAX_ISSUES:
        yield f"and {len(report.issues) - MAX_ISSUES} more issues"
    if not report.issues:
        yield "no issues"
    if report.complaints:
        yield f"complain, and fail nobody: {_names(each.service for each in report.complaints)}"


def _issue(number: int, issue: Issue) -> str:
    sure = f", {issue.confidence} confidence" if issue.confidence else ""
    parts = [f"{number}. {issue.severity} {issue.service} {issue.cause}{sure}: {_why(issue)}"]
    if issue.symptoms:
        parts.append(f"suffer: {_names(each.service for each in issue.symptoms)}")
    if issue.proposed_fixes:
        first = issue.proposed_fixes[0]
        parts.append(f"fix: {first.action}" + (f" ({first.risk})" if first.risk else ""))
    return "; ".join(parts)


def _why(issue: Issue) -> str:
    return short(" ".join(issue.root_cause_hypothesis.split()), MAX_WHY)


def _names(found: Iterator[str]) -> str:
    names = list(dict.fromkeys(found))
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more
