"""The history: what is acknowledged is on the disk, once; what is known of an incident follows from it."""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dm_tools.diagnose.earned import DISPROVED, earned
from dm_tools.diagnose.events import Sight, identified
from dm_tools.diagnose.remembered import Memory
from dm_tools.records import ActionName, Cause, EventKind, HistoryEvent, Keep, Outcome, Proof
from dm_tools.store import files, history, retention
from tests.conftest import Run


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


def remembered(*events: HistoryEvent) -> Memory:
    memory = Memory()
    for event in events:
        memory.add(event)
    return memory


def over(at: str, **more: Any) -> HistoryEvent:
    return HistoryEvent(kind=EventKind.OVER, at=at, fingerprint="f1", **({"service": "app"} | more))


DAYS = [f"2026-01-0{day}" for day in range(1, 10)]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], None),
        ([incident("2026-02-01T00:00:00Z")], None),  # the very sight that is asked about
        ([incident("2026-01-01T00:00:00Z")], "going on since 2026-01-01 00:00 UTC"),
        (
            [incident("2026-01-01T00:00:00Z"), over("2026-01-01T01:00:00Z")],
            "seen once before, last on 2026-01-01 00:00 UTC; it usually took 60 minutes",
        ),
        (
            [
                event
                for day in DAYS[:3]
                for event in [
                    incident(f"{day}T00:00:00Z"),
                    *executed(day, f"{day}T00:01:00Z"),
                    *executed(day, f"{day}T00:03:00Z", Proof.RECOVERED)[1:],
                ]
            ],
            "seen 3 times before, last on 2026-01-03 00:00 UTC; restart helped 3 of 3, proved; "
            "it usually took 3 minutes",
        ),
        (
            [
                incident("2026-01-01T00:00:00Z"),
                *executed("a1", "2026-01-01T00:01:00Z", Proof.RECOVERED),
                executed("a1", "2026-01-01T00:09:00Z", Proof.NOT_RECOVERED)[1],  # a later look knows better
                incident("2026-02-01T00:00:00Z"),
            ],
            "seen once before, last on 2026-01-01 00:00 UTC; restart helped 0 of 1, proved; it usually took 60 seconds",
        ),
        (
            [incident("2026-01-01T00:00:00Z"), *executed("a1", "2026-01-01T00:01:00Z", Proof.UNPROVEN)],
            "going on since 2026-01-01 00:00 UTC; restart was tried once, nothing is proved",
        ),
    ],
    ids=["nothing", "this-one", "going-on", "once", "cured-three-times", "disproved", "unproven"],
)  # fmt: skip
def test_what_was_known_before(events: list[HistoryEvent], expected: str | None) -> None:
    before = remembered(*events).before("f1", "2026-02-01T00:00:00Z")
    assert (before.words if before else None) == expected


def test_what_is_recorded_again_counts_once(tmp_path: Path) -> None:
    kept = history.History(tmp_path)
    events = [identified(each) for each in (incident("2026-01-01T00:00:00Z"), over("2026-01-01T01:00:00Z"))]
    kept.append(*events)
    assert kept.memory().news([Sight([events[0]])], "here") == []
    kept.append(*events)  # as after a merge that was killed
    assert kept.memory() == remembered(*events)
    (kept.folder / "known.json").unlink()
    assert kept.memory().troubles == remembered(*events).troubles


def test_the_memory_is_the_same_read_in_parts_or_at_once(tmp_path: Path) -> None:
    kept = history.History(tmp_path)
    for day in DAYS:
        kept.append(incident(f"{day}T00:00:00Z"), *executed(day, f"{day}T00:01:00Z", Proof.RECOVERED))
        in_parts = kept.memory()
    (kept.folder / "known.json").unlink()
    assert kept.memory() == in_parts
    assert in_parts.troubles["f1"].times == 9
    kept.segments()[0].unlink()
    assert kept.memory().troubles == {}


