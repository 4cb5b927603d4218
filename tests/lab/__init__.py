"""A small shop on a real Docker Engine, and the faults that can be put into it.

from tests import lab

lab.up()                       # engine, image and five healthy services
lab.inject("wrong-password")   # returns when the fault shows
lab.clear()                    # healthy again, with fresh logs
lab.environment()              # DOCKER_HOST and what else the tools need to look at it

for fault in lab.faults():     # without Docker: what each must be judged to be, and what was recorded of it
    fault.roots, fault.symptoms, fault.recording
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

from . import engine, image, stack, tls
from .containers import Shop
from .faults import Fault, Root, faults, one_per_way, put_in
from .judging import wrong
from .recording import record
from .settings import LabError, project, stack_folder, state_folder
from .waiting import lock

__all__ = [
    "Fault",
    "LabError",
    "Root",
    "clear",
    "down",
    "environment",
    "faults",
    "inject",
    "injected",
    "named",
    "one_per_way",
    "record",
    "status",
    "up",
    "wrong",
]


def up() -> None:
    """Bring up a healthy shop. When it is healthy already, only the manifest is written anew."""
    with _shop() as shop:
        stack.write_manifest()
        if injected() is None and shop.all_as_defined(stack.services()):
            shop.await_healthy(stack.services())
        else:
            _renew(shop)


def down(engine_too: bool = False) -> None:
    """Remove the shop; with `engine_too` stop the lab's own engine as well. The image stays."""
    with _changing():
        if url := engine.find():
            with closing(engine.connect(url)) as client:
                shop = Shop(client)
                shop.remove_all()
                shop.remove_networks()
        _fault_file().unlink(missing_ok=True)
        if engine_too:
            engine.stop()


def inject(name: str) -> Fault:
    """Put one fault into the healthy shop and return once it can be observed."""
    fault = named(name)
    with _shop() as shop:
        if before := injected():
            raise LabError(f"the fault {before!r} is still in, run `clear` first")
        shop.await_healthy(stack.services())
        _fault_file().write_text(name)
        put_in(fault, shop)
    return fault


def named(name: str) -> Fault:
    """One fault of the catalogue."""
    found = {fault.name: fault for fault in faults()}
    if name not in found:
        raise LabError(f"no fault is named {name!r}; there are: {', '.join(found)}")
    return found[name]


def clear() -> None:
    """Make the shop healthy again: every container is new, so no log remembers the fault."""
    with _shop() as shop:
        _renew(shop)


def status() -> dict[str, str]:
    """Service → health or state, for all containers of this lab; empty when it is down."""
    url = engine.find()
    if url is None:
        return {}
    with closing(engine.connect(url)) as client:
        return Shop(client).health()


def injected() -> str | None:
    """The name of the fault that is in now."""
    path = _fault_file()
    return path.read_text() if path.exists() else None


def environment() -> dict[str, str]:
    """The environment variables with which the tools see this lab."""
    url = engine.find()
    if url is None:
        raise LabError("no Docker Engine answers, run `up` first")
    return {
        "DOCKER_HOST": url,
        "SSL_CERT_FILE": str(tls.bundle()),
        "SERVICES_MANIFEST_PATH": str(stack.manifest_path()),
        "COMPOSE_PROJECT_NAME": project(),
        "DOMAIN": "localhost",
    }


@contextmanager
def _shop() -> Iterator[Shop]:
    """The shop, with its engine, image and certificates in place and no other session changing it."""
    with _changing():
        with lock(state_folder() / "lock"):  # one engine and one image for every project
            url = engine.start()
            with closing(engine.connect(url)) as client:
                image.ensure(client)
        tls.ensure()
        with closing(engine.connect(url)) as client:
            yield Shop(client)


def _renew(shop: Shop) -> None:
    stack.write_manifest()
    services = stack.services()
    shop.remove_all()
    _fault_file().unlink(missing_ok=True)
    shop.start_all(services)
    shop.await_healthy(services)


def _changing() -> AbstractContextManager[None]:
    return lock(stack_folder() / "lock")


def _fault_file() -> Path:
    return stack_folder() / "fault"
