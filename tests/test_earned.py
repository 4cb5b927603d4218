"""Autonomy is earned by proofs, accepted by a person, lost by one failure; and the command that tells and signs it."""

from __future__ import annotations

import itertools
import json
import os
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dm_tools.act.policy import earned, language, rehearse
from dm_tools.act.posterior import Experience, Place
from dm_tools.pipe import clock
from dm_tools.records import (
    Acceptance,
    ActionName,
    ActionOutcome,
    Cause,
    Confidence,
    EventKind,
    HistoryEvent,
    Outcome,
    Proof,
    Standing,
)
from dm_tools.store.history import History
from tests import approving, warm
from tests.approving import DAY, HERE, NOW, decision, outcome
from tests.conftest import ROOT, Run, records

RULE = language.Earned(3, 0.45)
KEY = earned.Key(Cause.UNRESPONSIVE, ActionName.RESTART, HERE)
EARNED = "[earned]\nsuccesses = 3\nlower_bound = 0.45\n"
BAD = Proof.NOT_RECOVERED


def standing(outcomes: list[ActionOutcome], signed: list[Acceptance] | None = None) -> str | None:
    """How far a restart of `app` has come."""
    found = earned.standing(KEY, outcomes, signed or [], RULE, Experience(outcomes))
    return found.standing if found else None


def signed(days_ago: float, accepted: bool = True, key: earned.Key = KEY) -> Acceptance:
    """A person's signature."""
    past = [outcome(days_ago + each, cause=key.cause, action=key.action, place=key.place) for each in range(1, 40)]
    promotion = earned.standing(key, past, [], RULE, Experience(past))
    assert promotion is not None
    return Acceptance(clock.rfc3339(NOW - days_ago * DAY), key.id, "ann", accepted, promotion)


def good(*days_ago: float, **more: Any) -> list[ActionOutcome]:
    """Restarts that helped."""
    return [outcome(each, **more) for each in days_ago]


def bad(*days_ago: float, proof: Proof = BAD, **more: Any) -> list[ActionOutcome]:
    """Restarts that did not."""
    return [outcome(each, proof, **more) for each in days_ago]


NEWER = Place("app", "shop", None, "example/app:2")
OTHER = Place("other", "shop", None, "example/app:1")


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        (good(3, 2), None),
        (good(4, 3, 2), "proposed"),
        (good(4, 3) + good(2, place=OTHER), None),
        (good(4, 3) + good(2, cause=Cause.PAUSED), None),
        (good(4, 3) + good(2, action=ActionName.START), None),
        (good(4, 3) + good(2, place=Place("app", "shop", "ssh://b", HERE.image)), None),
        (good(4, 3) + good(2, place=Place("app", "shop", None, "example/web:1")), None),
        (good(4, 3) + good(2, place=NEWER), "proposed"),  # of the old version: the new one has proved it once
        (good(4, place=NEWER) + good(3, 2), "proposed"),
        (good(5, 4, 3, place=NEWER), None),
        (good(5, 4, place=NEWER) + good(2), None),
        ([*good(4, 3), outcome(2, Proof.UNPROVEN)], None),
        (good(5, 4, 3) + bad(2), None),
        (bad(9) + good(4, 3, 2), None),  # 3 of 4: the bound is not reached
        (bad(90) + good(*range(2, 10)), "proposed"),
        (good(5, 4, 3) + bad(2, proof=Proof.WORSE, cause=Cause.PAUSED), None),
        (good(5, 4, 3) + bad(2, cause=Cause.PAUSED), "proposed"),
        ([msgspec.structs.replace(each, cause=None) for each in good(4, 3, 2)], None),
        (good(4, 3, 2, place=Place("app", None, None, HERE.image)), None),  # not known to be of this project
    ],
)
def test_what_is_proposed(outcomes: list[ActionOutcome], expected: str | None) -> None:
    assert standing(outcomes) == expected


PROVED = good(40, 39, 38)


