"""What we do ourselves is no incident: while an action is carried out, and shortly after, nothing opens because of it.

Pure: from entries of the journal of actions to silences. What still holds afterwards is told then.
"""

from __future__ import annotations

from collections.abc import Iterable

from dm_tools.records import JournalEntry, Outcome, Phase, Silence
from dm_tools.text.times import parse_time

LATELY_SECONDS = 300.0  # an action without an outcome for so long was cut off by a kill: it hides nothing
AFTERMATH_SECONDS = 60.0  # what needs a service that was started anew finds it again at its next healthcheck
_NOTHING_DONE = (Outcome.PLANNED, Outcome.REFUSED, Outcome.STALE, Outcome.ALREADY_DONE)


def silences(entries: Iterable[JournalEntry], now: float) -> list[Silence]:
    """Silences that stand at `now` (seconds since 1970) because of what is done or was done a moment ago. The id is
    that of the action: `watching` ends it early, by a proof that all is well again.

    They are about the whole engine: who suffers from a restart is not always known to. Proofs, and that healing failed,
    are told all the same.
    """
    hosts: dict[str, str] = {}
    spans: dict[str, tuple[str, float]] = {}
    for entry in entries:
        at = parse_time(entry.at) or 0.0
        if entry.action is not None:
            hosts[entry.id] = entry.action.docker_host or ""
        if entry.phase in (Phase.INTENT, Phase.UNDOING):
            spans[entry.id] = entry.at, at + LATELY_SECONDS
        elif entry.phase in (Phase.OUTCOME, Phase.UNDONE) and entry.id in spans:
            idle = entry.execution is not None and entry.execution.status in _NOTHING_DONE
            spans[entry.id] = spans[entry.id][0], at + (0.0 if idle else AFTERMATH_SECONDS)
    return [
        Silence(id=id, at=at, by="dm-execute", why="an action", host=hosts.get(id, ""))
        for id, (at, until) in spans.items()
        if (parse_time(at) or 0.0) <= now < until
    ]
