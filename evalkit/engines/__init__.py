"""Ways to get a completion. A backend is one module here and one config, configs/backend/NAME.yaml.

`backend.kind` is the module's name. `Backend` says what the module holds, `Engine` what a run asks of the
engine that it opens. Nothing outside the module knows its name or its settings.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

from evalkit.config.extensions import blamed, load, module_folders
from evalkit.config.settings import BackendSettings, ModelSettings
from evalkit.schema import Completion, GenerationSettings, Message, Request, Speed

__path__.extend(module_folders("engines"))  # those of the user's own


class EngineDied(Exception):
    """The server went away in the middle of a request. The request can be tried again after `revive`."""


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

    async def complete(
        self, messages: Sequence[Message], sampling: GenerationSettings, slot: int
    ) -> Completion:
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


class Backend(Protocol):
    """What the module of a backend may hold, beside its `Settings` (a `BackendSettings`).

    Without `open_engine` its settings say `is_recorded`, and it has `read_outputs`. The rest may be missing.
    """

    def open_engine(self, model: ModelSettings, backend: Any, max_tokens: int, log: Path) -> Engine:  # noqa: ANN401
        """An engine for `model`, not started yet."""
        ...

    def read_outputs(self, model: ModelSettings) -> Outputs:
        """Answers that were made elsewhere."""
        ...

    def preflight(self, model: ModelSettings, backend: Any, max_tokens: int) -> object:  # noqa: ANN401
        """Raises UserError for what can be seen to be wrong before anything is downloaded."""
        ...

    def stated_needs(self, model: ModelSettings, backend: Any) -> str:  # noqa: ANN401
        """What a machine must have to serve `model`, in words."""
        ...

    def python(self, backend: Any) -> Path | None:  # noqa: ANN401
        """A Python of the engine's own environment; None if there is none."""
        ...


class Outputs(Protocol):
    """Answers that were made elsewhere."""

    @property
    def path(self) -> Path:
        """The file that they were read from."""
        ...

    def __len__(self) -> int: ...

    def identity(self) -> dict[str, Any]:
        """What decides the answers: see `Engine.identity`."""
        ...

    def find(self, request: Request) -> Completion | None:
        """The answer to `request`, None if there is none."""
        ...

    def unused(self, requests: Iterable[Request]) -> int:
        """How many belong to none of `requests`."""
        ...


def preflight(model: ModelSettings, backend: BackendSettings, max_tokens: int) -> None:
    """Whatever a backend can see to be wrong before anything is downloaded.

    Raises:
        UserError: this machine cannot serve the model that way.
    """
    module = _module(backend)
    if hasattr(module, "preflight"):
        module.preflight(model, backend, max_tokens)


def open_engine(model: ModelSettings, backend: BackendSettings, max_tokens: int, log: Path) -> Engine:
    """An engine for `model`, not started yet. Fetches its weights.

    Raises:
        UserError: the backend cannot serve this model.
    """
    module = _module(backend)
    with blamed("engines", backend.kind):
        return module.open_engine(model, backend, max_tokens, log)


def read_outputs(model: ModelSettings, backend: BackendSettings) -> Outputs:
    """The recorded answers of a backend whose settings say `is_recorded`.

    Raises:
        UserError: they cannot be read.
    """
    module = _module(backend)
    with blamed("engines", backend.kind):
        return module.read_outputs(model)


def stated_needs(model: ModelSettings, backend: BackendSettings) -> str:
    """What a machine must have to serve `model`, in words; '-' where the backend does not say."""
    module = _module(backend)
    return module.stated_needs(model, backend) if hasattr(module, "stated_needs") else "-"


def engine_python(backend: BackendSettings) -> Path | None:
    """A Python of the engine's own environment; None if it has none."""
    module = _module(backend)
    return module.python(backend) if hasattr(module, "python") else None


def _module(backend: BackendSettings) -> Backend:
    """`backend.kind` is the name of a module here or from outside: whoever made the settings has found it."""
    return cast(Backend, load("engines", backend.kind))


Heard = Callable[[Mapping[str, Any]], None]
"""Called with each piece of an answer as it comes, with the server's own timings so far or {}."""


@runtime_checkable
class StreamingEngine(Protocol):
    """An engine of which it can be told when each piece of an answer comes."""

    async def stream(
        self, messages: Sequence[Message], sampling: GenerationSettings, heard: Heard
    ) -> Completion:
        """One answer, on whichever slot the server chooses. Raises EngineDied when the server is gone."""
        ...

    def server_command(self) -> list[str]:
        """The command line that serves the model with the same settings, as they are since `start`."""
        ...


@runtime_checkable
class PricedEngine(Protocol):
    """An engine that costs money, and must know what earlier sessions of its run have cost."""

    def count_earlier(
        self, sessions: Iterable[Mapping[str, Any]], records: Iterable[TokenCounts]
    ) -> None: ...


class TokenCounts(Protocol):
    """What is known of a finished answer's tokens."""

    @property
    def prompt_tokens(self) -> int | None: ...

    @property
    def cached_tokens(self) -> int | None: ...

    @property
    def completion_tokens(self) -> int | None: ...
