"""Right in the trace, another number committed."""

from __future__ import annotations

import pytest

from evalkit.schema import ChoiceGold, Gold, NumberGold, Output
from evalkit.scoring.abandoned import right_then_abandoned

TABLE = (("", "2014", "2013"), ("revenue", "$ 863", "$ 800"), ("costs", "312.5", "300"))
RATIO = NumberGold(
    0.07875,
    "what was the percentage change in revenue?",
    "7.87%",
    "subtract(863, 800), divide(#0, 800)",
    TABLE,
)
SUM = NumberGold(1175.5, "what were revenue and costs?", "1175.5", "add(863, 312.5)", TABLE)
COSTS = NumberGold(312.5, "what were costs in 2014?", "", "312.5", TABLE)


@pytest.mark.parametrize(
    ("gold", "text"),
    [
        (RATIO, "<think>63 / 800 = 0.07875, but per cent of total... 7.3%</think>\\boxed{7.3\\%}"),
        (RATIO, "<think>63/800 ≈ 7.88%. No, use 863.</think>\\boxed{7.3\\%}"),
        (RATIO, r"So \(\frac{63}{800} \approx 7.87\%\). Wait. The final answer is 12."),
        (RATIO, "<think>增长率约为7.87％</think>答案是7.3％"),
        (SUM, "<think>The sum is $1,175.5 million.</think> I take the costs off: \\boxed{550.5}"),
        (SUM, "<think>\\boxed{1175.5}?</think> \\boxed{1157.5}"),
    ],
)
def test_abandoned(gold: Gold, text: str) -> None:
    assert right_then_abandoned(Output(text), gold)


@pytest.mark.parametrize(
    ("gold", "text"),
    [
        (RATIO, "<think>63 / 800 = 0.07875</think>\\boxed{7.87\\%}"),
        (RATIO, "<think>63 / 800 = 0.07875"),
        (RATIO, "<think>it fell: = -0.07875</think>\\boxed{7.3\\%}"),
        (RATIO, "<think>= 0.0785</think>\\boxed{7.3\\%}"),
        (RATIO, "<think>= 787.5</think>\\boxed{7.3\\%}"),
        (RATIO, "<think>= 8%</think>\\boxed{7.3\\%}"),
        (SUM, "<think>then 1175.5 stands there</think>\\boxed{1157.5}"),
        (COSTS, "<think>costs is 312.5</think>\\boxed{300}"),
        (
            NumberGold(312.5, "what were costs?", "", "subtract(863, 550.5)", TABLE),
            "costs = 312.5. \\boxed{300}",
        ),
        (NumberGold(0.0), "= 0.00 \\boxed{5}"),
        (ChoiceGold("C", {"A": "1", "C": "2"}), "= C \\boxed{A}"),
    ],
)
def test_not_abandoned(gold: Gold, text: str) -> None:
    assert not right_then_abandoned(Output(text), gold)
