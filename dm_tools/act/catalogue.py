"""The catalogue of actions: everything that may ever be proposed, with its risk and its way back.

An action is a word with typed parameters, never a command line. None of them can touch a volume's data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Risk(StrEnum):
    """What an action does to the running stack."""

    READ_ONLY = "read_only"  # looks, changes nothing
    REVERSIBLE = "reversible"  # changes the container's state; `undo` takes it back
    DISRUPTIVE = "disruptive"  # replaces the container
    MANUAL = "manual"  # for people: outside what a program may do


class Kind(StrEnum):
    """What a parameter's value must be."""

    SERVICE = "service"  # a service of the inventory
    RESOURCE = "resource"  # memory, cpus or pids
    TEXT = "text"  # a short printable line, for people to read


RESOURCES = ("memory", "cpus", "pids")


@dataclass(frozen=True)
class Action:
    """One entry. `automatic`: may be carried out without a person once it is confident enough."""

    name: str
    risk: Risk
    automatic: bool
    does: str
    undo: str | None = None
    required: Mapping[str, Kind] = field(default_factory=dict)
    optional: Mapping[str, Kind] = field(default_factory=dict)


_ALL = (
    Action("check_logs", Risk.READ_ONLY, True, "read the newest log lines"),
    Action("check_config", Risk.READ_ONLY, False, "compare the configuration with what the service expects",
           optional={"path": Kind.TEXT, "variable": Kind.TEXT, "port": Kind.TEXT}),
    Action("check_dependencies", Risk.READ_ONLY, True, "see whether a dependency is up and reachable",
           required={"dependency": Kind.SERVICE}),
    Action("check_credentials", Risk.READ_ONLY, False, "compare the credentials with those of the dependency",
           optional={"dependency": Kind.SERVICE, "user": Kind.TEXT}),
    Action("restart", Risk.REVERSIBLE, True, "stop the container and start it again",
           undo="nothing to take back: the same container runs again"),
    Action("start", Risk.REVERSIBLE, True, "start the stopped container", undo="stop it again"),
    Action("unpause", Risk.REVERSIBLE, True, "let the paused processes go on", undo="pause it again"),
    Action("reconnect_network", Risk.REVERSIBLE, True, "attach the container to its network again",
           undo="disconnect it again", optional={"network": Kind.TEXT}),
    Action("scale_up", Risk.REVERSIBLE, False, "raise a limit of the running container",
           undo="set the limit back to its old value", required={"resource": Kind.RESOURCE}),
    Action("recreate", Risk.DISRUPTIVE, False, "make the container anew from its image and configuration",
           undo="recreate it from the configuration before"),
    Action("rollback_image", Risk.DISRUPTIVE, False, "go back to the image that ran before",
           undo="recreate it from the newer image"),
    Action("renew_certificate", Risk.MANUAL, False, "get a new certificate and load it"),
    Action("fix_healthcheck", Risk.MANUAL, False, "correct the healthcheck's command"),
    Action("fix_config", Risk.MANUAL, False, "correct the configuration",
           optional=dict.fromkeys(("path", "variable", "port", "host", "setting"), Kind.TEXT)),
    Action("free_disk", Risk.MANUAL, False, "make room on the disk that is full", optional={"path": Kind.TEXT}),
    Action("escalate", Risk.MANUAL, False, "hand it to somebody who knows the service"),
)  # fmt: skip

CATALOGUE = {action.name: action for action in _ALL}


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
