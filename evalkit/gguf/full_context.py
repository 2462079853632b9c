"""Peak memory of the real engine child with every slot's context full, without computing full contexts.

A KV cache depends on layers and KV heads only. So a thin donor model with the same ones computes a nearly
full context once, in seconds; its state is restored into every slot of the model under test, which then
computes the last micro-batch itself: that touches the attention scores at their widest.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from evalkit.backends.client import connect
from evalkit.backends.engine import EngineUnusable
from evalkit.backends.llama_options import ServerOptions
from evalkit.backends.memory import PeakMemory
from evalkit.backends.server_process import ServerProcess
from evalkit.errors import UserError
from evalkit.gguf.synthetic import Build, Geometry, write

_MICRO_BATCH = 512  # llama.cpp's default n_ubatch
_ANSWER = 4  # tokens decoded in each slot at the end
_TIMEOUT = 3600.0  # seconds for one request: the last micro-batch of a large model on a slow CPU


def restored_tokens(context: int) -> int:
    """How many tokens of a slot come from the saved state: the rest is one micro-batch and the answer."""
    return context - _MICRO_BATCH - _ANSWER


def shortest_context() -> int:
    """Tokens per slot below which there would be nothing to restore."""
    return 2 * _MICRO_BATCH


def thin(geometry: Geometry) -> Geometry:
    """The smallest model with the same KV cache."""
    width = geometry.kv_heads * geometry.head_dim
    return replace(geometry, hidden=width, feed_forward=256, heads=geometry.kv_heads, vocabulary=1024)


async def save_state(geometry: Geometry, options: ServerOptions, folder: Path) -> str:
    """Compute the state of a nearly full slot with a thin model; the name of its file in `folder`.

    `options`: those of the runs to come; of them context, slots and flash attention decide whether it fits.
    """
    donor = folder / "thin.gguf"
    name = f"state-{options.context}-{options.slots}.bin"
    write(donor, thin(geometry), Build("Q8_0"))
    try:
        async with _served(replace(options, model=str(donor)), folder, PeakMemory()) as post:
            await post("/completion", _request(0, restored_tokens(options.context), predict=1))
            await post("/slots/0?action=save", {"filename": name})
    finally:
        donor.unlink()
    return name


async def peak_memory(options: ServerOptions, folder: Path, state: str) -> int:
    """Bytes of resident memory at most, from the start to all slots full and answering together."""
    memory = PeakMemory()
    known = restored_tokens(options.context)
    async with _served(options, folder, memory) as post:
        for slot in range(options.slots):
            await post(f"/slots/{slot}?action=restore", {"filename": state})
        await post("/completion", _request(0, known + _MICRO_BATCH))
        await asyncio.gather(
            *(post("/completion", _request(slot, known + _ANSWER)) for slot in range(1, options.slots))
        )
    return memory.bytes


def server_options(model: Path, context: int, slots: int, *, flash_attention: bool) -> ServerOptions:
    """What evalkit's llama.cpp backend would start on a CPU with these settings."""
    import psutil

    return ServerOptions(
        model=str(model),
        slots=slots,
        context=context,
        threads=psutil.cpu_count(logical=False) or 1,
        gpu_layers=0,
        flash_attention="on" if flash_attention else "off",
        chat_template=None,
        port=None,
        key=secrets.token_urlsafe(24),
    )


def _request(slot: int, tokens: int, predict: int = _ANSWER) -> dict[str, Any]:
    """A prompt of `tokens` byte tokens; a longer one begins with a shorter one."""
    return {
        "prompt": [33 + 7 * i % 200 for i in range(tokens)],
        "id_slot": slot,
        "n_predict": predict,
        "cache_prompt": True,
        "ignore_eos": True,
        "temperature": 0.0,
    }


@asynccontextmanager
async def _served(options: ServerOptions, folder: Path, memory: PeakMemory) -> AsyncIterator[Any]:
    """A running child; yields a function that posts to it. `memory` has the peak afterwards.

    Raises:
        UserError: it does not start, refuses, or dies, as it does on a machine without enough memory.
    """
    from openai import APIError

    server = ServerProcess(folder / "server.log", memory)
    line = json.dumps({**asdict(options), "state_dir": f"{folder}/"}).encode() + b"\n"
    try:
        await server.start([sys.executable, "-m", "evalkit.gguf.slot_host"], first_line=line)
        answer = await server.read_line()
        if not answer:
            raise await server.failed_start("llama.cpp cannot serve this model")
        address = json.loads(answer)["address"]
        async with connect(f"{address}/v1", options.key, _TIMEOUT) as client:

            async def post(path: str, body: dict[str, Any]) -> dict[str, Any]:
                return await client.post(f"{address}{path}", cast_to=dict[str, Any], body=body)

            yield post
    except (APIError, EngineUnusable) as error:
        how = f"llama.cpp could not serve {options.slots} x {options.context} tokens"
        raise UserError(f"{how} of {Path(options.model).name}: {str(error)[:300]}") from error
    finally:
        await server.stop()
