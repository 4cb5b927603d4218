"""What lies in a container outside of its image and its volumes: one that is made anew has it not."""

from __future__ import annotations

from dm_tools.act import state
from dm_tools.act.state import Inspected
from dm_tools.engine import reading
from dm_tools.engine.connection import Engine
from dm_tools.records import Problem
from dm_tools.text.times import parse_time

LOOKED_AT = 100  # files that are asked for one by one
NAMED = 3
_MAKING_SECONDS = 5.0  # Compose puts them in between making and starting it
_WRITE_BITS = 0o222


def put_in(engine: Engine, raw: Inspected) -> str | None:
    """A file that Compose has put into a container, None if none is seen.

    Configs with `content` or `environment`, and secrets with `environment`, are no mounts: Compose (v2.23 to v5.6.1)
    copies them in before the first start, read-only, and no label tells of them. A program hardly ever writes files
    that nobody may write while it is being made.
    """
    made = parse_time(raw.get("Created"))
    if made is None or "com.docker.compose.project" not in state.labels(raw):
        return None
    try:
        for path in _added(engine, raw)[:LOOKED_AT]:
            found = reading.stat(engine, raw["Id"], path)
            changed = parse_time(found.get("mtime"))
            mode = int(found.get("mode") or 0)
            is_file = mode >> 9 == 0  # Go's bits above the permissions tell of folders, links, devices
            if is_file and not mode & _WRITE_BITS and changed and -1 <= changed - made <= _MAKING_SECONDS:
                return path
    except Problem:  # what cannot be looked at is told beforehand
        return None
    return None


def told(engine: Engine, raw: Inspected) -> list[str]:
    """What a person should know of it, in words."""
    try:
        paths = _added(engine, raw)
    except Problem as unread:
        return [f"what was written into it outside of its volumes is not in the new one: {unread.message}"]
    if not paths:
        return []
    more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
    return [f"what was written into it outside of its volumes is not in the new one: {', '.join(paths[:NAMED])}{more}"]


def _added(engine: Engine, raw: Inspected) -> list[str]:
    """The files and the empty folders that are there and in no layer of the image. Raises Problem."""
    paths = sorted(each["Path"] for each in reading.changes(engine, raw["Id"]) if each.get("Kind") == 1)
    mounts = tuple(f"{each['Destination'].rstrip('/')}/" for each in raw.get("Mounts") or [])
    folders = {path.rpartition("/")[0] for path in paths}
    ends = [path for path in paths if path not in folders]
    return [path for path in ends if path.isprintable() and not f"{path}/".startswith(mounts)]
