"""Running the members one after the other: each resumable by itself, none able to stop the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from evalkit.backends.engine import EngineUnusable
from evalkit.benchmarks import Loaded
from evalkit.errors import UserError
from evalkit.report.conclude import write_reports
from evalkit.runner.folder import check_claim, path_of, read_json
from evalkit.runner.record import read_generations
from evalkit.runner.run import execute, finished_run, load_data, wanted
from evalkit.scorers import DEFAULT
from evalkit.sweep.disk import Disk
from evalkit.sweep.outcome import Outcome
from evalkit.sweep.plan import Member, Plan


def run_members(plan: Plan, disk: Disk, console: Console) -> list[Outcome]:
    """Run what is still to be run. A member that fails is an outcome with a reason, and the next one starts.

    Raises:
        UserError: the data cannot be had, or a file contradicts its recipe under `strict`: nothing that is
            finished is lost.
        KeyboardInterrupt: the same sweep goes on where it stopped.
    """
    load = _loader()
    outcomes = []
    for number, member in enumerate(plan.members, 1):
        console.print(f"[{number}/{len(plan.members)}] {member.title}", highlight=False, markup=False)
        data = load(member.config)
        outcome = _run(member, data, console)
        if outcome.reason:
            console.print(f"  failed: {outcome.reason}", highlight=False, markup=False)
        outcomes.append(outcome)
        disk.finished(outcome)
    return outcomes


def run_again(
    member: Member,
    path: Path,
    changes: Mapping[str, int],
    data: dict[str, Loaded],
    console: Console,
) -> Outcome:
    """The same member once more in a folder of its own, for the noise floor.

    Args:
        changes: settings of the backend that differ this time.
        data: what `load_data` gives for the member.
    """
    backend = {**member.config["backend"], **changes}
    config = {**member.config, "backend": backend, "run_dir": str(path), "probe": False}
    return _run(Member(member.name, member.title, config), data, console)


def _loader() -> Callable[[Mapping[str, Any]], dict[str, Loaded]]:
    """Loads data, and only once for members that share it, which all of them usually do."""
    last: tuple[Any, dict[str, Loaded]] | None = None

    def load(config: Mapping[str, Any]) -> dict[str, Loaded]:
        nonlocal last
        identity = [config[key] for key in ("benchmark", "data", "limit", "seed", "sampling")]
        if last is None or last[0] != identity:
            last = (identity, load_data(config))
        return last[1]

    return load


def _run(member: Member, data: dict[str, Loaded], console: Console) -> Outcome:
    path = path_of(member.config)
    check_claim(path, member.config)
    if is_complete(member.config, data):
        return _finished(member, path)
    try:
        finished = execute(member.config, console, data)
    except EngineUnusable as error:
        return Outcome(member, None, {}, str(error))
    except UserError as error:
        # Under `strict` the user asked to be stopped.
        if member.config["strict"]:
            raise
        return Outcome(member, None, {}, str(error))
    write_reports(finished, DEFAULT)
    return _finished(member, path)


def _finished(member: Member, path: Path) -> Outcome:
    failures = any(record.error for record in read_generations(path / "generations.jsonl"))
    return Outcome(member, path, read_json(path / "run.json"), partial=failures)


def is_complete(config: Mapping[str, Any], data: Mapping[str, Loaded]) -> bool:
    """Whether nothing is left to do for a run: then neither its weights nor its engine are needed."""
    path = path_of(config)
    run = read_json(path / "run.json")
    if not run.get("ended") or (config["probe"] and not run["measured"].get("probe")):
        return False
    done = {r.name for r in read_generations(path / "generations.jsonl") if r.is_final}
    if not all(request.name in done for request in wanted(config, data)):
        return False
    if not (path / "results.json").exists():
        write_reports(finished_run(path), DEFAULT)
    return True
