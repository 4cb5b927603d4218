"""Carries approved actions out, takes them back, and ends what a kill left half done.

Every step is in the journal before it is done; without the journal nothing is done.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Protocol

from dm_tools.act import plan, state
from dm_tools.act.catalogue import CATALOGUE
from dm_tools.act.prepare import Declined, Prepared, Step, World, as_before, prepared
from dm_tools.engine import changing, finding, reading
from dm_tools.engine.connection import Engine, Engines
from dm_tools.pipe import clock
from dm_tools.records import ActionName, ApprovedAction, ContainerState, Execution, Outcome, Phase, Problem, Risk

POLL_SECONDS = 0.25
STEADY_SECONDS = 2.0  # a container without a healthcheck that runs for so long has survived its start


class Noted(Protocol):
    """Where it is written down what is about to be done; raises if that is not possible, and then nothing is done."""

    def add(
        self,
        action_id: str,
        phase: Phase,
        action: ApprovedAction | None = None,
        execution: Execution | None = None,
        step: str | None = None,
    ) -> None:
        """One entry, for good."""


class Executor:
    """Carries actions out on the engines that they name.

    `deadline_seconds`: how long it is waited for a container to run (or, with `healthy`, to be healthy) afterwards.
    """

    def __init__(self, engines: Engines, journal: Noted, deadline_seconds: float, healthy: bool) -> None:
        self.engines, self.journal = engines, journal
        self.deadline_seconds, self.healthy = deadline_seconds, healthy

    def _engine(self, action: ApprovedAction) -> Engine:
        return self.engines.of({"docker_host": action.docker_host})

    def in_turn(self, actions: list[ApprovedAction]) -> Iterator[ApprovedAction]:
        """Each action once, what others need first. An engine that does not answer leaves the order as it is."""
        needed: dict[str, set[str]] = {}
        for action in {each.docker_host: each for each in actions}.values():
            try:
                needed |= plan.needs(World(self._engine(action)).containers)
            except Problem:
                continue
        yield from {plan.identify(each): each for each in plan.ordered(actions, needed)}.values()

    def carry_out(self, action: ApprovedAction, tried: int, done: Execution | None, only_plan: bool) -> Execution:
        """One action to its end. `tried`: how often it was within the hour; `done`: its outcome, if it is done.

        Raises what the journal raises if it cannot be written: then nothing was done.
        """
        action_id, engine = plan.identify(action), self._engine(action)
        if done is not None:
            return Execution(action_id, Outcome.ALREADY_DONE, f"this approval was carried out at {done.ended_at}")
        try:
            ready = prepared(engine, action, tried)
        except Declined as declined:
            return Execution(action_id, declined.outcome, declined.reason)
        except Problem as failure:
            return Execution(action_id, Outcome.FAILED, failure.message)
        said = [each.says for each in ready.steps] + ready.told
        if CATALOGUE[action.action].risk == Risk.READ_ONLY:
            return Execution(action_id, Outcome.LOOKED, None, said, ready.before)
        intended = Execution(action_id, Outcome.PLANNED, None, said, ready.before, undo=ready.undo, kept=ready.kept)
        if only_plan:
            return intended
        intended.begun_at = _now()
        self.journal.add(action_id, Phase.INTENT, action, intended)
        ended = self._carried_out(engine, ready, intended)
        self.journal.add(action_id, Phase.OUTCOME, None, ended)
        return ended

    def _carried_out(self, engine: Engine, ready: Prepared, intended: Execution) -> Execution:
        steps, container = list(intended.steps), ready.before.container_id
        try:
            for step in ready.steps:
                self.journal.add(intended.id, Phase.STEP, step=step.says)
                step.do()
            container = ready.container() if ready.container else container
            reason = self._not_settled(engine, container, ready.before)
        except Problem as failure:
            reason = failure.message
        if reason is not None and ready.put_back:
            container = ready.before.container_id
            steps += self._put_back(intended.id, ready.put_back)
        well = reason is None
        return Execution(
            id=intended.id,
            status=Outcome.DONE if well else Outcome.FAILED,
            reason=reason,
            steps=steps,
            before=ready.before,
            after=_seen(engine, container),
            undo=ready.undo if well else None,
            kept=ready.kept if well else None,
            begun_at=intended.begun_at,
            ended_at=_now(),
        )

    def _put_back(self, action_id: str, back: list[Step]) -> Iterator[str]:
        for step in back:
            self.journal.add(action_id, Phase.STEP, step=f"put back: {step.says}")
            try:
                step.do()
                yield f"put back: {step.says}"
            except Problem as failure:
                yield f"could not put back: {step.says}: {failure.message}"

    def _not_settled(self, engine: Engine, container_id: str, before: ContainerState) -> str | None:
        """Wait until the container runs steadily; why it does not, None if it does.

        That the engine answered 204 proves nothing: a start can fail afterwards, and on the newest engine one that
        follows a port conflict runs with loopback only.
        """
        until = time.monotonic() + self.deadline_seconds
        steady_since: float | None = None
        while True:
            now = state.captured(reading.inspect(engine, container_id))
            if now.state in ("exited", "dead", "created"):
                return f"it does not run: {now.error or f'it is {now.state} with exit code {now.exit_code}'}"
            if before.networks and not now.networks:
                return "it runs, but hangs at no network any more: connect it again once what hinders it is gone"
            steady_since = (steady_since or time.monotonic()) if now.state == "running" else None
            steady = steady_since is not None and time.monotonic() - steady_since >= STEADY_SECONDS
            if now.health == "healthy" or (steady and (now.health is None or not self.healthy)):
                return None
            if time.monotonic() > until:
                return f"it is {now.state}, {now.health or 'without a healthcheck'}, after {self.deadline_seconds:g} s"
            time.sleep(POLL_SECONDS)

    def take_back(self, action: ApprovedAction, done: Execution, only_plan: bool) -> Execution:
        """Undo an action that was carried out. The result's `after` is how the container is then."""
        engine = self._engine(action)
        try:
            steps, container = _backwards(engine, action, done)
        except Declined as declined:
            return Execution(done.id, declined.outcome, declined.reason)
        except Problem as failure:
            return Execution(done.id, Outcome.FAILED, failure.message)
        said = [each.says for each in steps]
        if only_plan:
            return Execution(done.id, Outcome.PLANNED, None, said, done.after)
        begun, reason = _now(), None
        self.journal.add(done.id, Phase.UNDOING, step="; ".join(said))
        try:
            for step in steps:
                step.do()
        except Problem as failure:
            reason = failure.message
        ended = Execution(
            id=done.id,
            status=Outcome.FAILED if reason else Outcome.UNDONE,
            reason=reason,
            steps=said,
            before=done.after,
            after=_seen(engine, container),
            begun_at=begun,
            ended_at=_now(),
        )
        if reason is None:
            self.journal.add(done.id, Phase.UNDONE, execution=ended)
        else:
            self.journal.add(done.id, Phase.OUTCOME, execution=done)  # it is still as it was done
        return ended

    def let_go(self, action: ApprovedAction, done: Execution) -> Execution:
        """Remove the container that was kept from before an action that is proved now. Never its volumes."""
        engine = self._engine(action)
        if done.kept is None or done.before is None:
            return Execution(done.id, Outcome.ALREADY_DONE, "nothing was kept")
        try:
            old = reading.inspect(engine, done.before.container_id)
            if old["Name"].lstrip("/") != done.kept or old["State"].get("Running"):
                return Execution(done.id, Outcome.REFUSED, f"{done.kept} is not what was kept, or it runs")
            changing.remove(engine, done.before.container_id)
        except Problem as failure:
            if failure.code != "container_gone":
                return Execution(done.id, Outcome.FAILED, failure.message)
        self.journal.add(done.id, Phase.SETTLED)
        return Execution(done.id, Outcome.DONE, None, [f"remove {done.kept}; its volumes stay"])

    def resume(self, action: ApprovedAction, begun: Execution, undoing: bool) -> Execution:
        """End what was begun when the program was killed; what is done already is not done twice."""
        engine, before = self._engine(action), begun.before
        swap = action.action in (ActionName.RECREATE, ActionName.ROLLBACK_IMAGE)
        status, steps, undo = Outcome.FAILED, begun.steps, None
        try:
            if before is None:
                reason: str | None = "it is not known what it was begun on"
            elif swap:
                steps = _unswapped(engine, before)
                reason = "the program was killed in the middle: everything is as it was before"
            elif undoing:
                backwards, _ = _backwards(engine, action, begun)
                for step in backwards:
                    step.do()
                status, reason = Outcome.UNDONE, None
            elif not _reached(engine, action, before):
                reason = "the program was killed before it was done"
            else:
                reason = self._not_settled(engine, before.container_id, before)
                status, undo = (Outcome.DONE, begun.undo) if reason is None else (Outcome.FAILED, None)
        except Declined as declined:
            reason = declined.reason
        except Problem as failure:
            reason = failure.message
        after = _seen(engine, before.container_id) if before else None
        ended = Execution(begun.id, status, reason, steps, before, after, undo, None, begun.begun_at, _now())
        self.journal.add(begun.id, Phase.UNDONE if status == Outcome.UNDONE else Phase.OUTCOME, execution=ended)
        return ended


