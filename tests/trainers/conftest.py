"""The set that the trainers' tests train on: the sample of TFNS, answered by a teacher that is a script."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.schema import Example, LabelGold
from tests.distill.helpers import distill, teacher_run, thought

BENCHMARK = "benchmark=tfns"
"""Tweets are short, and a model of a few thousand weights soon says one of three labels."""


def missed(example: Example) -> str:
    """A wrong answer that a rule can read."""
    assert isinstance(example.gold, LabelGold)
    other = next(label for label in example.gold.labels if label != example.gold.label)
    return f"<think>A guess.</think>\\boxed{{{other}}}"


@pytest.fixture(scope="session")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that `evalkit distill` has written: two of three questions for SFT, the others for RL."""
    folder = tmp_path_factory.mktemp("trainers")
    run = teacher_run(
        folder,
        lambda example, number: missed(example) if number % 3 == 0 else thought(example, "So."),
        BENCHMARK,
    )
    apart = "against=finqa"  # the sample is an evaluation item of its own benchmark
    assert distill(str(run), f"out={folder / 'set'}", apart, "unjudged=true", "validation=0") == 0
    return folder / "set"
