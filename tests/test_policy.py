"""What a policy says and decides: each condition, the ceiling, and that nothing from outside can widen it."""

from __future__ import annotations

import random
import string
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dm_tools.act.catalogue import CATALOGUE
from dm_tools.act.policy import ceiling, language, subject, windows
from dm_tools.act.policy.decide import Known, decide
from dm_tools.act.posterior import Place
from dm_tools.records import (
    ActionName,
    ActionOutcome,
    Cause,
    Confidence,
    Outcome,
    Proof,
    ProposedFix,
    Risk,
    Ruling,
)
from dm_tools.store import policies
from tests import approving
from tests.approving import NOW, allow, decision, deny, outcome, policy

# Reading

SHIPPED = policies.shipped().read_text()
# The example in the shipped file, with its marks of comment taken away.
EXAMPLE = "version = 1\n" + "\n".join(
    line.removeprefix("# ").removeprefix("#") for line in SHIPPED.partition("version = 1\n")[2].splitlines()
)


def test_the_shipped_policy_approves_nothing_and_its_example_can_be_read() -> None:
    assert language.read(SHIPPED) == language.NOTHING
    found = language.read(EXAMPLE)
    assert [rule.effect for rule in found.rules] == ["allow", "deny"]
    assert found.earned is not None
    for kind, part in ((language.Written, found), (language.Rule, found.rules[0]), (language.Earned, found.earned)):
        for key in msgspec.structs.fields(kind):
            assert key.encode_name in EXAMPLE, key
        assert part is not None


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("version = 2", "version: "),
        ("rule = 3\nversion = 1", "rule: "),
        ("version = 1\n[[rule]\n", "line 2"),
        ("version = 1\nrules = []", "unknown key 'rules': did you mean 'rule'?"),
        (allow("action = ['restart']"), "line 2: rule 'a': unknown key 'action': did you mean 'actions'?"),
        (allow("zzz = 1"), "rule 'a': unknown key 'zzz': there are: name, effect"),
        (
            allow() + allow("servcies = ['x']", "b"),
            "line 6: rule 'b': unknown key 'servcies': did you mean 'services'",
        ),
        (allow("actions = ['reboot']"), "line 2: rule 'a'.actions[0]: invalid enum value 'reboot'"),
        (allow("causes = ['ghosts']"), "invalid enum value 'ghosts'"),
        (allow("actions = 'restart'"), "got `str`"),
        (allow("actions = []"), "actions names nothing"),
        (allow("services = []"), "services names nothing"),
        (allow("labels = {}"), "labels names nothing"),
        (allow("confidence = 'certain'"), "invalid enum value 'certain'"),
        (allow("labels = { a = 'b' }"), "labels may come with an image"),
        (allow("when = [{ from = '22:00' }]"), "a window needs a time_zone"),
        ("time_zone = 'Mars/Olympus'\n", "unknown time zone 'Mars/Olympus'"),
        ("time_zone = '../../etc/passwd'\n", "unknown time zone"),
        ("time_zone = 'UTC'\n" + allow("when = [{ from = '25:00' }]"), "'25:00' is no time of day"),
        ("time_zone = 'UTC'\n" + allow("when = [{ from = '9:00' }]"), "'9:00' is no time of day"),
        ("time_zone = 'UTC'\n" + allow("when = [{ from = '09:00', to = '09:00' }]"), "never opens"),
        ("time_zone = 'UTC'\n" + allow("when = [{ days = [] }]"), "never opens"),
        ("time_zone = 'UTC'\n" + allow("when = [{ form = '09:00' }]"), "rule 'a'.when[0]: unknown key 'form'"),
        (allow("attempts = { most = 0 }"), "attempts: at least 1"),
        (allow("attempts = { within = 'never' }"), "attempts: at least 1"),
        (allow("needed_by_at_most = -1"), "0 or more"),
        (allow("needs = { successes = 0, lower_bound = 0.5 }"), "successes is at least 1"),
        (allow("needs = { successes = 3, lower_bound = 1.0 }"), "lower_bound from 0 to below 1"),
        (allow("needs = { successes = 3 }"), "lower_bound"),
        (allow("actions = ['free_disk']"), "free_disk touches data"),
        (deny("needs = { successes = 3, lower_bound = 0.5 }"), "a rule that denies has no 'needs'"),
        (deny("confidence = 'low'"), "a rule that denies has no 'confidence'"),
        (allow() + allow(), "another rule has the same name"),
        (allow(name="earned-1"), "a name is of a-z"),
        (allow(name="A B"), "a name is of a-z"),
        ("most_at_once = 0\n", "at least 1"),
        ("[earned]\nsuccesses = 3\n", "lower_bound"),
        ("[earned]\nsuccesses = 3\nlower_bound = 0.5\nactions = ['recreate']\n", "recreate is disruptive"),
        ("[earned]\nsuccesses = 3\nlower_bound = 0.5\nactions = ['check_logs']\n", "check_logs is read_only"),
    ],
)
def test_a_broken_policy_says_where(text: str, where: str) -> None:
    with pytest.raises(language.PolicyError) as wrong:
        language.read(text) if "version" in text else policy(text)
    assert where in str(wrong.value)


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_a_policy_with_a_letter_changed_is_read_or_refused_and_never_a_surprise(data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(EXAMPLE) - 1))
    letter = data.draw(st.sampled_from(string.printable))
    try:
        found = language.read(EXAMPLE[:position] + letter + EXAMPLE[position + 1 :])
    except language.PolicyError:
        return
    assert isinstance(found, language.Policy)


