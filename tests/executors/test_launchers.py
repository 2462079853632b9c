"""Several runs at once through Hydra's launchers: records, exit codes, and nothing left behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalkit.commands.run import multirun
from evalkit.config.settings import run_settings
from evalkit.run.runner import load_data
from evalkit.schema import UserError
from tests.e2e.conftest import evalkit


def outputs(tmp_path: Path) -> list[str]:
    """A replay sweep of three jobs: one good file, one whose outputs do not exist, one good again."""
    settings = run_settings(["+model=replay", "model.path=a", "data=sample", "benchmark=tfns", "limit=2"])
    lines = [json.dumps({"id": e.id, "text": "bearish"}) for e in load_data(settings)["tfns"].examples]
    for name in ("a", "b"):
        (tmp_path / name).write_text("\n".join(lines))
    return [
        *("run", "-m", "+model=replay", "data=sample", "benchmark=tfns", "limit=2"),
        "model.path=a,missing,b",
    ]


@pytest.mark.parametrize(
    "launcher", ["basic", "joblib", "submitit_local"], ids=["basic", "joblib", "submitit"]
)
def test_a_sweep_through_a_launcher(launcher: str, tmp_path: Path) -> None:
    if launcher != "basic":
        pytest.importorskip(f"hydra_plugins.hydra_{launcher.partition('_')[0]}_launcher")
    done = evalkit(*outputs(tmp_path), f"hydra/launcher={launcher}", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    runs = sorted((tmp_path / "results" / "runs" / "replay").iterdir())
    assert len(runs) == 2
    assert all((run / "results.json").exists() for run in runs)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "results"]


def test_a_sweep_in_which_all_is_well(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    done = evalkit(*outputs(tmp_path)[:-1], "model.path=a,b", "hydra/launcher=joblib", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_launcher_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install hydra-submitit-launcher"):
        multirun(["hydra/launcher=submitit_slurm", "+model=replay"])
