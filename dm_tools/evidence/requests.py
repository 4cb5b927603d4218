"""What a log tells of requests: access-log lines of any kind, and the paths whose requests fail now.

Whoever is asked by users knows better than any health check whether it works: a page that answers 500 each time is
broken, however green its container is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from dm_tools.records import LogLine
from dm_tools.text.last_words import Words
from dm_tools.text.late import late
from dm_tools.text.times import parse_time

MAX_LINES = 600  # newest lines of a log that are read for requests
FAILING = 3  # newest requests of one kind that must all have failed
WELL = 3  # requests that must have succeeded before, for a refusal (4xx) to be news
_ITSELF = ("127.0.0.1", "::1")
MAX_PARTS = 2  # of a path, which tell one kind of request from another

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_WRITING = ("POST", "PUT", "PATCH", "DELETE")
_METHOD = "|".join(_METHODS)
# https://docs.haproxy.org/2.6/configuration.html#8.2.3: timers, then the status, the request at the end of the line
_HAPROXY = late(
    r" \S+/(?P<server>\S+) -?\d+/-?\d+/-?\d+/-?\d+/\+?-?\d+ (?P<status>-?\d{1,3}) "
    rf'.*"(?P<method>{_METHOD}) (?P<path>\S+)'
)
_PATTERNS = (
    # Common Log Format and what is alike: "GET /path HTTP/1.1" 200, "GET /index.php" 500
    re.compile(rf'"(?P<method>{_METHOD}) (?P<path>[^\s"]+)(?: HTTP/[\d.]+)?"(?:,|:)? (?P<status>\d{{3}})\b'),
    # morgan and its like: GET /path 200 3.1 ms
    re.compile(rf"\b(?P<method>{_METHOD}) (?P<path>/\S*) (?P<status>\d{{3}}) [\d.]+ ?ms\b"),
    # Kemal and its like: 200 GET /path 3.1ms
    re.compile(rf"\b(?P<status>\d{{3}}) (?P<method>{_METHOD}) (?P<path>/\S*) [\d.]+ ?(?:ms|µs|s)\b"),
    # Mojolicious and its like: GET /path 500 at the end
    re.compile(rf"\b(?P<method>{_METHOD}) (?P<path>/\S*) (?P<status>\d{{3}})$"),
    # gin: | 500 | 1.2ms | 10.0.0.1 | GET "/path"
    re.compile(rf'\| +(?P<status>\d{{3}}) +\|.*\| +(?P<method>{_METHOD}) +"(?P<path>[^"]+)"'),
)
_JSON_STATUS = late(r'"(?:status|status_code|statusCode|DownstreamStatus)": ?"?(\d{3})\b')
_JSON_PATH = late(r'"(?:uri|path|url|request_uri|RequestPath)": ?"(/[^"\s]*)"')
_FIELD_STATUS = late(r"\b(?:status|status_code|code)=(\d{3})\b")
_FIELD_PATH = late(r"\b(?:path|uri|url)=\"?(/[^\s\"]*)")
_ORIGIN = late(r"^https?://[^/]*")
_VARIABLE = late(r"\d|[0-9a-f]{8}|%")  # a part of a path that names a thing rather than a kind of thing


@dataclass(frozen=True)
class Request:
    """One request as an access log tells of it, `at` seconds since 1970. `server`: whom a proxy sent it to; `client`:
    the address that it came from.
    """

    line: str
    at: float | None
    status: int
    path: str
    server: str | None
    client: str | None = None
    method: str | None = None

    @property
    def writes(self) -> bool:
        return self.method in _WRITING

    @property
    def kind(self) -> tuple[str | None, str, bool]:
        """What is asked of whom: that something can be read does not show that it can be written."""
        return (self.server, self.path, self.writes)

    @property
    def failed(self) -> bool:
        return self.status >= 500 or self.status <= 0

    @property
    def well(self) -> bool:
        return 200 <= self.status < 400


@dataclass(frozen=True)
class Failing:
    """Requests of one kind, all of which fail now. `well`: how many of the kind had succeeded before."""

    path: str
    server: str | None
    status: int
    count: int
    well: int
    lines: list[str]
    since: float | None
    words: Words | None = None  # what the program said beside the newest of them


def read(lines: Iterable[LogLine]) -> list[Request]:
    """The requests that log lines tell of, oldest first."""
    return [each for line in lines if (each := _request(line)) is not None]


def _request(line: LogLine) -> Request | None:
    text = line.text
    if any(map(text.__contains__, _METHODS)):  # most lines are no requests, and this is quicker than a pattern
        ends_with_request = text.rstrip().endswith('"')
        for pattern in ((_HAPROXY,) if ends_with_request else ()) + _PATTERNS:
            if match := pattern.search(text):
                found = match.groupdict()
                server = found.get("server")
                if server is not None and server.startswith("<"):  # <NOSRV>: the proxy had nobody to send it to
                    server = None
                kind, client = _kind(found["path"]), _client(text)
                return Request(
                    line.id, parse_time(line.ts), int(found["status"]), kind, server, client, found["method"]
                )
    if "tatus" not in text and "code=" not in text:
        return None
    status = _JSON_STATUS.search(text) or _FIELD_STATUS.search(text)
    path = _JSON_PATH.search(text) or _FIELD_PATH.search(text) if status else None
    if status and path:
        return Request(line.id, parse_time(line.ts), int(status[1]), _kind(path[1]), None)
    return None


_ADDRESSES = late(r"(?:::ffff:)?(?:\d{1,3}\.){3}\d{1,3}(?:, (?:\d{1,3}\.){3}\d{1,3})*")


def _client(text: str) -> str | None:
    """The address at the beginning of a line of an access log; behind a proxy's list of them the last, the proxy."""
    found = _ADDRESSES.match(text)
    return found[0].rpartition(", ")[2].removeprefix("::ffff:") if found else None


