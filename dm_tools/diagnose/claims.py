"""What one service shows and says, as claims: about itself, or about the one that it blames."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from dm_tools.diagnose.currency import PASSING, Course
from dm_tools.diagnose.facts import Facts
from dm_tools.diagnose.topology import LOOPBACK, Topology
from dm_tools.evidence.ids import cites_own_log, parse, seen_from
from dm_tools.evidence.requests import Failing
from dm_tools.patterns.language import Level, Library
from dm_tools.patterns.matching import Hit, explain
from dm_tools.records import ActionName, Cause, Confidence, Finding, Fix, Severity, Status
from dm_tools.text.last_words import quoted
from dm_tools.text.shorten import short

FACT_RANK = Level.FACT.rank  # what the engine itself states of a container
SPECIFIC_RANK = Level.BROAD.rank  # a cause by name; below it, "it fails" in other words
GENERIC_RANK = Level.FAILING.rank
CAUSE_RANK = Level.CAUSE.rank
EXACT_RANK = Level.EXACT.rank
GENERAL_RANK = Level.GENERAL.rank

REQUESTS_RANK = Level.FAILING.rank  # requests fail: true, and not why
REQUESTS = "requests.failing"  # in the place of a pattern's id

UNAVAILABLE = (502, 503, 504)  # what a proxy answers when those behind it do not
PROXIES = frozenset(("apache", "caddy", "envoy", "haproxy", "nginx", "traefik", "varnish"))
MAX_BEHIND = 3  # of those that one sentence names
OFTEN = 3  # times that a failure without a name must be told of
AGAIN_SECONDS = 60.0  # what is said again so much later is no retry of the same moment

# What does not get well by itself: somebody has to change a setting, a right, a disk or the data.
LASTING = frozenset(
    (
        *(Cause.BAD_COMMAND, Cause.CONFIG_ERROR, Cause.DATA_CORRUPTION, Cause.MISSING_ENV),
        *(Cause.PERMISSION_DENIED, Cause.READ_ONLY_FILESYSTEM, Cause.RESOURCE_MISSING, Cause.SCHEMA_MISSING),
        *(Cause.STORE_READ_ONLY, Cause.VERSION_MISMATCH),
    )
)
# What keeps a service that answers from working for anybody, whatever its clients complain of.
CRIPPLING = frozenset(
    (Cause.DATA_CORRUPTION, Cause.DISK_FULL, Cause.IO_ERROR, Cause.READ_ONLY_FILESYSTEM, Cause.STORE_READ_ONLY)
)
OF_ONE_USER = frozenset((Cause.DATA_CORRUPTION, Cause.RESOURCE_MISSING))
SETTINGS = frozenset((Cause.CONFIG_ERROR, Cause.MISSING_ENV))  # read at the start, and as they are until the next one


@dataclass
class Claim:
    """A finding with what decides between several of them."""

    finding: Finding
    rank: int
    course: Course = field(default_factory=Course)
    accuses: bool = False  # the service that it points to counts as broken even if it shows nothing itself
    agreed: bool = False  # something else says the same: the log of whom it complains of, the map, failed requests
    nobody: bool = False  # it does not find a service that is not there
    login: bool = False  # it says that a log-in at its peer was refused
    serving: bool = False  # it is the one that refuses log-ins: that is no trouble of its own
    refusing: bool = False  # it turned a request away, which may be a stranger's
    fixes: list[Fix] = field(default_factory=list)

    @property
    def place(self) -> int:
        """The newest place in the service's own log where it was made; -1 if it was made elsewhere."""
        ids = map(parse, self.finding.evidence)
        return max((each.number for each in ids if each.of_own_log and each.number is not None), default=-1)

    @property
    def of_a_stranger(self) -> bool:
        """A server turned somebody away: by its log-in, or because it was asked at another name or in another protocol
        than its own."""
        warned = self.finding.severity != Severity.CRITICAL
        return self.serving or self.refusing or (warned and self.finding.cause == Cause.WRONG_PORT)


