"""A report as one HTML page that needs nothing else: what the template shows, made from what the JSON report says.

Everything in it may be hostile. The template escapes all of it, invisible and turning characters are spelled out, the
page has no script, and its policy lets the browser load nothing but the style and the pictures that are in it. Links
lead only to places in the page, by numbers of ours.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import itertools
import marshal
import os
import re
import shlex
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from dm_tools.evidence.words import own_part, size
from dm_tools.patterns import keeping
from dm_tools.pipe import clock, say
from dm_tools.records import EnhancedReport, Head, Issue, PageLine, Proof, Quoted, Role, ServiceLine, Status
from dm_tools.show import copied
from dm_tools.show.html import graph
from dm_tools.show.records import MARKS, way
from dm_tools.store import screenshots
from dm_tools.text import times
from dm_tools.text.shorten import both_ends
from dm_tools.text.times import lasting, seconds_between
from dm_tools.text.traces import decisive

if TYPE_CHECKING:
    from jinja2 import Environment, Template

LONGEST = 4000  # characters of one text; the JSON report has it whole
PICTURES = 8 * 1024 * 1024  # bytes of all pictures
FINE_SHOWN = 500  # healthy services that are listed by name
GLANCED, GLANCED_FINE = 60, 12  # services named at the top: in trouble, and well
STATUS_WAIT_S = 1.0
TEMPLATES = Path(__file__).parent / "templates"
ORDER = (Status.FAILED, Status.DEGRADED, Status.UNKNOWN)


def render(report: Head, services: Iterable[ServiceLine], report_path: str, folder: Path) -> Iterator[bytes]:
    """The page in pieces. `report` is an enhanced report or the head of a stack report, `services` are the stack's.

    `services` are gone through twice. `folder`: that of the reports, where pictures may come from.
    """
    from markupsafe import Markup

    style = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    stack = _Stack(report, services, folder)
    parts = _template().generate(
        policy=policy,
        marks=MARKS,
        glanced=GLANCED,
        glanced_fine=GLANCED_FINE,
        style=Markup(style),
        report=report,
        enhanced=report if isinstance(report, EnhancedReport) else None,
        headline=headline(report),
        generated=minute(report.generated_at),
        stack=stack,
        stages=stages(report.run_path),
        commands=commands(report, report_path, folder),
        json_name=os.path.basename(report_path),
        report_path=os.path.abspath(report_path),
    )
    for part in parts:
        yield part.encode("utf-8")


@functools.cache
def _template() -> Template:
    """Made once: most of the time that a page takes is its template's."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    def shown(value: Any) -> Any:
        """Every value that the template shows: what is invisible or turns the direction of writing is spelled out."""
        return value if isinstance(value, Markup) else say.printable("" if value is None else str(value))

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "size": size,
        "clip": clip,
        "moment": moment,
        "words": words,
        "places": places,
        "folded": folded,
        "breakable": breakable,
        "way": way,
        "command": copied.of_fix,
        "after": after,
        "minute": minute,
        "time": times.shown,
        "fields": msgspec.structs.asdict,
    }
    return environment.template_class.from_code(environment, _code(environment), environment.make_globals(None))


def _code(environment: Environment) -> CodeType:
    """The template as Python's bytecode: what is made of the same text by the same modules is kept between runs."""
    from jinja2 import __version__

    text = (TEMPLATES / "report.html").read_text(encoding="utf-8")
    made_by = (sys.version, __version__, Path(__file__).read_bytes())
    name = "page-" + keeping.key([*made_by, text])
    if kept := keeping.read(name):
        code: CodeType = marshal.loads(kept)
    else:
        code = environment.compile(text, "report.html", "report.html")
        keeping.write(name, marshal.dumps(code))
    return code


def clip(text: Any) -> str:
    """The text, or its beginning and its end if it is very long."""
    return both_ends("" if text is None else str(text), LONGEST)


def places(ids: Iterable[str], numbers: Mapping[str, int]) -> list[int]:
    """The numbers of those pieces of evidence that the card has."""
    return sorted({numbers[each] for each in ids if each in numbers})


FOLDED_AT = 4  # lines beside the decisive one from which on they are folded away


def folded(text: Any) -> list[tuple[str, str]]:
    """A text in parts: its decisive line (`telling`), then the others, `plain` if they are few, else `folded`."""
    telling, others = decisive(clip(text))
    kind = "plain" if len(others) < FOLDED_AT else "folded"
    return [("telling", telling), *([(kind, "\n".join(others))] if others else [])]


_JOINTS = re.compile(r"(?<=[^\W_])([/_.:?&=,@-]+)(?=[^\W_])")


def breakable(text: Any) -> Any:
    """A path, a URL, an id or a command that a narrow screen may break at its joints, and is copied as it is."""
    from markupsafe import Markup, escape

    parts = _JOINTS.sub(lambda joint: joint[0] + "\0", say.printable(clip(text))).split("\0")
    return Markup("<wbr>").join(escape(part) for part in parts)


