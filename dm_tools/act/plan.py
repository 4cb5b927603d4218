"""In which order actions are carried out, and by what name one is known: pure functions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec
import orjson

from dm_tools.act import state
from dm_tools.records import Approval, ApprovedAction, Identity
from dm_tools.text.near import meant

_LABEL = "com.docker.compose."


def identify(action: ApprovedAction) -> str:
    """A name for an approved action: the same approval has the same one, whoever reads it how often."""
    known = msgspec.to_builtins(action)
    parts = [known.get(key) for key in ("issue_id", "service", "action", "parameters", "identity", "docker_host")]
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def needs(containers: list[state.Inspected]) -> dict[str, set[str]]:
    """The services that each service needs, by Compose's label and by in whom it lives. A label is a hint."""
    service_of = {each["Id"]: _service(each) for each in containers}
    service_of |= {each["Name"].lstrip("/"): _service(each) for each in containers}
    found: dict[str, set[str]] = {}
    for each in containers:
        named = {part.split(":")[0] for part in (state.labels(each).get(f"{_LABEL}depends_on") or "").split(",")} - {""}
        owners = {service_of[owner] for owner in state.shared(each).values() if owner in service_of}
        found.setdefault(_service(each), set()).update(named | owners)
    return found


def _service(raw: state.Inspected) -> str:
    return state.labels(raw).get(f"{_LABEL}service") or raw["Name"].lstrip("/")


def ordered(actions: list[ApprovedAction], needed: Mapping[str, set[str]]) -> list[ApprovedAction]:
    """What others need comes first; otherwise the order in which it was approved."""
    depth: dict[str, int] = {}

    def deep(service: str, seen: frozenset[str]) -> int:
        if service not in depth:
            below = [deep(each, seen | {service}) for each in needed.get(service, ()) if each not in seen]
            depth[service] = 1 + max(below, default=-1)
        return depth[service]

    return sorted(actions, key=lambda action: deep(action.service, frozenset((action.service,))))


def stale(action: ApprovedAction, raw: state.Inspected) -> str | None:
    """Why an approval no longer fits the container that is there, None if it does."""
    known: Identity | None = action.identity
    if known is None:
        return None
    if raw["Id"] != known.container_id:
        return "another container is there now than the one that it was approved for"
    now = state.captured(raw)
    # Its own policy starts it anew again and again, and counts; whoever else starts it sets the count to zero.
    # While one waits for its restart, that restart is counted already.
    count = -1 if known.restart_count is None else known.restart_count - (known.state == "restarting")
    by_policy = known.restart_count is not None and (raw.get("RestartCount") or 0) > count
    if now.started_at != known.started_at and not by_policy:
        return "the container was started anew since it was approved"
    restarts = ("restarting", "running")  # a crash loop is looked at in either state
    if now.state != known.state and not (now.state in restarts and known.state in restarts):
        return f"it was {known.state} when it was approved, and is {now.state} now"
    return None


def only(actions: list[ApprovedAction], services: list[str]) -> list[ApprovedAction]:
    """The actions of some services. Raises LookupError if one of them has none."""
    there = {each.service for each in actions}
    if unknown := [name for name in services if name not in there]:
        known = ", ".join(sorted(there)) or "nothing"
        raise LookupError(f"no action was approved for {unknown[0]!r} (there is: {known}){meant(unknown[0], there)}")
    return [each for each in actions if each.service in services]


class Unreadable(Exception):
    """What was given holds no approved actions; the message says why."""


def approved(name: str, data: bytes) -> list[ApprovedAction]:
    """The approved actions of an approval file, or of JSON Lines. Raises Unreadable."""
    try:
        whole = orjson.loads(data)
    except ValueError:
        whole = None
    try:
        if isinstance(whole, dict) and "approved_actions" in whole:
            return msgspec.convert(whole, Approval).approved_actions
        lines = [line for line in data.splitlines() if line.strip()]
        return [msgspec.json.decode(line, type=ApprovedAction) for line in lines]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise Unreadable(f"{name}: no approved actions, as dm-review and dm-approve write them: {wrong}") from None
