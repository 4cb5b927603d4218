"""Which model endpoint there is, and how much may be asked of it: all of it from the environment."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from dm_tools import redact
from dm_tools.pipe import exits, settings

DEFAULT_MODEL = "hermes-2-pro-mistral-7b"  # the seed's


@dataclass(frozen=True)
class Settings:
    """One endpoint. Times in seconds, sizes in tokens. `key` never leaves the process but in the request's header."""

    base_url: str
    model: str = DEFAULT_MODEL
    key: str = field(default="", repr=False)
    timeout: float = 60.0  # of one call
    deadline: float = 120.0  # of all calls of one run
    jobs: int = 2  # calls at once
    retries: int = 2  # of one call, for connection errors, 429 and 5xx
    context: int = 0  # 0: ask the endpoint
    prompt_tokens: int = 4_000  # of one incident's prompt, at most
    run_tokens: int = 100_000  # of all calls of one run, both ways
    temperature: float = 0.0

    @property
    def is_here(self) -> bool:
        """Whether the endpoint is on this machine, as far as its address tells: what it is shown stays here."""
        host = (urlsplit(self.base_url).hostname or "").rstrip(".")
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost" or host.endswith(".localhost")

    @property
    def place(self) -> str:
        """The endpoint without whatever secret its URL may hold."""
        return redact.redact(self.base_url)


def configured() -> bool:
    """Whether the environment names an endpoint."""
    return bool(os.environ.get("LLM_BASE_URL"))


def from_environment(model: str = "") -> Settings:
    """The settings of `LLM_*`, for another model of the same endpoint if one is named. Raises exits.Stop."""
    url = os.environ.get("LLM_BASE_URL", "")
    if not url:
        raise exits.Stop(exits.USAGE, "no model is configured: set LLM_BASE_URL, as http://localhost:8000/v1")
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise exits.Stop(
            exits.USAGE, f"{settings.origin('LLM_BASE_URL')} is no http(s) URL, as http://localhost:8000/v1"
        )
    if parts.username or parts.password or parts.query:
        where = settings.origin("LLM_BASE_URL")
        raise exits.Stop(exits.USAGE, f"{where} holds a secret or a query: the key belongs into LLM_API_KEY")
    return Settings(
        base_url=url.rstrip("/"),
        model=model or alias(),
        key=key(),
        timeout=settings.duration("LLM_TIMEOUT", Settings.timeout, 0.1, 3600),
        deadline=settings.duration("LLM_DEADLINE", Settings.deadline, 0.1, 3600),
        jobs=int(settings.number("LLM_JOBS", Settings.jobs, 1, 64)),
        context=int(settings.number("LLM_CONTEXT", Settings.context, 0, 10_000_000)),
        prompt_tokens=int(settings.number("LLM_PROMPT_TOKENS", Settings.prompt_tokens, 200, 1_000_000)),
        run_tokens=int(settings.number("LLM_RUN_TOKENS", Settings.run_tokens, 0, 1_000_000_000)),
        temperature=settings.number("LLM_TEMPERATURE", Settings.temperature, 0, 2, whole=False),
    )


def alias() -> str:
    """The model's name at the endpoint."""
    return os.environ.get("LLM_MODEL") or DEFAULT_MODEL


def key() -> str:
    """The endpoint's key, from the file that is named or else from the environment; empty if there is none."""
    path = os.environ.get("LLM_API_KEY_FILE")
    if not path:
        return os.environ.get("LLM_API_KEY", "").strip()
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as failure:
        reason = getattr(failure, "strerror", None) or "not UTF-8"
        where = settings.origin("LLM_API_KEY_FILE")
        raise exits.Stop(exits.USAGE, f"{where}: cannot read {path!r}: {reason}") from None
