"""dm_tools/act/verify.py on whole records: which signs of trouble a record shows, and of whom a proof is given."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from dm_tools.act import verify
from dm_tools.records import Execution, Outcome, with_section
from tests.conftest import Run
from tests.making import Record, check, service
from tests.test_analyze import judge

REFUSED = "FATAL: password authentication failed for user app"


def judged(*records: Record) -> dict[str, Record]:
    """The records of a stack with their verdicts, by service."""
    verdicts = judge(*records)
    return {each["service"]: with_section(each, "analysis", verdicts[each["service"]]) for each in records}


def page(verdict: str) -> Record:
    """Section `screenshot` of one page."""
    seen = {"id": "screenshot:0", "url": "http://x/", "scope": "internal", "verdict": verdict, "reasons": []}
    seen |= dict.fromkeys(("final_url", "status_code", "path", "thumbnail_path", "sha256", "title", "text"))
    return {"status": "healthy", "pages": [seen | {"console": [], "exceptions": [], "failed_requests": []}]}


@pytest.mark.parametrize(
    ("record", "signs"),
    [
        (service("db"), set()),
        ({"service": "db"}, set()),
        (
            service("db") | {"probe": {"status": "failed", "checks": [check("timeout"), check(number=1)]}},
            {("probe", "http://x/: timeout")},
        ),
        (
            service("db") | {"probe": {"status": "failed", "checks": [check("refused", message=None)]}},
            {("probe", "http://x/: refused")},
        ),
        # the engine tells of its container better than a check of its state
        (service("db") | {"probe": {"status": "failed", "checks": [check("unhealthy", kind="container")]}}, set()),
        (service("db", state="exited", exit_code=1), {("inspect", "the container is exited")}),
        (service("db", state="restarting", restart_count=5), {("inspect", "the container is restarting")}),
        (service("db", health="unhealthy", failing_streak=3), {("inspect", "its healthcheck fails")}),
        (service("db", state="paused", health="unhealthy", failing_streak=3), {("inspect", "the container is paused")}),
        (service("db") | {"screenshot": page("error_page")}, {("screenshot", "http://x/ shows error page")}),
        (service("db") | {"screenshot": page("ok")}, set()),
    ],
)
def test_the_signs_of_a_record(record: Record, signs: set[tuple[str, str]]) -> None:
    found = verify.seen(record)
    assert found.signs == signs
    assert (found.service, found.role, found.root, found.severity) == ("db", None, None, None)


def test_a_job_that_has_done_its_work_shows_no_trouble() -> None:
    job = service("job", state="exited", exit_code=0, restart_policy="no") | {"probe": None}
    assert verify.seen(job).signs == set()


def test_what_only_the_log_says_counts_of_those_in_the_incident_while_it_holds() -> None:
    app = service("app", "failed", (REFUSED,) * 3)
    found = verify.seen(judged(app)["app"])
    (said,) = [words for kind, words in found.signs if kind == "logs"]
    assert said.startswith("its log says: ")
    assert (found.role, found.root, found.severity, found.status) == ("root", "app", "critical", "failed")
    quiet = judged(service("app", "healthy", (REFUSED,)))["app"]
    assert {kind for kind, _ in verify.seen(quiet).signs} == set()
    for finding in (over := judged(app)["app"])["analysis"]["findings"]:
        finding["over"] = True
    assert {kind for kind, _ in verify.seen(over).signs} == {"probe"}


def done(name: str, status: Outcome, begun_at: str | None) -> Record:
    """What dm-execute printed of an action."""
    return {"service": name, "execution": msgspec.to_builtins(Execution("a1", status, begun_at=begun_at))}


DOWN = service("db", state="exited", exit_code=1) | {"probe": None}
WAITS = service("app", "failed", ('could not connect to server "db": connection refused',) * 3, depends_on=["db"])


@pytest.mark.parametrize(
    ("after", "executed", "proof", "reason"),
    [
        ([service("db"), service("app")], [done("db", Outcome.DONE, "2026-01-01T00:05:00Z")], "recovered", None),
        ([service("db"), service("app")], [done("db", Outcome.ALREADY_DONE, None)], "recovered", None),
        (
            [service("db"), service("app")],
            [done("db", Outcome.FAILED, None), {"service": "db"}],
            "recovered",
            "it recovered, and no action of ours was carried out",
        ),
        # an action on another service is none on this one: neither its outcome nor its time counts
        ([service("db"), service("app")], [done("app", Outcome.FAILED, "2026-01-01T00:11:00Z")], "recovered", None),
        (
            [service("db"), service("app")],
            [done("db", Outcome.DONE, "2026-01-01T00:11:00Z")],
            "unproven",
            "what is known of db is from before the action",
        ),
        (
            [service("db"), service("app")],
            [done("db", Outcome.DONE, "2026-01-01T00:05:00Z"), done("db", Outcome.DONE, "2026-01-01T00:11:00Z")],
            "recovered",
            None,
        ),
        # what is known is from the very moment in which the action began, or from just behind it
        ([service("db"), service("app")], [done("db", Outcome.DONE, "2026-01-01T00:10:00Z")], "recovered", None),
        ([service("db"), service("app")], [done("db", Outcome.DONE, "2026-01-01T00:09:59.5Z")], "recovered", None),
        # looked at by no more than what had shown the trouble
        ([service("db") | {"probe": None, "logs": None}, service("app")], [], "recovered", None),
        ([DOWN, WAITS], [], "not_recovered", "what showed the trouble is still there"),
        ([service("app")], [], "unproven", "db was not looked at again"),
    ],
)
def test_the_proof_of_an_incident(after: list[Record], executed: list[Record], proof: str, reason: str | None) -> None:
    before, now = judged(DOWN, WAITS, service("web")), judged(*after)
    (found,) = verify.verified_roots(before, now, executed)
    assert found["service"] == "db"
    assert (found["verification"]["proof"], found["verification"]["reason"]) == (proof, reason)
    assert found.get("v", 1) == 1  # also where the record of now is missing
    ours = [each for each in executed if each["service"] == "db" and "execution" in each]
    assert found["verification"]["action_ids"] == ["a1"] * len(ours)
    assert ("inspect" in found) == any(each["service"] == "db" for each in after)


@pytest.mark.parametrize(
    ("changed", "is_worse"),
    [
        (service("web", state="exited", exit_code=1) | {"probe": None}, True),
        (service("web"), False),
    ],
)
def test_what_was_well_and_fails_now_is_worse(changed: Record, is_worse: bool) -> None:
    before = judged(DOWN, WAITS, service("web"))
    (found,) = verify.verified_roots(before, judged(service("db"), service("app"), changed), [])
    assert (found["verification"]["proof"] == "worse") is is_worse
    assert found["verification"]["new"] == (["web: the container is exited"] if is_worse else [])


def test_a_service_that_is_new_is_not_worse() -> None:
    before = judged(DOWN, WAITS)
    new = service("new", state="exited", exit_code=1) | {"probe": None}
    (found,) = verify.verified_roots(before, judged(service("db"), service("app"), new), [])
    assert found["verification"]["proof"] == "recovered"


@pytest.mark.parametrize(
    ("where", "wrong"),
    [("after", {"probe": {}}), ("before", {"analysis": {"findings": 3}}), ("done", {"execution": 1})],
)
def test_a_record_that_is_not_what_it_should_be_proves_nothing(
    run: Run, tmp_path: Path, where: str, wrong: Record
) -> None:
    """It was an internal error, whichever field it was in."""
    whole = judged(service("db", "failed", logs=(REFUSED,)))["db"]
    for name in ("before", "after", "done"):
        (tmp_path / name).write_text(json.dumps(whole | wrong if name == where else whole) + "\n")
    done = run("dm-verify --before before --executed done --fail-on not-recovered < after")
    assert done.returncode == 10
    assert done.stderr.startswith("dm-verify: 'db' is left out: section '")
