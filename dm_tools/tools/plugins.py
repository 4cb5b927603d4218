"""Tools that others bring: Python files of a folder, and entry points of installed packages.

A plugin is a module with `TOOL` (name, description, parameters as JSON Schema of an object) and `run(arguments,
inventory)`, which returns JSON. It is our process that runs it: whoever may write into the folder, or install a
package, may do what we may. One that does not fit is refused with its name and the reason, and so is one that would
take the place of a tool that there is.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import orjson

from dm_tools import redact
from dm_tools.records import Problem
from dm_tools.tools import schema
from dm_tools.tools.registry import TOOLS, Arguments, Tool, Toolbox

GROUP = "dm_tools.tools"
_NAME = re.compile(r"[a-z][a-z0-9_]{2,63}", re.ASCII)


class Refused(Exception):
    """A plugin that does not fit; the message says which, and why."""


class Declared(msgspec.Struct, forbid_unknown_fields=True):
    """`TOOL` of a plugin."""

    name: str
    description: str
    parameters: dict[str, Any]


def tools(folder: Path | None, more: Mapping[str, Tool] = {}) -> tuple[dict[str, Tool], list[Refused]]:
    """Our tools, `more` of ours, and those of plugins; and what was refused."""
    found, refused = {**TOOLS, **more}, []
    for origin, load in [*_files(folder), *_entry_points()]:
        try:
            with _aside():
                tool = _tool(origin, load())
            if tool.name in found:
                raise Refused(f"{origin}: there is a tool {tool.name!r} already")
            found[tool.name] = tool
        except Refused as failure:
            refused.append(failure)
        except (Exception, SystemExit) as failure:  # a plugin's own code: whatever it raises is no end of ours
            words = redact.redact(f"{type(failure).__name__}: {failure}")
            refused.append(Refused(f"{origin}: cannot be loaded: {words}"))
    return found, refused


_printing = threading.Lock()
_aside_depth, _before = 0, sys.stdout


@contextlib.contextmanager
def _aside() -> Iterator[None]:
    """What a plugin prints goes to standard error: standard output is for answers, and over MCP a stray word there
    ends the conversation. Several may run at once: the first one in turns it aside, the last one out back."""
    global _aside_depth, _before
    with _printing:
        if _aside_depth == 0:
            _before, sys.stdout = sys.stdout, sys.stderr
        _aside_depth += 1
    try:
        yield
    finally:
        with _printing:
            _aside_depth -= 1
            if _aside_depth == 0:
                sys.stdout = _before


def _files(folder: Path | None) -> Iterator[tuple[str, Any]]:
    for path in sorted(folder.glob("*.py")) if folder else ():
        yield str(path), lambda path=path: _module(path)


def _entry_points() -> Iterator[tuple[str, Any]]:
    for each in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda each: each.name):
        yield f"entry point {each.name!r}", each.load


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"dm_tools_plugin_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise Refused(f"{path}: no Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _tool(origin: str, plugin: Any) -> Tool:
    run = getattr(plugin, "run", None)
    try:
        declared = msgspec.convert(getattr(plugin, "TOOL", None), Declared)
    except msgspec.ValidationError as wrong:
        raise Refused(f"{origin}: TOOL: {wrong}") from None
    if not callable(run):
        raise Refused(f"{origin}: there is no function run(arguments, inventory)")
    if not _NAME.fullmatch(declared.name):
        raise Refused(f"{origin}: a name has 3 to 64 small letters, digits and _: {declared.name[:80]!r}")
    if declared.parameters.get("type") != "object" or "properties" not in declared.parameters:
        raise Refused(f"{origin}: parameters must be the schema of an object with properties")
    properties, required = declared.parameters["properties"], tuple(declared.parameters.get("required") or ())
    try:
        schema.wrong(declared.parameters, {})
    except ValueError as failure:
        raise Refused(f"{origin}: parameters: {failure}") from None

    def called(box: Toolbox, arguments: Arguments) -> Any:
        try:
            with _aside():
                found = orjson.loads(orjson.dumps(msgspec.to_builtins(run(arguments, box.inventory))))
        except Problem as problem:
            raise Problem(problem.code, redact.redact(problem.message)) from None
        except (Exception, SystemExit) as failure:  # as above; also of what is no JSON
            words = redact.redact(f"{type(failure).__name__}: {failure}")
            raise Problem("tool_failed", f"{declared.name} failed: {words}") from None
        return redact.Redactor().value(found)

    return Tool(declared.name, declared.description, properties, required, called)
