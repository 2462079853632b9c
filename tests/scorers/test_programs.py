"""Program accuracy and programs as answers."""

from __future__ import annotations

import pytest

from evalkit.schema import ChoiceGold, NumberGold, Output
from evalkit.scoring import get_rule
from evalkit.scoring.answer import program_answer
from evalkit.scoring.programs import equal_programs

GROWTH = "subtract(8, 7), divide(#0, 7)"

# Every verdict is that of the official `equal_program` with sympy 1.14, which was run on them.
CASES = [
    (GROWTH, GROWTH, True),
    (GROWTH, "divide(8, 7), divide(7, 7), subtract(#0, #1)", True),
    (GROWTH, "divide(8, 7)", False),
    ("add(1, 2)", "add(2, 1)", True),
    ("add(1, 2)", "add(1, 3)", False),
    ("multiply(1, 2), divide(#0, 2)", "subtract(1, 2), add(#0, 2)", True),
    ("divide(1, 2), divide(#0, 2)", "multiply(2, 2), divide(1, #0)", True),
    ("exp(1, 2)", "exp(2, 1)", False),
    ("exp(1, 2), multiply(#0, 1)", "multiply(1, 1), exp(1, 2), multiply(#1, 1)", True),
    ("greater(1, 2)", "greater(1, 2)", True),
    ("greater(1, 2)", "greater(2, 1)", False),
    ("add(1, const_100)", "add(1, 100)", False),
    ("subtract(1, 2), multiply(#0, const_m1)", "subtract(2, 1)", False),
    ("table_sum(revenue, none), divide(#0, 2)", "table_sum(revenue, none), divide(#0, 2)", True),
    ("table_sum(revenue, none)", "table_max(revenue, none)", False),
    ("add(1, 2)", "add(1, 3), add(1, 2)", False),
    ("add(1, 2)", "add(#0, 1)", False),
    ("add(1, 2)", "sum(1, 2)", False),
    ("add(1, 2)", "", False),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "predicted", "equal"), CASES)
def test_equal_programs(gold: str, predicted: str, equal: bool) -> None:
    assert equal_programs(gold, predicted) is equal


def test_programs_that_blow_up_symbolic_algebra_are_cheap() -> None:
    power = "add(1, 2), " + ", ".join(f"multiply(#{step}, #{step})" for step in range(49))
    assert equal_programs(power, power)
    assert not equal_programs(power, power.replace("add(1, 2)", "subtract(1, 2)"))


@pytest.mark.parametrize(
    ("text", "program"),
    [
        (rf"<think>add(1, 1)</think>\boxed{{{GROWTH}}}", GROWTH),
        (rf"The program:\n\n```\n{GROWTH}\n```", GROWTH),
        (f"Program: {GROWTH}. (It is 14%.)", GROWTH),
        (r"\boxed{\text{table\_sum(net sales ( loss ), none)}}", "table_sum(net sales ( loss ), none)"),
        ("add(1, 2)\nsubtract(3, 4)", "subtract(3, 4)"),
        (r"\boxed{add(1, }", "add(1,"),
        ("It is add(1, 2).\nThe answer is 3.", None),
        (r"add(1, 2) \boxed{3}", None),
        ("<think>add(1, 2)", None),
        ("", None),
    ],
)
def test_program_answer(text: str, program: str | None) -> None:
    found = program_answer(Output(text.replace("\\n", "\n")))
    assert (found and found[1]) == program


def test_a_program_is_executed_on_the_golds_table() -> None:
    table = (("sales", "$ 10", "-4 ( 4 )"),)
    gold = NumberGold(6.0, program="add(10, -4)", table=table)
    right = Output(r"\boxed{table_sum(sales, none)}")
    official, accuracy = get_rule("finqa_official"), get_rule("finqa_program")
    executed, compared = official(right, gold), accuracy(right, gold)
    assert executed
    assert compared
    assert (executed.correct, executed.note, compared.correct) == (True, "program", False)
    missing = official(Output(r"\boxed{table_sum(costs, none)}"), gold)
    assert missing
    assert not missing.correct


def test_where_program_accuracy_does_not_apply() -> None:
    rule = get_rule("finqa_program")
    assert rule(Output(r"\boxed{6}"), NumberGold(6.0, program="add(2, 4)")) is None
    assert rule(Output(r"\boxed{add(2, 4)}"), NumberGold(6.0, program="6")) is None
    assert rule(Output(r"\boxed{add(2, 4)}"), ChoiceGold("A", {"A": "6"})) is None
