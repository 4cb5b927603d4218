"""From alarms to one cause, on made records: chains, circles, two roots, strangers, missing evidence."""

from __future__ import annotations

from typing import Any

import pytest

from dm_tools.diagnose.analyze import analyze
from dm_tools.diagnose.facts import facts
from dm_tools.patterns import reading as reader
from dm_tools.patterns.language import Level
from dm_tools.records import Analysis
from tests.making import Record, check, service

LIBRARY = reader.read(None)


def judge(*stack: Record) -> dict[str, Analysis]:
    """The verdicts on a stack."""
    return analyze({record["service"]: facts(record, LIBRARY) for record in stack}, LIBRARY)


def roots(verdicts: dict[str, Analysis]) -> list[tuple[str, str]]:
    return sorted((name, str(each.cause)) for name, each in verdicts.items() if each.role == "root")


def paths(verdicts: dict[str, Analysis]) -> dict[str, list[str]]:
    return {name: each.root.path for name, each in verdicts.items() if each.role == "symptom" and each.root}


def refused(host: str, port: int = 5432) -> str:
    return f'connection to server at "{host}" (10.0.0.9), port {port} failed: Connection refused'


def test_a_chain_is_followed_to_its_end() -> None:
    found = judge(
        service("web", "failed", depends_on=["app"]),
        service("app", "failed", (refused("db"),), depends_on=["db"]),
        service("db", "failed", state="exited", exit_code=137, oom_killed=True),
        service("mail"),
    )
    assert roots(found) == [("db", "oom_killed")]
    assert paths(found) == {"web": ["web", "app", "db"], "app": ["app", "db"]}
    assert found["mail"].role == "healthy"
    assert [symptom.service for symptom in found["db"].symptoms] == ["app", "web"]
    assert found["db"].confidence == "high"


def test_two_independent_faults_are_two_incidents() -> None:
    found = judge(
        service("app", "failed", (refused("db"),), depends_on=["db", "cache"]),
        service("db", "failed", state="paused"),
        service("job", "failed", depends_on=["cache"]),
        service("cache", "failed", state="exited", exit_code=0),
    )
    assert roots(found) == [("cache", "stopped"), ("db", "paused")]
    assert paths(found) == {"app": ["app", "db"], "job": ["job", "cache"]}


def test_a_circle_ends() -> None:
    found = judge(
        service("a", "failed", (refused("b"),), depends_on=["b"]),
        service("b", "failed", (refused("c"),), depends_on=["c"]),
        service("c", "failed", (refused("a"), "OSError: [Errno 28] No space left on device"), depends_on=["a"]),
    )
    assert roots(found) == [("c", "disk_full")]
    assert paths(found) == {"a": ["a", "b", "c"], "b": ["b", "c"]}


def test_the_failure_of_a_host_outside_the_stack_stays_where_it_shows() -> None:
    found = judge(service("app", "failed", (refused("db.example.org"),)), service("web", "failed", depends_on=["app"]))
    assert roots(found) == [("app", "connection_refused")]
    assert paths(found) == {"web": ["web", "app"]}


def test_a_complaint_about_a_healthy_peer_is_the_services_own_fault() -> None:
    found = judge(service("app", "failed", (refused("db", 5433),), depends_on=["db"]), service("db"))
    assert roots(found) == [("app", "connection_refused")]
    assert "cannot connect to db" in str(found["app"].hypothesis)


def test_a_healthy_service_in_the_middle_takes_part() -> None:
    """The health check of app passes while its pages fail for the database's full disk."""
    full = 'psycopg2.errors.DiskFull: could not extend file "base/1": No space left on device'
    found = judge(
        service("web", "degraded", depends_on=["app"]),
        service("app", "healthy", (full,), depends_on=["db"], env_hosts=["db:5432"]),
        service("db"),
    )
    assert roots(found) == [("db", "disk_full")]
    assert paths(found) == {"web": ["web", "app", "db"], "app": ["app", "db"]}
    assert found["db"].evidence == ["app/logs:0"]
    assert found["db"].status == "degraded"


