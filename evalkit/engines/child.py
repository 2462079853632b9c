"""Engines that serve their model with a child process: what llama.cpp and vLLM have in common.

A server listens on loopback only, wants a random key, and never outlives its parent.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from evalkit.config.settings import ModelSettings
from evalkit.engines import EngineDied, Heard
from evalkit.engines.client import NoAccess, Refused, Transient, chat, connect, parameters
from evalkit.engines.loops import streamed_chat
from evalkit.engines.measure import PeakMemory
from evalkit.engines.process import Limits, ServerProcess, first_error
from evalkit.schema import ENGINE_ERROR, Completion, EngineUnusable, GenerationSettings, Message, UserError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

T = TypeVar("T")

SERVED_NAME = "model"
"""What every server of ours calls its model."""

_POLL_SECONDS = 0.1
_HEALTH_SECONDS = 10
_TOKENIZE_TOGETHER = 8


@dataclass(frozen=True, slots=True)
class Launch:
    """How a server program is started.

    Args:
        program: what it is called in messages.
        command: must end when its standard input closes: see `evalkit.children`.
        address: where it says on `/health` that it serves; None: it prints `{"address": ...}` once it does.
        first_line: for its standard input.
        env: for its environment, beside ours.
        seconds: until it must serve; None: as long as it lives.
        limits: what it may take until then.
    """

    program: str
    command: Sequence[str]
    address: str | None = None
    first_line: bytes = b""
    env: Mapping[str, str] = field(default_factory=dict)
    seconds: float | None = None
    limits: Limits | None = None


class ChildServer:
    """A server in a child process, which can be started again after it ended.

    ``client`` is None while it is not started, ``load_seconds`` are those of its last start, and ``memory``
    follows its process tree.

    Args:
        name: of the engine, for messages.
        timeout: seconds for one answer.
        tidy_seconds, telling_line: see `ServerProcess`.
    """

    def __init__(
        self,
        name: str,
        log: Path,
        timeout: float,
        *,
        tidy_seconds: float = 0.0,
        telling_line: Callable[[Sequence[str]], str] = first_error,
    ) -> None:
        self.name = name
        self.timeout = timeout
        self.key = secrets.token_urlsafe(24)
        self.client: AsyncOpenAI | None = None
        self.load_seconds = 0.0
        self.memory = PeakMemory()
        self._log = log
        self._tidy_seconds = tidy_seconds
        self._telling_line = telling_line
        self._process: ServerProcess | None = None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.alive

    async def start(self, launch: Launch) -> None:
        """Start and wait until it answers.

        Raises:
            UserError: it gave up by itself, with its reason, or does not serve in time.
            EngineUnusable: it was killed.
        """
        await self.stop()  # what is left of one that died
        started = time.monotonic()
        process = self._process = ServerProcess(
            self._log, self.memory, tidy_seconds=self._tidy_seconds, telling_line=self._telling_line
        )
        try:
            await process.start(launch.command, launch.first_line, launch.env, launch.limits)
            address = launch.address or await self._announced(process, launch)
            self.client = connect(f"{address}/v1", self.key, self.timeout)
            if launch.address:
                await self._until_healthy(process, launch)
            process.loaded()
        except BaseException:
            await self.stop()
            raise
        self.load_seconds = time.monotonic() - started

    async def _until_healthy(self, process: ServerProcess, launch: Launch) -> None:
        started = time.monotonic()
        while process.alive:
            if await self.healthy():
                return
            if launch.seconds is not None and time.monotonic() - started > launch.seconds:
                raise self._late(launch.seconds)
            await asyncio.sleep(_POLL_SECONDS)
        raise await process.failed_start(f"{launch.program} cannot serve this model")

    def _late(self, seconds: float) -> UserError:
        return UserError(
            f"{self.name} does not serve after {seconds:g} s: give it longer with "
            f"backend.start_timeout=SECONDS (log: {self._log})"
        )

    async def _announced(self, process: ServerProcess, launch: Launch) -> str:
        """The address in the line that says so; other lines are of what the server itself has loaded."""
        try:
            async with asyncio.timeout(launch.seconds):
                while line := await process.read_line():
                    with contextlib.suppress(ValueError, RecursionError):
                        said = json.loads(line)
                        if isinstance(said, dict) and isinstance(said.get("address"), str):
                            address: str = said["address"]
                            return address
        except TimeoutError as error:
            assert launch.seconds is not None
            raise self._late(launch.seconds) from error
        raise await process.failed_start(f"{launch.program} cannot serve this model")

    async def healthy(self) -> bool:
        """Whether the server, and what works for it, answers."""
        from openai import APIError

        assert self.client is not None
        try:
            await self.client.with_options(timeout=_HEALTH_SECONDS).get(self._url("/health"), cast_to=str)
        except APIError:
            return False
        return True

    async def get(self, path: str, kind: type[T]) -> T:
        """GET from a path outside the OpenAI protocol; `kind` is what the answer is read as.

        Raises:
            EngineUnusable: no answer, or an error.
        """
        from openai import APIError

        assert self.client is not None
        try:
            return await self.client.get(self._url(path), cast_to=kind)
        except APIError as error:
            raise self._silent(path, error) from error

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST to a path outside the OpenAI protocol.

        Raises:
            EngineUnusable: no answer, or an error.
        """
        from openai import APIError

        assert self.client is not None
        try:
            return await self.client.post(self._url(path), cast_to=dict[str, Any], body=dict(body))
        except APIError as error:
            raise self._silent(path, error) from error

    def _silent(self, path: str, error: Exception) -> EngineUnusable:
        return EngineUnusable(f"{self.name} does not answer {path}: {str(error)[:300]}")

    def _url(self, path: str) -> str:
        assert self.client is not None
        return str(self.client.base_url).removesuffix("/v1/") + path

    async def stop(self) -> None:
        """End everything; safe to call at any time."""
        process, client, self._process, self.client = self._process, self.client, None, None
        if process is not None:
            await process.stop()
        if client is not None:
            await client.close()


