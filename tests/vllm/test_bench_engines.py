"""`python -m bench engines`: what it says of two engines' answers, and of wrong requests."""

from __future__ import annotations

import pytest

from bench.engines import Raw, Way, agreement, main, row
from evalkit.schema import Name, UserError


def named(*texts: str) -> dict[Name, str]:
    return {("finqa", str(number), None, 0): text for number, text in enumerate(texts)}


def test_agreement() -> None:
    assert agreement(named("a", "b"), named("a", "b")) == "answers: 2 of 2 are the same on both engines"
    line = agreement(named("same", "the answer is 5", ""), named("same", "the answer is 6", "x"))
    # 14 of 15 characters, and 0 of 1
    assert line == "answers: 1 of 3 are the same on both engines; the others share their first 47%"


def test_a_row_is_of_medians_and_says_how_far_the_ratios_lie_apart() -> None:
    def once(seconds: float, bare: float) -> Way:
        return Way("vllm", named("a", "b"), 100, seconds, 0.001, Raw(("a", "x"), 120, bare))

    # 100, 50, 25 tokens per second; bare 120, 60, 20.
    found = row([once(1, 1), once(2, 2), once(4, 6)])
    assert found == ["50.0", "60.0", "0.83 (0.83-1.25)", "0.10%", "3 of 6"]


def test_wrong_requests() -> None:
    with pytest.raises(UserError, match="rounds=none"):
        main(["+model=smollm2-135m", "checkpoint=x", "rounds=none"])
    with pytest.raises(UserError, match="checkpoint=FOLDER"):
        main(["+model=smollm2-135m"])
    with pytest.raises(UserError, match="/nowhere"):
        main(["+model=smollm2-135m", "checkpoint=x", "vllm.executable=/nowhere/vllm"])
