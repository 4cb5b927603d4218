"""What dm-report does with a stream: reports on the disk, round by round, and what it prints of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dm_tools.pipe import clock, exits, say, spool, stream
from dm_tools.pipe.rounds import Round, rounds
from dm_tools.store import changes, files, reports

KEPT_SECONDS = 300.0  # what was done is proved by the rounds that follow


@dataclass(frozen=True)
class Options:
    """`again`: seconds after which a round that tells nothing new is reported, 0: each is. `fail_on`: whether that was
    asked for; `fails`: whether what was collected is what it means. `kept_round`: the file that holds the newest round
    that had issues, or came within `KEPT_SECONDS` after one that had."""

    proofs_dir: Path
    run_path: str | None
    executed: tuple[Path, ...]
    on_bad: str
    again: float
    pass_on: bool
    keep: int | None
    kept_round: Path | None
    fail_on: bool
    fails: Callable[[reports.Collector], bool]
    manner: Callable[[], reports.Manner]


def run(source: Iterable[stream.Record], options: Options) -> int:
    """Report all rounds; returns the exit status. Raises exits.Stop: a file cannot be written."""
    reporter = _Reporter(options)
    try:
        for each in rounds(source):
            with spool.Spool() as waiting:
                reporter.round(each, reports.Collector(waiting))
    except files.CannotWrite as failure:
        raise exits.Stop(exits.CANNOT_WRITE, str(failure)) from None
    reporter.writer.write(b"", flush=True)
    if options.fail_on and not reporter.came:
        if not options.run_path:  # a session tells what its first stage died of
            say.note(stream.NOTHING_CAME)
        return exits.worst(reporter.status, exits.ERRORS)
    return reporter.status


class _Reporter:
    def __init__(self, options: Options) -> None:
        self.options, self.writer, self.status = options, stream.Writer(), exits.DONE
        self.watched = changes.Watched(options.again)
        self.marked = self.came = False
        self.kept_until = 0.0
        self.newest: dict[str, Any] = {}

    def round(self, each: Round, collector: reports.Collector) -> None:
        """One round: its report, if it is worth one, and its marker."""
        seen = self._collect(each, collector)
        self.came |= seen or each.marker is not None
        if seen and self.marked and each.marker is None:
            say.note("the stream ended within a round: its records are in no report")
        elif seen and self.watched.worth_it(collector, clock.now()):
            self._report(collector)
        if seen and self.options.fails(collector):
            self.status = exits.worst(self.status, exits.MATCHED)
        if each.marker:
            self.marked = True
            marker = each.marker | reports.in_short(collector) | self.newest
            self.writer.write(stream.dumps(marker), flush=True)

    def _collect(self, each: Round, collector: reports.Collector) -> bool:
        """Take the records in; whether there were any."""
        kept: list[bytes] = []
        seen = False
        for record in each:
            seen = True
            if "service" in record:
                record = stream.attempt(collector.add, record, "report")
            else:
                collector.add_bad_line(record)
            self.status = exits.worst(self.status, stream.status_of(record, "report"))
            if self.options.pass_on or self.options.kept_round:
                line = stream.dumps(record)
                kept.append(line)
                self.writer.write(line if self.options.pass_on else b"", flush=False)
        collector.add_bad_line(each.marker or {})
        for line_done in stream.of_files(self.options.executed, self.options.on_bad) if seen else ():
            collector.add_done(line_done)
        if collector.issues:
            self.kept_until = time.monotonic() + KEPT_SECONDS
        if self.options.kept_round and each.marker and time.monotonic() < self.kept_until:
            files.replace(self.options.kept_round, kept)
        return seen

    def _report(self, collector: reports.Collector) -> None:
        options = self.options
        written = reports.write(collector, options.proofs_dir, clock.now(), options.run_path, options.manner())
        if collector.counts and not collector.analysed and not options.run_path:  # a session knows what it does
            say.once("the report names no causes: the records were not judged (dm-analyze comes before)")
        self.newest = {"report_path": written["report_path"], "html_path": written["html_path"]}
        if not options.pass_on:
            self.writer.write(stream.dumps(written), flush=True)
        changes.remove_old(options.proofs_dir, options.keep)
