"""What has changed since the report before."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from dm_tools.records import Compared, Issue
from dm_tools.store import kept

LARGEST = 64 * 1024 * 1024  # bytes of a report that is read for this


class _Earlier(msgspec.Struct):
    """What is needed of a report."""

    report_id: str
    generated_at: int
    issues: list[Issue]


def before(folder: Path, name: str) -> _Earlier | None:
    """The newest enhanced report of the folder that is not called so; None if there is none, or it cannot be read."""
    names = (each for each in kept.ids(folder) if each.startswith("enhanced") and each != name)
    path = folder / f"{next(names, '')}.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Earlier) if path.stat().st_size <= LARGEST else None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def compared(earlier: _Earlier, issues: Sequence[Issue], seen: set[str]) -> Compared:
    """The issues now beside those of the report before. `seen`: the services that were looked at this time; of others
    nobody knows whether their trouble is over."""
    now, then = {_key(each): each for each in issues}, {_key(each): each for each in earlier.issues}
    return Compared(
        report_id=earlier.report_id,
        generated_at=earlier.generated_at,
        begun=[_words(each) for key, each in now.items() if key not in then],
        over=[_words(each) for key, each in then.items() if key not in now and each.service in seen],
        going_on=[_words(each) for key, each in now.items() if key in then],
    )


def _key(issue: Issue) -> str:
    return issue.fingerprint or f"{issue.service} {issue.cause}"


def _words(issue: Issue) -> str:
    return f"{issue.service}: {str(issue.cause or 'unknown').replace('_', ' ')}"