def test_a_judged_service_without_its_trouble_ends_it_and_no_other() -> None:
    memory = remembered(
        incident("2026-01-01T00:00:00Z"), incident("2026-01-01T00:00:00Z", service="db", fingerprint="f2")
    )
    looked = [
        Sight([], "db", "ssh://elsewhere", "2026-01-02T00:00:00Z"),  # a service of that name at another engine
        Sight([], "db", None, None),  # not judged
        Sight([], "db", None, "2025-12-31T00:00:00Z"),  # from before
        Sight([], "app", None, "2026-01-02T00:00:00Z", "f1"),  # still there
    ]
    assert memory.news(looked, "here") == []
    (ended,) = memory.news([Sight([], "db", None, "2026-01-02T00:00:00Z")], "here")
    assert (ended.kind, ended.fingerprint, ended.seconds) == (EventKind.OVER, "f2", 86400.0)


def write_for_ever(folder: Path, name: int, out: int) -> None:
    """Append three events at a time, and tell so once they are acknowledged."""
    kept = history.History(folder)
    for number in itertools.count():
        services = [f"{name}.{number}.{part}" for part in range(3)]
        kept.append(*(over("2026-01-01T00:00:00Z", service=each, text="x" * 300) for each in services))
        os.write(out, f"{name}.{number}\n".encode())


def test_what_is_acknowledged_survives_a_kill(tmp_path: Path, kills: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writers, four at a time, that are killed at random: all that one had told of is in the history, once."""
    monkeypatch.setattr(history, "SEGMENT_BYTES", 20_000)
    chance = random.Random(1)
    acknowledged: set[str] = set()
    for first in range(0, kills * 3, 4):
        inp, out = os.pipe()
        writers = []
        for name in range(first, first + 4):
            if (pid := os.fork()) == 0:
                try:
                    write_for_ever(tmp_path, name, out)
                finally:
                    os._exit(1)
            writers.append(pid)
        os.close(out)
        for pid in writers:
            time.sleep(chance.random() * 0.04)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        with os.fdopen(inp) as told:
            acknowledged |= set(told.read().split())
    found = [each.service for each in history.History(tmp_path).events()]
    assert len(found) == len(set(found))
    assert not {f"{name}.{part}" for name in acknowledged for part in range(3)} - set(found)
    assert len(acknowledged) > kills


def dated(kept: history.History, day: str, *events: HistoryEvent) -> None:
    """Append as on another day."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DM_NOW", str(datetime.fromisoformat(f"{day}T12:00:00+00:00").timestamp()))
        kept.append(*events)


def test_a_merge_keeps_everything_once_and_what_a_newer_version_wrote(tmp_path: Path) -> None:
    kept = history.History(tmp_path)
    for day in DAYS:
        dated(kept, day, incident(f"{day}T00:00:00Z"), incident("2026-01-01T00:00:00Z"))
    dated(kept, "2026-02-01", incident("2026-02-01T00:00:00Z"))
    kept.append(incident("2026-03-01T00:00:00Z"))  # today: still written to
    with kept.segments()[0].open("ab") as file:
        file.write(b'{"kind":"rumour","at":"2026-01-01T00:00:00Z","service":"app"}\n{"kind":"torn')
    before = list(kept.events())
    done = retention.compact(tmp_path, Keep())
    assert (done.segments, done.merged_into, done.events_twice, done.events_old) == (10, 2, 9, 0)
    assert len(kept.segments()) == 3
    assert sorted(map(msgspec.json.encode, kept.events())) == sorted(map(msgspec.json.encode, before))
    assert b"rumour" in kept.segments()[0].read_bytes() and b"torn" not in kept.segments()[0].read_bytes()
    assert retention.compact(tmp_path, Keep()).segments == 0
    old = retention.compact(tmp_path, Keep(history=1))
    assert old.events_old and [each.at for each in kept.events()] == ["2026-03-01T00:00:00Z"]


def test_a_segment_that_somebody_writes_to_is_not_merged(tmp_path: Path) -> None:
    kept = history.History(tmp_path)
    dated(kept, "2026-01-01", incident("2026-01-01T00:00:00Z"))
    dated(kept, "2026-01-02", incident("2026-01-02T00:00:00Z"))
    with files.locked(kept.segments()[0]):
        assert retention.compact(tmp_path, Keep()).segments == 1
    assert len(list(kept.events())) == 2


