"""TRL's SFTTrainer and GRPOTrainer on a set of `evalkit distill`, with evalkit's rewards, for a few steps.

The code is that of docs/distill.md and docs/rewards.md, with a tiny model, short texts and few steps.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from evalkit.benchmarks.sources import read
from evalkit.benchmarks.tfns import LABELS
from evalkit.rewards import accuracy_reward, format_reward, rows
from tests.trainers.conftest import BENCHMARK
from tests.trainers.tiny import make_model

pytestmark = pytest.mark.skipif(find_spec("trl") is None, reason="TRL is not installed")

DOCS = Path(__file__).parents[2] / "docs"
MODEL = '"Qwen/Qwen2.5-0.5B-Instruct"'


def block(page: str, name: str) -> str:
    """The block of Python in a page that names a trainer."""
    blocks: list[str] = re.findall(
        r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL
    )
    [found] = [each for each in blocks if f"import {name}" in each or f", {name}" in each]
    return found


def run(code: str, changes: Mapping[str, str]) -> Any:
    """Run a page's code with some of its words changed, each of which must be there once; its `trainer`."""
    for old, new in changes.items():
        assert code.count(old) == 1, f"{old} is not in the page's code once"
        code = code.replace(old, new)
    names: dict[str, Any] = {}
    exec(compile(code, "docs", "exec"), names)  # noqa: S102 - our own page
    return names["trainer"]


def logged(trainer: Any, name: str) -> list[float]:
    return [each[name] for each in trainer.state.log_history if name in each]


SFT = block("distill.md", "SFTTrainer")
GRPO = block("rewards.md", "GRPOTrainer")
STEPS = 6
QUIETLY = 'use_cpu=True, report_to="none", save_strategy="no", logging_steps=1, seed=0, '


@pytest.fixture(scope="module", autouse=True)
def no_vllm_of_ours() -> None:
    """pytest puts tests/ on the path, where TRL takes the folder `vllm` for the package."""
    ours = Path(__file__).parents[1]
    sys.path[:] = [each for each in sys.path if Path(each).absolute() != ours]


@pytest.fixture(scope="module")
def model(no_vllm_of_ours: None, data_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model, its tokenizer trained on the words of the set."""
    lines = (data_set / "sft" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    return make_model(tmp_path_factory.mktemp("model"), lines, LABELS)


@pytest.fixture(scope="module")
def tuned(data_set: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The trainer of docs/distill.md after its steps."""
    folder = tmp_path_factory.mktemp("sft")
    changes = {
        '"DATASET"': f'"{data_set}"',
        MODEL: f'"{model}"',
        '"sft-finqa"': f'"{folder}"',
        "num_train_epochs=2": f"max_steps={STEPS}",
        "learning_rate=1e-5": f"{QUIETLY}per_device_train_batch_size=4, learning_rate=1e-2",
    }
    return run(SFT, changes)


def test_sft_learns_from_the_set(tuned: Any) -> None:
    losses = logged(tuned, "loss")
    assert len(losses) == STEPS
    assert all(map(math.isfinite, losses))
    assert losses[-1] < losses[0]


def completions(folder: Path) -> list[dict[str, Any]]:
    """What TRL has logged: prompts and completions, with each reward's column beside them."""
    files = sorted(folder.glob("completions/*.parquet"))
    assert files
    return [dict(record.data) for file in files for record in read(file.name, file)]


def same_as_the_functions(found: list[dict[str, Any]], golds: Mapping[str, str]) -> None:
    """Each logged reward is what the function gives for the logged completion.

    `golds`: gold answer by what was asked.
    """
    said = [row["completion"] for row in found]
    prompts = [row["prompt"] for row in found]
    gold = [golds[prompt[-1]["content"]] for prompt in prompts]
    assert [row["format_reward"] for row in found] == format_reward(said)
    assert [row["accuracy_reward"] for row in found] == accuracy_reward(said, gold, prompts=prompts)
    for name in ("format_reward", "accuracy_reward"):
        assert {row[name] for row in found} == {0.0, 1.0}


def trained(code: str, changes: Mapping[str, str], model: Path, folder: Path) -> list[dict[str, Any]]:
    """Run GRPO's code for a few steps; what it logged."""
    common = {
        MODEL: f'"{model}"',
        '"grpo-finqa"': f'"{folder}"',
        "max_completion_length=1024": "max_completion_length=1",
        "learning_rate=1e-6": f"{QUIETLY}max_steps=2, learning_rate=1e-4",
    }
    trainer = run(code, {**common, **changes})
    losses = logged(trainer, "loss")
    assert len(losses) == 2
    assert all(map(math.isfinite, losses))
    found = completions(folder)
    assert len(found) == 2 * 8
    means = [sum(row["format_reward"] for row in found[at : at + 8]) / 8 for at in (0, 8)]
    assert logged(trainer, "rewards/format_reward/mean") == pytest.approx(means)
    return found


def test_grpo_on_a_benchmarks_rows(model: Path, tmp_path: Path) -> None:
    changes = {'"benchmark=finqa", "benchmark.finqa.split=train"': f'"{BENCHMARK}", "data=sample"'}
    found = trained(GRPO, changes, model, tmp_path)
    same_as_the_functions(
        found, {row["prompt"][-1]["content"]: row["gold"] for row in rows(BENCHMARK, "data=sample")}
    )


def test_grpo_on_the_set_for_reinforcement(data_set: Path, model: Path, tmp_path: Path) -> None:
    import datasets

    start, end = GRPO.index("train = Dataset"), GRPO.index("trainer = ")
    changes = {
        GRPO[start:end]: f'train = load_dataset("{data_set}", "rl", split="train")\n',
        "from datasets import Dataset": "from datasets import load_dataset",
    }
    found = trained(GRPO, changes, model, tmp_path)
    asked = datasets.load_dataset(str(data_set), "rl", split="train")
    same_as_the_functions(found, {row["prompt"][-1]["content"]: row["gold"] for row in asked})
