"""Where a policy lies, what persons signed, and outcomes in a file."""

from __future__ import annotations

import getpass
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from dm_tools.pipe import clock, configs, settings
from dm_tools.records import Acceptance, ActionOutcome, Promotion
from dm_tools.store import files
from dm_tools.store.history import History

Kind = TypeVar("Kind", bound=msgspec.Struct)


class Unusable(Exception):
    """A file cannot be used; the message names it and says why."""


def shipped() -> Path:
    """The policy that comes with the tools, which approves nothing."""
    return configs.folder("") / "policy.toml"


def path_of(given: Path | None) -> Path:
    """The policy that counts: the one that was named, or the user's own beside the settings, or the shipped one."""
    own = settings.own_files()[0].with_name("policy.toml")
    return given or (own if own.exists() else shipped())


def text_of(path: Path) -> str:
    """A policy file's text. One that everybody may write, or that is somebody else's, is refused. Raises Unusable."""
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            data = file.read()
    except OSError as failure:
        raise Unusable(f"cannot read {str(path)!r}: {(failure.strerror or '').lower()}") from None
    if path != shipped():
        if found.st_mode & stat.S_IWOTH:
            raise Unusable(f"{str(path)!r} may be written by everybody: chmod o-w it")
        if found.st_uid not in (0, os.geteuid()) and os.geteuid() != 0:
            raise Unusable(f"{str(path)!r} is somebody else's")
    try:
        return data.decode()
    except UnicodeDecodeError as wrong:
        raise Unusable(f"{str(path)!r} is no text in UTF-8: {wrong.reason} at byte {wrong.start}") from None


class Signatures:
    """`policy/accepted.jsonl` in the folder of the reports: what persons accepted and revoked, one synced line each."""

    def __init__(self, proofs_dir: Path) -> None:
        self.folder = proofs_dir / "policy"
        self.path = self.folder / "accepted.jsonl"

    def entries(self) -> list[Acceptance]:
        """All entries. One that cannot be read may be a revocation, so it is not passed over. Raises Unusable."""
        return list(_lines(self.path, Acceptance)) if self.path.exists() else []

    def add(self, promotion: Promotion, accepted: bool) -> Acceptance:
        """Sign for good, in the name of whoever runs this. Raises files.CannotWrite."""
        entry = Acceptance(clock.rfc3339(clock.now()), promotion.id, getpass.getuser(), accepted, promotion)
        files.make_folder(self.folder)
        files.append(self.path, msgspec.json.encode(entry))
        return entry


def outcomes(path: Path) -> list[ActionOutcome]:
    """The outcomes in a file of JSON Lines, or in the history of a folder of reports.

    A line of a file that cannot be read may be a failure: it stops all. Raises Unusable.
    """
    return list(_lines(path, ActionOutcome) if path.is_file() else History(path).outcomes())


def _lines(path: Path, kind: type[Kind]) -> Iterator[Kind]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError as failure:
        raise Unusable(f"cannot read {str(path)!r}: {(failure.strerror or '').lower()}") from None
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield msgspec.json.decode(line, type=kind)
            except files.NO_LINE as wrong:
                raise Unusable(f"{str(path)!r}, line {number}: {wrong}") from None
