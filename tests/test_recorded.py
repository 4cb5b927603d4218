"""`inspect`, `stats` and `logs` on what real engines answered, without one: Docker 20.10 and 26.1, Podman 4.3 and 5.4.

tests/lab/record_engine.py made the recordings; it says what each container is.
"""

import gzip
import io
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dm_tools import redact
from dm_tools.act import state
from dm_tools.act.world import PODMANS_OWN, known_networks
from dm_tools.collect import inspect, logs
from dm_tools.collect.environment import env_hosts
from dm_tools.collect.stats import figures
from dm_tools.engine import finding, reading
from dm_tools.records import Inspect, Problem, Stats

ENGINES = Path(__file__).parent / "data" / "engines"
VERSIONS = sorted(path.name for path in ENGINES.iterdir())
DOCKER = [name for name in VERSIONS if not name.startswith("podman")]
PODMAN = [name for name in VERSIONS if name.startswith("podman")]
RUNS = ("healthy", "unhealthy", "limited", "networked", "paused")
ENDED = ("exited", "oom", "created")


def recorded(version: str, name: str) -> dict[str, Any]:
    answers: dict[str, Any] = json.loads((ENGINES / version / f"{name}.json").read_text())
    return answers


def digest(version: str, name: str) -> Inspect:
    answers = recorded(version, name)
    return inspect.digest(answers["inspect"], answers["events"], "2026-11-30T00:00:00Z", redact.Redactor())


def stats(version: str, name: str) -> Stats:
    return figures(recorded(version, name)["stats"])


def actions(digested: Inspect) -> list[str]:
    return [event.action for event in digested.events]


def test_there_are_recordings_of_both_kinds_of_engines() -> None:
    assert (len(DOCKER), len(PODMAN)) == (2, 2)


every_engine = pytest.mark.parametrize("version", VERSIONS)


@every_engine
@pytest.mark.parametrize("name", [*RUNS, *ENDED])
def test_each_digest_keeps_the_contract(version: str, name: str) -> None:
    found = digest(version, name)
    assert msgspec.convert(msgspec.to_builtins(found), Inspect) == found
    assert found.name == f"recorded-{name}"
    assert found.id == recorded(version, name)["listed"]["Id"]
    assert found.state == recorded(version, name)["listed"]["State"]
    assert found.health != ""
    assert found.restart_policy == ("always" if name == "limited" else "no")
    assert "made-up" not in str(found)


@every_engine
def test_states_and_exit_codes(version: str) -> None:
    assert {name: (digest(version, name).state, digest(version, name).exit_code) for name in (*RUNS, *ENDED)} == {
        "healthy": ("running", 0),
        "unhealthy": ("running", 0),
        "limited": ("running", 0),
        "networked": ("running", 0),
        "paused": ("paused", 0),
        "exited": ("exited", 3),
        "oom": ("exited", 137),
        "created": ("created", 0),
    }
    times = {name: (digest(version, name).started_at, digest(version, name).finished_at) for name in ("created", "oom")}
    assert times["created"] == (None, None)
    assert all(times["oom"])


@every_engine
def test_events_by_their_actions(version: str) -> None:
    assert actions(digest(version, "paused")) == ["create", "start", "pause"]
    assert actions(digest(version, "created")) == ["create"]
    assert actions(digest(version, "exited")) == ["create", "start", "die"]
    assert digest(version, "exited").events[-1].exit_code == 3
    assert all(event.ts.endswith("Z") for event in digest(version, "paused").events)


@every_engine
def test_an_oom_kill(version: str) -> None:
    found = digest(version, "oom")
    assert found.limits.memory_bytes == 2**24
    assert found.oom_killed is (version != "podman-4.3.1")  # that one never says so
    if version in DOCKER:
        assert actions(found) == ["create", "start", "oom", "die"]


