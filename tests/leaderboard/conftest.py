"""Runs through the real command: recorded outputs over bundled samples."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from evalkit.__main__ import main
from evalkit.config.settings import run_settings
from evalkit.run.runner import load_data

OPTIONS = ("data=sample", "benchmark=[finqa,tfns,finance_instruct]", "limit=6")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with runs of two models. Not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    outputs = folder / "outputs.jsonl"
    config = run_settings(["+model=replay", f"model.path={outputs}", *OPTIONS])
    examples = [example for loaded in load_data(config).values() for example in loaded.examples]
    for model in ("alpha", "beta"):
        lines = [
            {
                "id": example.id,
                "turn": example.turn,
                "text": "neutral" if model == "alpha" else "<b>bullish</b>",
            }
            for example in examples
        ]
        outputs.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        where = (f"model.name={model}", f"model.path={outputs}", f"results_dir={folder / 'results'}")
        assert main(["run", "+model=replay", *where, *OPTIONS]) == 0
    return folder / "results"


@pytest.fixture
def results(made: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(made, tmp_path / "results"))
