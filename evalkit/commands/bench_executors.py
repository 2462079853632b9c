"""`evalkit bench executors`: what more workers bring, and where a thousand of them would bend."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

HELP = """
usage: evalkit bench executors +model=NAME [workers=1,2] [gpus=1,10,100,1000] [requests=50000]
                               [gpu_slots=64] [answer_seconds=30] [load_seconds=120] [KEY=VALUE ...]

Two tables. First, the same requests with the local executor and with executor=ray on this machine, once for
each number of workers, each with one slot and one thread: seconds, speed against one worker, and the share
of the workers' time in which they had nothing to answer. Then a projection: what the driver spends on one
answer is measured here (its key and line, one call to a worker, one sync to disk), and a run of `requests`
answers in groups of the chosen data's sizes is simulated on clusters of `gpus`. Takes the arguments of `run`;
answers are cut to 16 tokens unless protocol.max_tokens is given. workers=0 leaves the first table out.

example:
  evalkit bench executors +model=smollm2-135m data=sample benchmark=[finqa,tfns]
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
    from evalkit.config import compose, to_dict
    from evalkit.report.console import output_console

    own, others = _split(arguments)
    short = [] if any(a.startswith("protocol.max_tokens=") for a in others) else ["protocol.max_tokens=16"]
    overrides = [*others, *short, "backend.slots=1", "backend.threads=1"]
    workers = [count for count in _numbers("workers", own["workers"]) if count]
    console = output_console()
    config = to_dict(compose(["+executor=ray", *overrides]))
    if workers:
        _measured(overrides, workers, console)
    _projected(config, own, console)
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

    from evalkit.config import compose, to_dict
    from evalkit.runner.run import execute

    with tempfile.TemporaryDirectory(prefix="evalkit-bench-") as scratch:
        config = to_dict(compose([*overrides, f"run_dir={Path(scratch) / 'run'}"]))
        return execute(config, Console(stderr=True)).run


def _projected(config: dict[str, Any], own: dict[str, str], console: Console) -> None:
    from rich.table import Table

    from evalkit.executors.driver_costs import driver_costs
    from evalkit.executors.projection import Setup, answer_times, driver_rate, project
    from evalkit.runner.order import grouped
    from evalkit.runner.run import load_data, wanted
    from evalkit.runner.settings import sampling

    (requests,) = _numbers("requests", own["requests"])[:1]
    setup = Setup(
        slots=_numbers("gpu_slots", own["gpu_slots"])[0],
        answer_seconds=_numbers("answer_seconds", own["answer_seconds"])[0],
        load_seconds=_numbers("load_seconds", own["load_seconds"])[0],
        pending=config["executor"]["pending"],
    )
    asked = wanted(config, load_data(config))
    groups = answer_times([len(g) for g in grouped(asked, lambda _: 1)], requests, setup.answer_seconds)
    costs = driver_costs(asked, sampling(config), "a word of an answer " * 200)
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