def test_old_trouble_of_a_healthy_stack_is_no_issue() -> None:
    found = judge(
        service("app", "healthy", (refused("db"), "connected"), depends_on=["db"]),
        service("db", restart_count=1, oom_killed=True),
    )
    assert roots(found) == []
    assert {each.role for each in found.values()} == {"healthy"}


FULL = "OSError: [Errno 28] No space left on device"
WELL = tuple(f"order {number} stored" for number in range(5))


def worker(lines: tuple[str, ...], **changes: Any) -> Record:
    """A running service without a URL: the only check is that its container runs."""
    probe = {"status": "healthy", "checks": [check(kind="container")]}
    return service("worker", "healthy", lines, **changes) | {"probe": probe}


@pytest.mark.parametrize(
    ("lines", "health", "accused"),
    [
        ((*WELL, FULL, FULL), None, True),
        ((*WELL, FULL, FULL), "starting", True),  # its healthcheck has no opinion yet
        ((*WELL, FULL, FULL), "healthy", False),  # somebody asks, and it answers
        ((*WELL, FULL), None, False),  # once is not always
        ((FULL, FULL, *WELL), None, False),  # it works again
        ((*WELL, "Unclosed client session", "Unclosed client session"), None, False),  # known, and only a warning
    ],
)
def test_of_a_worker_that_nobody_asks_its_last_words_count(
    lines: tuple[str, ...], health: str | None, accused: bool
) -> None:
    found = judge(worker(lines, health=health), service("db"))
    assert roots(found) == ([("worker", "disk_full")] if accused else [])
    assert found["worker"].status == ("degraded" if accused else "healthy")


SKEWED = "RequestTimeTooSkewed"


@pytest.mark.parametrize(
    ("said", "accused"),
    [
        (((2, SKEWED), (40, SKEWED)), False),  # a retry
        (((2, SKEWED), (40, SKEWED), (50, SKEWED)), True),
        (((2, SKEWED), (400, SKEWED)), True),  # again, much later, and nothing else
        (((2, SKEWED), (400, SKEWED), (410, "snapshot stored")), False),
        (((400, SKEWED),), False),
        (((2, refused("db")), (400, refused("db"))), False),  # it may be there the next time
        (((2, refused("db")), (400, refused("db")), (500, refused("db"))), True),
    ],
)
def test_a_green_healthcheck_does_not_outweigh_what_was_said_again_and_last(
    said: tuple[tuple[int, str], ...], accused: bool
) -> None:
    record = service("app", log=tuple(text for _, text in said), health="healthy", depends_on=["db"])
    for line, (second, _) in zip(record["logs"]["lines"], said, strict=True):
        line["ts"] = f"2026-01-01T00:{second // 60:02d}:{second % 60:02d}Z"
    assert bool(roots(judge(record, service("db")))) is accused


def test_a_peer_that_such_a_worker_complains_of_is_found() -> None:
    complaints = (refused("db"), refused("db"))
    found = judge(worker(complaints, depends_on=["db"]), service("db", "failed", state="exited", exit_code=0))
    assert roots(found) == [("db", "stopped")]
    assert paths(found) == {"worker": ["worker", "db"]}


def test_a_service_that_was_once_killed_is_not_blamed_for_everything() -> None:
    crash = 'Traceback (most recent call last):\n  File "a.py", line 1\nTypeError: no'
    found = judge(service("app", "failed", (crash,), depends_on=["db"]), service("db", oom_killed=True))
    assert roots(found) == [("app", "app_exception")]


def test_a_past_kill_of_a_running_service_does_not_hide_who_is_at_fault() -> None:
    found = judge(
        service("app", "failed", (refused("db"),), depends_on=["db"], oom_killed=True),
        service("db", "failed", state="paused"),
    )
    assert roots(found) == [("db", "paused")]


def test_what_a_database_said_at_its_start_does_not_make_it_the_root() -> None:
    crash = 'Traceback (most recent call last):\n  File "a.py", line 1\nValueError: no'
    words = "FATAL:  the database system is starting up"
    database = service("postgres", log=(words, "database system is ready to accept connections"))
    assert roots(judge(service("app", "failed", (crash,), depends_on=["postgres"]), database)) == [
        ("app", "app_exception")
    ]