# Each condition


@pytest.mark.parametrize(
    ("rule", "more", "ruling"),
    [
        ("", {}, "approved"),
        ("actions = ['start', 'restart']", {}, "approved"),
        ("actions = ['start']", {}, "person"),
        ("causes = ['unresponsive']", {}, "approved"),
        ("causes = ['paused']", {}, "person"),
        ("causes = ['paused']", {"cause": None}, "person"),
        ("services = ['app']", {}, "approved"),
        ("services = ['a*', 'x']", {}, "approved"),
        ("services = ['?pp']", {}, "approved"),
        ("services = ['[a]pp']", {}, "person"),
        ("services = ['App']", {}, "person"),
        ("services = ['app2']", {}, "person"),
        ("projects = ['shop']", {}, "approved"),
        ("projects = ['other']", {}, "person"),
        ("projects = ['*']", {"place": Place("app")}, "person"),
        ("services = ['app']\nlabels = { 'dm-tools.tier' = 'web' }", {"labels": {"dm-tools.tier": "web"}}, "approved"),
        ("services = ['app']\nlabels = { 'dm-tools.tier' = 'web' }", {}, "person"),
        ("services = ['app']\nlabels = { 'dm-tools.tier' = 'web' }", {"labels": None}, "person"),
        ("", {"confidence": Confidence.MEDIUM}, "person"),
        ("actions = ['restart']", {"confidence": Confidence.MEDIUM}, "person"),
        ("actions = ['restart']\nconfidence = 'medium'", {"confidence": Confidence.MEDIUM}, "approved"),
        ("confidence = 'medium'", {"confidence": Confidence.MEDIUM}, "person"),
        ("needed_by_at_most = 2", {"needed_by": 2}, "approved"),
        ("needed_by_at_most = 2", {"needed_by": 3}, "person"),
        ("needed_by_at_most = 2", {"needed_by": None}, "person"),
    ],
)
def test_what_a_rule_names_must_be_so(rule: str, more: dict[str, Any], ruling: str) -> None:
    assert decision(allow(rule), approving.subject(**more)).ruling == ruling


@pytest.mark.parametrize(
    ("rule", "more", "ruling"),
    [
        ("", {}, "refused"),
        ("services = ['app']", {}, "refused"),
        ("services = ['other']", {}, "approved"),
        ("projects = ['ledger']", {}, "approved"),
        ("projects = ['ledger']", {"place": Place("app")}, "refused"),
        ("causes = ['paused']", {"cause": None}, "refused"),
        ("labels = { 'dm-tools.tier' = 'money' }", {"labels": None}, "refused"),
        ("labels = { 'dm-tools.tier' = 'money' }", {"labels": {"dm-tools.tier": "money"}}, "refused"),
        ("labels = { 'dm-tools.tier' = 'money' }", {"labels": {}}, "approved"),
        ("labels = { 'dm-tools.tier' = 'money' }\nservices = ['other']", {"labels": None}, "approved"),
    ],
)
def test_a_rule_that_denies_errs_on_the_safe_side(rule: str, more: dict[str, Any], ruling: str) -> None:
    found = decision(allow() + deny(rule), approving.subject(**more))
    assert (found.ruling, found.rule) == (ruling, "z" if ruling == "refused" else "a")


BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("window", "local", "fold", "there"),
    [
        ("from = '09:00', to = '17:00'", "2026-03-04 09:00", 0, True),
        ("from = '09:00', to = '17:00'", "2026-03-04 08:59", 0, False),
        ("from = '09:00', to = '17:00'", "2026-03-04 17:00", 0, False),
        ("from = '22:00', to = '06:00'", "2026-03-04 23:30", 0, True),
        ("from = '22:00', to = '06:00'", "2026-03-05 05:59", 0, True),
        ("from = '22:00', to = '06:00'", "2026-03-05 06:00", 0, False),
        ("from = '22:00'", "2026-03-04 23:59", 0, True),
        ("from = '22:00'", "2026-03-05 00:00", 0, False),
        ("days = ['fri'], from = '22:00', to = '06:00'", "2026-03-07 03:00", 0, True),  # Saturday: it began on Friday
        ("days = ['sat'], from = '22:00', to = '06:00'", "2026-03-07 03:00", 0, False),
        ("days = ['sat', 'sun']", "2026-03-07 12:00", 0, True),
        ("days = ['sat', 'sun']", "2026-03-09 00:00", 0, False),
        # 2026-03-29: the hour from two to three is left out. 01:59 is followed by 03:00.
        ("from = '01:00', to = '03:00'", "2026-03-29 01:59", 0, True),
        ("from = '01:00', to = '03:00'", "2026-03-29 03:00", 0, False),
        ("from = '22:00', to = '06:00'", "2026-03-29 03:30", 0, True),
        # 2026-10-25: the hour from two to three comes twice.
        ("from = '02:00', to = '03:00'", "2026-10-25 02:30", 0, True),
        ("from = '02:00', to = '03:00'", "2026-10-25 02:30", 1, True),
        ("from = '03:00', to = '04:00'", "2026-10-25 02:59", 1, False),
    ],
)
def test_windows_go_by_the_clock_on_the_wall(window: str, local: str, fold: int, there: bool) -> None:
    at = datetime.fromisoformat(local).replace(tzinfo=BERLIN, fold=fold).timestamp()
    text = "time_zone = 'Europe/Berlin'\n" + allow(f"when = [{{ {window} }}]")
    assert (decision(text, now=at).ruling == Ruling.APPROVED) == there


@given(st.floats(0, 4e9), st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]))
@settings(max_examples=80, deadline=None)
def test_a_window_and_the_one_of_the_other_hours_are_never_open_both(at: float, zone: str) -> None:
    where = windows.zone(zone)
    night, day = windows.Window(begins="22:00", ends="06:30"), windows.Window(begins="06:30", ends="22:00")
    assert windows.is_open(night, at, where) != windows.is_open(day, at, where)


@pytest.mark.parametrize(
    ("hours_ago", "ruling"),
    [((0.5,), "approved"), ((0.2, 0.9), "person"), ((0.2, 1.1), "approved"), ((-1, -2), "person")],
)
def test_what_was_tried_too_often_is_for_a_person(hours_ago: tuple[float, ...], ruling: str) -> None:
    tried = [outcome(each / 24, proof=None) for each in hours_ago]
    assert decision(allow(), outcomes=tried).ruling == ruling
    others = [msgspec.structs.replace(each, service="other") for each in tried]
    assert decision(allow(), outcomes=others).ruling == "approved"


