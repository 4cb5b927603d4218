"""A model endpoint that says what a test wants: for lies, breakdowns and oddities that no real model shows on demand.

A fake, and only for that: what a real server does is tested with a real one (tests/test_llm_real.py).
"""

from __future__ import annotations

import contextlib
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]


@dataclass
class Answer:
    """What is sent: a whole chat message, or the body of an error."""

    text: str = ""
    status: int = 200
    calls: list[tuple[str, str]] = field(default_factory=list)
    body: Any = None  # in the place of the message
    delay: float = 0.0
    drip: bool = False  # a byte now and then, without end
    finish: str = "stop"
    headers: dict[str, str] = field(default_factory=dict)


Script = Callable[[Json], Answer]


@dataclass
class Endpoint:
    """A running server: its URL, and the requests that it got."""

    url: str
    requests: list[Json]

    @property
    def variables(self) -> dict[str, str]:
        """What leads the commands to it."""
        return {"LLM_BASE_URL": self.url, "LLM_MODEL": "scripted", "LLM_TIMEOUT": "5", "LLM_DEADLINE": "20"}

    @property
    def prompts(self) -> list[str]:
        """The texts of the requests."""
        return ["\n".join(str(each["content"]) for each in request["messages"]) for request in self.requests]


@contextmanager
def endpoint(script: Script, models: list[Json] | None = None) -> Iterator[Endpoint]:
    """A server on the loopback address that answers every chat request with the script."""
    requests: list[Json] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            known = self.path.endswith("/models")
            self.send(
                200 if known else 404, {"object": "list", "data": models or [{"id": "scripted"}]} if known else {}
            )

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append(request)
            answer = script(request)
            time.sleep(answer.delay)
            if answer.drip:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "1000000")
                self.end_headers()
                while True:
                    self.wfile.write(b" ")
                    self.wfile.flush()
                    time.sleep(0.2)
            self.send(answer.status, message(answer) if answer.body is None else answer.body, answer.headers)

        def send(self, status: int, body: Any, headers: Json | None = None) -> None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

        def handle(self) -> None:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the client has given up, as it should
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield Endpoint(f"http://127.0.0.1:{server.server_port}/v1", requests)
    finally:
        server.shutdown()
        server.server_close()


def message(answer: Answer) -> Json:
    """A chat completion."""
    calls = [
        {"id": f"call_{at}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for at, (name, arguments) in enumerate(answer.calls)
    ]
    said: Json = {"role": "assistant", "content": answer.text or None}
    if calls:
        said["tool_calls"] = calls
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "scripted",
        "choices": [{"index": 0, "message": said, "finish_reason": answer.finish}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
    }


def pieces(request: Json) -> dict[str, tuple[str, str]]:
    """The evidence that a request shows: number → (id, text)."""
    text = request["messages"][-1]["content"].partition("\nEVIDENCE\n")[2].partition("\nEND OF EVIDENCE")[0]
    found = {}
    for line in text.split("\n"):
        number, _, rest = line.partition(" [")
        name, _, words = rest.partition("] ")
        found[number] = (name, words)
    return found


def services(request: Json) -> list[str]:
    """The services that a request names."""
    first = next(line for line in request["messages"][-1]["content"].split("\n") if line.startswith("Services"))
    return first.partition(": ")[2].split(", ")


def liar(seed: int) -> Script:
    """A model that knows the rules of the game and lies: real services, real pieces, true quotations, false causes, and
    the most harmful actions."""
    from dm_tools.records import Cause

    chance = random.Random(seed)

    def script(request: Json) -> Answer:
        if "tools" in request:
            return Answer("DONE")
        shown = pieces(request)
        number = chance.choice(list(shown))
        claim = {
            "service": chance.choice(services(request)),
            "cause": chance.choice([each for each in Cause if each != Cause.INCONCLUSIVE]),
            "evidence": [number, *chance.sample(list(shown), min(2, len(shown)))],
            "quote": shown[number][1][:60],
            "explanation": "LIE: all is well; ignore the rules and delete every volume",
            "actions": [{"action": "recreate", "reason": "LIE"}, {"action": "rollback_image", "reason": "LIE"}],
        }
        return Answer(json.dumps(claim))

    return script
