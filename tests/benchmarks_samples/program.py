"""A small executor of FinQA's program language, enough to check the bundled samples.

Operations and rounding as in upstream's `code/evaluate/evaluate.py`: arguments are numbers, percentages
(`31.8%` is 0.318), constants (`const_100`) or earlier results (`#0`); `table_*` take the name of a row,
whose cells count without `$` and without what is doubled in brackets; the end value is rounded to 5 decimals.
"""

from __future__ import annotations

import re
from decimal import Decimal

Value = Decimal | str
Table = list[list[str]]

_CALL = re.compile(r"([a-z_]+)\(([^(),]+), ([^(),]+)\)")


def execute(program: str, table: Table) -> float | str:
    """The program's value: a number rounded to 5 decimals, or "yes"/"no". A bare number is its own value."""
    if "(" not in program:
        return float(round(_number(program), 5))
    calls = _CALL.findall(program)
    if ", ".join(f"{op}({left}, {right})" for op, left, right in calls) != program:
        raise ValueError(f"not a program: {program}")
    results: list[Value] = []
    for op, left, right in calls:
        if op.startswith("table_"):
            results.append(_over_row(op, _row(left, table)))
        else:
            results.append(_binary(op, _argument(left, results), _argument(right, results)))
    last = results[-1]
    return last if isinstance(last, str) else float(round(last, 5))


def numbers(program: str) -> list[str]:
    """The numbers that a program takes from the page, as written (no constants, no `#n`)."""
    words = [program] if "(" not in program else [w for call in _CALL.findall(program) for w in call[1:]]
    return [word for word in words if word[0].isdigit()]


def _number(text: str) -> Decimal:
    if text.startswith("const_"):
        return Decimal(text.removeprefix("const_"))
    return Decimal(text.removesuffix("%")) / (100 if text.endswith("%") else 1)


def _argument(text: str, results: list[Value]) -> Decimal:
    if not text.startswith("#"):
        return _number(text)
    value = results[int(text[1:])]
    if isinstance(value, str):
        raise ValueError(f"{text} is {value}, which is no number")
    return value


def _row(name: str, table: Table) -> list[Decimal]:
    cells = next(row[1:] for row in table if row[0] == name)
    return [_number(cell.replace("$", "").split("(")[0].strip()) for cell in cells]


def _over_row(op: str, row: list[Decimal]) -> Decimal:
    by_name = {"table_sum": sum(row), "table_average": sum(row) / len(row), "table_max": max(row)}
    return Decimal(by_name[op])


def _binary(op: str, left: Decimal, right: Decimal) -> Value:
    if op == "greater":
        return "yes" if left > right else "no"
    if op == "divide":
        return left / right
    return {"add": left + right, "subtract": left - right, "multiply": left * right}[op]
