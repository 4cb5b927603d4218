"""Where the lab keeps its things and what it calls them; environment variables can move every name."""

import os
from pathlib import Path

LABEL = "dm-tools.lab"
"""All that the lab creates in an engine carries this label with the value `1`; nothing else is touched."""

STACK_LABEL = "dm-tools.lab.stack"
"""Which lab stack an object belongs to, so that two labs can share one engine."""

FILES = Path(__file__).parent / "files"
"""Programs and configuration of the shop."""


class LabError(Exception):
    """Something a person must change; the message is one line."""


def project() -> str:
    """The Compose project name of the shop: `dmlab`, or `$DM_LAB_PROJECT` for a second lab beside it."""
    return os.environ.get("DM_LAB_PROJECT", "dmlab")


def http_port() -> int:
    """The loopback port `web` publishes for plain HTTP: 18080, or `$DM_LAB_PORT`."""
    text = os.environ.get("DM_LAB_PORT", "18080")
    if not text.isdecimal() or not 0 < int(text) < 65_000:
        raise LabError(f"DM_LAB_PORT is not a port below 65000: {text!r}")
    return int(text)


def https_port() -> int:
    """The loopback port for HTTPS keeps its distance to the other one: 18443 beside 18080."""
    return http_port() + 363


def state_folder() -> Path:
    """The folder of the engine, the image and the stacks: `$DM_LAB_DIR`, or below the user's cache folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(os.environ.get("DM_LAB_DIR") or cache / "dm-tools/lab").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def stack_folder() -> Path:
    """What belongs to this project alone: certificates, manifest, the name of the injected fault."""
    folder = state_folder() / project()
    folder.mkdir(exist_ok=True)
    return folder
