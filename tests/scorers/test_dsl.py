"""FinQA's program language."""

from __future__ import annotations

import pytest

from evalkit.scoring.programs import ProgramError, execute

TABLE = [
    ["year", "2014", "2013"],
    ["net, total ( loss )", "$ 1,200", "-32 ( 32 )"],
    ["rate", "27% ( 27 % )", "1%"],
]


@pytest.mark.parametrize(
    ("program", "value"),
    [
        ("subtract(29, 8), divide(#0, 8)", 2.625),
        ("divide(13, 26%)", 50),
        ("multiply(3, const_m1)", -3),
        ("exp(2, const_10)", 1024),
        ("27%", 0.27),
        ("1,234.5", 1234.5),
        ("table_sum(net, total ( loss ), none)", 1168),
        ("table_average(rate, none)", 0.14),
        ("table_max(rate, none), table_min(#0, none)", 0.27),
        ("add(.5,1e3)", 1000.5),
    ],
)
def test_value(program: str, value: float) -> None:
    assert execute(program, TABLE) == pytest.approx(value)


def test_greater_is_yes_or_no() -> None:
    assert execute("greater(2, 1)") is True
    assert execute("greater(1, 1)") is False


@pytest.mark.parametrize(
    "program",
    [
        "",
        "none",
        "add(1, 2",
        "add(1)",
        "add(1, 2, 3)",
        "add(1, 2) add(1, 2)",
        "add(1, 2),",
        "add(#0, 1)",
        "add(#-1, 1)",
        "greater(1, 2), add(#0, 1)",
        "divide(1, 0)",
        "exp(10, 1000)",
        "exp(-8, 0.5)",
        "exp(0, -1)",
        "multiply(1e300, 1e300)",
        "table_sum(no such row, none)",
        "table_sum(year",
        "__import__('os').system('true')",
        "add(__import__('os'), 1)",
        "add(nan, inf)",
        "const_",
        "(" * 4_000,
        "add(" * 1_000,
        "add(1, 1), " * 2_000,
        "9" * 4_000,
        "１",
    ],
)
def test_typed_error(program: str) -> None:
    with pytest.raises(ProgramError):
        execute(program, TABLE)


def test_table_cells_that_are_no_numbers() -> None:
    with pytest.raises(ProgramError):
        execute("table_sum(a, none)", [["a", "n/a", "1"]])
    with pytest.raises(ProgramError):
        execute("table_sum(a, none)", [[], ["a"]])
