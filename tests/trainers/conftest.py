"""Sets that the trainers' tests train on: FinQA's bundled sample, answered by a teacher that is a script."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.distill.helpers import APART, distill, teacher_run, thought, wrong


@pytest.fixture(scope="session")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that `evalkit distill` has written: two of three questions for SFT, the others for RL."""
    folder = tmp_path_factory.mktemp("trainers")
    run = teacher_run(
        folder, lambda example, number: wrong(example, "A guess.") if number % 3 == 0 else thought(example)
    )
    assert distill(str(run), f"out={folder / 'set'}", APART, "unjudged=true", "validation=0") == 0
    return folder / "set"
