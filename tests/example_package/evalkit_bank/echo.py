"""An engine that always answers the same. One of a bank would ask the bank's own service."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from evalkit.config.checks import Immaterial, Whole
from evalkit.config.settings import BackendSettings, ModelSettings
from evalkit.schema import Completion, GenerationSettings, Message


class Settings(BackendSettings):
    """configs/backend/echo.yaml. ``answer`` is what it says."""

    kind: Literal["echo"]
    slots: Immaterial[Whole]
    answer: str


class Echo:
    """See `evalkit.engines.Engine` for what each of these is."""

    def __init__(self, answer: str, slots: int) -> None:
        self.answer, self.slots = answer, slots

    def identity(self) -> dict[str, Any]:
        return {"engine": "echo", "answer": self.answer}

    def description(self) -> dict[str, Any]:
        return {"slots": self.slots}

    async def tokenize(self, prompts: Sequence[Sequence[Message]]) -> list[array[int]] | None:
        return [array("i", range(sum(len(each.content) for each in prompt))) for prompt in prompts]

    async def complete(
        self, messages: Sequence[Message], sampling: GenerationSettings, slot: int
    ) -> Completion:
        return Completion(self.answer, "stop", prompt_tokens=1, completion_tokens=1)

    async def start(self, longest_prompt: int | None) -> None: ...

    async def revive(self) -> None: ...

    async def stop(self) -> None: ...

    async def probe(self) -> None: ...

    def peak_memory_bytes(self) -> None: ...

    def peak_gpu_memory_bytes(self) -> None: ...


def open_engine(model: ModelSettings, backend: Settings, max_tokens: int, log: Path) -> Echo:
    """The engine; it needs no weights."""
    return Echo(backend.answer, backend.slots)
