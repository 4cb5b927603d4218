"""A mistyped name is told what it may have been, by whoever is given it; what is missing before a filter is said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dm_tools.text.near import nearest
from tests.conftest import COLD, Run, records
from tests.making import service
from tests.test_deaths import engine

MEANT = "; did you mean 'web'?"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An engine with the project `shop`: app, db, mail, queue, web."""
    folder = tmp_path / "engine"
    folder.mkdir()
    with engine(folder) as address:
        yield {"DOCKER_HOST": address}


@pytest.mark.parametrize(
    ("word", "found"),
    [("wbe", "web"), ("WEB", "web"), ("ngnix", "Nginx"), ("shop-db", "shop-db-1"), ("zzz", None), ("", None)],
)
def test_what_a_word_may_have_been(word: str, found: str | None) -> None:
    assert nearest(word, ["web", "Nginx", "shop-db-1"]) == found
    assert nearest(word, []) is None


@pytest.mark.parametrize("name", ["logs", "inspect", "stats", "probe"])
@pytest.mark.parametrize(("word", "meant"), [("wbe", MEANT), ("shop/wbe", ""), ("zzz", "")])
def test_a_container_that_is_not_there(run: Run, shop: dict[str, str], name: str, word: str, meant: str) -> None:
    (found,) = records(run(f"dm-{name} {word}", **shop).stdout)
    (error,) = found["errors"]
    assert error["message"] == f"no container {word!r} at {shop['DOCKER_HOST']}{meant}"


def test_of_what_was_found_there_and_is_gone_nobody_is_suggested(run: Run, shop: dict[str, str]) -> None:
    gone = json.dumps({"v": 1, "service": "wbe", "container": "wbe", "discovered": []})
    (found,) = records(run("dm-inspect", stdin=gone, **shop).stdout)
    assert found["errors"][0]["message"].endswith("engine.sock")
    named = json.dumps({"v": 1, "service": "site", "container": "wbe"})
    (found,) = records(run("dm-inspect", stdin=named, **shop).stdout)
    assert found["errors"][0]["message"].endswith(f"no container 'wbe' at {shop['DOCKER_HOST']}{MEANT}")


THERE = "app, db, mail, queue, web"


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        ("--discover wbe", 2, f"no service 'wbe'; there are: {THERE}{MEANT}"),
        ("-p shpo", 4, "has no container of the project 'shpo'; there are: shop; did you mean 'shop'?"),
        ("-p zzz", 4, "has no container of the project 'zzz'; there are: shop"),
        ("--discover", 4, "of the project 'shpo' (COMPOSE_PROJECT_NAME); there are: shop; did you mean 'shop'?"),
    ],
)
def test_a_service_or_project_that_is_not_there(
    run: Run, shop: dict[str, str], words: str, status: int, says: str
) -> None:
    environment = {"COMPOSE_PROJECT_NAME": "shpo"} if words == "--discover" else {}
    done = run(f"dm-services {words}", **shop, **environment)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (status, "", 1)
    assert done.stderr.endswith(f"{says}\n")


def test_a_resident_pipe_tells_that_a_service_is_not_there_and_looks_again(run: Run, shop: dict[str, str]) -> None:
    done = run("dm-services --discover --every 0.1 wbe | head -n 2", **shop)
    for marker in records(done.stdout):
        assert [each["message"] for each in marker["errors"]] == [f"no service 'wbe'; there are: {THERE}{MEANT}"]
    one = run("dm-services --discover --every 0.1 wbe app | head -n 4", **shop)
    assert [each.get("service") for each in records(one.stdout)] == ["app", None, "app", None]
    assert one.stderr == f"dm-services: no service 'wbe'; there are: {THERE}{MEANT}\n"


def test_an_approval_of_another_service(run: Run, tmp_path: Path) -> None:
    action = {"issue_id": "1", "service": "web", "action": "restart", "confidence": "high", "reasoning": "it hangs"}
    (tmp_path / "approved.jsonl").write_text(json.dumps(action | {"parameters": {}}) + "\n")
    done = run("dm-execute --services wbe approved.jsonl", PROOFS_DIR=str(tmp_path / "proofs"))
    assert done.stderr == f"dm-execute: no action was approved for 'wbe' (there is: web){MEANT}\n"


COMES = "(dm-analyze comes before)"


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        ("propose", 0, f"nothing to propose: the records were not judged {COMES}"),
        ("report", 0, f"the report names no causes: the records were not judged {COMES}"),
        ("incidents", 4, f"2 records not looked at: the record was not judged {COMES}"),
        ("approve", 0, "nothing to approve: the records have no proposals (dm-analyze and dm-propose come before)"),
        ("verify --before seen", 3, f"'seen': the records were not judged {COMES}"),
        ("verify --before judged", 0, f"what causes say is not compared: the records were not judged {COMES}"),
    ],
)
def test_a_filter_whose_records_lack_what_it_needs_says_so_once(
    run: Run, tmp_path: Path, words: str, status: int, says: str
) -> None:
    seen = "".join(json.dumps(service(name, "failed", analysis=None)) + "\n" for name in ("app", "db"))
    (tmp_path / "seen").write_text(seen)
    (tmp_path / "judged").write_text(run("dm-analyze", stdin=seen).stdout)
    done = run(f"dm-{words}", stdin=seen, PROOFS_DIR=str(tmp_path / "proofs"))
    assert done.returncode == status
    assert done.stderr.endswith(f"dm-{words.split()[0]}: {says}\n")
    assert done.stderr.count(says) == 1


@pytest.mark.parametrize("words", ["propose", "report", "incidents", "verify --before judged", "approve"])
def test_of_judged_records_nothing_is_said(run: Run, tmp_path: Path, words: str) -> None:
    judged = run("dm-analyze | dm-propose", stdin=json.dumps(service("app"))).stdout
    (tmp_path / "judged").write_text(judged)
    done = run(f"dm-{words}", stdin=judged, PROOFS_DIR=str(tmp_path / "proofs"))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("session", ["report", "review", "approve", "execute", "policy explain"])
def test_a_session_whose_file_is_not_there_says_so(run: Run, tmp_path: Path, session: str) -> None:
    done = run(f"dm {session} none.json", PROOFS_DIR=str(tmp_path / "proofs"), **COLD)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.endswith("cannot read 'none.json': no such file or directory\n") and done.stderr.count("\n") == 1
