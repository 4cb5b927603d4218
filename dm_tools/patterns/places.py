"""Where the clauses of patterns look: the texts and values of one service, and what makes a clause hold there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from dm_tools.evidence import swarm as tasks
from dm_tools.evidence.ids import Kind, parse
from dm_tools.evidence.recent import recent
from dm_tools.evidence.view import View, meant_to_end
from dm_tools.patterns import causes, objects
from dm_tools.patterns.haystack import Captures, Haystack
from dm_tools.patterns.language import LAST_WORDS, Clause, Library
from dm_tools.records import Cause, LogLine, Mount, Status
from dm_tools.text.last_words import Words, last_words
from dm_tools.text.late import late
from dm_tools.text.times import seconds_between

# What a failing healthcheck prints of these is said of the service that it asks, not by the service of another one.
OF_THE_CHECK = frozenset(
    (
        *(Cause.BAD_COMMAND, Cause.CONNECTION_REFUSED, Cause.DEPENDENCY_DOWN, Cause.HTTP_ERROR),
        *(Cause.NETWORK_DETACHED, Cause.SLOW_RESPONSE, Cause.UNRESPONSIVE, Cause.UPSTREAM_TIMEOUT, Cause.WRONG_PORT),
    )
)
ITSELF = frozenset(("localhost", "127.0.0.1", "::1", "0.0.0.0"))  # where a check asks the container that it runs in

# Where a mount's name tells that a file is meant: Docker makes a directory of a source that is not there.
FILES = late(
    r"/[^/]*\.(?:cfg|cnf|conf|config|crt|cer|dat|db|env|ini|js|json|key|lic|pem|php|properties|py|sh|sql|toml|txt|xml|ya?ml)$"
    r"|/(?:[A-Z][a-z]+file|licen[cs]e|passwd|shadow|group|hosts|resolv\.conf|localtime|timezone|machine-id|crontab)$"
)
# Folders whose content an image cannot do without; a mount over one of them hides it.
SYSTEM = frozenset(
    (
        *("/", "/bin", "/sbin", "/lib", "/lib64", "/usr", "/usr/bin", "/usr/lib", "/usr/local", "/usr/local/bin"),
        *("/usr/local/lib", "/usr/sbin", "/etc", "/var", "/var/lib"),
    )
)
CHECKED_PORT = late(r"(?:localhost|127\.0\.0\.1|\[?::1\]?|0\.0\.0\.0)(?: \([^)]{1,40}\))?[:, ]{1,2}(?:port )?(\d{2,5})")
# `df: write error: ...`: a program says who it is. What a check prints beside it is the page that it was given.
PROGRAM_SPEAKS = late(r"(?:[\d:T.Z/+ -]{8,40}:? )?(?:/[\w./-]{1,80}|[A-Za-z][\w.+-]{0,40})(?:\[\d+\])?: \S")
LISTENS = late(r"(?i)\blisten(?:s|ing)\b[^\n]{0,60}?:(\d{2,5})\b")
NOBODY_THERE = late(r"(?i)refused|failed to connect|couldn.t connect|no response")

# A task's container has no policy of its own: the swarm restarts it, by these conditions.
POLICIES = {"any": "always", "on-failure": "on-failure", "none": "no"}

MAX_EVIDENCE = 3  # ids per clause: the newest; more of the same proves nothing more
MAX_LOOKED_AT = 24  # newest matches of a clause in a log that are looked at for the peers that they name


@dataclass
class Seen:
    """What made one clause hold: the newest evidence ids, what was captured, and the id of the oldest evidence.

    `positions`: where in the log it was said, the newest first, at most MAX_LOOKED_AT.
    """

    clause: Clause
    evidence: list[str]
    captures: dict[str, str]
    oldest: str | None
    positions: list[int] = field(default_factory=list)


class Places:
    """The texts and values of one service that clauses look at, with their evidence ids."""

    def __init__(self, library: Library, view: View) -> None:
        self.library = library
        self.view = view
        # What its failing healthcheck says itself is searched as what it logs is.
        spoken = [
            LogLine(id=id, ts=None, stream="stderr", text="\n".join(words))
            for id, text in view.complaints_of_its_check
            if (words := [line for line in text.split("\n") if PROGRAM_SPEAKS.match(line)])
        ]
        self.recent = recent(view)
        self.lines = [*self.recent, *spoken]
        relayed = _relayed(self.lines)
        texts = ["" if line.id in relayed else line.text for line in self.lines]
        self.haystack = Haystack(library.searcher, texts)
        self.values: dict[str, list[tuple[str, Any]]] = {}
        self._by_id = {line.id: line for line in self.lines}
        self.own = {network.ip for network in (view.inspect.networks if view.inspect else []) if network.ip}

    @cached_property
    def last_words(self) -> Words | None:
        """The line of the log that tells most of why a service does not work; None if it works."""
        if self.view.status not in (Status.FAILED, Status.DEGRADED):
            return None
        return last_words(self.recent, ended=self.view.down)

    def look(self, clause: Clause, cause: Cause | None = None) -> list[Seen]:
        """What makes a clause hold, empty if nothing does; of a log once for every peer that it names.

        `cause`: what it is looked for as, so that a healthcheck's words are heard only where they can show that.
        """
        return self._in_log(clause, cause) if clause.where == "log" else self._in_values(clause)

    def _heard(self, position: int, captures: Captures, cause: Cause | None) -> bool:
        """Whether a line counts for a cause: the program's own always, its healthcheck's where it speaks of others."""
        if cause is None or parse(self.lines[position].id).kind != Kind.INSPECT:
            return True
        asked = captures.get("upstream", "localhost")
        itself = asked in ITSELF or asked == self.view.service
        return "inspect:health" in causes.carriers(cause) and not (cause in OF_THE_CHECK and itself)

    def _in_log(self, clause: Clause, cause: Cause | None) -> list[Seen]:
        found: dict[str | None, list[tuple[int, list[str], Captures]]] = {}
        well = self._recovered(clause)
        for position, captures in self.haystack.newest(clause.regex or "", clause.but_not, MAX_LOOKED_AT):
            over = max(well.get(name, -1) for name in (None, *captures.values()))
            if position <= over or not self._heard(position, captures, cause):
                continue
            ids = [self.lines[position].id]
            if clause.near is not None:
                captures, beside = self._named(clause, position, captures)
                ids += beside
                if captures.get("upstream") in self.own:  # its own end of a connection tells nothing of the other
                    captures = {name: each for name, each in captures.items() if name not in ("upstream", "port")}
            found.setdefault(captures.get("upstream"), []).append((position, ids, captures))
        if not found:
            return []
        self._join_the_named(found)
        first = self.haystack.first(clause.regex or "", clause.but_not, well.get(None, -1))
        oldest = self.lines[first].id if first is not None else None
        return [
            Seen(
                clause,
                evidence=list(dict.fromkeys(each for _, ids, _ in reversed(newest[:MAX_EVIDENCE]) for each in ids)),
                captures=newest[0][2],
                oldest=oldest if len(found) == 1 else newest[-1][1][0],
                positions=[position for position, _, _ in newest],
            )
            for newest in found.values()
        ]

    def _join_the_named(self, found: dict[str | None, list[tuple[int, list[str], Captures]]]) -> None:
        """What names nobody, beside a saying of the same kind and moment that names somebody, is of that one."""
        named = [position for name, said in found.items() if name is not None for position, _, _ in said]
        if None in found and named:
            alone = [each for each in found[None] if not any(self._together(each[0], position) for position in named)]
            found.pop(None)
            if alone:
                found[None] = alone

    def _together(self, one: int, other: int) -> bool:
        """Whether two items of the log stand beside each other, and in time, too."""
        apart = seconds_between(self.lines[one].ts, self.lines[other].ts)
        return abs(one - other) <= objects.AROUND and (apart is None or abs(apart) <= objects.SECONDS)

    def _recovered(self, clause: Clause) -> dict[str | None, int]:
        """Where the log last told of a recovery: of whom it names, or (None) of all."""
        last: dict[str | None, int] = {}
        for position, captures in (
            self.haystack.newest(clause.recovered or "", None, MAX_LOOKED_AT) if clause.recovered else ()
        ):
            for name in captures.values() or (None,):
                last.setdefault(name, position)
        return last

    def _named(self, clause: Clause, position: int, captures: Captures) -> tuple[Captures, list[str]]:
        """The captures with what the failure is about, and the ids of the items around it that name that."""
        searcher, near, line = self.library.searcher, clause.near or "", self.lines[position]
        captures = objects.usable(captures)
        wanted = {name.rstrip("0123456789") for name in searcher.compiled(near).groupindex}
        if wanted & captures.keys() - {"port"}:
            return captures, []
        start, end = searcher.own(clause.regex or "", line.text) or (0, 0)
        if found := objects.nearest(searcher, near, line.text, start, end):
            return captures | found, []
        inspect = self.view.inspect
        if "upstream" in wanted and inspect is not None:
            needs = [*inspect.env_hosts, *inspect.depends_on]
            if found := objects.of_environment(line.text, captures.get("port"), needs, self.library.technologies):
                return captures | found, []
        for other in self._around(position):
            if found := objects.beside(searcher, near, other.text):
                return captures | found, [other.id]
        return captures, []

    def _around(self, position: int) -> Iterator[LogLine]:
        """The items of the same stream and moment, the closest first."""
        line = self.lines[position]
        for distance in range(1, objects.AROUND + 1):
            for at in (position - distance, position + distance):
                near = 0 <= at < len(self.lines) and self._together(position, at)
                if near and self.lines[at].stream == line.stream:
                    yield self.lines[at]

    def read_by(self, clauses: list[Clause], evidence_id: str) -> bool:
        """Whether any of these clauses on the log matches in one log item."""
        line = self._by_id.get(evidence_id)
        own = self.library.searcher.own
        return line is not None and any(
            own(each.regex or "", line.text) is not None
            and not (each.but_not and self.library.searcher.found(each.but_not, line.text))
            for each in clauses
        )

    def _in_values(self, clause: Clause) -> list[Seen]:
        if clause.where not in self.values:
            self.values[clause.where] = list(self._of(clause.where))
        held = [
            (evidence_id, captures)
            for evidence_id, value in self.values[clause.where]
            if (captures := self._test(clause, value)) is not None
        ]
        if not held:
            return []
        evidence = [evidence_id for evidence_id, _ in held[-MAX_EVIDENCE:] if evidence_id]
        return [Seen(clause, evidence, held[-1][1], held[0][0] or None)]

    def _test(self, clause: Clause, value: Any) -> dict[str, str] | None:
        """What the value's match captured, None if it does not match."""
        if clause.regex is not None:
            return self.library.searcher.search(clause.regex, clause.but_not, value) if isinstance(value, str) else None
        if clause.one_of is not None:
            return {} if value in clause.one_of else None
        if clause.above is not None:
            return {} if isinstance(value, int | float) and value > clause.above else None
        return {} if (not value) == clause.empty else None

    def _of(self, where: str) -> Iterator[tuple[str, Any]]:
        probe, inspect = self.view.probe, self.view.inspect
        if where == "missing":
            yield "", self.view.missing
        elif where == "answers":
            yield from [(check.id, self.view.answers_urls) for check in (probe.checks if probe else [])][:1]
        elif where == "probe.error":
            yield from ((check.id, check.error) for check in (probe.checks if probe else []) if check.error)
        elif where == "probe.status":
            # A probe of the container's state alone says what the engine says, once more.
            checks = [check for check in (probe.checks if probe else []) if check.kind != "container"]
            yield from ((check.id, probe.status) for check in checks if probe)
        elif where == "looping":
            shown = tasks.ended(self.view.swarm) if self.view.swarm else "inspect:restart_count"
            yield from [(shown, self.view.looping)] if inspect else self._log_that_begins_anew()
        elif where == "events_forgotten":
            yield from [("inspect:events_since", self.view.events_forgotten)] if inspect else []
        elif where == "down":
            yield from [("inspect:state", self.view.down)] if inspect else self._log_that_begins_anew()
        elif where == "health":
            runs = inspect.health_log if inspect else []
            yield from ((f"inspect:health.{index}", run.output) for index, run in enumerate(runs) if run.exit_code)
        elif where == "health.port":
            yield from self._unserved_ports()
        elif where == "mount.file":
            yield from (each for each, mount in self._mounts() if mount.type == "bind" and FILES.search(each[1]))
        elif where == "mount.system":
            yield from (each for each, _ in self._mounts() if (each[1].rstrip("/") or "/") in SYSTEM)
        elif where == LAST_WORDS:
            # Of one that runs and is asked, what a stranger sent may be among its last words.
            yield from [(self.last_words.id, self.last_words.text)] if self.view.down and self.last_words else []
        elif where == "ended.code":
            yield from [self.view.last_exit] if self.view.last_exit else []
        elif where == "ended.memory":
            yield from ((id, True) for id in self.view.out_of_memory)
        elif where in ("ended.stopped", "ended.killed"):
            ends = self.view.stopped_by
            killed = all(event.action == "kill" and event.signal == 9 for _, event in ends)
            yield from ((id, True) for id, _ in ends if killed == (where == "ended.killed"))
        elif where == "process.state":
            at = self.view.main_process
            found = inspect.processes[at].state if inspect and at is not None else None
            yield from [(f"inspect:processes.{at}", found)] if found else []
        elif where == "processes.ended":
            ended = [at for at, each in enumerate(inspect.processes if inspect else []) if each.state == "Z"]
            yield from [(f"inspect:processes.{ended[-1]}", len(ended))] if ended else []
        elif where == "event":
            events = inspect.events if inspect else []
            for index, event in enumerate(events):
                heard = event.action == "kill" and not meant_to_end(event)
                yield f"event:{index}", "signal" if heard else event.action
        elif where == "disarmed":
            yield from ((id, True) for id in self.view.disarmed)
        elif where == "host.unreachable":
            yield from [("host:unreachable", self.view.host.unreachable)] if self.view.host else []
        elif where.startswith(("swarm.", "node.")):
            yield from self._of_swarm(where)
        elif where == "screenshot.verdict":
            yield from ((page.id, page.verdict) for page in self.view.pages)
        elif where == "screenshot.reason":
            for page in self.view.pages:
                yield from (((reason.evidence or [page.id])[0], reason.code) for reason in page.reasons)
        else:
            section, _, key = where.partition(".")
            value = getattr(inspect if section == "inspect" else self.view.stats, key, None)
            if where == "inspect.restart_policy" and self.view.swarm and inspect:
                value = POLICIES.get(self.view.swarm.restart, value)
            yield from [(f"{section}:{key}", value)] if value is not None else []

    def _log_that_begins_anew(self) -> list[tuple[str, Any]]:
        """Where nothing but a log is known, its end stands for those of all its runs."""
        return [(self.lines[-1].id, True)] if self.view.log_alone and self.view.looping else []

    def _of_swarm(self, where: str) -> Iterator[tuple[str, Any]]:
        found, node = self.view.swarm, self.view.node
        if found and where == "swarm.error":
            yield from tasks.complaints(found)
        elif found and where == "swarm.rejected":
            yield from tasks.complaints(found, ("rejected",))
        elif found and where == "swarm.short":
            yield "swarm:running", bool(found.lacking) and tasks.status(found) != Status.HEALTHY
        elif found and where == "swarm.update":
            yield "swarm:update", found.update
        elif node and where.startswith("node."):
            key = where.removeprefix("node.")
            yield f"node:{key}", getattr(node, key)

    def _mounts(self) -> Iterator[tuple[tuple[str, str], Mount]]:
        for index, mount in enumerate(self.view.inspect.mounts if self.view.inspect else []):
            yield (f"inspect:mounts.{index}", mount.destination), mount

    def _unserved_ports(self) -> Iterator[tuple[str, str]]:
        """The ports of its own where its failing healthcheck finds nobody, and which the container does not expose."""
        exposed = {port.container_port for port in (self.view.inspect.ports if self.view.inspect else [])}
        exposed |= {int(found[1]) for line in self.lines if (found := LISTENS.search(line.text))}
        for id, text in self.view.complaints_of_its_check if exposed else []:
            asked = CHECKED_PORT.search(text)
            if asked and NOBODY_THERE.search(text) and int(asked[1]) not in exposed:
                yield id, asked[1]


RELAYED = late(r"([\w.-]{2,60}) +\| ")  # as `docker compose logs` prints whose line it is


def _relayed(lines: list[LogLine]) -> frozenset[str]:
    """The items that a log shipper passes on: lines of several others, beside which it says things of its own."""
    found = {line.id: name[1] for line in lines if " | " in line.text[:70] and (name := RELAYED.match(line.text))}
    several = len(set(found.values())) >= 2 and len(found) < len(lines)
    return frozenset(found) if several else frozenset()
