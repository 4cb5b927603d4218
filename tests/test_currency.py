"""dm_tools/diagnose/currency.py and evidence/requests.py: what still holds of a log, and whose requests fail now."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dm_tools.diagnose.currency import Course, Log
from dm_tools.evidence import requests
from dm_tools.records import Cause, LogLine
from tests.making import Record, service
from tests.test_analyze import judge, roots

NOW = 1767225600.0  # 2026-01-01T00:00:00Z
SAYS = "cannot connect to db"


def stamp(ago: float) -> str:
    """A time so many seconds before NOW."""
    rest = 3600.0 - ago
    return f"2025-12-31T23:{int(rest // 60):02d}:{rest % 60:06.3f}Z"


def log(*said: tuple[float, str], started_ago: float | None = 3000.0) -> Log:
    """A log as (seconds ago, text), oldest first."""
    lines = [LogLine(f"logs:{place}", stamp(ago), "stderr", text) for place, (ago, text) in enumerate(said)]
    return Log(lines, requests.read(lines), NOW, None if started_ago is None else NOW - started_ago)


def over(found: Log, is_state: bool = False) -> bool:
    """Whether what it says of db is over."""
    return found.course([place for place, line in enumerate(found.lines) if SAYS in line.text], is_state).over


OTHER = (1.0, "order 17 stored")


@pytest.mark.parametrize(
    ("said", "is_over"),
    [
        ([(40, SAYS), (30, SAYS), (20, SAYS), OTHER], False),  # no longer silent than it used to be
        ([(100, SAYS), (95, SAYS), (90, SAYS), OTHER], True),
        ([(100, SAYS), (98, SAYS), (94, SAYS), (86, SAYS), (70, SAYS), (38, SAYS), OTHER], False),  # waits ever longer
        ([(100, SAYS), (95, SAYS), (90, SAYS)], False),  # has said nothing at all since
        ([(90, SAYS), OTHER], True),  # once, and it speaks of other things
        ([(30, SAYS), OTHER], False),
        ([(12, SAYS), (8, SAYS), (4, SAYS), (2, "reconnected to the store"), OTHER], True),
        ([(12, SAYS), (8, SAYS), (4, SAYS), (2, "trying to reconnect"), OTHER], False),
    ],
)
def test_a_complaint_is_over_when_it_is_silent_for_longer_than_before_or_tells_of_recovery(
    said: list[tuple[float, str]], is_over: bool
) -> None:
    assert over(log(*said)) is is_over


@pytest.mark.parametrize(
    ("later", "cause", "is_over"),
    [
        (1, Cause.CONNECTION_LIMIT, False),  # it fell silent: nothing tells that it is well
        (5, Cause.CONNECTION_LIMIT, True),  # it went on with its work for a while before
        (1, Cause.UPSTREAM_TIMEOUT, True),  # it would have been tried again, as before
    ],
)
def test_what_a_program_said_that_has_fallen_silent(later: int, cause: Cause, is_over: bool) -> None:
    said = log((900, SAYS), (890, SAYS), (880, SAYS), *((870 - at, "order 17 stored") for at in range(later)))
    assert said.course([0, 1, 2], cause=cause).over is is_over


def test_what_an_earlier_run_of_the_container_said_is_over() -> None:
    assert over(log((20, SAYS), (15, SAYS), OTHER, started_ago=10))
    assert not over(log((20, SAYS), (15, SAYS), OTHER, started_ago=60))


def test_what_is_said_once_and_holds_is_not_over_by_silence() -> None:
    assert over(log((200, SAYS), OTHER))
    assert not over(log((200, SAYS), OTHER), is_state=True)
    assert over(log(*((ago, SAYS) for ago in (210, 208, 206, 204)), OTHER), is_state=True)


def test_the_course_of_a_complaint_where_little_is_known() -> None:
    said = log((30, SAYS), (20, SAYS), OTHER)
    assert said.course([]) == Course()
    assert replace(said, now=None).course([0, 1]) == Course(occasions=2)
    timeless = replace(said, lines=[LogLine("logs:0", None, "stderr", SAYS)])
    assert timeless.course([0]) == Course(occasions=1)


@pytest.mark.parametrize(
    ("said", "occasions"),
    [
        (
            [(10, SAYS), (9.6, SAYS), (9.2, SAYS)],
            2,
        ),  # 0.4 s apart, and 0.8 s after the first
        ([(10, SAYS), (9.5, SAYS)], 1),
        ([(10, SAYS), (9.4, SAYS)], 2),
        ([(10, SAYS)] * 5, 1),
    ],
)
def test_what_is_said_close_together_is_one_occasion(said: list[tuple[float, str]], occasions: int) -> None:
    assert log(*said).course(list(range(len(said)))).occasions == occasions


@pytest.mark.parametrize(
    ("said", "dying", "closing", "repeated"),
    [
        ([(10, SAYS + "\n  at line 3")], True, False, False),
        ([(10, SAYS + "\n  at line 3"), OTHER], False, False, False),
        ([(10, SAYS)], False, False, False),
        ([(10, SAYS), (10, SAYS)], False, True, True),  # twice at the end of all that was said
        ([(10, SAYS), (10, SAYS), OTHER], False, False, False),
        ([(10, SAYS), (5, SAYS), OTHER], False, False, True),
    ],
)
def test_how_a_complaint_ended(said: list[tuple[float, str]], dying: bool, closing: bool, repeated: bool) -> None:
    found = log(*said)
    course = found.course([place for place, line in enumerate(found.lines) if SAYS in line.text])
    assert (course.dying, course.closing, course.repeated) == (dying, closing, repeated)


@pytest.mark.parametrize(("started_ago", "at_start"), [(54, True), (55, False), (None, False)])
def test_what_is_said_right_after_the_start(started_ago: float | None, at_start: bool) -> None:
    assert log((10, SAYS), OTHER, started_ago=started_ago).course([0]).at_start is at_start


@pytest.mark.parametrize(
    ("said", "is_over"),
    [
        ([(61, SAYS), OTHER], True),
        ([(60, SAYS), OTHER], False),
        ([(21, SAYS), (15.5, SAYS), OTHER], False),  # three times the gap is 16.5 s
        ([(19, SAYS), (15.5, SAYS), OTHER], True),  # three times the gap is less than 15 s
        ([(18, SAYS), (15, SAYS), OTHER], False),
        ([(200, SAYS), (100, SAYS), (60, SAYS), (40, SAYS), (20, SAYS), OTHER], False),
        ([(200, SAYS), (60, SAYS), (55, SAYS), (50, SAYS), (45, SAYS), OTHER], True),  # only the last three gaps count
    ],
)
def test_how_long_silence_must_be(said: list[tuple[float, str]], is_over: bool) -> None:
    assert over(log(*said)) is is_over


@pytest.mark.parametrize(
    ("said", "started_ago", "due"),
    [
        ([(70, "begin"), (30, "begin"), (29, SAYS)], 3000, True),
        ([(70, "begin"), (30, "begin"), (29, SAYS)], None, True),
        ([(70, "begin"), (30, "begin"), (29, SAYS)], 70, True),
        ([(70, "begin"), (30, "begin"), (29, SAYS)], 40, False),  # the run before was another container's life
        ([(30, "begin"), (29, SAYS)], 3000, False),  # nobody knows when the next one is due
        ([(70, "begin"), (69, SAYS), (30, "begin"), (29, SAYS)], 3000, False),  # not in the newest run only
        ([(70, "begin"), (30, SAYS), (29, SAYS)], 3000, True),  # with its very first line
        ([(70, "begin"), (30, "begin"), (29, SAYS), (5, "done")], 3000, False),  # its last run went on
        ([(55, "begin"), (26, "begin"), (25, SAYS)], 3000, False),  # every 29 s: a program that always works
        ([(56, "begin"), (26, "begin"), (25, SAYS)], 3000, True),
        ([(80, "begin"), (41, "begin"), (39, SAYS)], 3000, False),  # the next one would have begun
        ([(80, "begin"), (40, "begin"), (39, SAYS)], 3000, True),
        ([(70, "begin"), (30, "begin"), (20, "goes on"), (19, SAYS)], 3000, True),  # ten seconds of silence are no end
        ([(200, "begin"), (70, "begin"), (30, "begin"), (29, SAYS)], 3000, True),
        ([(170, "begin"), (130, "begin"), (60, "begin"), (59, SAYS)], 3000, False),  # the shortest time between counts
    ],
)
def test_a_run_that_failed_holds_until_the_next_one_is_due(
    said: list[tuple[float, str]], started_ago: float | None, due: bool
) -> None:
    found = log(*said, started_ago=started_ago)
    assert found.course([place for place, line in enumerate(found.lines) if SAYS in line.text]).due is due


WARNINGS = [(45.0, "WARN slow"), (40.0, "ERROR no answer"), (35.0, "level=error msg=gone")]


@pytest.mark.parametrize(
    ("later", "soured"),
    [
        (WARNINGS, True),
        (WARNINGS[:2], False),
        ([*WARNINGS, (30.0, "order 17 stored")], False),
        ([(50.0, "order 17 stored"), *WARNINGS], True),  # what was under way ten seconds after is none
        ([(49.9, "order 17 stored"), *WARNINGS], False),
        ([*WARNINGS[:2], (35.0, "x" * 195 + " ERROR far behind the beginning of a line")], False),
    ],
)
def test_only_warnings_since_are_no_recovery(later: list[tuple[float, str]], soured: bool) -> None:
    assert log((60, SAYS), *later).course([0]).soured is soured


def test_what_a_course_keeps_of_the_complaint_itself() -> None:
    found = log((30, SAYS), (20, SAYS))
    course = found.course([1, 0])
    assert (course.last, course.newest, course.state) == (NOW - 20, True, False)
    assert found.course([0, 1], is_state=True).state
    assert not log((30, SAYS), (20, SAYS), OTHER).course([0, 1]).newest
    assert log((30, SAYS), (29.5, "a line of the same moment")).course([0]).newest


def test_an_earlier_run_ends_half_a_second_before_the_start() -> None:
    assert over(log((10.6, SAYS), OTHER, started_ago=10))
    assert not over(log((10.5, SAYS), OTHER, started_ago=10))


def test_a_state_is_one_until_it_is_said_for_the_third_time() -> None:
    assert not over(log((210, SAYS), (208, SAYS), OTHER), is_state=True)
    assert over(log((210, SAYS), (208, SAYS), (206, SAYS), OTHER), is_state=True)


def test_requests_that_failed_and_succeed_again_end_a_complaint() -> None:
    failed = [(9, SAYS), (9, '"GET /shop HTTP/1.1" 500 12'), (8, SAYS), (8, '"GET /shop HTTP/1.1" 500 12')]
    well = [(ago, '"GET /shop HTTP/1.1" 200 99') for ago in (3.0, 2.0, 1.0)]
    other = [(ago, '"GET /health HTTP/1.1" 200 2') for ago in (3.0, 2.0, 1.0)]
    assert over(log(*failed, *well))
    assert not over(log(*failed, *other)), "the health check always succeeded"


HAPROXY = '10.0.0.1:4 [30/Nov/2026:02:50:04] in be_shop/{} 0/0/0/2/2 {} 410 - - ---- 3/3/0/0/0 0/0 "GET /shop HTTP/1.1"'


@pytest.mark.parametrize(
    ("text", "status", "path", "server"),
    [
        ('10.0.0.1 - - [01/Jan/2026:00:00:00 +0000] "GET /a/b?x=1 HTTP/1.1" 502 157 "-" "curl"', 502, "/a/b", None),
        ('172.23.0.4 -  30/Nov/2026:02:14:31 +0000 "GET /index.php" 500', 500, "/index.php", None),
        ('INFO:     10.0.0.9:5000 - "POST /items/42 HTTP/1.1" 422 Unprocessable Entity', 422, "/items/…", None),
        ("GET /users/7/posts 200 3.141 ms - 12", 200, "/users/…", None),
        ('[GIN] 2026/01/01 - 00:00:00 | 503 |     1.2ms |  10.0.0.1 | GET      "/pay"', 503, "/pay", None),
        ('{"level":"error","msg":"handled request","request":{"uri":"/wiki"},"status":500}', 500, "/wiki", None),
        ("level=info method=GET path=/api/jobs status=504 duration=30s", 504, "/api/jobs", None),
        (HAPROXY.format("shop1", 500), 500, "/shop", "shop1"),
        (HAPROXY.format("<NOSRV>", 503), 503, "/shop", None),
    ],
)
def test_a_request_is_read_from_any_access_log(text: str, status: int, path: str, server: str | None) -> None:
    (found,) = requests.read([LogLine("logs:0", None, "stdout", text)])
    assert (found.status, found.path, found.server) == (status, path, server)


@pytest.mark.parametrize("text", ["status is 500 now", "GET /a", "error 500 while asking", '{"status": 500}'])
def test_what_only_looks_like_a_request_is_none(text: str) -> None:
    assert requests.read([LogLine("logs:0", None, "stdout", text)]) == []


@pytest.mark.parametrize(
    ("statuses", "fails"),
    [
        ([500, 500, 500], True),
        ([200, 200, 500, 500], False),  # too few to tell
        ([500, 500, 500, 200], False),  # works again
        ([404, 404, 404, 404], False),  # what scanners ask for was never there
        ([200, 200, 200, 404, 404, 404], True),  # what was there is gone
        ([200, 200, 200, 404, 500, 404], False),
    ],
)
def test_requests_of_a_kind_fail_when_the_newest_all_do(statuses: list[int], fails: bool) -> None:
    lines = [LogLine(f"logs:{n}", None, "stdout", f'"GET /x HTTP/1.1" {each} 1') for n, each in enumerate(statuses)]
    assert bool(requests.failing(requests.read(lines))) is fails


def app(*texts: str, **changes: object) -> Record:
    """A service whose healthcheck passes."""
    return service(
        "app", "healthy", texts, health="healthy", depends_on=["db"], observed_at="2026-01-01T00:09:09Z", **changes
    )


DENIED = "mysqli_sql_exception: Access denied for user 'app'@'10.0.0.7' (using password: YES)"


def test_a_green_healthcheck_does_not_hide_that_every_request_fails() -> None:
    failing = (DENIED, '"GET / HTTP/1.1" 500 1') * 4
    found = judge(app(*failing), service("db"))
    assert roots(found) == [("app", "auth_failure")]
    assert found["app"].status == "degraded"


def test_what_a_healthy_service_says_while_nothing_fails_is_a_complaint_and_no_issue() -> None:
    found = judge(app(*(DENIED, '"GET / HTTP/1.1" 200 1') * 4), service("db"))
    assert roots(found) == []
    (complaint,) = found["app"].complaints
    assert complaint.text.endswith(", 4 times in 6 seconds")
    assert complaint.occasions == 4


def test_what_was_said_of_a_peer_before_it_started_anew_is_over() -> None:
    refused = ("dial tcp db:5432: connect: connection refused",) * 4
    assert roots(judge(app(*refused), service("db"))) == [("db", "connection_refused")]
    anew = judge(app(*refused), service("db", started_at="2026-01-01T00:09:05Z"))
    assert roots(anew) == [] and not anew["app"].complaints


def stopped(name: str, second: int) -> Record:
    """A service that `docker compose stop` has ended."""
    event = {"ts": f"2026-01-01T00:09:{second:02d}Z", "action": "kill", "exit_code": None}
    return service(
        name, "failed", state="exited", exit_code=143, finished_at=f"2026-01-01T00:09:{second:02d}Z", events=[event]
    )


def test_a_project_that_was_stopped_as_a_whole_is_one_event() -> None:
    found = judge(stopped("web", 1), stopped("app", 2), stopped("db", 4))
    assert roots(found) == [("db", "stopped")]
    assert found["db"].severity == "warning"
    assert "all 3 services of shop were stopped within 3 seconds" in (found["db"].hypothesis or "")
    assert {each.service for each in found["db"].symptoms} == {"web", "app"}


def test_a_part_of_a_project_that_was_stopped_is_not() -> None:
    found = judge(stopped("web", 1), stopped("app", 2), service("db"))
    assert sorted(roots(found)) == [("app", "stopped"), ("web", "stopped")]


def test_requests_that_fail_for_no_known_reason_fail_because_of_whoever_has_one() -> None:
    """The proxy's configuration is in no environment: nothing but the requests tells whom it asks."""
    front = service("front", "healthy", ('"GET /orders/7 HTTP/1.1" 500 1',) * 4, health="healthy")
    damaged = ("sqlite3.DatabaseError: database disk image is malformed",) * 4
    orders = service("orders", "healthy", damaged, health="healthy", observed_at="2026-01-01T00:09:09Z")
    found = judge(front, orders, service("other"))
    assert roots(found) == [("orders", "data_corruption")]
    assert [each.path for each in found["orders"].symptoms] == [["front", "orders"]]


