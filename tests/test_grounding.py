"""The checker of dm_tools/diagnose/grounding.py: lies of every kind are dropped or demoted, the truth passes whole."""

from __future__ import annotations

import copy
import json
from typing import Any

import msgspec
import pytest

from dm_tools.diagnose.grounding import checked
from dm_tools.evidence.ids import resolve
from dm_tools.evidence.view import View
from dm_tools.evidence.words import told
from dm_tools.patterns import causes
from dm_tools.records import Analysis, Cause, Confidence, Finding, Role, Root, Severity, Status
from tests import making
from tests.conftest import ROOT, Run, records

VIEWS = {
    view.service: view for view in map(View.of, records((ROOT / "tests" / "data" / "database-down.jsonl").read_text()))
}
# Of each kind one that is really there: in the record of `app`.
REAL = ["probe:0", "logs:18", "inspect:state", "inspect:health.0", "event:0", "stats:memory_percent"]
INVENTED = [
    "logs:99999",
    "logs:-1",
    "logs:",
    "logs",
    "logs:18 ",
    "LOGS:18",
    "probe:7",
    "probe:x",
    "event:999",
    "event:-1",
    "inspect:nothing",
    "inspect:health.99",
    "inspect:health.x",
    "inspect:__class__",
    "inspect:state.upper",
    "stats:magic",
    "stats:__struct_fields__",
    "screenshot:console.0",
    "trust me",
    "",
    "elsewhere/logs:18",
    "/logs:18",
    "app/",
    "app/app/logs:18",
    "postgres/logs:99999",
]


def there(service: str, evidence_id: str) -> bool:
    """Whether an id stands for something in the recorded stack."""
    return resolve(VIEWS[service], evidence_id) is not None


def finding(cause: Cause = Cause.APP_EXCEPTION, points_to: str | None = None, evidence: Any = ("logs:18",)) -> Finding:
    """A finding about `app`."""
    return Finding("x", cause, Severity.CRITICAL, "it is so", list(evidence), {}, points_to)


def verdict(cause: Cause | None = Cause.APP_EXCEPTION, evidence: Any = ("logs:18",), **more: Any) -> Analysis:
    """A sound verdict on `app`, with changes."""
    sound = Analysis(
        engine="rules",
        status=Status.FAILED,
        role=Role.ROOT,
        cause=cause,
        root=Root(service="app", path=["app"]),
        severity=Severity.CRITICAL,
        confidence=Confidence.HIGH,
        hypothesis="app raises an exception",
        evidence=list(evidence),
        findings=[finding()],
        symptoms=[Root(service="web", path=["web", "app"])],
        peers=["postgres", "redis"],
        looked_at=["logs"],
    )
    return msgspec.structs.replace(sound, **more)


def check(claim: Analysis) -> Analysis:
    """The claim about `app` after the checker."""
    return checked("app", claim, set(VIEWS), there)


def assert_demoted(found: Analysis) -> None:
    """What is left of a verdict without ground says that nothing is known, and blames nobody."""
    assert (found.role, found.cause, found.confidence) == (Role.ROOT, Cause.INCONCLUSIVE, Confidence.LOW)
    assert (found.root, found.severity) == (None, Severity.WARNING)
    assert found.hypothesis == "app is failed; no claim about the reason has enough evidence"


@pytest.mark.parametrize("evidence", [*REAL, "postgres/inspect:state", "worker/logs:5"])
def test_a_sound_verdict_passes_untouched(evidence: str) -> None:
    claim = verdict(Cause.CONFIG_ERROR, [evidence])
    assert check(copy.deepcopy(claim)) == claim


@pytest.mark.parametrize("invented", INVENTED)
def test_evidence_that_does_not_exist_carries_nothing(invented: str) -> None:
    assert_demoted(check(verdict(evidence=[invented])))
    assert check(verdict(findings=[finding(evidence=[invented])])).findings == []


@pytest.mark.parametrize("invented", INVENTED)
def test_invented_evidence_beside_real_is_taken_out(invented: str) -> None:
    found = check(verdict(evidence=["logs:18", invented]))
    assert (found.cause, found.evidence) == (Cause.APP_EXCEPTION, ["logs:18"])
    assert check(verdict(findings=[finding(evidence=["logs:18", invented])])).findings == []


def test_a_verdict_that_loses_a_part_of_its_evidence_is_not_sure_any_more() -> None:
    whole, part = ["logs:18", "probe:0"], ["logs:18", "logs:99999"]
    assert check(verdict(evidence=whole)).confidence == Confidence.HIGH
    assert check(verdict(evidence=part)).confidence == Confidence.MEDIUM
    for already in (Confidence.MEDIUM, Confidence.LOW):
        assert check(verdict(evidence=part, confidence=already)).confidence == already


def test_no_evidence_at_all() -> None:
    assert_demoted(check(verdict(evidence=[])))
    assert check(verdict(findings=[finding(evidence=[]), finding()])).findings == [finding()]


def test_evidence_of_a_service_that_is_not_in_the_inventory() -> None:
    claim = verdict(evidence=["postgres/inspect:state"])
    assert_demoted(checked("app", claim, {"app", "web", "redis"}, lambda owner, each: True))


def test_a_finding_that_blames_somebody_unknown_is_dropped() -> None:
    kept = finding(points_to="postgres")
    claim = verdict(findings=[finding(points_to="elsewhere"), kept, finding(points_to="")])
    assert check(claim).findings == [kept]


