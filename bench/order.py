"""What the order of requests saves, against requests fired at the server as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evalkit.config.settings import RunSettings, run_settings
from evalkit.engines import open_engine
from evalkit.run.folder import Answers
from evalkit.run.runner import load_data, wanted
from evalkit.run.schedule import EngineClock
from evalkit.schema import Completion, Request

HELP = """
usage: python -m bench order model=NAME [KEY=VALUE ...]

The same requests once in evalkit's order (a page stays on a slot) and once fired at the same server as they
come, with as many in flight. Prints the prompt tokens computed over the distinct ones (1.00 would be perfect
reuse), seconds, the share of time outside the engine, the seconds that slots were idle while requests waited,
and the seconds before the first request (loading, planning) and after the last answer. Takes the arguments
of `evalkit run`; answers are cut to 16 tokens unless protocol.max_tokens is given: prompts are the subject.

example:
  python -m bench order model=smollm2-135m data=sample benchmark=finqa,convfinqa
"""


def main(arguments: Sequence[str]) -> int:
    import tempfile

    from rich.console import Console
    from rich.table import Table

    from evalkit.run.runner import execute
    from evalkit.text import output_console

    short = [] if any(a.startswith("protocol.max_tokens=") for a in arguments) else ["protocol.max_tokens=16"]
    with tempfile.TemporaryDirectory(prefix="evalkit-bench-") as scratch:
        ordered_dir = str(Path(scratch) / "ordered")
        settings = run_settings([*arguments, *short, f"run_dir={ordered_dir}"])
        ordered = execute(settings, Console(stderr=True)).run["measured"]
        plain = asyncio.run(unordered(settings, Path(scratch) / "unordered.log"))
    distinct = ordered["prompt_tokens_distinct"]
    table = Table(
        *("order", "prompt tokens computed", "/ distinct", "seconds", "outside the engine"),
        *("slot-seconds idle", "before", "after"),
        box=None,
    )
    for name, figures in (("evalkit", ordered), ("as they come", plain)):
        table.add_row(name, *_cells(figures, distinct))
    console = output_console()
    console.print(table)
    console.print(
        f"as they come / evalkit: prompt tokens {_ratio(plain, ordered, 'prompt_tokens_computed')}, "
        f"seconds {_ratio(plain, ordered, 'wall_seconds')}; distinct prompt tokens {distinct}",
        highlight=False,
    )
    return 0


def _cells(figures: dict[str, Any], distinct: int) -> list[str]:
    computed, wall = figures["prompt_tokens_computed"], figures["wall_seconds"]
    outside = 1 - figures["engine_seconds"] / wall
    spans = [
        f"{figures[name]:.1f}" for name in ("idle_slot_seconds", "before_first_seconds", "after_last_seconds")
    ]
    return [str(computed), f"{computed / distinct:.3f}", f"{wall:.1f}", f"{outside:.2%}", *spans]


def _ratio(a: dict[str, Any], b: dict[str, Any], name: str) -> str:
    return f"{a[name] / b[name]:.2f}"


_ANY_SLOT = -1  # llama.cpp chooses the slot with the longest common prefix, if one is free


async def unordered(settings: RunSettings, log: Path) -> dict[str, float]:
    """Generate all requests of `config`, as many in flight as there are slots, in the loaders' order.

    Returns:
        prompt_tokens_computed and the clock's figures, as in run.json's `measured`.
    """
    requests = wanted(settings, load_data(settings))
    engine = open_engine(settings.model, settings.backend, settings.max_tokens, log)
    answers = Answers([], engine.identity(), settings.generation, settings.protocol.system)
    clock = EngineClock()
    clock.expect(engine.slots, len(requests))
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
        "idle_slot_seconds": clock.idle_slot_seconds or 0.0,
        "before_first_seconds": clock.before_first_seconds or 0.0,
        "after_last_seconds": clock.after_last_seconds or 0.0,
    }
