"""dm_tools/diagnose/relations.py: what several services prove together, and what a verdict makes of it."""

from __future__ import annotations

from typing import Any

import pytest

from dm_tools.act.propose import propose
from dm_tools.diagnose import analyze as judge
from dm_tools.diagnose.facts import facts
from dm_tools.patterns import reading as reader
from dm_tools.records import ActionName, Analysis, Cause, Role, Status
from tests.making import Record, check, service

LIBRARY = reader.read(None)
OLD, NEW = "1" * 64, "2" * 64


def judged(*records: Record) -> dict[str, Analysis]:
    return judge.analyze({each["service"]: facts(each, LIBRARY) for each in records}, LIBRARY)


def actions(name: str, verdicts: dict[str, Analysis]) -> list[ActionName]:
    return [each.action for each in propose(name, verdicts[name])]


def port(number: int, on_machine: int | None = None) -> Record:
    return {"container_port": number, "protocol": "tcp", "host_ip": None, "host_port": on_machine}


def sidecar(owner: Record | None = None, container: str = OLD, **changes: Any) -> Record:
    """An exporter in the network of a database."""
    mode = {"network_mode": f"container:{container}", "networks": [], "ports": [port(9104)], "network_owner": owner}
    return service("metrics", id="3" * 64, **mode | changes)


def database(**changes: Any) -> Record:
    return service("db", **{"id": NEW, "ports": [port(3306), port(9104, 19104)]} | changes)


def refused(record: Record, number: int) -> Record:
    checks = [check("refused", url=f"tcp://db:{number}", kind="tcp")]
    return record | {"probe": {"status": "failed", "checks": checks}}


def owner(name: str | None, state: str | None = None, started: str | None = None) -> Record:
    return {"id": OLD, "name": name, "state": state, "started_at": started}


GONE = owner(None)


@pytest.mark.parametrize("known", [GONE, None])
def test_who_shares_the_network_of_a_container_that_is_gone_is_made_anew(known: Record | None) -> None:
    verdicts = judged(sidecar(known), refused(database(), 9104))
    found = verdicts["metrics"]
    assert (found.role, found.cause, found.status) == (Role.ROOT, Cause.NETWORK_DETACHED, Status.FAILED)
    assert "made anew" in str(found.hypothesis) and "db" in str(found.hypothesis)
    assert actions("metrics", verdicts) == [ActionName.RECREATE]
    assert verdicts["db"].role == Role.SYMPTOM and verdicts["db"].root and verdicts["db"].root.service == "metrics"


def test_what_nothing_proves_to_be_gone_is_not() -> None:
    """Its owner may just not be among the records."""
    assert judged(sidecar(None), service("web"))["metrics"].role == Role.HEALTHY
    alone = judged(sidecar(GONE))["metrics"]
    assert (alone.cause, alone.role) == (Cause.NETWORK_DETACHED, Role.ROOT), "the engine said so itself"


@pytest.mark.parametrize(
    ("started", "left"), [("2026-01-01T00:05:00Z", True), ("2025-12-31T00:00:00Z", False), (None, False)]
)
def test_an_owner_that_was_started_after_its_sharer_left_it_behind(started: str | None, left: bool) -> None:
    for records in (
        [sidecar(None, container=NEW), database(started_at=started)],
        [sidecar(owner("shop-db-1", "running", started))],
    ):
        verdicts = judged(*records)
        assert (verdicts["metrics"].cause == Cause.NETWORK_DETACHED) is left
        if left:
            assert "restarted" in str(verdicts["metrics"].hypothesis)
            assert actions("metrics", verdicts) == [ActionName.RESTART]


def test_who_shares_the_network_of_a_stopped_one_suffers_from_it() -> None:
    stopped = {"state": "exited", "exit_code": 137, "restart_policy": "no"}
    verdicts = judged(sidecar(None, container=NEW), database(**stopped))
    assert verdicts["db"].role == Role.ROOT
    assert [each.service for each in verdicts["db"].symptoms] == ["metrics"]
    assert actions("metrics", verdicts) == [ActionName.CHECK_DEPENDENCIES]