@pytest.mark.parametrize(
    "root",
    [
        Root(service="elsewhere", path=["app", "elsewhere"]),
        Root(service="postgres", path=["app", "elsewhere", "postgres"]),
        Root(service="elsewhere", path=[]),
        Root(service="", path=["app"]),
        Root(service="postgres", path=["app", "postgres", "POSTGRES"]),
    ],
)
@pytest.mark.parametrize("role", [Role.ROOT, Role.SYMPTOM])
def test_a_root_or_path_outside_the_inventory_demotes(root: Root, role: Role) -> None:
    assert_demoted(check(verdict(role=role, root=root)))


@pytest.mark.parametrize(
    ("role", "root"),
    [
        (Role.SYMPTOM, Root(service="postgres", path=["web", "postgres"])),  # the way begins elsewhere
        (Role.SYMPTOM, Root(service="postgres", path=["app", "redis"])),  # it ends elsewhere
        (Role.SYMPTOM, Root(service="app", path=["app"])),  # nobody suffers from himself
        (Role.ROOT, Root(service="postgres", path=["app", "postgres"])),
    ],
)
def test_a_way_that_does_not_lead_from_the_service_to_its_root_demotes(role: Role, root: Root) -> None:
    assert_demoted(check(verdict(role=role, root=root)))


def test_symptoms_and_peers_outside_the_inventory_are_dropped() -> None:
    web = Root(service="web", path=["web", "app"])
    ghosts = [Root(service="ghost", path=["ghost", "app"]), Root(service="web", path=["web", "ghost", "app"])]
    found = check(verdict(symptoms=[*ghosts, web], peers=["ghost", "postgres", ""]))
    assert found.symptoms == [web]
    assert found.peers == ["postgres"]


KIND_OF = {each.partition(":")[0]: each for each in reversed(REAL)}


@pytest.mark.parametrize("cause", [each for each in Cause if causes.of(each).carried_by is not None])
@pytest.mark.parametrize("kind", list(KIND_OF))
def test_a_cause_stands_only_on_evidence_that_can_carry_it(cause: Cause, kind: str) -> None:
    evidence = KIND_OF[kind]
    found = check(verdict(cause, [evidence]))
    if any(evidence == each or evidence.startswith((f"{each}:", f"{each}.")) for each in causes.carriers(cause)):
        assert found.cause == cause
    else:
        assert_demoted(found)


@pytest.mark.parametrize(
    ("cause", "evidence"),
    [
        (Cause.PAUSED, "logs:18"),  # a log can say anything
        (Cause.STOPPED, "logs:18"),
        (Cause.NETWORK_DETACHED, "probe:0"),
        (Cause.TLS_EXPIRED, "inspect:state"),
        (Cause.CPU_SATURATED, "inspect:image"),
        (Cause.HEALTHCHECK_BROKEN, "logs:18"),
        (Cause.OOM_KILLED, "stats:memory_percent"),
    ],
)
def test_lies_about_the_container_by_name(cause: Cause, evidence: str) -> None:
    assert_demoted(check(verdict(cause, [evidence])))


def test_foreign_evidence_counts_by_its_kind() -> None:
    assert check(verdict(Cause.EXITED, ["postgres/inspect:state"])).cause == Cause.EXITED
    assert_demoted(check(verdict(Cause.EXITED, ["worker/logs:5"])))


@pytest.mark.parametrize("cause", [Cause.CONTAINER_MISSING, Cause.INCONCLUSIVE, None])
def test_not_knowing_needs_no_evidence(cause: Cause | None) -> None:
    claim = verdict(cause, evidence=[], findings=[])
    assert check(copy.deepcopy(claim)) == claim


def test_a_demoted_root_keeps_what_is_true() -> None:
    found = check(verdict(evidence=["logs:99999"], findings=[finding(), finding(evidence=["logs:99999"])]))
    assert_demoted(found)
    assert found.findings == [finding()]
    assert found.evidence == []
    assert [each.service for each in found.symptoms] == ["web"]


def test_nothing_that_dm_analyze_says_is_without_ground(run: Run) -> None:
    for path in sorted(set((ROOT / "tests" / "data").glob("*.jsonl")) - {ROOT / "tests" / "data" / "verdicts.jsonl"}):
        done = run(f"dm-analyze < {path}")
        assert done.returncode == 0
        stack = {record["service"]: record for record in records(done.stdout)}
        views = {service: View.of(record) for service, record in stack.items()}
        for service, record in stack.items():
            analysis = msgspec.convert(record["analysis"], Analysis)
            claims = [analysis.evidence, *(each.evidence for each in analysis.findings)]
            for evidence_id in (each for ids in claims for each in ids):
                owner, _, local = evidence_id.rpartition("/")
                assert resolve(views[owner or service], local) is not None, json.dumps([path.name, evidence_id])
            assert analysis.role != Role.ROOT or analysis.evidence


@pytest.mark.parametrize(
    ("evidence", "stands"),
    [
        ("logs:0-2", True),
        ("logs:2-2", True),
        ("logs:2-0", False),  # backwards
        ("logs:0-999999", False),  # its end is not there
        ("probe:0-1", False),  # only log lines are cited as a range
        ("logs:0-1-2", False),
    ],
)
def test_a_range_of_log_lines_stands_for_all_of_them(evidence: str, stands: bool) -> None:
    record = making.service("x", log=("a", "b", "c"))
    view = View.of(record)
    found = resolve(view, evidence)
    assert bool(found) == stands
    if evidence == "logs:0-2":
        assert [line.text for line in found] == ["a", "b", "c"]
        assert told(view, evidence).text == "a\nb\nc"
