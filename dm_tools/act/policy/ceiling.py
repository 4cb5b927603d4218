"""The ceiling: what no policy may approve, or only where a rule names the action. Rules only narrow what is left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dm_tools.act.catalogue import CATALOGUE, Kind
from dm_tools.records import ActionName, Confidence, ProposedFix, Risk


def is_safe(fix: ProposedFix) -> bool:
    """Whether a proposed fix is an automatic action that is not a guess: the most that a rule may approve which names
    no action. What the record says of its risk counts where it is stricter than the catalogue."""
    return fix.automatic and (fix.risk == Risk.READ_ONLY or fix.confidence == Confidence.HIGH)


def nameless(action: ActionName, confidence: Confidence) -> bool:
    """The same by the catalogue alone."""
    known = CATALOGUE[action]
    return known.automatic and (known.risk == Risk.READ_ONLY or confidence == Confidence.HIGH)


def changes(action: ActionName) -> bool:
    """Whether an action changes anything."""
    return CATALOGUE[action].risk != Risk.READ_ONLY


def touches_data(action: ActionName, writable_mounts: bool | None) -> bool:
    """Whether an action may touch what a service has stored. `writable_mounts`: None if nobody looked.

    Making room deletes; an older program may not read what a newer one wrote.
    """
    if action == ActionName.FREE_DISK:
        return True
    return action == ActionName.ROLLBACK_IMAGE and writable_mounts is not False


def free_text(action: ActionName, parameters: Mapping[str, Any]) -> str | None:
    """The first parameter (by name) whose value is no word of a closed list: it may come from a log. None: none is."""
    known = CATALOGUE[action]
    kinds = {**known.required, **known.optional}
    return next((key for key in sorted(parameters) if kinds.get(key) in (None, Kind.TEXT)), None)
