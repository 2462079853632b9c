"""The speed of a llama.cpp server alone with one request: comparable between files whatever their answers.

The same idea as llama.cpp's `llama-bench` (pp512, tg64): a prompt of fixed length, an answer of fixed
length that no end-of-text token cuts short, nothing reused from the cache.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

Post = Callable[[str, Mapping[str, Any]], Awaitable[dict[str, Any]]]
"""POST a body to a path of the server; returns its JSON answer."""

PROMPT_TOKENS = 512
ANSWER_TOKENS = 64
_REPEATS = 3
_ENOUGH_SECONDS = 90.0  # a large model on a CPU takes minutes for one repeat: then one must do
_TEXT = "Net revenue for the fiscal year increased by 4.2 percent to 1,318 million dollars. "


@dataclass(frozen=True, slots=True)
class Speed:
    """Medians over `repeats`. `first_token_seconds` is what a client waits for the first token of an answer
    to a prompt of `prompt_tokens`; decoding is timed over `answer_tokens`."""

    prompt_tokens: int
    answer_tokens: int
    repeats: int
    prefill_tokens_per_second: float
    decode_tokens_per_second: float
    first_token_seconds: float

    def as_json(self) -> dict[str, float | int]:
        return {name: round(getattr(self, name), 4) for name in self.__slots__}


async def measure_speed(post: Post, context: int) -> Speed | None:
    """Prefill, decode and time to first token; None if a slot of `context` tokens is too small to tell."""
    answer_tokens = min(ANSWER_TOKENS, context // 4)
    prompt_tokens = min(PROMPT_TOKENS, context - answer_tokens - 1)
    if answer_tokens < 8:
        return None
    text = _TEXT * (prompt_tokens // 8)
    tokens = (await post("/tokenize", {"content": text, "add_special": True}))["tokens"][:prompt_tokens]
    waits, prefills, decodes = [], [], []
    started = time.monotonic()
    for _ in range(_REPEATS):
        before = time.monotonic()
        first = await post("/completion", _request(tokens, 1))
        waits.append(time.monotonic() - before)
        prefills.append(first["timings"]["prompt_per_second"])
        answer = await post("/completion", _request(tokens[:8], answer_tokens))
        decodes.append(answer["timings"]["predicted_per_second"])
        if time.monotonic() - started > _ENOUGH_SECONDS:
            break
    return Speed(
        prompt_tokens=len(tokens),
        answer_tokens=answer_tokens,
        repeats=len(waits),
        prefill_tokens_per_second=statistics.median(prefills),
        decode_tokens_per_second=statistics.median(decodes),
        first_token_seconds=statistics.median(waits),
    )


def _request(tokens: list[int], answer_tokens: int) -> dict[str, Any]:
    return {
        "prompt": tokens,
        "n_predict": answer_tokens,
        "ignore_eos": True,
        "cache_prompt": False,
        "temperature": 0.0,
        "id_slot": 0,
    }
