"""The conversation of a review, in the words of the seed."""

from __future__ import annotations

from pathlib import Path

from dm_tools.records import Issue, IssuePage
from dm_tools.show.records import way
from dm_tools.show.terminal import Terminal
from dm_tools.store import screenshots
from dm_tools.store.approvals import ReportError, Review
from dm_tools.text.times import shown

CHOICES = """\
  [a] Approve all
  [s] Select specific
  [d] Defer
  [i] Ignore
  [q] Quit
  [e] Evidence in full
"""
VIEW = "  [v] View the screenshots\n"
MORE = "  [o] Open the report's page   [u] Undo the last decision   [?] Help\n"
HELP = """
  a  approves every fix of this issue; s asks which. Nothing is done yet: they are written to a file, and after the
     review you see what would be done and are asked once (dm review), or dm-execute carries them out.
  d  decides nothing: the issue comes back at the next review.
  i  the issue does not come back for this report; the same trouble does in the next report.
  q  ends the review; what you have decided stays. So does Ctrl-C.
  e  shows the evidence in full, by your $PAGER if it is long.
  v  draws the pages' pictures here if the terminal can, or opens them with $BROWSER.
  o  opens the report's HTML page with $BROWSER.
  u  takes your last decision back and asks about that issue again; after the end, dm-review --undo does.
"""
MAX_PAGES = 8  # of an incident that are shown
LARGEST_PICTURE = 8 * 1024 * 1024  # bytes that are sent to a terminal


def hold(review: Review, terminal: Terminal) -> None:
    """Ask about every undecided issue."""
    waiting = review.undecided()
    place = 0
    while place < len(waiting):
        _show_issue(place + 1, waiting[place], terminal)
        decided = _decide(review, waiting[place], f"{place + 1}/{len(waiting)}", terminal)
        if decided is None:
            left = len(review.undecided())
            terminal.show(f"Stopped; {left} issue(s) left. Run review again to go on.")
            return
        if decided == waiting[place].id:
            place += 1
            continue
        ids = [issue.id for issue in waiting]
        if decided in ids:
            place = ids.index(decided)
        else:  # decided by an earlier review
            waiting.insert(place, next(issue for issue in review.report.issues if issue.id == decided))


def _decide(review: Review, issue: Issue, position: str, terminal: Terminal) -> str | None:
    """Ask until the issue is decided, or another one no more; returns the id of that one, None to quit."""
    everything = list(range(len(issue.proposed_fixes)))
    pictured = any(each.path for each in _pages(issue))
    while True:
        terminal.show(f"\nReview ({position}):\n{CHOICES}{VIEW if pictured else ''}{MORE}")
        answer = terminal.ask("Your choice: ")
        choice = answer.lower() if answer is not None else "q"
        if choice == "q":
            return None
        if choice == "e":
            _show_evidence(issue, terminal)
        elif choice == "?":
            terminal.show(HELP)
        elif choice == "o":
            _open(review.path.with_suffix(".html"), terminal)
        elif choice == "u":
            if again := _taken_back(review, terminal):
                return again
        elif choice == "v" and pictured:
            _view(issue, review.path.parent, terminal)
        elif choice == "d":
            review.decide(issue, "defer", [])
            terminal.show(f"Deferred: {issue.service} comes back at the next review")
            return issue.id
        elif choice == "i":
            review.decide(issue, "ignore", [])
            terminal.show(f"Ignored: {issue.service}")
            return issue.id
        elif choice in ("a", "s") and not everything:
            terminal.show("There is no fix to approve; defer or ignore the issue")
        elif choice in ("a", "s"):
            chosen = everything if choice == "a" else _select(len(everything), terminal)
            if chosen:
                review.decide(issue, "approve", chosen)
                terminal.show(f"✓ Approved {len(chosen)} fix(es) for {issue.service}", fg="green")
                return issue.id
        else:
            terminal.show(f"Please answer a, s, d, i, q, e{', v' if pictured else ''}, o, u or ?")


def _taken_back(review: Review, terminal: Terminal) -> str | None:
    """Take the last decision back; the id of its issue, None if there is nothing to take back."""
    try:
        found = review.take_back()
    except ReportError as carried_out:
        terminal.show(str(carried_out))
        return None
    terminal.show(f"Taken back: {found.service} is undecided again" if found else "Nothing is decided yet")
    return found.id if found else None


