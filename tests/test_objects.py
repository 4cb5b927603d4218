"""What a failure is about: from the line, from the lines around it, from what the environment names; and layers."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from dm_tools.diagnose.analyze import analyze
from dm_tools.diagnose.facts import facts
from dm_tools.patterns import reading as reader
from dm_tools.patterns.matching import Hit
from dm_tools.patterns.objects import of_environment, usable
from dm_tools.records import Analysis
from tests.conftest import ROOT
from tests.making import service

LIBRARY = reader.read(None)
LINES = tomllib.loads((ROOT / "tests" / "data" / "general-lines.toml").read_text(encoding="utf-8"))["line"]


def hits(*log: str, **changes: Any) -> dict[str, Hit]:
    """What fires on the log of a failed service, by pattern."""
    return {hit.pattern.id: hit for hit in facts(service("x", "failed", log, **changes), LIBRARY).hits}


def verdict(*log: str, **changes: Any) -> Analysis:
    """What is said of a failed service with this log."""
    return analyze({"x": facts(service("x", "failed", log, **changes), LIBRARY)}, LIBRARY)["x"]


@pytest.mark.parametrize("line", LINES, ids=lambda line: str(line["text"])[:60])
def test_lines_of_programs_that_no_pattern_knows_are_read(line: dict[str, Any]) -> None:
    found = verdict(line["text"])
    object_ = line.get("captures", {})
    read = found.cause in line["causes"] and {key: found.captures.get(key) for key in object_} == object_
    assert read == ("limit" not in line), found


@pytest.mark.parametrize(
    ("text", "upstream", "port"),
    [
        ("could not connect to postgres://shop:<secret:1>@ledger:5432/shop: Connection refused", "ledger", "5432"),
        ("Connection refused: address=(host=ledger)(port=3306)", "ledger", "3306"),
        ("app.py:51 Connection refused (ledger:7000)", "ledger", "7000"),
        ("TCP connection to 'ledger' on port '7000' failed: Connection refused", "ledger", "7000"),
        ("Connection refused (errno = 111), address = ledger, port = 51234", "ledger", None),
    ],
)
def test_the_host_is_taken_from_the_line(text: str, upstream: str, port: str | None) -> None:
    captures = hits(text)["general.refused"].captures
    assert captures["upstream"] == upstream
    assert port is None or captures.get("port") == port


def test_the_object_is_taken_from_the_lines_around_which_are_cited() -> None:
    near = hits("connecting to ledger:7000", "ERROR Connection refused", "tick")["general.refused"]
    assert near.captures["upstream"] == "ledger"
    assert near.evidence == ["logs:1", "logs:0"]
    assert "general.refused" not in hits("connecting to ledger:7000", "a", "b", "c", "ERROR Connection refused")


def test_the_line_of_a_request_beside_it_names_nothing() -> None:
    request = '10.0.0.1 - - [01/Jan/2026:10:00:00 +0000] "GET /error?to=http://ledger:7000/ HTTP/1.1" 500 3'
    assert "general.refused" not in hits(request, "ERROR Connection refused")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("unable to connect to database", "ledger"),  # the only one with a database's port
        ("could not connect to cart", "cart"),  # named
        ("unable to connect", None),
    ],
)
def test_the_object_is_taken_from_the_environment(text: str, expected: str | None) -> None:
    found = hits(text, env_hosts=["cart:6379", "ledger:5432"])["general.unconnected"]
    assert found.captures.get("upstream") == expected


def test_two_that_fit_are_no_answer() -> None:
    assert of_environment("the database", None, ["a:5432", "b:5432"], LIBRARY.technologies) == {}
    assert of_environment("port", "9", ["a:9", "b:8"], LIBRARY.technologies) == {"upstream": "a", "port": "9"}


@pytest.mark.parametrize(
    ("captures", "expected"),
    [
        ({"upstream": "server.js", "port": "51"}, {}),
        ({"upstream": "database"}, {}),
        ({"upstream": "cache", "port": "6379"}, {"upstream": "cache", "port": "6379"}),
        ({"upstream": "12.5"}, {}),
        ({"upstream": "10.0.0.1"}, {"upstream": "10.0.0.1"}),
        ({"path": "/srv/x."}, {"path": "/srv/x"}),
    ],
)
def test_what_is_no_host_names_nothing(captures: dict[str, str], expected: dict[str, str]) -> None:
    assert usable(captures) == expected


def test_without_its_object_a_general_saying_explains_less_and_quotes() -> None:
    named, unnamed = verdict("unable to connect to ledger:7000"), verdict("unable to connect to the thing")
    assert (named.confidence, unnamed.confidence) == ("medium", "low")
    assert unnamed.hypothesis is not None and unnamed.hypothesis.endswith('"unable to connect to the thing"')


def test_a_general_saying_yields_to_the_program_that_is_known() -> None:
    line = "OCI runtime: open /srv/x: No space left on device (permission denied)"
    assert "general.denied" in hits("open('/srv/x'): Permission denied")
    assert "general.denied" not in hits(line)
    assert "general.denied" in hits(line, "open('/srv/y'): Permission denied"), "another line is another matter"
    assert hits(line, "open('/srv/y'): Permission denied")["general.denied"].evidence == ["logs:1"]


def test_of_two_general_ones_the_reason_counts_more_than_the_attempt() -> None:
    found = hits("could not connect to database postgres://shop@ledger:5432/shop: Name or service not known")
    assert "general.name" in found and "general.unconnected" not in found


def test_what_names_nobody_beside_what_names_somebody_is_of_that_one() -> None:
    named = "[ALERT]    (1) : config : [/etc/haproxy.cfg:31] : 'server wekan' : could not resolve address 'wekan'."
    nameless = "[ALERT]    (1) : config : Failed to initialize server(s) addr."
    log = [named, nameless, *["[NOTICE]   (1) : haproxy version is 3.0.6"] * 8, nameless]
    found = [hit for hit in facts(service("x", "failed", log[:2]), LIBRARY).hits if hit.pattern.cause == "dns_failure"]
    assert [hit.captures.get("upstream") for hit in found] == ["wekan"]
    far = [hit for hit in facts(service("x", "failed", log), LIBRARY).hits if hit.pattern.cause == "dns_failure"]
    assert {hit.captures.get("upstream") for hit in far} == {"wekan", None}
