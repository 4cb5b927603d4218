"""How a Docker Engine is asked: how often, how freshly, and what a bad answer means.

On the real engine, behind a socket of ours that writes down what it is asked. A real engine cannot be made to tear a
line of its answer: that one is a fake on a unix socket.
"""

import contextlib
import gc
import http.server
import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from dm_tools import records
from dm_tools.collect import inspect, logs
from dm_tools.engine import connection, finding, reading
from dm_tools.engine.connection import Engine, Engines, Shared
from tests.conftest import COLD, Box, Run
from tests.conftest import records as lines_of

Handler = Callable[[socket.socket], None]


@pytest.fixture
def listen(tmp_path: Path) -> Iterator[Callable[[Handler], str]]:
    """Serve each connection of a unix socket with a handler, in a thread of its own; returns the engine's address."""
    with contextlib.ExitStack() as cleaning:

        def start(handler: Handler) -> str:
            path = tmp_path / "engine.sock"
            listener = cleaning.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(str(path))
            listener.listen(64)

            def serve(connection: socket.socket) -> None:
                with connection, contextlib.suppress(OSError):
                    handler(connection)

            def accept() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()

            thread = threading.Thread(target=accept, daemon=True)
            thread.start()
            cleaning.callback(thread.join, 5)
            cleaning.callback(listener.shutdown, socket.SHUT_RDWR)  # wakes accept
            return f"unix://{path}"

        yield start


REQUEST = re.compile(rb"(?:GET|POST|PUT|DELETE|HEAD) (\S+) HTTP/1.1\r\n")


# How often: the real engine


@pytest.fixture
def counted(listen: Callable[[Handler], str], shop: dict[str, str]) -> tuple[str, Counter[str]]:
    """A way to the real engine, and what it was asked through it: the kind of each request."""
    asked: Counter[str] = Counter()

    def forward(client: socket.socket) -> None:
        with socket.socket(socket.AF_UNIX) as engine:
            engine.connect(shop["DOCKER_HOST"].removeprefix("unix://"))

            def back() -> None:
                with contextlib.suppress(OSError):
                    while data := engine.recv(65536):
                        client.sendall(data)
                    client.shutdown(socket.SHUT_RDWR)

            thread = threading.Thread(target=back, daemon=True)
            thread.start()
            while data := client.recv(65536):
                for path in REQUEST.findall(data):
                    words = path.decode().partition("?")[0].split("/")
                    asked["list" if words[-2:] == ["containers", "json"] else words[-1].replace("json", "inspect")] += 1
                engine.sendall(data)
            engine.shutdown(socket.SHUT_RDWR)
            thread.join(5)

    return listen(forward), asked


@pytest.mark.parametrize(
    ("command", "questions"),
    [
        ("dm-inspect", {"inspect": 3, "top": 3}),
        ("dm-logs", {"inspect": 3, "logs": 3}),
        ("dm-stats", {"stats": 3}),
        ("dm-probe", {}),
    ],
)
def test_each_container_is_asked_for_once(
    run: Run, box: Box, counted: tuple[str, Counter[str]], command: str, questions: dict[str, int]
) -> None:
    names = [box(name, "sh", "-c", "echo hello; sleep 100").name for name in ("a", "b", "c")]
    url, asked = counted
    done = run(f"{command} {' '.join(names)}", DOCKER_HOST=url)
    assert (done.returncode, len(lines_of(done.stdout))) == (0, 3)
    lists = asked.pop("list")
    assert 1 <= lists <= 2  # a busy machine may take longer than a second
    assert 1 <= asked.pop("events", 1) <= 3  # shared by those that ask at once
    assert asked == {"version": 1} | questions


def test_thirty_records_share_one_list(run: Run, box: Box, counted: tuple[str, Counter[str]]) -> None:
    box("a", "sleep", "100")
    url, asked = counted
    done = run("dm-probe", "\n".join(["dmtest-a"] * 30), DOCKER_HOST=url)
    assert (done.returncode, len(lines_of(done.stdout))) == (0, 30)
    assert asked["list"] <= 2


