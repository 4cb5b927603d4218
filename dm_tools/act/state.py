"""A container as an action finds and leaves it: pure functions of the engine's answers."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import orjson

from dm_tools.records import Attachment, ContainerState
from dm_tools.text.late import late

Inspected = dict[str, Any]

SWARM_TASK = "com.docker.swarm.task.id"
HEAL_LABEL = "dm-tools.heal"  # never, or a list of the actions that may be carried out
_NEVER = "0001-01-01T00:00:00Z"
_ANONYMOUS = late(r"[0-9a-f]{64}\Z")


def captured(raw: Inspected) -> ContainerState:
    """What matters of an inspected container."""
    state, host = raw["State"], raw["HostConfig"]
    return ContainerState(
        container_id=raw["Id"],
        name=raw["Name"].lstrip("/"),
        image=raw["Config"].get("Image") or "",
        image_id=raw.get("Image") or "",
        state=state.get("Status") or "unknown",
        started_at=_time(state.get("StartedAt")),
        exit_code=state.get("ExitCode"),
        error=state.get("Error") or None,
        health=(state.get("Health") or {}).get("Status") or None,
        networks=[_attachment(raw, name, found) for name, found in sorted(networks(raw).items())],
        memory_bytes=host.get("Memory") or 0,
        memory_swap_bytes=host.get("MemorySwap") or 0,
        nano_cpus=host.get("NanoCpus") or _nano_of_quota(host),
        pids=host.get("PidsLimit") or 0,
        restart_policy=(host.get("RestartPolicy") or {}).get("Name") or "no",
        digest=digest(raw),
        restart_retries=(host.get("RestartPolicy") or {}).get("MaximumRetryCount") or 0,
        cpu_period=_period(host) if _nano_of_quota(host) else 0,
    )


def _period(host: dict[str, Any]) -> int:
    return int(host.get("CpuPeriod") or 0) or 100_000  # microseconds, the kernel's own


def _nano_of_quota(host: dict[str, Any]) -> int:
    """The processors that a quota allows, in billionths: the older way to say it, which excludes the newer one."""
    quota = int(host.get("CpuQuota") or 0)
    return int(quota * 1e9 / _period(host)) if quota > 0 and not host.get("NanoCpus") else 0


def _time(value: str | None) -> str | None:
    return None if not value or value == _NEVER else value


def networks(raw: Inspected) -> dict[str, dict[str, Any]]:
    """The networks that a container hangs at, by name."""
    return (raw.get("NetworkSettings") or {}).get("Networks") or {}


def _attachment(raw: Inspected, name: str, found: dict[str, Any]) -> Attachment:
    chosen = (found.get("IPAMConfig") or {}).get("IPv4Address") or None
    return Attachment(name, sorted(set(aliases(raw, found))), chosen, sorted(found.get("Links") or []))


def aliases(raw: Inspected, endpoint: dict[str, Any]) -> list[str]:
    """The names that somebody gave a container in a network: not its id, which is another one next time."""
    return [each for each in endpoint.get("Aliases") or [] if each != raw["Id"][:12]]


def digest(raw: Inspected) -> str:
    """A short name for a container's whole configuration: the same for one that was made anew from it.

    What differs by itself between two makings of the same container is left out: ids, times, addresses, a host name
    that is the id, and that anonymous volumes are named.
    """
    config = {key: value for key, value in raw["Config"].items() if key not in ("Hostname", "Image", "MacAddress")}
    config["Labels"] = {key: value for key, value in labels(raw).items() if key != "dm-tools.action"}
    if raw["Config"].get("Hostname") != raw["Id"][:12]:
        config["Hostname"] = raw["Config"].get("Hostname")
    # the restart policy is told beside it: an engine writes none as "no" or as nothing
    left_out = ("Binds", "Mounts", "VolumesFrom", "NetworkMode", "ContainerIDFile", "RestartPolicy")
    host = {key: value for key, value in raw["HostConfig"].items() if key not in (*left_out, *shared(raw))}
    mounts = sorted(
        [each.get("Type"), each.get("Name") or each.get("Source"), each.get("Destination"), each.get("RW")]
        for each in raw.get("Mounts") or []
    )
    attached = [[name, sorted(set(aliases(raw, found)))] for name, found in sorted(networks(raw).items())]
    whole = [_plain(config), _plain(host), mounts, attached, raw.get("Image")]
    return hashlib.sha256(orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def difference(before: ContainerState, after: ContainerState) -> str | None:
    """In what a container differs from what it was, None if in nothing that matters: not in times, nor in health."""
    alive = ("running", "restarting")
    same_life = before.state == after.state or (before.state in alive and after.state in alive)
    ended = ("exited", "dead", "created")
    same_life |= before.state in ended and after.state in ended
    if not same_life:
        return f"it was {before.state} and is {after.state}"
    for name in ("name", "digest", "networks", "restart_policy", "restart_retries"):
        if getattr(before, name) != getattr(after, name):
            return f"its {'configuration' if name == 'digest' else name.replace('_', ' ')}"
    return None


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings without those that say nothing: an engine writes null, another an empty list."""
    return {key: value for key, value in settings.items() if value not in (None, "", [], {}, 0, False)}


