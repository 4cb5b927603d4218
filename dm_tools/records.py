"""The contract: what a service record holds, one typed struct per section. `dm-schema` prints it as JSON Schema.

Every key is always present (null when unknown); numbers are numbers with the unit in the name; the contract only
grows, and `v` changes only when a meaning does. A record on the wire is a plain JSON object: a command decodes just
the sections it needs and passes everything else on untouched.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeVar

import msgspec

VERSION = 1


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
    INCONCLUSIVE = "inconclusive"


class ActionName(StrEnum):
    """Stable ids of what can be proposed; dm_tools.act.catalogue says what each does, risks and needs."""

    CHECK_LOGS = "check_logs"
    CHECK_CONFIG = "check_config"
    CHECK_DEPENDENCIES = "check_dependencies"
    CHECK_CREDENTIALS = "check_credentials"
    RESTART = "restart"
    START = "start"
    UNPAUSE = "unpause"
    RECONNECT_NETWORK = "reconnect_network"
    SCALE_UP = "scale_up"
    RECREATE = "recreate"
    ROLLBACK_IMAGE = "rollback_image"
    RENEW_CERTIFICATE = "renew_certificate"
    FIX_HEALTHCHECK = "fix_healthcheck"
    FIX_CONFIG = "fix_config"
    FREE_DISK = "free_disk"
    ESCALATE = "escalate"


class ProbeError(StrEnum):
    """Why a check failed: the closed list."""

    DNS = "dns"
    NO_ADDRESS = "no_address"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    RESET = "reset"
    TIMEOUT = "timeout"
    TLS_EXPIRED = "tls_expired"
    TLS_UNTRUSTED = "tls_untrusted"
    TLS_HOSTNAME = "tls_hostname"
    TLS_ERROR = "tls_error"
    BAD_RESPONSE = "bad_response"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    HTTP_4XX = "http_4xx"
    HTTP_5XX = "http_5xx"
    NOT_RUNNING = "not_running"
    UNHEALTHY = "unhealthy"


class Status(StrEnum):
    """How a service is: `failed` gives no service, `degraded` some, `unknown` could not be measured."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Verdict(StrEnum):
    """What a rendered page is: `login` asks who we are, `not_rendered` gave the browser nothing to show."""

    OK = "ok"
    BLANK = "blank"
    ERROR_PAGE = "error_page"
    LOGIN = "login"
    LOADING = "loading"
    NOT_RENDERED = "not_rendered"


class Severity(StrEnum):
    """How much an issue matters: critical, a service is not served; warning, it is at risk; info, worth knowing."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class Confidence(StrEnum):
    """How sure a verdict is; it follows from the evidence, not from a feeling."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Role(StrEnum):
    """A service's part in an incident."""

    ROOT = "root"
    SYMPTOM = "symptom"
    HEALTHY = "healthy"
    UNKNOWN = "unknown"


class Section(msgspec.Struct):
    """The base of every part of a record: unknown keys are ignored on the way in."""


class Error(Section):
    """A failure to measure. `line` and `text` are there for an input line that was no record."""

    stage: str
    code: str
    message: str


class Certificate(Section):
    """The certificate that the server showed, whether or not it is trusted. Times are RFC 3339, UTC."""

    not_before: str
    not_after: str
    expires_in_days: float
    subject: str
    issuer: str


class Check(Section):
    """One URL's answer, id `probe:N`. `address` is the host and port that were really asked."""

    id: str
    url: str
    kind: str
    scope: str
    ok: bool
    status_code: int | None = None
    error: ProbeError | None = None
    message: str | None = None
    address: str | None = None
    redirects: int = 0
    connect_ms: float | None = None
    tls_ms: float | None = None
    first_byte_ms: float | None = None
    total_ms: float | None = None
    certificate: Certificate | None = None
    body_excerpt: str | None = None


class Probe(Section):
    """Section `probe`: a check per URL; without URLs, one check of the container's state."""

    status: Status
    checks: list[Check]


class HealthLog(Section):
    """One run of the container's healthcheck, id `inspect:health.N`. Exit code -1: it could not run or timed out."""

    exit_code: int
    output: str
    start: str | None
    end: str | None


class Event(Section):
    """Something the engine did with the container, id `event:N`, oldest first."""

    ts: str
    action: str
    exit_code: int | None = None
    signal: int | None = None


class Network(Section):
    """A network the container is attached to, and the names it answers to there."""

    name: str
    ip: str | None
    aliases: list[str]


class Port(Section):
    """A container port, and where it is published (null: it is not)."""

    container_port: int
    protocol: str
    host_ip: str | None
    host_port: int | None


