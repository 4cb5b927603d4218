"""How a Swarm service is by its tasks: pure, from what its manager said."""

from __future__ import annotations

from collections.abc import Iterator

from dm_tools.records import Status, Swarm, SwarmTask
from dm_tools.text.times import seconds_between

BEGINNING_SECONDS = 30.0  # what a task may take until it runs, if nothing goes wrong
PREPARING_SECONDS = 300.0  # and where an image is pulled
LOOP_SECONDS = 90.0  # the newest end is so recent that another one may well follow
LOOPS = 2  # tasks that ended one after another
ENDED = ("failed", "complete")  # a rejected one never began


def looping(swarm: Swarm) -> bool:
    """Whether its tasks end one after another, and are replaced each time."""
    ends = [each for each in swarm.tasks if not each.current and each.state in ENDED]
    if swarm.desired == 0 or swarm.job or len(ends) < LOOPS:
        return False
    if swarm.lacking:
        return any(each.current for each in swarm.tasks)  # else the swarm has given it up
    return _age(swarm, ends[0]) < LOOP_SECONDS


def beginning(swarm: Swarm) -> bool:
    """Whether the tasks that it lacks are on their way, with no trouble so far."""
    if not swarm.lacking or not swarm.tasks:
        return False
    return not any(
        each.error or each.state in ("complete", "lost") or _age(swarm, each) >= _allowed(each) for each in swarm.tasks
    )


def _allowed(task: SwarmTask) -> float:
    return PREPARING_SECONDS if task.state == "preparing" else BEGINNING_SECONDS


def status(swarm: Swarm) -> Status:
    """What its tasks alone tell: no more is wanted than runs, or what is lacking is on its way; some; none."""
    if swarm.desired == 0 or beginning(swarm):
        return Status.HEALTHY
    if swarm.job:
        return Status.FAILED if swarm.lacking and any(each.error for each in swarm.tasks) else Status.HEALTHY
    if looping(swarm):
        return Status.FAILED
    if not swarm.lacking:
        return Status.HEALTHY
    return Status.DEGRADED if swarm.running else Status.FAILED


def complaints(swarm: Swarm, states: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Why tasks do not run, with the ids of the evidence; nothing of a service that is well. `states`: only those."""
    if status(swarm) != Status.HEALTHY:
        for index, each in enumerate(swarm.tasks):
            if each.error and (not states or each.state in states):
                yield f"swarm:tasks.{index}", each.error


def ended(swarm: Swarm) -> str:
    """The id of the newest task that has ended; of none, of what runs."""
    at = next((at for at, each in enumerate(swarm.tasks) if not each.current and each.state in ENDED), None)
    return "swarm:running" if at is None else f"swarm:tasks.{at}"


def done(swarm: Swarm) -> bool:
    """Whether nothing is expected of it: a job that is done, or a service that somebody scaled to nothing."""
    return swarm.desired == 0 or (swarm.job and not swarm.lacking)


def _age(swarm: Swarm, task: SwarmTask) -> float:
    """How long before the manager was asked a task came into its state."""
    return seconds_between(task.at, swarm.observed_at) or 0.0
