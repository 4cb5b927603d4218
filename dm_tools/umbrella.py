"""dm: all commands under one name: `dm probe` is `dm-probe`, `dm diagnose-enhanced` a session of supervisor-session.sh.

Where both have a name, the session is meant: it is what a person types, and the filter has its own name. Imports
nothing before it is known which command is wanted.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from dm_tools.text.near import meant

PACKAGE = Path(__file__).resolve().parent
COMPLETION_SECONDS = 2.0
USAGE, CANNOT_WRITE, BROKEN_PIPE = 2, 6, 141  # as in the table of exit statuses

SESSIONS = {
    "diagnose": "probe and inspect the stack, or some services",
    "diagnose-enhanced": "also logs, stats, screenshots, root causes, fixes, an HTML page",
    "watch": "look again and again, say what begins and what is over",
    "status": "what the watch saw last",
    "tell": "diagnose and tell who is to be told; for cron",
    "heal": "diagnose, do what your policy allows, prove it and tell; for cron",
    "incidents": "what is open",
    "silence": "tell nobody of a service for a while",
    "report": "show the newest report",
    "review": "approve fixes of the newest report",
    "approve": "approve by your policy what needs no person",
    "policy": "what your policy says, would have done, and what was earned",
    "execute": "carry out what was approved, look again, and say whether it helped",
    "verify": "look again, and say whether what was executed last has helped",
    "rollback": "take an action back",
    "proxy": "a Docker Engine that can only be looked at, until it is interrupted",
    "history": "what happened before, what was done, what helped",
    "demo": "break a small real stack and diagnose it",
    "test": "install what is missing and run the tests",
}
HELP = {
    "docs": "the documents and example files: dm docs lists them, dm docs notify shows one",
    "completion": "what a shell completes: source <(dm completion bash); or zsh, fish",
}
EXAMPLES = ("notify.toml", "policy.toml", "probe-orchestrator/services_manifest.example.json")
COMPLETIONS = {"bash": "dm-tools.bash", "zsh": "_dm-tools", "fish": "dm-tools.fish"}


def filters() -> dict[str, str]:
    """The commands dm-*, by their names without dm-, each with the first line of its module, which is read only."""
    found = {}
    for path in sorted((PACKAGE / "commands").glob("[a-z]*.py")):
        with path.open(encoding="utf-8") as file:
            found[path.stem] = file.readline().partition(": ")[2].strip().removesuffix('"""').rstrip(".")
    return found


def listing() -> str:
    """All commands, one line each."""
    both = {f"dm-{name}" if name in SESSIONS else name: about for name, about in filters().items()}
    lines = ["Usage: dm COMMAND [ARGUMENT]...", "", "Sessions (dm COMMAND --help tells more):"]
    lines += [f"  {name:<18} {about}" for name, about in SESSIONS.items()]
    lines += ["", "Commands on records, JSON Lines in and out (dm probe is dm-probe; see dm-tools(7)):"]
    lines += [f"  {name:<18} {about}" for name, about in both.items()]
    lines += ["", "Help:"]
    lines += [f"  {name:<18} {about}" for name, about in HELP.items()]
    lines += ["", "Where a session has a command's name, the command is called by its whole one: dm dm-report."]
    return "\n".join(lines) + "\n"


def main() -> NoReturn:
    """Entry point of `dm`."""
    wanted, *arguments = sys.argv[1:] or ["help"]
    if wanted == "help" and arguments:
        wanted, arguments = arguments[0], ["--help"]
    if wanted in ("help", "-h", "--help"):
        _print(listing())
    name = wanted.removeprefix("dm-")
    if wanted in SESSIONS:
        _session(wanted, arguments)
    if wanted in HELP:
        _help(wanted, arguments)
    if wanted in ("-V", "--version"):
        from dm_tools import __version__

        _print(f"dm, version {__version__}\n")
    if name not in filters():
        _stop(f"{wanted[:100]!r} is no command (dm alone lists them){meant(name, [*SESSIONS, *filters(), *HELP])}")
    sys.argv = [f"dm-{name}", *arguments]
    importlib.import_module(f"dm_tools.commands.{name}").main()
    raise AssertionError("a command ends the process")


def _session(name: str, arguments: list[str]) -> NoReturn:
    from dm_tools.pipe import configs

    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and so would whatever is started
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe("bash", ["bash", str(configs.session()), name, *arguments], os.environ | configs.for_session("dm"))
    except OSError as failure:
        _stop(f"cannot start bash: {failure.strerror}")


def _help(wanted: str, arguments: list[str]) -> NoReturn:
    """`dm docs [NAME]` and `dm completion SHELL`."""
    from dm_tools.pipe import configs

    if arguments == ["services"] and wanted == "completion":
        _print("".join(f"{name}\n" for name in _services()))
    if wanted == "completion":
        if len(arguments) != 1 or arguments[0] not in COMPLETIONS:
            _stop(f"give one of {', '.join(COMPLETIONS)}: dm completion bash")
        _print((configs.beside("completions") / COMPLETIONS[arguments[0]]).read_text("utf-8"))
    known = {path.stem: path for path in sorted(configs.beside("docs").glob("*.md"))}
    known |= {path.name: path for path in map(configs.folder, EXAMPLES)}
    if not arguments or arguments[0] in ("-h", "--help"):
        titles = {name: "an example file" if path.suffix != ".md" else _title(path) for name, path in known.items()}
        titles = {"readme": "what all this is, and how to begin"} | titles
        _print("".join(f"{name:<31}{title}\n" for name, title in titles.items()))
    name = arguments[0].lower().removesuffix(".md")
    if name != "readme" and name not in known:
        _stop(f"no document {arguments[0][:100]!r}; there are: {', '.join(['readme', *known])}{meant(name, known)}")
    text = _readme() if name == "readme" else known[name].read_text("utf-8")
    if sys.stdout is not None and sys.stdout.isatty():
        import pydoc

        pydoc.pager(text)
        sys.exit(0)
    _print(text)


def _title(path: Path) -> str:
    """The first line of a document."""
    with path.open(encoding="utf-8") as file:
        return file.readline().lstrip("# ").rstrip()


def _services() -> list[str]:
    """The names that may follow a command, for shells: none rather than a word of complaint."""
    from dm_tools import records
    from dm_tools.collect import services
    from dm_tools.engine.connection import Engine
    from dm_tools.pipe import exits, settings

    try:
        settings.load()
        return services.names(Engine(None, COMPLETION_SECONDS))
    except (services.ManifestError, records.Problem, exits.Stop):
        return []


def _readme() -> str:
    """Installed, it is what the distribution says of itself."""
    from importlib import metadata

    path = PACKAGE.parent / "README.md"
    return path.read_text("utf-8") if path.is_file() else metadata.metadata("dm-tools")["Description"]


def _print(text: str) -> NoReturn:
    if sys.stdout is None:
        _stop("standard output is closed", CANNOT_WRITE)
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os._exit(BROKEN_PIPE)
    except OSError as failure:
        _stop(f"cannot write to standard output: {failure}", CANNOT_WRITE)
    sys.exit(0)


def _stop(message: str, status: int = USAGE) -> NoReturn:
    if sys.stderr is not None:
        sys.stderr.write("".join(c if c.isprintable() else "?" for c in f"dm: {message}") + "\n")
        sys.stderr.flush()
    os._exit(status)  # what standard output could not take is not tried once more


if __name__ == "__main__":
    main()
