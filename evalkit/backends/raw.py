"""Engines without evalkit: the bare loops that its throughput is compared with."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.backends.client import connect
from evalkit.backends.engine import EngineUnusable, Sampling
from evalkit.backends.llama_options import ServerOptions
from evalkit.backends.memory import PeakMemory
from evalkit.backends.server_process import ServerProcess
from evalkit.backends.vllm_options import environment
from evalkit.backends.vllm_process import VllmProcess

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_TIMEOUT = 3600.0  # seconds for one answer

Chat = Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Raw:
    """`texts` in the order of the chats; `tokens` generated in all, in `seconds`."""

    texts: tuple[str, ...]
    tokens: int
    seconds: float


async def raw_llama(
    groups: Sequence[Sequence[Chat]], engine: Mapping[str, Any], sampling: Sampling, log: Path
) -> Raw:
    """The chats on a llama.cpp server like that of a finished run, each slot on one group at a time.

    Args:
        groups: chats that share a prefix.
        engine: the `engine` block of that run's run.json.

    Raises:
        UserError: it does not start. EngineUnusable: it does not answer.
    """
    from openai import APIError

    options = ServerOptions(
        model=engine["weights"]["path"],
        slots=engine["slots"],
        context=engine["context_per_slot"],
        threads=engine["threads"],
        gpu_layers=engine["gpu_layers"],
        flash_attention=engine["flash_attention"],
        chat_template=None,
        port=None,
        key=secrets.token_urlsafe(24),
    )
    queue = deque(enumerate(groups))
    texts: dict[int, list[str]] = {}
    tokens = 0

    async def work(client: AsyncOpenAI, slot: int) -> None:
        nonlocal tokens
        while queue:
            number, group = queue.popleft()
            for chat in group:
                body = _body(chat, slot, sampling)
                found = await client.post("/chat/completions", cast_to=dict[str, Any], body=body)
                texts.setdefault(number, []).append(found["choices"][0]["message"]["content"])
                tokens += found["usage"]["completion_tokens"]

    server = ServerProcess(log, PeakMemory())
    try:
        line = json.dumps(asdict(options)).encode() + b"\n"
        await server.start([sys.executable, "-m", "evalkit.backends.llama_host"], first_line=line)
        ready = await server.read_line()
        if not ready:
            raise await server.failed_start("llama.cpp cannot serve this model")
        address = json.loads(ready)["address"]
        async with connect(f"{address}/v1", options.key, _TIMEOUT) as client:
            started = time.monotonic()
            await asyncio.gather(*(work(client, slot) for slot in range(options.slots)))
            seconds = time.monotonic() - started
    except APIError as error:
        raise EngineUnusable(f"the bare llama.cpp does not answer: {str(error)[:300]}") from error
    finally:
        await server.stop()
    return Raw(tuple(text for number in sorted(texts) for text in texts[number]), tokens, seconds)


def _body(chat: Chat, slot: int, sampling: Sampling) -> dict[str, Any]:
    return {
        "messages": list(chat),
        "temperature": sampling.temperature,
        "max_tokens": sampling.max_tokens,
        "seed": sampling.seed,
        "top_k": 0,
        "top_p": 1.0,
        "min_p": 0.0,
        "repeat_penalty": 1.0,
        "id_slot": slot,
        "cache_prompt": True,
    }


async def raw_vllm(
    groups: Sequence[Sequence[Chat]],
    python: Path,
    engine: Mapping[str, Any],
    backend: Mapping[str, Any],
    sampling: Sampling,
    scratch: Path,
) -> Raw:
    """The chats on vLLM's offline engine, with the options of a finished run.

    Args:
        python: the interpreter that has vLLM.
        engine: the `engine` block of that run's run.json; backend: its backend config.
        scratch: a folder for the request, the answer and the log.

    Raises:
        EngineUnusable: it did not finish; the log says why.
    """
    request, answer, log = (scratch / f"raw-vllm.{end}" for end in ("json", "answer.json", "log"))
    asked = {
        "engine": _offline(engine, backend),
        "sampling": {
            "temperature": sampling.temperature,
            "max_tokens": sampling.max_tokens,
            "seed": sampling.seed,
        },
        "chats": [list(chat) for group in groups for chat in group],
        "answer": str(answer),
    }
    request.write_text(json.dumps(asked), encoding="utf-8")
    host = [sys.executable, "-m", "evalkit.backends.vllm_host"]
    script = str(Path(__file__).with_name("raw_vllm.py"))
    process = VllmProcess(log, PeakMemory())
    try:
        await process.start([*host, str(python), "-I", script, str(request)], env=environment(""))
        await process.read_line()  # it says nothing there until it has ended
    finally:
        await process.stop()
    if not answer.exists():
        raise EngineUnusable(f"vLLM's offline engine did not finish: {log.read_text()[-300:]}")
    found = json.loads(answer.read_text(encoding="utf-8"))
    return Raw(tuple(found["texts"]), found["tokens"], found["seconds"])


def _offline(engine: Mapping[str, Any], backend: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of vllm.LLM that stand for the server's options."""
    same = ("dtype", "quantization", "tensor_parallel_size", "pipeline_parallel_size", "max_num_seqs")
    options = {
        **{name: backend[name] for name in (*same, "enforce_eager", "enable_prefix_caching")},
        "model": engine["checkpoint"]["path"],
        "max_model_len": engine["context_per_slot"],
        "kv_cache_memory_bytes": engine["kv_cache_bytes"],
        "generation_config": "vllm",
        "load_format": "safetensors",
    }
    if backend["gpu_memory_utilization"] is not None:
        options["gpu_memory_utilization"] = backend["gpu_memory_utilization"]
    return options
