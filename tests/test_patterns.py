"""The pattern library: every pattern has a case that it must match and a near miss that it must not.

The log lines are of the kinds that the vendors' programs write; the states are those that Docker reports.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest

from dm_tools.evidence.recent import LAST_LINES
from dm_tools.evidence.view import View
from dm_tools.patterns import matching as patterns
from dm_tools.patterns import reading as reader
from tests.conftest import Run
from tests.making import Record, check, node, service, swarm
from tests.samples import samples

LIBRARY = reader.read(None)
SAMPLES = samples()
NGINX_TAIL = (
    ', client: 10.0.0.1, server: web, request: "GET / HTTP/1.1", upstream: "http://10.0.0.5:8000/", host: "web"'
)
HEALTH_RUN = {"start": None, "end": None}


def container(**changes: Any) -> Record:
    return service("x", **changes)


def probed(error: str, status: str = "failed", **changes: Any) -> Record:
    return container(**changes) | {"probe": {"status": status, "checks": [check(error)]}}


def with_stats(**figures: float) -> Record:
    keys = [
        "cpu_percent",
        "memory_bytes",
        "memory_limit_bytes",
        "memory_percent",
        "pids",
        "pids_limit",
        "throttled_percent",
        "network_rx_bytes",
        "network_tx_bytes",
        "block_read_bytes",
        "block_write_bytes",
    ]
    return container() | {"stats": dict.fromkeys(keys) | figures}


def shown(verdict: str, *codes: str, probed: bool = True) -> Record:
    """A service whose page a browser saw like that."""
    reasons = [{"code": code, "message": code, "evidence": ["screenshot:0"]} for code in codes]
    page = {"id": "screenshot:0", "url": "http://x/", "scope": "internal", "verdict": verdict, "reasons": reasons}
    section = {"screenshot": {"status": "degraded", "pages": [page]}}
    return (container() if probed else {"service": "x"}) | section


def port(number: int) -> Record:
    return {"container_port": number, "protocol": "tcp", "host_ip": None, "host_port": None}


def health(output: str, exit_code: int = -1, **changes: Any) -> Record:
    runs = [{"exit_code": exit_code, "output": output} | HEALTH_RUN]
    return container(health="unhealthy", has_healthcheck=True, health_log=runs, **changes)


NO_NODE = "pending: no suitable node"
FORGOTTEN = {"finished_at": "2026-01-01T00:05:00Z", "events_since": "2026-01-01T00:05:00.001Z"}
KILLED = [{"ts": "2026-01-01T00:09:00Z", "action": "kill", "signal": 9, "exit_code": None}]
OOM = [{"ts": "2026-01-01T00:09:00Z", "action": "oom", "signal": None, "exit_code": None}]
CHDIR = 'chdir to cwd ("/app") set in config.json failed: {}: unknown'
NOT_FOUND = 'OCI runtime create failed: exec: "shop": executable file not found in $PATH: unknown'
EXEC_FAILED = "OCI runtime exec failed: exec failed: unable to start container process: no such file or directory"

# pattern id -> what the engine says of a start that failed (State.Error), and words that are somebody else's
START_ERRORS = {
    "container.bad_command": (NOT_FOUND, "port is already allocated"),
    "container.wrong_platform": ("exec /usr/bin/app: exec format error", NOT_FOUND),
    "container.user_missing": ("unable to find user node: no matching entries in passwd file", NOT_FOUND),
    "container.workdir_denied": (CHDIR.format("permission denied"), CHDIR.format("no such file or directory")),
    "container.workdir": (CHDIR.format("no such file or directory"), CHDIR.format("permission denied")),
    "container.device_missing": (
        'error gathering device information while adding custom device "/dev/ttyUSB0": no such file or directory',
        'error mounting "/dev/ttyUSB0" to rootfs at "/b": no such file or directory',
    ),
    "container.gpu_driver": (
        "nvidia-container-cli: initialization error: nvml error: driver/library version mismatch: unknown",
        "nvidia-container-cli: initialization error: load library failed: libnvidia-ml.so.1",
    ),
    "container.gpu_runtime": (
        'could not select device driver "nvidia" with capabilities: [[gpu]]',
        "nvidia-container-cli: initialization error: nvml error: driver/library version mismatch: unknown",
    ),
    "container.sysctl": (
        "open sysctl net.ipv4.ip_unprivileged_port_start file: reopen fd 8: permission denied",
        'exec: "/entrypoint.sh": permission denied',
    ),
    "container.seccomp_profile": ("error loading seccomp filter into kernel: invalid argument", NOT_FOUND),
    "container.share_denied": (
        "failed to mount local volume: mount //192.0.2.5/media:/var/lib/docker/volumes/nas/_data: permission denied",
        "failed to mount local volume: mount :/export:/data/nas/_data, data: addr=192.0.2.5: connection refused",
    ),
    "container.apparmor": (
        "unable to apply apparmor profile: write /proc/thread-self/attr/apparmor/exec: no such file or directory",
        NOT_FOUND,
    ),
    "container.no_space": ("mkdir /run/containerd/a/b: no space left on device: unknown", NOT_FOUND),
    "container.mount_type": (
        'error mounting "/srv/a.conf" to rootfs at "/etc/a.conf": not a directory: unknown: Are you trying to mount a '
        "directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type",
        'error mounting "/a" to rootfs at "/b": no such file or directory',
    ),
    "container.bind_missing": (
        'invalid mount config for type "bind": bind source path does not exist: /mnt/nas/media',
        'invalid mount config for type "bind": field Target must not be empty',
    ),
    "container.share_unreachable": (
        "failed to mount local volume: mount :/export/media:/var/lib/docker/volumes/nas/_data: connection refused",
        'error mounting "/a" to rootfs at "/b": no such file or directory',
    ),
    "container.nested": (
        'error mounting "proc" to rootfs at "/proc": mount src=proc, dst=/proc: permission denied',
        'error mounting "/a" to rootfs at "/b": permission denied',
    ),
    "container.storage_broken": (
        "error creating overlay mount to /data/overlay2/0f/merged: invalid argument",
        NOT_FOUND,
    ),
    "container.cgroup": (
        "unable to apply cgroup configuration: failed to write 12: write /sys/fs/cgroup/a/cgroup.procs: device busy",
        "mkdir /sys/fs/cgroup/memory/docker/1: no space left on device",
    ),
    "container.rlimit": ("error setting rlimit type 7: operation not permitted", NOT_FOUND),
    "container.memory_minimum": ("Minimum memory limit allowed is 6MB", "no space left on device"),
    "container.iptables": ("(iptables failed: iptables --wait -t nat: No chain/target/match by that name)", NOT_FOUND),
    "container.bridge_missing": (
        "adding interface veth1 to bridge docker0 failed: could not find bridge docker0",
        NOT_FOUND,
    ),
    "container.network_gone": ("network 5f0b6c2a1d3e not found", 'network driver "x" is unknown'),
    "container.network_of_gone": (
        "cannot join network of a non running container: f8b249e4cf1d",
        "network a not found",
    ),
    "container.link_dead": ("Cannot link to a non running container: /shop-db-1 AS /shop-app-1/db", NOT_FOUND),
    "container.address_taken": ("Address already in use", "listen tcp 0.0.0.0:80: bind: address already in use"),
    "container.address_outside": (
        "Invalid address 172.20.0.5: It does not belong to any of this network's subnets",
        "Address already in use",
    ),
    "container.log_server": (
        "failed to initialize logging driver: dial tcp 127.0.0.1:24224: connect: connection refused",
        "failed to initialize logging driver: unknown log opt 'mode-x' for json-file log driver",
    ),
    "container.log_driver": (
        "failed to initialize logging driver: unknown log opt 'mode-x' for json-file log driver",
        "failed to initialize logging driver: dial tcp 127.0.0.1:24224: connect: connection refused",
    ),
    "container.image_gone": ("No such image: sha256:0a1b", NOT_FOUND),
    "container.mount_failed": ('error mounting "/a" to rootfs at "/b": no such file or directory', NOT_FOUND),
}


def looping(code: int, **changes: Any) -> Record:
    return container(state="restarting", restart_count=5, exit_code=code, **changes)


def processes(*states: str) -> Record:
    return container(processes=[{"state": state, "command": f"app{at}"} for at, state in enumerate(states)])


# pattern id -> (a record that it must match, one that it must not)
STATES: dict[str, tuple[Record, Record]] = {
    **{
        name: (
            container(state="created", exit_code=128, error=words),
            container(state="created", exit_code=128, error=other),
        )
        for name, (words, other) in START_ERRORS.items()
    },
    "container.killed_in_a_loop": (looping(137), looping(137, events=KILLED)),
    "container.ends_well_in_a_loop": (looping(0), looping(0, restart_policy="on-failure")),
    "container.system_call_refused": (looping(159), looping(139)),
    "container.arithmetic_error": (looping(136), looping(139)),
    "container.trap": (looping(133), looping(139)),
    "container.cpu_time_limit": (looping(152), looping(139)),
    "container.file_size_limit": (looping(153), looping(152)),
    "container.ended_by_signal": (looping(129), looping(143)),
    "container.healthcheck_scheme": (
        health("curl: (35) error:0A00010B:SSL routines::wrong version number", 1),
        health("curl: (22) The requested URL returned error: 404", 1),
    ),
    "container.healthcheck_port": (
        health("curl: (7) Failed to connect to localhost port 8080: Connection refused", 7, ports=[port(3000)]),
        health("curl: (7) Failed to connect to localhost port 3000: Connection refused", 7, ports=[port(3000)]),
    ),
    "container.busy_loop": (
        with_stats(cpu_percent=99.5) | {"inspect": health("Health check exceeded timeout (3s)")["inspect"]},
        with_stats(cpu_percent=3) | {"inspect": health("Health check exceeded timeout (3s)")["inspect"]},
    ),
    "container.busy_and_silent": (
        with_stats(cpu_percent=99.5) | {"probe": probed("timeout")["probe"]},
        with_stats(cpu_percent=99.5) | {"probe": probed("http_5xx")["probe"]},
    ),
    "container.process_stopped": (processes("T"), processes("S", "T")),
    "container.process_waits_for_disk": (
        health("Health check exceeded timeout (3s)", processes=[{"state": "D", "command": "app"}]),
        processes("D"),
    ),
    "container.zombies": (processes("S", *"ZZZZZZZZZZ"), processes("S", "Z", "Z")),
    "container.oom_killed_before": (container(oom_killed=True), container(state="restarting", oom_killed=True)),
    "container.health_refused": (
        health("curl: (7) Failed to connect to localhost port 443: Connection refused", 1),
        health("HTTP 503", 1),
    ),
    "container.oom_killed": (
        container(state="exited", exit_code=137, oom_killed=True),
        container(state="exited", exit_code=137),
    ),
    "container.child_oom_killed": (container(events=OOM), container(events=KILLED)),
    "container.paused": (container(state="paused"), container()),
    "container.command_not_found": (container(state="exited", exit_code=127), container(state="exited", exit_code=1)),
    "container.port_conflict": (
        container(state="created", exit_code=128, error="Bind for 0.0.0.0:80 failed: port is already allocated"),
        container(state="created", exit_code=127, error=NOT_FOUND),
    ),
    "container.network_detached": (container(networks=[]), container(networks=[], network_mode="none")),
    "container.stopped": (container(state="exited", exit_code=143), container(state="exited", exit_code=1)),
    "container.stopped_by_command": (
        container(state="exited", restart_policy="no", events=[KILLED[0] | {"action": "stop"}]),
        container(state="exited", restart_policy="no"),
    ),
    "container.disarmed": (
        container(state="exited", exit_code=1, events=[KILLED[0] | {"signal": 1}]),
        container(state="exited", exit_code=137, events=KILLED),
    ),
    "container.disarmed_now": (
        container(events=[KILLED[0] | {"signal": 1}]),
        container(events=[KILLED[0] | {"signal": 1}], restart_policy="no"),
    ),
    "container.ended": (
        container(state="exited", restart_policy="no", has_healthcheck=True),
        container(state="exited", restart_policy="always"),
    ),
    "container.ended_unseen": (
        container(state="exited", restart_policy="no", **FORGOTTEN),
        container(state="exited", restart_policy="no", **FORGOTTEN | {"events_since": "2026-01-01T00:04:59.999Z"}),
    ),
    "container.killed": (
        container(state="exited", exit_code=137, events=KILLED),
        container(state="exited", exit_code=137, oom_killed=True),
    ),
    "container.segfault": (container(state="exited", exit_code=139), container(state="exited", exit_code=134)),
    "container.aborted": (container(state="restarting", exit_code=134), container(state="exited", exit_code=139)),
    "container.illegal_instruction": (
        container(state="exited", exit_code=132),
        container(state="exited", exit_code=139),
    ),
    "container.bus_error": (container(state="exited", exit_code=135), container(state="exited", exit_code=134)),
    "container.killed_unseen": (
        container(state="exited", exit_code=137),
        container(state="exited", exit_code=137, oom_killed=True),
    ),
    "container.healthcheck_disagrees": (
        health("curl: (7) Failed to connect to 127.0.0.1 port 8080", 1)
        | {"probe": {"status": "healthy", "checks": [check()]}},
        health("curl: (7) Failed to connect to 127.0.0.1 port 8080", 1) | {"probe": None},
    ),
    "container.exited": (container(state="exited", exit_code=1), container(state="exited", exit_code=0)),
    "container.job_failed": (
        container(state="exited", exit_code=1, restart_policy="no"),
        container(state="exited", exit_code=1, restart_policy="always"),
    ),
    "container.never_started": (container(state="created"), container(state="created", error=NOT_FOUND)),
    "container.start_failed": (container(state="created", error="something new"), container(state="created")),
    "container.crash_loop": (
        container(state="restarting", restart_count=5, exit_code=1),
        container(restart_count=5, started_at="2026-01-01T00:00:00Z"),  # it has run for ten minutes since
    ),
    "container.missing": (
        {"v": 1, "service": "x", "errors": [{"stage": "inspect", "code": "container_not_found", "message": ""}]},
        {"v": 1, "service": "x", "errors": [{"stage": "inspect", "code": "docker_unreachable", "message": ""}]},
    ),
    "container.healthcheck_broken": (health(EXEC_FAILED), health("connection refused", 1)),
    "container.unresponsive": (probed("timeout"), probed("refused")),
    "container.health_timeout": (
        health("Health check exceeded timeout (1s)"),
        health("curl: (7) Failed to connect", 1),
    ),
    "container.unhealthy": (
        health("HTTP 503", 1),
        health("curl: (7) Failed to connect to localhost port 443: Connection refused", 1),
    ),
    "network.tls_expired": (probed("tls_expired"), probed("tls_untrusted")),
    "network.tls_expires_soon": (probed("tls_expires_soon"), probed("tls_expired")),
    "network.unexpected_answer": (probed("unexpected_answer"), probed("http_5xx")),
    "network.tls_not_yet_valid": (probed("tls_not_yet_valid"), probed("tls_expired")),
    "network.tls_hostname": (probed("tls_hostname"), probed("tls_untrusted")),
    "network.tls_untrusted": (probed("tls_untrusted"), probed("tls_expired")),
    "network.tls_refused": (probed("tls_client_certificate"), probed("speaks_tls")),
    "network.other_protocol": (probed("speaks_plain_http"), probed("tls_error")),
    "network.probe_dns": (probed("dns"), probed("refused")),
    "network.refused": (probed("refused"), probed("refused", state="exited", exit_code=1)),
    "network.timeout": (probed("timeout"), probed("reset")),
    "network.http_error": (probed("http_5xx"), probed("timeout")),
    "page.script_missing": (shown("blank", "script_failed"), shown("ok", "script_failed")),
    "page.script_exception": (shown("loading", "exception"), shown("blank", "script_failed", "exception")),
    "page.data_missing": (shown("blank", "data_failed"), shown("blank", "data_failed", "exception")),
    "page.trace": (shown("error_page", "trace"), shown("error_page", "server_error")),
    "page.default": (shown("error_page", "default_page"), shown("error_page", "http_status")),
    "page.blank": (shown("blank", "no_content"), shown("loading", "spinner")),
    "page.loading": (shown("loading", "spinner"), shown("login", "login_form")),
    "page.error": (shown("error_page", "http_status"), shown("not_rendered", "crashed")),
    "page.redirects": (shown("not_rendered", "too_many_redirects"), shown("not_rendered", "timeout")),
    "page.mixed_content": (shown("ok", "mixed_content"), shown("ok", "tls")),
    "page.refused": (shown("not_rendered", "refused", probed=False), shown("not_rendered", "refused")),
    "page.dns": (shown("not_rendered", "dns", probed=False), shown("not_rendered", "dns")),
    "page.timeout": (shown("not_rendered", "timeout", probed=False), shown("not_rendered", "timeout")),
    "swarm.resources": (swarm(f"{NO_NODE} (insufficient resources on 1 node)"), swarm(NO_NODE)),
    "swarm.constraints": (swarm(f"{NO_NODE} (scheduling constraints not satisfied on 1 node)"), swarm(NO_NODE)),
    "swarm.port": (swarm(f"{NO_NODE} (host-mode port already in use on 1 node)"), swarm(NO_NODE)),
    "swarm.per_node": (swarm(f"{NO_NODE} (max replicas per node limit exceed)"), swarm(NO_NODE)),
    "swarm.platform": (swarm(f"{NO_NODE} (unsupported platform on 1 node)"), swarm(NO_NODE)),
    "swarm.no_node": (swarm(f"{NO_NODE} (1 node not available for new tasks)"), swarm(NO_NODE, desired=0)),
    "swarm.image": (swarm("No such image: shop:2"), swarm("No such image: shop:2", running=1)),
    "swarm.bind_missing": (
        swarm('invalid mount config for type "bind": bind source path does not exist: /x'),
        swarm("network shop not found"),
    ),
    "swarm.command": (
        swarm(f"failed: starting container failed: {NOT_FOUND}"),
        swarm("failed: task: non-zero exit (1)"),
    ),
    "swarm.rejected": (swarm("network shop not found"), swarm("failed: task: non-zero exit (1)")),
    "swarm.unhealthy": (
        swarm("failed: task: non-zero exit (137): dockerexec: unhealthy container"),
        swarm("failed: task: non-zero exit (137)"),
    ),
    "swarm.ending": (swarm("failed: task: non-zero exit (1)"), swarm("No such image: shop:2")),
    "swarm.short": (swarm(), swarm(running=1)),
    "swarm.update_paused": (swarm(update="paused"), swarm(update="completed")),
    "swarm.node_down": (node(state="down"), node(availability="drain")),
    "swarm.manager_unreachable": (node(reachability="unreachable"), node(reachability="reachable")),
    "swarm.leaderless": (node(state="leaderless"), node(state="unknown")),
    "host.unreachable": (
        {"v": 1, "service": "far", "host": {"name": "far", "unreachable": "no route to host"}},
        {"v": 1, "service": "far/app", "host": {"name": "far", "unreachable": None}},
    ),
    "system.memory_pressure": (with_stats(memory_percent=99), with_stats(memory_percent=60)),
    "system.cpu_saturated": (with_stats(throttled_percent=95), with_stats(throttled_percent=10)),
}


def fired(record: Record) -> set[str]:
    """The ids of the patterns that fire for a record."""
    return {
        hit.pattern.id for hit in patterns.matches(LIBRARY, patterns.Places(LIBRARY, View.of(copy.deepcopy(record))))
    }


def test_every_pattern_is_tested() -> None:
    assert {pattern.id for pattern in LIBRARY.patterns} == set(SAMPLES) | set(STATES)


@pytest.mark.parametrize("name", sorted(STATES))
def test_state_patterns(name: str) -> None:
    yes, no = STATES[name]
    assert name in fired(yes)
    assert name not in fired(no)


@pytest.mark.parametrize("name", sorted(START_ERRORS))
def test_a_failed_start_is_told_by_its_reason_also_where_the_old_state_stays(name: str) -> None:
    """A restart whose start fails leaves the container `exited`, with the exit code of before and no event."""
    words, _ = START_ERRORS[name]
    found = fired(container(state="exited", exit_code=143, error=words, events=KILLED, restart_policy="always"))
    assert name in found
    assert found <= {name, "container.start_failed", "container.mount_failed"}, "no start by hand, no other story"


def test_evidence_and_captures_point_to_the_line() -> None:
    record = service("x", log=("a", SAMPLES["network.connection_refused"].matches[0], "b"))
    hits = {hit.pattern.id: hit for hit in patterns.matches(LIBRARY, patterns.Places(LIBRARY, View.of(record)))}
    assert hits["network.connection_refused"].evidence == ["logs:1"]
    assert hits["network.connection_refused"].captures == {"upstream": "db", "port": "5432"}


@pytest.mark.parametrize(
    "line",
    [
        '10.0.0.1 - - [01/Jan/2026:00:00:00 +0000] "GET /?q=No space left on device HTTP/1.1" 200 17 "-" "curl"',
        "2026-01-01 00:00:00 INFO app: ready",
        "# WARNING Memory overcommit must be enabled! Without it, a background save may fail under low memory.",
        "LOG:  database system is ready to accept connections",
        'GET /users/500 HTTP/1.1" 200',
    ],
)
def test_harmless_lines_fire_nothing(line: str) -> None:
    assert fired(service("x", log=(line,))) == set()


def test_old_lines_are_history() -> None:
    broken = service("x", "failed", log=("a", SAMPLES["system.disk_full"].matches[0], *["b"] * LAST_LINES))
    assert "system.disk_full" in fired(broken)
    broken["inspect"]["observed_at"] = "2026-01-01T01:00:00Z"
    for line in broken["logs"]["lines"][2:]:
        line["ts"] = "2026-01-01T01:00:00Z"
    assert "system.disk_full" not in fired(broken), "it has said other things for long since"
    healthy = service("x", log=(SAMPLES["system.disk_full"].matches[0],))
    assert "system.disk_full" in fired(healthy)
    healthy["inspect"]["observed_at"] = "2026-01-01T01:00:00Z"
    assert "system.disk_full" in fired(healthy), "a healthcheck that passes tells nothing of its last words"
    healthy["inspect"]["observed_at"] = "2026-01-03T01:00:00Z"
    assert "system.disk_full" not in fired(healthy), "it has been silent and healthy for long since"


@pytest.mark.parametrize("seed", ["a" * 50_000, "upstream: " * 5_000, '"' * 50_000, "connect() failed (" * 3_000])
def test_matching_takes_linear_time(seed: str) -> None:
    """Bait for backtracking: a hundred times the text may not take a thousand times as long."""
    import time

    begin = time.perf_counter()
    fired(service("x", log=(seed,)))
    assert time.perf_counter() - begin < 5


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[[pattern]", "not valid TOML"),
        ("[[pattern]]\nid = 'a'", "missing required field"),
        ("[[pattern]]\nidd = 'a'", "unknown field `idd`"),
        ("level = 'high'", "Invalid enum value 'high'"),
        ("cause = 'bad_luck'", "Invalid enum value 'bad_luck'"),
        ("match = []", "neither 'says' nor 'match' says anything"),
        ("says = [{ example = 'a' }]", "missing required field `text`"),
        ("says = [{ text = 'a' }, { text = '(?i)b' }]", "write (?i:...)"),
        ("says = [{ text = '(' }]", "not a regular expression"),
        ("near_misses = ['a']", "belong to 'says'"),
        ("match = [{ where = 'log', regex = '(' }]", "not a regular expression"),
        ("match = [{ where = 'weather', is = ['rain'] }]", "unknown place 'weather'"),
        ("match = [{ where = 'inspect.exitcode', is = [1] }]", "unknown place 'inspect.exitcode'"),
        ("match = [{ where = 'log', regex = 'a', is = ['b'] }]", "exactly one of regex, is, above, empty"),
        ("explanation = '{servise} is broken'", "unknown placeholder {servise}"),
        ("blames = 'technology'", "the file names none"),
        ("id = 'redis.maxmemory'", "is already in redis.toml"),
    ],
)
def test_a_bad_pattern_file_is_refused_with_file_key_and_reason(
    run: Run, tmp_path: Any, text: str, reason: str
) -> None:
    whole = {
        "id": "'mine'",
        "cause": "'http_error'",
        "severity": "'info'",
        "level": "'outcome'",
        "match": "[{ where = 'log', regex = 'a' }]",
        "explanation": "'{service}'",
        "source": "'us'",
    }
    if not text.startswith("["):
        key, _, value = text.partition(" = ")
        whole[key] = value
        text = "[[pattern]]\n" + "\n".join(f"{key} = {value}" for key, value in whole.items())
    (tmp_path / "mine.toml").write_text(text)
    refused = run("dm-analyze --patterns . < /dev/null")
    assert refused.returncode == 3
    assert "mine.toml" in refused.stderr
    assert reason in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_an_own_pattern_is_merged_in(run: Run, tmp_path: Any) -> None:
    (tmp_path / "mine.toml").write_text(
        "[[pattern]]\nid = 'mine.moon'\ncause = 'config_error'\nseverity = 'critical'\nlevel = 'cause'\nsource = 'us'\n"
        "says = [{ text = 'the sun is (?P<path>\\w+)' }, { text = 'the moon is (?P<path>\\w+)' }]\n"
        "explanation = '{service}: {path} moon'\n"
    )
    import orjson

    record = orjson.dumps(service("x", "failed", log=("the moon is full",))).decode() + "\n"
    judged = orjson.loads(run("dm-analyze", stdin=record, DM_PATTERNS=".").stdout)
    assert judged["analysis"]["hypothesis"] == "x: full moon"
    assert judged["analysis"]["cause"] == "config_error"