@pytest.mark.parametrize(
    ("since", "more", "expected"),
    [
        ([], [], "accepted"),
        (good(5), [], "accepted"),
        (bad(5), [], "lost"),
        ([outcome(5, None, outcome=Outcome.FAILED)], [], "lost"),
        (bad(5, proof=Proof.WORSE), [], "lost"),
        (bad(5, proof=Proof.WORSE, cause=Cause.PAUSED), [], "lost"),
        (bad(5, proof=Proof.WORSE, place=NEWER), [], "lost"),
        (bad(5, place=NEWER), [], "lost"),
        (bad(5, place=Place("app", "shop", None, "example/web:1")), [], "accepted"),
        (bad(5, cause=Cause.PAUSED), [], "accepted"),
        (bad(5, place=OTHER), [], "accepted"),
        (bad(5, place=Place("app", "bank", None, HERE.image)), [], "accepted"),
        (bad(5, place=Place("app", None, None, HERE.image)), [], "lost"),  # of which project, it does not say
        (bad(5, place=Place("app")), [], "lost"),
        (bad(5, cause=None), [], "lost"),
        ([outcome(5, Proof.UNPROVEN)], [], "accepted"),
        (bad(5) + good(4, 3), [], "lost"),
        (bad(9) + good(8, 7, 6, 5, 4, 3, 2), [], "proposed"),  # again, and not accepted by itself
        (bad(9) + good(8, 7, 6, 5, 4, 3, 2), [signed(1)], "accepted"),
        (bad(0.5), [signed(1)], "lost"),
        ([], [signed(1, accepted=False)], "proposed"),
        (bad(5), [signed(1, accepted=False)], "revoked"),
        ([msgspec.structs.replace(bad(5)[0], at="broken")], [], "lost"),
    ],
)
def test_what_becomes_of_what_was_accepted(since: list[ActionOutcome], more: list[Acceptance], expected: str) -> None:
    assert standing(PROVED + since, [signed(30), *more]) == expected


def test_what_was_earned_decides_within_its_bounds() -> None:
    mine = [signed(30)]
    found = decision(EARNED, outcomes=PROVED, signed=mine)
    assert (found.ruling, found.rule) == ("approved", f"earned-{KEY.id}")
    assert "accepted by ann" in found.reason
    assert decision("", outcomes=PROVED, signed=mine).ruling == "person"
    assert KEY.id in decision(EARNED, outcomes=PROVED).reason  # what to type
    assert decision(EARNED, outcomes=PROVED + bad(5), signed=mine).ruling == "person"
    assert decision(EARNED + approving.deny(), outcomes=PROVED, signed=mine).ruling == "refused"
    subjects: dict[str, Any] = {
        "a medium confidence": {"confidence": Confidence.MEDIUM},
        "a model's verdict": {"by_rules": False},
        "a newer image": {"place": NEWER},
        "another project": {"place": Place("app", "bank", None, HERE.image)},
        "another cause": {"cause": Cause.PAUSED},
        "no known container": {"identity": None},
    }
    for what, more in subjects.items():
        assert decision(EARNED, approving.subject(**more), PROVED, mine).ruling == "person", what
    newer = approving.subject(place=NEWER)
    proved_by_persons = good(5, 4, place=NEWER)
    assert decision(EARNED, newer, PROVED + proved_by_persons[:1], mine).ruling == "person"
    assert decision(EARNED, newer, PROVED + proved_by_persons, mine).ruling == "approved"
    lately = [outcome(0.01, None), outcome(0.02, None)]
    assert decision(EARNED, outcomes=PROVED + lately, signed=mine).ruling == "person"
    narrower = "[earned]\nsuccesses = 3\nlower_bound = 0.45\nactions = ['start']\n"
    assert decision(narrower, outcomes=PROVED, signed=mine).ruling == "person"


ENDS = st.lists(st.sampled_from([Proof.RECOVERED, BAD, Proof.WORSE, Proof.UNPROVEN, None]), max_size=12)


@given(ENDS, st.integers(0, 12), st.randoms())
@settings(max_examples=150, deadline=None)
def test_the_state_follows_from_what_happened_in_whatever_order_it_is_read(
    ends: list[Proof | None], moment: int, order: Any
) -> None:
    """Against a plain replay: a counter, and whether it is accepted."""
    outcomes = [outcome(20 - index, end) for index, end in enumerate(ends)]
    signature = signed(20 - moment + 0.5)
    row, accepted = 0, False
    for index, end in enumerate([*ends, None]):
        if index == moment:
            accepted = True
        if end in (BAD, Proof.WORSE):
            row, accepted = 0, False
        row += end == Proof.RECOVERED
    if moment > len(ends):
        accepted = True
    known = order.sample(outcomes, len(outcomes))
    assert (standing(known, [signature]) in (Standing.ACCEPTED, Standing.PROBATION)) == accepted
    if standing(known) == Standing.PROPOSED:
        assert row >= RULE.successes


# Rehearsal


