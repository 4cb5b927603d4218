"""What is open, and what is silenced, as text for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dm_tools.diagnose.watching import State
from dm_tools.records import Silence
from dm_tools.text.times import lasting


def lines(state: State, quiet: Iterable[Silence], passed: float | None) -> Iterator[str]:
    """One line for each open incident and silence. `passed`: seconds since the last round, None if there was none."""
    if passed is None:
        yield "nobody has looked yet"
    else:
        yield f"looked last {lasting(passed)} ago ({state.at}), round {state.rounds}"
    for each in sorted(state.open.values(), key=lambda each: (each.look.severity.order, each.opened)):
        look = each.look
        also = f" (also failing: {', '.join(each.symptoms)})" if each.symptoms else ""
        done = f"; done: {each.done[-1]}" if each.done else ""
        since = lasting(each.seconds + (passed or 0.0))
        yield f"{look.severity.upper()} {look.service} for {since}: {look.text}{also}{done} [{each.id}]"
    if passed is not None and not state.open:
        yield "no incident is open"
    for silence in quiet:
        what = [
            f"{name} {value}"
            for name in ("service", "project", "host", "incident")
            if (value := getattr(silence, name))
        ]
        when = f", {silence.weekly}" if silence.weekly else ""
        yield f"silent: {', '.join(what) or 'all'}{when}, until {silence.until}: {silence.why} [{silence.id}]"
