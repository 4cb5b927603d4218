"""Where a setting comes from: flag > environment > our own settings file > default.

Our own file is `$DM_ENV_FILE`, or else `~/.config/dm-tools/env`, and behind that the `.env` beside the checkout's
README. It is put behind the environment, where Click and the libraries look. A setting that is empty counts as not set,
as Compose has it. The `.env` of the current folder is somebody else's (a Compose project's, as a rule): it says what a
manifest's `${NAME}` stands for, and is asked for nothing else.
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections import ChainMap
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from dm_tools.pipe import configs, exits, say

MAX_FILE = 256 * 1024  # bytes of a settings file
MAX_VALUE = 32 * 1024  # characters of a value, however many ${NAME} it is made of
MAX_VALUES = 4 * 1024 * 1024  # of all of them
PATHS = ("PROOFS_DIR", "SERVICES_MANIFEST_PATH", "DM_PATTERNS", "LLM_API_KEY_FILE")  # meant from where the file lies

_origins: dict[str, str] = {}


def own_files() -> list[Path]:
    """Our own settings files, the first one that names a setting decides."""
    if named := os.environ.get("DM_ENV_FILE"):
        return [Path(named)]
    checkout = configs.checkout()
    return [configs.own() / "env", *([checkout / ".env"] if checkout else [])]


def load() -> None:
    """Put our own settings behind the environment's. No file is no error, unless it was named. Raises exits.Stop."""
    if root := configs.frozen():
        say.note(f"this is a copy of {str(root)!r} as it was when it was installed; to follow it: pip install -e")
    named = bool(os.environ.get("DM_ENV_FILE"))
    for path in own_files():
        if named and not path.exists():
            raise exits.Stop(exits.USAGE, f"DM_ENV_FILE: no file {str(path)!r}")
        for name, (value, line) in _read(path).items():
            if os.environ.get(name) or not value:
                continue
            if name in PATHS and not named:
                value = str(path.parent / value)
            try:
                os.environ[name] = value
            except ValueError:
                raise exits.Stop(exits.USAGE, f"{str(path)!r}: {name!r} cannot be a variable") from None
            _origins[name] = f"{name} in {path}:{line}"


def variables() -> Mapping[str, str]:
    """What a manifest's `${NAME}` may stand for: the environment, and behind it the `.env` of the current folder."""
    return ChainMap({name: value for name, value in os.environ.items() if value}, _foreign())


def variable(name: str) -> str:
    """The value of one of these; empty if it is not set. Raises exits.Stop."""
    return os.environ.get(name) or _foreign().get(name, "")


@cache
def _foreign() -> dict[str, str]:
    return {name: value for name, (value, _) in _read(Path(".env")).items()}


def origin(name: str) -> str:
    """Where a setting stands, for messages: the variable, and the line of the file that gave it."""
    return _origins.get(name, name)


def _read(path: Path) -> dict[str, tuple[str, int]]:
    """The variables of a file, each with its line; none if it is not there. Raises exits.Stop."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as failure:
        raise exits.Stop(exits.USAGE, f"cannot read {str(path)!r}: {(failure.strerror or '').lower()}") from None
    if len(data) > MAX_FILE:
        raise exits.Stop(exits.USAGE, f"cannot read {str(path)!r}: more than {MAX_FILE // 1024} KiB")
    from dotenv.parser import parse_stream

    found: dict[str, tuple[str, int]] = {}
    values: dict[str, str] = {}
    known = ChainMap(values, dict(os.environ))
    room = MAX_VALUES
    for each in parse_stream(io.StringIO(data.decode("utf-8", "replace"))):
        if each.error or not each.key or each.value is None:
            continue
        parts = list(_parts(each.value, known)) if len(each.value) <= MAX_VALUE else [each.value]
        size = sum(map(len, parts))
        room -= size
        blank = each.original.string[: -len(each.original.string.lstrip())]  # belongs to what follows it
        line = each.original.line + blank.count("\n")
        if size > MAX_VALUE or room < 0:
            raise exits.Stop(exits.USAGE, f"{path}:{line}: {each.key} is too long")
        values[each.key] = "".join(parts)
        found[each.key] = values[each.key], line
    return found


# The library's own expression for these takes time quadratic in what has no end.
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]{0,200})(?::-([^}]{0,1000}))?\}", re.ASCII)


def _parts(value: str, known: Mapping[str, str]) -> Iterator[str]:
    """The pieces of a value, each `${NAME}` and `${NAME:-default}` in it replaced."""
    end = 0
    for match in _VARIABLE.finditer(value):
        yield value[end : match.start()]
        yield known.get(match[1], match[2] or "")
        end = match.end()
    yield value[end:]


_PART = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h|d)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> float | None:
    """A duration in seconds: `10`, `0.5`, `500ms`, `10s`, `5m`, `1h30m`, `2d`; None if the text is none."""
    if re.fullmatch(r"\d{1,12}(\.\d{1,20})?", text, re.ASCII):
        return float(text)
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def told(value: float) -> str:
    """Seconds as a person writes a bound: 0.1s, 1h, 7d."""
    unit = next((unit for unit in ("d", "h", "m") if value >= _SECONDS[unit] and value % _SECONDS[unit] == 0), "s")
    return f"{value / _SECONDS[unit]:g}{unit}"


def duration(name: str, default: float, least: float, most: float) -> float:
    """A setting that is a duration, in seconds. Raises exits.Stop."""
    if not (text := os.environ.get(name)):
        return default
    value = seconds(text.strip())
    if value is None or not least <= value <= most:
        raise exits.Stop(exits.USAGE, f"{origin(name)}: {no_duration(text, least, most)}")
    return value


def no_duration(text: str, least: float, most: float | None) -> str:
    """Why a text is no duration within these bounds."""
    bounds = f"from {told(least)} to {told(most)}" if most is not None else f"of {told(least)} or more"
    return f"{text[:100]!r} is no time {bounds} (seconds, or as 500ms, 30s, 5m, 2h)"


def number(name: str, default: float, least: float, most: float, whole: bool = True) -> float:
    """A setting that is a number. Raises exits.Stop."""
    if not (text := os.environ.get(name)):
        return default
    form = r"\d{1,12}" if whole else r"\d{1,12}(\.\d{1,12})?"
    value = float(text) if re.fullmatch(form, text.strip(), re.ASCII) else -1.0
    if not least <= value <= most:
        kind = "whole number" if whole else "number"
        raise exits.Stop(exits.USAGE, f"{origin(name)}: {text[:100]!r} is no {kind} from {least:g} to {most:g}")
    return value


def main() -> None:
    """Print the variables that are named as arguments, each ended by NUL: how scripts read our settings.

    Of the folder of reports and the manifest it is where they are if nobody names them.
    """
    usual = {"PROOFS_DIR": configs.proofs, "SERVICES_MANIFEST_PATH": configs.manifest}
    try:
        load()
    except exits.Stop as stop:
        say.note(stop.message)
        sys.exit(stop.status)
    for name in sys.argv[1:]:
        sys.stdout.write((os.environ.get(name) or str(usual[name]() if name in usual else "")) + "\0")


if __name__ == "__main__":
    main()
