"""Whether what a log complains of still holds: by how often and how lately it was said, and by what was said since.

A green healthcheck proves that the check passes, no more; so what a log complains of counts until it is over. It is
over when it has been silent for much longer than it used to be, when the program says that it recovered, or when the
requests that failed succeed.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from dm_tools.evidence.requests import Request, cost, recovered_after
from dm_tools.records import Cause, LogLine
from dm_tools.text.late import late
from dm_tools.text.times import parse_time

BURST_SECONDS = 0.5  # what is said closer together is one occasion: the lines of a trace, a retry at once
TAIL_SECONDS = 1.0  # what follows so soon may end what was said
RESUMED = 4  # items said since, from which on a program is taken to have gone on with its work
QUIET_GAPS = 3.0  # silent for so many times the longest of the last gaps between two occasions
QUIET_SECONDS = 15.0  # and at least for so long
QUIET_ONCE_SECONDS = 60.0  # what was said on one occasion only, and others have been spoken of since
STATE_OCCASIONS = 3  # what is said so often is not said once for as long as it holds
START_SECONDS = 45.0  # what a program says so soon after its start may be its wait for others

RUN_SECONDS = 10.0  # what is said closer together belongs to one run of a job
PERIOD_SECONDS = 30.0  # runs that begin more often than this are no runs, but the words of a program that always works
SOURED = 3  # warnings that must have followed
SETTLES_SECONDS = 10.0  # what was under way when something failed is still said to have gone well

# What may be well the next time that it is tried: once more says little.
PASSING = frozenset(
    (
        *(Cause.CONNECTION_REFUSED, Cause.DEPENDENCY_DOWN, Cause.DNS_FAILURE, Cause.HTTP_ERROR),
        *(Cause.LOCK_CONTENTION, Cause.RATE_LIMITED, Cause.SLOW_RESPONSE, Cause.UPSTREAM_TIMEOUT),
    )
)

# What programs say when something works again. The name of what works need not be the name that was complained of, so
# only words that tell of a recovery count, not those of any success.
_RECOVERY = late(
    r"\bis UP\b|\b[Rr]e-?connected\b|(?i:\breconnect(?:ion|ing)? (?:succeeded|successful|complete|established))"
    r"|(?i:\bconnection (?:to \S+ )?(?:has been |was |is )?(?:re-?established|restored|recovered))"
    r"|(?i:\b(?:is |are )?back (?:online|to normal)\b|\bis (?:reachable|available|healthy) again\b|\bhas recovered\b)"
)


@dataclass(frozen=True)
class Course:
    """How a complaint went: on how many occasions it was made, when last (seconds since 1970), whether it is over.

    `dying`: it was made with a trace, and nothing has been said since: a job that failed in its last run. `at_start`:
    it was only made right after the start of its program. `closing`: it was made in several lines, the last of all.
    `newest`: nothing has been said since. `lasted`: seconds from the first to the last occasion.
    `costly`: each time requests failed, whose kind has not succeeded since; `cost_once`: be it only once. `paid`:
    as costly, and a refusal (4xx) is a failure, too: of one's own log-in elsewhere clients are told as if it were
    theirs. `soured`: all that has been said since are warnings and errors. `due`: the program works now and then, its
    last run ended so, and the next is not due yet. `state`: it is said once, when it begins, and nothing has said since
    that it ended. `silent`: over, as far as that it was not said again tells.
    """

    occasions: int = 1
    last: float | None = None
    over: bool = False
    dying: bool = False
    at_start: bool = False
    closing: bool = False
    newest: bool = False
    costly: bool = False
    cost_once: bool = False
    paid: bool = False
    soured: bool = False
    due: bool = False
    state: bool = False
    lasted: float = 0.0
    silent: bool = False

    @property
    def repeated(self) -> bool:
        """Said more than once: on two occasions, or twice at the end of all that was said."""
        return self.occasions >= 2 or self.closing


@dataclass(frozen=True)
class Log:
    """The log of one service, with what tells how its complaints went. Times in seconds since 1970."""

    lines: list[LogLine]
    requests: list[Request]
    now: float | None
    started: float | None

    def course(self, positions: list[int], is_state: bool = False, cause: Cause | None = None) -> Course:
        """How a complaint went that was made at these positions of the log.

        `is_state`: it is said when it begins and holds until a word of recovery, however long the log is silent.
        `cause`: what it is a complaint of.
        """
        if not positions:
            return Course()
        times = sorted(time for each in positions if (time := parse_time(self.lines[each].ts)) is not None)
        newest = max(positions)
        if not times or self.now is None:
            return Course(occasions=len(positions))
        occasions = [times[0]]
        for time in times:
            if time - occasions[-1] > BURST_SECONDS:
                occasions.append(time)
        last = times[-1]
        later = [line for line in self.lines[newest + 1 :] if (parse_time(line.ts) or 0) > last + BURST_SECONDS]
        costly = cost(self.requests, occasions[-2:])
        asked = {each.line for each in self.requests}
        # Where a complaint costs requests, that others are answered meanwhile says nothing.
        since = [line for line in later if (not costly if line.id in asked else not _belongs(line, last))]
        ended = self._ended(last, later)
        silent = self._silent(occasions, last, later, is_state, cause)
        return Course(
            occasions=len(occasions),
            last=last,
            over=ended or silent,
            silent=silent and not ended,
            dying=not since and "\n" in self.lines[newest].text,
            closing=not since and len(positions) >= 2,
            newest=not since,
            at_start=self.started is not None and last - self.started < START_SECONDS,
            costly=costly and len(occasions) >= 2,
            cost_once=costly,
            paid=len(occasions) >= 2 and cost(self.requests, occasions[-2:], refused=True),
            soured=_soured(later, last),
            due=not later and self._due(occasions, last),
            state=is_state,
            lasted=last - times[0],
        )

    def _due(self, occasions: list[float], last: float) -> bool:
        """Whether the run that said this is the newest of several, and the next one would not have begun yet."""
        since = self.started or 0.0
        times = [time for line in self.lines if (time := parse_time(line.ts)) is not None and time >= since]
        runs = times[:1] + [after for before, after in pairwise(times) if after - before > RUN_SECONDS]
        if len(runs) < 2 or any(time < runs[-1] for time in occasions):
            return False
        between = min(after - before for before, after in pairwise(runs))
        return between >= PERIOD_SECONDS and (self.now or last) - last < between

    def _ended(self, last: float, later: list[LogLine]) -> bool:
        if self.started is not None and last < self.started - BURST_SECONDS:
            return True  # an earlier run of the container said it
        return any(_RECOVERY.search(line.text) for line in later) or recovered_after(self.requests, last)

    def _silent(
        self, occasions: list[float], last: float, later: list[LogLine], is_state: bool, cause: Cause | None
    ) -> bool:
        if is_state and len(occasions) < STATE_OCCASIONS:
            return False
        if not later:
            return False  # the program has fallen silent: nothing tells that it is well
        # A program that says nothing any more does not say that it is well; one that has gone on with its work did, and
        # so did one that was tried again and again before, where it may be well the next time.
        until, spoken = self.now or last, max(parse_time(line.ts) or last for line in later)
        if cause not in PASSING and len(later) < RESUMED and until - spoken > QUIET_ONCE_SECONDS:
            until = spoken
        silent = until - last
        if len(occasions) == 1:
            return silent > QUIET_ONCE_SECONDS
        gaps = [after - before for before, after in pairwise(occasions)]
        return silent > max(QUIET_SECONDS, QUIET_GAPS * max(gaps[-3:]))


_TROUBLED = late(
    r"\b(?:WARN(?:ING)?|ERR(?:OR)?|CRIT(?:ICAL)?|FATAL)\b|\blevel=(?:warn|error|fatal)|\[(?:warn|error|crit)\]"
)


_MORE = late(r"\b(?:STATEMENT|DETAIL|HINT|CONTEXT|QUERY): ")  # as PostgreSQL goes on about an error


def _belongs(line: LogLine, last: float) -> bool:
    """Whether a line only ends what was said at `last`: the rest of a trace, the same failure in other words."""
    soon = (parse_time(line.ts) or 0) <= last + TAIL_SECONDS
    text = line.text[:200]
    return soon and bool("\n" in line.text or _TROUBLED.search(text) or _MORE.search(text))


def _soured(later: list[LogLine], last: float) -> bool:
    """Whether a program has said nothing but warnings and errors since something failed."""
    since = [line for line in later if (parse_time(line.ts) or 0) > last + SETTLES_SECONDS]
    return len(since) >= SOURED and all(_TROUBLED.search(line.text[:200]) for line in since)
