"""What each action takes: whether it may be done at all, its steps, and its way back. Nothing is changed here yet.

The engine's traps that this module knows are described where they are met; each was seen on a real engine.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from dm_tools.act import plan, state
from dm_tools.act.catalogue import CATALOGUE, problem
from dm_tools.act.state import Inspected
from dm_tools.engine import changing, finding, reading
from dm_tools.engine.connection import Engine
from dm_tools.records import ActionName, ApprovedAction, ContainerState, Outcome, Risk

ATTEMPTS = 3  # so often one action on one service within the hour; more of the same does not help
FACTOR = 2.0  # what a limit is raised by
MEMORY_SHARE = 0.8  # of the machine, at most for one container


@dataclass
class Step:
    """One thing that the engine is asked to do, in words and as a call."""

    says: str
    do: Callable[[], None]


@dataclass
class Prepared:
    """An action that can be carried out.

    `put_back`: what makes it as it was after a step has failed. `kept`: under which name the container from before is
    kept. `told`: what else a person should know. `container`: gives the id of the container afterwards.
    """

    before: ContainerState
    steps: list[Step]
    undo: str | None = None
    put_back: list[Step] = field(default_factory=list)
    kept: str | None = None
    told: list[str] = field(default_factory=list)
    container: Callable[[], str] | None = None


class Declined(Exception):
    """An action is not carried out."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome, self.reason = outcome, reason


