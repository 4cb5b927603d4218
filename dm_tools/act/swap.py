"""A container made anew from its own configuration, with those that share its network; and the old ones put back.

The old ones are kept beside the new ones, stopped and renamed, until the action is proved. Their volumes are the new
ones' volumes, the anonymous ones, too; none is ever removed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from dm_tools.act import plan, state, written
from dm_tools.act.state import Inspected
from dm_tools.act.world import Declined, Prepared, Step, World
from dm_tools.engine import changing, finding, reading
from dm_tools.engine.connection import Engine
from dm_tools.records import ApprovedAction, ContainerState, Outcome, Problem

MADE_BY = "dm-tools.action"  # the label of what was made by an action: its id
# Started by the engine, or by `docker compose start`, whose labels it carries, it would run beside the new one on the
# same data. With room for a single process a shell, and what has threads or forks, ends before it does anything.
KEPT = {"RestartPolicy": {"Name": "no"}, "PidsLimit": 1}
_TRIES, _PAUSE_SECONDS = 6, 0.5  # a call that a kill cut off may still be at work in the engine


def swapped(
    action: ApprovedAction, world: World, raw: Inspected, image: Inspected | None = None, former: str | None = None
) -> Prepared:
    """What making a container anew takes. Raises Declined, records.Problem.

    `image`, `former`: the inspected image that it was made from, and the id of the one to make it from instead.
    """
    engine, action_id = world.engine, plan.identify(action)
    guests = state.guests(raw, world.others(raw), running=False)
    for each in (raw, *guests):
        _can_be_swapped(world, each, action)
    made: dict[str, str] = {}
    bodies = [_body(world, raw, action_id, image, former)]
    bodies += [_body(world, each, action_id, owners=[raw, *guests]) for each in guests]

    def make(old: Inspected, body: dict[str, Any]) -> None:
        for key, named in state.shared(old).items():
            for owner in all_of_them:
                if state.is_meant(named, owner):
                    body["HostConfig"][key] = f"container:{made[owner['Id']]}"
        made[old["Id"]] = changing.create(engine, _name(old), body)

    def keep(old: Inspected) -> None:
        changing.update(engine, old["Id"], KEPT)
        changing.rename(engine, old["Id"], finding.kept_name(_name(old), action_id))

    def connect(old: Inspected, network: str, endpoint: dict[str, Any]) -> None:
        changing.connect(engine, network, made[old["Id"]], endpoint)

    def start(old: Inspected) -> None:
        changing.start(engine, made[old["Id"]])

    all_of_them = [raw, *guests]
    # Stopped first: an address or a host port that both want would be refused to the new one.
    steps = [
        Step(f"stop {_name(old)}", partial(changing.stop, engine, old["Id"], old["Config"].get("StopTimeout")))
        for old in reversed(all_of_them)
    ]
    for old in all_of_them:
        name = finding.kept_name(_name(old), action_id)
        says = f"keep it as {name}, with room for one process and not to be started by the engine"
        steps.append(Step(says, partial(keep, old)))
    for old, (body, later) in zip(all_of_them, bodies, strict=True):
        says = f"make {_name(old)} anew with the same volumes, networks, labels and limits"
        steps.append(Step(says, partial(make, old, body)))
        # 20.10 takes one network at creation; the others are connected afterwards.
        steps += [Step(f"connect it to {name}", partial(connect, old, name, each)) for name, each in later.items()]
        if old is raw or old["State"].get("Running"):
            steps.append(Step(f"start the new {_name(old)}", partial(start, old)))
    before, *others = [state.captured(each) for each in all_of_them]
    kept = finding.kept_name(before.name, action_id)
    together = f" with {', '.join(each.name for each in others)}" if others else ""
    told = written.told(engine, raw)
    for each in guests:
        if "com.docker.compose.project" in state.labels(each):
            told.append(f"the next `docker compose up` makes {_name(each)} anew once more: the old id is in its hash")
    if "com.docker.compose.project" in state.labels(raw):
        told.append(
            f"until it is proved and {kept} is let go, do not run `docker compose start` or `restart`: they would "
            "start it, too, if with room for one process; `docker compose up -d` removes it, and with it the way back"
        )
    return Prepared(
        before=before,
        steps=steps,
        undo=f"remove the new {before.name}{together} and start {kept} under its name",
        put_back=partial(put_back, engine, action_id, [before, *others]),
        kept=kept,
        others=others,
        told=told,
        container=lambda: made[raw["Id"]],
    )


def _name(raw: Inspected) -> str:
    return str(raw["Name"]).lstrip("/")


def _can_be_swapped(world: World, raw: Inspected, action: ApprovedAction) -> None:
    if raw["HostConfig"].get("AutoRemove"):
        raise Declined(Outcome.REFUSED, f"{_name(raw)} removes itself when it stops: there would be no way back")
    if refused := state.opted_out(raw, action.action):
        raise Declined(Outcome.REFUSED, f"{_name(raw)}: {refused}")
    if put_in := written.put_in(world.engine, raw):
        anew = f"docker compose up -d --force-recreate {state.labels(raw).get('com.docker.compose.service')}"
        lost = f"{put_in} was put into {_name(raw)} when it was made, and one that the engine makes anew has it not"
        raise Declined(Outcome.REFUSED, f"{lost}: {anew}")
    for other in world.others(raw):
        if any(link.partition(":")[0] == raw["Name"] for link in other["HostConfig"].get("Links") or []):
            raise Declined(Outcome.REFUSED, f"{_name(other)} is linked to {_name(raw)}, and its link would break")


def _body(
    world: World,
    raw: Inspected,
    action_id: str,
    image: Inspected | None = None,
    former: str | None = None,
    owners: Sequence[Inspected] = (),
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """What makes it anew; `owners`: where it lives in one of these, that is made anew before it."""
    body, later = state.anew(raw, image)
    body["Image"] = former or _named_or_id(world.engine, raw)
    body["Labels"] = {**(body.get("Labels") or {}), MADE_BY: action_id}
    for key, named in state.shared(raw).items():
        if not any(state.is_meant(named, each) for each in owners):
            body["HostConfig"][key] = _owner_now(world, raw, named)
    return body, later


def _named_or_id(engine: Engine, raw: Inspected) -> str:
    """The image's name if that still means the image of the container; a moved one would give another program."""
    name = raw["Config"].get("Image") or ""
    try:
        fits = bool(name) and reading.image(engine, name)["Id"] == raw["Image"]
    except Problem:
        fits = False
    return str(name if fits else raw["Image"])


