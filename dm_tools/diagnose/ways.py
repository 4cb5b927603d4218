"""The way from every service of a stack to its root."""

from __future__ import annotations

from dm_tools.diagnose.claims import Judged

MAX_WAY = 32  # services on a way that is shown: of a longer one the middle is left out


class Ways:
    """The way from every service to its root: who suffers from whom has no circles any more."""

    def __init__(self, stack: dict[str, Judged]) -> None:
        self._next = {service: each.because_of for service, each in stack.items()}
        self._end: dict[str, tuple[int, tuple[str, ...]]] = {}  # steps to the root, and the last services of the way

    def _ending(self, service: str) -> tuple[int, tuple[str, ...]]:
        waiting = []
        here = service
        while here not in self._end:
            following = self._next[here]
            if following is None:
                self._end[here] = (0, (here,))
            else:
                waiting.append(here)
                here = following
        for each in reversed(waiting):
            steps, last = self._end[str(self._next[each])]
            self._end[each] = (steps + 1, (each, *last) if steps + 1 < MAX_WAY // 2 else last)
        return self._end[service]

    def root(self, service: str) -> str:
        return self._ending(service)[1][-1]

    def way(self, service: str) -> list[str]:
        """From the service to its root, both included; of a very long way without the middle."""
        steps, last = self._ending(service)
        first: list[str] = []
        here: str | None = service
        while here is not None and len(first) <= min(steps, MAX_WAY // 2):
            first.append(here)
            here = self._next[here]
        return first if len(first) == steps + 1 else first + [each for each in last if each not in first]
