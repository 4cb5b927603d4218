"""Record the orchard's faults: `python -m tests.foreign.record FOLDER [NAME ...]`, once there is the image of image.py.

Per case: everything back to well, inject, wait, read with the project's own collecting commands, undo. The engine is
that of $DOCKER_HOST; FOLDER is where the stack's files are copied to, so that a fault may change them.
"""

import argparse
import contextlib
import gzip
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import tomllib
import urllib.request
from base64 import b64encode
from pathlib import Path
from typing import Any

import docker
import orjson

HERE = Path(__file__).parent
SETS = {
    "faults": ("the orchard", "foreign"),
    "fresh": ("the orchard, fresh faults", "foreign-fresh"),
    "late": ("the orchard, late faults", "foreign-late"),
}
"""A file of faults here: what the set is called, and the folder of its recordings."""
PIPELINE = "dm-services --discover | dm-probe | dm-inspect | dm-logs | dm-stats"
ONE_SHOT = {"seed", "migrate"}
TRUTH = ("title", "roots", "roots_all", "cause", "words", "causes", "actions", "causal_line")
TRUTH += ("symptoms",)
PRELUDE = """
set -e
up() { docker-compose up -d --no-deps -t 2 "$@"; }
over() { cat > compose.override.yaml; }
setting() { sed -i "s|^$1=.*|$1=$2|" .env; }
edit() { local to; to=$(mktemp); sed "$1" "$2" > "$to"; cmp -s "$to" "$2" && exit 9; cat "$to" > "$2"; rm "$to"; }
the() { docker "$1" "orchard-$2-1" "${@:3}"; }
inside() { docker exec "orchard-$1-1" "${@:2}"; }
pid() { docker inspect -f '{{.State.Pid}}' "orchard-$1-1"; }
carrier() {
  docker rm -f carrier >/dev/null 2>&1 || true
  docker run -d --name carrier --network orchard_outside --network-alias api.carrier.example \
    -v "$PWD/carrier:/app:ro" "$@" orchard/base:1 python3 /app/carrier.py 7000
}
"""
SCANNED = ("/.env", "/wp-login.php", "/.git/config", "/phpmyadmin/", "/cgi-bin/luci", "/admin/", "/boaform/admin")
EDGE = "https://127.0.0.1:18643"


class Traffic:
    """Visitors: a few requests a second through the front, whatever they answer."""

    def __init__(self) -> None:
        self.on = True
        self.ways: list[list[tuple[str, str]]] = [
            [("GET", "/"), ("GET", "/item/apple"), ("GET", "/item/pear"), ("GET", "/")],
            [
                ("POST", "/api/orders"),
                ("GET", "/api/orders"),
                ("GET", "/shipping/label/1"),
                ("GET", "/shipping/label/2"),
            ],
            [("GET", "/accounts/who/mary"), ("GET", "/admin/")],
        ]
        for way in self.ways:
            threading.Thread(target=self._walk, args=(way,), daemon=True).start()

    def _walk(self, way: list[tuple[str, str]]) -> None:
        while True:
            for method, path in way:
                time.sleep(2.0)
                if self.on:
                    self.ask(method, path)

    @staticmethod
    def ask(
        method: str, path: str, agent: str = "Mozilla/5.0 (X11; Linux x86_64)", user: str = "mary:mary-pass"
    ) -> int:
        """Send one request and return its status, 0 without an answer."""
        request = urllib.request.Request(EDGE + path, method=method, headers={"User-Agent": agent})
        if method == "POST":
            request.data = json.dumps({"item": "apple", "weight": 2}).encode()
        if path.startswith("/admin"):
            request.add_header("Authorization", "Basic " + b64encode(user.encode()).decode())
        context = ssl._create_unverified_context()
        try:
            with urllib.request.urlopen(request, timeout=15, context=context) as answer:
                answer.read()
                return int(answer.status)
        except (OSError, ValueError):
            return 0


