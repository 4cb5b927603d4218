"""Read faults.toml and carry out its steps: a fault is data, this is the small interpreter for it.

Steps are tables with an `op`: stop, start, pause, signal, disconnect, remove, run (argv in a container), change
(recreate a service with other values), add (one more service of the shop), neighbour (a container of another
Compose project, which no diagnosis is told of), ready (wait for a service) and see (wait for a condition).
"""

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from docker.errors import APIError

from . import stack, tls
from .containers import Shop
from .settings import FILES, LabError, http_port, stack_folder
from .stack import Service
from .waiting import wait_until

CATALOGUE = Path(__file__).with_name("faults.toml")
RECORDINGS = Path(__file__).parent.parent / "data" / "faults"
LISTENING = "listening on port"
"""What the app says once it takes requests; nothing else of the shop is needed by a service made anew after it."""
Table = Mapping[str, Any]


@dataclass(frozen=True)
class Root:
    """A service that is itself at fault. Several causes or actions: each of them is right, the closest first."""

    service: str
    causes: tuple[str, ...]
    first_actions: tuple[str, ...]


@dataclass(frozen=True)
class Fault:
    """One fault, how to put it in, what then must be observable, and what a diagnosis must say about it."""

    name: str
    title: str
    kind: str
    roots: tuple[Root, ...]
    symptoms: tuple[str, ...]
    inject: tuple[Table, ...]
    settle: tuple[Table, ...]
    deadline: float
    comes_back: str | None

    @property
    def ways(self) -> frozenset[str]:
        """How it is put in: each operation with each of its options, whatever their values."""
        always = {"op", "service", "then", "until", "log", "argv", "exit_codes"}
        return frozenset(f"{step['op']} {option}" for step in self.inject for option in step.keys() - always or {""})

    @property
    def recording(self) -> Path:
        """Where `record` keeps what the collecting commands saw of it."""
        return RECORDINGS / f"{self.name}.jsonl"


def faults() -> list[Fault]:
    """Every fault of the catalogue, `healthy` (nothing injected, nothing to be found) first."""
    return [
        Fault(
            name=entry["name"],
            title=entry["title"],
            kind=entry.get("kind", "single"),
            roots=tuple(
                Root(root["service"], _one_or_more(root["cause"]), _one_or_more(root["first_action"]))
                for root in entry["roots"]
            ),
            symptoms=tuple(entry.get("symptoms", ())),
            inject=tuple(entry.get("inject", ())),
            settle=tuple(entry.get("settle", ())),
            deadline=entry.get("deadline", 60),
            comes_back=entry.get("comes_back"),
        )
        for entry in tomllib.loads(CATALOGUE.read_text())["fault"]
    ]


def one_per_way(catalogue: Sequence[Fault]) -> list[Fault]:
    """The faults that are worth real containers each time; what the others add is judged from their recordings.

    All combinations, and of the single faults, in the catalogue's order, each that is put in by a way which none
    before it took.
    """
    taken: set[str] = {way for fault in catalogue if fault.kind == "combination" for way in fault.ways}
    chosen = []
    for fault in catalogue:
        if fault.kind == "combination" or fault.ways - taken:
            chosen.append(fault)
            taken |= fault.ways
    return chosen


