"""Proposals, policies and outcomes for the tests of what needs no person."""

from __future__ import annotations

import itertools
from typing import Any

from dm_tools.act.catalogue import CATALOGUE
from dm_tools.act.policy import language
from dm_tools.act.policy.decide import Known, decide
from dm_tools.act.policy.subject import Facts, Subject
from dm_tools.act.posterior import Place
from dm_tools.pipe import clock
from dm_tools.records import (
    Acceptance,
    ActionName,
    ActionOutcome,
    Cause,
    Confidence,
    Decision,
    Identity,
    Outcome,
    Proof,
)

NOW = 1_732_800_000.0  # Thursday, 2024-11-28 13:20 UTC
DAY = 86400.0
HERE = Place("app", "shop", None, "example/app:1")
_numbers = itertools.count()


def subject(action: ActionName = ActionName.RESTART, **more: Any) -> Subject:
    """A proposal for the service `app`; place, labels, writable_mounts, needed_by, identity, twins are facts."""
    names = ("place", "labels", "writable_mounts", "needed_by", "identity", "twins")
    known: dict[str, Any] = {
        "place": HERE,
        "labels": {},
        "writable_mounts": False,
        "needed_by": 1,
        "identity": Identity("c1", None, "exited"),
    }
    facts = Facts(**(known | {name: more.pop(name) for name in names if name in more}))
    plain: dict[str, Any] = {
        "issue_id": f"issue-{facts.place.service}",
        "fix": 0,
        "action": action,
        "cause": Cause.UNRESPONSIVE,
        "confidence": Confidence.HIGH,
        "parameters": {"resource": "memory"} if action == ActionName.SCALE_UP else {},
    }
    return Subject(facts=facts, **(plain | more))


def policy(text: str = "") -> language.Policy:
    """A policy of its rules' text."""
    return language.read("version = 1\n" + text)


def allow(more: str = "", name: str = "a") -> str:
    """A rule that allows."""
    return f'[[rule]]\nname = "{name}"\neffect = "allow"\n{more}\n'


def deny(more: str = "", name: str = "z") -> str:
    """A rule that denies."""
    return f'[[rule]]\nname = "{name}"\neffect = "deny"\n{more}\n'


def outcome(
    days_ago: float = 1.0, proof: Proof | None = Proof.RECOVERED, action: ActionName = ActionName.RESTART, **more: Any
) -> ActionOutcome:
    """What became of an action on `app`, so many days before NOW."""
    place = more.pop("place", HERE)
    plain: dict[str, Any] = {
        "action_id": f"{next(_numbers):016x}",
        "at": clock.rfc3339(NOW - days_ago * DAY),
        "service": place.service,
        "action": action,
        "outcome": Outcome.DONE,
        "by": "person",
        "proof": proof,
        "cause": Cause.UNRESPONSIVE,
        "confidence": Confidence.HIGH,
        "risk": CATALOGUE[action].risk,
        "host": place.host,
        "project": place.project,
        "image": place.image,
    }
    return ActionOutcome(**(plain | more))


def decision(
    text: str,
    given: Subject | None = None,
    outcomes: list[ActionOutcome] | None = None,
    signed: list[Acceptance] | None = None,
    now: float = NOW,
) -> Decision:
    """What a policy's text decides of one proposal."""
    ((_, found),) = decide([given or subject()], Known(policy(text), outcomes or [], signed or [], now))
    return found
