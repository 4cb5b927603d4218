"""Verdicts: what judgement says of a service."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from dm_tools.records.action import Confidence, Fix
from dm_tools.records.base import Section
from dm_tools.records.evidence import Status


class Cause(StrEnum):
    """Stable ids of what can be wrong. Added to when a fault needs it, never reused for another meaning."""

    OOM_KILLED = "oom_killed"
    CRASH_LOOP = "crash_loop"
    EXITED = "exited"
    STOPPED = "stopped"
    PAUSED = "paused"
    CONTAINER_MISSING = "container_missing"
    BAD_COMMAND = "bad_command"
    IMAGE_MISSING = "image_missing"
    PORT_CONFLICT = "port_conflict"
    MISSING_ENV = "missing_env"
    CONFIG_ERROR = "config_error"
    WRONG_PORT = "wrong_port"
    AUTH_FAILURE = "auth_failure"
    PERMISSION_DENIED = "permission_denied"
    READ_ONLY_FILESYSTEM = "read_only_filesystem"
    DISK_FULL = "disk_full"
    MEMORY_PRESSURE = "memory_pressure"
    CPU_SATURATED = "cpu_saturated"
    FD_EXHAUSTED = "fd_exhausted"
    CONNECTION_LIMIT = "connection_limit"
    DNS_FAILURE = "dns_failure"
    CONNECTION_REFUSED = "connection_refused"
    NETWORK_DETACHED = "network_detached"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    DEPENDENCY_DOWN = "dependency_down"
    TLS_EXPIRED = "tls_expired"
    TLS_UNTRUSTED = "tls_untrusted"
    HTTP_ERROR = "http_error"
    APP_EXCEPTION = "app_exception"
    WRONG_CONTENT = "wrong_content"
    SLOW_RESPONSE = "slow_response"
    UNRESPONSIVE = "unresponsive"
    HEALTHCHECK_BROKEN = "healthcheck_broken"
    STORE_READ_ONLY = "store_read_only"
    SCHEMA_MISSING = "schema_missing"
    DATA_CORRUPTION = "data_corruption"
    SOFTWARE_DEFECT = "software_defect"
    VERSION_MISMATCH = "version_mismatch"
    LIMIT_EXCEEDED = "limit_exceeded"
    RATE_LIMITED = "rate_limited"
    BACKLOG = "backlog"
    REPLICATION_BROKEN = "replication_broken"
    QUORUM_LOST = "quorum_lost"
    LOCK_CONTENTION = "lock_contention"
    IO_ERROR = "io_error"
    RESOURCE_MISSING = "resource_missing"
    GPU_MEMORY = "gpu_memory"
    CLOCK_SKEW = "clock_skew"
    SETUP_INCOMPLETE = "setup_incomplete"
    UNSCHEDULABLE = "unschedulable"
    HOST_DOWN = "host_down"
    INCONCLUSIVE = "inconclusive"


class Severity(StrEnum):
    """How much an issue matters: critical, a service is not served; warning, it is at risk; info, worth knowing."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"

    @property
    def order(self) -> int:
        """Its place, the worst first: what lists are sorted by."""
        return list(Severity).index(self)


class Role(StrEnum):
    """A service's part in an incident."""

    ROOT = "root"
    SYMPTOM = "symptom"
    HEALTHY = "healthy"
    UNKNOWN = "unknown"


class Finding(Section):
    """What one pattern saw in one service. `points_to`: the service that it blames, null for this one.

    `since`: when its evidence appeared first, RFC 3339 UTC, null where nothing says when. `occasions`: on how many it
    was seen (at most 24 are looked at); `over`: it was true, and nothing tells that it still is.
    """

    pattern: str
    cause: Cause
    severity: Severity
    explanation: str
    evidence: list[str]
    captures: dict[str, str]
    points_to: str | None
    since: str | None = None
    occasions: int = 1
    over: bool = False


class Complaint(Section):
    """What a service complains of that made no issue: nobody is seen to fail because of it.

    `text` tells how often; `since` and `until` are RFC 3339 UTC, null where nothing says when.
    """

    text: str
    pattern: str
    severity: Severity
    evidence: list[str]
    occasions: int
    since: str | None
    until: str | None


class Root(Section):
    """Where the trouble comes from: the service, and the way there from this one (both ends included)."""

    service: str
    path: list[str]


class Step(Section):
    """One call of a tool by the model, id `step:N`. `output` is what the model saw; `error` why there is none."""

    id: str
    tool: str
    arguments: dict[str, Any]
    output: str
    error: str | None
    ms: float


class ModelCall(Section):
    """One call of a model. Tokens as the endpoint counted them; `mode`: how the answer was asked for."""

    prompt_tokens: int
    completion_tokens: int
    ms: float
    mode: str


class ModelUse(Section):
    """What a model was asked about an incident. `prompt`: name, version and hash of the text that it was asked with.

    `outcome` is verdict, agrees, note, rejected or no_answer; `evidence_tokens` are about those of everything that was
    collected of the incident's services: what reading it in full would have taken. `sent_to`: the endpoint, if evidence
    left this machine for it.
    """

    model: str
    prompt: str
    outcome: str
    evidence_tokens: int
    calls: list[ModelCall]
    sent_to: str | None = None


class Analysis(Section):
    """Section `analysis`. Evidence of another service is `SERVICE/ID`, of this one just `ID`.

    `engine` is whose verdict it is: rules, hybrid or llm. `pattern` decided; `captures` are what it captured and
    `fixes` what it advises. `next`: what to look at, where the verdict is inconclusive. `notes`: what a model said that
    is not the verdict, or why it said nothing. `model` and `steps` are there on the root of an incident that one was
    asked about. `complaints` of a service that takes part in no incident: what it says that made no issue.
    """

    engine: str
    status: Status
    role: Role
    cause: Cause | None
    root: Root | None
    severity: Severity | None
    confidence: Confidence | None
    hypothesis: str | None
    evidence: list[str]
    findings: list[Finding]
    symptoms: list[Root]
    peers: list[str]
    looked_at: list[str]
    next: list[str] = msgspec.field(default_factory=list)
    pattern: str | None = None
    captures: dict[str, str] = msgspec.field(default_factory=dict)
    fixes: list[Fix] = msgspec.field(default_factory=list)
    since: str | None = None
    notes: list[str] = msgspec.field(default_factory=list)
    model: ModelUse | None = None
    steps: list[Step] = msgspec.field(default_factory=list)
    complaints: list[Complaint] = msgspec.field(default_factory=list)