def _backwards(engine: Engine, action: ApprovedAction, done: Execution) -> tuple[list[Step], str]:
    """The steps that take an action back, and the container that is there then. Raises Declined, Problem."""
    before, after = done.before, done.after
    if before is None or after is None or done.undo is None:
        raise Declined(Outcome.REFUSED, "there is nothing to take back")
    own = after.container_id
    now = state.captured(reading.inspect(engine, own))
    if action.action == ActionName.START:
        return [Step(done.undo, partial(changing.stop, engine, own))], own
    if action.action == ActionName.UNPAUSE:
        return [Step(done.undo, partial(changing.pause, engine, own))], own
    if action.action == ActionName.RECONNECT_NETWORK:
        had = {each.network for each in before.networks}
        new = [each.network for each in now.networks if each.network not in had]
        return [Step(done.undo, partial(changing.disconnect, engine, each, own)) for each in new], own
    if action.action == ActionName.SCALE_UP:
        back = state.limits(before, str(action.parameters.get("resource")))
        steps = [Step(done.undo, partial(changing.update, engine, own, back))]
        if before.state in ("exited", "dead"):
            steps.insert(0, Step(f"stop {before.name} again", partial(changing.stop, engine, own)))
        return steps, own
    old = state.captured(reading.inspect(engine, before.container_id))
    if old.name != done.kept:
        raise Declined(Outcome.REFUSED, f"the container that was kept is no longer called {done.kept}")

    def swap() -> None:
        changing.stop(engine, own)
        changing.remove(engine, own)
        as_before(engine, before)

    return [Step(done.undo, swap)], before.container_id


