"""What has arrived of a run of supervisor-session.sh in which a stage died: the newest record of each service.

Every stage's records are on the disk, in RUN/STAGE.jsonl; the last line of one that was killed may be torn.
RUN/STAGE.status says of a stage that died what it died of.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from dm_tools import records
from dm_tools.pipe import stream

Record = dict[str, Any]

CODE = "stage_died"
JUDGING = ("analyze", "propose")  # is done again, so nothing is missing where one of these died


def died(run: Path, stage: str) -> str | None:
    """What a stage died of, in words; None if it did not."""
    try:
        noted = orjson.loads((run / f"{stage}.status").read_bytes())
    except (OSError, ValueError):
        return None
    return noted.get("died") if isinstance(noted, dict) else None


def newest(run: Path, stages: list[str]) -> Iterator[Record]:
    """A record that only says which stages died, then the newest record of each service.

    `stages` in the order of the pipe. A service that did not get through one that collects has an entry
    in its `errors`.
    """
    dead = {stage: what for stage in stages if (what := died(run, stage))}
    yield {"v": records.VERSION, "errors": [records.error(stage, CODE, what) for stage, what in dead.items()]}
    known: set[str] = set()  # dm-services names no two alike
    missed: list[str] = []
    for stage in reversed(stages):
        for record in _whole(run / f"{stage}.jsonl"):
            if record["service"] in known:
                continue
            known.add(record["service"])
            for each in missed:
                record = records.with_error(record, each, CODE, f"{dead[each]}: what it would have told is missing")
            yield record
        if stage in dead and stage not in JUDGING:
            missed.insert(0, stage)


def _whole(path: Path) -> Iterator[Record]:
    """The records of a file; a line that is none is passed over."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(stream.lines(file), 1):
                record = stream.parse(number, line)
                if line.startswith(b"{") and "service" in record:
                    yield record
    except FileNotFoundError:
        return


def main() -> None:
    """arrived RUN STAGE...: print the records."""
    run, stages = Path(sys.argv[1]), sys.argv[2:]
    for record in newest(run, stages):
        sys.stdout.buffer.write(stream.dumps(record))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
