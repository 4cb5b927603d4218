"""What each key of a record says, for the JSON Schema and dm-records(5). A test holds that none is missing."""

from __future__ import annotations

from typing import Any

KEYS = """
Service
  v: version of the contract; it changes only when the meaning of a key does
  service: what the service is called: in its Compose file, by its container, or its URL
  container: the container's name; null until it is known
  docker_host: the engine that the container is on; null: the usual one
  internal: URLs as containers use them among themselves
  external: URLs as everybody uses them
  outside: it is no container, so nothing is missing that Docker would know
  wanted: what the manifest wants of URLs, beside an answer
  discovered: URLs that nobody configured, and why they are asked
  probe: whether the URLs answer
  inspect: what the engine knows of the container
  logs: the newest lines of the container's log
  stats: what the container uses
  screenshot: pages as a browser shows them
  swarm: a Swarm service as its manager sees it
  node: a node of a swarm as a manager sees it
  host: the machine that the record is of, where several are looked at
  analysis: the verdict: root or symptom, the cause and its evidence
  proposals: what may be done about it
  errors: what could not be measured, and why
Swarm
  observed_at: when its manager was asked
  mode: replicated, global, replicated-job or global-job
  desired: tasks that are wanted
  running: tasks that run
  completed: of a job, tasks that are done
  restart: when a task is replaced: any, on-failure or none
  update: the state of its newest update or rollback
  update_message: what the swarm says of that
  stack: the stack that it was deployed with
  aliases: the names by which others reach it
  published: the ports that it publishes
  tasks: those that do not run now, and those that ended by themselves within half an hour, the newest first
SwarmTask
  name: the task's name
  state: the swarm's word: pending, rejected, failed, ...; or lost: the node where it ran is away
  current: it is wanted now; else it has ended, and another one has taken its place
  error: why it does not run, in the swarm's words
  exit_code: what its program ended with
  node: the host name of the node that it was given to
  at: when it came into its state
SwarmNode
  observed_at: when its manager was asked
  state: ready, down, disconnected, unknown; or leaderless: a manager that lost the majority of the others
  availability: active, or pause or drain, which somebody chose
  role: manager or worker
  message: what the swarm says of its state
  address: where the others reach it
  reachability: of a manager by the others; null of a worker
Host
  name: what it is called
  addresses: the names and addresses by which others reach what it publishes
  unreachable: why its engine gave no answer: the record stands for the machine then
Wanted
  url: the URL, as in internal or external
  status: statuses of which any will do; empty: below 400, or 401
  text: what the answer holds
  json: values of the answer's JSON, by their paths
  certificate_days: days that the certificate must still be valid
  method: GET, HEAD or OPTIONS
  headers: sent with the request; variables in them are filled in by dm-probe
  insecure: any certificate will do
  interval_s: seconds after which it is asked again
Discovered
  url: the URL; dm-probe corrects it to what is spoken there
  chosen: why it is asked
  guessed: the scheme is a guess
  named: the host is a name that the service was given, so a certificate must be for it
  optional: nobody promised that somebody answers
  addresses: hosts and ports to connect to, the first that accepts
Probe
  status: how the service is, by its checks
  checks: a check per URL, or one of the container's state
Check
  id: its evidence id, probe:N
  url: what was asked
  kind: http, tcp (only connected to), tls (and its certificate read), h2 (HTTP/2 only) or container
  scope: internal or external
  ok: whether all is well
  status_code: the HTTP status, at the end of redirects
  error: why it failed, from the closed list
  message: the same in words
  address: the host and port that were really asked
  redirects: how many were followed
  connect_ms: milliseconds until the connection was there
  tls_ms: milliseconds of the TLS handshake
  first_byte_ms: milliseconds until the answer began
  total_ms: milliseconds in all
  certificate: the certificate that was shown
  body_excerpt: the beginning of the answer, its secrets masked
  content_type: the media type of the answer
  note: what is unusual and no failure
  chosen: why a URL is asked that nobody configured
Certificate
  not_before: valid from (RFC 3339, UTC)
  not_after: valid until (RFC 3339, UTC)
  expires_in_days: days until then; negative: it is past
  subject: whom it is for
  issuer: who signed it
  names: the DNS names that it is for
Inspect
  observed_at: when the engine was asked (RFC 3339, UTC)
  id: the container's id
  name: the container's name
  image: the image as it was named when the container was made
  state: created, running, paused, restarting, exited, dead or removing
  exit_code: with what it ended last
  error: why the engine could not start it
  oom_killed: the kernel killed it for lack of memory
  restart_count: how often the engine has started it again
  restart_policy: when the engine does: no, on-failure, always, unless-stopped
  started_at: when it was started last
  finished_at: when it ended last
  health: what its healthcheck says: starting, healthy, unhealthy; null: it has none
  failing_streak: healthchecks that failed in a row
  has_healthcheck: whether it has one
  health_log: its last runs, oldest first
  networks: the networks that it is attached to
  network_mode: bridge, host, none, container:ID or a network's name
  ports: its ports, and where they are published
  mounts: its volumes and bound folders
  limits: what it may use
  project: its Compose project
  compose_service: its name in the Compose file
  depends_on: services that Compose starts before it
  env_names: the names of its environment's variables; never their values
  env_hosts: hosts and ports that those values point to
  events: what the engine did with it lately, oldest first
  events_since: how far back the engine remembers events; null: unknown
  conditions: what Compose waits for, by the service that is depended on
  processes: what runs in it
  network_owner: the container whose network it shares
  labels: its labels whose names begin with "dm-tools."
HealthLog
  exit_code: 0: healthy; -1: it could not run, or took too long
  output: what it printed
  start: when it began
  end: when it ended
Network
  name: the network's name
  ip: its address there
  aliases: names that it answers to there
Port
  container_port: the port inside
  protocol: tcp, udp or sctp
  host_ip: the address that it is published on; null: it is not
  host_port: the port that it is published as; null: it is not
Mount
  type: bind, volume or tmpfs
  source: the folder of the machine, or the volume's name
  destination: where it is in the container
  read_only: it cannot be written to
Limits
  memory_bytes: bytes of memory
  cpus: processors, as 1.5
  pids: processes and threads
Event
  ts: when (RFC 3339, UTC)
  action: what happened: start, die, oom, kill, health_status, ...
  exit_code: of die, with what it ended
  signal: of kill, which signal
Process
  state: the letter of ps
  command: its program's name
NetworkOwner
  id: the container's id
  name: its name; null: it is gone
  state: its state; null: it is gone
  started_at: when it was started last
Logs
  lines: items, oldest first
  total_lines: lines that they are made of
  truncated: more was there than was read
  templates: what the items have in common
LogLine
  id: its evidence id, logs:N
  ts: when the engine got it (RFC 3339, UTC)
  stream: stdout or stderr
  text: the text, its secrets masked; a trace is in one piece
Template
  count: how many items
  first: when the first came
  last: when the last came
  example: the evidence id of one of them
  text: the text, with <*> for what differs
Stats
  cpu_percent: of one processor: two busy ones are 200
  memory_bytes: bytes of memory, without what is only cached
  memory_limit_bytes: how much it may use
  memory_percent: of that limit
  pids: processes and threads
  pids_limit: how many it may have
  throttled_percent: periods in which its limit of processor time held it back, of 100
  network_rx_bytes: bytes received since its start
  network_tx_bytes: bytes sent since its start
  block_read_bytes: bytes read from disks since its start
  block_write_bytes: bytes written to disks since its start
Screenshot
  status: how the service is, by its pages
  pages: a page per http and https URL
Page
  id: its evidence id, screenshot:N
  url: what was asked
  scope: internal or external
  verdict: what it is: ok, blank, error_page, login, loading or not_rendered
  reasons: why it has that verdict, and what else is wrong with it
  final_url: where it led to
  status_code: the HTTP status of the document
  content_type: the media type of the document
  failure: why nothing could be rendered
  tls: what is wrong with the certificate; the page is shown all the same
  path: the picture; null: there is none
  thumbnail_path: the same, small
  sha256: of the picture
  size_bytes: of the picture
  title: the document's title
  text: what it shows as text
  ocr_text: what was read off the picture
  dom_excerpt: the beginning of the document
  dom_path: the whole document, where it was to be kept
  console: what it wrote to its console
  exceptions: errors of its scripts
  failed_requests: requests for parts of itself that failed
  slow_requests: those that were slow
  timing: when it got where
Reason
  code: stable, for programs
  message: for people
  evidence: the ids of what shows it
ConsoleEntry
  type: error, warning, dialog or popup
  text: what it wrote
  location: where in which script
Request
  url: what was asked
  method: GET, POST, ...
  kind: document, script, image, fetch, ...
  status_code: the HTTP status; null: there was no answer
  error: why there was none
  duration_ms: milliseconds that it took
Timing
  first_byte_ms: milliseconds until the document began
  dom_content_loaded_ms: milliseconds until it was read
  load_ms: milliseconds until all of it was loaded
  total_ms: milliseconds that looking at it took
Analysis
  engine: whose verdict it is: rules, hybrid or llm
  status: how the service is
  role: root, symptom, healthy or unknown
  cause: why it fails, from the closed list
  root: where the trouble comes from, and the way there
  severity: how bad it is
  confidence: how sure that is
  hypothesis: the verdict as a sentence
  evidence: the ids of what shows it; SERVICE/ID: in another one's record
  findings: all that patterns saw
  symptoms: of a root, the services that fail because of it
  peers: services that it needs or that need it
  looked_at: what there was to look at
  next: what to look at, where the verdict is inconclusive
  pattern: the pattern that decided
  captures: what that captured
  fixes: what that advises
  since: since when the evidence is there
  notes: what a model said that is not the verdict, or why it said nothing
  model: what a model was asked about the incident
  steps: what that model looked at
  complaints: what it says that made no issue
Root
  service: the service that is the root
  path: the way there from this one, both ends included
Finding
  pattern: the pattern's id
  cause: what it says of the cause
  severity: how bad that is
  explanation: the same as a sentence
  evidence: the ids of what it saw
  captures: what it captured: a host, a port, a user, ...
  points_to: the service that it blames; null: this one
  since: when its evidence appeared first
  occasions: on how many it was seen, at most 24
  over: it was true, and nothing tells that it still is
Fix
  action: what to do, from the catalogue
  confidence: how sure it is that it helps
  reasoning: why it should
  parameters: what the action needs to know
ModelUse
  model: the model's name
  prompt: name, version and hash of the text that it was asked with
  outcome: verdict, agrees, note, rejected or no_answer
  evidence_tokens: about what reading all the evidence would have taken
  calls: its calls
  sent_to: the endpoint, if evidence left this machine
ModelCall
  prompt_tokens: tokens that it was told
  completion_tokens: tokens that it said
  ms: milliseconds that it took
  mode: how the answer was asked for
Step
  id: its evidence id, step:N
  tool: the tool that was called
  arguments: what it was told
  output: what the model saw of it
  error: why there is no output
  ms: milliseconds that it took
Complaint
  text: what it complains of, and how often
  pattern: the pattern that saw it
  severity: how bad it is
  evidence: the ids of what was seen
  occasions: on how many it was seen
  since: when it came first
  until: when it came last
Proposal
  action: what to do, from the catalogue
  confidence: how sure it is that it helps
  risk: read_only, reversible, disruptive or manual
  automatic: it may need no person, once it is confident enough
  reasoning: why it should help
  parameters: what the action needs to know
  evidence: the ids of what calls for it
  undo: how to take it back; null: there is nothing to undo
Error
  stage: the command that could not measure
  code: stable, for programs
  message: for people
Marker
  v: version of the contract
  round: the round that it ends
  errors: what could not be seen in it
Round
  number: counted from 1
  at: when it began (RFC 3339, UTC)
  services: how many records it consists of
  late_s: seconds that it began later than it should
  because: what made it begin early
"""


def keys() -> dict[str, dict[str, str]]:
    """The descriptions, by struct and key."""
    found: dict[str, dict[str, str]] = {}
    own: dict[str, str] = {}
    for line in KEYS.strip().splitlines():
        if line.startswith(" "):
            key, _, text = line.strip().partition(": ")
            own[key] = text
        else:
            own = found.setdefault(line, {})
    return found


def describe(definitions: dict[str, Any]) -> None:
    """Add its description to each key of a JSON Schema's `$defs`."""
    known = keys()
    for name, definition in definitions.items():
        for key, value in (definition.get("properties") or {}).items():
            if text := known.get(name, {}).get(key):
                value["description"] = text