def test_two_proxies_that_fail_without_a_reason_do_not_suffer_from_each_other() -> None:
    """Each asks a worker that complains of the other one's path: a circle would never end."""
    failing = ('"GET /{}/1 HTTP/1.1" 500 1',) * 4
    one = service("one", "healthy", tuple(each.format("right") for each in failing), health="healthy")
    two = service("two", "healthy", tuple(each.format("left") for each in failing), health="healthy")
    refused = "dial tcp {}:8080: connect: connection refused"
    left = service("left", "degraded", (refused.format("one"),) * 4, depends_on=["one"])
    right = service("right", "degraded", (refused.format("two"),) * 4, depends_on=["two"])
    found = judge(one, two, left, right)
    assert sorted(roots(found)) == [("one", "http_error"), ("two", "http_error")]


def test_who_asks_another_is_known_from_the_access_log_of_the_one_that_is_asked() -> None:
    failing = tuple(f'10.0.0.9, 10.0.0.7 - - [x] "GET /{n} HTTP/1.1" 500 1' for n in range(4))
    back = service("back", "failed", failing, state="exited", exit_code=137, restart_policy="no")
    proxy = service("proxy", "healthy", ('"GET / HTTP/1.1" 502 1',) * 4, health="healthy")
    proxy["inspect"]["networks"] = [{"name": "shop_default", "ip": "10.0.0.7", "aliases": ["proxy"]}]
    found = judge(proxy, back, service("x"), service("y"))
    assert found["proxy"].peers == ["back"]
    assert [each.service for each in found["back"].symptoms] == ["proxy"]


