"""The read-only tools that a model, a person or another program may call: one registry for all doors, a JSON Schema for
the arguments, a bound on every output.

A tool reaches only what the inventory names: its services' containers, and the hosts and ports of their URLs. What it
returns is redacted where it is collected, like any other evidence.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec
import orjson

from dm_tools import redact
from dm_tools.engine import finding
from dm_tools.engine.connection import Engines
from dm_tools.records import Inspect, Logs, Page, Probe, Problem, Stats, section
from dm_tools.text.shorten import both_ends
from dm_tools.tools import schema

TIMEOUT = 10.0  # seconds that one call may take
MAX_OUTPUT = 2_000  # characters of one output for a model
MAX_ANSWER = 200_000  # and for whoever else asks
MAX_TAIL = 500
EVENT_WINDOW = 3_600.0
MAX_URL = 300
MAX_PAGE_TEXT = 800  # characters
MAX_ENTRIES = 5  # of a page's console, exceptions and failed requests

Record = dict[str, Any]
Arguments = dict[str, Any]


@dataclass(frozen=True)
class Tool:
    """One tool. `properties`: JSON Schema of each argument; `required`: those it cannot do without. What `run` returns
    is JSON: a text, or an object; if it comes `later`, it is to be awaited."""

    name: str
    description: str
    properties: dict[str, Any]
    required: tuple[str, ...]
    run: Callable[[Toolbox, Arguments], Any]
    of_stack: bool = True  # false: it needs no inventory
    words: bool = False  # its output is a text, always
    later: bool = False

    @property
    def parameters(self) -> dict[str, Any]:
        """JSON Schema of the arguments."""
        return {
            "type": "object",
            "properties": self.properties,
            "required": list(self.required),
            "additionalProperties": False,
        }


class Toolbox:
    """The tools for one stack. `inventory`: service → its record without evidence; `tools`: also those of plugins."""

    def __init__(
        self, inventory: dict[str, Record], engines: Engines | None = None, tools: dict[str, Tool] | None = None
    ) -> None:
        self.inventory = inventory
        self.engines = engines or Engines(TIMEOUT)
        self.tools = TOOLS if tools is None else tools
        self._by_name = {record.get("container") or name: name for name, record in inventory.items()}
        self._places = {
            place: name
            for name, record in inventory.items()
            for url in [*(record.get("internal") or []), *(record.get("external") or [])]
            if (place := _place(url.partition("?")[0])) is not None
        }

    def only(self, services: Iterable[str]) -> Toolbox:
        """The same tools, for these services and no others."""
        chosen = {name: self.inventory[name] for name in services if name in self.inventory}
        return Toolbox(chosen, self.engines, self.tools)

    def definitions(self) -> list[dict[str, Any]]:
        """The tools as the OpenAI API has them."""
        return [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
            }
            for tool in self.tools.values()
        ]

    def call(self, name: str, arguments: Arguments) -> str:
        """A tool's output as text, bounded for a model. Raises Problem if it cannot be had."""
        found = self._found(name, arguments)
        return both_ends(found if isinstance(found, str) else _json(found), MAX_OUTPUT, whole_lines=True)

    def answer(self, name: str, arguments: Arguments) -> Any:
        """A tool's output as JSON, bounded: what is too long becomes a shortened text. Raises Problem."""
        if name in self.tools and self.tools[name].later:
            import asyncio

            return asyncio.run(self.later(name, arguments))
        return _bounded(self._found(name, arguments))

    async def later(self, name: str, arguments: Arguments) -> Any:
        """The same of a tool whose output is to be awaited."""
        return _bounded(await self._found(name, arguments))

    def _found(self, name: str, arguments: Arguments) -> Any:
        tool = self.tools.get(name)
        if tool is None:
            raise Problem(
                "unknown_tool", f"there is no tool {redact.redact(name[:40])!r}; there are: {', '.join(self.tools)}"
            )
        check(tool, arguments)
        return tool.run(self, {key: _whole(value) for key, value in arguments.items()})

    def record(self, name: Any) -> Record:
        """The record of a service, by its name or its container's. Raises Problem for one that is unknown."""
        if isinstance(name, str):
            service = name if name in self.inventory else self._by_name.get(name)
            if service is not None:
                return dict(self.inventory[service])
        raise Problem("not_in_inventory", "there is no such service in the inventory")

    def owner(self, url: str) -> Record:
        """The record whose URLs have this one's scheme, host and port. Raises Problem if none has."""
        place = _place(url)
        if place is None or place not in self._places:
            raise Problem(
                "not_in_inventory", "only plain paths at hosts and ports of the inventory's URLs may be asked"
            )
        return dict(self.inventory[self._places[place]])


