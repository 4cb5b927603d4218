"""dm-inspect, dm-logs, dm-stats and dm-services --discover against a real Docker Engine and small real containers.

An engine that dies or falls silent half-way is the real one behind a forwarder of ours that cuts or stalls; the one
that is reached by ssh is the real one behind a real sshd. The engine that accepts and never answers is a bare socket.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from dm_tools.collect.following import Follower
from tests import sshd
from tests.conftest import COLD, SEALED, Box, Run, records
from tests.servers import Authority

NAMES_30 = "\n".join(f"dmtest-{number}" for number in range(30))


def one(done: subprocess.CompletedProcess[str], code: int = 0) -> dict[str, Any]:
    """The only record that a command wrote, after it ended with this status and without a word."""
    assert (done.returncode, done.stderr) == (code, "")
    (record,) = records(done.stdout)
    return record


def codes(record: dict[str, Any]) -> list[str]:
    return [f"{entry['stage']}:{entry['code']}" for entry in record.get("errors", [])]


# Logs


def test_both_streams_are_merged_by_time(run: Run, box: Box, shop: dict[str, str]) -> None:
    script = "for i in 1 2 3; do echo out$i; sleep 0.02; echo err$i >&2; sleep 0.02; done"
    box("log", "sh", "-c", script).wait()
    logs = one(run("dm-logs dmtest-log", **shop))["logs"]
    assert [(line["stream"], line["text"]) for line in logs["lines"]] == [
        (stream, f"{stream[3:]}{number}") for number in (1, 2, 3) for stream in ("stdout", "stderr")
    ]
    assert [line["id"] for line in logs["lines"]] == [f"logs:{number}" for number in range(6)]
    assert all(line["ts"].endswith("Z") for line in logs["lines"])
    assert (logs["total_lines"], logs["truncated"]) == (6, False)


def test_tail_keeps_the_newest_lines_of_both_streams_together(run: Run, box: Box, shop: dict[str, str]) -> None:
    script = "i=0; while [ $i -lt 20 ]; do echo o$i; echo e$i >&2; i=$((i+1)); done; sleep 0.1; echo last"
    box("log", "sh", "-c", script).wait()
    logs = one(run("dm-logs --tail 5 dmtest-log", **shop))["logs"]
    assert len(logs["lines"]) == logs["total_lines"] == 5
    assert logs["lines"][-1]["text"] == "last"
    assert logs["truncated"]
    assert not one(run("dm-logs --tail 50 dmtest-log", **shop))["logs"]["truncated"]


def test_since_leaves_older_lines_out(run: Run, box: Box, shop: dict[str, str]) -> None:
    box("log", "sh", "-c", "echo old; sleep 2.2; echo new").wait()
    assert [line["text"] for line in one(run("dm-logs dmtest-log", **shop))["logs"]["lines"]] == ["old", "new"]
    # The newest line is about as old as the container's end; look back just far enough to see that one.
    line = "dm-logs --since $(python3 -c 'import sys, time, datetime as d; print(max(1, time.time() - "
    line += "d.datetime.fromisoformat(sys.argv[1]).timestamp() + 1))' $END) dmtest-log"
    end = one(run("dm-logs dmtest-log", **shop))["logs"]["lines"][-1]["ts"][:26] + "+00:00"
    assert [line["text"] for line in one(run(line, END=end, **shop))["logs"]["lines"]] == ["new"]


def test_a_trace_that_grows_is_told_once() -> None:
    """Scripted: on a real engine it needs a look in the right moment."""
    texts = iter(["Traceback:", "Traceback:\n  File", "Traceback:\n  File", "Traceback:\n  File\nthe end"])

    def look(record: dict[str, Any], _: float | None) -> dict[str, Any]:
        line = {"ts": "2026-11-30T12:00:00.000000000Z", "text": next(texts), "stream": "stderr"}
        return record | {"logs": {"lines": [line]}}

    follower = Follower(look)
    told = [follower.newer({"service": "app"}).get("logs", {"lines": []})["lines"] for _ in range(4)]
    assert [[each["text"] for each in lines] for lines in told] == [["Traceback:"], ["  File"], [], ["the end"]]


def test_follow_goes_on_with_what_is_new(run: Run, box: Box, shop: dict[str, str]) -> None:
    script = "echo first; sleep 2; echo second; echo 'Traceback (most recent call last):'; echo '  File \"a.py\"'; "
    box("talks", "sh", "-c", script + "sleep 2; echo third; sleep 60")
    time.sleep(0.5)  # the first line is there
    done = run("timeout --preserve-status 7 dm-logs -f dmtest-talks dmtest-nobody", **shop)
    assert done.returncode == 143 and done.stderr == ""
    every = records(done.stdout)
    items = [line["text"] for each in every if each["service"] == "dmtest-talks" for line in each["logs"]["lines"]]
    # what was read while it was written comes in two parts
    expected = ["first", "second", "Traceback (most recent call last):", '  File "a.py"', "third"]
    assert "\n".join(items).split("\n") == expected
    assert [codes(each) for each in every if each["service"] == "dmtest-nobody"] == [["logs:container_not_found"]]
    assert run("dm-logs -f --until 5m dmtest-talks", **shop).returncode == 2


def test_until_all_and_grep_choose_lines(run: Run, box: Box, shop: dict[str, str]) -> None:
    lines = "for i in $(seq 9); do echo old $i; done; sleep 5; for i in $(seq 900); do echo new $i; done"
    box("log", "sh", "-c", lines).wait()

    def texts(options: str) -> list[str]:
        return [line["text"] for line in one(run(f"dm-logs {options} dmtest-log", **shop))["logs"]["lines"]]

    assert len(texts("")) == 500
    whole = texts("--tail all")
    assert (len(whole), whole[0], whole[-1]) == (909, "old 1", "new 900")
    assert texts("--tail all --grep ' 9'") == ["old 9", "new 9", *(f"new {each}" for each in (*range(90, 100), 900))]
    assert texts("--tail 20 --grep 'old'") == []
    first = next(
        line["ts"]
        for line in one(run("dm-logs --tail all dmtest-log", **shop))["logs"]["lines"]
        if line["text"] == "new 1"
    )
    began = datetime.fromisoformat(first[:26] + "+00:00").timestamp()
    older = one(run(f"dm-logs --until {time.time() - began + 4:.2f} dmtest-log", **shop))["logs"]
    assert [line["text"] for line in older["lines"]] == [f"old {each}" for each in range(1, 10)]
    older = one(run(f"dm-logs --tail 2 --until {time.time() - began + 4:.2f} dmtest-log", **shop))["logs"]
    assert ([line["text"] for line in older["lines"]], older["truncated"]) == (["old 8", "old 9"], True)
    assert texts("--since 2h --until 1h") == []


NASTY = r"""
import sys
def out(data): sys.stdout.buffer.write(data); sys.stdout.buffer.flush()
try:
    {}["key"]