def test_a_rehearsal_knows_only_what_was_known_then() -> None:
    policy = approving.policy(approving.allow("needs = { successes = 2, lower_bound = 0.1 }"))
    past = good(9, 8, 7, 6) + bad(5, proof=Proof.WORSE) + good(4, by="policy:x") + good(3) + good(2)
    found = rehearse.rehearse(policy, past[::-1], [], NOW - 30 * DAY, NOW)
    rulings = [decision.ruling for _, decision in found]
    # two to learn from; three it would have done, the last of which was harm; then persons until one had shown it
    assert rulings == ["person"] * 2 + ["approved"] * 3 + ["person"] * 2 + ["approved"]
    told = rehearse.summary(policy, past, [], NOW - 30 * DAY, NOW)
    assert (told.actions, told.approved, told.recovered, told.worse) == (8, 4, 3, 1)
    assert [each.service for each in told.harms] == ["app"]
    assert rehearse.summary(policy, past, [], NOW - 6.5 * DAY, NOW).actions == 5


def test_a_rehearsal_takes_a_signature_from_its_day_on() -> None:
    policy = approving.policy(EARNED)
    found = rehearse.rehearse(policy, PROVED + good(32, 28), [signed(30)], NOW - 60 * DAY, NOW)
    assert [decision.ruling for _, decision in found] == ["person"] * 4 + ["approved"]


