"""What a Swarm manager is asked, and which containers are its tasks'. It is only ever read."""

from __future__ import annotations

from typing import Any, NamedTuple

from dm_tools import records
from dm_tools.engine.connection import Container, Engine

TASK = "com.docker.swarm.task.id"


class Cluster(NamedTuple):
    """The services, tasks and nodes of a swarm, as its API has them. Holds secrets (environments)."""

    services: list[dict[str, Any]]
    tasks: list[dict[str, Any]]
    nodes: list[dict[str, Any]]
    leaderless: str | None = None  # what a manager says that has lost the majority of the others


def cluster(engine: Engine) -> Cluster | None:
    """All of a swarm; None if the engine is no manager of one, or may not be asked (a proxy).

    Raises Problem docker_unreachable, docker_timeout.
    """
    try:
        services = engine.ask("services", lambda client: list(client.services()))
        tasks = engine.ask("tasks", lambda client: list(client.tasks()))
        nodes = engine.ask("nodes", lambda client: list(client.nodes()))
    except records.Problem as problem:
        if "does not have a leader" in problem.message:
            return Cluster([], [], [], problem.message)
        if problem.code in ("docker_error", "container_gone"):
            return None
        raise
    return Cluster(services, tasks, nodes)


def task_of(container: Container) -> str | None:
    """The id of the task that a listed container is; None if it is none of a Swarm service."""
    return (container.get("Labels") or {}).get(TASK)


def is_told(container: Container, cluster: Cluster | None) -> bool:
    """Whether others tell of a container: its swarm's manager, or if this engine is none, whoever has taken its place
    since it ended."""
    manager = cluster is not None and cluster.leaderless is None
    return task_of(container) is not None and (manager or container.get("State") != "running")