def _open(page: Path, terminal: Terminal) -> None:
    if not page.is_file():
        terminal.show(f"This report has no page: {page} is not there")
    elif not terminal.browse(page):
        terminal.show(f"No $BROWSER and no desktop to open it on: see {page}")


def _select(count: int, terminal: Terminal) -> list[int]:
    """The chosen fixes by index; empty if the answer names none."""
    answer = terminal.ask(f"Which fixes (1-{count}, for example 1,2; empty for none): ") or ""
    words = answer.replace(",", " ").split()
    if all(word.isdecimal() and 1 <= int(word) <= count for word in words):
        return sorted({int(word) - 1 for word in words})
    terminal.show(f"Please name fixes from 1 to {count}")
    return []


def _show_issue(number: int, issue: Issue, terminal: Terminal) -> None:
    colour = {"critical": "red", "warning": "yellow"}.get(issue.severity, "blue")
    terminal.show(f"\nIssue #{number}: {issue.service}", bold=True)
    terminal.show(f"Severity: {issue.severity.upper()}", fg=colour)
    terminal.show(f"Status: {issue.status}")
    terminal.show("\nRoot Cause Analysis:", bold=True)
    terminal.show(f"  {issue.root_cause_hypothesis}")
    if issue.cause:
        terminal.show(f"  Cause: {issue.cause} (confidence {issue.confidence or 'unknown'})")
    for symptom in issue.symptoms:
        terminal.show(f"  Also fails because of it: {symptom.service} ({way(symptom.path)})")
    excerpt = issue.log_excerpt.strip("\n")
    if excerpt:
        terminal.show("\nLog Excerpt (last 20 lines):", bold=True)
        terminal.show("\n".join(f"  {line}" for line in excerpt.split("\n")[-20:]))
    measured = {key: value for key, value in issue.resource_metrics.items() if value is not None}
    if measured:
        terminal.show("\nResource Metrics:", bold=True)
        terminal.show("\n".join(f"  {key}: {value}" for key, value in measured.items()))
    if issue.screenshots:
        terminal.show("\nScreenshots:", bold=True)
    for each in _pages(issue):
        reason = f": {each.reason}" if each.reason else ""
        terminal.show(f"  {each.service} {each.url}: {each.verdict}{reason}")
        terminal.show(f"     {each.path or '(no picture)'}")
    if len(issue.screenshots) > MAX_PAGES:
        terminal.show(f"  and {len(issue.screenshots) - MAX_PAGES} more in the report")
    terminal.show("\nProposed Fixes:", bold=True)
    for index, fix in enumerate(issue.proposed_fixes, 1):
        parameters = ", ".join(f"{key}={value}" for key, value in fix.parameters.items())
        terminal.show(f"  {index}. Action: {fix.action}")
        if parameters:
            terminal.show(f"     Parameters: {parameters}")
        terminal.show(f"     Confidence: {fix.confidence}")
        terminal.show(f"     Risk: {fix.risk or 'unknown'}" + (f"; to undo: {fix.undo}" if fix.undo else ""))
        terminal.show(f"     Reasoning: {fix.reasoning}\n")
    if not issue.proposed_fixes:
        terminal.show("  (none)")


def _pages(issue: Issue) -> list[IssuePage]:
    """The pages that are shown: what is wrong comes first."""
    return sorted(issue.screenshots, key=lambda each: each.verdict == "ok")[:MAX_PAGES]


def _view(issue: Issue, folder: Path, terminal: Terminal) -> None:
    """Draw each picture in the terminal if that can, or else open it in the person's browser."""
    for each in _pages(issue):
        if not each.path:
            continue
        path = screenshots.located(each.path, folder)
        picture = path and screenshots.read(path, LARGEST_PICTURE)
        if path is None or not picture:
            terminal.show(f"  {each.path}: no picture in {folder}")
            continue
        terminal.show(f"  {each.service} {each.url}: {each.verdict}")
        if not terminal.show_picture(picture) and not terminal.browse(path):
            terminal.show(f"  This terminal draws no pictures, and no $BROWSER opens them: see {path}")


def _show_evidence(issue: Issue, terminal: Terminal) -> None:
    terminal.show("\nEvidence:", bold=True)
    lines: list[str] = []
    for each in issue.evidence_detail:
        lines.append(f"  [{each.id}]" + (f" at {shown(each.at, 3)}" if each.at else ""))
        lines += (f"    {line}" for line in each.text.split("\n"))
    terminal.show_long("\n".join(lines or ["  (none)"]))
