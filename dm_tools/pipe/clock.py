"""The time, in one place, so that a transcript can hold it still with DM_NOW (seconds since 1970)."""

from __future__ import annotations

import contextlib
import os
import re
import time
from datetime import UTC, datetime
from pathlib import Path

from dm_tools.pipe import exits


def now() -> float:
    """Seconds since 1970."""
    fixed = os.environ.get("DM_NOW")
    if not fixed:
        return time.time()
    if not re.fullmatch(r"\d{1,11}(\.\d+)?", fixed):
        raise exits.Stop(exits.USAGE, f"DM_NOW: {fixed!r} is not a number of seconds since 1970")
    return float(fixed)


def steady() -> tuple[float, str]:
    """Seconds of a clock that nobody sets and that a suspend does not stop, and the boot that they are counted from."""
    if os.environ.get("DM_NOW"):
        return now(), "DM_NOW"
    with contextlib.suppress(OSError):
        return time.clock_gettime(time.CLOCK_BOOTTIME), Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return time.monotonic(), f"process {os.getpid()}"


def local(seconds: float) -> tuple[int, int]:
    """Day of the week (0 is Monday) and minute of the day where we are."""
    found = time.localtime(seconds)
    return found.tm_wday, found.tm_hour * 60 + found.tm_min


def rfc3339(seconds: float) -> str:
    """UTC, to the millisecond, ending in Z."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
