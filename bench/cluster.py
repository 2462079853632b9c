"""`python -m bench executors`: what more workers bring, and where a thousand of them would bend.

What one answer costs the driver of a run, measured on this machine.

What a run would take on many GPUs, from the shape of its groups and measured costs of the driver.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.config.settings import RayExecutor, RunSettings, WorkerResources, run_settings
from evalkit.run.folder import Answers, generation
from evalkit.run.generations import Writer
from evalkit.run.ray import longest_task
from evalkit.run.ray_worker import Cluster
from evalkit.schema import Completion, GenerationSettings, Request, UserError

if TYPE_CHECKING:
    from rich.console import Console


HELP = """
usage: python -m bench executors model=NAME [workers=1,2] [gpus=1,10,100,1000] [requests=50000]
                         [gpu_slots=64] [answer_seconds=30] [load_seconds=120] [KEY=VALUE ...]

Two tables. First, the same requests with the local executor and with executor=ray on this machine, once for
each number of workers, each with one slot and one thread: seconds, speed against one worker, and the share
of the workers' time in which they had nothing to answer. Then a projection: what the driver spends on one
answer is measured here (its key and line, one call to a worker, one sync to disk), and a run of `requests`
answers in groups of the chosen data's sizes is simulated on clusters of `gpus`. Takes the arguments of
`evalkit run`; answers are cut to 16 tokens unless protocol.max_tokens is given. workers=0 leaves the first
table out.

example:
  python -m bench executors model=smollm2-135m data=sample benchmark=finqa,tfns
"""

_OWN = {
    "workers": "1,2",
    "gpus": "1,10,100,300,1000",
    "requests": "50000",
    "gpu_slots": "64",
    "answer_seconds": "30",
    "load_seconds": "120",
}


def main(arguments: Sequence[str]) -> int:
    from evalkit.text import output_console

    own, others = _split(arguments)
    short = [] if any(a.startswith("protocol.max_tokens=") for a in others) else ["protocol.max_tokens=16"]
    overrides = [*others, *short, "backend.slots=1", "backend.threads=1"]
    workers = [count for count in _numbers("workers", own["workers"]) if count]
    console = output_console()
    settings = run_settings(["+executor=ray", *overrides])
    if workers:
        _measured(overrides, workers, console)
    _projected(settings, own, console)
    return 0


def _split(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    own, others = dict(_OWN), []
    for argument in arguments:
        name, _, value = argument.partition("=")
        if name in own:
            own[name] = value
        else:
            others.append(argument)
    return own, others


def _numbers(name: str, text: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.strip("[]").split(",")]
    except ValueError:
        numbers = [-1]
    if min(numbers) < 0:
        raise UserError(f"{name}={text}: must be whole numbers, as in {name}={_OWN[name]}")
    return numbers


def _measured(overrides: Sequence[str], workers: Sequence[int], console: Console) -> None:
    from rich.table import Table

    table = Table("executor", "seconds", "against one worker", "workers idle", "memory, MiB", box=None)
    run = _run([o for o in overrides if not o.startswith("executor.")])
    table.add_row("local", f"{run['measured']['wall_seconds']:.1f}", "", "", _mib(run))
    first = 0.0
    for count in workers:
        run = _run(["+executor=ray", *overrides, f"executor.workers={count}"])
        wall = run["measured"]["wall_seconds"]
        first = first or wall
        busy = sum(worker["engine_seconds"] for worker in run["engine"]["workers"])
        idle = 1 - busy / (len(run["engine"]["workers"]) * wall)
        table.add_row(f"ray, {count} workers", f"{wall:.1f}", f"{first / wall:.2f}", f"{idle:.1%}", _mib(run))
    console.print(table)


def _mib(run: dict[str, Any]) -> str:
    highest = run["measured"]["peak_memory_bytes"] or 0
    total = run["engine"].get("peak_memory_bytes_sum", highest)
    return f"{total / 2**20:.0f}"


def _run(overrides: Sequence[str]) -> dict[str, Any]:
    import tempfile

    from rich.console import Console

    from evalkit.run.runner import execute

    with tempfile.TemporaryDirectory(prefix="evalkit-bench-") as scratch:
        settings = run_settings([*overrides, f"run_dir={Path(scratch) / 'run'}"])
        return execute(settings, Console(stderr=True)).run


def _projected(settings: RunSettings, own: dict[str, str], console: Console) -> None:
    from rich.table import Table

    from evalkit.run.runner import load_data, wanted
    from evalkit.run.schedule import grouped

    (requests,) = _numbers("requests", own["requests"])[:1]
    setup = Setup(
        slots=_numbers("gpu_slots", own["gpu_slots"])[0],
        answer_seconds=_numbers("answer_seconds", own["answer_seconds"])[0],
        load_seconds=_numbers("load_seconds", own["load_seconds"])[0],
        pending=settings.executor.pending if isinstance(settings.executor, RayExecutor) else 1,
    )
    asked = wanted(settings, load_data(settings))
    groups = answer_times([len(g) for g in grouped(asked, lambda _: 1)], requests, setup.answer_seconds)
    costs = driver_costs(asked, settings.generation, "a word of an answer " * 200)
    table = Table("GPUs", "minutes", "slots busy", "answers/s", "bound by", box=None)
    for gpus in _numbers("gpus", own["gpus"]):
        found = project(groups, gpus, setup, costs)
        table.add_row(
            f"{gpus:,}",
            f"{found.seconds / 60:.1f}",
            f"{found.efficiency:.0%}",
            f"{requests / found.seconds:.1f}",
            found.bound,
        )
    console.print(table)
    console.print(
        f"{requests:,} answers in {len(groups):,} groups, {setup.slots} at once on a GPU, "
        f"{setup.answer_seconds:.0f} s each, {setup.load_seconds:.0f} s to load. Driver, measured here: "
        f"{costs.record * 1e3:.2f} ms a record, {costs.call * 1e3:.2f} ms a call, {costs.sync * 1e3:.1f} ms "
        f"a sync: at most {driver_rate(costs, requests / len(groups)):,.0f} answers/s; one sync per "
        f"record would be {1 / costs.sync:,.0f}/s.",
        highlight=False,
    )


_RECORDS = 500
_SYNCS = 50
_CALLS = 2000
_CALLS_AT_ONCE = 64


class Echo:
    """An actor that does nothing, as fast as it can."""

    async def echo(self, what: str) -> str:
        return what


def driver_costs(requests: Sequence[Request], sampling: GenerationSettings, text: str) -> Costs:
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
    settings = RayExecutor(
        kind="ray", address=None, workers=1, resources=WorkerResources(num_cpus=1), pending=1, patience=60
    )
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


_SPREAD = 0.5  # σ of the logarithm of an answer's seconds: reasoning lengths differ that much

_NOTICEABLE = 1.1


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds. ``record``: of the driver's processor for one answer (message, key, line); ``call``: for one
    call to a worker; ``sync``: of one write to disk."""

    record: float
    call: float
    sync: float


