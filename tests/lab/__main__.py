"""The lab from a terminal: `python -m tests.lab up`, then `inject NAME`, `clear`, `down`."""

import argparse
import json
import shlex
import sys
import time
from collections.abc import Iterable

import docker.errors
import requests

from tests import lab


def main() -> int:
    arguments = _parser().parse_args()
    started = time.monotonic()
    try:
        for line in arguments.run(arguments):
            sys.stdout.write(line + "\n")
    except (lab.LabError, docker.errors.DockerException, requests.RequestException, OSError) as error:
        sys.stderr.write(f"lab: {' '.join(str(error).split())}\n")
        return 1
    if arguments.command in ("up", "down", "inject", "clear"):
        sys.stderr.write(f"lab: {arguments.command} done in {time.monotonic() - started:.1f} s\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="bring up a healthy shop")
    up.add_argument("--external", action="store_true", help="put the published port into the manifest as well")
    up.set_defaults(run=_up)
    down = commands.add_parser("down", help="remove the shop")
    down.add_argument("--engine", action="store_true", help="stop the lab's own engine as well")
    down.set_defaults(run=_down)
    commands.add_parser("status", help="print each service's health").set_defaults(run=_status)
    inject = commands.add_parser("inject", help="put one fault into the healthy shop")
    inject.add_argument("name")
    inject.set_defaults(run=_inject)
    commands.add_parser("clear", help="make the shop healthy again").set_defaults(run=_clear)
    commands.add_parser("faults", help="list the faults").set_defaults(run=_faults)
    expect = commands.add_parser("expect", help="print what a diagnosis of a fault must say, as JSON")
    expect.add_argument("name")
    expect.set_defaults(run=_expect)
    commands.add_parser("env", help="print the environment for `eval`").set_defaults(run=_env)
    return parser


def _up(arguments: argparse.Namespace) -> Iterable[str]:
    if not lab.status():
        sys.stderr.write("lab: starting; the first time this builds an image for about half a minute\n")
    lab.up(arguments.external)
    return ()


def _down(arguments: argparse.Namespace) -> Iterable[str]:
    lab.down(arguments.engine)
    return ()


def _status(arguments: argparse.Namespace) -> Iterable[str]:
    yield from (f"{service:10} {health}" for service, health in sorted(lab.status().items()))
    yield f"fault      {lab.injected() or 'none'}"


def _inject(arguments: argparse.Namespace) -> Iterable[str]:
    fault = lab.inject(arguments.name)
    sys.stderr.write(f"lab: {fault.title}\n")
    return ()


def _clear(arguments: argparse.Namespace) -> Iterable[str]:
    lab.clear()
    return ()


def _faults(arguments: argparse.Namespace) -> Iterable[str]:
    return (f"{fault.name:20} {fault.title}" for fault in lab.faults())


def _expect(arguments: argparse.Namespace) -> Iterable[str]:
    for fault in lab.faults():
        if fault.name == arguments.name:
            found = {"title": fault.title, "root": fault.root, "cause": fault.cause, "symptoms": fault.symptoms}
            return [json.dumps(found, default=list)]
    names = ", ".join(fault.name for fault in lab.faults())
    raise lab.LabError(f"no fault is named {arguments.name!r}; there are: {names}")


def _env(arguments: argparse.Namespace) -> Iterable[str]:
    return (f"export {name}={shlex.quote(value)}" for name, value in lab.environment().items())


if __name__ == "__main__":
    sys.exit(main())