@dataclass
class Judged:
    """A service while it is being judged."""

    facts: Facts
    own: list[Claim] = field(default_factory=list)  # about itself, the strongest first
    blaming: list[Claim] = field(default_factory=list)  # about others
    accused_by: list[Claim] = field(default_factory=list)  # what others say of it
    because_of: str | None = None

    @property
    def best_rank(self) -> int:
        """Of what it shows and says of itself and what still holds, or held when it came to its end."""
        return max((each.rank for each in self.own if self.measured or not each.course.over), default=0)

    @property
    def measured(self) -> bool:
        """Its state, its checks or its pages show that it does not work."""
        return self.facts.status in (Status.FAILED, Status.DEGRADED)

    @property
    def asked(self) -> bool:
        """Somebody asks whether it works, and it answers: then its log alone shows a complaint, and no failure."""
        return self.facts.status == Status.HEALTHY and not self.facts.unasked

    @property
    def unserved(self) -> bool:
        """Requests of its users fail, as its own log tells."""
        return any(each.finding.pattern == REQUESTS for each in self.own + self.blaming)

    @property
    def troubles(self) -> list[Claim]:
        """What is wrong with it now, by its log: specific, critical, still true, and not said on one occasion only.

        What was said once counts if a job died of it in its last run (not right after the start, when programs wait
        for others), or if a log-in was refused and nothing was said since: that does not get well by itself. So does a
        name that nobody bears, the last run of a job, what nothing but warnings has followed, and what stays as it is.
        """
        return [
            each
            for each in self.own + self.blaming
            if each.finding.severity == Severity.CRITICAL
            and each.rank >= SPECIFIC_RANK
            and (not each.course.over or self._set_at_start(each))
            and not each.serving
            and (
                each.course.repeated
                or (each.course.dying and not each.course.at_start)
                or (each.login and each.course.newest and self.facts.unasked)
                or (each.nobody and each.course.newest and self.facts.unasked)
                or each.course.soured
                or (each.agreed and each.course.newest)
                or (each.course.due and self.facts.unasked)
                or self._stays(each)
            )
        ]

    @property
    def keeps_failing(self) -> bool:
        """Nobody asks whether it works, and it says again and again that something fails, whatever the reason."""
        return self.facts.unasked and any(
            each.finding.severity != Severity.INFO
            and (each.rank > REQUESTS_RANK or (each.course.dying and each.course.newest))
            and each.course.occasions >= OFTEN
            and not each.course.over
            for each in self.own + self.blaming
        )

    @property
    def broken(self) -> bool:
        """It does not work: measured, or its users' requests fail. Where nobody asks, its log alone has to do.

        So it does where the log of the service that it complains of says the same.
        """
        if self.facts.status == Status.UNKNOWN:
            # What a server says once of one stranger is no trouble of anybody's.
            return any(
                each.rank >= SPECIFIC_RANK and (each.course.repeated or not each.of_a_stranger)
                for each in self.own + self.blaming
            )
        troubles = self.troubles
        told = any(self._told(each) for each in troubles) if self.asked else bool(troubles)
        return self.measured or self.unserved or told or self.keeps_failing

    @property
    def suspect(self) -> bool:
        """It looks healthy, but its recent log complains: counts when somebody else is broken because of it.

        A past fact about the container (it was once killed, it runs again) is no complaint, and neither is one that is
        over, or that was made once at its start.
        """
        complains = any(
            each.rank >= SPECIFIC_RANK
            and cites_own_log(each.finding.evidence)
            and not each.course.over
            and (self.measured or each.course.repeated or not each.course.at_start)
            for each in self.own
        )
        return complains or any(not each.course.over for each in self.blaming) or bool(self.accused_by)

    @property
    def stuck(self) -> bool:
        """It said, in its own words, what does not get well by itself, and nothing of a recovery, however long ago."""
        return any(
            each.rank > GENERAL_RANK
            and each.finding.cause in LASTING
            and cites_own_log(each.finding.evidence)
            and not each.refusing
            and (not each.course.over or each.course.silent)
            for each in self.own
        )

    @property
    def murmurs(self) -> bool:
        """It looks healthy, and its recent log holds at least a failure that no rule knows by name."""
        spoken = [each for each in self.own if not each.course.over and each.finding.pattern != REQUESTS]
        return any(cites_own_log(each.finding.evidence) for each in spoken)

    def _told(self, claim: Claim) -> bool:
        """Whether what was said outweighs that whoever asks is answered: others say it, too, it stays as it is, or it
        was said again and again, by name, and nothing else since."""
        course = claim.course
        again = course.occasions >= OFTEN or (course.lasted >= AGAIN_SECONDS and claim.finding.cause not in PASSING)
        last_words = again and course.newest and claim.rank >= GENERAL_RANK and not claim.refusing
        return claim.agreed or last_words or self._stays(claim)

    def _stays(self, claim: Claim) -> bool:
        """Whether what was said, be it once, holds until somebody does something about it.

        Of one that answers whoever asks: only what is said again, or with a trace at its start, and was its last word.
        """
        course, cause = claim.course, claim.finding.cause
        if course.state and cause in CRIPPLING and claim.rank >= EXACT_RANK:
            return True
        if cause not in LASTING or (claim.refusing and (self.asked or not course.repeated)):
            return False
        if course.newest:
            # In anybody's words, one file that is not there or not readable may be what one user asked for or sent.
            of_one_user = cause in OF_ONE_USER and claim.rank <= GENERAL_RANK and not course.at_start
            once = self.facts.unasked and not of_one_user
            return course.repeated or (course.dying and course.at_start) or once
        return self._set_at_start(claim)

    def _set_at_start(self, claim: Claim) -> bool:
        """Whether a program that nobody asks said at its start that a setting is wrong: so it stays until the next."""
        course = claim.course
        over = course.over and not course.silent
        return self.facts.unasked and course.at_start and claim.finding.cause in SETTINGS and not over

    @property
    def ends_by_its_own(self) -> bool:
        """It does not stay up, and says last, in words that nothing else brings about, what somebody must change.

        That a peer refuses it, too, it said before, and would have waited.
        """
        if self.facts.started is not None:
            return False  # it runs on
        blamed = max((each.place for each in self.blaming), default=-1)
        said = [each for each in self.own if each.rank >= EXACT_RANK and each.finding.cause in LASTING]
        return any(not each.course.over and each.place > blamed for each in said)

    @property
    def at_fault(self) -> bool:
        return self.broken or bool(self.accused_by)


