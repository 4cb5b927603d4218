"""session RUN BEGAN TERMINAL WORD...: run the stages of one session's pipe. supervisor-session.sh composes it.

The words are `NAME COMMAND...`, with `|` between the stages of the pipe and `;` before each command that reads what the
last stage of the pipe wrote, from its standard input. These run one after the other, and only if nothing has died
before. BEGAN is when the run began, in microseconds since 1970; TERMINAL the file descriptor of whoever waits at a
terminal, who is told when each stage is done; empty if nobody does.

Of each stage RUN holds NAME.jsonl (or what stands behind the name, as in brief=brief.txt), its messages in NAME.err,
and in the end NAME.status: its exit status as a shell has it, when it was done, and what it died of if it did.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import Any

import orjson

from dm_tools.pipe import ending, exits
from dm_tools.session import forking

# Imported before the first fork: what more than one of these commands needs, and imports late.
ENGINE = ("dm_tools.engine.connection", "dm_tools.engine.finding", "dm_tools.engine.reading", "requests", "urllib3")
JUDGED = (
    "dm_tools.diagnose.topology",
    "dm_tools.evidence.telling",
    "dm_tools.evidence.words",
    "dm_tools.text.condense",
)
KEPT = ("dm_tools.diagnose.remembered", "dm_tools.diagnose.watching", "dm_tools.show.records", "dm_tools.store.history")
NEEDS = {
    "services": ("asyncio", "dm_tools.engine.connection"),
    "probe": ("asyncio", "dm_tools.engine.connection", "dm_tools.engine.finding", "dm_tools.evidence.view"),
    "inspect": ENGINE,
    "logs": ENGINE,
    "stats": ENGINE,
    "analyze": JUDGED,
    "brief": JUDGED,
    "report": ("dm_tools.evidence.view", *KEPT),
    "history": ("dm_tools.evidence.view", *KEPT),
}
SAID = (exits.USAGE, exits.BAD_INPUT, exits.CANNOT_WRITE)  # what is wrong is said: whoever comes before may stop, too


@dataclass
class Stage:
    """One command of the pipe. `given` is its standard input, held open until it is known how the stage ended."""

    name: str
    out: str
    command: list[str]
    given: int = -1
    running: dict[int, str] = field(default_factory=dict)  # process id → who: the command, or `tee`
    ended: dict[str, int] = field(default_factory=dict)


class Session:
    """The stages of a run, from the first to the last."""

    def __init__(self, run: Path, began: int, terminal: int | None) -> None:
        self.run, self.began, self.terminal = run, began, terminal
        self.interrupted = False
        self._on_interrupt: Any = signal.SIG_IGN
        if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:  # a shell's background job ignores Ctrl-C
            self._on_interrupt = signal.default_int_handler
            signal.signal(signal.SIGINT, self._note_interrupt)

    def _note_interrupt(self, number: int, frame: FrameType | None) -> None:
        self.interrupted = True  # the stages were told, too, and end by themselves

    def pipe(self, stages: list[Stage]) -> bool:
        """Run these together, each reading what the one before writes; whether none of them died."""
        given = os.dup(0)
        for number, stage in enumerate(stages):
            stage.given, given = given, self._start(stage, given, last=number == len(stages) - 1)
        alive, running = True, {pid: stage for stage in stages for pid in stage.running}
        while running:
            pid, status = os.waitpid(-1, 0)
            if pid not in running:
                continue  # what reads on for a stage that died
            stage = running.pop(pid)
            stage.ended[stage.running.pop(pid)] = forking.exit_status(status)
            if not stage.running:
                alive &= self._over(stage)
        return alive

    def then(self, stage: Stage, after: Path) -> bool:
        """Run one that reads what the pipe has led to; whether it did not die."""
        if self.interrupted:
            self._note(stage, exits.INTERRUPTED, f"dm-{stage.name} {forking.how(exits.INTERRUPTED)}")
            return False
        stage.given = os.open(after, os.O_RDONLY)
        self._start(stage, stage.given, last=True)
        for pid in list(stage.running):
            stage.ended[stage.running.pop(pid)] = forking.exit_status(os.waitpid(pid, 0)[1])
        return self._over(stage)

    def _start(self, stage: Stage, given: int, last: bool) -> int:
        """Start a stage; what the next one reads (-1: there is none). What is read is kept by a `tee`."""
        kept, saying = self.run / stage.out, self.run / f"{stage.name}.err"
        if last:
            out, writing, after = -1, os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), -1
        else:
            out, writing = os.pipe()
        pid = forking.fork(stage.command, given, writing, saying, os.O_TRUNC | os.O_APPEND, self._on_interrupt)
        stage.running[pid] = "command"
        os.close(writing)
        if not last:
            after, passing = os.pipe()
            told = os.open(saying, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            files = [(os.POSIX_SPAWN_DUP2, each, number) for number, each in enumerate((out, passing, told))]
            pid = os.posix_spawnp(
                "tee", ["tee", str(kept)], os.environ, file_actions=files, setsigdef=[signal.SIGPIPE]
            )  # fmt: skip
            stage.running[pid] = "tee"
            for each in (out, passing, told):
                os.close(each)
        return after

    def _over(self, stage: Stage) -> bool:
        """Note how a stage ended; whether it did not die."""
        end, keeper = stage.ended["command"], stage.ended.get("tee", 0)
        died = (words := forking.how(end)) and f"dm-{stage.name} {words}"
        if keeper == exits.BROKEN_PIPE and end == 0:
            end = keeper
        elif keeper > 128 and keeper != exits.BROKEN_PIPE:
            end, died = keeper, f"tee of dm-{stage.name} {forking.how(keeper)}"
        elif keeper not in (0, exits.BROKEN_PIPE) and end == 0:
            end, died = exits.CANNOT_WRITE, f"dm-{stage.name}'s records could not be kept"
        if died and end not in SAID and stage.name != "services":
            # Whoever comes before one that died goes on to the end: what it still finds out belongs into the report.
            files = [(os.POSIX_SPAWN_DUP2, stage.given, 0), (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
            os.posix_spawnp("cat", ["cat"], os.environ, file_actions=files)
        os.close(stage.given)
        self._note(stage, end, died)
        return died is None

    def _note(self, stage: Stage, status: int, died: str | None) -> None:
        finished = round(time.time() - self.began / 1_000_000, 2)
        noted = {"stage": stage.name, "status": status, "finished_s": finished, "died": died}
        with contextlib.suppress(OSError):  # whoever finds no status says so
            (self.run / f"{stage.name}.status").write_bytes(orjson.dumps(noted) + b"\n")
            if self.terminal is not None and stage.out == f"{stage.name}.jsonl":
                count = (self.run / stage.out).read_bytes().count(b"\n")
                said = died or f"{count} record{'' if count == 1 else 's'}"
                os.write(self.terminal, f"[supervisor] {finished:6.2f} s  {stage.name}: {said}\n".encode())


def stages_of(words: list[str]) -> list[Stage]:
    """The stages between the words that part them."""
    found = []
    for _, group in groupby(words, lambda word: word in ("|", ";")):
        name, *command = group
        if command:
            stem, _, out = name.partition("=")
            found.append(Stage(stem, out or f"{stem}.jsonl", command))
    return found


def main() -> None:
    """Entry point."""
    ending.stand_in()
    run, began, words = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[4:]
    terminal = int(sys.argv[3]) if sys.argv[3] else None
    end = words.index(";") if ";" in words else len(words)
    piped, then = stages_of(words[:end]), stages_of(words[end:])
    own = {stage.name: name for stage in (*piped, *then) if (name := forking.module(stage.command[0]))}
    if "requests" in {needed for name in own for needed in NEEDS.get(name, ())}:
        forking.share(["dm_tools.engine.transport"])
        sys.modules["dm_tools.engine.transport"].load()
    forking.share([*own.values(), *(needed for name in own for needed in NEEDS.get(name, ()))])
    session = Session(run, began, terminal)
    if session.pipe(piped):
        after = run / piped[-1].out
        all(session.then(stage, after) for stage in then)
    elif then and session.interrupted:
        session.then(then[0], run)


if __name__ == "__main__":
    main()