def labels(raw: Inspected) -> dict[str, str]:
    """A container's labels."""
    return raw["Config"].get("Labels") or {}


def opted_out(raw: Inspected, action: str) -> str | None:
    """Why a container's own labels forbid an action, None if they do not."""
    if SWARM_TASK in labels(raw):
        return "it is a task of a Swarm service: only the swarm may act on it (docker service update --force)"
    return forbidden_by_label(labels(raw).get(HEAL_LABEL), action)


def forbidden_by_label(wish: str | None, action: str) -> str | None:
    """Why what the label says (None: it is not there) forbids an action, None if it does not."""
    if wish is None or wish.strip() == "always":
        return None
    allowed = {each.strip() for each in wish.split(",")}
    return None if action in allowed else f"its label {HEAL_LABEL}={wish} does not allow {action}"


SHARED = {"NetworkMode": "network", "PidMode": "processes", "IpcMode": "shared memory"}
"""What of another container a container may live in, by the engine's key. All of it ends with that container."""


def shared(raw: Inspected) -> dict[str, str]:
    """Of whom a container shares what: the engine's key, and the id or name of the other container."""
    modes = {key: raw["HostConfig"].get(key) or "" for key in SHARED}
    found = {key: mode.partition(":")[2] for key, mode in modes.items() if mode.startswith("container:")}
    return {key: owner for key, owner in found.items() if owner}


def shares(guest: Inspected) -> str:
    """What a container shares with another one, in words."""
    return " and ".join(SHARED[key] for key in shared(guest))


def is_meant(named: str, raw: Inspected) -> bool:
    """Whether an id or name, as a mode of another container has it, means this container."""
    return str(raw["Id"]).startswith(named) or str(raw["Name"]) == f"/{named}"


def start_obstacle(raw: Inspected, others: list[Inspected], known_networks: set[str]) -> str | None:
    """Why a start of this container cannot succeed, None if nothing is seen that hinders it.

    A restart is a stop and a start: if the start cannot succeed, the container is down afterwards.
    """
    for key, owner in shared(raw).items():
        found = next((each for each in others if is_meant(owner, each)), None)
        what = f"it shares the {SHARED[key]} of"
        if found is None:
            return f"{what} the container {owner[:12]}, which is gone: it must be made anew"
        if found["State"].get("Status") != "running":
            return f"{what} {found['Name'].lstrip('/')}, which does not run: start that one first"
    for name, endpoint in networks(raw).items():
        network_id = endpoint.get("NetworkID") or ""
        if network_id and network_id not in known_networks:
            return f"its network {name} was removed: connect it to the network that is there now, then start it"
    for link in raw["HostConfig"].get("Links") or []:
        target = link.partition(":")[0]
        found = next((each for each in others if each["Name"] == target), None)
        if found is None or found["State"].get("Status") != "running":
            return f"it is linked to {target.lstrip('/')}, which does not run"
    return None


def networks_of_needed(raw: Inspected, others: list[Inspected]) -> set[str]:
    """The networks at which those hang that a container needs, by Compose's label, and it does not."""
    project = labels(raw).get("com.docker.compose.project")
    needed = {part.split(":")[0] for part in (labels(raw).get("com.docker.compose.depends_on") or "").split(",")}
    found: set[str] = set()
    for each in others:
        own = labels(each)
        if own.get("com.docker.compose.project") == project and own.get("com.docker.compose.service") in needed - {""}:
            if set(networks(each)) & set(networks(raw)):
                continue  # they meet somewhere
            found |= set(networks(each))
    return found


