"""What a policy file may say. A policy that cannot be read in full is broken, and a broken one approves nothing."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from datetime import UTC, tzinfo
from fnmatch import fnmatchcase
from typing import Any, Literal

import msgspec

from dm_tools.act.catalogue import CATALOGUE
from dm_tools.act.policy.windows import Window, zone
from dm_tools.act.posterior import Scope
from dm_tools.pipe import settings
from dm_tools.records import ActionName, Cause, Confidence, Keep, Risk
from dm_tools.text import toml
from dm_tools.text.near import nearest

EARNED = "earned-"  # what a rule's name may not begin with
ONLY_ALLOW = ("confidence", "needed_by_at_most", "attempts", "needs")


class PolicyError(Exception):
    """A policy is broken; the message says where."""


class Attempts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """At most so many attempts of the same action on the same service within a time (`1h`, `30m`)."""

    most: int = 2
    within: str = "1h"

    @property
    def seconds(self) -> float:
        """The time in seconds; 0 if it is none."""
        return settings.seconds(self.within) or 0.0


class Needs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What must be proved before: successes of the action against the cause, and the lower bound of their posterior."""

    successes: int
    lower_bound: float
    scope: Scope = Scope.SERVICE


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One rule. All that it names must be so; of a list, one. What it does not name it leaves open.

    Without `actions` it speaks of the automatic ones only. Services and projects may hold `*` and `?`.
    """

    name: str
    effect: Literal["allow", "deny"]
    actions: tuple[ActionName, ...] | None = None
    causes: tuple[Cause, ...] | None = None
    services: tuple[str, ...] | None = None
    projects: tuple[str, ...] | None = None
    labels: dict[str, str] | None = None
    when: tuple[Window, ...] | None = None
    confidence: Confidence = Confidence.HIGH
    needed_by_at_most: int | None = None
    attempts: Attempts = Attempts()
    needs: Needs | None = None


class Earned(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an action must have proved on a service before it is proposed that it needs no person there.

    `per_version`: and how often with the version of the image that runs, before what was accepted holds for it, too.
    """

    successes: int
    lower_bound: float
    per_version: int = 2
    actions: tuple[ActionName, ...] = (
        ActionName.RESTART,
        ActionName.START,
        ActionName.UNPAUSE,
        ActionName.RECONNECT_NETWORK,
    )


class Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A policy file. `most_at_once`: if more changes than these would be approved of one run, none is."""

    version: Literal[1]
    time_zone: str | None = None
    most_at_once: int = 3
    rule: tuple[Rule, ...] = ()
    earned: Earned | None = None
    keep: Keep = Keep()


class Policy(msgspec.Struct, frozen=True):
    """A policy that was read in full."""

    rules: tuple[Rule, ...] = ()
    earned: Earned | None = None
    most_at_once: int = 3
    where: tzinfo = UTC
    keep: Keep = Keep()


NOTHING = Policy()


def read(text: str) -> Policy:
    """The policy of a file's text. Raises PolicyError."""
    try:
        whole = toml.parsed(text)
    except tomllib.TOMLDecodeError as wrong:
        raise PolicyError(str(wrong)) from None
    lines = [number for number, line in enumerate(text.split("\n"), 1) if re.match(r"\s*\[\[\s*rule\s*\]\]", line)]

    def where(path: str) -> str:
        found = re.match(r"rule\[(\d+)\]", path)
        if found is None:
            return f"{path}: " if path else ""
        index = int(found[1])
        rules = whole.get("rule")
        each = rules[index] if isinstance(rules, list) and index < len(rules) else None
        name = each.get("name") if isinstance(each, dict) else None
        line = f"line {lines[index]}: " if index < len(lines) else ""
        return f"{line}rule {str(name)[:60]!r}{path[found.end() :]}: " if name else f"{line}rule {index + 1}: "

    for path, problem in _unknown(whole, Written, ""):
        raise PolicyError(where(path) + problem)
    try:
        written = msgspec.convert(whole, Written)
    except (msgspec.ValidationError, ValueError) as wrong:
        reason, _, path = str(wrong).partition(" - at `$")
        plain = path.removesuffix("`").lstrip(".")
        raise PolicyError(where(plain) + reason[:1].lower() + reason[1:]) from None
    for path, problem in _senseless(written):
        raise PolicyError(where(path) + problem)
    return Policy(written.rule, written.earned, written.most_at_once, zone(written.time_zone or "UTC"), written.keep)


