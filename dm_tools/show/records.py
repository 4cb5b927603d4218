"""Records, reports and approvals as text for people: pure functions from JSON to lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dm_tools.records import container_fine, is_marker
from dm_tools.show import incidents
from dm_tools.text.times import minute

MARKS = {"healthy": "✓", "degraded": "!", "failed": "✗", "unknown": "?"}
COLOURS = {"healthy": "green", "degraded": "yellow", "failed": "red", "unknown": "cyan"}
HEADER = f"  {'SERVICE':<24} {'STATUS':<9} {'CAUSE':<20} DETAIL"

Json = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """One line of text. `colour` None: plain. `whole`: on a terminal it is folded, where others are cut."""

    text: str
    colour: str | None = None
    bold: bool = False
    whole: bool = False


def lines(value: Any) -> Iterator[Line]:
    """Any JSON value that our commands write, as lines."""
    if not isinstance(value, dict):
        yield Line(f"? not a record: {value!r}")
    elif is_marker(value):
        yield from _round(value)
    elif is_event(value):
        yield Line(incidents.event(value), bold=True)
    elif "approved_actions" in value:
        yield from _approval(value)
    elif "report_path" in value and "services" in value:
        yield from _stack_report(value)
    elif "issues" in value:
        yield from _report(value)
    elif "report_path" in value:
        yield Line(_summary(value))
        yield Line(f"Report: {value['report_path']}")
    elif "phase" in value and "id" in value:
        yield from _journal_entry(value)
    elif "execution" in value:
        yield from _executed(value)
    elif "issue_id" in value:
        yield Line(f"  {value.get('service')}: {_action(value)}")
    else:
        yield from _record(value)


def text(value: Any) -> str:
    """Any of them as one text."""
    return "\n".join(line.text for line in lines(value))


def is_record(value: Any) -> bool:
    """Whether the value is a service record: those share one table."""
    return (
        isinstance(value, dict)
        and ("service" in value or "errors" in value)
        and not is_marker(value)
        and "issue_id" not in value
        and "phase" not in value
        and not is_event(value)
    )


def is_event(value: Json) -> bool:
    """Whether an object is what dm-incidents prints."""
    return {"kind", "number", "incident"} <= value.keys()


def as_dict(value: Any) -> Json:
    """The value if it is an object, or else an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """The value if it is a list, or else an empty one."""
    return value if isinstance(value, list) else []


def way(path: Any) -> str:
    """The way from the root to a service that fails because of it; records hold it from the service on."""
    return " → ".join(str(each) for each in reversed(as_list(path)))


def _record(record: Json) -> Iterator[Line]:
    analysis, status = as_dict(record.get("analysis")), seen_status(record)
    role, cause = analysis.get("role"), str(analysis.get("cause") or "")
    detail = analysis.get("hypothesis") or measured(record)
    if role == "symptom":
        cause = "← " + str(as_dict(analysis.get("root")).get("service"))
    if "service" not in record:
        status, detail = "unknown", ""
    name = str(record.get("service", "(bad line)"))
    mark = MARKS.get(status, "?")
    colour = COLOURS.get(status)
    yield Line(f"{mark} {name:<24} {status:<9} {cause:<20} {detail}".rstrip(), colour, role == "root")
    yield from _verified(as_dict(record.get("verification")))
    for note in as_list(analysis.get("notes")):
        yield Line(f"{'':<36}model: {note}", "cyan")
    for proposal in as_list(record.get("proposals")) if role == "root" else []:
        yield Line(f"{'':<36}do: {_action(as_dict(proposal))}")
    yield from _errors(record.get("errors"))


def _round(marker: Json) -> Iterator[Line]:
    """The end of a round."""
    ended = as_dict(marker["round"])
    words = f"round {ended.get('number')}, begun at {ended.get('at')}, services: {ended.get('services')}"
    words += f", {ended['late_s']} s late" if ended.get("late_s") else ""
    words += f", early because of {ended['because']}" if ended.get("because") else ""
    yield Line(f"--- {words}", bold=True)
    yield from _errors(marker.get("errors"))


OUTCOMES = {"done": "green", "undone": "green", "already_done": "green", "failed": "red", "refused": "red"}


