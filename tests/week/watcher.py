"""The watcher of a week: real processes of dm-incidents and dm-notify, killed as the week says, and who is told."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dm_tools.pipe import clock
from tests.hearers import Web
from tests.week import scenes
from tests.week.clocked import PAGE
from tests.week.plan import EVERY, Week

ROOT = Path(__file__).resolve().parent.parent.parent
CONFIG = """
[target.ops]
webhook = "{ops}/ops"
instead = "backup"
timeout = "2s"
[target.backup]
webhook = "{backup}/backup"
timeout = "2s"
[[rule]]
tell = ["ops"]
"""


class Killed(Exception):
    """The watcher was killed in this round."""


@dataclass
class Heard:
    """What came of a week: events of dm-incidents with the round in which each was printed first, and bodies of the
    webhook. `looked`: rounds that came through; `seconds`: of the machine, for all."""

    events: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    printed_again: int = 0
    ops: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    backup: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    kills: int = 0
    looked: set[int] = field(default_factory=set)
    seconds: float = 0.0


class Watcher:
    """The two processes; what the first prints is passed on to the second, but for what a kill loses."""

    def __init__(self, week: Week, folder: Path, luck: random.Random) -> None:
        self.week, self.folder, self.luck, self.heard = week, folder, luck, Heard()
        self.number = 0
        self.aimed = False  # the next message that arrives kills who sent it
        self.ops, self.backup = Web(arrived=self._arrived), Web()
        (folder / "notify.toml").write_text(CONFIG.format(ops=self.ops.url, backup=self.backup.url))
        self.page_file = folder / "page"
        self.page_file.write_bytes(bytes(PAGE.size))
        with self.page_file.open("r+b") as file:
            self.page = mmap.mmap(file.fileno(), PAGE.size)
        self.incidents: subprocess.Popen[bytes] | None = None
        self.notify: subprocess.Popen[bytes] | None = None

    def run(self) -> Heard:
        """Live through the week."""
        began = time.monotonic()
        try:
            for number in range(self.week.rounds):
                self.number = number
                self._turn_clock()
                self._silence()
                if self.number not in self.week.away:
                    self._round()
        finally:
            self._end()
            self.ops.close()
            self.backup.close()
        self.heard.seconds = time.monotonic() - began
        return self.heard

    def _turn_clock(self) -> None:
        numbers = (self.week.wall(self.number), self.number * EVERY, self.week.boot(self.number))
        PAGE.pack_into(self.page, 0, *numbers, 0)
        began, ended = self.week.deaf
        self.ops.codes = [503 if began <= self.number < ended else 200]

    def _silence(self) -> None:
        """What a person asks for, by the command."""
        for service, begin, end in self.week.silences:
            if begin == self.number:
                lasting = f"{int((end - begin) * EVERY)}s"
                words = ["silence", service, "--for", lasting, "--why", "a new disk", "--proofs-dir", str(self.folder)]
                started = self._command("incidents", *words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
                assert started.wait(60) == 0

    def _command(self, name: str, *arguments: str, **pipes: Any) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-P", "-m", "tests.week.clocked", str(self.page_file), name, *arguments]
        variables = os.environ | {"PYTHONPATH": str(ROOT), "TZ": "UTC", "DM_ENV_FILE": "/dev/null"}
        return subprocess.Popen(words, env=variables, cwd=ROOT, **pipes)

    def _started(self) -> tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]:
        if self.incidents is None or self.notify is None:
            where = ["--proofs-dir", str(self.folder)]
            self.incidents = self._command("incidents", *where, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            told = ["--config", str(self.folder / "notify.toml"), *where]
            self.notify = self._command("notify", *told, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        return self.incidents, self.notify

    def _round(self) -> None:
        how = self.week.kills.get(self.number, "")
        try:
            self._through(how)
            self.heard.looked.add(self.number)
        except (Killed, BrokenPipeError):
            how = how or "aimed"
        if how == "with a message on its way":
            self.aimed = True
        elif how:
            self._kill(how)

    def _through(self, how: str) -> None:
        incidents, notify = self._started()
        assert incidents.stdin and incidents.stdout and notify.stdin
        lines = self._lines()
        if how == "while it reads":
            incidents.stdin.write(b"".join(line + b"\n" for line in lines[: len(lines) // 2]))
            incidents.stdin.flush()
            time.sleep(self.luck.uniform(0, 0.004))
            raise Killed
        incidents.stdin.write(b"".join(line + b"\n" for line in lines) + self._marker(len(lines)))
        incidents.stdin.flush()
        if how == "while it judges":
            time.sleep(self.luck.uniform(0, 0.012))
            incidents.send_signal(signal.SIGKILL)
        passed = []
        for line in incidents.stdout:
            passed.append(line)
            found = json.loads(line) if line.endswith(b"\n") else {}
            if "round" in found:
                break
            if found:
                self._printed(found)
        else:
            if self.luck.random() < 0.5:  # what it had printed reached the other one, or did not
                with contextlib.suppress(BrokenPipeError):
                    notify.stdin.write(b"".join(passed))
                    notify.stdin.flush()
            raise Killed
        notify.stdin.write(b"".join(passed))
        notify.stdin.flush()
        if how == "while it tells":
            time.sleep(self.luck.uniform(0, 0.006))
            raise Killed
        self._wait(notify)

    def _wait(self, notify: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + 60
        while not PAGE.unpack(self.page)[3]:
            if notify.poll() is not None:
                raise Killed
            assert time.monotonic() < deadline, "dm-notify does not come through its round"
            time.sleep(0.0002)

    def _lines(self) -> list[bytes]:
        lines: list[bytes] = []
        for part in self.week.parts:
            states = part.states.get(self.number, {})
            names = scenes.services(part.name)
            lines += scenes.judged(part.name, tuple((name, states.get(name, "well")) for name in names))
        for service, proof in self.week.healings.get(self.number, []):
            lines.append(scenes.verification(service, proof, self.number))
        return lines

    def _marker(self, services: int) -> bytes:
        at = clock.rfc3339(self.week.wall(self.number))
        marker = {"v": 1, "round": {"number": self.number, "at": at, "services": services}, "errors": []}
        return json.dumps(marker).encode() + b"\n"

    def _printed(self, event: dict[str, Any]) -> None:
        self.heard.printed_again += event["id"] in self.heard.events
        self.heard.events.setdefault(event["id"], (self.number, event))

    def _arrived(self) -> None:
        """A message is there, and nothing was answered yet."""
        if self.aimed and self.notify is not None:
            self.aimed = False
            self.notify.send_signal(signal.SIGKILL)
            time.sleep(0.02)

    def _kill(self, how: str) -> None:
        """Both end, as the watch session sees to: one of them or both by a kill."""
        self.heard.kills += 1
        for process in (self.incidents, self.notify):
            if process is not None:
                process.send_signal(signal.SIGKILL)
        self._end()

    def _end(self) -> None:
        for process in (self.incidents, self.notify):
            if process is not None:
                with contextlib.suppress(BrokenPipeError):
                    process.communicate(timeout=60)
        self._collect()
        self.incidents = self.notify = None

    def _collect(self) -> None:
        for server, into in ((self.ops, self.heard.ops), (self.backup, self.heard.backup)):
            into += [(self.number, body) for body in server.bodies()[len(into) :]]