def guests(raw: Inspected, others: list[Inspected], running: bool = True) -> list[Inspected]:
    """The containers that live in this one, and those that live in them, owners first.

    Those that run are stranded, or end, when it is started anew.
    """
    depth = {raw["Id"]: 0}

    def owners(guest: Inspected) -> list[str]:
        named = shared(guest).values()
        return [each["Id"] for each in (raw, *others) if any(is_meant(one, each) for one in named)]

    for _ in others:  # as deep as it can be
        for each in others:
            under = [depth[owner] for owner in owners(each) if owner in depth]
            if under:
                depth[each["Id"]] = 1 + max(under)
    found = sorted((each for each in others if each["Id"] in depth), key=lambda each: depth[each["Id"]])
    return [each for each in found if each["State"].get("Running")] if running else found


def anew(raw: Inspected, image: dict[str, Any] | None = None) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """What makes a container anew: the body of its creation, and the networks to connect it to afterwards.

    `image`: the inspected image it was made from, where it is to be made from another one: what the container only had
    from its image is then left to the new one. Anonymous volumes are carried over by name; a generated MAC address and
    a host name that is the old id are not.
    """
    config = dict(raw["Config"])
    config["Image"] = raw["Image"]
    if config.get("Hostname") == raw["Id"][:12]:
        config.pop("Hostname")
    if image is not None:
        _leave_to_image(config, image.get("Config") or {})
    host = dict(raw["HostConfig"])
    mode = host.get("NetworkMode") or "default"
    host["NetworkMode"] = "bridge" if mode == "default" else mode
    _carry_mounts(raw, host)
    if mode in ("host", "none") or mode.startswith("container:"):
        config.pop("ExposedPorts", None)
        config.pop("Hostname", None)
        return config | {"HostConfig": host}, {}
    endpoints = {name: _endpoint(raw, found) for name, found in networks(raw).items()}
    own = "bridge" if mode == "default" else mode
    first = own if own in endpoints else next(iter(endpoints), None)
    body = config | {"HostConfig": host}
    if first is not None:
        host["NetworkMode"] = first
        body["NetworkingConfig"] = {"EndpointsConfig": {first: endpoints[first]}}
    return body, {name: each for name, each in endpoints.items() if name != first}


def _carry_mounts(raw: Inspected, host: dict[str, Any]) -> None:
    """Every volume by its name, those that nobody named and those taken from others, too: a new one would be empty."""
    there = {_plain_path(each["Destination"]): each for each in raw.get("Mounts") or []}
    mounts = []
    for each in host.get("Mounts") or []:
        found = there.get(_plain_path(each.get("Target") or ""), {})
        unnamed = each.get("Type") == "volume" and not each.get("Source") and found.get("Name")
        mounts.append(each | {"Source": found["Name"]} if unnamed else each)
    binds = [each for each in host.get("Binds") or [] if ":" in each]
    bound = {_plain_path(each.split(":")[1]) for each in binds}
    bound |= {_plain_path(each.get("Target") or "") for each in mounts}
    for destination, each in there.items():
        source = each.get("Name") if each.get("Type") == "volume" else each.get("Source")
        if source and each.get("Type") in ("volume", "bind") and destination not in bound:
            binds.append(f"{source}:{destination}" + ("" if each.get("RW", True) else ":ro"))
    host |= {"Mounts": mounts or None, "Binds": binds or None, "VolumesFrom": None}


def _plain_path(path: str) -> str:
    return path.rstrip("/") or "/"


def _leave_to_image(config: dict[str, Any], image: dict[str, Any]) -> None:
    for key in ("Cmd", "Entrypoint", "WorkingDir", "User", "Healthcheck", "StopSignal", "Volumes", "ExposedPorts"):
        if config.get(key) == image.get(key):
            config.pop(key, None)
    own = set(image.get("Env") or [])
    config["Env"] = [each for each in config.get("Env") or [] if each not in own]


def _endpoint(raw: Inspected, found: dict[str, Any]) -> dict[str, Any]:
    kept = {key: found.get(key) for key in ("IPAMConfig", "Links", "DriverOpts", "GwPriority") if found.get(key)}
    if raw["Config"].get("MacAddress"):  # a person chose it; a generated one would be there twice
        kept["MacAddress"] = found.get("MacAddress")
    return kept | {"Aliases": aliases(raw, found)}


ONE_PROCESSOR = 1_000_000_000
RESOURCE_KEYS = {"memory": "Memory", "pids": "PidsLimit"}


