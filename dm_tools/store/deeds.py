"""What was done and proved, as a report tells of it, from what dm-execute, dm-undo and dm-verify print."""

from __future__ import annotations

from typing import Any

from dm_tools.records import ApprovedAction, Deed, Execution, Inspect, Problem, Verification, section
from dm_tools.text.times import parse_time

Record = dict[str, Any]


def done(record: Record) -> Deed:
    """An action that dm-execute or dm-undo printed. Raises Problem if it is none."""
    ended = section(record, "execution", Execution)
    action = section({"action": record}, "action", ApprovedAction)
    if ended is None or action is None:
        raise Problem("bad_section", "no section 'execution': not a line of dm-execute or dm-undo")
    return Deed(
        at=ended.ended_at or ended.begun_at,
        service=action.service,
        action=action.action,
        outcome=ended.status,
        reason=ended.reason,
        steps=ended.steps,
        undo=ended.undo,
        id=ended.id,
    )


def looked(record: Record) -> Deed | None:
    """What a record's proof says, None if it has none. Raises Problem."""
    proved = section(record, "verification", Verification)
    if proved is None:
        return None
    seen = section(record, "inspect", Inspect)
    return Deed(
        at=seen.observed_at if seen else None,
        service=record["service"],
        proof=proved.proof,
        reason=proved.reason,
        gone=proved.gone,
        stays=proved.stays,
        new=proved.new,
    )


def in_time(found: list[Deed]) -> list[Deed]:
    """In the order of time; what has none stays behind what was told before it."""
    last, placed = 0.0, []
    for each in found:
        last = parse_time(each.at) or last
        placed.append((last, each))
    return [each for _, each in sorted(placed, key=lambda pair: pair[0])]
