"""Whether a log alone shows that its program dies and is started again: it begins anew, and each run ends the same."""

from __future__ import annotations

from dm_tools.records import LogLine
from dm_tools.text.last_words import TELLING, last_words
from dm_tools.text.late import late

MAX_ITEMS = 2000  # of the log's beginning and end each; a longer one is that of a program that lives
MAX_LINE = 200  # characters that are compared
RUNS = 2  # at least
_VARIES = late(r"\b(?=[0-9a-f]*\d)[0-9a-f]{6,}\b|\d+")


def dying(lines: list[LogLine]) -> bool:
    """Whether it is the same run over and over, each with the same end, and with a failure in it.

    What runs on and on has no such log: it begins once, or ends well.
    """
    texts = [_VARIES.sub("", line.text[:MAX_LINE]) for line in lines]
    if not RUNS * 2 <= len(texts) <= MAX_ITEMS:
        return False
    starts = [at for at, text in enumerate(texts) if text == texts[0]]
    ends = {texts[after - 1] for after in (*starts[1:], len(texts))}
    if len(starts) < RUNS or len(ends) > 1 or texts[0] in ends:
        return False
    # Of three runs and more each word of a failure counts, of two it must tell why.
    return last_words(lines[starts[-1] :], ended=False, least=TELLING - (len(starts) > RUNS)) is not None
