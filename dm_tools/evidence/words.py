"""Evidence in words: what an id stands for, as people want to read it."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from dm_tools.evidence.ids import Kind, parse, resolve
from dm_tools.evidence.view import View
from dm_tools.records import ContextLine, Fine, LogLine, Mount, Page, Process, Quoted, Request, Step, SwarmTask
from dm_tools.text.shorten import short

MAX_SHOWN = 400  # characters of a page's text, and of what a tool told


def quote(value: Any) -> str:
    """What a piece of evidence says: the text of a log line or health check, the message of a probe, or the value."""
    if isinstance(value, Page):
        return "; ".join(reason.message for reason in value.reasons) or value.verdict
    if isinstance(value, Mount):
        return f"{value.type} {value.source or ''} on {value.destination}"
    if isinstance(value, SwarmTask):
        of = f" (on {value.node})" if value.node else ""
        return f"task {value.name} {value.state}{of}: {value.error or 'no error'}"
    if isinstance(value, Process):
        return f"process {value.command} in state {value.state}"
    if isinstance(value, Request):
        return f"{value.url}: {value.error or value.status_code or f'{value.duration_ms} ms'}"
    for key in ("text", "output", "message", "action"):
        if words := getattr(value, key, None):
            return str(words)
    return str(getattr(value, "status_code", value))


def told(view: View, evidence_id: str) -> Quoted:
    """When a piece of evidence appeared (None: nothing says) and what it says."""
    return Quoted(evidence_id, *_told(view, evidence_id))


def _told(view: View, evidence_id: str) -> tuple[str | None, str]:
    found, wanted = resolve(view, evidence_id), parse(evidence_id)
    if isinstance(found, LogLine):
        return found.ts, found.text
    if wanted.kind == Kind.LOGS and isinstance(found, list):
        return found[0].ts, "\n".join(line.text for line in found)
    if wanted.kind == Kind.PROBE and found is not None:
        answer = found.message or (found.note or "ok" if found.ok else "failed")
        return None, f"{found.url}: {answer}"
    if wanted.kind == Kind.SCREENSHOT and found is not None:
        words = f"{found.url}: {quote(found)}" if isinstance(found, Page) else quote(found)
        return None, short(words, MAX_SHOWN) or "(nothing)"
    if isinstance(found, Step):
        return None, f"{found.tool} told a model: {short(found.output, MAX_SHOWN)}"
    if wanted.kind == Kind.EVENT and found is not None:
        return found.ts, f"container event {found.action}"
    if wanted.of_healthcheck and found is not None:
        return found.end, f"healthcheck exit code {found.exit_code}: {found.output}"
    if isinstance(found, Mount | Process):
        return None, quote(found)
    if isinstance(found, SwarmTask):
        return found.at, quote(found)
    return None, f"{wanted.key} = {plain(found)}"


def plain(value: Any) -> str:
    """A value as JSON text: what a person expects of true, null and lists."""
    return orjson.dumps(value, default=_builtin).decode()


def _builtin(value: Any) -> Any:
    return msgspec.to_builtins(value)


def own_part(hypothesis: str, of_root: str) -> str:
    """What a symptom's hypothesis says beside that of its root, with which it ends where both are shown."""
    return hypothesis.removesuffix(f": {of_root}")


def size(number: float) -> str:
    """Bytes as people read them: 128MiB, 1.5GiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.4g}{unit}"
        number /= 1024
    return f"{number:.4g}TiB"


AROUND = 2  # log items shown before and after a cited one
NEWEST = 8  # log items shown where none is cited
CITED = 12  # of a long range of cited items, those shown


def context(view: View, evidence: list[str]) -> list[list[ContextLine]]:
    """The cited log items of this service with those around them, as runs without gaps; if none is cited, the newest.

    `evidence` of an item is the id that cites it, null for one that only stands beside it.
    """
    lines = view.logs.lines if view.logs else []
    cited: dict[str, str] = {}
    for each in evidence:
        found = resolve(view, each) if parse(each).of_own_log else None
        for line in found[:CITED] if isinstance(found, list) else [found] if found else []:
            cited.setdefault(line.id, each)
    shown = {
        near
        for place, line in enumerate(lines)
        if line.id in cited
        for near in range(place - AROUND, place + AROUND + 1)
        if 0 <= near < len(lines)
    } or set(range(max(len(lines) - NEWEST, 0), len(lines)))
    runs: list[list[ContextLine]] = []
    for place in sorted(shown):
        if place - 1 not in shown:
            runs.append([])
        line = lines[place]
        runs[-1].append(ContextLine(line.id, line.ts, line.stream, line.text, cited.get(line.id)))
    return runs


MEMORY_FINE_PERCENT = 80.0


def fine(view: View, evidence: list[str]) -> list[Fine]:
    """What was looked at in this service and is as it should be: ids and words. Nothing that the verdict cites."""
    found: list[tuple[str, str]] = []
    for check in view.probe.checks if view.probe else []:
        if check.ok:
            found.append((check.id, f"{check.url} answers" + (f" ({check.note})" if check.note else "")))
    if inspect := view.inspect:
        if inspect.state == "running":
            found.append(("inspect:state", "the container is running"))
        if not inspect.oom_killed:
            found.append(("inspect:oom_killed", "not killed for lack of memory"))
        if inspect.restart_count == 0:
            found.append(("inspect:restart_count", "never restarted by the engine"))
        if inspect.health == "healthy":
            found.append(("inspect:health", "its healthcheck passes"))
    if (swarm := view.swarm) and swarm.desired and not swarm.lacking:
        count = swarm.completed if swarm.job else swarm.running
        found.append(("swarm:running", f"{count} of {swarm.desired} tasks {'are done' if swarm.job else 'run'}"))
    if view.node and view.node.state == "ready":
        found.append(("node:state", f"the node is ready (availability: {view.node.availability})"))
    if stats := view.stats:
        if stats.memory_percent is not None and stats.memory_bytes and stats.memory_percent < MEMORY_FINE_PERCENT:
            found.append(("stats:memory_percent", f"memory is at {stats.memory_percent:g} % of its limit"))
        if stats.throttled_percent == 0:
            found.append(("stats:throttled_percent", "the processor limit was not reached"))
    return [Fine(each, text) for each, text in found if each not in evidence]