@pytest.mark.parametrize(
    ("needs", "good", "bad", "ruling"),
    [
        ("successes = 3, lower_bound = 0.4", 3, 0, "approved"),
        ("successes = 3, lower_bound = 0.4", 2, 0, "person"),
        ("successes = 3, lower_bound = 0.5", 3, 0, "person"),  # 3 of 3: 47-99 %
        ("successes = 3, lower_bound = 0.4", 4, 1, "approved"),
        ("successes = 3, lower_bound = 0.5", 4, 1, "person"),
    ],
)
def test_what_must_be_proved(needs: str, good: int, bad: int, ruling: str) -> None:
    known = [outcome(10 + each) for each in range(good)]
    known += [outcome(30 + each, Proof.NOT_RECOVERED) for each in range(bad)]
    found = decision(allow(f"needs = {{ {needs} }}"), outcomes=known)
    assert found.ruling == ruling
    assert f"{good} of {good + bad}" in found.reason


# The ceiling

EVERYTHING = allow(
    f"actions = {[str(each) for each in ActionName if each != ActionName.FREE_DISK]}\nconfidence = 'low'"
)


@pytest.mark.parametrize(
    ("action", "more", "ruling", "reason"),
    [
        ("restart", {}, "approved", ""),
        ("recreate", {}, "approved", ""),
        ("rollback_image", {}, "approved", ""),
        ("rollback_image", {"writable_mounts": True}, "refused", "stored"),
        ("rollback_image", {"writable_mounts": None}, "refused", "stored"),
        ("free_disk", {}, "refused", "stored"),
        ("escalate", {"identity": None}, "approved", ""),
        ("restart", {"labels": {"dm-tools.heal": "never"}}, "refused", "dm-tools.heal=never"),
        ("restart", {"labels": {"dm-tools.heal": "start"}}, "refused", "dm-tools.heal=start"),
        ("restart", {"by_rules": False}, "person", "model"),
        ("restart", {"claims_safe": False}, "person", "catalogue"),
        ("restart", {"confidence": Confidence.LOW}, "person", "guess"),
        ("check_logs", {"confidence": Confidence.LOW}, "approved", ""),
        ("restart", {"identity": None}, "person", "which container"),
        ("restart", {"twins": 2}, "person", "more than one service"),
        ("scale_up", {}, "approved", ""),
        ("scale_up", {"parameters": {"resource": "memory", "limit": "1g"}}, "person", "'limit'"),
        ("reconnect_network", {"parameters": {"network": "x"}}, "person", "'network'"),
        ("restart", {"parameters": {"force": "yes"}}, "person", "'force'"),
    ],
)
def test_the_ceiling_holds_whatever_the_rules_say(action: str, more: dict[str, Any], ruling: str, reason: str) -> None:
    found = decision(EVERYTHING, approving.subject(ActionName(action), **more))
    assert found.ruling == ruling
    assert reason in found.reason


@pytest.mark.parametrize("action", ActionName)
@pytest.mark.parametrize("confidence", Confidence)
def test_without_a_name_nothing_is_approved_that_the_report_does_not_call_safe(
    action: ActionName, confidence: Confidence
) -> None:
    """`automated_actions_safe` of a report is the most that a rule without actions can approve."""
    known = CATALOGUE[action]
    fix = ProposedFix(action, confidence, "", {}, known.risk, known.automatic)
    found = decision(allow("confidence = 'low'"), approving.subject(action, confidence=confidence))
    assert found.ruling != Ruling.APPROVED or ceiling.is_safe(fix)
    if known.risk in (Risk.DISRUPTIVE, Risk.MANUAL):
        assert found.ruling != Ruling.APPROVED


def test_what_made_it_worse_is_for_a_person_until_a_person_has_shown_that_it_helps() -> None:
    harm = outcome(30, Proof.WORSE, cause=Cause.PAUSED)
    helped_by_policy = outcome(20, by="policy:a")
    assert decision(allow(), outcomes=[harm]).ruling == "person"
    assert decision(allow(), outcomes=[harm, helped_by_policy]).ruling == "person"
    assert decision(allow(), outcomes=[outcome(40), harm]).ruling == "person"
    assert decision(allow(), outcomes=[harm, outcome(20)]).ruling == "approved"
    assert decision(allow(), outcomes=[msgspec.structs.replace(harm, service="other")]).ruling == "approved"
    assert decision(allow(), outcomes=[msgspec.structs.replace(harm, at="?"), outcome(1)]).ruling == "person"


# A whole run


