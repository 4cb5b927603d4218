"""What the journal of actions tells: how far each has come, and how often something was tried. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable

from dm_tools.records import ApprovedAction, Execution, JournalEntry, Outcome, Phase
from dm_tools.text.times import parse_time

TRIED_SECONDS = 3600.0


class Story:
    """What the journal tells of one action."""

    def __init__(self, entries: list[JournalEntry]) -> None:
        self.entries = entries

    @property
    def action(self) -> ApprovedAction | None:
        return next((each.action for each in reversed(self.entries) if each.action), None)

    @property
    def execution(self) -> Execution | None:
        """The last that is known of it: its outcome, or what was intended."""
        return next((each.execution for each in reversed(self.entries) if each.execution), None)

    @property
    def phase(self) -> Phase:
        """How far it has come; steps are parts of what was intended."""
        return next(each.phase for each in reversed(self.entries) if each.phase != Phase.STEP)

    @property
    def unfinished(self) -> bool:
        """It was begun, and no outcome is known: whoever did it was killed."""
        return self.phase in (Phase.INTENT, Phase.UNDOING)

    @property
    def asked(self) -> bool:
        """Whether the engine was asked for anything since it was begun the last time."""
        last = max(index for index, each in enumerate(self.entries) if each.phase == Phase.INTENT)
        return any(each.phase == Phase.STEP for each in self.entries[last:])


def stories(entries: Iterable[JournalEntry]) -> dict[str, Story]:
    """The journal by action, in the order in which they were begun."""
    found: dict[str, list[JournalEntry]] = {}
    for entry in entries:
        found.setdefault(entry.id, []).append(entry)
    return {action_id: Story(each) for action_id, each in found.items()}


def tried(known: dict[str, Story], action: ApprovedAction, now: float) -> int:
    """How often an action was begun on a service within the last hour, by whatever approval."""
    count = 0
    for story in known.values():
        other = story.action
        if other and _kind(other) == _kind(action):
            begun = [parse_time(each.at) for each in story.entries if each.phase == Phase.INTENT]
            count += sum(1 for at in begun if at is not None and now - at < TRIED_SECONDS)
    return count


def _kind(action: ApprovedAction) -> tuple[str, str, str | None]:
    return action.service, action.action, action.docker_host


def done(story: Story | None) -> Execution | None:
    """The outcome of an action that is done and was not taken back, else None."""
    if story is None or story.phase not in (Phase.OUTCOME, Phase.SETTLED):
        return None
    found = story.execution
    return found if found is not None and found.status == Outcome.DONE else None


def words(story: Story) -> str:
    """Why an action is none that is done."""
    if story.unfinished:
        return "was cut off (dm-execute --resume ends it)"
    return "was taken back" if story.phase == Phase.UNDONE else "was not carried out"


def chosen(known: dict[str, Story], name: str) -> str:
    """The id of the action that a person means: its first letters, or `last`. Raises LookupError with the reason."""
    if name == "last":
        found = [action_id for action_id, story in known.items() if done(story)]
        if not found:
            raise LookupError("the journal tells of no action that could be taken back")
        return found[-1]
    found = [action_id for action_id in known if action_id.startswith(name)]
    if len(found) != 1:
        raise LookupError(f"the journal tells of {'several actions' if found else 'no action'} called {name!r}")
    return found[0]