def weight(claim: Claim, measured: bool = False) -> tuple[bool, bool, bool, int]:
    """What sorts claims, the most telling first: what holds before what is over, specific before generic.

    `measured`: its service is seen not to work, so that what it said before it fell silent may well be why.
    """
    over = claim.course.over
    return (over and not measured, claim.rank < SPECIFIC_RANK, over, -claim.rank)


def of_requests(service: str, failing: Failing, facts: Facts, topology: Topology) -> Claim:
    """That requests of one kind fail, as a finding about the service whom a proxy sent them to, or about this one."""
    peer = topology.resolve(failing.server, service) if failing.server else None
    answered = f"answers {failing.status} to" if failing.status > 0 else "does not answer"
    behind = [each for each in topology.peers(peer or service) if each != service]
    words = quoted(failing.words)
    waits = failing.status in UNAVAILABLE and behind
    count = f"the last {failing.count} all failed" + (f", {failing.well} went well before" if failing.well else "")
    gone = failing.status in (404, 410)
    meaning = ": what was there is gone (its files, a mount or a route)" if gone else ""
    finding = Finding(
        pattern=REQUESTS,
        cause=Cause.RESOURCE_MISSING if gone else Cause.HTTP_ERROR,
        severity=Severity.CRITICAL,
        explanation=f"{peer or service} {answered} requests for {short(failing.path, 60)}: {count}{meaning}{words}"
        + (f" (it says so of whom it asks: {', '.join(behind[:MAX_BEHIND])})" if waits else ""),
        evidence=failing.lines + ([failing.words.id] if failing.words else []),
        captures={"status": str(failing.status), "path": short(failing.path, 100)},
        points_to=peer if peer != service else None,
        since=facts.times.get(failing.lines[0]),
        occasions=failing.count,
    )
    look = Fix(ActionName.CHECK_LOGS, Confidence.MEDIUM, "the log has the error behind the answer")
    words = "see whether it is well, and whether it is asked at the address and port that it has now"
    ask = Fix(ActionName.CHECK_DEPENDENCIES, Confidence.HIGH, words, {"dependency": behind[0]}) if behind else look
    forwards = Fix(ActionName.CHECK_CONFIG, Confidence.MEDIUM, "see which host and port it is configured to forward to")
    proxy = failing.status in UNAVAILABLE and topology.nodes[peer or service].technologies & PROXIES
    fixes = [ask, look] if waits else [forwards, look] if proxy else []
    return Claim(finding, REQUESTS_RANK, Course(occasions=failing.count), fixes=fixes)


