"""Works through a list of actions: those approved, those to take back, those that a kill left half done.

Each yields what a command prints: the action with its section `execution`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from dm_tools.act import past, plan
from dm_tools.act.execute import Executor
from dm_tools.act.past import Story
from dm_tools.records import ApprovedAction, Execution, Phase

Record = dict[str, Any]


def carry_out(
    executor: Executor, known: dict[str, Story], actions: list[ApprovedAction], only_plan: bool, now: float
) -> Iterator[Record]:
    """Carry actions out, what others need first. What a killed run left half done is ended before anything else."""
    half = [story for story in known.values() if story.unfinished]
    if half and not only_plan:
        yield from resume(executor, known)
    for action in executor.in_turn(actions):
        story = known.get(plan.identify(action))
        ended = executor.carry_out(action, past.tried(known, action, now), past.done(story), only_plan)
        yield _record(action, ended)


def resume(executor: Executor, known: dict[str, Story]) -> Iterator[Record]:
    """End what was begun and has no outcome."""
    for story in known.values():
        if story.unfinished and story.action and story.execution:
            ended = executor.resume(story.action, story.execution, story.phase == Phase.UNDOING)
            yield _record(story.action, ended)


def settle(executor: Executor, known: dict[str, Story], names: Iterable[str]) -> Iterator[Record]:
    """Let go of what was kept of before, of actions that are proved. Raises LookupError."""
    for action, done in _chosen(known, names):
        yield _record(action, executor.let_go(action, done))


def take_back(executor: Executor, known: dict[str, Story], names: Iterable[str], only_plan: bool) -> Iterator[Record]:
    """Undo actions. Raises LookupError."""
    for action, done in _chosen(known, names):
        yield _record(action, executor.take_back(action, done, only_plan))


def _chosen(known: dict[str, Story], names: Iterable[str]) -> Iterator[tuple[ApprovedAction, Execution]]:
    for name in names:
        story = known[past.chosen(known, name)]
        action, done = story.action, past.done(story)
        if action is None or done is None:
            state = "was taken back" if story.phase == Phase.UNDONE else "was not carried out"
            raise LookupError(f"the action {name!r} {state}: there is nothing to do")
        yield action, done


def _record(action: ApprovedAction, ended: Execution) -> Record:
    record: Record = msgspec.to_builtins(action)
    return record | {"execution": msgspec.to_builtins(ended)}
