"""What stands in a briefing and what is left out: every line has a value, every section a share of the budget."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from dm_tools.text.tokens import tokens

# The sections, in their order, and how much of the budget each may have before the others have had theirs.
FRAME, FOUND, SERVICES, LATELY, NEEDS, LOGS, UNSEEN = range(7)
TITLES = {
    FRAME: "# Briefing",
    FOUND: "## 1. What the rules found",
    SERVICES: "## 2. Services",
    LATELY: "## 3. What changed lately",
    NEEDS: "## 4. Who needs whom",
    LOGS: "## 5. What the logs say",
    UNSEEN: "## 6. What is not known",
}
SHARES = {FOUND: 0.3, SERVICES: 0.3, LATELY: 0.15, NEEDS: 0.12, LOGS: 0.6, UNSEEN: 0.08}
QUOTE = "  | "  # begins every line that quotes
EACH_LINE = 2  # tokens of a line beside its text


@dataclass(frozen=True)
class Line:
    """One line of the briefing. `value`: what has more stays when not all fits. `place`: its order in its section."""

    section: int
    place: tuple[float, ...]
    value: float
    text: str

    @property
    def cost(self) -> int:
        """Tokens."""
        return tokens(self.text) + EACH_LINE


def fitted(lines: list[Line], budget: int) -> str:
    """The lines of the greatest value that fit, in their order, under the titles of their sections."""
    lines = [replace(line, text=_one_line(line.text)) for line in lines]
    left = budget - sum(tokens(title) + EACH_LINE for title in TITLES.values())
    rest = {number: budget * share for number, share in SHARES.items()}
    note = _left_out({number: 10_000 for number in TITLES})
    left -= tokens(note) + EACH_LINE
    chosen: list[Line] = []
    waiting = sorted(lines, key=lambda each: -each.value)
    for bounded in (True, False):
        later = []
        for line in waiting:
            cost = line.cost
            if cost <= left and (not bounded or cost <= rest.get(line.section, left)):
                chosen.append(line)
                left -= cost
                rest[line.section] = rest.get(line.section, left) - cost
            else:
                later.append(line)
        waiting = later
    missing = Counter(line.section for line in waiting)
    found = []
    for number, title in TITLES.items():
        own = sorted((line for line in chosen if line.section == number), key=lambda each: each.place)
        if own or number == UNSEEN:
            found += [title, *(line.text for line in own)]
    if missing:
        found.append(_left_out(missing))
    return "\n".join(found) + "\n"


def _one_line(text: str) -> str:
    """The text without line ends and control characters, whatever it was made of."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def _left_out(missing: dict[int, int]) -> str:
    parts = [f"{count} of {TITLES[number].partition('. ')[2]!r}" for number, count in sorted(missing.items()) if number]
    return f"- left out for lack of room: lines: {', '.join(parts)}"