JOIN = "cannot join network of a non running container: " + OLD


def test_a_sharer_that_could_not_start_is_started_once_its_owner_runs() -> None:
    down = {"state": "exited", "exit_code": 0, "error": JOIN}
    verdicts = judged(sidecar(owner("shop-db-1", "running", "2025-12-31T00:00:00Z"), **down))
    assert (verdicts["metrics"].cause, actions("metrics", verdicts)) == (Cause.STOPPED, [ActionName.START])
    gone = judged(sidecar(GONE, **down))
    assert (gone["metrics"].cause, actions("metrics", gone)) == (Cause.NETWORK_DETACHED, [ActionName.RECREATE])


WAITS: dict[str, Any] = {"state": "created", "depends_on": ["migrate"]}
FAILED_JOB: dict[str, Any] = {"state": "exited", "exit_code": 1, "restart_policy": "no"}
DONE_JOB: dict[str, Any] = {"state": "exited", "exit_code": 0, "restart_policy": "no"}
COMPLETED = {"migrate": "service_completed_successfully"}
HEALTHY = {"migrate": "service_healthy"}


@pytest.mark.parametrize("conditions", [COMPLETED, {}])  # records of before have no conditions
def test_what_waits_for_a_job_that_failed_is_its_symptom_and_never_started(conditions: dict[str, str]) -> None:
    verdicts = judged(service("app", conditions=conditions, **WAITS), service("migrate", "failed", **FAILED_JOB))
    assert verdicts["migrate"].role == Role.ROOT
    assert [each.service for each in verdicts["migrate"].symptoms] == ["app"]
    assert "ended with 1" in str(verdicts["app"].hypothesis)
    assert ActionName.START not in actions("app", verdicts)


def test_what_waits_for_an_unhealthy_one_is_its_symptom() -> None:
    sick = {"health": "unhealthy", "has_healthcheck": True, "failing_streak": 3}
    verdicts = judged(service("app", conditions=HEALTHY, **WAITS), service("migrate", "failed", **sick))
    assert [each.service for each in verdicts["migrate"].symptoms] == ["app"]


def test_what_waits_for_a_job_that_still_runs_is_no_trouble() -> None:
    verdicts = judged(service("app", conditions=COMPLETED, **WAITS), service("migrate", restart_policy="no"))
    assert {each.role for each in verdicts.values()} == {Role.HEALTHY}


def test_behind_open_gates_a_start_helps() -> None:
    verdicts = judged(service("app", "failed", conditions=COMPLETED, **WAITS), service("migrate", **DONE_JOB))
    assert (verdicts["app"].role, actions("app", verdicts)) == (Role.ROOT, [ActionName.START])


TAKEN = {"state": "created", "exit_code": 128, "error": "Bind for 0.0.0.0:8080 failed: port is already allocated"}


def test_a_taken_port_names_who_has_it() -> None:
    wanted = service("web", "failed", ports=[port(80, 8080)], **TAKEN)
    verdicts = judged(wanted, service("old", ports=[port(80, 8080)]))
    assert "old publishes it" in str(verdicts["web"].hypothesis)
    stopped = judged(wanted, service("old", ports=[port(80, 8080)], state="exited"))
    assert "another program of the machine" in str(stopped["web"].hypothesis)
    elsewhere = judged(wanted, service("old", ports=[port(80, 8080)]) | {"docker_host": "tcp://other:2375"})
    assert "another program of the machine" in str(elsewhere["web"].hypothesis)


def test_a_port_of_the_machine_is_no_port_inside_the_network() -> None:
    app = service("app", "failed", env_hosts=["db:13306"])
    verdicts = judged(app, service("db", ports=[port(3306, 13306)]))
    assert verdicts["app"].cause == Cause.WRONG_PORT
    assert "inside the network the port of db is 3306" in str(verdicts["app"].hypothesis)
    assert judged(app, service("db", ports=[port(13306, 13306)]))["app"].cause != Cause.WRONG_PORT


