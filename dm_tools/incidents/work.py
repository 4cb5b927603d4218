"""What dm-incidents does: rounds of records in, events out, each on the disk before it is printed; silences."""

from __future__ import annotations

import getpass
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from dm_tools.diagnose import deeds, remembered, silences
from dm_tools.diagnose.comparing import worse
from dm_tools.diagnose.looks import Look, completed, look, quotes
from dm_tools.diagnose.state import State
from dm_tools.diagnose.watching import Moment, Rules, judged
from dm_tools.pipe import clock, exits, say, stream
from dm_tools.pipe.rounds import Round, rounds
from dm_tools.records import Happening, IncidentEvent, Problem, Silence
from dm_tools.show import incidents as show
from dm_tools.store import approvals
from dm_tools.store.history import History
from dm_tools.store.incidents import Incidents, Silences
from dm_tools.store.journal import Journal

VERBS = ("list", "silence", "unsilence")
ONE_LOOK = Rules()
IN_ROUNDS = Rules(bad=2, of=3, recover=3, scheduled=True)
_YEAR = 366 * 86400.0


def judge(proofs_dir: Path, source: Iterable[stream.Record], options: dict[str, Any]) -> int:
    """Judge round after round and print what there is to tell; returns the exit status.

    Raises files.CannotWrite, journal.Busy, exits.Stop.
    """
    given = iter(source)
    first = next(given, None)
    if first is None:
        return exits.DONE
    kept, writer, status, marked = Incidents(proofs_dir), stream.Writer(), exits.DONE, False
    for each in rounds(_again(first, given)):
        found, worst = _looks(each)
        status = exits.worst(status, worst)
        if each.marker is None and marked:
            break  # what a resident pipe left unfinished is no round
        marked = marked or each.marker is not None
        with kept.alone():
            _print(writer, kept)  # what was killed before it could
            now = clock.now()
            quiet = Silences(proofs_dir).standing(now)
            own = deeds.silences(Journal(proofs_dir).lately(deeds.LATELY_SECONDS), now)
            state, events = judged(kept.state(), found, _moment(), quiet, _rules(options, marked), own)
            kept.commit(state, [_with_history(proofs_dir, event) for event in events])
            _print(writer, kept)
        if each.marker is not None:
            writer.write(stream.dumps(each.marker | {"incidents": show.briefly(state)}), flush=True)
    writer.write(b"", flush=True)
    return status


def _again(first: stream.Record, rest: Iterator[stream.Record]) -> Iterator[stream.Record]:
    yield first
    yield from rest


def _looks(round: Round) -> tuple[list[Look], int]:
    """What a round says, and the exit status of its records. Of two records of one service only the worse is held."""
    found: dict[str, Look] = {}
    healed: list[Look] = []
    quoted: dict[str, str] = {}
    status, unjudged, why = exits.DONE, 0, ""
    for record in round:
        status = exits.worst(status, stream.status_of(record, "incidents"))
        if "service" not in record:
            continue
        try:
            each = look(record)
            quoted |= quotes(record)
        except Problem as problem:
            unjudged, why, status = unjudged + 1, why or problem.message, exits.worst(status, exits.ERRORS)
            continue
        if each.healing is not None:
            healed.append(each)
        else:
            found[each.key] = worse(found.get(each.key), each)
    if unjudged:
        say.note(f"{unjudged} record{'s' * (unjudged > 1)} not looked at: {why}")
    return [*healed, *(completed(each, quoted) for each in found.values())], status


def _moment() -> Moment:
    wall = clock.now()
    steady, boot = clock.steady()
    return Moment(clock.rfc3339(wall), wall, steady, boot, *clock.local(wall))


def _rules(options: dict[str, Any], resident: bool) -> Rules:
    usual = IN_ROUNDS if resident else ONE_LOOK
    bad, of = options["open_after"] or (usual.bad, usual.of)
    return Rules(bad, of, options["recover_after"] or usual.recover, options["stopped"], usual.scheduled)


def _with_history(proofs_dir: Path, event: IncidentEvent) -> IncidentEvent:
    """One that opens an incident or names another cause says what happened at earlier occasions, if there were any."""
    if event.kind not in (Happening.OPENED, Happening.CHANGED) or event.fingerprint is None:
        return event
    before = History(proofs_dir).remembered().before(event.fingerprint, event.at)
    if before is None or not before.times:
        return event
    before.going_on = None  # this occasion may have been recorded a moment ago
    return msgspec.structs.replace(event, before=remembered.words(before))


