"""Where the files lie that come with the tools: installed beside the code, or in the checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def checkout() -> Path | None:
    """The folder of the README, if these tools run from a checkout; None if they are installed."""
    return _PACKAGE.parent if (_PACKAGE.parent / "pyproject.toml").is_file() else None


def folder(name: str) -> Path:
    """A folder below configs/: patterns, prompts, prices."""
    installed = _PACKAGE / "configs" / name
    return installed if installed.is_dir() else _PACKAGE.parent / "configs" / name
