"""Records, reports and approvals as text for people: pure functions from JSON to lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dm_tools.pipe import clock, say
from dm_tools.records import container_fine, is_marker
from dm_tools.show import copied, incidents, unjudged
from dm_tools.show.columns import padded
from dm_tools.text.times import lasting, shown
from dm_tools.text.traces import decisive

MARKS = {"healthy": "✓", "degraded": "!", "failed": "✗", "unknown": "?"}
COLOURS = {"healthy": "green", "degraded": "yellow", "failed": "red", "unknown": "cyan"}
HEADER = f"  {'SERVICE':<24} {'STATUS':<9} {'CAUSE':<20} DETAIL"
NARROW = 90  # columns of a terminal below which a table has no room for what happened

Json = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """One line of text. `colour` None: plain. `wraps`: it is words, and goes on in the next line of a narrow terminal;
    what is not, a row of a table or a quotation, is shortened."""

    text: str
    colour: str | None = None
    bold: bool = False
    wraps: bool = False


def paragraph(text: str, colour: str | None = None, bold: bool = False) -> Line:
    """A line of words."""
    return Line(text, colour, bold, wraps=True)


def lines(value: Any, narrow: bool = False, commands: bool = False) -> Iterator[Line]:
    """Any JSON value that our commands write, as lines. `narrow`: a service's row has its words below it. `commands`: a
    fix of a report has the command that begins it."""
    if not isinstance(value, dict):
        yield Line(f"? not a record: {value!r}")
    elif is_marker(value):
        yield from _round(value)
    elif is_event(value):
        yield Line(incidents.event(value), bold=True)
    elif "approved_actions" in value:
        yield from _approval(value)
    elif "report_path" in value and "services" in value:
        yield from _stack_report(value, narrow)
    elif "issues" in value:
        yield from _report(value, commands)
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
        yield from _record(value, narrow)


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


def _record(record: Json, narrow: bool) -> Iterator[Line]:
    analysis, status = as_dict(record.get("analysis")), seen_status(record)
    role, cause = analysis.get("role"), str(analysis.get("cause") or "")
    detail = analysis.get("hypothesis") or measured(record)
    if role == "symptom":
        cause = "← " + str(as_dict(analysis.get("root")).get("service"))
    if "service" not in record:
        status, detail = "unknown", ""
    name = str(record.get("service", "(bad line)"))
    yield from _row(name, status, cause, detail, narrow, role == "root")
    margin = BELOW if narrow else BESIDE
    if not analysis.get("hypothesis") and role in (None, "unknown"):  # nobody judged, or could tell anything
        yield from (Line(f"{BELOW}| {each}") for each in unjudged.newest(record, status == "healthy"))
    yield from _verified(as_dict(record.get("verification")), margin)
    for note in as_list(analysis.get("notes")):
        yield paragraph(f"{margin}model: {note}", "cyan")
    for proposal in as_list(record.get("proposals")) if role == "root" else []:
        yield paragraph(f"{margin}do: {_action(as_dict(proposal))}")
    yield from _errors(record.get("errors"), margin)


BESIDE, BELOW = " " * 36, "    "  # where what belongs to a row begins


def _row(name: str, status: str, cause: str, detail: Any, narrow: bool, bold: bool = False) -> Iterator[Line]:
    """A service in a table; in a narrow one its words are below it."""
    mark, colour = MARKS.get(status, "?"), COLOURS.get(status)
    if not narrow:
        head = f"{mark} {padded(say.printable(name), 24)} {status:<9} {padded(cause, 20)}"
        yield Line(f"{head} {detail}".rstrip(), colour, bold)
        return
    yield Line(f"{mark} {name}  {status}  {cause}".rstrip(), colour, bold)
    if detail:
        yield paragraph(f"{BELOW}{detail}", colour)


def _round(marker: Json) -> Iterator[Line]:
    """The end of a round."""
    ended = as_dict(marker["round"])
    words = f"round {ended.get('number')}, begun {shown(ended.get('at'))}, services: {ended.get('services')}"
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
    when = f"{shown(str(ended['begun_at']))}  " if ended.get("begun_at") else ""
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
    yield Line(f"{shown(str(entry.get('at')))}  {str(entry.get('id'))[:8]}  {entry.get('phase')!s:<8} {words}".rstrip())


PROOFS = {"recovered": "green", "unproven": "yellow", "not_recovered": "red", "worse": "red"}


def _verified(verification: Json, margin: str) -> Iterator[Line]:
    """Whether what was done has helped."""
    if not verification:
        return
    proof = str(verification.get("proof"))
    reason = f": {verification['reason']}" if verification.get("reason") else ""
    yield paragraph(f"{margin}{proof.replace('_', ' ')}{reason}", PROOFS.get(proof, "red"), bold=True)
    for key, heading in (("gone", "gone"), ("stays", "still"), ("new", "new")):
        for each in as_list(verification.get(key)):
            yield paragraph(f"{margin}  {heading}: {each}")


def _errors(errors: Any, margin: str = BESIDE) -> Iterator[Line]:
    for error in as_list(errors):
        entry = as_dict(error)
        yield paragraph(f"{margin}{entry.get('stage')}: {entry.get('message')}", "cyan")


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
    return f"{report.get('report_id')}: {counts.get('total')} services: " + ", ".join(parts or ["none"])


def _report(report: Json, commands: bool) -> Iterator[Line]:
    yield paragraph(_summary(report), bold=True)
    own_path = copied.path_of(report) if commands else ""
    for issue in as_list(report.get("issues")):
        issue = as_dict(issue)
        colour = "red" if issue.get("severity") == "critical" else "yellow"
        yield Line("")
        severity = str(issue.get("severity")).upper()
        yield paragraph(f"{severity} {issue.get('service')}: {issue.get('cause')}", colour, bold=True)
        yield paragraph(f"  {issue.get('root_cause_hypothesis')}")
        if before := as_dict(issue.get("history")).get("words"):
            yield paragraph(f"  history: {before}")
        for symptom in as_list(issue.get("symptoms")):
            path = as_list(as_dict(symptom).get("path")) or [symptom]
            yield paragraph(f"  also fails because of it: {way(path)}")
        for number, fix in enumerate(map(as_dict, as_list(issue.get("proposed_fixes"))), 1):
            yield paragraph(f"  do: {_action(fix)}")
            if command := copied.of_fix(str(issue.get("service")), number, fix.get("risk"), own_path):
                yield paragraph(f"      $ {command}")
        for each in as_list(issue.get("evidence_detail")):
            yield _quoted(as_dict(each))
        for each in as_list(issue.get("notes")):
            yield paragraph(f"  model: {each}")
    if not as_list(report.get("issues")):
        incomplete = as_list(report.get("input_errors")) != []
        yield Line("No issues seen, but the evidence is incomplete." if incomplete else "No issues.")
    yield from _healing(as_list(report.get("healing")))
    for endpoint in as_list(report.get("sent_to")):
        yield Line(f"Evidence left this machine: a model at {endpoint} was asked.")
    for each in map(as_dict, as_list(report.get("complaints"))):
        yield Line("")
        yield Line(f"{each.get('service')} complains, and nobody is seen to fail because of it", "yellow", bold=True)
        yield paragraph(f"  {each.get('text')}")
        for quoted in map(as_dict, as_list(each.get("evidence_detail"))):
            yield _quoted(quoted)
    yield from _errors(report.get("input_errors"))


def _quoted(evidence: Json) -> Line:
    """A piece of evidence by its decisive line; --why has its others."""
    said, others = decisive(str(evidence.get("text")))
    more = f" ({len(others)} more line{'s' if len(others) > 1 else ''}: --why)" if others else ""
    return paragraph(f"  [{evidence.get('id')}] {said}{more}")


def made(report: Json, now: float) -> Line | None:
    """When a report was made, how long ago and where; None if it does not say. `now`: seconds since 1970."""
    at = report.get("generated_at")
    if not isinstance(at, int | float) or not 0 < at < 1e14:
        return None
    old = now - at / 1000
    words = f"  made {shown(clock.rfc3339(at / 1000))}, {lasting(max(old, 0.0))} ago"
    words += f", on {report['host']}" if report.get("host") else ""
    return Line(words, "yellow" if old > STALE else None, wraps=True)


def changed(report: Json) -> Iterator[Line]:
    """What has changed since the report before."""
    last = as_dict(report.get("since_last"))
    at = last.get("generated_at")
    if not isinstance(at, int | float) or not 0 < at < 1e14:
        return
    yield Line(f"  since the report of {shown(clock.rfc3339(at / 1000))}:")
    parts = [("new", "red", "begun"), ("over", "green", "over"), ("still", None, "going_on")]
    told = [(word, colour, str(each)) for word, colour, key in parts for each in as_list(last.get(key))]
    for word, colour, each in told:
        yield paragraph(f"    {word}: {each}", colour)
    if not told:
        yield Line("    no issue then, and none now")


STALE = 3600.0  # seconds after which a report may well be of another trouble


def _healing(deeds: list[Any]) -> Iterator[Line]:
    """What was done and proved before a report, in the order of time."""
    if deeds:
        yield Line("")
        yield Line("What was done, and what it proved:", bold=True)
    for each in map(as_dict, deeds):
        when = f"{shown(str(each['at']))}  " if each.get("at") else ""
        reason = f": {each['reason']}" if each.get("reason") else ""
        ended, what = str(each.get("proof") or each.get("outcome")), f": {each['action']}" if each.get("action") else ""
        head = f"{when}{each.get('service')}{what} {ended.replace('_', ' ')}{reason}"
        yield paragraph(f"  {head}", (OUTCOMES | PROOFS).get(ended, "yellow"), bold=True)
        for key, heading in (("steps", ""), ("gone", "gone: "), ("stays", "still: "), ("new", "new: ")):
            for text in as_list(each.get(key)):
                yield paragraph(f"    {heading}{text}")
        if each.get("undo"):
            yield paragraph(f"    way back (dm-undo {str(each.get('id'))[:8]}): {each['undo']}")


def _stack_report(report: Json, narrow: bool) -> Iterator[Line]:
    yield paragraph(_summary(report), bold=True)
    for service in as_list(report.get("services")):
        service = as_dict(service)
        status = str(service.get("status"))
        cause = str(service.get("cause") or "")
        yield from _row(str(service.get("name")), status, cause, way(service.get("path")), narrow)
        yield from _errors(service.get("errors"), BELOW if narrow else BESIDE)
    yield from _errors(report.get("input_errors"), BELOW if narrow else BESIDE)


def _approval(approval: Json) -> Iterator[Line]:
    actions = as_list(approval.get("approved_actions"))
    yield Line(f"{len(actions)} approved action(s) of {approval.get('source_report')}", bold=True)
    for action in actions:
        entry = as_dict(action)
        yield Line(f"  {entry.get('service')}: {_action(entry)}")
