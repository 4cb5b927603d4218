"""Actions: what can be proposed, and how sure that is."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from dm_tools.records.base import Section


class ActionName(StrEnum):
    """Stable ids of what can be proposed; dm_tools.act.catalogue says what each does, risks and needs."""

    CHECK_LOGS = "check_logs"
    CHECK_CONFIG = "check_config"
    CHECK_DEPENDENCIES = "check_dependencies"
    CHECK_CREDENTIALS = "check_credentials"
    RESTART = "restart"
    START = "start"
    UNPAUSE = "unpause"
    RECONNECT_NETWORK = "reconnect_network"
    SCALE_UP = "scale_up"
    RECREATE = "recreate"
    ROLLBACK_IMAGE = "rollback_image"
    FORCE_UPDATE = "force_update"
    RENEW_CERTIFICATE = "renew_certificate"
    FIX_HEALTHCHECK = "fix_healthcheck"
    FIX_CONFIG = "fix_config"
    FREE_DISK = "free_disk"
    ESCALATE = "escalate"


class Confidence(StrEnum):
    """How sure a verdict is; it follows from the evidence, not from a feeling."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"

    @property
    def order(self) -> int:
        """Its place, the least sure first: a verdict is as sure as the least sure thing that it stands on."""
        return (Confidence.LOW, Confidence.MEDIUM, Confidence.HIGH).index(self)


class Risk(StrEnum):
    """What an action does to the running stack."""

    READ_ONLY = "read_only"  # looks, changes nothing
    REVERSIBLE = "reversible"  # changes the container's state; `undo` takes it back
    DISRUPTIVE = "disruptive"  # replaces the container
    MANUAL = "manual"  # for people: outside what a program may do


class Fix(Section):
    """What a pattern says helps. A parameter's value `$name` is what the pattern captured as `name`."""

    action: ActionName
    confidence: Confidence
    reasoning: str
    parameters: dict[str, str] = msgspec.field(default_factory=dict)


class Proposal(Section):
    """One proposed action. `undo` says how to take it back, null where there is nothing to undo."""

    action: ActionName
    confidence: Confidence
    risk: Risk
    automatic: bool
    reasoning: str
    parameters: dict[str, Any]
    evidence: list[str]
    undo: str | None
