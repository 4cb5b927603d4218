"""TOML as a person wrote it: whatever is wrong with it is one kind of error."""

from __future__ import annotations

import tomllib
from typing import Any


def parsed(text: str) -> dict[str, Any]:
    """What a text says. Raises tomllib.TOMLDecodeError, also for what is nested as no file of ours is."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise tomllib.TOMLDecodeError("nested too deeply") from None
