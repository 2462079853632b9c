"""What one answer costs the driver of a run, measured on this machine."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evalkit.backends.engine import Completion, Sampling
from evalkit.executors.cluster import Cluster
from evalkit.executors.projection import Costs
from evalkit.executors.settings import RaySettings
from evalkit.runner.answers import Answers
from evalkit.runner.record import Writer, generation
from evalkit.runner.request import Request

_RECORDS = 500
_SYNCS = 50
_CALLS = 2000
_CALLS_AT_ONCE = 64


class Echo:
    """An actor that does nothing, as fast as it can."""

    async def echo(self, what: str) -> str:
        return what


def driver_costs(requests: Sequence[Request], sampling: Sampling, text: str) -> Costs:
    """Measure with these requests; `text` stands for every answer."""
    answers = Answers([], {"engine": "none"}, sampling, None)
    chosen = [requests[i % len(requests)] for i in range(_RECORDS)]
    started = time.perf_counter()
    records = []
    for request in chosen:
        messages = answers.draft(request)
        record = generation(request, answers.key(request, messages), messages, Completion(text, "stop"))
        record.line()
        records.append(record)
    per_record = (time.perf_counter() - started) / _RECORDS
    with tempfile.TemporaryDirectory(prefix="evalkit-bench-", dir=Path.cwd()) as scratch:
        writer = Writer(Path(scratch) / "generations.jsonl")
        started = time.perf_counter()
        for record in records[:_SYNCS]:
            writer.append([record])
        sync = (time.perf_counter() - started) / _SYNCS
        writer.close()
    return Costs(per_record, _call_seconds(text), sync)


def _call_seconds(text: str) -> float:
    """Seconds per call to an actor of a cluster on this machine, with many calls at once."""
    settings = RaySettings(address=None, workers=1, cpus=1, gpus=0, pending=1, patience=60)
    cluster = Cluster(settings)
    try:
        return asyncio.run(_calls(text))
    finally:
        cluster.close()


async def _calls(text: str) -> float:
    import ray

    actor: Any = ray.remote(Echo).remote()
    await actor.echo.remote(text)

    async def some() -> None:
        for _ in range(_CALLS // _CALLS_AT_ONCE):
            await actor.echo.remote(text)

    started = time.perf_counter()
    await asyncio.gather(*(some() for _ in range(_CALLS_AT_ONCE)))
    return (time.perf_counter() - started) / _CALLS
