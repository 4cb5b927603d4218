"""Tools that others bring: Python files of a folder, and entry points of installed packages.

A plugin is a module with `TOOL` (name, description, parameters as JSON Schema of an object) and `run(arguments,
inventory)`, which returns JSON. It is our process that runs it: whoever may write into the folder, or install a
package, may do what we may. One that does not fit is refused with its name and the reason, and so is one that would
take the place of a tool that there is.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

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
            tool = _tool(origin, load())
            if tool.name in found:
                raise Refused(f"{origin}: there is a tool {tool.name!r} already")
            found[tool.name] = tool
        except Refused as failure:
            refused.append(failure)
        except (Exception, SystemExit) as failure:  # a plugin's own code: whatever it raises is no end of ours
            refused.append(Refused(f"{origin}: cannot be loaded: {type(failure).__name__}: {failure}"))
    return found, refused


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
            found = msgspec.to_builtins(run(arguments, box.inventory))
        except Problem:
            raise
        except (Exception, SystemExit) as failure:  # as above
            raise Problem("tool_failed", f"{declared.name} failed: {type(failure).__name__}: {failure}") from None
        return redact.Redactor().value(found)

    return Tool(declared.name, declared.description, properties, required, called)