class Orchard:
    def __init__(self, folder: Path, recordings: Path) -> None:
        self.folder, self.recordings = folder, recordings
        self.client = docker.from_env(timeout=60)
        self.baselines: dict[str, int] = {}

    def shell(self, script: str, check: bool = True) -> None:
        environment = os.environ | {"COMPOSE_PROJECT_NAME": "orchard"}
        done = subprocess.run(
            ["bash", "-c", PRELUDE + script],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
        )
        if check and done.returncode:
            raise RuntimeError(f"{script!r} ended with {done.returncode}: {done.stderr[-800:]}")

    def files(self) -> None:
        """The stack's files as they are written, in place: a bind mount holds on to the file that it was made with."""
        fresh = not (self.folder / "tls/ca.crt").exists()
        for source in sorted((HERE / "stack").rglob("*")):
            target = self.folder / source.relative_to(HERE / "stack")
            if source.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            if target.is_dir():
                shutil.rmtree(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
        (self.folder / ".env").write_bytes((HERE / "stack/secrets.env").read_bytes())
        (self.folder / "compose.override.yaml").unlink(missing_ok=True)
        if fresh:
            self.shell("sh tls/make.sh tls")

    def fresh(self) -> None:
        self.shell("docker rm -f carrier >/dev/null 2>&1; docker-compose down -v --remove-orphans -t 2", check=False)
        self.files()
        self.shell("docker-compose up -d; carrier")
        self.baselines.clear()

    def containers(self) -> dict[str, dict[str, Any]]:
        listed = self.client.api.containers(all=True, filters={"label": "com.docker.compose.project=orchard"})
        return {
            each["Labels"]["com.docker.compose.service"]: self.client.api.inspect_container(each["Id"])
            for each in listed
        }

    def unwell(self) -> list[str]:
        wrong = []
        found = self.containers()
        for service, state in ((name, each["State"]) for name, each in found.items()):
            young = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - 6)) < state["StartedAt"]
            well = (
                state["Status"] == "exited" and not state["ExitCode"]
                if service in ONE_SHOT
                else (
                    state["Status"] == "running"
                    and not young
                    and state.get("Health", {}).get("Status", "healthy") == "healthy"
                )
            )
            if not well:
                wrong.append(service)
        for path in ("/", "/item/pear", "/api/orders", "/accounts/who/mary", "/admin/", "/shipping/label/1"):
            if not wrong and Traffic.ask("GET", path) != 200:
                wrong.append(path)
        for service, word in (("ingest", "wrote"), ("mailroom", "messages"), ("packer", "packed|waiting")):
            if not wrong and not re.search(word, self.last_words(service)):
                wrong.append(f"what {service} says")
        return wrong if len(found) == 26 else [*wrong, f"only {len(found)} containers"]

    def last_words(self, service: str) -> str:
        return str(self.client.api.logs(f"orchard-{service}-1", tail=1), "utf-8", "replace")

    def well(self, limit: float = 90) -> None:
        end = time.monotonic() + limit
        while wrong := self.unwell():
            if time.monotonic() > end:
                raise RuntimeError(f"not well: {wrong}")
            time.sleep(2)

    def forget(self) -> None:
        """Logs back to what they were when the container had become well: the cases before this one never were."""
        for container in self.containers().values():
            log = Path(container["LogPath"])
            size = log.stat().st_size if log.exists() else 0
            base = self.baselines.setdefault(container["Id"], size)
            if size > base:
                os.truncate(log, base)

    def reset(self, case: dict[str, Any]) -> None:
        self.shell(case.get("undo", ""), check=False)
        self.files()
        again = " ".join(case.get("recreate", []))
        if again:
            self.shell(f"up --force-recreate {again}")
        outside = "; carrier" if "carrier" in case.get("inject", "") else ""
        self.shell("docker-compose up -d -t 2 || { sleep 5; docker-compose up -d -t 2; }" + outside)

    def record(self, name: str, case: dict[str, Any]) -> str:
        bin_folder = HERE.parent.parent / "bin"
        environment = os.environ | {"COMPOSE_PROJECT_NAME": "orchard", "PATH": f"{bin_folder}:{os.environ['PATH']}"}
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", PIPELINE], env=environment, capture_output=True, text=True, timeout=180
        )
        if done.returncode not in (0, 4):
            raise RuntimeError(f"collecting ended with {done.returncode}: {done.stderr[-400:]}")
        text = done.stdout.replace(os.environ["DOCKER_HOST"], "unix:///var/run/docker.sock")
        text = text.replace(str(self.folder), "/srv/orchard")
        self.recordings.mkdir(parents=True, exist_ok=True)
        packed = gzip.compress(text.encode(), 9, mtime=0)
        (self.recordings / f"{name}.jsonl.gz").write_bytes(packed)
        secrets = [line.partition("=")[2] for line in (HERE / "stack/secrets.env").read_text().splitlines()]
        leaked = [secret for secret in [*secrets, "mary-pass", "ripe-admin"] if secret in text]
        line = case.get("causal_line", "")
        seen = not line or any(re.search(line, words, re.I) for words in said(text))
        return f"{len(packed) // 1024} KB{'' if seen else ' NO CAUSAL LINE'}{f' LEAKED {leaked}' if leaked else ''}"


