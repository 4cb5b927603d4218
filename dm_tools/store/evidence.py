"""Evidence in words: what an id stands for, as people want to read it."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from dm_tools.diagnose.facts import quote, short
from dm_tools.diagnose.view import View, resolve
from dm_tools.records import LogLine, Page

MAX_SHOWN = 400  # characters of a page's text


def told(view: View, evidence_id: str) -> dict[str, Any]:
    """When a piece of evidence appeared (null: nothing says) and what it says."""
    found = resolve(view, evidence_id)
    if isinstance(found, LogLine):
        return {"at": found.ts, "text": found.text}
    if evidence_id.startswith("logs:") and isinstance(found, list):
        return {"at": found[0].ts, "text": "\n".join(line.text for line in found)}
    if evidence_id.startswith("probe:") and found is not None:
        answer = found.message or ("ok" if found.ok else "failed")
        return {"at": None, "text": f"{found.url}: {answer}"}
    if evidence_id.startswith("screenshot:") and found is not None:
        words = f"{found.url}: {quote(found)}" if isinstance(found, Page) else quote(found)
        return {"at": None, "text": short(words, MAX_SHOWN) or "(nothing)"}
    if evidence_id.startswith("event:") and found is not None:
        return {"at": found.ts, "text": f"container event {found.action}"}
    if evidence_id.startswith("inspect:health.") and found is not None:
        return {"at": found.end, "text": f"healthcheck exit code {found.exit_code}: {found.output}"}
    return {"at": None, "text": f"{evidence_id.partition(':')[2]} = {plain(found)}"}


def plain(value: Any) -> str:
    """A value as JSON text: what a person expects of true, null and lists."""
    return orjson.dumps(value, default=_builtin).decode()


def _builtin(value: Any) -> Any:
    return msgspec.to_builtins(value)
