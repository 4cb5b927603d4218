"""How long what is kept stays: old segments of the history are merged, and what is older than the policy says goes.

A kill at any point loses no event that should stay: the merged segment is on the disk before those that it was made of
go, and what is there twice counts once.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from dm_tools.pipe import clock
from dm_tools.records import Keep
from dm_tools.store import files
from dm_tools.store.history import History, machine, month

DAY = 86400.0
MERGED = "0000"  # the number of the segment that a month's are merged into; writers begin with 1
PICTURES = ("*.png", "*.jpg", "*.jpeg", "*.txt", "*.html", "*.json")


def changed(keep: Keep, words: Iterable[str]) -> Keep:
    """What words such as reports=30 say otherwise; 0 is for ever. Raises ValueError with the word that is none."""
    found: dict[str, int] = {}
    for word in words:
        name, _, days = word.partition("=")
        if name not in Keep.__struct_fields__ or not days.isdecimal():
            raise ValueError(word)
        found[name] = int(days)
    return msgspec.structs.replace(keep, **found)


class Removed(msgspec.Struct):
    """What a compaction did, in numbers of files, and of events left out: old ones and those that were there twice."""

    segments: int = 0
    merged_into: int = 0
    events_kept: int = 0
    events_old: int = 0
    events_twice: int = 0
    reports: int = 0
    screenshots: int = 0
    runs: int = 0


class _Line(msgspec.Struct):
    """What a line must say to stay: also one that a newer version wrote."""

    at: str
    id: str = ""


def compact(proofs_dir: Path, keep: Keep) -> Removed:
    """Merge this machine's closed segments of each month, and let go what is too old. Raises files.CannotWrite."""
    done = Removed()
    kept = History(proofs_dir)
    oldest = clock.rfc3339(clock.now() - keep.history * DAY) if keep.history else ""
    own = [path for path in kept.segments() if path.name.startswith(f"{machine()}-2")]
    today = clock.rfc3339(clock.now())[:10]
    closed = [path for path in own if today not in path.name]
    for name, paths in itertools.groupby(closed, month):
        _merge(list(paths), kept.folder / f"{machine()}-{name}-01-{MERGED}.jsonl", oldest, done)
    reviewed = {path.stem.removeprefix("review_enhanced-") for path in proofs_dir.glob("review_*.jsonl")}
    done.reports = _old(proofs_dir, ("stack_diagnostics_*", "enhanced_diagnostics_*"), keep.reports, reviewed)
    done.screenshots = _old(proofs_dir / "screenshots", PICTURES, keep.screenshots)
    done.runs = _old(proofs_dir / "runs", ("20*T*-*",), keep.runs)
    if kept.folder.is_dir():
        files.replace(kept.folder / "compacted", [msgspec.json.encode(done)])  # its time tells the session when it was
    return done


def _merge(paths: list[Path], target: Path, oldest: str, done: Removed) -> None:
    with contextlib.ExitStack() as held:
        mine = [path for path in paths if held.enter_context(files.locked(path))]
        found: dict[str, tuple[str, bytes]] = {}
        old = twice = 0
        for line in itertools.chain.from_iterable(map(_lines, mine)):
            try:
                known = msgspec.json.decode(line, type=_Line)
            except files.NO_LINE:
                continue  # torn by a kill: it was never acknowledged
            key = known.id or line.decode("utf-8", "replace")
            old, twice = old + (known.at < oldest), twice + (key in found)
            if known.at >= oldest:
                found[key] = known.at, line
        if (mine == [target] and not (old or twice)) or (target in paths and target not in mine):
            return  # nothing to do, or somebody else is at it
        if found:
            files.replace(target, (line for _, line in sorted(found.values(), key=lambda each: each[0])))
        for path in mine:
            if path != target or not found:
                files.remove(path)
        done.segments += len(mine)
        done.merged_into += bool(found)
        done.events_kept += len(found)
        done.events_old += old
        done.events_twice += twice


def _lines(path: Path) -> Iterator[bytes]:
    with files.opened(path) as file:
        for line in file:
            if line.endswith(b"\n"):
                yield line


def _old(folder: Path, names: tuple[str, ...], days: float, but: Iterable[str] = ()) -> int:
    """Remove what is older, of our own names only and none that ends in `but`; a link is removed, not followed."""
    before, count = time.time() - days * DAY, 0
    for path in itertools.chain.from_iterable(folder.glob(name) for name in names) if days else ():
        with contextlib.suppress(OSError):
            if path.lstat().st_mtime >= before or path.stem.rpartition("_")[2] in but:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
            count += 1
    return count
