"""`evalkit bench`: what the order of requests saves, what the harness costs, if predicted memory is right."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

HELP = """
usage: evalkit bench +model=NAME [KEY=VALUE ...]
       evalkit bench memory [recipe=q4_0,q8_0] [context=4096,8192] [slots=1,4] [dir=DIR]
                            [flash_attention=off] [layers=28] [KEY=VALUE ...]
       evalkit bench engines +model=NAME checkpoint=FOLDER [in_flight=4] [rounds=3]
                             [vllm.KEY=VALUE ...] [llama.KEY=VALUE ...] [KEY=VALUE ...]
       evalkit bench executors +model=NAME [workers=1,2] [gpus=1,10,100,1000] [KEY=VALUE ...]

Measure the harness: the same requests once in evalkit's order (a page stays on a slot) and once fired at
the same server as they come, with as many in flight. Prints the prompt tokens computed over the distinct
ones (1.00 would be perfect reuse), seconds, and the share of time outside the engine. Takes the arguments
of `run`; answers are cut to 16 tokens unless protocol.max_tokens is given, because prompts are the subject.

memory: predicted memory against measured. Writes a file of random weights in Qwen2.5-7B's geometry (layers=,
hidden=, ... change it) for each recipe into DIR (default: a temporary folder), serves it in the real engine's
child with every slot's context full, takes the peak of its resident memory, and deletes the file.
`evalkit gguf --help` lists recipes and geometry.

engines: the same greedy questions on llama.cpp (+model, a GGUF file) and on vLLM (checkpoint, the same model
as a folder), through evalkit and on each engine without it: a bare client's loop, and vLLM's offline engine.
Prints tokens per second, their ratio, the share of time outside the engine, and how many answers are the
same; medians of `rounds`, in which one way follows the other, and how far the ratios lie apart. Takes the
arguments of `run`, with vllm.KEY and llama.KEY for backend.KEY of the one or the other; answers are cut to
64 tokens unless protocol.max_tokens is given.

executors: what more workers on Ray bring, and where a thousand would bend: `evalkit bench executors --help`.

examples:
  evalkit bench +model=smollm2-135m data=sample benchmark=[finqa,convfinqa]
  evalkit bench memory recipe=q4_0 context=2048 layers=2
  evalkit bench engines +model=smollm2-135m checkpoint=FOLDER data=sample vllm.dtype=float32
  evalkit bench executors +model=smollm2-135m data=sample benchmark=[finqa,tfns]
"""


_COMMANDS = {"memory": "bench_memory", "engines": "bench_engines", "executors": "bench_executors"}


def help_of(arguments: Sequence[str]) -> str:
    """The help of what `arguments` name."""
    from evalkit.commands import bench_executors

    return bench_executors.HELP if "executors" in arguments else HELP


def main(arguments: Sequence[str]) -> int:
    name = _COMMANDS.get(arguments[0]) if arguments else None
    if name is not None:
        code: int = importlib.import_module(f"evalkit.commands.{name}").main(arguments[1:])
        return code
    return _order(arguments)


def _order(arguments: Sequence[str]) -> int:
    import asyncio
    import tempfile
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table

    from evalkit.config import compose, to_dict
    from evalkit.report.console import output_console
    from evalkit.runner.run import execute
    from evalkit.runner.unordered import unordered

    short = [] if any(a.startswith("protocol.max_tokens=") for a in arguments) else ["protocol.max_tokens=16"]
    with tempfile.TemporaryDirectory(prefix="evalkit-bench-") as scratch:
        ordered_dir = str(Path(scratch) / "ordered")
        config = to_dict(compose([*arguments, *short, f"run_dir={ordered_dir}"]))
        ordered = execute(config, Console(stderr=True)).run["measured"]
        plain = asyncio.run(unordered(config, Path(scratch) / "unordered.log"))
    distinct = ordered["prompt_tokens_distinct"]
    table = Table("order", "prompt tokens computed", "/ distinct", "seconds", "outside the engine", box=None)
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
    return [str(computed), f"{computed / distinct:.3f}", f"{wall:.1f}", f"{outside:.2%}"]


def _ratio(a: dict[str, Any], b: dict[str, Any], name: str) -> str:
    return f"{a[name] / b[name]:.2f}"