@every_engine
def test_health(version: str) -> None:
    healthy, unhealthy, without = (digest(version, name) for name in ("healthy", "unhealthy", "paused"))
    assert (without.health, without.has_healthcheck, without.health_log) == (None, False, [])
    assert healthy.has_healthcheck and unhealthy.has_healthcheck
    if version in PODMAN:  # nothing runs healthchecks where there is no systemd
        assert healthy.health == "starting"
        return
    assert (healthy.health, healthy.failing_streak) == ("healthy", 0)
    assert {(run.exit_code, run.output) for run in healthy.health_log} == {(0, "all is well")}
    assert unhealthy.health == "unhealthy"
    assert unhealthy.failing_streak > 1
    assert {(run.exit_code, run.output) for run in unhealthy.health_log} == {(7, "no answer")}
    assert len(unhealthy.health_log) == inspect.MAX_HEALTH_RUNS
    assert all(run.start and run.end for run in unhealthy.health_log)


@every_engine
def test_networks_ports_and_limits(version: str) -> None:
    networks = {network.name: network for network in digest(version, "networked").networks}
    assert {"web", "front-door"} <= set(networks["recorded-front"].aliases)
    assert "web-behind" in networks["recorded-back"].aliases
    assert all(network.ip for network in networks.values())
    assert [network.ip for network in digest(version, "exited").networks] == [None]
    ports = {port.container_port: (port.host_ip, port.host_port) for port in digest(version, "created").ports}
    assert ports == {80: ("127.0.0.1", 18980), 53: (None, None)}
    limits = digest(version, "limited").limits
    assert (limits.memory_bytes, limits.cpus, limits.pids) == (2**26, 0.1, 50)


@pytest.mark.parametrize(
    ("titles", "rows", "found"),
    [
        # Docker: what ps printed; the host's numbers, so the first is whoever has no parent among them
        (
            ["PID", "PPID", "S", "COMMAND"],
            [["912", "903", "T", "python3"], ["903", "880", "S", "tini"], ["913", "912", "Z", "sh <defunct>"]],
            [("S", "tini"), ("T", "python3"), ("Z", "sh <defunct>")],
        ),
        (
            ["USER", "PID", "PPID", "%CPU", "ELAPSED", "TTY", "TIME", "COMMAND"],
            [["root", "1", "0", "0", "1s", "?", "0s", "a"]],
            [],
        ),
        (["PID", "PPID", "S", "COMMAND"], [["1"], []], []),
        ([], [], []),
    ],
)
def test_processes(titles: list[str], rows: list[list[str]], found: list[tuple[str, str]]) -> None:
    told = inspect.processes({"Titles": titles, "Processes": rows}, redact.Redactor())
    assert [(each.state, each.command) for each in told] == found


def test_what_compose_waits_for() -> None:
    answers = recorded(DOCKER[0], "networked")
    label = "migrate:service_completed_successfully:false,db:service_healthy:true,cache"
    answers["inspect"]["Config"]["Labels"] = {"com.docker.compose.depends_on": label}
    found = inspect.digest(answers["inspect"], [], "2026-11-30T00:00:00Z", redact.Redactor())
    assert found.depends_on == ["cache", "db", "migrate"]
    assert found.conditions == {"db": "service_healthy", "migrate": "service_completed_successfully"}


@every_engine
def test_a_network_that_is_there_hinders_no_start(version: str) -> None:
    """Podman 4.3 gives a container's NetworkID as the network's name."""
    raw = recorded(version, "networked")["inspect"]
    numbered = [
        {"Name": name, "Id": each["NetworkID"] if each["NetworkID"] != name else "4f1c0de"}
        for name, each in raw["NetworkSettings"]["Networks"].items()
    ]
    assert state.start_obstacle(raw, [], known_networks(numbered)) is None
    assert "was removed" in str(state.start_obstacle(raw, [], known_networks(numbered[:1])))
    own = recorded("podman-4.3.1", "healthy")["inspect"]  # `podman`, which the list of networks calls `bridge`
    assert state.start_obstacle(own, [], known_networks([{"Name": "bridge", "Id": PODMANS_OWN}])) is None


