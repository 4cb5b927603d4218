"""Records of a swarm's services and nodes: what its manager says, and the container here that tells most."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from typing import Any

from dm_tools import records, redact, text
from dm_tools.collect import discover as discovering
from dm_tools.collect.environment import secrets
from dm_tools.engine import finding, reading, swarming
from dm_tools.engine.connection import Container, Engine
from dm_tools.evidence import swarm as tasks
from dm_tools.pipe import clock
from dm_tools.records import Swarm, SwarmNode, SwarmTask
from dm_tools.text import times

Record = dict[str, Any]
Task = dict[str, Any]

RECENT_SECONDS = 1800.0  # what ended longer ago has been replaced, and is history
MAX_TASKS = 8
MAX_ERROR = 500  # characters of what a swarm says of a task
PREFIX = "node/"  # of the names of nodes' records: no service has a slash
_WANTED = ("running", "ready", "accepted", "complete")  # states that a current task is to reach
_STACK = "com.docker.stack.namespace"


def found(
    engine: Engine, cluster: swarming.Cluster, listing: Iterable[Container], stack: str | None = None
) -> list[Record]:
    """A record per service, and per node where there are several or the only one is not ready. `stack`: of that one."""
    now = clock.now()
    here = {mark: each for each in listing if (mark := swarming.task_of(each))}
    hosts = _names(cluster.nodes)
    away = {each["ID"] for each in cluster.nodes if (each.get("Status") or {}).get("State") != "ready"}
    of_service: dict[str, list[Task]] = defaultdict(list)
    for each in cluster.tasks:
        of_service[each.get("ServiceID", "")].append(each)
    routes = [route for each in cluster.services for route in _routes(each)]
    made = []
    for service in cluster.services:
        if stack and (service["Spec"].get("Labels") or {}).get(_STACK) != stack:
            continue
        own = sorted(of_service[service["ID"]], key=_when, reverse=True)
        facts = digest(service, own, hosts, now, away)
        task = telling(facts, own, here)
        container = here[task["ID"]] if task else None
        chosen = discovering.urls(_as_container(service, container), _as_inspected(service), engine.label, routes)
        # Of what has no address a container's own name would be asked, and a service has many.
        chosen = [each for each in chosen if each.addresses] if facts.running and not facts.job else []
        name = finding.names(container)[0] if container else None
        external = [each.url for each in chosen]
        record = records.new(service["Spec"]["Name"], container=name, docker_host=engine.host, external=external)
        made.append(records.with_section(records.with_section(record, "discovered", chosen), "swarm", facts))
    if cluster.leaderless is not None:
        return [_leaderless(engine, cluster.leaderless, now)]
    nodes = [_node(engine, hosts[each["ID"]], each, now) for each in cluster.nodes]
    if (not made and stack) or (len(nodes) == 1 and nodes[0]["node"]["state"] == "ready"):
        nodes = []
    return sorted(made, key=_by_name) + sorted(nodes, key=_by_name)


def _by_name(record: Record) -> str:
    return str(record["service"])


def digest(
    service: dict[str, Any], own: list[Task], hosts: dict[str, str], now: float, away: Collection[str] = ()
) -> Swarm:
    """What a manager says of a service. `own`: its tasks, the newest first; `hosts`: the nodes' names by their ids;
    `away`: the ids of nodes that are not ready, whose tasks still read as they did before."""
    spec = service["Spec"]
    template = spec.get("TaskTemplate") or {}
    mode, wanted = _mode(spec.get("Mode") or {})
    current = [each for each in own if _is_current(each)]
    lost = [each for each in own if each.get("NodeID") in away and _state(each) == "running"]
    iteration = ((service.get("JobStatus") or {}).get("JobIteration") or {}).get("Index", 0)
    completed = sum(
        _state(each) == "complete" and (each.get("JobIteration") or {}).get("Index", 0) == iteration for each in own
    )
    if wanted is None:
        wanted = len({each.get("NodeID") or each["ID"] for each in current}) + (completed if "job" in mode else 0)
    update = service.get("UpdateStatus") or {}
    redactor = redact.Redactor(known=secrets(_as_inspected(service)))
    told = [each for each in own if each in lost or _is_telling(each, now)]
    told.sort(key=lambda each: not _is_current(each) and each not in lost)  # the newest first in both
    return Swarm(
        observed_at=clock.rfc3339(now),
        mode=mode,
        desired=wanted,
        running=sum(_state(each) == "running" and each not in lost for each in current),
        completed=completed,
        restart=(template.get("RestartPolicy") or {}).get("Condition") or "any",
        update=update.get("State"),
        update_message=_words(update.get("Message"), redactor),
        stack=(spec.get("Labels") or {}).get(_STACK),
        aliases=sorted({alias for each in template.get("Networks") or [] for alias in each.get("Aliases") or []}),
        published=sorted({port["PublishedPort"] for port in _ports(service) if port.get("PublishedPort")}),
        tasks=[_task(spec["Name"], each, hosts, redactor, each in lost) for each in told[:MAX_TASKS]],
    )


def telling(facts: Swarm, own: list[Task], here: dict[str, Container]) -> Task | None:
    """The task whose container on this engine tells most: of a service that lacks some the newest that failed, else
    the first that runs; None if it has none here, or is to have none."""
    if facts.desired == 0:
        return None
    local = [each for each in own if each["ID"] in here]
    failed = [each for each in local if _failed(each) and not (_is_current(each) and _state(each) == "running")]
    running = [each for each in local if _is_current(each) and _state(each) == "running"]
    running.sort(key=lambda each: each.get("Slot") or 0)
    done = [each for each in local if _state(each) == "complete"] if facts.job else []
    order = failed + running + done if facts.lacking or tasks.looping(facts) else running + done + failed
    return order[0] if order else None


def _mode(mode: dict[str, Any]) -> tuple[str, int | None]:
    """The kind of a service, and how many tasks it wants; None: as many as there are nodes for it."""
    if "Replicated" in mode:
        return "replicated", (mode["Replicated"] or {}).get("Replicas", 1)
    if "ReplicatedJob" in mode:
        return "replicated-job", (mode["ReplicatedJob"] or {}).get("TotalCompletions") or 1
    return ("global-job" if "GlobalJob" in mode else "global"), None


def _state(task: Task) -> str:
    return str((task.get("Status") or {}).get("State"))


def _is_current(task: Task) -> bool:
    """Whether the swarm wants it now. Of an ended job's task nobody says what is wanted (it is null)."""
    return task.get("DesiredState") in _WANTED and _state(task) not in ("failed", "rejected", "orphaned", "shutdown")