def amount_of(resource: str, text: str) -> int:
    """A limit as people write it (512m, 1.5, 200), as a number of what the engine counts; 0 if it is none."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kmg]?)i?b?", text.strip().lower())
    if found is None or (found[2] and resource != "memory"):
        return 0
    unit = {"": 1e9 if resource == "cpus" else 1, "k": 2**10, "m": 2**20, "g": 2**30}[found[2]]
    return int(float(found[1]) * unit)


def raised(state: ContainerState, resource: str, by: float | int, most: int | None) -> dict[str, int] | str:
    """The change that raises a limit, as the engine wants it; or why it cannot be raised. `by`: a factor, or (an int)
    the new limit itself.

    Memory is sent together with swap, whose relation to it stays (the engine refuses one alone).
    """
    old = {"memory": state.memory_bytes, "cpus": state.nano_cpus, "pids": state.pids}[resource]
    if old <= 0:
        return f"it has no limit of {resource} that could be raised"
    new = by if isinstance(by, int) else int(old * by)
    if resource == "cpus" and not isinstance(by, int):
        new = max(new, ONE_PROCESSOR)  # twice a tenth of a processor is still next to nothing
    if most is not None and new > most:
        new = most
    if new <= old:
        return f"its limit of {resource} cannot be raised from {amount(resource, old)} to {amount(resource, new)}"
    if resource == "cpus":
        return _processors(state, new)
    change = {RESOURCE_KEYS[resource]: new}
    if resource == "memory":
        swap = state.memory_swap_bytes
        change["MemorySwap"] = -1 if swap < 0 else new * 2 if swap == 0 else new + max(swap - old, 0)
    return change


def limits(state: ContainerState, resource: str) -> dict[str, int]:
    """A limit as it was, as the engine wants it."""
    if resource == "memory":
        return {"Memory": state.memory_bytes, "MemorySwap": state.memory_swap_bytes}
    return _processors(state, state.nano_cpus) if resource == "cpus" else {"PidsLimit": state.pids}


def _processors(state: ContainerState, nano: int) -> dict[str, int]:
    """A limit of processors in the way in which the container has it: the engine refuses the other one."""
    return {"CpuQuota": int(nano * state.cpu_period / 1e9)} if state.cpu_period else {"NanoCpus": nano}


def told(state: ContainerState, resource: str, change: dict[str, int]) -> str:
    """What a change sets a limit to, as people write it."""
    value = next(iter(change.values()))
    return amount(resource, int(value * 1e9 / state.cpu_period) if "CpuQuota" in change else value)


def amount(resource: str, value: int) -> str:
    """A limit as people write it."""
    if resource == "memory":
        return f"{value / 2**20:.0f} MiB"
    return f"{value / 1e9:g}" if resource == "cpus" else str(value)


def waits_at_a_gate(raw: Inspected) -> bool:
    """Whether Compose made a container that it starts only after another one is healthy or has ended well."""
    label = labels(raw).get("com.docker.compose.depends_on") or ""
    return any(":service_completed_successfully" in part or ":service_healthy" in part for part in label.split(","))


def former_image(raw: Inspected, images: list[dict[str, Any]]) -> str | None:
    """The id of the image that the container's image took the name of, None if the engine has none.

    An image that is pulled or built anew takes the name, and leaves its predecessor without one (dangling), but with
    the repository in its digests, or with Compose's labels. Of several the newest one that is older than today's.
    """
    built = [(key, labels(raw).get(key)) for key in ("com.docker.compose.project", "com.docker.compose.service")]
    name = (raw["Config"].get("Image") or "").partition("@")[0]
    repository = name.rpartition(":")[0] if ":" in name.rpartition("/")[2] else name
    created = int(next((each.get("Created") or 0 for each in images if each["Id"] == raw["Image"]), 0))
    former = [
        each
        for each in images
        if each["Id"] != raw["Image"]
        and not [tag for tag in each.get("RepoTags") or [] if tag != "<none>:<none>"]
        and (
            any(str(found).partition("@")[0] == repository for found in each.get("RepoDigests") or [])
            or (all(value for _, value in built) and set(built) <= set((each.get("Labels") or {}).items()))
        )
        and int(each.get("Created") or 0) <= created
    ]
    return str(max(former, key=lambda each: int(each.get("Created") or 0))["Id"]) if former else None