def _owner_now(world: World, raw: Inspected, named: str) -> str:
    """The mode of a sidecar that is made anew: of the same owner, or of the one who took its place."""
    for each in world.containers:
        if state.is_meant(named, each):
            return f"container:{each['Id']}"
    own = state.labels(raw)
    project, service = (own.get(f"com.docker.compose.{key}") for key in ("project", "service"))
    needed = [part.split(":")[0] for part in (own.get("com.docker.compose.depends_on") or "").split(",")]
    found = [
        each
        for each in world.containers
        if state.labels(each).get("com.docker.compose.project") == project
        and state.labels(each).get("com.docker.compose.service") in needed
        and each["State"].get("Status") == "running"
    ]
    if len(found) != 1:
        gone = "the container that it lived in is gone, and nothing says in which it is to live now"
        raise Declined(Outcome.REFUSED, f"{gone}: docker compose up -d --force-recreate {service or _name(raw)}")
    return f"container:{found[0]['Id']}"


def put_back(engine: Engine, action_id: str, states: list[ContainerState]) -> list[str]:
    """Take away what there is of the new containers, and give the old ones their names, policies and life back.

    `states`: as they were, the one whose network others share first. However far it had come, and however often it is
    done, the end is the same. Returns what was done, in words. Raises records.Problem.
    """
    for attempt in range(_TRIES):
        try:
            said = [words for each in reversed(states) for words in _taken_away(engine, action_id, each)]
            for each in states:
                _as_before(engine, each)
            return [*said, *(f"put {each.name} back as it was" for each in states)]
        except Problem as failure:
            if failure.code != "docker_error" or attempt == _TRIES - 1:
                raise
            time.sleep(_PAUSE_SECONDS)
    raise AssertionError


def _taken_away(engine: Engine, action_id: str, before: ContainerState) -> list[str]:
    for each in reading.containers(engine, fresh=True):
        if before.name not in finding.names(each) or each["Id"] == before.container_id:
            continue
        if finding.labels(each).get(MADE_BY) != action_id:
            known = f"another container is called {before.name} now, which this action did not make"
            raise Problem("not_ours", f"{known}: remove or rename it, then try again")
        changing.stop(engine, each["Id"], reading.inspect(engine, each["Id"])["Config"].get("StopTimeout"))
        changing.remove(engine, each["Id"])
        return [f"remove the new {before.name}"]
    return []


def _as_before(engine: Engine, before: ContainerState) -> None:
    """Stopped first, also if it seems to run: a stop that a kill cut off may still be at work in the engine."""
    container_id = before.container_id
    raw = reading.inspect(engine, container_id)
    now = state.captured(raw)
    if now.name != before.name:
        changing.rename(engine, container_id, before.name)
    changing.stop(engine, container_id, raw["Config"].get("StopTimeout"))
    policy = {"Name": before.restart_policy, "MaximumRetryCount": before.restart_retries}
    changing.update(engine, container_id, {"RestartPolicy": policy, "PidsLimit": before.pids})
    if before.state in ("running", "restarting", "paused"):
        changing.start(engine, container_id)
    if before.state == "paused":
        changing.pause(engine, container_id)
