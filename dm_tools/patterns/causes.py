"""What is known of each cause, from configs/causes.toml: what can carry it, how texts name it, what helps."""

from __future__ import annotations

import functools

import msgspec

from dm_tools.pipe import configs
from dm_tools.records import Cause, Fix


class Knowledge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One cause. `carried_by` None: everything that tells of a failure can carry it. The file says what each key is."""

    means: str
    remedies: list[Fix]
    carried_by: frozenset[str] | None = None
    nothing_to_cite: bool = False
    words: str | None = None
    shows: dict[str, float | list[str]] = {}


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    telling: frozenset[str]
    cause: dict[Cause, Knowledge]


@functools.cache
def _file() -> _File:
    """Read once: it comes with the tools and is as constant as their code."""
    return msgspec.toml.decode((configs.folder("") / "causes.toml").read_bytes(), type=_File)


def of(cause: Cause | None) -> Knowledge:
    """What is known of a cause; of none, what is known where the evidence does not tell."""
    return _file().cause[cause or Cause.INCONCLUSIVE]


def carriers(cause: Cause) -> frozenset[str]:
    """The evidence that can show a cause: kinds (logs), or single things that the engine says (inspect:state)."""
    found = of(cause).carried_by
    return _file().telling if found is None else found