def _failed(task: Task) -> bool:
    """Whether it ended without having been told to: one of an old version that was shut down did not."""
    ended = _state(task) in ("failed", "rejected", "orphaned")
    return ended or (_state(task) == "complete" and task.get("DesiredState") == "shutdown")


def _is_telling(task: Task, now: float) -> bool:
    """Whether it is wanted and does not run, or ended by itself not long ago."""
    if _is_current(task):
        return _state(task) not in ("running", "complete")
    return _failed(task) and _age(task, now) < RECENT_SECONDS


def _when(task: Task) -> str:
    return str((task.get("Status") or {}).get("Timestamp") or task.get("CreatedAt") or "")


def _age(task: Task, now: float) -> float:
    stamp = times.parse_time(times.utc(_when(task)))
    return now - stamp if stamp is not None else 0.0


def _task(service: str, task: Task, hosts: dict[str, str], redactor: redact.Redactor, lost: bool) -> SwarmTask:
    status = task.get("Status") or {}
    node = task.get("NodeID")
    container = status.get("ContainerStatus") or {}
    ended = _state(task) in ("failed", "complete", "shutdown")
    return SwarmTask(
        name=f"{service}.{task.get('Slot') or hosts.get(node or '') or '?'}",
        state="lost" if lost else _state(task),
        current=_is_current(task),
        error=_words(status.get("Err"), redactor),
        exit_code=container.get("ExitCode", 0) if ended and container.get("ContainerID") else None,
        node=hosts.get(node or ""),
        at=times.utc(_when(task)) if _when(task) else None,
    )


