"""Which actions a verdict calls for: a table from causes to remedies, checked against catalogue and inventory."""

from __future__ import annotations

from dataclasses import dataclass, field

from dm_tools.act.catalogue import CATALOGUE, accepts, problem
from dm_tools.records import Analysis, Cause, Confidence, Proposal, Role

# A parameter's value `$name` is what the pattern captured as `name`; without a capture the parameter is left out.
Parameters = dict[str, str]


@dataclass(frozen=True)
class Remedy:
    """One action for a cause, and how well it fits (it never gets more confident than the verdict itself)."""

    action: str
    confidence: Confidence
    reasoning: str
    parameters: Parameters = field(default_factory=dict)


HIGH, MEDIUM, LOW = Confidence.HIGH, Confidence.MEDIUM, Confidence.LOW

REMEDIES: dict[Cause, tuple[Remedy, ...]] = {
    Cause.OOM_KILLED: (
        Remedy("scale_up", HIGH, "the service needs more memory than its limit allows", {"resource": "memory"}),
        Remedy("check_logs", MEDIUM, "see what it was doing when it ran out of memory: a leak grows back"),
    ),
    Cause.CRASH_LOOP: (
        Remedy("check_logs", HIGH, "the last lines before each crash say what it dies of"),
        Remedy("rollback_image", MEDIUM, "if it began with a new version, the version before runs"),
    ),
    Cause.EXITED: (
        Remedy("start", HIGH, "it ended and nothing starts it again"),
        Remedy("check_logs", MEDIUM, "the last lines say why it ended"),
    ),
    Cause.STOPPED: (Remedy("start", HIGH, "it was stopped and is wanted again"),),
    Cause.PAUSED: (Remedy("unpause", HIGH, "its processes are frozen and wait for it"),),
    Cause.CONTAINER_MISSING: (
        Remedy("recreate", HIGH, "there is no container to start: it must be made from its configuration"),
    ),
    Cause.BAD_COMMAND: (
        Remedy(
            "fix_config", HIGH, "the command in the configuration cannot be run in this image", {"setting": "command"}
        ),
        Remedy("rollback_image", LOW, "an older image may still have the program"),
    ),
    Cause.IMAGE_MISSING: (
        Remedy("fix_config", HIGH, "the image does not exist under this name", {"setting": "image"}),
    ),
    Cause.PORT_CONFLICT: (
        Remedy("fix_config", HIGH, "free the host port or publish another one", {"port": "$port", "setting": "ports"}),
    ),
    Cause.MISSING_ENV: (
        Remedy(
            "fix_config", HIGH, "set the variable in the environment and recreate the service", {"variable": "$path"}
        ),
        Remedy("recreate", LOW, "once the variable is set, a new container gets it"),
    ),
    Cause.CONFIG_ERROR: (
        Remedy("check_config", HIGH, "it refuses its configuration", {"path": "$path"}),
        Remedy("check_logs", MEDIUM, "the log names the line or the setting"),
    ),
    Cause.WRONG_PORT: (Remedy("fix_config", HIGH, "it asks the wrong port", {"port": "$port"}),),
    Cause.AUTH_FAILURE: (
        Remedy(
            "check_credentials",
            HIGH,
            "user or password differ from what the other side knows",
            {"dependency": "$dependency", "user": "$user"},
        ),
        Remedy("fix_config", MEDIUM, "set the right credentials and recreate the service"),
    ),
    Cause.PERMISSION_DENIED: (
        Remedy("check_config", HIGH, "compare the file's owner with the user that runs it", {"path": "$path"}),
    ),
    Cause.READ_ONLY_FILESYSTEM: (
        Remedy("check_config", HIGH, "a mount is read-only, or the disk has errors", {"path": "$path"}),
    ),
    Cause.DISK_FULL: (
        Remedy("free_disk", HIGH, "nothing can be written until there is room again", {"path": "$path"}),
        Remedy("restart", LOW, "once there is room, a restart ends half-done writes"),
    ),
    Cause.MEMORY_PRESSURE: (Remedy("scale_up", MEDIUM, "it is close to its memory limit", {"resource": "memory"}),),
    Cause.CPU_SATURATED: (Remedy("scale_up", MEDIUM, "its processor limit slows it down", {"resource": "cpus"}),),
    Cause.FD_EXHAUSTED: (
        Remedy("restart", MEDIUM, "a restart closes leaked descriptors"),
        Remedy("fix_config", MEDIUM, "raise the limit of open files", {"setting": "ulimits.nofile"}),
    ),
    Cause.CONNECTION_LIMIT: (
        Remedy("check_config", HIGH, "find who holds the connections, or raise the limit"),
        Remedy("restart", MEDIUM, "a restart drops connections that nobody uses any more"),
    ),
    Cause.DNS_FAILURE: (
        Remedy("fix_config", HIGH, "the configured host name does not exist in its network", {"host": "$upstream"}),
    ),
    Cause.CONNECTION_REFUSED: (
        Remedy("check_dependencies", MEDIUM, "see whether the other side listens", {"dependency": "$dependency"}),
        Remedy("check_config", MEDIUM, "see whether host and port are right", {"port": "$port"}),
    ),
    Cause.NETWORK_DETACHED: (Remedy("reconnect_network", HIGH, "it runs, it only has no network"),),
    Cause.UPSTREAM_TIMEOUT: (
        Remedy("check_logs", HIGH, "see what it spends its time on"),
        Remedy("restart", MEDIUM, "a restart ends requests that hang"),
    ),
    Cause.DEPENDENCY_DOWN: (
        Remedy("check_dependencies", HIGH, "it works again once its dependency does", {"dependency": "$dependency"}),
    ),
    Cause.TLS_EXPIRED: (Remedy("renew_certificate", HIGH, "clients refuse the connection until there is a new one"),),
    Cause.TLS_UNTRUSTED: (
        Remedy("check_config", MEDIUM, "the certificate, its names or its chain are not what clients expect"),
    ),
    Cause.HTTP_ERROR: (Remedy("check_logs", HIGH, "the log has the error behind the answer"),),
    Cause.WRONG_CONTENT: (
        Remedy(
            "check_config",
            MEDIUM,
            "it answers, but not with what people should see: check what it serves and from where",
        ),
        Remedy("rollback_image", LOW, "if it began with a new version, the version before shows its page"),
    ),
    Cause.APP_EXCEPTION: (
        Remedy("check_logs", HIGH, "the trace names the place in the code"),
        Remedy("restart", LOW, "a restart helps only if the state is at fault, not the code"),
    ),
    Cause.SLOW_RESPONSE: (Remedy("check_logs", MEDIUM, "see what it spends its time on"),),
    Cause.UNRESPONSIVE: (
        Remedy("restart", HIGH, "a frozen or deadlocked process does not recover by itself"),
        Remedy("check_logs", MEDIUM, "its last lines say what it was doing"),
    ),
    Cause.HEALTHCHECK_BROKEN: (
        Remedy("fix_healthcheck", HIGH, "the check itself cannot run; the service need not be touched"),
    ),
    Cause.STORE_READ_ONLY: (
        Remedy("check_config", HIGH, "see why it refuses writes: its memory limit, its disk or its replica role"),
        Remedy("scale_up", LOW, "if its data are to stay, it needs more memory", {"resource": "memory"}),
    ),
    Cause.SCHEMA_MISSING: (Remedy("check_config", HIGH, "the migrations have to run first", {"path": "$path"}),),
    Cause.DATA_CORRUPTION: (
        Remedy("escalate", HIGH, "stop writing and restore from a backup; this is no place for automation"),
    ),
    Cause.SOFTWARE_DEFECT: (
        Remedy("rollback_image", MEDIUM, "if it began with a new version, the version before runs"),
        Remedy("restart", LOW, "a restart helps until the same thing happens again"),
        Remedy("escalate", LOW, "the program's own people have to correct it"),
    ),
    Cause.VERSION_MISMATCH: (
        Remedy("rollback_image", HIGH, "the two sides fit together in the versions that ran before"),
        Remedy("check_config", MEDIUM, "see which versions its documentation says work together"),
    ),
    Cause.LIMIT_EXCEEDED: (
        Remedy("fix_config", HIGH, "raise the limit that is reached, or send less", {"setting": "$setting"}),
    ),
    Cause.RATE_LIMITED: (Remedy("check_config", HIGH, "ask less often, or have the limit raised where it is set"),),
    Cause.BACKLOG: (
        Remedy("check_logs", HIGH, "see why the work is not done as fast as it comes"),
        Remedy("scale_up", LOW, "if it is only slow, more processor time helps", {"resource": "cpus"}),
    ),
    Cause.REPLICATION_BROKEN: (
        Remedy("check_logs", HIGH, "the log of both sides says where the copying stopped"),
        Remedy("check_dependencies", MEDIUM, "see whether the other side is up", {"dependency": "$dependency"}),
    ),
    Cause.QUORUM_LOST: (
        Remedy("check_dependencies", HIGH, "bring back the members that are gone", {"dependency": "$dependency"}),
        Remedy("check_logs", MEDIUM, "the log says which members do not answer"),
    ),
    Cause.LOCK_CONTENTION: (
        Remedy("check_logs", HIGH, "see who holds the lock that the others wait for"),
        Remedy("restart", LOW, "a restart lets go of the locks that it holds itself"),
    ),
    Cause.IO_ERROR: (Remedy("escalate", HIGH, "the disk or volume fails: save the data before anything else"),),
    Cause.RESOURCE_MISSING: (
        Remedy("check_config", HIGH, "what it asks for does not exist under this name", {"path": "$path"}),
    ),
    Cause.GPU_MEMORY: (
        Remedy("fix_config", HIGH, "a smaller model, batch or context fits, or fewer programs share the GPU"),
        Remedy("restart", MEDIUM, "a restart gives back GPU memory that is still held"),
    ),
    Cause.CLOCK_SKEW: (Remedy("fix_config", HIGH, "synchronise the clocks of the machines (NTP)"),),
    Cause.SETUP_INCOMPLETE: (Remedy("restart", HIGH, "a restart opens the set-up once more; finish it at once"),),
}