_INNER: dict[tuple[type, str], type] = {
    (Written, "rule"): Rule,
    (Written, "earned"): Earned,
    (Written, "keep"): Keep,
    (Rule, "when"): Window,
    (Rule, "attempts"): Attempts,
    (Rule, "needs"): Needs,
}


def _unknown(value: Any, kind: type[msgspec.Struct], path: str) -> Iterator[tuple[str, str]]:
    """The keys that nobody knows, with the nearest that is known: one that is misspelt would be no bound at all."""
    if not isinstance(value, dict):
        return
    known = [each.encode_name for each in msgspec.structs.fields(kind)]
    for key, inner in value.items():
        if key not in known:
            near = nearest(key, known)
            hint = f"did you mean {near!r}?" if near else f"there are: {', '.join(known)}"
            yield path, f"unknown key {key[:100]!r}: {hint}"
        elif (kind, key) in _INNER:
            many = isinstance(inner, list)
            for index, each in enumerate(inner if many else [inner]):
                below = f"{path}.{key}" if path else key
                yield from _unknown(each, _INNER[kind, key], f"{below}[{index}]" if many else below)


def _senseless(written: Written) -> Iterator[tuple[str, str]]:
    """What is well formed and cannot be meant."""
    if written.time_zone is not None:
        try:
            zone(written.time_zone)
        except ValueError as wrong:
            yield "time_zone", str(wrong)
    if written.most_at_once < 1:
        yield "most_at_once", "it must be at least 1"
    names = [rule.name for rule in written.rule]
    for index, rule in enumerate(written.rule):
        path = f"rule[{index}]"
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,59}", rule.name) or rule.name.startswith(EARNED):
            yield path, f"a name is of a-z, 0-9, '.', '_' and '-', and does not begin with '{EARNED}'"
        if names.count(rule.name) > 1:
            yield path, "another rule has the same name: who decided could not be told"
        for key in ("actions", "causes", "services", "projects", "labels", "when"):
            if getattr(rule, key) is not None and not getattr(rule, key):
                yield path, f"{key} names nothing: leave it out if anything will do"
        if rule.when and written.time_zone is None:
            yield path, "a window needs a time_zone at the top of the file, such as 'Europe/Berlin' or 'UTC'"
        yield from ((path, each) for each in (_of_deny(rule) if rule.effect == "deny" else _of_allow(rule)))
    for key in written.keep.__struct_fields__:
        if getattr(written.keep, key) < 0:
            yield "keep", f"{key} is a number of days, 0 for ever"
    if written.earned:
        yield from (("earned", each) for each in _proof(written.earned.successes, written.earned.lower_bound))
        if written.earned.per_version < 1 or not written.earned.actions:
            yield "earned", "per_version is at least 1, and actions names at least one"
        for action in written.earned.actions:
            if CATALOGUE[action].risk != Risk.REVERSIBLE:
                yield "earned", f"{action} is {CATALOGUE[action].risk}: only what is reversible can be earned"


def _of_deny(rule: Rule) -> Iterator[str]:
    empty = Rule(rule.name, "deny")
    for key in ONLY_ALLOW:
        if getattr(rule, key) != getattr(empty, key):
            yield f"a rule that denies has no {key!r}: leave it out to deny always"


def _of_allow(rule: Rule) -> Iterator[str]:
    if rule.labels and not (rule.services or rule.projects):
        yield "labels may come with an image: name services or projects, too"
    if rule.attempts.most < 1 or not 60 <= rule.attempts.seconds <= 30 * 86400:
        yield "attempts: at least 1, within 1m to 30d"
    if rule.needed_by_at_most is not None and rule.needed_by_at_most < 0:
        yield "needed_by_at_most: a number of services, 0 or more"
    if rule.needs:
        yield from _proof(rule.needs.successes, rule.needs.lower_bound)
    for action in rule.actions or ():
        if action == ActionName.FREE_DISK:
            yield f"{action} touches data: it is never done without a person"


def _proof(successes: int, lower_bound: float) -> Iterator[str]:
    if successes < 1 or not 0 <= lower_bound < 1:
        yield "successes is at least 1, lower_bound from 0 to below 1"


def matches(patterns: tuple[str, ...] | None, name: str | None) -> bool | None:
    """Whether a name is among those of a rule; None if the name is not known."""
    if patterns is None:
        return True
    return None if name is None else any(fnmatchcase(name, each.replace("[", "[[]")) for each in patterns)