@dataclass(frozen=True, slots=True)
class Setup:
    """A cluster's GPUs: answers at once on each, seconds of one answer, seconds until a worker serves."""

    slots: int
    answer_seconds: float
    load_seconds: float
    pending: int


@dataclass(frozen=True, slots=True)
class Projection:
    """Seconds of a whole run, and the largest of the bounds below which it could not go."""

    gpus: int
    seconds: float
    work_seconds: float
    bound: str

    @property
    def efficiency(self) -> float:
        """The share of the slots' time in which they answer."""
        return self.work_seconds / self.seconds


def answer_times(group_sizes: Sequence[int], requests: int, mean: float, seed: int = 0) -> list[list[float]]:
    """Seconds of every answer of every group: `group_sizes` again and again until there are `requests`.

    Lognormal with mean `mean`, so that there are long answers; the longest groups come first, as in a run.
    """
    rng = random.Random(seed)
    center = math.log(mean) - _SPREAD**2 / 2
    groups: list[list[float]] = []
    left = requests
    for size in itertools.cycle(group_sizes):
        if left <= 0:
            break
        groups.append([rng.lognormvariate(center, _SPREAD) for _ in range(min(size, left))])
        left -= size
    return sorted(groups, key=lambda group: -len(group))


def project(groups: Sequence[Sequence[float]], gpus: int, setup: Setup, costs: Costs) -> Projection:
    """The run on `gpus` GPUs: each slot takes the next group, or part of a long one, when it is free.

    Args:
        groups: seconds of each answer of each group, in the order in which they are taken.
    """
    longest = longest_task(sum(map(len, groups)), gpus * setup.slots)
    groups = [group[at : at + longest] for group in groups for at in range(0, len(group), longest)]
    workers = min(gpus, len(groups))
    lengths = [sum(group) for group in groups]
    at_once = _makespan(lengths, [setup.load_seconds] * workers, setup.slots)
    placed = [setup.load_seconds * (1 + number // setup.pending) for number in range(workers)]
    end = _makespan(lengths, placed, setup.slots)
    work = sum(lengths) / (gpus * setup.slots)
    requests = sum(map(len, groups))
    bounds = {
        "work": setup.load_seconds + work,
        "longest group": setup.load_seconds + max(lengths),
        "driver": setup.load_seconds + requests * costs.record + len(groups) * costs.call,
        "start of workers": end if end > _NOTICEABLE * at_once else 0.0,
    }
    return Projection(gpus, max(end, *bounds.values()), work, max(bounds, key=lambda name: bounds[name]))


def _makespan(lengths: Sequence[float], arrivals: Sequence[float], slots: int) -> float:
    """When all groups are done, each taken by the slot that is free first."""
    free = [arrival for arrival in arrivals for _ in range(slots)]
    heapq.heapify(free)
    end = 0.0
    for length in lengths:
        finished = heapq.heappop(free) + length
        end = max(end, finished)
        heapq.heappush(free, finished)
    return end


def driver_rate(costs: Costs, requests_per_group: float) -> float:
    """Answers per second that one driver takes at most."""
    return 1 / (costs.record + costs.call / requests_per_group)