except KeyError as error:
    import traceback; text = traceback.format_exc().encode()
out(b"ERROR before\n" + text + b"INFO after\n")
out(b"\x1b[31mred\x1b[0m \x1b]0;title\x07plain\n")
out(b"bytes \xff\xfe\x00\x07 end\n")
out(b"10%\r50%\r100% done\r\n")
out("snow \u2603 \u202e\n".encode())
out(b"long " + b"x" * 20000 + b" end\n")
out(b"no newline at the end")
"""


def test_text_is_made_safe_and_traces_stay_in_one_piece(run: Run, box: Box, shop: dict[str, str]) -> None:
    box("log", "python3", "-c", NASTY).wait()
    texts = [line["text"] for line in one(run("dm-logs dmtest-log", **shop))["logs"]["lines"]]
    trace = next(text for text in texts if "Traceback" in text)
    assert trace.startswith("ERROR before\nTraceback (most recent call last):\n  File ")
    assert trace.endswith("KeyError: 'key'")
    long = next(text for text in texts if text.startswith("long "))
    assert long.endswith("x end") and "characters left out" in long
    assert "Z " not in long  # the engine's timestamp before every 16 KiB
    rest = [text for text in texts if text not in (trace, long)]
    expected = ["INFO after", "red plain", "bytes \ufffd\ufffd end", "100% done", "snow \u2603"]
    assert rest == [*expected, "no newline at the end"]


def test_a_container_with_a_terminal(run: Run, box: Box, shop: dict[str, str]) -> None:
    box(
        "log", "sh", "-c", "echo one; echo two >&2; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo three", tty=True
    ).wait()
    started = time.monotonic()
    lines = one(run("dm-logs --max-bytes 10000000 dmtest-log", **shop))["logs"]["lines"]
    assert time.monotonic() - started < 20
    assert [lines[0]["text"], lines[1]["text"], lines[-1]["text"]] == ["one", "two", "three"]
    assert {line["stream"] for line in lines} == {"stdout"}


SECRETS = """\
DATABASE_PASSWORD=canary-1
{"api_key": "canary-2", "user": "app"}
connect postgres://app:canary-3@db:5432/shop
Authorization: Bearer canary-4-canary-4
-----BEGIN RSA PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED

MIIEcanary5canary5canary5
canary5==
-----END RSA PRIVATE KEY-----
after the key
redis-server --requirepass canary-6
"""


def test_secrets_are_masked(run: Run, box: Box, shop: dict[str, str]) -> None:
    box("log", "sh", "-c", 'printf %s "$0"', SECRETS).wait()
    done = run("dm-logs dmtest-log", **shop)
    texts = [line["text"] for line in one(done)["logs"]["lines"]]
    assert "canary" not in done.stdout
    assert "connect postgres://app:<secret:3>@db:5432/shop" in texts
    assert "after the key" in texts


def test_a_200_mb_line_costs_little_time_and_memory(run: Run, box: Box, shop: dict[str, str]) -> None:
    script = "print('before'); import sys\nfor _ in range(200): sys.stdout.write('y' * 1000000)\nprint(); print('last')"
    box("log", "python3", "-c", script).wait()
    with_memory = (
        f"{sys.executable} -c 'import resource, subprocess, sys; code = subprocess.call(sys.argv[1:]);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr); sys.exit(code)'"
    )
    started = time.monotonic()
    done = run(f"{with_memory} dm-logs --since 600 dmtest-log", **COLD, **shop)
    assert time.monotonic() - started < 30
    assert int(done.stderr) < 100_000  # kB
    logs = records(done.stdout)[0]["logs"]
    assert logs["lines"][-1]["text"] == "last"
    assert logs["truncated"]
    assert len(done.stdout) < 50_000


def test_a_log_that_cannot_be_read_is_said(run: Run, box: Box, shop: dict[str, str]) -> None:
    box("log", "echo", "x", log_config={"Type": "none"}).wait()
    record = one(run("dm-logs dmtest-log", **shop), 4)
    assert codes(record) == ["logs:logs_unavailable"]
    assert "logs" not in record


@pytest.mark.parametrize("tty", [False, True])
def test_the_local_driver_ends_a_long_line_without_a_newline(
    run: Run, box: Box, shop: dict[str, str], tty: bool
) -> None:
    script = "print('first'); print('x' * 40000); print('ERROR why'); print('last')"
    box("log", "python3", "-uc", script, tty=tty, log_config={"Type": "local"}).wait()
    logs = one(run("dm-logs dmtest-log", **shop))["logs"]
    texts = [line["text"] for line in logs["lines"]]
    assert [texts[0], texts[1][:1], *texts[2:]] == ["first", "x", "ERROR why", "last"]
    assert not logs["truncated"]
    tail = one(run("dm-logs --tail 4 dmtest-log", **shop))["logs"]
    assert tail["lines"][0]["text"].startswith("[... the beginning left out ...] x")
    assert [line["text"] for line in tail["lines"][1:]] == ["ERROR why", "last"]
    assert tail["truncated"]
    shorter = one(run("dm-logs --tail 3 dmtest-log", **shop))["logs"]
    assert [line["text"] for line in shorter["lines"][-2:]] == ["ERROR why", "last"]


def test_a_log_server_that_is_away_is_named_by_its_driver(run: Run, box: Box, shop: dict[str, str]) -> None:
    """The engine's copy of what was sent there can be read until the container ends."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        log_config = {"Type": "syslog", "Config": {"syslog-address": address}}
        container = box("log", "sh", "-c", "echo hello; sleep 100", log_config=log_config)
        lines: list[Any] = []
        while not lines:
            lines = one(run("dm-logs dmtest-log", **shop))["logs"]["lines"]
        assert [line["text"] for line in lines] == ["hello"]
    container.kill()
    container.wait()
    record = one(run("dm-logs dmtest-log", **shop), 4)
    assert codes(record) == ["logs:logs_unavailable"]
    assert "driver 'syslog': dial tcp 127.0.0.1:" in record["errors"][0]["message"]


def test_a_container_that_never_said_anything_has_an_empty_log(run: Run, box: Box, shop: dict[str, str]) -> None:
    box("log", "sleep", "100", start=False)
    empty = {"lines": [], "total_lines": 0, "truncated": False, "templates": []}
    assert one(run("dm-logs dmtest-log", **shop))["logs"] == empty


# Inspect


def test_no_environment_value_leaves_the_process(run: Run, box: Box, shop: dict[str, str]) -> None:
    environment = {
        "PASSWORD": "canary-1",
        "API_TOKEN": "canary:1234",
        "BASIC_AUTH": "canary:12345",
        "DATABASE_URL": "postgres://canary:canary-2@db.shop:5432/canary",
        "BROKER_URL": "amqp://guest:1234/canary@rabbit",  # a slash that should have been escaped
        "REDIS_URL": "redis://:can#ary@cache:6380/0",
        "SENTRY_DSN": "https://canary@sentry.example.invalid/1",
        "HOOK": "https://hooks.example.invalid/services/canary",
        "MESSAGE": "canary\nwith: lines, and=signs",
        "SEARCH_HOST": "search",
        "SEARCH_PORT": "9200",
        "PEERS": "one:7000,two:7001",
        "EMPTY": "",
    }
    box("env", "sleep", "100", environment=environment)
    done = run("dm-inspect dmtest-env", **shop)
    inspect = one(done)["inspect"]
    assert "canary" not in done.stdout
    assert "1234" not in str(inspect["env_hosts"])
    assert set(environment) <= set(inspect["env_names"])
    expected = ["db.shop:5432", "hooks.example.invalid:443", "one:7000", "search:9200", "sentry.example.invalid:443"]
    assert inspect["env_hosts"] == [*expected, "two:7001"]


