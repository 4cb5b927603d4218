"""The samples of the pattern library: the examples of what each pattern says, and its near misses."""

from __future__ import annotations

from dataclasses import dataclass

from dm_tools.patterns import reading as reader
from dm_tools.patterns.language import Saying, Written


@dataclass(frozen=True)
class Sample:
    """What is known of one pattern. A text of several lines is one log item per line that begins at the margin."""

    pattern: str
    matches: list[str]
    near_misses: list[str]


def written() -> dict[str, Written]:
    """The patterns that come with the tools by id, as they stand in their files."""
    return {each.id: each for file in reader.written(reader.shipped()).values() for each in file.pattern}


def examples(saying: Saying) -> list[str]:
    """The examples of a saying."""
    return [each for each in ([saying.example] if isinstance(saying.example, str) else saying.example) if each]


def samples() -> dict[str, Sample]:
    """All samples by the id of the pattern; only those that look at logs have some."""
    found = {}
    for name, pattern in written().items():
        if pattern.says:
            matches = dict.fromkeys(example for saying in pattern.says for example in examples(saying))
            found[name] = Sample(name, list(matches), pattern.near_misses)
    return found


def items(text: str) -> tuple[str, ...]:
    """The log items of a sample, traces in one piece, as dm-logs would make them."""
    from dm_tools.collect.logs import grouped

    raw = [(None, "stderr", line) for line in text.strip("\n").split("\n")]
    return tuple(line.text for line in grouped(raw))
