"""The prompts: text files beside the tools, versioned; what a model was asked with can be told by name and hash."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass

from dm_tools.pipe import configs


@dataclass(frozen=True)
class Prompt:
    """One prompt: `user` has places in braces, and so has `hermes`, which tells of the tools in words."""

    name: str
    version: int
    system: str
    user: str
    hermes: str

    @property
    def id(self) -> str:
        """Name, version and the beginning of the text's SHA-256: `analyst/1 5f1c9a20`."""
        digest = hashlib.sha256(f"{self.system}\0{self.user}\0{self.hermes}".encode()).hexdigest()
        return f"{self.name}/{self.version} {digest[:8]}"


def read(name: str) -> Prompt:
    """One of the shipped prompts."""
    content = tomllib.loads((configs.folder("prompts") / f"{name}.toml").read_text(encoding="utf-8"))
    texts = (content.get(key, "").strip() for key in ("system", "user", "hermes"))
    return Prompt(name, content["version"], *texts)
