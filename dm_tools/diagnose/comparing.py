"""Two looks at one service, compared: which one counts, and what has changed between them. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from dm_tools.diagnose.looks import Look, Sight
from dm_tools.records import Happening, Status


def worse(one: Look | None, other: Look) -> Look:
    """Of two looks at one service in one round, the one that counts, in whatever order they came."""
    return other if one is None or order(other) < order(one) else one


_SIGHTS = (Sight.BAD, Sight.SYMPTOM, Sight.STOPPED, Sight.NOTHING, Sight.GOOD)


def order(look: Look) -> tuple[str, int, str]:
    """By service, the worst first."""
    return look.key, _SIGHTS.index(look.sight), repr(look)


def changed(was: Look, suffered: Iterable[str], look: Look) -> tuple[Happening, str, str] | None:
    """What is different from what was told (`was`, and who `suffered` from it): kind, words, and what must hold for it
    to be told; None if nothing is."""
    mark = f"{look.service} {look.cause} {look.severity} {look.status}"
    if look.service != was.service:
        return Happening.CHANGED, f"the root is {look.service}, not {was.service}", mark
    if look.cause != was.cause:
        return Happening.CHANGED, f"the cause is {named(look)}, not {named(was)}", mark
    new = sorted(set(look.symptoms) - set(suffered))
    by = look.severity.order - was.severity.order
    if by < 0:
        return Happening.WORSE, f"it is {look.severity} now, it was {was.severity}", mark
    if was.status == Status.DEGRADED and look.status == Status.FAILED:
        return Happening.WORSE, "it gives no service at all now", mark
    if new:
        return Happening.WORSE, f"now also failing: {', '.join(new)}", f"{mark} {' '.join(new)}"
    if by > 0:
        return Happening.BETTER, f"it is {look.severity} now, it was {was.severity}", mark
    if was.status == Status.FAILED and look.status == Status.DEGRADED:
        return Happening.BETTER, "it gives some service again", mark
    return None


def verdict(look: Look) -> str:
    """What hangs on a verdict when something is to be done: who, of what, and the actions that are proposed."""
    return " ".join([look.service, str(look.cause), *(each.partition(":")[0] for each in look.proposed)])


def well(look: Look | None) -> bool:
    """Whether a look says that all is well."""
    return look is not None and look.sight == Sight.GOOD


def named(look: Look) -> str:
    """The cause that a look tells, in words."""
    return str(look.cause or "unknown").replace("_", " ")
