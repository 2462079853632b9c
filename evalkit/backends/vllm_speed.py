"""The speed of a vLLM server alone with one request, in the terms of `speed.py`, by its streamed answers."""

from __future__ import annotations

import secrets
import statistics
import time
from typing import TYPE_CHECKING, Any

from evalkit.backends.engine import EngineUnusable
from evalkit.backends.speed import ANSWER_TOKENS, PROMPT_TOKENS, Speed

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_REPEATS = 3
_ENOUGH_SECONDS = 90.0  # as in speed.py
_WORD = " 4.2 percent of net revenue,"


async def measure_streamed(client: AsyncOpenAI, model: str, context: int) -> Speed | None:
    """Prefill, decode and time to first token; None if `context` tokens are too few to tell.

    vLLM gives no timings of its own: prefill is the prompt over the wait for the first token, decoding the
    further tokens over the time from the first to the last.

    Raises:
        EngineUnusable: the server does not answer.
    """
    from openai import APIError

    answer_tokens = min(ANSWER_TOKENS, context // 4)
    prompt_tokens = min(PROMPT_TOKENS, context - answer_tokens - 1)
    if answer_tokens < 8:
        return None
    waits, rates = [], []
    started = time.monotonic()
    try:
        prompt = await _prompt(client, model, prompt_tokens)
        for _ in range(_REPEATS):
            first, last = await _arrivals(client, model, prompt, answer_tokens)
            waits.append(first)
            rates.append((answer_tokens - 1) / (last - first))
            if time.monotonic() - started > _ENOUGH_SECONDS:
                break
    except APIError as error:
        raise EngineUnusable(f"vLLM does not answer the speed probe: {str(error)[:300]}") from error
    wait = statistics.median(waits)
    return Speed(
        prompt_tokens=len(prompt),
        answer_tokens=answer_tokens,
        repeats=len(waits),
        prefill_tokens_per_second=len(prompt) / wait,
        decode_tokens_per_second=statistics.median(rates),
        first_token_seconds=wait,
    )


async def _prompt(client: AsyncOpenAI, model: str, size: int) -> list[int]:
    """`size` tokens of text."""
    root = str(client.base_url).removesuffix("/v1/")
    body = {"model": model, "prompt": _WORD * size}
    found = await client.post(f"{root}/tokenize", cast_to=dict[str, Any], body=body)
    tokens: list[int] = found["tokens"][:size]
    return tokens


async def _arrivals(client: AsyncOpenAI, model: str, prompt: list[int], size: int) -> tuple[float, float]:
    """Seconds until the first and the last token of an answer of `size` tokens."""
    started = time.monotonic()
    stream = await client.completions.create(
        model=model,
        prompt=prompt,
        max_tokens=size,
        temperature=0.0,
        stream=True,
        # A salt of its own: nothing of the prompt can come from the prefix cache.
        extra_body={"ignore_eos": True, "cache_salt": secrets.token_hex(16)},
    )
    arrivals = [time.monotonic() - started async for chunk in stream if chunk.choices]
    return arrivals[0], arrivals[-1]
