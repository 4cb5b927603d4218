"""The journal of what was told: `incidents/told.jsonl`. A message stands in it before it is sent, and what came of it.

After a kill in between nobody knows whether it arrived: it is not sent there again, but by the target that takes over.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from dm_tools.notify.ledger import Entry, Ledger, Sending
from dm_tools.store import files, journal
from dm_tools.store.following import Following

MOST_BYTES = 1024 * 1024  # of the file, before it is written anew
WAIT_SECONDS = 120.0  # for another one's messages: a slow target takes its time

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


class Journal:
    """What was told, in memory and on the disk. Several programs may tell from one folder: each is `alone()` while it
    does, and goes on from what is on the disk."""

    def __init__(self, proofs_dir: Path) -> None:
        self.folder = proofs_dir / "incidents"
        self.path = self.folder / "told.jsonl"
        self.ledger = Ledger()
        self._following = Following(self.path)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else tells from this folder meanwhile. Raises journal.Busy, files.CannotWrite."""
        files.make_folder(self.folder)
        with journal.locked(self.folder / "told.lock", 0o600, WAIT_SECONDS):
            self.read()
            yield

    def read(self) -> None:
        """Take in what has come since; a line that a kill tore was not begun."""
        anew, lines = self._following.read()
        if anew:
            self.ledger = Ledger()
        for line in lines:
            with contextlib.suppress(*files.NO_LINE):
                entry = _decode(line)
                if entry.ledger is not None:
                    self.ledger = entry.ledger
                else:
                    self.ledger.apply(entry)

    def add(self, entry: Entry) -> None:
        """Add an entry for good, then take it in. Raises files.CannotWrite: then nothing may be sent."""
        files.append(self.path, _encode(entry))
        self.read()

    def begin(self, since: int) -> None:
        """Begin the file, if there is none: events of dm-incidents up to number `since` are from before, and no news.

        Raises files.CannotWrite.
        """
        if not self.path.exists():
            self.add(Entry(ledger=Ledger(since=since)))

    def unfinished(self) -> list[Sending]:
        """Messages that were begun and of which nobody knows what became."""
        return list(self.ledger.begun.values())

    def tidy(self, now: float) -> None:
        """Write the file anew if it has become long. Raises files.CannotWrite."""
        with contextlib.suppress(FileNotFoundError):
            if self.path.stat().st_size > MOST_BYTES:
                files.replace(self.path, [_encode(Entry(ledger=self.ledger.tidied(now))) + b"\n"])
                self.read()
