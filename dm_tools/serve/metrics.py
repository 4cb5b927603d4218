"""Figures in Prometheus' text format 0.0.4. Pure. https://prometheus.io/docs/instrumenting/exposition_formats/"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from dm_tools.watch.figures import escaped


class Counted(Protocol):
    """The runs of a server: how many ended how, and what runs."""

    counts: dict[tuple[str, str], int]
    running: Any


def text(reports: Iterable[Mapping[str, Any]], calls: Mapping[tuple[str, str], int], runs: Counted) -> str:
    """The newest report's services and issues, and what the server did."""
    newest = next(iter(reports), None)
    lines = []
    if newest is not None:
        lines += _family("dm_report_timestamp_seconds", "gauge", "When the newest report was made.")
        lines.append(f"dm_report_timestamp_seconds {newest['generated_at'] / 1000:.3f}")
        lines += _family("dm_services", "gauge", "Services in the newest report, by status.")
        lines += [f'dm_services{{status="{escaped(name)}"}} {count}' for name, count in newest["summary"].items()]
    lines += _family("dm_tool_calls_total", "counter", "Calls of tools, by outcome.")
    lines += [
        f'dm_tool_calls_total{{tool="{escaped(tool)}",outcome="{escaped(outcome)}"}} {count}'
        for (tool, outcome), count in sorted(calls.items())
    ]
    lines += _family("dm_runs_total", "counter", "Sessions that were run, by outcome.")
    lines += [
        f'dm_runs_total{{session="{escaped(session)}",outcome="{escaped(outcome)}"}} {count}'
        for (session, outcome), count in sorted(runs.counts.items())
    ]
    lines += _family("dm_run_in_progress", "gauge", "1 while a session runs.")
    lines.append(f"dm_run_in_progress {int(runs.running is not None)}")
    return "\n".join(lines) + "\n"


def _family(name: str, kind: str, words: str) -> list[str]:
    return [f"# HELP {name} {words}", f"# TYPE {name} {kind}"]
