"""The literal text that a regular expression cannot do without: where none of it stands, nothing has to be searched.

Python's own parser reads the expressions (RE2's syntax is, as far as patterns use it, a part of Python's). It is not
a public module; what it cannot read, or what has no literal text, is simply searched for everywhere.
"""

from __future__ import annotations

import re
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

from dm_tools.text.late import late

SHORTEST = 3  # characters; shorter text stands everywhere
LONGEST = 16  # more characters hardly make it rarer, and an automaton of them takes longer to make
MOST = 24  # texts that one group may be multiplied out to

# Words of so many log lines that they tell nothing: something else of the expression is better to look for.
COMMON = frozenset(
    re.findall(
        r"\w+",
        """
        access address already attempt available cache called cannot client closed code completed config
        configuration connect connected connection container could data database date debug default denied does
        email error errors event exception exit exited fail failed failure fatal file found health host http https
        image index info invalid item items job level line load log logger mail message method missing msg name not
        null open order orders page path port process query read reason refused request required response return
        returned server service session socket start started state status stream task text time timed timeout trace
        type unable unknown upstream user value warn warning with worker write
        """,
    )
)

# Flags in the middle of an expression, which RE2 takes and Python does not; all texts are lower-case here anyway.
_FLAGS = late(r"\(\?[imsU]+\)")

Item = tuple[Any, Any]


def literals(expression: str) -> frozenset[bytes]:
    """Lower-case texts of which every match holds at least one; empty if there are none."""
    try:
        tree = _parser.parse(_FLAGS.sub("", expression))
    except (re.error, OverflowError, RecursionError):
        return frozenset()
    found = _required(list(tree))
    return frozenset(each[-LONGEST:].encode() for each in found) if found else frozenset()


def _required(items: list[Item]) -> frozenset[str] | None:
    """The best choice among the parts of a sequence, each of which must be there; None if no part is good for it."""
    choices: list[frozenset[str]] = []
    runs = frozenset(("",))  # all texts that the letters before the present item can make up

    def end_run() -> None:
        if any(runs):
            choices.append(runs)

    for operator, argument in _flat(items):
        letters = _letters(operator, argument)
        if letters and len(runs) * len(letters) <= MOST:
            runs = frozenset(run + letter for run in runs for letter in letters)
            continue
        end_run()
        if operator is _constants.BRANCH:
            # What is written before the group begins each of its branches, too: `connect(?:ed|ion)`.
            before = [(_constants.LITERAL, ord(letter)) for letter in next(iter(runs))] if len(runs) == 1 else []
            branches = [_required(before + list(branch)) for branch in argument[1]]
            if all(branches):
                choices.append(frozenset(each for branch in branches if branch for each in branch))
        elif operator in (_constants.MAX_REPEAT, _constants.MIN_REPEAT) and argument[0] >= 1:
            choices += filter(None, [_required(list(argument[2]))])
        runs = frozenset(("",))
    end_run()
    best = max(choices, key=_worth, default=None)
    return best if best and min(map(len, best)) >= SHORTEST else None


def _flat(items: list[Item]) -> list[Item]:
    """The sequence with its groups opened."""
    found: list[Item] = []
    for operator, argument in items:
        if operator is _constants.SUBPATTERN:
            found += _flat(list(argument[3]))
        elif operator is not _constants.AT:  # ^, $ and \b stand between letters, not in their place
            found.append((operator, argument))
    return found


def _letters(operator: Any, argument: Any) -> set[str] | None:
    """The lower-case letters or texts that an item stands for, if they are few: `a`, `[aA]`, `[ab]`, `(?:ab|cd)`."""
    if operator is _constants.LITERAL:
        return {chr(argument).lower()} if argument < 128 else None
    if operator is _constants.IN and all(kind is _constants.LITERAL and code < 128 for kind, code in argument):
        letters = {chr(code).lower() for _, code in argument}
        return letters if len(letters) <= 3 else None
    if operator is _constants.BRANCH:
        texts = [_text(list(branch)) for branch in argument[1]]
        return {each for each in texts if each is not None} if None not in texts else None
    return None


def _text(items: list[Item]) -> str | None:
    """The text of a sequence of letters, None if it holds anything else."""
    letters = [_letters(operator, argument) for operator, argument in _flat(items)]
    return (
        "".join(next(iter(each)) for each in letters if each)
        if all(each and len(each) == 1 for each in letters)
        else None
    )


def _worth(choice: frozenset[str]) -> tuple[int, int]:
    """Longer text is rarer, and a common word is worth little; of equals the choice with fewer texts."""
    return min(_rarity(each) for each in choice), -len(choice)


def _rarity(text: str) -> int:
    """Letters of rare words count fully, those of common ones little: several of them in a row are rare again."""
    words = [word for word in re.split(r"[^a-z0-9]+", text) if word]
    letters = sum(min(len(word), 2) if word in COMMON else len(word) for word in words)
    return min(letters + len(words) - 1, LONGEST) if words else 0
