"""What scripts/bench-watch measures. The containers are its own; what they use is not counted, what the engine does is
not, either: it is the same for all who ask."""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from docker.models.containers import Container

from tests import lab as fault_lab
from tests.conftest import ROOT

TICKS = os.sysconf("SC_CLK_TCK")
SERVER = (
    "import http.server, sys\n"
    "class Fine(http.server.BaseHTTPRequestHandler):\n"
    "    def do_GET(self):\n"
    "        self.send_response(200); self.send_header('Content-Length', '2'); self.end_headers(); self.wfile.write(b'ok')\n"
    "for number in range(500):\n"
    "    print('2026-11-30 12:00:00 INFO worker', number, 'handled job', number * 7919, 'in 12 ms', flush=True)\n"
    "http.server.HTTPServer(('', 80), Fine).serve_forever()\n"
)


@contextmanager
def containers(count: int) -> Iterator[list[Container]]:
    """So many healthy ones that answer HTTP and have logged 500 lines; each look of a probe adds one."""
    with closing(fault_lab.engine.connect(os.environ["DOCKER_HOST"])) as client, ThreadPoolExecutor(4) as pool:
        names = [f"dmbenchwatch-{os.getpid()}-{number}" for number in range(count)]
        labels = {fault_lab.settings.LABEL: "1"}

        def make(name: str) -> Container:
            command = ["python3", "-c", SERVER]
            return client.containers.run(
                fault_lab.image.name(), command, name=name, labels=labels, init=True, detach=True, mem_limit="64m"
            )

        made: list[Container] = []
        try:
            made += pool.map(make, names)
            time.sleep(3)
            yield made
        finally:
            for name in names:
                subprocess.run(["docker", "rm", "-f", name], capture_output=True, check=False)


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents.setdefault(int(path.read_text().rpartition(")")[2].split()[1]), []).append(int(path.parent.name))
        except OSError:
            continue
    found = [pid]
    for each in found:
        found += parents.get(each, [])
    return found


