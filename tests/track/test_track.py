"""`track=`: what a tracker is given, and that no tracker can harm a run."""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from evalkit import track as tracking
from evalkit.config.checks import identity
from evalkit.config.settings import Tracker, run_settings
from evalkit.files import BENCHMARKS
from evalkit.metrics import results
from evalkit.run.folder import default_path
from evalkit.run.record import RECORD_FILE, load_run
from evalkit.schema import UserError
from evalkit.track import LOGGED, check_tracker, figures, track

RUN = ["run", "outputs.jsonl", "data=sample", "benchmark=finqa,tfns", "limit=4", "run_dir=run"]


def evalkit(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "evalkit", *words],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(tracking.__file__).parents[1]), **environment},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with outputs of the bundled questions: half of FinQA's are right."""
    items = json.loads((BENCHMARKS / "finqa" / "sample" / "test.json").read_text(encoding="utf-8"))
    lines = [
        {"id": item["id"], "text": f"\\boxed{{{item['qa']['exe_ans'] if number % 2 else 'none'}}}"}
        for number, item in enumerate(items)
    ]
    (tmp_path / "outputs.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return tmp_path


def test_which_tracker_is_no_part_of_what_a_run_is() -> None:
    plain, tracked = (run_settings(["model=smollm2-135m", *more]) for more in ([], ["track=wandb"]))
    assert identity(plain) == identity(tracked)
    assert default_path(plain) == default_path(tracked)
    with pytest.raises(UserError, match=r"track=tensorboard: must be wandb, mlflow or trackio, or null"):
        run_settings(["model=smollm2-135m", "track=tensorboard"])


def test_a_tracker_that_is_not_there_is_said_before_anything_starts(folder: Path) -> None:
    if not _installed("trackio"):
        (folder / "trackio").mkdir()  # as the tracker's own data could be called
        done = evalkit(folder, *RUN, "track=trackio")
        assert done.returncode == 2
        assert done.stderr.startswith("evalkit: track=trackio needs its library: pip install ")
        assert done.stderr.count("\n") == 1
        assert not (folder / "run").exists()


def _installed(tracker: Tracker) -> bool:
    try:
        check_tracker(tracker)
    except UserError:
        return False
    return True


def test_a_tracker_that_fails_costs_a_line_and_nothing_else(folder: Path) -> None:
    """The library here is one of ours that dies as hard as one can."""
    library = folder / "library" / "wandb"
    library.mkdir(parents=True)
    (library / "__init__.py").write_text("import os, sys\nprint('greetings')\nos._exit(7)\n")
    done = evalkit(folder, *RUN, "track=wandb", PYTHONPATH=_paths(folder / "library"))
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if "track=wandb" in line]
    assert said == [
        "track=wandb: not logged: its process ended with 7; the run is whole, the same command tries again"
    ]
    assert "FinQA" in done.stdout
    assert (folder / "run" / RECORD_FILE).exists()
    (library / "__init__.py").write_text("raise SystemExit('no\\nmore')\n")
    done = evalkit(folder, *RUN, "track=wandb", PYTHONPATH=_paths(folder / "library"))
    assert done.returncode == 0
    assert "track=wandb: not logged: SystemExit: no more; the run is whole" in done.stderr


def _paths(*folders: Path) -> str:
    return os.pathsep.join(map(str, [*folders, Path(tracking.__file__).parents[1]]))


def test_figures_are_those_of_the_record(folder: Path) -> None:
    assert evalkit(folder, *RUN).returncode == 0
    run = load_run(folder / "run")
    found = dict(figures(run))
    estimate = results(run)["finqa"].estimate
    assert estimate is not None
    assert found["finqa/accuracy"] == estimate.value
    assert 0 <= found["finqa/low"] < found["finqa/accuracy"] < found["finqa/high"] <= 1
    assert found["finqa/n"] == 4
    assert "tfns/accuracy" not in found  # nothing of it was answered


