"""The ways back from an action, and the end of one that a kill cut off."""

from __future__ import annotations

import time
from functools import partial

from dm_tools.act import state, swap
from dm_tools.act.prepare import connected, lowered
from dm_tools.act.world import Declined, Step, World
from dm_tools.engine import changing, finding, reading
from dm_tools.engine.connection import Engine
from dm_tools.records import ActionName, ApprovedAction, ContainerState, Execution, Outcome, Problem

_POLL_SECONDS = 0.2
# A call that a kill cut off goes on in the engine: how long its effect is waited for.
_EFFECT_SECONDS = 3.0


def check(engine: Engine, action: ApprovedAction, done: Execution) -> None:
    """Whether an action may be taken back: the container is as the action left it. Raises Declined, Problem."""
    before, after = done.before, done.after
    if before is None or after is None or done.undo is None:
        raise Declined(Outcome.REFUSED, "there is nothing to take back")
    try:
        now = state.captured(reading.inspect(engine, after.container_id))
        old = state.captured(reading.inspect(engine, before.container_id))
    except Problem as failure:
        if failure.code != "container_gone":
            raise
        gone = "what was kept from before is gone" if done.kept else "the container is gone"
        raise Declined(Outcome.REFUSED, f"{gone}: {failure.message}") from None
    if refused := state.opted_out(reading.inspect(engine, after.container_id), action.action):
        raise Declined(Outcome.REFUSED, refused)
    if done.kept and old.name != done.kept:
        raise Declined(Outcome.REFUSED, f"the container that was kept is no longer called {done.kept}")
    if _limits(now) != _limits(after):
        raise Declined(Outcome.REFUSED, "somebody changed its limits since: look before anything is taken back")


def _limits(one: ContainerState) -> tuple[int, int, int, int]:
    return one.memory_bytes, one.memory_swap_bytes, one.nano_cpus, one.pids


def put_back(engine: Engine, done: Execution) -> list[str]:
    """The containers as they were before they were made anew. Raises Problem."""
    assert done.before is not None
    return swap.put_back(engine, done.id, [done.before, *done.others])


def way(engine: Engine, action: ApprovedAction, done: Execution) -> list[Step]:
    """The steps that take an action back; what of it is taken back already is left out. Raises Problem."""
    before = done.before
    assert before is not None
    own, words = before.container_id, done.undo or ""
    if done.kept:
        return [Step(words, lambda: _nothing(put_back(engine, done)))]
    now = state.captured(reading.inspect(engine, own))
    steps = []
    if action.action == ActionName.UNPAUSE and now.state != "paused":
        steps.append(Step(words, partial(changing.pause, engine, own)))
    if action.action == ActionName.SCALE_UP:
        resource = str(action.parameters.get("resource"))
        steps.append(Step(words, partial(lowered, engine, before, resource)))
    if action.action == ActionName.RECONNECT_NETWORK:
        had = {each.network for each in before.networks}
        new = [each.network for each in now.networks if each.network not in had]
        steps += [Step(words, partial(changing.disconnect, engine, each, own)) for each in new]
    removes_itself = reading.inspect(engine, own)["HostConfig"].get("AutoRemove")  # a stop would be its end
    if before.state in ("exited", "dead", "created") and now.state in finding.RUNNING and not removes_itself:
        says = words if action.action == ActionName.START else f"stop {before.name} again"
        steps.insert(0, Step(says, partial(changing.stop, engine, own)))
    return steps


def _nothing(_: object) -> None:
    pass


def finished(engine: Engine, action: ApprovedAction, begun: Execution) -> list[str]:
    """End an action that was cut off after the engine was asked; what was done, empty if it had not come to anything.

    What is not known to be done is not done again: the engine may still be at work, and that is waited for.
    """
    before = begun.before
    assert before is not None
    own = before.container_id
    raw = reading.inspect(engine, own)
    grace = float(raw["Config"].get("StopTimeout") or changing.STOP_SECONDS)
    until = time.monotonic() + _EFFECT_SECONDS + (grace if action.action == ActionName.RESTART else 0)
    while not _reached(engine, action, before, raw):
        if time.monotonic() > until:
            return []
        time.sleep(_POLL_SECONDS)
        raw = reading.inspect(engine, own)
    done = begun.steps[:1]
    if raw["State"].get("Status") in ("exited", "dead", "created"):
        changing.start(engine, own)
        done.append(f"start {before.name}")
    elif raw["State"].get("Status") == "restarting":
        changing.restart(engine, own)
        done.append(f"restart {before.name}")
    world = World(engine)
    raw = world.of_id(own) or reading.inspect(engine, own)
    for guest in state.guests(raw, world.others(raw), running=False):
        again = f"restart {guest['Name'].lstrip('/')}, which shares its {state.shares(guest)}"
        # One that shares its processes has ended with it, and it was meant to be restarted if it ran before.
        runs = guest["State"].get("Running") or any(each.startswith(again) for each in begun.steps)
        if runs and guest["State"].get("StartedAt", "") < raw["State"].get("StartedAt", ""):
            changing.restart(engine, guest["Id"], guest["Config"].get("StopTimeout"))
            done.append(again)
    return done


def _reached(engine: Engine, action: ApprovedAction, before: ContainerState, raw: state.Inspected) -> bool:
    """Whether the engine has done what it was asked for first."""
    now = state.captured(raw)
    if action.action == ActionName.RECONNECT_NETWORK:
        return connected(action, World(engine), raw)
    return {
        ActionName.START: now.state in finding.RUNNING,
        # the stop had been done, and the start had not
        ActionName.RESTART: now.started_at != before.started_at or (before.state, now.state) == ("running", "exited"),
        ActionName.UNPAUSE: now.state != "paused",
        ActionName.SCALE_UP: _limits(now) != _limits(before),
    }.get(action.action, False)