def _words(value: Any, redactor: redact.Redactor) -> str | None:
    return redactor.redact(text.clean(str(value)))[:MAX_ERROR].strip() or None if value else None


def _ports(service: dict[str, Any]) -> list[dict[str, Any]]:
    endpoint = service.get("Endpoint") or {}
    return endpoint.get("Ports") or (endpoint.get("Spec") or {}).get("Ports") or []


def _as_container(service: dict[str, Any], task: Container | None) -> Container:
    """The service as if it were a container of a list: each node answers at its ports, but for those in host mode."""
    spec = service["Spec"]
    ports = [
        {
            "PrivatePort": each.get("TargetPort"),
            "PublicPort": each["PublishedPort"],
            "Type": each.get("Protocol", "tcp"),
        }
        for each in _ports(service)
        if each.get("PublishedPort") and each.get("PublishMode") != "host"
    ]
    image = ((spec.get("TaskTemplate") or {}).get("ContainerSpec") or {}).get("Image")
    own = [each for each in (task or {}).get("Ports") or [] if each.get("PublicPort")]
    return {"Id": service["ID"], "Names": [], "Image": image, "Labels": spec.get("Labels") or {}, "Ports": own + ports}


def _as_inspected(service: dict[str, Any]) -> dict[str, Any]:
    """What of a service's specification stands in a container's inspection, too."""
    spec = (service["Spec"].get("TaskTemplate") or {}).get("ContainerSpec") or {}
    words = [*(spec.get("Command") or []), *(spec.get("Args") or [])]
    config = {key: spec.get(key) for key in ("Healthcheck", "Env", "Image", "Labels")}
    return {"Name": f"/{service['Spec']['Name']}", "Config": config, "Path": "", "Args": words, "Mounts": []}


def _routes(service: dict[str, Any]) -> list[discovering.Route]:
    spec = service["Spec"]
    environment = dict(entry.partition("=")[::2] for entry in _as_inspected(service)["Config"]["Env"] or [])
    return discovering.routes(spec["Name"], spec.get("Labels") or {}, environment)


def _leaderless(engine: Engine, said: str, now: float) -> Record:
    """The record of a manager that knows nothing any more: what runs still runs, and nothing is decided."""
    name = _words(reading.machine(engine).get("Name"), redact.Redactor()) or "manager"
    facts = SwarmNode(clock.rfc3339(now), "leaderless", "active", "manager", _words(said, redact.Redactor()))
    return records.with_section(records.new(PREFIX + name, docker_host=engine.host), "node", facts)


def _names(nodes: list[dict[str, Any]]) -> dict[str, str]:
    """The nodes' host names by their ids; with the beginning of its id where two have one name."""
    named = {each["ID"]: str((each.get("Description") or {}).get("Hostname") or "node") for each in nodes}
    count = Counter(named.values())
    return {id: name if count[name] == 1 else f"{name}-{id[:6]}" for id, name in named.items()}


def _node(engine: Engine, name: str, node: dict[str, Any], now: float) -> Record:
    spec, status, manager = node.get("Spec") or {}, node.get("Status") or {}, node.get("ManagerStatus") or {}
    facts = SwarmNode(
        observed_at=clock.rfc3339(now),
        state=str(status.get("State") or "unknown"),
        availability=str(spec.get("Availability") or "active"),
        role=str(spec.get("Role") or "worker"),
        message=_words(status.get("Message"), redact.Redactor()),
        address=status.get("Addr") or None,
        reachability=manager.get("Reachability") or None,
    )
    record = records.new(PREFIX + name, docker_host=engine.host)
    return records.with_section(record, "node", facts)
