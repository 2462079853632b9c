"""vLLM as an engine: a child `vllm serve` with continuous batching and its own prefix cache."""

from __future__ import annotations

import asyncio
import hashlib
import statistics
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.backends.checkpoint import chat_template, dtype_of, geometry_of, read_config
from evalkit.backends.client import complete
from evalkit.backends.engine import CONTEXT_OVERFLOW, Completion, EngineDied, EngineUnusable, Sampling
from evalkit.backends.memory import PeakMemory
from evalkit.backends.needs import Stored, require_room, this_machine, value_bytes
from evalkit.backends.server_process import require_free_port
from evalkit.backends.speed import Speed
from evalkit.backends.vllm_options import SERVED_NAME, Installation, check_options, find_installation
from evalkit.backends.vllm_server import VllmServer
from evalkit.backends.vllm_speed import measure_streamed
from evalkit.errors import UserError
from evalkit.example import Message

if TYPE_CHECKING:
    from evalkit.models.checkpoint import Checkpoint

_TOKENIZE_TOGETHER = 8
# Tokens that a chat template may add to a prompt, and that an answer still to come may take.
_TEMPLATE = 512
_LATER_ANSWER = 512
# The KV cache on a CPU where none is given, in requests of full length: vLLM would take 92 % of the memory.
_CPU_REQUESTS = 8
# Most answers are far shorter than their cap, which is there for the ones that ramble. Where this share is
# too low, vLLM puts a request back into its queue and computes it again later.
_SHARE_OF_ANSWER = 4