def moment(stamp: Any) -> str:
    """The time of day of an RFC 3339 time, to the millisecond."""
    found = re.match(r"\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d(?:\.\d{1,3})?)", str(stamp or ""))
    return found[1] if found else ""


def after(stamp: str, begun: str | None) -> str:
    """How long after the trouble began (or before) something happened."""
    seconds = seconds_between(begun, stamp)
    if seconds is None:
        return ""
    size = f"{abs(seconds):.1f} s" if abs(seconds) < 120 else lasting(abs(seconds))
    return f"{'−' if seconds < -0.05 else '+'}{size}"


def minute(milliseconds: int) -> str:
    """A time in UTC, to the second."""
    return times.shown(clock.rfc3339(milliseconds / 1000))


def words(identifier: Any) -> str:
    """An id of ours as words: `oom_killed` is "oom killed"."""
    return str(identifier or "").replace("_", " ")


def _issues(report: Head) -> list[Issue]:
    """The issues of an enhanced report; a stack report has none."""
    return report.issues if isinstance(report, EnhancedReport) else []


def headline(report: Head) -> str:
    """What a person wants to know first."""
    summary = report.summary
    total, bad = summary["total"], summary["degraded"] + summary["failed"]
    issues = _issues(report)
    healing = report.healing if isinstance(report, EnhancedReport) else []
    proofs = {each.service: each.proof for each in healing if each.proof}
    if not issues and not bad and set(proofs.values()) == {Proof.RECOVERED}:
        return f"{', '.join(proofs)} recovered"
    if not issues and not bad and report.input_errors:
        return f"No failure seen in {_services(total)}, but the evidence is incomplete"
    if not issues and not bad:
        unknown = f", but {summary['unknown']} could not be judged" if summary["unknown"] else ""
        complaints = report.complaints if isinstance(report, EnhancedReport) else []
        complaining = list(dict.fromkeys(each.service for each in complaints))
        if complaining:
            also = f" and {len(complaining) - 1} more" if len(complaining) > 1 else ""
            return f"No failure found in {_services(total)}{unknown}; {complaining[0]}{also} complains"
        return f"No problem found in {_services(total)}{unknown}"
    if not issues:
        return f"{bad} of {_services(total)} not healthy"
    if len(issues) == 1:
        suffering = len(issues[0].symptoms)
        also = f", and {_services(suffering)} with it" if suffering else ""
        return f"{issues[0].service} is in trouble{also}"
    suffering = sum(len(issue.symptoms) for issue in issues)
    also = f", and {_services(suffering)} with them" if suffering else ""
    return f"{len(issues)} services are in trouble{also}"


def _services(count: int) -> str:
    return f"{count} service" if count == 1 else f"{count} services"


def commands(report: Head, report_path: str, folder: Path) -> list[tuple[str, str]]:
    """What to do next, as shell lines. Judged again, the pictures are found again: they lie below the same folder."""
    path = shlex.quote(os.path.abspath(report_path))
    run = os.path.abspath(report.run_path) if report.run_path else ""
    kept = [
        os.path.join(run, f"{stage}.jsonl") for stage in ("screenshot", "stats", "inspect")
    ]  # the last that collects
    records = next((shlex.quote(each) for each in kept if os.path.exists(each)), "incident.jsonl")
    again = f"dm-report --html --proofs-dir {shlex.quote(os.path.abspath(folder))}"
    replay = ("Judge the same records again", f"dm-analyze < {records} | dm-propose | {again}")
    if not _issues(report):
        return [replay]
    return [
        ("Approve fixes", f"dm-review {path}"),
        ("See what every verdict stands on", f"dm-show --why {path}"),
        replay,
    ]


def stages(run_path: str | None) -> list[dict[str, Any]]:
    """When each stage of the run was done, in seconds since it began; empty if the run noted none.

    supervisor-session.sh notes a stage when its output has ended, which is also what lets us begin: the last note may
    be a moment away. The one stage that stays without is the one that writes this page.
    """
    if not run_path:
        return []
    folder = Path(run_path)
    until = time.monotonic() + STATUS_WAIT_S
    while len([*folder.glob("*.err")]) - len([*folder.glob("*.status")]) > 1 and time.monotonic() < until:
        time.sleep(0.02)
    found = []
    for path in folder.glob("*.status"):
        try:
            noted = orjson.loads(path.read_bytes())
            found.append({"name": str(noted["stage"]), "status": noted["status"], "done": float(noted["finished_s"])})
        except (OSError, ValueError, TypeError, KeyError):  # torn or foreign: the page does without
            continue
    found.sort(key=lambda stage: stage["done"])
    longest = max([stage["done"] for stage in found], default=0) or 1
    return [stage | {"share": round(100 * stage["done"] / longest, 1)} for stage in found]


@dataclass(frozen=True)
class Placed:
    """A service, and the id of its place in the page."""

    anchor: str
    line: ServiceLine


@dataclass(frozen=True)
class Suffering:
    """A symptom of an incident: its name, the way to the root, its place in the page, its own part of the reason."""

    service: str
    path: list[str]
    placed: Placed | None
    why: str


