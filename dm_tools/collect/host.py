"""A few programs of this machine that only look: no shell, no words but these.

Only the SSH wrapper starts another program, our own.

Every word of a command must stand in its list. What is missing is missing on purpose: nothing that changes anything,
reads a file of the caller's choice, asks a name server for a name of the caller's choice, or shows an environment or
the arguments of processes, where secrets are.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

from dm_tools import redact, text
from dm_tools.records import Problem

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"  # not the caller's: these are the system's own programs
MAX_BYTES = 64 * 1024

_READABLE = (
    "/etc/hosts",
    "/etc/os-release",
    "/etc/resolv.conf",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/pressure/cpu",
    "/proc/pressure/io",
    "/proc/pressure/memory",
    "/proc/sys/fs/file-nr",
    "/proc/uptime",
)
COMMANDS: dict[str, frozenset[str]] = {
    "cat": frozenset(_READABLE),
    "date": frozenset({"-u", "-Is"}),
    "df": frozenset({"-h", "-i", "-k", "-l", "-T"}),
    "dmesg": frozenset({"-T", "--level=err", "--level=warn", "--level=err,warn"}),
    "free": frozenset({"-b", "-h", "-m"}),
    "ip": frozenset({"-4", "-6", "-br", "-s", "addr", "link", "route", "show"}),
    "nproc": frozenset(),
    "ps": frozenset({"-eo", "pid,ppid,stat,comm,rss,pcpu,etimes", "--sort=-rss", "--sort=-pcpu"}),
    "ss": frozenset({"-a", "-l", "-n", "-s", "-t", "-u", "-ltn", "-lnt", "-tln", "-tuln", "-lntu"}),
    "uname": frozenset({"-a", "-m", "-r", "-s"}),
    "uptime": frozenset({"-p", "-s"}),
    "vmstat": frozenset({"-s", "-w"}),
}


def run(argv: Sequence[str], timeout: float) -> str:
    """What the program printed, redacted, both streams. Raises records.Problem if it may not run, or does not end."""
    if not argv or argv[0] not in COMMANDS:
        raise Problem("not_allowed", f"only these programs may run: {', '.join(COMMANDS)}")
    for word in argv[1:]:
        if word not in COMMANDS[argv[0]]:
            raise Problem(
                "not_allowed", f"{argv[0]} may only have: {' '.join(sorted(COMMANDS[argv[0]])) or 'no words'}"
            )
    program = shutil.which(argv[0], path=PATH)
    if program is None:
        raise Problem("not_installed", f"{argv[0]} is not installed here")
    try:
        done = subprocess.run(
            [program, *argv[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": PATH, "LC_ALL": "C.UTF-8"},
            cwd="/",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Problem("timeout", f"{argv[0]} did not end within {timeout:g} s") from None
    except OSError as failure:
        raise Problem("not_installed", f"{argv[0]} cannot run: {failure.strerror}") from None
    return redact.redact(text.clean(done.stdout[:MAX_BYTES].decode("utf-8", "replace"))).strip()
