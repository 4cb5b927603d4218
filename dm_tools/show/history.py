"""The history of services for people: a timeline of occasions, and in short what helped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from dm_tools.diagnose.occasions import Deed, Occasion
from dm_tools.diagnose.remembered import Memory, day
from dm_tools.records import Proof
from dm_tools.show.records import Line
from dm_tools.text.times import lasting, seconds_between

AFTER_ALL = "9999"  # a time after all others


def lines(found: Iterable[Occasion], memory: Memory) -> Iterator[Line]:
    """Service by service: the occasions with what was done, then each trouble in short."""
    ordered = sorted(found, key=lambda each: (each.service, each.host or "", each.begun))
    if not ordered:
        yield Line("Nothing is recorded.")
    for (service, host), group in groupby(ordered, lambda each: (each.service, each.host)):
        occasions = list(group)
        yield Line(service + (f" at {host}" if host else ""), bold=True)
        for each in occasions:
            yield from _occasion(each)
        for name in dict.fromkeys(each.fingerprint for each in occasions):
            cause = next(each.cause for each in reversed(occasions) if each.fingerprint == name)
            if before := memory.before(name, AFTER_ALL):
                yield Line(f"  {cause}: {before.words}", "green")
        yield Line("")


def _occasion(each: Occasion) -> Iterator[Line]:
    over = f"over after {lasting(each.seconds)}" if each.seconds is not None else "nothing tells that it is over"
    yield Line(f"  {day(each.begun)}  {each.cause}: {each.text}", "yellow")
    if each.symptoms:
        yield Line(f"{'':<24}also failing: {', '.join(each.symptoms)}")
    for deed in each.deeds:
        yield Line(f"    {day(deed.at)}  {_deed(deed)}")
    runs = "run" if each.sights == 1 else "runs"
    yield Line(f"{'':<24}{over}; seen in {each.sights} {runs}" + (f", image {each.image}" if each.image else ""))


def _deed(deed: Deed) -> str:
    name = str(deed.action).replace("_", " ")
    words = f"{name} ({deed.by}): {str(deed.outcome).replace('_', ' ')}" + (f", {deed.reason}" if deed.reason else "")
    if deed.proof is None:
        return words
    proof = "recovered, proved" if deed.proof == Proof.RECOVERED else deed.proof.replace("_", " ")
    took = seconds_between(deed.at, deed.proved_at)
    return f"{words}; {proof}" + (f" after {lasting(took)}" if took is not None and took >= 0 else "")
