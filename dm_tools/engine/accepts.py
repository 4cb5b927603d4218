"""Whether somebody accepts connections at an address now: for a session that starts a proxy there.

python -m dm_tools.engine.accepts unix:///PATH|HOST:PORT
"""

from __future__ import annotations

import socket
import sys

SECONDS = 2.0


def accepts(address: str) -> bool:
    """Whether a connection to it is accepted. `*`, or no host, is this machine."""
    try:
        if address.startswith("unix://"):
            with socket.socket(socket.AF_UNIX) as asking:
                asking.settimeout(SECONDS)
                asking.connect(address.removeprefix("unix://"))
            return True
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        socket.create_connection(("127.0.0.1" if host in ("", "*") else host, int(port)), SECONDS).close()
    except (OSError, ValueError, OverflowError):
        return False
    return True


if __name__ == "__main__":
    sys.exit(0 if accepts(sys.argv[1]) else 1)
