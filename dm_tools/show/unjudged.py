"""What stands in a record that nobody has judged: a few lines of its evidence, the newest last."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dm_tools.text.late import late
from dm_tools.text.shorten import short
from dm_tools.text.times import shown
from dm_tools.text.traces import decisive

Json = dict[str, Any]

MOST_ALONE, MOST_BESIDE = 10, 3  # log items: of a record that has nothing but its log, and of one that has more
LONGEST = 400  # characters of a line
_DATED = late(r"[\[(]?\d{4}[-/]\d\d[-/]\d\d[T ]")  # a line that says itself when it was
_OTHERS = ("probe", "inspect", "stats", "screenshot")


def newest(record: Json, well: bool) -> Iterator[str]:
    """Lines of evidence; of a service that looks `well` only what was asked for, a log that came alone."""
    alone = not any(record.get(name) for name in _OTHERS)
    if not well:
        yield from _ended(_object(record.get("inspect")))
        yield from _failing(_object(record.get("probe")))
    if alone or not well:
        yield from _log(_list(_object(record.get("logs")).get("lines")), MOST_ALONE if alone else MOST_BESIDE)


def _ended(inspect: Json) -> Iterator[str]:
    """Why the container does not run, and what its healthcheck said last."""
    if inspect.get("state") not in (None, "running", "created"):
        parts = [f"exit code {inspect['exit_code']}"] if inspect.get("exit_code") is not None else []
        parts += ["killed for memory"] if inspect.get("oom_killed") else []
        parts += [str(inspect["error"])] if inspect.get("error") else []
        ended = shown(str(inspect.get("finished_at") or ""))
        if parts:
            yield short(", ".join(parts) + (f", ended {ended}" if ended else ""), LONGEST)
    checks = [str(_object(each).get("output") or "").strip() for each in _list(inspect.get("health_log"))[-1:]]
    if inspect.get("health") == "unhealthy" and any(checks):
        yield short(f"its healthcheck said last: {checks[0]}", LONGEST)


def _failing(probe: Json) -> Iterator[str]:
    for check in map(_object, _list(probe.get("checks"))):
        if not check.get("ok") and check.get("message"):
            yield short(f"{check.get('url')}: {check['message']}", LONGEST)


def _log(items: list[Any], most: int) -> Iterator[str]:
    for item in map(_object, items[-most:]):
        said, others = decisive(str(item.get("text")))
        more = f" ({len(others)} more line{'s' * (len(others) > 1)})" if others else ""
        at = f"{shown(str(item['ts']))} " if item.get("ts") and not _DATED.match(said) else ""
        yield f"{at}{short(said, LONGEST)}{more}"


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