def claim_of(service: str, hit: Hit, course: Course, facts: Facts, topology: Topology, library: Library) -> Claim:
    """A hit as a finding about this service itself or about one that it blames."""
    technology = library.technology_of.get(hit.pattern.id)
    blamed, upstream = _blamed(hit, service, topology, technology)
    captures = {key: short(value, 100) for key, value in hit.captures.items()}
    values = facts.values | captures
    runner = blamed or (f"its {technology}" if technology else "its peer")
    named = values.get("upstream") or runner
    if _is_address(named):
        at = f"{named}:{captures['port']}" if "port" in captures and "{port}" not in hit.pattern.explanation else named
        named = f"{blamed} ({at})" if blamed else at
    values["upstream"] = named
    values["peer"] = upstream or values["upstream"]
    values["technology_service"] = runner
    if upstream:
        captures["dependency"] = upstream
    finding = Finding(
        pattern=hit.pattern.id,
        cause=hit.pattern.cause,
        severity=hit.pattern.severity,
        explanation=explain(hit.pattern.explanation, values),
        evidence=[each for each in hit.evidence if each in facts.quotes],
        captures=captures,
        points_to=blamed if blamed != service else None,
        since=min((facts.times[each] for each in hit.oldest if each in facts.times), default=None),
        occasions=course.occasions,
        over=course.over,
    )
    if finding.points_to is None and finding.cause in LASTING:
        finding.explanation += facts.said.get(hit.pattern.id, "")  # what is to be changed stands there
    # An address that nobody has (any more) tells that a peer is gone, but not which one.
    nameless = hit.pattern.blames == "peer" and not blamed and _is_address(hit.captures.get("upstream", ""))
    known = len(topology.nodes) > 1
    if hit.pattern.blames == "peer" and not blamed and (host := captures.get("upstream")):
        if host in LOOPBACK:
            finding.explanation += " (inside a container that is the container itself)"
        elif known and not nameless:
            finding.explanation += f" ({host} is no service of this stack)"
    host = captures.get("upstream", "")
    outside = "." in host and not upstream and known and not nameless and finding.cause in _OF_OTHERS
    nobody = finding.cause == Cause.DNS_FAILURE and not upstream and topology.nobody(host, service)
    removed = nobody and host in topology.nodes[service].depends
    if removed:
        finding.explanation += f", though Compose starts {service} after {host}: it was removed or never made"
    # Only the engine states facts: what stands in a log, somebody wrote.
    engine = any(parse(each).of_engine for each in finding.evidence)
    highest = GENERIC_RANK if nameless and known else hit.pattern.rank if engine else FACT_RANK - 1
    return Claim(
        finding,
        rank=min(hit.pattern.rank, highest),
        course=course,
        accuses=hit.pattern.accusing,
        agreed=nobody
        or course.costly
        or (course.cost_once and hit.pattern.cause in LASTING and hit.pattern.rank >= CAUSE_RANK)
        or (course.paid and hit.pattern.rank >= EXACT_RANK and not hit.pattern.refuses),
        nobody=nobody,
        login=hit.pattern.blames == "credentials",
        # Who names the server that refused it is not that server, be it one of the same kind (a relay, a replica).
        serving=hit.pattern.blames == "credentials"
        and technology in topology.nodes[service].serves
        and captures.get("upstream") is None,
        refusing=hit.pattern.refuses,
        fixes=[
            *([_bring_back(host)] if removed else []),
            *hit.pattern.fixes,
            *([_ask_outside(host)] if outside else []),
        ],
    )


_OF_OTHERS = (Cause.HTTP_ERROR, Cause.UPSTREAM_TIMEOUT)  # nothing that is set here makes an outside host answer


def _ask_outside(host: str) -> Fix:
    words = f"{host} is none of these services: see whether it is reached from here, and ask whoever runs it"
    return Fix(ActionName.ESCALATE, Confidence.MEDIUM, words)


def _bring_back(name: str) -> Fix:
    words = f"there is no container of {name}, on which it depends: docker compose up -d {name} makes one"
    return Fix(ActionName.FIX_CONFIG, Confidence.HIGH, words, {"host": name})


def _blamed(hit: Hit, service: str, topology: Topology, technology: str | None) -> tuple[str | None, str | None]:
    """The service that a hit blames (None: nobody we know, so this one), and the peer that it speaks of."""
    named = hit.captures.get("upstream")
    port = hit.captures.get("port")
    upstream = topology.resolve(named, service, port) if named else None
    if named and upstream is None and _is_address(named):
        upstream = topology.needed_at(service, port)
    runner = topology.runner_of(technology, service) if technology else None
    if hit.pattern.blames == "technology":
        return upstream or runner, upstream or runner
    if hit.pattern.blames == "peer":
        return upstream, upstream
    return None, upstream or (runner if hit.pattern.blames == "credentials" and runner != service else None)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return name not in LOOPBACK


def said_of(service: str, claim: Claim) -> Claim:
    """What one service says of another, as a claim about the other."""
    finding = claim.finding
    about = Finding(
        pattern=finding.pattern,
        cause=finding.cause,
        severity=finding.severity,
        explanation=finding.explanation,
        evidence=[seen_from(str(finding.points_to), service, each) for each in finding.evidence],
        captures=finding.captures,
        points_to=None,
        since=finding.since,
        occasions=finding.occasions,
        over=finding.over,
    )
    return Claim(about, claim.rank, claim.course, fixes=claim.fixes)
