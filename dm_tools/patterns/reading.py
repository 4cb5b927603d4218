"""Reads the pattern files: the ones that come with the tools, and a folder of the user's own.

To parse the shipped ones and to find the literals of their expressions takes longer than a diagnosis may: what comes
of it is kept between runs (keeping.py) under a name that other files, or other code, do not have.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import msgspec

from dm_tools.patterns import keeping, language, literals
from dm_tools.pipe import configs
from dm_tools.text import toml


class _Shipped(msgspec.Struct):
    """What is kept of the shipped files."""

    files: dict[str, language.File]
    literals: dict[str, list[str]]  # expression -> what it cannot do without


def shipped() -> Path:
    """The folder of the patterns that come with the tools."""
    return configs.folder("patterns")


def written(folder: Path) -> dict[str, language.WrittenFile]:
    """The pattern files of a folder as they are written, examples and all. Raises language.PatternError."""
    return _parsed(_contents(folder))


def read(own: Path | None, check: bool = False) -> language.Library:
    """The library; `own` is a folder of the user's that is added. Raises language.PatternError.

    `check`: try the expressions of the shipped files, too, as the tests do once for all.
    """
    contents = _contents(shipped())
    name = _name(contents)
    kept = _decoded(_remembered.get(name) or keeping.read(name))
    files = kept.files if kept else _compiled(contents)
    given = [(each, file, not check) for each, file in files.items()]
    table = kept.literals if kept else language.load(given).searcher.table()
    if not kept:
        keeping.write(name, msgspec.msgpack.encode(_Shipped(files, table)))
    own_files = _compiled(_contents(own)) if own else {}
    return language.load([*given, *((each, file, False) for each, file in own_files.items())], table)


def checked(name: str, text: str) -> None:
    """See that a text is a pattern file that can be used. Raises language.PatternError."""
    language.load([(each, file, False) for each, file in _compiled({name: text.encode()}).items()])


_remembered: dict[str, bytes] = {}


def remember() -> None:
    """Hold in memory what is kept of the shipped files, for the processes that this one forks.

    To parse the files leaves 80 MB behind, and what is on the disk may have made room for another version's.
    """
    name = _name(_contents(shipped()))
    if (content := keeping.read(name)) is not None:
        _remembered[name] = content


def _name(contents: dict[str, bytes]) -> str:
    return "patterns-" + keeping.key([*(part for each in contents.items() for part in each), *_code()])


def _code() -> list[str | bytes]:
    """What decides, beside the files, what comes of them."""
    modules = [Path(str(module.__file__)) for module in (language, literals)]
    return [sys.version, *(path.read_bytes() for path in modules)]


def _decoded(content: bytes | None) -> _Shipped | None:
    try:
        return msgspec.msgpack.decode(content, type=_Shipped) if content else None
    except msgspec.DecodeError:  # by another version of what it holds
        return None


def _contents(folder: Path) -> dict[str, bytes]:
    """The pattern files of a folder by name."""
    if not folder.is_dir():
        raise language.PatternError(f"{folder}: no such folder")
    found = {}
    for path in sorted(folder.glob("*.toml")):
        try:
            found[path.name] = path.read_bytes()
        except OSError as failure:
            raise language.PatternError(f"{path.name}: cannot be read: {failure.strerror}") from None
    return found


def _compiled(contents: dict[str, bytes]) -> dict[str, language.File]:
    return {name: language.compiled(name, written) for name, written in _parsed(contents).items()}


def _parsed(contents: dict[str, bytes]) -> dict[str, language.WrittenFile]:
    found = {}
    for name, content in contents.items():
        try:
            found[name] = language.parse(name, toml.parsed(content.decode()))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
            raise language.PatternError(f"{name}: not valid TOML: {wrong}") from None
    return found
