"""What was done about a verdict, and whether it helped: the sections `execution` and `verification`."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from dm_tools.records.base import Section


class Identity(Section):
    """Which container an action was approved against; if another is there, or it was started anew, the approval is
    stale. `restart_count`: how often its policy had restarted it; a crash loop starts it anew all the time."""

    container_id: str
    started_at: str | None
    state: str
    restart_count: int | None = None


class Attachment(Section):
    """How a container hangs at a network: what must come back with it. `ipv4`: only an address that a person chose."""

    network: str
    aliases: list[str]
    ipv4: str | None
    links: list[str]


class ContainerState(Section):
    """A container before or after an action: all that taking the action back needs, and no environment value.

    Memory in bytes, 0 where there is no limit, swap -1 where it is unlimited; processors in billionths. `digest` is of
    its whole configuration. `cpu_period`: in microseconds, where the processors are limited by a quota; else 0.
    """

    container_id: str
    name: str
    image: str
    image_id: str
    state: str
    started_at: str | None
    exit_code: int | None
    error: str | None
    health: str | None
    networks: list[Attachment]
    memory_bytes: int
    memory_swap_bytes: int
    nano_cpus: int
    pids: int
    restart_policy: str
    digest: str
    restart_retries: int = 0
    cpu_period: int = 0


class Outcome(StrEnum):
    """How an action ended."""

    DONE = "done"
    ALREADY_DONE = "already_done"
    STALE = "stale"
    REFUSED = "refused"
    FAILED = "failed"
    MANUAL = "manual"
    LOOKED = "looked"
    PLANNED = "planned"
    UNDONE = "undone"


class Execution(Section):
    """Section `execution`. `id` names the action in the journal; `steps` are sentences, in the order of what was done.

    `code`: which problem it failed for, where there is a stable one (docker_unreachable, docker_error, ...).
    `undo` says how to take it back, null where there is nothing to take back; `kept` is the container that was there
    before and is kept until the proof, `others` are those that were made anew with it, as they were. Times are RFC 3339
    UTC.
    """

    id: str
    status: Outcome
    reason: str | None = None
    code: str | None = None
    steps: list[str] = msgspec.field(default_factory=list)
    before: ContainerState | None = None
    after: ContainerState | None = None
    undo: str | None = None
    kept: str | None = None
    others: list[ContainerState] = msgspec.field(default_factory=list)
    begun_at: str | None = None
    ended_at: str | None = None


class Proof(StrEnum):
    """What the records before and after an action say of it."""

    RECOVERED = "recovered"
    NOT_RECOVERED = "not_recovered"
    WORSE = "worse"
    UNPROVEN = "unproven"


class Verification(Section):
    """Section `verification`: the signs of trouble that are gone, that stay, and that are new; in words."""

    proof: Proof
    gone: list[str]
    stays: list[str]
    new: list[str]
    reason: str | None = None
    action_ids: list[str] = msgspec.field(default_factory=list)