def _executed(value: Json) -> Iterator[Line]:
    """An action with what was done of it."""
    ended = as_dict(value.get("execution"))
    status = str(ended.get("status"))
    reason = f": {ended['reason']}" if ended.get("reason") else ""
    head = f"{value.get('service')}: {value.get('action')} {status.replace('_', ' ')}{reason}"
    when = f"{ended['begun_at']}  " if ended.get("begun_at") else ""
    yield Line(f"{when}{head}", OUTCOMES.get(status, "yellow"), bold=True)
    for step in as_list(ended.get("steps")):
        yield Line(f"  {step}")
    before, after = as_dict(ended.get("before")), as_dict(ended.get("after"))
    if before and after:
        yield Line(f"  before: {before.get('state')}; after: {after.get('state')}")
    if ended.get("undo"):
        yield Line(f"  way back (dm-undo {str(ended.get('id'))[:8]}): {ended['undo']}")


def _journal_entry(entry: Json) -> Iterator[Line]:
    """A line of the journal of actions."""
    action, ended = as_dict(entry.get("action")), as_dict(entry.get("execution"))
    words = str(entry.get("step") or "")
    if entry.get("phase") == "intent":
        words = f"{action.get('service')}: {action.get('action')}"
    elif entry.get("phase") == "outcome":
        words = f"{ended.get('status')}" + (f": {ended['reason']}" if ended.get("reason") else "")
    yield Line(f"{entry.get('at')}  {str(entry.get('id'))[:8]}  {entry.get('phase')!s:<8} {words}".rstrip())


PROOFS = {"recovered": "green", "unproven": "yellow", "not_recovered": "red", "worse": "red"}


def _verified(verification: Json) -> Iterator[Line]:
    """Whether what was done has helped."""
    if not verification:
        return
    proof = str(verification.get("proof"))
    reason = f": {verification['reason']}" if verification.get("reason") else ""
    yield Line(f"{'':<36}{proof.replace('_', ' ')}{reason}", PROOFS.get(proof, "red"), bold=True)
    for key, words in (("gone", "gone"), ("stays", "still"), ("new", "new")):
        for each in as_list(verification.get(key)):
            yield Line(f"{'':<38}{words}: {each}")


def _errors(errors: Any) -> Iterator[Line]:
    for error in as_list(errors):
        entry = as_dict(error)
        yield Line(f"{'':<36}{entry.get('stage')}: {entry.get('message')}", "cyan")


def seen_status(record: Json) -> str:
    """How a service is by its verdict, or else by what was seen of it: a port that answers heals no container."""
    analysis, probe, inspect = (as_dict(record.get(key)) for key in ("analysis", "probe", "inspect"))
    if analysis.get("status"):
        return str(analysis["status"])
    probed = str(probe.get("status") or "")
    if not inspect:
        return probed or "unknown"
    state, health = inspect.get("state"), inspect.get("health")
    if container_fine(state, health) or (probed and health == "starting"):
        return probed or "healthy"
    return "degraded" if probed == "healthy" and state == "running" else "failed" if probed != "degraded" else probed


def measured(record: Json) -> str:
    """What is known of a service that nobody has judged yet."""
    found = []
    inspect, stats, logs, probe = (as_dict(record.get(key)) for key in ("inspect", "stats", "logs", "probe"))
    for check in as_list(probe.get("checks")):
        check = as_dict(check)
        outcome = check.get("error") or check.get("status_code") or "ok"
        took = f" {check['total_ms']:g} ms" if isinstance(check.get("total_ms"), int | float) else ""
        note = f" ({check['note']})" if check.get("note") else ""
        found.append(f"{check.get('url')} {outcome}{took}{note}")
    if inspect:
        health = f" ({inspect['health']})" if inspect.get("health") else ""
        restarts = f", {inspect['restart_count']} restarts" if inspect.get("restart_count") else ""
        found.append(f"{inspect.get('state')}{health}{restarts}")
    if isinstance(stats.get("cpu_percent"), int | float):
        found.append(f"cpu {stats['cpu_percent']:g} %")
    if isinstance(stats.get("memory_percent"), int | float):
        found.append(f"memory {stats['memory_percent']:g} %")
    for page in as_list(as_dict(record.get("screenshot")).get("pages")):
        found.append(f"page {as_dict(page).get('verdict')}")
    if logs:
        found.append(f"{len(as_list(logs.get('lines')))} log items")
    return " · ".join(found)


def _action(fix: Json) -> str:
    parameters = ", ".join(f"{key}={value}" for key, value in as_dict(fix.get("parameters")).items())
    return (
        f"{fix.get('action')}"
        + (f" ({parameters})" if parameters else "")
        + f" [{fix.get('confidence')}, {fix.get('risk')}]: {fix.get('reasoning')}"
    )