class ChildEngine(ABC):
    """An engine with a server of its own. A subclass says how that is started and what it understands.

    ``slots`` is how many requests are served together.
    """

    slots: int
    _is_llama_cpp = True  # what it does with an answer that is streamed: see `streamed_chat`

    def __init__(self, server: ChildServer, slots: int) -> None:
        self.slots = slots
        self._server = server
        self._revival = asyncio.Lock()

    @abstractmethod
    async def _launch(self) -> None:
        """Start the server, or start it again as it was."""

    @abstractmethod
    async def _tokens(self, messages: Sequence[Message]) -> array[int]:
        """The tokens of a prompt as the running server renders it. Raises EngineUnusable."""

    async def _tokens_of(self, prompts: Sequence[Sequence[Message]]) -> list[array[int]]:
        gate = asyncio.Semaphore(_TOKENIZE_TOGETHER)

        async def one(messages: Sequence[Message]) -> array[int]:
            async with gate:
                return await self._tokens(messages)

        return list(await asyncio.gather(*map(one, prompts)))

    async def _chat(
        self,
        messages: Sequence[Message],
        sampling: GenerationSettings,
        more: Mapping[str, Any],
        heard: Heard | None = None,
    ) -> Completion:
        """One answer.

        Args:
            more: what the server understands beyond the OpenAI protocol.
            heard: called with each piece of it as it comes; None: nobody listens.

        Raises:
            EngineDied: the server is gone, or did not answer as it should: it is worth another try.
        """
        client = self._server.client
        if client is None or not self._server.alive:
            raise EngineDied("the server has ended")
        neutral = {"presence_penalty": 0.0, "frequency_penalty": 0.0}
        body = {**parameters(sampling), **neutral, **more}
        started = time.monotonic()
        try:
            if sampling.stop_loops or heard is not None:
                return await streamed_chat(
                    client,
                    SERVED_NAME,
                    messages,
                    body,
                    self._server.timeout,
                    heard,
                    until_loop=sampling.stop_loops,
                    timed=self._is_llama_cpp,
                    hangs_up=self._is_llama_cpp,
                )
            completion, _ = await chat(client, SERVED_NAME, messages, body, self._server.timeout)
        except Transient as error:
            raise EngineDied(str(error)) from error
        except (Refused, NoAccess) as error:
            latency = time.monotonic() - started
            return Completion(None, None, error=f"{ENGINE_ERROR}: {error}", latency_s=latency)
        return completion

    async def revive(self) -> None:
        """Start the server again unless it answers; of many callers at once the first does it."""
        async with self._revival:
            if not (self._server.alive and await self._server.healthy()):
                await self._launch()

    async def stop(self) -> None:
        await self._server.stop()

    def peak_memory_bytes(self) -> int | None:
        return self._server.memory.bytes or None

    def peak_gpu_memory_bytes(self) -> int | None:
        return self._server.memory.gpu_bytes


def given_template(model: ModelSettings) -> str | None:
    """The Jinja source that the user gave instead of the model's own chat template.

    Raises:
        UserError: its file cannot be read.
    """
    if not model.chat_template:
        return None
    file = Path(model.chat_template)
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"model.chat_template: cannot read {file}") from error


def require_template(template: str | None, name: str) -> str:
    """Raises UserError if the model called `name` has no chat template."""
    if not template:
        raise UserError(f"{name} has no chat template: give one with model.chat_template=FILE.jinja")
    return template
