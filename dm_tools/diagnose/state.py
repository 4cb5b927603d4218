"""What is kept of incidents between two rounds: those that are open or were over lately, and looks that may open one.

watching.py makes the next state of it, store/incidents.py keeps it, show/incidents.py tells of it.
"""

from __future__ import annotations

import msgspec

from dm_tools.diagnose.looks import Look


class Watched(msgspec.Struct):
    """The last looks at a service without an incident: whether they were bad. `seconds`: since the first bad one."""

    looks: list[bool] = []
    seconds: float = 0.0


class Incident(msgspec.Struct):
    """An open incident, as it was told. `events`: how many there were. `mark`, `held`: the change that is not told yet,
    and for how many rounds it has held; `good`, `stopped`: looks in a row; `away`: seconds since the last look;
    `suffering`: the symptoms that have not been well since; `newest`: the verdict of the newest bad look and what it
    proposes, told or not."""

    id: str
    opened: str
    look: Look
    newest: str = ""
    seconds: float = 0.0
    events: int = 0
    good: int = 0
    stopped: int = 0
    flaps: int = 0
    again: int = 0
    changes: int = 0
    mark: str = ""
    held: int = 0
    away: float = 0.0
    symptoms: list[str] = []
    suffering: list[str] = []
    done: list[str] = []
    failed: list[str] = []


class Over(msgspec.Struct):
    """An incident that was over `seconds` ago."""

    flaps: int
    again: int
    seconds: float = 0.0


class State(msgspec.Struct):
    """What is kept between two rounds. `number`: of the newest event; `intervals`: seconds between the last rounds;
    `proved`: since when it is proved of the newest actions that they have helped."""

    number: int = 0
    rounds: int = 0
    at: str | None = None
    wall: float = 0.0
    steady: float = 0.0
    boot: str = ""
    intervals: list[float] = []
    watched: dict[str, Watched] = {}
    open: dict[str, Incident] = {}
    over: dict[str, Over] = {}
    proved: dict[str, str] = {}

    @property
    def undecided(self) -> bool:
        """Whether one more look may decide something: what is bad and not open yet, what is open and seems over."""
        return bool(self.watched) or any(each.good or each.stopped or each.held for each in self.open.values())
