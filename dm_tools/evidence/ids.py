"""Evidence ids: what one of them stands for in a service's record."""

from __future__ import annotations

import re
from typing import Any

from dm_tools.evidence.view import View
from dm_tools.records import LogLine, Page
from dm_tools.text.times import parse_time

EVIDENCE = re.compile(r"^(probe|logs|event|inspect|stats|screenshot|step):([A-Za-z0-9_.]{1,80}|\d{1,9}-\d{1,9})\Z")


def resolve(view: View, evidence_id: str) -> Any:
    """What an evidence id of this service stands for; None if it stands for nothing."""
    match = EVIDENCE.match(evidence_id)
    if not match:
        return None
    kind, key = match[1], match[2]
    if kind == "probe" and view.probe:
        return next((check for check in view.probe.checks if check.id == evidence_id), None)
    if kind == "logs" and view.logs:
        if "-" in key:
            return _range(view.logs.lines, evidence_id)
        return next((line for line in view.logs.lines if line.id == evidence_id), None)
    if kind == "event" and view.inspect and key.isdigit():
        return dict(enumerate(view.inspect.events)).get(int(key))
    if kind == "inspect" and view.inspect:
        head, _, index = key.partition(".")
        if head in _NUMBERED and index.isdigit():
            return dict(enumerate(getattr(view.inspect, _NUMBERED[head]))).get(int(index))
        return getattr(view.inspect, key, None) if key in view.inspect.__struct_fields__ else None
    if kind == "step":
        return next((step for step in view.steps if step.id == evidence_id), None)
    if kind == "stats" and view.stats and key in view.stats.__struct_fields__:
        return getattr(view.stats, key)
    if kind == "screenshot":
        return _shown(view.pages, key)
    return None


_NUMBERED = {"health": "health_log", "mounts": "mounts", "processes": "processes"}
_PARTS = {"console": "console", "exception": "exceptions", "request": "failed_requests", "slow": "slow_requests"}


def _shown(pages: list[Page], key: str) -> Any:
    """A page (`0`), what it says (`0.text`, `0.title`, `0.ocr`), or an entry of it (`0.console.2`); else None."""
    number, _, part = key.partition(".")
    found = next((each for each in pages if each.id == f"screenshot:{number}"), None)
    name, _, index = part.partition(".")
    if found is None or not part:
        return found
    if part in ("text", "title", "ocr"):
        return found.ocr_text if part == "ocr" else getattr(found, part)
    entries = getattr(found, _PARTS[name]) if name in _PARTS else []
    return dict(enumerate(entries)).get(int(index)) if index.isdecimal() else None


def _range(lines: list[LogLine], evidence_id: str) -> list[LogLine] | None:
    """The log items from one to another, both included (`logs:10-20`); None unless both are there, in that order."""
    begin, end = evidence_id.partition(":")[2].split("-")
    places = {line.id: place for place, line in enumerate(lines)}
    first, last = places.get(f"logs:{begin}"), places.get(f"logs:{end}")
    return lines[first : last + 1] if first is not None and last is not None and first <= last else None


def time_of(value: Any) -> str | None:
    """When a piece of evidence appeared, if it says so: a log line, an event, a health check."""
    stamp = getattr(value, "ts", None) or getattr(value, "start", None)
    return stamp if isinstance(stamp, str) and parse_time(stamp) is not None else None
