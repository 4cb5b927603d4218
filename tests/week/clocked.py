"""One of our commands with the time of a week: python -m tests.week.clocked PAGE NAME ARGUMENT...

The page holds three numbers that somebody else writes (seconds since 1970, seconds of the steady clock, which start of
the machine it is) and one that dm-notify writes here: how many rounds it has told.
"""

from __future__ import annotations

import importlib
import mmap
import struct
import sys
from pathlib import Path
from typing import Any

from dm_tools.notify.work import Teller
from dm_tools.pipe import clock

PAGE = struct.Struct("=4d")


def main() -> None:
    """Become the command."""
    path, name, *arguments = sys.argv[1:]
    with Path(path).open("r+b") as file:
        page = mmap.mmap(file.fileno(), PAGE.size)

    def steady() -> tuple[float, str]:
        _, seconds, boot, _ = PAGE.unpack(page)
        return seconds, f"boot {boot:g}"

    clock.now = lambda: PAGE.unpack(page)[0]
    clock.steady = steady
    deliver = Teller.deliver

    def delivered(self: Any, final: bool) -> None:
        deliver(self, final)
        struct.pack_into("=d", page, PAGE.size - 8, struct.unpack_from("=d", page, PAGE.size - 8)[0] + 1)

    Teller.deliver = delivered  # type: ignore[method-assign]
    sys.argv[:] = [f"dm-{name}", *arguments]
    importlib.import_module(f"dm_tools.commands.{name}").main()


if __name__ == "__main__":
    main()
