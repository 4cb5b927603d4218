"""From round to round: one opening and one end per incident, whatever comes, in whatever order, killed wherever."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dm_tools.diagnose import deeds, silences
from dm_tools.diagnose.looks import Healing, Look, Sight
from dm_tools.diagnose.state import State
from dm_tools.diagnose.watching import Moment, Rules, judged
from dm_tools.records import (
    ENDS,
    ActionName,
    ApprovedAction,
    Cause,
    Confidence,
    Execution,
    Happening,
    IncidentEvent,
    JournalEntry,
    Outcome,
    Phase,
    Severity,
    Silence,
    Status,
)
from dm_tools.show import incidents as show
from dm_tools.store import journal
from dm_tools.store.incidents import Incidents
from dm_tools.text.times import parse_time
from tests import lab
from tests.conftest import Run, records
from tests.score import faults

BAD, GOOD, SYMPTOM, STOPPED, NOTHING = Sight.BAD, Sight.GOOD, Sight.SYMPTOM, Sight.STOPPED, Sight.NOTHING
SERVICES = ("app", "db", "web")
IN_ROUNDS = Rules(bad=2, of=3, recover=3)


def seen(service: str = "db", sight: Sight = BAD, **more: Any) -> Look:
    """A look; one that is bad is a failure with a cause."""
    usual: dict[str, Any] = {"status": Status.HEALTHY}
    if sight in (BAD, STOPPED):
        usual = {"fingerprint": f"{service}0123456789", "severity": Severity.CRITICAL, "status": Status.FAILED}
        usual |= {"cause": Cause.EXITED, "text": f"{service} is down"}
    return Look(service, sight, **(usual | more))


def at(number: int, every: float = 30.0, **more: Any) -> Moment:
    """The time of a round."""
    seconds = 1_732_800_000 + number * every
    return Moment(**({"at": f"T{number}", "wall": seconds, "steady": seconds, "boot": "b"} | more))


class Watch:
    """Rounds one after another; the words of what was told."""

    def __init__(self, rules: Rules = IN_ROUNDS, quiet: tuple[Silence, ...] = ()) -> None:
        self.rules, self.quiet = rules, quiet
        self.state, self.number = State(), 0
        self.events: list[IncidentEvent] = []

    def round(self, *looks: Look, moment: Moment | None = None) -> list[str]:
        self.state, events = judged(self.state, looks, moment or at(self.number), self.quiet, self.rules)
        self.number += 1
        self.events += events
        return [str(each.kind) for each in events]

    def course(self, sights: str, service: str = "db") -> str:
        """One letter a round: bad, good, stopped, unknown (-). What was told: `3 opened` is in the third round."""
        letters = {"b": BAD, "g": GOOD, "s": STOPPED, "-": NOTHING}
        told = [(number, self.round(seen(service, letters[each]))) for number, each in enumerate(sights, 1)]
        return ", ".join(f"{number} {kind}" for number, kinds in told for kind in kinds)


@pytest.mark.parametrize(
    "rules, sights, told",
    [
        (Rules(), "b", "1 opened"),
        (Rules(), "bbbbg", "1 opened, 5 recovered"),
        (IN_ROUNDS, "bggggg", ""),  # one bad look is none
        (IN_ROUNDS, "bgb", "3 opened"),
        (IN_ROUNDS, "bb", "2 opened"),
        (IN_ROUNDS, "b-b", "3 opened"),  # a look that says nothing is none
        (IN_ROUNDS, "bb-----ggg", "2 opened, 10 recovered"),
        (IN_ROUNDS, "bbgg-g", "2 opened, 6 recovered"),
        (IN_ROUNDS, "bbggb" + "g" * 5, "2 opened"),  # it came back once: twice as many good looks are wanted
        (IN_ROUNDS, "bbggb" + "g" * 6, "2 opened, 11 recovered"),
        (IN_ROUNDS, "bb" + "gb" * 20, "2 opened, 8 flapping"),
        (IN_ROUNDS, "ssssss", ""),  # stopped on purpose, and nobody suffers
        (Rules(stopped="all"), "s", "1 opened"),
        (IN_ROUNDS, "bbssss", "2 opened, 5 ended"),
        (IN_ROUNDS, "bbgggbb", "2 opened, 5 recovered, 7 opened"),
    ],
)
def test_the_course_of_an_incident(rules: Rules, sights: str, told: str) -> None:
    assert Watch(rules).course(sights) == told


def test_what_was_stopped_is_an_incident_if_others_suffer() -> None:
    watch = Watch(Rules())
    db = seen("db", STOPPED, symptoms=("app",))
    assert watch.round(db, seen("app", STOPPED, root="db")) == []  # the whole project was stopped
    assert watch.round(db, seen("app", SYMPTOM, root="db")) == ["opened"]
    assert Watch(Rules(stopped="none")).round(db, seen("app", SYMPTOM, root="db")) == []


@pytest.mark.parametrize(
    "before, after, kind, reason",
    [
        ({}, {"cause": Cause.OOM_KILLED}, "changed", "the cause is oom killed, not exited"),
        ({"severity": Severity.WARNING}, {}, "worse", "it is critical now, it was warning"),
        ({}, {"severity": Severity.WARNING}, "better", "it is warning now, it was critical"),
        ({"status": Status.DEGRADED}, {}, "worse", "it gives no service at all now"),
        ({}, {"status": Status.DEGRADED}, "better", "it gives some service again"),
        ({"symptoms": ("app",)}, {"symptoms": ("app", "web")}, "worse", "now also failing: web"),
        ({"symptoms": ("app", "web")}, {"symptoms": ("app",)}, None, None),
        ({}, {"fingerprint": "another"}, None, None),
    ],
)
def test_a_change_is_told_once_and_when_it_holds(
    before: dict[str, Any], after: dict[str, Any], kind: str | None, reason: str | None
) -> None:
    watch = Watch()
    watch.round(seen(**before))
    assert watch.round(seen(**before)) == ["opened"]
    assert watch.round(seen(**after)) == []  # a single look is no change
    assert watch.round(seen(**before)) == []
    assert [watch.round(seen(**after)) for _ in range(4)] == [[], [kind] if kind else [], [], []]
    if kind:
        assert watch.events[-1].reason == reason
        assert watch.events[-1].incident == watch.events[0].incident


def test_another_root_is_the_same_incident() -> None:
    watch = Watch(Rules())
    assert watch.round(seen("app"), seen("db", NOTHING)) == ["opened"]
    assert watch.round(seen("app", SYMPTOM, root="db"), seen("db", symptoms=("app",))) == ["changed"]
    assert watch.events[-1].reason == "the root is db, not app"
    cured = seen("app"), seen("db", GOOD)  # the root is, a symptom stays
    assert watch.round(*cured) == []  # each change must hold for longer than the one before
    assert watch.round(*cured) == ["changed"]
    assert watch.round(seen("app", GOOD), seen("db", GOOD)) == ["recovered"]
    assert len({each.incident for each in watch.events}) == 1


def test_two_incidents_become_one() -> None:
    watch = Watch(Rules())
    assert watch.round(seen("app"), seen("web")) == ["opened", "opened"]
    told = watch.round(
        seen("app", SYMPTOM, root="db"), seen("web", SYMPTOM, root="db"), seen("db", symptoms=("app", "web"))
    )
    assert sorted(told) == ["changed", "ended"]
    assert watch.round(*(seen(name, GOOD) for name in SERVICES)) == ["recovered"]


def test_who_suffers_on_when_the_root_is_well_belongs_to_its_incident() -> None:
    """What a week found (scripts/simulate-week): each of the units that came back later than the database."""
    watch = Watch()
    storm = seen("db", symptoms=("app", "web")), seen("app", SYMPTOM, root="db"), seen("web", SYMPTOM, root="db")
    assert watch.round(seen("web")) == []  # a moment before the root is found
    assert [watch.round(*storm) for _ in range(30)] == [[], ["opened"], *[[]] * 28]
    late = seen("db", GOOD), seen("app"), seen("web")
    assert [watch.round(*late) for _ in range(2)] == [[], ["changed"]]
    assert watch.round(seen("db", GOOD), seen("app", GOOD), seen("web")) == []
    well = [watch.round(*(seen(name, GOOD) for name in SERVICES)) for _ in range(3)]
    assert well == [[], [], ["recovered"]]
    assert len({each.incident for each in watch.events}) == 1


def test_who_suffers_on_for_long_or_was_well_in_between_has_a_trouble_of_his_own() -> None:
    watch = Watch(Rules())
    storm = seen("db", symptoms=("app", "web")), seen("app", SYMPTOM, root="db"), seen("web", SYMPTOM, root="db")
    watch.round(*storm)
    told = [watch.round(seen("db"), seen("app", SYMPTOM, root="db"), seen("web")) for _ in range(22)]
    assert told.index(["opened"]) == 20  # after ten minutes
    watch = Watch(Rules())
    watch.round(*storm)
    assert watch.round(seen("db"), seen("web", GOOD)) == []
    assert watch.round(seen("db"), seen("web")) == ["opened"]


def test_a_root_that_is_only_named_by_who_suffers_on_is_no_new_incident() -> None:
    watch = Watch(Rules())
    watch.round(seen("db", symptoms=("web",)), seen("web", SYMPTOM, root="db"))
    late = seen("db", GOOD), seen("web", SYMPTOM, root="app"), seen("app", symptoms=("web",))
    assert watch.round(*late) == ["changed"]
    assert watch.round(*(seen(name, GOOD) for name in SERVICES)) == ["recovered"]


def test_what_was_done_is_told_with_the_end_and_that_it_failed_at_once() -> None:
    watch = Watch(Rules(recover=3))
    watch.round(seen())
    failed = Look("db", NOTHING, healing=Healing(("looked again: not recovered; still: db: refused",), False, ("a1",)))
    assert watch.round(failed) == ["healing_failed"]
    assert watch.round(failed) == []
    cured = Look("db", NOTHING, healing=Healing(("restart: done",), None, ("a2",)))
    assert watch.round(cured, seen()) == []
    assert watch.round(Look("db", NOTHING, healing=Healing(("looked again: recovered",), True, ("a2",)))) == [
        "recovered"
    ]
    assert watch.events[-1].done == [*failed.healing.words, "restart: done", "looked again: recovered"]  # type: ignore[union-attr]
    assert "after what was done" in str(watch.events[-1].reason)


def test_a_gap_is_told_as_a_gap_and_looks_before_it_count_no_more() -> None:
    watch = Watch()
    assert watch.course("gggb") == ""
    assert watch.round(seen(), moment=at(500)) == ["gap"]
    assert "nobody looked for 4 hours" in str(watch.events[-1].reason)
    assert watch.round(seen(), moment=at(501)) == ["opened"]
    assert [watch.round(seen(sight=GOOD), moment=at(number)) for number in (502, 503)] == [[], []]
    assert watch.round(seen(sight=GOOD), moment=at(1000)) == [
        "gap"
    ]  # and not recovered: it may have come back meanwhile
    assert watch.events[-1].in_gap is None


def test_looks_by_hand_leave_no_gap() -> None:
    hours = (0, 0.01, 0.02, 3, 3.1, 9, 30)
    for scheduled in (False, True):
        watch = Watch(Rules(scheduled=scheduled))
        told = [kind for each in hours for kind in watch.round(seen(sight=GOOD), moment=at(1, each * 3600))]
        assert told == (["gap"] if scheduled else [])


def test_a_clock_that_is_set_is_neither_a_gap_nor_a_duration() -> None:
    watch = Watch()
    watch.course("ggbb")
    for number, years in enumerate((30, -30, 1), 4):
        moment = at(number, wall=1_732_800_000 + number * 30 + years * 31_536_000)
        assert watch.round(seen(), moment=moment) == []
    for number in (7, 8):
        assert watch.round(seen(sight=GOOD), moment=at(number)) == []
    assert watch.round(seen(sight=GOOD), moment=at(9)) == ["recovered"]
    assert watch.events[-1].seconds == 7 * 30  # from the first bad look on


def test_another_boot_counts_by_the_wall_and_a_night_of_suspend_by_the_steady_clock() -> None:
    for moment in (at(1000, boot="c", steady=12.0), at(1000, wall=at(4).wall)):
        watch = Watch()
        watch.course("gggg")
        assert watch.round(seen(sight=GOOD), moment=moment) == ["gap"]


def test_an_incident_that_nobody_looks_at_any_more_ends() -> None:
    watch = Watch(Rules())
    watch.round(seen())
    for number in range(1, 26):
        assert watch.round(moment=at(number, 3600)) == (["ended"] if number == 24 else [])


def test_who_is_missing_in_rounds_was_removed() -> None:
    watch = Watch(Rules(scheduled=True))
    watch.round(seen())
    told = [watch.round(seen("web", GOOD)) for _ in range(25)]
    assert [number for number, kinds in enumerate(told, 1) if kinds] == [20]  # ten minutes
    assert watch.events[-1].kind == Happening.ENDED and "it was removed" in str(watch.events[-1].reason)


@pytest.mark.parametrize(
    "selectors, silent",
    [
        ({"service": "d*"}, True),
        ({"service": "web"}, False),
        ({"project": "shop", "service": "*"}, True),
        ({"project": "other"}, False),
        ({"label": "dm-tools.tier=test"}, True),
        ({"label": "dm-tools.tier"}, True),
        ({"label": "dm-tools.tier=te*", "service": "web"}, False),
        ({"label": "dm-tools.tier=prod"}, False),
        ({"incident": "db0123456789"}, True),
        ({"service": "db", "weekly": "thu 12:00-14:00"}, True),
        ({"service": "db", "weekly": "thu 14:00-15:00"}, False),
        ({"service": "db", "weekly": "wed 23:00-12:30"}, False),
        ({"service": "db", "weekly": "wed 23:00-13:30"}, True),
        ({"service": "db", "weekly": "daily 13:00-13:01"}, True),
    ],
)
def test_a_silence_opens_nothing_and_what_still_holds_is_opened_after_it(
    selectors: dict[str, str], silent: bool
) -> None:
    silence = Silence(id="s", at="", until="2099-01-01T00:00:00Z", **selectors)
    thursday = {"day": 3, "minute": 13 * 60}
    watch = Watch(quiet=(silence,))
    shop = seen(project="shop", labels={"dm-tools.tier": "test"})
    told = [watch.round(shop, moment=at(number, **thursday)) for number in range(4)]
    assert told == ([[]] * 4 if silent else [[], ["opened"], [], []])
    watch.quiet = ()
    assert watch.round(shop, moment=at(4, **thursday)) == (["opened"] if silent else [])


def test_a_silence_tells_no_change_but_the_end() -> None:
    watch = Watch(Rules())
    watch.round(seen(severity=Severity.WARNING))
    watch.quiet = (Silence(id="s", at="", until="2099-01-01T00:00:00Z", incident=str(watch.events[0].incident)),)
    assert watch.round(seen()) == []
    assert watch.round(seen(sight=GOOD)) == ["recovered"]


def test_a_silence_has_an_end() -> None:
    begun = Silence(id="s", at="", until="2024-11-28T14:00:00Z")
    ended = Silence(id="s", at="", action="end", until=begun.until)
    wall = 1_732_800_000  # 13:20 of that day
    assert silences.standing([begun], wall) == [begun]
    assert silences.standing([begun, ended], wall) == []
    assert silences.standing([begun], wall + 3600) == []


# Any weeks of looks. Roots and symptoms are drawn as they come: what contradicts itself must not break the promise.
looks = st.builds(
    lambda service, sight, cause, severity, symptoms, root: (
        seen(service, sight, cause=cause, severity=severity, symptoms=tuple(sorted(symptoms - {service})))
        if sight in (BAD, STOPPED)
        else seen(service, sight, root=root if sight == SYMPTOM else None)
    ),
    st.sampled_from(SERVICES),
    st.sampled_from(list(Sight)),
    st.sampled_from([Cause.EXITED, Cause.OOM_KILLED]),
    st.sampled_from([Severity.CRITICAL, Severity.WARNING]),
    st.frozensets(st.sampled_from(SERVICES)),
    st.sampled_from(SERVICES),
)
weeks = st.lists(st.tuples(st.lists(looks, max_size=4), st.sampled_from([10, 30, 30, 30, 4000])), max_size=30)
ways = st.sampled_from([Rules(), IN_ROUNDS, Rules(1, 2, 2, "all")])


def told(week: Any, rules: Rules, order: Any = lambda found: found) -> Iterator[list[IncidentEvent]]:
    """The events of each round of a week."""
    state, wall = State(), 1_732_800_000.0
    for found, seconds in week:
        wall += seconds
        moment = Moment(str(wall), wall, wall, "b")
        state, events = judged(state, order(found), moment, (), rules)
        yield events


@settings(max_examples=150, deadline=None)
@given(weeks, ways)
def test_one_opening_and_one_end_for_each_incident(week: Any, rules: Rules) -> None:
    open_ones: dict[str, str] = {}
    every = [event for events in told(week, rules) for event in events]
    assert [each.number for each in every] == list(range(1, len(every) + 1))
    assert max(Counter(each.id for each in every).values(), default=1) == 1
    for each in every:
        if each.kind == Happening.GAP:
            continue
        assert each.incident and each.service
        if each.kind == Happening.OPENED:
            assert each.service not in open_ones.values()
            open_ones[each.incident] = each.service
        else:
            assert each.incident in open_ones  # nothing is told before the opening or after the end
            open_ones[each.incident] = each.service
            if each.kind in ENDS:
                del open_ones[each.incident]
    openings = Counter(each.incident for each in every if each.kind == Happening.OPENED)
    assert set(openings.values()) <= {1}


@settings(max_examples=100, deadline=None)
@given(weeks, ways, st.randoms())
def test_the_order_of_the_records_of_a_round_does_not_matter(week: Any, rules: Rules, random: Any) -> None:
    def shuffled(found: list[Look]) -> list[Look]:
        return random.sample(found, len(found))

    assert list(told(week, rules)) == list(told(week, rules, shuffled))


@settings(max_examples=60, deadline=None)
@given(weeks, ways, st.data())
def test_killed_anywhere_every_event_is_printed_and_none_that_was_acknowledged_again(
    tmp_path_factory: pytest.TempPathFactory, week: Any, rules: Rules, data: st.DataObject
) -> None:
    """A kill can fall before the round is on the disk, before it is printed, before that is known."""
    kept = Incidents(tmp_path_factory.mktemp("p"))
    kept.folder.mkdir()
    printed: list[str] = []
    acknowledged: set[str] = set()
    wall = 1_732_800_000.0
    for found, seconds in week:
        wall += seconds
        while True:  # a run: it begins with what is waiting, and goes on until it is killed or through
            kill = data.draw(st.sampled_from(["", "", "", "commit", "torn", "print", "acknowledge"]))
            waiting = kept.waiting()
            assert not {each.id for each in waiting} & acknowledged
            printed += [each.id for each in waiting]
            if waiting:
                kept.acknowledge(waiting[-1].number)
                acknowledged |= {each.id for each in waiting}
            state, events = judged(kept.state(), found, Moment(str(wall), wall, wall, "b"), (), rules)
            if kill == "commit":
                continue
            if kill == "torn":
                with kept.path.open("ab") as file:
                    file.write(b'{"state":{"number":99')
                continue
            kept.commit(state, events)
            if kill == "print":
                break
            printed += [each.id for each in events]
            if kill == "acknowledge" or not events:
                break
            kept.acknowledge(events[-1].number)
            acknowledged |= {each.id for each in events}
            break
    printed += [each.id for each in kept.waiting()]
    assert set(printed) == {each.id for each in kept.events()}
    assert max(Counter(printed).values(), default=0) <= 2  # twice: killed between the printing and its receipt


def test_the_file_of_rounds_does_not_grow_for_ever(tmp_path: Path) -> None:
    kept = Incidents(tmp_path)
    kept.folder.mkdir()
    watch = Watch(Rules())
    for _ in range(200):
        for sight in (BAD, GOOD):
            before = watch.state.number
            watch.round(seen(sight=sight, text="x" * 6000))
            kept.commit(watch.state, watch.events[before:])
    kept.acknowledge(watch.state.number)
    assert kept.path.stat().st_size < 5_000_000
    assert kept.waiting() == [] and kept.state().number == watch.state.number


@pytest.mark.parametrize("name", ["database-down", "disk-full"])
def test_a_recorded_fault_is_one_incident(name: str, run: Run) -> None:
    fault = next(each for each in lab.faults() if each.name == name)
    stack = "".join(json.dumps(each) + "\n" for each in faults.recorded(fault))
    first, second = (
        records(run("dm-analyze | dm-propose | dm-incidents --proofs-dir p", stack).stdout) for _ in range(2)
    )
    assert [(each["kind"], each["service"]) for each in first] == [("opened", "postgres")]
    assert first[0]["symptoms"] == ["app", "web", "worker"]
    assert first[0]["evidence"] and first[0]["proposed"]
    assert second == []


def rounds_of(*rounds: list[dict[str, Any]]) -> str:
    """Rounds of records with their markers."""
    lines = []
    for number, found in enumerate(rounds, 1):
        marker = {"v": 1, "round": {"number": number, "at": "2024-11-28T13:20:00Z", "services": len(found)}}
        lines += [json.dumps(each) for each in [*found, marker]]
    return "\n".join(lines) + "\n"


def test_rounds_pass_their_markers_on_and_an_unfinished_one_is_none(run: Run) -> None:
    fault = next(each for each in lab.faults() if each.name == "database-down")
    stack = [json.loads(line) for line in judged_lines(run, faults.recorded(fault))]
    told = records(run("dm-incidents --proofs-dir p", rounds_of(stack, stack) + json.dumps(stack[0]) + "\n").stdout)
    assert [each.get("kind") or each["round"]["number"] for each in told] == [1, "opened", 2]
    done = run("dm-incidents list --json --proofs-dir p")
    assert [each["open"]["look"]["service"] for each in records(done.stdout) if "open" in each] == ["postgres"]


def judged_lines(run: Run, stack: list[dict[str, Any]]) -> list[str]:
    """The judged records of a stack, as lines."""
    text = "".join(json.dumps(each) + "\n" for each in stack)
    return run("dm-analyze | dm-propose", text).stdout.splitlines()


def test_two_that_judge_into_one_folder_take_turns(run: Run, tmp_path: Path) -> None:
    """A resident one goes on from what another has judged meanwhile."""
    resident, other = Incidents(tmp_path / "p"), Incidents(tmp_path / "p")
    watch = Watch(Rules())
    with resident.alone():
        with (
            pytest.raises(journal.Busy, match="wait for it to end"),
            journal.locked(resident.folder / "lock", 0o600, 0.1),
        ):
            pass
        watch.round(seen())
        resident.commit(watch.state, watch.events)
        resident.acknowledge(1)
    assert (other.state().number, other.waiting()) == (1, [])
    other.commit(*judged(other.state(), [seen(sight=GOOD)], at(9), (), Rules()))
    assert ([each.kind for each in resident.waiting()], resident.state().open) == ([Happening.RECOVERED], {})


def test_the_newest_verdict_is_known_before_the_change_is_told() -> None:
    watch = Watch(Rules(bad=2, of=3, recover=3))
    for cause, proposed in ((Cause.EXITED, "start"), (Cause.EXITED, "start"), (Cause.OOM_KILLED, "scale_up")):
        watch.round(seen(cause=cause, proposed=(f"{proposed}: so that it runs",)))
    ((marker,), told) = show.briefly(watch.state)["open"], [each.kind for each in watch.events]
    assert (marker["cause"], marker["newest"], told) == (Cause.EXITED, "db oom_killed scale_up", [Happening.OPENED])


def acting() -> ApprovedAction:
    return ApprovedAction("1", "app", ActionName.RESTART, Confidence.HIGH, "a test", {})


def test_what_we_do_ourselves_raises_no_alarm_and_what_holds_afterwards_does() -> None:
    def entry(phase: Phase, at: int, status: Outcome | None = None) -> JournalEntry:
        action = acting() if phase == Phase.INTENT else None
        return JournalEntry(
            f"2026-01-01T00:{at // 60:02}:{at % 60:02}Z", "1", phase, action, status and Execution("1", status)
        )

    begun = parse_time("2026-01-01T00:00:00Z") or 0.0

    def silent(*entries: JournalEntry, after: float) -> bool:
        quiet = deeds.silences(entries, begun + after)
        return Watch(Rules(), tuple(quiet)).round(seen()) == []

    intent, done = entry(Phase.INTENT, 0), entry(Phase.OUTCOME, 10, Outcome.DONE)
    assert not silent(after=5)
    assert silent(intent, after=5) and silent(intent, done, after=60)
    assert not silent(intent, done, after=71)  # it had a minute to come back
    assert not silent(intent, after=301)  # a kill cut it off
    assert not silent(intent, entry(Phase.OUTCOME, 10, Outcome.REFUSED), after=11)
    watch, own = Watch(Rules()), deeds.silences([intent, done], begun + 11)
    watch.round(seen())
    assert judged(watch.state, [seen(sight=GOOD)], at(1), (), Rules(), own)[1] == []  # a proof is to come
    proved = seen(sight=NOTHING, healing=Healing(("looked again: recovered",), True, ("1",)))
    assert [each.kind for each in judged(watch.state, [proved], at(1), (), Rules(), own)[1]] == [Happening.RECOVERED]
    hurt = Watch(Rules())  # who suffered has yet to find it again, and is at fault himself for a look
    hurt.round(seen(symptoms=("app",)), seen("app", SYMPTOM, root="db"))
    hurt.state = judged(hurt.state, [seen(sight=GOOD), seen("app")], at(1), (), Rules(), own)[0]
    assert [each.kind for each in judged(hurt.state, [proved], at(1), (), Rules(), own)[1]] == [Happening.RECOVERED]
    state = judged(watch.state, [proved], at(1, at="2026-01-01T00:00:20Z"), (), Rules(), own)[0]
    again = deeds.silences([intent, done], begun + 21)  # it is proved: what fails now is another occasion
    assert [each.kind for each in judged(state, [seen()], at(2), (), Rules(), again)[1]] == [Happening.OPENED]
    again = deeds.silences([intent, done, entry(Phase.UNDOING, 30)], begun + 31)  # and then it was taken back
    assert judged(state, [seen()], at(2), (), Rules(), again)[1] == []
    undoing = [intent, done, entry(Phase.UNDOING, 100)]
    assert silent(*undoing, after=110) and not silent(*undoing, entry(Phase.UNDONE, 120), after=181)


@pytest.mark.parametrize(
    "line, says",
    [
        ("silence", "of what?"),
        ("silence web --for 2h", "needs a reason"),
        ("silence web --why x", "needs an end"),
        ("silence web --weekly 'sat 25:00-26:00' --why x", "is no window"),
        ("silence --label tier=test --for 2h --why x", "only those that begin with 'dm-tools.' are read"),
        ("unsilence 12345678", "no silence '12345678'"),
        ("--open-after 3/2 x.jsonl", "no number of looks"),
    ],
)
def test_wrong_words_are_told(run: Run, line: str, says: str) -> None:
    done = run(f"dm-incidents {line}")
    assert done.returncode == 2 and says in done.stderr and done.stderr.count("\n") == 1


def test_a_silence_by_hand(run: Run) -> None:
    begun = records(run("dm-incidents silence web db --for 2h --why disk --proofs-dir p").stdout)
    assert [each["service"] for each in begun] == ["web", "db"]
    listed = run("dm-incidents list --proofs-dir p").stdout
    assert listed.count("silent: service") == 2 and "disk" in listed
    run(f"dm-incidents unsilence {begun[0]['id']} --proofs-dir p")
    assert run("dm-incidents list --proofs-dir p").stdout.count("silent: service") == 1


def test_what_was_not_judged_is_said(run: Run) -> None:
    done = run("dm-incidents --proofs-dir p", '{"service":"x"}\n{"service":"y"}\n')
    assert (done.returncode, done.stdout) == (4, "")
    assert "2 records not looked at: the record was not judged" in done.stderr


def test_the_state_is_read_as_it_was_written() -> None:
    watch = Watch()
    watch.course("bbgb")
    assert msgspec.json.decode(msgspec.json.encode(watch.state), type=State) == watch.state