UNKNOWN = (
    Remedy("check_logs", MEDIUM, "no rule knows this failure: read the log"),
    Remedy("escalate", LOW, "somebody who knows the service should look"),
)

_ORDER = [HIGH, MEDIUM, LOW]


def propose(service: str, verdict: Analysis) -> list[Proposal]:
    """The actions for one service: for a root its remedies, for a symptom a look at its root, else none."""
    if verdict.role == Role.SYMPTOM and verdict.root:
        parameters = {"dependency": verdict.root.service}
        reasoning = f"it suffers from {verdict.root.service}: that is to be repaired first"
        remedy = Remedy("check_dependencies", HIGH, reasoning, parameters)
        return _proposals([remedy], verdict, {}, {service, verdict.root.service})
    if verdict.role != Role.ROOT:
        return []
    inventory = {service, *verdict.peers, *(symptom.service for symptom in verdict.symptoms)}
    captures: dict[str, str] = {}
    for finding in reversed(verdict.findings):
        if finding.cause == verdict.cause:
            captures |= finding.captures
    captures |= verdict.captures
    # What the pattern itself advises fits better than what helps against its cause in general.
    own = [Remedy(fix.action, fix.confidence, fix.reasoning, fix.parameters) for fix in verdict.fixes]
    general = list(REMEDIES.get(verdict.cause, UNKNOWN) if verdict.cause else UNKNOWN)
    if verdict.engine != "rules" and verdict.pattern is None:
        own = _ranked(general, own)
    # A remedy that names a dependency needs to know which: without it, at least somebody should look.
    for remedies in (own, general, list(UNKNOWN)):
        if found := _proposals(remedies, verdict, captures, inventory):
            return found
    return []