def run(text: str, subjects: list[subject.Subject]) -> list[tuple[str, str]]:
    """The service and the ruling of each proposal."""
    found = decide(subjects, Known(policy(text), [], [], NOW))
    return [(each.service, decision.ruling) for each, decision in found]


def test_of_one_service_one_change_and_any_number_of_looks() -> None:
    given = [approving.subject(each, fix=index) for index, each in enumerate(("check_logs", "restart", "start"))]
    given = [replace(each, action=ActionName(each.action)) for each in given]
    assert [each[1] for each in run(allow(), given)] == ["approved", "approved", "person"]


def test_many_changes_at_once_are_for_a_person() -> None:
    three = [approving.subject(place=Place(f"s{index}")) for index in range(3)]
    four = [*three, approving.subject(place=Place("s4"))]
    look = approving.subject(ActionName.CHECK_LOGS, place=Place("s5"))
    assert {each[1] for each in run(allow(), three)} == {"approved"}
    assert [each[1] for each in run(allow(), [*four, look])] == ["person"] * 4 + ["approved"]
    assert {each[1] for each in run("most_at_once = 4\n" + allow(), four)} == {"approved"}


# Whatever comes


NAMES = st.sampled_from(["app", "db", "web-1", "ledger", "app\u200b", "*", "[a]pp", ""])
SUBJECTS = st.builds(
    lambda action, place, **more: approving.subject(action, place=place, **more),
    st.sampled_from(ActionName),
    place=st.builds(Place, NAMES, st.sampled_from(["shop", None]), st.none(), st.sampled_from(["i:1", "i:2", None])),
    fix=st.integers(0, 3),
    cause=st.sampled_from([Cause.UNRESPONSIVE, Cause.STOPPED, None]),
    confidence=st.sampled_from(Confidence),
    labels=st.sampled_from([{}, None, {"dm-tools.tier": "web"}, {"dm-tools.heal": "never"}]),
    writable_mounts=st.sampled_from([True, False, None]),
    needed_by=st.sampled_from([0, 3, None]),
    by_rules=st.booleans(),
    claims_safe=st.booleans(),
    twins=st.integers(1, 2),
    words=st.text(max_size=20),
)
PARTS = [
    *("actions = ['restart', 'recreate', 'start']", "actions = ['rollback_image', 'escalate']", "causes = ['stopped']"),
    *("services = ['app', 'web-*']", "projects = ['shop']", "when = [{ from = '10:00', to = '14:00' }]"),
]
ONLY_ALLOW = ["confidence = 'medium'", "needed_by_at_most = 2", "needs = { successes = 1, lower_bound = 0.1 }"]


@st.composite
def rules(draw: st.DrawFn, effect: str | None = None) -> str:
    """Some rules, with names of their own."""
    text = ""
    for index in range(draw(st.integers(0, 4))):
        kind = effect or draw(st.sampled_from(["allow", "deny"]))
        parts = draw(
            st.lists(st.sampled_from(PARTS + (ONLY_ALLOW if kind == "allow" else [])), max_size=3, unique=True)
        )
        keys = {each.partition(" ")[0]: each for each in parts}
        text += (allow if kind == "allow" else deny)("\n".join(keys.values()), f"{kind}{index}")
    return text


OUTCOMES = st.lists(
    st.builds(
        lambda days, proof, service: outcome(days, proof, place=Place(service, "shop", None, "i:1")),
        st.floats(0.01, 50),
        st.sampled_from([*Proof, None]),
        st.sampled_from(["app", "db"]),
    ),
    max_size=6,
)
ZONE = "time_zone = 'UTC'\n"


def approved(text: str, subjects: list[subject.Subject], outcomes: list[ActionOutcome]) -> list[bool]:
    """Which of the proposals are approved; a run of them is never too large for these tests."""
    known = Known(policy(ZONE + "most_at_once = 99\n" + text), outcomes, [], NOW)
    return [found.ruling == Ruling.APPROVED for _, found in decide(subjects, known)]


@given(rules(), rules("deny"), SUBJECTS, OUTCOMES)
@settings(max_examples=80, deadline=None)
def test_deny_beats_allow(some: str, more: str, one: subject.Subject, known: list[ActionOutcome]) -> None:
    """With more rules that deny nothing more is approved."""
    more = more.replace('name = "deny', 'name = "no')
    assert approved(some + more, [one], known) <= approved(some, [one], known)


