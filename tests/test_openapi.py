"""dm-serve against its own OpenAPI document: schemathesis makes requests of it, valid ones and invalid ones.

Every answer has a status, a type and a shape that the document tells; what is valid is not refused, what is not is;
nothing is a bug (500). That Docker is away (503) is none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis import checks

from dm_tools.serve import api
from dm_tools.tools import plugins, reports
from tests.serving import Server

SESSIONS = "/(start-stack-probe|analyze-and-propose-fixes|tools/diagnose)"  # each valid request starts one


async def never(arguments: dict[str, Any]) -> str:
    """The document is made without a server."""
    raise AssertionError


TOOLS, _ = plugins.tools(None, reports.tools(Path("/nonexistent"), never))
DOCUMENT = api.document(TOOLS.values())
described = schemathesis.openapi.from_dict(DOCUMENT)
ANY_PACE = list(hypothesis.HealthCheck)  # of making examples, on a machine that does much beside
quick, long = described.exclude(path_regex=SESSIONS), described.include(path_regex=SESSIONS)


def test_the_document_is_what_is_served(server: Server) -> None:
    assert server.ask("GET", "/openapi.json").json() == DOCUMENT


def held(case: Any, server: Server) -> None:
    """Ask, and hold the answer to the document."""
    answer = case.call(base_url=server.url, timeout=120)
    case.validate_response(answer, excluded_checks=[checks.not_a_server_error])
    assert answer.status_code not in (500, 501), answer.text


@quick.parametrize()
@hypothesis.settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=ANY_PACE)
def test_every_answer_is_as_described(case: Any, server: Server) -> None:
    held(case, server)


@pytest.mark.slow  # tests/test_hostile.py has what a session must refuse
@long.parametrize()
@hypothesis.settings(max_examples=5, deadline=None, derandomize=True, suppress_health_check=ANY_PACE)
def test_a_session_is_as_described(case: Any, server: Server) -> None:
    held(case, server)
