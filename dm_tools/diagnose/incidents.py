"""The identity of an incident: what makes two runs' issues the same trouble."""

from __future__ import annotations

import hashlib
import re

from dm_tools.records import Analysis
from dm_tools.text.late import late

# What the trouble is about. Limits and messages are left out: they differ from run to run.
ABOUT = ("upstream", "port", "user", "path", "setting")
_CHANGING = late(r"[0-9a-f]{8,}|\d+", re.IGNORECASE)  # process ids, ids of containers, temporary names


def fingerprint(service: str, verdict: Analysis, docker_host: str | None = None) -> str:
    """The same 16 hexadecimal digits for the same trouble in the next run.

    Made of the engine, the root service, the cause and what it is about: no times, no evidence ids, no counts. Numbers
    in what it is about do not tell two troubles apart, but a port does.
    """
    about = [
        f"{name}={text if name == 'port' else _CHANGING.sub('#', text)}"
        for name in ABOUT
        if (text := verdict.captures.get(name))
    ]
    parts = [docker_host or "", service, str(verdict.cause or ""), *about]
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=8).hexdigest()
