"""FinQA's program language: parser and executor.

A program is a list of steps, ``subtract(29, 8), divide(#0, 8)``; ``#n`` is the result of step n. Binary
operations are add, subtract, multiply, divide, exp and greater (yes/no); ``table_max``, ``table_min``,
``table_sum`` and ``table_average`` take the name of a table row and ``none``. Arguments are numbers,
percentages (``27%`` is 0.27) and constants (``const_100``; ``const_m1`` is -1). ConvFinQA's turn programs
are the same, or a bare number for a look-up. Source: czyssrs/FinQA, ``code/evaluate/evaluate.py``; this is
written anew, because that script misuses an undefined variable for table operations on ``#n``.

Programs may come from a model, so everything is bounded and the only exception is `ProgramError`.

Whether two programs of FinQA's language are the same formula.

The official script gives every literal of the gold program a symbol and compares the two formulas after
sympy's `simplify`. Here each formula is a point of a finite field: a symbol's value is a hash of its text,
and the two formulas, rational functions of the symbols, are equal exactly if their values are (up to a
chance of about 2 in 10^37, by Schwartz and Zippel's lemma). That needs no symbolic algebra on model text,
and its cost is linear in the number of steps.

Source: czyssrs/FinQA, code/evaluate/evaluate.py, `equal_program`. Kept: a literal is its text, so
`const_100` is not `100` and `20%` not `0.2`; a literal that the gold does not use makes a program unequal,
even in a step that has no effect; the last step is the formula; table operations are symbols. Not
recognized, unlike there: laws of powers (`exp` of two things is a symbol of those two).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

MAX_CHARS = 5_000
MAX_STEPS = 50

Table = Sequence[Sequence[str]]
Value = float | bool

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?\Z")
_OPEN = re.compile(r"\s*([a-z_]+)\s*\(", re.ASCII)
_REFERENCE = re.compile(r"#([0-9]{1,3})\Z")

_BINARY: dict[str, Callable[[float, float], Value]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "exp": lambda a, b: math.pow(a, b),
    "greater": lambda a, b: a > b,
}
_ROW: dict[str, Callable[[list[float]], float]] = {
    "table_max": max,
    "table_min": min,
    "table_sum": math.fsum,
    "table_average": lambda row: math.fsum(row) / len(row),
}
OPERATIONS = frozenset(_BINARY) | frozenset(_ROW)


class ProgramError(ValueError):
    """The text is no program of this language, or it has no finite value."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operation with its two arguments as written (the second of a table operation is ``none``)."""

    op: str
    args: tuple[str, str]


def parse(program: str) -> list[Step]:
    """Split a program into steps.

    Raises:
        ProgramError: unknown operation, wrong number of arguments, unbalanced brackets, too long.
    """
    if len(program) > MAX_CHARS:
        raise ProgramError(f"program of more than {MAX_CHARS} characters")
    steps: list[Step] = []
    position = 0
    while opened := _OPEN.match(program, position):
        op = opened[1]
        if op not in OPERATIONS:
            raise ProgramError(f"unknown operation {op[:30]!r}")
        end = closing(program, opened.end())
        inner = program[opened.end() : end]
        # A row's name may hold commas, a number may not.
        parts = inner.rsplit(",", 1) if op in _ROW else inner.split(",")
        if len(parts) != 2:
            raise ProgramError(f"{op} takes two arguments")
        steps.append(Step(op, (parts[0].strip(), parts[1].strip())))
        if len(steps) > MAX_STEPS:
            raise ProgramError(f"more than {MAX_STEPS} steps")
        rest = program[end + 1 :].lstrip()
        if not rest:
            return steps
        if not rest.startswith(","):
            raise ProgramError("steps must be separated by a comma")
        position = len(program) - len(rest) + 1
    raise ProgramError("expected an operation")


def execute(program: str, table: Table = ()) -> Value:
    """The value of a program: a finite float (not rounded), or a bool if the last step is ``greater``.

    ``table`` is a list of rows of cells, the first cell of a row is its name.

    Raises:
        ProgramError: not a program, an unknown row or reference, division by zero, overflow.
    """
    bare = program.strip()
    if "(" not in bare:
        return number(bare)
    results: list[Value] = []
    for step in parse(bare):
        results.append(_run(step, results, table))
    return results[-1]


