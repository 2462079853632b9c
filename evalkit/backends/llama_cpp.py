"""llama.cpp as an engine: a child server with continuous batching over slots that keep their prompt cache."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import sys
import time
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.backends.client import complete, connect
from evalkit.backends.engine import Completion, EngineDied, EngineUnusable, Sampling
from evalkit.backends.llama_options import ServerOptions, arguments, engine_build, find_binary
from evalkit.backends.memory import PeakMemory
from evalkit.backends.server_process import ServerProcess, free_port, require_free_port
from evalkit.backends.speed import Speed, measure_speed
from evalkit.errors import UserError
from evalkit.example import Message

if TYPE_CHECKING:
    from openai import AsyncOpenAI

    from evalkit.gguf.header import GGUFHeader

_CONTEXT_STEP = 256  # llama.cpp pads the KV cache to this many tokens
_TOKENIZE_TOGETHER = 8


class LlamaCpp:
    """One GGUF file behind llama.cpp's server.

    Args:
        weights: path of the GGUF file; sha256: of its bytes; provenance: what run.json says of it.
        header: of the GGUF file.
        chat_template: the Jinja source in force, and whether it is the file's own.
        max_tokens: the longest answer, in tokens, that the context must have room for.
        backend: the composed `backend` config.
        binary: a llama-server executable; None: the xllamacpp wheel.
        log: where the server's output goes.
    """

    def __init__(
        self,
        *,
        weights: Path,
        sha256: str,
        provenance: Mapping[str, Any],
        header: GGUFHeader,
        chat_template: str,
        template_from_file: bool,
        max_tokens: int,
        backend: Mapping[str, Any],
        binary: str | None,
        log: Path,
    ) -> None:
        import psutil

        self.slots: int = backend["slots"]
        self._sha256 = sha256
        self._provenance = provenance
        self._template = chat_template
        self._header = header
        self._max_tokens = max_tokens
        self._backend = backend
        self._binary = binary
        self._timeout = float(backend["timeout"])
        self._log = log
        self._memory = PeakMemory()
        self._server: ServerProcess | None = None
        self._client: AsyncOpenAI | None = None
        self._revival = asyncio.Lock()
        self._load_seconds = 0.0
        self._options = ServerOptions(
            model=str(weights),
            slots=self.slots,
            context=0,
            threads=backend["threads"] or psutil.cpu_count(logical=False) or 1,
            gpu_layers=backend["gpu_layers"],
            flash_attention=_switch(backend["flash_attention"]),
            mmap=backend["mmap"],
            chat_template=None if template_from_file else chat_template,
            port=backend["port"],
            key=secrets.token_urlsafe(24),
        )

    def identity(self) -> dict[str, Any]:
        return {
            "engine": "llama.cpp",
            "build": engine_build(self._binary),
            "weights_sha256": self._sha256,
            "chat_template_sha256": hashlib.sha256(self._template.encode()).hexdigest(),
            "flash_attention": self._options.flash_attention,
            # A context chosen from the data always holds every prompt, so only a given one decides anything.
            "context": self._backend["context"],
        }

    def description(self) -> dict[str, Any]:
        return {
            "weights": dict(self._provenance),
            "slots": self.slots,
            "context_per_slot": self._options.context,
            "threads": self._options.threads,
            "gpu_layers": self._options.gpu_layers,
            "binary": self._binary,
            "load_seconds": round(self._load_seconds, 3),
            "predicted_memory": self._predicted_memory(),
        }

    def _predicted_memory(self) -> dict[str, int] | None:
        from evalkit.gguf.memory import predicted_memory

        if not self._options.context:
            return None
        try:
            predicted = predicted_memory(
                self._header,
                context=self._options.context,
                slots=self.slots,
                flash_attention=self._options.flash_attention != "off",
            )
        except UserError:  # a header without a geometry: llama.cpp may know the model all the same
            return None
        return asdict(predicted)

    def peak_memory_bytes(self) -> int | None:
        return self._memory.bytes or None

    def peak_gpu_memory_bytes(self) -> int | None:
        return self._memory.gpu_bytes

    async def probe(self) -> Speed | None:
        return await measure_speed(self._post, self._options.context)

    async def tokenize(self, prompts: Sequence[Sequence[Message]]) -> list[array[int]] | None:
        """The tokens of each prompt as the chat template renders it.

        Asked before `start`, when the context to start with is not known yet, it uses a server of its own
        with a tiny context: the weights are mapped and not read, so that costs a fraction of a second.
        """
        if self._client is not None:
            return await self._tokenize(prompts)
        scout = replace(self._options, slots=1, context=_CONTEXT_STEP, mmap=True, repack=False, warmup=False)
        memory, self._memory = self._memory, PeakMemory()  # the scout's memory is not the model's
        try:
            await self._launch(scout)
            return await self._tokenize(prompts)
        finally:
            await self.stop()
            self._memory = memory

    async def _tokenize(self, prompts: Sequence[Sequence[Message]]) -> list[array[int]]:
        gate = asyncio.Semaphore(_TOKENIZE_TOGETHER)

        async def one(messages: Sequence[Message]) -> array[int]:
            body = {"messages": [{"role": m.role, "content": m.content} for m in messages]}
            async with gate:
                rendered = await self._post("/apply-template", body)
                tokens = await self._post(
                    "/tokenize", {"content": rendered["prompt"], "add_special": True, "parse_special": True}
                )
            return array("i", tokens["tokens"])

        return list(await asyncio.gather(*(one(messages) for messages in prompts)))

    async def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        from openai import APIError

        assert self._client is not None
        root = str(self._client.base_url).removesuffix("/v1/")
        try:
            return await self._client.post(f"{root}{path}", cast_to=dict[str, Any], body=dict(body))
        except APIError as error:
            raise EngineUnusable(f"llama.cpp does not answer {path}: {str(error)[:300]}") from error

    async def start(self, longest_prompt: int | None) -> None:
        self._options = replace(self._options, context=self._context(longest_prompt))
        await self._launch(self._options)

    def _context(self, longest_prompt: int | None) -> int:
        if self._backend["context"]:
            return int(self._backend["context"])
        wanted = (longest_prompt or 0) + self._max_tokens
        padded = -(-wanted // _CONTEXT_STEP) * _CONTEXT_STEP
        # More than the model was trained for is of no use.
        return min(padded, self._header.n_ctx_train or padded)

    async def _launch(self, options: ServerOptions) -> None:
        started = time.monotonic()
        self._server = ServerProcess(self._log, self._memory)
        if self._binary:
            address = await self._launch_binary(self._binary, options)
        else:
            address = await self._launch_host(options)
        self._load_seconds = time.monotonic() - started
        self._client = connect(f"{address}/v1", options.key, self._timeout)

    async def _launch_host(self, options: ServerOptions) -> str:
        assert self._server is not None
        line = json.dumps(asdict(options)).encode() + b"\n"
        await self._server.start([sys.executable, "-m", "evalkit.backends.llama_host"], first_line=line)
        answer = await self._server.read_line()
        if not answer:
            raise await self._server.failed_start("llama.cpp cannot serve this model")
        address: str = json.loads(answer)["address"]
        return address

    async def _launch_binary(self, binary: str, options: ServerOptions) -> str:
        assert self._server is not None
        port = options.port or free_port()
        leash = [sys.executable, "-m", "evalkit.backends.leash"]
        template = {"LLAMA_ARG_CHAT_TEMPLATE": options.chat_template} if options.chat_template else {}
        await self._server.start(
            [*leash, binary, *arguments(options, port)], env={"LLAMA_API_KEY": options.key, **template}
        )
        address = f"http://127.0.0.1:{port}"
        await self._until_healthy(address)
        return address

    async def _until_healthy(self, address: str) -> None:
        from openai import APIError

        assert self._server is not None
        async with connect(address, "none", timeout=5) as client:
            while self._server.alive:
                try:
                    await client.get("/health", cast_to=dict[str, Any])
                except APIError:
                    await asyncio.sleep(0.1)
                else:
                    return
        raise await self._server.failed_start("llama-server cannot serve this model")

    async def complete(self, messages: Sequence[Message], sampling: Sampling, slot: int) -> Completion:
        client, server = self._client, self._server
        if client is None or server is None or not server.alive:
            raise EngineDied("the server has ended")
        extra = {
            "id_slot": slot,
            "cache_prompt": True,
            "top_k": sampling.top_k,
            "min_p": sampling.min_p,
            "repeat_penalty": sampling.repetition_penalty,
            # Over the whole context, as everybody but llama.cpp means it.
            "repeat_last_n": self._options.context,
            "typical_p": 1.0,
            "mirostat": 0,
            "dynatemp_range": 0.0,
            "xtc_probability": 0.0,
            "dry_multiplier": 0.0,
            "top_n_sigma": -1.0,
            "reasoning_format": "none",  # <think> stays in the text, where scoring looks for it
        }
        return await complete(client, "model", messages, sampling, extra)

    async def revive(self) -> None:
        async with self._revival:
            if self._server is not None and self._server.alive and await self._healthy():
                return
            await self.stop()
            await self._launch(self._options)

    async def _healthy(self) -> bool:
        from openai import APIError

        assert self._client is not None
        try:
            await self._client.with_options(timeout=10).models.list()
        except APIError:
            return False
        return True

    async def stop(self) -> None:
        server, client, self._server, self._client = self._server, self._client, None, None
        if server is not None:
            await server.stop()
        if client is not None:
            await client.close()


def open_engine(model: Mapping[str, Any], backend: Mapping[str, Any], max_tokens: int, log: Path) -> LlamaCpp:
    """The engine for a GGUF model: fetch the file, read its header, settle the chat template.

    Raises:
        UserError: the file cannot be had, is no complete GGUF, or has no chat template and none was given.
    """
    from evalkit.backends.llama_weights import weights_provenance
    from evalkit.gguf.header import read_header
    from evalkit.models.weights import resolve

    # What takes no download to find wrong comes first.
    binary = find_binary(backend["binary"])
    if backend["port"]:
        require_free_port(backend["port"])
    given = model.get("chat_template")
    template = _read_template(Path(given)) if given else None
    weights = resolve(model)
    header = read_header(weights.path)
    template = template or header.chat_template
    if not template:
        raise UserError(
            f"{weights.path.name} has no chat template: give one with model.chat_template=FILE.jinja"
        )
    return LlamaCpp(
        weights=weights.path,
        sha256=weights.sha256,
        provenance=weights_provenance(weights, header, model),
        header=header,
        chat_template=template,
        template_from_file=not given,
        max_tokens=max_tokens,
        backend=backend,
        binary=binary,
        log=log,
    )


def _switch(value: object) -> str:
    """YAML reads a bare off/on as a truth value."""
    return {False: "off", True: "on"}[value] if isinstance(value, bool) else str(value)


def _read_template(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"model.chat_template: cannot read {path}") from error
