"""Which lines of a log belong together: a trace is one item."""

from __future__ import annotations

import re

from dm_tools.text.keys import KEY, KeyLines, begins
from dm_tools.text.late import late

# A line that goes on with the item before it: indented, or a part of a Python, Java or Go trace.
_CONTINUES = late(
    r"^(?:\s+\S|Caused by: |\.\.\. \d+ more|During handling of the above|The above exception was|"
    r"goroutine \d+ \[|created by |exit status \d)"
)
_CHAINS = late(r"^(?:During handling of the above|The above exception was)")
_TRACE = late(r"^Traceback \(most recent call last\):")
_EXCEPTION = late(r"^[A-Za-z_][\w.]*(?:Error|Exception|Warning|Interrupt|Exit|Failed|Full|Violation|Timeout)?(?:: |$)")

# The first line of a trace of Java's, which stands below the message that it belongs to.
THROWN = late(r"^(?:[a-z_]\w*\.)+[A-Z]\w*(?:Exception|Error|Throwable)\b")
_ERROR = late(r"error|exception|critical|fatal|fail", re.IGNORECASE)


# A line that announces a secret and ends there: what stands alone in the next line is it, and must be masked with it.
ANNOUNCES = late(
    r"(?i:pass(?:word|phrase|code|wort)?|pwd|kennwort|secret|token|key|code)\b[^\n:]{0,60}:\s*(?:</\w{1,6}>)?$"
)
ANNOUNCE_ENDS = (":", *(f":</{tag}>" for tag in ("dt", "b", "th", "td", "label", "strong")))
_ALONE = late(r"^\s*(?:[|>$#*-]{1,2}\s+)?[^\s:=]{4,300}\s*$")


class Grouper:
    """Tells for one line after another whether it begins a new item or goes on with the one before."""

    def __init__(self) -> None:
        self.in_trace = False
        self.after_trace = False
        self.after_error = False
        self.after_thrown = False
        self.chained = False
        self.key: KeyLines | None = None  # in the middle of a private key: it must be in one piece to be masked
        self.announced = 0  # lines, blank ones too, in which the secret may come that a line announced

    @property
    def inside(self) -> bool:
        """Whether the next line may belong to this item whatever it looks like."""
        return self.in_trace or self.after_trace or self.key is not None or self.announced > 0

    def continues(self, line: str) -> bool:
        """Whether `line` belongs to the item of the line before it."""
        in_key = self.key is not None and self.key.own(line) is not None
        joins = self._in_trace(line) or in_key
        if not in_key or (self.key is not None and self.key.ended):
            self.key = None
        if self.announced:
            self.announced = self.announced - 1 if not line.strip() else 0
            joins |= not line.strip() or _ALONE.match(line) is not None
        if line.rstrip().endswith(ANNOUNCE_ENDS) and len(line) < 300 and ANNOUNCES.search(line):
            self.announced = 3
        if KEY in line and begins(line) >= 0:
            self.key = KeyLines(line)
        return joins

    def _in_trace(self, line: str) -> bool:
        if not line.strip():
            return self.in_trace or self.after_trace
        if _TRACE.match(line):
            joins = self.after_error or self.chained
            self.in_trace, self.after_trace, self.after_error, self.chained = True, False, False, False
            return joins
        if self.in_trace:
            if line[0] in " \t":
                return True
            self.in_trace = False
            if _EXCEPTION.match(line):  # the exception's own line ends the frames
                self.after_trace = True
                return True
        elif self.after_trace and _CONTINUES.match(line):
            self.chained |= bool(_CHAINS.match(line))
            return True
        self.after_trace = False
        if _CONTINUES.match(line):
            return True
        thrown = bool(THROWN.match(line))
        joins = thrown and self.after_error and not self.after_thrown
        self.after_thrown = thrown
        self.after_error = thrown or bool(_ERROR.search(line))
        return joins


def decisive(text: str) -> tuple[str, list[str]]:
    """The line of an item that says what it is about, and the others in their order.

    It is the last one that is not indented: of a trace of Python, the error; of Java, the last "Caused by".
    """
    lines = text.rstrip("\n").split("\n")
    flush = [place for place, line in enumerate(lines) if line.strip() and not line[0].isspace()]
    place = flush[-1] if flush else len(lines) - 1
    return lines[place], lines[:place] + lines[place + 1 :]
