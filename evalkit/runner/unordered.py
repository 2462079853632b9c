"""The baseline of `evalkit bench`: requests fired at the server as they come, which picks the slots."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalkit.backends.engine import Completion
from evalkit.backends.open import open_engine
from evalkit.runner.answers import Answers
from evalkit.runner.clock import EngineClock
from evalkit.runner.request import Request
from evalkit.runner.run import load_data, wanted
from evalkit.runner.settings import max_tokens, sampling

_ANY_SLOT = -1  # llama.cpp chooses the slot with the longest common prefix, if one is free


async def unordered(config: Mapping[str, Any], log: Path) -> dict[str, float]:
    """Generate all requests of `config`, as many in flight as there are slots, in the loaders' order.

    Returns:
        prompt_tokens_computed, wall_seconds and engine_seconds, as in run.json's `measured`.
    """
    requests = wanted(config, load_data(config))
    engine = open_engine(config["model"], config["backend"], max_tokens(config), log)
    answers = Answers([], engine.identity(), sampling(config), config["protocol"]["system"])
    clock = EngineClock()
    gate = asyncio.Semaphore(engine.slots)

    async def fire(request: Request) -> Completion:
        messages = answers.messages(request)
        assert messages is not None, "a dialogue with the model's own answers cannot be fired unordered"
        async with gate:
            with clock.request():
                completion = await engine.complete(messages, answers.sampling(request), _ANY_SLOT)
            clock.recorded()
        return completion

    try:
        prompts = [answers.messages(request) or () for request in requests]
        tokens = await engine.tokenize(prompts) or []
        await engine.start(max(map(len, tokens), default=None))
        completions = await asyncio.gather(*(fire(request) for request in requests))
    finally:
        await engine.stop()
    computed = sum((c.prompt_tokens or 0) - (c.cached_tokens or 0) for c in completions)
    return {
        "prompt_tokens_computed": computed,
        "wall_seconds": clock.wall_seconds,
        "engine_seconds": clock.engine_seconds,
    }