def _unswapped(engine: Engine, before: ContainerState) -> list[str]:
    """Put the old container back, and take away what there is of the new one; returns what was done."""
    steps = []
    listed = {name: each for each in reading.containers(engine, fresh=True) for name in finding.names(each)}
    new = listed.get(before.name)
    if new is not None and new["Id"] != before.container_id:
        changing.stop(engine, new["Id"])
        changing.remove(engine, new["Id"])
        steps.append(f"remove the unfinished {before.name}")
    as_before(engine, before)
    return [*steps, f"put {before.name} back"]


def _reached(engine: Engine, action: ApprovedAction, before: ContainerState) -> bool:
    """Whether the engine had been asked before the kill."""
    now = state.captured(reading.inspect(engine, before.container_id))
    if action.action == ActionName.RESTART and now.state == "exited":
        changing.start(engine, before.container_id)  # the stop had been done, and the start had not
        return True
    limits = (now.memory_bytes, now.nano_cpus, now.pids) != (before.memory_bytes, before.nano_cpus, before.pids)
    return {
        ActionName.START: now.state == "running",
        ActionName.RESTART: now.started_at != before.started_at,
        ActionName.UNPAUSE: now.state != "paused",
        ActionName.RECONNECT_NETWORK: len(now.networks) > len(before.networks),
        ActionName.SCALE_UP: limits,
    }.get(action.action, False)


def _seen(engine: Engine, container_id: str) -> ContainerState | None:
    try:
        return state.captured(reading.inspect(engine, container_id))
    except Problem:
        return None


def _now() -> str:
    return clock.rfc3339(clock.now())
