"""`evalkit bench engines`: what it says of two engines' answers, and of wrong requests."""

from __future__ import annotations

import pytest

from evalkit.commands import bench
from evalkit.commands.bench_engines import agreement
from evalkit.errors import UserError
from evalkit.runner.request import Name


def named(*texts: str) -> dict[Name, str]:
    return {("finqa", str(number), None, 0): text for number, text in enumerate(texts)}


def test_agreement() -> None:
    assert agreement(named("a", "b"), named("a", "b")) == "answers: 2 of 2 are the same on both engines"
    line = agreement(named("same", "the answer is 5", ""), named("same", "the answer is 6", "x"))
    # 14 of 15 characters, and 0 of 1
    assert line == "answers: 1 of 3 are the same on both engines; the others share their first 47%"


def test_wrong_requests() -> None:
    with pytest.raises(UserError, match="checkpoint=FOLDER"):
        bench.main(["engines", "+model=smollm2-135m"])
    with pytest.raises(UserError, match="/nowhere"):
        bench.main(["engines", "+model=smollm2-135m", "checkpoint=x", "vllm.executable=/nowhere/vllm"])