def check(tool: Tool, arguments: Arguments) -> None:
    """Hold arguments against the tool's schema. Raises Problem bad_arguments."""
    for key in arguments:
        if key not in tool.properties:
            there = f"; there are: {', '.join(tool.properties)}" if tool.properties else ""
            raise Problem("bad_arguments", f"{tool.name} has no argument {redact.redact(key[:40])!r}{there}")
    for key in tool.required:
        if key not in arguments:
            raise Problem("bad_arguments", f"{tool.name} needs the argument {key!r}")
    wrong = schema.wrong(tool.parameters, arguments)
    if wrong:
        raise Problem("bad_arguments", f"{tool.name}: {wrong}")


_PLAIN = re.compile(r"[a-z]+://[\w.:\[\]-]+(?:/[\w./~-]*)?", re.ASCII | re.IGNORECASE)


def _place(url: Any) -> tuple[str, str, int | None] | None:
    if not isinstance(url, str) or len(url) > MAX_URL or redact.has_secret(url):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    if not _PLAIN.fullmatch(url):  # no user, no query, and above all no ${VARIABLE} for the probe to fill in
        return None
    return parts.scheme, parts.hostname, port or {"http": 80, "https": 443}[parts.scheme]


def _whole(value: Any) -> Any:
    """46.0 is an integer to JSON Schema, and none to Python."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _bounded(found: Any) -> Any:
    written = found if isinstance(found, str) else _json(found)
    if len(written) > MAX_ANSWER:
        return both_ends(written, MAX_ANSWER, whole_lines=True)
    return found if isinstance(found, str) else orjson.loads(written)


def _json(value: Any) -> str:
    return orjson.dumps(msgspec.to_builtins(value)).decode()


def _http_get(box: Toolbox, arguments: Arguments) -> Any:
    from dm_tools.collect import http, probe

    url, headers = str(arguments["url"]), arguments.get("headers") or {}
    for name, value in headers.items():
        if name.lower() in _OURS or redact.has_secret(f"{name}: {value}") or redact.is_secret_name(name):
            raise Problem("not_allowed", f"the header {redact.redact(name[:40])!r} may not be set here")
    owner = box.owner(url) | {"internal": [url], "external": []}
    manner = http.Manner(headers=tuple(headers.items()))
    found = section(probe.probe(owner, box.engines, TIMEOUT, probe.Way(manner)), "probe", Probe)
    if not found or not found.checks:
        raise Problem("no_answer", "the URL cannot be asked from here")
    check = found.checks[0]
    kept = ("status_code", "error", "message", "redirects", "total_ms", "body_excerpt")
    return {key: getattr(check, key) for key in kept}


def _looked(box: Toolbox, arguments: Arguments) -> tuple[Page, str]:
    """A URL as a browser shows it, and its document, redacted. No picture is kept: who reads text needs none."""
    from dm_tools.collect import browser, screenshot

    url = str(arguments["url"])
    looker = browser.Browser(browser.Manner(), tabs=1)
    try:
        return screenshot.look(looker, box.owner(url), url, box.engines, TIMEOUT, MAX_OUTPUT)
    finally:
        looker.close()


def _browser_screenshot(box: Toolbox, arguments: Arguments) -> Any:
    page, _ = _looked(box, arguments)
    seen = {key: getattr(page, key) for key in ("verdict", "reasons", "status_code", "title")}
    entries = {key: getattr(page, key)[:MAX_ENTRIES] for key in ("console", "exceptions", "failed_requests")}
    return seen | {"text": (page.text or "")[:MAX_PAGE_TEXT]} | entries


def _browser_dom(box: Toolbox, arguments: Arguments) -> str:
    return _looked(box, arguments)[1] or "(the document is empty)"


def _list_containers(box: Toolbox, arguments: Arguments) -> Any:
    rows = []
    for name, record in box.inventory.items():
        row = {"service": name, "container": record.get("container") or name, "state": None, "status": None}
        try:
            found = finding.find(box.engines.of(record), record)
            row |= {"state": found.get("State"), "status": found.get("Status")}
        except Problem as problem:
            row["error"] = problem.message
        rows.append(row)
    return rows


def _logs(box: Toolbox, arguments: Arguments) -> str:
    from dm_tools.collect import logs

    tail = arguments.get("tail", 200)
    if not isinstance(tail, int) or isinstance(tail, bool) or not 1 <= tail <= MAX_TAIL:
        raise Problem("bad_arguments", f"tail is a number from 1 to {MAX_TAIL}")
    record = logs.logs(box.record(arguments["container"]), box.engines, tail, None, 256 * 1024)
    found = section(record, "logs", Logs)
    lines = found.lines if found else []
    seen: dict[str, None] = {}
    for template in found.templates if found else []:  # what repeats is told once, errors first
        seen[f"{template.count} x {template.text}"] = None
    text = "\n".join([*list(seen)[:20], "", "the newest lines:", *(line.text for line in lines[-10:])])
    return text if lines else "(the log is empty)"


def _stats(box: Toolbox, arguments: Arguments) -> Any:
    from dm_tools.collect import stats

    return section(stats.stats(box.record(arguments["container"]), box.engines), "stats", Stats)


def _inspect(box: Toolbox, arguments: Arguments) -> Any:
    from dm_tools.collect import inspect

    record = inspect.inspect(box.record(arguments["container"]), box.engines, EVENT_WINDOW)
    return section(record, "inspect", Inspect)


def _host_exec(box: Toolbox, arguments: Arguments) -> str:
    from dm_tools.collect import host

    command = arguments["cmd"]
    try:
        argv = shlex.split(command) if isinstance(command, str) else [str(each) for each in command]
    except (ValueError, TypeError):
        raise Problem("bad_arguments", "cmd is a command of words") from None
    return host.run(argv, TIMEOUT) or "(it printed nothing)"


# What says whose request it is, how long it is, or that it is not a GET; and what only a person's settings may hold.
_OURS = frozenset(
    {
        *("host", "connection", "upgrade", "te", "trailer", "transfer-encoding", "content-length", "expect"),
        *("authorization", "cookie", "proxy-authorization"),
        *("x-http-method", "x-http-method-override", "x-method-override"),
    }
)
_HEADERS = {
    "headers": {
        "type": "object",
        "maxProperties": 10,
        "additionalProperties": {"type": "string", "maxLength": 300, "pattern": "^[ -~]*$"},
        "propertyNames": {"pattern": "^[A-Za-z0-9-]{1,40}$"},
    }
}
_URL = {"url": {"type": "string", "maxLength": MAX_URL}}
_CONTAINER = {"container": {"type": "string", "maxLength": 200, "description": "a service or its container"}}

TOOLS = {
    tool.name: tool
    for tool in (
        Tool("docker_list_containers", "All services and the state of their containers.", {}, (), _list_containers),
        Tool(
            "docker_logs",
            "The newest log lines of a container, what repeats counted.",
            _CONTAINER | {"tail": {"type": "integer", "minimum": 1, "maximum": MAX_TAIL}},
            ("container",),
            _logs,
            words=True,
        ),
        Tool("docker_inspect", "State, health, limits, networks, events.", _CONTAINER, ("container",), _inspect),
        Tool("docker_stats", "CPU, memory, processes, network.", _CONTAINER, ("container",), _stats),
        Tool(
            "http_get",
            "Ask a URL of the inventory's hosts: status, error, the beginning of the answer.",
            _URL | _HEADERS,
            ("url",),
            _http_get,
        ),
        Tool(
            "browser_screenshot",
            "What a URL of the inventory's hosts shows in a browser: verdict, title, text, errors.",
            _URL,
            ("url",),
            _browser_screenshot,
        ),
        Tool("browser_dom", "The document of such a page, in excerpt.", _URL, ("url",), _browser_dom, words=True),
        Tool(
            "host_exec_readonly",
            "One of a few commands of the host, as: df -h, free -m, ss -ltn, uptime, dmesg --level=err.",
            {"cmd": {"type": "string", "maxLength": 120}, "cwd": {"type": "string", "enum": ["/"]}},
            ("cmd",),
            _host_exec,
            of_stack=False,
            words=True,
        ),
    )
}