def test_the_exporter_of_a_database_is_not_the_database() -> None:
    words = "pq: sorry, too many clients already"
    found = judge(
        service("postgres-exporter", "failed", (words,), env_hosts=["postgres:5432"]),
        service("postgres"),
    )
    assert roots(found) == [("postgres", "connection_limit")]


def test_one_log_alone_is_not_high_confidence() -> None:
    full = "OSError: [Errno 28] No space left on device"
    assert judge(service("app", "failed", (full,)))["app"].confidence == "medium"


def test_a_caught_exception_of_a_service_that_was_not_measured_is_no_issue() -> None:
    crash = 'Traceback (most recent call last):\n  File "a.py", line 1\nValueError: no'
    record = service("app", log=(crash,))
    del record["probe"], record["inspect"]
    assert roots(judge(record)) == []


def test_the_servers_own_words_about_a_client_do_not_accuse_the_server() -> None:
    words = 'FATAL:  password authentication failed for user "app"'
    found = judge(
        service("app", "failed", (f'connection to server at "db" (10.0.0.9), port 5432 failed: {words}',)),
        service("db", "healthy", (f"2026-01-01 UTC [7] {words}", "database system is ready to accept connections")),
    )
    assert roots(found) == [("app", "auth_failure")]
    assert found["app"].findings[0].captures["user"] == "app"
    assert found["app"].findings[0].captures["dependency"] == "db"


def test_names_of_the_own_project_come_first() -> None:
    other = service("other-db", "failed", state="paused", compose_service="db", project="other")
    found = judge(
        other,
        service("app", "failed", (refused("db"),), depends_on=["db"]),
        service("shop-db", "failed", state="exited", exit_code=0, compose_service="db"),
    )
    assert paths(found) == {"app": ["app", "shop-db"]}


def test_without_any_rule_the_verdict_is_inconclusive_and_says_what_was_looked_at() -> None:
    record = service("app")
    record["inspect"]["health"] = "unhealthy"
    record["probe"] = None
    found = judge(record)
    assert roots(found) == [("app", "inconclusive")]
    assert found["app"].confidence == "low"
    assert "inspect, logs" in str(found["app"].hypothesis)


def test_a_finished_job_is_healthy_and_a_stopped_service_is_not() -> None:
    job = service("migrate", state="exited", restart_policy="no") | {"probe": None}
    assert roots(judge(job)) == []
    assert roots(judge(service("db", "failed", state="exited", restart_policy="no"))) == [("db", "exited")]


@pytest.mark.parametrize("action", ["kill", "stop"])
def test_a_job_that_somebody_ended_has_not_finished_even_with_exit_code_0(action: str) -> None:
    """A program that handles the signal ends with 0, as one that has done its work does."""
    end = {"ts": "2026-01-01T00:09:00Z", "action": "die", "signal": None, "exit_code": 0}
    job = service("migrate", state="exited", restart_policy="no", events=[end]) | {"probe": None}
    assert roots(judge(job)) == []
    job["inspect"]["events"] = [end | {"action": action, "signal": 15, "exit_code": None}, end]
    (found,) = roots(judge(job))
    assert found[0] == "migrate"


@pytest.mark.parametrize("signal", [1, 10, 12, 17, 18, 28])
def test_a_signal_that_was_sent_to_be_heard_has_ended_nobody(signal: int) -> None:
    """`docker kill -s HUP` (read your settings), and later the job is done or the service ends by itself."""
    heard = {"ts": "2026-01-01T00:01:00Z", "action": "kill", "signal": signal, "exit_code": None}
    end = {"ts": "2026-01-01T00:09:00Z", "action": "die", "signal": None, "exit_code": 0}
    ended = service("x", state="exited", restart_policy="no", events=[heard, end])
    assert roots(judge(ended | {"probe": None})) == []
    assert roots(judge(service("x", "failed", state="exited", restart_policy="no", events=[heard, end]))) == [
        ("x", "exited")
    ]