# The command


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with a policy that lets things be earned, and outcomes that do."""
    (tmp_path / "policy.toml").write_text("version = 1\n" + EARNED)
    (tmp_path / "outcomes.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, PROVED)))
    return tmp_path


WITH = "dm-approve --policy policy.toml --history outcomes.jsonl --proofs-dir p"


def test_a_person_accepts_once_and_may_revoke(run: Run, desk: Path) -> None:
    now = {"DM_NOW": str(NOW)}
    (proposed,) = records(run(f"{WITH} --promotions", **now).stdout)
    assert (proposed["standing"], proposed["id"]) == ("proposed", KEY.id)
    assert "not proposed" in run(f"{WITH} --accept {KEY.id} && {WITH} --accept {KEY.id}", **now).stderr
    (accepted,) = records(run(f"{WITH} --promotions", **now).stdout)
    assert (accepted["standing"], accepted["at"]) == ("accepted", clock.rfc3339(NOW))
    (line,) = (desk / "p/policy/accepted.jsonl").read_text().splitlines()
    assert json.loads(line)["promotion"]["in_a_row"] == 3
    assert stat.S_IMODE((desk / "p/policy/accepted.jsonl").stat().st_mode) == 0o600
    assert run(f"{WITH} --revoke {KEY.id}", DM_NOW=str(NOW + 60)).returncode == 0
    assert records(run(f"{WITH} --promotions", **now).stdout)[0]["standing"] == "proposed"


def test_what_dm_history_keeps_is_what_counts(run: Run, desk: Path) -> None:
    """Executions, their proofs and the incident, as events; the same promotion as of the outcomes in a file."""
    about = {"service": "app", "image": HERE.image, "fingerprint": "f1", "cause": Cause.UNRESPONSIVE}
    events = [HistoryEvent(kind=EventKind.INCIDENT, at=clock.rfc3339(NOW - 50 * DAY), project="shop", **about)]
    for number in range(3):
        at = clock.rfc3339(NOW - (40 - number) * DAY)
        done = {"at": at, "action_id": f"a{number}", "action": ActionName.RESTART, **about}
        events.append(HistoryEvent(kind=EventKind.EXECUTION, outcome=Outcome.DONE, confidence=Confidence.HIGH, **done))
        events.append(HistoryEvent(kind=EventKind.PROOF, proof=Proof.RECOVERED, **done))
    History(desk / "p").append(*events)
    (found,) = records(run("dm-approve --policy policy.toml --proofs-dir p --promotions").stdout)
    assert (found["id"], found["standing"], found["in_a_row"]) == (KEY.id, "proposed", 3)
    told = json.loads(
        run("dm-approve --policy policy.toml --proofs-dir p --rehearse --last 60d", DM_NOW=str(NOW)).stdout
    )
    assert (told["actions"], told["approved"]) == (3, 0)


@pytest.mark.parametrize("wanted", ["--accept 00000000", "--revoke 00000000", f"--revoke {KEY.id}"])
def test_what_cannot_be_signed_is_told(run: Run, desk: Path, wanted: str) -> None:
    refused = run(f"{WITH} {wanted}")
    assert refused.returncode == 3
    assert refused.stderr.count("\n") == 1
    assert not (desk / "p").exists()


@pytest.mark.parametrize("name", ["p/policy/accepted.jsonl", "outcomes.jsonl"])
def test_a_line_that_cannot_be_read_stops_all(run: Run, desk: Path, name: str) -> None:
    """It may be a failure, or a revocation."""
    run(f"{WITH} --accept {KEY.id}")
    with (desk / name).open("a") as file:
        file.write('\n{"torn')
    refused = run(WITH, stdin=records_of("database-down"))
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "line" in refused.stderr


def records_of(name: str) -> str:
    """Recorded evidence, not judged."""
    return (ROOT / f"tests/data/{name}.jsonl").read_text()


START = "version = 1\n" + approving.allow("actions = ['start']")


def test_a_policy_that_others_may_write_approves_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(START)
    line = "dm-analyze | dm-propose | dm-approve --policy policy.toml --proofs-dir p"
    assert len(records(run(line, stdin=records_of("database-down")).stdout)) == 1
    os.chmod(tmp_path / "policy.toml", 0o666)
    refused = run(line, stdin=records_of("database-down"))
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "written by everybody" in refused.stderr


def test_the_policy_beside_the_settings_counts(run: Run, tmp_path: Path) -> None:
    (tmp_path / "dm-tools").mkdir()
    (tmp_path / "dm-tools/policy.toml").write_text(START)
    line = "dm-analyze | dm-propose | dm-approve --dry-run"
    found = run(line, stdin=records_of("database-down"), XDG_CONFIG_HOME=str(tmp_path), DM_ENV_FILE="")
    assert [each["by"] for each in records(found.stdout)] == ["policy:a"]
    assert not (tmp_path / "volumes").exists()
    assert run(line, stdin=records_of("database-down")).stdout == ""


def test_what_a_person_has_decided_stays(run: Run, tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(START)
    run("dm-analyze | dm-propose | dm-report --proofs-dir p", stdin=records_of("database-down"), DM_NOW="1732800000")
    report = json.loads((tmp_path / "p/enhanced_diagnostics_1732800000.json").read_text())
    issue = report["issues"][0]["id"]
    entry = {"at": "2024-11-28T13:20:00Z", "issue_id": issue, "decision": "defer", "fixes": []}
    (tmp_path / "p/review_enhanced-1732800000.jsonl").write_text(json.dumps(entry) + "\n")
    line = "dm-approve --policy policy.toml --proofs-dir p p/enhanced_diagnostics_1732800000.json"
    assert run(line).stdout == ""
    told = records(run(f"{line} --explain").stdout)
    assert {each["reason"] for each in told} == {"a person has decided or deferred it"}
    assert not list((tmp_path / "p").glob("approved_fixes_*"))


def test_a_look_alone_leaves_the_issue_to_a_person(run: Run, tmp_path: Path) -> None:
    rule = approving.allow("actions = ['check_logs']\nconfidence = 'medium'")
    (tmp_path / "policy.toml").write_text("version = 1\n" + rule)
    run("dm-analyze | dm-propose | dm-report --proofs-dir p", stdin=records_of("database-down"), DM_NOW="1732800000")
    report = tmp_path / "p/enhanced_diagnostics_1732800000.json"
    done = run(f"dm-approve --policy policy.toml --proofs-dir p {report}")
    assert [each["action"] for each in records(done.stdout)] == ["check_logs"]
    from dm_tools.store import approvals

    review = approvals.Review(report, approvals.read(report))
    assert len(review.undecided()) == 1
    assert [each.by for each in review.approved()] == ["policy:a"]


def test_two_records_of_one_name_are_for_a_person(run: Run, tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(START)
    line = "dm-analyze | dm-propose > j; cat j j | dm-approve --policy policy.toml --explain"
    rulings = [each["ruling"] for each in records(run(line, stdin=records_of("database-down")).stdout)]
    assert set(rulings) == {"person"}


def test_the_sessions_tell_it_in_words(run: Run, desk: Path) -> None:
    """The history is read where dm-history writes it; here it is a file, so the sessions see none."""
    (desk / "policy.toml").write_text(START + EARNED)
    now = {"DM_NOW": str(NOW), "PROOFS_DIR": "p", "DM_POLICY": "policy.toml"}
    session = warm.SUPERVISOR
    run("dm-analyze | dm-propose | dm-report", stdin=records_of("database-down"), **now)
    told = run(f"{session} policy", **now)
    assert told.stdout.splitlines()[0] == "postgres: start: approved (rule a): the rule allows it"
    told = run(f"{session} policy rehearse 1d && {session} policy promotions", **now)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith("Since 2024-11-27: 0 actions, 0 of them without a person")
    told = run(f"{session} approve", **now)
    assert "postgres: start: approved by policy:a" in told.stdout
    assert run(f"{session} policy accept 00000000", **now).returncode == 3
    assert run(f"{session} policy nonsense", **now).returncode == 2


def test_one_thing_at_a_time(run: Run) -> None:
    for one, other in itertools.combinations(("--explain", "--promotions", "--rehearse", "--accept x"), 2):
        assert run(f"dm-approve {one} {other}").returncode == 2
