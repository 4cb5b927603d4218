"""What is known to be secret, found in a text in whatever form it stands there: as it is, in another case, cut,
percent-encoded, escaped for JSON, XML, SQL or a shell (several times over), hexadecimal, in base64.

Forms that cannot be listed are undone instead: the text is decoded, and what is found there is a place in the text.
One automaton looks for all values: the time does not depend on how many there are.
"""

from __future__ import annotations

import base64
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

from dm_tools.redact.rules.values import Span, looks_random
from dm_tools.text import needles
from dm_tools.text.late import late

SHORTEST = 4  # characters; a shorter value is a part of too many words
WHOLE = 8  # a value of fewer characters, or a short word, counts only where no letter and no digit is beside it
LONGEST = 1000  # a longer value is looked for in pieces of this
_MAX_VIEWS = 12
_MAX_TAILS = 8  # values with one end; more are no secrets that were made at random


class Known:
    """Finds values in texts. Immutable."""

    def __init__(self, values: Iterable[str]) -> None:
        self.alone: dict[str, bool] = {}  # of each form of a value whether it must stand alone
        self.tails: dict[str, list[str]] = {}  # by what they end with: a log may show the end alone
        fragments: set[str] = set()
        for value in _pieces(values):
            alone = len(value) < WHOLE or (value.isalpha() and len(value) < 2 * WHOLE)
            data = value.encode("utf-8", "replace")
            wide = value.encode("utf-16-le", "replace")
            hexadecimal = (data.hex(), data.hex(" "), data.hex(":"), data.hex("-"), wide.hex())
            for form in (_folded(value), _folded(value.upper()), *hexadecimal):
                self.alone[form] = alone
            if len(value) >= WHOLE:
                self.alone[_folded(value[::-1])] = alone
                self.alone.update(dict.fromkeys(_base32(data), False))
            once = [*_base64(data)]
            fragments.update(each.lower() for each in (*once, *_base64(wide)))
            for sure in once:  # twice, as a registry's log-ins in a Secret of Kubernetes
                if len(sure) >= WHOLE:
                    fragments.update(each.lower() for each in _base64(sure.encode()))
            if looks_random(value) and len(value) >= 2 * WHOLE:
                tail = _folded(value)
                near = self.tails.setdefault(tail[-WHOLE:], [])
                if len(near) < _MAX_TAILS:
                    near.append(tail)
        self.forms = _by_head(self.alone)
        self.fragments = _by_head(fragments)
        self.heads = [*dict.fromkeys((*self.forms, *self.fragments, *self.tails))]

    @cached_property
    def automaton(self) -> needles.InText:
        """Finds the heads; made when it is needed first, since most records know of no value."""
        return needles.InText(self.heads)

    def spans(self, text: str) -> Iterator[Span]:
        """Where the values stand in a text; the spans may overlap."""
        if not self.heads:
            return
        for view in _views(text):
            for begin, end in self._in(view.text):
                yield (begin, end) if view.places is None else (view.places[begin], view.places[end])

    def _in(self, text: str) -> Iterator[Span]:
        folded = _folded(text)
        value_done = run_done = 0
        for index, begin, last in self.automaton.places(folded):
            head = self.heads[index]
            if begin >= value_done and head in self.tails and (first := self._tail(folded, last, head)) < begin:
                value_done = last
                yield first, last
            if begin >= value_done and head in self.forms:
                end = self._end(text, folded, begin, self.forms[head])
                if end:
                    value_done = end
                    yield begin, end
            if begin >= run_done and head in self.fragments:
                run = self._run(text, folded, begin, self.fragments[head])
                if run:
                    run_done = run[1]
                    yield run

    def _end(self, text: str, folded: str, begin: int, forms: list[str]) -> int | None:
        """Where the longest of these values ends that begins here, or the beginning of one that is cut off."""
        rest = folded[begin : begin + 2 * LONGEST]
        near = bisect_right(forms, rest)
        cut = max(_common(rest, form) for form in forms[max(0, near - 1) : near + 1])
        while near:
            form = forms[near - 1]
            common = _common(rest, form)
            if common == len(form):
                if not (self.alone[form] and _in_a_word(text, begin, begin + common)):
                    return begin + common
                common -= 1
            rest = rest[:common]
            near = bisect_right(forms, rest)
        end = begin + cut
        if cut < WHOLE:
            return None
        ends = end == len(text) or text[end] in "\r\n\"'<" or text.startswith(("...", "…"), end)
        mixed = any(map(str.isdigit, text[begin:end])) and any(map(str.isalpha, text[begin:end]))
        return end if ends or mixed else None

    def _tail(self, folded: str, last: int, tail: str) -> int:
        """Where the longest end of a value begins that ends here and of which half or more is shown."""
        begins = [last]
        for value in self.tails[tail]:
            shown = 0
            while shown < len(value) and shown < last and folded[last - shown - 1] == value[-shown - 1]:
                shown += 1
            if shown >= max(WHOLE + 2, len(value) // 3):
                begins.append(last - shown)
        return min(begins)

    def _run(self, text: str, folded: str, begin: int, fragments: list[str]) -> Span | None:
        """The run of base64 around a place, if it holds a value."""
        if not any(folded.startswith(fragment, begin) for fragment in fragments):
            return None
        for alphabet in _ALPHABETS:
            run = _run(text, begin, alphabet)
            if self._holds(text[slice(*run)]):
                return run
        return None

    def _holds(self, run: str) -> bool:
        """Whether a value stands in what is encoded here. Where its first group of four begins is not known."""
        bare = run.rstrip("=").replace("-", "+").replace("_", "/")
        for skip in range(4):
            piece = bare[skip:]
            piece = piece[:-1] if len(piece) % 4 == 1 else piece
            text = base64.b64decode(piece + "=" * (-len(piece) % 4)).decode("utf-8", "replace")
            # Between the characters of UTF-16, or between a user and a password.
            if self._said(text) or ("\0" in text and self._said(text.replace("\0", ""))):
                return True
        return False

    def _said(self, text: str) -> bool:
        """Whether a value stands in a decoded text, or once more in base64."""
        folded = _folded(text)
        for index, begin, _ in self.automaton.places(folded):
            head = self.heads[index]
            if head in self.forms and self._end(text, folded, begin, self.forms[head]):
                return True
            inner = (each for each in self.fragments.get(head, ()) if len(each) >= WHOLE)
            if any(folded.startswith(each, begin) for each in inner):
                return True
        return False


def _by_head(forms: Iterable[str]) -> dict[str, list[str]]:
    """Forms in order, by what they begin with."""
    found: dict[str, list[str]] = {}
    for form in sorted(forms):
        found.setdefault(form[:WHOLE], []).append(form)
    return found


def _pieces(values: Iterable[str]) -> Iterator[str]:
    for value in values:
        if len(value) >= SHORTEST and value.strip():
            for at in range(0, len(value), LONGEST):
                yield value[at : at + LONGEST]
            lines = value.splitlines()
            if len(lines) > 1:  # a log has them one by one
                yield from (line.strip() for line in lines if len(line.strip()) >= 16)


def _folded(text: str) -> str:
    """In lower case, each character still in its place."""
    lowered = text.lower()
    return lowered if len(lowered) == len(text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


def _common(one: str, other: str) -> int:
    """How many characters two texts begin with in common."""
    if one.startswith(other):
        return len(other)
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one.startswith(other[:middle]) else (low, middle - 1)
    return low


def _in_a_word(text: str, begin: int, end: int) -> bool:
    return (text[begin].isalnum() and begin > 0 and text[begin - 1].isalnum()) or (
        text[end - 1].isalnum() and end < len(text) and text[end].isalnum()
    )


def _base64(data: bytes) -> Iterator[str]:
    """What base64 makes of data for sure, whatever stands before and behind it."""
    for before in range(3):
        whole = base64.b64encode(bytes(before) + data).decode()
        sure = whole[(0, 2, 3)[before] : (before + len(data)) * 8 // 6]
        if len(sure) >= SHORTEST:
            yield sure
            if "+" in sure or "/" in sure:
                yield sure.replace("+", "-").replace("/", "_")


def _base32(data: bytes) -> Iterator[str]:
    """What base32 makes of data for sure, in lower case."""
    for before in range(5):
        whole = base64.b32encode(bytes(before) + data).decode()
        yield whole[-(-before * 8 // 5) : (before + len(data)) * 8 // 5].lower()


_ALPHABETS = ("A-Za-z0-9_-", "A-Za-z0-9+/")
_RUNS = {each: (late(f"[{each}]*"), late(f"[{each}]*={{0,2}}")) for each in _ALPHABETS}


def _run(text: str, at: int, alphabet: str) -> Span:
    """The run of characters of an alphabet around a place."""
    before, after = _RUNS[alphabet]
    back = before.match(text[max(0, at - 4 * LONGEST) : at][::-1])
    ahead = after.match(text, at, at + 4 * LONGEST)
    assert back and ahead
    return at - back.end(), ahead.end()


class _View:
    """A text as it is behind an encoding. `places[i]`: where character i stands in the text as it came; None: there."""

    def __init__(self, text: str, places: list[int] | None) -> None:
        self.text, self.places = text, places

    def decoded(self, pattern: re.Pattern[str], decode: Callable[[str], tuple[str, list[int]]]) -> _View | None:
        """With every match decoded: to a text, and where in the match each of its characters began."""
        pieces: list[str] = []
        places: list[int] = []
        done = 0
        for match in pattern.finditer(self.text):
            text, begins = decode(match[0])
            pieces += (self.text[done : match.start()], text)
            places += range(done, match.start())
            places += [match.start() + begin for begin in begins]
            done = match.end()
        if not done:
            return None
        pieces.append(self.text[done:])
        places += range(done, len(self.text) + 1)
        return _View("".join(pieces), places if self.places is None else [self.places[at] for at in places])


def _bytes(data: bytes, width: int) -> tuple[str, list[int]]:
    """Bytes as text; each was `width` characters."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1"), list(range(0, width * len(data), width))
    begins, at = [], 0
    for character in text:
        begins.append(at)
        at += width * len(character.encode())
    return text, begins


def percent_decoded(text: str) -> str:
    """A text as it is behind its percent signs."""
    return _PERCENT.sub(lambda match: _percent(match[0])[0], text)


_PERCENT = late("(?:%[0-9A-Fa-f]{2})+")


def _percent(match: str) -> tuple[str, list[int]]:
    return (" ", [0]) if match == "+" else _bytes(bytes.fromhex(match.replace("%", "")), 3)


_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0"}


def _escape(match: str) -> tuple[str, list[int]]:
    if match.startswith("\\x"):
        return _bytes(bytes.fromhex(match.replace("\\x", "")), 4)
    if match.startswith("\\u"):
        units = b"".join(int(each, 16).to_bytes(2, "little") for each in match.split("\\u")[1:])
        text = units.decode("utf-16-le", "replace")
        begins, at = [], 0
        for character in text:
            begins.append(at)
            at += 12 if ord(character) > 0xFFFF else 6
        return text, begins
    if len(match) > 2:
        return _bytes(bytes(int(each, 8) for each in match.split("\\")[1:]), 4)
    return _CONTROLS.get(match[1], match[1]), [0]


def _entity(match: str) -> tuple[str, list[int]]:
    from html import unescape  # its tables take a millisecond, and few texts need them

    text = unescape(match)
    return text, [0] * len(text)


def _numbers(match: str) -> tuple[str, list[int]]:
    """The bytes of a list: 0x70, 0x77 or [112, 119]."""
    found = [(each.start(), int(each[0], 0)) for each in _NUMBER.finditer(match)]
    if any(number > 255 for _, number in found):
        return match, list(range(len(match)))
    text, begins = _bytes(bytes(number for _, number in found), 1)
    return text, [found[at][0] for at in begins]


_NUMBER = late(r"0[xX][0-9a-fA-F]{2}|[1-9]\d{0,2}")


def _wide(match: str) -> tuple[str, list[int]]:
    return "", []


def _printable(match: str) -> tuple[str, list[int]]:
    return _bytes(bytes.fromhex(match.replace("=", "")), 3)


def _quote(match: str) -> tuple[str, list[int]]:
    return ('"' if match == '""' else "'"), [0]


# What an encoded text must hold, what is decoded in it, and how.
_DECODERS: tuple[tuple[str, re.Pattern[str], Callable[[str], tuple[str, list[int]]]], ...] = (
    ("%", late(r"(?:%[0-9A-Fa-f]{2})+|\+"), _percent),
    ("+", late(r"\+"), _percent),
    (
        "\\",
        late(r"(?:\\x[0-9a-fA-F]{2})+|(?:\\u[0-9a-fA-F]{4})+|(?:\\[0-3][0-7]{2})+|\\[^\n]", re.DOTALL),
        _escape,
    ),
    ("&", late(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,8});"), _entity),
    ("0x", late(r"(?:0[xX][0-9a-fA-F]{2}(?:,[ ]?|[ ])){3,2000}0[xX][0-9a-fA-F]{2}"), _numbers),
    (", ", late(r"(?<![\d.])[1-9]\d{1,2}(?:,[ ]?[1-9]\d{1,2}){3,2000}(?![\d.])"), _numbers),
    (" ", late(r"(?<![\d.])[1-9]\d{1,2}(?:[ ][1-9]\d{1,2}){3,2000}(?![\d.])"), _numbers),
    ("=", late(r"(?:=[0-9A-F]{2}){3,}|=3D"), _printable),
    ("u0000", late(r"\\u0000"), _wide),
    ("\0", late(r"\x00"), _wide),
    ("''", late(r"''"), _quote),
    ('""', late(r'""'), _quote),
    ("'\"'\"'", late(r"""'"'"'"""), _quote),
    ("'\\''", late(r"'\\''"), _quote),
)


def _views(text: str) -> list[_View]:
    """The text, and what it is behind its encodings, up to three of them."""
    views = [_View(text, None)]
    seen = {text}
    first = 0
    for _ in range(3):
        last = len(views)
        for view in views[first:last]:
            for sign, pattern, decode in _DECODERS:
                if sign not in view.text or len(views) >= _MAX_VIEWS:
                    continue
                decoded = view.decoded(pattern, decode)
                if decoded is not None and decoded.text not in seen:
                    seen.add(decoded.text)
                    views.append(decoded)
        first = last
    return views
