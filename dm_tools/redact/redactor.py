"""Take secrets out of text at the moment it is collected: what is not in a record cannot leak from it.

A secret becomes `<secret:1>`: the same secret the same number, so that two occurrences stay comparable, and what the
diagnosis needs around it (host, port, user, path) stays. Numbers are counted in the order of first appearance: a
number is no hash and tells nothing of the secret. It means something only within its scope:

- in a record: each collector goes on counting after the numbers that the record holds already, so within one
  service's record a number never means two secrets, whatever the concurrency. Between records it means nothing.
- in what dm-redact writes: the whole stream.

Text that comes with `<secret:3>` in it (masked before, or an imitation) counts as a secret of its own and gets a number
like any other: equal ones stay equal, and none can pass for a secret that was found here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from dm_tools.redact import rules as rules
from dm_tools.redact.known import Known
from dm_tools.redact.rules import Span
from dm_tools.redact.urls import has_password, password
from dm_tools.text import clean, needles
from dm_tools.text.late import late

MASK = "<secret>"  # a secret without a number: there were too many to remember
MAX_REMEMBERED = 10_000  # different secrets in one scope
FEW = 8  # secrets up to which looking for each is quicker than making an automaton of them
MIN_LEARNED_CHARACTERS = 8  # a shorter value may as well be a word of the text

NO_SPANS: list[Span] = []
_PSEUDONYM = late(r"<secret(?::(\d{1,9}))?>")


class Redactor:
    """Masks secrets and remembers their numbers; for one scope and one thread, in constant memory.

    `first` is the first number that is free. `known` are values that are masked wherever they occur, since whoever
    collects knows that they are secret: those of a container's environment.
    """

    def __init__(self, first: int = 1, known: Iterable[str] = ()) -> None:
        self.next = first
        self.numbers: dict[str | bytes, int] = {}
        self.known = Known(known)

    def redact(self, text: str, scope: str = "") -> str:
        """The text without its secrets. `scope`: where the numbers count that it came with.

        Escape codes can stand between a name and its secret: a text that holds both loses its codes.
        """
        if "\x1b" in text and self.found(bare := clean(text)):
            text = bare
        if "<secret" not in text:
            found = self.found(text)
            return self.masked(text, found) if found else text
        came_with = [match.span() for match in _PSEUDONYM.finditer(text)]
        hidden = _PSEUDONYM.sub(lambda match: rules.STAND_IN * len(match[0]), text)
        return self.masked(text, self.found(hidden), came_with, scope)

    def url(self, text: str) -> str:
        """A URL without its password and its other secrets; a variable in their place stays."""
        if not has_password(text):
            return self.redact(text)
        at = text.index(f":{password(text)}@") + 1
        return self.masked(text, [(at, at + len(password(text))), *rules.spans(text)])

    def value(self, value: Any, name: str = "", scope: str = "") -> Any:
        """A JSON value with every text in it redacted; keys, numbers and the structure stay.

        A text behind a key that announces a secret is one: {"password": "x"}, {"name": "DB_PASSWORD", "value": "x"}.
        """
        if isinstance(value, str):
            if name and rules.is_secret(name, value) and not _PSEUDONYM.fullmatch(value):
                return self._pseudonym(value)
            return self.redact(value, scope)
        if isinstance(value, list):
            return [self.value(item, name, scope) for item in value]
        if isinstance(value, dict):
            named = str(value.get("name") or value.get("key") or "") if "value" in value else ""
            return {
                key: self.value(item, named if key == "value" and named else str(key), scope)
                for key, item in value.items()
            }
        return value

    def record(self, record: dict[str, Any]) -> dict[str, Any]:
        """A record with every text in it redacted; the numbers that it came with count within its service."""
        redacted: dict[str, Any] = self.value(record, scope=str(record.get("service", "")))
        return redacted

    def found(self, text: str) -> list[Span]:
        """What is secret: what a rule finds, wherever else it stands in this text, and what is known to be."""
        found = rules.spans(text)
        found += self.known.spans(text)
        learned = {text[begin:end] for begin, end in found if text[end : end + 1] != "@" or text[begin - 1] == ":"}
        if len(learned) <= FEW:  # what stands there once has been found
            learned = {value for value in learned if text.count(value) > 1}
        again = [value for value in learned if _can_be_looked_for(value)]
        if again:
            places = needles.InText(again, longest=True).places(text)
            found += [(begin, end) for _, begin, end in places]
        return found

    def masked(self, text: str, found: list[Span], came_with: list[Span] = NO_SPANS, scope: str = "") -> str:
        """The text with these spans as pseudonyms; `came_with` are spans that are pseudonyms already."""
        pieces: list[str] = []
        pseudonyms = set(came_with)
        done = 0
        for begin, end in _merged(found, came_with):
            value = text[begin:end]
            pieces.append(text[done:begin])
            if (begin, end) not in pseudonyms:
                pieces.append(self._pseudonym(value))
            else:
                pieces.append(MASK if value == MASK else self._pseudonym(f"{scope}\0{value}"))
            done = end
        return "".join((*pieces, text[done:]))

    def _pseudonym(self, secret: str) -> str:
        # A long one (a private key) is remembered by its digest, which never leaves this process.
        short = len(secret) <= 64
        key = secret if short else hashlib.blake2b(secret.encode("utf-8", "replace"), digest_size=16).digest()
        number = self.numbers.get(key)
        if number is None:
            if len(self.numbers) >= MAX_REMEMBERED:
                return MASK
            number = self.numbers[key] = self.next
            self.next += 1
        return f"<secret:{number}>"


def _merged(found: list[Span], came_with: list[Span]) -> list[Span]:
    """The spans in order, overlapping ones as one; what a rule found inside a pseudonym is no secret."""
    merged: list[Span] = []
    for begin, end in sorted([*found, *came_with], key=lambda span: (span[0], -span[1])):
        if begin == end:
            continue
        if merged and begin < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


_MAY_ANNOUNCE = late(r"[:=]|pass|secret|token|key|auth|pwd|cred|cookie|bearer|basic")


def cut(text: str) -> int:
    """Where a text without an end may be cut: at a space before which no secret is announced, if there is one."""
    for at in range(len(text) - 1, max(0, len(text) - 65536), -1):
        if text[at] == " " and not _MAY_ANNOUNCE.search(text[max(0, at - 80) : at].lower()):
            return at
    return len(text)


def following(record: dict[str, Any]) -> int:
    """The first number that no pseudonym in a record has."""
    return 1 + max((int(number) for number in _PSEUDONYM.findall(repr(record)) if number), default=0)


def redact(text: str) -> str:
    """A text by itself without its secrets, numbered from 1. Takes time linear in its length for any input."""
    return Redactor().redact(text)


def _can_be_looked_for(value: str) -> bool:
    """Whether a secret is no word or number that stands in a text for other reasons."""
    return (
        MIN_LEARNED_CHARACTERS <= len(value) <= 1000 and any(map(str.isdigit, value)) and any(map(str.isalpha, value))
    )


def url(text: str) -> str:
    """A URL without its secrets, numbered from 1; a variable in their place stays."""
    return Redactor().url(text)
