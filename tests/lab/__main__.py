"""The lab from a terminal: `python -m tests.lab up`, then `inject NAME`, `clear`, `down`."""

import argparse
import dataclasses
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
            sys.stdout.flush()
    except (lab.LabError, docker.errors.DockerException, requests.RequestException, OSError) as error:
        sys.stderr.write(f"lab: {' '.join(str(error).split())}\n")
        return 1
    if arguments.command in ("up", "down", "inject", "clear"):
        sys.stderr.write(f"lab: {arguments.command} done in {time.monotonic() - started:.1f} s\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="bring up a healthy shop").set_defaults(run=_up)
    down = commands.add_parser("down", help="remove the shop")
    down.add_argument("--engine", action="store_true", help="stop the lab's own engine as well")
    down.set_defaults(run=_down)
    commands.add_parser("status", help="print each service's health").set_defaults(run=_status)
    inject = commands.add_parser("inject", help="put one fault into the healthy shop")
    inject.add_argument("name")
    inject.add_argument("--anew", action="store_true", help="first clear the fault that is in")
    inject.set_defaults(run=_inject)
    commands.add_parser("clear", help="make the shop healthy again").set_defaults(run=_clear)
    commands.add_parser("faults", help="list the faults").set_defaults(run=_faults)
    expect = commands.add_parser("expect", help="print what a diagnosis of a fault must say, as JSON")
    expect.add_argument("name")
    expect.set_defaults(run=_expect)
    record = commands.add_parser("record", help="put faults in, one by one, and keep what is seen of them")
    record.add_argument("names", nargs="*", metavar="NAME")
    record.add_argument("--all", action="store_true", help="every fault")
    record.set_defaults(run=_record)
    commands.add_parser("env", help="print the environment for `eval`").set_defaults(run=_env)
    return parser


def _up(arguments: argparse.Namespace) -> Iterable[str]:
    if not lab.status():
        sys.stderr.write("lab: starting; the first time this builds an image for about half a minute\n")
    lab.up()
    return ()


def _down(arguments: argparse.Namespace) -> Iterable[str]:
    lab.down(arguments.engine)
    return ()


def _status(arguments: argparse.Namespace) -> Iterable[str]:
    yield from (f"{service:10} {health}" for service, health in sorted(lab.status().items()))
    yield f"fault      {lab.injected() or 'none'}"


def _inject(arguments: argparse.Namespace) -> Iterable[str]:
    if arguments.anew and lab.injected():
        lab.clear()
    fault = lab.inject(arguments.name)
    sys.stderr.write(f"lab: {fault.title}\n")
    return ()


def _clear(arguments: argparse.Namespace) -> Iterable[str]:
    lab.clear()
    return ()


def _faults(arguments: argparse.Namespace) -> Iterable[str]:
    return (f"{fault.name:30} {fault.title}" for fault in lab.faults())


def _expect(arguments: argparse.Namespace) -> Iterable[str]:
    fault = lab.named(arguments.name)
    first = fault.roots[0] if fault.roots else None
    found = {
        "title": fault.title,
        "root": first and first.service,
        "cause": first and first.causes[0],
        "symptoms": fault.symptoms,
        "roots": [dataclasses.asdict(root) for root in fault.roots],
    }
    return [json.dumps(found)]


def _record(arguments: argparse.Namespace) -> Iterable[str]:
    """The seconds that each took are printed: CI pays for them with every run."""
    names = [fault.name for fault in lab.faults()] if arguments.all else arguments.names
    lab.up()
    if lab.injected():
        lab.clear()
    for name in names:
        started = time.monotonic()
        fault = lab.inject(name)
        injected = time.monotonic()
        lab.record(fault, lab.environment())
        recorded = time.monotonic()
        lab.clear()
        cleared = time.monotonic()
        yield (
            f"{name:30} {fault.recording.stat().st_size:6} bytes, inject {injected - started:4.1f} s, "
            f"record {recorded - injected:4.1f} s, clear {cleared - recorded:4.1f} s"
        )


def _env(arguments: argparse.Namespace) -> Iterable[str]:
    return (f"export {name}={shlex.quote(value)}" for name, value in lab.environment().items())


if __name__ == "__main__":
    sys.exit(main())
