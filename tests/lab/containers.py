"""Turn services into containers, labelled as Docker Compose v2 would label them."""

import hashlib
import io
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import docker
from docker.errors import APIError, NotFound
from docker.models.containers import Container
from docker.types import LogConfig, Ulimit

from . import image
from .settings import LABEL, STACK_LABEL, LabError, project
from .stack import Service
from .waiting import wait_until

SECOND = 1_000_000_000  # the engine counts in nanoseconds
NETWORKS = {"backend": True, "frontend": False}
"""Network → whether it is internal, that is without a way out. A published port needs one that is not."""
HASH_LABEL = "com.docker.compose.config-hash"
NO_NAMESERVER = ["127.0.0.1"]
"""Nobody listens there: questions for unknown names never leave the machine."""
IMPATIENT = ["timeout:1", "attempts:1"]
"""An unknown name fails after one second instead of ten, before nginx gives up on the page."""


class Shop:
    """The containers and networks of one project in one engine, and nothing else in that engine."""

    def __init__(self, client: docker.DockerClient) -> None:
        self.client = client
        self.image = image.name()
        self.project = project()

    def container_name(self, service: str) -> str:
        return f"{self.project}-{service}-1"

    def container(self, service: str) -> Container:
        try:
            return self.client.containers.get(self.container_name(service))
        except NotFound:
            raise LabError(f"{service} has no container, run `up` first") from None

    def containers(self) -> list[Container]:
        found: list[Container] = self.client.containers.list(all=True, filters=self._mine(), ignore_removed=True)
        return found

    def start_all(self, services: Mapping[str, Service]) -> None:
        """Start every service as soon as those it needs are ready, so that no log begins with an error."""
        self._create_networks()
        with ThreadPoolExecutor(len(services)) as pool:
            list(pool.map(self.create, services.values()))
            started: set[str] = set()
            while len(started) < len(services):
                next_ones = [s for s in services.values() if s.name not in started and started.issuperset(s.needs)]
                list(pool.map(self._start_and_await, next_ones))
                started.update(service.name for service in next_ones)

    def all_as_defined(self, services: Mapping[str, Service]) -> bool:
        """Whether exactly these services run, each created from the definition it has now."""
        running = {
            container.labels["com.docker.compose.service"]: container.labels.get(HASH_LABEL)
            for container in self.containers()
            if container.status == "running" and container.attrs["Config"]["Image"] == self.image
        }
        return running == {name: _digest(service) for name, service in services.items()}

    def _start_and_await(self, service: Service) -> None:
        try:
            self.start(service.name)
        except APIError as error:
            hint = "; DM_LAB_PORT moves the published ports" if service.ports else ""
            raise LabError(f"{service.name} cannot start: {error.explanation}{hint}") from error
        self.await_ready(service)

    def create(self, service: Service, foreign: bool = False) -> None:
        """Create one container; `foreign` puts it into another Compose project on the same engine."""
        api = self.client.api
        first, *others = [f"{self.project}_{name}" for name in service.networks]
        alias = api.create_endpoint_config(aliases=[service.name])
        created = api.create_container(
            self.image,
            list(service.command),
            name=self.container_name(service.name),
            hostname=service.name,
            user=service.user,
            environment=dict(service.environment),
            ports=list(service.ports),
            labels=self._labels(service, foreign),
            healthcheck={
                "test": ["CMD", *service.healthcheck],
                "interval": service.healthcheck_interval * SECOND,
                "timeout": service.healthcheck_timeout * SECOND,
                "retries": 2,
                "start_period": SECOND,
            },
            networking_config={"EndpointsConfig": {first: alias}},
            host_config=api.create_host_config(
                network_mode=first,
                port_bindings={inside: ("127.0.0.1", outside) for inside, outside in service.ports.items()},
                restart_policy={"Name": service.restart},
                mem_limit=service.memory,
                memswap_limit=service.memory,
                nano_cpus=int(service.cpus * SECOND),
                pids_limit=service.pids,
                ulimits=[Ulimit(name="nofile", soft=service.open_files, hard=service.open_files)],
                tmpfs=dict(service.tmpfs),
                dns=NO_NAMESERVER,
                dns_opt=IMPATIENT,
                log_config=LogConfig(type="json-file", config={"max-size": "20m"}),
            ),
        )
        for network in others:
            api.connect_container_to_network(created["Id"], network, aliases=[service.name])
        api.put_archive(created["Id"], "/", _archive(service.files))

    def start(self, service: str) -> None:
        self.client.api.start(self.container_name(service))

    def run(self, service: str, command: Sequence[str], user: str = "") -> tuple[int, str]:
        """Run a program in a container to its end; its exit code and what it said."""
        api = self.client.api
        made = api.exec_create(self.container_name(service), list(command), user=user)
        said = api.exec_start(made["Id"])
        code = api.exec_inspect(made["Id"])["ExitCode"]
        return code, said.decode(errors="replace").strip()

    def run_detached(self, service: str, command: Sequence[str]) -> None:
        """Start a program in a container; it ends with the container."""
        api = self.client.api
        api.exec_start(api.exec_create(self.container_name(service), list(command))["Id"], detach=True)

    def await_ready(self, service: Service, seconds: float = 60) -> None:
        """Wait until the service's own health check passes, asked by us: quicker than the engine's rounds."""

        def asked() -> str | None:
            try:
                code, said = self.run(service.name, service.healthcheck, service.user)
            except APIError as error:  # not running yet, or no longer
                return f"{service.name} is ready: {error.explanation}"
            return None if code == 0 else f"{service.name} is ready: {said}"

        wait_until(asked, seconds, every=0.2)  # each asking is three of the 256 events that the engine remembers

    def await_healthy(self, services: Iterable[str], seconds: float = 60) -> None:
        def unhealthy() -> str | None:
            health = self.health()
            bad = [name for name in services if health.get(name) != "healthy"]
            return f"{', '.join(bad)} healthy" if bad else None

        wait_until(unhealthy, seconds)

    def health(self) -> dict[str, str]:
        """Service → the engine's health status, or the container's state where that is not `running`."""
        found = {}
        for container in self.containers():
            state = container.attrs["State"]
            status = state["Status"]
            if status == "running" and "Health" in state:
                status = state["Health"]["Status"]
            found[container.labels["com.docker.compose.service"]] = status
        return found

    def remove(self, service: str) -> None:
        self._remove(self.container_name(service))

    def remove_all(self) -> None:
        """Remove this project's containers; the networks stay, they keep no state worth clearing."""
        names = [container.name for container in self.containers()]
        if names:
            with ThreadPoolExecutor(len(names)) as pool:
                list(pool.map(self._remove, names))

    def remove_networks(self) -> None:
        for network in self.client.networks.list(filters=self._mine()):
            network.remove()

    def _remove(self, name: str) -> None:
        try:
            container = self.client.containers.get(name)
        except NotFound:
            return
        if container.labels.get(LABEL) != "1":
            raise LabError(
                f"the container {name} was not made by the lab and stays; set DM_LAB_PROJECT to another name"
            )
        container.remove(force=True, v=True)

    def _create_networks(self) -> None:
        present = {network.name for network in self.client.networks.list(filters=self._mine())}
        for name, internal in NETWORKS.items():
            full_name = f"{self.project}_{name}"
            labels = self._own_labels() | {
                "com.docker.compose.project": self.project,
                "com.docker.compose.network": name,
            }
            if full_name not in present:
                self.client.networks.create(full_name, driver="bridge", internal=internal, labels=labels)

    def _mine(self) -> dict[str, str | list[str] | bool]:
        return {"label": [f"{key}={value}" for key, value in self._own_labels().items()]}

    def _own_labels(self) -> dict[str, str]:
        return {LABEL: "1", STACK_LABEL: self.project}

    def _labels(self, service: Service, foreign: bool) -> dict[str, str]:
        return self._own_labels() | {
            "com.docker.compose.project": f"{self.project}-neighbour" if foreign else self.project,
            "com.docker.compose.service": service.name,
            "com.docker.compose.container-number": "1",
            "com.docker.compose.oneoff": "False",
            "com.docker.compose.version": "2.29.0",
            HASH_LABEL: _digest(service),
            "com.docker.compose.depends_on": ",".join(f"{name}:service_healthy:false" for name in service.needs),
        }


def _digest(service: Service) -> str:
    """Changes with the definition and with the content of the files it carries."""
    content = [source.read_bytes() for source in service.files.values()]
    return hashlib.sha256(repr((service, content)).encode()).hexdigest()


def _archive(files: Mapping[str, Path]) -> bytes:
    """A tar archive of the files and the folders above them, readable by every user."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for target, source in files.items():
            content = source.read_bytes()
            entry = tarfile.TarInfo(str(PurePosixPath(target).relative_to("/")))
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
