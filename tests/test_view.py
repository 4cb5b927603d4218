"""dm_tools/evidence/view.py: what container and probe say together, and which log lines tell of the present."""

from __future__ import annotations

from typing import Any

import pytest

from dm_tools.evidence.view import View, recent
from dm_tools.records import Status
from tests import making


def view(probe: dict[str, Any] | None = None, **changes: Any) -> View:
    """A running container with changes; without a probe unless one is given."""
    return View.of(making.service("x", **changes) | {"probe": probe})


def probed(status: str, kind: str = "http") -> dict[str, Any]:
    error = None if status == "healthy" else "http_5xx"
    return {"status": status, "checks": [making.check(error, kind=kind)]}


@pytest.mark.parametrize(
    ("mode", "networks", "status"),
    [
        ("shop_default", True, Status.HEALTHY),
        ("shop_default", False, Status.FAILED),  # cut off from all that should reach it
        ("host", False, Status.HEALTHY),
        ("none", False, Status.HEALTHY),  # as it was wanted
        ("container:0123", False, Status.HEALTHY),  # it has another one's
    ],
)
def test_a_container_without_a_network_has_failed_unless_it_was_made_so(
    mode: str, networks: bool, status: Status
) -> None:
    changes: dict[str, Any] = {} if networks else {"networks": []}
    assert view(network_mode=mode, **changes).status == status


def test_a_failing_healthcheck_weighs_less_where_users_get_answers() -> None:
    assert view(health="unhealthy").status == Status.FAILED
    assert view(probed("healthy"), health="unhealthy").status == Status.DEGRADED
    assert view(probed("healthy", kind="container"), health="unhealthy").status == Status.FAILED
    assert view(probed("failed"), health="healthy").status == Status.FAILED
    assert view(probed("healthy"), state="paused").status == Status.FAILED


def stamped(*stamps: str | None) -> dict[str, Any]:
    lines = [{"id": f"logs:{at}", "ts": stamp, "stream": "stderr", "text": str(at)} for at, stamp in enumerate(stamps)]
    return {"lines": lines, "total_lines": len(lines), "truncated": False}


OLD, EDGE, NEW = "2026-01-01T00:00:00Z", "2026-01-01T00:03:00Z", "2026-01-01T00:08:00Z"  # looked at: 00:10:00


@pytest.mark.parametrize(
    ("status", "stamps", "kept"),
    [
        ("failed", (OLD, EDGE, NEW), "12"),  # five minutes before its newest line
        ("healthy", (OLD, EDGE, NEW), "2"),  # five minutes before it was looked at
        ("failed", (OLD,), "0"),  # it said why, and fell silent
        ("healthy", (OLD,), ""),
        ("failed", (OLD, None, NEW), "12"),  # nobody knows when: it counts
        ("failed", (None, None), "01"),
        ("failed", (OLD, "2026-01-01T09:00:00Z"), "1"),  # a clock that is ahead
        ("failed", (NEW, "2026-01-01T09:00:00Z"), "01"),  # makes nothing else look old
        ("failed", ("yesterday", NEW), "01"),
    ],
)
def test_which_lines_tell_of_the_present(status: str, stamps: tuple[str | None, ...], kept: str) -> None:
    record = making.service("x", status) | {"logs": stamped(*stamps)}
    assert "".join(line.text for line in recent(View.of(record))) == kept


def test_where_only_the_log_is_known_all_of_it_counts() -> None:
    record = {"v": 1, "service": "x", "logs": stamped(OLD, NEW)}
    assert "".join(line.text for line in recent(View.of(record))) == "01"
    assert recent(View.of({"v": 1, "service": "x"})) == []