def _kind(path: str) -> str:
    """A path without what differs from request to request: `/isbn/9784?x=1` is `/isbn/…`."""
    parts = [part for part in _ORIGIN.sub("", path).partition("?")[0].split("/") if part]
    kept = ["…" if _VARIABLE.search(part) else part for part in parts[:MAX_PARTS]]
    return "/" + "/".join(kept + ["…"] * (len(parts) > MAX_PARTS and kept[-1:] != ["…"]))


def failing(found: list[Request]) -> list[Failing]:
    """The kinds of requests that fail now, the most frequent first.

    The newest ones all failed (5xx, or no answer), or are all refused (4xx) where the same was answered before: what
    never worked is a wrong address of the client, what scanners ask for was never there.
    """
    paths: dict[tuple[str | None, str], list[Request]] = {}
    for each in found:
        paths.setdefault((each.server, each.path), []).append(each)
    result = []
    for asked in paths.values():
        # What is only written in vain is still read: then the two are of different kinds.
        written, read_only = ([each for each in asked if each.writes is way] for way in (True, False))
        kinds = (_failing(kind) for kind in (written, read_only) if kind)
        result += [whole] if (whole := _failing(asked)) else [each for each in kinds if each]
    result = result or _whatever_is_asked(found)
    return sorted(result, key=lambda each: (-each.count, each.path))


def _failing(kind: list[Request]) -> Failing | None:
    """The requests of one kind, if they fail now."""
    ending, well = _ending(kind), sum(each.well for each in kind)
    if len(ending) < FAILING or not (ending[-1].failed or well >= WELL):
        return None
    last, lines = ending[-1], [each.line for each in ending[-FAILING:]]
    return Failing(last.path, last.server, last.status, len(ending), well, lines, ending[0].at)


def _whatever_is_asked(found: list[Request]) -> list[Failing]:
    """All that others ask for fails now, whatever it is; what it asks of itself is its health check."""
    asked = [each for each in found if each.client not in _ITSELF]
    ending = _ending(asked) if asked else []
    if len(ending) < FAILING or not ending[-1].failed:
        return []
    last, lines = ending[-1], [each.line for each in ending[-FAILING:]]
    well = sum(each.well for each in asked)
    return [Failing(last.path, last.server, last.status, len(ending), well, lines, ending[0].at)]


def _ending(kind: list[Request]) -> list[Request]:
    """The newest requests of a kind that went wrong in the same way, oldest first."""
    ending: list[Request] = []
    for each in reversed(kind):
        if each.well or each.failed != kind[-1].failed:
            break
        ending.append(each)
    return ending[::-1]


def recovered_after(found: list[Request], moment: float) -> bool:
    """Whether requests failed until a moment and have succeeded since: what was complained of then is over."""
    before = {each.kind for each in found if each.failed and each.at is not None and each.at <= moment + 1}
    since = [each for each in found if each.at is not None and each.at > moment]
    answered = [each for each in since if each.kind in before]
    return len(answered) >= WELL and all(each.well for each in answered)


COSTS_SECONDS = 1.0  # between what a program says of a failure and the request that it fails


def cost(found: list[Request], occasions: list[float], refused: bool = False) -> bool:
    """Whether requests failed (`refused`: or were refused) whenever something was said, and none of their kind has
    succeeded since."""
    failed = [each for each in found if (each.failed or (refused and not each.well)) and each.at is not None]
    hit = [[each for each in failed if abs((each.at or 0) - moment) <= COSTS_SECONDS] for moment in occasions]
    if not all(hit):
        return False
    kinds = {each.kind for each in hit[-1]}
    return not any(each.well and each.kind in kinds and (each.at or 0) > occasions[-1] for each in found)
