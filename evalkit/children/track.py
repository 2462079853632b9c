"""The child process that logs a run with an experiment tracker's library.

    python -m evalkit.children.track

An `evalkit.track.Job` comes as JSON on standard input. The line on standard output says where it was logged,
or, with exit code 1, why not; what the library has to say goes to standard error.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PROJECT = "evalkit"
_KIND = "evalkit-record"


def _library(name: str) -> Any:  # noqa: ANN401 - an extra, whose types come and go with it
    return importlib.import_module(name)


def _wandb(job: Mapping[str, Any]) -> str:
    """Offline unless WANDB_MODE says otherwise (docs.wandb.ai: environment variables)."""
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    wandb = _library("wandb")
    folder = Path(os.environ.get("WANDB_DIR", job["folder"]))
    folder.mkdir(parents=True, exist_ok=True)
    run = wandb.init(
        project=os.environ.get("WANDB_PROJECT", _PROJECT),
        name=job["name"],
        config=job["settings"],
        dir=str(folder),
        mode=os.environ.get("WANDB_MODE", "offline"),
        settings=wandb.Settings(console="off", silent=True, disable_git=True, x_disable_stats=True),
    )
    run.log(job["figures"])
    run.summary.update(job["figures"])
    artifact = wandb.Artifact(f"record-{run.id}", type=_KIND)
    artifact.add_file(job["record"])
    run.log_artifact(artifact)
    place = run.url or f"wandb sync {Path(run.dir).parent}"
    run.finish()
    return str(place)


def _mlflow(job: Mapping[str, Any]) -> str:
    """Into a SQLite file unless MLFLOW_TRACKING_URI says otherwise: new versions refuse folders of files."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    mlflow = _library("mlflow")
    given = os.environ.get("MLFLOW_TRACKING_URI")
    folder = Path(job["folder"]) / "mlflow"
    uri = given or f"sqlite:///{folder / 'mlflow.db'}"
    if not given:
        folder.mkdir(parents=True, exist_ok=True)
    client = _library("mlflow.tracking").MlflowClient(uri)
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", _PROJECT)
    experiment = client.get_experiment_by_name(name)
    artifacts = None if given else (folder / "artifacts").as_uri()
    number = experiment.experiment_id if experiment else client.create_experiment(name, artifacts)
    run = client.create_run(number, run_name=job["name"]).info.run_id
    for key, value in job["settings"].items():
        client.log_param(run, key, _cut(str(value)))
    for key, value in job["figures"].items():
        client.log_metric(run, key, value)
    client.log_artifact(run, job["record"])
    client.set_terminated(run)
    del mlflow
    return f"run {run} at {given}" if given else f"mlflow ui --backend-store-uri {uri}"


def _cut(value: str) -> str:
    """MLflow keeps values of up to 6,000 characters, older versions of 500."""
    return value if len(value) <= 500 else f"{value[:497]}..."


def _trackio(job: Mapping[str, Any]) -> str:
    """Into a folder of ours unless TRACKIO_DIR, or a Space by its own variables, says otherwise."""
    folder = os.environ.setdefault("TRACKIO_DIR", str(Path(job["folder"]) / "trackio"))
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    trackio = _library("trackio")
    trackio.init(
        project=_PROJECT,
        name=job["name"],
        config=dict(job["settings"]),
        embed=False,
        auto_log_gpu=False,
        auto_log_cpu=False,
    )
    trackio.log(job["figures"])
    trackio.log_artifact(job["record"], name=f"record-{_file_name(job['name'])}", type=_KIND)
    trackio.finish()
    return f"TRACKIO_DIR={folder} trackio show --project {_PROJECT}"


def _file_name(name: str) -> str:
    return "".join(each if each.isalnum() or each in "-._" else "-" for each in name)


_TRACKERS = {"wandb": _wandb, "mlflow": _mlflow, "trackio": _trackio}


def main() -> None:
    job = json.load(sys.stdin)
    # Libraries greet on standard output; only our last line is an answer.
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    code = 0
    try:
        said = _TRACKERS[job["tracker"]](job)
    except (Exception, SystemExit) as error:
        said, code = f"{type(error).__name__}: {' '.join(str(error).split())}", 1
    answer.write(f"{said}\n")
    answer.close()
    sys.exit(code)


if __name__ == "__main__":
    main()
