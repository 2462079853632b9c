"""One run: from a composed config to a folder of records and scores."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from evalkit.benchmarks import Loaded, load
from evalkit.errors import UserError
from evalkit.runner.folder import ENGINE_LOG, RunFolder, check_claim, path_of
from evalkit.runner.order import requests_of
from evalkit.runner.record import Generation
from evalkit.runner.request import Request
from evalkit.runner.settings import check, max_tokens
from evalkit.runner.strict import refuse_contradictions


@dataclass(frozen=True, slots=True)
class Finished:
    """A run whose generations are all there: what scoring and reporting start from."""

    path: Path
    config: dict[str, Any]
    data: dict[str, Loaded]
    records: list[Generation]
    run: dict[str, Any]
    left_out: int = 0


def load_data(config: Mapping[str, Any]) -> dict[str, Loaded]:
    """The examples of every benchmark of the config, by benchmark name."""
    return {
        name: load(
            benchmark,
            config["data"],
            limit=benchmark.get("limit") or config["limit"],
            seed=config["seed"],
            sampling=config["sampling"],
        )
        for name, benchmark in config["benchmark"].items()
    }


def wanted(config: Mapping[str, Any], data: Mapping[str, Loaded]) -> list[Request]:
    """Every request of the run, in the loaders' order."""
    examples = [example for loaded in data.values() for example in loaded.examples]
    return requests_of(examples, config["protocol"]["samples"])


def execute(config: dict[str, Any], console: Console, data: dict[str, Loaded] | None = None) -> Finished:
    """Generate what the run still lacks.

    Args:
        data: what `load_data` gives for this config, if the caller has it already.

    Raises:
        UserError: the request is wrong; nothing was started.
        EngineUnusable: the engine does not serve; finished records are kept.
        KeyboardInterrupt: finished records are kept, and the same call goes on.
    """
    from evalkit.backends.open import preflight
    from evalkit.backends.replay import read_replay
    from evalkit.executors.open import open_executor
    from evalkit.executors.settings import executor_kind
    from evalkit.runner.generate import generate
    from evalkit.runner.replay import replay

    check(config)
    if config["data"].get("dir"):
        config["data"]["dir"] = str(Path(config["data"]["dir"]).absolute())
    path = path_of(config)
    # Whatever can be wrong with the request shows before the folder is made, so that nothing is left of it.
    check_claim(path, config)
    if executor_kind(config) == "local":
        preflight(config["model"], config["backend"], max_tokens(config))
    data = load_data(config) if data is None else data
    requests = wanted(config, data)
    if config["backend"]["kind"] == "replay":
        source = read_replay(config["model"]["path"])
        with RunFolder(path, config) as folder:
            records, run, left_out = replay(folder, config, data, requests, source)
        return Finished(path, config, data, records, run, left_out)
    engine = open_executor(config, path / ENGINE_LOG)
    if config["strict"]:
        refuse_contradictions(config["model"]["name"], engine.description())
    console.print(f"run folder: {path}", highlight=False, soft_wrap=True)
    with RunFolder(path, config) as folder:
        try:
            records, run = asyncio.run(generate(folder, config, data, requests, engine, console))
        except UserError:
            folder.give_up()
            raise
    return Finished(path, config, data, records, run)


def finished_run(path: Path, data_dir: str | None = None) -> Finished:
    """A run read back from its folder, finished or partial, for scoring again.

    Args:
        data_dir: where local data is now, if not where it was.

    Raises:
        UserError: the folder is not a readable run, or its data are not what they were.
    """
    from evalkit.runner.folder import read_config, read_json
    from evalkit.runner.record import read_generations

    config = read_config(path)
    if data_dir is not None:
        config["data"]["dir"] = data_dir
    run = read_json(path / "run.json")
    records = [record for record in read_generations(path / "generations.jsonl") if record.name]
    if not run or not records:
        raise UserError(f"{path}: nothing was generated there yet: run its command first")
    data = load_data(config)
    names = {record.name for record in records}
    missing = sum(request.name not in names for request in wanted(config, data))
    left_out = missing if config["backend"]["kind"] == "replay" else 0
    return Finished(path, config, data, records, run, left_out)
