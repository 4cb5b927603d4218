"""How others learn that the watcher lives: systemd, a heartbeat URL, files."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import urllib.request

HEARTBEAT_SECONDS = 10


def systemd(text: str) -> None:
    """Tell the service manager (sd_notify(3): READY=1, WATCHDOG=1, STATUS=...); nothing if there is none."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.setblocking(False)  # one that does not read holds up no round
        manager.sendto(text.encode(), f"\0{address[1:]}" if address.startswith("@") else address)


class Heartbeat:
    """GET of a URL, which somebody else misses when it does not come. Each in a process of its own, so that a slow
    answer delays no round and the watcher has no thread when it forks."""

    def __init__(self, url: str | None) -> None:
        self.url = url
        self.failing = False
        self._pid: int | None = None

    def beat(self) -> bool | None:
        """Send one; returns how the one before ended: None if it has not, or there was none."""
        outcome = self._outcome()
        if self.url and self._pid is None:
            self._pid = os.fork()
            if self._pid == 0:
                _get(self.url)
        return outcome

    def _outcome(self) -> bool | None:
        if self._pid is None:
            return None
        ended, status = os.waitpid(self._pid, os.WNOHANG)
        if not ended:
            return None
        self._pid = None
        return status == 0


def _get(url: str) -> None:
    """Ask, and end the process: 0 if the answer was a good one."""
    status = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(HEARTBEAT_SECONDS)  # a name server that does not answer has no timeout of its own
        os.closerange(3, 1000)
        if url.startswith(("http://", "https://")):
            with urllib.request.urlopen(url, timeout=HEARTBEAT_SECONDS) as answer:
                answer.read(4096)
            status = 0
    finally:
        os._exit(status)
