"""A stage of a session that dies: it is told of, the report is written of what arrived, and never is all well.

The containers are a fake engine's: a real one would have to be asked some hundred times for what does not matter here.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socketserver
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests import warm
from tests.conftest import ROOT, SEALED
from tests.site import serve

NAMES = ("app", "db", "mail", "queue", "web")
STAGES = ("services", "probe", "inspect", "logs", "stats", "screenshot", "analyze", "propose", "report")
COLD_SUPERVISOR = ROOT / "scripts" / "supervisor-session.sh"
SIGNALS = (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGTERM)


class Containers(BaseHTTPRequestHandler):
    """One question to the fake engine."""

    protocol_version = "HTTP/1.1"
    removed: frozenset[str] = frozenset()  # containers that are listed and inspected, and then gone

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].split("/")
        name = next((each for each in NAMES if f"/{each * 20}"[:21] in self.path), "")
        kind = path[-1]
        if name in self.removed and kind in ("logs", "stats"):
            self.send(404, b'{"message": "No such container"}')
        elif kind == "version":
            self.send(200, b'{"ApiVersion": "1.41"}')
        elif path[-2:] == ["containers", "json"]:
            self.send(200, json.dumps([listed(each) for each in NAMES]).encode())
        elif kind == "json":
            self.send(200, json.dumps(inspected(name)).encode())
        elif kind == "logs":
            self.send(200, b"\1\0\0\0\0\0\0\x06hello\n")
        elif kind == "stats":
            self.send(200, b'{"pids_stats": {"current": 7}}')
        else:
            self.send(200, b"")

    def send(self, status: int, body: bytes) -> None:
        """A whole answer."""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass

    def address_string(self) -> str:
        return "engine"


def listed(name: str) -> dict[str, Any]:
    """A container as the engine's list has it."""
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": name}
    return {"Id": (name * 20)[:20], "Names": [f"/{name}"], "State": "running", "Status": "Up", "Labels": labels}


def inspected(name: str) -> dict[str, Any]:
    """The same, inspected."""
    config = {"Tty": False, "Env": [], "Image": "made-up:1", "Labels": listed(name)["Labels"]}
    networks = {"Networks": {"shop_default": {"IPAddress": "", "Aliases": [name]}}}
    state = {"Status": "running", "StartedAt": "2026-01-01T00:00:00Z"}
    found = {"Id": (name * 20)[:20], "Name": f"/{name}", "Path": name, "Args": [], "State": state, "Config": config}
    return found | {"HostConfig": {"NetworkMode": "shop_default"}, "NetworkSettings": networks, "Mounts": []}


class _Engine(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *arguments: object) -> None:
        pass  # whoever asked was killed


@contextlib.contextmanager
def engine(folder: Path, **changes: Any) -> Iterator[str]:
    """A running fake engine's address."""
    server = _Engine(str(folder / "engine.sock"), type("Handler", (Containers,), changes))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"unix://{folder}/engine.sock"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The variables of a small healthy stack: pages of a real server on loopback, containers of the fake engine."""
    with engine(tmp_path) as address, serve() as site:
        url = site.html("/", "<h1>fine</h1>")
        services = [{"name": name, "external": [url]} for name in NAMES]
        (tmp_path / "manifest.json").write_text(json.dumps({"services": services}))
        yield SEALED | {"DOCKER_HOST": address, "SERVICES_MANIFEST_PATH": str(tmp_path / "manifest.json")}


def begun(
    folder: Path,
    stack: dict[str, str],
    command: str = "diagnose-enhanced",
    *options: str,
    program: Path = warm.SUPERVISOR,
) -> subprocess.Popen[str]:
    """A session without a terminal, as cron starts it."""
    folder.mkdir()
    return subprocess.Popen(
        [program, command, *options],
        env=stack | {"PROOFS_DIR": str(folder)},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def processes() -> dict[int, tuple[int, str]]:
    """All processes: the parent and the command line of each."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            found[int(path.name)] = parent, (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def members(session: int) -> list[tuple[int, str]]:
    """The processes of a session's stages: their programs, the `tee` of each, and the shells around them."""
    known, found, level = processes(), [], {session}
    while level:
        level = {number for number, (parent, _) in known.items() if parent in level}
        found += [(number, known[number][1]) for number in sorted(level)]
    return found


def reports(folder: Path, kind: str = "stack") -> list[dict[str, Any]]:
    """The reports of a kind in a folder, oldest first."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob(f"{kind}_diagnostics_*.json"))]


def ended(session: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Its status, and what it printed."""
    with session:
        out, said = session.communicate(timeout=120)
    return session.returncode, out, said