@pytest.mark.parametrize(
    ("policy", "code", "told"),
    [("no", 1, "exited"), ("always", 0, "restarting"), ("on-failure", 0, "exited"), ("on-failure", 1, "restarting")],
)
def test_between_two_runs_podman_says_stopped(policy: str, code: int, told: str) -> None:
    """Seen of a crash loop for a moment, before it is started once more: no recording could hit it."""
    raw = recorded(PODMAN[0], "exited")["inspect"]
    raw["State"] |= {"Status": "stopped", "ExitCode": code}
    raw["HostConfig"]["RestartPolicy"] = {"Name": policy, "MaximumRetryCount": 0}
    assert inspect.digest(raw, [], "2026-11-30T00:00:00Z", redact.Redactor()).state == told


@every_engine
def test_what_a_service_needs(version: str) -> None:
    found = digest(version, "healthy")
    assert (found.project, found.compose_service, found.depends_on) == ("recorded", "app", ["cache", "db"])
    assert found.env_hosts == ["cache:6379", "db.shop.invalid:5432"]  # and not its own name
    assert {"DATABASE_URL", "CACHE_HOST", "CACHE_PORT"} <= set(found.env_names)
    assert digest(version, "limited").env_hosts == []


@every_engine
@pytest.mark.parametrize("name", RUNS)
def test_figures_of_what_runs(version: str, name: str) -> None:
    found = stats(version, name)
    assert found.memory_bytes is not None and 0 < found.memory_bytes < 2**24
    assert found.memory_limit_bytes is not None and found.memory_limit_bytes >= 2**26
    assert found.pids == 1
    assert found.network_rx_bytes is not None
    if version in DOCKER:
        assert found.cpu_percent is not None and 0 <= found.cpu_percent < 20
    else:
        assert found.cpu_percent is None  # one sample is not enough, and Podman gives but one


@pytest.mark.parametrize("version", DOCKER)
def test_figures_at_a_limit(version: str) -> None:
    found = stats(version, "limited")
    assert found.cpu_percent == pytest.approx(10, abs=1.5)
    assert found.throttled_percent is not None and found.throttled_percent > 50
    assert (found.memory_limit_bytes, found.pids_limit) == (2**26, 50)
    assert found.memory_percent == pytest.approx((found.memory_bytes or 0) / 2**26 * 100, abs=0.01)


@every_engine
@pytest.mark.parametrize("name", ENDED)
def test_no_figures_of_what_does_not_run(version: str, name: str) -> None:
    assert set(msgspec.to_builtins(stats(version, name)).values()) == {None}


def test_figures_without_the_cache_that_can_be_taken_back() -> None:
    """Both names that the kernel gives it: cgroup v1 and v2."""
    for name in ("total_inactive_file", "inactive_file"):
        found = figures({"memory_stats": {"usage": 1000, "limit": 2000, "stats": {name: 400}}})
        assert (found.memory_bytes, found.memory_percent) == (600, 30.0)


# Finding


@every_engine
def test_a_container_is_found_in_the_list(version: str) -> None:
    listing = [recorded(version, name)["listed"] for name in (*RUNS, *ENDED)]

    def found(*wanted: str | None) -> str | None:
        container = finding.of_service(listing, *wanted)  # type: ignore[arg-type]
        return container and finding.names(container)[0]

    healthy = recorded(version, "healthy")["listed"]["Id"]
    assert found("recorded-oom") == "recorded-oom"
    assert found("anything", "recorded-oom") == "recorded-oom"
    assert found(healthy) == found(healthy[:12]) == found("app") == found("app", None, "recorded") == "recorded-healthy"
    assert found(healthy[:11]) is None
    assert found("app", "nobody") is None
    assert found("app", None, "another") is None


