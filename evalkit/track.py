"""Runs in an experiment tracker: `track=TOOL` logs a finished run's settings, figures and record.

The tracker's library works in a child process (`evalkit.children.track`): whatever it does there, a run that
has ended stays as it is. Nothing leaves this machine unless the tracker's own variables say so (WANDB_MODE,
MLFLOW_TRACKING_URI, TRACKIO_SPACE_ID).
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evalkit.config.checks import identity
from evalkit.config.settings import RunSettings, Tracker
from evalkit.files import install_extra, read_json, write_atomically
from evalkit.metrics import average, results
from evalkit.run.info import Run
from evalkit.run.record import RECORD_FILE, load_run
from evalkit.schema import Estimate, UserError
from evalkit.spawn import child_command
from evalkit.text import mapping, one_line

LOGGED = "tracked.json"
"""In a run's folder: which settings and figures are in which tracker: the same command logs none twice."""

_NEEDS: Mapping[Tracker, tuple[str, ...]] = {
    "wandb": ("wandb",),
    "mlflow": ("mlflow", "sqlalchemy", "alembic"),
    "trackio": ("trackio",),
}
_PATIENCE = 300.0  # seconds; a tracker on this machine takes some ten

Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Job:
    """What the child logs. `record` is a file; `folder` is where trackers keep what they write here."""

    tracker: Tracker
    name: str
    settings: Mapping[str, Value]
    figures: Mapping[str, float]
    record: str
    folder: str


def check_tracker(tracker: Tracker) -> None:
    """Raises UserError if the tracker's library is not installed: before hours of work, and not after."""
    # A folder called wandb in the current one, as wandb itself makes it, is no library: it has no origin.
    found = map(importlib.util.find_spec, _NEEDS[tracker])
    if not all(spec is not None and spec.origin is not None for spec in found):
        raise UserError(f"track={tracker} needs its library: {install_extra(tracker)}")


def track(path: Path, settings: RunSettings) -> str | None:
    """Log the scored run in folder `path` with the tracker that its settings name.

    Returns:
        A line for the user: where it is logged, or why it is not; None if no tracker is named, or the same
        settings and figures were logged before. No tracker's failure is an error.
    """
    tracker = settings.track
    if tracker is None:
        return None
    try:
        job = _job(tracker, load_run(path), settings, path / RECORD_FILE)
        # Not the record's own bytes: recorded outputs that are scored again have a new time there.
        digest = hashlib.sha256(json.dumps([job.settings, job.figures]).encode()).hexdigest()
        logged = read_json(path / LOGGED)
        if mapping(logged.get(tracker)).get("sha256") == digest:
            return None
        place = _in_child(job)
        entry = {"sha256": digest, "place": place}
        write_atomically(path / LOGGED, json.dumps({**logged, tracker: entry}, indent=2) + "\n")
    except (OSError, UserError, _NotLogged) as error:
        return (
            f"track={tracker}: not logged: {one_line(error)}; the run is whole, the same command tries again"
        )
    return f"track={tracker}: {place}"


class _NotLogged(Exception):
    """The tracker did not take the run; the text says why."""


def _job(tracker: Tracker, run: Run, settings: RunSettings, record: Path) -> Job:
    return Job(
        tracker=tracker,
        name=f"{run.info.model.name} {run.info.run_id}",
        settings=dict(_settings(run, settings)),
        figures=dict(figures(run)),
        record=str(record.absolute()),
        folder=str(Path(settings.results_dir).absolute()),
    )


def _in_child(job: Job) -> str:
    """Where the child logged `job`.

    Raises:
        _NotLogged: it failed, or did not come to an end.
    """
    try:
        done = subprocess.run(
            child_command("evalkit.children.track"),
            input=json.dumps(asdict(job)),
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            # With the keys of services: unlike an engine, a tracker may be meant to use its own.
            env={**os.environ, "PYTHONSAFEPATH": "1", "PYTHONUTF8": "1"},
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _NotLogged(f"no end after {_PATIENCE:.0f} s") from error
    said = done.stdout.strip()
    if done.returncode != 0 or not said:
        raise _NotLogged(said or f"its process ended with {done.returncode}")
    return said


def _settings(run: Run, settings: RunSettings) -> Iterator[tuple[str, Value]]:
    """What made the run, as flat keys: what of its settings is its identity, weights, engine, machine.

    Files that a benchmark is downloaded from are in the record, and no setting that one compares runs by.
    """
    for key, value in identity(settings).items():
        if ".hub." not in key:
            yield key, value if isinstance(value, Value) else json.dumps(value, ensure_ascii=False)
    info = run.info
    yield "run", info.run_id
    yield "evalkit.version", info.evalkit.version
    yield "evalkit.git_commit", info.evalkit.git_commit
    yield "weights.sha256", info.engine.weights_sha256
    yield "engine", info.engine.engine
    yield "engine.build", info.engine.build
    yield "hardware.cpu", info.hardware.cpu
    yield "hardware.cores", info.hardware.cores


def figures(run: Run) -> Iterator[tuple[str, float]]:
    """The final figures as `benchmark/figure`; accuracies, their 95 % interval and shares are of 1."""
    found = results(run)
    for name, result in found.items():
        if result.estimate is not None:
            yield from _estimate(name, result.estimate)
            yield f"{name}/cut_off", result.truncated / result.covered if result.covered else 0.0
    whole = average(found.values())
    if whole is not None and len(found) > 1:
        yield from _estimate("average", whole)
    cost: dict[str, Any] = {
        "peak_memory_bytes": run.info.measured.peak_memory_bytes,
        "decode_tokens_per_second": run.info.measured.decode_tokens_per_second,
        "prefill_tokens_per_second": run.info.measured.prefill_tokens_per_second,
        "completion_tokens": run.info.measured.completion_tokens,
        "wall_seconds": run.info.measured.wall_seconds,
    }
    yield from ((f"cost/{name}", float(value)) for name, value in cost.items() if value is not None)


def _estimate(name: str, estimate: Estimate) -> Iterator[tuple[str, float]]:
    yield f"{name}/accuracy", estimate.value
    yield f"{name}/low", estimate.low
    yield f"{name}/high", estimate.high
    yield f"{name}/n", float(estimate.n)
