"""Reads the pattern files: the ones that come with the tools, and a folder of the user's own."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from dm_tools.patterns import language
from dm_tools.pipe import configs


def shipped() -> Path:
    """The folder of the patterns that come with the tools."""
    return configs.folder("patterns")


def read(own: Path | None, check: bool = False) -> language.Library:
    """The library; `own` is a folder of the user's that is added. Raises language.PatternError.

    `check`: try the expressions of the shipped files, too, as the tests do once for all.
    """
    return language.load(_files([(shipped(), not check), *([(own, False)] if own else [])]), table())


def table() -> dict[str, list[str]]:
    """The literals of the shipped expressions (scripts/literals writes them); without the file they are computed."""
    path = shipped() / "literals.json"
    found: dict[str, list[str]] = msgspec.json.decode(path.read_bytes()) if path.exists() else {}
    return found


def _files(folders: list[tuple[Path, bool]]) -> Iterator[tuple[str, dict[str, Any], bool]]:
    for folder, checked in folders:
        if not folder.is_dir():
            raise language.PatternError(f"{folder}: no such folder")
        for path in sorted(folder.glob("*.toml")):
            try:
                yield path.name, tomllib.loads(path.read_text(encoding="utf-8")), checked
            except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
                raise language.PatternError(f"{path.name}: not valid TOML: {wrong}") from None
            except OSError as failure:
                raise language.PatternError(f"{path.name}: cannot be read: {failure.strerror}") from None
