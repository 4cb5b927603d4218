"""What a model is told of one incident: the condensed evidence as numbered pieces, the telling ones first, within a
budget of tokens. What does not fit is left out by rank, never cut off blindly.

Pure: records and verdicts in, text out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from dm_tools.evidence.ids import Kind, own, parse, resolve
from dm_tools.evidence.telling import GRAVE, SUSPICIOUS, telling
from dm_tools.evidence.view import View
from dm_tools.evidence.words import quote
from dm_tools.records import Analysis, Cause, Page, Role, Status, Step, Verdict
from dm_tools.text.late import late
from dm_tools.text.tokens import tokens

MAX_SERVICES = 8  # of an incident: the root and the symptoms nearest to it
MAX_TEXT = 360  # characters of one piece
MAX_ENUM = 40  # pieces that an answer may cite
NEWEST_LINES = 3  # of each log: its last words
RARE = 3  # a template with so few items is an exception, not the program's daily talk

# The order in which pieces are left out, the last ones first. Within a rank: the root's before those of its symptoms.
STATE, CITED, ERROR, PROBE, LAST_WORDS, WARNING, FIGURE, RARITY, TALK = range(9)

_DELIMITER = late(r"(?i)\b(END OF )?EVIDENCE\b")


@dataclass(frozen=True)
class Piece:
    """One piece of evidence of a service's record. `about`: the service that it tells of, where that is another one."""

    service: str
    local: str  # its id in that record, as logs:41
    text: str  # short, on one line: as the model reads it
    whole: str  # what the id stands for: a quotation is looked for here
    value: Any
    rank: int
    about: str = ""

    @property
    def id(self) -> str:
        """The id with its service: `app/logs:41`."""
        return f"{self.service}/{self.local}"

    @property
    def told_of(self) -> str:
        """The service that it tells of."""
        return self.about or self.service

    @property
    def source(self) -> tuple[str, str]:
        """Where it comes from, in the end: two pieces of one source are one witness."""
        if isinstance(self.value, Step):
            return self.told_of, _SOURCES.get(self.value.tool, self.value.tool)
        return self.told_of, str(parse(self.local).kind)

    @property
    def cost(self) -> int:
        """Tokens of its line."""
        return tokens(self.line) + 4

    @property
    def line(self) -> str:
        """As the model reads it."""
        return f"[{shortened(self.id)}] {self.text}"


# What a tool looks at is what a collector has looked at before.
_SOURCES = {
    "docker_logs": "logs",
    "docker_inspect": "inspect",
    "docker_stats": "stats",
    "http_get": "probe",
    "browser_screenshot": "screenshot",
    "browser_dom": "screenshot",
}


@dataclass
class Brief:
    """The evidence of one incident that fits. `pieces`: by the short numbers that the model cites (E1, E2, ...)."""

    root: str
    services: list[str]
    topology: str
    verdict: str
    budget: int  # tokens that the evidence may have
    pieces: dict[str, Piece] = field(default_factory=dict)
    left_out: int = 0
    given: int = 0  # numbers given so far: one is never given twice

    @property
    def evidence(self) -> str:
        """The pieces as lines."""
        return "\n".join(f"{number} {each.line}" for number, each in self.pieces.items())

    def add(self, piece: Piece) -> None:
        """One more piece; what has the lowest rank makes room for it."""
        self.budget -= piece.cost
        self.given += 1
        self.pieces[f"E{self.given}"] = piece
        while (self.budget < 0 or len(self.pieces) > MAX_ENUM) and len(self.pieces) > 1:
            number = max(self.pieces, key=lambda each: (self.pieces[each].rank, int(each[1:])))
            self.budget += self.pieces.pop(number).cost
            self.left_out += 1


def of(root: str, verdicts: dict[str, Analysis], pieces: Iterable[Piece], budget: int) -> Brief:
    """The brief of the incident with this root. `pieces`: those of its services, in any order.

    `budget`: tokens that the evidence may have.
    """
    verdict = verdicts[root]
    suffering = sorted(verdict.symptoms, key=lambda each: len(each.path))
    names = [root, *(each.service for each in suffering)][:MAX_SERVICES]
    ways = [shortened(" needs ".join(each.path)) for each in suffering if each.service in names]
    peers = [each for each in verdict.peers if each not in names]
    brief = Brief(
        root=root,
        services=names,
        topology="; ".join([*ways, *(shortened(f"{root} needs {each}") for each in peers[:MAX_SERVICES])]) or "unknown",
        verdict=shortened(f"{verdict.cause} ({verdict.confidence}): {verdict.hypothesis}"),
        budget=budget,
    )
    found = [each for each in pieces if each.service in names]
    # The root first, within a rank; the sort keeps the order in which a service's pieces came.
    found.sort(key=lambda each: (each.rank, names.index(each.service)))
    for piece in found:
        if piece.cost > brief.budget or len(brief.pieces) >= MAX_ENUM:
            brief.left_out += 1
        else:
            brief.add(piece)
    return brief


def cited_of(service: str, root: str, verdicts: dict[str, Analysis]) -> set[str]:
    """The ids of a service's own evidence that the verdicts on it and on its root cite."""
    found = {*own(verdicts[service].evidence)}
    found |= {each for finding in verdicts[service].findings for each in own(finding.evidence)}
    return found | {each.local for each in map(parse, verdicts[root].evidence) if each.owner == service}