@every_engine
def test_the_address_of_a_container(version: str) -> None:
    listed = {name: recorded(version, name)["listed"] for name in ("networked", "exited", "created")}
    here = finding.address("unix:///run/docker.sock", listed["networked"], 80)
    known = {network.ip for network in digest(version, "networked").networks}
    assert here is not None and here[0] in known and here[1] == 80
    assert finding.address("unix:///run/docker.sock", listed["exited"], 80) is None
    with pytest.raises(Problem, match="port 80 of 'recorded-created' is not published by ssh://far"):
        finding.address("ssh://far", listed["created"], 80)


def labelled(name: str, project: str, state: str = "running", **more: Any) -> dict[str, Any]:
    labels = {"com.docker.compose.project": project, "com.docker.compose.service": "db"}
    return {"Id": name * 12, "Names": [f"/{name}", "/x/link"], "Labels": labels, "State": state} | more


def test_several_with_one_name() -> None:
    stopped, first, second = labelled("a", "one", "exited"), labelled("b", "one"), labelled("c", "two")
    assert finding.of_service([stopped, first], "db") is first
    with pytest.raises(Problem, match=r"several Compose projects: say one/db or two/db"):
        finding.of_service([first, second], "db")
    assert finding.of_service([first, second], "db", None, "two") is second
    assert finding.named([stopped, first, second], "db", None) is first
    assert finding.named([first, second], "db", second) is second
    app = labelled("d", "two") | {"Labels": {"com.docker.compose.project": "two"}}
    assert finding.named([first, second], "db", app) is second
    assert finding.named([first], "link", None) is None  # somebody else's link


def test_a_published_port_of_a_remote_engine() -> None:
    ports = [{"PrivatePort": 80, "PublicPort": 8080, "IP": "0.0.0.0"}]
    assert finding.address("ssh://me@far:22", labelled("a", "one", Ports=ports), 80) == ("far", 8080)
    ports[0]["IP"] = "127.0.0.1"
    with pytest.raises(Problem):
        finding.address("ssh://me@far:22", labelled("a", "one", Ports=ports), 80)


# Environment


@pytest.mark.parametrize(
    ("environment", "hosts"),
    [
        ({"URL": "postgresql+asyncpg://u:p@db/shop"}, ["db:5432"]),
        ({"URL": "amqp://guest:a/b@rabbit"}, []),  # cut through a password
        ({"URL": "jdbc:mariadb://db:3306/shop?user=a&password=b"}, ["db:3306"]),
        ({"URL": "jdbc:postgresql://one:5432,two:5433/shop"}, ["one:5432", "two:5433"]),
        ({"URL": "jdbc:oracle:thin:@//db:1521/shop"}, ["db:1521"]),
        ({"URL": "jdbc:oracle:thin:a/b@db:1521:shop"}, ["db:1521"]),
        ({"URL": "jdbc:sqlserver://db:1433;databaseName=shop;password=made-up"}, ["db:1433"]),
        ({"URL": "jdbc:mariadb:replication://address=(host=one)(port=3306)/shop"}, ["one:3306"]),
        ({"DSN": "app:made@up,tcp(no:1)@tcp(db:3306)/shop"}, ["db:3306"]),
        ({"DSN": "host=db port=5432 user=app password=made-up"}, ["db:5432"]),
        ({"DSN": "mysql:host=db;port=3307;dbname=shop"}, ["db:3307"]),
        ({"DSN": "Driver={ODBC};Server=tcp:db,1433;Database=shop;Pwd=made-up"}, ["db:1433"]),
        ({"CACHE": "cache:6379,password=made-up,ssl=False"}, ["cache:6379"]),
        ({"URL": "mongodb://a:b,c@one:27017,two:27017/shop"}, ["one:27017", "two:27017"]),
        ({"URL": "nats://one:4222,nats://two:4222"}, ["one:4222", "two:4222"]),
        ({"MEMCACHED_SERVERS": "one,two"}, ["one", "two"]),
        ({"PGHOST": "db", "PGPORT": "5433"}, ["db:5433"]),
        ({"FTP_LOGIN": "bobPASS:48213", "FTP_CREDS": "bob:48213", "USER": "bob:48213"}, []),
        ({"NOTIFY": "prowl://KEY", "HOOK_SECRET": "https://made-up", "IMAGE": "node:18", "AT": "12:30"}, []),
        ({"SENTRY_KEY": "https://made-up@o1.sentry.invalid/2"}, ["o1.sentry.invalid:443"]),
        ({"KAFKA_ADVERTISED_LISTENERS": "PLAINTEXT://kafka:9092", "LISTEN": "kafka:9092"}, []),
        ({"PEERS": "one:7000, two:7001"}, ["one:7000", "two:7001"]),
        ({"DB_HOST": "db", "DB_PORT": "5433"}, ["db:5433"]),
        ({"DB_HOST": "db", "DB_PORT": "many"}, ["db"]),
        ({"API_TOKEN": "abc:1234", "LISTEN": "0.0.0.0:80", "SELF": "http://localhost:1/"}, []),
        ({"TIME": "a:99999", "SOCKET": "unix:///run/x.sock", "BAD": "http://[bad"}, []),
    ],
)
def test_hosts_of_an_environment(environment: dict[str, str], hosts: list[str]) -> None:
    assert env_hosts(environment) == hosts


