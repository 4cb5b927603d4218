"""Log-only cases with known causes: does the log alone lead to a specific and correct cause?

A case is one JSON line: id, apps, title, expected_cause, mitigation, evidence (the log), expect_match (false: the
failure of the title is not there). What counts as right is written in labels, by hand and before the first score;
a case without a label is judged by the words that our explanation shares with the expected cause.
"""

from __future__ import annotations

import gzip
import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dm_tools.collect.logs import grouped
from dm_tools.diagnose.analyze import analyze
from dm_tools.diagnose.claims import SPECIFIC_RANK
from dm_tools.patterns.language import Library
from dm_tools.records import Analysis, Confidence, Logs, Role, new, with_section
from tests.conftest import ROOT
from tests.score.once import facts

PUBLIC = ROOT / "tests" / "data" / "public" / "cases.jsonl.gz"
LABELS = ROOT / "tests" / "data" / "public" / "labels.toml"

Case = dict[str, Any]

RIGHT, UNSPECIFIC, WRONG, MISSED = "right", "unspecific", "wrong", "missed"


@dataclass(frozen=True)
class Outcome:
    """How one case went. `confident`: the verdict claimed a specific cause."""

    case: str
    result: str
    confident: bool
    verdict: Analysis
    judged_by: str

    @property
    def said(self) -> str:
        return f"{self.verdict.cause}: {self.verdict.hypothesis}" if self.verdict.cause else "nothing"


def read(path: Path) -> Iterator[Case]:
    """The cases of a JSON Lines file, gzipped or not."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines if line.strip())


def labels() -> dict[str, dict[str, Any]]:
    return tomllib.loads(LABELS.read_text(encoding="utf-8"))


def record(case: Case) -> dict[str, Any]:
    """A case as dm-logs would have recorded it: a service named after its first application, and its log."""
    name = re.sub(r"[^a-z0-9]+", "-", str((case.get("apps") or ["service"])[0]).lower()).strip("-") or "service"
    evidence = case["evidence"]
    text = evidence if isinstance(evidence, str) else "\n".join(map(str, evidence))
    lines = grouped([(None, "stderr", line) for line in text.split("\n")])
    return with_section(new(name), "logs", Logs(lines=lines, total_lines=len(lines), truncated=False))


def verdict(case: Case, library: Library) -> Analysis:
    """What the analysis says of a case, from its log alone."""
    found = record(case)
    return analyze({found["service"]: facts(found, library)}, library)[found["service"]]


def score(path: Path, library: Library) -> list[Outcome]:
    """Every case of a file, judged."""
    known = labels()
    return [judge(case, verdict(case, library), known.get(case["id"]), library) for case in read(path)]


def judge(case: Case, found: Analysis, label: dict[str, Any] | None, library: Library) -> Outcome:
    """Right: a specific cause, an accepted one, and the explanation names what it is about."""
    ranks = {pattern.id: pattern.rank for pattern in library.patterns}
    claims = found.role == Role.ROOT and ranks.get(found.pattern or "", 0) >= SPECIFIC_RANK
    confident = claims and found.confidence != Confidence.LOW
    said = found.hypothesis or ""
    by = "label" if label else "words"
    if label and label.get("absent"):
        result = WRONG if confident and found.cause in label["causes"] else RIGHT
    elif label is None and not case.get("expect_match", True):
        result = WRONG if confident and agrees(case, said) else RIGHT
    elif not claims:
        result = MISSED
    elif label is None:
        result = RIGHT if agrees(case, said) else UNSPECIFIC if common(case, said) else WRONG
    elif found.cause not in label["causes"]:
        result = WRONG
    else:
        result = RIGHT if all(re.search(each, said, re.IGNORECASE) for each in label["says"]) else UNSPECIFIC
    return Outcome(case["id"], result, confident, found, by)


# Words that say nothing of what failed.
_EMPTY = frozenset(
    re.findall(
        r"\w+",
        """
        all also and any are because been before but can cannot cause caused causes causing container could does
        during each error errors fail failed failing fails failure for from had has have into issue issues its less
        may message messages more most not one only other over problem problems process program server service
        services should since some such system than that the their then there they this too two under until used
        uses using very was were when where which while with would application after
        """,
    )
)


def stems(text: str) -> set[str]:
    """The words of a text that carry meaning, cut to their stem (a rough one: the first six letters)."""
    words = re.findall(r"[a-z][a-z0-9]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", text).lower())
    return {word[:6] for word in words if len(word) >= 3 and word not in _EMPTY}


AGREEING_STEMS = 3  # words in common from which on an explanation counts as the same cause (see `judges_agree`)


def common(case: Case, said: str) -> int:
    """How many words an explanation shares with the expected cause."""
    return len(stems(said) & stems(f"{case.get('title')} {case.get('expected_cause')}"))


def agrees(case: Case, said: str) -> bool:
    """A rough judge for cases without a label: over many cases its share is about right, for a single one it is not."""
    return common(case, said) >= AGREEING_STEMS


def judges_agree(path: Path, library: Library) -> tuple[int, int]:
    """How often the judge by words says the same as the labels: (cases, agreeing), of those with a specific claim."""
    known = labels()
    cases = agreeing = 0
    for case in read(path):
        label = known.get(case["id"])
        if label is None or label.get("absent"):
            continue
        found = verdict(case, library)
        by_label = judge(case, found, label, library)
        if by_label.result != MISSED:
            cases += 1
            agreeing += (by_label.result == RIGHT) == agrees(case, found.hypothesis or "")
    return cases, agreeing


def foreign_claims(path: Path, library: Library) -> list[tuple[str, str, str]]:
    """Every case against the patterns of all others: (case, pattern, cause) of each specific claim that is not true.

    A pattern that decides one case and fires in another, whose accepted causes do not include its own, would be a
    false alarm there.
    """
    known = labels()
    found = []
    for case in read(path):
        label = known.get(case["id"])
        if label is None:
            continue
        wrong = label["causes"] if label.get("absent") else None
        digest = facts(record(case), library)
        for hit in digest.hits:
            cause = str(hit.pattern.cause)
            foreign = cause in wrong if wrong is not None else cause not in label["causes"]
            if hit.pattern.rank >= SPECIFIC_RANK and foreign:
                found.append((case["id"], hit.pattern.id, cause))
    return sorted(set(found))
