"""Carries approved actions out, takes them back, and ends what a kill left half done.

Every step is in the journal before it is done; without the journal nothing is done.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from dm_tools.act import back, plan, state
from dm_tools.act.catalogue import CATALOGUE
from dm_tools.act.past import Story
from dm_tools.act.prepare import lowered, prepared
from dm_tools.act.world import Declined, Prepared, World
from dm_tools.engine import changing, finding, reading
from dm_tools.engine.connection import Engine, Engines
from dm_tools.pipe import clock
from dm_tools.records import ActionName, ApprovedAction, ContainerState, Execution, Outcome, Phase, Problem, Risk

POLL_SECONDS = 0.1
RESTARTS = 3
STEADY_SECONDS = 0.5  # a container without a healthcheck that runs for so long has survived its start
FED_SECONDS = 3.0  # one that was killed for what it used takes a while to use it again
# After these it is not known whether the engine did what it was asked for.
AWAY = ("docker_unreachable", "docker_timeout")
RESUME = "what was begun is ended by dm-execute --resume, once the engine answers"


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
    `hold` is called with the name of an engine before anything is done there, and raises if somebody else acts on it.
    """

    def __init__(
        self, engines: Engines, journal: Noted, deadline_seconds: float, healthy: bool, hold: Callable[[str], None]
    ) -> None:
        self.engines, self.journal, self.hold = engines, journal, hold
        self.deadline_seconds, self.healthy = deadline_seconds, healthy

    def _engine(self, action: ApprovedAction) -> Engine:
        return self.engines.of({"docker_host": action.docker_host})

    def _held(self, action: ApprovedAction) -> Engine:
        """The engine, and nobody else acts on it until this program ends. Raises Problem, and what `hold` raises."""
        engine = self._engine(action)
        machine = reading.machine(engine)
        self.hold(f"{machine.get('Name')}:{machine.get('DockerRootDir')}")
        return engine

    def in_turn(self, actions: list[ApprovedAction]) -> Iterator[ApprovedAction]:
        """Each action once, what others need first. An engine that does not answer leaves the order as it is."""
        needed: dict[str, set[str]] = {}
        for action in {each.docker_host: each for each in actions}.values():
            with contextlib.suppress(Problem):
                needed |= plan.needs(World(self._engine(action)).containers)
        yield from {plan.identify(each): each for each in plan.ordered(actions, needed)}.values()

    def carry_out(self, action: ApprovedAction, tried: int, done: Execution | None, only_plan: bool) -> Execution:
        """One action to its end. `tried`: how often it was within the hour; `done`: its outcome, if it is done.

        Raises what the journal raises if it cannot be written: then nothing was done, or it was put back.
        """
        action_id, engine = plan.identify(action), self._engine(action)
        if done is not None:
            return Execution(action_id, Outcome.ALREADY_DONE, f"this approval was carried out at {done.ended_at}")
        try:
            if not only_plan and CATALOGUE[action.action].risk not in (Risk.READ_ONLY, Risk.MANUAL):
                engine = self._held(action)
            ready = prepared(engine, action, tried)
        except Declined as declined:
            return Execution(action_id, declined.outcome, declined.reason)
        except Problem as failure:
            return Execution(action_id, Outcome.FAILED, failure.message, failure.code)
        more = [f"if it still does not run: {each.says}" for stage in ready.more for each in stage]
        said = [each.says for each in ready.steps] + more + ready.told
        if CATALOGUE[action.action].risk == Risk.READ_ONLY:
            return Execution(action_id, Outcome.LOOKED, None, None, said, ready.before)
        intended = Execution(
            action_id,
            Outcome.PLANNED,
            steps=said,
            before=ready.before,
            undo=ready.undo,
            kept=ready.kept,
            others=ready.others,
        )
        if only_plan:
            return intended
        intended.begun_at = _now()
        self.journal.add(action_id, Phase.INTENT, action, intended)
        return self._carried_out(engine, action, ready, intended)

    def _carried_out(self, engine: Engine, action: ApprovedAction, ready: Prepared, intended: Execution) -> Execution:
        steps: list[str] = []
        container, known, asked = ready.before.container_id, True, False
        reason: str | None = None
        try:
            for number, stage in enumerate([ready.steps, *ready.more]):
                last = number == len(ready.more)
                try:
                    for step in stage:
                        self.journal.add(intended.id, Phase.STEP, step=step.says)
                        asked = True
                        step.do()
                        steps.append(step.says)
                    container = ready.container() if ready.container else container
                    fed = action.action == ActionName.SCALE_UP and len(ready.steps) > 1  # it did not even run before
                    reason = self._not_settled(engine, action, container, ready.before, last, fed)
                except Problem as failure:  # the engine refuses to start what is killed at once
                    if last or failure.code != "docker_error":
                        raise
                    reason = failure.message
                if reason is None:
                    break
        except Problem as failure:
            reason, known = failure.message, failure.code not in AWAY
        except BaseException:  # Ctrl-C, or the journal cannot be written any more
            if asked:
                self._given_up(ready, intended, steps)
            raise
        if reason is not None and ready.put_back:
            container = ready.before.container_id
            try:
                steps += ready.put_back()
                known = True
            except Problem as failure:
                reason, known = f"{reason}; and it could not be put back: {failure.message}", False
        if not known:  # the intention stands in the journal, without an outcome
            return Execution(
                intended.id,
                Outcome.FAILED,
                f"{reason}; {RESUME}",
                "docker_unreachable",
                steps,
                ready.before,
                begun_at=intended.begun_at,
            )
        well = reason is None
        ended = Execution(
            id=intended.id,
            status=Outcome.DONE if well else Outcome.FAILED,
            reason=reason,
            steps=steps + ready.told if well else steps,
            before=ready.before,
            after=_seen(engine, container),
            undo=ready.undo if well else None,
            kept=ready.kept if well else None,
            others=ready.others if well else [],
            begun_at=intended.begun_at,
            ended_at=_now(),
        )
        try:
            self.journal.add(intended.id, Phase.OUTCOME, None, ended)
        except BaseException:
            if well:
                self._given_up(ready, intended, steps)
            raise
        return ended

    def _given_up(self, ready: Prepared, intended: Execution, steps: list[str]) -> None:
        """Put back what can be, at once; otherwise the journal tells the next run that there is something to end."""
        if ready.put_back is None:
            return
        with contextlib.suppress(Exception):
            steps += ready.put_back()
            reason = "it was interrupted: everything is as it was before"
            ended = Execution(
                intended.id, Outcome.FAILED, reason, None, steps, ready.before, begun_at=intended.begun_at
            )
            self.journal.add(intended.id, Phase.OUTCOME, execution=ended)

    def _not_settled(
        self,
        engine: Engine,
        action: ApprovedAction,
        container_id: str,
        before: ContainerState,
        patient: bool = True,
        fed: bool = False,
    ) -> str | None:
        """Wait until the container runs steadily; why it does not, None if it does.

        Not `patient`: a few restarts by its policy are enough to see that it does not. `fed`: it was killed for what it
        used before, and is given time to use that again.

        That the engine answered 204 proves nothing: a start can fail afterwards, and on the newest engine one that
        follows a port conflict runs with loopback only.
        """
        until = time.monotonic() + self.deadline_seconds
        steady_since: float | None = None
        needed = FED_SECONDS if fed else STEADY_SECONDS
        while True:
            raw = reading.inspect(engine, container_id)
            now = state.captured(raw)
            if not patient and (raw.get("RestartCount") or 0) >= RESTARTS:
                return f"it was restarted {RESTARTS} times"
            if now.state in ("exited", "dead", "created"):
                return f"it does not run: {now.error or f'it is {now.state} with exit code {now.exit_code}'}"
            if before.networks and not now.networks:
                return "it runs, but hangs at no network any more: connect it again once what hinders it is gone"
            if now.state == before.state == "paused" and action.action != ActionName.UNPAUSE:
                return None
            steady_since = (steady_since or time.monotonic()) if now.state == "running" else None
            steady = steady_since is not None and time.monotonic() - steady_since >= needed
            if now.health == "healthy" or (steady and (now.health is None or not self.healthy)):
                return None
            if time.monotonic() > until:
                return f"it is {now.state}, {now.health or 'without a healthcheck'}, after {self.deadline_seconds:g} s"
            time.sleep(POLL_SECONDS)

    def take_back(self, action: ApprovedAction, done: Execution, only_plan: bool) -> Execution:
        """Undo an action that was carried out. The result's `after` is how the container is then."""
        try:
            engine = self._engine(action) if only_plan else self._held(action)
            back.check(engine, action, done)
            way = back.way(engine, action, done)
        except Declined as declined:
            return Execution(done.id, declined.outcome, declined.reason)
        except Problem as failure:
            return Execution(done.id, Outcome.FAILED, failure.message, failure.code)
        if only_plan:
            return Execution(done.id, Outcome.PLANNED, None, None, [each.says for each in way], done.after)
        self.journal.add(done.id, Phase.UNDOING, action, done)
        return self._taken_back(engine, action, done)

    def _taken_back(self, engine: Engine, action: ApprovedAction, done: Execution) -> Execution:
        begun, said, reason = _now(), [], None
        assert done.before is not None
        try:
            for step in back.way(engine, action, done):
                step.do()
                said.append(step.says)
        except Declined as declined:
            reason = declined.reason
        except Problem as failure:
            reason = failure.message
            if failure.code in AWAY:
                return Execution(done.id, Outcome.FAILED, f"{reason}; {RESUME}", failure.code, said, begun_at=begun)
        after = _seen(engine, done.before.container_id)
        status = Outcome.FAILED if reason else Outcome.UNDONE
        if reason is None and (differs := after and state.difference(done.before, after)):
            reason = f"it is not quite as it was: {differs}"
        ended = Execution(done.id, status, reason, None, said, done.after, after, begun_at=begun, ended_at=_now())
        if status == Outcome.UNDONE:
            self.journal.add(done.id, Phase.UNDONE, execution=ended)
        else:
            self.journal.add(done.id, Phase.OUTCOME, execution=done)  # it is still as it was done
        return ended

    def let_go(self, action: ApprovedAction, done: Execution) -> Execution:
        """Remove the containers that were kept from before an action that is proved now. Never their volumes."""
        if done.kept is None or done.before is None:
            return Execution(done.id, Outcome.ALREADY_DONE, "nothing was kept")
        removed = []
        try:
            engine = self._held(action)
            for before in (*reversed(done.others), done.before):
                kept = finding.kept_name(before.name, done.id)
                with contextlib.suppress(_Gone):
                    now = _captured(engine, before.container_id)
                    if now.name != kept or now.state in finding.RUNNING:
                        return Execution(done.id, Outcome.REFUSED, f"{now.name} is not what was kept, or it runs")
                    changing.remove(engine, before.container_id)
                    removed.append(f"remove {kept}; its volumes stay")
        except Problem as failure:
            return Execution(done.id, Outcome.FAILED, failure.message, failure.code)
        self.journal.add(done.id, Phase.SETTLED)
        return Execution(done.id, Outcome.DONE, None, None, removed)

    def resume(self, story: Story) -> Execution:
        """End what was begun when the program was killed; what is done already is not done twice."""
        action, begun = story.action, story.execution
        assert action is not None and begun is not None and begun.before is not None
        before, steps = begun.before, []
        status, undo = Outcome.FAILED, None
        try:
            engine = self._held(action)
            if story.phase == Phase.UNDOING:
                return self._taken_back(engine, action, begun)
            if not story.asked:
                reason: str | None = "the program was killed before anything was done"
            elif begun.kept:
                steps = back.put_back(engine, begun)
                reason = "the program was killed in the middle: everything is as it was before"
            elif not (steps := back.finished(engine, action, begun)):
                reason = "the program was killed before it was done"
            else:
                fed = action.action == ActionName.SCALE_UP
                reason = self._not_settled(engine, action, before.container_id, before, fed=fed)
                if reason is None:
                    status, undo = Outcome.DONE, begun.undo
                elif action.action == ActionName.SCALE_UP:
                    lowered(engine, before, str(action.parameters.get("resource")))
                    steps.append(f"{begun.undo}")
        except Problem as failure:
            reason = failure.message
            if failure.code != "container_gone":  # still not ended: the next one tries again
                return Execution(begun.id, Outcome.FAILED, f"{reason}; {RESUME}", failure.code, before=before)
        after = _seen(self._engine(action), before.container_id)
        ended = Execution(
            begun.id, status, reason, None, steps, before, after, undo, begun_at=begun.begun_at, ended_at=_now()
        )
        self.journal.add(begun.id, Phase.OUTCOME, execution=ended)
        return ended


class _Gone(Exception):
    """A container is not there any more."""


def _captured(engine: Engine, container_id: str) -> ContainerState:
    try:
        return state.captured(reading.inspect(engine, container_id))
    except Problem as failure:
        if failure.code == "container_gone":
            raise _Gone from None
        raise


def _seen(engine: Engine, container_id: str) -> ContainerState | None:
    try:
        return state.captured(reading.inspect(engine, container_id))
    except Problem:
        return None


def _now() -> str:
    return clock.rfc3339(clock.now())