class Vllm:
    """One checkpoint behind vLLM's server.

    ``slots`` is how many requests are sent together. vLLM batches and queues by itself, so that is as many
    typical ones as its KV cache holds, `max_num_seqs` at most: more would push each other's prefixes out.

    Args:
        config: the checkpoint's config.json.
        template: the Jinja source of the chat template in force; template_file: where it was given.
        max_tokens: the longest answer, in tokens.
        backend: the composed `backend` config.
        log: where the server's output goes.
    """

    def __init__(
        self,
        *,
        checkpoint: Checkpoint,
        config: Mapping[str, Any],
        template: str,
        template_file: Path | None,
        max_tokens: int,
        backend: Mapping[str, Any],
        installation: Installation,
        log: Path,
    ) -> None:
        self.slots: int = backend["max_num_seqs"]
        self._checkpoint = checkpoint
        self._geometry = geometry_of(config)
        self._checkpoint_dtype = dtype_of(config)
        self._template = template
        self._max_tokens = max_tokens
        self._backend = backend
        self._installation = installation
        self._memory = PeakMemory()
        self._server = VllmServer(checkpoint.folder, backend, installation, template_file, log, self._memory)
        self._revival = asyncio.Lock()
        self._max_model_len: int | None = backend["max_model_len"]
        self._typical_prompt: int | None = None

    def identity(self) -> dict[str, Any]:
        return {
            "engine": "vllm",
            "build": f"{self._installation.package} {self._installation.version}",
            "weights_sha256": self._checkpoint.sha256,
            "chat_template_sha256": hashlib.sha256(self._template.encode()).hexdigest(),
            "dtype": self._backend["dtype"],
            "quantization": self._backend["quantization"],
            # A length chosen from the data always holds every prompt, so only a given one decides anything.
            "max_model_len": self._backend["max_model_len"],
        }

    def description(self) -> dict[str, Any]:
        return {
            "checkpoint": {
                "path": str(self._checkpoint.folder),
                "origin": self._checkpoint.origin,
                "dtype": self._checkpoint_dtype,
                "weights_bytes": self._checkpoint.weights_bytes,
                "files": dict(self._checkpoint.files),
            },
            "slots": self.slots,
            "context_per_slot": self._server.context,
            "kv_cache_bytes": self._kv_cache_bytes(),
            "kv_cache_tokens": self._server.cache_tokens,
            "tensor_parallel_size": self._backend["tensor_parallel_size"],
            "pipeline_parallel_size": self._backend["pipeline_parallel_size"],
            "load_seconds": round(self._server.load_seconds, 3),
        }

    def peak_memory_bytes(self) -> int | None:
        return self._memory.bytes or None

    def peak_gpu_memory_bytes(self) -> int | None:
        return self._memory.gpu_bytes

    async def probe(self) -> Speed | None:
        assert self._server.client is not None
        return await measure_streamed(self._server.client, SERVED_NAME, self._server.context or 0)

    async def tokenize(self, prompts: Sequence[Sequence[Message]]) -> list[array[int]] | None:
        """The tokens of each prompt as the server renders it.

        Asked before `start`, it starts the server for good, with room for as many tokens as the longest
        prompt has bytes, because a token is a byte or more. That is a few times too much and costs nothing:
        vLLM hands out its KV cache in pages as sequences grow.
        """
        if not self._server.alive:
            await self._start(max(map(_most_tokens, prompts), default=0))
        gate = asyncio.Semaphore(_TOKENIZE_TOGETHER)

        async def one(messages: Sequence[Message]) -> array[int]:
            async with gate:
                return await self._tokens(messages)

        tokens = list(await asyncio.gather(*map(one, prompts)))
        if tokens:
            self._typical_prompt = int(statistics.median(map(len, tokens)))
        return tokens

    async def _tokens(self, messages: Sequence[Message]) -> array[int]:
        rendered = [{"role": m.role, "content": m.content} for m in messages]
        body = {"model": SERVED_NAME, "messages": rendered, "add_generation_prompt": True}
        return array("i", (await self._server.post("/tokenize", body))["tokens"])

    async def start(self, longest_prompt: int | None) -> None:
        if not self._server.alive:
            await self._start(longest_prompt)
        if self._server.cache_tokens and self._typical_prompt is not None:
            typical = self._typical_prompt + self._max_tokens // _SHARE_OF_ANSWER
            self.slots = max(1, min(self._backend["max_num_seqs"], self._server.cache_tokens // typical))

    async def _start(self, longest_prompt: int | None) -> None:
        if not self._backend["max_model_len"] and longest_prompt is not None:
            wanted = longest_prompt + self._max_tokens
            # More than the model was trained for is of no use, and vLLM refuses it.
            self._max_model_len = min(wanted, self._geometry.context) if self._geometry else wanted
        await self._server.stop()  # what is left of one that died
        await self._server.start(self._max_model_len, self._kv_cache_bytes())

    def _kv_cache_bytes(self) -> int | None:
        given: int | None = self._backend["kv_cache_bytes"]
        share = self._backend["gpu_memory_utilization"]
        if given or share is not None or not self._installation.cpu or self._geometry is None:
            return given
        tokens = self._max_model_len or self._geometry.context
        return _CPU_REQUESTS * tokens * self._geometry.kv_bytes_per_token(value_bytes(self._backend))

    async def complete(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        slot: int,  # noqa: ARG002 - vLLM finds prefixes by itself
    ) -> Completion:
        completion = await self._complete(messages, sampling)
        if completion.error == CONTEXT_OVERFLOW and self._server.context:
            # Older versions refuse a prompt that leaves less than `max_tokens`: what is left must do.
            room = self._server.context - await self._size(messages)
            if 0 < room < sampling.max_tokens:
                return await self._complete(messages, replace(sampling, max_tokens=room))
        return completion

    async def _size(self, messages: Sequence[Message]) -> int:
        try:
            return len(await self._tokens(messages))
        except EngineUnusable as error:  # it can be started again
            raise EngineDied(str(error)) from error

    async def _complete(self, messages: Sequence[Message], sampling: Sampling) -> Completion:
        client = self._server.client
        if client is None or not self._server.alive:
            raise EngineDied("the server has ended")
        extra = {
            "top_k": sampling.top_k,  # 0 is off for vLLM too
            "min_p": sampling.min_p,
            "repetition_penalty": sampling.repetition_penalty,
        }
        return await complete(client, SERVED_NAME, messages, sampling, extra)

    async def revive(self) -> None:
        async with self._revival:
            if self._server.alive and await self._server.healthy():
                return
            await self._server.stop()
            await self._server.start(self._max_model_len, self._kv_cache_bytes())

    async def stop(self) -> None:
        await self._server.stop()


def _most_tokens(prompt: Sequence[Message]) -> int:
    """A bound on a prompt's tokens: its bytes, the template's, and room for an empty message to be filled."""
    return _TEMPLATE + sum(len(m.content.encode()) or _LATER_ANSWER for m in prompt)


def open_engine(model: Mapping[str, Any], backend: Mapping[str, Any], max_tokens: int, log: Path) -> Vllm:
    """The engine for a checkpoint: is there room, is vLLM there, fetch the files, settle the chat template.

    Raises:
        UserError: this machine cannot hold the model, there is no vLLM, the checkpoint cannot be had, or it
            has no chat template and none was given.
    """
    from evalkit.models.checkpoint import resolve_checkpoint

    installation = preflight(model, backend, max_tokens)
    given = model.get("chat_template")
    template_file = Path(given).absolute() if given else None
    template = _read_template(template_file) if template_file else None
    checkpoint = resolve_checkpoint(model)
    config = read_config(checkpoint.folder)
    stored = Stored(checkpoint.weights_bytes, dtype_of(config), geometry_of(config))
    require_room(model, backend, max_tokens, this_machine(), cpu=installation.cpu, stored=stored)
    template = template or chat_template(checkpoint.folder)
    if not template:
        raise UserError(f"{model['name']} has no chat template: give one with model.chat_template=FILE.jinja")
    return Vllm(
        checkpoint=checkpoint,
        config=config,
        template=template,
        template_file=template_file,
        max_tokens=max_tokens,
        backend=backend,
        installation=installation,
        log=log,
    )


def preflight(model: Mapping[str, Any], backend: Mapping[str, Any], max_tokens: int) -> Installation:
    """What can be found wrong without any download: settings, room on this machine, no vLLM, a taken port.

    That the machine cannot hold the model is said before that vLLM is missing: installing would not help.

    Returns:
        The installed vLLM.

    Raises:
        UserError: one line that says what is wrong and what could do it.
    """
    check_options(backend)
    if backend["port"]:
        require_free_port(backend["port"])
    is_here = bool(model.get("path"))  # then its files say what it needs, and not the config
    try:
        found = find_installation(backend["executable"])
    except UserError:
        if not is_here:
            require_room(model, backend, max_tokens, this_machine())
        raise
    if not is_here:
        require_room(model, backend, max_tokens, this_machine(), cpu=found.cpu)
    return found


def _read_template(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"model.chat_template: cannot read {path}") from error
