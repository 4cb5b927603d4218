"""Whether the watch of a folder is well, for a container's healthcheck: python -m dm_tools.watch.health PROOFS_DIR."""

from __future__ import annotations

import sys
from pathlib import Path

from dm_tools.pipe import clock
from dm_tools.watch import figures


def main() -> int:
    """1 with the reason on standard output if no round came through, or none for too long; else 0."""
    found = figures.status(Path(sys.argv[1]))
    reason = figures.trouble(found, clock.now()) if found else "no round has come through yet"
    sys.stdout.write(reason + "\n" * bool(reason))
    return int(bool(reason))


if __name__ == "__main__":
    sys.exit(main())
