"""What the runner asks of an engine."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from evalkit.backends.speed import Speed
from evalkit.example import Message


@dataclass(frozen=True, slots=True)
class Sampling:
    """Everything that shapes an answer apart from the weights and the prompt.

    ``top_k`` 0 and ``min_p`` 0 mean off. ``max_tokens`` counts generated tokens, reasoning included.
    ``json_schema`` is a JSON schema, as text, that the answer must satisfy where the server can see to it.
    """

    temperature: float
    top_p: float
    top_k: int
    min_p: float
    repetition_penalty: float
    max_tokens: int
    seed: int
    json_schema: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """For records and keys: without the schema where there is none, as they were before it was."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer, or the typed reason why there is none.

    ``error`` is None, ``context_overflow`` or ``engine_error: ...``. Times are seconds; ``prefill_s`` and
    ``decode_s`` are the engine's own figures where it gives them.
    """

    text: str | None
    finish_reason: str | None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    latency_s: float = 0.0
    prefill_s: float | None = None
    decode_s: float | None = None
    error: str | None = None


def valid_text(text: str) -> str:
    """`text` with lone surrogates replaced: JSON can carry them, files cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")


CONTEXT_OVERFLOW = "context_overflow"
ENGINE_ERROR = "engine_error"


class EngineDied(Exception):
    """The server went away in the middle of a request. The request can be tried again after `revive`."""


class EngineUnusable(Exception):
    """The engine cannot go on: it does not start, or dies without answering anything. One line."""


class Engine(Protocol):
    """A running model. ``slots`` is how many requests are served together."""

    slots: int

    def identity(self) -> dict[str, Any]:
        """What decides the answers on the engine's side: name, version, weights, template, context."""
        ...

    async def tokenize(self, prompts: Sequence[Sequence[Message]]) -> list[array[int]] | None:
        """The tokens of each rendered prompt, or None where the engine does not tell.

        Arrays, because a full run holds some ten million of them.
        """
        ...

    async def start(self, longest_prompt: int | None) -> None:
        """Start serving with a context that holds `longest_prompt` tokens and an answer."""
        ...

    async def complete(self, messages: Sequence[Message], sampling: Sampling, slot: int) -> Completion:
        """One answer. Raises EngineDied when the server is gone."""
        ...

    async def revive(self) -> None:
        """Make sure that the server lives after an EngineDied."""
        ...

    async def stop(self) -> None:
        """End the server; safe to call at any time."""
        ...

    def peak_memory_bytes(self) -> int | None:
        """The highest resident memory of the engine's processes so far."""
        ...

    def peak_gpu_memory_bytes(self) -> int | None:
        """The highest GPU memory of the engine's processes so far; None if nothing tells."""
        ...

    async def probe(self) -> Speed | None:
        """The speed of one request alone on the started engine; None if it cannot be told."""
        ...

    def description(self) -> dict[str, Any]:
        """Facts for run.json beyond identity: hardware used, context, load time."""
        ...
