"""The catalogue of actions: everything that may ever be proposed, with its risk and its way back.

An action is a word with typed parameters, never a command line. None of them can touch a volume's data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from dm_tools.records import ActionName, Risk


class Kind(StrEnum):
    """What a parameter's value must be."""

    SERVICE = "service"  # a service of the inventory
    RESOURCE = "resource"  # memory, cpus or pids
    TEXT = "text"  # a short printable line, for people to read


RESOURCES = ("memory", "cpus", "pids")


@dataclass(frozen=True)
class Action:
    """One entry. `automatic`: may be carried out without a person once it is confident enough."""

    name: ActionName
    risk: Risk
    automatic: bool
    does: str
    undo: str | None = None
    required: Mapping[str, Kind] = field(default_factory=dict)
    optional: Mapping[str, Kind] = field(default_factory=dict)


_ALL = (
    Action(ActionName.CHECK_LOGS, Risk.READ_ONLY, True, "read the newest log lines"),
    Action(ActionName.CHECK_CONFIG, Risk.READ_ONLY, False, "compare the configuration with what the service expects",
           optional={"path": Kind.TEXT, "variable": Kind.TEXT, "port": Kind.TEXT}),
    Action(ActionName.CHECK_DEPENDENCIES, Risk.READ_ONLY, True, "see whether a dependency is up and reachable",
           required={"dependency": Kind.SERVICE}),
    Action(ActionName.CHECK_CREDENTIALS, Risk.READ_ONLY, False, "compare the credentials with those of the dependency",
           optional={"dependency": Kind.SERVICE, "user": Kind.TEXT}),
    Action(ActionName.RESTART, Risk.REVERSIBLE, True, "stop the container and start it again",
           undo="nothing to take back: the same container runs again"),
    Action(ActionName.START, Risk.REVERSIBLE, True, "start the stopped container", undo="stop it again"),
    Action(ActionName.UNPAUSE, Risk.REVERSIBLE, True, "let the paused processes go on", undo="pause it again"),
    Action(ActionName.RECONNECT_NETWORK, Risk.REVERSIBLE, True, "attach the container to its network again",
           undo="disconnect it again", optional={"network": Kind.TEXT}),
    Action(ActionName.SCALE_UP, Risk.REVERSIBLE, False, "raise a limit of the running container",
           undo="set the limit back to its old value", required={"resource": Kind.RESOURCE},
           optional={"limit": Kind.TEXT}),
    Action(ActionName.RECREATE, Risk.DISRUPTIVE, False, "make the container anew from its image and configuration",
           undo="recreate it from the configuration before"),
    Action(ActionName.ROLLBACK_IMAGE, Risk.DISRUPTIVE, False, "go back to the image that ran before",
           undo="recreate it from the newer image", optional={"image": Kind.TEXT}),
    Action(ActionName.FORCE_UPDATE, Risk.MANUAL, False,
           "have the swarm replace the tasks of the service: docker service update --force"),
    Action(ActionName.RENEW_CERTIFICATE, Risk.MANUAL, False, "get a new certificate and load it"),
    Action(ActionName.FIX_HEALTHCHECK, Risk.MANUAL, False, "correct the healthcheck's command"),
    Action(ActionName.FIX_CONFIG, Risk.MANUAL, False, "correct the configuration",
           optional=dict.fromkeys(("path", "variable", "port", "host", "setting"), Kind.TEXT)),
    Action(ActionName.FREE_DISK, Risk.MANUAL, False, "make room on the disk that is full",
           optional={"path": Kind.TEXT}),
    Action(ActionName.ESCALATE, Risk.MANUAL, False, "hand it to somebody who knows the service"),
)  # fmt: skip

CATALOGUE: dict[str, Action] = {action.name: action for action in _ALL}


def accepts(action: Action, key: str, value: Any, inventory: set[str]) -> bool:
    """Whether the action has this parameter and the value is one that it may have."""
    kind = {**action.required, **action.optional}.get(key)
    if kind is None or not isinstance(value, str):
        return False
    if kind == Kind.SERVICE:
        return value in inventory and value.isprintable()
    if kind == Kind.RESOURCE:
        return value in RESOURCES
    return 0 < len(value) <= 200 and value.isprintable()


def problem(name: str, parameters: Mapping[str, Any], inventory: set[str]) -> str | None:
    """Why an action with these parameters may not be proposed, or None if it may."""
    action = CATALOGUE.get(name)
    if action is None:
        return f"there is no action {name!r}"
    missing = set(action.required) - set(parameters)
    if missing:
        return f"{name} needs the parameter {min(missing)!r}"
    for key, value in parameters.items():
        if not accepts(action, key, value, inventory):
            return f"{name}: {key} cannot be {value!r}"
    return None
