"""A vLLM server in a child process: started, ready, asked what it has, ended."""

from __future__ import annotations

import asyncio
import re
import secrets
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.backends.client import connect
from evalkit.backends.engine import EngineUnusable
from evalkit.backends.memory import PeakMemory
from evalkit.backends.server_process import free_port
from evalkit.backends.vllm_options import SERVED_NAME, Installation, arguments, environment
from evalkit.backends.vllm_process import VllmProcess
from evalkit.errors import UserError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_POLL_SECONDS = 0.25
_CACHE_INFO = re.compile(r"^vllm:cache_config_info\{([^\n]{0,4000})\}", re.MULTILINE)
_BLOCKS = re.compile(r'\b(num_gpu_blocks|block_size)="(\d{1,12})"')


class VllmServer:
    """One server, which can be started again after it ended.

    ``context`` (tokens of a sequence), ``cache_tokens`` (that the KV cache holds) and ``load_seconds`` are
    what the last start found; None where the server does not tell.

    Args:
        checkpoint: the model's folder.
        backend: the composed `backend` config.
        chat_template: a file to use instead of the checkpoint's own.
        log: where the server's output goes; memory: follows its process tree.
    """

    def __init__(
        self,
        checkpoint: Path,
        backend: Mapping[str, Any],
        installation: Installation,
        chat_template: Path | None,
        log: Path,
        memory: PeakMemory,
    ) -> None:
        self.client: AsyncOpenAI | None = None
        self.context: int | None = None
        self.cache_tokens: int | None = None
        self.load_seconds = 0.0
        self._checkpoint = checkpoint
        self._backend = backend
        self._installation = installation
        self._chat_template = chat_template
        self._log = log
        self._memory = memory
        self._key = secrets.token_urlsafe(24)
        self._process: VllmProcess | None = None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.alive

    async def start(self, max_model_len: int | None, kv_cache_bytes: int | None) -> None:
        """Start and wait until it answers.

        Raises:
            UserError: it gave up by itself, with its reason, or does not serve within `start_timeout`.
            EngineUnusable: it was killed.
        """
        started = time.monotonic()
        port = self._backend["port"] or free_port()
        words = arguments(
            self._checkpoint,
            self._backend,
            max_model_len=max_model_len,
            kv_cache_bytes=kv_cache_bytes,
            chat_template=self._chat_template,
            port=port,
        )
        host = [sys.executable, "-m", "evalkit.backends.vllm_host"]
        self._process = VllmProcess(self._log, self._memory)
        try:
            await self._process.start(
                [*host, *self._installation.serve(), *words], env=environment(self._key)
            )
            self.client = connect(f"http://127.0.0.1:{port}/v1", self._key, float(self._backend["timeout"]))
            await self._until_healthy(self._process)
            self.load_seconds = time.monotonic() - started
            self.context = await self._context()
            self.cache_tokens = cache_tokens(await self._get("/metrics", str))
        except BaseException:
            await self.stop()
            raise

    async def _until_healthy(self, process: VllmProcess) -> None:
        seconds = self._backend["start_timeout"]
        deadline = time.monotonic() + seconds
        while process.alive:
            if await self.healthy():
                return
            if time.monotonic() > deadline:
                raise UserError(
                    f"vLLM does not serve after {seconds} s: give it longer with "
                    f"backend.start_timeout=SECONDS (log: {self._log})"
                )
            await asyncio.sleep(_POLL_SECONDS)
        raise await process.failed_start("vLLM cannot serve this model")

    async def healthy(self) -> bool:
        """Whether the server, its engine and its workers answer."""
        from openai import APIError

        assert self.client is not None
        try:
            await self.client.with_options(timeout=10).get(f"{self._root()}/health", cast_to=str)
        except APIError:
            return False
        return True

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST to a path outside the OpenAI protocol.

        Raises:
            EngineUnusable: no answer, or an error.
        """
        from openai import APIError

        assert self.client is not None
        try:
            return await self.client.post(f"{self._root()}{path}", cast_to=dict[str, Any], body=dict(body))
        except APIError as error:
            raise EngineUnusable(f"vLLM does not answer {path}: {str(error)[:300]}") from error

    async def _get(self, path: str, kind: type[Any]) -> Any:  # noqa: ANN401 - what `kind` says
        from openai import APIError

        assert self.client is not None
        try:
            return await self.client.get(f"{self._root()}{path}", cast_to=kind)
        except APIError as error:
            raise EngineUnusable(f"vLLM does not answer {path}: {str(error)[:300]}") from error

    def _root(self) -> str:
        assert self.client is not None
        return str(self.client.base_url).removesuffix("/v1/")

    async def _context(self) -> int | None:
        models = (await self._get("/v1/models", dict[str, Any])).get("data") or []
        found = next((m.get("max_model_len") for m in models if m.get("id") == SERVED_NAME), None)
        return found if isinstance(found, int) else None

    async def stop(self) -> None:
        """End everything; safe to call at any time."""
        process, client, self._process, self.client = self._process, self.client, None, None
        if process is not None:
            await process.stop()
        if client is not None:
            await client.close()


def cache_tokens(metrics: str) -> int | None:
    """The tokens that vLLM's KV cache holds, from its Prometheus text; None if that does not say."""
    info = _CACHE_INFO.search(metrics)
    found = {name: int(value) for name, value in _BLOCKS.findall(info[1])} if info else {}
    return found["num_gpu_blocks"] * found["block_size"] if len(found) == 2 else None
