"""watch FOLDER EVERY -- STAGE...: keep a resident pipe running. supervisor-session.sh composes it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import time
from pathlib import Path

import click
import orjson

from dm_tools.pipe import clock, command, exits, say, settings
from dm_tools.records import is_marker
from dm_tools.show.incidents import event
from dm_tools.store import files
from dm_tools.text.times import shown
from dm_tools.watch import figures, signs
from dm_tools.watch.healing import Healer
from dm_tools.watch.pulse import Pulse, first
from dm_tools.watch.stages import Death, Pipe, load

LEAST_PAUSE, MOST_PAUSE = 1.0, 60.0  # seconds before the pipe is started again
STALL_ROUNDS, STALL_SECONDS = 10, 300.0  # no round for so long: a stage hangs
HOPELESS = (exits.USAGE, exits.BAD_INPUT)  # of the first start: nothing that waiting would cure


@command.define("watch")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.argument("every", type=command.Duration(0.1, 86400))
@click.argument("words", nargs=-1)
@click.option("--metrics-file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--heal", multiple=True)
def cli(folder: Path, every: float, words: tuple[str, ...], metrics_file: Path | None, heal: tuple[str, ...]) -> int:
    """Run the stages, words with `|` between them, again and again; FOLDER/status.json tells of the newest round.

    --heal: the words of the session that heals, one each.
    """
    stages: list[list[str]] = [[]]
    for word in words:
        if word == "|":
            stages.append([])
        else:
            stages[-1].append(word)
    try:
        files.make_folder(folder)
    except files.CannotWrite as failure:
        raise exits.Stop(exits.CANNOT_WRITE, str(failure)) from None
    with contextlib.suppress(ChildProcessError):  # what the shell that became this process had started
        os.waitpid(-1, os.WNOHANG)
    with _alone(folder):
        load(stages)
        watcher = Watcher(folder, every, metrics_file, heal)
        try:
            return watcher.run(stages)
        except BaseException as ending:
            if not isinstance(ending, Exception):  # a signal: somebody meant to end it
                watcher.stopped()
            raise


@contextlib.contextmanager
def _alone(folder: Path):  # type: ignore[no-untyped-def]
    """Two watchers of one folder would each tell of the other's rounds."""
    descriptor = files.open_own(folder / "lock", 0)
    for _ in range(10):  # whoever asks whether a watch is at work holds it for a moment
        if _locked(descriptor):
            break
        time.sleep(0.1)
    else:
        raise exits.Stop(exits.USAGE, f"another watch is at work in {str(folder)!r}")
    yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


class Watcher:
    """Starts the pipe, tells of its rounds and of its deaths, and starts it again."""

    def __init__(self, folder: Path, every: float, metrics_file: Path | None, heal: tuple[str, ...]) -> None:
        self.healer = Healer(heal)
        self.folder, self.metrics_file = folder, metrics_file
        self.kept = figures.Kept(folder.parent)
        before = {}
        with contextlib.suppress(OSError, ValueError):
            before = orjson.loads((folder / "status.json").read_bytes())
        self.pulse = Pulse(every, clock.rfc3339(clock.now()), before if isinstance(before, dict) else {})
        self.heartbeat = signs.Heartbeat(os.environ.get("DM_HEARTBEAT_URL"))
        self.stall = max(STALL_SECONDS, STALL_ROUNDS * every)

    def run(self, stages: list[list[str]]) -> int:
        """Until a signal ends it, or what no waiting would cure."""
        try:
            return self._keep_running(stages)
        finally:
            self.healer.end()

    def _keep_running(self, stages: list[list[str]]) -> int:
        pause = LEAST_PAUSE
        while True:
            pipe, rounds, begun = Pipe(stages, self.folder), self.pulse.rounds, time.monotonic()
            try:
                for line in pipe.lines(self.stall):
                    self.take(line, pipe)
            finally:
                signs.systemd("STATUS=the pipe is not running")
                pipe.end()
            death = pipe.death() or Death(stages[0][0], 1, f"no round came through for {self.stall:g} s")
            if self.pulse.rounds == 0 and death.status in HOPELESS:
                raise exits.Stop(death.status, death.said or death.words)
            if self.pulse.rounds - rounds > 1 and time.monotonic() - begun > MOST_PAUSE:
                pause = LEAST_PAUSE
            say.note(f"{death.words}; the pipe is started again in {pause:g} s")
            self.pulse.restarts += 1
            self.pulse.death = f"{shown(clock.rfc3339(clock.now()))} {death.words}"
            time.sleep(pause)
            pause = min(pause * 2, MOST_PAUSE)

    def take(self, line: bytes, pipe: Pipe) -> None:
        """A line of the last stage: of a marker or an event is told; and of a message that did not arrive."""
        try:
            found = orjson.loads(line)
        except ValueError:
            return
        if is_marker(found):
            self.round(found)
            pipe.tidy()
        elif isinstance(found, dict) and found.get("outcome") == "failed":
            say.note(f"{found.get('target')}: not told: {found.get('why')}")
        elif isinstance(found, dict) and found.get("kind"):
            click.echo(say.printable(f"{shown(found.get('at'))} {event(found)}"))

    def round(self, marker: dict[str, object]) -> None:
        """A round has come through."""
        was = dict(self.pulse.status)
        self.pulse.beat(marker, clock.rfc3339(clock.now()))
        if self.pulse.rounds == 1 and sys.stdout.isatty():
            click.echo(say.printable(first(self.pulse.status)))
        if (report := self.pulse.status["report_path"]) and report != was.get("report_path"):
            click.echo(f"Report: {say.printable(str(self.pulse.status['html_path'] or report))}")
        if words := self.healer.look(self.pulse.status["open"]):
            at = shown(self.pulse.status["ended_at"])
            self.pulse.status["healing"] = f"{at} {words}"
            click.echo(say.printable(f"{at} HEALING {words}"))
        try:
            files.replace(self.folder / "status.json", [orjson.dumps(self.pulse.status) + b"\n"])
            if self.metrics_file:
                text = figures.text(self.pulse.status, self.kept.counts())
                files.replace(self.metrics_file, [text.encode()], mode=0o644)
        except files.CannotWrite as failure:
            raise exits.Stop(exits.CANNOT_WRITE, str(failure)) from None
        good = self.pulse.status["good"]
        if good != was.get("good", True):
            words = self.pulse.status["errors"][0] if not good else "everything can be seen again"
            say.note(f"round {self.pulse.status['round']['number']}: {words}")
        told = f"round {self.pulse.rounds}, open: {len(self.pulse.status['open'])}"
        # Also after a round that could not see everything: a watcher that is started anew would see no more.
        signs.systemd(f"READY=1\nWATCHDOG=1\nSTATUS={told}")
        if good and self.heartbeat.beat() is False:
            say.note(f"{settings.origin('DM_HEARTBEAT_URL')}: no good answer")

    def stopped(self) -> None:
        """Somebody ended the watch: that no round comes any more is no failure."""
        if "round" in self.pulse.status:
            self.pulse.status["stopped_at"] = clock.rfc3339(clock.now())
            with contextlib.suppress(files.CannotWrite):
                files.replace(self.folder / "status.json", [orjson.dumps(self.pulse.status) + b"\n"])


if __name__ == "__main__":
    command.run(cli)
