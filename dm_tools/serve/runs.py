"""Sessions that the server starts: one at a time, watched stage by stage, ended with the server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import msgspec
import orjson

from dm_tools import redact
from dm_tools.pipe import configs, exits
from dm_tools.records import Problem
from dm_tools.tools import reports

SECONDS = 900.0  # that a run may take
LOOK_SECONDS = 0.2
TOOL_SECONDS = 120.0  # that whoever calls the tool waits
END_SECONDS = 5.0  # that a run may take to end when it is told to
MAX_SAID = 2_000  # characters of what a run that failed had to say


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """What a caller may choose of a run."""

    services: list[str] = []
    discover: bool = False
    screenshots: bool = True
    engine: str | None = None

    def check(self) -> None:
        """Raises ValueError for a choice that is none: the words go to a program, each as one argument."""
        if len(self.services) > reports.MAX_SERVICES:
            raise ValueError(f"at most {reports.MAX_SERVICES} services")
        for name in self.services:
            if not _SERVICE.fullmatch(name):
                raise ValueError(f"no name of a service: {name[:80]!r}")
        if self.engine is not None and self.engine not in ENGINES:
            raise ValueError(f"engine is one of {', '.join(ENGINES)}")


ENGINES = ("auto", "rules", "hybrid", "llm")
_SERVICE = re.compile(reports.NAME, re.ASCII)


class Busy(Exception):
    """Another run is under way."""


class Failed(Exception):
    """A run that ended without a report; the message is what it had to say. `status`: the session's exit status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Runs:
    """The runs of one stack."""

    def __init__(self, proofs_dir: Path) -> None:
        self.proofs_dir = proofs_dir
        self.running: asyncio.subprocess.Process | None = None
        self._ending = False  # with the server
        self._taken = False  # by a run, from before its process is there until it is gone
        self.counts: dict[tuple[str, str], int] = {}

    async def start(self, session: str, wanted: Wanted) -> AsyncGenerator[dict[str, Any]]:
        """Run a session; yields a line per stage that ended, and last {"report": ...}. Raises Busy, Failed.

        Whoever stops asking ends the run: it works in a task of its own, which no cancelling of the asker reaches.
        """
        if self._taken or self._ending:
            raise Busy
        self._taken = True  # before anything is waited for: of those who ask at once one is let in
        lines: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        working = asyncio.create_task(self._work(session, wanted, lines))
        try:
            while (line := await lines.get()) is not None:
                yield line
            await working
        finally:
            if not working.done():
                working.cancel()

    async def diagnosed(self, arguments: dict[str, Any]) -> str:
        """The tool `diagnose`: a run whose report is told in short. Raises Problem."""
        report: dict[str, Any] = {}
        try:
            wanted = msgspec.convert({"screenshots": False} | arguments, Wanted)
            wanted.check()
            async with asyncio.timeout(TOOL_SECONDS):
                async for line in self.start("diagnose-enhanced", wanted):
                    report = line.get("report", report)
        except (msgspec.ValidationError, ValueError) as wrong:
            raise Problem("bad_arguments", str(wrong)) from None
        except Busy:
            raise Problem("busy", "another run is under way; ask again when it has ended") from None
        except Failed as failure:
            raise Problem("failed", str(failure)) from None
        except TimeoutError:
            raise Problem("timeout", f"the run did not end within {TOOL_SECONDS:g} s") from None
        stamp = str(report["report_id"]).rpartition("-")[2]
        return reports.summarised(self.proofs_dir, f"enhanced_diagnostics_{stamp}")

    async def _work(self, session: str, wanted: Wanted, lines: asyncio.Queue[dict[str, Any] | None]) -> None:
        """Run a session, put its lines into a queue, and None at the end. Raises Failed."""
        outcome = "failed"
        try:
            async with asyncio.timeout(SECONDS):
                await self._watched(session, wanted, lines)
            outcome = "done"
        except TimeoutError:
            raise Failed(124, f"the run did not end within {SECONDS:g} s") from None
        except asyncio.CancelledError:
            outcome = "abandoned"
            raise
        finally:
            self.counts[session, outcome] = self.counts.get((session, outcome), 0) + 1
            self.running, self._taken = None, False
            lines.put_nowait(None)

    async def _watched(self, session: str, wanted: Wanted, lines: asyncio.Queue[dict[str, Any] | None]) -> None:
        words = [*(["--discover"] if wanted.discover else []), *wanted.services]
        if session == "diagnose-enhanced":
            words += [] if wanted.screenshots else ["--no-screenshots"]
            words += [f"--engine={wanted.engine}"] if wanted.engine else []
        process = await asyncio.create_subprocess_exec(
            "bash",
            str(configs.session()),
            session,
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | configs.for_session("dm") | {"PROOFS_DIR": str(self.proofs_dir)},
            start_new_session=True,
        )
        self.running = process
        assert process.stderr is not None
        said = asyncio.create_task(_last(process.stderr))
        told: set[str] = set()
        try:
            ending = asyncio.create_task(process.wait())
            while not ending.done():
                await asyncio.wait([ending], timeout=LOOK_SECONDS)
                for line in self._stages(process.pid, told):
                    lines.put_nowait(line)
            found = self._report(process.pid)
            if found is None:
                if self._ending:
                    raise Failed(exits.TERMINATED, "the server ends")
                message = redact.redact((await said).decode("utf-8", "replace").strip()[-MAX_SAID:])
                raise Failed(process.returncode or 0, message or "no report was written")
            lines.put_nowait({"report": found})
        finally:
            await self._end(process)
            said.cancel()

    async def end(self) -> None:
        """End what runs, for good."""
        self._ending = True
        if self.running is not None:
            await self._end(self.running)

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is None:
            ending = asyncio.create_task(process.wait())
            for number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
                await asyncio.wait([ending], timeout=END_SECONDS)
        with contextlib.suppress(ProcessLookupError):  # what it started, and did not end with it
            os.killpg(process.pid, signal.SIGKILL)

    def _folder(self, pid: int) -> Path | None:
        """Where the session of a process keeps its run."""
        return next(iter(sorted((self.proofs_dir / "runs").glob(f"20*T*-{pid}"), reverse=True)), None)

    def _stages(self, pid: int, told: set[str]) -> list[dict[str, Any]]:
        folder, found = self._folder(pid), []
        for path in sorted(folder.glob("*.status"), key=lambda each: each.stat().st_mtime_ns) if folder else ():
            if path.name not in told:
                with contextlib.suppress(ValueError, OSError):
                    found.append(orjson.loads(path.read_bytes()))
                    told.add(path.name)
        return found

    def _report(self, pid: int) -> dict[str, Any] | None:
        folder = self._folder(pid)
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            last = orjson.loads((folder / "report.jsonl").read_bytes()) if folder else {}
            path = Path(last["report_path"])
            report = orjson.loads(path.read_bytes())
            return report if isinstance(report, dict) else None
        return None


async def _last(said: asyncio.StreamReader) -> bytes:
    """The end of what a program says. All of it is read: a full pipe would hold the program up."""
    kept = b""
    while part := await said.read(1 << 16):
        kept = (kept + part)[-4 * MAX_SAID :]
    return kept
