"""Evidence: what the collecting commands write into a record, one typed struct per section."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from dm_tools.records.base import Section


class ProbeError(StrEnum):
    """Why a check failed: the closed list."""

    DNS = "dns"
    NO_ADDRESS = "no_address"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    RESET = "reset"
    TIMEOUT = "timeout"
    TLS_EXPIRED = "tls_expired"
    TLS_NOT_YET_VALID = "tls_not_yet_valid"
    TLS_UNTRUSTED = "tls_untrusted"
    TLS_HOSTNAME = "tls_hostname"
    TLS_CLIENT_CERTIFICATE = "tls_client_certificate"
    TLS_ERROR = "tls_error"
    SPEAKS_PLAIN_HTTP = "speaks_plain_http"
    SPEAKS_TLS = "speaks_tls"
    BAD_RESPONSE = "bad_response"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    HTTP_4XX = "http_4xx"
    HTTP_5XX = "http_5xx"
    UNEXPECTED_ANSWER = "unexpected_answer"  # it answers, and not as the manifest wants it
    TLS_EXPIRES_SOON = "tls_expires_soon"
    NOT_RUNNING = "not_running"
    UNHEALTHY = "unhealthy"
    NOT_ALLOWED = "not_allowed"  # nobody meant it to be asked: a page leads there


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


class Error(Section):
    """A failure to measure. `line` and `text` are there for an input line that was no record."""

    stage: str
    code: str
    message: str


class Discovered(Section):
    """A URL that nobody configured: `dm-services --discover` chose it, and `chosen` says why.

    `guessed`: the scheme is a guess; dm-probe finds out what is spoken and corrects the URL. `named`: the host is a
    name that the service was given (a proxy's label), so a certificate must be for it. `optional`: nobody promised that
    somebody answers; if nobody does, it is no check. `addresses`: the hosts and ports to connect to, the first that
    accepts, whatever the URL's host means.
    """

    url: str
    chosen: str
    guessed: bool = False
    named: bool = False
    optional: bool = False
    addresses: list[str] = msgspec.field(default_factory=list)


class Wanted(Section):
    """What the manifest wants of a URL. `status`: any of these. `text`: the answer holds it. `json`: values by their
    paths (`db.status`). `certificate_days`: that many more it must be valid. `insecure`: any certificate will do.
    `headers`: `${NAME}` in them is filled in by dm-probe. `interval_s`: asked again no sooner.
    """

    url: str
    status: list[int] = msgspec.field(default_factory=list)
    text: str | None = None
    json: dict[str, str | int | float | bool | None] = msgspec.field(default_factory=dict)
    certificate_days: int | None = None
    method: str = "GET"
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    insecure: bool = False
    interval_s: float | None = None


class Certificate(Section):
    """The certificate that the server showed, whether or not it is trusted. Times are RFC 3339, UTC.

    `names`: the DNS names that it is for, `*.` included.
    """

    not_before: str
    not_after: str
    expires_in_days: float
    subject: str
    issuer: str
    names: list[str] = msgspec.field(default_factory=list)


class Check(Section):
    """One URL's answer, id `probe:N`. `address` is the host and port that were really asked.

    `kind`: http, tcp (only connected to), tls (and its certificate read), h2 (it speaks HTTP/2 only, so no status was
    read), container (its state). `note`: what is unusual and no failure. `chosen`: why a URL is asked that nobody
    configured.
    """

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
    content_type: str | None = None
    note: str | None = None
    chosen: str | None = None


class Probe(Section):
    """Section `probe`: a check per URL; without URLs, one check of the container's state."""

    status: Status
    checks: list[Check]


def container_fine(state: object, health: object) -> bool:
    """Whether a container runs and no healthcheck of it fails, or has yet to say something."""
    return state == "running" and health in (None, "healthy")


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


class Process(Section):
    """A process of the container, id `inspect:processes.N`, the first started first; `command` is its program's name.

    `state` is the letter of ps: R runs, S waits, D waits for a disk, T is stopped by a signal, Z has ended.
    """

    state: str
    command: str


class NetworkOwner(Section):
    """The container whose network this one shares; `name` and `state` null: there is no such container any more."""

    id: str
    name: str | None
    state: str | None
    started_at: str | None


class Limits(Section):
    """What the container may use; null means no limit."""

    memory_bytes: int | None
    cpus: float | None
    pids: int | None


class Inspect(Section):
    """Section `inspect`, ids `inspect:KEY`: a digest of the container as it was at `observed_at`.

    Environment by *names* only: values may be secrets. `events_since`: how far back the engine remembers events (null:
    unknown); that none is there tells nothing of the time before. `conditions`: what Compose waits for, by the name of
    the service that is depended on (service_started, service_healthy, service_completed_successfully). `labels`: those
    that begin with `dm-tools.`, and no others.
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
    events_since: str | None = None
    conditions: dict[str, str] = msgspec.field(default_factory=dict)
    processes: list[Process] = msgspec.field(default_factory=list)
    network_owner: NetworkOwner | None = None
    labels: dict[str, str] = msgspec.field(default_factory=dict)


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