def _summary(report: Json) -> str:
    counts = as_dict(report.get("summary"))
    parts = [f"{counts[key]} {key}" for key in ("healthy", "degraded", "failed", "unknown") if counts.get(key)]
    made = report.get("generated_at")
    when = f" ({minute(made / 1000)})" if isinstance(made, (int, float)) else ""
    return f"{report.get('report_id')}{when}: {counts.get('total')} services: " + ", ".join(parts or ["none"])


def _report(report: Json) -> Iterator[Line]:
    yield Line(_summary(report), bold=True, whole=True)
    for issue in as_list(report.get("issues")):
        issue = as_dict(issue)
        colour = "red" if issue.get("severity") == "critical" else "yellow"
        yield Line("")
        severity = str(issue.get("severity")).upper()
        yield Line(f"{severity} {issue.get('service')}: {issue.get('cause')}", colour, bold=True)
        yield Line(f"  {issue.get('root_cause_hypothesis')}", whole=True)
        if words := as_dict(issue.get("history")).get("words"):
            yield Line(f"  history: {words}", whole=True)
        for symptom in as_list(issue.get("symptoms")):
            path = as_list(as_dict(symptom).get("path")) or [symptom]
            yield Line(f"  also fails because of it: {way(path)}", whole=True)
        for fix in as_list(issue.get("proposed_fixes")):
            yield Line(f"  do: {_action(as_dict(fix))}", whole=True)
        for each in as_list(issue.get("evidence_detail")):
            entry = as_dict(each)
            yield Line(f"  [{entry.get('id')}] {entry.get('text')}")
        for each in as_list(issue.get("notes")):
            yield Line(f"  model: {each}", whole=True)
    if not as_list(report.get("issues")):
        incomplete = as_list(report.get("input_errors")) != []
        yield Line("No issues seen, but the evidence is incomplete." if incomplete else "No issues.")
    yield from _healing(as_list(report.get("healing")))
    for endpoint in as_list(report.get("sent_to")):
        yield Line(f"Evidence left this machine: a model at {endpoint} was asked.")
    for each in map(as_dict, as_list(report.get("complaints"))):
        yield Line("")
        yield Line(f"{each.get('service')} complains, and nobody is seen to fail because of it", "yellow", bold=True)
        yield Line(f"  {each.get('text')}", whole=True)
        for quoted in map(as_dict, as_list(each.get("evidence_detail"))):
            yield Line(f"  [{quoted.get('id')}] {quoted.get('text')}")
    yield from _errors(report.get("input_errors"))


def _healing(deeds: list[Any]) -> Iterator[Line]:
    """What was done and proved before a report, in the order of time."""
    if deeds:
        yield Line("")
        yield Line("What was done, and what it proved:", bold=True)
    for each in map(as_dict, deeds):
        when = f"{each['at']}  " if each.get("at") else ""
        reason = f": {each['reason']}" if each.get("reason") else ""
        ended, what = str(each.get("proof") or each.get("outcome")), f": {each['action']}" if each.get("action") else ""
        head = f"{when}{each.get('service')}{what} {ended.replace('_', ' ')}{reason}"
        yield Line(f"  {head}", (OUTCOMES | PROOFS).get(ended, "yellow"), bold=True)
        for key, words in (("steps", ""), ("gone", "gone: "), ("stays", "still: "), ("new", "new: ")):
            for text in as_list(each.get(key)):
                yield Line(f"    {words}{text}")
        if each.get("undo"):
            yield Line(f"    way back (dm-undo {str(each.get('id'))[:8]}): {each['undo']}")


def _stack_report(report: Json) -> Iterator[Line]:
    yield Line(_summary(report), bold=True, whole=True)
    for service in as_list(report.get("services")):
        service = as_dict(service)
        status = str(service.get("status"))
        path = way(service.get("path"))
        cause = str(service.get("cause") or "")
        text = f"{MARKS.get(status, '?')} {service.get('name')!s:<24} {status:<9} {cause:<20} {path}"
        yield Line(text.rstrip(), COLOURS.get(status))
        yield from _errors(service.get("errors"))
    yield from _errors(report.get("input_errors"))


def _approval(approval: Json) -> Iterator[Line]:
    actions = as_list(approval.get("approved_actions"))
    yield Line(f"{len(actions)} approved action(s) of {approval.get('source_report')}", bold=True)
    for action in actions:
        entry = as_dict(action)
        yield Line(f"  {entry.get('service')}: {_action(entry)}")
