"""Where a setting comes from: flag > environment > `.env` > default.

Click reads flags and the environment; here the `.env` file is put behind the environment. A setting that is
empty counts as not set, as Compose has it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from dm_tools.pipe import exits, say


def env_file() -> Path:
    """`$DM_ENV_FILE`, or `.env` in the current directory."""
    return Path(os.environ.get("DM_ENV_FILE") or ".env")


def load_env_file() -> None:
    """Put the `.env` file's variables behind the environment's. No file is no error, unless it was named."""
    path = env_file()
    try:
        if not path.is_file():
            if os.environ.get("DM_ENV_FILE"):
                raise exits.Stop(exits.USAGE, f"DM_ENV_FILE: no file {str(path)!r}")
            return
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as failure:
        raise exits.Stop(exits.USAGE, f"cannot read {str(path)!r}: {failure.strerror}") from None
    import io

    from dotenv import dotenv_values

    for name, value in dotenv_values(stream=io.StringIO(text)).items():
        if value is None or os.environ.get(name):
            continue
        try:
            os.environ[name] = value
        except ValueError:
            raise exits.Stop(exits.USAGE, f"{str(path)!r}: {name!r} cannot be a variable") from None


def main() -> None:
    """Print the variables that are named as arguments, each ended by NUL: how scripts read the `.env` file."""
    try:
        load_env_file()
    except exits.Stop as stop:
        say.note(stop.message)
        sys.exit(stop.status)
    for name in sys.argv[1:]:
        sys.stdout.write(os.environ.get(name, "") + "\0")


if __name__ == "__main__":
    main()
