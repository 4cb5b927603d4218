"""What a program used: the most memory, and processor time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import IO, NamedTuple

# A small process starts the program: the most memory that a child is said to have held begins with its parent's.
MEASURE = """
import os, resource, subprocess, sys
done = subprocess.run(sys.argv[2:])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
open(sys.argv[1], "w").write(f"{used.ru_maxrss} {used.ru_utime + used.ru_stime}")
sys.exit(done.returncode)
"""


class Used(NamedTuple):
    """`status`: as a shell has it. `seconds`: of processor time."""

    status: int
    stdout: bytes
    stderr: bytes
    kilobytes: int
    seconds: float


def used(command: list[str], folder: Path, environment: dict[str, str], stdin: IO[bytes] | None) -> Used:
    """Run a program to its end."""
    told = folder / "used"
    starter = [sys.executable, "-I", "-S", "-c", MEASURE, str(told)]
    done = subprocess.run([*starter, *command], stdin=stdin, capture_output=True, env=environment, cwd=folder)
    kilobytes, seconds = told.read_text().split()
    return Used(done.returncode, done.stdout, done.stderr, int(kilobytes), float(seconds))