def said(text: str) -> list[str]:
    """Every text that a recording holds."""

    def texts(value: Any) -> list[str]:
        if isinstance(value, str):
            return [value]
        if isinstance(value, dict):
            return [text for each in value.values() for text in texts(each)]
        return [text for each in value for text in texts(each)] if isinstance(value, list) else []

    return [words for record in text.splitlines() for words in texts(orjson.loads(record))]


def cases(chosen: str) -> dict[str, dict[str, Any]]:
    return tomllib.loads((HERE / f"{chosen}.toml").read_text())


def folder_of(chosen: str) -> Path:
    return HERE.parent / "data" / SETS[chosen][1]


def write_expected(chosen: str) -> None:
    """The truth of what is recorded, without the way it was done."""
    lines = [f"# Made by tests/foreign/record.py from tests/foreign/{chosen}.toml.\n", f'title = "{SETS[chosen][0]}"\n']
    for name, case in cases(chosen).items():
        if (folder_of(chosen) / f"{name}.jsonl.gz").exists():
            kind = "stopped" if "stopped" in name else "recreate" if "redeployed" in name else "healthy"
            kind = kind if case.get("healthy") else "combination" if case.get("combination") else "fault"
            lines.append(f'\n[[case]]\nname = "{name}"\nkind = "{kind}"\n')
            lines += [f"{key} = {json.dumps(case[key], ensure_ascii=False)}\n" for key in TRUTH if key in case]
            lines += ['events = ["stopped"]\n'] * (kind == "stopped")
    (folder_of(chosen) / "expected.toml").write_text("".join(lines))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--set", choices=SETS, default="faults", help="the file of faults")
    parser.add_argument("--anew", action="store_true", help="remove the stack first and bring it up anew")
    arguments = parser.parse_intermixed_args()
    recordings = folder_of(arguments.set)
    orchard, traffic = Orchard(arguments.folder.absolute(), recordings), Traffic()
    orchard.folder.mkdir(parents=True, exist_ok=True)
    wanted = arguments.names or [
        name for name in cases(arguments.set) if not (recordings / f"{name}.jsonl.gz").exists()
    ]
    if arguments.anew or not orchard.containers():
        orchard.fresh()
        orchard.well()
        time.sleep(40)
    for name in wanted:
        if (orchard.folder / "stop").exists():
            break
        case, started = cases(arguments.set)[name], time.monotonic()
        try:
            orchard.well()
            orchard.forget()
            traffic.on = case.get("traffic", True)
            time.sleep(case.get("before", 5))
            threads = [threading.Thread(target=scan, args=(traffic,))] if case.get("scanners") else []
            for thread in threads:
                thread.start()
            orchard.shell(case.get("inject", ""), check=case.get("check", True))
            time.sleep(case.get("wait", 17))
            outcome = orchard.record(name, case)
            for thread in threads:
                thread.join()
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            outcome = f"FAILED {error}"
        traffic.on = True
        with contextlib.suppress(subprocess.TimeoutExpired):
            try:
                orchard.reset(case)
            except RuntimeError as error:
                outcome += f" RESET FAILED {error}"
        sys.stdout.write(f"{time.strftime('%H:%M:%S')} {name}: {outcome}, {time.monotonic() - started:.0f} s\n")
        sys.stdout.flush()
        write_expected(arguments.set)
    return 0


def scan(traffic: Traffic) -> None:
    """What the internet sends to every server."""
    for path in SCANNED:
        traffic.ask("GET", path, agent="zgrab/0.x", user="admin:admin")
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", 18643), 3) as plain:
        plain.sendall(b"\x03\x00\x00/*\xe0\x00\x00\x00\x00\x00Cookie: mstshash=Administr\r\n\r\n")
        plain.recv(100)


if __name__ == "__main__":
    raise SystemExit(main())