def test_a_service_without_a_container() -> None:
    error = {"stage": "inspect", "code": "container_not_found", "message": "no container 'app'"}
    gone: Record = {"v": 1, "service": "app", "errors": [error]}
    assert roots(judge(gone)) == [("app", "container_missing")]
    outside = gone | {"probe": {"status": "healthy", "checks": [check()]}}
    assert roots(judge(outside)) == [], "a service elsewhere that answers needs no container here"


def test_evidence_always_resolves() -> None:
    found = judge(
        service("web", "failed", depends_on=["app"]),
        service("app", "failed", (refused("db"), "FATAL:  sorry, too many clients already"), env_hosts=["db:5432"]),
        service("db"),
    )
    for verdict in found.values():
        for finding in verdict.findings:
            assert finding.evidence
    assert all(verdict.evidence for verdict in found.values() if verdict.role in ("root", "symptom"))


@pytest.mark.parametrize("length", [2000])
def test_a_long_chain_and_a_large_circle_are_quick(length: int) -> None:
    chain = [service(f"s{n}", "failed", (refused(f"s{n + 1}"),), depends_on=[f"s{n + 1}"]) for n in range(length)]
    chain.append(service(f"s{length}", "failed", state="paused"))
    found = judge(*chain)
    assert roots(found) == [(f"s{length}", "paused")]
    circle = [service(f"s{n}", "failed", (refused(f"s{(n + 1) % length}"),)) for n in range(length)]
    assert len(roots(judge(*circle))) == 1


def login(host: str, user: str) -> str:
    words = f'FATAL:  password authentication failed for user "{user}"'
    return f'psycopg2.OperationalError: connection to server at "{host}" (10.0.0.9), port 5432 failed: {words}'


def test_three_refused_users_are_a_database_that_was_never_made() -> None:
    stack = [service(name, "failed", (login("db", name),), depends_on=["db"]) for name in ("app", "worker", "mail")]
    found = judge(*stack, service("db"))
    assert roots(found) == [("db", "auth_failure")]
    assert "users app, mail, worker" in str(found["db"].hypothesis)
    assert [symptom.service for symptom in found["db"].symptoms] == ["app", "mail", "worker"]
    assert found["db"].confidence == "high"  # three services say so


def test_one_refused_user_among_others_is_that_services_own_password() -> None:
    app, worker = service("app", "failed", (login("db", "app"),), depends_on=["db"]), service("worker")
    worker["inspect"]["depends_on"] = ["db"]
    assert roots(judge(app, worker, service("db"))) == [("app", "auth_failure")]


def test_a_port_where_nobody_listens_is_the_askers_fault() -> None:
    database = service("db", compose_service="db") | {"internal": ["tcp://db:5432"]}
    found = judge(service("app", "failed", (refused("db", 5433),), depends_on=["db"]), database)
    assert roots(found) == [("app", "wrong_port")]
    assert "asks db at port 5433" in str(found["app"].hypothesis)


def test_services_without_a_network_in_common() -> None:
    words = 'could not translate host name "db" to address: Name or service not known'
    app = service("app", "failed", (words,), networks=[{"name": "front", "ip": None, "aliases": ["app"]}])
    database = service("db", networks=[{"name": "back", "ip": None, "aliases": ["db"]}])
    found = judge(app, database)
    assert roots(found) == [("app", "network_detached")]
    assert "inspect:networks" in found["app"].evidence


def test_the_machines_own_name_leads_to_who_publishes_the_port() -> None:
    app = service("app", "failed", (refused("host.docker.internal", 15432),))
    port = {"container_port": 5432, "protocol": "tcp", "host_ip": "0.0.0.0", "host_port": 15432}
    found = judge(app, service("db", "failed", state="paused", ports=[port]))
    assert paths(found) == {"app": ["app", "db"]}


def test_what_two_services_say_of_one_that_looks_well_is_one_incident() -> None:
    stack = [service(name, "failed", (refused("db"),), depends_on=["db"]) for name in ("app", "worker")]
    found = judge(*stack, service("db"))
    assert roots(found) == [("db", "connection_refused")]
    assert "app, worker cannot use db" in str(found["db"].hypothesis)


