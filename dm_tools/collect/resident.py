"""The rounds of dm-services: the list of services again and again, each time ended by a marker."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from dm_tools import records
from dm_tools.collect.services import ManifestError, NothingFoundError
from dm_tools.collect.waking import Alarm, Timetable, concerns
from dm_tools.pipe import clock, stream
from dm_tools.records import Marker, Round

Look = Callable[[], list[stream.Record]]


def rounds(look: Look, every: float, through: Path | None, discovering: list[str | None]) -> Iterator[stream.Result]:
    """The records that `look` finds and a marker, every so many seconds, without end; with whether to hand them on now.

    A round that cannot be begun has the services of the one before, and says in its marker why. A manifest that is
    wrong from the start raises ManifestError. `through`: see waking.Timetable; a named pipe `bell` beside it asks for a
    round. `discovering`: the engines whose
    containers are found, none where a manifest says what is looked at.
    """
    found: list[stream.Record] = []
    project = os.environ.get("COMPOSE_PROJECT_NAME")
    bell = through.with_name("bell") if through else None
    alarm = Alarm(lambda event: concerns(event, found, project, bool(discovering)), bell)
    timetable, number, at = Timetable(every, alarm, through), 0, None
    alarm.listen(discovering)
    while True:
        late, because = timetable.next(at)
        number, at, errors = number + 1, clock.rfc3339(clock.now()), []
        try:
            found = look()
        except ManifestError as wrong:
            if number == 1:
                raise
            errors.append(("bad_manifest", str(wrong)))
        except NothingFoundError as nothing:
            found = []
            errors.append(("nothing_found", str(nothing)))
        except records.Problem as problem:
            errors.append((problem.code, problem.message))
        alarm.listen({record.get("docker_host") for record in found})
        for record in found:
            yield record, False
        told = Marker(round=Round(number=number, at=at, services=len(found), late_s=late, because=because))
        entries = [records.error("services", code, message) for code, message in errors]
        yield msgspec.to_builtins(told) | {"errors": entries}, True
