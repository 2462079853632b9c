"""Verdicts of the published evaluators, on their own examples and on values run through their formulas.

FinQA: `code/evaluate/evaluate.py` at czyssrs/FinQA dfc5b72c01ee17c442d28d5201b82a1f4e95d5af, run on
upstream's example predictions (of the ids that EVALKIT_DATA_DIR holds), gives the two counts below. On 2,039
programs made from the gold ones (as they are, two arguments swapped, one operation exchanged) it says the
same as the rules here, 1,009 times right by execution and 1,008 times as a program.

FinanceReasoning: `within_eps` and `get_acc` of its `utils/evaluation_utils.py` (adapted there from
yale-nlp/FinanceMath): gold - 0.002 |gold| <= answer <= gold + 0.002 |gold|, yes and no as booleans.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from evalkit.benchmarks import load
from evalkit.schema import Gold, NumberGold, Output, YesNoGold
from evalkit.scoring import get_rule
from tests.settings import benchmark_settings, local

DATA = Path(os.environ.get("EVALKIT_DATA_DIR") or "missing")
PREDICTIONS = DATA / "finqa/example_predictions.json"
EXECUTION, PROGRAM, PREDICTED = 428, 422, 630


def program(tokens: list[str]) -> str:
    """Upstream's tokens as a program: `add(`, `1`, `2`, `)` is `add(1, 2)`."""
    said = ""
    for token in tokens:
        if token == ")":
            said = said.removesuffix(", ") + "), "
        elif token != "EOF":
            said += token if token.endswith("(") else f"{token}, "
    return said.removesuffix(", ")


@pytest.mark.skipif(not PREDICTIONS.is_file(), reason="EVALKIT_DATA_DIR is not set")
def test_finqa_example_predictions() -> None:
    loaded = load(benchmark_settings("finqa"), local(DATA), limit=None, seed=0, sampling="item")
    golds: dict[str, Gold] = {example.id: example.gold for example in loaded.examples}
    predictions = json.loads(PREDICTIONS.read_text(encoding="utf-8"))
    counts = {"finqa_official": 0, "finqa_program": 0}
    for prediction in predictions:
        output = Output(rf"\boxed{{{program(prediction['predicted'])}}}")
        for rule in counts:
            verdict = get_rule(rule)(output, golds[prediction["id"]])
            counts[rule] += verdict is not None and bool(verdict.correct)
    assert len(predictions) == PREDICTED
    assert counts == {"finqa_official": EXECUTION, "finqa_program": PROGRAM}


# Answer, gold, and what upstream's formula says of them.
FINANCE_REASONING = [
    ("100.2", 100.0, True),
    ("100.21", 100.0, False),
    ("99.8", 100.0, True),
    ("99.79", 100.0, False),
    ("-100", 100.0, False),
    ("-100.1", -100.0, True),
    ("7.87%", 7.87, True),
    ("7.87%", 0.0787, False),
    (r"\$1,234.5", 1234.5, True),
    ("1234.5 million", 1234.5, True),
    ("0", 0.0, True),
    ("0.001", 0.0, False),
    ("5 or 6", 5.0, False),
    ("yes", True, True),
    ("False", True, False),
    ("no", False, True),
    ("1", True, True),
    ("1", False, False),
    ("0", False, True),
]


@pytest.mark.parametrize(("said", "value", "right"), FINANCE_REASONING)
def test_finance_reasoning(said: str, value: float | bool, right: bool) -> None:
    """One departure: of "5 or 6" upstream takes the first, and several numbers are no answer here."""
    gold = YesNoGold(value) if isinstance(value, bool) else NumberGold(value)
    verdict = get_rule("financereasoning")(Output(rf"\boxed{{{said}}}"), gold)
    assert verdict
    assert bool(verdict.correct) is right