@dataclass(frozen=True)
class Own:
    """A service's own evidence: the numbers that it has at the incident `anchor`, what is told here, and how many more
    pieces say the same as one of those."""

    anchor: str
    numbers: list[int]
    pieces: list[Quoted]
    more: int


@dataclass(frozen=True)
class Card:
    """An incident as the page shows it.

    `numbers`: of the evidence ids; `told`: the pieces that the log below does not show in its place.
    """

    anchor: str
    issue: Issue
    root: Placed | None
    members: list[str]
    symptoms: list[Suffering]
    graph: graph.Graph | None
    numbers: dict[str, int]
    told: list[Quoted]
    cites_log: bool
    pages: list[tuple[str, PageLine]]


class _Stack:
    """The services as the template asks for them. Those that are well are read from disk when their turn comes."""

    def __init__(self, report: Head, services: Iterable[ServiceLine], folder: Path) -> None:
        self._services = services
        self._folder = folder
        self._room = PICTURES
        issues = _issues(report)
        involved = {name for issue in issues for name in _members(issue)}
        self._by_name: dict[str, Placed] = {}
        self.unwell: list[Placed] = []
        self.fine_count = 0
        for placed in self._placed():
            if placed.line.name in involved:
                self._by_name.setdefault(placed.line.name, placed)
            if placed.line.status == Status.HEALTHY:
                self.fine_count += 1
            else:
                self.unwell.append(placed)
        roles = [Role.ROOT, Role.SYMPTOM, None]  # all others, and those that nobody judged, come last
        self.unwell.sort(
            key=lambda each: (
                roles.index(each.line.role if each.line.role in roles else None),
                ORDER.index(each.line.status),
            )
        )
        self.cards = [self._card(number, issue) for number, issue in enumerate(issues, 1)]
        self._card_of = {name: card for card in reversed(self.cards) for name in card.members}
        self.issue_of = {name: card.anchor for name, card in self._card_of.items()}

    def _placed(self) -> Iterator[Placed]:
        return (Placed(f"s{index}", line) for index, line in enumerate(self._services))

    def fine(self, limit: int = FINE_SHOWN) -> Iterator[Placed]:
        """The healthy services, as far as they are listed."""
        return itertools.islice((each for each in self._placed() if each.line.status == Status.HEALTHY), limit)

    @property
    def fine_left_out(self) -> int:
        """How many healthy services are not listed."""
        return max(self.fine_count - FINE_SHOWN, 0)

    def _why(self, name: str, issue: Issue) -> str:
        """A symptom's own part of its hypothesis: the card has said what the root has."""
        told = (self._by_name[name].line.hypothesis if name in self._by_name else None) or ""
        return own_part(told, issue.root_cause_hypothesis)

    def picture(self, *paths: str | None) -> tuple[str, int] | None:
        """The first of these pictures that is there and has room in the page: a data: URL, and which one it is."""
        for place, path in enumerate(paths):
            found = screenshots.picture(path, self._folder)
            if found is not None and len(found) <= self._room:
                self._room -= len(found)
                return found, place
        return None

    def own_evidence(self, service: ServiceLine) -> Own:
        """What a symptom's own verdict stands on: each piece once, and as a number what its incident has shown."""
        card = self._card_of.get(service.name)
        known = card.numbers if card else {}
        there = [each for each in service.evidence_detail if f"{service.name}/{each.id}" in known]
        said = {decisive(each.text)[0] for each in there}
        pieces: list[Quoted] = []
        for each in service.evidence_detail:
            if each not in there and decisive(each.text)[0] not in said:
                said.add(decisive(each.text)[0])
                pieces.append(each)
        return Own(
            card.anchor if card else "",
            [known[f"{service.name}/{each.id}"] for each in there],
            pieces,
            len(service.evidence_detail) - len(there) - len(pieces),
        )

    def _card(self, number: int, issue: Issue) -> Card:
        statuses = {name: str(each.line.status) for name, each in self._by_name.items()}
        numbers = {each: place for place, each in enumerate(dict.fromkeys(issue.evidence), 1)}
        quoted = {item.evidence for run in issue.log_context for item in run}
        known = {each.id: each for each in issue.evidence_detail}
        paths = [each.path for each in issue.symptoms]
        members = _members(issue)
        return Card(
            anchor=f"i{number}",
            issue=issue,
            root=self._by_name.get(issue.service),
            members=members,
            symptoms=[
                Suffering(each.service, each.path, self._by_name.get(each.service), self._why(each.service, issue))
                for each in issue.symptoms
            ],
            graph=graph.draw(issue.service, paths, statuses) if paths else None,
            numbers=numbers,
            told=[known.get(each) or Quoted(each, None, _ABSENT) for each in numbers if each not in quoted],
            cites_log=any(quoted),
            pages=[
                (name, seen)
                for name in members
                for seen in (self._by_name[name].line.screenshots if name in self._by_name else [])
            ],
        )


_ABSENT = "(its record is not among these)"


def _members(issue: Issue) -> list[str]:
    """The services of an incident, the root first."""
    return [issue.service, *(each.service for each in issue.symptoms)]
