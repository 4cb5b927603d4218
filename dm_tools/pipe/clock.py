"""The time, in one place, so that a transcript can hold it still with DM_NOW (seconds since 1970)."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime


def now() -> float:
    """Seconds since 1970."""
    fixed = os.environ.get("DM_NOW")
    return float(fixed) if fixed else time.time()


def rfc3339(seconds: float) -> str:
    """UTC, to the millisecond, ending in Z."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
