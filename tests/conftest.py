"""What all tests share: a sealed environment, a way to run a command, and the lab."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker
import docker.errors
import hypothesis
import pytest
from docker.models.containers import Container

from tests import dockerproxy, warm
from tests import lab as fault_lab
from tests.hearers import hears, smtp  # noqa: F401 # fixtures
from tests.servers import authority, serve  # noqa: F401 # fixtures
from tests.serving import server  # noqa: F401 # a fixture

ROOT = Path(__file__).resolve().parent.parent
# The tests' shop is one of its own: nobody's lab of the same engine is touched.
os.environ.setdefault("DM_LAB_PROJECT", "dmsuite")
os.environ.setdefault("DM_LAB_PORT", "19080")
# Who began this run: the processes that xdist starts inherit it. He alone stops the engine that one of them started.
os.environ.setdefault("DM_LAB_RUN", str(os.getpid()))
# The same examples each time, unless `--hypothesis-profile=default` asks for others.
hypothesis.settings.register_profile("push", derandomize=True, deadline=None)
hypothesis.settings.load_profile("push")

COMMANDS = sorted(path.stem.replace("_", "-") for path in (ROOT / "dm_tools" / "commands").glob("[a-z]*.py"))

# Nothing of the caller's settings reaches a test, and no engine and no browser unless the test asks for one.
SEALED = {
    "PATH": f"{warm.FOLDER}:{ROOT / 'bin'}:{os.environ['PATH']}",
    "HOME": "/nonexistent",
    "XDG_CACHE_HOME": str(ROOT / ".pytest_cache"),  # there is no home, and each command would parse all patterns anew
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "NO_COLOR": "1",
    "DOCKER_HOST": "unix:///nonexistent/docker.sock",
    "DM_CHROMIUM": "/nonexistent/chromium",
    "DM_ENV_FILE": "/dev/null",
    "PROOFS_DIR": "volumes/proofs",  # of the test's own folder, as the manifest
    "SERVICES_MANIFEST_PATH": "configs/probe-orchestrator/services_manifest.json",
}
BROWSER = {"DM_CHROMIUM": ""}  # what a test gives that asks for one: whichever the machine has
# What a test gives that is about the process itself: signals, memory, limits. See tests/warm.py.
COLD = {"PATH": f"{ROOT / 'bin'}:{os.environ['PATH']}"}

Run = Callable[..., subprocess.CompletedProcess[str]]


def records(text: str) -> list[dict[str, Any]]:
    """JSON Lines as a list."""
    return [json.loads(line) for line in text.split("\n") if line]


@pytest.fixture(scope="session", autouse=True)
def _warm() -> Iterator[None]:
    with warm.serving(SEALED):
        yield


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a shell line in an empty folder with the sealed environment; keyword arguments are variables."""

    def execute(line: str, stdin: str = "", timeout: float = 60, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            cwd=tmp_path,
            env=SEALED | variables,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return execute


@pytest.fixture(scope="session")
def _engine_up() -> Iterator[str]:
    """The address of an engine that has the lab's image; nothing runs there for us."""
    with fault_lab.lock(fault_lab.state_folder() / "lock"):  # another process of these tests may be about to start it
        ours = fault_lab.engine.find() is None
        host = fault_lab.engine.start()
        if ours:
            _started_for().write_text(os.environ["DM_LAB_RUN"])
        with contextlib.closing(fault_lab.engine.connect(host)) as client:
            fault_lab.image.ensure(client)
    yield host


def _started_for() -> Path:
    return fault_lab.state_folder() / "engine-of-tests"


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Stop the engine that this run has started, once all its processes are done."""
    run = os.environ["DM_LAB_RUN"]
    if run == str(os.getpid()) and _started_for().exists() and _started_for().read_text() == run:
        fault_lab.engine.stop()
        _started_for().unlink()


@pytest.fixture(scope="session")
def _lab_up(_engine_up: str) -> Iterator[dict[str, str]]:
    fault_lab.up()
    if fault_lab.injected():
        fault_lab.clear()
    yield fault_lab.environment()
    fault_lab.down()


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """For fixtures that clean up: whether a test failed."""
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture
def shop(_lab_up: dict[str, str], request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """The healthy shop on a real engine: the variables that lead to it.

    A fault that a test injects is cleared, and so is whatever a failed test may have left: it fails alone.
    """
    yield _lab_up
    if fault_lab.injected() or request.node.stash.get(FAILED, False):
        fault_lab.clear()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=8, help="how many sessions tests/test_deaths.py kills a stage of")
    parser.addoption("--accept", action="store_true", help="write the transcripts' expectations; review git diff")


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    """How many kills are tried."""
    return int(request.config.getoption("--kills"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The marker `lab`, and which of those tests run one after another.

    Those that share the shop or names of containers do, and beside them those that act on containers of names of their
    own (Bench).
    """
    for item in items:
        if "_engine_up" in (needs := getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.lab)
            if any(item.iter_markers("xdist_group")):  # of two groups is a third one, which ends the shop of the others
                raise pytest.UsageError(f"{item.nodeid}: put it in a file without a group of its own")
            own = item.path.stem in ("test_execute", "test_compose") and not {"shop", "_lab_up", "box"} & set(needs)
            item.add_marker(pytest.mark.xdist_group("bench" if own else "shop"), append=False)


Box = Callable[..., Container]


@pytest.fixture
def box(_engine_up: str) -> Iterator[Box]:
    """Start a small container `dmtest-NAME` on the real engine, from the lab's image; removed after the test.

    Options are those of the Docker SDK. `start=False` only creates it; `ready=PORT` waits until that port answers.
    """
    with contextlib.closing(fault_lab.engine.connect(_engine_up)) as client:
        made: list[str] = []

        def create(name: str, *command: str, start: bool = True, ready: int = 0, **options: Any) -> Container:
            name = f"dmtest-{name}"
            made.append(name)
            _remove(client, name)
            labels = {fault_lab.settings.LABEL: "1"} | options.pop("labels", {})
            container = client.containers.create(
                fault_lab.image.name(), list(command), name=name, labels=labels, init=True, **options
            )
            if start:
                container.start()
                container.reload()
            if ready:
                address = (container.attrs["NetworkSettings"]["IPAddress"], ready)
                fault_lab.waiting.wait_until(lambda: _silent(address), 10, every=0.05)
            return container

        yield create
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda name: _remove(client, name), made))


Proxy = Callable[..., Path]


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    """Start the docker-proxy before an engine's socket; returns its own. Options are those of dockerproxy.started."""
    with contextlib.ExitStack() as running:
        yield lambda *given, **options: running.enter_context(dockerproxy.started(tmp_path, *given, **options))


def _remove(client: docker.DockerClient, name: str) -> None:
    with contextlib.suppress(docker.errors.NotFound):
        client.api.remove_container(name, force=True)


def _silent(address: tuple[str, int]) -> str | None:
    try:
        socket.create_connection(address, 1).close()
    except OSError as failure:
        return f"{address} answers: {failure}"
    return None