def test_state_exit_code_limits_and_events(run: Run, box: Box, shop: dict[str, str]) -> None:
    box("ended", "sh", "-c", "exit 3", mem_limit="64m", nano_cpus=500_000_000, pids_limit=50).wait()
    inspect = one(run("dm-inspect dmtest-ended", **shop))["inspect"]
    assert (inspect["state"], inspect["exit_code"], inspect["oom_killed"]) == ("exited", 3, False)
    assert inspect["limits"] == {"memory_bytes": 64 * 2**20, "cpus": 0.5, "pids": 50}
    assert [event["action"] for event in inspect["events"]] == ["create", "start", "die"]
    assert inspect["events"][-1]["exit_code"] == 3
    assert inspect["events_since"] <= inspect["events"][0]["ts"]
    assert inspect["finished_at"] and inspect["started_at"]  # a short run may end before it began, says the engine
    assert (inspect["health"], inspect["health_log"], inspect["has_healthcheck"]) == (None, [], False)


def test_a_container_that_could_not_start_keeps_its_error(run: Run, box: Box, shop: dict[str, str]) -> None:
    import docker.errors

    broken = box("broken", "no-such-program", start=False)
    # Without our init the engine itself fails to start the program.
    broken.remove()
    broken = broken.client.containers.create(broken.image.tags[0], ["no-such-program"], name="dmtest-broken")
    with pytest.raises(docker.errors.APIError):
        broken.start()
    inspect = one(run("dm-inspect dmtest-broken", **shop))["inspect"]
    assert (inspect["state"], inspect["exit_code"], inspect["started_at"]) == ("created", 127, None)
    assert "no-such-program" in inspect["error"]


def test_health_log_and_killed_child(run: Run, box: Box, shop: dict[str, str]) -> None:
    check = {"test": ["CMD-SHELL", "echo password=canary; exit 7"], "interval": 200_000_000, "retries": 1}
    box("sick", "sleep", "100", healthcheck=check)
    deadline = time.monotonic() + 10
    while True:
        done = run("dm-inspect dmtest-sick", **shop)
        inspect = one(done)["inspect"]
        if inspect["health"] == "unhealthy" or time.monotonic() > deadline:
            break
    assert (inspect["health"], inspect["has_healthcheck"]) == ("unhealthy", True)
    assert inspect["failing_streak"] >= 1
    assert {(entry["exit_code"], entry["output"]) for entry in inspect["health_log"]} == {(7, "password=<secret:1>")}
    assert len(inspect["health_log"]) <= 5
    assert {event["action"] for event in inspect["events"]} <= {"create", "start"}  # not the healthcheck's flood


# Stats


def test_a_busy_loop_uses_one_core(run: Run, box: Box, shop: dict[str, str]) -> None:
    box("busy", "sh", "-c", "while :; do :; done", cpu_period=100_000, mem_limit="64m", pids_limit=50)
    box("idle", "sleep", "100")
    box("ended", "true").wait()
    box("throttled", "sh", "-c", "while :; do :; done", nano_cpus=50_000_000)
    done = run("dm-stats dmtest-busy dmtest-idle dmtest-ended dmtest-throttled", **shop)
    assert (done.returncode, done.stderr) == (0, "")
    found = {record["service"]: record["stats"] for record in records(done.stdout)}
    busy, idle, ended = (found[f"dmtest-{name}"] for name in ("busy", "idle", "ended"))
    # of one core, which a busy machine shares with others; tests/test_recorded.py holds the formula itself
    assert 1 < busy["cpu_percent"] < 115
    assert 0 < busy["memory_bytes"] < 64 * 2**20
    assert busy["memory_limit_bytes"] == 64 * 2**20
    assert busy["memory_percent"] == pytest.approx(busy["memory_bytes"] / 2**26 * 100, abs=0.01)
    assert (busy["pids"] >= 1, busy["pids_limit"]) == (True, 50)
    assert busy["throttled_percent"] is None
    assert idle["cpu_percent"] < min(5, busy["cpu_percent"])
    assert set(ended.values()) == {None}
    assert set(ended) == set(busy)
    assert found["dmtest-throttled"]["throttled_percent"] > 20
    assert found["dmtest-throttled"]["cpu_percent"] < 20


# Which container is meant


