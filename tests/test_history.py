"""The history: what is acknowledged is on the disk, once; what is known of an incident follows from it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from dm_tools.records import ActionName, Cause, EventKind, HistoryEvent, Outcome, Proof
from dm_tools.store import files, history


def incident(at: str, **more: object) -> HistoryEvent:
    """A sight of one incident."""
    event = HistoryEvent(kind=EventKind.INCIDENT, at=at, service="app", fingerprint="f1", cause=Cause.EXITED)
    return msgspec.structs.replace(event, **more)


def executed(action_id: str, at: str, proof: Proof | None = None, **more: object) -> list[HistoryEvent]:
    """An action against it, and its proof."""
    names = {"service": "app", "action_id": action_id, "action": ActionName.RESTART, "fingerprint": "f1", "at": at}
    done = HistoryEvent(kind=EventKind.EXECUTION, **({"outcome": Outcome.DONE} | names | more))  # type: ignore[arg-type]
    proved = HistoryEvent(kind=EventKind.PROOF, proof=proof, seconds=60.0, **names)  # type: ignore[arg-type]
    return [done, proved] if proof else [done]


def test_what_is_recorded_twice_is_there_once(tmp_path: Path) -> None:
    kept = history.History(tmp_path)
    kept.append(incident("2026-01-01T00:00:00Z"), incident("2026-01-01T00:10:00Z"))
    kept.append(incident("2026-01-01T00:00:00Z"))
    assert [each.at for each in kept.events()] == ["2026-01-01T00:00:00Z", "2026-01-01T00:10:00Z"]


def test_a_torn_line_hides_nothing_and_goes_with_the_next_one(tmp_path: Path) -> None:
    kept = history.History(tmp_path)
    kept.append(incident("2026-01-01T00:00:00Z"))
    (segment,) = kept.segments()
    with segment.open("ab") as file:
        file.write(b'{"kind":"incident","at":"2026')
    assert len(list(kept.events())) == 1
    kept.append(incident("2026-01-01T00:10:00Z"))
    assert len(list(kept.events())) == 2
    assert segment.read_bytes().count(b"\n") == len(segment.read_bytes().splitlines()) == 2


def test_a_writer_never_waits_for_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = history.History(tmp_path)
    kept.append(incident("2026-01-01T00:00:00Z"))
    (first,) = kept.segments()
    with files.locked(first):
        kept.append(incident("2026-01-01T00:10:00Z"))
    assert len(kept.segments()) == 2
    monkeypatch.setattr(history, "SEGMENT_BYTES", 10)
    kept.append(incident("2026-01-01T00:20:00Z"))
    assert len(kept.segments()) == 3
    assert len(list(kept.events())) == 3


def test_an_outcome_joins_execution_proof_and_incident(tmp_path: Path) -> None:
    kept = history.History(tmp_path)
    kept.append(incident("2026-01-01T00:00:00Z", image="shop/app:1", pattern="container.exited"))
    kept.append(*executed("a1", "2026-01-01T00:05:00Z", Proof.RECOVERED))
    kept.append(*executed("a2", "2026-01-01T00:01:00Z", by="policy:night", outcome=Outcome.FAILED))
    kept.append(*executed("a3", "2026-01-01T00:02:00Z", outcome=Outcome.REFUSED))
    second, first = kept.outcomes()
    assert (first.action_id, first.proof, first.cause, first.image, first.by, first.seconds) == (
        "a1", Proof.RECOVERED, Cause.EXITED, "shop/app:1", "person", 60.0,
    )  # fmt: skip
    assert first.pattern == "container.exited"
    assert (second.action_id, second.proof, second.outcome, second.by) == ("a2", None, Outcome.FAILED, "policy:night")


def test_the_newest_proof_counts(tmp_path: Path) -> None:
    kept = history.History(tmp_path)
    kept.append(*executed("a1", "2026-01-01T00:05:00Z", Proof.RECOVERED))
    later = executed("a1", "2026-01-02T00:00:00Z", Proof.NOT_RECOVERED)[1]
    kept.append(later)
    assert [each.proof for each in kept.outcomes()] == [Proof.NOT_RECOVERED]
