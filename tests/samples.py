"""The log samples of the pattern library: tests/patterns/TECHNOLOGY.toml holds, for every pattern that looks at logs,
texts that it must match and near misses that it must not.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass

from tests.conftest import ROOT

FOLDER = ROOT / "tests" / "patterns"


@dataclass(frozen=True)
class Sample:
    """What is known of one pattern. A text of several lines is one log item per line that begins at the margin."""

    pattern: str
    matches: list[str]
    near_misses: list[str]


def samples() -> dict[str, Sample]:
    """All samples by pattern id. Raises KeyError or TypeError for a file of another form."""
    found = {}
    for path in sorted(FOLDER.glob("*.toml")):
        for pattern, given in tomllib.loads(path.read_text(encoding="utf-8")).items():
            if pattern in found:
                raise ValueError(f"{path.name}: {pattern} has samples already")
            found[pattern] = Sample(pattern, given["matches"], given["near_misses"])
    return found


def items(text: str) -> tuple[str, ...]:
    """The log items of a sample, traces in one piece, as dm-logs would make them."""
    from dm_tools.collect.logs import grouped

    raw = [(None, "stderr", line) for line in text.strip("\n").split("\n")]
    return tuple(line.text for line in grouped(raw))
