"""Containers to act on, and what must never happen to them: for tests/test_execute.py, and by hand at any length.

python -m tests.acting --sequences 500 --kills 300
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import io
import multiprocessing
import os
import random
import signal
import sys
import tarfile
import tempfile
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker.errors
import docker.types
from docker.models.containers import Container

from dm_tools.act import past, plan, state, work
from dm_tools.act.execute import Executor
from dm_tools.engine.connection import Engines
from dm_tools.pipe import clock
from dm_tools.records import (
    ActionName,
    ApprovedAction,
    Confidence,
    ContainerState,
    Execution,
    Identity,
    JournalEntry,
    Outcome,
    Phase,
)
from dm_tools.store.journal import Journal
from tests import lab

RUN_LABEL = "dm-tools.acting"
TRAPPING = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
# Once: the name is a digest of a source file, and Python 3.11 cannot parse in several threads after a fork.
image = functools.cache(lab.image.name)
PLACES = ("/named", "/unnamed", "/mounted", "/short")


class Killed(Journal):
    """A journal whose writer is killed once it has written so many entries."""

    def __init__(self, proofs_dir: Path, entries: int) -> None:
        super().__init__(proofs_dir)
        self.left = entries

    def add(self, *arguments: Any, **named: Any) -> None:
        super().add(*arguments, **named)
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class Bench:
    """An engine, a journal of its own, and containers that are gone afterwards."""

    def __init__(self, host: str, proofs: Path) -> None:
        self.host, self.proofs = host, proofs
        self.run_id = uuid.uuid4().hex[:10]
        self.client = lab.engine.connect(host)
        self.engines = Engines(20.0)
        self.networks: list[str] = []

    def close(self) -> None:
        """Take away every container, network and volume that was made here, and what was made of them."""
        for each in self.all():
            with contextlib.suppress(docker.errors.APIError):
                each.remove(force=True, v=True)
        for name in self.networks:
            with contextlib.suppress(docker.errors.APIError):
                self.client.api.remove_network(name)
        for volume in self.client.volumes.list(filters={"name": self.run_id}):
            with contextlib.suppress(docker.errors.APIError):
                volume.remove()

    def name(self, name: str) -> str:
        """A name that nobody else has."""
        return f"dmtest-{self.run_id}-{name}"

    def make(self, name: str, *command: str, started: bool = True, **options: Any) -> Container:
        """A container; by default one that ends when it is told to."""
        labels = {lab.settings.LABEL: "1", RUN_LABEL: self.run_id} | options.pop("labels", {})
        name_of_image = options.pop("image", image())
        container = self.client.containers.create(
            name_of_image, list(command) or ["sh", "-c", TRAPPING], name=self.name(name), labels=labels, **options
        )
        if started:
            container.start()
        container.reload()
        return container

    def with_data(self, name: str, network: str | None = None) -> Container:
        """A container with data in a named volume and in three kinds of unnamed ones."""
        api = self.client.api
        settings = api.create_host_config(
            binds=[f"{self.name(name)}-data:/named", "/short"],
            mounts=[docker.types.Mount("/mounted", None, type="volume")],
            restart_policy={"Name": "on-failure", "MaximumRetryCount": 7},
            mem_limit="64m",
            memswap_limit="96m",
            pids_limit=50,
            network_mode=network,
        )
        made = api.create_container(
            image(),
            ["sh", "-c", TRAPPING],
            name=self.name(name),
            labels={lab.settings.LABEL: "1", RUN_LABEL: self.run_id},
            volumes=["/unnamed"],
            host_config=settings,
            stop_timeout=2,
        )
        container = self.client.containers.get(made["Id"])
        container.start()
        for place in PLACES:
            put(container, f"{place}/data", os.urandom(2000))
        container.reload()
        return container

    def network(self, name: str) -> str:
        """A network without a way out."""
        self.networks.append(self.name(name))
        self.client.networks.create(self.name(name), internal=True, labels={lab.settings.LABEL: "1"})
        return self.name(name)

    def all(self) -> list[Container]:
        """Every container of this bench, those that were made of the first ones, too."""
        found: list[Container] = self.client.containers.list(
            all=True, filters={"label": f"{RUN_LABEL}={self.run_id}"}, ignore_removed=True
        )
        return found

    def approved(self, name: str, action: str, **parameters: str) -> ApprovedAction:
        """An action on a container as it is now, as a review would approve it."""
        raw = self.raw(name)
        identity = Identity(raw["Id"], raw["State"]["StartedAt"], raw["State"]["Status"], raw.get("RestartCount"))
        if identity.started_at and identity.started_at.startswith("0001"):
            identity.started_at = None
        return ApprovedAction(
            issue_id=uuid.uuid4().hex,
            service=self.name(name),
            action=ActionName(action),
            confidence=Confidence.HIGH,
            reasoning="a test",
            parameters=dict(parameters),
            identity=identity,
            docker_host=self.host,
        )

    def raw(self, name: str) -> dict[str, Any]:
        """A container as the engine tells of it."""
        found: dict[str, Any] = self.client.api.inspect_container(self.name(name))
        return found

    def now(self, name: str) -> ContainerState:
        """A container as an action finds it."""
        return state.captured(self.raw(name))

    def executor(self, journal: Journal | None = None, deadline: float = 10, healthy: bool = False) -> Executor:
        """An executor with the journal of this bench."""
        return Executor(self.engines, journal or Journal(self.proofs), deadline, healthy, lambda engine: None)

    def stories(self) -> dict[str, past.Story]:
        """What the journal tells."""
        return past.stories(Journal(self.proofs).entries())

    def do(self, *actions: ApprovedAction, only_plan: bool = False, **options: Any) -> list[Execution]:
        """Carry actions out."""
        done = work.carry_out(self.executor(**options), self.stories, list(actions), only_plan, clock.now())
        return [execution(each) for each in done]

    def undo(self, name: str = "last") -> Execution:
        """Take an action back."""
        (record,) = work.take_back(self.executor(), self.stories(), [name], False)
        return execution(record)

    def settle(self, name: str) -> Execution:
        """Let go of what was kept."""
        (record,) = work.settle(self.executor(), self.stories(), [name])
        return execution(record)

    def resume(self) -> list[Execution]:
        """End what was cut off."""
        return [execution(each) for each in work.resume(self.executor(), self.stories())]

    def killed(self, entries: int, action: ApprovedAction | None, seconds: float | None = None) -> bool:
        """Carry an action out (None: take the last one back) in a process of its own that is killed: after so many
        entries of the journal, or after `seconds`. False if it ended before."""

        def run() -> None:
            bench = Bench(self.host, self.proofs)  # no connection is shared with a process that is killed
            executor = bench.executor(Killed(self.proofs, entries))
            if action is None:
                list(work.take_back(executor, bench.stories(), ["last"], False))
            else:
                list(work.carry_out(executor, bench.stories, [action], False, clock.now()))
            os._exit(0)

        child = multiprocessing.get_context("fork").Process(target=run)
        child.start()
        if seconds is not None:
            time.sleep(seconds)
            child.kill()
        child.join(60)
        return child.exitcode == -signal.SIGKILL

    def orphans(self) -> list[str]:
        """The containers that nobody knows of: neither made by a test, nor kept by an action that is done."""
        kept = set()
        for action_id, story in self.stories().items():
            done = past.done(story)
            if done and done.kept and done.before and story.phase != Phase.SETTLED:
                kept |= {f"{each.name}.before-{action_id[:8]}" for each in (done.before, *done.others)}
        made = {each.name for each in self.all()}
        return sorted(name for name in made if ".before-" in str(name) and name not in kept)


def execution(record: dict[str, Any]) -> Execution:
    """The section of a printed record."""
    import msgspec

    return msgspec.convert(record["execution"], Execution)


def entries(bench: Bench) -> list[JournalEntry]:
    """The journal of a bench."""
    return Journal(bench.proofs).entries()


def put(container: Container, path: str, content: bytes) -> None:
    """Write a file into a container, running or not."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo(path.rpartition("/")[2])
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    container.put_archive(path.rpartition("/")[0] or "/", packed.getvalue())


