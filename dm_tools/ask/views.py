"""The history as tables: the columns of an event, and views in the SQL that ClickHouse has understood since 2018.

So no CTE, window, Map or DateTime64. Each view also holds where an event is stored twice: what it counts, it counts by
action, by occasion or by id.
"""

from __future__ import annotations

from dm_tools.records import EventKind

STORED, STORED_PATTERNS, LIBRARY = "dm_events", "dm_patterns", "pattern_library"
_WHO = ("machine", "service", "host", "project", "image", "fingerprint", "opened", "cause", "confidence", "severity")
_WHAT = ("pattern", "text", "action_id", "action", "risk", "by", "labels", "outcome", "proof")
TEXTS = ("id", "kind", "at", *_WHO, *_WHAT)
LISTS = ("patterns", "symptoms", "evidence", "lines")
COLUMNS = ", ".join(
    [f"`{name}` String" for name in TEXTS]
    + [f"`{name}` Array(String)" for name in LISTS]
    + ["`seconds` Nullable(Float64)"]
)
PATTERN_TEXTS = ("pattern", "origin", "file", "cause", "severity", "level", "explanation", "at")
PATTERN_COLUMNS = ", ".join(f"`{name}` String" for name in PATTERN_TEXTS)
TABLES = {
    STORED: (COLUMNS, "ReplacingMergeTree ORDER BY (kind, at, id)"),
    STORED_PATTERNS: (PATTERN_COLUMNS, "ReplacingMergeTree ORDER BY (pattern, at)"),
}

_INCIDENT, _OVER, _EXECUTION, _PROOF = (
    f"kind = '{kind}'" for kind in (EventKind.INCIDENT, EventKind.OVER, EventKind.EXECUTION, EventKind.PROOF)
)
_ENDED = f"({_OVER} OR ({_PROOF} AND proof = 'recovered'))"
_ABOUT = ("service", "host", "project", "image", "cause", "confidence", "pattern")
_SEEN = (*_ABOUT, "severity", "text")
_DONE = ("action", "risk", "by", "labels", "outcome", *_ABOUT, "fingerprint", "opened")
_HIT = "id, at, opened, machine, service, host, image, cause, fingerprint, pattern"


def _newest(where: str, *names: str) -> str:
    """The values of the newest event for which something holds, under names that hide no column."""
    return ", ".join(f"argMaxIf(`{name}`, at, {where}) AS `{name}_`" for name in names)


def _named(*names: str) -> str:
    return ", ".join(f"`{name}_` AS `{name}`" for name in names)


VIEWS = {
    "events": f"SELECT * FROM {STORED} LIMIT 1 BY id",
    # one row for each occasion on which an incident was there
    "incidents": f"""
        SELECT fingerprint, opened, machine, {_named(*_SEEN, "sights", "last_seen", "seconds")},
            seconds_ IS NOT NULL AS is_over
        FROM (
            SELECT fingerprint, opened, machine, {_newest(_INCIDENT, *_SEEN)},
                uniqExactIf(at, {_INCIDENT}) AS sights_, maxIf(at, {_INCIDENT}) AS last_seen_,
                minIf(seconds, {_ENDED}) AS seconds_
            FROM {STORED}
            WHERE fingerprint != '' AND ({_INCIDENT} OR {_ENDED})
            GROUP BY fingerprint, opened, machine
        )
        WHERE sights_ > 0""",
    # one row for each action, whatever became of it
    "actions": f"""
        SELECT action_id, machine, {_named("at", *_DONE, "seconds")}
        FROM (
            SELECT action_id, machine, max(at) AS at_, {_newest("1", *_DONE)}, max(seconds) AS seconds_
            FROM {STORED}
            WHERE {_EXECUTION}
            GROUP BY action_id, machine
        )""",
    # one row for each action that was carried out, with its newest proof; seconds from the first sight to the proof
    "outcomes": f"""
        SELECT action_id, machine, {_named("at", *_DONE, "proof", "seconds")}
        FROM (
            SELECT action_id, machine, maxIf(at, {_EXECUTION}) AS at_, {_newest(_EXECUTION, *_DONE)},
                {_newest(_PROOF, "proof", "seconds")}
            FROM {STORED}
            WHERE action_id != '' AND ({_EXECUTION} OR {_PROOF})
            GROUP BY action_id, machine
        )
        WHERE outcome_ IN ('done', 'already_done', 'failed', 'undone')""",
    # one row for each pattern that fired at the root of an incident, in each run; `decided`: the verdict is its
    "pattern_hits": f"""
        SELECT hit, hit = pattern AS decided, at, opened, machine, service, host, image, cause, fingerprint
        FROM (
            SELECT arrayJoin(patterns) AS hit, {_HIT}
            FROM (SELECT patterns, {_HIT} FROM {STORED} WHERE {_INCIDENT} LIMIT 1 BY id)
        )""",
    # one row for each pattern, shipped or one's own, as it was sent last
    LIBRARY: f"SELECT * FROM (SELECT * FROM {STORED_PATTERNS} ORDER BY at DESC LIMIT 1 BY pattern)",
    # one row for each line of the log of an incident that no rule explained
    "unexplained_lines": f"""
        SELECT arrayJoin(lines) AS line, at, opened, machine, service, host, image, cause, fingerprint
        FROM (SELECT lines, {_HIT} FROM {STORED} WHERE {_INCIDENT} AND notEmpty(lines) LIMIT 1 BY id)""",
}
