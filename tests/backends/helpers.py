"""A remote engine on scripted servers, with tiny delays."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from omegaconf import DictConfig, OmegaConf, open_dict

from evalkit.config.overrides import compose, to_dict
from evalkit.config.settings import read_run
from evalkit.engines.remote import Remote, open_engine
from evalkit.engines.service import Settings
from evalkit.schema import Completion, GenerationSettings, Message

GREEDY = GenerationSettings(
    temperature=0.0, top_p=1.0, top_k=0, min_p=0.0, repetition_penalty=1.0, max_tokens=100, seed=1
)
QUICK = ("backend.backoff=0.001", "backend.timeout=30")


@functools.cache
def _base(model: str) -> DictConfig:
    """Composed once: Hydra takes its time."""
    return compose([f"+model={model}", "data=sample", *QUICK])


def remote(log: Path, *overrides: str, model: str = "endpoint") -> Remote:
    """An engine as `evalkit run` would open it."""
    given = OmegaConf.from_dotlist([override.removeprefix("+") for override in overrides])
    with open_dict(_base(model)) as base:
        settings = read_run(to_dict(cast(DictConfig, OmegaConf.merge(base, given))))
    assert isinstance(settings.backend, Settings)
    return open_engine(settings.model, settings.backend, 100, log)


def question(text: str) -> list[Message]:
    return [Message("user", text)]


async def ask(
    engine: Remote, texts: Sequence[str], sampling: GenerationSettings = GREEDY
) -> list[Completion]:
    """Answers to `texts`, all sent at once, each on a slot of its own as far as they go."""
    await engine.start(None)
    try:
        return list(
            await asyncio.gather(
                *(
                    engine.complete(question(text), sampling, number % engine.slots)
                    for number, text in enumerate(texts)
                )
            )
        )
    finally:
        await engine.stop()


def answers(engine: Remote, *texts: str, sampling: GenerationSettings = GREEDY) -> list[Completion]:
    return asyncio.run(ask(engine, texts, sampling))
