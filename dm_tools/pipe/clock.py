"""The time, in one place, so that a transcript can hold it still with DM_NOW (seconds since 1970)."""

from __future__ import annotations

import os
import re
import time
from datetime import UTC, datetime

from dm_tools.pipe import exits


def now() -> float:
    """Seconds since 1970."""
    fixed = os.environ.get("DM_NOW")
    if not fixed:
        return time.time()
    if not re.fullmatch(r"\d{1,11}(\.\d+)?", fixed):
        raise exits.Stop(exits.USAGE, f"DM_NOW: {fixed!r} is not a number of seconds since 1970")
    return float(fixed)


def rfc3339(seconds: float) -> str:
    """UTC, to the millisecond, ending in Z."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
