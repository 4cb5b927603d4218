"""The way to a Docker Engine: one object per engine, made once by the command that asks it.

Whatever goes wrong on the way is a `records.Problem` with a stable code. Of the whole engine: docker_unreachable. Of
one question: docker_timeout, docker_error (the engine refused it, or its answer came in pieces that are no answer),
container_gone.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from dm_tools import records, redact
from dm_tools.engine import address, transport
from dm_tools.pipe import say

Answer = TypeVar("Answer")
Container = dict[str, Any]

LISTING_SECONDS = 1.0  # how long a list of containers is shared; names are looked up once per record
UNREACHABLE_SECONDS = 5.0  # how long a dead engine is not asked again: N records must not cost N timeouts
# The library logs in anew for each question, and sshd refuses at random when ten do so at once (MaxStartups).
SSH_LOGINS = 6


class Shared(Generic[Answer]):
    """An answer that many threads need at once: one of them asks, the others wait and share it for `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._lock = threading.Lock()
        self._answer: tuple[float, float, Answer] | None = None  # when it was asked for, when it came, what it was
        self.asked_at = 0.0  # the same by the clock on the wall, in seconds since 1970

    def get(self, ask: Callable[[], Answer], fresh: bool = False) -> Answer:
        """The answer. With `fresh` one that was asked for after this call: whatever was done before it shows."""
        called = time.monotonic()
        with self._lock:
            if self._answer is not None:
                asked, came, answer = self._answer
                if asked >= called if fresh else came > called - self.seconds:
                    return answer
            asked, asked_at = time.monotonic(), time.time()
            answer = ask()
            self.asked_at = asked_at
            self._answer = asked, time.monotonic(), answer
        return answer

    def forget(self) -> None:
        """Ask anew the next time."""
        with self._lock:
            self._answer = None


class Kept:
    """What was asked of each container in the round before this one; what a round does not ask for is forgotten."""

    def __init__(self) -> None:
        self._before: dict[str, Any] = {}
        self._now: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        """What `put` was given in the round before; None in the first one."""
        return self._before.get(key)

    def put(self, key: str, value: Any) -> None:
        """Keep it for the next round."""
        self._now[key] = value

    def next(self) -> None:
        """A round has ended."""
        self._before, self._now = self._now, {}


class _Helper:
    """A thread that waits for answers in place of one that asks: to start one for each question takes longer."""

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        threading.Thread(target=_helping, args=(self._tasks,), daemon=True).start()

    def do(self, task: Callable[[], None]) -> None:
        """Do it, after what was given before."""
        self._tasks.put(task)

    def __del__(self) -> None:
        self._tasks.put(None)


def _helping(tasks: queue.SimpleQueue[Callable[[], None] | None]) -> None:
    while (task := tasks.get()) is not None:
        task()
        del task  # it may hold what is not needed any more


class Engine:
    """One Docker Engine as one command sees it; for several threads.

    `host` is a Docker host as in $DOCKER_HOST (unix://, tcp://, ssh://) or None for the one that the `docker` command
    would use; `timeout` are the seconds that one question may take. `label` is the engine's address, `name` also tells
    which Docker context gave it, for messages.
    """

    def __init__(self, host: str | None, timeout: float) -> None:
        self.host = host
        self.timeout = timeout
        self._lost: records.Problem | None = None  # why nobody can tell which engine is meant
        try:
            self._address = address.of(host)
        except records.Problem as problem:
            self._address, self._lost = address.Address(f"unix://{address.DEFAULT_SOCKET}"), problem
        self.label = redact.redact(self._address.url)
        self.name = self.label + (f" (context {self._address.context})" if self._address.context else "")
        self.listing: Shared[list[Container]] = Shared(LISTING_SECONDS)
        self.events: Shared[Any] = Shared(LISTING_SECONDS)  # see reading
        self.kept, self.answering = Kept(), Kept()  # inspected containers, and processes: see reading
        self.endpoints: dict[tuple[str, ...], dict[str, Any]] = {}  # networks of inspected containers, see finding
        self.podman = False  # known once it has answered
        self._own = threading.local()  # a requests session must not be shared between threads
        self._clients: list[Any] = []
        self._version: str | None = None
        self._died: tuple[float, str] | None = None  # when, and why
        self._logins = threading.BoundedSemaphore(SSH_LOGINS)

    def ask(
        self,
        subject: str,
        question: Callable[[Any], Answer],
        whole_engine: bool = False,
        seconds: float | None = None,
    ) -> Answer:
        """What `question` makes of this thread's docker.APIClient. Raises Problem.

        `subject` begins the message, `whole_engine`: if this is not answered, nothing is. `seconds`: another time
        than the engine's.
        """
        client = self._client()
        return self._answered(subject, lambda: question(client), whole_engine, seconds or self.timeout)

    def close(self) -> None:
        """Let go of all connections."""
        for client in self._clients:
            client.close()

    def _client(self) -> Any:
        if self._lost is not None:
            raise self._lost
        if self.host and os.environ.get("DM_ONE_ENGINE") and self.host != os.environ.get("DOCKER_HOST"):
            raise self._unreachable("only the engine of DOCKER_HOST may be asked here")  # records may be a stranger's
        if self._died is not None and time.monotonic() - self._died[0] < UNREACHABLE_SECONDS:
            raise self._unreachable(self._died[1])
        if not hasattr(self._own, "client"):
            self._own.client = self._answered("version", self._connect, True, self.timeout)
        return self._own.client

    def _connect(self) -> Any:
        url = self._address.url
        settings: dict[str, Any] = {"base_url": url} | self._tls()
        if url.startswith("ssh://"):
            settings["use_ssh_client"] = True  # the system's ssh: its config, agent and known hosts count
        if url.startswith("unix://"):
            self._knock(url)
        if self._address.found:
            say.once(f"Docker at {self.label}: there is no {address.DEFAULT_SOCKET}, and no other engine was found")
        settings |= {"version": self._version or "auto", "timeout": self.timeout}
        client = transport.client(**settings)
        if not url.startswith("tcp://"):  # no proxy of the environment leads there; to look takes a quarter of the time
            client.trust_env = False
        client.hooks["response"].append(self._greeted)
        self._version = client.api_version
        self._clients.append(client)
        return client

    def _tls(self) -> dict[str, Any]:
        """The library's setting `tls`, if TLS is spoken: with a context's files, or those of the environment."""
        import docker.tls
        import docker.utils

        files = self._address.tls
        if files is None:
            own = self._address.context is not None or not self._address.url.startswith("tcp://")
            return {} if own else {key: value for key, value in docker.utils.kwargs_from_env().items() if key == "tls"}
        pair = (files["cert"], files["key"]) if {"cert", "key"} <= files.keys() else None
        config = docker.tls.TLSConfig(client_cert=pair, ca_cert=files.get("ca"), verify=files["verify"])
        return {"tls": config}

    def _greeted(self, answer: Any, **_: Any) -> None:
        self.podman |= answer.headers.get("Server", "").startswith("Libpod/")
        if say.talkative:
            asked, ms = answer.request, answer.elapsed.total_seconds() * 1000
            path = redact.redact(asked.path_url)
            say.detail(f"asked Docker at {self.name}: {asked.method} {path}: {answer.status_code}, {ms:.0f} ms")

    def _knock(self, address: str) -> None:
        """Connect once and hang up: the library leaves its socket open if it cannot connect (docker 7.2.0)."""
        with socket.socket(socket.AF_UNIX) as door:
            door.settimeout(self.timeout)
            door.connect(address.removeprefix("unix://"))

    def _answered(self, subject: str, question: Callable[[], Answer], whole_engine: bool, seconds: float) -> Answer:
        transport.load()
        import http.client

        import docker.errors
        import requests.exceptions
        import urllib3.exceptions

        try:
            return self._in_time(question, seconds)
        except (
            docker.errors.DockerException,
            requests.exceptions.RequestException,
            urllib3.exceptions.HTTPError,
            http.client.HTTPException,
            OSError,
            ValueError,  # an address that is none, an answer that is no JSON
            RecursionError,  # one that is nested without end
        ) as caught:
            failure = caught
        raise self._problem(subject, failure, whole_engine)

    def _in_time(self, question: Callable[[], Answer], seconds: float) -> Answer:
        """The answer. It is waited for in a thread: whoever sends a byte now and then is late all the same."""
        outcome: Future[Answer] = Future()

        def wait() -> None:
            try:
                outcome.set_result(question())
            except BaseException as failure:
                outcome.set_exception(failure)

        with self._logins if self.label.startswith("ssh://") else contextlib.nullcontext():
            if not hasattr(self._own, "helper"):
                self._own.helper = _Helper()
            self._own.helper.do(wait)
            try:
                return outcome.result(seconds)
            except TimeoutError:
                for each in ("client", "helper"):  # they are still waiting for the answer
                    with contextlib.suppress(AttributeError):
                        delattr(self._own, each)
                raise

    def _problem(self, subject: str, failure: Exception, whole_engine: bool) -> records.Problem:
        """What a failure of the library means: for this question, or for the whole engine."""
        import docker.errors
        import requests.exceptions

        if isinstance(failure, docker.errors.NotFound):
            return _said("container_gone", subject, failure.explanation or "not found")
        if isinstance(failure, docker.errors.APIError):
            return _said("docker_error", subject, failure.explanation or str(failure))
        in_vain = isinstance(failure, requests.exceptions.ConnectTimeout)
        timed_out = not in_vain and isinstance(_innermost(failure), TimeoutError)
        garbage = isinstance(failure, requests.exceptions.JSONDecodeError)
        if whole_engine or in_vain:
            self._died = (
                time.monotonic(),
                ("no answer in time" if timed_out else "its answer is not JSON" if garbage else _reason(failure)),
            )
            return self._unreachable(self._died[1])
        if timed_out:
            return records.Problem("docker_timeout", f"{subject}: {self.name} did not answer in time")
        if isinstance(failure, requests.exceptions.JSONDecodeError) and not failure.doc.strip():
            # an engine that removes a container while it is being measured answers nothing at all
            return _said("container_gone", subject, f"no valid answer ({failure})")
        # An answer that ends too early may be the engine's own end, or only this answer's: ask it.
        try:
            self.ask("version", lambda client: client.version(api_version=False), whole_engine=True)
        except records.Problem as dead:
            return dead
        return _said("docker_error", subject, f"the answer was cut short or garbled ({_reason(failure)})")

    def _unreachable(self, reason: str) -> records.Problem:
        return records.Problem("docker_unreachable", f"cannot reach Docker at {self.name}: {redact.redact(reason)}")


class Engines:
    """The engines that one command asks: each record may name its own. For several threads.

    Made before the first record is here, it loads the library: in a pipe all commands start at once, and all wait.
    `load` false: not before an engine is asked, which may never be.
    """

    def __init__(self, timeout: float, load: bool = True) -> None:
        if load:
            transport.load()
        self.timeout = timeout
        self._lock = threading.Lock()
        self._engines: dict[str | None, Engine] = {}

    def of(self, record: dict[str, Any]) -> Engine:
        """The engine where a record's service runs."""
        host = record.get("docker_host")
        with self._lock:
            if host not in self._engines:
                self._engines[host] = Engine(host, self.timeout)
            return self._engines[host]

    def forget(self) -> None:
        """What was shared by the records of one round is not for the next: it may have begun because of a change."""
        with self._lock:
            for engine in self._engines.values():
                engine.listing.forget()
                engine.events.forget()
                engine.kept.next()
                engine.answering.next()


def _said(code: str, subject: str, words: str) -> records.Problem:
    return records.Problem(code, redact.redact(f"{subject}: {words}"))


def _innermost(failure: BaseException) -> BaseException:
    while (inner := failure.__cause__ or failure.__context__) is not None:
        failure = inner
    return failure


def _reason(failure: BaseException) -> str:
    """The innermost reason, in a few words: the libraries wrap it four times."""
    seen: BaseException | None = failure
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror.lower()
        seen = seen.__cause__ or seen.__context__
    return str(failure).splitlines()[0][:200] if str(failure) else type(failure).__name__
