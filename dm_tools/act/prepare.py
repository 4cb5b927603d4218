"""What each action takes: whether it may be done at all, its steps, and its way back. Nothing is changed here yet.

The engine's traps that this module knows are described where they are met; each was seen on a real engine.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dm_tools.act import migrated, plan, state
from dm_tools.act.catalogue import CATALOGUE, problem
from dm_tools.act.state import Inspected
from dm_tools.act.swap import swapped
from dm_tools.act.world import Declined, Prepared, Step, World
from dm_tools.engine import changing, reading
from dm_tools.engine.connection import Engine
from dm_tools.pipe import clock
from dm_tools.records import ActionName, ApprovedAction, ContainerState, Outcome, Problem, Risk
from dm_tools.text.late import late
from dm_tools.text.times import parse_time

ATTEMPTS = 3  # so often one action on one service within the hour; more of the same does not help
FACTORS = (2.0, 4.0, 8.0)  # what a limit is raised by: more only while it does not even run
LOOP_SECONDS = 120.0  # the engine waits up to a minute before it restarts a container once more
MEMORY_SHARE = 0.8  # of the machine, at most for one container


def prepared(engine: Engine, action: ApprovedAction, tried: int) -> Prepared:
    """What carrying out an action takes. `tried`: how often it was within the hour. Raises Declined, Problem."""
    known = CATALOGUE[action.action]
    names = {action.service, *(str(each) for each in action.parameters.values())}
    if wrong := problem(action.action, action.parameters, names):
        raise Declined(Outcome.REFUSED, wrong)
    if known.risk == Risk.MANUAL:
        told = ", ".join(f"{key} {value}" for key, value in action.parameters.items())
        what = action.reasoning or known.does
        raise Declined(Outcome.MANUAL, f"for a person: {what}" + (f" ({told})" if told else ""))
    world = World(engine)
    if known.risk == Risk.READ_ONLY:
        return _look(action, world)
    raw = _container(action, world)
    if refused := state.opted_out(raw, action.action) or _ourselves(raw, engine.label):
        raise Declined(Outcome.REFUSED, refused)
    if raw["State"].get("Status") == "running" and action.action in (ActionName.UNPAUSE, ActionName.START):
        raise Declined(Outcome.ALREADY_DONE, "it runs")
    if reason := plan.stale(action, raw):
        raise Declined(Outcome.STALE, f"{reason}: diagnose again")
    if tried >= ATTEMPTS:
        times = f"{action.action} of {action.service} was tried {tried} times within the hour"
        raise Declined(Outcome.REFUSED, f"{times}: it does not help, somebody has to look")
    return _PREPARE[action.action](action, world, raw)


def _container(action: ApprovedAction, world: World) -> Inspected:
    """The container that was approved, or the one that is in its place. Raises Declined."""
    known = action.identity
    if known is None and action.action == ActionName.RECREATE:
        make = f"docker compose up -d {action.service}"
        raise Declined(Outcome.MANUAL, f"for a person: there was no container to make it anew from: {make}")
    if known is None:
        unknown = "the approval does not say for which container it was given"
        raise Declined(Outcome.REFUSED, f"{unknown}: diagnose and review again")
    try:
        raw = world.of_id(known.container_id) or world.of_service(action.service)
    except Problem as failure:
        raise Declined(Outcome.STALE, f"the container that it was approved for is gone: {failure.message}") from None
    if other := _another_service(action.service, world, raw):
        raise Declined(Outcome.REFUSED, f"the approval is of {action.service}, and its container is {other}")
    return raw


def _another_service(service: str, world: World, raw: Inspected) -> str | None:
    """The name of a container that is not the service's, though the service has one; None if it may be. A manifest may
    call a container what it likes: then nothing is known of it by that name."""
    name, own = str(raw["Name"]).lstrip("/"), state.labels(raw).get("com.docker.compose.service")
    if service == name or service.rpartition("/")[2] == own:
        return None
    with contextlib.suppress(Problem):
        if world.of_service(service)["Id"] != raw["Id"]:
            return name
    return None


_MOUNTED = late(r"/containers/([0-9a-f]{64})/\S* /etc/(?:hostname|hosts|resolv\.conf) ")


def _ourselves(raw: Inspected, engine_label: str) -> str | None:
    """Why nothing is done to a container that this program stands on, None if it is another one.

    Its own one is known by the files that an engine mounts, or by the host name; the one that it reaches the engine
    through by the port that it publishes or its address.
    """
    own = socket.gethostname()
    try:
        mounted = _MOUNTED.findall(Path("/proc/self/mountinfo").read_text(errors="replace"))
    except OSError:
        mounted = []
    if raw["Id"] in mounted or (len(own) == 12 and raw["Id"].startswith(own)):
        return "it is the container that this program runs in"
    way = urlsplit(engine_label)
    if way.scheme not in ("tcp", "http", "https") or not way.port:
        return None
    published = (raw["HostConfig"].get("PortBindings") or {}).values()
    ports = {str(each.get("HostPort")) for bindings in published for each in bindings or ()}
    addresses = {each.get("IPAddress") for each in state.networks(raw).values()}
    called = {raw["Name"].lstrip("/"), state.labels(raw).get("com.docker.compose.service")}
    at_home = way.hostname in ("localhost", "127.0.0.1", "::1") and str(way.port) in ports
    through = at_home or way.hostname in addresses | called
    return "it is the proxy that this program reaches the engine through" if through else None


def _look(action: ApprovedAction, world: World) -> Prepared:
    other = action.parameters.get("dependency")
    raw = world.of_service(other if isinstance(other, str) else action.service)
    now = state.captured(raw)
    health = f", {now.health}" if now.health else ""
    error = f", {now.error}" if now.error else ""
    return Prepared(now, [], told=[f"{now.name} is {now.state}{health}{error}, since {now.started_at or 'never'}"])


def _can_start(world: World, raw: Inspected, words: str) -> None:
    if raw["State"].get("Status") == "created" and not raw["State"].get("Error") and state.waits_at_a_gate(raw):
        waits = "Compose made it and has not started it: it waits for what it depends on, and would run without that"
        raise Declined(Outcome.REFUSED, waits)
    if hindered := state.start_obstacle(raw, world.others(raw), world.known_networks):
        raise Declined(Outcome.REFUSED, f"{words}: {hindered}")


def _guests_again(action: ApprovedAction, world: World, raw: Inspected) -> list[Step]:
    """Who lives in a container that is started anew keeps its old, dead network, or ends with its processes."""
    steps = []
    for guest in state.guests(raw, world.others(raw)):
        name = guest["Name"].lstrip("/")
        if refused := state.opted_out(guest, action.action):
            raise Declined(Outcome.REFUSED, f"{name} shares its {state.shares(guest)} and would be cut off: {refused}")
        if "PidMode" in state.shared(guest) and guest["HostConfig"].get("AutoRemove"):
            raise Declined(Outcome.REFUSED, f"{name} would end with its processes, and removes itself when it ends")
        again = partial(changing.restart, world.engine, guest["Id"], guest["Config"].get("StopTimeout"))
        steps.append(Step(f"restart {name}, which shares its {state.shares(guest)} and would be cut off", again))
    return steps


def _start(action: ApprovedAction, world: World, raw: Inspected) -> Prepared:
    before = state.captured(raw)
    if before.state == "paused":
        raise Declined(Outcome.REFUSED, "it is paused: unpause it, a start is refused by the engine")
    _can_start(world, raw, "it cannot be started")
    steps = [Step(f"start {before.name}", partial(changing.start, world.engine, before.container_id))]
    steps += _guests_again(action, world, raw)
    if raw["HostConfig"].get("AutoRemove"):
        return Prepared(before, steps, told=["it removes itself when it stops: there is no way back"])
    return Prepared(before, steps, undo=f"stop {before.name} again")


def _restart(action: ApprovedAction, world: World, raw: Inspected) -> Prepared:
    before = state.captured(raw)
    _can_start(world, raw, "it could not be started again")
    again = partial(changing.restart, world.engine, before.container_id, raw["Config"].get("StopTimeout"))
    steps = [Step(f"stop {before.name} and start it again", again)]
    return Prepared(before, steps + _guests_again(action, world, raw))


def _unpause(action: ApprovedAction, world: World, raw: Inspected) -> Prepared:
    before = state.captured(raw)
    if before.state != "paused":
        raise Declined(Outcome.REFUSED, f"it is not paused, it is {before.state}")
    steps = [Step(f"let {before.name} go on", partial(changing.unpause, world.engine, before.container_id))]
    return Prepared(before, steps, undo=f"pause {before.name} again")


def _reconnect_network(action: ApprovedAction, world: World, raw: Inspected) -> Prepared:
    before = state.captured(raw)
    mode = raw["HostConfig"].get("NetworkMode") or "default"
    network = str(action.parameters.get("network") or ("bridge" if mode == "default" else mode))
    network = world.networks.get(network, network)
    if "network" not in action.parameters and network in {each.network for each in before.networks}:
        # It hangs at its first one. Where those hang that it needs is the one that it lost.
        lost = sorted(state.networks_of_needed(raw, world.others(raw)))
        if len(lost) > 1:
            raise Declined(Outcome.REFUSED, f"it may be any of {', '.join(lost)}: say which by the parameter network")
        network = lost[0] if lost else network
    if network in ("host", "none") or network.startswith("container:"):
        raise Declined(Outcome.REFUSED, f"it has no network of its own (its mode is {mode})")
    if network not in world.networks.values():
        raise Declined(Outcome.REFUSED, f"there is no network {network}")
    attached = state.networks(raw).get(network)
    # A network that was removed and made anew has the same name and another id: until then it hangs at the old one.
    if attached is not None and attached.get("NetworkID") in ("", None, *world.known_networks):
        raise Declined(Outcome.ALREADY_DONE, f"it hangs at {network}")
    # Without its aliases the Compose service's name would no longer resolve; the engine keeps them for nobody.
    service = state.labels(raw).get("com.docker.compose.service")
    names = state.aliases(raw, attached) if attached else [service] if service and network != "bridge" else []
    endpoint: dict[str, Any] = {"Aliases": names} if names else {}
    says = f"connect {before.name} to {network}" + (f" as {', '.join(names)}" if names else "")
    steps = [Step(says, partial(changing.connect, world.engine, network, before.container_id, endpoint))]
    if before.state in ("exited", "dead", "created"):
        steps.append(Step(f"start {before.name}", partial(changing.start, world.engine, before.container_id)))
    told = [
        "connections that hung meanwhile may hang on: restart the clients that do not recover by themselves",
        "what the Compose file gives it there besides, other aliases or an address, comes back with `docker compose up "
        "-d --force-recreate`",
    ]
    return Prepared(before, steps, undo=f"disconnect {before.name} from {network} again", told=told)


def connected(action: ApprovedAction, world: World, raw: Inspected) -> bool:
    """Whether a container hangs at the network already that it is to be connected to."""
    try:
        _reconnect_network(action, world, raw)
    except Declined as declined:
        return declined.outcome == Outcome.ALREADY_DONE
    return False


def _scale_up(action: ApprovedAction, world: World, raw: Inspected) -> Prepared:
    before, engine = state.captured(raw), world.engine
    resource, machine = str(action.parameters.get("resource")), reading.machine(engine)
    most = {
        "memory": int((machine.get("MemTotal") or 0) * MEMORY_SHARE) or None,
        "cpus": int((machine.get("NCPU") or 0) * 1e9) or None,
    }.get(resource)
    old = state.told(before, resource, state.limits(before, resource))
    down = before.state in ("exited", "dead", "created", "restarting") or _looping(raw)
    if down:
        _can_start(world, raw, "it could not be started with the new limit")
    stages: list[list[Step]] = []
    wanted = action.parameters.get("limit")
    for factor in FACTORS[: len(FACTORS) if down and wanted is None else 1]:
        change = state.raised(before, resource, state.amount_of(resource, wanted) if wanted else factor, most)
        if isinstance(change, str):
            raise Declined(Outcome.REFUSED, change)
        new = state.told(before, resource, change)
        says = f"raise the limit of {resource} of {before.name} from {old} to {new}"
        if any(each[0].says == says for each in stages):
            break  # it is all that may be given
        stages.append([Step(says, partial(_raised, engine, before.container_id, change))])
        if down:
            # The engine waits longer before each restart, up to a minute, and only then the new limit counts.
            again = partial(changing.restart, engine, before.container_id, raw["Config"].get("StopTimeout"))
            stages[-1].append(Step(f"start {before.name} anew with {new}", again))

    def lower() -> list[str]:
        lowered(engine, before, resource)
        return [f"set the limit of {resource} back to {old}"]

    return Prepared(
        before,
        stages[0],
        more=stages[1:],
        undo=f"set the limit of {resource} of {before.name} back to {old}",
        put_back=lower,
        told=["the next `docker compose up` that makes it anew takes the old limit: write the new one into the file"],
    )


def _raised(engine: Engine, container_id: str, change: dict[str, int]) -> None:
    """Raise a limit, and see that it is raised: Podman 5.4.2 answers 200 to a new limit of cpus and leaves the old."""
    changing.update(engine, container_id, change)
    host = reading.inspect(engine, container_id)["HostConfig"]
    if ignored := [key for key, value in change.items() if key != "MemorySwap" and host.get(key) != value]:
        raise Problem("limit_ignored", f"the engine said that it changed {ignored[0]}, and did not")


def _looping(raw: Inspected) -> bool:
    """Whether a container that seems to run is between two ends: its policy restarted it a moment ago."""
    since = parse_time(raw["State"].get("StartedAt"))
    return bool(raw.get("RestartCount")) and since is not None and clock.now() - since < LOOP_SECONDS


def lowered(engine: Engine, before: ContainerState, resource: str) -> None:
    """Set a limit back. A running program may use more by now, and the kernel refuses it: it is stopped for that.

    One that removes itself when it stops keeps the new limit then: Problem removes_itself.
    """
    back = state.limits(before, resource)
    try:
        changing.update(engine, before.container_id, back)
    except Problem as failure:
        if failure.code != "docker_error":
            raise
        raw = reading.inspect(engine, before.container_id)
        if raw["HostConfig"].get("AutoRemove"):
            more = f"{before.name} uses more by now, and removes itself when it stops: it keeps the new limit"
            raise Problem("removes_itself", more) from None
        changing.stop(engine, before.container_id, raw["Config"].get("StopTimeout"))
        changing.update(engine, before.container_id, back)
        changing.start(engine, before.container_id)


def _rollback_image(action: ApprovedAction, world: World, raw: Inspected) -> Prepared:
    image = reading.image(world.engine, raw["Image"])
    named = action.parameters.get("image")
    if isinstance(named, str):
        try:
            former: str | None = str(reading.image(world.engine, named)["Id"])
        except Problem:
            raise Declined(Outcome.REFUSED, f"there is no image {named} on this machine: pull it first") from None
        if former == raw["Image"]:
            raise Declined(Outcome.ALREADY_DONE, f"it runs from {named}")
    else:
        former = state.former_image(raw, reading.images(world.engine))
    if former is None:
        unknown = "the image that ran before is not on this machine: name it in the Compose file, then `up -d`"
        raise Declined(Outcome.REFUSED, unknown)
    unsure = "; if the newer one has changed its data for itself, the older one may refuse them: then take this back"
    if not _is_newer(world.engine, former, image):
        try:
            hindered = migrated.told(world.engine, raw)
        except Problem as unread:
            hindered, unsure = None, f"{unsure} (its log, which would tell, cannot be read: {unread.message})"
        if hindered:
            raise Declined(Outcome.REFUSED, f"there is no way back to an older image: {hindered}")
    ready = swapped(action, world, raw, image, former)
    ready.told.append(f"it goes back from {raw['Image'][7:19]} to {former[7:19]}{unsure}")
    ready.told.append("the next `docker compose up -d` takes the newer image again: name the older one in the file")
    return ready


def _is_newer(engine: Engine, image_id: str, than: Inspected) -> bool:
    """Whether an image was made after another one: going there is no way back."""
    made = parse_time(reading.image(engine, image_id).get("Created")), parse_time(than.get("Created"))
    return made[0] is not None and made[1] is not None and made[0] > made[1]


def _recreate(action: ApprovedAction, world: World, raw: Inspected) -> Prepared:
    return swapped(action, world, raw)


_PREPARE: dict[str, Callable[[ApprovedAction, World, Inspected], Prepared]] = {
    ActionName.START: _start,
    ActionName.RESTART: _restart,
    ActionName.UNPAUSE: _unpause,
    ActionName.RECONNECT_NETWORK: _reconnect_network,
    ActionName.SCALE_UP: _scale_up,
    ActionName.RECREATE: _recreate,
    ActionName.ROLLBACK_IMAGE: _rollback_image,
}