def _ranked(general: list[Remedy], suggested: list[Remedy]) -> list[Remedy]:
    """The remedies of a cause in a model's order and words; it can add none, and choose no parameters."""
    words = {each.action: each.reasoning for each in reversed(suggested)}
    order = [each.action for each in suggested]
    known = sorted(general, key=lambda each: order.index(each.action) if each.action in order else len(order))
    return [
        Remedy(each.action, each.confidence, words.get(each.action) or each.reasoning, each.parameters)
        for each in known
    ]


def _proposals(
    remedies: list[Remedy], verdict: Analysis, captures: dict[str, str], inventory: set[str]
) -> list[Proposal]:
    found = []
    for remedy in remedies:
        action = CATALOGUE[remedy.action]
        wanted = {key: _filled(value, captures) for key, value in remedy.parameters.items()}
        parameters = {key: value for key, value in wanted.items() if accepts(action, key, value, inventory)}
        if problem(action.name, parameters, inventory) is not None:
            continue
        confidence = max(remedy.confidence, verdict.confidence or LOW, key=_ORDER.index)
        found.append(
            Proposal(
                action=action.name,
                confidence=confidence,
                risk=action.risk,
                automatic=action.automatic,
                reasoning=remedy.reasoning,
                parameters=parameters,
                evidence=verdict.evidence,
                undo=action.undo,
            )
        )
    return found


def _filled(value: str, captures: dict[str, str]) -> str | None:
    return captures.get(value[1:]) if value.startswith("$") else value
