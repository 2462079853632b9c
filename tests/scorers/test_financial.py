"""The rule `financial` on numbers."""

from __future__ import annotations

import pytest

from evalkit.schema import NumberGold, Output
from evalkit.scoring import get_rule

financial = get_rule("financial")
RATIO = NumberGold(0.0787, "what was the percentage change?", "7.87%", "subtract(8, 7), divide(#0, 7)")
AMOUNT = NumberGold(1200.0, "what was the total in millions?", "1200", "add(700, 500)")
PRICE = NumberGold(23.35227, "what was the price per share?", "23.4", "divide(205500, 8800)")
SHARE = NumberGold(1.11111, "how large was the increase as a percentage?", "111%", "divide(10, const_9)")
DECLINE = NumberGold(
    -0.3, "by how much did revenue decline, in percent?", "-30%", "subtract(7, 10), divide(#0, 10)"
)
CHANGE = NumberGold(-0.3, "what was the percentage change?", "-30%", "subtract(7, 10), divide(#0, 10)")
LOOKED_UP = NumberGold(47.4, "what percentage was it?", "", "47.4")

RIGHT = [
    (RATIO, "0.0787"),
    (RATIO, "7.87"),
    (RATIO, r"7.87\%"),
    (RATIO, r"7.9\%"),
    (RATIO, r"8\%"),
    (RATIO, "0.08"),
    (AMOUNT, "1200"),
    (AMOUNT, r"\$1.2 \text{ billion}"),
    (AMOUNT, r"\$1{,}200 \text{ million}"),
    (AMOUNT, "1195"),
    (AMOUNT, "1200000 thousand"),
    (NumberGold(20743588.7), "20.74 million"),
    (NumberGold(12.5), "12.5亿元"),
    (NumberGold(12.5), "125000万元"),
    (PRICE, "23.35"),
    (SHARE, r"111\%"),
    (DECLINE, r"30\%"),
    (DECLINE, "-0.3"),
    (CHANGE, r"-30\%"),
    (CHANGE, r"\text{a decrease of 30\%}"),
    (LOOKED_UP, r"47.4\%"),
    (LOOKED_UP, "0.474"),
    (NumberGold(0.5, "what percentage was it?", "", "0.5"), r"0.5\%"),
    (NumberGold(1.5679, "what is the ratio?", "", "divide(127, 81)"), "127:81"),
    (NumberGold(0.75, "", "", "divide(3, 4)"), r"\frac{3}{4}"),
    (NumberGold(0.28448, "what is that less 1?", "", "divide(1.49, 1.16), subtract(#0, const_1)"), "0.28"),
    (NumberGold(-4.2), r"\$(4.2)"),
    (NumberGold(2.0), "2"),
    (NumberGold(0.0), "0"),
]

WRONG = [
    (RATIO, "787", "wrong_number"),
    (RATIO, r"0.0787\%", "scale_x100"),
    (RATIO, r"-7.87\%", "sign"),
    (RATIO, r"7.99\%", "rounding"),
    (RATIO, r"8.5\%", "wrong_number"),
    (AMOUNT, "12", "scale_x100"),
    (AMOUNT, "120000", "scale_x100"),
    (AMOUNT, "1.2", "scale_thousand"),
    (AMOUNT, "1200000", "scale_thousand"),
    (AMOUNT, "-1200", "sign"),
    (PRICE, "2335", "scale_x100"),
    (SHARE, "1", "wrong_number"),
    (CHANGE, r"30\%", "sign"),
    (NumberGold(0.14, "what percent?", "14%", "divide(14, 100)"), "0.1", "wrong_number"),
    (NumberGold(0.04, "what percent?", "4%", "divide(4, 100)"), "0.0", "wrong_number"),
    (NumberGold(3.2), "3", "wrong_number"),
    (NumberGold(0.3, "what was the change?"), r"\text{a decrease of } -0.3", "sign"),
    (AMOUNT, "yes", "unparsed"),
    (AMOUNT, r"\text{N/A - fiscal 2014 data is not available}", "no_final_answer"),
    (AMOUNT, "1100-1300", "unparsed"),
]


@pytest.mark.parametrize(("gold", "said"), RIGHT)
def test_right(gold: NumberGold, said: str) -> None:
    verdict = financial(Output(rf"<think>\boxed{{9}}</think>So \boxed{{{said}}}."), gold)
    assert verdict
    assert (verdict.correct, verdict.value, verdict.outcome) == (True, 1.0, "correct"), verdict


@pytest.mark.parametrize(("gold", "said", "failure"), WRONG)
def test_wrong(gold: NumberGold, said: str, failure: str) -> None:
    verdict = financial(Output(rf"\boxed{{{said}}}"), gold)
    assert verdict
    assert (verdict.correct, verdict.value, verdict.outcome) == (False, 0.0, failure), verdict


@pytest.mark.parametrize(
    ("text", "truncated", "failure"),
    [
        ("<think>it is 1200 \\boxed{1200}", False, "truncated"),
        ("Revenue was 700 and", True, "truncated"),
        ("", False, "no_final_answer"),
        ("I do not know.", False, "no_final_answer"),
    ],
)
def test_no_answer(text: str, truncated: bool, failure: str) -> None:
    verdict = financial(Output(text, truncated), AMOUNT)
    assert verdict
    assert (verdict.correct, verdict.outcome) == (False, failure)