# Logs: tests/lab/record_logs.py says what was said


def recorded_log(version: str, name: str) -> bytes:
    return gzip.decompress((ENGINES / version / "logs" / f"{name}.gz").read_bytes())


def pieces_of(whole: bytes, name: str) -> list[tuple[str, bytes]]:
    """As `reading.log` gives them; the chunks of a terminal's log end anywhere."""
    if name.endswith("-terminal"):
        return list(reading._of_terminal(whole[at : at + 4099] for at in range(0, len(whole), 4099)))
    return list(reading._frames(io.BytesIO(whole)))


def streams_of(version: str, name: str, tail: int | None = None) -> tuple[list[logs.RawLine], bool]:
    """The lines of a recorded log, of `tail` + 1 pieces; and whether the first lacks its beginning."""
    pieces = pieces_of(recorded_log(version, name), name)
    streams = logs.Streams(name.endswith("-terminal"), name.removesuffix("-terminal"), 256 * 1024)
    for stream, piece in pieces[-tail - 1 :] if tail else pieces:
        streams.add(stream, piece)
    assert not streams.cut
    return streams.lines(tail or len(pieces))


LOGS = [(path.parent.parent.name, path.name.removesuffix(".gz")) for path in sorted(ENGINES.glob("*/logs/*.gz"))]
WITHOUT_TERMINAL = [(version, name) for version, name in LOGS if not name.endswith("-terminal")]
OWN_TIMES = "2026-01-01T00:00:00.123456789Z a time of its own, and 2026-01-01T00:00:00.123456789Z once more"


def test_there_are_recordings_of_logs() -> None:
    drivers = ("json-file", "local", "syslog")
    docker = {("20.10.24", name + kind) for name in drivers for kind in ("", "-terminal")}
    assert set(LOGS) == docker | {("podman-4.3.1", "json-file")}


@pytest.mark.parametrize(("version", "name"), LOGS)
def test_no_line_is_lost_beside_one_that_came_in_pieces(version: str, name: str) -> None:
    found, inside = streams_of(version, name)
    terminal = name.endswith("-terminal")
    if terminal:  # its only stream is one line until the newline comes; the lines around it are what counts
        found = [line for line in found if not line[2].startswith(("M", "N"))]
    assert [line[2] for line in found if line[1] == "stdout" and line[2] != "meanwhile"] == [
        "first",
        "L" * 40000 + " end",
        "after a long one",
        "E" * 16384,
        "after one of exactly 16 KiB",
        "F" * 32768,
        OWN_TIMES,
        *(() if terminal else ("M" * 20000 + "N" * 20000,)),
        "",
        "after a blank one",
        "no newline at the end",
    ]
    assert not inside
    assert all(line[0] and line[0].endswith("Z") for line in found)
    if not terminal:
        assert [line[2] for line in found if line[1] == "stderr"] == ["meanwhile"]
        assert found[8][2] == "meanwhile"  # begun after the line that was being written