def test_one_that_ended_well_and_is_missed_was_no_job() -> None:
    words = "Error 111 connecting to queue:5672. Connection refused."
    ended = service("queue", **DONE_JOB) | {"probe": None}
    verdicts = judged(service("app", "failed", (words,)), ended)
    assert (verdicts["queue"].role, verdicts["queue"].cause) == (Role.ROOT, Cause.EXITED)
    assert [each.service for each in verdicts["queue"].symptoms] == ["app"]
    assert judged(service("app"), ended)["queue"].role == Role.HEALTHY


def test_who_shares_the_network_of_one_that_keeps_dying_is_no_root_beside_it() -> None:
    dying = {"state": "restarting", "restart_count": 7, "exit_code": 1, "started_at": "2026-01-01T00:09:00Z"}
    verdicts = judged(sidecar(None, container=NEW), database(**dying) | {"probe": None})
    assert [each.service for each in verdicts["db"].symptoms] == ["metrics"]


def unasked(name: str, *log: str, **changes: Any) -> Record:
    """A running service of which only the container's state is known."""
    probe = {"status": "healthy", "checks": [check(kind="container")]}
    return service(name, log=log, **changes) | {"probe": probe}


TIMEOUTS = tuple(f"order {number}: Net::ReadTimeout" for number in range(3))
AGES_AGO = {"lines": [{"id": "logs:0", "ts": "2026-01-01T00:00:01Z", "stream": "stdout", "text": "listening on :3000"}]}


@pytest.mark.parametrize(("mute", "root"), [(True, "prices"), (False, "shop")])
def test_who_is_waited_for_and_says_nothing_is_at_fault(mute: bool, root: str) -> None:
    """Of those that a client asks without saying whom: the only one that shows no sign of life."""
    prices = unasked("prices", *("price of apple: 3",) * 32)
    if mute:
        prices["logs"] = AGES_AGO | {"total_lines": 1, "truncated": False}
    client = unasked("shop", *("started",) * 30, *TIMEOUTS, env_hosts=["prices:3000", "stock:8000"])
    verdicts = judged(client, prices, unasked("stock", *("stock of apple: 5",) * 32))
    assert [name for name, each in verdicts.items() if each.role == Role.ROOT] == [root]
    if mute:
        assert verdicts["prices"].cause == Cause.UNRESPONSIVE and actions("prices", verdicts)[0] == ActionName.RESTART


def test_tables_are_missing_because_the_database_was_not_ready() -> None:
    early = ("migrating", "could not connect to db:5432: Connection refused")
    missing = 'ERROR: relation "orders" does not exist'
    late = judged(service("shop", "failed", (*early, missing)), service("db"))
    assert late["shop"].cause == Cause.SCHEMA_MISSING and actions("shop", late)[0] == ActionName.RESTART
    assert actions("shop", judged(service("shop", "failed", (missing,)), service("db")))[0] != ActionName.RESTART


@pytest.mark.parametrize(("name", "told"), [("ledger", True), ("db", False), ("x y;", False)])
def test_a_dependency_of_which_there_is_no_container_is_named(name: str, told: bool) -> None:
    failing = unasked("shop", depends_on=[name], health="unhealthy", failing_streak=3)
    failing["probe"] = {"status": "failed", "checks": [check("unhealthy", kind="container")]}
    found = judged(failing, service("db"))["shop"]
    assert (found.cause == Cause.CONTAINER_MISSING) == told


LOCKED_OUT = "ERROR cannot open /srv/ring.db: Permission denied"