def data(bench: Bench, name: str) -> dict[str, str]:
    """Digests of all that lies in the volumes of a container."""
    found = {}
    for place in PLACES:
        pieces, _ = bench.client.api.get_archive(bench.name(name), f"{place}/data")
        with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as archive:
            file = archive.extractfile("data")
            found[place] = hashlib.sha256(file.read() if file else b"").hexdigest()
    return found


@contextlib.contextmanager
def bench(host: str) -> Iterator[Bench]:
    """A bench in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        made = Bench(host, Path(folder))
        try:
            yield made
        finally:
            made.close()


ACTIONS = ("restart", "start", "unpause", "scale_up", "recreate", "reconnect_network")
WORLD = ("stop", "pause", "kill", "disconnect", "nothing")


def sequence(host: str, seed: int, steps: int = 4) -> list[str]:
    """A random sequence of things that happen to a container and of actions; what went wrong, in words."""
    chance = random.Random(seed)
    with bench(host) as made:
        network = made.network("net")
        made.with_data("box", network=network)
        whole, wrong, told = data(made, "box"), [], []
        for _ in range(steps):
            happens, name = chance.choice(WORLD), chance.choice(ACTIONS)
            with contextlib.suppress(docker.errors.APIError):
                container = made.client.containers.get(made.name("box"))
                if happens == "disconnect":
                    made.client.api.disconnect_container_from_network(container.id, network)
                elif happens != "nothing":
                    getattr(container, happens)()
            time.sleep(0.1)
            before = made.now("box")
            (done,) = made.do(made.approved("box", name, **({"resource": "memory"} if name == "scale_up" else {})))
            told.append(f"{happens} {name} {done.status} {done.reason or ''}")
            if done.status in (Outcome.FAILED, Outcome.STALE) and before.networks:
                wrong.append(f"{name} ended {done.status}: {done.reason}")
            if done.status == Outcome.DONE and done.undo and chance.random() < 0.5:
                undone = made.undo()
                told.append(f"undo {undone.status} {undone.reason or ''}")
                if undone.status != Outcome.UNDONE or state.difference(before, made.now("box")):
                    wrong.append(f"undo of {name}: {undone.status} {undone.reason}")
            elif done.status == Outcome.DONE and done.kept:
                made.settle(done.id)
            if data(made, "box") != whole:
                wrong.append(f"{name}: other data")
            if made.orphans() or len([each for each in made.all() if ".before-" not in str(each.name)]) != 1:
                wrong.append(f"{name}: orphans {[each.name for each in made.all()]}")
        return [f"sequence {seed}: {each} ({'; '.join(told)})" for each in wrong]


def kill(host: str, seed: int) -> list[str]:
    """An action that is killed at a random time, or at a random entry of the journal, and resumed; what went wrong."""
    chance = random.Random(seed)
    name = chance.choice(("restart", "recreate", "scale_up", "start", "unpause"))
    undoing = name not in ("restart",) and chance.random() < 0.3
    with bench(host) as made:
        made.with_data("box")
        if name == "start":
            made.client.api.stop(made.name("box"), timeout=1)
        if name == "unpause":
            made.client.api.pause(made.name("box"))
        whole, before, wrong = data(made, "box"), made.now("box"), []
        action = made.approved("box", name, **({"resource": "memory"} if name == "scale_up" else {}))
        if undoing:
            made.do(action)
        by_time = chance.random() < 0.5
        at = chance.randint(1, 8 if name == "recreate" else 3)
        made.killed(99 if by_time else at, None if undoing else action, chance.uniform(0, 1.5) if by_time else None)
        cut_off = any(each.unfinished for each in made.stories().values())
        resumed = made.resume()
        how = f"kill {seed}: {name}{' undone' if undoing else ''}"
        if cut_off != bool(resumed) or any(each.unfinished for each in made.stories().values()):
            wrong.append("the resume did not end it")
        if made.resume():
            wrong.append("there was something left to resume")
        if data(made, "box") != whole:
            wrong.append("other data")
        if made.orphans() or len([each for each in made.all() if ".before-" not in str(each.name)]) != 1:
            wrong.append(f"orphans {[each.name for each in made.all()]}")
        now, story = made.now("box"), made.stories().get(plan.identify(action))
        done = past.done(story)
        if done is None and name != "restart" and (differs := state.difference(before, now)):
            wrong.append(f"neither done nor as it was: {differs}")
        if done is not None and now.state != "running":
            wrong.append(f"done, and {now.state}")
        if done is not None and name == "scale_up" and now.memory_bytes != 2 * before.memory_bytes:
            wrong.append(f"raised to {now.memory_bytes}")
        return [f"{how}: {each}; {[(each.status, each.reason) for each in resumed]}" for each in wrong]


def main() -> int:
    """Print how many of them went wrong, and each by name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, default=0)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    arguments = parser.parse_args()
    host, failed = lab.engine.start(), 0
    lab.image.ensure(lab.engine.connect(host))
    image()
    for what, count in ((sequence, arguments.sequences), (kill, arguments.kills)):
        seeds = range(arguments.first, arguments.first + count)
        with ThreadPoolExecutor(6) as pool:
            wrong = [each for found in pool.map(lambda seed, what=what: what(host, seed), seeds) for each in found]
        failed += len(wrong)
        sys.stdout.write("".join(f"{each}\n" for each in wrong))
        sys.stdout.write(
            f"{what.__name__}: {count}, of which {len({each.split(':')[0] for each in wrong})} went wrong\n"
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