@pytest.mark.parametrize(("version", "name"), [each for each in WITHOUT_TERMINAL if each[0] == "20.10.24"])
def test_a_tail_that_begins_inside_a_line_says_so(version: str, name: str) -> None:
    """Of what was said, `after a long one` is the 5th piece, after the three of the long line. One piece more than is
    wanted was asked for: of a long line whose beginning is that one, nobody knows whether it is the line's."""
    pieces = pieces_of(recorded_log(version, name), name)
    assert b" after a long one\n" in pieces[4][1]
    found = {wanted: streams_of(version, name, len(pieces) - wanted) for wanted in range(1, 6)}
    whole = streams_of(version, name)[0]
    assert found[1] == (whole[1:], False)  # from the second piece on: the whole of the long line
    for wanted in (2, 3):
        (_, _, first), *others = found[wanted][0]
        assert first == "L" * (40000 - 16384 * (wanted - 2)) + " end"
        assert (others, found[wanted][1]) == (whole[2:], True)
    assert found[4] == (whole[2:], False)  # the last piece of the long line is not shown as if it were one
    assert found[5] == (whole[3:], False)


def test_what_lacks_its_beginning_is_marked_and_shows_no_half_of_a_secret() -> None:
    secret = "k" * 40
    lines: list[logs.RawLine] = [(None, "stdout", f"{secret} ERROR {'x' * 20000} the end"), (None, "stdout", "next")]
    marked, after = logs.grouped(lines, begins_inside=True)
    assert marked.text.startswith(logs.BEGINNING_LEFT_OUT + "x")
    assert marked.text.endswith(" the end") and secret not in marked.text
    assert len(marked.text) <= logs.MAX_ITEM_CHARACTERS
    assert after.text == "next"
    assert logs.grouped(lines)[0].text.startswith(secret)


def test_a_digest_keeps_the_newest_events_and_says_since_when() -> None:
    raw = recorded("20.10.24", "healthy")["inspect"]
    happened = [{"timeNano": at * 10**9, "Action": "die", "Actor": {"ID": raw["Id"]}} for at in range(1, 61)]
    found = inspect.digest(raw, happened, "2026-11-30T00:00:00Z", redact.Redactor(), 0.5)
    assert len(found.events) == inspect.MAX_EVENTS
    assert found.events_since == found.events[0].ts == "1970-01-01T00:00:11.000Z"
    found = inspect.digest(raw, happened[:2], "2026-11-30T00:00:00Z", redact.Redactor(), 0.5)
    assert found.events_since == "1970-01-01T00:00:00.500Z"
    assert inspect.digest(raw, [], "2026-11-30T00:00:00Z", redact.Redactor()).events_since is None


def test_a_machine_in_another_time_zone() -> None:
    """Docker tells the times of healthchecks in its machine's zone; all that is compared is in UTC."""
    raw = recorded("20.10.24", "healthy")["inspect"]
    run = {
        "ExitCode": 1,
        "Output": "",
        "Start": "2026-11-30T01:30:00.123456789+02:00",
        "End": "2026-11-30T01:30:01-05:30",
    }
    state = raw["State"] | {"Health": {"Log": [run]}, "StartedAt": "2026-11-30T01:00:00+02:00"}
    found = inspect.digest(raw | {"State": state}, [], "2026-11-30T00:00:00Z", redact.Redactor())
    assert found.started_at == "2026-11-29T23:00:00Z"
    assert (found.health_log[0].start, found.health_log[0].end) == (
        "2026-11-29T23:30:00.123456789Z",
        "2026-11-30T07:00:01Z",
    )
    stamped = b"2026-11-30T01:30:00.123456789+02:00 hello"
    assert logs._raw_line(stamped, "stdout") == ("2026-11-29T23:30:00.123456789Z", "stdout", "hello")