def test_names_ids_and_compose_labels(run: Run, box: Box, shop: dict[str, str]) -> None:
    def labels(project: str, **more: str) -> dict[str, str]:
        return {"com.docker.compose.project": project, "com.docker.compose.service": "dmtest-db"} | {
            f"com.docker.compose.{key}": value for key, value in more.items()
        }

    first = box("one-db-1", "sleep", "100", labels=labels("dmtest-one"))
    box("one-db-run", "sleep", "100", labels=labels("dmtest-one", oneoff="True"))
    nowhere = shop | {"COMPOSE_PROJECT_NAME": ""}

    def found(name: str, variables: dict[str, str] = nowhere) -> Any:
        record = records(run(f"dm-inspect {name}", **variables).stdout)[0]
        return record["inspect"]["name"] if "inspect" in record else codes(record)

    # The engine's API writes a slash before the name.
    ways = f"dmtest-one-db-1 /dmtest-one-db-1 {first.id} {first.id[:12]} dmtest-db"
    same = records(run(f"dm-inspect {ways}", **nowhere).stdout)
    assert [record["inspect"]["name"] for record in same] == ["dmtest-one-db-1"] * 5
    box("two-db-1", "sleep", "100", labels=labels("dmtest-two"))
    assert found("dmtest-db") == ["inspect:ambiguous_container"]
    assert found("dmtest-two/dmtest-db") == "dmtest-two-db-1"
    assert found("dmtest-db", shop | {"COMPOSE_PROJECT_NAME": "dmtest-two"}) == "dmtest-two-db-1"
    assert found("dmtest-db", shop | {"COMPOSE_PROJECT_NAME": "dmtest-none"}) == ["inspect:container_not_found"]
    assert found("dmtest-nobody") == ["inspect:container_not_found"]
    record = one(run("dm-inspect", '{"service": "dmtest-db", "container": "dmtest-two-db-1"}', **nowhere))
    assert record["inspect"]["project"] == "dmtest-two"


def test_discover_names_services_and_skips_one_off_containers(run: Run, box: Box, shop: dict[str, str]) -> None:
    service = {"com.docker.compose.project": "dmtest", "com.docker.compose.service": "dmtest-shop"}
    ports = {"80/tcp": ("127.0.0.1", None), "53/udp": ("127.0.0.1", None), "81/tcp": None}
    box("shop-1", "sleep", "100", labels=service, ports=ports)
    box("shop-run", "sleep", "100", labels=service | {"com.docker.compose.oneoff": "True"})
    for number in (1, 2):
        replica = {"com.docker.compose.project": "dmtest", "com.docker.compose.service": "dmtest-twice"}
        box(f"twice-{number}", "sleep", "100", labels=replica)
    box("plain", "true").wait()
    # A service that is called like somebody else's container
    box("clash-1", "sleep", "100", labels=service | {"com.docker.compose.service": "dmtest-plain"})
    done = run("dm-services --discover", **shop | {"COMPOSE_PROJECT_NAME": ""})
    assert (done.returncode, done.stderr) == (0, "")
    every = records(done.stdout)
    # Other tests have containers of their own on the same engine
    made = {f"dmtest-{name}" for name in ("shop-1", "shop-run", "twice-1", "twice-2", "plain", "clash-1")}
    found = {record["service"]: record for record in every if record["container"] in made}
    assert len(every) == len({record["service"] for record in every})
    mine = {name: record["container"] for name, record in found.items()}
    assert mine == {
        "dmtest-shop": "dmtest-shop-1",
        "dmtest-twice-1": "dmtest-twice-1",
        "dmtest-twice-2": "dmtest-twice-2",
        "dmtest-plain": "dmtest-plain",
        "dmtest/dmtest-plain": "dmtest-clash-1",
    }
    assert [each["addresses"][1].rpartition(":")[2] for each in found["dmtest-shop"]["discovered"]] == ["80", "81"]
    published = [each["addresses"][0].rpartition(":")[2] for each in found["dmtest-shop"]["discovered"]]
    assert found["dmtest-shop"]["external"] == [f"http://localhost:{port}/" for port in published]
    assert (found["dmtest-plain"]["external"], found["dmtest-plain"]["discovered"]) == ([], [])
    limited = shop | {"COMPOSE_PROJECT_NAME": "dmtest"}
    done = run("dm-services --discover", **limited)
    assert {record["container"] for record in records(done.stdout)} == set(mine.values()) - {"dmtest-plain"}
    for choice in ("-p dmtest", "--filter label=com.docker.compose.project=dmtest --filter status=running"):
        chosen = run(f"dm-services {choice}", **shop | {"COMPOSE_PROJECT_NAME": ""})
        assert {record["container"] for record in records(chosen.stdout)} == set(mine.values()) - {"dmtest-plain"}
    wrong = run("dm-services --filter no=such", **limited)
    assert (
        wrong.returncode == 2
        and wrong.stderr.count("\n") == 1
        and "there is no 'no'; there are: ancestor, " in wrong.stderr
    )
    piped = run("dm-services --discover dmtest-shop | dm-inspect | dm-stats | dm-logs", **limited)
    assert codes(one(piped)) == []