@pytest.mark.parametrize("command", ["diagnose", "diagnose-enhanced"])
def test_a_session_of_which_nobody_dies_is_quiet(tmp_path: Path, stack: dict[str, str], command: str) -> None:
    assert ended(begun(tmp_path / "proofs", stack, command, program=COLD_SUPERVISOR)) == (0, "", "")
    (report,) = reports(tmp_path / "proofs")
    assert (report["summary"]["healthy"], report["input_errors"]) == (len(NAMES), [])


FATES = {
    "kill -KILL $$": (137, "was killed (signal 9)"),
    "kill -SEGV $$": (139, "was killed (signal 11)"),
    "kill -ABRT $$": (134, "was killed (signal 6)"),
    "kill -TERM $$": (143, "was terminated (signal 15)"),
    "exit 126": (126, "could not be started (status 126)"),
    "exit 127": (127, "could not be started (status 127)"),
    "exit 77": (77, "failed (status 77)"),
    "exit 1": (1, "failed (status 1)"),
}


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The session beside tools that a test may replace."""
    folder = tmp_path_factory.mktemp("tools")
    for name in ("dm_tools", "configs", "pyproject.toml", ".venv"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    (folder / "bin").mkdir()
    for path in warm.FOLDER.glob("dm-*"):
        shutil.copy2(path, folder / "bin")  # copies, no links
    return folder / "scripts" / "supervisor-session.sh"


@pytest.fixture
def dying(tools: Path) -> Iterator[Callable[[str, str], None]]:
    """Let a tool see the first two records and then end in some way, once; it is whole again after the test."""
    replaced: list[Path] = []

    def replace(name: str, end: str) -> None:
        path = tools.parent.parent / "bin" / f"dm-{name}"
        once = "[ ! -e $PROOFS_DIR/once ] || exec"
        whole = warm.FOLDER / f"dm-{name}"
        path.write_text(f'#!/bin/sh\n{once} {whole} "$@"\n: >$PROOFS_DIR/once\nhead -n 2 | {whole} "$@"\n{end}\n')
        replaced.append(path)

    yield replace
    for path in replaced:
        shutil.copy2(warm.FOLDER / path.name, path)


@pytest.mark.parametrize("end", FATES)
def test_what_a_stage_died_of_is_said_and_the_report_is_written_of_what_arrived(
    tmp_path: Path, stack: dict[str, str], tools: Path, dying: Callable[[str, str], None], end: str
) -> None:
    dying("logs", end)
    status, out, said = ended(begun(tmp_path / "proofs", stack, program=tools))
    expected, words = FATES[end]
    assert (status, said) == (expected, f"supervisor: dm-logs {words}\n")
    (report,) = reports(tmp_path / "proofs")
    assert report["summary"] == {"total": 5, "healthy": 2, "degraded": 0, "failed": 0, "unknown": 3}
    assert [(each["stage"], each["code"]) for each in report["input_errors"]] == [("logs", "stage_died")]
    missing = [[(error["stage"], error["code"]) for error in each["errors"]] for each in report["services"]]
    assert sorted(missing) == [[], [], *[[("logs", "stage_died")]] * 3]
    (enhanced,) = reports(tmp_path / "proofs", "enhanced")
    assert (enhanced["issues"], enhanced["input_errors"]) == ([], report["input_errors"])
    (page,) = (tmp_path / "proofs").glob("*.html")
    assert "No failure seen in 5 services, but the evidence is incomplete" in page.read_text()
    assert "Enhanced diagnostic report saved: " in out
    (brief,) = (tmp_path / "proofs").glob("runs/*/brief.txt")
    assert f"dm-logs {words}" in brief.read_text()


@pytest.mark.parametrize("name", ["services", "probe", "inspect", "stats", "analyze", "propose"])
def test_whichever_stage_it_is(
    tmp_path: Path, stack: dict[str, str], tools: Path, dying: Callable[[str, str], None], name: str
) -> None:
    dying(name, "kill -KILL $$")
    status, out, said = ended(begun(tmp_path / "proofs", stack, program=tools))
    assert (status, said) == (137, f"supervisor: dm-{name} was killed (signal 9)\n")
    (report,) = reports(tmp_path / "proofs")
    assert [each["stage"] for each in report["input_errors"]] == [name]
    # dm-services reads no records: it has told of all before it dies; what judges is done again
    healthy = {"services": 5, "analyze": 5, "propose": 5}.get(name, 2)
    assert (report["summary"]["total"], report["summary"]["healthy"]) == (5, healthy)
    assert "Enhanced diagnostic report saved: " in out


def test_a_report_that_dies_once_is_written_after_all(
    tmp_path: Path, stack: dict[str, str], tools: Path, dying: Callable[[str, str], None]
) -> None:
    dying("report", "kill -KILL $$")
    path = tools.parent.parent / "bin" / "dm-report"
    path.write_text(path.read_text().replace("head -n 2", "true"))
    status, out, said = ended(begun(tmp_path / "proofs", stack, program=tools))
    assert (status, out, said) == (137, "", "supervisor: dm-report was killed (signal 9)\n")
    assert reports(tmp_path / "proofs")[0]["summary"]["healthy"] == 5


def test_what_judges_and_dies_each_time_leaves_a_report_of_what_was_seen(
    tmp_path: Path, stack: dict[str, str], tools: Path, dying: Callable[[str, str], None]
) -> None:
    dying("analyze", "kill -KILL $$")
    path = tools.parent.parent / "bin" / "dm-analyze"
    path.write_text("#!/bin/sh\nkill -KILL $$\n")
    status, _, said = ended(begun(tmp_path / "proofs", stack, program=tools))
    assert (status, said) == (137, "supervisor: dm-analyze was killed (signal 9)\n")
    assert reports(tmp_path / "proofs")[0]["summary"]["total"] == 5


def test_kills_at_any_moment(tmp_path: Path, stack: dict[str, str], kills: int) -> None:
    """Of any process of a session, its shells and `tee` too; `--kills` says how many."""
    began = time.monotonic()
    ended(begun(tmp_path / "whole", stack, program=COLD_SUPERVISOR))
    whole = time.monotonic() - began
    chance = random.Random(0)
    plan = [(chance.random(), chance.random(), chance.choice(SIGNALS)) for _ in range(kills)]

    def kill(index: int) -> str | None:
        moment, which, number = plan[index]
        folder = tmp_path / str(index)
        with begun(folder, stack, program=COLD_SUPERVISOR) as session:
            time.sleep(moment * whole * 1.2)
            found = members(session.pid)
            target, line = found[int(which * len(found))] if found else (0, "")
            with contextlib.suppress(ProcessLookupError):
                if target:
                    os.kill(target, number)
            said = session.communicate(timeout=120)[1]
        what = f"{index}: signal {number} for {target} ({line}), status {session.returncode}, {said!r}"
        incomplete = [each for each in reports(folder) if each["input_errors"]]
        whole_report = [each for each in reports(folder) if each["summary"]["healthy"] == len(NAMES)]
        if f"{COLD_SUPERVISOR.name}: line" in said:  # bash's own words are nothing for people
            return what
        if session.returncode == 0:  # it had done its work already, or has no part in it
            # the briefing is written after the report, and the history tidied up: no stages, but it is said
            aside = "commands.brief" in line or "commands.history" in line
            return None if whole_report and (not said or aside) else what
        return None if said and (incomplete or whole_report or not reports(folder)) else what

    with ThreadPoolExecutor(2) as pool:
        wrong = [each for each in pool.map(kill, range(kills)) if each]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("command", ["diagnose", "diagnose-enhanced"])
def test_a_project_that_nothing_carries_is_not_well(tmp_path: Path, stack: dict[str, str], command: str) -> None:
    named = stack | {"COMPOSE_PROJECT_NAME": "shpo"}
    status, out, said = ended(begun(tmp_path / "proofs", named, command, "--discover"))
    assert (status, out) == (4, "")
    project = "of the project 'shpo' (COMPOSE_PROJECT_NAME); there are: shop; did you mean 'shop'?"
    engine = f"Docker at unix://{tmp_path}/engine.sock"
    assert said == f"dm-services: nothing to look at: {engine} has no container {project}\n"
    assert reports(tmp_path / "proofs") == []


def test_a_container_that_was_removed_meanwhile_is_not_well(tmp_path: Path, stack: dict[str, str]) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    with engine(folder, removed=frozenset({"db"})) as address:
        status, _, said = ended(begun(tmp_path / "proofs", stack | {"DOCKER_HOST": address}))
    assert (status, said) == (4, "")
    (report,) = reports(tmp_path / "proofs")
    assert {each["name"]: each["status"] for each in report["services"] if each["status"] != "healthy"} == {
        "db": "unknown"
    }
    (page,) = (tmp_path / "proofs").glob("*.html")
    assert "No problem found in 5 services, but 1 could not be judged" in page.read_text()