def test_of_two_broken_peers_the_one_that_was_blamed_first_is_followed() -> None:
    log = (refused("cache", 6379), "later", refused("db"))
    stack = [service("app", "failed", log), *(service(each, "failed", state="paused") for each in ("db", "cache"))]
    assert paths(judge(*stack)) == {"app": ["app", "cache"]}


def test_a_host_that_is_not_in_the_stack_is_named_as_such() -> None:
    found = judge(service("app", "failed", (refused("pay.example.org", 443),)), service("db"))
    assert "pay.example.org is no service of this stack" in str(found["app"].hypothesis)
    alone = judge(service("app", "failed", (refused("127.0.0.1", 6379),)), service("db"))
    assert "that is the container itself" in str(alone["app"].hypothesis)


def test_what_came_before_the_recovery_is_over() -> None:
    alarm = "memory resource limit alarm set on node 'rabbit@a'."
    cleared = "memory resource limit alarm cleared on node 'rabbit@a'"
    assert roots(judge(service("rabbitmq", "failed", (alarm,)))) == [("rabbitmq", "memory_pressure")]
    again = judge(service("rabbitmq", "failed", (alarm, cleared)))
    assert "rabbitmq.memory_alarm" not in {finding.pattern for finding in again["rabbitmq"].findings}


def test_that_it_is_slow_is_explained_by_its_own_saturation() -> None:
    words = (
        "2026/01/01 00:00:00 [error] 7#7: *1 upstream timed out (110: Connection timed out) while reading response "
        'header from upstream, client: 10.0.0.1, request: "GET / HTTP/1.1", upstream: "http://app:8000/", host: "web"'
    )
    app = service("app")
    keys = ("cpu_percent", "memory_bytes", "memory_limit_bytes", "memory_percent", "pids", "pids_limit")
    more = ("network_rx_bytes", "network_tx_bytes", "block_read_bytes", "block_write_bytes")
    app["stats"] = dict.fromkeys((*keys, *more)) | {"throttled_percent": 100.0}
    assert roots(judge(service("web", "failed", (words,)), app)) == [("app", "cpu_saturated")]


def test_a_way_of_many_steps_is_shown_without_its_middle() -> None:
    chain = [service(f"s{n}", "failed", (refused(f"s{n + 1}"),)) for n in range(100)]
    found = judge(*chain, service("s100", "failed", state="paused"))
    way = paths(found)["s0"]
    assert (way[0], way[-1]) == ("s0", "s100")
    assert len(way) <= 34
    assert paths(found)["s90"] == [f"s{n}" for n in range(90, 101)]


def test_an_inconclusive_verdict_says_what_to_look_at_next() -> None:
    record = service("app", depends_on=["db"])
    record["inspect"]["health"] = "unhealthy"
    record["probe"] = None
    found = judge(record, service("db"))["app"]
    assert found.cause == "inconclusive"
    assert any("dm-probe" in each for each in found.next)
    assert any("log" in each for each in found.next)
    assert any("db" in each for each in found.next)


def test_what_stands_in_a_log_is_no_fact_of_the_engine_whatever_its_patterns_level() -> None:
    words = 'PANIC:  could not write to file "pg_wal/xlogtemp.71": No space left on device'
    found = judge(service("postgres", "failed", (words,)))
    assert {each.level for each in LIBRARY.patterns if each.id == found["postgres"].pattern} == {Level.FACT}
    assert (found["postgres"].cause, found["postgres"].confidence) == ("disk_full", "medium")


def test_what_somebody_has_to_change_is_quoted_where_the_sentence_does_not_name_it() -> None:
    line = "doveconf: Fatal: Error in configuration file /etc/dovecot.conf line 12: ssl_cert: Can't open file x.pem"
    verdict = judge(service("mail", "failed", (line,)))["mail"]
    assert str(verdict.hypothesis).endswith(f': "{line}"')


