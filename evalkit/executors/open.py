"""From a config to what does a run's work."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evalkit.backends.engine import Engine
from evalkit.backends.open import open_engine
from evalkit.errors import UserError
from evalkit.executors.fleet import RayFleet
from evalkit.executors.settings import executor_kind
from evalkit.runner.answers import Answers
from evalkit.runner.clock import EngineClock
from evalkit.runner.order import Group
from evalkit.runner.record import Generation, Writer
from evalkit.runner.schedule import Scheduler
from evalkit.runner.settings import max_tokens


def open_executor(config: Mapping[str, Any], log: Path) -> Engine | RayFleet:
    """The engine of `config`, or the fleet of engines that its executor asks for. Not started yet.

    Args:
        log: where an engine on this machine writes its output.

    Raises:
        UserError: there is no such executor or backend, or it cannot serve this model.
    """
    if executor_kind(config) == "local":
        return open_engine(config["model"], config["backend"], max_tokens(config), log)
    if importlib.util.find_spec("ray") is None:
        raise UserError("executor=ray needs Ray: pip install 'evalkit[ray]'")
    return RayFleet(config)


async def work(
    engine: Engine | RayFleet,
    groups: Sequence[Group],
    answers: Answers,
    writer: Writer,
    clock: EngineClock,
    on_record: Callable[[Generation], None],
) -> None:
    """Generate what the groups still lack, every answer on disk before it counts.

    Raises:
        EngineUnusable: the engine does not come back. All finished records are on disk.
    """
    if isinstance(engine, RayFleet):
        await engine.work(groups, answers, writer, clock, on_record)
    else:
        await Scheduler(engine, answers, writer, clock, on_record).run(groups)