def _one_or_more(value: str | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def put_in(fault: Fault, shop: Shop) -> None:
    """Carry out the steps, then wait until every condition of `settle` has been seen to hold."""
    for step in fault.inject:
        OPERATIONS[step["op"]](shop, step)
    for condition in fault.settle:
        for name in condition.get("services") or [condition["service"]]:
            wanted = {**condition, "service": name}
            wait_until(lambda wanted=wanted: _missing(shop, wanted), fault.deadline)  # type: ignore[misc]


def _stop(shop: Shop, step: Table) -> None:
    shop.container(step["service"]).stop(timeout=10)


def _start(shop: Shop, step: Table) -> None:
    shop.start(step["service"])


def _pause(shop: Shop, step: Table) -> None:
    shop.container(step["service"]).pause()


def _signal(shop: Shop, step: Table) -> None:
    shop.container(step["service"]).kill(step["signal"])


def _disconnect(shop: Shop, step: Table) -> None:
    network = f"{shop.project}_{step['network']}"
    shop.client.api.disconnect_container_from_network(shop.container_name(step["service"]), network)


def _remove(shop: Shop, step: Table) -> None:
    shop.remove(step["service"])


def _run(shop: Shop, step: Table) -> None:
    """Run a program inside a container: to its end, or with `detach` for as long as the container lives."""
    service, command = step["service"], step["argv"]
    if step.get("detach", False):
        shop.run_detached(service, command)
        return
    code, said = shop.run(service, command)
    if code not in step.get("exit_codes", [0]):
        raise LabError(f"{command[0]} in {service} ended with {code}: {said}")


def _change(shop: Shop, step: Table) -> None:
    """Recreate a service with other values; that it cannot start may be the very fault.

    The services named in `then` are made anew once the log of the changed one matches `until`, each when those
    before it listen. Without this their logs would blame the moment of the exchange, which has nothing to do
    with the fault.
    """
    healthy = stack.services()
    service = _changed(healthy[step["service"]], step)
    dependents = [healthy[name] for name in step.get("then", ())]
    for old in (*dependents, service):
        shop.remove(old.name)
    shop.create(service)
    try:
        shop.start(service.name)
    except APIError:
        if not step.get("start_fails", False):
            raise
    if "until" in step:
        wait_until(lambda: _missing(shop, {"service": service.name, "log": step["until"]}), 60)
    for dependent in dependents:
        shop.create(dependent)
        shop.start(dependent.name)
        if any(dependent.name in other.needs for other in dependents):
            wait_until(lambda name=dependent.name: _missing(shop, {"service": name, "log": LISTENING}), 60)  # type: ignore[misc]


def _add(shop: Shop, step: Table) -> None:
    """Start one more service of the shop, and tell the manifest of it."""
    service = _changed(_new(step), step)
    shop.create(service)
    shop.start(service.name)
    stack.add_to_manifest(service)


def _neighbour(shop: Shop, step: Table) -> None:
    """Start a container of somebody else's Compose project; with a `port` it publishes that as `web` does."""
    neighbour = _new(step)
    if "port" in step:
        neighbour = replace(neighbour, networks=("frontend",), ports={step["port"]: http_port()})
    shop.create(neighbour, foreign=True)
    shop.start(neighbour.name)
    shop.await_ready(neighbour)


def _new(step: Table) -> Service:
    return Service(name=step["service"], command=tuple(step["command"]), healthcheck=tuple(step["healthcheck"]))


def _ready(shop: Shop, step: Table) -> None:
    shop.await_ready(stack.services()[step["service"]])


def _see(shop: Shop, step: Table) -> None:
    wait_until(lambda: _missing(shop, step), 60)


OPERATIONS: dict[str, Callable[[Shop, Table], None]] = {
    "stop": _stop,
    "start": _start,
    "pause": _pause,
    "signal": _signal,
    "disconnect": _disconnect,
    "remove": _remove,
    "run": _run,
    "change": _change,
    "add": _add,
    "neighbour": _neighbour,
    "ready": _ready,
    "see": _see,
}


def _changed(service: Service, step: Table) -> Service:
    """The service with the step's fields in place of its own.

    `environment` and `files` are merged, `arguments` are appended to the command, and `edit` replaces one text by
    another in a file.
    """
    changes: dict[str, Any] = {key: tuple(step[key]) for key in ("command", "healthcheck") if key in step} | {
        key: step[key] for key in ("user", "memory", "cpus", "pids", "open_files", "restart", "tmpfs") if key in step
    }
    if "arguments" in step:
        changes["command"] = (*service.command, *step["arguments"])
    dropped = step.get("without_environment", ())
    merged = {**service.environment, **step.get("environment", {})}
    changes["environment"] = {key: value for key, value in merged.items() if key not in dropped}
    sources = {"lab": FILES, "tls": tls.folder()}
    changes["files"] = dict(service.files)
    for target, source in step.get("files", {}).items():
        place, name = source.split(":")
        changes["files"][target] = sources[place] / name
    for target, (old, new) in step.get("edit", {}).items():
        changes["files"][target] = _edited(changes["files"][target], old, new)
    return replace(service, **changes)


def _edited(source: Path, old: str, new: str) -> Path:
    """A copy of one of the shop's files with a piece of its text replaced."""
    text = source.read_text()
    if old not in text:
        raise LabError(f"{source.name} has no {old!r}")
    copy = stack_folder() / f"edited-{source.name}"
    copy.write_text(text.replace(old, new))
    return copy


def _missing(shop: Shop, wanted: Table) -> str | None:
    """What of a condition does not hold yet; each of its keys is one thing an operator could see as well."""
    name = wanted["service"]
    container = shop.container(name)
    state = container.attrs["State"]
    if "state" in wanted and state["Status"] != wanted["state"]:
        return f"{name} is {wanted['state']} (now {state['Status']})"
    if "health" in wanted and state["Health"]["Status"] != wanted["health"]:
        return f"{name} is {wanted['health']} (now {state['Health']['Status']})"
    if "restarts" in wanted and container.attrs["RestartCount"] < wanted["restarts"]:
        return f"{name} restarted {wanted['restarts']} times (now {container.attrs['RestartCount']})"
    if "oom_killed" in wanted and state["OOMKilled"] != wanted["oom_killed"]:
        return f"{name} was killed for its memory"
    if "error" in wanted and not re.search(wanted["error"], state["Error"]):
        return f"{name} has the error {wanted['error']!r} (now {state['Error']!r})"
    if "log" in wanted:
        text = container.logs(tail=200).decode(errors="replace")
        if not re.search(wanted["log"], text):
            return f"{name} logs {wanted['log']!r}"
    if "run" in wanted:
        code, _ = shop.run(name, wanted["run"])
        if code != wanted["exit_code"]:
            return f"{wanted['run'][0]} in {name} ends with {wanted['exit_code']} (now {code})"
    return None
