"""What a client and the one that it needs say of the same thing, and whom a verdict names for it."""

from __future__ import annotations

import pytest

from dm_tools.diagnose import analyze as judge
from dm_tools.diagnose.facts import facts
from dm_tools.patterns import reading as reader
from dm_tools.records import Analysis, Cause, Role
from tests.making import Record, check, service

LIBRARY = reader.read(None)


def judged(*records: Record) -> dict[str, Analysis]:
    return judge.analyze({each["service"]: facts(each, LIBRARY) for each in records}, LIBRARY)


def roots(verdicts: dict[str, Analysis]) -> list[tuple[str, Cause | None]]:
    return [(name, each.cause) for name, each in verdicts.items() if each.role == Role.ROOT]


def unasked(name: str, *log: str, **changes: object) -> Record:
    """A running service of which only the container's state is known."""
    return service(name, log=log, **changes) | {"probe": {"status": "healthy", "checks": [check(kind="container")]}}


QUOTA = "mqtt error: Quota exceeded"
LICENCE = "[error] tag: LICENSE, clientid: a, msg: connection_rejected_due_to_license_limit_reached"


def test_a_limit_that_the_other_side_tells_of_in_its_own_words_is_that_ones() -> None:
    client = unasked("ingest", QUOTA, QUOTA, QUOTA, env_hosts=["broker:1883"])
    assert roots(judged(client, unasked("broker", LICENCE, LICENCE))) == [("broker", Cause.LIMIT_EXCEEDED)]
    assert roots(judged(client, unasked("broker", "started"))) == [("ingest", Cause.LIMIT_EXCEEDED)]


NO_NAME = "java.net.UnknownHostException: guacd"


@pytest.mark.parametrize(("network", "accused"), [("back", True), ("front", False)])
def test_that_two_have_no_network_in_common_outweighs_a_green_healthcheck(network: str, accused: bool) -> None:
    where = {"network_mode": "front", "networks": [{"name": "front", "ip": None, "aliases": ["web"]}]}
    there = {"network_mode": network, "networks": [{"name": network, "ip": None, "aliases": ["guacd"]}]}
    client = service("web", log=(NO_NAME, NO_NAME), env_hosts=["guacd:4822"], health="healthy", **where)
    found = roots(judged(client, service("guacd", **there)))
    assert found == ([("web", Cause.NETWORK_DETACHED)] if accused else [])


REFUSED = 'WARNING Refused connection with hostname "loader" from: 172.27.0.4'
COMPLAINT = "[Warn] Unable to connect to http://loader:8080/api, please check your settings"


@pytest.mark.parametrize(("complains", "accused"), [(True, True), (False, False)])
def test_who_is_turned_away_is_no_stranger_if_it_is_a_client_that_complains(complains: bool, accused: bool) -> None:
    server = service("loader", log=(REFUSED,) * 3, health="healthy")
    client = service("music", log=(COMPLAINT,) * 3 if complains else (), env_hosts=["loader:8080"], health="healthy")
    found = roots(judged(server, client))
    assert found == ([("loader", Cause.CONFIG_ERROR)] if accused else [])


GONE = "MemcachedError: error 47 from memcached_get: SERVER HAS FAILED AND IS DISABLED"
DONE = {"state": "exited", "exit_code": 0, "restart_policy": "no"}


@pytest.mark.parametrize(("times", "root"), [(2, "memcached"), (1, None)])
def test_one_that_ended_well_is_missed_by_whom_nobody_asks_and_who_does_not_name_it(times: int, root: str) -> None:
    needs = ["db:3306", "memcached:11211"]
    client = unasked("files", *("page shown",) * 3, *(GONE,) * times, env_hosts=needs)
    verdicts = judged(client, service("db"), service("memcached", **DONE) | {"probe": None})
    assert [name for name, _ in roots(verdicts) if name == "memcached"] == ([root] if root else [])


def test_a_job_that_is_done_is_not_missed_by_who_only_depended_on_it() -> None:
    client = unasked("files", GONE, GONE, depends_on=["migrate"], env_hosts=["db:3306"])
    assert judged(client, service("db"), service("migrate", **DONE) | {"probe": None})["migrate"].role == Role.HEALTHY


WRITE = 'PHP Fatal error:  Uncaught: The stream or file "/srv/storage/laravel.log" could not be opened'


@pytest.mark.parametrize(
    ("later", "answers", "root"),
    [
        ("#2 {main}", False, "app"),
        ("#2 {main}", True, None),  # nobody is seen to fail
        ("the connection has been restored", False, "web"),  # it said that it is over
    ],
)
def test_what_a_peer_said_long_ago_and_stays_counts_where_its_client_fails_now(
    later: str, answers: bool, root: str | None
) -> None:
    app = unasked("app", WRITE, later, started_at="2026-01-01T00:00:00Z", observed_at="2026-01-01T01:00:00.000Z")
    app["logs"]["lines"][1]["ts"] = "2026-01-01T00:09:10Z"
    probe = {"status": "healthy" if answers else "failed", "checks": [check(None if answers else "http_5xx")]}
    web = service("web", depends_on=["app"]) | {"probe": probe}
    assert [name for name, _ in roots(judged(web, app))] == ([root] if root else [])


GAVE_UP = "MaxRetriesExceededError: Reached maximum retries (3) for URL https://api.weather.example/v1"


def test_who_says_that_somebody_is_down_and_not_who_means_the_one_that_is() -> None:
    down = {"state": "restarting", "exit_code": 137, "restart_count": 51, "oom_killed": True}
    client = unasked("api", GAVE_UP, GAVE_UP, env_hosts=["db:5432", "proxy:3128"])
    verdicts = judged(client, service("db"), service("proxy", **down) | {"probe": None})
    assert roots(verdicts) == [("proxy", Cause.OOM_KILLED)]
    assert roots(judged(client, service("db"), service("proxy")))[0][0] == "api"


@pytest.mark.parametrize(
    ("lines", "accused"),
    [
        (
            ("order 1 stored", "ERROR cannot open file /srv/in/7.pdf: No such file or directory"),
            False,
        ),
        (("ERROR cannot open file /srv/app.db: No such file or directory",) * 3, True),
    ],
)
def test_one_file_that_one_user_misses_is_no_trouble_where_nobody_asks(lines: tuple[str, ...], accused: bool) -> None:
    assert bool(roots(judged(unasked("app", *lines)))) is accused