def _print(writer: stream.Writer, kept: Incidents) -> None:
    """Print events that were not; once that is done they are not printed again, whatever happens."""
    events = kept.waiting()
    for event in events:
        writer.write(stream.dumps(msgspec.to_builtins(event)), flush=False)
    if events:
        writer.write(b"", flush=True)
        kept.acknowledge(events[-1].number)


def listed(proofs_dir: Path, as_json: bool) -> int:
    """Print what is open and what is silenced, for people or as JSON Lines."""
    kept, now = Incidents(proofs_dir), clock.now()
    state, quiet = kept.state(), Silences(proofs_dir).standing(now)
    writer = stream.Writer()
    if as_json:
        for incident in state.open.values():
            writer.write(stream.dumps({"open": msgspec.to_builtins(incident)}), flush=False)
        for silence in quiet:
            writer.write(stream.dumps({"silence": msgspec.to_builtins(silence)}), flush=False)
        writer.write(stream.dumps({"looked": state.at, "rounds": state.rounds, "events": state.number}), flush=True)
        return exits.DONE
    steady, boot = clock.steady()
    passed = steady - state.steady if boot == state.boot else now - state.wall
    unseen = _unseen(proofs_dir, state)
    for line in show.lines(state, quiet, max(passed, 0.0) if state.at else None, unseen):
        writer.write((say.printable(line) + "\n").encode("utf-8", "replace"), flush=False)
    writer.write(b"", flush=True)
    return exits.DONE


def _unseen(proofs_dir: Path, state: State) -> tuple[str, list[str]] | None:
    """When a diagnosis by hand was made that is younger than the last look, and whose issues are no open incident's."""
    try:
        report = approvals.read(approvals.newest(proofs_dir))
    except approvals.ReportError:
        return None
    made = report.generated_at / 1000
    known = {each.look.service for each in state.open.values()}
    found = [each.service for each in report.issues if each.service not in known]
    return (clock.rfc3339(made), found) if found and (not state.at or made > state.wall) else None


def silence(proofs_dir: Path, services: tuple[str, ...], options: dict[str, Any]) -> int:
    """Begin a silence for each service, and print it. Raises exits.Stop, files.CannotWrite."""
    chosen = {name: options[name] for name in ("project", "host", "label", "incident")}
    weekly = options["weekly"]
    if not services and not any(chosen.values()):
        words = "of what? give a service, --project, --host, --label or --incident ('*' stands for all)"
        raise exits.Stop(exits.USAGE, words)
    if "" in services:  # as of a variable that is not set: it would be of all
        raise exits.Stop(exits.USAGE, "a service without a name ('*' stands for all)")
    if chosen["label"] and not chosen["label"].startswith("dm-tools."):
        raise exits.Stop(
            exits.USAGE, "--label: of a container's labels only those that begin with 'dm-tools.' are read"
        )
    if not options["why"]:
        raise exits.Stop(exits.USAGE, "a silence needs a reason: --why TEXT")
    if weekly and silences.window(weekly) is None:
        raise exits.Stop(exits.USAGE, f"--weekly: {weekly!r} is no window ('sat 22:00-04:00', 'daily 02:00-03:00')")
    if not options["lasting"] and not weekly:
        raise exits.Stop(exits.USAGE, "a silence needs an end: --for 2h")
    now = clock.now()
    for service in services or ("",):
        begun = Silence(
            id=secrets.token_hex(4),
            at=clock.rfc3339(now),
            by=_user(),
            why=options["why"],
            service=service,
            **chosen,
            weekly=weekly,
            until=clock.rfc3339(now + (options["lasting"] or _YEAR)),
        )
        Silences(proofs_dir).add(begun)
        stream.Writer().write(stream.dumps(msgspec.to_builtins(begun)), flush=True)
    return exits.DONE


def unsilence(proofs_dir: Path, ids: tuple[str, ...]) -> int:
    """End silences by their id. Raises exits.Stop, files.CannotWrite."""
    if not ids:
        raise exits.Stop(exits.USAGE, "which silence? give its id (dm-incidents list names them)")
    kept, now = Silences(proofs_dir), clock.now()
    standing = {each.id: each for each in kept.standing(now)}
    for id in ids:
        if id not in standing:
            raise exits.Stop(exits.USAGE, f"no silence {id!r} (dm-incidents list names them)")
    for id in ids:
        ended = msgspec.structs.replace(standing[id], action="end", at=clock.rfc3339(now), by=_user())
        kept.add(ended)
        stream.Writer().write(stream.dumps(msgspec.to_builtins(ended)), flush=True)
    return exits.DONE


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
