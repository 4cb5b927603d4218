"""Two ways to wait, both with a deadline."""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .settings import LabError


def wait_until(check: Callable[[], str | None], seconds: float, every: float = 0.1) -> None:
    """Call `check` until it returns None; what it returns before that says what is still missing."""
    deadline = time.monotonic() + seconds
    while missing := check():
        if time.monotonic() > deadline:
            raise LabError(f"after {seconds:g} s still waiting: {missing}")
        time.sleep(every)


@contextmanager
def lock(path: Path, seconds: float = 180) -> Iterator[None]:
    """Hold a file lock, so that two sessions never start an engine or change a stack at the same time."""
    with path.open("w") as handle:

        def busy() -> str | None:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return f"another lab command holds {path}"
            return None

        wait_until(busy, seconds)
        yield
