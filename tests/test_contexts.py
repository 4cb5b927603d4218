"""Which engine is asked: the one that the `docker` command would use. Contexts are made by `docker context create`."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dm_tools import records
from dm_tools.engine import address, finding, reading
from dm_tools.engine.connection import Engine
from tests.conftest import Box, Run
from tests.conftest import records as lines_of
from tests.servers import Authority

Docker = Callable[..., str]


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    """The `docker` command with settings of its own in $DOCKER_CONFIG, tmp_path/docker; returns what it prints."""

    def execute(*words: str, **variables: str) -> str:
        home = {
            "DOCKER_CONFIG": str(tmp_path / "docker"),
            "HOME": str(tmp_path),
            "PATH": "/usr/local/bin:/usr/bin:/bin",
        }
        done = subprocess.run(["docker", *words], env=home | variables, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    return execute


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    """The variables of a person with that $DOCKER_CONFIG who names no host."""
    return {"DOCKER_HOST": "", "DOCKER_CONFIG": str(tmp_path / "docker")}


def message(run: Run, variables: dict[str, str], status: int = 5) -> str:
    """What dm-inspect says of a container that is not there."""
    done = run("dm-inspect dmtest-nobody", **variables)
    assert done.returncode == status
    return str(lines_of(done.stdout)[0]["errors"][0]["message"])


HERE = {
    "host": "unix:///nonexistent/host.sock",
    "one": "unix:///nonexistent/one.sock",
    "two": "unix:///nonexistent/two.sock",
}


@pytest.mark.parametrize(
    ("variables", "used", "asked"),
    [
        ({"DOCKER_CONTEXT": "one"}, "two", f"{HERE['one']} (context one)"),
        ({}, "two", f"{HERE['two']} (context two)"),
        ({"DOCKER_HOST": HERE["host"], "DOCKER_CONTEXT": "one"}, "two", HERE["host"]),
        ({"DOCKER_CONTEXT": ""}, "one", f"{HERE['one']} (context one)"),
        ({"DOCKER_HOST": HERE["host"]}, "two", HERE["host"]),
    ],
    ids=["variable before current", "current", "host before context", "empty is unset", "host before current"],
)
def test_the_engine_is_the_one_of_the_docker_command(
    run: Run, docker: Docker, settings: dict[str, str], variables: dict[str, str], used: str, asked: str
) -> None:
    for name in ("one", "two"):
        docker("context", "create", name, "--docker", f"host={HERE[name]}")
    docker("context", "use", used)
    assert message(run, settings | variables) == f"cannot reach Docker at {asked}: no such file or directory"
    with pytest.raises(subprocess.CalledProcessError) as refused:
        docker("ps", **variables)
    assert asked.split(" ")[0] in refused.value.stderr


def test_a_host_that_is_named_comes_before_all(run: Run, docker: Docker, settings: dict[str, str]) -> None:
    docker("context", "create", "one", "--docker", f"host={HERE['one']}")
    variables = settings | {"DOCKER_CONTEXT": "one", "DOCKER_HOST": HERE["host"]}
    asked = run(f"dm-services --discover --docker-host {HERE['two']}", **variables)
    assert asked.stderr == f"dm-services: cannot reach Docker at {HERE['two']}: no such file or directory\n"
    record = json.dumps({"service": "x", "docker_host": HERE["two"]})
    asked = run("dm-inspect", stdin=record, **variables)
    assert HERE["two"] in lines_of(asked.stdout)[0]["errors"][0]["message"]


def test_the_environments_context_comes_before_the_host_of_our_file(
    run: Run, docker: Docker, settings: dict[str, str], tmp_path: Path
) -> None:
    docker("context", "create", "one", "--docker", f"host={HERE['one']}")
    (tmp_path / "env").write_text(f"DOCKER_HOST={HERE['host']}\n")
    ours = settings | {"DM_ENV_FILE": str(tmp_path / "env")}
    assert HERE["host"] in message(run, ours)
    assert "(context one)" in message(run, ours | {"DOCKER_CONTEXT": "one"})


def test_a_context_that_is_not_there_is_one_line(run: Run, docker: Docker, settings: dict[str, str]) -> None:
    docker("context", "create", "one", "--docker", f"host={HERE['one']}")
    wanted = settings | {"DOCKER_CONTEXT": "none such"}
    assert message(run, wanted) == "no Docker context 'none such' (DOCKER_CONTEXT); there are: default, one"
    done = run("dm-services --discover", **wanted)
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == "dm-services: no Docker context 'none such' (DOCKER_CONTEXT); there are: default, one\n"


@pytest.mark.parametrize("text", ["{", "[]", '{"Endpoints": 3}', '{"Endpoints": {"docker": {"Host": 3}}}', "[" * 99999])
def test_a_broken_context_is_said(
    run: Run, docker: Docker, settings: dict[str, str], tmp_path: Path, text: str
) -> None:
    docker("context", "create", "one", "--docker", f"host={HERE['one']}")
    (file,) = (tmp_path / "docker/contexts/meta").glob("*/meta.json")
    file.write_text(text)
    said = message(run, settings | {"DOCKER_CONTEXT": "one"})
    assert said.startswith("cannot use the Docker context 'one' (DOCKER_CONTEXT): ")


def test_broken_settings_of_docker_are_said_and_the_default_is_asked(run: Run, tmp_path: Path) -> None:
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker/config.json").write_text("{")
    variables = {"DOCKER_HOST": "", "DOCKER_CONFIG": str(tmp_path / "docker"), "XDG_RUNTIME_DIR": str(tmp_path)}
    done = run("dm-inspect dmtest-nobody", **variables)
    assert done.stderr.startswith("dm-inspect: cannot read ")
    assert "no Docker context is taken from it: not json" in done.stderr


# TLS: a real engine behind a door that asks for certificates


@pytest.fixture
def door(_engine_up: str, authority: Authority) -> Iterator[int]:
    """The port of a way to the engine that speaks TLS with those alone who show a certificate of the authority."""
    context = authority.context("127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.bundle)
    listener = socket.create_server(("127.0.0.1", 0))

    def copy(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def serve(raw: socket.socket) -> None:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as engine, raw:
            engine.connect(_engine_up.removeprefix("unix://"))
            with context.wrap_socket(raw, server_side=True) as client:
                back = threading.Thread(target=copy, args=[engine, client], daemon=True)
                back.start()
                copy(client, engine)
                back.join(5)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


@pytest.fixture
def files(authority: Authority, tmp_path: Path) -> Path:
    """ca.pem, cert.pem and key.pem of a client, in a folder as $DOCKER_CERT_PATH wants it."""
    folder = tmp_path / "tls"
    folder.mkdir()
    key, _, certificate = authority.server("client.example").read_text().partition("-----BEGIN CERTIFICATE-----")
    (folder / "key.pem").write_text(key)
    (folder / "cert.pem").write_text("-----BEGIN CERTIFICATE-----" + certificate)
    shutil.copy(authority.bundle, folder / "ca.pem")
    return folder


def test_the_tls_files_of_a_context_are_used(
    run: Run, docker: Docker, settings: dict[str, str], box: Box, door: int, files: Path
) -> None:
    box("context", "sleep", "100")
    url = f"tcp://127.0.0.1:{door}"
    pair = f"cert={files}/cert.pem,key={files}/key.pem"
    for name, words in {
        "whole": f"ca={files}/ca.pem,{pair}",
        "stranger": f"ca={files}/ca.pem",
        "careless": f"{pair},skip-tls-verify=true",
        "public": pair,
    }.items():
        docker("context", "create", name, "--docker", f"host={url},{words}")
    shutil.rmtree(files)  # the context has copies
    for name in ("whole", "careless"):
        done = run("dm-inspect dmtest-context", **settings, DOCKER_CONTEXT=name)
        assert (done.returncode, lines_of(done.stdout)[0]["inspect"]["state"]) == (0, "running"), name
    said = message(run, settings | {"DOCKER_CONTEXT": "whole"}, 4)
    assert said == f"no container 'dmtest-nobody' at {url} (context whole)"
    for name, why in (("stranger", ""), ("public", "certificate verify failed")):
        said = message(run, settings | {"DOCKER_CONTEXT": name})
        assert said.startswith(f"cannot reach Docker at {url} (context {name}): ") and why in said


def test_the_tls_variables_are_used_as_before(run: Run, box: Box, door: int, files: Path) -> None:
    box("context", "sleep", "100")
    url = f"tcp://127.0.0.1:{door}"
    secured = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(files)}
    assert run("dm-inspect dmtest-context", DOCKER_HOST=url, **secured).returncode == 0
    named = json.dumps({"service": "dmtest-context", "docker_host": url})
    assert run("dm-inspect", stdin=named, **secured).returncode == 0
    assert run("dm-inspect dmtest-context", DOCKER_HOST=url).returncode == 5


# Engines that nobody named


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, bool], Path]]:
    """Make a socket where a rootless engine or Podman has one, that listens or not; this machine's own do not count."""
    monkeypatch.setattr(address, "DEFAULT_SOCKET", tmp_path / "docker.sock")
    monkeypatch.setattr(address, "SYSTEM_SOCKETS", (tmp_path / "system/podman.sock",))
    monkeypatch.setattr("os.getuid", lambda: 987654321)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "session"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "none"))
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    with contextlib.ExitStack() as cleaning:

        def make(name: str, listens: bool) -> Path:
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True, parents=True)
            door = cleaning.enter_context(socket.socket(socket.AF_UNIX))
            door.bind(str(path))
            if listens:
                door.listen(8)
            return path

        yield make