class World:
    """All containers of an engine, as they are now."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.containers = [reading.inspect(engine, each["Id"]) for each in reading.containers(engine, fresh=True)]
        self.networks = {str(each["Id"]): str(each["Name"]) for each in reading.networks(engine)}

    def others(self, raw: Inspected) -> list[Inspected]:
        """All but this one."""
        return [each for each in self.containers if each["Id"] != raw["Id"]]

    def of_service(self, service: str) -> Inspected:
        """The container of a service. Raises records.Problem."""
        listed = finding.find(self.engine, {"service": service}, fresh=True)
        return next(each for each in self.containers if each["Id"] == listed["Id"])


def prepared(engine: Engine, action: ApprovedAction, tried: int) -> Prepared:
    """What carrying out an action takes. `tried`: how often it was within the hour. Raises Declined, Problem."""
    known = CATALOGUE.get(action.action)
    if known is None:
        raise Declined(Outcome.REFUSED, f"there is no action {action.action!r}")
    names = {action.service, *(str(each) for each in action.parameters.values())}
    if wrong := problem(action.action, action.parameters, names):
        raise Declined(Outcome.REFUSED, wrong)
    if known.risk == Risk.MANUAL:
        told = ", ".join(f"{key} {value}" for key, value in action.parameters.items())
        what = action.reasoning or known.does
        raise Declined(Outcome.MANUAL, f"for a person: {what}" + (f" ({told})" if told else ""))
    world = World(engine)
    raw = _container(action, world)
    if known.risk == Risk.READ_ONLY:
        return _look(action, world, raw)
    if refused := state.opted_out(raw, action.action) or _ourselves(raw):
        raise Declined(Outcome.REFUSED, refused)
    running = raw["State"].get("Status") == "running"
    if running and action.action in (ActionName.UNPAUSE, ActionName.START):
        raise Declined(Outcome.ALREADY_DONE, "it runs")
    if reason := plan.stale(action, raw):
        raise Declined(Outcome.STALE, f"{reason}: diagnose again")
    if tried >= ATTEMPTS:
        times = f"{action.action} of {action.service} was tried {tried} times within the hour"
        raise Declined(Outcome.REFUSED, f"{times}: it does not help, somebody has to look")
    return _PREPARE[action.action](action, world, raw)


def _container(action: ApprovedAction, world: World) -> Inspected:
    if action.identity:
        for each in world.containers:
            if each["Id"] == action.identity.container_id:
                return each
    return world.of_service(action.service)


def _ourselves(raw: Inspected) -> str | None:
    """Why nothing is done to the container that this program runs in: its host name is the id."""
    own = socket.gethostname()
    return "it is the container that this program runs in" if len(own) == 12 and raw["Id"].startswith(own) else None


def _look(action: ApprovedAction, world: World, raw: Inspected) -> Prepared:
    other = action.parameters.get("dependency")
    if isinstance(other, str) and other != action.service:
        raw = world.of_service(other)
    now = state.captured(raw)
    health = f", {now.health}" if now.health else ""
    error = f", {now.error}" if now.error else ""
    return Prepared(now, [], told=[f"{now.name} is {now.state}{health}{error}, since {now.started_at or 'never'}"])


def _can_start(world: World, raw: Inspected, words: str) -> None:
    if hindered := state.start_obstacle(raw, world.others(raw), set(world.networks)):
        raise Declined(Outcome.REFUSED, f"{words}: {hindered}")


def _start(action: ApprovedAction, world: World, raw: Inspected) -> Prepared:
    before = state.captured(raw)
    if before.state == "paused":
        raise Declined(Outcome.REFUSED, "it is paused: unpause it, a start is refused by the engine")
    if before.state == "created" and not before.error and state.waits_at_a_gate(raw):
        waits = "Compose made it and has not started it: it waits for what it depends on, and would run without that"
        raise Declined(Outcome.REFUSED, waits)
    _can_start(world, raw, "it cannot be started")
    steps = [Step(f"start {before.name}", partial(changing.start, world.engine, before.container_id))]
    return Prepared(before, steps, undo=f"stop {before.name} again")


def _restart(action: ApprovedAction, world: World, raw: Inspected) -> Prepared:
    before, engine = state.captured(raw), world.engine
    _can_start(world, raw, "it could not be started again")
    again = partial(changing.restart, engine, before.container_id, raw["Config"].get("StopTimeout"))
    steps = [Step(f"stop {before.name} and start it again", again)]
    for guest in state.guests(raw, world.others(raw)):
        # Who shares the network of a container that is started anew keeps the old, dead one.
        says = f"restart {guest['Name'].lstrip('/')}, which shares its network and would be cut off"
        steps.append(Step(says, partial(changing.restart, engine, guest["Id"])))
    return Prepared(before, steps)


def _unpause(action: ApprovedAction, world: World, raw: Inspected) -> Prepared:
    before = state.captured(raw)
    steps = [Step(f"let {before.name} go on", partial(changing.unpause, world.engine, before.container_id))]
    return Prepared(before, steps, undo=f"pause {before.name} again")


def _reconnect_network(action: ApprovedAction, world: World, raw: Inspected) -> Prepared:
    before = state.captured(raw)
    mode = raw["HostConfig"].get("NetworkMode") or "default"
    network = str(action.parameters.get("network") or ("bridge" if mode == "default" else mode))
    if network in ("host", "none") or network.startswith("container:"):
        raise Declined(Outcome.REFUSED, f"it has no network of its own (its mode is {mode})")
    if network in {each.network for each in before.networks}:
        raise Declined(Outcome.ALREADY_DONE, f"it hangs at {network}")
    if network not in world.networks.values():
        raise Declined(Outcome.REFUSED, f"there is no network {network}")
    # Without its aliases the Compose service's name would no longer resolve; the engine keeps them for nobody.
    service = state.labels(raw).get("com.docker.compose.service")
    endpoint: dict[str, Any] = {"Aliases": [service]} if service and network != "bridge" else {}
    says = f"connect {before.name} to {network}" + (f" as {service}" if service else "")
    steps = [Step(says, partial(changing.connect, world.engine, network, before.container_id, endpoint))]
    told = ["connections that hung meanwhile may hang on: restart the clients that do not recover by themselves"]
    return Prepared(before, steps, undo=f"disconnect {before.name} from {network} again", told=told)


def _scale_up(action: ApprovedAction, world: World, raw: Inspected) -> Prepared:
    before, engine = state.captured(raw), world.engine
    resource = str(action.parameters.get("resource"))
    most = int(reading.memory_bytes(engine) * MEMORY_SHARE) if resource == "memory" else None
    change = state.raised(before, resource, FACTOR, most)
    if isinstance(change, str):
        raise Declined(Outcome.REFUSED, change)
    back = state.limits(before, resource)
    old, new = (state.amount(resource, next(iter(each.values()))) for each in (back, change))
    says = f"raise the limit of {resource} of {before.name} from {old} to {new}"
    steps = [Step(says, partial(changing.update, engine, before.container_id, change))]
    if before.state in ("exited", "dead"):
        _can_start(world, raw, "it could not be started with the new limit")
        steps.append(Step(f"start {before.name}", partial(changing.start, engine, before.container_id)))
    lowered = partial(changing.update, engine, before.container_id, back)
    return Prepared(
        before,
        steps,
        undo=f"set the limit of {resource} of {before.name} back to {old}",
        put_back=[Step(f"set the limit of {resource} back to {old}", lowered)],
        told=["the next `docker compose up` that makes it anew takes the old limit: write the new one into the file"],
    )


def _rollback_image(action: ApprovedAction, world: World, raw: Inspected) -> Prepared:
    image = reading.image(world.engine, raw["Image"])
    former = state.former_image(raw, image, reading.images(world.engine))
    if former is None:
        unknown = "the image that ran before is not on this machine: name it in the Compose file, then `up -d`"
        raise Declined(Outcome.REFUSED, unknown)
    return _swapped(action, world, raw, image, former)


def _recreate(action: ApprovedAction, world: World, raw: Inspected) -> Prepared:
    return _swapped(action, world, raw)


def _swapped(
    action: ApprovedAction,
    world: World,
    raw: Inspected,
    image: dict[str, Any] | None = None,
    former: str | None = None,
) -> Prepared:
    """A container made anew from its own configuration; the old one is kept beside it until the proof.

    `image`, `former`: the inspected image that it was made from, and the id of the one to make it from instead.
    """
    before, engine = state.captured(raw), world.engine
    if raw["HostConfig"].get("AutoRemove"):
        raise Declined(Outcome.REFUSED, "it removes itself when it stops: there would be no way back")
    for other in world.others(raw):
        if any(link.partition(":")[0] == raw["Name"] for link in other["HostConfig"].get("Links") or []):
            raise Declined(Outcome.REFUSED, f"{other['Name'].lstrip('/')} is linked to it, and its link would break")
    body, later = state.anew(raw, image)
    if former is not None:
        body["Image"] = former
    if state.shares_network_of(raw):
        body["HostConfig"]["NetworkMode"] = _owner_now(world, raw)
    kept = f"{before.name}.before-{plan.identify(action)[:8]}"
    made: list[str] = []

    def make() -> None:
        made.append(changing.create(engine, before.name, body))

    def keep() -> None:
        # A kept one that the engine starts at its own next start would run beside the new one.
        changing.update(engine, before.container_id, {"RestartPolicy": {"Name": "no"}})
        changing.rename(engine, before.container_id, kept)

    def connect(network: str, endpoint: dict[str, Any]) -> None:
        changing.connect(engine, network, made[0], endpoint)

    def start() -> None:
        changing.start(engine, made[0])

    def take_away() -> None:
        for each in made:
            changing.stop(engine, each)
            changing.remove(engine, each)

    # Stopped first: an address or a host port that both want would be refused to the new one.
    stop = partial(changing.stop, engine, before.container_id, raw["Config"].get("StopTimeout"))
    # 20.10 takes one network at creation; the others are connected afterwards.
    return Prepared(
        before,
        steps=[
            Step(f"stop {before.name}", stop),
            Step(f"keep it as {kept}, not to be started by the engine", keep),
            Step(f"make {before.name} anew with the same volumes, networks, labels and limits", make),
            *[Step(f"connect it to {name}", partial(connect, name, each)) for name, each in later.items()],
            Step(f"start the new {before.name}", start),
        ],
        undo=f"remove the new {before.name} and start {kept} under its name",
        put_back=[
            Step(f"remove the new {before.name}", take_away),
            Step(f"name {kept} {before.name} again", partial(as_before, engine, before, raw)),
        ],
        kept=kept,
        told=[
            f"make {guest['Name'].lstrip('/')} anew as well: it shares the network of the old one"
            for guest in state.guests(raw, world.others(raw))
        ],
        container=lambda: made[0],
    )


def as_before(engine: Engine, before: ContainerState, raw: Inspected | None = None) -> None:
    """Give a kept container its name, its restart policy and, if it ran, its life back."""
    policy = (raw or {}).get("HostConfig", {}).get("RestartPolicy") or {"Name": before.restart_policy}
    if state.captured(reading.inspect(engine, before.container_id)).name != before.name:
        changing.rename(engine, before.container_id, before.name)
    changing.update(engine, before.container_id, {"RestartPolicy": policy})
    if before.state in ("running", "restarting", "paused"):
        changing.start(engine, before.container_id)


def _owner_now(world: World, raw: Inspected) -> str:
    """The network mode of a sidecar that is made anew: of the same owner, or of the one who took its place."""
    shared = state.shares_network_of(raw) or ""
    for each in world.containers:
        if each["Id"].startswith(shared) or each["Name"] == f"/{shared}":
            return f"container:{each['Id']}"
    own = state.labels(raw)
    project = own.get("com.docker.compose.project")
    named = [part.split(":")[0] for part in (own.get("com.docker.compose.depends_on") or "").split(",")]
    found = [
        each
        for each in world.containers
        if state.labels(each).get("com.docker.compose.project") == project
        and state.labels(each).get("com.docker.compose.service") in named
        and each["State"].get("Status") == "running"
    ]
    if len(found) != 1:
        gone = "the container whose network it shared is gone, and nothing says whose it is to share now"
        raise Declined(Outcome.REFUSED, f"{gone}: docker compose up -d --force-recreate {action_service(raw)}")
    return f"container:{found[0]['Id']}"


def action_service(raw: Inspected) -> str:
    """What a person calls a container: its Compose service, or its name."""
    return state.labels(raw).get("com.docker.compose.service") or raw["Name"].lstrip("/")


_PREPARE: dict[str, Callable[[ApprovedAction, World, Inspected], Prepared]] = {
    ActionName.START: _start,
    ActionName.RESTART: _restart,
    ActionName.UNPAUSE: _unpause,
    ActionName.RECONNECT_NETWORK: _reconnect_network,
    ActionName.SCALE_UP: _scale_up,
    ActionName.RECREATE: _recreate,
    ActionName.ROLLBACK_IMAGE: _rollback_image,
}