class Mount(Section):
    """A mount: type bind, volume or tmpfs."""

    type: str
    source: str | None
    destination: str
    read_only: bool


class Limits(Section):
    """What the container may use; null means no limit."""

    memory_bytes: int | None
    cpus: float | None
    pids: int | None


class Inspect(Section):
    """Section `inspect`, ids `inspect:KEY`: a digest of the container as it was at `observed_at`.

    Environment by *names* only: values may be secrets.
    """

    observed_at: str
    id: str
    name: str
    image: str
    state: str
    exit_code: int | None
    error: str | None
    oom_killed: bool
    restart_count: int
    restart_policy: str
    started_at: str | None
    finished_at: str | None
    health: str | None
    failing_streak: int
    has_healthcheck: bool
    health_log: list[HealthLog]
    networks: list[Network]
    network_mode: str
    ports: list[Port]
    mounts: list[Mount]
    limits: Limits
    project: str | None
    compose_service: str | None
    depends_on: list[str]
    env_names: list[str]
    env_hosts: list[str]
    events: list[Event]


class LogLine(Section):
    """One log item, id `logs:N`; a multi-line trace is one item. `ts` is the engine's, RFC 3339 UTC."""

    id: str
    ts: str | None
    stream: str
    text: str


class Template(Section):
    """What log items have in common: the text with `<*>` for what differs, how many there are, when, and an example."""

    count: int
    first: str | None
    last: str | None
    example: str
    text: str


class Logs(Section):
    """Section `logs`: items, oldest first, and what they have in common. `truncated`: more was there than was read."""

    lines: list[LogLine]
    total_lines: int
    truncated: bool
    templates: list[Template] = msgspec.field(default_factory=list)


class Stats(Section):
    """Section `stats`, ids `stats:KEY`. `cpu_percent` is of one core: two busy cores are 200."""

    cpu_percent: float | None
    memory_bytes: int | None
    memory_limit_bytes: int | None
    memory_percent: float | None
    pids: int | None
    pids_limit: int | None
    throttled_percent: float | None
    network_rx_bytes: int | None
    network_tx_bytes: int | None
    block_read_bytes: int | None
    block_write_bytes: int | None


class Reason(Section):
    """Why a page has its verdict, or what else is wrong with it: a stable code, words, and the evidence."""

    code: str
    message: str
    evidence: list[str] = msgspec.field(default_factory=list)


class ConsoleEntry(Section):
    """What a page wrote to its console (error, warning), or did to the one who looks (dialog, popup)."""

    type: str
    text: str
    location: str | None = None


class Request(Section):
    """A request that a page made for a part of itself, and that failed or was slow."""

    url: str
    method: str
    kind: str
    status_code: int | None = None
    error: str | None = None
    duration_ms: float | None = None


class Timing(Section):
    """When a page got where, since its navigation began; `total_ms` is all that looking at it took."""

    first_byte_ms: float | None = None
    dom_content_loaded_ms: float | None = None
    load_ms: float | None = None
    total_ms: float | None = None


class Page(Section):
    """One URL as a browser shows it, id `screenshot:N`.

    Its parts: `screenshot:N.text`, `.title`, `.ocr` (read off the picture), `.console.K`, `.exception.K`,
    `.request.K` (of `failed_requests`), `.slow.K`. `path`: the picture, null if there is none. `failure`: why nothing
    could be rendered. `tls`: what is wrong with the certificate; the page is shown all the same.
    """

    id: str
    url: str
    scope: str
    verdict: Verdict
    reasons: list[Reason] = msgspec.field(default_factory=list)
    final_url: str | None = None
    status_code: int | None = None
    content_type: str | None = None
    failure: str | None = None
    tls: str | None = None
    path: str | None = None
    thumbnail_path: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    title: str | None = None
    text: str | None = None
    ocr_text: str | None = None
    dom_excerpt: str | None = None
    dom_path: str | None = None
    console: list[ConsoleEntry] = msgspec.field(default_factory=list)
    exceptions: list[str] = msgspec.field(default_factory=list)
    failed_requests: list[Request] = msgspec.field(default_factory=list)
    slow_requests: list[Request] = msgspec.field(default_factory=list)
    timing: Timing = msgspec.field(default_factory=Timing)


class Screenshot(Section):
    """Section `screenshot`: a page per http and https URL of the service."""

    status: Status
    pages: list[Page]


class Fix(Section):
    """What a pattern says helps. A parameter's value `$name` is what the pattern captured as `name`."""

    action: ActionName
    confidence: Confidence
    reasoning: str
    parameters: dict[str, str] = msgspec.field(default_factory=dict)