@pytest.mark.parametrize(
    ("record", "counts"),
    [
        (unasked("shop", "started", LOCKED_OUT), True),  # nothing was said since, and it does not get well by itself
        (unasked("shop", LOCKED_OUT, "order 1 stored"), False),
        (unasked("shop", "started", LOCKED_OUT, health="healthy", has_healthcheck=True), False),  # it answers, and once
        (unasked("shop", "started", LOCKED_OUT, LOCKED_OUT, health="healthy", has_healthcheck=True), True),
        (unasked("shop", "started", "cannot connect to ledger:5432: Connection refused"), False),  # that may get well
    ],
)
def test_what_does_not_get_well_by_itself_counts_when_it_was_the_last_word(record: Record, counts: bool) -> None:
    assert (judged(record)["shop"].role == Role.ROOT) == counts


def test_what_a_server_says_of_the_question_of_its_client_is_no_trouble_of_its_own() -> None:
    lines = ('FATAL:  database "shopp" does not exist',) * 2
    postgres = service("db", log=("ready to accept connections", *lines), health="healthy")
    refusal = f"psycopg.OperationalError: connection failed: {lines[0]}"
    client = service("shop", "failed", (refusal,), env_hosts=["db:5432"])
    assert [name for name, each in judged(client, postgres).items() if each.role == Role.ROOT] == ["shop"]


ASKS_IN_VAIN = "dial tcp: lookup ok; dial tcp db:3306: connect: connection refused"
OWN_FAULT = (
    "Error: permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock"
)


@pytest.mark.parametrize(
    ("log", "role"),
    [((ASKS_IN_VAIN, OWN_FAULT), Role.ROOT), ((OWN_FAULT, ASKS_IN_VAIN), Role.SYMPTOM)],
)
def test_one_that_ends_by_what_it_says_last_is_a_root_beside_whom_it_complains_of(
    log: tuple[str, ...], role: Role
) -> None:
    down = {"state": "restarting", "restart_count": 7, "exit_code": 1}
    runner = service("runner", "failed", log, depends_on=["db"], env_hosts=["db:3306"], **down)
    verdicts = judged(runner, service("db", "failed", state="exited", exit_code=1))
    assert (verdicts["runner"].role, verdicts["db"].role) == (role, Role.ROOT)


@pytest.mark.parametrize(
    ("started", "told"), [("2026-01-01T00:00:00Z", "was not ready yet"), ("2026-01-01T00:00:30Z", "was away and runs")]
)
def test_a_job_that_ended_before_whom_it_asked_was_ready_is_only_to_be_started(started: str, told: str) -> None:
    ended = {"state": "exited", "exit_code": 1, "restart_policy": "no", "finished_at": "2026-01-01T00:00:12Z"}
    job = service("job", "failed", (ASKS_IN_VAIN,), depends_on=["db"], env_hosts=["db:3306"], **ended)
    verdicts = judged(job, service("db", started_at=started))
    assert told in str(verdicts["job"].hypothesis)
    assert actions("job", verdicts)[0] == ActionName.START


TOO_LARGE = "model requires more system memory (39.4 GiB) than is available (14.2 GiB)"


@pytest.mark.parametrize(("client", "counts"), [(f"error: {TOO_LARGE}", True), ("listening", False)])
def test_what_a_client_was_told_and_its_peer_says_of_itself_counts_though_it_was_said_once(
    client: str, counts: bool
) -> None:
    models = unasked("models", "started", f'level=INFO msg="load failed" error="{TOO_LARGE}"')
    shop = service("shop", log=("started", client), health="healthy", env_hosts=["models:11434"])
    assert (judged(shop, models)["models"].role == Role.ROOT) == counts


FLOOD = (
    "[WARN ][o.e.c.r.a.DiskThresholdMonitor] [a] flood stage disk watermark [95%] exceeded on [b][a][/data] free: 1gb"
)


@pytest.mark.parametrize(
    ("later", "counts"),
    [("[INFO ] gc", True), ("[INFO ] low disk watermark [85%] no longer exceeded on [b][a][/data]", False)],
)
def test_a_green_healthcheck_does_not_tell_that_a_full_disk_is_well(later: str, counts: bool) -> None:
    search = service("search", log=("[o.e.n.Node ] started", FLOOD, later), health="healthy", has_healthcheck=True)
    assert (judged(search)["search"].role == Role.ROOT) == counts
