"""Where files lie: those that come with the tools, a person's own, and what is kept; in a checkout and installed.

A checkout keeps what it makes in itself (`volumes/proofs`). Installed, the XDG folders are used, whatever the current
folder is: reports of yesterday are found again from anywhere.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent
PROOFS_SHOWN = "volumes/proofs of the checkout; installed: ~/.local/state/dm-tools"
MANIFEST_SHOWN = "configs/probe-orchestrator/services_manifest.json of the checkout; installed: ~/.config/dm-tools"


def checkout() -> Path | None:
    """The folder of the README, if these tools run from a checkout; None if they are installed."""
    return _PACKAGE.parent if (_PACKAGE.parent / "pyproject.toml").is_file() else None


def frozen() -> Path | None:
    """The checkout of whose environment this is a copy: `pip install .` in it, without -e, stays as the code was."""
    environment = Path(sys.prefix).resolve()
    root = environment.parent
    return root if environment in _PACKAGE.parents and (root / "dm_tools" / "umbrella.py").is_file() else None


def beside(name: str) -> Path:
    """A folder that comes along: configs, docs, completions, scripts."""
    installed = _PACKAGE / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


def folder(name: str) -> Path:
    """A folder below configs/: patterns, prompts, prices."""
    return beside("configs") / name


def own() -> Path:
    """The folder of a person's own settings."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")) / "dm-tools"


def proofs() -> Path:
    """The folder of reports and of all that is remembered, if PROOFS_DIR names none."""
    if root := checkout():
        return root / "volumes" / "proofs"
    return Path(os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")) / "dm-tools"


def manifest() -> Path:
    """The services manifest, if SERVICES_MANIFEST_PATH names none."""
    root = checkout()
    above = root / "configs" / "probe-orchestrator" if root else own()
    return above / "services_manifest.json"


def session() -> Path:
    """The program of the sessions. It is given its Python and its name by who starts it: see `for_session`."""
    return beside("scripts") / "supervisor-session.sh"


def called() -> str:
    """How a person calls the sessions, for hints."""
    return os.environ.get("DM_CALLED") or "dm"


def for_session(called: str, path: str | None = None) -> dict[str, str]:
    """The variables that `session` is started with: installed, it cannot know its Python, nor where dm-* are.

    `called`: how a person calls it, for its hints. `path`: what PATH has besides; by default the environment's.
    """
    if checkout():
        return {"DM_CALLED": called}
    commands = Path(sys.argv[0]).resolve().parent
    if not (commands / "dm-services").exists():
        commands = Path(sys.executable).parent
    path = path or os.environ.get("PATH") or os.defpath
    return {"DM_CALLED": called, "DM_PYTHON": sys.executable, "PATH": f"{commands}{os.pathsep}{path}"}


def install(extra: str) -> str:
    """The command that installs an extra here, for hints: it leaves the code of a checkout where it is."""
    if root := checkout():
        return f"{shlex.quote(str(root / '.venv/bin/pip'))} install -e {shlex.quote(f'{root}[{extra}]')}"
    listed = " ".join(map(shlex.quote, _required(extra)))
    if (Path(sys.prefix) / "pipx_metadata.json").is_file():
        return f"pipx inject dm-tools {listed}"
    if (Path(sys.prefix) / "uv-receipt.toml").is_file():
        return f"uv pip install --python {sys.executable} {listed}"
    return f"{sys.executable} -m pip install {listed}"


def _required(extra: str) -> list[str]:
    """What an extra consists of, as the installed distribution says."""
    from importlib import metadata

    try:
        needs = metadata.requires("dm-tools") or []
    except metadata.PackageNotFoundError:
        return [f"dm-tools[{extra}]"]
    wanted = (each.partition(";") for each in needs)
    ending = (f"extra == '{extra}'", f'extra == "{extra}"')
    return [need.strip().replace(" ", "") for need, _, marker in wanted if marker.strip() in ending]
