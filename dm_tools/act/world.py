"""What an action is prepared from, and what it is made of: the containers of an engine, steps in words and as calls."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dm_tools.act.state import Inspected
from dm_tools.engine import finding, reading
from dm_tools.engine.connection import Engine
from dm_tools.records import ContainerState, Outcome, Problem


@dataclass
class Step:
    """One thing that the engine is asked to do, in words and as a call."""

    says: str
    do: Callable[[], None]


@dataclass
class Prepared:
    """An action that can be carried out.

    `more`: what is done next as long as the container does not run steadily after the steps before.
    `put_back` makes it as it was after a step has failed, and says what it did. `kept`: under which name the container
    from before is kept; `others`: those that are made anew with it, as they are. `told`: what else a person should
    know. `container` gives the id of the container afterwards.
    """

    before: ContainerState
    steps: list[Step]
    more: list[list[Step]] = field(default_factory=list)
    undo: str | None = None
    put_back: Callable[[], list[str]] | None = None
    kept: str | None = None
    others: list[ContainerState] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    container: Callable[[], str] | None = None


class Declined(Exception):
    """An action is not carried out."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome, self.reason = outcome, reason


PODMANS_OWN = "2f259bab93aaaaa2542ba43ef33eb990d0999ee1b9924b557b7be53c0b7a1bb9"
"""The id of Podman's first network: its list calls it `bridge`, its containers `podman`."""


def known_networks(listed: list[dict[str, Any]]) -> set[str]:
    """As what a container's NetworkID may tell of networks that there are: their ids, or as Podman 4 their names."""
    found = {str(each[key]) for key in ("Id", "Name") for each in listed}
    return found | ({"podman"} if PODMANS_OWN in found else set())


class World:
    """All containers of an engine, as they are now; without those that are only kept from before an action."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.containers: list[Inspected] = []
        for each in reading.containers(engine, fresh=True):
            if not finding.is_kept(each):
                with contextlib.suppress(Problem):  # one that is removed meanwhile is not there
                    self.containers.append(reading.inspect(engine, each["Id"]))
        listed = reading.networks(engine)
        self.networks = {str(each["Id"]): str(each["Name"]) for each in listed}
        self.known_networks = known_networks(listed)

    def others(self, raw: Inspected) -> list[Inspected]:
        """All but this one."""
        return [each for each in self.containers if each["Id"] != raw["Id"]]

    def of_service(self, service: str) -> Inspected:
        """The container of a service. Raises records.Problem."""
        listed = finding.find(self.engine, {"service": service}, fresh=True)
        return self.of_id(listed["Id"]) or reading.inspect(self.engine, listed["Id"])

    def of_id(self, container_id: str) -> Inspected | None:
        """The container with this id."""
        return next((each for each in self.containers if each["Id"] == container_id), None)