def processor_seconds(pid: int) -> float:
    """Of a process and all below it that live."""
    total = 0
    for each in tree(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def memory(pid: int) -> tuple[float, float]:
    """Megabytes of a process and all below it: each shared page once (PSS), and the plain sum (RSS)."""
    found = {"Pss:": 0, "Rss:": 0}
    for each in tree(pid):
        for line in Path(f"/proc/{each}/smaps_rollup").read_text().split("\n"):
            if line.split(" ")[0] in found:
                found[line.split(" ")[0]] += int(line.split()[1])
    return found["Pss:"] / 1024, found["Rss:"] / 1024


def descriptors(pid: int) -> int:
    """Open files of a process and all below it."""
    return sum(len(list(Path(f"/proc/{each}/fd").iterdir())) for each in tree(pid))


def by_stage(pid: int) -> str:
    """Processor seconds and megabytes of each process."""
    parts = []
    for each in tree(pid):
        name = Path(f"/proc/{each}/comm").read_text().strip()
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        rolled = Path(f"/proc/{each}/smaps_rollup").read_text().split("\n")
        pss = next(int(line.split()[1]) for line in rolled if line.startswith("Pss:")) / 1024
        parts.append(f"{name} {(int(fields[11]) + int(fields[12])) / TICKS:.2f} s {pss:.0f} MB")
    return ", ".join(parts)


class Watch:
    """A running session over a manifest of these containers."""

    def __init__(self, made: list[Container], folder: Path, every: str) -> None:
        manifest = folder / "manifest.json"
        services = [{"name": each.name, "internal": [f"http://{each.name}:80/"]} for each in made]
        manifest.write_text(json.dumps({"services": services}))
        self.environment = os.environ | {"PROOFS_DIR": str(folder), "SERVICES_MANIFEST_PATH": str(manifest)}
        self.file = folder / "watch" / "status.json"
        self.session = subprocess.Popen(
            [ROOT / "scripts/supervisor-session.sh", "watch", f"--every={every}"],
            env=self.environment,
            stdout=subprocess.DEVNULL,
        )

    def status(self) -> dict[str, Any]:
        """The status file."""
        try:
            found: dict[str, Any] = json.loads(self.file.read_text())
            return found
        except FileNotFoundError:
            return {"rounds": 0, "open": []}

    def rounds(self, more: int) -> list[float]:
        """Wait for so many; how long each took."""
        took, last = [], self.status()["rounds"]
        until = last + more
        while last < until:
            time.sleep(0.01)
            if (now := self.status())["rounds"] > last:
                last = now["rounds"]
                took.append(now["took_s"])
            if self.session.poll() is not None:
                raise SystemExit("the session has ended")
        return took

    def end(self) -> None:
        """Stop it."""
        self.session.terminate()
        self.session.wait(20)


def compare(old: Path) -> None:
    """One diagnose-enhanced of the old tree, and the watch session."""
    with containers(30) as made, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        watch = Watch(made, folder, "5s")
        try:
            first = watch.rounds(1)[0]
            begun = processor_seconds(watch.session.pid)
            took = watch.rounds(8)
            mine = (processor_seconds(watch.session.pid) - begun) / len(took)
            print(f"healthy at the end: {watch.status()['summary']}")
            print(f"first round (starts and slow looks included): {begun:.2f} s of processor, {first:.2f} s")
            print(f"a later round: {mine:.2f} s of processor, {statistics.median(took):.2f} s (all: {took})")
            pss, rss = memory(watch.session.pid)
            print(f"memory of the pipe: {pss:.0f} MB (each shared page once; plain sum {rss:.0f} MB)")
            print(f"by process: {by_stage(watch.session.pid)}")
            waits = []
            for each in made[:5]:
                time.sleep(3)
                killed = time.monotonic()
                each.kill()
                while each.name not in {issue["service"] for issue in watch.status()["open"]}:
                    time.sleep(0.01)
                waits.append(time.monotonic() - killed)
                each.start()
                while watch.status()["open"]:
                    time.sleep(0.05)
            print(f"until a killed container was told: {', '.join(f'{each:.2f}' for each in waits)} s")
        finally:
            watch.end()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [old / "scripts/supervisor-session.sh", "diagnose-enhanced", "--no-screenshots"]
        began = time.monotonic()
        environment = {key: value for key, value in watch.environment.items() if key != "PYTHONPATH"}
        environment["PATH"] = f"{old}/bin:{environment['PATH']}"
        ended = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, cwd=old, check=False)
        seconds = time.monotonic() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        theirs = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(f"diagnose-enhanced of {old}: {theirs:.2f} s of processor, {seconds:.2f} s, status {ended.returncode}")
        print(f"a round takes 1/{theirs / mine:.1f} of its processor time")


def endure(rounds: int) -> None:
    """Many rounds of few containers."""
    with containers(3) as made, tempfile.TemporaryDirectory() as name:
        watch = Watch(made, Path(name), "100ms")
        try:
            watch.rounds(100)
            for part in range(5):
                pss, rss = memory(watch.session.pid)
                size = sum(path.stat().st_size for path in Path(name).rglob("*") if path.is_file())
                done = watch.status()["rounds"]
                print(
                    f"{done} rounds: {pss:.1f} MB (sum {rss:.1f}), {descriptors(watch.session.pid)} files, {size} bytes"
                )
                if part < 4:
                    watch.rounds(rounds // 4)
            print(f"by process: {by_stage(watch.session.pid)}")
        finally:
            watch.end()


def main() -> None:
    """Measure what the options name."""
    parser = argparse.ArgumentParser(prog="bench-watch")
    parser.add_argument("--old", default="953fdba", help="a commit of this repository, or a folder with one")
    parser.add_argument("--rounds", type=int, help="instead: so many rounds of three containers")
    options = parser.parse_args()
    os.environ["DOCKER_HOST"] = os.environ.get("DOCKER_HOST") or str(fault_lab.engine.start())
    print(f"processors: {os.cpu_count()}, load {os.getloadavg()[0]:.0f}")
    if options.rounds:
        endure(options.rounds)
        return
    old = Path(options.old)
    if old.is_dir():
        compare(old.resolve())
        return
    with tempfile.TemporaryDirectory() as name:
        tree_of_old = Path(name) / "old"
        subprocess.run(
            ["git", "worktree", "add", "--detach", tree_of_old, options.old], check=True, capture_output=True
        )
        try:
            (tree_of_old / ".venv").symlink_to(ROOT / ".venv")
            compare(tree_of_old)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", tree_of_old], check=True)


if __name__ == "__main__":
    main()
