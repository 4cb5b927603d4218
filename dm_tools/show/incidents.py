"""What is open, what happened and what is silenced, as text for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from dm_tools.diagnose.state import State
from dm_tools.records import ENDS, Silence
from dm_tools.text.times import lasting, shown

MOST_DONE = 3  # sentences on what was done that one line has


def lines(
    state: State, quiet: Iterable[Silence], passed: float | None, unseen: tuple[str, list[str]] | None = None
) -> Iterator[str]:
    """One line for each open incident and silence. `passed`: seconds since the last round, None if there was none.
    `unseen`: when a diagnosis that is younger, and no look at incidents, found issues, and of which services."""
    if passed is None:
        yield "neither watch nor tell nor heal has looked yet"
    else:
        yield f"looked last {lasting(passed)} ago ({shown(state.at)}), round {state.rounds}"
    for each in sorted(state.open.values(), key=lambda each: (each.look.severity.order, each.opened)):
        look = each.look
        also = f" (also failing: {', '.join(each.symptoms)})" if each.symptoms else ""
        done = f"; done: {each.done[-1]}" if each.done else ""
        since = lasting(each.seconds + (passed or 0.0))
        yield f"{look.severity.upper()} {look.service} for {since}: {look.text}{also}{done} [{each.id}]"
    if passed is not None and not state.open:
        yield "no incident was open then" if unseen else "no incident is open"
    if unseen:
        yield f"not in this list: the diagnosis of {shown(unseen[0])} found {', '.join(unseen[1])} failing (dm report)"
    for silence in quiet:
        what = [
            f"{name} {value}"
            for name in ("service", "project", "host", "label", "incident")
            if (value := getattr(silence, name))
        ]
        when = f", {silence.weekly}" if silence.weekly else ""
        yield f"silent: {', '.join(what) or 'all'}{when}, until {shown(silence.until)}: {silence.why} [{silence.id}]"


def event(value: dict[str, Any]) -> str:
    """An event of dm-incidents, as JSON, in one line."""
    kind, done = str(value.get("kind")), value.get("done") or []
    head = f"{kind.replace('_', ' ').upper()} {value.get('service') or 'watch'}: "
    acted = f"; done: {'; '.join(map(str, done[-MOST_DONE:]))}" if done else ""
    if kind == "gap":
        return f"{head}{value.get('reason')}"
    if kind in ENDS:
        return f"{head}{value.get('reason')}{acted}"
    reason = f" ({value['reason']})" if value.get("reason") else ""
    symptoms = ", ".join(map(str, value.get("symptoms") or []))
    also = f" (also failing: {symptoms})" if symptoms else ""
    proposed = f"; proposed: {value['proposed'][0]}" if value.get("proposed") and not done else ""
    before = f"; {value['before']}" if value.get("before") else ""
    return f"{head}{value.get('text')}{reason}{also}{acted}{proposed}{before}"


def briefly(state: State) -> dict[str, Any]:
    """What a marker tells of incidents: those that are open after its round, whether one more look may decide
    something, and the number of the newest event.

    `seconds`: since it was seen first; `newest`: the verdict and the actions proposed in the newest bad look, which may
    be others than those that were told; `done`: what was done about it, in words.
    """
    return {
        "open": [
            {
                "id": each.id,
                "service": each.look.service,
                "host": each.look.host,
                "severity": each.look.severity,
                "cause": each.look.cause,
                "fingerprint": each.look.fingerprint,
                "newest": each.newest,
                "text": each.look.text,
                "symptoms": each.symptoms,
                "since": each.opened,
                "seconds": round(each.seconds, 3),
                "done": each.done,
            }
            for each in sorted(state.open.values(), key=lambda each: (each.look.severity.order, each.opened))
        ],
        "undecided": state.undecided,
        "events": state.number,
    }