def test_discovered_ports_are_asked_in_what_they_speak(
    run: Run, box: Box, shop: dict[str, str], authority: Authority
) -> None:
    labels = {"com.docker.compose.project": "dmtest"}
    expired = authority.server("dmtest", begin=-9, end=-1).read_text()
    check = {"test": ["CMD", "curl", "-fs", "http://localhost:7000/up"], "interval": 10**9}
    one_port = {"ports": {"7000/tcp": ("127.0.0.1", None)}, "labels": labels, "ready": 7000}
    box("plain", "python3", "-c", SERVER, healthcheck=check, **one_port)
    box("secure", "python3", "-c", SERVER, expired, **one_port)
    redis = box("redis", "redis-server", "--port", "7000", "--protected-mode", "no", **one_port)
    known = box("known", "redis-server", "--protected-mode", "no", ports={"6379/tcp": None}, labels=labels, ready=6379)
    box("hollow", "sleep", "100", ports={"80/tcp": ("127.0.0.1", None)}, labels=labels)
    done = run("dm-services --discover | dm-probe -K", **shop | {"COMPOSE_PROJECT_NAME": "dmtest"})
    assert (done.returncode, done.stderr) == (0, "")
    seen = {
        record["service"]: [
            (each["kind"], each["status_code"], each["error"], each["note"]) for each in record["probe"]["checks"]
        ]
        for record in records(done.stdout)
    }
    unknown = "it accepts connections, and speaks neither HTTP nor TLS"
    assert seen == {
        "dmtest-plain": [("http", 200, None, None), ("http", 404, None, "HTTP status 404 at /")],
        "dmtest-secure": [("http", 404, "tls_expired", None)],
        "dmtest-redis": [("tcp", None, None, unknown)],
        "dmtest-known": [("tcp", None, None, None)],
        "dmtest-hollow": [("http", None, "reset", None)],
    }
    assert "ATTACK" in redis.logs().decode()  # what it costs where nothing tells
    assert known.logs().decode().splitlines()[-1].endswith("Ready to accept connections")