@pytest.mark.skipif(not _installed("mlflow"), reason="needs pip install -e '.[mlflow]'")
def test_mlflow_has_settings_figures_and_the_record_once(folder: Path) -> None:
    done = evalkit(folder, *RUN, "track=mlflow")
    assert done.returncode == 0, done.stderr
    assert "track=mlflow: mlflow ui --backend-store-uri sqlite:///" in done.stderr
    store = folder / "results" / "mlflow"
    with sqlite3.connect(store / "mlflow.db") as database:
        metrics = dict(database.execute("select key, value from latest_metrics").fetchall())
        params = dict(database.execute("select key, value from params").fetchall())
    run = load_run(folder / "run")
    assert metrics == pytest.approx(dict(figures(run)))
    assert params["limit"] == "4"
    assert params["run"] == run.info.run_id
    (artifact,) = store.rglob(RECORD_FILE)
    assert gzip.decompress(artifact.read_bytes()) == gzip.decompress(
        (folder / "run" / RECORD_FILE).read_bytes()
    )
    again = evalkit(folder, *RUN, "track=mlflow")
    assert "track=mlflow" not in again.stderr
    with sqlite3.connect(store / "mlflow.db") as database:
        assert database.execute("select count(*) from runs").fetchone() == (1,)


@pytest.mark.skipif(not _installed("mlflow"), reason="needs pip install -e '.[mlflow]'")
def test_a_sweep_logs_each_member_once_and_not_its_noise_runs(folder: Path) -> None:
    """Also where the members were complete before the tracker was asked for."""
    (folder / "others.jsonl").write_bytes((folder / "outputs.jsonl").read_bytes())
    sweep = ["sweep", "outputs.jsonl", "others.jsonl", *RUN[2:-1], "benchmark=finqa"]
    assert evalkit(folder, *sweep).returncode == 0
    done = evalkit(folder, *sweep, "track=mlflow")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("track=mlflow: mlflow ui") == 2
    with sqlite3.connect(folder / "results" / "mlflow" / "mlflow.db") as database:
        names = [name for (name,) in database.execute("select name from runs").fetchall()]
    assert sorted(name.split()[0] for name in names) == ["others", "outputs"]


@pytest.mark.skipif(not _installed("wandb"), reason="needs pip install -e '.[wandb]'")
def test_wandb_writes_offline(folder: Path) -> None:
    done = evalkit(folder, *RUN, "track=wandb", WANDB_API_KEY="")
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("track=wandb: ")]
    (written,) = (folder / "results" / "wandb").glob("offline-run-*")
    assert line == f"track=wandb: wandb sync {written}"
    (log,) = written.glob("*.wandb")
    content = log.read_bytes()
    assert b"finqa/accuracy" in content
    assert b"evalkit-record" in content
    assert list(json.loads((folder / "run" / LOGGED).read_text())) == ["wandb"]


@pytest.mark.skipif(not _installed("trackio"), reason="needs pip install -e '.[trackio]'")
def test_trackio_has_the_figures(folder: Path) -> None:
    done = evalkit(folder, *RUN, "track=trackio")
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("track=trackio: ")]
    assert line.endswith("trackio show --project evalkit")
    databases = list((folder / "results" / "trackio").rglob("*.db"))
    assert databases
    rows: list[str] = []
    with sqlite3.connect(databases[0]) as database:
        rows += [row[0] for row in database.execute("select metrics from metrics").fetchall()]
    assert json.loads(rows[0])["finqa/accuracy"] == dict(figures(load_run(folder / "run")))["finqa/accuracy"]


def test_a_run_without_a_tracker_logs_nothing(folder: Path) -> None:
    assert evalkit(folder, *RUN).returncode == 0
    settings = run_settings(["model=smollm2-135m"])
    assert track(folder / "run", settings) is None
    assert not (folder / "run" / LOGGED).exists()
