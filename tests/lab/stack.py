"""The healthy shop as data: web → app → postgres, redis ← worker, each from the same image."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from . import tls
from .image import DATA
from .settings import FILES, http_port, https_port, stack_folder

DATABASE_URL = "postgresql://app:correct-horse@postgres:5432/shop"
REDIS_URL = "redis://redis:6379/0"


@dataclass(frozen=True)
class Service:
    """What a Compose file would say about one service. Faults change single fields of it."""

    name: str
    command: tuple[str, ...]
    healthcheck: tuple[str, ...]
    healthcheck_interval: int = 1
    healthcheck_timeout: int = 2
    needs: tuple[str, ...] = ()
    user: str = "nobody"
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    """Path in the container → file here. Copied, not mounted: a remote engine cannot see our folders."""
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    networks: tuple[str, ...] = ("backend",)
    ports: Mapping[int, int] = field(default_factory=dict)
    """Port in the container → port on this machine's loopback address."""
    restart: str = "unless-stopped"
    memory: str = "128m"
    cpus: float = 1.0
    pids: int = 100
    open_files: int = 1024
    urls: tuple[str, ...] = ()
    """What the services manifest asks a probe to look at."""


def services() -> dict[str, Service]:
    """All services in an order in which each one's needs come first."""
    certificates = tls.folder()
    shop = [
        Service(
            name="postgres",
            command=("postgres", "-D", DATA),
            healthcheck=("pg_isready", "-q", "-d", "shop", "-U", "app"),
            healthcheck_interval=2,
            user="postgres",
            files={"/srv/hold_connections.py": FILES / "hold_connections.py"},
            restart="no",
            memory="256m",
            urls=("tcp://postgres:5432",),
        ),
        Service(
            name="redis",
            command=(
                "redis-server",
                "--save",
                "",
                "--dir",
                "/tmp",
                "--bind",
                "0.0.0.0",
                "--protected-mode",
                "no",
            ),
            healthcheck=("redis-cli", "ping"),
            healthcheck_interval=2,
            user="redis",
            urls=("tcp://redis:6379",),
        ),
        Service(
            name="app",
            command=("python3", "/srv/app.py"),
            healthcheck=("curl", "-fsS", "-m", "2", "http://127.0.0.1:8000/health"),
            healthcheck_timeout=3,
            needs=("postgres", "redis"),
            environment={
                "DATABASE_URL": DATABASE_URL,
                "REDIS_URL": REDIS_URL,
                "SECRET_KEY": "lab-only-7f3a91c2d8",
            },
            files={"/srv/app.py": FILES / "app.py"},
            urls=("http://app:8000/health",),
        ),
        Service(
            name="worker",
            command=("python3", "/srv/worker.py"),
            healthcheck=("sh", "/srv/heartbeat.sh"),
            needs=("postgres", "redis"),
            environment={"DATABASE_URL": DATABASE_URL, "REDIS_URL": REDIS_URL},
            files={"/srv/worker.py": FILES / "worker.py", "/srv/heartbeat.sh": FILES / "heartbeat.sh"},
            memory="64m",
        ),
        Service(
            name="web",
            command=("nginx", "-g", "daemon off;"),
            # Through nginx to the app: the traffic that makes a fault show in everybody's log.
            healthcheck=("curl", "-fsS", "-o", "/dev/null", "-m", "4", "http://127.0.0.1/"),
            healthcheck_timeout=5,
            needs=("app",),
            user="root",
            files={
                "/etc/nginx/nginx.conf": FILES / "nginx.conf",
                "/etc/nginx/tls/web.pem": certificates / "web.pem",
                "/etc/nginx/tls/web.key": certificates / "web.key",
            },
            networks=("frontend", "backend"),
            ports={80: http_port(), 443: https_port()},
            urls=("http://web/nginx-health", "http://web/", "https://web/"),
        ),
    ]
    return {service.name: service for service in shop}


def manifest_path() -> Path:
    return stack_folder() / "services_manifest.json"


def add_to_manifest(service: Service) -> None:
    """Name one more service, without URLs, in the manifest; the next write_manifest drops it."""
    content = json.loads(manifest_path().read_text())
    content["services"].append({"name": service.name})
    manifest_path().write_text(json.dumps(content, indent=2) + "\n")


def write_manifest() -> None:
    """Write the services and URLs that dm-services reads."""
    entries = [{"name": service.name, "internal": list(service.urls)} for service in services().values()]
    manifest_path().write_text(json.dumps({"services": entries}, indent=2) + "\n")
