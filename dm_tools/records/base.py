"""The base of every part of a record."""

from __future__ import annotations

import msgspec


class Section(msgspec.Struct):
    """The base of every part of a record: unknown keys are ignored on the way in."""