def number(text: str) -> float:
    """A number as programs write it: ``3.5``, ``27%``, ``const_100``, ``const_m1``, with or without commas.

    Raises:
        ProgramError: anything else.
    """
    text = text.strip().lower()
    if text.startswith("const_"):
        text = text.removeprefix("const_").replace("m", "-", 1)
    percent = text.endswith("%")
    text = text.removesuffix("%").strip().replace(",", "")
    if len(text) > 60 or not _NUMBER.match(text):
        raise ProgramError(f"not a number: {text[:40]!r}")
    return _finite(float(text) / 100 if percent else float(text))


def _run(step: Step, results: list[Value], table: Table) -> Value:
    if step.op in _ROW:
        return _finite(_ROW[step.op](_cells(step.args[0], results, table)))
    left, right = (_argument(arg, results) for arg in step.args)
    try:
        value = _BINARY[step.op](left, right)
    except (ArithmeticError, ValueError) as error:
        raise ProgramError(f"{step.op}: {error}") from error
    return value if isinstance(value, bool) else _finite(value)


def _argument(text: str, results: list[Value]) -> float:
    reference = _REFERENCE.match(text)
    if not reference:
        return number(text)
    index = int(reference[1])
    if index >= len(results):
        raise ProgramError(f"{text} refers to no earlier step")
    value = results[index]
    if isinstance(value, bool):
        raise ProgramError(f"{text} is yes or no, not a number")
    return value


def _cells(name: str, results: list[Value], table: Table) -> list[float]:
    """The numbers of the row called `name`, or the one result that ``#n`` refers to."""
    if _REFERENCE.match(name):
        return [_argument(name, results)]
    row = next((row for row in reversed(table) if row and row[0].strip() == name), None)
    if row is None or len(row) < 2:
        raise ProgramError(f"no row called {name[:40]!r}")
    # Cells repeat a negative in brackets, "-32 ( 32 )", and a percentage, "27% ( 27 % )".
    return [number(cell.replace("$", "").split("(")[0]) for cell in row[1:]]


def closing(text: str, start: int) -> int:
    """The position of the bracket that closes the one opened just before `start`.

    Raises:
        ProgramError: it is not closed.
    """
    depth = 1
    for position in range(start, len(text)):
        if text[position] == "(":
            depth += 1
        elif text[position] == ")":
            depth -= 1
            if depth == 0:
                return position
    raise ProgramError("a bracket is not closed")


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ProgramError("no finite value")
    return value


_PRIME = 2**127 - 1

Formula = tuple[str, int, int]
"""`("value", v, 0)`, or `("greater", left, right)`, in the field."""


def equal_programs(gold: str, predicted: str) -> bool:
    """Whether `predicted` is the gold program up to algebra; False for what is no program."""
    try:
        gold_steps, steps = parse(gold), parse(predicted)
        return _symbols(steps) <= _symbols(gold_steps) and _formula(gold_steps) == _formula(steps)
    except ProgramError:
        return False


def _symbols(steps: list[Step]) -> set[str]:
    """The literals of a program, and its table operations as a whole."""
    symbols: set[str] = set()
    for step in steps:
        if step.op.startswith("table_"):
            symbols.add(_whole(step))
        else:
            symbols |= {argument for argument in step.args if "#" not in argument}
    return symbols


def _formula(steps: list[Step]) -> Formula:
    results: list[Formula] = []
    for step in steps:
        results.append(_apply(step, results))
    return results[-1]


def _apply(step: Step, results: list[Formula]) -> Formula:
    if step.op.startswith("table_"):
        return "value", _hashed(_whole(step)), 0
    left, right = (_value(argument, results) for argument in step.args)
    if step.op == "greater":
        return "greater", left, right
    if step.op == "exp":
        return "value", _hashed(f"{left}**{right}"), 0
    if step.op == "divide":
        if right == 0:
            raise ProgramError("division by zero")
        return "value", left * pow(right, -1, _PRIME) % _PRIME, 0
    combined = {"add": left + right, "subtract": left - right, "multiply": left * right}[step.op]
    return "value", combined % _PRIME, 0


def _value(argument: str, results: list[Formula]) -> int:
    if "#" not in argument:
        return _hashed(argument)
    index = argument.strip("#")
    if not (index.isascii() and index.isdigit() and len(index) <= 3 and int(index) < len(results)):
        raise ProgramError("refers to no earlier step")
    kind, value, _ = results[int(index)]
    if kind != "value":
        raise ProgramError("a comparison is not a number")
    return value


def _whole(step: Step) -> str:
    return f"{step.op}({step.args[0]}, {step.args[1]})"


def _hashed(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(errors="surrogatepass"), digest_size=24).digest()) % _PRIME
