"""Which engine judges, and how dm-analyze hands its stack to a model. Nothing heavy is imported before one is asked."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dm_tools.llm import settings
from dm_tools.pipe import configs, exits, say, stream
from dm_tools.records import Analysis

if TYPE_CHECKING:
    from dm_tools.diagnose.facts import Facts
    from dm_tools.llm.client import ModelError


@dataclass(frozen=True)
class Model:
    """A model to ask: `engine` is hybrid or llm, `steps` the tool calls that it may make (0: none)."""

    settings: settings.Settings
    engine: str
    steps: int


def model(engine: str, agent: bool, max_steps: int) -> Model | None:
    """The model that the options and the environment ask for; None: the rules alone. Raises exits.Stop."""
    wanted = engine
    if engine == "auto":
        engine = "hybrid" if settings.configured() else "rules"
    if engine == "rules":
        if agent:
            raise exits.Stop(exits.USAGE, "--agent needs a model: set LLM_BASE_URL, and not --engine rules")
        return None
    if importlib.util.find_spec("openai") is None:
        missing = f"a model is configured, and its client is not installed ({configs.install('llm')})"
        if wanted != "auto":
            raise exits.Stop(exits.USAGE, missing)
        say.note(f"{missing}; the rules judge alone")
        return None
    return Model(settings.from_environment(), engine, max_steps if agent else 0)


def consult(
    chosen: Model,
    verdicts: dict[str, Analysis],
    stack: dict[str, Facts],
    waiting: Iterable[stream.Record],
    judged: bytearray,
) -> dict[str, ModelError]:
    """Ask the model and put what holds into the verdicts; returns why it said nothing, by root.

    `judged` tells of each record that waits whether its verdict is about it.
    """
    from dm_tools.diagnose.analyze import resolver
    from dm_tools.llm import analyst
    from dm_tools.llm.client import Client

    explore = None
    if chosen.steps:
        from dm_tools.llm.agent import Agent

        explore = Agent(inventory(waiting, judged), chosen.steps).explore
    records = (record for record, known in zip(waiting, judged, strict=True) if known)
    return analyst.consult(Client(chosen.settings), verdicts, records, resolver(stack), chosen.engine, explore)


def inventory(waiting: Iterable[stream.Record], judged: bytearray) -> dict[str, stream.Record]:
    """What tools need to know of every service, without its evidence."""
    kept = ("v", "service", "container", "docker_host", "internal", "external")
    return {
        record["service"]: {key: record[key] for key in kept if key in record}
        for record, known in zip(waiting, judged, strict=True)
        if known
    }
