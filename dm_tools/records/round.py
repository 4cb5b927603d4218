"""The line that ends a round of a resident pipe: no service's record, and passed on in its place by every filter."""

from __future__ import annotations

import msgspec

from dm_tools.records.base import Section
from dm_tools.records.evidence import Error


class Round(Section, kw_only=True):
    """One look at all services: when dm-services began it, and of how many records it consists."""

    number: int
    at: str
    services: int
    late_s: float = 0.0
    because: str | None = None


class Marker(Section, kw_only=True):
    """The line that ends a round: all that came since the marker before it belongs to it. It has no key `service`.

    `late_s`: so many seconds after its time the round began, since the one before took longer than the interval.
    `because`: the container event that began it early. `errors`: why the list of services is that of a round before.
    """

    v: int = 1
    round: Round
    errors: list[Error] = msgspec.field(default_factory=list)
