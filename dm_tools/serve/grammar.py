"""What may be asked for over SSH: a closed list of commands, options and kinds of values. Pure."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

import msgspec

MAX_COMMAND = 4_096  # characters
DIAL = ("docker", "system", "dial-stdio")  # what Docker's own clients ask for
SESSIONS = ("diagnose", "diagnose-enhanced", "report")
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{7,63}", re.ASCII)


class Refused(Exception):
    """What was asked for is not allowed; the message says which word and what would be."""


class Allowed(msgspec.Struct, forbid_unknown_fields=True):
    """What a command may be given. `values`: option → kind; `argument`: the kind of its one argument."""

    names: bool = False
    flags: list[str] = []
    values: dict[str, str] = {}
    argument: str | None = None


class Grammar(msgspec.Struct, forbid_unknown_fields=True):
    """configs/ssh/commands.toml. `kinds`: name → regular expression of the whole value."""

    kinds: dict[str, str]
    looks: dict[str, Allowed]
    acts: dict[str, Allowed]


@dataclass(frozen=True)
class Asked:
    """A call that is allowed. `key`: what makes a call of something that acts happen once; None for what only looks."""

    argv: tuple[str, ...]
    key: str | None = None


def read(text: str) -> Grammar:
    """The grammar of a file. Raises msgspec.DecodeError, also for a kind that is not defined."""
    grammar = msgspec.toml.decode(text, type=Grammar)
    for name, allowed in (grammar.looks | grammar.acts).items():
        for kind in [*allowed.values.values(), *filter(None, [allowed.argument])]:
            if kind not in grammar.kinds:
                raise msgspec.ValidationError(f"{name}: there is no kind {kind!r}")
    return grammar


def parse(line: str | None, grammar: Grammar, may_act: bool) -> Asked:
    """The call that a client's command line asks for, read once and never by a shell. Raises Refused."""
    if not line or not line.strip():
        raise Refused(f"there is no shell here; ask for one of: {', '.join(_names(grammar, may_act))}")
    if len(line) > MAX_COMMAND:
        raise Refused(f"a command has at most {MAX_COMMAND} characters")
    if not line.isascii() or not line.isprintable():
        raise Refused("a command is one line of plain ASCII")
    try:
        words = shlex.split(line)
    except ValueError:
        raise Refused("the quotes of the command do not match") from None
    if tuple(words) == DIAL:
        return Asked(DIAL)
    name, *rest = words or [""]
    if name in grammar.looks:
        return Asked((name, *_checked(name, rest, grammar.looks[name], grammar.kinds)))
    if name in grammar.acts and may_act:
        if not rest or not _KEY.fullmatch(rest[0]):
            raise Refused(f"{name} needs a key first, of 8 to 64 letters and digits, that is new for each call")
        return Asked((name, *_checked(name, rest[1:], grammar.acts[name], grammar.kinds)), rest[0])
    if name in grammar.acts:
        raise Refused(f"this key may only look: {name} is for a key that may act")
    raise Refused(f"{name[:40]!r} is not allowed; these are: {', '.join(_names(grammar, may_act))}")


def _names(grammar: Grammar, may_act: bool) -> list[str]:
    return [*grammar.looks, *(grammar.acts if may_act else []), " ".join(DIAL)]


def _checked(name: str, words: list[str], allowed: Allowed, kinds: dict[str, str]) -> list[str]:
    checked: list[str] = []
    arguments = 0
    given = iter(words)
    for word in given:
        option, equals, value = word.partition("=")
        if word in allowed.flags:
            checked.append(word)
        elif option in allowed.values:
            value = value if equals else next(given, "")
            _hold(f"{option} of {name}", value, allowed.values[option], kinds)
            checked += [option, value]
        elif allowed.names and not word.startswith("-"):
            _hold(f"the name for {name}", word, "name", kinds)
            checked.append(word)
        elif allowed.argument and not word.startswith("-") and not arguments:
            _hold(f"the argument of {name}", word, allowed.argument, kinds)
            checked.append(word)
            arguments += 1
        else:
            raise Refused(f"{name} may not be given {word[:40]!r} here")
    return checked


def _hold(what: str, value: str, kind: str, kinds: dict[str, str]) -> None:
    if not re.fullmatch(kinds[kind], value, re.ASCII):
        raise Refused(f"{what} cannot be {value[:40]!r}: it is a {kind}")
