"""The SSH wrapper: its grammar, and a real sshd whose key is bound to it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dm_tools.pipe import configs
from dm_tools.serve import grammar
from tests import dockerproxy, sshd
from tests.conftest import ROOT, SEALED, Box, Proxy, Run, records

RULES = grammar.read((configs.folder("ssh") / "commands.toml").read_text())
WRAPPER = ROOT / "scripts/stackops-wrapper"
KEY = "a1b2c3d4-once"


@pytest.mark.parametrize(
    ("line", "argv"),
    [
        ("dm-services --discover", ["dm-services", "--discover"]),
        ("dm-logs --tail=50 --since 10m web", ["dm-logs", "--tail", "50", "--since", "10m", "web"]),
        ("dm-probe -t 500ms 'web'", ["dm-probe", "-t", "500ms", "web"]),
        ("diagnose-enhanced --discover web db", ["diagnose-enhanced", "--discover", "web", "db"]),
        ("docker system dial-stdio", ["docker", "system", "dial-stdio"]),
    ],
)
def test_what_is_allowed(line: str, argv: list[str]) -> None:
    assert grammar.parse(line, RULES, may_act=False) == grammar.Asked(tuple(argv))


REFUSED = [
    None,
    "",
    "  ",
    "sh",
    "bash -c id",
    "dm-services; id",
    "dm-services --discover | id",
    "dm-services $(id)",
    "dm-services `id`",
    "dm-services --discover && id",
    "dm-services > /tmp/x",
    "dm-services\nid",
    "dm-services --manifest /etc/passwd",
    "dm-services --docker-host tcp://elsewhere:1",
    "dm-services /etc/passwd",
    "dm-services ../x",
    "dm-probe http://169.254.169.254/",
    "dm-probe -",
    "dm-logs --tail",
    "dm-logs --tail x",
    "dm-logs --tail=-1",
    "dm-logs --tail '5 5'",
    "dm-logs --help=x",
    "dm-logs --since 10m;id",
    "dm-logs -- web",
    "dm-logs 'web",
    "dm-logs web\x00",
    "dm-logs wéb",
    "dm-logs " + "a" * 200,
    "dm-logs " + "a " * 3000,
    "dm-analyze --patterns /tmp",
    "dm-analyze incident.jsonl",
    "dm-screenshot --dom /tmp web",
    "dm-screenshot --header-file /etc/shadow web",
    "dm-condense --text",
    "dm-schema",
    "dm-report --html",
    "dm-llm serve",
    "dm-review",
    "docker ps",
    "docker system dial-stdio x",
    "docker system prune -f",
    "DOCKER_HOST=x dm-services",
    "/bin/dm-services",
    "scp -t /tmp",
    "internal-sftp",
    "/usr/lib/openssh/sftp-server",
    "rsync --server . /",
    "git-upload-pack x",
    f"dm-execute {KEY}",
    f"dm-undo {KEY} last",
]


@pytest.mark.parametrize("line", REFUSED)
def test_what_is_refused(line: str | None) -> None:
    with pytest.raises(grammar.Refused) as refused:
        grammar.parse(line, RULES, may_act=False)
    assert str(refused.value)


def test_acting_needs_a_key_of_the_caller() -> None:
    assert grammar.parse(f"dm-execute {KEY} --wait healthy", RULES, True) == grammar.Asked(
        ("dm-execute", "--wait", "healthy"), KEY
    )
    assert grammar.parse(f"dm-undo {KEY} last", RULES, True) == grammar.Asked(("dm-undo", "last"), KEY)
    for line in ("dm-execute", "dm-execute short", "dm-execute --plan", f"dm-execute {KEY} x", f"dm-undo {KEY} a b"):
        with pytest.raises(grammar.Refused):
            grammar.parse(line, RULES, True)


@pytest.mark.parametrize("name", [*RULES.looks, *RULES.acts])
def test_the_grammar_knows_only_options_that_there_are(name: str) -> None:
    if name in grammar.SESSIONS:
        assert f"\n{name}) " in (ROOT / "scripts/supervisor-session.sh").read_text()
        return
    text = subprocess.run([ROOT / "bin" / name, "--help"], capture_output=True, text=True, check=True).stdout
    allowed = (RULES.looks | RULES.acts)[name]
    for option in [*allowed.flags, *allowed.values]:
        assert f"{option} " in text or f"{option}, " in text, option


def test_a_kind_that_is_not_defined_is_an_error() -> None:
    with pytest.raises(ValueError, match="there is no kind 'nowhere'"):
        grammar.read('[kinds]\n[looks.dm-x]\nvalues = { "-t" = "nowhere" }\n[acts]\n')


# A real sshd

Ask = Callable[..., subprocess.CompletedProcess[str]]


def asking(server: sshd.Server) -> Ask:
    """Run a client of the server: the program's own words, then the rest."""

    def ask(*words: str, program: str = "ssh", stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [server.folder / program, *words],
            input=stdin,
            env=SEALED | variables,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return ask


@pytest.fixture
def looking(tmp_path: Path) -> Iterator[tuple[Ask, Path, Path]]:
    """A client whose key may look; where the docker-proxy's socket is to be, and the folder of the reports."""
    docker, proofs = tmp_path / "docker.sock", tmp_path / "proofs"
    forced = f'command="{WRAPPER} --docker-host unix://{docker} --proofs-dir {proofs}",restrict'
    with sshd.started(tmp_path, options=forced) as server:
        yield asking(server), docker, proofs


def calls(proofs: Path) -> list[dict[str, object]]:
    """The journal of calls."""
    return [json.loads(line) for line in (proofs / "ssh/calls.jsonl").read_text().splitlines()]


def test_a_key_that_may_look(looking: tuple[Ask, Path, Path], tmp_path: Path) -> None:
    ask, docker, proofs = looking
    record = '{"v": 1, "service": "web"}'
    done = ask("lab", "dm-propose", "--on-bad=fail", stdin=record + "\n")
    assert (done.returncode, records(done.stdout)[0]["service"]) == (0, "web"), done.stderr
    sent = [word for name in ("DOCKER_HOST", "PYTHONPATH", "DM_DEBUG") for word in ("-o", f"SendEnv={name}")]
    done = ask(*sent, "lab", "dm-services", "--discover", DOCKER_HOST="tcp://x:1", PYTHONPATH="/nowhere", DM_DEBUG="1")
    assert (done.returncode, done.stdout) == (5, "") and f"unix://{docker}" in done.stderr, done.stderr
    for words in (["lab"], ["lab", "sh", "-c", "id"], ["lab", "dm-services", "--manifest", "/etc/passwd"]):
        done = ask(*words)
        assert (done.returncode, done.stdout) == (126, "") and done.stderr.startswith("stackops: "), words
    done = ask("-t", "-t", "lab", "dm-schema")
    assert done.returncode in (126, 255) and "/bin" not in done.stdout
    planted = tmp_path / "planted"
    planted.write_text("x")
    assert ask(str(planted), f"lab:{tmp_path}/copied", program="scp").returncode != 0
    assert ask("-O", str(planted), f"lab:{tmp_path}/copied", program="scp").returncode != 0
    assert ask("lab", program="sftp", stdin="ls /\n").returncode != 0
    assert ask("-N", "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1", "lab").returncode == 255
    forwarded = ask("-W", "127.0.0.1:22", "lab")
    assert forwarded.returncode != 0 and "SSH-2" not in forwarded.stdout
    agent = ask("-A", "lab", "dm-propose", stdin='{"v": 1, "service": "x"}\n', SSH_AUTH_SOCK="/nowhere")
    assert agent.returncode == 0
    assert not (tmp_path / "copied").exists()
    kept = calls(proofs)
    assert kept[0]["argv"] == ["dm-propose", "--on-bad", "fail"] and kept[0]["client"] == "127.0.0.1"
    assert kept[2]["refused"] and kept[3]["asked"] == "sh -c id" and kept[3]["argv"] is None
    assert (proofs / "ssh/calls.jsonl").stat().st_mode & 0o777 == 0o600


def test_it_never_dials_an_engine_itself(looking: tuple[Ask, Path, Path], proxy: Proxy, tmp_path: Path) -> None:
    ask, docker, _ = looking
    done = ask("lab", "docker", "system", "dial-stdio")
    assert (done.returncode, done.stderr) == (
        126,
        "stackops: the docker-proxy does not answer: no such file or directory\n",
    )
    with dockerproxy.witness(tmp_path / "open.sock") as engine:
        docker.symlink_to(tmp_path / "open.sock")
        done = ask("lab", "docker", "system", "dial-stdio", stdin="GET /info HTTP/1.1\r\nHost: docker\r\n\r\n")
        assert done.returncode == 126 and "is no docker-proxy" in done.stderr
        assert [path for _, path in engine.heard] == ["/volumes"]
        docker.unlink()
        docker.symlink_to(proxy(tmp_path / "open.sock"))
        head = "Host: docker\r\nConnection: close\r\n\r\n"
        done = ask("lab", "docker", "system", "dial-stdio", stdin="GET /info HTTP/1.1\r\n" + head)
        assert done.stdout.startswith("HTTP/1.0 200"), done.stderr
        done = ask("lab", "docker", "system", "dial-stdio", stdin="POST /containers/x/start HTTP/1.1\r\n" + head)
        assert done.stdout.startswith("HTTP/1.1 403"), done.stderr
        assert [path for _, path in engine.heard] == ["/volumes", "/info"]


def test_an_engine_through_wrapper_and_proxy(
    run: Run,
    box: Box,
    shop: dict[str, str],
    proxy: Proxy,
    tmp_path: Path,
) -> None:
    labels = {"com.docker.compose.project": "dmssh", "com.docker.compose.service": "web"}
    box("ssh-web", "sh", "-c", "echo ready; sleep 100", labels=labels)
    docker = proxy(shop["DOCKER_HOST"].removeprefix("unix://"))
    forced = f'command="{WRAPPER} --docker-host unix://{docker} --proofs-dir {tmp_path}/proofs",restrict'
    with sshd.started(tmp_path, options=forced) as server:
        reached = shop | {"DOCKER_HOST": f"ssh://lab:{server.port}", "PATH": f"{server.folder}:{SEALED['PATH']}"}
        reached["COMPOSE_PROJECT_NAME"] = "dmssh"
        done = run("dm-services --discover | dm-probe | dm-inspect | dm-logs | dm-stats", **reached)
        assert (done.returncode, done.stderr) == (0, "")
        (record,) = records(done.stdout)
        assert record["inspect"]["state"] == "running" and not record.get("errors")
        assert [line["text"] for line in record["logs"]["lines"]] == ["ready"]
        ask = asking(server)
        done = ask("lab", "dm-services", "--discover")
        assert "dmtest-ssh-web" in {each["container"] for each in records(done.stdout)}, done.stderr
        done = ask("lab", "dm-logs", "--tail", "5", "dmtest-ssh-web")
        assert [line["text"] for line in records(done.stdout)[0]["logs"]["lines"]] == ["ready"], done.stderr


def test_what_acts_runs_once_for_each_key(
    box: Box,
    shop: dict[str, str],
    proxy: Proxy,
    tmp_path: Path,
) -> None:
    container = box("ssh-act", "sleep", "100")
    started = container.attrs["State"]["StartedAt"]
    docker = proxy(shop["DOCKER_HOST"].removeprefix("unix://"), "haproxy-execute")
    forced = f'command="{WRAPPER} --act --docker-host unix://{docker} --proofs-dir {tmp_path}/proofs",restrict'
    identity = {"container_id": container.id, "started_at": started, "state": "running", "restart_count": 0}
    action = {"issue_id": "1", "service": "dmtest-ssh-act", "action": "restart", "confidence": "high", "reasoning": ""}
    approved = json.dumps(action | {"parameters": {}, "identity": identity}) + "\n"
    with sshd.started(tmp_path, options=forced) as server:
        ask = asking(server)
        first = ask("lab", "dm-execute", KEY, stdin=approved)
        assert records(first.stdout)[0]["execution"]["status"] == "done", first.stderr
        container.reload()
        again = container.attrs["State"]["StartedAt"]
        assert again != started
        second = ask("lab", "dm-execute", KEY, stdin=approved)
        assert (second.returncode, second.stdout) == (first.returncode, first.stdout)
        assert second.stderr.startswith("stackops: done before, at ")
        other = ask("lab", "dm-execute", KEY, stdin=approved.replace("restart", "start"))
        assert other.returncode == 126 and "was used for another call" in other.stderr
        container.reload()
        assert container.attrs["State"]["StartedAt"] == again
    kept = calls(tmp_path / "proofs")
    assert [call["status"] for call in kept] == [None, first.returncode, None]
    assert os.stat(tmp_path / "proofs/ssh/calls.jsonl").st_mode & 0o777 == 0o600


@pytest.mark.parametrize("command", ["dm-inspect", "dm-logs", "dm-stats", "dm-probe", f"dm-execute {KEY} --plan"])
def test_a_record_leads_to_no_other_engine(tmp_path: Path, command: str) -> None:
    """Not to the one behind the proxy, and to nobody else: who listens is not asked."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        host = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        record = {"v": 1, "service": "web", "container": "web", "docker_host": host, "internal": ["http://web/"]}
        record |= {"issue_id": "x", "action": "start", "approved_at": "2026-11-30T00:00:00Z", "confidence": "high"}
        record |= {"reasoning": "", "parameters": {}, "identity": {"container_id": "a" * 64}}
        words = [WRAPPER, "--act", "--proofs-dir", tmp_path, "--docker-host", f"unix://{tmp_path}/none.sock"]
        subprocess.run(
            words,
            env=SEALED | {"SSH_ORIGINAL_COMMAND": command},
            input=json.dumps(record) + "\n",
            capture_output=True,
            text=True,
            timeout=60,
        )
        other.settimeout(0.1)
        with pytest.raises(TimeoutError):
            other.accept()


def wrapped(tmp_path: Path, command: bytes, **options: object) -> subprocess.CompletedProcess[str]:
    words = [WRAPPER, "--act", "--proofs-dir", tmp_path / "proofs", "--docker-host", f"unix://{tmp_path}/none.sock"]
    environment = {**{key.encode(): value.encode() for key, value in SEALED.items()}, b"SSH_ORIGINAL_COMMAND": command}
    given: dict[str, object] = {"input": "", "stdout": subprocess.PIPE} | options
    return subprocess.run(words, env=environment, stderr=subprocess.PIPE, text=True, timeout=60, **given)  # type: ignore[call-overload,no-any-return]


def test_bytes_that_are_no_text_are_refused_and_in_the_journal(tmp_path: Path) -> None:
    done = wrapped(tmp_path, b"dm-logs \xff")
    assert (done.returncode, done.stderr) == (126, "stackops: a command is one line of plain ASCII\n")
    assert [call["asked"] for call in calls(tmp_path / "proofs")] == ["dm-logs ?"]


def test_what_was_never_begun_may_be_asked_for_again_with_the_same_key(tmp_path: Path) -> None:
    empty = tmp_path / f"stackops-{os.getuid()}"
    script = (
        f"import tempfile; tempfile.tempdir = {str(tmp_path)!r}; from dm_tools.serve import wrapper; wrapper.main()"
    )
    arguments = ["-", "--act", "--proofs-dir", str(tmp_path / "proofs")]
    script = script.replace("wrapper.main()", f"raise SystemExit(wrapper.main({arguments[1:]!r}))")

    def asked() -> subprocess.CompletedProcess[str]:
        variables = SEALED | {"SSH_ORIGINAL_COMMAND": f"dm-execute {KEY}", "PYTHONPATH": str(ROOT)}
        words = [sys.executable, "-P", "-c", script]
        return subprocess.run(words, env=variables, input="", capture_output=True, text=True, timeout=60)

    empty.write_text("somebody else's file")
    refused = asked()
    assert (refused.returncode, refused.stderr.count("\n")) == (
        126,
        1,
    ) and "should be an empty folder" in refused.stderr
    empty.unlink()
    done = asked()
    assert done.returncode == 0, done.stderr


def test_an_answer_that_nobody_got_comes_again_with_the_same_key(tmp_path: Path) -> None:
    command = f"dm-execute {KEY} --plan".encode()
    approved = {"issue_id": "1", "service": "x", "action": "restart", "confidence": "high", "reasoning": ""}
    approved |= {
        "parameters": {},
        "identity": {"container_id": "a" * 64, "started_at": None, "state": "running", "restart_count": 0},
    }
    with Path("/dev/full").open("w") as full:
        lost = wrapped(tmp_path, command, input=json.dumps(approved), stdout=full)
    assert lost.returncode == 6 and "the same key gives it again" in lost.stderr
    again = wrapped(tmp_path, command, input=json.dumps(approved))
    assert again.stdout and "done before" in again.stderr


def test_a_journal_that_cannot_be_read_runs_nothing(tmp_path: Path) -> None:
    (tmp_path / "proofs/ssh").mkdir(parents=True)
    (tmp_path / "proofs/ssh/calls.jsonl").write_bytes(b'{"at":"\xff","client":"","asked":""}\n')
    assert wrapped(tmp_path, f"dm-execute {KEY}".encode()).returncode == 0  # a line that is none tells of nothing
    (tmp_path / "proofs/ssh/calls.jsonl").unlink()
    (tmp_path / "proofs/ssh/calls.jsonl").mkdir()
    refused = wrapped(tmp_path, f"dm-execute {KEY}".encode())
    assert refused.returncode == 126 and refused.stderr.endswith("nothing runs without the journal\n")
    assert refused.stderr.count("\n") == 1


def test_without_standard_input_nothing_that_acts_runs(tmp_path: Path) -> None:
    line = f"{WRAPPER} --act --proofs-dir {tmp_path}/proofs <&-"
    variables = SEALED | {"SSH_ORIGINAL_COMMAND": f"dm-execute {KEY}"}
    done = subprocess.run(["bash", "-c", line], env=variables, capture_output=True, text=True, timeout=60)
    assert done.returncode == 126 and done.stderr.startswith("stackops: standard input is closed")
