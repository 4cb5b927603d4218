"""Works through a list of actions: those approved, those to take back, those that a kill left half done.

Each yields what a command prints: the action with its section `execution`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from dm_tools.act import past, plan
from dm_tools.act.catalogue import CATALOGUE
from dm_tools.act.execute import Executor
from dm_tools.act.past import Story
from dm_tools.pipe import exits
from dm_tools.records import ApprovedAction, Execution, Outcome, Risk

Record = dict[str, Any]
_CHANGED = (Outcome.DONE, Outcome.ALREADY_DONE, Outcome.FAILED, Outcome.PLANNED)


def carry_out(
    executor: Executor,
    stories: Callable[[], dict[str, Story]],
    actions: list[ApprovedAction],
    only_plan: bool,
    now: float,
) -> Iterator[Record]:
    """Carry actions out, what others need first. What a killed run left half done is ended before anything else.

    `stories` reads the journal. Of several actions that change one service only the first is done: whether it helped
    has to be seen before more is done.
    """
    if not only_plan:
        yield from resume(executor, stories())
    known = stories()
    changed: dict[tuple[str | None, str], ApprovedAction] = {}
    for action in executor.in_turn(actions):
        place = action.docker_host, action.service
        changes = CATALOGUE[action.action].risk not in (Risk.READ_ONLY, Risk.MANUAL)
        if changes and place in changed:
            first = changed[place].action
            words = f"one change of a service at a time, and {first} comes first: see whether it helps, diagnose again"
            yield _record(action, Execution(plan.identify(action), Outcome.STALE, words))
            continue
        done = past.done(known.get(plan.identify(action)))
        ended = executor.carry_out(action, past.tried(known, action, now), done, only_plan)
        if changes and ended.status in _CHANGED:
            changed[place] = action
        yield _record(action, ended)


def resume(executor: Executor, known: dict[str, Story]) -> Iterator[Record]:
    """End what was begun and has no outcome."""
    for story in known.values():
        if story.unfinished and story.action and story.execution:
            yield _record(story.action, executor.resume(story))


def settle(executor: Executor, known: dict[str, Story], names: Iterable[str]) -> Iterator[Record]:
    """Let go of what was kept of before, of actions that are proved. Raises LookupError."""
    for action, done in _chosen(known, names):
        yield _record(action, executor.let_go(action, done))


def take_back(executor: Executor, known: dict[str, Story], names: Iterable[str], only_plan: bool) -> Iterator[Record]:
    """Undo actions. Raises LookupError."""
    for action, done in _chosen(known, names):
        yield _record(action, executor.take_back(action, done, only_plan))


def status(record: Record) -> int:
    """The exit status that a printed record asks for."""
    ended = record["execution"]
    if ended["code"] == "docker_unreachable":
        return exits.UNREACHABLE
    bad = ended["status"] in (Outcome.REFUSED, Outcome.STALE, Outcome.FAILED)
    not_quite = ended["status"] == Outcome.UNDONE and ended["reason"]
    return exits.ERRORS if bad or not_quite else exits.DONE


def _chosen(known: dict[str, Story], names: Iterable[str]) -> list[tuple[ApprovedAction, Execution]]:
    found = []
    for name in dict.fromkeys(past.chosen(known, name) for name in names):
        story = known[name]
        action, done = story.action, past.done(story)
        if action is None or done is None:
            raise LookupError(f"the action {name!r} {past.words(story)}: there is nothing to do")
        found.append((action, done))
    return found


def _record(action: ApprovedAction, ended: Execution) -> Record:
    record: Record = msgspec.to_builtins(action)
    return record | {"execution": msgspec.to_builtins(ended)}