def pieces(record: dict[str, Any], root: str, verdicts: dict[str, Analysis]) -> list[Piece]:
    """The pieces of one record that may get into the brief of the incident: no more than could."""
    view = View.of(record)
    found = list(_pieces(view, cited_of(view.service, root, verdicts)))
    return sorted(found, key=lambda each: each.rank)[:MAX_ENUM]


def of_step(service: str, step: Step, inventory: Collection[str]) -> Piece:
    """What a tool told, as a piece of the record that holds the step."""
    asked = step.arguments.get("container")
    about = asked if isinstance(asked, str) and asked in inventory else ""
    return Piece(service, step.id, shortened(f"{step.tool}: {step.output}"), step.output, step, CITED, about)


def _pieces(view: View, cited: set[str]) -> Iterator[Piece]:
    """All pieces of one service, each id once."""
    for step in view.steps:
        if step.tool and not step.error:
            yield of_step(view.service, step, (str(step.arguments.get("container")),))
    given: set[str] = set()
    for evidence_id, rank in (*((each, CITED) for each in sorted(cited)), *_ids(view)):
        if evidence_id in given or parse(evidence_id).kind == Kind.STEP:
            continue
        if (value := resolve(view, evidence_id)) is None:
            continue
        given.add(evidence_id)
        yield Piece(view.service, evidence_id, shortened(_told(evidence_id, value)), quote(value), value, rank)


def _ids(view: View) -> Iterator[tuple[str, int]]:
    inspect, stats = view.inspect, view.stats
    if inspect:
        running = inspect.state == "running"
        yield "inspect:state", STATE
        for key, telling in {
            "exit_code": not running,
            "error": bool(inspect.error),
            "oom_killed": inspect.oom_killed,
            "restart_count": inspect.restart_count > 0,
            "health": inspect.health == "unhealthy",
            "networks": not inspect.networks,
        }.items():
            if telling:
                yield f"inspect:{key}", STATE
        failed = [at for at, each in enumerate(inspect.health_log) if each.exit_code != 0]
        if failed:
            yield f"inspect:health.{failed[-1]}", STATE
    for check in view.probe.checks if view.probe else []:
        if not check.ok:
            yield check.id, PROBE
    for page in view.pages:
        if page.verdict != Verdict.OK:
            yield page.id, PROBE
            yield f"{page.id}.ocr", PROBE
            yield from ((f"{page.id}.exception.{at}", ERROR) for at in range(min(len(page.exceptions), 3)))
            yield from ((f"{page.id}.console.{at}", WARNING) for at in range(min(len(page.console), 3)))
            yield from ((f"{page.id}.request.{at}", WARNING) for at in range(min(len(page.failed_requests), 3)))
    yield from _log_ids(view)
    if stats:
        for key in ("memory_percent", "cpu_percent", "throttled_percent"):
            if getattr(stats, key):
                yield f"stats:{key}", FIGURE


def _log_ids(view: View) -> Iterator[tuple[str, int]]:
    """The items of the log, those that tell most first, and its last words."""
    for each in telling(view):
        otherwise = RARITY if each.count <= RARE else TALK
        yield each.line.id, ERROR if each.weight >= GRAVE else WARNING if each.weight >= SUSPICIOUS else otherwise
    for line in reversed((view.logs.lines if view.logs else [])[-NEWEST_LINES:]):
        yield line.id, LAST_WORDS


def _told(evidence_id: str, value: Any) -> str:
    """One piece as the model reads it."""
    wanted = parse(evidence_id)
    if wanted.kind == Kind.PROBE:
        body = f" {value.body_excerpt}" if value.body_excerpt else ""
        return f"{value.url} failed: {value.error}: {value.message}{body}"
    if wanted.of_healthcheck:
        return f"its healthcheck ended with {value.exit_code}: {value.output}"
    if isinstance(value, Page):
        words = "; ".join(each.message for each in value.reasons)
        return f"{value.url} shows in a browser: {value.verdict}: {words} {value.title or ''} {value.text or ''}"
    if wanted.kind in (Kind.INSPECT, Kind.STATS):
        return f"{wanted.key} = {quote(value)}"
    return quote(value)


def shortened(text: str) -> str:
    """One line of bounded length: of a long text the beginning and the end, where traces name their exception.

    The words that frame the evidence do not occur in it: a log line cannot end the frame.
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: MAX_TEXT * 20]).split())
    line = _DELIMITER.sub(lambda match: match[0].lower(), line)
    half = MAX_TEXT // 2
    return line if len(line) <= MAX_TEXT else f"{line[:half]} … {line[-half:]}"


def incidents(verdicts: dict[str, Analysis]) -> dict[str, list[str]]:
    """Every root that is broken, with the services of its incident."""
    return {
        service: [service, *(each.service for each in verdict.symptoms)]
        for service, verdict in verdicts.items()
        if verdict.role == Role.ROOT and verdict.status != Status.HEALTHY
    }


def is_open(verdict: Analysis) -> bool:
    """Whether the rules leave something to say: no cause, or one that they are not sure of."""
    return verdict.cause == Cause.INCONCLUSIVE or verdict.confidence != "high"