def test_an_address_that_nobody_bears_is_told_with_its_port() -> None:
    verdict = judge(service("wiki", "failed", ("Error: connect ECONNREFUSED 172.27.0.3:6397",)))["wiki"]
    assert "172.27.0.3:6397" in str(verdict.hypothesis)


@pytest.mark.parametrize(("times", "role"), [(1, "healthy"), (2, "root")])
def test_that_a_server_turns_a_stranger_away_once_is_no_trouble(times: int, role: str) -> None:
    said = "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to Redis."
    record = service("cache", log=(said,) * times)
    alone = {key: record[key] for key in ("v", "service", "container", "logs")}
    assert judge(alone)["cache"].role == role


def test_a_healthcheck_that_fails_beside_a_url_that_answers_is_what_is_wrong() -> None:
    record = service("app", health="unhealthy", has_healthcheck=True, ports=[])
    said = {
        "exit_code": 1,
        "output": "wget: can't connect to remote host: Connection refused",
        "start": None,
        "end": None,
    }
    record["inspect"]["health_log"] = [said | {"start": "2026-01-01T00:09:00Z", "end": "2026-01-01T00:09:01Z"}]
    record["probe"] = {"status": "degraded", "checks": [check("unhealthy", kind="container"), check(None, 1)]}
    assert roots(judge(record)) == [("app", "healthcheck_broken")]
    record["probe"]["checks"][1] = check("refused", 1)
    assert roots(judge(record)) == [("app", "connection_refused")]


CRASHED = "Page crashed!"


@pytest.mark.parametrize(("said", "accused"), [((CRASHED,), True), ((CRASHED, "session 17 opened"), False)])
def test_what_a_client_was_told_before_counts_while_its_peer_has_said_nothing_since(
    said: tuple[str, ...], accused: bool
) -> None:
    client = service("app", log=(CRASHED, "job 17 stored"), depends_on=["browser"])
    peer = service("browser", log=said)
    for record, second in ((client, 5), (peer, 4)):
        record["logs"]["lines"][0]["ts"] = f"2026-01-01T00:05:{second:02d}Z"
        del record["probe"]
    assert roots(judge(client, peer)) == ([("browser", "limit_exceeded")] if accused else [])


@pytest.mark.parametrize(
    ("line", "accused"),
    [
        (
            "postfix/smtp[5]: warning: SASL authentication failed; server mx.example[192.0.2.3] said: 535 5.7.8 Error",
            True,
        ),
        ("postfix/smtpd[5]: warning: unknown[203.0.113.9]: SASL LOGIN authentication failed: 535 5.7.8 UGFz", False),
    ],
)
def test_a_relay_that_another_server_refuses_is_not_the_one_that_refuses(line: str, accused: bool) -> None:
    started = "postfix/master[1]: daemon started -- version 3.8.6, configuration /etc/postfix"
    record = service("postfix", log=(started, line, line, line))
    assert bool(roots(judge(record, service("app")))) is accused


HOST = "Invalid HTTP_HOST header: 'scan.example.org'. You may need to add 'scan.example.org' to ALLOWED_HOSTS."


@pytest.mark.parametrize(("times", "health", "accused"), [(3, "healthy", False), (1, None, False), (3, None, True)])
def test_a_request_that_was_turned_away_may_be_a_strangers(times: int, health: str | None, accused: bool) -> None:
    record = worker((HOST,) * times, health=health)
    assert bool(roots(judge(record, service("db")))) is accused
    failed = service("app", "failed", (HOST,))
    assert roots(judge(failed)) == [("app", "config_error")]


@pytest.mark.parametrize(
    "said",
    [
        'UTC [77] FATAL:  role "root" does not exist',  # what pg_isready without a user brings about
        "http: TLS handshake error from 203.0.113.9:51234: tls: first record does not look like a TLS handshake",
        "URL GET /Items/x. MediaBrowser.Common.Extensions.ResourceNotFoundException",
    ],
)
def test_what_healthy_services_say_of_strangers_and_checks_is_no_trouble(said: str) -> None:
    assert roots(judge(worker((said,) * 3), service("db"))) == []