def test_a_merge_that_is_killed_loses_nothing(tmp_path: Path, kills: int) -> None:
    kept = history.History(tmp_path)
    events = [
        incident(f"2026-01-{day:02}T00:00:{second:02}Z", text="x" * 200) for day in range(1, 29) for second in range(9)
    ]
    chance = random.Random(1)
    for _ in range(kills):
        for day in range(1, 29, 4):
            dated(kept, f"2026-01-{day:02}", *events[(day - 1) * 9 : (day + 3) * 9])
        if (pid := os.fork()) == 0:
            try:
                while True:
                    retention.compact(tmp_path, Keep())
            finally:
                os._exit(1)
        time.sleep(chance.random() * 0.03)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert len(list(kept.events())) == len(events)


def test_what_is_old_goes_and_what_was_reviewed_stays(tmp_path: Path) -> None:
    names = [
        "stack_diagnostics_1.json", "enhanced_diagnostics_1.json", "enhanced_diagnostics_1.html",
        "enhanced_diagnostics_2.json", "review_enhanced-2.jsonl", "approved_fixes_20200101_000000.json",
        "screenshots/a.png", "runs/20200101T000000-1/services.jsonl", "runs/mine/notes", "journal/actions.jsonl",
    ]  # fmt: skip
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    (tmp_path / "runs" / "20200102T000000-1").symlink_to(tmp_path / "runs" / "mine")
    for path in tmp_path.rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)
    done = retention.compact(tmp_path, retention.changed(Keep(), ["runs=1", "reports=1", "screenshots=0"]))
    assert (done.reports, done.screenshots, done.runs) == (3, 0, 2)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {*names[3:7], *names[8:]}


@pytest.mark.parametrize(
    ("policy", "words", "status", "there"),
    [
        ("", "", 0, False),  # older than a year
        ("[keep]\nreports = 0", "", 0, True),
        ("[keep]\nreports = 0", "--keep reports=9", 0, False),
        ("[keep]\nreports = 36500", "--keep runs=9", 0, True),
        ("[keep]\nreport = 1", "", 2, True),  # a broken policy removes nothing
        ("[keep]\nreports = -1", "", 2, True),
        ("", "--keep reports=soon", 2, True),
    ],
)
def test_the_policy_says_how_long_it_is_kept(
    run: Run, tmp_path: Path, policy: str, words: str, status: int, there: bool
) -> None:
    (tmp_path / "policy.toml").write_text(f"version = 1\n{policy}\n")
    report = tmp_path / "p" / "stack_diagnostics_1.json"
    report.parent.mkdir()
    report.touch()
    os.utime(report, (1, 1))
    done = run(f"dm-history compact --proofs-dir p {words}", DM_POLICY=str(tmp_path / "policy.toml"))
    assert (done.returncode, report.exists()) == (status, there), done.stderr
    assert (status == 0) == (done.stderr == "")


def test_a_pattern_whose_verdicts_were_disproved_is_reported() -> None:
    right, wrong = {"pattern": "app.right"}, {"pattern": "app.wrong"}
    events = [
        incident("2026-01-01T00:00:00Z", patterns=["app.right", "app.also"], **right),
        incident("2026-01-02T00:00:00Z", patterns=["app.wrong"], **wrong),
        *executed("a1", "2026-01-01T01:00:00Z", Proof.RECOVERED, **right),
        *executed("a2", "2026-01-02T01:00:00Z", Proof.NOT_RECOVERED, **wrong),
        *executed("a3", "2026-01-02T02:00:00Z", Proof.WORSE, **wrong),
        *executed("a4", "2026-01-02T03:00:00Z", Proof.RECOVERED, **wrong),
        *executed("a5", "2026-01-02T04:00:00Z", **wrong),  # nobody looked
    ]
    known = {"app.wrong": ("own", "exited"), "app.right": ("shipped", "exited"), "app.never": ("shipped", "exited")}
    found = {each.pattern: each for each in earned(known, events, history.outcomes(events))}
    assert next(iter(found)) == "app.wrong"
    assert found["app.wrong"].precision == 0.333 and found["app.wrong"].note == DISPROVED
    assert (found["app.right"].precision, found["app.right"].decided, found["app.right"].note) == (1.0, 1, None)
    assert (found["app.also"].hits, found["app.also"].decided, found["app.also"].origin) == (1, 0, "gone")
    assert found["app.never"].hits == 0 and found["app.never"].precision is None
