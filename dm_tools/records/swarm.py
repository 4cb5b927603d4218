"""Machines: which one a record is of, and what a Swarm manager says of services, their tasks and nodes."""

from __future__ import annotations

import msgspec

from dm_tools.records.base import Section


class SwarmTask(Section):
    """A task that does not run, id `swarm:tasks.N`, the newest first.

    `current`: it is wanted now; else it has ended, and another one has taken its place. `state` and `error` are the
    swarm's words (pending, rejected, failed, ...), or lost: the node where it ran is away. `node`: the host name of the
    node that it was given to.
    """

    name: str
    state: str
    current: bool
    error: str | None
    exit_code: int | None
    node: str | None
    at: str | None


class Swarm(Section):
    """Section `swarm`, ids `swarm:KEY`: a Swarm service as its manager sees it. Its record is of all its tasks.

    `mode`: replicated, global, replicated-job, global-job. `desired` tasks are wanted and `running` run; of a job
    `completed` are done. `restart` is its restart condition (any, on-failure, none). `update`: the state of its newest
    update or rollback. `tasks`: those that do not run now, and those that ended by themselves within half an hour.
    """

    observed_at: str
    mode: str
    desired: int
    running: int
    completed: int
    restart: str
    update: str | None = None
    update_message: str | None = None
    stack: str | None = None
    aliases: list[str] = msgspec.field(default_factory=list)
    published: list[int] = msgspec.field(default_factory=list)
    tasks: list[SwarmTask] = msgspec.field(default_factory=list)

    @property
    def job(self) -> bool:
        """Whether its tasks are to end."""
        return self.mode.endswith("-job")

    @property
    def lacking(self) -> int:
        """How many tasks are wanted beside those that run, or of a job that are not done."""
        return max(0, self.desired - (self.completed if self.job else self.running))


class SwarmNode(Section):
    """Section `node`, ids `node:KEY`: a node of a swarm as a manager sees it.

    `state`: ready, down, disconnected, unknown, or leaderless: a manager that lost the majority of the others, and can
    tell and decide nothing. `availability`: active, or pause or drain, which somebody chose.
    `reachability` of a manager by the others: reachable, unreachable; null of a worker.
    """

    observed_at: str
    state: str
    availability: str
    role: str
    message: str | None = None
    address: str | None = None
    reachability: str | None = None


class Host(Section):
    """Key `host`: the machine that a record is of, where several are looked at.

    `addresses`: the names and addresses by which others reach what it publishes. `unreachable`, ids `host:unreachable`:
    why its engine gave no answer; then the record stands for the machine, and there is none of its services.
    """

    name: str
    addresses: list[str] = msgspec.field(default_factory=list)
    unreachable: str | None = None