SERVER = """
import http.server, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/up" else 404)
        self.end_headers()
server = http.server.ThreadingHTTPServer(("", 7000), Handler)
if len(sys.argv) > 1:
    open("/tmp/server.pem", "w").write(sys.argv[1])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/tmp/server.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


def test_a_container_removed_between_two_stages(run: Run, box: Box, shop: dict[str, str]) -> None:
    container = box("gone", "echo", "hello")
    container.wait()
    first = run("dm-inspect dmtest-gone", **shop)
    container.remove()
    done = run("dm-logs | dm-stats | dm-probe | dm-inspect", first.stdout, **shop)
    record = records(done.stdout)[0]
    assert (done.returncode, done.stderr) == (4, "")
    assert record["inspect"] == one(first)["inspect"]  # what was known stays
    assert codes(record) == [f"{stage}:container_not_found" for stage in ("logs", "stats", "probe", "inspect")]


# Where the engine is


class Forwarder:
    """A TCP port and a unix socket that lead to the real engine, byte by byte.

    Once a request holds `spoil`, only `allowed` bytes of answers pass; then the connection is cut, or with `stall`
    falls silent. With `die` nobody is let in any more, either.
    """

    def __init__(self, engine: str, path: Path, spoil: bytes = b"\0", allowed: int = 0, stall: bool = False) -> None:
        self.engine = engine.removeprefix("unix://")
        self.spoil, self.allowed, self.stall = spoil, allowed, stall
        self.spoiled = False
        self.requests = 0
        self.connections: list[socket.socket] = []
        self.closing = threading.Event()
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.unix = socket.socket(socket.AF_UNIX)
        self.unix.bind(str(path))
        self.unix.listen(64)
        self.urls = [f"tcp://127.0.0.1:{self.tcp.getsockname()[1]}", f"unix://{path}"]
        self.accepting = [threading.Thread(target=self._accept, args=[each]) for each in (self.tcp, self.unix)]
        for thread in self.accepting:
            thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                engine = socket.socket(socket.AF_UNIX)
                self.connections += [client, engine]  # before anything can fail: `close` closes them
                engine.connect(self.engine)
                for source, target, handler in ((client, engine, self._up), (engine, client, self._down)):
                    threading.Thread(target=handler, args=[source, target], daemon=True).start()

    def _up(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.requests += 1
                self.spoiled |= self.spoil in data
                target.sendall(data)
        self._shut(source, target)

    def _down(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1024):
                if self.spoiled:
                    data, self.allowed = data[: self.allowed], max(0, self.allowed - len(data))
                target.sendall(data)
                if self.spoiled and not self.allowed:
                    if self.stall:
                        self.closing.wait(60)
                    else:
                        self.stop()
        self._shut(source, target)

    def _shut(self, *ends: socket.socket) -> None:
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        """As if the engine had died."""
        self._shut(self.tcp, self.unix, *self.connections)

    def close(self) -> None:
        self.closing.set()
        self.stop()
        for thread in self.accepting:
            thread.join()  # it may just have let one more in, which nobody would close
        for end in (self.tcp, self.unix, *self.connections):
            end.close()


@pytest.fixture
def forward(shop: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Forwarder]]:
    with contextlib.ExitStack() as cleaning:

        def start(**options: Any) -> Forwarder:
            made = Forwarder(shop["DOCKER_HOST"], tmp_path / "engine.sock", **options)
            cleaning.callback(made.close)
            return made

        yield start


def test_an_engine_by_tcp(run: Run, box: Box, forward: Callable[..., Forwarder]) -> None:
    box("a", "echo", "hello").wait()
    door = forward()
    done = run("dm-inspect dmtest-a | dm-logs | dm-stats", DOCKER_HOST=door.urls[0])
    assert codes(one(done)) == []
    assert records(done.stdout)[0]["logs"]["lines"][0]["text"] == "hello"
    assert door.requests > 5


def test_every_record_may_have_an_engine_of_its_own(run: Run, box: Box, forward: Callable[..., Forwarder]) -> None:
    box("a", "echo", "hello").wait()
    lines = [{"service": "dmtest-a", "docker_host": url} for url in forward().urls]
    lines.append({"service": "dmtest-a", "docker_host": "tcp://127.0.0.1:1"})
    lines.append({"service": "dmtest-a"})  # the sealed environment's, which does not exist
    done = run("dm-inspect -K | dm-logs -K | dm-stats -K", "\n".join(map(json.dumps, lines)))
    found = records(done.stdout)
    assert [record["docker_host"] for record in found[:3]] == [line["docker_host"] for line in lines[:3]]
    assert [("inspect" in record, "logs" in record, "stats" in record) for record in found] == [
        (True, True, True),
        (True, True, True),
        (False, False, False),
        (False, False, False),
    ]
    everywhere = [f"{stage}:docker_unreachable" for stage in ("inspect", "logs", "stats")]
    assert [codes(record) for record in found] == [[], [], everywhere, everywhere]
    assert "tcp://127.0.0.1:1: connection refused" in found[2]["errors"][0]["message"]


@pytest.mark.parametrize("command", ["dm-inspect", "dm-logs", "dm-stats", "dm-probe"])
def test_no_engine_is_status_5_and_every_record_flows(run: Run, command: str) -> None:
    done = run(command, NAMES_30)
    assert (done.returncode, done.stderr) == (5, "")
    found = records(done.stdout)
    assert len(found) == 30
    assert {tuple(codes(record)) for record in found} == {(f"{command[3:]}:docker_unreachable",)}


@pytest.mark.parametrize(
    "host", ["tcp://[::1", "tcp://127.0.0.1:99999", "foo://bar", "tcp://", "ssh://-oProxyCommand=x", "nonsense"]
)
def test_an_address_that_is_none(run: Run, host: str) -> None:
    done = run("dm-inspect", json.dumps({"service": "a", "docker_host": host}))
    assert done.returncode == 5
    assert "Traceback" not in done.stderr
    assert codes(records(done.stdout)[0]) == ["inspect:docker_unreachable"]


def test_an_engine_that_answers_garbage(run: Run, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(4096)
                        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n[null]")

        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        done = run("dm-inspect a", DOCKER_HOST=f"tcp://127.0.0.1:{listener.getsockname()[1]}")
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
    assert codes(one(done, 5)) == ["inspect:docker_unreachable"]


@pytest.mark.parametrize("command", ["dm-inspect", "dm-logs", "dm-stats", "dm-probe"])
def test_an_engine_that_never_answers_costs_one_timeout_and_not_thirty(run: Run, command: str) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        started = time.monotonic()
        done = run(f"{command} -t 1", NAMES_30, DOCKER_HOST=f"tcp://127.0.0.1:{listener.getsockname()[1]}")
        assert time.monotonic() - started < 20  # thirty would be 30
    assert done.returncode == 5
    assert {tuple(codes(record)) for record in records(done.stdout)} == {(f"{command[3:]}:docker_unreachable",)}
    assert len(records(done.stdout)) == 30


def test_an_engine_that_falls_silent_after_its_list(
    run: Run, box: Box, forward: Callable[..., Forwarder], shop: dict[str, str]
) -> None:
    box("a", "sh", "-c", "seq 1 2000").wait()
    door = forward(spoil=b"/logs?", allowed=5000, stall=True)
    started = time.monotonic()
    done = run("dm-logs -t 1", "\n".join(["dmtest-a"] * 30), DOCKER_HOST=door.urls[1])
    assert time.monotonic() - started < 25
    found = records(done.stdout)
    assert len(found) == 30
    assert {code for record in found for code in codes(record)} <= {"logs:docker_timeout", "logs:docker_unreachable"}
    assert all(codes(record) for record in found)


def test_events_that_never_end(run: Run, box: Box, forward: Callable[..., Forwarder]) -> None:
    """What was inspected stays; only the events are missing."""
    box("a", "sleep", "100")
    door = forward(spoil=b"/events?", stall=True)
    started = time.monotonic()
    done = run("dm-inspect -t 1 dmtest-a", DOCKER_HOST=door.urls[0])
    assert time.monotonic() - started < 20
    record = one(done, 4)
    assert codes(record) == ["inspect:docker_timeout"]
    assert (record["inspect"]["state"], record["inspect"]["events"]) == ("running", [])


def test_an_engine_that_dies_while_a_log_is_read(run: Run, box: Box, forward: Callable[..., Forwarder]) -> None:
    """A log that was cut off must not pass for a short one."""
    box("a", "sh", "-c", "seq 1 2000").wait()
    door = forward(spoil=b"/logs?", allowed=5000)
    done = run("dm-logs --tail 2000", "dmtest-a\ndmtest-b\ndmtest-c\n", DOCKER_HOST=door.urls[0])
    assert (done.returncode, done.stderr) == (5, "")
    found = {record["service"]: record for record in records(done.stdout)}
    assert len(found) == 3
    assert {code for record in found.values() for code in codes(record)} <= {
        "logs:docker_unreachable",
        "logs:container_not_found",
    }
    cut = found["dmtest-a"]
    assert codes(cut) == ["logs:docker_unreachable"]
    if "logs" in cut:
        assert cut["logs"]["truncated"]
        assert cut["logs"]["lines"][0]["text"] == "1"


def test_an_engine_that_dies_mid_run_loses_no_record(run: Run, box: Box, forward: Callable[..., Forwarder]) -> None:
    box("a", "sleep", "100")
    door = forward(spoil=b"/stats?")
    names = "\n".join(["dmtest-a"] * 10)
    inspected = run("dm-inspect", names, DOCKER_HOST=door.urls[0])
    done = run("dm-stats | dm-logs", inspected.stdout, DOCKER_HOST=door.urls[0])
    found = records(done.stdout)
    assert done.returncode == 5
    assert len(found) == 10
    assert all("inspect" in record for record in found)
    assert {code for record in found for code in codes(record)} == {
        "stats:docker_unreachable",
        "logs:docker_unreachable",
    }


# By ssh


@pytest.fixture
def ssh(shop: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    """A real sshd on loopback whose sessions see the lab's engine: the variables with which it is reached.

    Its home is empty: what a user's shell may say when it starts is no matter of ours.
    """
    environment = f"DOCKER_HOST={shop['DOCKER_HOST']} PATH={os.environ['PATH']} HOME={tmp_path}"
    with sshd.started(tmp_path, environment) as server:
        yield {"DOCKER_HOST": f"ssh://lab:{server.port}", "PATH": f"{server.folder}:{SEALED['PATH']}"}


def test_an_engine_by_ssh(run: Run, box: Box, ssh: dict[str, str]) -> None:
    box("a", "sh", "-c", "echo hello; echo oops >&2").wait()
    done = run("dm-inspect dmtest-a | dm-logs | dm-stats", **ssh)
    record = one(done)
    assert codes(record) == []
    assert [event["action"] for event in record["inspect"]["events"]] == ["create", "start", "die"]
    assert {line["text"] for line in record["logs"]["lines"]} == {"hello", "oops"}


def test_sixteen_records_by_ssh_do_not_run_into_sshds_limit(run: Run, box: Box, ssh: dict[str, str]) -> None:
    box("a", "sleep", "100")
    done = run("dm-stats -t 30", "\n".join(["dmtest-a"] * 16), **ssh)
    found = records(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(found) == 16
    assert all(record["stats"]["memory_bytes"] for record in found)


def test_a_published_port_of_a_remote_engine(run: Run, box: Box, ssh: dict[str, str]) -> None:
    """Container addresses mean nothing here then: only published ports can be asked."""
    box("a", "sleep", "100")
    done = run("dm-probe", '{"service": "dmtest-a", "internal": ["tcp://dmtest-a:80"]}', **ssh)
    assert codes(one(done, 4)) == ["probe:no_route"]


def test_an_ssh_that_hangs(run: Run, tmp_path: Path) -> None:
    wrapper = tmp_path / "ssh"
    wrapper.write_text("#!/bin/sh\ncat > /dev/null\n")
    wrapper.chmod(0o755)
    started = time.monotonic()
    done = run(f"PATH={tmp_path}:$PATH; dm-inspect -t 1", NAMES_30, DOCKER_HOST="ssh://lab")
    assert time.monotonic() - started < 20
    found = records(done.stdout)
    assert done.returncode == 5
    assert len(found) == 30
    assert {tuple(codes(record)) for record in found} == {("inspect:docker_unreachable",)}


def test_an_ssh_that_fails_says_why(run: Run, ssh: dict[str, str]) -> None:
    done = run("dm-inspect a", **ssh | {"DOCKER_HOST": ssh["DOCKER_HOST"].replace("lab", "nobody@lab")})
    assert done.returncode == 5
    assert codes(records(done.stdout)[0]) == ["inspect:docker_unreachable"]
    assert "Permission denied" in done.stderr