# How freshly: the real engine


@pytest.fixture
def shared_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list stays shared however long a busy machine takes."""
    monkeypatch.setattr(connection, "LISTING_SECONDS", 600.0)


@pytest.mark.usefixtures("shared_for_long")
def test_a_fresh_list_shows_what_was_just_done(box: Box, shop: dict[str, str]) -> None:
    container = box("a", "sleep", "100")
    with contextlib.closing(Engine(shop["DOCKER_HOST"], 10)) as engine:

        def state(fresh: bool = False) -> Any:
            return finding.find(engine, {"service": "dmtest-a"}, fresh)["State"]

        assert state(fresh=True) == "running"
        container.stop(timeout=0)
        reading.containers(engine, fresh=True)
        container.start()
        assert state() == "exited"  # the list of a moment ago, shared
        assert state(fresh=True) == "running"
        assert state() == "running"  # and from then on the fresh one is


@pytest.mark.usefixtures("shared_for_long")
def test_a_restart_shows_in_a_fresh_list(box: Box, shop: dict[str, str]) -> None:
    container = box("a", "sleep", "100", ports={"80/tcp": ("127.0.0.1", None)})
    with contextlib.closing(Engine(shop["DOCKER_HOST"], 10)) as engine:

        def port(fresh: bool) -> Any:
            return finding.find(engine, {"service": "dmtest-a"}, fresh)["Ports"][0]["PublicPort"]

        before = port(fresh=True)
        container.restart(timeout=0)  # the engine gives it another port
        assert port(fresh=False) == before
        assert port(fresh=True) != before


def test_who_waits_for_a_fresh_answer_gets_none_that_was_asked_for_before() -> None:
    """No engine needed: the first asking is held up until the others have come."""
    shared: Shared[int] = Shared(60)
    asking, go_on, asked = threading.Event(), threading.Event(), []

    def ask() -> int:
        asked.append(len(asked))
        asking.set()
        go_on.wait(5)
        return asked[-1]

    answers: dict[str, int] = {}
    threads = [threading.Thread(target=lambda: answers.update(first=shared.get(ask)))]
    threads[0].start()
    asking.wait(5)
    for name, fresh in (("patient", False), ("fresh", True), ("fresh too", True)):

        def get(name: str = name, fresh: bool = fresh) -> None:
            answers[name] = shared.get(ask, fresh)

        threads.append(threading.Thread(target=get))
        threads[-1].start()
    time.sleep(0.2)
    go_on.set()
    for thread in threads:
        thread.join(5)
    assert answers["first"] == 0
    assert answers["fresh"] == answers["fresh too"] == 1  # one of them asked, for both
    assert answers["patient"] in (0, 1)
    assert asked == [0, 1]


# What a bad answer means: a fake


ID = "c0ffee" * 10 + "beef"
LISTED = [{"Id": ID, "Names": ["/a"], "State": "running", "Status": "Up"}]
CONFIG = {"Tty": False, "Env": [], "Image": "made-up:1"}
INSPECTED = {"Id": ID, "Name": "/a", "Path": "a", "Args": [], "State": {"Status": "running"}, "Config": CONFIG}
INSPECTED |= {"HostConfig": {}, "NetworkSettings": {}, "Mounts": []}
EVENT = {"Action": "start", "time": 1796021042, "Actor": {"ID": ID, "Attributes": {}}}
FRAME = b"\1\0\0\0\0\0\0\x06hello\n"


def chunked(*pieces: bytes, end: bool = True) -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + (b"0\r\n\r\n" if end else b"")


def whole(value: object) -> bytes:
    return chunked(json.dumps(value).encode())


GOOD = {
    "version": whole({"ApiVersion": "1.41"}),
    "containers/json": whole(LISTED),
    f"{ID}/json": whole(INSPECTED),
    "events": whole(EVENT),
    "top": whole({"Titles": ["PID", "PPID", "S", "COMMAND"], "Processes": [["1", "0", "S", "a"]]}),
    "logs": chunked(FRAME),
    "stats": whole({"pids_stats": {"current": 7}}),
}
TORN_LINE = json.dumps(EVENT).encode()[:20]


class Fake:
    """An engine that answers what `answers` says; an answer that is not complete ends with its connection."""

    def __init__(self, listen: Callable[[Handler], str], **answers: bytes) -> None:
        self.answers = GOOD | answers
        self.parameters: dict[str, dict[str, str]] = {}  # of the newest question of each kind
        self.asked: Counter[str] = Counter()
        self.url = listen(self._serve)

    def _serve(self, connection: socket.socket) -> None:
        while head := connection.recv(65536):
            path, _, query = head.split()[1].decode().partition("?")
            name = next(name for name in self.answers if path.endswith(f"/{name}"))
            self.asked[name] += 1
            self.parameters[name] = dict(parse_qsl(query))
            connection.sendall(self.answers[name])
            if not self.answers[name].endswith(b"0\r\n\r\n"):
                return


@pytest.mark.parametrize(
    ("command", "question", "answer", "codes"),
    [
        ("dm-inspect", "events", chunked(json.dumps(EVENT).encode() + b"\n" + TORN_LINE), ["inspect:docker_error"]),
        ("dm-inspect", "events", chunked(TORN_LINE, end=False), ["inspect:docker_error"]),
        ("dm-inspect", "events", chunked(b"[null]\n"), ["inspect:docker_error"]),
        ("dm-inspect", f"{ID}/json", chunked(b'{"Id": "c0'), ["inspect:docker_error"]),
        ("dm-inspect", f"{ID}/json", chunked(b"null"), ["inspect:docker_error"]),
        ("dm-inspect", f"{ID}/json", b"", ["inspect:docker_error"]),
        ("dm-logs", "logs", chunked(FRAME, FRAME[:9], end=False), ["logs:docker_error"]),
        ("dm-logs", "logs", chunked(FRAME, FRAME[:9]), ["logs:docker_error"]),
        ("dm-logs", "logs", chunked(FRAME, FRAME[:5]), ["logs:docker_error"]),
        ("dm-logs", "logs", b"", ["logs:docker_error"]),
        ("dm-stats", "stats", chunked(b'{"pids_stats": {"cur'), ["stats:docker_error"]),
        ("dm-stats", "stats", chunked(b'{"pids_stats": {"cur', end=False), ["stats:docker_error"]),
        ("dm-stats", "stats", chunked(), ["stats:container_gone"]),
    ],
)
def test_a_torn_answer_is_its_questions_problem_only(
    run: Run, listen: Callable[[Handler], str], command: str, question: str, answer: bytes, codes: list[str]
) -> None:
    fake = Fake(listen, **{question: answer})
    done = run(f"{command} -j 1 a a a", DOCKER_HOST=fake.url)
    found = lines_of(done.stdout)
    assert (done.returncode, done.stderr) == (4, "")
    assert [[f"{error['stage']}:{error['code']}" for error in record["errors"]] for record in found] == [codes] * 3
    assert fake.asked[question] == 3  # none of them took the engine for dead
    assert "docker_unreachable" not in done.stdout


NO_TOP = b'HTTP/1.1 500 Oops\r\nContent-Length: 16\r\n\r\n{"message":"ps"}'


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (GOOD["top"], [{"state": "S", "command": "a"}]),
        (NO_TOP, []),
        (whole(None), []),
        (whole({"Titles": ["USER", "PID"], "Processes": [["a", "1"]]}), []),
    ],
    ids=["told", "refused", "null", "other columns"],
)
def test_an_engine_that_cannot_tell_the_processes_is_none_the_worse(
    run: Run, listen: Callable[[Handler], str], answer: bytes, found: list[dict[str, str]]
) -> None:
    done = run("dm-inspect a", DOCKER_HOST=Fake(listen, top=answer).url)
    assert (done.returncode, done.stderr) == (0, "")
    assert lines_of(done.stdout)[0]["inspect"]["processes"] == found


SIDECAR = INSPECTED | {"HostConfig": {"NetworkMode": f"container:{'b' * 64}"}}
NOBODY = b'HTTP/1.1 404 Not Found\r\nContent-Length: 31\r\n\r\n{"message":"No such container"}\n'
OWNER = INSPECTED | {"Id": "b" * 64, "Name": "/b", "State": {"Status": "running", "StartedAt": "2026-01-01T00:00:00Z"}}


@pytest.mark.parametrize(
    ("answer", "name", "state"),
    [(NOBODY, None, None), (whole(OWNER), "b", "running"), (NO_TOP, "", "")],
    ids=["gone", "runs", "refused"],
)
def test_whose_network_is_shared_is_asked(
    run: Run, listen: Callable[[Handler], str], answer: bytes, name: str | None, state: str | None
) -> None:
    fake = Fake(listen, **{f"{ID}/json": whole(SIDECAR), f"{'b' * 64}/json": answer})
    owner = lines_of(run("dm-inspect a", DOCKER_HOST=fake.url).stdout)[0]["inspect"]["network_owner"]
    if name == "":
        assert owner is None, "that nobody could tell is no proof that it is gone"
    else:
        assert (owner["id"], owner["name"], owner["state"]) == ("b" * 64, name, state)


def test_what_came_before_the_tear_is_kept(listen: Callable[[Handler], str]) -> None:
    fake = Fake(listen, logs=chunked(FRAME, FRAME[:9], end=False), events=chunked(TORN_LINE))
    engines = Engines(5)
    record = {"service": "a", "docker_host": fake.url}
    with contextlib.closing(engines.of(record)):
        found = logs.logs(inspect.inspect(record, engines, 60), engines, 10, None, 10_000)
    assert found["inspect"]["state"] == "running"
    assert [line["text"] for line in found["logs"]["lines"]] == ["hello"]
    assert found["logs"]["truncated"]
    messages = [error["message"] for error in found["errors"]]
    assert len(messages) == 2
    words = "the answer was cut short or garbled ("
    assert [message[: message.index(words)] for message in messages] == ["events: ", f"{ID[:12]}: "]


def test_an_engine_that_tears_an_answer_and_is_gone_is_dead(listen: Callable[[Handler], str]) -> None:
    fake = Fake(listen, stats=b"")
    with contextlib.closing(Engine(fake.url, 5)) as engine:
        assert reading.containers(engine) == LISTED
        fake.answers["version"] = b""
        for _ in range(3):
            with pytest.raises(records.Problem) as caught:
                reading.stats(engine, ID)
            assert caught.value.code == "docker_unreachable"
        assert fake.asked["stats"] == 1  # and is left alone for a while


@pytest.mark.parametrize("answer", [b"", chunked(b"[{"), chunked(b"[", end=False)])
def test_an_engine_without_a_list_is_dead(listen: Callable[[Handler], str], answer: bytes) -> None:
    fake = Fake(listen, **{"containers/json": answer})
    with contextlib.closing(Engine(fake.url, 5)) as engine:
        for _ in range(3):
            with pytest.raises(records.Problem) as caught:
                reading.containers(engine)
            assert caught.value.code == "docker_unreachable"
    assert fake.asked["containers/json"] == 1


def test_a_log_that_falls_silent_half_way_is_late_and_not_dead(listen: Callable[[Handler], str]) -> None:
    """Of both kinds: the library tells them in different ways."""
    done = threading.Event()

    class Silent(Fake):
        def _serve(self, connection: socket.socket) -> None:
            super()._serve(connection)
            done.wait(10)

    fake = Silent(listen, logs=chunked(FRAME, end=False))
    with contextlib.closing(Engine(fake.url, 0.3)) as engine:
        for terminal in (False, True):
            pieces: list[bytes] = []
            raw = INSPECTED | {"Config": CONFIG | {"Tty": terminal}}
            with pytest.raises(records.Problem) as caught:
                reading.log(engine, raw, 10, None, lambda stream, piece, to=pieces: to.append(piece))
            assert caught.value.code == "docker_timeout"
            assert b"hello\n" in b"".join(pieces)
        assert reading.containers(engine) == LISTED
    done.set()


# An engine that misbehaves


HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
PATHS = {"version": "version", "list": "containers/json", "inspect": f"{ID}/json", "events": "events", "logs": "logs"}
PATHS |= {"stats": "stats"}
COMMAND = {
    "inspect": "inspect",
    "events": "inspect",
    "logs": "logs",
    "stats": "stats",
    "list": "logs",
    "version": "logs",
}
QUESTIONS = list(PATHS)


class Misbehaving(Fake):
    """One question is answered by a head, and then by a piece for ever, with a pause after each."""

    def __init__(self, listen: Callable[[Handler], str], question: str, way: tuple[bytes, bytes, float]) -> None:
        self.endless = way
        super().__init__(listen, **{PATHS[question]: b"endless"})

    def _serve(self, connection: socket.socket) -> None:
        head, piece, pause = self.endless
        original = connection.sendall

        class Sending:
            recv = connection.recv

            def sendall(self, answer: bytes) -> None:
                if answer != b"endless":
                    return original(answer)
                original(head)
                while True:
                    original(piece)
                    time.sleep(pause)

        super()._serve(Sending())  # type: ignore[arg-type]


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


WAYS = {
    "a byte of the head now and then": (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x", 0.1),
    "a byte now and then": (HEAD, chunk(b" "), 0.1),
    "a line now and then": (HEAD, chunk(json.dumps(EVENT).encode() + b"\n"), 0.1),
    "without end": (HEAD, chunk(b" " * 65536), 0),
    "without end nor chunks": (b"HTTP/1.1 200 OK\r\n\r\n", b"[[]," * 16384, 0),
    "a log's piece of 4 GB": (HEAD, chunk(b"\1\0\0\0\xff\xff\xff\xff" + b"x" * 65536), 0),
    "an error without end": (HEAD.replace(b"200 OK", b"500 No"), chunk(b"x" * 65536), 0),
}


ENDLESS = [(question, way) for question in QUESTIONS for way in WAYS if question in ("list", "logs") or WAYS[way][2]]


@pytest.mark.parametrize(("question", "way"), ENDLESS)
def test_an_answer_has_an_end_and_a_bound(run: Run, listen: Callable[[Handler], str], question: str, way: str) -> None:
    engine = Misbehaving(listen, question, WAYS[way])
    cold = {} if WAYS[way][2] else COLD  # only a process of its own has a limit of memory
    began = time.monotonic()
    line = f"(ulimit -v 1500000; dm-{COMMAND.get(question, question)} -t 1 a)"
    done = run(line, timeout=30, DOCKER_HOST=engine.url, **cold)
    (record,) = lines_of(done.stdout)
    assert {error["code"] for error in record["errors"]} <= {"docker_timeout", "docker_error", "docker_unreachable"}
    if not (question == "logs" and record.get("logs", {}).get("truncated")):
        assert done.returncode in (4, 5), done.stdout[:1000]
    assert done.stderr == ""
    assert len(done.stdout) < 100_000
    assert time.monotonic() - began < 15  # of which most is for starting on a busy machine


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_answer_that_is_nested_without_end_is_none(
    run: Run, listen: Callable[[Handler], str], question: str
) -> None:
    fake = Fake(listen, **{PATHS[question]: chunked(b"[" * 200_000, b"]" * 200_000)})
    done = run(f"dm-{COMMAND.get(question, question)} a", DOCKER_HOST=fake.url)
    assert (done.returncode in (4, 5), done.stderr) == (True, "")
    (record,) = lines_of(done.stdout)
    assert {error["code"] for error in record["errors"]} <= {"docker_error", "docker_unreachable"}


def test_no_engine_sends_us_elsewhere(run: Run, tmp_path: Path) -> None:
    """Over TCP the library would go wherever a redirect leads to."""
    asked: list[str] = []

    class Elsewhere(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.1:{server.server_port}/latest/meta-data/")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        done = run("dm-inspect a", DOCKER_HOST=f"tcp://127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()
    assert done.returncode == 5
    assert asked == ["/version"]


def test_an_engine_that_is_not_there_leaves_no_socket_open(tmp_path: Path) -> None:
    """The library would: its socket is found by whichever test comes when memory is tidied up."""
    engine = Engine(f"unix://{tmp_path}/engine.sock", 5)
    with pytest.raises(records.Problem, match="no such file or directory"):
        reading.containers(engine)
    with contextlib.closing(engine), pytest.raises(records.Problem, match="no such file or directory"):
        reading.containers(engine)
    gc.collect()  # an open socket would be a warning here, and so an error


def test_verbose_tells_the_questions(run: Run, listen: Callable[[Handler], str]) -> None:
    fake = Fake(listen, events=chunked(json.dumps(EVENT).encode() + b"\n"))
    done = run("dm-inspect -v a", DOCKER_HOST=fake.url)
    told = re.findall(r"^dm-inspect: asked Docker at (\S+): GET /v[\d.]+/(\S+?)\??\S*: 200, \d+ ms$", done.stderr, re.M)
    assert {url for url, _ in told} == {fake.url}
    assert "containers/json" in done.stderr and f"containers/{ID}/json" in done.stderr and len(told) >= 3, done.stderr
    assert run("dm-inspect a", DOCKER_HOST=fake.url).stderr == ""


# Events: an engine whose memory holds just what is wanted is a fake


def event(seconds_ago: float, action: str, container: str = ID) -> bytes:
    """As since API 1.52, where the fields status, id and from are no more."""
    happened = {"timeNano": int((time.time() - seconds_ago) * 1e9), "Action": action, "Type": "container"}
    return json.dumps(happened | {"Actor": {"ID": container, "Attributes": {}}}).encode() + b"\n"


def podman(value: object) -> bytes:
    first, rest = whole(value).split(b"\r\n", 1)
    return first + b"\r\nServer: Libpod/4.3.1 (linux)\r\n" + rest


OTHER = "d00d" * 16


@pytest.mark.parametrize(
    ("held", "found", "reach"),
    [
        ([(900, "die"), (50, "start"), (20, "die")], ["start", "die"], 600),  # older than the window
        ([(50, "exec_start", OTHER), (40, "start", OTHER), (20, "die")], ["die"], 50),
        ([(50, "health_status: unhealthy"), (40, "exec_die: true"), (0, "kill")], ["kill"], 50),
        ([], [], 0),  # the engine has just been started
    ],
)
def test_events_say_how_far_back_the_engine_remembers(
    listen: Callable[[Handler], str], held: list[tuple[Any, ...]], found: list[str], reach: float
) -> None:
    fake = Fake(listen, events=chunked(*(event(*each) for each in held)))
    with contextlib.closing(Engine(fake.url, 5)) as engine:
        events, since = reading.events(engine, ID, 600)
    assert [each["Action"] for each in events] == found
    assert time.time() - since == pytest.approx(reach, abs=10)
    assert fake.parameters["events"]["since"] == "0" and "filters" not in fake.parameters["events"]
    assert float(fake.parameters["events"]["until"]) == pytest.approx(time.time(), abs=10)


NETWORK = {"Type": "network", "Action": "disconnect", "Actor": {"ID": "n1", "Attributes": {"container": ID}}}


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        ({}, 1),  # nothing has happened to it
        ({"events": [event(3600, "create"), event(-3600, "update")]}, 2),
        ({"events": [event(3600, "create"), event(-3600, "exec_die", OTHER)]}, 1),
        ({"events": [event(3600, "create"), json.dumps(NETWORK | {"time": 9e9}).encode() + b"\n"]}, 2),
        ({"events": [event(-3600, "exec_die", OTHER)]}, 2),  # what happened before that is forgotten
        ({"events": []}, 2),
        ({"events": [b"null\n"]}, 2),
        ({"containers/json": [LISTED[0] | {"State": "exited"}]}, 2),  # its event may come late
        ({"containers/json": [LISTED[0] | {"Status": "Up 2 minutes (unhealthy)"}]}, 2),
        ({"containers/json": [LISTED[0] | {"Status": "Up 9 days"}]}, 1),
    ],
)
def test_in_a_round_what_has_not_changed_is_not_asked_for_again(
    listen: Callable[[Handler], str], answers: dict[str, Any], asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "EVENT_LATE_SECONDS", 0.0)
    fake = Fake(listen, events=chunked(event(3600, "create")))
    with contextlib.closing(LocalEngine(fake.url, 5)) as engine:
        for _ in range(2):
            raw, as_of = reading.unchanged(engine, reading.containers(engine, True)[0])
            assert raw == INSPECTED
            found = {name: whole(each) if name != "events" else chunked(*each) for name, each in answers.items()}
            fake.answers |= found
            engine.events.forget()
            engine.kept.next()
        assert fake.asked[f"{ID}/json"] == asked
        assert (as_of is None) == (asked == 2)
        assert as_of is None or time.time() - as_of < 60


class LocalEngine(Engine):
    """One whose clock is ours, at a TCP address."""

    def __init__(self, host: str, timeout: float) -> None:
        super().__init__(host, timeout)
        self.label = "unix:///run/fake.sock"


def test_podman_is_asked_for_its_events_in_its_own_way(listen: Callable[[Handler], str]) -> None:
    """An end makes it stop reading, so it is asked not to follow instead; and 4.3 knows `died` only."""
    fake = Fake(listen, **{"containers/json": podman(LISTED), "events": chunked(event(30, "start"), event(20, "die"))})
    with contextlib.closing(Engine(fake.url, 5)) as engine:
        reading.containers(engine)
        events, since = reading.events(engine, ID, 600)
    assert [each["Action"] for each in events] == ["start", "die"]
    assert time.time() - since == pytest.approx(600, abs=10)  # it keeps them in a file
    asked = fake.parameters["events"]
    assert (asked["stream"], asked.get("until")) == ("false", None)
    filters = json.loads(asked["filters"])
    assert {"die", "died"} <= set(filters["event"]) and filters["container"] == [ID]


def test_podman_is_asked_twice_what_a_container_uses(run: Run, listen: Callable[[Handler], str]) -> None:
    """As it answered of a container held to a tenth of a processor, on a machine that was not idle."""
    first, second = (
        podman({"read": read, "preread": "0001-01-01T00:00:00Z", "cpu_stats": stats, "precpu_stats": {}})
        for read, stats in (
            ("2026-11-30T11:27:05.346029453+01:00", cpu(130835071, 4732192247855)),
            ("2026-11-30T11:27:06.354141665+01:00", cpu(229936472, 4734204448087)),
        )
    )

    class Podman(Fake):
        def _serve(self, connection: socket.socket) -> None:
            while head := connection.recv(65536):
                path = head.split()[1].decode().partition("?")[0]
                name = next(name for name in self.answers if path.endswith(f"/{name}"))
                self.asked[name] += 1
                connection.sendall(second if self.asked["stats"] > 1 else self.answers[name])

    fake = Podman(listen, **{"containers/json": podman(LISTED), "stats": first})
    (found,) = lines_of(run("dm-stats a", DOCKER_HOST=fake.url).stdout)
    assert fake.asked["stats"] == 2
    assert found["stats"]["cpu_percent"] == pytest.approx(9.83, abs=0.01)


def cpu(used: int, system: int) -> dict[str, Any]:
    return {"cpu_usage": {"total_usage": used}, "system_cpu_usage": system, "online_cpus": 2}


@pytest.mark.parametrize(("state", "codes"), [("running", ["stats:container_gone"]), ("exited", None)])
def test_podman_says_nothing_of_what_a_container_used_that_has_ended(
    run: Run, listen: Callable[[Handler], str], state: str, codes: list[str] | None
) -> None:
    """The list, where it still runs, may be a second old."""
    answers = {"stats": chunked(), f"{ID}/json": whole(INSPECTED | {"State": {"Status": state}})}
    (found,) = lines_of(run("dm-stats a", DOCKER_HOST=Fake(listen, **answers).url).stdout)
    errors = [f"{error['stage']}:{error['code']}" for error in found.get("errors", [])]
    assert errors == (codes or [])
    assert codes or set(found["stats"].values()) == {None}


@pytest.mark.parametrize(
    ("driver", "status", "words", "code", "message"),
    [
        ("syslog", 500, "dial tcp 10.0.0.1:514: connect: refused", "logs_unavailable", "driver 'syslog': dial tcp"),
        ("gelf", 501, "configured logging driver does not support reading", "logs_unavailable", "'gelf' cannot be"),
        ("none", 500, "this container is using the 'none' log driver, cannot read logs", "logs_unavailable", "'none'"),
        ("json-file", 500, "open /var/lib/docker/x-json.log: no such file", "docker_error", "no such file"),
        ("fluentd", 404, "No such container", "container_gone", "No such container"),
    ],
)
def test_why_the_engine_refuses_a_log(
    run: Run, listen: Callable[[Handler], str], driver: str, status: int, words: str, code: str, message: str
) -> None:
    said = json.dumps({"message": words}).encode()
    refused = b"HTTP/1.1 %d No\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        *(status, len(said), said),
    )
    inspected = whole(INSPECTED | {"HostConfig": {"LogConfig": {"Type": driver, "Config": {}}}})
    fake = Fake(listen, **{"logs": refused, f"{ID}/json": inspected})
    (found,) = lines_of(run("dm-logs a", DOCKER_HOST=fake.url).stdout)
    assert [error["code"] for error in found["errors"]] == [code]
    assert message in found["errors"][0]["message"]


WRONG = [
    ("containers/json", [None]),
    ("containers/json", {"message": "x"}),
    ("containers/json", [{"Id": 7}]),
    ("containers/json", [{"Id": ID, "Names": [{}]}]),
    ("containers/json", [{"Id": ID, "Names": ["/app"], "Labels": True}]),
    (f"{ID}/json", INSPECTED | {"State": []}),
    (f"{ID}/json", INSPECTED | {"Config": CONFIG | {"Env": "A=b"}}),
    (f"{ID}/json", INSPECTED | {"Mounts": {"Type": "bind"}}),
    ("stats", {"pids_stats": "x"}),
    ("stats", {"cpu_stats": {"cpu_usage": {"total_usage": True}}}),
]


@pytest.mark.parametrize(("question", "answer"), WRONG)
def test_an_answer_of_another_shape_is_none(listen: Callable[[Handler], str], question: str, answer: Any) -> None:
    """It was an internal error of ours, wherever it was read."""
    fake = Fake(listen, **{question: chunked(json.dumps(answer).encode())})
    with contextlib.closing(Engine(fake.url, 5)) as engine, pytest.raises(records.Problem) as caught:
        {"containers/json": reading.containers}.get(question, lambda _: None)(engine)
        reading.inspect(engine, ID)
        reading.stats(engine, ID)
    assert caught.value.code in ("docker_error", "docker_unreachable")
