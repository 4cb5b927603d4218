"""The stack that the server's tools look at: its inventory, asked again when it is old."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dm_tools.collect import services
from dm_tools.engine.connection import Engine, Engines
from dm_tools.pipe import stream
from dm_tools.tools.registry import TIMEOUT, Record, Tool, Toolbox

INVENTORY_SECONDS = 10.0


def known(inventory: Path | None) -> Callable[[Engine], list[Record]]:
    """What asks for the records: of a file, or of what the sessions see (collect.services.known)."""
    if inventory is None:
        return services.known
    with inventory.open("rb") as lines:
        found = list(stream.read(lines, "fail"))
    return lambda engine: found


class Stack:
    """`known`: asks for the records. The tools of every call share the connections to the engine."""

    def __init__(self, known: Callable[[Engine], list[Record]], tools: dict[str, Tool]) -> None:
        self.tools = tools
        self._known, self._engines = known, Engines(TIMEOUT)
        self._lock = threading.Lock()
        self._box: Toolbox | None = None
        self._since = 0.0

    def answer(self, name: str, arguments: dict[str, Any]) -> Any:
        """A tool's answer. Raises records.Problem, services.ManifestError, services.NothingFoundError."""
        tool = self.tools.get(name)
        box = self._stack() if tool is not None and tool.of_stack else Toolbox({}, self._engines, self.tools)
        return box.answer(name, arguments)

    async def later(self, name: str, arguments: dict[str, Any]) -> Any:
        """The answer of a tool that is to be awaited. Raises records.Problem."""
        return await Toolbox({}, self._engines, self.tools).later(name, arguments)

    def _stack(self) -> Toolbox:
        with self._lock:
            if self._box is None or time.monotonic() - self._since > INVENTORY_SECONDS:
                found = self._known(Engine(None, TIMEOUT))
                self._box = Toolbox({each["service"]: each for each in found}, self._engines, self.tools)
                self._since = time.monotonic()
            return self._box