@given(rules(), st.lists(SUBJECTS, max_size=5), OUTCOMES, st.randoms())
@settings(max_examples=80, deadline=None)
def test_the_order_of_rules_records_and_outcomes_does_not_matter(
    text: str, given: list[subject.Subject], known: list[ActionOutcome], order: random.Random
) -> None:
    given = [replace(each, fix=index) for index, each in enumerate(given)]
    parts = [f"[[rule]]{each}" for each in text.split("[[rule]]")[1:]]
    mixed, shuffled, other = (
        order.sample(parts, len(parts)),
        order.sample(given, len(given)),
        order.sample(known, len(known)),
    )
    base = decide(given, Known(policy(ZONE + text), known, [], NOW))
    again = decide(shuffled, Known(policy(ZONE + "".join(mixed)), other, [], NOW))
    told = [{each.fix: found for each, found in pairs} for pairs in (base, again)]
    assert told[0] == told[1]


@given(rules("allow"), SUBJECTS, OUTCOMES)
@settings(max_examples=120, deadline=None)
def test_whatever_the_rules_the_ceiling_holds(text: str, one: subject.Subject, known: list[ActionOutcome]) -> None:
    if not approved(text, [one], known)[0]:
        return
    known_action = CATALOGUE[one.action]
    assert one.by_rules and one.claims_safe and one.facts.twins == 1
    assert one.confidence != Confidence.LOW or known_action.risk == Risk.READ_ONLY
    assert not ceiling.touches_data(one.action, one.facts.writable_mounts)
    if known_action.risk in (Risk.DISRUPTIVE, Risk.MANUAL) or not known_action.automatic:
        assert f"'{one.action}'" in text


@given(rules(), SUBJECTS, OUTCOMES, st.data())
@settings(max_examples=120, deadline=None)
def test_what_is_known_less_well_is_never_approved_more(
    text: str, one: subject.Subject, known: list[ActionOutcome], data: st.DataObject
) -> None:
    """No fact that is missing, and no confidence that is lower, widens what is approved."""
    facts = one.facts
    place = facts.place
    poorer = [
        replace(one, facts=replace(facts, labels=None)),
        replace(one, facts=replace(facts, writable_mounts=None)),
        replace(one, facts=replace(facts, needed_by=None)),
        replace(one, facts=replace(facts, identity=None)),
        replace(one, facts=replace(facts, twins=2)),
        replace(one, by_rules=False),
        replace(one, claims_safe=False),
        *([replace(one, confidence=Confidence.LOW)] if CATALOGUE[one.action].risk != Risk.READ_ONLY else []),
    ]
    if facts.labels and "dm-tools.heal" in facts.labels:
        poorer = poorer[1:]  # that somebody forbids it is known by looking only
    other = data.draw(st.sampled_from(poorer))
    assert place == other.facts.place
    assert approved(text, [other], known) <= approved(text, [one], known)


@given(rules(), SUBJECTS, OUTCOMES, st.text(max_size=300), st.text(max_size=30))
@settings(max_examples=80, deadline=None)
def test_no_text_decides(text: str, one: subject.Subject, known: list[ActionOutcome], words: str, value: str) -> None:
    """Reasoning is never read; a parameter that is no word of a closed list can only narrow."""
    base = approved(text, [one], known)
    assert approved(text, [replace(one, words=words, pattern=words, fingerprint=words)], known) == base
    for key in ("path", "network", "limit", "image", words):
        assert approved(text, [replace(one, parameters={**one.parameters, key: value})], known) <= base


@given(rules(), SUBJECTS, OUTCOMES, st.sampled_from([Proof.NOT_RECOVERED, Proof.WORSE]))
@settings(max_examples=80, deadline=None)
def test_one_more_failure_never_widens(
    text: str, one: subject.Subject, known: list[ActionOutcome], proof: Proof
) -> None:
    for service in ("app", "db", "web-1"):
        more = outcome(0.001, proof, one.action, place=Place(service, "shop", None, "i:1"), outcome=Outcome.DONE)
        assert approved(text, [one], [*known, more]) <= approved(text, [one], known)