@pytest.mark.parametrize("name", ["session/docker.sock", "session/podman/podman.sock", "system/podman.sock"])
@pytest.mark.parametrize("stale", ["", "session/docker.sock", "session/podman/podman.sock"])
def test_the_only_other_socket_is_taken(places: Callable[[str, bool], Path], name: str, stale: str) -> None:
    if stale not in ("", name):
        places(stale, False)
    path = places(name, True)
    assert address.of(None) == address.Address(f"unix://{path}", found=True)


def test_two_sockets_are_no_guess(places: Callable[[str, bool], Path], tmp_path: Path) -> None:
    one, two = places("session/docker.sock", True), places("system/podman.sock", True)
    with pytest.raises(records.Problem) as refused:
        address.of(None)
    assert refused.value.code == "docker_unreachable"
    assert f"(unix://{one} and unix://{two}): set DOCKER_HOST to one" in refused.value.message
    with contextlib.closing(Engine(None, 1)) as engine, pytest.raises(records.Problem) as again:
        reading.containers(engine)
    assert again.value.message == refused.value.message
    assert address.of(f"unix://{two}") == address.Address(f"unix://{two}")


def test_one_socket_under_two_names_is_one(places: Callable[[str, bool], Path], tmp_path: Path) -> None:
    path = places("system/podman.sock", True)
    (tmp_path / "session").mkdir()
    (tmp_path / "session/docker.sock").symlink_to(path)
    assert address.of(None).url == f"unix://{tmp_path}/session/docker.sock"


@pytest.mark.parametrize("listens", [True, False])
def test_a_default_socket_is_not_passed_by(places: Callable[[str, bool], Path], listens: bool) -> None:
    default = places("docker.sock", listens)
    places("session/docker.sock", True)
    assert address.of(None) == address.Address(f"unix://{default}")


def test_nothing_at_all_is_the_default_that_cannot_be_reached(
    places: Callable[[str, bool], Path], tmp_path: Path
) -> None:
    assert address.of(None) == address.Address(f"unix://{tmp_path}/docker.sock")


def test_what_was_taken_is_said_once(
    places: Callable[[str, bool], Path], _engine_up: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "session").mkdir()
    (tmp_path / "session/docker.sock").symlink_to(_engine_up.removeprefix("unix://"))
    for _ in range(2):
        with contextlib.closing(Engine(None, 10)) as engine:
            assert finding.of_service(reading.containers(engine), "dmtest-nobody") is None
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"Docker at unix://{tmp_path}/session/docker.sock: there is no {tmp_path}/docker.sock" in said
