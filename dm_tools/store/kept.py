"""The reports that the server shows: those of the folder, by their names, and nothing else of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson

_ID = re.compile(r"(?:enhanced|stack)_diagnostics_[0-9]{10,16}", re.ASCII)
MAX_LISTED = 200


def ids(folder: Path) -> list[str]:
    """The reports that there are, the newest first."""
    files = (path for path in folder.glob("*_diagnostics_*.json") if not path.is_symlink())
    found = {path.stem for path in files if _ID.fullmatch(path.stem)}
    return sorted(found, key=lambda each: each.rpartition("_")[2], reverse=True)[:MAX_LISTED]


def path(folder: Path, name: str, suffix: str = ".json") -> Path | None:
    """A report's file; `latest` is the newest of all, the one with the issues if there is one; `enhanced` and `stack`
    are the newest of a kind."""
    if name in ("latest", "enhanced", "stack"):
        kinds = ("enhanced", "stack") if name == "latest" else (name,)
        there = [each for each in ids(folder) if each.startswith(kinds)]
        newest = [each for each in there if each.rpartition("_")[2] == there[0].rpartition("_")[2]]
        name = min(newest, default="")  # of the same second: enhanced before stack
    if not _ID.fullmatch(name):
        return None
    found = folder / f"{name}{suffix}"
    return found if found.is_file() and not found.is_symlink() else None


def listed(folder: Path) -> list[dict[str, Any]]:
    """Every report in short: id, time, summary."""
    rows = []
    for name in ids(folder):
        try:
            head = orjson.loads((folder / f"{name}.json").read_bytes())
            rows.append({"id": name, "generated_at": head["generated_at"], "summary": head["summary"]})
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return rows


def brief(folder: Path) -> str | None:
    """The briefing of the newest run."""
    for run in sorted((folder / "runs").glob("20*T*-*"), reverse=True):
        text = run / "brief.txt"
        if text.is_file() and not text.is_symlink():
            return text.read_text("utf-8", "replace")
    return None
