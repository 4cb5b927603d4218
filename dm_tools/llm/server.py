"""A small model server for those who have none: llama.cpp in this process. The only module that imports `xllamacpp`."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from dm_tools.pipe import configs


@dataclass(frozen=True)
class Options:
    """What is served, and how. `port` 0: a free one. `context` in tokens, shared by the answers given at once."""

    model: Path
    alias: str
    port: int
    context: int
    parallel: int
    key: str
    template: str | None


class NoServer(Exception):
    """The server cannot be started; the message says what to do."""


def start(options: Options) -> str:
    """Start the server on the loopback address; returns its base URL once it answers. Raises NoServer."""
    try:
        import xllamacpp
    except ImportError:
        raise NoServer(f"llama.cpp is not installed ({configs.install('local-llm')})") from None
    if not _is_gguf(options.model):
        raise NoServer(f"{str(options.model)!r} is no GGUF file")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(options.model)
    parameters.port = options.port
    parameters.n_ctx = options.context
    parameters.n_parallel = options.parallel
    parameters.model_alias = {options.alias}
    parameters.use_jinja = True
    parameters.cache_ram_mib = 0  # a prompt is never asked twice, and the cache would hold a gigabyte
    # One processor is left to the stack that is diagnosed: a thread that waits for its turn makes all others wait.
    threads = max(1, (os.cpu_count() or 1) - 1)
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    parameters.verbosity = 0
    if options.template:
        parameters.chat_template = options.template
    if options.key:
        parameters.api_keys = [options.key]
    try:
        server = xllamacpp.Server(parameters)
    except RuntimeError as failure:
        raise NoServer(f"llama.cpp cannot serve {str(options.model)!r}: {failure}") from None
    _running.append(server)  # it stops when the object is collected
    return f"{server.listening_address}/v1"


_running: list[object] = []


def wait() -> None:
    """Until a signal ends the program."""
    while True:
        signal.pause()


def _is_gguf(path: Path) -> bool:
    """By its magic number: llama.cpp ends the process over a file that is none."""
    try:
        with path.open("rb") as file:
            return file.read(4) == b"GGUF"
    except OSError:
        return False
