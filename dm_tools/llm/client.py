"""An OpenAI-compatible endpoint: vLLM, LiteLLM, llama.cpp, Ollama. The only module that imports `openai`.

Endpoints differ in what they honour, and some answer 200 to what they ignore: so the client goes from the strictest
way of asking to the loosest, remembers what worked, and whoever uses an answer checks it as if nothing had been asked.
"""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from dm_tools import redact
from dm_tools.llm import transport
from dm_tools.llm.settings import Settings
from dm_tools.pipe import say, settings
from dm_tools.text.tokens import tokens

Message = dict[str, Any]
ASSUMED_CONTEXT = 4_096  # tokens, where nothing says how many: what the smallest usual servers have
MAX_MESSAGE = 300  # characters of an endpoint's own words
MAX_TEXT = 50_000  # characters of its text


class Mode(StrEnum):
    """How an answer in JSON is asked for, the strictest first."""

    SCHEMA = "json_schema"
    OBJECT = "json_object"
    TEXT = "text"


class ModelError(Exception):
    """Why there is no answer. `code` is stable; `message` is for people, without secrets."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Usage:
    """What one call cost: tokens as the endpoint counted them (0: it did not say), milliseconds."""

    prompt_tokens: int
    completion_tokens: int
    ms: float
    mode: str


@dataclass(frozen=True)
class Reply:
    """One answer. `calls`: (id, tool, arguments as the model wrote them). `cut`: it ran into the length limit."""

    text: str
    calls: list[tuple[str, str, str]]
    cut: bool
    usage: Usage


@dataclass
class Budget:
    """The tokens that one run may still use, shared by its threads."""

    left: int
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def reserve(self, count: int) -> bool:
        """Take what a call will use at most; false if that is more than is left."""
        with self._lock:
            if count > self.left:
                return False
            self.left -= count
            return True

    def give_back(self, count: int) -> None:
        """What a call did not use; less than nothing, what it used beside."""
        with self._lock:
            self.left += count


class Client:
    """One endpoint. Safe for several threads. Every failure is a ModelError."""

    def __init__(self, settings: Settings) -> None:
        import openai

        self.settings = settings
        self.budget = Budget(settings.run_tokens)
        self.modes = list(Mode)
        self._ends = time.monotonic() + settings.deadline
        self._context = settings.context
        self._untold = threading.Lock()
        self._openai = openai
        self._api = openai.OpenAI(
            base_url=settings.base_url,
            api_key=settings.key or "none",
            timeout=settings.timeout,
            max_retries=settings.retries,  # with backoff and jitter, and as long as Retry-After says
            http_client=transport.client(lambda: min(settings.timeout, max(self.seconds_left, 0))),
        )

    def close(self) -> None:
        """Let go of the connections. A program that ends need not."""
        self._api.close()

    @property
    def seconds_left(self) -> float:
        """Until this run's deadline."""
        return self._ends - time.monotonic()

    def chat(
        self,
        messages: list[Message],
        max_tokens: int,
        mode: Mode = Mode.TEXT,
        schema: dict[str, Any] | None = None,
        tools: list[dict[str, Any]] | None = None,
    ) -> Reply:
        """One call. Raises ModelError."""
        if self.seconds_left <= 0:
            raise ModelError("deadline", f"the run's {self.settings.deadline:g} s for the model are over")
        if not self.settings.is_here and self._untold.acquire(blocking=False):  # never released: told once
            where = settings.origin("LLM_BASE_URL")
            say.note(f"what the model is shown leaves this machine: {self.settings.place} ({where})")
        extra: dict[str, Any] = {}
        if mode == Mode.SCHEMA and schema is not None:
            extra["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": schema, "strict": True},
            }
        elif mode == Mode.OBJECT:
            extra["response_format"] = {"type": "json_object"}
        if tools:
            extra["tools"] = tools
        # Reserved now, so that calls side by side stay within it; corrected by what the endpoint says it was.
        texts = [each["content"] for each in messages if isinstance(each["content"], str)]  # a picture counts later
        reserved = max_tokens + sum(map(tokens, texts))
        if not self.budget.reserve(reserved):
            raise ModelError("budget", f"the run's budget of {self.settings.run_tokens} tokens is used up")
        begin = time.monotonic()
        try:
            answer = self._api.with_options(
                timeout=min(self.settings.timeout, self.seconds_left)
            ).chat.completions.create(
                model=self.settings.model,
                messages=messages,  # type: ignore[arg-type]
                max_tokens=max_tokens,
                temperature=self.settings.temperature,
                **extra,
            )
            reply = self._reply(answer, (time.monotonic() - begin) * 1000, mode)
        except ModelError:
            raise
        except Exception as failure:  # the library wraps most, not all, of what can go wrong
            raise self._error(failure) from None
        if say.talkative:
            said = f"{reply.usage.prompt_tokens} tokens read, {reply.usage.completion_tokens} written"
            ms = (time.monotonic() - begin) * 1000
            say.detail(f"asked the model at {self.settings.place}: {said}, {ms:.0f} ms")
        used = reply.usage.prompt_tokens + reply.usage.completion_tokens
        self.budget.give_back(reserved - used if used else 0)
        return reply

    def _reply(self, answer: Any, ms: float, mode: Mode) -> Reply:
        choices = getattr(answer, "choices", None)
        if not choices or getattr(choices[0], "message", None) is None:
            raise ModelError("bad_answer", "the endpoint's answer holds no message")
        message, usage = choices[0].message, getattr(answer, "usage", None)
        counted = Usage(
            prompt_tokens=_count(getattr(usage, "prompt_tokens", 0)),
            completion_tokens=_count(getattr(usage, "completion_tokens", 0)),
            ms=round(ms, 1),
            mode=mode,
        )
        calls = [
            (str(call.id), self._safe(call.function.name), self._safe(call.function.arguments))
            for call in getattr(message, "tool_calls", None) or []
            if getattr(call, "function", None) is not None
        ]
        text = self._safe(message.content) if isinstance(message.content, str) else ""
        return Reply(text, calls, choices[0].finish_reason == "length", counted)

    def _safe(self, text: Any) -> str:
        """What came from the endpoint, bounded, and without our key should it repeat that."""
        return str(text)[:MAX_TEXT].replace(self.settings.key or "\0", redact.MASK)

    def _error(self, failure: Exception) -> ModelError:
        api, place = self._openai, self.settings.place
        if isinstance(failure, api.APITimeoutError):
            return ModelError("timeout", f"the model at {place} did not answer in time")
        if isinstance(failure, api.APIConnectionError):
            return ModelError("unreachable", f"no model answers at {place}")
        if isinstance(failure, api.APIStatusError):
            said = self._said(failure)
            if re.search(r"exceed\w*_context|context[ _](?:length|size|window)|maximum context", said, re.IGNORECASE):
                return ModelError("context_overflow", f"the prompt is too long for the model: {said}")
            codes = {401: "unauthorized", 403: "unauthorized", 404: "not_found", 408: "timeout", 429: "rate_limited"}
            code = codes.get(failure.status_code, "refused" if failure.status_code < 500 else "server_error")
            return ModelError(code, f"{place} answered {failure.status_code}: {said}")
        return ModelError("bad_answer", f"the answer of {place} cannot be used ({type(failure).__name__})")

    def _said(self, failure: Any) -> str:
        """What the endpoint said, short, on one line, without our key."""
        body = failure.body if isinstance(failure.body, dict) else {}
        parts = [str(body[key]) for key in ("type", "message") if body.get(key)]
        text = redact.redact(self._safe(": ".join(parts) or str(failure)))
        return "".join(c if c.isprintable() else " " for c in text)[:MAX_MESSAGE]

    def models(self) -> list[str]:
        """The models that the endpoint names. Raises ModelError."""
        try:
            return [str(each.id) for each in self._api.models.list().data or []]
        except Exception as failure:
            raise self._error(failure) from None

    def context(self) -> int:
        """How many tokens prompt and answer may have together, as far as the endpoint says.

        vLLM: `max_model_len` of the model; llama.cpp: `n_ctx` of /props (per slot); Ollama and LiteLLM say neither
        through this API: LLM_CONTEXT tells.
        """
        if not self._context:
            self._context = self._asked_context() or ASSUMED_CONTEXT
        return self._context

    def _asked_context(self) -> int | None:
        from urllib.parse import urljoin

        quick = self._api.with_options(timeout=min(5.0, self.settings.timeout), max_retries=0)
        try:
            for model in quick.models.list().data or []:
                length = (model.model_extra or {}).get("max_model_len")
                if model.id == self.settings.model and isinstance(length, int) and length > 0:
                    return length
            properties = quick.get(urljoin(self.settings.base_url, "/props"), cast_to=object)
        except Exception:  # an endpoint need not know these addresses
            return None
        settings = properties.get("default_generation_settings") if isinstance(properties, dict) else None
        length = settings.get("n_ctx") if isinstance(settings, dict) else None
        return length if isinstance(length, int) and length > 0 else None


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9 else 0