def test_a_container_that_has_outlived_its_earlier_runs_does_not_loop_any_more() -> None:
    events = [
        {"ts": f"2026-01-01T00:08:{second:02d}Z", "action": action, "exit_code": None}
        for second, action in ((0, "start"), (2, "die"), (3, "start"), (5, "die"), (6, "start"))
    ]
    ran = {"restart_count": 2, "started_at": "2026-01-01T00:08:06Z", "events": events}
    assert roots(judge(service("job", **ran, observed_at="2026-01-01T00:09:00Z"))) == []
    assert roots(judge(service("job", **ran, observed_at="2026-01-01T00:08:09Z"))) == [("job", "crash_loop")]


READ, WRITTEN = '10.0.0.9 - - "GET /orders HTTP/1.1" 200 9', '10.0.0.9 - - "POST /orders HTTP/1.1" 500 9'


def test_what_can_be_read_may_not_be_written() -> None:
    found = log((9, WRITTEN), (8, READ), (6, WRITTEN), (5, READ), (3, WRITTEN), (2, READ), (1, READ))
    (failing,) = requests.failing(found.requests)
    assert (failing.path, failing.status, failing.count) == ("/orders", 500, 3)
    assert not over(log((9, WRITTEN), (9, SAYS), (7, READ), (6, READ), (5, READ), (4, READ)))


@pytest.mark.parametrize(
    ("said", "costly"),
    [
        ([(20.2, SAYS), (20, WRITTEN), (9, SAYS), (8.9, WRITTEN), (2, READ)], True),
        ([(20.2, SAYS), (20, READ), (9, SAYS), (8.9, WRITTEN), (2, READ)], False),
        ([(9, SAYS), (8.9, WRITTEN), (2, READ)], False),  # once may be chance
        ([(20.2, SAYS), (20, WRITTEN), (9, SAYS), (8.9, WRITTEN), (2, WRITTEN.replace("500", "201"))], False),
    ],
)
def test_what_costs_requests_is_no_mere_talk(said: list[tuple[float, str]], costly: bool) -> None:
    found = log(*said)
    places = [place for place, line in enumerate(found.lines) if line.text == SAYS]
    assert found.course(places).costly is costly
