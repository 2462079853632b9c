"""verl: its Parquet columns and types, and `compute_score` called as its reward manager calls it.

verl itself does not run here. What it does was read at github.com/verl-project/verl:
``RLHFDataset`` (verl/utils/dataset/rl_dataset.py), ``NaiveRewardManager``
(verl/experimental/reward_loop/reward_manager/naive.py) and ``get_custom_reward_fn``
(verl/trainer/ppo/reward.py).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.schema import Example
from tests.compare.helpers import examples
from tests.distill.helpers import thought
from tests.trainers.conftest import BENCHMARK, missed

Score = Callable[..., float]


@pytest.fixture
def read(data_set: Path) -> Any:
    """The set as `RLHFDataset` reads it."""
    import datasets

    files = str(data_set / "rl" / "train.parquet")
    return datasets.load_dataset("parquet", data_files=files, cache_dir=str(data_set.parent))["train"]


def custom_reward(folder: Path, **reward_kwargs: object) -> Score:
    """The function of the file that docs/rewards.md names, as `get_custom_reward_fn` loads and wraps it."""
    file = folder / "finance_reward.py"
    file.write_text("from evalkit.rewards import compute_score\n", encoding="utf-8")
    spec = importlib.util.spec_from_file_location("custom_module", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def with_kwargs(raw: Score, extra: dict[str, object], *args: object, **kwargs: object) -> float:
        return raw(*args, **{**kwargs, **extra})

    return partial(with_kwargs, module.compute_score, dict(reward_kwargs))


def batch(rows: Any) -> dict[str, Any]:
    """`collate_fn`: every column that is no tensor becomes an array of objects."""
    return {name: np.array([row[name] for row in rows], dtype=object) for name in rows.column_names}


def managed(score: Score, columns: dict[str, Any], number: int, said: str) -> float:
    """What `NaiveRewardManager.run_single` calls, in a thread, with what it adds to `extra_info`."""
    extra_info = columns["extra_info"][number]
    extra_info["num_turns"] = None
    extra_info["rollout_reward_scores"] = {}
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(
            lambda: score(
                data_source=columns["data_source"][number],
                solution_str=said,
                ground_truth=columns["reward_model"][number]["ground_truth"],
                extra_info=extra_info,
            )
        ).result()


def test_the_columns_and_their_types(read: Any) -> None:
    import datasets

    text, whole = datasets.Value("string"), datasets.Value("int64")
    assert {name: read.features[name] for name in ("data_source", "ability")} == {
        "data_source": text,
        "ability": text,
    }
    assert read.features["prompt"] == datasets.List({"role": text, "content": text})
    assert read.features["reward_model"] == {"style": text, "ground_truth": text}
    assert read.features["extra_info"]["index"] == whole
    assert [row["extra_info"]["index"] for row in read] == list(range(len(read)))
    assert {row["extra_info"]["split"] for row in read} == {"train"}
    assert {row["reward_model"]["style"] for row in read} == {"rule"}


def asked(identity: str) -> Example:
    return next(each for each in examples(BENCHMARK) if f"tfns {each.id}" == identity)


def test_every_row_is_rewarded_as_its_manager_asks(read: Any, tmp_path: Path) -> None:
    columns = batch(read)
    assert len(read) > 2
    for number in range(len(read)):
        example = asked(columns["extra_info"][number]["id"])
        right, not_right = thought(example), missed(example)
        score = custom_reward(tmp_path)
        assert managed(score, columns, number, right) == 2.0
        assert managed(score, columns, number, not_right) == 1.0
        assert managed(score, columns, number, "words") == 0.0
        bare = custom_reward(tmp_path, format_weight=0.0, rule={"tfns": "financial"})
        assert managed(bare, columns, number, not_right) == 0.0
        assert managed(bare, columns, number, right) == 1.0
        assert type(managed(score, columns, number, right)) is float