class Finding(Section):
    """What one pattern saw in one service. `points_to`: the service that it blames, null for this one.

    `since`: when its evidence appeared first, RFC 3339 UTC, null where nothing says when.
    """

    pattern: str
    cause: Cause
    severity: Severity
    explanation: str
    evidence: list[str]
    captures: dict[str, str]
    points_to: str | None
    since: str | None = None


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
    collected of the incident's services: what reading it in full would have taken.
    """

    model: str
    prompt: str
    outcome: str
    evidence_tokens: int
    calls: list[ModelCall]


class Analysis(Section):
    """Section `analysis`. Evidence of another service is `SERVICE/ID`, of this one just `ID`.

    `engine` is whose verdict it is: rules, hybrid or llm. `pattern` decided; `captures` are what it captured and
    `fixes` what it advises. `next`: what to look at, where the verdict is inconclusive. `notes`: what a model said that
    is not the verdict, or why it said nothing. `model` and `steps` are there on the root of an incident that one was
    asked about.
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


class Proposal(Section):
    """One proposed action. `undo` says how to take it back, null where there is nothing to undo."""

    action: str
    confidence: Confidence
    risk: str
    automatic: bool
    reasoning: str
    parameters: dict[str, Any]
    evidence: list[str]
    undo: str | None


class Service(Section, kw_only=True):
    """A whole record. Sections are null until their command has run; unknown keys are passed on untouched."""

    v: int = VERSION
    service: str
    container: str | None = None
    docker_host: str | None = None
    internal: list[str] = msgspec.field(default_factory=list)
    external: list[str] = msgspec.field(default_factory=list)
    probe: Probe | None = None
    inspect: Inspect | None = None
    logs: Logs | None = None
    stats: Stats | None = None
    screenshot: Screenshot | None = None
    analysis: Analysis | None = None
    proposals: list[Proposal] | None = None
    errors: list[Error] = msgspec.field(default_factory=list)


class _Envelope(msgspec.Struct):
    """What every command relies on in a record that comes in."""

    service: str = ""
    container: str | None = None
    docker_host: str | None = None
    internal: list[str] = []
    external: list[str] = []
    errors: list[dict[str, Any]] = []


class Problem(Exception):
    """A failure to measure one record: becomes an entry in its `errors`. `code` is stable, `message` is not."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


SectionType = TypeVar("SectionType", bound=Section)


def new(service: str, **fields: Any) -> dict[str, Any]:
    """A record as dm-services begins it."""
    record = {
        "v": VERSION,
        "service": service,
        "container": None,
        "docker_host": None,
        "internal": [],
        "external": [],
    }
    return record | fields


def problem(record: Any) -> str | None:
    """Why this JSON value cannot be a record, or None if it can."""
    try:
        msgspec.convert(record, _Envelope)
    except msgspec.ValidationError as wrong:
        return f"not a record: {wrong}"
    if not record.get("service") and not record.get("errors"):
        return "not a record: no key 'service'"
    if not str(record.get("service", "")).isprintable():
        return "not a record: the service's name is not printable"
    version = record.get("v", VERSION)
    if version != VERSION:
        return f"a record of version {version!r}; this program reads version {VERSION}"
    return None


def section(record: dict[str, Any], name: str, kind: type[SectionType]) -> SectionType | None:
    """One section of a record, typed; None if its command has not run. Raises Problem if it is malformed."""
    value = record.get(name)
    if value is None:
        return None
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as wrong:
        raise Problem("bad_section", f"section {name!r}: {wrong}") from None


def sections(record: dict[str, Any], name: str, kind: type[SectionType]) -> list[SectionType]:
    """A section that is a list, typed; empty if its command has not run. Raises Problem if it is malformed."""
    try:
        return msgspec.convert(record.get(name) or [], list[kind])  # type: ignore[valid-type]
    except msgspec.ValidationError as wrong:
        raise Problem("bad_section", f"section {name!r}: {wrong}") from None


def with_section(record: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    """The record with one more section."""
    return record | {name: msgspec.to_builtins(value)}


def error(stage: str, code: str, message: str, **more: Any) -> dict[str, Any]:
    """An entry for a record's `errors`."""
    return {"stage": stage, "code": code, "message": message} | more


def with_error(record: dict[str, Any], stage: str, code: str, message: str) -> dict[str, Any]:
    """The record with one more entry in its `errors`."""
    return record | {"errors": [*(record.get("errors") or []), error(stage, code, message)]}


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a service record."""
    found = msgspec.json.schema(Service)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "dm-tools service record",
    } | found
